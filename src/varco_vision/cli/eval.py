"""`varco-vision eval`: measure a model on samples with known answers, under a protocol that is printed with the numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from varco_vision.cli import common, eval_behaviour, eval_calibrate, eval_files, eval_tasks
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.data.sample import Sample
    from varco_vision.eval.own import Scores
    from varco_vision.infer.api import VarcoVision

app = common.new_app(no_args_is_help=True, help="Measure models.")
eval_files.attach(app)
eval_tasks.attach(app)
eval_calibrate.attach(app)
eval_behaviour.attach(app)
OWN_TASKS = ("grounding", "absent", "referring", "counting", "vqa")


@app.callback()
def group() -> None:
    """Keeps the verbs a group, however many there are."""


@app.command()
def run(
    model: common.ModelOption = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE.jsonl", help="Samples whose last turn is the right answer.")
    ] = None,
    own: Annotated[
        int | None, typer.Option("--own", metavar="N", min=1, help="Make a set: N pictures, N texts to read, N facts.")
    ] = None,
    tasks: Annotated[
        str | None, typer.Option("--tasks", metavar="A,B", help="Evaluation sets by name; see: eval list.")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="--tasks: a folder with the sets, instead of the hub."),
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="NAME,NAME", help="--tasks: the rules, one or several; see: eval list.")
    ] = "strict",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="--tasks: the first N questions only.")] = None,
    revision: Annotated[
        str | None, typer.Option("--revision", help="--tasks: revision of the sets on the hub.")
    ] = None,
    max_tiles: Annotated[
        int | None, typer.Option("--max-tiles", min=1, help="--tasks: at most N tiles a picture, in all sets.")
    ] = None,
    judge_endpoint: eval_tasks.EndpointOption = None,
    judge_model: eval_tasks.JudgeOption = None,
    judge_swap: eval_tasks.SwapOption = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the set that --own makes.")] = 1000,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where scores and every answer go; --tasks needs it.")
    ] = None,
    as_json: common.JsonOption = False,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Questions answered at once.")] = 16,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, help="Longest answer for every task; changes the protocol.")
    ] = None,
) -> None:
    """Ask a model every question of a set, greedily, and score the answers.

    Prints the protocol (rules, set, its digest, seed, model) and a table: score, 95 % interval, number of samples.
    With --tasks every answer is kept in --out: a run that was stopped goes on there, and `eval score` needs no model.

    \b
    Example:
      varco-vision eval run --model runs/nano/basic/model --own 100
      varco-vision eval run --data my-questions.jsonl --out scores --json
      varco-vision eval run --tasks k_mmbench,k_dtcbench --data-dir sets --protocol strict,lmms-0.7.3 --out scores
    """
    if sum(given is not None for given in (data, own, tasks)) != 1:
        raise InputError("give either --data FILE.jsonl or --own N, the set to measure on, or --tasks A,B")
    _check_out(out)
    if tasks is not None:
        if out is None:
            raise InputError("--tasks needs --out DIR, where every answer is kept")
        plan = eval_tasks.Plan(
            tasks, protocol, data_dir, out, revision, limit, max_new_tokens, max_tiles, judge_endpoint, judge_model, judge_swap
        )  # fmt: skip
        eval_tasks.run(plan, partial(_opened, model, device, dtype, batch_size), as_json)
        return
    samples, name = _from_file(data) if data is not None else _made(own or 1, seed)
    vision = _opened(model, device, dtype, batch_size)
    from varco_vision.eval import own as rules

    limits = None if max_new_tokens is None else dict.fromkeys(rules.LIMITS, max_new_tokens)
    protocol = protocol_of(samples, name, vision.loaded.name, limits)
    common.note(protocol_line(protocol))
    scores = rules.score(vision.engine, samples, _progress(len(samples)), limits)
    result = {"protocol": protocol, "scores": scores.to_dict()}
    if out is not None:
        _save(out, result, scores)
    if as_json:
        common.print_json(result)
    else:
        print_table(result)


def _opened(model: str | None, device: str, dtype: str, batch_size: int) -> VarcoVision:
    common.keep_memory()
    vision = common.open_model(model, device, dtype, calibrate=False)  # kept answers stay what they were
    vision.engine.batch_size = batch_size
    return vision


@app.command("list")
def show(as_json: common.JsonOption = False) -> None:
    """Show what can be measured: tasks with their longest answers, metrics with their rules.

    \b
    Example:
      varco-vision eval list
    """
    from varco_vision.eval.own import LIMITS, METRICS, PROTOCOL

    if as_json:
        metrics = {name: {"meaning": m.meaning, "higher_is_better": m.higher_is_better} for name, m in METRICS.items()}
        told = {"protocol": PROTOCOL, "max_new_tokens": LIMITS, "metrics": metrics}
        common.print_json({**told, "sets": eval_tasks.listing()})
        return
    typer.echo(f"protocol {PROTOCOL}: greedy answers; what cannot be read from an answer is wrong and counted\n")
    typer.echo("tasks, with the longest answer in tokens")
    for task, limit in LIMITS.items():
        typer.echo(f"  {task:<22} {limit}")
    typer.echo("\nmetrics")
    for name, metric in METRICS.items():
        typer.echo(f"  {name:<22} {metric.meaning}{'' if metric.higher_is_better else ' (lower is better)'}")
    eval_tasks.print_listing()


def _check_out(out: Path | None) -> None:
    """Make the folder before hours of work, not after."""
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out} of --out: {error.strerror or error}") from error


def _from_file(path: Path) -> tuple[list[Sample], str]:
    from varco_vision.data import jsonl

    samples = list(jsonl.read(path))
    if not samples:
        raise InputError(f"{path} holds no samples, so there is nothing to measure")
    return samples, str(path)


def _made(count: int, seed: int) -> tuple[list[Sample], str]:
    """`count` pictures of shapes and of words in each language, and as many facts (fewer where there are not so many)."""
    from varco_vision.synth.sources import evaluation_set
    from varco_vision.synth.text_world import LANGUAGES, pairs

    facts = min(count, *(len(pairs("eval", lang)) for lang in LANGUAGES))
    samples = evaluation_set(seed=seed, n_scenes=count, n_words=count, n_text=facts, tasks=OWN_TASKS)
    return samples, f"synth:eval seed={seed} scenes={count} words={count} facts={facts} per language"


def protocol_of(
    samples: Sequence[Sample], name: str, model: str, limits: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Everything that decides a number besides the weights."""
    from varco_vision import __version__
    from varco_vision.eval import extract
    from varco_vision.eval.own import LIMITS, PROTOCOL, set_digest

    return {
        "id": PROTOCOL,
        "set": name,
        "digest": set_digest(samples),
        "n": len(samples),
        "decoding": "greedy",
        "reads_letters": extract.VERSION,
        "max_new_tokens": {**LIMITS, **(limits or {})},
        "model": model,
        "version": __version__,
    }


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """The protocol on one line, for people."""
    return (
        f"protocol {protocol['id']} | set {protocol['set']} | digest {protocol['digest']} | n {protocol['n']} | "
        f"{protocol['decoding']} | model {protocol['model']} | varco-vision {protocol['version']}"
    )


