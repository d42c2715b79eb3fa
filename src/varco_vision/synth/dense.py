"""Pictures with a label for every patch, from which a small vision tower learns to see before it learns to answer.

Kinds of picture take turns at random: scenes crowded with coloured shapes, pages full of glyphs whose syllables
are labelled by their three letters (initial, medial, final), so that few classes cover all 11,172 syllables, and, where
asked for, scenes of everyday things (emoji drawings).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from PIL import Image

from varco_vision.errors import InputError
from varco_vision.synth.emoji_names import designs
from varco_vision.synth.emoji_scenes import ThingsConfig, thing_scene
from varco_vision.synth.fonts import split_fonts
from varco_vision.synth.lexicon import LATIN, syllables
from varco_vision.synth.rng import stream
from varco_vision.synth.scenes import SceneConfig, make_scene
from varco_vision.synth.words import Look, PixelBox, WordStock, glyph, random_look, set_word

INITIALS, MEDIALS, FINALS = 19, 21, 28  # letters of a Hangul syllable; "no final" is the first of the finals
LABELS = ("colour", "shape", "initial", "medial", "final", "latin")
ORDER = ("place", "rest", "latin_left", "latin_right")  # what reading a word letter by letter needs besides its letters
THINGS = ("thing",)
MOST_LETTERS = 12  # longer words count as that long
_HANGUL_BASE = 0xAC00


@dataclass(frozen=True)
class DenseConfig:
    """tile and patch in pixels; `text` is the share of glyph pages, `latin` the share of their words that are Latin.

    varied: scenes also have run-out grounds and soft edges. scene_words: up to that many words stand in a scene.
    order: also say how many letters of the word stand before the glyph and how many behind it, and which Latin letters
    the left and the right half of the patch show. A language model that writes letter by letter has to find the next
    one; with a number at each glyph it can look for that number.
    bent: share of the pages and words in bent faces (`words.Look`).
    things: share of the pictures that show everyday things of `thing_px` pixels in place of shapes; every patch on one then
    says which of the split's things it is (label "thing").
    """

    tile: int = 128
    patch: int = 16
    shapes: int = 8
    colours: int = 8
    object_px: tuple[int, int] = (24, 54)
    objects: tuple[int, int] = (5, 6)
    varied: bool = False
    scene_words: int = 0
    text: float = 0.4
    word_px: tuple[int, int] = (26, 40)
    latin: float = 0.25
    syllables: int = 500
    inverted: float = 0.3
    faces: str = "all"
    split: str = "train"
    order: bool = False
    bent: float = 0.0
    things: float = 0.0
    thing_px: tuple[int, int] = (24, 72)
    kinds: dict[str, int] = field(init=False, repr=False, compare=False)
    scenes: tuple[SceneConfig, ...] = field(init=False, repr=False, compare=False)
    fonts: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("object_px", "objects", "word_px", "thing_px"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.tile % self.patch:
            raise InputError(f"tile={self.tile} is not a multiple of patch={self.patch}; choose a tile that is")
        if not (0 <= self.text <= 1 and 0 <= self.things <= 1 and self.text + self.things <= 1):
            raise InputError(
                f"text={self.text}, things={self.things} asked for; the shares of glyph pages and of things are between 0 and 1 together"
            )
        kinds = sorted({d.thing.key for d in designs(self.split)}) if self.things else []
        object.__setattr__(self, "kinds", {key: n for n, key in enumerate(kinds, start=1)})
        looks = product(("plain", "gradient"), (False, True)) if self.varied else [("plain", False)]
        stock = WordStock(split=self.split, syllables=self.syllables, latin_share=0.5, faces=self.faces, bent=self.bent)
        scenes = tuple(
            SceneConfig(
                size=self.tile,
                shapes=self.shapes,
                colours=self.colours,
                min_objects=self.objects[0],
                max_objects=self.objects[1],
                object_px=self.object_px,
                words=self.scene_words,
                word_px=self.word_px,
                stock=stock,
                background=background,
                smooth=smooth,
            )
            for background, smooth in looks
        )
        object.__setattr__(self, "scenes", scenes)
        fonts = {"ko": split_fonts(self.split, self.faces), "en": split_fonts(self.split, self.faces, True)}
        object.__setattr__(self, "fonts", {k: tuple(map(str, v)) for k, v in fonts.items()} if self.text else {})

    @property
    def side(self) -> int:
        """Patches along one side of the tile."""
        return self.tile // self.patch

    def classes(self) -> dict[str, int]:
        """Classes of each label, the 0 for "nothing here" included."""
        counts = [self.colours, self.shapes, INITIALS, MEDIALS, FINALS, len(LATIN)]
        if self.order:
            counts += [MOST_LETTERS, MOST_LETTERS, len(LATIN), len(LATIN)]
        if self.things:
            counts.append(len(self.kinds))
        return {name: count + 1 for name, count in zip(self.labels, counts, strict=True)}

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that every patch has."""
        return (*LABELS, *(ORDER if self.order else ()), *(THINGS if self.things else ()))


