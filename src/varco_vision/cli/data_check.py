"""`varco-vision data validate | stats | preview`: what is wrong with sample files, what is in them, how they look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from varco_vision.cli import common
from varco_vision.data import files as sample_files
from varco_vision.data.disk import write_whole
from varco_vision.data.jsonl import Report
from varco_vision.data.preview import page, pick
from varco_vision.data.stats import CountTokens, Tally
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig

WHAT = "A file of JSON lines, a .parquet or .tar shard, or a folder of them."
RootOption = Annotated[
    Path | None, typer.Option("--image-root", help="Where pictures' paths start; without it the file's own folder.")
]
EXIT_FAULTS = 2


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=WHAT)],
    image_root: RootOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Find everything that is wrong with sample files, pictures included; exit code 2 if anything is.

    \b
    Example:
      varco-vision data validate train.jsonl test.jsonl
    """
    reports = [report for file in files for report in sample_files.check(file, image_root)]
    if as_json:
        common.print_json({"ok": all(r.ok for r in reports), "files": [_report_dict(r) for r in reports]})
    else:
        for report in reports:
            _print_report(report)
    if not all(report.ok for report in reports):
        raise typer.Exit(EXIT_FAULTS)


def _report_dict(report: Report) -> dict[str, Any]:
    def places(found: list[tuple[int, str]]) -> list[dict[str, Any]]:
        return [{"line": line, "message": message} for line, message in found]

    return {
        "path": str(report.path),
        "samples": report.samples,
        "faults": places(report.faults),
        "notes": places(report.notes),
    }


def _print_report(report: Report) -> None:
    """Faults and notes in the order of the lines, in the form that editors turn into links."""
    lines = [(line, 0, message) for line, message in report.faults]
    lines += [(line, 1, f"note: {message}") for line, message in report.notes]
    for line, _, message in sorted(lines):
        typer.echo(f"{report.path}:{line}: {message}")
    common.note(f"{report.path}: {report.samples} samples, {len(report.faults)} faults, {len(report.notes)} notes")


def stats(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=WHAT)],
    image_root: RootOption = None,
    tile: Annotated[int, typer.Option(help="Side of a tile in pixels.")] = 384,
    patch: Annotated[int, typer.Option(help="Side of a patch in pixels.")] = 14,
    max_tiles: Annotated[int, typer.Option(help="Tiles' worth of tokens that a picture may have.")] = 9,
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", metavar="DIR", help='Count text tokens too; "default" for the shipped model\'s.'),
    ] = None,
    as_json: common.JsonOption = False,
) -> None:
    """Count samples, languages, tasks, tiles, tokens and Hangul syllables of a file.

    \b
    Example:
      varco-vision data stats train.jsonl --tile 128 --patch 16 --max-tiles 4 --tokenizer default
    """
    tally = Tally(AnyResConfig(tile=tile, patch=patch, max_tiles=max_tiles), _token_counter(tokenizer))
    for sample in sample_files.read(file, image_root):
        tally.add(sample)
    if as_json:
        common.print_json(tally.found())
    else:
        _print_stats(tally.found())


def _token_counter(name: str | None) -> CountTokens | None:
    """Text tokens and supervised tokens of conversations, as training renders them; pictures count nothing."""
    if name is None:
        return None
    from transformers import AutoTokenizer

    from varco_vision.chat import render
    from varco_vision.data.sample import image_parts
    from varco_vision.model.checkpoint import default_path

    folder = default_path() if name == "default" else Path(name)
    if not folder.is_dir():
        raise InputError(f"no tokenizer at {name}; name a folder with tokenizer.json and a chat template, or 'default'")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise InputError(f"the folder {folder} holds no tokenizer: {str(error).splitlines()[0]}") from error

    def count_tokens(conversations: list) -> list[tuple[int, int]]:
        found = []
        for turns in conversations:
            shown = image_parts(turns)
            rendered = render(turns, tokenizer, [1] * shown)
            found.append((len(rendered.ids) - shown, sum(rendered.supervised)))
        return found

    return count_tokens


def _print_stats(found: dict[str, Any]) -> None:
    bars = ("languages", "tasks", "tasks_by_language", "tiles", "picture_tokens_histogram", "text_tokens_histogram")
    for name, value in found.items():
        title = name.replace("_", " ")
        if name in bars:
            typer.echo(f"{title}:" + ("" if value else " none"))
            whole = sum(value.values())
            for key, number in value.items():
                typer.echo(f"  {key:<16}{number:>9,}  {number / whole:6.1%}  {'#' * round(40 * number / whole)}")
        elif name.startswith("syllables"):
            share, common_share = value["different"] / value["of"], value["common"] / value["of_common"]
            typer.echo(
                f"{title}: {value['total']:,}, {value['different']:,} different ({share:.1%} of all {value['of']:,}, "
                f"{common_share:.1%} of the {value['of_common']:,} common ones)"
            )
        elif isinstance(value, dict):
            typer.echo(f"{title}: " + ", ".join(f"{key} {number:,}" for key, number in value.items()))
        else:
            typer.echo(f"{title}: {'none' if value is None else f'{value:,}'}")


def preview(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=WHAT)],
    out: Annotated[Path, typer.Option("--out", metavar="PAGE.html", help="The page to write.")],
    image_root: RootOption = None,
    first: Annotated[int, typer.Option("--first", min=1, help="How many samples to show.")] = 50,
    seed: Annotated[
        int | None, typer.Option("--random", metavar="SEED", help="Draw them from the whole file instead.")
    ] = None,
    each_task: Annotated[bool, typer.Option("--each-task", help="So many of every task.")] = False,
) -> None:
    """Write a page that shows samples with their pictures, boxes drawn; it needs no other file.

    \b
    Examples:
      varco-vision data preview train.jsonl --out page.html --first 20
      varco-vision data preview shards/ --out page.html --first 60 --random 1 --each-task
    """
    samples = pick(sample_files.read(file, image_root), first, seed, each_task)
    if not samples:
        raise InputError(f"{file} holds no sample to show")
    shown = page(samples, title=file.name).encode()
    write_whole(out, lambda target: target.write(shown))
    common.note(f"{len(samples)} samples: {out}")
