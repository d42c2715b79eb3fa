"""`varco-vision bench`: build evaluation sets, translate them, check their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.eval.judge import Judge

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


@app.command()
def translate(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The English set: mmbench, seed, mmstar or llava_w.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the Korean set, every reply and the review sheet go.")
    ],
    model: Annotated[str, typer.Option("--translator", metavar="NAME", help="The model's name at the endpoint.")],
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="OpenAI-compatible server (.../v1); not needed where every reply is recorded.",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="A folder with the English set, instead of the hub."),
    ] = None,
    terms: Annotated[
        Path | None,
        typer.Option("--terms", metavar="FILE.csv", help="Lines english,korean: how terms have to be translated."),
    ] = None,
    review: Annotated[
        Path | None,
        typer.Option(
            "--review", metavar="FILE.csv", help="The review sheet with a person's verdicts, to be taken over."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The first N questions only.")] = None,
    least: Annotated[
        float,
        typer.Option("--least-back", min=0, max=100, help="Flag questions whose chrF, translated back, is lower."),
    ] = 45.0,
    see: Annotated[
        bool, typer.Option("--see", help="Also show the pictures to the model: is there text to read?")
    ] = False,
    tsv: Annotated[bool, typer.Option("--tsv", help="Write a TSV file beside the parquet file.")] = False,
    as_json: common.JsonOption = False,
) -> None:
    """Turn an English set into a Korean one: translate, translate back, check, write a review sheet for a person.

    Every reply is kept in DIR/replies.jsonl, so the same command goes on where it was stopped. The key of the endpoint is
    read from OPENAI_API_KEY. After the review, copy review.csv, fill in verdicts, and run again with --review.

    \b
    Example:
      varco-vision bench translate mmbench --data-dir english --endpoint http://localhost:8000/v1 --translator my-model --out korean
      varco-vision bench translate mmbench --data-dir english --translator my-model --out korean --review reviewed.csv
    """  # fmt: skip
    from varco_vision.bench import korean_rows
    from varco_vision.bench import review as sheet
    from varco_vision.bench import translate as work
    from varco_vision.eval import benchmarks

    benchmark = benchmarks.find(task)
    if benchmark.task not in work.TARGETS:
        raise InputError(f"{task!r} has no Korean counterpart here; those with one are {', '.join(work.TARGETS)}")
    settings = work.Settings(_terms(terms), least, see)
    if review is not None and review.resolve() == (out / sheet.CSV).resolve():
        raise InputError(f"{review} will be written anew; give --review a copy with another name")
    loaded = benchmarks.load(benchmark, data_dir, limit=limit)
    judge = _translator(endpoint, model, out)
    made = work.run(loaded, judge, settings, _told)
    if review is not None:
        common.note(f"{sheet.apply(made, review)} questions with a person's verdict")
    facts = {"translator": judge.name, "terms": dict(settings.terms), "least chrF without a flag": least}
    counted = korean_rows.write(out, loaded, made, facts, tsv)
    if as_json:
        common.print_json(counted)
        return
    for name, n in counted.items():
        typer.echo(f"{name}: {n}")
    typer.echo(f"written: {out / (work.TARGETS[benchmark.task] + '.parquet')}, {out / sheet.CSV}, {out / sheet.HTML}")


def _translator(endpoint: str | None, model: str, out: Path) -> Judge:
    """The model at the endpoint, with its record of replies in the folder `out`, which is made."""
    from varco_vision.eval.judge import Judge

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror or error}") from error
    replies = out / "replies.jsonl"
    if endpoint is None and not replies.exists():
        raise InputError(f"--endpoint URL is needed, since {replies} has no reply yet")
    return Judge(endpoint, model, replies, temperature=0.2, max_tokens=2048, attempts=3)


def _told(done: int, of: int) -> None:
    """A note after every tenth of the questions."""
    if done * 10 // of > (done - 1) * 10 // of:
        common.note(f"{done} of {of} questions")


def _terms(path: Path | None) -> dict[str, str]:
    """Terms of a file with lines english,korean."""
    import csv

    if path is None:
        return {}
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if not row or [cell.strip().lower() for cell in row] == ["english", "korean"]:
                    continue
                if len(row) != 2 or not all(cell.strip() for cell in row):
                    raise InputError(f"{path}, line {number} is {','.join(row)!r}; a line is english,korean")
                found[row[0].strip()] = row[1].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a table of terms in UTF-8 ({error})") from error
    return found
