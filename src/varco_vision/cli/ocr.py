"""`varco-vision ocr`: the text of pictures, PDF files and whole folders."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

    from varco_vision.infer.ocr import OcrOptions
    from varco_vision.infer.pages import Page
    from varco_vision.infer.sources import Sheet
    from varco_vision.infer.work import Job, Outcome, Task

app = common.new_app()
EXIT_SOME_FAILED = 1


FilesArgument = Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Pictures, PDF files, folders.")]
FormOption = Annotated[
    str | None,
    typer.Option("--format", help="text, json, hocr, alto, pdf (searchable) or markdown; with --out several: a,b."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(help="A folder: one result for each file, finished ones are skipped. Or the file for one input."),
]
AgainOption = Annotated[bool, typer.Option("--again", help="Read files anew whose results are there already.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes that read, each with a model of its own.")]
RayOption = Annotated[
    str | None, typer.Option("--ray", metavar="ADDRESS", help="Read on a Ray cluster; 'local' starts one here.")
]
DpiOption = Annotated[int, typer.Option(help="What PDF pages are drawn at.")]
LongestOption = Annotated[
    int | None, typer.Option(help="Scale smaller pages up to this; without it by the model's rule, 0: never.")
]
WindowOption = Annotated[
    int | None, typer.Option(help="Side of the windows large pages are read in; 0: never in windows.")
]
OverlapOption = Annotated[float, typer.Option(help="Part of a window that neighbours share.")]
ConfidenceOption = Annotated[float, typer.Option(help="Below this a word is doubtful, 0 to 1.")]
DoubtfulOption = Annotated[str, typer.Option(help="keep, mark (with [?]) or drop doubtful words.")]
OrderOption = Annotated[str, typer.Option(help="Reading order: model, layout or auto.")]
ConstrainOption = Annotated[
    bool, typer.Option("--constrain/--no-constrain", help="Only well-formed boxes can be written.")
]
TilesOption = Annotated[int | None, typer.Option(min=1, help="At most so many tiles of a picture.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Pages or windows that are read together.")]


@app.command(cls=common.PictureCommand)
def ocr(
    files: FilesArgument = None,
    image: common.ImageOption = None,
    form: FormOption = None,
    out: OutOption = None,
    again: AgainOption = False,
    workers: WorkersOption = 1,
    ray: RayOption = None,
    dpi: DpiOption = 200,
    longest_side: LongestOption = None,
    window: WindowOption = None,
    overlap: OverlapOption = 0.2,
    min_confidence: ConfidenceOption = 0.0,
    doubtful: DoubtfulOption = "keep",
    order: OrderOption = "auto",
    constrain: ConstrainOption = True,
    max_tiles: TilesOption = None,
    batch_size: BatchOption = 16,
    model: common.ModelOption = None,
    draw: common.DrawOption = None,
    as_json: common.JsonOption = False,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
    max_new_tokens: common.TokensOption = 4096,
    raw_confidence: common.RawConfidenceOption = False,
) -> None:
    """Read the text of pictures, PDF files and folders: words with boxes.

    Without --out everything goes to stdout: one page gives one JSON object, several give a list of them. With --out DIR
    each file gets its own result there; a file that cannot be read is noted in DIR/errors.jsonl, the others are read,
    and the exit code is 1.

    \b
    Example:
      varco-vision ocr receipt.jpg
      varco-vision ocr --image page1.png page2.png --format hocr > pages.html
      varco-vision ocr scan.pdf --format pdf --out searchable.pdf
      varco-vision ocr archive/ --format json,pdf --out read/ --workers 4
    """
    from varco_vision.infer import formats

    forms = tuple((form or ("json" if as_json else "text")).split(","))
    for one in forms:
        formats.check(one)
    if as_json and forms != ("json",):
        raise InputError(f"--json and --format {form} contradict each other; give one of them")
    names = [*(image or []), *(files or [])]
    if not names:
        raise InputError("there is no picture to read; name one or more files")
    from varco_vision.infer.ocr import OcrOptions

    options = OcrOptions(
        max_new_tokens, longest_side, window, overlap, min_confidence, doubtful, order, constrain, max_tiles  # type: ignore[arg-type]
    )  # fmt: skip
    if out is None:
        if workers > 1 or ray is not None or again:
            raise InputError("--workers, --ray and --again are for results in files; add --out DIR")
        if len(forms) > 1 or forms == ("pdf",):
            raise InputError(f"--format {form} needs --out; only one text form can go to stdout")
        _to_stdout(names, forms[0], options, dpi, (model, device, dtype, batch_size, not raw_confidence), draw)
        return
    from varco_vision.infer.work import Task

    if draw is not None:
        raise InputError("--draw is for one picture without --out")
    task = Task(str(out), forms, options, dpi, model, device, dtype, batch_size, not raw_confidence)
    if _is_one_result(names, forms, out):
        _to_file(Path(names[0]), forms[0], task, out)
    else:
        _to_folder(names, task, again, workers, ray)


def _to_stdout(
    names: list[str], form: str, options: OcrOptions, dpi: int, model: tuple[Any, ...], draw: Path | None
) -> None:
    from varco_vision.infer.sources import expand, sheets
    from varco_vision.infer.work import decoded

    pages = [sheet for file, _ in expand(names) for sheet in sheets(file, dpi)]
    groups = decoded(pages)
    first = next(groups)
    common.check_drawing(draw, len(pages))
    vision = common.open_model(*model)
    from varco_vision.infer import formats
    from varco_vision.infer.ocr import read_pages
    from varco_vision.infer.pages import answer_dict

    read: list[Page] = []
    told = -1

    def progress(done: int) -> None:
        nonlocal told
        if len(read) + done > told:
            told = len(read) + done
            common.note(f"{told} of {len(pages)} read")

    for group in chain([first], groups):
        names = [sheet.name for sheet, _ in group]
        read += read_pages(vision.engine, [image for _, image in group], options, names, progress)
    if form == "json":
        values = []
        for page in read:
            answer = answer_dict(page.answer, (page.width, page.height)) if page.answer is not None else {}
            values.append({**answer, **page.to_dict(), "truncated": page.truncated, "model": vision.loaded.name})
        common.print_json(values[0] if len(values) == 1 else values)
    elif form == "text":
        for page in read:
            if len(read) > 1:
                typer.echo(f"== {page.name} ==")
            typer.echo(page.text)
    else:
        typer.echo(formats.written(read, form), nl=False)
    for page in read:
        for answer in page.answers or [page.answer]:
            common.warn_truncated(answer)
        if page.left_out:
            common.note(f"note: {page.left_out} doubtful words of {page.name} were left out; see --min-confidence")
    if draw is not None:
        common.save_drawing(draw, first[0][1], read[0])


def _is_one_result(names: list[str], forms: tuple[str, ...], out: Path) -> bool:
    """Whether --out is the file to write rather than a folder: one input file, one form, a name with an ending."""
    return len(names) == 1 and len(forms) == 1 and bool(out.suffix) and not out.is_dir() and not Path(names[0]).is_dir()


def _to_file(file: Path, form: str, task: Task, out: Path) -> None:
    from varco_vision.infer.sources import sheets
    from varco_vision.infer.work import decoded, write_result

    if not out.parent.is_dir():
        raise InputError(f"the folder {out.parent} of --out does not exist")
    groups = decoded(sheets(file, task.dpi))
    first = next(groups)  # a wrong file fails before the model is loaded
    vision = common.open_model(task.model, task.device, task.dtype, task.batch_size, task.calibrate)
    from varco_vision.infer.ocr import read_pages

    part: list[tuple[Sheet, Image | None]] = []
    pages: list[Page] = []
    for group in chain([first], groups):
        pages += read_pages(vision.engine, [image for _, image in group], task.options, [s.name for s, _ in group])
        part += [(sheet, image if sheet.count == 1 else None) for sheet, image in group]
    write_result(out, form, part, pages)
    for page in pages:
        for answer in page.answers or [page.answer]:
            common.warn_truncated(answer)
    common.note(f"{sum(len(page.words) for page in pages)} words on {len(pages)} pages: {out}")


def _to_folder(names: list[str], task: Task, again: bool, workers: int, ray: str | None) -> None:
    from varco_vision.infer import work
    from varco_vision.infer.sources import expand

    _make_folder(Path(task.out))
    everything = work.jobs(list(expand(names, without=Path(task.out))))
    waiting = [job for job in everything if again or not work.finished(job, task)]
    if len(waiting) < len(everything):
        common.note(f"{len(everything) - len(waiting)} of {len(everything)} files are read already; --again reads them")
    outcomes = _with_progress(waiting, task, workers, ray) if waiting else []
    failed = work.write_errors(outcomes, task.out)
    pages, words = sum(o.pages for o in outcomes), sum(o.words for o in outcomes)
    common.note(f"{len(outcomes) - failed} files, {pages} pages, {words} words: {task.out}")
    if truncated := sum(o.truncated for o in outcomes):
        common.note(f"note: {truncated} pages were cut off or repeated themselves; see --max-new-tokens")
    if left_out := sum(o.left_out for o in outcomes):
        common.note(f"note: {left_out} doubtful words were left out; see --min-confidence")
    if failed:
        common.note(f"error: {failed} files could not be read; see {Path(task.out) / 'errors.jsonl'}")
        raise typer.Exit(EXIT_SOME_FAILED)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made a folder ({error.strerror or error})") from error


def _with_progress(waiting: list[Job], task: Task, workers: int, ray: str | None) -> list[Outcome]:
    """Read the files behind a progress bar on stderr (a line every now and then where it is no terminal)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from varco_vision.infer import work

    reader = None
    if workers == 1 and ray is None:
        vision = common.open_model(task.model, task.device, task.dtype, task.batch_size, task.calibrate)
        reader = work.Reader(task, vision.engine)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        line = bar.add_task("files", total=len(waiting))
        done = 0

        def told(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            bar.advance(line)
            if outcome.error:
                bar.console.print(outcome.error, markup=False, highlight=False, soft_wrap=True)
            if bar.disable and (done % 100 == 0 or done == len(waiting)):
                common.note(f"{done} of {len(waiting)} files")

        if ray is not None:
            from varco_vision.infer.cluster import read_cluster

            return read_cluster(waiting, task, workers, None if ray == "local" else ray, progress=told)
        return work.read_many(waiting, task, workers, reader, told)
