"""Pictures with exactly known contents: coloured shapes and printed words on a light ground."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from PIL import Image

from varco_vision.errors import InputError
from varco_vision.synth.fonts import split_fonts
from varco_vision.synth.shapes import COLOURS, SHAPES, shape_mask
from varco_vision.synth.words import (
    Look,
    PixelBox,
    Setting,
    WordStock,
    choose_font,
    ends_inside,
    random_look,
    reading_order,
    script,
    set_word,
)

GAP = 3  # pixels kept free between any two things
_TRIES = 40


@dataclass(frozen=True)
class SceneObject:
    """shape and colour index `SHAPES` and `COLOURS`; box in pixels (right and bottom are outside the ink)."""

    shape: int
    colour: int
    box: PixelBox


@dataclass(frozen=True)
class SceneWord:
    text: str
    box: PixelBox
    glyph_boxes: tuple[PixelBox, ...]


@dataclass(frozen=True)
class Scene:
    """Objects stand in the order of their left edges, words in reading order."""

    image: Image.Image
    objects: tuple[SceneObject, ...]
    words: tuple[SceneWord, ...]


@dataclass(frozen=True)
class SceneConfig:
    """What a scene may hold; sizes in pixels.

    size: side or (width, height). shapes, colours: that many of the eight each. words: fewest and most words that stand
    freely (a single number: from none to that many). lines: fewest and most lines of words, then nothing else is drawn.
    smooth: soft edges. jitter: how far the parts of a colour may stray, of 255. stock: what words are drawn from.
    inverted: share of pictures with light text on a dark ground, only where no objects are drawn.
    """

    size: int | tuple[int, int] = 128
    shapes: int = 4
    colours: int = 6
    min_objects: int = 1
    max_objects: int = 3
    object_px: tuple[int, int] = (30, 54)
    background: str = "plain"
    jitter: int = 8
    smooth: bool = False
    words: tuple[int, int] | int = (0, 0)
    lines: tuple[int, int] | None = None
    word_px: tuple[int, int] = (28, 40)
    inverted: float = 0.0
    stock: WordStock = field(default_factory=WordStock)

    def __post_init__(self) -> None:
        for name in ("size", "object_px", "word_px", "words", "lines"):
            if isinstance(getattr(self, name), list):  # as a recipe file gives them
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if isinstance(self.words, int):
            object.__setattr__(self, "words", (0, self.words))
        if not 1 <= self.shapes <= len(SHAPES) or not 1 <= self.colours <= len(COLOURS):
            raise InputError(f"shapes={self.shapes}, colours={self.colours} asked for; there are 1 to 8 of each")
        if not 0 <= self.min_objects <= self.max_objects <= self.shapes * self.colours:
            raise InputError(
                f"min_objects={self.min_objects}, max_objects={self.max_objects} asked for; they must rise from 0 to at "
                f"most shapes x colours = {self.shapes * self.colours}"
            )
        for name in ("object_px", "word_px", "words", "lines"):
            low, high = getattr(self, name) or (0, 0)
            if not 0 <= low <= high:
                raise InputError(f"{name}={(low, high)} asked for; give a lower and an upper bound")
        if self.background not in ("plain", "gradient"):
            raise InputError(f"background={self.background!r} asked for; it is 'plain' or 'gradient'")
        if self.lines and (self.words[1] or self.max_objects):
            raise InputError("lines of words fill the whole picture; give words=(0, 0) and max_objects=0 with them")
        if self.inverted and self.max_objects:
            raise InputError("inverted pictures hold text only; give max_objects=0 or inverted=0")

    @property
    def width(self) -> int:
        return self.size if isinstance(self.size, int) else self.size[0]

    @property
    def height(self) -> int:
        return self.size if isinstance(self.size, int) else self.size[1]


@lru_cache(maxsize=16)
def _fonts(split: str, faces: str, latin: bool = False) -> tuple[str, ...]:
    return tuple(str(path) for path in split_fonts(split, faces, latin))


def _ground(rng: random.Random, config: SceneConfig, dark: bool) -> Image.Image:
    """The empty picture: one light (or dark) colour, or a straight run from one to another."""
    low, high = (0, 70) if dark else (190, 255)
    first = tuple(rng.randint(low, high) for _ in range(3))
    if config.background == "plain":
        return Image.new("RGB", (config.width, config.height), first)
    last = [rng.randint(low, high) for _ in range(3)]
    along = rng.random() < 0.5
    ramp = np.linspace(0, 1, config.width if along else config.height)[:, None]
    strip = np.array(first) * (1 - ramp) + np.array(last) * ramp
    strip = strip[None, :, :] if along else strip[:, None, :]
    pixels = np.broadcast_to(strip, (config.height, config.width, 3)).round().astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels), "RGB")


def _free_place(
    rng: random.Random, config: SceneConfig, taken: list[PixelBox], width: int, height: int
) -> PixelBox | None:
    """A random place for a width x height thing that keeps its distance from everything taken, or None."""
    if width > config.width - 2 or height > config.height - 2:
        return None
    for _ in range(_TRIES):
        x, y = rng.randint(1, config.width - 1 - width), rng.randint(1, config.height - 1 - height)
        box = (x, y, x + width, y + height)
        if not ends_inside(taken, box, GAP):
            return box
    return None


def _object_size(rng: random.Random, config: SceneConfig, shape: int, most: int) -> tuple[int, int]:
    low = config.object_px[0]
    width = rng.randint(low, most)
    if SHAPES[shape].even or rng.random() < 0.3:
        return width, width
    return width, min(most, max(low, round(width * rng.uniform(0.78, 1.28))))


def _place_objects(rng: random.Random, config: SceneConfig, taken: list[PixelBox]) -> list[SceneObject] | None:
    """All objects of a scene, or None where they found no room; the number is drawn before, so counts stay even."""
    count = rng.randint(config.min_objects, config.max_objects)
    pairs = rng.sample(range(config.shapes * config.colours), count)
    for shrink in range(6):
        most = max(config.object_px[0], config.object_px[1] - shrink * (config.object_px[1] - config.object_px[0]) // 5)
        placed: list[SceneObject] = []
        for pair in pairs:
            shape, colour = pair % config.shapes, pair // config.shapes
            boxes = taken + [o.box for o in placed]
            box = _free_place(rng, config, boxes, *_object_size(rng, config, shape, most))
            if box is None:
                break
            placed.append(SceneObject(shape, colour, box))
        if len(placed) == count:
            return placed
    return None


def _fitting_word(
    rng: random.Random, config: SceneConfig, width: int, font: str | None = None, look: Look | None = None
) -> Setting:
    """A word set at a random size that is at most `width` pixels wide, in the given face and look or in random ones."""
    for _ in range(_TRIES):
        text = config.stock.draw(rng)
        fonts = _fonts(config.stock.split, config.stock.faces, script(text) == "en")
        face = font or choose_font(rng, fonts, text)
        size = rng.randint(*config.word_px)
        shown = random_look(rng, config.stock.bent) if look is None else look
        setting = set_word(text, face, size, shown)
        if setting.width > width:
            setting = set_word(text, face, max(config.word_px[0], int(size * width / setting.width)), shown)
        if setting.width <= width:
            return setting
    raise InputError(
        f"no word at word_px={config.word_px} fits into {width} pixels; make the picture larger or words smaller"
    )


def _place_words(rng: random.Random, config: SceneConfig) -> list[tuple[Setting, PixelBox]] | None:
    placed: list[tuple[Setting, PixelBox]] = []
    for _ in range(rng.randint(*config.words)):
        setting = _fitting_word(rng, config, config.width - 4)
        box = _free_place(rng, config, [b for _, b in placed], setting.width, setting.height)
        if box is None:
            return None
        placed.append((setting, box))
    return placed


def _place_lines(rng: random.Random, config: SceneConfig) -> list[tuple[Setting, PixelBox]]:
    """Lines of words in one face and size, from the top to the bottom of the picture."""
    assert config.lines is not None
    font, size = rng.choice(_fonts(config.stock.split, config.stock.faces)), rng.randint(*config.word_px)
    pitch = round(size * rng.uniform(1.15, 1.4))
    lines = min(rng.randint(*config.lines), max(1, (config.height - 4 - round(size * 1.1)) // pitch + 1))
    space = round(size * rng.uniform(0.35, 0.6))
    one_size = _with_word_px(config, (size, size))
    look = random_look(rng, config.stock.bent)
    base = rng.randint(0, max(0, config.height - 4 - round(size * 1.15) - (lines - 1) * pitch)) + 2 + size
    placed = []
    for line in range(lines):
        x, tries = rng.randint(2, 8), 0
        while tries < 3:
            setting = _fitting_word(rng, one_size, config.width - 10, font, look)
            if x + setting.width > config.width - 2:
                tries += 1
                continue
            y = min(max(1, base + line * pitch - setting.rise), config.height - 1 - setting.height)
            placed.append((setting, (x, y, x + setting.width, y + setting.height)))
            x += setting.width + space
            if rng.random() < 0.25:
                break
    return placed


@lru_cache(maxsize=256)
def _with_word_px(config: SceneConfig, word_px: tuple[int, int]) -> SceneConfig:
    return replace(config, word_px=word_px)


def _layout(rng: random.Random, config: SceneConfig) -> tuple[list[SceneObject], list[tuple[Setting, PixelBox]]]:
    if config.lines:
        return [], _place_lines(rng, config)
    for _ in range(_TRIES):
        words = _place_words(rng, config) if config.words[1] else []
        if words is None:
            continue
        objects = _place_objects(rng, config, [box for _, box in words])
        if objects is not None:
            return objects, words
    raise InputError(
        f"{config.max_objects} objects of {config.object_px} pixels and {config.words[1]} words do not fit into "
        f"{config.width} x {config.height}; allow fewer or smaller ones"
    )


def _paint_objects(rng: random.Random, config: SceneConfig, image: Image.Image, objects: list[SceneObject]) -> None:
    for o in objects:
        x0, y0, x1, y1 = o.box
        rgb = COLOURS[o.colour].rgb
        if config.jitter:
            rgb = tuple(min(255, max(0, c + rng.randint(-config.jitter, config.jitter))) for c in rgb)
        image.paste(rgb, (x0, y0), shape_mask(o.shape, x1 - x0, y1 - y0, config.smooth))


def make_scene(rng: random.Random, config: SceneConfig) -> Scene:
    """Draw a scene. Objects differ in (colour, shape), nothing overlaps or leaves the picture.

    The scene depends on the stream and the config only. InputError where the config asks for more than fits.
    """
    dark = config.inverted > 0 and rng.random() < config.inverted
    objects, placed = _layout(rng, config)
    image = _ground(rng, config, dark)
    _paint_objects(rng, config, image, objects)
    words = []
    for setting, box in placed:
        ink = tuple(rng.randint(185, 255) if dark else rng.randint(0, 80) for _ in range(3))
        setting.draw(image, box[0], box[1], ink)
        words.append(SceneWord(setting.text, box, setting.glyph_boxes(box[0], box[1])))
    order = reading_order([w.box for w in words])
    return Scene(image, tuple(sorted(objects, key=lambda o: o.box)), tuple(words[k] for k in order))
