"""`varco-vision eval` on evaluation sets: run --tasks, score, compare, export, and what `list` shows of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.eval.judge import Judge
    from varco_vision.infer.api import VarcoVision

FolderOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of a run.")]
EndpointOption = Annotated[
    str | None, typer.Option("--judge-endpoint", metavar="URL", help="OpenAI-compatible server of the judge (.../v1).")
]
JudgeOption = Annotated[
    str | None, typer.Option("--judge-model", metavar="NAME", help="The judge; needed for open questions.")
]
SwapOption = Annotated[
    bool, typer.Option("--judge-swap", help="Ask with both orders too; the official score stays apart.")
]


@dataclass(frozen=True)
class Plan:
    """What `eval run --tasks` was told."""

    tasks: str
    protocol: str
    data_dir: Path | None
    out: Path
    revision: str | None = None
    limit: int | None = None
    max_new_tokens: int | None = None
    max_tiles: int | None = None
    judge_endpoint: str | None = None
    judge_model: str | None = None
    judge_swap: bool = False


def attach(app: typer.Typer) -> None:
    """Put the verbs into the group of `varco-vision eval`."""
    for verb in (score, compare, export):
        app.command()(verb)


def run(plan: Plan, open_model: Callable[[], VarcoVision], as_json: bool) -> None:
    """Ask, read, score and report; what is on disk already is not asked again."""
    from varco_vision.eval import benchmarks, pipeline, protocols, runs
    from varco_vision.eval.cache import Store

    names = [name.strip() for name in plan.tasks.split(",") if name.strip()]
    wanted = [benchmarks.find(name) for name in names]
    rules = [protocols.find(name.strip()) for name in plan.protocol.split(",") if name.strip()]
    if not wanted or not rules:
        raise InputError("--tasks and --protocol need at least one name each; see: varco-vision eval list")
    for protocol in rules:
        for benchmark in wanted:
            protocol.of(benchmark.task)
    judge = _judge(plan.out, plan.judge_endpoint, plan.judge_model)
    distinct = {b.task: b for b in wanted}.values()
    sets = [benchmarks.load(benchmark, plan.data_dir, plan.revision, plan.limit) for benchmark in distinct]
    for loaded in sets:
        _tell_set(loaded)
    vision = open_model()
    settings = protocols.Settings(plan.max_new_tokens, plan.max_tiles)
    model, views = pipeline.fingerprint(vision.loaded), pipeline.views_of(vision.loaded)
    prepared = [pipeline.prepare(loaded, protocol, settings, model, views) for protocol in rules for loaded in sets]
    runs.write_run(plan.out, vision.loaded.name, model, settings, prepared)
    with Store(plan.out / "answers.jsonl") as store:
        if store.torn:
            common.note(
                f"an earlier run was killed while writing; {store.torn} bytes of an unfinished line were cut off"
            )
        begun = time.monotonic()
        counted = pipeline.generate(vision.engine, prepared, store, common.twentieths())
        seconds = time.monotonic() - begun
    common.note(
        f"{counted['answered']} answered now in {seconds:.1f} s, {counted['known']} known from before, "
        f"{counted['shared']} rows share an answer"
    )
    _finish(plan.out, judge, plan.judge_swap, as_json)


def score(
    out: FolderOption,
    judge_endpoint: EndpointOption = None,
    judge_model: JudgeOption = None,
    judge_swap: SwapOption = False,
    judge_preview: Annotated[
        bool, typer.Option("--judge-preview", help="Say what judging would ask for and cost; send nothing.")
    ] = False,
    judge_prices: Annotated[
        str | None,
        typer.Option("--judge-prices", metavar="IN,OUT", help="Per million input and output tokens, for the preview."),
    ] = None,
    as_json: common.JsonOption = False,
) -> None:
    """Score the answers of a run again, without model or data, and write its report anew.

    \b
    Example:
      varco-vision eval score --out scores
      varco-vision eval score --out scores --judge-model my-judge --judge-preview --judge-prices 2.5,10
      varco-vision eval score --out scores --judge-endpoint http://localhost:8000/v1 --judge-model my-judge
    """
    if judge_prices is not None and not judge_preview:
        raise InputError("--judge-prices is for --judge-preview, which says what judging would cost")
    if judge_preview:
        _preview(out, judge_endpoint, judge_model, judge_swap, judge_prices, as_json)
        return
    _finish(out, _judge(out, judge_endpoint, judge_model), judge_swap, as_json)


def compare(
    first: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of another run.")],
    across: Annotated[bool, typer.Option("--across", help="Compare although protocol ids differ.")] = False,
    as_json: common.JsonOption = False,
) -> None:
    """Compare two runs question by question: difference, its 95 % interval, McNemar's p.

    \b
    Example:
      varco-vision eval compare scores/before scores/after
    """
    from varco_vision.eval import runs

    found = runs.compare_runs(first, second, across)
    if as_json:
        common.print_json(found)
        return
    rows = []
    for one in found:
        scale = 1 if one["judged"] else 100
        if not one["n"]:
            rows.append((one["task"], one["protocol"], "0", "", "", "", "", "", ""))
            continue
        cells = [f"{scale * one[name]:.1f}" for name in ("before", "after")]
        change = f"{scale * one['difference']:+.1f} ({scale * one['low']:+.1f} to {scale * one['high']:+.1f})"
        tested = ("", "", "") if one["judged"] else (str(one["lost"]), str(one["gained"]), f"{one['p']:.3g}")
        rows.append((one["task"], one["protocol"], str(one["n"]), *cells, change, *tested))
    common.print_table(("task", "protocol", "n", "first", "second", "change (95 %)", "lost", "gained", "p"), rows, 2)
    for one in found:
        if not one["same_protocol"]:
            typer.echo(f"{one['task']}: the protocols differ: {one['first']} and {one['second']}")
        if one["only_first"] or one["only_second"]:
            typer.echo(f"{one['task']}: rows in one run only: {one['only_first']} and {one['only_second']}")


def export(
    out: FolderOption,
    form: Annotated[str, typer.Option("--form", help="lmms-eval (samples as JSON lines) or vlmevalkit (TSV).")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where to write.")],
) -> None:
    """Write the answers of a run in the form of another harness, to be scored there.

    \b
    Example:
      varco-vision eval export --out scores --form vlmevalkit --to predictions
    """
    from varco_vision.eval.exports import export as write

    for path in write(out, form, to):
        typer.echo(str(path))


def listing() -> dict[str, Any]:
    """Tasks, protocols and rules, for `eval list`."""
    from varco_vision.eval.benchmarks import BENCHMARKS
    from varco_vision.eval.protocols import PROTOCOLS
    from varco_vision.eval.rules import SCORERS

    tasks = {}
    for task, b in BENCHMARKS.items():
        able = [name for name, p in PROTOCOLS.items() if task in p.rules]
        tasks[task] = {
            "title": b.title,
            "hub": b.hub,
            "split": b.split,
            "lang": b.lang,
            "kind": b.kind,
            "licence": b.licence,
            "protocols": able,
        }
    return {
        "tasks": tasks,
        "protocols": {name: p.about for name, p in PROTOCOLS.items()},
        "readers": {name: s.meaning for name, s in SCORERS.items()},
    }


def print_listing() -> None:
    """The same for people."""
    told = listing()
    typer.echo("\nevaluation sets (eval run --tasks)")
    for task, one in told["tasks"].items():
        typer.echo(
            f"  {task:<12} {one['title']}, {one['lang']}, {one['kind']}: {one['hub']}; {', '.join(one['protocols'])}"
        )
    typer.echo("\nprotocols (--protocol)")
    for name, about in told["protocols"].items():
        typer.echo(f"  {name:<16} {about}")
    typer.echo("\nrules that read a letter")
    for name, meaning in told["readers"].items():
        typer.echo(f"  {name:<16} {meaning}")


def _judge(out: Path, endpoint: str | None, model: str | None) -> Judge | None:
    from varco_vision.eval.judge import Judge

    if model is None:
        if endpoint is not None:
            raise InputError("--judge-endpoint needs --judge-model, the name under which the server knows the judge")
        return None
    if endpoint is None and not (out / "reviews.jsonl").is_file():
        raise InputError(f"--judge-model needs --judge-endpoint; {out} has no reviews from before")
    return Judge(endpoint, model, out / "reviews.jsonl")


def _preview(out: Path, endpoint: str | None, model: str | None, swap: bool, prices: str | None, as_json: bool) -> None:
    """What judging would ask for, on stdout."""
    from varco_vision.eval import runs
    from varco_vision.eval.judge import Judge

    if model is None:
        raise InputError("--judge-preview needs --judge-model, the name under which replies are kept")
    cost = _prices(prices) if prices is not None else None
    found = runs.preview_run(out, Judge(endpoint, model, out / "reviews.jsonl"), swap, cost)
    if as_json:
        common.print_json(found)
        return
    rows = []
    for one in found:
        tokens = [f"{one[name]:,}" for name in ("input_tokens", "output_tokens")]
        money = "–" if one["cost"] is None else f"{one['cost']:.2f}"
        rows.append((one["task"], one["protocol"], str(one["requests"]), str(one["recorded"]), *tokens, money))
    head = ("task", "protocol", "requests", "recorded", "input tokens", "output tokens", "cost")
    common.print_table(head, rows, 2)
    typer.echo("tokens and cost are upper bounds: a token for every byte, every reply at its full length")


def _prices(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
        if not (0 <= first < float("inf") and 0 <= second < float("inf")):
            raise ValueError
    except ValueError:
        raise InputError(
            f"--judge-prices is {text!r}; two numbers are needed, the prices of a million input and output tokens: 2.5,10"
        ) from None
    return first, second


def _tell_set(loaded: Any) -> None:
    b = loaded.benchmark
    common.note(
        f"{b.title}: {len(loaded.items)} rows from {loaded.source}, digest {loaded.digest} (licence of the published set: {b.licence})"
    )
    for name, sha in loaded.files.items():
        common.note(f"  {name}  SHA-256 {sha}")
    for text in [*(f"{n} {name}" for name, n in loaded.counters.items() if n), *loaded.notes]:
        common.note(f"  {text}")


def _finish(out: Path, judge: Judge | None, swap: bool, as_json: bool) -> None:
    from varco_vision.eval import runs, task_report

    results = runs.score_run(
        out,
        judge,
        swap,
        lambda task, total, done: common.note(f"{task}: {done} of {total} judged") if done % 10 == 0 else None,
    )
    paths = task_report.write(out, results)
    common.note("written: " + ", ".join(map(str, paths)))
    if as_json:
        common.print_json(results)
    else:
        print_results(results)


def print_results(results: Mapping[str, Any]) -> None:
    """Protocols, scores, and the same answers under every rule, on stdout."""
    from varco_vision.eval import protocols, task_report

    for task in results["tasks"]:
        typer.echo(protocols.line(task["told"]))
    common.print_table(task_report.MAIN_HEAD, task_report.main_rows(results), 2)
    rows = [
        (task["told"]["task"], task["told"]["protocol"], *row)
        for task in results["tasks"]
        for row in task_report.reader_rows(task)
    ]
    if rows:
        typer.echo("\nthe same answers under every rule (per cent)")
        common.print_table(("task", "protocol", *task_report.READER_HEAD), rows, 3)
    for task in results["tasks"]:
        for name, n in task["counters"].items():
            if n:
                typer.echo(
                    f"{task['told']['task']}, {task['told']['protocol']}: {n} of {task['n_rows']} answers {name}"
                )
        for sentence in task_report.both_orders(task):
            typer.echo(f"{task['told']['task']}, {task['told']['protocol']}: {sentence}")
        if task["score"] is None:
            typer.echo(f"{task['told']['task']}: answered, not judged; give --judge-endpoint and --judge-model")
    for name, known in {task["told"]["task"]: task["published"] for task in results["tasks"]}.items():
        ours = [p for p in known if p["model"].startswith("VARCO")]
        shown = [*ours, *(p for p in known[:3] if p not in ours)]
        if shown:
            typer.echo(
                f"{name}, published for the whole set: "
                + "; ".join(f"{p['model']} {p['score']} ({p['source']})" for p in shown)
            )