def jamo_indices(syllable: str) -> tuple[int, int, int]:
    """Initial, medial and final index of a composed Hangul syllable; final 0 means none (Unicode's arithmetic)."""
    code = ord(syllable) - _HANGUL_BASE
    return code // (MEDIALS * FINALS), code // FINALS % MEDIALS, code % FINALS


def _patches(box: tuple[float, float, float, float], config: DenseConfig) -> tuple[slice, slice]:
    """Rows and columns of the patches whose middle lies inside the box."""
    x0, y0, x1, y1 = (max(0, min(config.side, math.ceil(v / config.patch - 0.5))) for v in box)
    return slice(y0, y1), slice(x0, x1)


def _scene(rng: random.Random, config: DenseConfig, out: dict[str, np.ndarray], k: int) -> None:
    scene = make_scene(rng, config.scenes[rng.randrange(len(config.scenes))] if config.varied else config.scenes[0])
    out["images"][k] = np.asarray(scene.image)
    for o in scene.objects:
        rows, columns = _patches(o.box, config)
        out["colour"][k, rows, columns] = o.colour + 1
        out["shape"][k, rows, columns] = o.shape + 1
        out["box"][k, rows, columns] = np.array(o.box, np.float32) / config.tile
        out["object_mask"][k, rows, columns] = True
    for word in scene.words:
        for at, (character, box) in enumerate(zip(word.text, word.glyph_boxes, strict=True)):
            cell = (box[0], word.box[1], box[2], word.box[3])
            _label_glyph(_Placed(character, box, cell, word.box, at, len(word.text) - 1 - at), config, out, k)


def _things(rng: random.Random, config: DenseConfig, out: dict[str, np.ndarray], k: int) -> None:
    scene = thing_scene(
        rng,
        ThingsConfig(
            split=config.split, size=((config.tile, config.tile),), objects=(2, 5), object_px=config.thing_px, overlap=0.1, shapes=0.1
        ),
    )  # fmt: skip
    out["images"][k] = np.asarray(scene.image.convert("RGB"))
    for placed in sorted(scene.things, key=lambda t: -t.area):  # a small thing before a large one keeps its patches
        rows, columns = _patches(placed.box, config)
        if placed.thing.category == "shape":
            colour, shape = (int(n) for n in placed.thing.key.split(":")[1:])
            out["colour"][k, rows, columns], out["shape"][k, rows, columns] = colour + 1, shape + 1
        out["thing"][k, rows, columns] = config.kinds.get(placed.thing.key, 0)
        out["box"][k, rows, columns] = np.array(placed.box, np.float32) / config.tile
        out["object_mask"][k, rows, columns] = True


@dataclass
class _Placed:
    character: str
    ink: PixelBox
    cell: tuple[float, float, float, float]  # the room the glyph takes in its line
    word: PixelBox = (0, 0, 0, 0)  # ink of the whole word
    place: int = 0  # letters of the word before this one
    rest: int = 0  # letters behind it


def _page(rng: random.Random, config: DenseConfig, image: Image.Image, ink: tuple[int, int, int]) -> list[_Placed]:
    """Paint rows of random words until the picture is full."""
    size = rng.randint(*config.word_px)
    face = {lang: rng.choice(fonts) for lang, fonts in config.fonts.items()}
    look = random_look(rng, config.bent)
    tallest = [set_word("훌Qg" if lang == "ko" else "Qg", font, size, look) for lang, font in face.items()]
    rise, height = max(t.rise for t in tallest), max(t.height for t in tallest)
    placed: list[_Placed] = []
    top = rng.uniform(1, 5)
    while top + height <= config.tile - 1:
        pen = rng.uniform(1, 5)
        while True:
            word, pen = _word(rng, config, image, ink, face, size, look, (pen, top, rise, height))
            if not word:
                break
            placed += word
            pen += rng.uniform(0.2, 0.6) * size
        top += height + rng.uniform(1, 6)
    return placed


