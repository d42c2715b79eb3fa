"""Eight shapes in eight colours: their names in both languages and their ink."""

from __future__ import annotations

import math
import random
from functools import lru_cache
from typing import NamedTuple

from PIL import Image, ImageDraw


class Shape(NamedTuple):
    ko: str
    en: str
    even: bool  # drawn with equal sides, as its name promises


class Colour(NamedTuple):
    ko: str
    en: str
    rgb: tuple[int, int, int]


SHAPES = (
    Shape("원", "circle", True),
    Shape("사각형", "square", True),
    Shape("삼각형", "triangle", False),
    Shape("별", "star", False),
    Shape("마름모", "diamond", False),
    Shape("십자가", "cross", False),
    Shape("고리", "ring", True),
    Shape("하트", "heart", False),
)
COLOURS = (
    Colour("빨간색", "red", (220, 40, 40)),
    Colour("파란색", "blue", (40, 70, 220)),
    Colour("초록색", "green", (40, 170, 60)),
    Colour("노란색", "yellow", (240, 215, 40)),
    Colour("보라색", "purple", (150, 50, 190)),
    Colour("검은색", "black", (20, 20, 20)),
    Colour("주황색", "orange", (245, 135, 25)),
    Colour("분홍색", "pink", (250, 130, 180)),
)
_FINE = 4  # samples a pixel along each side, for smooth edges


def object_name(colour: int, shape: int, lang: str) -> str:
    """The name of a coloured shape: "빨간색 원" or "red circle"."""
    if lang == "ko":
        return f"{COLOURS[colour].ko} {SHAPES[shape].ko}"
    return f"{COLOURS[colour].en} {SHAPES[shape].en}"


# How people also call them; answers use the first name only. Korean colours are given as they stand before a noun.
SHAPE_ALIASES = {
    "ko": (("동그라미",), ("네모", "정사각형"), ("세모",), ("별 모양",), ("다이아몬드",), ("십자",), ("도넛", "링"), ("하트 모양",)),
    "en": (("disc",), ("box",), (), ("star shape",), ("rhombus",), ("plus", "plus sign"), ("donut",), ("heart shape",)),
}  # fmt: skip
COLOUR_ALIASES = {
    "ko": (("빨간", "붉은"), ("파란", "푸른"), ("초록", "녹색"), ("노란",), ("보라",), ("검은", "검정", "까만"), ("주황", "오렌지색"), ("분홍", "핑크색")),
    "en": ((), (), (), (), ("violet",), (), (), ()),
}  # fmt: skip


def other_name(colour: int, shape: int, lang: str, rng: random.Random) -> str:
    """A coloured shape as somebody else might call it: "빨간 동그라미", "violet rhombus"; often still its usual name."""
    usual = (COLOURS[colour], SHAPES[shape])
    lists = (COLOUR_ALIASES[lang][colour], SHAPE_ALIASES[lang][shape])
    return " ".join(rng.choice((getattr(name, lang), *others)) for name, others in zip(usual, lists, strict=True))


def article(phrase: str) -> str:
    """An English phrase with its indefinite article: "a red circle", "an orange ring"."""
    return f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def _star() -> list[tuple[float, float]]:
    """A five-pointed star stretched to fill the unit square."""
    points = []
    for k in range(10):
        radius = 0.5 if k % 2 == 0 else 0.21
        angle = -math.pi / 2 + k * math.pi / 5
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return [((x - min(xs)) / (max(xs) - min(xs)), (y - min(ys)) / (max(ys) - min(ys))) for x, y in points]


def _heart() -> list[tuple[float, float]]:
    """The classic heart curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, scaled to the unit square."""
    turns = [2 * math.pi * k / 72 for k in range(72)]
    xs = [16 * math.sin(t) ** 3 for t in turns]
    ys = [-(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) for t in turns]
    low, high = min(ys), max(ys)
    return [((x + 16) / 32, (y - low) / (high - low)) for x, y in zip(xs, ys, strict=True)]


_POLYGONS = {
    "triangle": [(0, 1), (1, 1), (0.5, 0)],
    "star": _star(),
    "diamond": [(0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)],
    "heart": _heart(),
}


def _draw_mask(name: str, w: int, h: int) -> Image.Image:
    image = Image.new("L", (w, h), 0)
    draw = ImageDraw.Draw(image)
    if name in _POLYGONS:
        draw.polygon([(x * (w - 1), y * (h - 1)) for x, y in _POLYGONS[name]], fill=255)
    elif name == "square":
        draw.rectangle((0, 0, w - 1, h - 1), fill=255)
    elif name == "cross":
        dx, dy = round(w * 0.33), round(h * 0.33)
        draw.rectangle((dx, 0, w - 1 - dx, h - 1), fill=255)
        draw.rectangle((0, dy, w - 1, h - 1 - dy), fill=255)
    else:
        draw.ellipse((0, 0, w - 1, h - 1), fill=255)
        if name == "ring":
            dx, dy = round(w * 0.25), round(h * 0.25)
            draw.ellipse((dx, dy, w - 1 - dx, h - 1 - dy), fill=0)
    return image


@lru_cache(maxsize=20_000)
def shape_mask(shape: int, width: int, height: int, smooth: bool = False) -> Image.Image:
    """The ink of a shape, which touches all four sides of its width x height mask; the ring's middle stays open.

    `smooth` gives soft edges (four samples a pixel along each side) instead of hard ones.
    """
    name = SHAPES[shape].en
    if not smooth:
        return _draw_mask(name, width, height)
    return _draw_mask(name, width * _FINE, height * _FINE).resize((width, height), Image.Resampling.BOX)
