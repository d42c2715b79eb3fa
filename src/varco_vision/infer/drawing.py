"""Boxes and their labels on a picture."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.infer.answer import Answer, Grounded
from varco_vision.infer.pages import Page

# Okabe and Ito's palette without its yellow and black: distinguishable for most colour-blind readers, white text on each.
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 140, 105), (190, 80, 150), (60, 60, 160), (150, 95, 0))
SMALLEST_LABEL = 11  # pixels
PLAIN_FACES = ("nanumgothic", "nanumbarungothic", "notosanscjk-regular", "notosanskr-regular", "malgun")

Drawable = Answer | Page | Sequence[Grounded | Box | tuple[str, Box]]
Rectangle = tuple[float, float, float, float]


def draw(image: Image.Image, what: Drawable, labels: bool = True) -> Image.Image:
    """A copy of `image` with the boxes of an answer, a page or a list; one colour per phrase.

    Labels that would cover one another are moved. Without a Korean font on the machine, labels that are not ASCII become
    numbers, and a warning says so.
    """
    canvas = image.convert("RGB")
    pen = ImageDraw.Draw(canvas)
    shorter = min(canvas.size)
    line = max(1, round(shorter / 250))
    size = max(SMALLEST_LABEL, round(shorter / 36))
    named = _named_boxes(what)
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(dict.fromkeys(name for name, _ in named))}
    corners = [box.clipped().to_pixels(*canvas.size) for _, box in named]
    for (name, _), rectangle in zip(named, corners, strict=True):
        pen.rectangle(_drawable(rectangle, canvas.size), outline=colours[name], width=line)
    if not labels:
        return canvas
    taken: list[Rectangle] = []
    for number, ((name, _), rectangle) in enumerate(zip(named, corners, strict=True), start=1):
        if name:
            text, font = _label(name, number, size)
            _write(pen, text, font, rectangle, colours[name], taken)
    return canvas


def _named_boxes(what: Drawable) -> list[tuple[str, Box]]:
    if isinstance(what, Page):
        return [(word.text, word.box) for word in what.words]
    if isinstance(what, Answer):
        grounded = [(thing.phrase, box) for thing in what.objects for box in thing.boxes]
        return grounded + [(word.text, word.box) for word in what.words]
    named: list[tuple[str, Box]] = []
    for item in what:
        if isinstance(item, Grounded):
            named += [(item.phrase, box) for box in item.boxes]
        else:
            named.append(("", item) if isinstance(item, Box) else item)
    return named


def _drawable(rectangle: Rectangle, size: tuple[int, int]) -> Rectangle:
    """Inside the picture and at least one pixel wide and high."""
    x1, y1, x2, y2 = rectangle
    x1, y1 = min(x1, size[0] - 1), min(y1, size[1] - 1)
    return x1, y1, max(x1, min(x2, size[0] - 1)), max(y1, min(y2, size[1] - 1))


def _write(
    pen: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    rectangle: Rectangle,
    colour: tuple[int, int, int],
    taken: list[Rectangle],
) -> None:
    """Put the label above the box, else at another of its corners, else further down, where nothing is written yet."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = 2
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    limit_x, limit_y = pen.im.size[0] - width, pen.im.size[1] - height
    x1, y1, x2, y2 = rectangle
    places = [(x1, y1 - height), (x1, y2), (x2 - width, y1 - height), (x2 - width, y2), (x1, y1), (x1, y2 - height)]
    places += [(x1, y1 + k * height) for k in range(1, 12)]
    clamped = [(max(0, min(x, limit_x)), max(0, min(y, limit_y))) for x, y in places]
    free = (p for p in clamped if not any(_overlap((*p, p[0] + width, p[1] + height), other) for other in taken))
    x, y = next(free, clamped[0])
    taken.append((x, y, x + width, y + height))
    pen.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    pen.text((x + pad - left, y + pad - top), text, font=font, fill=(255, 255, 255))


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _label(name: str, number: int, size: int) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    text = " ".join(name.split())
    text = text if len(text) <= 40 else text[:39] + "…"
    path = _korean_font()
    if path is not None:
        return text, ImageFont.truetype(str(path), size)
    if not text.isascii():
        text = f"#{number}"
    return text, ImageFont.load_default(size)


@lru_cache(maxsize=1)
def _korean_font() -> Path | None:
    """A plain upright face where the machine has one, else the first that draws Hangul."""
    from varco_vision.synth.fonts import korean_fonts

    try:
        fonts = korean_fonts()
    except InputError as reason:
        warnings.warn(f"labels that are not ASCII are drawn as numbers: {reason}", stacklevel=2)
        return None
    names = {font.stem.lower(): font for font in fonts}
    return next((names[plain] for plain in PLAIN_FACES if plain in names), fonts[0])
