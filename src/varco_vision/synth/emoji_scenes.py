"""Scenes of things on all kinds of ground: emoji drawings, coloured shapes, pictures out of a folder; with overlap,
turning, scaling and shadows. The box of a thing is that of its visible part."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from varco_vision import pictures
from varco_vision.errors import InputError
from varco_vision.synth import backgrounds, degrade
from varco_vision.synth.emoji_names import Thing, designs
from varco_vision.synth.rng import stable_hash
from varco_vision.synth.shapes import COLOURS, SHAPES, object_name, shape_mask

# grounds that show nothing one could count as a thing
CALM = (
    "plain",
    "gradient",
    "radial",
    "paper",
    "wood",
    "brick",
    "fabric",
    "stripes",
    "stone",
    "asphalt",
    "hills",
    "sky",
    "room",
    "water",
    "wall",
)
_TRIES = 60
Drawing = Callable[[random.Random, int], Image.Image]


@dataclass(frozen=True)
class ThingsConfig:
    """What a scene of things holds; sizes in pixels.

    size: (width, height) choices. objects: fewest and most. object_px: longer side. overlap: largest part of a thing
    that another may hide. turn: degrees. shapes: share of coloured shapes. repeat: chance that a thing comes again.
    shadow: share of things with one. harm: 0..1, see `degrade.camera`. backgrounds, photos: see `backgrounds.ground`.
    pasted: a folder with one folder of pictures for each label and a file labels.csv (folder,ko,en); pasted_share: of
    the things, those that come from it. seen_designs: evaluation draws training's things (new scenes, known things).
    """

    split: str = "train"
    size: tuple[tuple[int, int], ...] = ((256, 256), (384, 256), (384, 384))
    objects: tuple[int, int] = (2, 12)
    object_px: tuple[int, int] = (40, 130)
    overlap: float = 0.25
    turn: float = 20.0
    shapes: float = 0.25
    repeat: float = 0.3
    shadow: float = 0.3
    harm: float = 0.4
    backgrounds: tuple[str, ...] = CALM
    photos: str | None = None
    pasted: str | None = None
    pasted_share: float = 0.5
    seen_designs: bool = False

    def __post_init__(self) -> None:
        for name, least in (("objects", 1), ("object_px", 8)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise InputError(f"{name}={(low, high)} asked for; give a lower and an upper bound, at least {least}")
        for name in ("overlap", "shapes", "repeat", "shadow", "harm", "pasted_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}={getattr(self, name)} asked for; it is between 0 and 1")
        smallest = min(min(size) for size in self.size)
        if self.object_px[0] * 1.5 > smallest:
            raise InputError(
                f"things of {self.object_px[0]} pixels do not fit into pictures of {smallest}; allow smaller object_px or larger size"
            )
        if self.pasted is not None:  # few samples may have none of them: told now, not when the first is drawn
            pasted_things(self.pasted, self.split)


@dataclass(frozen=True)
class PlacedThing:
    """A thing in the picture: box of its visible part in pixels, that part's share of it, its area in pixels."""

    thing: Thing
    box: tuple[int, int, int, int]
    visible: float
    area: float
    colour: str | None = None  # of shapes, in English


@dataclass
class ThingScene:
    image: Image.Image
    things: list[PlacedThing]
    background: str
    masks: list[Image.Image] = field(default_factory=list, repr=False)


def _shape(rng: random.Random) -> tuple[Thing, Drawing]:
    colour, shape = rng.randrange(len(COLOURS)), rng.randrange(len(SHAPES))
    named = Thing(
        f"shape:{colour}:{shape}", object_name(colour, shape, "ko"), object_name(colour, shape, "en"), "shape"
    )

    def draw(rng: random.Random, side: int) -> Image.Image:
        rgb = tuple(min(255, max(0, c + rng.randint(-12, 12))) for c in COLOURS[colour].rgb)
        wide = side if SHAPES[shape].even else max(8, round(side * rng.uniform(0.75, 1.0)))
        image = Image.new("RGBA", (wide, side), (*rgb, 255))
        image.putalpha(shape_mask(shape, wide, side, smooth=True))
        return image

    return named, draw


@lru_cache(maxsize=8)
def pasted_things(folder: str, split: str) -> tuple[tuple[Thing, tuple[str, ...]], ...]:
    """Labels of a folder of pictures with their files of the split (by a stable hash of the file names)."""
    root = Path(folder).expanduser()
    table = root / "labels.csv"
    if not table.is_file():
        raise InputError(
            f"{table} is missing; it must hold the lines folder,ko,en that name the pictures of each folder"
        )
    found = []
    with table.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if row[:3] == ["folder", "ko", "en"] or not row:
                continue
            if len(row) != 3 or not all(cell.strip() for cell in row):
                raise InputError(f"{table}:{number}: found {','.join(row)!r}; a line is folder,ko,en")
            files = sorted(p for p in (root / row[0]).rglob("*") if p.suffix.lower() in backgrounds.PHOTO_SUFFIXES)
            own = tuple(
                str(p) for p in files if (stable_hash("pasted", row[0], p.name) % 100 < 20) == (split == "eval")
            )
            if own:
                found.append((Thing(f"photo:{row[0]}", row[1].strip(), row[2].strip(), "photo"), own))
    if not found:
        raise InputError(f"{folder} has no picture of a label in {table.name} for the split {split!r}; add pictures")
    return tuple(found)


@lru_cache(maxsize=256)
def _photo(path: str) -> Image.Image:
    image = pictures.load(path)
    image.thumbnail((320, 320))
    return image.convert("RGBA")


