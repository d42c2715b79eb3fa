"""`varco-vision demo`: makes pictures, trains `nano` through all stages, measures it, answers, writes a report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from varco_vision.cli.common import load_pictures, new_app, note
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    from varco_vision.data.sample import Sample
    from varco_vision.eval.own import Scores
    from varco_vision.model.checkpoint import Loaded
    from varco_vision.train.parallel import World
    from varco_vision.train.recipe import Recipe

app = new_app()

EPILOG = """Examples:

  varco-vision demo

  varco-vision demo --out runs/demo --image my-photo.jpg --image receipt.png

  varco-vision demo --resume"""

SHIPPED = {"n_scenes": 20, "n_words": 30, "n_text": 30}  # questions on the model that comes with the package
QUESTIONS = (("ko", "이미지를 설명해줘."), ("en", "Describe the image."))


@app.command(epilog=EPILOG)
def demo(
    out: Annotated[Path, typer.Option(help="Where the report, the model and the pictures go.")] = Path("runs/demo"),
    image: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Also answer about your own pictures.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Recipe file.")] = "nano",
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in --out.")] = False,
    processes: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core or GPU.")] = 0,
    k_mini: Annotated[
        int,
        typer.Option("--k-mini", metavar="N", min=0, help="Questions in each of k-mini's five sets; 0: without it."),
    ] = 100,
) -> None:
    """See the shipped model at work, then train a small one from nothing on this machine and see what it learned.

    The model that comes with the package answers questions. Then a set of pictures is made, `nano` goes through stages 0
    to 4, is measured before and after each on pictures and texts that it has not seen, and answers questions in Korean
    and English. Last, k-mini is built, five Korean evaluation sets, and both models answer it. OUT/report.html shows all
    of it. About eleven minutes on two cores.
    """
    from varco_vision.cli.launch import one_sentence
    from varco_vision.cli.train import refuse_overwriting, spawn
    from varco_vision.data.disk import require_writable
    from varco_vision.train.recipe import find, read

    own_pictures = load_pictures(image)
    resolved = read(find(recipe), overrides or ())
    refuse_overwriting(out, resume)
    require_writable(out)
    spawn(processes)
    from varco_vision.train import parallel

    world = parallel.start()
    try:
        with one_sentence():
            run_demo(resolved, out, world, resume, dict(zip(image or (), own_pictures, strict=True)), k_mini)
    finally:
        parallel.stop()


def run_demo(recipe: Recipe, out: Path, world: World, resume: bool, own: dict[str, Image.Image], k_mini: int) -> None:
    """The whole demonstration, in every process of `world`; the leading one writes."""
    from transformers.utils import logging

    from varco_vision.train.run import Run

    logging.disable_progress_bar()
    clock = Clock(out / "clock.json", resume, world)
    if not recipe.evaluation:
        raise InputError(f"recipe '{recipe.name}' has no 'evaluation' section, which the demo needs")
    samples = make_evaluation(recipe, out, world)
    shipped = show_shipped(out, world, resume, clock)
    judge = Judge(samples, out, resume, clock)
    run = Run(recipe, out, world, resume=resume, after=judge)
    stages = run.stages(0, max(s.stage for s in recipe.stages))
    assert judge.last is not None
    sets = on_k_mini(judge.last, recipe.name, out, k_mini, world) if k_mini else None
    if world.leads:
        finish(out, recipe, [s.to_dict() for s in stages], judge, own, shipped, sets)
    world.barrier()


def show_shipped(out: Path, world: World, resume: bool, clock: Clock) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Scores and gallery of the model inside the package, on unseen pictures of the world that it was trained for."""
    from varco_vision.eval.report import results_dict
    from varco_vision.infer.api import VarcoVision
    from varco_vision.model import checkpoint
    from varco_vision.synth.sources import evaluation_set

    loaded = checkpoint.load(checkpoint.default_path(), device=str(world.device))
    recipe = loaded.record["recipe"]
    samples = evaluation_set(**{**recipe["evaluation"], **SHIPPED, "seed": 4711})
    judge = Judge(samples, out, resume, clock)
    name = shipped_name(loaded)
    judge(name, loaded, world)
    if not world.leads:
        return {}, []
    found = results_dict([], judge.scores, 0.0, "")
    table = {key: found[key][name] for key in ("scores", "intervals", "counts")}
    pictures = gallery(VarcoVision(loaded), samples, {}, out / "pictures" / "shipped", each=1)
    return {"name": name, **table, "n_eval": len(samples)}, pictures


def on_k_mini(trained: Loaded, name: str, out: Path, count: int, world: World) -> dict[str, Any]:
    """The shipped model and the one trained here on k-mini; what the report shows, in the leading process."""
    from varco_vision.cli import demo_bench
    from varco_vision.model import checkpoint

    shipped = checkpoint.load(checkpoint.default_path(), device=str(world.device))
    models = {shipped_name(shipped): shipped, f"{name} (trained here)": trained}
    return demo_bench.measure(models, out, count, world)


def shipped_name(loaded: Loaded) -> str:
    """ "mini (shipped)"."""
    return f"{loaded.record['recipe']['name']} (shipped)"


def make_evaluation(recipe: Recipe, out: Path, world: World) -> list[Sample]:
    """The evaluation set, written to OUT/data by the leading process and read back by all."""
    from varco_vision.data import jsonl
    from varco_vision.synth.sources import evaluation_set

    path = out / "data" / "evaluation.jsonl"
    if world.leads:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = evaluation_set(**recipe.evaluation)
        jsonl.write(made, path, path.parent / "pictures")
        note(f"evaluation set: {len(made)} questions that training has not seen, in {path}")
    world.barrier()
    return list(jsonl.read(path))


