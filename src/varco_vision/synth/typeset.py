"""Setting type on a picture word by word: which faces may be used, the ink of a word, and sheets that remember words.

Boxes are those of the ink. The outline of a word's ink (the ends of its rows and columns) is kept as points, so that
its box stays tight after any bending of the sheet (`degrade.Warp`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from varco_vision.errors import InputError
from varco_vision.synth import raster
from varco_vision.synth.fonts import load_font, split_fonts
from varco_vision.synth.rng import stable_hash

HAND = re.compile("pen|brush|pilgi|eunjin|bangwool|bandal|guseul", re.IGNORECASE)
STYLES = ("all", "text", "hand")
FAINT = 40  # of 255: ink up to it does not count for the box of a word
SOLID = 96  # of 255: ink above it counts for the outline
_PROBED = 24  # pixels: the size at which glyphs are looked at
_RARE = "갂걫괆굛궳귥긽껵꼗끕넀뉀뎳뒙띡럲롹뤈믕밷벩볽붥뺔뽞쁝숼쌆쐱쓩앆엃웣윱읧쟬죆줵쩟쨰쫧쯋첣쵥췛켆쾔퀼틡퍝퐣퓳햏훵"

Colour = tuple[int, int, int]


@lru_cache(maxsize=32)
def faces(split: str, style: str = "all", latin: bool = False) -> tuple[str, ...]:
    """Font files of a split. style: "all", "text" (no display faces) or "hand" (written faces; all, where there are none)."""
    if style not in STYLES:
        raise InputError(f"unknown style of faces {style!r}; there are {', '.join(STYLES)}")
    chosen = [str(p) for p in split_fonts(split, "text" if style == "text" else "all", latin)]
    hand = [p for p in chosen if HAND.search(p.rsplit("/", 1)[-1])]
    return tuple(hand if style == "hand" and hand else chosen)


def _rendered(font: str, character: str) -> raster.Core:
    return load_font(font, _PROBED).getmask(character, mode="L")


def _pixels(drawn: raster.Core) -> bytes:
    return raster.as_image(drawn).tobytes() if all(drawn.size) else b""


@lru_cache(maxsize=256)
def _placeholders(font: str) -> dict[tuple[int, int], frozenset[bytes]]:
    """Inks, by their size, that stand for glyphs which a face lacks: its boxes, and what it draws for several rare
    syllables alike."""
    seen: dict[tuple[int, int], set[bytes]] = {}
    held: dict[tuple[int, int], set[bytes]] = {}
    for drawn in (_rendered(font, c) for c in ("\uffff", "\U000e0fff")):
        held.setdefault(drawn.size, set()).add(_pixels(drawn))
    for drawn in (_rendered(font, c) for c in _RARE):
        alike, pixels = seen.setdefault(drawn.size, set()), _pixels(drawn)
        if pixels in alike:
            held.setdefault(drawn.size, set()).add(pixels)
        alike.add(pixels)
    return {size: frozenset(inks) for size, inks in held.items()}


@lru_cache(maxsize=200_000)
def _drawn(font: str, character: str) -> bool:
    left, top, right, bottom = load_font(font, _PROBED).getbbox(character)
    size = (int(right - left), int(bottom - top))
    alike = _placeholders(font).get(size)
    if (
        alike is None and min(size) > 2
    ):  # no stand-in is as large, and what is drawn is not a speck: there is ink of its own
        return True
    drawn = _rendered(font, character)
    return all(drawn.size) and drawn.getbbox() is not None and _pixels(drawn) not in (alike or ())


@lru_cache(maxsize=16_384)
def drawable(font: str, text: str) -> bool:
    """Whether the face has a visible glyph of its own for every character: no box, no blank, no common stand-in."""
    return all(_drawn(font, character) for character in text if not character.isspace())


def pick_face(rng: random.Random, fonts: tuple[str, ...], text: str) -> str:
    """A random face that draws the whole text; InputError when none does."""
    font = rng.choice(fonts)
    if drawable(font, text):
        return font
    able = [f for f in fonts if drawable(f, text)]
    if not able:
        raise InputError(f"none of the {len(fonts)} fonts can draw {text!r}; install a font that has these letters")
    return rng.choice(able)


class Ink(NamedTuple):
    """The ink of a word: mask cropped to it, and its place from the pen on the base line."""

    mask: Image.Image
    left: int
    top: int
    font: str
    size: int
    text: str

    @property
    def advance(self) -> float:
        """How far the pen goes, pixels; measured when asked for, since a word that stands alone needs none."""
        return width_of(self.font, self.size, self.text)


@lru_cache(maxsize=4096)
def ink(font: str, size: int, text: str) -> Ink:
    """Set one word. InputError for a glyph that the face lacks or draws blank."""
    if not drawable(font, text):
        lacking = [c for c in text if not c.isspace() and not _drawn(font, c)]
        raise InputError(f"the font {font.rsplit('/', 1)[-1]} has no glyph for {lacking[0]!r}; choose a font that has")
    face = load_font(font, size)
    drawn, (left, top) = face.getmask2(text, mode="L", anchor="ls")  # one pass of FreeType: its ink and where it lies
    if not all(drawn.size):
        raise InputError(f"the text {text!r} has no visible character at {size} pixels; give at least one")
    dense = raster.above(drawn, FAINT)
    if dense is None:
        raise InputError(f"the text {text!r} has no visible character at {size} pixels; give at least one")
    return Ink(raster.as_image(drawn.crop(dense)), left + dense[0], top + dense[1], font, size, text)


def width_of(font: str, size: int, text: str) -> float:
    """How far the pen goes over a text with blanks, pixels."""
    return load_font(font, size).getlength(text)


def outline(mask: Image.Image, x: float = 0, y: float = 0) -> np.ndarray:
    """Corners of the outermost solid pixels of all rows and columns, float [N, 2], shifted by (x, y)."""
    solid = np.asarray(mask) > SOLID
    if not solid.any():
        solid = np.asarray(mask) > 0
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    high, wide = len(rows), len(columns)
    points = np.empty((4 * (high + wide), 2))
    beside, above = points[: 4 * high].reshape(2, 2, high, 2), points[4 * high :].reshape(2, 2, wide, 2)
    beside[0, :, :, 0] = solid[rows].argmax(1)  # left ends of the rows, at their upper and lower edges
    beside[1, :, :, 0] = solid.shape[1] - solid[rows, ::-1].argmax(1)  # right ends
    beside[:, 0, :, 1], beside[:, 1, :, 1] = rows, rows + 1
    above[:, 0, :, 0], above[:, 1, :, 0] = columns, columns + 1
    above[0, :, :, 1] = solid[:, columns].argmax(0)  # upper ends of the columns
    above[1, :, :, 1] = solid.shape[0] - solid[::-1, columns].argmax(0)  # lower ends
    points += (float(x), float(y))
    return points


def bounds(points: np.ndarray) -> tuple[float, float, float, float]:
    """left, top, right, bottom of points [N, 2]."""
    if len(points) <= 4:  # numpy's reductions cost more than they save
        xs, ys = points.T.tolist()
        return min(xs), min(ys), max(xs), max(ys)
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return float(x0), float(y0), float(x1), float(y1)


@dataclass
class Word:
    """A written word: its ink's outline in pixels [N, 2]; `role` names the part of the page, `line` its line."""

    text: str
    points: np.ndarray
    role: str = ""
    line: int = 0
    mask: Image.Image | None = field(default=None, repr=False)
    place: tuple[int, int] = (0, 0)

    @property
    def box(self) -> tuple[float, float, float, float]:
        return bounds(self.points)


