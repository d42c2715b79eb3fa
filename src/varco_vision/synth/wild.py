"""Text in the wild: signs, labels, banners, screens, posters, notes and bare letters, seen by a camera.

A carrier is set flat, then bent and tilted into the picture (`degrade.Warp`); words keep the outline of their ink and
so get tight boxes. Nothing leaves the picture, and no glyph is drawn that the face lacks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from varco_vision.errors import InputError
from varco_vision.synth import backgrounds, degrade
from varco_vision.synth.strings import TextStock
from varco_vision.synth.typeset import Colour, Sheet, Word, drawable, faces, ink, outline, width_of

CARRIERS = ("sign", "label", "banner", "screen", "note", "vertical", "bare", "poster")
_TRIES = 30
_STEEPEST = 1 / 8  # of a banner's width that its cloth may rise or fall; letters on steeper slopes cannot be read
DIMMEST = 0.5  # least share of its light that writing keeps where a dark picture has a shadow too


@dataclass(frozen=True)
class WildConfig:
    """size: (width, height) choices in pixels. words: fewest and most a picture. text_px: height of writing.

    harm: 0..1, how much cameras spoil. tilt: 0..1, how far carriers are tilted. carriers: which of `CARRIERS`.
    backgrounds: kinds of `backgrounds.KINDS`; photos: a folder of photographs to stand on instead.
    """

    split: str = "train"
    size: tuple[tuple[int, int], ...] = ((256, 256), (384, 256), (256, 384), (384, 384))
    words: tuple[int, int] = (1, 12)
    text_px: tuple[int, int] = (18, 48)
    harm: float = 0.6
    tilt: float = 0.5
    carriers: tuple[str, ...] = CARRIERS
    backgrounds: tuple[str, ...] = backgrounds.KINDS
    photos: str | None = None
    stock: TextStock = field(default_factory=TextStock)

    def __post_init__(self) -> None:
        low, high = self.words
        if not 1 <= low <= high <= 200:
            raise InputError(f"words={self.words} asked for; give a lower and an upper bound from 1 to 200")
        if not 6 <= self.text_px[0] <= self.text_px[1]:
            raise InputError(f"text_px={self.text_px} asked for; give a lower and an upper bound, at least 6 pixels")
        for carrier in self.carriers:
            if carrier not in CARRIERS:
                raise InputError(f"unknown carrier {carrier!r}; known are {', '.join(CARRIERS)}")
        smallest = min(min(size) for size in self.size)
        if smallest < 2 * self.text_px[0]:
            raise InputError(
                f"writing of {self.text_px[0]} pixels does not fit into pictures of {smallest}; allow smaller text_px or larger size"
            )


@dataclass
class Flat:
    """A carrier before it is bent: its picture, where it is solid, its words, the height of its writing."""

    sheet: Sheet
    alpha: Image.Image
    text_px: int
    wave: np.ndarray | None = None


def palette(rng: random.Random, dark_ground: bool) -> tuple[Colour, Colour]:
    """Ground and ink that differ by at least 100 of 255 in brightness."""
    draw = rng.random
    while True:
        dark = (int(draw() * 141), int(draw() * 141), int(draw() * 141))
        bright = (120 + int(draw() * 136), 120 + int(draw() * 136), 120 + int(draw() * 136))
        apart = [b - d for b, d in zip(bright, dark, strict=True)]
        if 0.299 * apart[0] + 0.587 * apart[1] + 0.114 * apart[2] >= 100:
            return (dark, bright) if dark_ground else (bright, dark)


def _lines(
    rng: random.Random, config: WildConfig, width: int, height: int, count: int, font_style: str
) -> tuple[list[list[str]], str, int, int]:
    """Words broken into lines that fit width x height, with face, size and line pitch in pixels."""
    words = config.stock.phrase(rng, count)
    fonts = faces(config.split, font_style)
    for _ in range(_TRIES):
        font = rng.choice(fonts)
        if all(drawable(font, word) for word in words):
            break
        words = [word if drawable(font, word) else config.stock.word(rng) for word in words]
    words = [word for word in words if drawable(font, word)]
    while not words:
        words = [word for word in config.stock.phrase(rng, 1) if drawable(font, word)]
    low, high = config.text_px
    size = min(rng.randint(low, high), height)
    while True:
        pitch = round(size * rng.uniform(1.15, 1.45))
        lines = _broken(words, font, size, width)
        room = max(1, (height - size) // pitch + 1)
        if size <= low or (len(lines) <= room and all(width_of(font, size, " ".join(line)) <= width for line in lines)):
            break
        size = max(low, int(size * 0.85))
    lines = [[w for w in line if width_of(font, size, w) <= width] for line in lines[:room]]
    lines = [line for line in lines if line]
    if not lines:
        lines = [[_short(rng, config, words[0], font, lambda word: width_of(font, size, word) <= width)]]
    return lines, font, size, pitch


def _short(rng: random.Random, config: WildConfig, word: str, font: str, fits: Callable[[str], bool]) -> str:
    """A word of the stock that fits where `word` does not; only where none is found, the beginning of `word`."""
    for _ in range(_TRIES):
        other = config.stock.word(rng)
        if fits(other) and drawable(font, other):
            return other
    while len(word) > 1 and not fits(word):
        word = word[:-1]
    return word


def _broken(words: list[str], font: str, size: int, width: int) -> list[list[str]]:
    gap = max(width_of(font, size, " "), size * 0.22)
    lines: list[list[str]] = []
    used = 0.0
    for word in words:
        w = width_of(font, size, word)
        if lines and used + gap + w <= width:
            lines[-1].append(word)
            used += gap + w
        else:
            lines.append([word])
            used = w
    return lines


def _block(
    rng: random.Random, config: WildConfig, room: tuple[int, int], count: int, style: str = "all"
) -> tuple[list[list[str]], str, int, int, int, int]:
    """Lines with their face, size, pitch and the block's width and height in pixels."""
    lines, font, size, pitch = _lines(
        rng, config, max(24, int(room[0] * 0.86)), max(12, int(room[1] * 0.82)), count, style
    )
    gap = max(width_of(font, size, " "), size * 0.22)
    width = max(sum(width_of(font, size, w) for w in line) + gap * (len(line) - 1) for line in lines)
    return lines, font, size, pitch, int(width) + 2, pitch * (len(lines) - 1) + round(size * 1.25)