class Clock:
    """Seconds that a demonstration took over all its starts; what ran between the last `save` and a kill is lost."""

    def __init__(self, path: Path, resume: bool, world: World) -> None:
        self.path, self.leads, self.began = path, world.leads, time.monotonic()
        self.earlier = 0.0
        if resume and path.exists():
            self.earlier = json.loads(path.read_text(encoding="utf-8"))["seconds"]

    def seconds(self) -> float:
        return self.earlier + time.monotonic() - self.began

    def save(self) -> None:
        """Write the time so far, in the leading process."""
        from varco_vision.train.state import write_json

        if self.leads:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {"seconds": self.seconds()})


class Judge:
    """Scores every model that the run hands over; each process answers its share of the questions."""

    def __init__(self, samples: Sequence[Sample], out: Path, resume: bool, clock: Clock) -> None:
        self.samples, self.directory, self.resume, self.clock = samples, out / "scores", resume, clock
        self.scores: dict[str, Scores] = {}
        self.last: Loaded | None = None

    def __call__(self, name: str, loaded: Loaded, world: World) -> None:
        from varco_vision.eval import own
        from varco_vision.infer.engine import Engine
        from varco_vision.train.state import write_json

        self.last = loaded
        path = self.directory / f"{name}.json"
        kept = self.resume and path.exists()
        if any(world.gather(kept)):  # all processes must agree, also while one of them is about to write
            self.scores[name] = own.Scores(json.loads(path.read_text(encoding="utf-8")))
            return
        part = own.score(Engine(loaded, batch_size=24), self.samples[world.rank :: world.size])
        self.scores[name] = own.merge([own.Scores(records) for records in world.gather(part.records)])
        if world.leads:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_json(path, self.scores[name].records)
            note(f"measured after '{name}': {summary(self.scores[name])}")
        self.clock.save()
        world.barrier()


def summary(scores: Scores) -> str:
    """The main scores on one line, Korean / English."""
    table = scores.to_dict()
    names = ("grounding_acc50", "referring_acc", "counting_acc", "ocr_word_acc", "text_acc")
    lines = []
    for name in names:
        values = " / ".join(f"{entry['value']:.2f}" for entry in table.get(name, {}).values())
        lines += [f"{name} {values}"] if values else []
    return ", ".join(lines)


def finish(
    out: Path,
    recipe: Recipe,
    stages: list[dict[str, Any]],
    judge: Judge,
    own: dict[str, Image.Image],
    shipped: tuple[dict[str, Any], list[dict[str, Any]]],
    sets: dict[str, Any] | None,
) -> None:
    """Answers about pictures, results.json and report.html. sets: what `on_k_mini` found."""
    from varco_vision.eval.report import results_dict, write_report
    from varco_vision.infer.api import VarcoVision
    from varco_vision.train.state import write_json

    assert judge.last is not None
    pictures = gallery(VarcoVision(judge.last), judge.samples, own, out / "pictures")
    results = results_dict(stages, judge.scores, judge.clock.seconds(), f"varco-vision demo --recipe {recipe.name}")
    results["shipped"] = shipped[0]
    results |= {} if sets is None else {"k_mini": sets}
    write_json(out / "results.json", results)
    page = write_report(results, out, pictures, shipped[1])
    judge.clock.save()
    note(f"model:   {out / recipe.stages[-1].name / 'model'}")
    note(f"results: {out / 'results.json'}")
    note(f"report:  {page}")


def gallery(
    vv: Any, samples: Sequence[Sample], own: dict[str, Image.Image], directory: Path, each: int = 2
) -> list[dict[str, Any]]:
    """Pictures with questions, answers and boxes: the first `each` of every task and language, then the user's."""
    from varco_vision import pictures
    from varco_vision.infer.drawing import draw

    directory.mkdir(parents=True, exist_ok=True)
    entries = []
    for sample in showpieces(samples, each):
        picture = pictures.load(sample.images[0]) if sample.images else None
        question, gold = text_of(sample.messages[-2]), text_of(sample.messages[-1])
        entries.append(entry(picture, question, vv.chat(picture, question), sample.task, sample.lang, gold))
    for name, picture in own.items():
        for language, question in QUESTIONS:
            entries.append(entry(picture, question, vv.chat(picture, question), "vqa", language, None, name))
            entries.append(
                entry(picture, f"<gro>\n{question}", vv.ground(picture, question), "grounding", language, None, name)
            )
    for number, item in enumerate(entries):
        if item["picture"] is not None:
            item["drawn"] = draw(item["picture"], item["answer"])
            item["drawn"].save(directory / f"{number:02d}-{item['task']}-{item['lang']}.png")
    return entries


def showpieces(samples: Sequence[Sample], each: int = 2) -> list[Sample]:
    """The first `each` samples of every task and language: chosen before any answer is known."""
    taken: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        place = taken.setdefault((sample.task, sample.lang), [])
        if len(place) < each:
            place.append(sample)
    return [sample for place in taken.values() for sample in place]


def text_of(turn: dict[str, Any]) -> str:
    content = turn["content"]
    return content if isinstance(content, str) else "".join(p["text"] for p in content if p["type"] == "text")


def entry(
    picture: Any, question: str, answer: Any, task: str, lang: str, gold: str | None, name: str = ""
) -> dict[str, Any]:
    """One line of the gallery, as the report shows it."""
    return {
        "picture": picture,
        "question": question,
        "answer": answer,
        "gold": gold,
        "task": task,
        "lang": lang,
        "name": name,
    }