@dataclass
class Sheet:
    """A picture that is written on. Words are kept in the order of writing, which is the reading order."""

    image: Image.Image
    words: list[Word] = field(default_factory=list)
    lines: int = 0

    def word(self, text: str, x: float, base: float, font: str, size: int, colour: Colour, role: str = "") -> float:
        """One word with the pen at x on the base line; gives the pen behind it."""
        made = ink(font, size, text)
        at = (round(x) + made.left, round(base) + made.top)
        self.image.paste(colour, at, made.mask)
        self.words.append(Word(text, outline(made.mask, *at), role, self.lines, made.mask, at))
        return x + made.advance

    def write(self, text: str, x: float, base: float, font: str, size: int, colour: Colour, role: str = "") -> float:
        """A line of words parted by blanks; gives the pen behind the last one."""
        gap = max(width_of(font, size, " "), size * 0.22)
        for k, part in enumerate(text.split()):
            x = self.word(part, x + (gap if k else 0), base, font, size, colour, role)
        self.lines += 1
        return x

    def room(self, text: str, font: str, size: int) -> float:
        """The width that `write` will take."""
        gap = max(width_of(font, size, " "), size * 0.22)
        parts = text.split()
        return sum(width_of(font, size, p) for p in parts) + gap * (len(parts) - 1)

    def right(self, text: str, x: float, base: float, font: str, size: int, colour: Colour, role: str = "") -> None:
        """A line that ends at x."""
        self.write(text, x - self.room(text, font, size), base, font, size, colour, role)

    def middle(self, text: str, x: float, base: float, font: str, size: int, colour: Colour, role: str = "") -> None:
        """A line around x."""
        self.write(text, x - self.room(text, font, size) / 2, base, font, size, colour, role)

    def of(self, role: str) -> list[Word]:
        """The words of a role."""
        return [word for word in self.words if word.role == role]


def wrap(text: str, font: str, size: int, width: float) -> list[str]:
    """Break a text at blanks into lines at most `width` pixels wide; a word that is too wide stands alone."""
    gap = max(width_of(font, size, " "), size * 0.22)
    lines: list[str] = []
    used = 0.0
    for word in text.split():
        w = width_of(font, size, word)
        if lines and used + gap + w <= width:
            lines[-1] += " " + word
            used += gap + w
        else:
            lines.append(word)
            used = w
    return lines


def union(words: Iterable[Word]) -> tuple[float, float, float, float]:
    """The box around several words."""
    return bounds(np.concatenate([word.points for word in words]))


def rare_syllable(rng: random.Random) -> str:
    """Any of the 11,172 composed syllables, each as likely."""
    return chr(0xAC00 + rng.randrange(11_172))


def style_seed(*parts: object) -> random.Random:
    """A stream for looks that belong to a named resource (a background design, a layout)."""
    return random.Random(stable_hash("style", *parts))
