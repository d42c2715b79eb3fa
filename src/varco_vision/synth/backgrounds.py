"""Grounds that things stand on: plain, run-out, textured and photo-like, all drawn here, or cut from photographs.

A ground is an instance (cut, flip, light) of a *design*: a kind with a number, "wood-3". Designs are split by a stable
hash, so evaluation stands on grounds that training has not seen.
"""

from __future__ import annotations

import colorsys
import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from varco_vision import pictures
from varco_vision.errors import InputError
from varco_vision.synth import raster
from varco_vision.synth.rng import SPLITS, stable_hash
from varco_vision.synth.typeset import style_seed

PLAIN = ("plain", "gradient", "radial")
TEXTURED = ("paper", "wood", "brick", "fabric", "stripes", "dots", "checks", "stone", "asphalt")
PHOTO_LIKE = ("hills", "sky", "room", "bokeh", "water", "wall", "night")
KINDS = (*PLAIN, *TEXTURED, *PHOTO_LIKE)
NUMBERS = 8  # designs of each kind
SIDE = 320  # pixels of a master picture
EVAL_DESIGNS = 25  # percent
_LEVELS, _CHANNELS = np.arange(256), np.arange(3)[:, None]
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def _noise(rng: np.random.Generator, cells: int, octaves: int = 4) -> np.ndarray:
    """Smooth noise in 0..1, [SIDE, SIDE]: random grids of growing fineness, blown up and added."""
    total = np.zeros((SIDE, SIDE), np.float32)
    for k in range(octaves):
        n = min(SIDE, cells * 2**k)
        grid = Image.fromarray((rng.random((n, n)) * 255).astype(np.uint8))
        total += np.asarray(grid.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) / 2**k
    total -= total.min()
    return total / max(total.max(), 1e-6)