def _set(rng: random.Random, sheet: Sheet, block: tuple, at: tuple[float, float], colour: Colour, align: str) -> None:
    lines, font, size, pitch, width, _ = block
    for k, line in enumerate(lines):
        text = " ".join(line)
        slack = width - sheet.room(text, font, size)
        x = at[0] + {"left": 0.0, "middle": slack / 2, "right": slack}[align]
        sheet.write(text, x, at[1] + size + k * pitch, font, size, colour)


def _board(rng: random.Random, config: WildConfig, room: tuple[int, int], count: int, kind: str) -> Flat:
    """A sign, label, banner, screen or poster: a card with a ground, perhaps a rim, and lines on it."""
    block = _block(rng, config, room, count)
    size, width, height = block[2], block[4], block[5]
    margin = round(size * rng.uniform(0.35, 0.8))
    w, h = min(room[0], width + 2 * margin), min(room[1], height + 2 * margin)
    w, h = max(w, width + 4), max(h, height + 4)
    ground, text = palette(rng, rng.random() < (0.9 if kind == "screen" else 0.4))
    image = Image.new("RGB", (w, h), ground)
    alpha = Image.new("L", (w, h), 255)
    draw = ImageDraw.Draw(image)
    if kind in ("sign", "label") and rng.random() < 0.6:
        radius = round(min(w, h) * rng.uniform(0.08, 0.3))
        alpha = Image.new("L", (w, h), 0)
        ImageDraw.Draw(alpha).rounded_rectangle((0, 0, w - 1, h - 1), radius, fill=255)
        draw.rounded_rectangle((2, 2, w - 3, h - 3), radius, outline=text, width=max(1, size // 12))
    elif kind in ("sign", "screen", "poster") and rng.random() < 0.6:
        draw.rectangle((0, 0, w - 1, h - 1), outline=tuple(c // 2 for c in ground), width=max(1, size // 8))
    if kind == "label" and rng.random() < 0.4 and h - height > 6:
        for x in range(margin, w - margin, 3):
            draw.line((x, h - 4, x, h - 2), fill=text, width=rng.choice((1, 1, 2)))
    sheet = Sheet(image)
    _set(
        rng, sheet, block, ((w - width) / 2, (h - height) / 2), text, rng.choice(("left", "middle", "middle", "right"))
    )
    return Flat(sheet, alpha, size)


def _banner(rng: random.Random, config: WildConfig, room: tuple[int, int], count: int) -> Flat:
    """Cloth that hangs through or waves: every column is lowered."""
    flat = _board(rng, config, (room[0], int(room[1] * 0.75)), count, "poster")
    w, h = flat.sheet.image.size
    reach = min(rng.uniform(0.1, 0.35) * h, (room[1] - h) * 0.9, w * _STEEPEST)
    x = np.arange(w) / max(1, w - 1)
    wave = (
        4 * x * (1 - x)
        if rng.random() < 0.6
        else np.sin(2 * np.pi * (x * rng.uniform(0.5, 1.5) + rng.random())) * 0.5 + 0.5
    )
    wave = wave * reach * rng.choice((1, -1))
    wave -= wave.min()
    taller = h + int(np.ceil(wave.max())) + 1
    for name, mode in (("image", "RGB"), ("alpha", "L")):
        old = flat.sheet.image if name == "image" else flat.alpha
        grown = Image.new(mode, (w, taller))
        grown.paste(old, (0, 0))
        if name == "image":
            flat.sheet.image = grown
        else:
            flat.alpha = grown
    flat.wave = wave
    return flat


def _note(rng: random.Random, config: WildConfig, room: tuple[int, int], count: int) -> Flat:
    """A paper note in a written face, every glyph a little off its place."""
    block = _block(rng, config, room, count, "hand")
    lines, font, size, pitch, width, height = block
    margin = round(size * 0.6)
    w, h = width + 2 * margin, height + 2 * margin
    ground = tuple(rng.randint(215, 255) for _ in range(3))
    text = rng.choice(((30, 30, 40), (25, 40, 130), (150, 25, 30), (40, 40, 40)))
    image = Image.new("RGB", (w, h), ground)
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        for y in range(margin + size + 3, h, pitch):
            draw.line((0, y, w, y), fill=(150, 180, 220))
    sheet = Sheet(image)
    gap = max(width_of(font, size, " "), size * 0.22)
    for k, line in enumerate(lines):
        x = float(margin)
        for part in line:
            x = _by_hand(rng, sheet, part, x, margin + size + k * pitch, font, size, text) + gap
        sheet.lines += 1
    return Flat(sheet, Image.new("L", (w, h), 255), size)


def _by_hand(
    rng: random.Random, sheet: Sheet, word: str, x: float, base: float, font: str, size: int, colour: Colour
) -> float:
    """A word glyph by glyph, each a little turned and shifted; gives the pen behind it."""
    w, h = sheet.image.size
    points = []
    layer = Image.new("L", (w, h), 0)
    for character in word:
        made = ink(font, size, character)
        turned = made.mask.rotate(rng.uniform(-6, 6), Image.Resampling.BILINEAR, expand=True)
        turned = turned.crop(turned.getbbox())
        px = min(max(0, round(x) + made.left), w - turned.width)
        py = min(max(0, round(base + rng.uniform(-0.05, 0.05) * size) + made.top), h - turned.height)
        sheet.image.paste(colour, (px, py), turned)
        layer.paste(255, (px, py), turned)
        points.append(outline(turned, px, py))
        x += made.advance
    box = layer.getbbox()
    assert box is not None
    sheet.words.append(Word(word, np.concatenate(points), "", sheet.lines, layer.crop(box), (box[0], box[1])))
    return x


def _vertical(rng: random.Random, config: WildConfig, room: tuple[int, int], count: int) -> Flat:
    """Writing from the top down; with several columns, the first stands on the right."""
    lines, font, size, _ = _lines(rng, config, max(24, int(room[1] * 0.8)), max(12, int(room[0] * 0.8)), count, "all")
    step, column = round(size * 1.08), round(size * 1.5)
    most = max(2, int(room[1] * 0.9) // step)
    columns: list[list[str]] = [[]]
    words = [word for line in lines for word in line]
    whole = [word for word in words if len(word) <= most]  # Latin words are longer standing than lying
    for word in whole or [_short(rng, config, words[0], font, lambda word: len(word) <= most)]:
        used = sum(len(w) for w in columns[-1]) + len(columns[-1]) * 0.5
        if columns[-1] and used + len(word) > most:
            columns.append([])
        columns[-1].append(word)
    columns = columns[: max(1, int(room[0] * 0.9) // column)]
    longest = max(sum(len(w) for w in c) + 0.5 * (len(c) - 1) for c in columns)
    margin = round(size * 0.3)
    w, h = column * len(columns) + 2 * margin, round(longest * step) + 2 * margin
    ground, text = palette(rng, rng.random() < 0.5)
    image = Image.new("RGB", (w, h), ground)
    if rng.random() < 0.5:
        ImageDraw.Draw(image).rectangle((0, 0, w - 1, h - 1), outline=text, width=max(1, size // 12))
    sheet = Sheet(image)
    for k, words in enumerate(columns):
        x, y = w - margin - (k + 0.5) * column, float(margin)
        for word in words:
            y = _stack(sheet, word, x, y, font, size, step, text) + 0.5 * step
        sheet.lines += 1
    return Flat(sheet, Image.new("L", (w, h), 255), size)


def _stack(sheet: Sheet, word: str, x: float, y: float, font: str, size: int, step: int, colour: Colour) -> float:
    """One word downwards, every glyph in the middle of its cell; gives the height below it."""
    points = []
    w, h = sheet.image.size
    layer = Image.new("L", (w, h), 0)
    for character in word:
        made = ink(font, size, character)
        px = min(max(0, round(x - made.mask.width / 2)), w - made.mask.width)
        py = min(max(0, round(y + (step - made.mask.height) / 2)), h - made.mask.height)
        sheet.image.paste(colour, (px, py), made.mask)
        layer.paste(255, (px, py), made.mask)
        points.append(outline(made.mask, px, py))
        y += step
    box = layer.getbbox()
    assert box is not None
    sheet.words.append(Word(word, np.concatenate(points), "", sheet.lines, layer.crop(box), (box[0], box[1])))
    return y


def _bare(rng: random.Random, config: WildConfig, room: tuple[int, int], count: int) -> Flat:
    """Letters straight on the ground, rimmed so that they stand out on anything."""
    block = _block(rng, config, room, count)
    size, width, height = block[2], block[4], block[5]
    margin = max(4, size // 6)
    w, h = width + 2 * margin, height + 2 * margin
    rim, text = palette(rng, rng.random() < 0.5)
    letters = Sheet(Image.new("RGB", (w, h), text))
    _set(rng, letters, block, (margin, margin), text, "left")
    mask = Image.new("L", (w, h), 0)
    for word in letters.words:
        assert word.mask is not None
        mask.paste(255, word.place, word.mask)
    wide = mask.filter(ImageFilter.MaxFilter(3 if size < 18 else 5 if size < 40 else 7))
    image = Image.new("RGB", (w, h), rim)
    image.paste(text, (0, 0), mask)
    letters.image = image
    return Flat(letters, wide, size)


def carrier(rng: random.Random, config: WildConfig, room: tuple[int, int], count: int, kind: str) -> Flat:
    """A flat carrier of a kind that fits into `room` (width, height), with up to `count` words."""
    if kind == "banner":
        return _banner(rng, config, room, count)
    if kind == "note":
        return _note(rng, config, room, count)
    if kind == "vertical":
        return _vertical(rng, config, room, count)
    if kind == "bare":
        return _bare(rng, config, room, count)
    return _board(rng, config, room, count, kind)


@dataclass
class WildPicture:
    """The picture, its words in reading order with boxes in pixels of it, and how it was made."""

    image: Image.Image
    words: list[Word]
    carriers: list[str]
    background: str
    layers: list[tuple[Flat, degrade.Warp, int]] = field(
        default_factory=list, repr=False
    )  # with the first word's index


def _regions(rng: random.Random, size: tuple[int, int], most: int, least_px: int) -> list[tuple[int, int, int, int]]:
    """The whole picture, or halves of it, in reading order: left, top, width, height."""
    w, h = size
    halves = [[(0, 0, w // 2, h), (w // 2, 0, w - w // 2, h)]] if w // 2 >= 5 * least_px else []
    halves += [[(0, 0, w, h // 2), (0, h // 2, w, h - h // 2)]] if h // 2 >= 3 * least_px else []
    if most < 2 or not halves or rng.random() < 0.55:
        return [(0, 0, w, h)]
    return rng.choice(halves)


def wild_picture(rng: random.Random, config: WildConfig) -> WildPicture:
    """A picture with text in the wild; a function of the stream and the config."""
    size = rng.choice(config.size)
    image, background = backgrounds.ground(rng, size, config.split, config.backgrounds, config.photos)
    total = rng.randint(*config.words)
    picture = WildPicture(image, [], [], background)
    regions = _regions(rng, size, total, config.text_px[0])
    smallest = float(config.text_px[1])
    for k, (x, y, w, h) in enumerate(regions):
        count = max(1, total // len(regions) if k else total - total // len(regions) * (len(regions) - 1))
        kind = rng.choice(config.carriers)
        flat = carrier(rng, config, (w - 8, h - 8), count, kind)
        warp = _place(rng, config, flat, (x, y, w, h))
        _paint(rng, picture.image, flat, warp, shadow=kind != "bare" and rng.random() < 0.5)
        picture.layers.append((flat, warp, len(picture.words)))
        for word in flat.sheet.words:
            picture.words.append(Word(word.text, warp.points(word.points), kind, k * 100 + word.line))
        picture.carriers.append(kind)
        scale = np.sqrt(abs(np.linalg.det(warp.matrix[:2, :2])))
        smallest = min(smallest, float(flat.text_px * scale))
    picture.image = degrade.camera(picture.image, rng, smallest, config.harm, DIMMEST)
    return picture


def _place(rng: random.Random, config: WildConfig, flat: Flat, region: tuple[int, int, int, int]) -> degrade.Warp:
    """How the flat carrier comes to lie in a region (left, top, width, height) of the picture."""
    x, y, w, h = region
    fw, fh = flat.sheet.image.size
    corners = degrade.tilt(rng, fw, fh, config.tilt, turn=14 * config.tilt)
    xs, ys = [p[0] for p in corners], [p[1] for p in corners]
    fill = min((w - 4) / (max(xs) - min(xs)), (h - 4) / (max(ys) - min(ys)), 1.0)
    # at its own size where there is room for it, otherwise as large as the region allows
    span = min((w - 4) / (max(xs) - min(xs)), (h - 4) / (max(ys) - min(ys)))
    placed = degrade.fit(corners, (w - 4, h - 4), fill / span, rng)
    moved = [(px + x + 2, py + y + 2) for px, py in placed]
    return degrade.Warp(degrade.card(fw, fh, moved), flat.wave)


def _paint(rng: random.Random, image: Image.Image, flat: Flat, warp: degrade.Warp, shadow: bool) -> None:
    alpha = warp.image(flat.alpha, image.size)
    if shadow:
        soft = alpha.filter(ImageFilter.GaussianBlur(4)).point([v // 3 for v in range(256)])
        image.paste((0, 0, 0), (rng.randint(1, 5), rng.randint(1, 6)), soft)
    image.paste(warp.image(flat.sheet.image, image.size), (0, 0), alpha)
