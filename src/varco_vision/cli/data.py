"""`varco-vision data`: check, count and look at sample files."""

from __future__ import annotations

import base64
import html
import io
import statistics
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from varco_vision import markup, pictures
from varco_vision.cli import common
from varco_vision.data.jsonl import Report, check_file, read
from varco_vision.data.sample import Sample, Turn, text_of
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig, Box, plan_sample

app = common.new_app(no_args_is_help=True, help="Check, count and look at training data.")

RootOption = Annotated[
    Path | None, typer.Option("--image-root", help="Where pictures' paths start; without it the file's own folder.")
]
TOKEN_STEPS = (0, 500, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000)  # lower ends of the token histogram's bars
EXIT_FAULTS = 2
LONGEST_SIDE = 640  # pixels of a shown picture
COLOURS = ("#d7263d", "#1b998b", "#2e59d9", "#b5179e", "#c46a00", "#4a7c1f", "#6a4c93", "#00799e")
STYLE = """
body{font:15px/1.5 "Noto Sans KR","Apple SD Gothic Neo","Malgun Gothic",sans-serif;margin:2em auto;max-width:1000px;
padding:0 1em;color:#222;background:#fafafa}
article{background:#fff;border:1px solid #ddd;border-radius:6px;padding:1em;margin:1em 0}
h2{font-size:1em;margin:0 0 .6em}h2 small{font-weight:normal;color:#777}
figure{position:relative;display:inline-block;margin:0 .6em .6em 0}figure img{display:block;max-width:100%}
figure svg{position:absolute;inset:0;width:100%;height:100%}
rect{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}
p{margin:.3em 0;white-space:pre-wrap}b.role{color:#777;font-weight:600;margin-right:.5em}
.marker{color:#999;font-size:.85em}.fault{color:#b00020}
"""

Marked = list[tuple[str, str, Box]]  # colour, name, box


