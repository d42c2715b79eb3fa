"""Words to be read: choosing them, setting their glyphs, and the boxes of the ink."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw

from varco_vision.errors import InputError
from varco_vision.synth.fonts import can_draw, load_font
from varco_vision.synth.lexicon import ENGLISH_WORDS, NOUNS, syllables
from varco_vision.synth.rng import SPLITS, in_percent

PixelBox = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom are just outside the ink
EVAL_WORDS = 12  # percent of all strings that only evaluation writes
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwyz", "aeiou"


class Glyph(NamedTuple):
    """The ink of one character: mask None for a blank; left and top from the pen on the base line, in pixels."""

    mask: Image.Image | None
    left: int
    top: int
    advance: float


class Look(NamedTuple):
    """How a face is bent away from its file: width times `stretch`, leaning by `slant` (tangent), `weight` pixels of stroke
    around the ink (below 0: thinner grey edges).

    A machine has few faces of each kind. Bent ones stand for the many that it lacks, so that a model learns letters and
    not faces.
    """

    stretch: float = 1.0
    slant: float = 0.0
    weight: float = 0.0


PLAIN = Look()


def random_look(rng: random.Random, share: float) -> Look:
    """A look in steps coarse enough for caches; with probability 1 - share the face as it is, without drawing further."""
    if not share or rng.random() >= share:
        return PLAIN
    return Look(
        rng.choice((0.8, 0.9, 1.0, 1.1, 1.2)), rng.choice((-0.1, 0.0, 0.0, 0.1, 0.2)), rng.choice((-1, 0, 0, 0.4, 0.7))
    )


def _bent(mask: Image.Image, left: int, top: int, look: Look) -> tuple[Image.Image, int]:
    """The mask, whose corner lies at (left, top) from the pen, stretched and slanted about the pen; the new left."""
    high = top + mask.height
    ends = [look.stretch * x - look.slant * y for x in (left, left + mask.width) for y in (top, high)]
    start = math.floor(min(ends)) - 1
    size = (math.ceil(max(ends)) + 1 - start, mask.height)
    across = look.slant / look.stretch
    inverse = (1 / look.stretch, across, (start + look.slant * top) / look.stretch - left, 0, 1, 0)
    return mask.transform(size, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR), start


@lru_cache(maxsize=30_000)
def glyph(font: str, size: int, character: str, look: Look = PLAIN) -> Glyph:
    """The glyph of a character; InputError where the font would draw its box for missing characters."""
    if not can_draw(font, character):
        raise InputError(f"the font {Path(font).name} has no glyph for {character!r}; choose a font that has")
    face = load_font(font, size)
    left, top, right, bottom = (int(v) for v in face.getbbox(character, anchor="ls"))
    left, top = left - 2, top - 2
    mask = Image.new("L", (max(1, right - left) + 4, max(1, bottom - top) + 4), 0)
    stroke = {"stroke_width": look.weight} if look.weight > 0 else {}
    ImageDraw.Draw(mask).text((-left, -top), character, font=face, fill=255, anchor="ls", **stroke)
    if look.weight < 0:
        mask = mask.point([round(255 * (v / 255) ** 1.8) for v in range(256)])
    if look[:2] != PLAIN[:2]:
        mask, left = _bent(mask, left, top, look)
    advance = face.getlength(character) * look.stretch
    ink = mask.getbbox()
    if ink is None:
        return Glyph(None, 0, 0, advance)
    return Glyph(mask.crop(ink), left + ink[0], top + ink[1], advance)


@dataclass(frozen=True)
class Setting:
    """A word set in a face: glyph masks with their places, measured from the top left corner of the ink."""

    text: str
    glyphs: tuple[tuple[Image.Image, int, int], ...]
    width: int
    height: int
    rise: int  # height of the ink above the base line, pixels

    def glyph_boxes(self, x: int, y: int) -> tuple[PixelBox, ...]:
        """Ink boxes of the glyphs when the word's ink begins at x, y."""
        return tuple((x + gx, y + gy, x + gx + m.width, y + gy + m.height) for m, gx, gy in self.glyphs)

    def draw(self, image: Image.Image, x: int, y: int, colour: tuple[int, int, int]) -> PixelBox:
        """Paint the word with its ink's top left corner at x, y; the ink's box comes back."""
        for mask, gx, gy in self.glyphs:
            image.paste(colour, (x + gx, y + gy), mask)
        return (x, y, x + self.width, y + self.height)


