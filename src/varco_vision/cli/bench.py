"""`varco-vision bench`: build evaluation sets, translate them, check their files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

app = common.new_app(no_args_is_help=True, help="Build evaluation sets.")


@app.callback()
def group() -> None:
    """Build evaluation sets."""


@app.command()
def build(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="k-mini (all five), or some of k_mmbench,k_seed,k_mmstar,k_dtcbench,k_llava_w."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new or empty folder.")],
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other pictures and questions.")] = 0,
    count: Annotated[int, typer.Option("--count", min=1, help="Questions in each set.")] = 100,
    picture_px: Annotated[
        int, typer.Option("--picture-px", metavar="N", help="Side of pictures of shapes, things and words.")
    ] = 256,
    page_px: Annotated[
        int, typer.Option("--page-px", metavar="N", help="Longer side of documents, tables and charts.")
    ] = 512,
    without: Annotated[
        str,
        typer.Option("--without", metavar="A,B", help="Leave out scenes, things, words, documents, tables or charts."),
    ] = "",
    tsv: Annotated[bool, typer.Option("--tsv", help="Write TSV files beside the parquet files.")] = False,
    blind_model: Annotated[
        str | None,
        typer.Option(
            "--blind-model",
            metavar="M",
            help="Also leave out what this model answers without the picture; 'default': the shipped one.",
        ),
    ] = None,
    device: common.DeviceOption = "auto",
    as_json: common.JsonOption = False,
) -> None:
    """Build evaluation sets from pictures that training never sees: the same seed gives the same bytes.

    The folder can be given to eval run --data-dir as it is. It holds a data card and checksums.

    \b
    Example:
      varco-vision bench build k-mini --out k-mini
      varco-vision bench build k_seed,k_mmstar --out sets --seed 7 --count 300 --blind-model default
      varco-vision eval run --tasks k_mmbench,k_seed,k_mmstar,k_dtcbench --data-dir k-mini --out scores
    """  # fmt: skip
    from varco_vision.bench import build as work
    from varco_vision.bench.bank import Sizes

    left = frozenset(part.strip() for part in without.split(",") if part.strip())
    plan = work.Plan(name, seed, count, Sizes(picture_px, page_px), left, tsv, blind_model)
    tasks = plan.tasks
    if blind_model and not {"k_seed", "k_mmstar"} & set(tasks):
        raise InputError("--blind-model is for k_seed and k_mmstar, the sets that are filtered; neither was named")
    model = None
    if blind_model:
        model = common.open_model(None if blind_model == "default" else blind_model, device)
    told = work.run(plan, out, model, common.note)
    if as_json:
        common.print_json(told)
        return
    for task, one in told.items():
        typer.echo(f"{task}: {one['questions']} questions, {one['rows']} rows, digest {one['digest']}")
        for counter, n in one["counters"].items():
            typer.echo(f"  {counter}: {n}")
        for note in one["notes"]:
            typer.echo(f"  {note}")
    typer.echo(f"written: {out}")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a built set.")],
    as_json: common.JsonOption = False,
) -> None:
    """Compare the files of a built set with its checksums.

    \b
    Example:
      varco-vision bench check k-mini
    """
    from varco_vision.bench.card import verify

    found = verify(folder)
    if as_json:
        common.print_json(found)
    else:
        for name, state in found.items():
            typer.echo(f"{state:<8} {name}")
    wrong = [name for name, state in found.items() if state != "ok"]
    if wrong:
        raise InputError(
            f"{len(wrong)} of {len(found)} files of {folder} are not as they were built: {', '.join(wrong)}"
        )