def _draw_thing(rng: random.Random, config: ThingsConfig) -> tuple[Thing, Drawing]:
    if config.pasted and rng.random() < config.pasted_share:
        thing, files = rng.choice(pasted_things(config.pasted, config.split))
        return thing, lambda r, side: _scaled(_photo(r.choice(files)), side)
    if rng.random() < config.shapes:
        return _shape(rng)
    split = "train" if config.seen_designs else config.split
    design = rng.choice(designs(split))
    return design.thing, lambda r, side: _scaled(design.image(), side)


def _scaled(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _posed(rng: random.Random, config: ThingsConfig, thing: Thing, image: Image.Image) -> Image.Image:
    """Turned and flipped; a square is not turned into a diamond, nor a diamond into a square."""
    if thing.category != "shape" and rng.random() < 0.4:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = rng.uniform(-config.turn, config.turn)
    if thing.category == "photo" or abs(angle) < 2:
        return image
    return image.rotate(angle, Image.Resampling.BICUBIC, expand=True)


_VISIBLE = [255 * (v > 96) for v in range(256)]


def thing_scene(rng: random.Random, config: ThingsConfig) -> ThingScene:
    """Draw a scene; a function of the stream and the config. Things stand in the order of their left edges."""
    size = rng.choice(config.size)
    image, background = backgrounds.ground(rng, size, config.split, config.backgrounds, config.photos)
    count = rng.randint(*config.objects)
    kinds: list[tuple[Thing, Drawing]] = []
    while len(kinds) < count:
        again = bool(kinds) and rng.random() < config.repeat
        made = rng.choice(kinds) if again else _draw_thing(rng, config)
        if not again and any(_alike(made[0], k[0]) for k in kinds):
            continue
        kinds.append(made)
    order = np.zeros((size[1], size[0]), np.uint8)  # which thing is seen at each pixel, 0 for none
    areas: list[int] = []
    placed: list[tuple[Thing, Image.Image]] = []
    for thing, draw in kinds:
        spot = _spot(rng, config, thing, draw, order, areas, image)
        if spot is None:
            continue
        drawing, x, y, solid = spot
        _stand(rng, config, image, drawing, x, y)
        placed.append((thing, drawing))
        h, w = solid.shape
        order[y : y + h, x : x + w][solid] = len(placed)
        areas.append(int(solid.sum()))
    things = []
    for number, (thing, _) in enumerate(placed, start=1):
        seen = order == number
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        colour = COLOURS[int(thing.key.split(":")[1])].en if thing.category == "shape" else None
        things.append(PlacedThing(thing, box, float(seen.sum()) / areas[number - 1], areas[number - 1], colour))
    things.sort(key=lambda t: t.box)
    image = degrade.camera(image, rng, config.object_px[0], config.harm)
    return ThingScene(image, things, background)


def _alike(a: Thing, b: Thing) -> bool:
    """Whether one could be taken for the other in words: one name inside the other (car, racing car)."""
    return any(
        a.name(x) in b.name(x).split() or b.name(x) in a.name(x).split() or a.name(x) == b.name(x) for x in ("ko", "en")
    )


def _spot(
    rng: random.Random,
    config: ThingsConfig,
    thing: Thing,
    draw: Drawing,
    order: np.ndarray,
    areas: list[int],
    image: Image.Image,
) -> tuple[Image.Image, int, int, np.ndarray] | None:
    """A drawing with a place where it stands out and hides no more of anything than allowed; None when none was found."""
    size = image.size
    seen = np.bincount(order.ravel(), minlength=len(areas) + 1)[1:]
    for attempt in range(_TRIES):
        low, high = config.object_px
        most = max(low, round(high - (high - low) * attempt / _TRIES))
        side = min(rng.randint(low, most), int(min(size) * 0.7))
        drawing = _posed(rng, config, thing, draw(rng, side))
        if drawing.width > size[0] - 2 or drawing.height > size[1] - 2:
            continue
        x, y = rng.randint(1, size[0] - 1 - drawing.width), rng.randint(1, size[1] - 1 - drawing.height)
        solid = np.asarray(drawing.getchannel("A")) > 96
        under = order[y : y + drawing.height, x : x + drawing.width][solid]
        hidden = np.bincount(under, minlength=len(areas) + 1)[1:]
        free = all(s - h >= (1 - config.overlap) * a for s, h, a in zip(seen, hidden, areas, strict=True))
        if free and (thing.category != "shape" or _stands_out(image, drawing, x, y)):
            return drawing, x, y, solid
    return None


def _stands_out(image: Image.Image, drawing: Image.Image, x: int, y: int) -> bool:
    """Whether a shape differs from its ground by more than 70 of 255 (Euclidean, mean colours)."""
    under = np.asarray(image.crop((x, y, x + drawing.width, y + drawing.height)).resize((4, 4)), float).mean((0, 1))
    own = np.array(drawing.getpixel((drawing.width // 2, drawing.height // 2))[:3], float)
    return float(np.linalg.norm(under - own)) > 70


def _stand(rng: random.Random, config: ThingsConfig, image: Image.Image, drawing: Image.Image, x: int, y: int) -> None:
    alpha = drawing.getchannel("A")
    if rng.random() < config.shadow:
        reach = max(2, drawing.width // 14)
        soft = Image.new("L", (drawing.width + 4 * reach, drawing.height + 4 * reach), 0)
        soft.paste(alpha.point([v // 3 for v in range(256)]), (2 * reach, 2 * reach))
        soft = soft.filter(ImageFilter.GaussianBlur(reach))
        image.paste((0, 0, 0), (x - 2 * reach + reach, y - 2 * reach + reach), soft)
    image.paste(drawing.convert("RGB"), (x, y), alpha)