@lru_cache(maxsize=20_000)
def set_word(text: str, font: str, size: int, look: Look = PLAIN) -> Setting:
    """Set a word glyph by glyph (no kerning, so that every machine sets it alike). InputError for a blank text."""
    pen, placed = 0.0, []
    for character in text:
        g = glyph(font, size, character, look)
        if g.mask is not None:
            placed.append((g.mask, round(pen) + g.left, g.top))
        pen += g.advance
    if not placed:
        raise InputError(f"the text {text!r} has no visible character; give at least one")
    left, top = min(x for _, x, _ in placed), min(y for _, _, y in placed)
    right = max(x + mask.width for mask, x, _ in placed)
    bottom = max(y + mask.height for mask, _, y in placed)
    glyphs = tuple((mask, x - left, y - top) for mask, x, y in placed)
    return Setting(text, glyphs, right - left, bottom - top, -top)


def script(text: str) -> str:
    """The language a word counts for: "ko" when it holds Hangul, else "en" (Latin words and numbers)."""
    return "ko" if re.search("[가-힣]", text) else "en"


def word_split(word: str) -> str:
    """The split that may write a string: 12 of 100 strings, by a stable hash, occur in evaluation only."""
    return SPLITS[in_percent(EVAL_WORDS, "word", word)]


@dataclass(frozen=True)
class WordStock:
    """What words are drawn from.

    syllables: random Korean words take that many of the commonest. latin_share, number_share: of all words, the rest
    are Korean. real_share: real nouns among Korean words and real words among English ones, the others are random
    strings. word_length: fewest and most syllables of a random Korean word. faces: "all" or "text", see `split_fonts`.
    bent: of the words, the share that stands in a bent face (`Look`).
    """

    split: str = "train"
    syllables: int = 500
    latin_share: float = 0.25
    number_share: float = 0.1
    real_share: float = 0.4
    word_length: tuple[int, int] = (1, 4)
    faces: str = "all"
    bent: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.bent <= 1:
            raise InputError(f"bent={self.bent} asked for; the share of bent faces is between 0 and 1")
        if not 1 <= self.syllables <= 2350:
            raise InputError(f"syllables={self.syllables} asked for; choose 1 to 2350 (KS X 1001)")
        if min(self.latin_share, self.number_share) < 0 or self.latin_share + self.number_share > 1:
            raise InputError(
                f"latin_share={self.latin_share} and number_share={self.number_share} asked for; together at most 1"
            )

    def _any(self, rng: random.Random, kind: str) -> str:
        if kind == "digits":
            return "".join(rng.choice("0123456789") for _ in range(rng.randint(2, 4)))
        if kind == "latin":
            if rng.random() < self.real_share:
                word = rng.choice(ENGLISH_WORDS)
            else:
                word = "".join(rng.choice((_CONSONANTS, _VOWELS)[k % 2]) for k in range(rng.randint(2, 5)))
            style = rng.random()
            return word.upper() if style < 0.2 else word.capitalize() if style < 0.4 else word
        if rng.random() < self.real_share:
            return rng.choice(NOUNS)
        pool = syllables(self.syllables)
        return "".join(rng.choice(pool) for _ in range(rng.randint(*self.word_length)))

    def draw(self, rng: random.Random, kind: str | None = None) -> str:
        """A word of the kind "korean", "latin" or "digits" (None: by the shares) that belongs to this split."""
        if kind is None:
            r = rng.random()
            kind = (
                "digits" if r < self.number_share else "latin" if r < self.number_share + self.latin_share else "korean"
            )
        while True:
            word = self._any(rng, kind)
            if word_split(word) == self.split:
                return word


def choose_font(rng: random.Random, fonts: tuple[str, ...], text: str) -> str:
    """A random font among those that can draw the whole text; InputError when none can."""
    font = rng.choice(fonts)
    if can_draw(font, text):
        return font
    able = [f for f in fonts if can_draw(f, text)]
    if not able:
        raise InputError(f"none of the {len(fonts)} fonts can draw {text!r}; install a font that has these letters")
    return rng.choice(able)


def ends_inside(boxes: list[PixelBox], box: PixelBox, gap: int) -> bool:
    """Whether the box comes closer than `gap` pixels to any of the boxes."""
    x0, y0, x1, y1 = box
    return any(x0 < b[2] + gap and b[0] < x1 + gap and y0 < b[3] + gap and b[1] < y1 + gap for b in boxes)


def reading_order(boxes: list[PixelBox]) -> list[int]:
    """Indices of word boxes row by row, left to right; words share a row when one's middle lies in the other's height."""
    rows: list[list[int]] = []
    for k in sorted(range(len(boxes)), key=lambda k: (boxes[k][1] + boxes[k][3], boxes[k][0])):
        middle = (boxes[k][1] + boxes[k][3]) / 2
        first = boxes[rows[-1][0]] if rows else None
        if first and (first[1] <= middle <= first[3] or boxes[k][1] <= (first[1] + first[3]) / 2 <= boxes[k][3]):
            rows[-1].append(k)
        else:
            rows.append([k])
    return [k for row in rows for k in sorted(row, key=lambda k: boxes[k][0])]
