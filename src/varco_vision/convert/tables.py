"""WikiTableQuestions: csv tables drawn as pictures, with their questions and answers."""

from __future__ import annotations

import csv
import io
import random
import re
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from varco_vision.convert.base import Groups, Settings, language, sample
from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.markup import escape
from varco_vision.synth.fonts import can_draw, load_font, split_fonts

LARGEST = (1600, 2000)  # pixels; larger tables are left out
WIDEST_CELL = 28  # letters in a line of a cell
LOOKS = (  # ink, head, zebra stripe, lines
    ("#111111", "#e8e8e8", "#ffffff", "#999999"),
    ("#1b2a41", "#cfe0f5", "#f4f8fd", "#9db4d0"),
    ("#222222", "#ffffff", "#ffffff", "#222222"),
    ("#2d2d2d", "#e6efe0", "#f7faf4", "#c3cfb8"),
)
Grid = list[list[list[str]]]  # rows of cells of lines


def wtq(path: Path, settings: Settings) -> Groups:
    """A file of questions (.tsv with id, utterance, context, targetValue) beside the folder of its csv tables."""
    tables: dict[str, list[dict[str, str]]] = {}
    for number, row in enumerate(_tsv(path), start=2):
        missing = [name for name in ("id", "utterance", "context", "targetValue") if row.get(name) is None]
        if missing:
            raise InputError(f"{path}:{number}: the column {missing[0]!r} is missing; WikiTableQuestions has it")
        tables.setdefault(row["context"], []).append(row)
    fonts = [str(font) for font in split_fonts(settings.split, faces="text", latin=True)]
    root = settings.images or path.parent
    for context, questions in tables.items():
        rows = read_table(root / context)
        picture = draw_table(rows, settings.rng("wtq", context), fonts)
        if isinstance(picture, str):
            settings.losses.drop(picture, context)
            continue
        if group := [made for row in questions[: settings.questions] if (made := _asked(row, picture, settings))]:
            yield group


def _tsv(path: Path) -> list[dict[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text: {error}") from error
    names = lines[0].rstrip("\r").split("\t")
    return [dict(zip(names, line.rstrip("\r").split("\t"), strict=False)) for line in lines[1:] if line.strip()]


def _asked(row: dict[str, str], picture: Image.Image, settings: Settings) -> Sample | None:
    """The question with its answers joined by commas; several stand behind | in the file, which writes | itself as \\p."""
    answers = [re.sub(r"\\n", " ", a).replace("\\p", "|").strip() for a in row["targetValue"].split("|")]
    answer, question = escape(", ".join(answers)), escape(row["utterance"].strip())
    if not answer or not question:
        settings.losses.drop("questions without an answer", row["id"])
        return None
    return sample(
        f"wtq-{row['id']}", [picture], "vqa", language(question), question, answer, kind="table", answers=answers
    )


def read_table(path: Path) -> list[list[str]]:
    """The rows of a csv file as WikiTableQuestions writes it (backslash before quotes); `InputError` with its place."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"the table {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the table {path} is not UTF-8 at byte {error.start + 1}") from error
    try:
        rows = [row for row in csv.reader(io.StringIO(text), escapechar="\\", doublequote=True) if row]
    except csv.Error as error:
        raise InputError(f"the table {path} is no csv: {error}") from error
    if not rows:
        raise InputError(f"the table {path} is empty")
    width = max(map(len, rows))
    return [[" ".join(cell.split()) for cell in row] + [""] * (width - len(row)) for row in rows]


def draw_table(rows: list[list[str]], rng: random.Random, fonts: list[str]) -> Image.Image | str:
    """The table as a picture, or the reason why it cannot be drawn."""
    text = "".join("".join(row) for row in rows)
    able = [font for font in fonts if can_draw(font, text)]
    if not able:
        return "tables with characters that no font can draw"
    font = load_font(rng.choice(able), rng.randint(14, 20))
    ink, head, stripe, line = rng.choice(LOOKS)
    pad, line_height = rng.randint(5, 9), int(sum(font.getmetrics()) * 1.05)
    grid: Grid = [[textwrap.wrap(cell, WIDEST_CELL) or [""] for cell in row] for row in rows]
    widths = [
        max(int(font.getlength(part)) for row in grid for part in row[c]) + 2 * pad + 1 for c in range(len(grid[0]))
    ]
    heights = [max(len(cell) for cell in row) * line_height + 2 * pad for row in grid]
    margin = rng.randint(8, 24)
    size = (sum(widths) + 2 * margin + 1, sum(heights) + 2 * margin + 1)
    if size[0] > LARGEST[0] or size[1] > LARGEST[1]:
        return f"tables larger than {LARGEST[0]} x {LARGEST[1]} pixels"
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    y = margin
    for r, (row, height) in enumerate(zip(grid, heights, strict=True)):
        x = margin
        for cell, width in zip(row, widths, strict=True):
            fill = head if r == 0 else stripe if r % 2 else "white"
            draw.rectangle((x, y, x + width, y + height), fill=fill, outline=line)
            _lines(draw, cell, (x + pad, y + pad), font, ink, line_height)
            x += width
        y += height
    return image


def _lines(
    draw: ImageDraw.ImageDraw, parts: list[str], at: tuple[int, int], font: ImageFont.FreeTypeFont, ink: str, step: int
) -> None:
    for number, part in enumerate(parts):
        draw.text((at[0], at[1] + number * step), part, font=font, fill=ink)
