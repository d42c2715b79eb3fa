"""What cameras, scanners and screens do to a picture: bending (with boxes following), light, blur, noise, JPEG.

Bends map points as they map pixels, so boxes stay exact. How much harm is done is bounded by the height of the
smallest writing, so that what should be read can be read.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Points = np.ndarray  # float [N, 2]


def homography(source: Sequence[tuple[float, float]], target: Sequence[tuple[float, float]]) -> np.ndarray:
    """The 3 x 3 map that takes four points to four points (direct linear transform)."""
    rows, right = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows, float), np.array(right, float)), 1.0).reshape(3, 3)


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


_FINEST = 0.82  # standard deviation in pixels up to which three pixels a side hold a blur


def soften(image: Image.Image, sigma: float) -> Image.Image:
    """Blurred by a normal curve of `sigma` pixels; a fine one by weights of the same variance on 3 x 3 pixels.

    Those cost a third of Pillow's Gaussian, whose price does not fall with its width. Below a tenth of a pixel nothing is done.
    """
    if sigma < 0.1:
        return image
    if sigma > _FINEST:
        return image.filter(ImageFilter.GaussianBlur(sigma))
    side = min(sigma * sigma / 2, 1 / 3)  # (side, 1 - 2 side, side) has the variance 2 side
    row = (side, 1 - 2 * side, side)
    return image.filter(ImageFilter.Kernel((3, 3), [a * b for a in row for b in row], 1))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Through JPEG and back."""
    kept = io.BytesIO()
    image.save(kept, "JPEG", quality=quality)
    return Image.open(kept).convert("RGB")


def light(image: Image.Image, gain: float, gamma: float, cast: Sequence[float] = (1, 1, 1)) -> Image.Image:
    """Brightness, gamma and a colour cast by channel."""
    curve = 255 * (np.arange(256) / 255) ** gamma * gain
    return image.point(np.minimum(255, np.outer(cast, curve)).astype(int).ravel().tolist())


def shade(image: Image.Image, rng: random.Random, depth: float) -> Image.Image:
    """A soft shadow that falls over a part of the picture; depth 0..1."""
    w, h = 64, max(8, round(64 * image.height / image.width))
    mask = Image.new("L", (w, h), 255)
    x, slope, dark = rng.uniform(0.2, 0.8) * w, rng.uniform(-0.5, 0.5) * w, int(255 * (1 - depth))
    side = rng.choice((0, w))
    ImageDraw.Draw(mask).polygon([(side, 0), (x + slope, 0), (x - slope, h), (side, h)], fill=dark)
    mask = mask.filter(ImageFilter.GaussianBlur(rng.uniform(1, 7))).resize(image.size, Image.Resampling.BILINEAR)
    return ImageChops.multiply(image, Image.merge("RGB", (mask, mask, mask)))


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


def camera(image: Image.Image, rng: random.Random, text_px: float, strength: float) -> Image.Image:
    """What a camera in a hand adds: light, blur, noise, JPEG. text_px: height of the smallest writing, pixels."""
    if strength <= 0:
        return image
    if rng.random() < 0.3 * strength:
        image = light(image, rng.uniform(0.5, 0.8), rng.uniform(1.0, 1.2), [rng.uniform(0.9, 1.0) for _ in range(3)])
    elif rng.random() < 0.5:
        image = light(image, rng.uniform(0.9, 1.1), rng.uniform(0.8, 1.15), [rng.uniform(0.92, 1.0) for _ in range(3)])
    if rng.random() < 0.3 * strength:
        image = shade(image, rng, rng.uniform(0.15, 0.5))
    if rng.random() < 0.5 * strength:
        image = soften(image, rng.uniform(0.0, 0.035) * text_px * strength)
    if rng.random() < 0.6:
        image = noise(image, rng, rng.uniform(1, 11) * strength)
    if rng.random() < 0.6:
        image = jpeg(image, rng.randint(95 - int(50 * strength), 95))
    return image


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