def _blend(share: np.ndarray, low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    return np.asarray(low, np.float32) * (1 - share[..., None]) + np.asarray(high, np.float32) * share[..., None]


def _colour(r: random.Random, light: tuple[float, float], rich: tuple[float, float] = (0.05, 0.6)) -> np.ndarray:
    h, s, v = r.random(), r.uniform(*rich), r.uniform(*light)
    return np.array(colorsys.hsv_to_rgb(h, s, v), np.float32) * 255


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    return x, y


def _plain(kind: str, r: random.Random, g: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    a, b = _colour(r, (0.55, 1.0)), _colour(r, (0.55, 1.0))
    if kind == "plain":
        return np.broadcast_to(a, (SIDE, SIDE, 3))
    if kind == "gradient":
        angle = r.uniform(0, 2 * np.pi)
        share = x * np.cos(angle) + y * np.sin(angle)
    else:
        share = np.hypot(x - r.random(), y - r.random())
    return _blend((share - share.min()) / (share.max() - share.min()), a, b)


def _textured(kind: str, r: random.Random, g: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    if kind == "paper":
        return _blend(_noise(g, 40, 3), _colour(r, (0.8, 0.9), (0.02, 0.15)), (250, 247, 240))
    if kind == "wood":
        rings = np.sin((x * r.uniform(6, 16) + _noise(g, 3) * r.uniform(2, 5)) * 2 * np.pi) * 0.5 + 0.5
        base = np.array(colorsys.hsv_to_rgb(r.uniform(0.05, 0.1), r.uniform(0.4, 0.7), r.uniform(0.45, 0.85))) * 255
        return _blend(0.6 * rings + 0.4 * _noise(g, 60, 2), base * 0.72, base)
    if kind == "brick":
        rows, columns = r.randint(8, 14), r.randint(4, 7)
        row = np.floor(y * rows)
        u, v = (x * columns + (row % 2) / 2) % 1, (y * rows) % 1
        joint = ((u < 0.06) | (v < 0.12)).astype(np.float32)
        base = _colour(r, (0.45, 0.8), (0.3, 0.65))
        return _blend(joint, 0, 0) + _blend(np.clip(joint, 0, 1), base, (200, 195, 188)) * (
            0.85 + 0.15 * _noise(g, 30)[..., None]
        )
    if kind == "fabric":
        n = r.randint(50, 90)
        weave = np.sin(x * n * np.pi * 2) * np.sin(y * n * np.pi * 2) * 0.5 + 0.5
        base = _colour(r, (0.4, 0.9))
        return _blend(0.7 * weave + 0.3 * _noise(g, 20), base * 0.8, base)
    if kind in ("stripes", "checks"):
        n, angle = r.randint(4, 12), r.choice((0.0, np.pi / 4, np.pi / 2))
        u = np.floor((x * np.cos(angle) + y * np.sin(angle)) * n) % 2
        if kind == "checks":
            u = (u + np.floor((y * np.cos(angle) - x * np.sin(angle)) * n)) % 2
        return _blend(u, _colour(r, (0.6, 1.0)), _colour(r, (0.6, 1.0)))
    if kind == "dots":
        n = r.randint(6, 14)
        disc = (np.hypot((x * n) % 1 - 0.5, (y * n) % 1 - 0.5) < r.uniform(0.15, 0.35)).astype(np.float32)
        return _blend(disc, _colour(r, (0.7, 1.0)), _colour(r, (0.5, 1.0)))
    base = _colour(r, (0.35, 0.75), (0.02, 0.15)) if kind == "stone" else _colour(r, (0.2, 0.45), (0.0, 0.1))
    return _blend(_noise(g, 6 if kind == "stone" else 90, 5), base * 0.65, base * 1.2)


def _photo_like(kind: str, r: random.Random, g: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    if kind == "sky":
        cloud = np.clip((_noise(g, 3, 5) - 0.45) * 2.5, 0, 1)
        return _blend(cloud, (90 + 80 * r.random(), 150 + 40 * r.random(), 225), (250, 250, 250))
    if kind == "hills":
        low = _blend(np.clip(_noise(g, 3, 4) * 0.6 + y * 0.3, 0, 1), (120, 170, 230), (245, 240, 235))
        for k in range(r.randint(2, 4)):
            ridge = 0.35 + 0.15 * k + 0.12 * (_noise(g, 4, 4)[0] - 0.5)
            tint = np.array((60 + 40 * r.random(), 110 + 50 * r.random() - 15 * k, 70 + 30 * r.random() - 10 * k))
            ground = tint * (0.8 + 0.4 * _noise(g, 40, 3)[..., None])
            low = np.where((y > ridge[None, :])[..., None], ground, low)
        return low
    if kind == "room":
        corner, wall, floor = (
            r.uniform(0.55, 0.75),
            _colour(r, (0.6, 0.9), (0.05, 0.3)),
            _colour(r, (0.35, 0.65), (0.2, 0.5)),
        )
        below = (y > corner).astype(np.float32)
        planks = 0.9 + 0.1 * np.sign(np.sin((x - 0.5) / (y - corner + 0.25) * 9))
        shade = (1 - 0.25 * np.abs(x - r.random()))[..., None]
        return _blend(below, wall, floor) * np.where(below > 0, planks, 1.0)[..., None] * shade
    if kind in ("bokeh", "night"):
        image = Image.new(
            "RGB", (SIDE, SIDE), tuple(int(v) for v in _colour(r, (0.1, 0.35) if kind == "night" else (0.4, 0.8)))
        )
        draw = ImageDraw.Draw(image)
        for _ in range(r.randint(25, 50)):
            cx, cy, radius = r.uniform(0, SIDE), r.uniform(0, SIDE), r.uniform(6, 40)
            fill = tuple(int(v) for v in _colour(r, (0.5, 1.0), (0.1, 0.7)))
            draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=fill)
        return np.asarray(image.filter(ImageFilter.GaussianBlur(r.uniform(4, 14))), np.float32)
    if kind == "water":
        waves = np.sin((y * r.uniform(10, 25) + _noise(g, 5) * 3) * 2 * np.pi) * 0.5 + 0.5
        return _blend(0.5 * waves + 0.5 * _noise(g, 8), (20, 80 + 50 * r.random(), 120), (140, 200, 215))
    base = _colour(r, (0.6, 0.95), (0.03, 0.3))
    light = 1.1 - 0.5 * np.hypot(x - r.random(), y - r.random())
    return base * (0.88 + 0.12 * _noise(g, 12, 4)[..., None]) * light[..., None]


@lru_cache(maxsize=len(KINDS) * NUMBERS)
def master(design: str) -> Image.Image:
    """The SIDE x SIDE picture of a design such as "wood-3"."""
    kind = design.rsplit("-", 1)[0]
    assert kind in KINDS, design
    r = style_seed("background", design)
    g = np.random.default_rng(r.getrandbits(64))
    make = _plain if kind in PLAIN else _textured if kind in TEXTURED else _photo_like
    return Image.fromarray(np.clip(make(kind, r, g), 0, 255).astype(np.uint8), "RGB")


@lru_cache(maxsize=64)
def designs(split: str, kinds: tuple[str, ...] = KINDS) -> tuple[str, ...]:
    """The designs of a split. Of each kind about a quarter, and at least one, belongs to evaluation."""
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"unknown kind of background {kind!r}; known are {', '.join(KINDS)}")
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; the splits are {' and '.join(SPLITS)}")
    chosen = []
    for kind in kinds:
        ranked = sorted(range(NUMBERS), key=lambda n: stable_hash("background", kind, n))
        held = [n for n in ranked if stable_hash("background", kind, n) % 100 < EVAL_DESIGNS] or ranked[:1]
        held = held[: NUMBERS // 2]
        chosen += [f"{kind}-{n}" for n in range(NUMBERS) if (n in held) == (split == "eval")]
    return tuple(chosen)


@lru_cache(maxsize=16)
def photographs(folder: str, split: str) -> tuple[str, ...]:
    """Picture files under a folder that belong to a split, by a stable hash of their names (a quarter to evaluation)."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise InputError(f"{folder} is no folder; give one that holds photographs")
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    chosen = [str(p) for p in files if (stable_hash("photograph", p.name) % 100 < EVAL_DESIGNS) == (split == "eval")]
    if not chosen:
        raise InputError(f"{folder} has no picture ({', '.join(PHOTO_SUFFIXES)}) for the split {split!r}; add some")
    return tuple(chosen)


@lru_cache(maxsize=32)
def _photograph(path: str) -> Image.Image:
    image = pictures.load(path)
    image.thumbnail((2 * SIDE, 2 * SIDE))
    return image


def faint(
    rng: random.Random,
    size: tuple[int, int],
    split: str,
    colour: tuple[int, int, int],
    share: float,
    after: np.ndarray | None = None,
) -> Image.Image:
    """A plain ground of a colour through which a design shows, 1 - `share` of it: cut out of its master as it is.

    Much cheaper than `ground`: nothing is sampled, and light, mixing and what is to come `after` (a table [3, 256], such as
    `degrade.light_table` gives) are one table.
    """
    image = master(rng.choice(designs(split)))
    width, height = min(size[0], SIDE), min(size[1], SIDE)
    x, y = rng.randrange(SIDE - width + 1), rng.randrange(SIDE - height + 1)
    image = image.crop((x, y, x + width, y + height))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    light = [rng.uniform(0.85, 1.12) * (1 - share) for _ in range(3)]
    mixed = np.array(light)[:, None] * _LEVELS + share * np.array(colour)[:, None]
    table = np.minimum(255, mixed).astype(int)
    return raster.lookup(image, table if after is None else after[_CHANNELS, table])


def ground(
    rng: random.Random, size: tuple[int, int], split: str, kinds: tuple[str, ...] = KINDS, folder: str | None = None
) -> tuple[Image.Image, str]:
    """A ground of a size in pixels and the name of its design; with `folder`, cut from one of its photographs."""
    if folder:
        path = rng.choice(photographs(folder, split))
        source, name = _photograph(path), Path(path).name
    else:
        name = rng.choice(designs(split, kinds))
        source = master(name)
    width, height = size
    share = rng.uniform(0.55, 1.0)
    w = min(source.width, source.height * width / height) * share
    h = w * height / width
    x, y = rng.uniform(0, source.width - w), rng.uniform(0, source.height - h)
    # sampled, not averaged: much faster for small cuts, and a ground may be a little rough
    cut = source.transform(size, Image.Transform.EXTENT, (x, y, x + w, y + h), Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    light = [rng.uniform(0.85, 1.12) for _ in range(3)]
    return raster.lookup(cut, np.minimum(255, np.outer(light, np.arange(256))).astype(int)), name
