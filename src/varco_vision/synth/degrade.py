"""What cameras, scanners and screens do to a picture: bending (with boxes following), light, blur, noise, JPEG.

Bends map points as they map pixels, so boxes stay exact. How much harm is done is bounded by the height of the
smallest writing, so that what should be read can be read.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from varco_vision.synth import raster

Points = np.ndarray  # float [N, 2]


def card(width: float, height: float, corners: Sequence[tuple[float, float]]) -> np.ndarray:
    """The 3 x 3 map (homography) of a width x height card to four corners, clockwise from the upper left.

    Source: P. Heckbert, "Fundamentals of Texture Mapping and Image Warping" (1989), 2.2.3.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    dx1, dx2, sx = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, sy = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    area = dx1 * dy2 - dx2 * dy1
    g, h = (sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area
    return np.array(
        (
            ((x1 - x0 + g * x1) / width, (x3 - x0 + h * x3) / height, x0),
            ((y1 - y0 + g * y1) / width, (y3 - y0 + h * y3) / height, y0),
            (g / width, h / height, 1.0),
        )
    )


@dataclass(frozen=True)
class Warp:
    """First every column sinks by `wave[column]` pixels (None: none), then the plane is mapped by `matrix`."""

    matrix: np.ndarray
    wave: np.ndarray | None = None

    def points(self, points: Points) -> Points:
        """Where points of the flat picture come to lie."""
        flat = np.array(points, float)
        if self.wave is not None:
            column = np.clip(flat[:, 0] - 0.5, 0, len(self.wave) - 1)
            flat[:, 1] += np.interp(column, np.arange(len(self.wave)), self.wave)
        spread = np.concatenate([flat, np.ones((len(flat), 1))], 1) @ self.matrix.T
        return spread[:, :2] / spread[:, 2:]

    def image(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        """The bent picture on a canvas of `size`; black (or transparent) where nothing came to lie."""
        if self.wave is not None:
            image = _sink(image, self.wave)
        inverse = np.linalg.inv(self.matrix)
        inverse /= inverse[2, 2]
        return image.transform(
            size, Image.Transform.PERSPECTIVE, inverse.ravel()[:8].tolist(), Image.Resampling.BILINEAR
        )

    def part(self, image: Image.Image, at: tuple[int, int], frame: tuple[int, int, int, int]) -> Image.Image:
        """What `image`, whose corner lies at `at` of the flat picture, shows in `frame` (left, top, right, bottom) of the bent
        one. Without a wave."""
        assert self.wave is None
        (a, b, c), (d, e, f), (g, h, i) = self.matrix.tolist()
        # the adjugate: the inverse but for a factor, which falls out at the end; nine products beat a solver at this size
        back = [
            (e * i - f * h, c * h - b * i, b * f - c * e),
            (f * g - d * i, a * i - c * g, c * d - a * f),
            (d * h - e * g, b * g - a * h, a * e - b * d),
        ]
        for k in (0, 1):  # from the corner of the image
            back[k] = tuple(own - at[k] * last for own, last in zip(back[k], back[2], strict=True))
        # pixels count from the corner of the frame
        rows = [(x, y, z + x * frame[0] + y * frame[1]) for x, y, z in back]
        numbers = [value / rows[2][2] for row in rows for value in row][:8]
        size = (frame[2] - frame[0], frame[3] - frame[1])
        return image.transform(size, Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BILINEAR)


def _sink(image: Image.Image, wave: np.ndarray) -> Image.Image:
    """Every column moved down by its part of `wave`, between pixels by linear mixing; what leaves is lost."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    rows = np.arange(height)[:, None] - wave[None, :width]
    low = np.floor(rows).astype(int)
    share = (rows - low)[..., None] if pixels.ndim == 3 else rows - low
    columns = np.arange(width)[None, :]

    def take(index: np.ndarray) -> np.ndarray:
        found = pixels[np.clip(index, 0, height - 1), columns].astype(np.float32)
        gone = (index < 0) | (index >= height)
        found[gone] = 0
        return found

    mixed = take(low) * (1 - share) + take(low + 1) * share
    return Image.fromarray(mixed.round().astype(np.uint8), image.mode)


def tilt(rng: random.Random, width: int, height: int, strength: float, turn: float = 0.0) -> list[tuple[float, float]]:
    """The four corners of a width x height card after a random tilt; strength 0..1, turn in degrees at most."""
    reach = 0.16 * strength
    corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    moved = []
    angle = np.deg2rad(rng.uniform(-turn, turn))
    for x, y in corners:
        x += rng.uniform(-reach, reach) * width
        y += rng.uniform(-reach, reach) * height
        cx, cy = x - width / 2, y - height / 2
        moved.append((cx * np.cos(angle) - cy * np.sin(angle), cx * np.sin(angle) + cy * np.cos(angle)))
    return moved


def fit(
    corners: list[tuple[float, float]], size: tuple[int, int], fill: float, rng: random.Random
) -> list[tuple[float, float]]:
    """Corners scaled and moved so that they take at most `fill` of a canvas and lie wholly inside it, at a random place."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    scale = fill * min(size[0] / width, size[1] / height)
    dx, dy = rng.uniform(0, size[0] - width * scale), rng.uniform(0, size[1] - height * scale)
    return [((x - min(xs)) * scale + dx, (y - min(ys)) * scale + dy) for x, y in corners]


_FIELD = 800  # pixels of a side of the field of noise
_STEPS = 4  # levels of noise to one of 255


@lru_cache(maxsize=1)
def _unit_noise() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((_FIELD, _FIELD, 3)).astype(np.float32)


@lru_cache(maxsize=24)
def _noise_field(level: int) -> Image.Image:
    """A fixed field of normal noise around 128 of level / `_STEPS`, from which pieces are cut."""
    return Image.fromarray(np.clip(np.rint(_unit_noise() * (level / _STEPS)) + 128, 0, 255).astype(np.uint8), "RGB")


def noise(image: Image.Image, rng: random.Random, sigma: float, grey: bool = False) -> Image.Image:
    """Normal noise of `sigma` of 255, in quarters, on every channel (the same on all where grey)."""
    field = _noise_field(round(sigma * _STEPS))
    width, height = image.size
    if max(width, height) > _FIELD * 0.7:
        times = (1 + 2 * height // _FIELD, 1 + 2 * width // _FIELD, 1)
        field = Image.fromarray(np.tile(np.asarray(field), times), "RGB")
    x, y = rng.randrange(field.width - width), rng.randrange(field.height - height)
    piece = field.crop((x, y, x + width, y + height))
    if grey:
        one = piece.getchannel(0)
        piece = Image.merge("RGB", (one, one, one))
    return ImageChops.add(image, piece, offset=-128)


LEAST_BLUR = 0.1  # standard deviation in pixels below which a blur is not seen
_FINEST = 0.82  # standard deviation in pixels up to which three pixels a side hold a blur


def soften(image: Image.Image, sigma: float) -> Image.Image:
    """Blurred by a normal curve of `sigma` pixels; a fine one by weights of the same variance on 3 x 3 pixels.

    Those cost a third of Pillow's Gaussian, whose price does not fall with its width. Below `LEAST_BLUR` nothing is done.
    """
    if sigma < LEAST_BLUR:
        return image
    if sigma > _FINEST:
        return image.filter(ImageFilter.GaussianBlur(sigma))
    side = min(sigma * sigma / 2, 1 / 3)  # (side, 1 - 2 side, side) has the variance 2 side
    row = (side, 1 - 2 * side, side)
    return image.filter(ImageFilter.Kernel((3, 3), [a * b for a in row for b in row], 1))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Through JPEG and back: Pillow's coder without the file around it."""
    assert image.mode == "RGB"
    return Image.frombytes("RGB", image.size, image.tobytes("jpeg", "RGB", quality), "jpeg", "RGB", "")


def light_table(gain: float, gamma: float, cast: Sequence[float] = (1, 1, 1)) -> np.ndarray:
    """What brightness, gamma and a colour cast by channel make of every level, integers [3, 256]."""
    curve = 255 * _LEVELS**gamma * gain
    return np.minimum(255, np.array(cast)[:, None] * curve).astype(int)


_LEVELS = np.arange(256) / 255


def light(image: Image.Image, gain: float, gamma: float, cast: Sequence[float] = (1, 1, 1)) -> Image.Image:
    """Brightness, gamma and a colour cast by channel."""
    return raster.lookup(image, light_table(gain, gamma, cast))


_RAMP, _UNIT, _DEPTHS = 4096, 16, 40  # pixels of a ramp, pixels of it to a standard deviation, steps of depth


@lru_cache(maxsize=_DEPTHS + 1)
def _ramp(step: int) -> Image.Image:
    """A line of pixels from shadow to full light along a normal curve."""
    lit = [0.5 + 0.5 * math.erf((k - _RAMP / 2) / _UNIT / math.sqrt(2)) for k in range(_RAMP)]
    line = (255 * (1 - step / _DEPTHS * (1 - np.array(lit)))).astype(np.uint8)
    return Image.fromarray(np.repeat(line[None, :, None], 3, 2))


def shade(image: Image.Image, rng: random.Random, depth: float) -> Image.Image:
    """A shadow with a soft, slanted edge over one side of the picture; depth 0..1.

    Pixels of the shadow are looked up in a ramp by how far they are from the edge: no mask to draw, blur and enlarge.
    """
    w, h = image.size
    soft = rng.uniform(1, 7) * w / 64
    middle, slope = rng.uniform(0.2, 0.8) * w, rng.uniform(-0.5, 0.5) * w
    step = _UNIT / soft if rng.random() < 0.5 else -_UNIT / soft
    line = (step, 2 * slope / h * step, _RAMP / 2 - (middle + slope) * step, 0.0, 0.0, 0.5)
    shadow = _ramp(round(depth * _DEPTHS)).transform(image.size, Image.Transform.AFFINE, line, Image.Resampling.NEAREST)
    return ImageChops.multiply(image, shadow)


def fold(image: Image.Image, rng: random.Random) -> Image.Image:
    """A crease: a dark and a bright line side by side across the paper."""
    mask = Image.new("L", image.size, 128)
    draw = ImageDraw.Draw(mask)
    width = max(1, image.width // 160)
    if rng.random() < 0.5:
        x, slant = rng.uniform(0.25, 0.75) * image.width, rng.uniform(-8, 8)
        draw.line((x, 0, x + slant, image.height), fill=96, width=width)
        draw.line((x + width, 0, x + width + slant, image.height), fill=160, width=width)
    else:
        y, slant = rng.uniform(0.25, 0.75) * image.height, rng.uniform(-8, 8)
        draw.line((0, y, image.width, y + slant), fill=96, width=width)
        draw.line((0, y + width, image.width, y + width + slant), fill=160, width=width)
    mask = mask.filter(ImageFilter.GaussianBlur(width))
    pixels = np.asarray(image, np.int16) + (np.asarray(mask, np.int16)[..., None] - 128)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")


@dataclass(frozen=True)
class Shot:
    """What a camera in a hand adds to one picture: a table of light, a shadow's depth, a blur and a noise of so many
    pixels and levels, and a quality of JPEG; None or 0 where it does not."""

    light: np.ndarray | None = None
    shadow: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    quality: int | None = None

    def last(self, image: Image.Image, rng: random.Random) -> Image.Image:
        """Noise and JPEG."""
        if self.noise:
            image = noise(image, rng, self.noise)
        return image if self.quality is None else jpeg(image, self.quality)


def shot(rng: random.Random, text_px: float, strength: float, dimmest: float = 0.0) -> Shot:
    """A random one. text_px: height of the smallest writing, pixels; strength 0..1.

    dimmest: what is left of a middle grey in the shadow at least; a picture that is darker already gets no shadow.
    """
    if strength <= 0:
        return Shot()
    table = None
    if rng.random() < 0.3 * strength:
        table = light_table(rng.uniform(0.5, 0.8), rng.uniform(1.0, 1.2), [rng.uniform(0.9, 1.0) for _ in range(3)])
    elif rng.random() < 0.5:
        table = light_table(rng.uniform(0.9, 1.1), rng.uniform(0.8, 1.15), [rng.uniform(0.92, 1.0) for _ in range(3)])
    shadow = rng.uniform(0.15, 0.5) if rng.random() < 0.3 * strength else 0.0
    if table is not None and shadow:
        shadow = max(0.0, min(shadow, 1 - dimmest * 128 / float(table[:, 128].mean())))
    return Shot(
        light=table,
        shadow=shadow,
        blur=rng.uniform(0.0, 0.035) * text_px * strength if rng.random() < 0.5 * strength else 0.0,
        noise=rng.uniform(1, 11) * strength if rng.random() < 0.6 else 0.0,
        quality=rng.randint(95 - int(50 * strength), 95) if rng.random() < 0.6 else None,
    )


def camera(
    image: Image.Image, rng: random.Random, text_px: float, strength: float, dimmest: float = 0.0
) -> Image.Image:
    """What a camera in a hand adds: light, shadow, blur, noise, JPEG; see `shot`."""
    taken = shot(rng, text_px, strength, dimmest)
    if taken.light is not None:
        image = raster.lookup(image, taken.light)
    if taken.shadow:
        image = shade(image, rng, taken.shadow)
    return taken.last(soften(image, taken.blur), rng)


def scanner(image: Image.Image, rng: random.Random, text_px: float, strength: float) -> Image.Image:
    """What a scanner adds: paleness, grey noise, a little softness, sometimes hard black and white."""
    if strength <= 0:
        return image
    if rng.random() < 0.4:
        image = image.convert("L").convert("RGB")
    image = light(image, rng.uniform(0.92, 1.06), rng.uniform(0.8, 1.2))
    if rng.random() < 0.4 * strength:
        image = soften(image, rng.uniform(0.0, 0.03) * text_px)
    if rng.random() < 0.6:
        image = noise(image, rng, rng.uniform(1, 7) * strength, grey=True)
    return jpeg(image, rng.randint(95 - int(45 * strength), 95)) if rng.random() < 0.5 else image
