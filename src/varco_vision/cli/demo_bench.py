"""The part of `varco-vision demo` that measures on `k-mini`: five built sets, protocol `strict`, every answer kept.

```
OUT/k-mini/                 the sets with card and checksums, as `bench build k-mini` makes them
OUT/k-mini-scores/MODEL/    a folder as `eval run --tasks` leaves it; `eval score` and `eval compare` work on it
OUT/k-mini-scores/report.html and .md: all models side by side
```
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varco_vision.cli.common import note, print_table
from varco_vision.errors import InputError
from varco_vision.eval.cache import Record, Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from varco_vision.bench.build import Plan
    from varco_vision.infer.engine import Engine, Request
    from varco_vision.model.checkpoint import Loaded
    from varco_vision.train.parallel import World

SETS, SCORES = "k-mini", "k-mini-scores"
NEEDED = ("matplotlib", "pyarrow")
BATCH = 24


class Spread:
    """An engine whose requests are answered by all processes of `world`, neighbours by the same one; all get all answers."""

    def __init__(self, engine: Engine, world: World) -> None:
        self.engine, self.world = engine, world
        self.batch_size = engine.batch_size * world.size

    def generate(self, requests: Sequence[Request], progress: Callable[[int], None] | None = None) -> list[Any]:
        bounds = [len(requests) * rank // self.world.size for rank in range(self.world.size + 1)]
        mine = requests[bounds[self.world.rank] : bounds[self.world.rank + 1]]
        return [answer for part in self.world.gather(self.engine.generate(mine)) for answer in part]


class Follower(Store):
    """What the leading process keeps on disk, held in memory by another one, so that both know what is still to ask."""

    def __init__(self, path: Path, records: Mapping[str, Record]) -> None:
        super().__init__(path, writing=False)
        self.records = dict(records)

    def append(self, records: Iterable[Record]) -> None:
        self.records.update({record["key"]: record for record in records})


def missing() -> str | None:
    """Why k-mini cannot be built here, in a sentence; None when it can."""
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not lacking:
        return None
    return f"k-mini needs {' and '.join(lacking)}: pip install 'varco-vision-open[eval,synth]'"


def plan_of(count: int) -> Plan:
    """k-mini with `count` questions a set, without the pictures that this machine has no font for."""
    from varco_vision.bench.build import Plan
    from varco_vision.synth.emoji_names import emoji_fonts

    return Plan(count=count, without=frozenset() if emoji_fonts() else frozenset({"things"}))


def build(plan: Plan, folder: Path) -> None:
    """Build the sets, unless the folder holds what the same command made, unchanged."""
    from varco_vision.bench import build as work
    from varco_vision.bench import card

    if _made(plan, folder):
        return
    if folder.exists():
        shutil.rmtree(folder)
    if plan.without:
        note(f"k-mini: without {', '.join(sorted(plan.without))}, since there is no colour-emoji font here")
    work.run(plan, folder)
    assert set(card.verify(folder).values()) == {"ok"}
    note(f"k-mini: {plan.count} questions for each of {len(plan.tasks)} sets, in {folder}")


def _made(plan: Plan, folder: Path) -> bool:
    from varco_vision.bench import card

    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
        return plan.command in text.splitlines() and set(card.verify(folder).values()) == {"ok"}
    except (OSError, InputError):
        return False


def measure(models: Mapping[str, Loaded], out: Path, count: int, world: World) -> dict[str, Any]:
    """Ask every model all questions of k-mini; what `eval.set_table` shows, in the leading process ({} in the others).

    The processes share the questions; what an earlier start answered is not asked again.
    """
    from varco_vision.eval import runs, set_table

    if (why := missing()) is not None:
        if world.leads:
            note(f"k-mini is left out: {why}")
        return {"left_out": why}
    plan = plan_of(count)
    if world.leads:
        build(plan, out / SETS)
    world.barrier()
    folders = {name: out / SCORES / folder_name(name) for name in models}
    results = {name: run(loaded, plan.tasks, out / SETS, folders[name], world) for name, loaded in models.items()}
    if not world.leads:
        return {}
    rows = {task: asked(next(iter(folders.values())), task) for task in plan.tasks}
    found = set_table.collect(results, rows)
    found |= {"count": count, "command": plan.command, "examples": examples(folders, plan.tasks, found, out)}
    found["reports"] = {name: (folder / "report.html").relative_to(out).as_posix() for name, folder in folders.items()}
    if len(folders) == 2:
        found["paired"] = runs.compare_runs(*folders.values())
    set_table.write(found, "k-mini", out / SCORES, out)
    show(found)
    return found


def folder_name(model: str) -> str:
    """ "mini (shipped)" -> "mini-shipped"."""
    return re.sub(r"[^\w.]+", "-", model).strip("-")


def run(loaded: Loaded, tasks: Sequence[str], sets: Path, out: Path, world: World) -> dict[str, Any]:
    """One model on all sets; the results of the run in the leading process, {} in the others."""
    from varco_vision.eval import benchmarks, pipeline, protocols, runs, task_report
    from varco_vision.infer.engine import Engine

    settings, strict = protocols.Settings(), protocols.find("strict")
    model, views = pipeline.fingerprint(loaded), pipeline.views_of(loaded)
    prepared = [
        pipeline.prepare(benchmarks.load(benchmarks.find(task), sets), strict, settings, model, views) for task in tasks
    ]
    engine = Spread(Engine(loaded, batch_size=BATCH), world)
    store = Store(out / "answers.jsonl") if world.leads else None
    known = world.gather(store.records if store is not None else {})[0]
    try:
        pipeline.generate(engine, prepared, Follower(out / "answers.jsonl", known) if store is None else store)
    finally:
        if store is not None:
            store.close()
    if not world.leads:
        return {}
    runs.write_run(out, loaded.name, model, settings, prepared)
    results = runs.score_run(out)
    task_report.write(out, results)
    return results


def asked(folder: Path, task: str, protocol: str = "strict") -> list[dict[str, Any]]:
    """The rows of a task as the folder of a run keeps them."""
    text = (folder / "rows" / f"{protocol}.{task}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def examples(
    folders: Mapping[str, Path], tasks: Sequence[str], found: Mapping[str, Any], out: Path
) -> list[dict[str, Any]]:
    """The first question of every set with what each model said and which letter was read, for the report."""
    from varco_vision.eval.benchmarks import stem

    shown = []
    for task in tasks:
        first = asked(next(iter(folders.values())), task)[0]
        told = {}
        for name, folder in folders.items():
            row = asked(folder, task)[0]
            answers = Store(folder / "answers.jsonl", writing=False)
            marks = [json.loads(line) for line in (folder / "marks.jsonl").read_text(encoding="utf-8").splitlines()]
            letter = next((m["letter"] for m in marks if m["task"] == task and m["index"] == row["index"]), None)
            told[name] = {"answer": answers[row["key"]]["answer"], "letter": letter}
        pictures = next(iter(folders.values())).relative_to(out) / "pictures"
        picture = (pictures / f"{first['images'][0]}.jpg").as_posix() if first["images"] else None
        shown.append({
            "task": task, "title": found["sets"][task]["title"], "picture": picture, "question": stem(first["question"]),
            "options": first["options"], "answer": first["answer"], "told": told,
        })  # fmt: skip
    return shown


def show(found: Mapping[str, Any]) -> None:
    """The table on stdout."""
    from varco_vision.eval import set_table

    print_table(set_table.head(found), set_table.table_rows(found), 2)
