"""The source of single words and lines cut close, as text recognisers are trained on.

Small pictures by the million: whatever the camera does is done to as little as shows it. Light changes colours before they
are painted, blur and tilt move ink alone (one channel, cut close), and only shadow, noise and JPEG touch every pixel.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from varco_vision.errors import InputError
from varco_vision.synth import backgrounds, degrade
from varco_vision.synth.asking import Asked, Made
from varco_vision.synth.strings import TextStock
from varco_vision.synth.typeset import Ink, Word, faces, ink, pick_face, width_of
from varco_vision.synth.wild import DIMMEST, palette
from varco_vision.synth.wild_source import STOCK_OPTIONS, alike, settings, whole_asks, word_list

Place = tuple[int, int]


class Lines(Asked):
    """One word or line cut close.

    height: pixels of the picture. words: fewest and most. harm: 0..1. skew: 0..1, how far the line is tilted; and the
    options of `TextStock`. The picture is as wide as the line.
    """

    name = "lines"
    families = {"reading": 2.0, "ocr": 1.0}
    option_names = STOCK_OPTIONS

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 1,
        tasks: Mapping[str, float] | None = None,
        wordings: int | None = None,
        digits: int = 2,
        choices: float = 0.0,
        turns: float = 0.0,
        truth: bool = False,
        height: int = 64,
        words: tuple[int, int] = (1, 1),
        harm: float = 0.6,
        skew: float = 0.4,
        **options: Any,
    ) -> None:
        super().__init__(seed, split, questions, tasks, wordings, digits, choices, turns, truth)
        if not 16 <= height <= 512:
            raise InputError(f"height={height} asked for; choose 16 to 512 pixels")
        words = tuple(words) if isinstance(words, list | tuple) else words
        if not alike(words, (1, 1)) or not 1 <= words[0] <= words[1]:
            raise InputError(f"words={words} asked for; give a lower and an upper bound, at least 1")
        self.height, self.words, self.harm, self.skew = height, words, harm, skew
        self.stock = TextStock(split=split, **settings(TextStock, options, STOCK_OPTIONS))
        self.fonts = faces(split, "all")

    def _set(self, rng: random.Random) -> tuple[list[str], list[Ink], list[Place], int, int]:
        """Words, their inks and where these lie in the picture, the picture's width, and the size of type."""
        h = self.height
        words = self.stock.phrase(rng, rng.randint(*self.words))
        font = pick_face(rng, self.fonts, " ".join(words))
        size = round(h * rng.uniform(0.5, 0.72))
        while True:
            inks = [ink(font, size, word) for word in words]
            low, high = min(m.top for m in inks), max(m.top + m.mask.height for m in inks)
            if high - low <= h - 2 or size <= 6:
                break
            size = max(6, min(size - 1, size * (h - 2) // (high - low)))  # a face with long strokes
        margin = round(h * rng.uniform(0.08, 0.3))
        base = round((h - (high - low)) * rng.uniform(0.3, 0.7)) - low
        pen, places = float(margin - min(0, inks[0].left)), []
        gap = max(width_of(font, size, " "), size * 0.22) if len(words) > 1 else 0.0
        for made in inks:
            places.append((round(pen) + made.left, base + made.top))
            if len(inks) > 1:
                pen += made.advance + gap
        return words, inks, places, max(places[-1][0] + inks[-1].mask.width + margin, h // 2), size

    def line(self, rng: random.Random) -> tuple[Image.Image, list[Word]]:
        """The picture of a line and its words."""
        words, inks, places, width, size = self._set(rng)
        shot = degrade.shot(rng, size, self.harm, DIMMEST)
        ground, colour = palette(rng, rng.random() < 0.5)
        if shot.light is not None:
            colour = tuple(int(table[level]) for table, level in zip(shot.light, colour, strict=True))
        if rng.random() < 0.35:
            if shot.light is not None:
                ground = tuple(int(table[level]) for table, level in zip(shot.light, ground, strict=True))
            image = Image.new("RGB", (width, self.height), ground)
        else:
            share = rng.uniform(0.6, 0.85)
            image = backgrounds.faint(rng, (width, self.height), self.split, ground, share, shot.light)
        room = 0 if shot.blur < degrade.LEAST_BLUR else 1 + round(3 * shot.blur)
        layer, at = _layer(inks, places, room)
        boxes = [(x, y, x + m.mask.width, y + m.mask.height) for m, (x, y) in zip(inks, places, strict=True)]
        if self.skew and rng.random() < 0.5:
            layer, at, boxes = self._tilted(rng, layer, at, boxes, image.size)
        image.paste(colour, at, degrade.soften(layer, shot.blur))
        if shot.shadow:
            image = degrade.shade(image, rng, shot.shadow)
        written = [
            Word(word, np.array((box[:2], box[2:]), float)) for word, box in zip(words, boxes, strict=True)
        ]  # every word's upper left and lower right corner
        return shot.last(image, rng), written

    def _tilted(
        self, rng: random.Random, layer: Image.Image, at: Place, boxes: list[tuple], size: tuple[int, int]
    ) -> tuple[Image.Image, Place, list[tuple]]:
        """The ink tilted, where it lies now, and the boxes around the corners of its words.

        The ground stays: a tilt of a few pixels is not seen on it. Corners of the picture move outwards, by no more than
        the ink is away from its edges.
        """
        width, height = size
        x0, y0, x1, y1 = (pick(ends) for pick, ends in zip((min, min, max, max), zip(*boxes, strict=True), strict=True))
        away = min(x0, y0, width - x1, height - y1)
        reach, draw = min(self.height * 0.1 * self.skew, max(0, away)), rng.random
        left, right = (-draw() * reach, -draw() * reach), (width + draw() * reach, width + draw() * reach)
        top, foot = (-draw() * reach, -draw() * reach), (height + draw() * reach, height + draw() * reach)
        corners = [(left[0], top[0]), (right[0], top[1]), (right[1], foot[1]), (left[1], foot[0])]
        warp = degrade.Warp(degrade.card(width, height, corners))
        x0, y0, x1, y1 = _around(warp.matrix, (*at, at[0] + layer.width, at[1] + layer.height), size)
        frame = (math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1))
        return warp.part(layer, at, frame), frame[:2], [_around(warp.matrix, box, size) for box in boxes]

    def make(self, rng: random.Random) -> Made:
        image, words = self.line(rng)
        asks = whole_asks(words, image.size, rng, self.speaker, self.digits)
        return Made((image,), asks, {"words": word_list(words, image.size)} if self.truth else {})


def _layer(inks: list[Ink], places: list[Place], room: int) -> tuple[Image.Image, Place]:
    """The ink of all words on one channel, with so much room around it, and where its corner lies in the picture."""
    if len(inks) == 1 and not room:
        return inks[0].mask, places[0]
    x0, y0 = min(x for x, _ in places) - room, min(y for _, y in places) - room
    x1 = max(x + m.mask.width for m, (x, _) in zip(inks, places, strict=True)) + room
    y1 = max(y + m.mask.height for m, (_, y) in zip(inks, places, strict=True)) + room
    layer = Image.new("L", (x1 - x0, y1 - y0), 0)
    for made, (x, y) in zip(inks, places, strict=True):
        layer.paste(255, (x - x0, y - y0), made.mask)
    return layer, (x0, y0)


def _around(matrix: np.ndarray, box: tuple, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box around the corners of a box after a plane map, cut at the picture's edges."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    x0, y0, x1, y1 = box
    found = [
        ((a * x + b * y + c) / (w := g * x + h * y + i), (d * x + e * y + f) / w)
        for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    ]
    xs, ys = [x for x, _ in found], [y for _, y in found]
    width, height = size
    return max(0, min(xs)), max(0, min(ys)), min(width, max(xs)), min(height, max(ys))