def _word(
    rng: random.Random,
    config: DenseConfig,
    image: Image.Image,
    ink: tuple[int, int, int],
    face: dict[str, str],
    size: int,
    look: Look,
    line: tuple[float, float, int, int],
) -> tuple[list[_Placed], float]:
    """Paint one word of random glyphs at (pen, top, rise, height), as far as the line reaches; the pen behind it."""
    pen, top, rise, height = line
    lang = "en" if rng.random() < config.latin else "ko"
    pool = LATIN if lang == "en" else syllables(config.syllables)
    placed: list[_Placed] = []
    for _ in range(rng.randint(2, 7) if lang == "en" else rng.randint(1, 4)):
        character = rng.choice(pool)
        g = glyph(face[lang], size, character, look)
        assert g.mask is not None
        x, y = max(0, round(pen) + g.left), round(top) + rise + g.top
        if max(pen + g.advance, x + g.mask.width) > config.tile - 1:
            break
        y = max(0, min(y, config.tile - g.mask.height))
        image.paste(ink, (x, y), g.mask)
        box = (x, y, x + g.mask.width, y + g.mask.height)
        placed.append(_Placed(character, box, (pen, min(top, y), pen + g.advance, max(top + height, box[3]))))
        pen += g.advance
    for at, item in enumerate(placed):
        item.place, item.rest = at, len(placed) - 1 - at
        inks = [p.ink for p in placed]
        item.word = tuple(f(b[n] for b in inks) for n, f in enumerate((min, min, max, max)))  # type: ignore[assignment]
    return placed, pen


def _label_glyph(item: _Placed, config: DenseConfig, out: dict[str, np.ndarray], k: int) -> None:
    rows, columns = _patches(item.cell, config)
    if "가" <= item.character <= "힣":
        values = jamo_indices(item.character)
        for name, value in zip(("initial", "medial", "final"), values, strict=True):
            out[name][k, rows, columns] = value + 1
    elif item.character in LATIN:
        out["latin"][k, rows, columns] = LATIN.index(item.character) + 1
    if config.order:
        _label_order(item, config, out, k)
    out["box"][k, rows, columns] = np.array(item.word, np.float32) / config.tile
    out["glyph_mask"][k, rows, columns] = True


def _label_order(item: _Placed, config: DenseConfig, out: dict[str, np.ndarray], k: int) -> None:
    rows, columns = _patches(item.cell, config)
    out["place"][k, rows, columns] = min(item.place, MOST_LETTERS - 1) + 1
    out["rest"][k, rows, columns] = min(item.rest, MOST_LETTERS - 1) + 1
    if item.character in LATIN:
        x0, y0, x1, y1 = item.cell
        for name, shift in (("latin_left", config.patch / 4), ("latin_right", -config.patch / 4)):
            rows, columns = _patches((x0 + shift, y0, x1 + shift, y1), config)
            out[name][k, rows, columns] = LATIN.index(item.character) + 1


def _glyphs(rng: random.Random, config: DenseConfig, out: dict[str, np.ndarray], k: int) -> None:
    light = tuple(rng.randint(170, 255) for _ in range(3))
    dark = tuple(rng.randint(0, 90) for _ in range(3))
    ground, ink = (dark, light) if rng.random() < config.inverted else (light, dark)
    image = Image.new("RGB", (config.tile, config.tile), ground)
    for item in _page(rng, config, image, ink):
        _label_glyph(item, config, out, k)
    out["images"][k] = np.asarray(image)


def dense_batch(indices: Sequence[int], config: DenseConfig, seed: int) -> dict[str, np.ndarray]:
    """Pictures and their patch labels; picture k depends on (config, seed, indices[k]) only.

    With B = len(indices), T = tile, P = (tile / patch)^2 patches, row-major:
    images uint8 [B, T, T, 3]; colour, shape, initial, medial, final, latin int64 [B, P], 0 where there is none, else
    index + 1 (so `final` is 1 for a syllable without a final); object_mask, glyph_mask bool [B, P]: the patch's middle
    lies in an object's box, or in the room of a glyph; with `config.order` also place, rest (1 for none before, none
    behind), latin_left, latin_right int64 [B, P], with `config.things` also thing; box float32 [B, P, 4]: x1, y1, x2, y2 of that object or of the
    glyph's word (its ink), relative to the picture, zeros elsewhere.
    """
    count, side, tile = len(indices), config.side, config.tile
    out: dict[str, np.ndarray] = {name: np.zeros((count, side, side), np.int64) for name in config.labels}
    out["images"] = np.zeros((count, tile, tile, 3), np.uint8)
    out["box"] = np.zeros((count, side, side, 4), np.float32)
    out["object_mask"] = np.zeros((count, side, side), bool)
    out["glyph_mask"] = np.zeros((count, side, side), bool)
    for k, index in enumerate(indices):
        rng = stream("dense", config.split, seed, index)
        drawn = rng.random()
        kind = _glyphs if drawn < config.text else _things if drawn < config.text + config.things else _scene
        kind(rng, config, out, k)
    return {name: a if name == "images" else a.reshape(count, side * side, *a.shape[3:]) for name, a in out.items()}