def _progress(total: int) -> Callable[[int], None]:
    """A note whenever a further tenth is done."""
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        if done * 10 // total > told:
            told = done * 10 // total
            common.note(f"{done} of {total} answered")

    return tell


def _save(out: Path, result: Mapping[str, Any], scores: Scores) -> None:
    try:
        (out / "scores.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in scores.records)
        (out / "records.jsonl").write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write into {out}: {error.strerror or error}") from error
    common.note(f"written: {out / 'scores.json'}, {out / 'records.jsonl'}")


def print_table(result: Mapping[str, Any]) -> None:
    """Scores by metric and language on stdout, then what was counted; whole lines also where stdout is no terminal."""
    from rich.console import Console
    from rich.table import Table

    from varco_vision.eval.own import COUNTERS, METRICS

    typer.echo(protocol_line(result["protocol"]))
    table = Table(box=None, pad_edge=False)
    for column in ("metric", "lang", "score", "95 % interval", "n"):
        table.add_column(column, justify="left" if column in ("metric", "lang") else "right", no_wrap=True)
    scores = result["scores"]
    for metric in (name for name in METRICS if name in scores):
        for lang, cell in scores[metric].items():
            interval = f"{cell['low']:.3f} - {cell['high']:.3f}"
            table.add_row(metric, lang, f"{cell['value']:.3f}", interval, str(cell["n"]))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100)
    console.print(table)
    for name, text in COUNTERS.items():
        if scores["counters"][name]:
            typer.echo(f"{scores['counters'][name]} of {scores['n']} answers: {text}")