@app.callback()
def group() -> None:
    """Keeps the verbs a group, however many there are."""


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of JSON lines.")],
    image_root: RootOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Find everything that is wrong with sample files, pictures included; exit code 2 if anything is.

    \b
    Example:
      varco-vision data validate train.jsonl test.jsonl
    """
    reports = [check_file(file, image_root) for file in files]
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


@app.command()
def stats(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of JSON lines.")],
    image_root: RootOption = None,
    tile: Annotated[int, typer.Option(help="Side of a tile in pixels.")] = 384,
    patch: Annotated[int, typer.Option(help="Side of a patch in pixels.")] = 14,
    max_tiles: Annotated[int, typer.Option(help="Tiles' worth of tokens that a picture may have.")] = 9,
    as_json: common.JsonOption = False,
) -> None:
    """Count samples, languages, tasks, picture sizes and picture tokens of a file.

    \b
    Example:
      varco-vision data stats train.jsonl --tile 128 --patch 16 --max-tiles 4
    """
    found = count(list(read(file, image_root)), AnyResConfig(tile=tile, patch=patch, max_tiles=max_tiles))
    if as_json:
        common.print_json(found)
    else:
        _print_stats(found)


def count(samples: list[Sample], anyres: AnyResConfig) -> dict[str, Any]:
    """The numbers that `stats` shows. Pictures are measured once each, upright; lengths of text are in characters."""
    if not samples:
        raise InputError("there is no sample to count; give a file with at least one")
    sizes = {i: pictures.load(i).size for i in dict.fromkeys(i for s in samples for i in s.images)}
    tokens = [sum(p.token_count for p in plan_sample([sizes[i] for i in s.images], anyres)) for s in samples]
    answers = [t for s in samples for t in (*s.messages, *(s.chosen or ())) if t["role"] == "assistant"]
    questions = [t for s in samples for t in s.messages if t["role"] == "user"]
    things: Counter[str] = Counter()
    for item in (item for turn in answers for item in markup.parse(text_of(turn))):
        things["objects"] += isinstance(item, markup.Object)
        things["words"] += isinstance(item, markup.Chars)
        things["boxes"] += 0 if isinstance(item, markup.Text) else len(item.boxes)
    return {
        "samples": len(samples),
        "preference_pairs": sum(s.chosen is not None for s in samples),
        "without_picture": sum(not s.images for s in samples),
        "several_pictures": sum(len(s.images) > 1 for s in samples),
        "pictures": len(sizes),
        "languages": dict(Counter(s.lang for s in samples).most_common()),
        "tasks": dict(Counter(s.task for s in samples).most_common()),
        "answers_hold": {name: things[name] for name in ("objects", "words", "boxes")},
        "question_characters": _spread([len(text_of(t)) for t in questions]),
        "answer_characters": _spread([len(text_of(t)) for t in answers]),
        "picture_width": _spread([width for width, _ in sizes.values()]),
        "picture_height": _spread([height for _, height in sizes.values()]),
        "picture_tokens": _spread([n for n in tokens if n]),
        "picture_tokens_histogram": _histogram([n for n in tokens if n]),
    }


def _spread(values: list[int]) -> dict[str, float] | None:
    """Least, middle, mean and greatest; None without values."""
    if not values:
        return None
    middle, mean = statistics.median(values), round(statistics.fmean(values), 1)
    return {"min": min(values), "median": middle, "mean": mean, "max": max(values), "sum": sum(values)}


def _histogram(values: list[int]) -> dict[str, int]:
    """How many values lie between two of `TOKEN_STEPS`, empty bars left out."""
    ends = [*(step - 1 for step in TOKEN_STEPS[1:]), None]
    bars = {}
    for low, high in zip(TOKEN_STEPS, ends, strict=True):
        inside = sum(low <= value and (high is None or value <= high) for value in values)
        if inside:
            bars[f"{low}-{high}" if high is not None else f"{low}+"] = inside
    return bars


def _print_stats(found: dict[str, Any]) -> None:
    total = found["samples"]
    for name, value in found.items():
        title = name.replace("_", " ")
        if name in ("languages", "tasks", "picture_tokens_histogram"):
            typer.echo(f"{title}:")
            whole = total if name != "picture_tokens_histogram" else sum(value.values())
            for key, number in value.items():
                typer.echo(f"  {key:<12}{number:>9}  {number / whole:6.1%}  {'#' * round(40 * number / whole)}")
        elif isinstance(value, dict):
            typer.echo(f"{title}: " + ", ".join(f"{key} {number:,}" for key, number in value.items()))
        else:
            typer.echo(f"{title}: {'none' if value is None else f'{value:,}'}")


@app.command()
def preview(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of JSON lines.")],
    out: Annotated[Path, typer.Option("--out", metavar="PAGE.html", help="The page to write.")],
    image_root: RootOption = None,
    first: Annotated[int, typer.Option("--first", min=1, help="How many samples to show.")] = 50,
) -> None:
    """Write a page that shows the first samples with their pictures, boxes drawn; it needs no other file.

    \b
    Example:
      varco-vision data preview train.jsonl --out page.html --first 20
    """
    samples = list(islice(read(file, image_root), first))
    if not samples:
        raise InputError(f"{file} holds no sample to show")
    try:
        out.write_text(page(samples, title=file.name), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
    common.note(f"{len(samples)} samples: {out}")


def page(samples: Sequence[Sample], title: str) -> str:
    """The whole page. Boxes are drawn where a sample has one picture; with several it is not known whose they are."""
    shown = "\n".join(_article(sample) for sample in samples)
    name = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="ko"><head><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style></head>\n'
        f"<body><h1>{name}</h1>\n{shown}\n</body></html>\n"
    )


def _article(sample: Sample) -> str:
    colours = cycle(COLOURS)
    marked: Marked = []
    turns = [(turn["role"], turn) for turn in sample.messages]
    turns += [(name, turn) for name in ("chosen", "rejected") for turn in getattr(sample, name) or ()]
    texts = "\n".join(_turn(role, turn, colours, marked) for role, turn in turns)
    boxes = marked if len(sample.images) == 1 else []
    figures = "".join(_figure(image, boxes) for image in sample.images)
    head = f"{html.escape(sample.id)} <small>{html.escape(sample.task)}, {html.escape(sample.lang)}</small>"
    return f'<article lang="{html.escape(sample.lang)}"><h2>{head}</h2>{figures}\n{texts}</article>'


def _turn(role: str, turn: Turn, colours: cycle[str], marked: Marked) -> str:
    """A turn's text with its phrases in the colours of their boxes, which are added to `marked`."""
    repairs: list[str] = []
    parts = []
    for item in markup.parse(text_of(turn), repairs):
        if isinstance(item, markup.Text):
            parts.append(html.escape(item.text))
            continue
        name = item.phrase if isinstance(item, markup.Object) else item.text
        colour = next(colours)
        marked.extend((colour, name, box) for box in item.boxes)
        places = " / ".join(markup.format_box(box) for box in item.boxes)
        parts.append(f'<b style="color:{colour}">{html.escape(name)}</b><span class="marker"> [{places}] </span>')
    faults = "".join(f'<p class="fault">{html.escape(repair)}</p>' for repair in repairs)
    return f'<p><b class="role">{html.escape(role)}</b>{"".join(parts)}</p>{faults}'


def _figure(image: str | Image.Image, marked: Marked) -> str:
    """A picture as a data URI under the drawn boxes."""
    picture = pictures.load(image).copy()  # it is shrunk in place
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    width, height = picture.size
    shapes = "".join(_shape(colour, name, box.to_pixels(width, height)) for colour, name, box in marked)
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" alt="">'
        f'<svg viewBox="0 0 {width} {height}">{shapes}</svg></figure>'
    )


def _shape(colour: str, name: str, corners: tuple[float, float, float, float]) -> str:
    x1, y1, x2, y2 = corners
    return (
        f'<rect x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" stroke="{colour}">'
        f"<title>{html.escape(name)}</title></rect>"
    )
