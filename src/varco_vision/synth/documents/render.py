"""From a kind of document to a picture of it: the flat page, then a scan, a photograph, or the page as it is."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from varco_vision.errors import InputError
from varco_vision.synth import backgrounds, degrade
from varco_vision.synth.documents import commerce, papers
from varco_vision.synth.documents.base import KINDS, Builder, Document, layouts, looks, turned_text
from varco_vision.synth.typeset import Sheet, faces, pick_face

BUILDERS: dict[str, Builder] = {
    "letter": papers.letter, "notice": papers.notice, "article": papers.article, "name_card": papers.name_card,
    "receipt": commerce.receipt, "price_list": commerce.price_list, "form": commerce.form,
}  # fmt: skip
LOOKS = ("flat", "scan", "photo")
_SHAPES = {
    "name_card": (1.0, 0.6),
    "receipt": (0.72, 1.0),
    "price_list": (0.85, 1.0),
}  # parts of the page's width and height
_TABLES = ("wood", "fabric", "stone", "plain", "paper", "asphalt", "stripes")


@dataclass(frozen=True)
class DocumentConfig:
    """kinds: which of `base.KINDS`. size: (width, height) choices in pixels. text_px: height of the body's writing.

    looks: which of flat, scan, photo. harm: 0..1. korean: share of Korean pages. watermark: share of pages with one.
    """

    split: str = "train"
    kinds: tuple[str, ...] = KINDS
    size: tuple[tuple[int, int], ...] = ((448, 640), (560, 720))
    text_px: tuple[int, int] = (15, 20)
    looks: tuple[str, ...] = LOOKS
    harm: float = 0.5
    korean: float = 0.7
    watermark: float = 0.12

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise InputError(f"unknown kind of document {kind!r}; known are {', '.join(KINDS)}")
        for look in self.looks:
            if look not in LOOKS:
                raise InputError(f"unknown look {look!r}; known are {', '.join(LOOKS)}")
        if not 6 <= self.text_px[0] <= self.text_px[1]:
            raise InputError(f"text_px={self.text_px} asked for; give a lower and an upper bound, at least 6 pixels")
        narrow = min(w for w, _ in self.size)
        if narrow < 12 * self.text_px[0]:
            raise InputError(
                f"pages {narrow} pixels wide cannot hold writing of {self.text_px[0]} pixels; allow smaller text_px or larger size"
            )


def page(rng: random.Random, config: DocumentConfig) -> Document:
    """A flat page of a random kind and layout. The paper is a little off white."""
    kind = rng.choice(config.kinds)
    layout = rng.choice(layouts(kind, config.split))
    lang = "ko" if rng.random() < config.korean else "en"
    width, height = rng.choice(config.size)
    share = _SHAPES.get(kind, (1.0, 1.0))
    white = rng.randint(238, 252)
    paper = tuple(min(255, white + rng.randint(-4, 3)) for _ in range(3))
    image = Image.new(
        "RGB", (round(width * share[0]), round(height * share[1] if kind != "name_card" else width * 0.58)), paper
    )
    doc = Document(kind, layout, lang, Sheet(image), config.text_px[0])
    mark = rng.random() < config.watermark and kind not in ("receipt", "name_card", "price_list")
    if mark:
        _watermark(rng, doc, config)
        doc.sheet.words.clear()
    BUILDERS[kind](rng, doc, config.split, config.text_px)
    if kind == "receipt" or rng.random() < 0.7:
        _trim(rng, doc)
    return doc


def _trim(rng: random.Random, doc: Document) -> None:
    """Cut the empty rest below the writing."""
    low = max([*(w.box[3] for w in doc.sheet.words), *(c.points[:, 1].max() for c in doc.checks)])
    image = doc.sheet.image
    height = round(low + doc.text_px * rng.uniform(1.5, 4.0))
    # kept are at least a third of the page, and what a device under the writing or a frame needs
    if image.height / 3 < height < image.height and doc.kind not in ("notice", "name_card"):
        doc.sheet.image = image.crop((0, 0, image.width, height))


def _watermark(rng: random.Random, doc: Document, config: DocumentConfig) -> None:
    """A device under the writing: rings and lines, no letters, so that what is read is what is written."""
    from PIL import ImageDraw

    w, h = doc.sheet.image.size
    draw = ImageDraw.Draw(doc.sheet.image)
    tone = tuple(rng.randint(205, 232) for _ in range(3))
    x, y, r = w * rng.uniform(0.35, 0.65), h * rng.uniform(0.4, 0.65), w * rng.uniform(0.15, 0.3)
    for k in range(rng.randint(2, 4)):
        q = r * (1 - 0.22 * k)
        draw.ellipse((x - q, y - q, x + q, y + q), outline=tone, width=max(2, round(r / 14)))
    for k in range(rng.randint(4, 12)):
        angle = 2 * np.pi * k / 12
        draw.line((x, y, x + r * np.cos(angle), y + r * np.sin(angle)), fill=tone, width=2)


def copy_mark(rng: random.Random, doc: Document, split: str) -> None:
    """The word COPY (사본) over the page in pale grey; it is part of what is written and stands last."""
    text = rng.choice(("사본", "견본", "대외비")) if doc.lang == "ko" else rng.choice(("COPY", "SAMPLE", "DRAFT"))
    w, h = doc.sheet.image.size
    font = pick_face(rng, faces(split, "text"), text)
    turned_text(
        rng,
        doc.sheet,
        text,
        font,
        round(w * 0.16),
        (w / 2, h / 2),
        rng.uniform(15, 40),
        (150, 150, 160),
        0.35,
        "watermark",
    )


@dataclass
class Shown:
    """A page as a camera or scanner shows it; points of words and check boxes are moved accordingly."""

    image: Image.Image
    doc: Document
    look: str
    warp: degrade.Warp | None
    background: str | None


def show(rng: random.Random, doc: Document, config: DocumentConfig) -> Shown:
    """The page flat, scanned (a little askew) or photographed (tilted on a table, folded, shaded)."""
    look = rng.choice(config.looks)
    flat = doc.sheet.image
    size = flat.size
    background = None
    if look == "flat":
        return Shown(degrade.jpeg(flat, rng.randint(70, 95)) if rng.random() < 0.4 else flat, doc, look, None, None)
    if look == "scan":
        angle = np.deg2rad(rng.uniform(-1.5, 1.5))
        image, warp = _askew(flat, angle, tuple(rng.randint(225, 255) for _ in range(3)))
        image = degrade.scanner(image, rng, doc.text_px, config.harm)
    else:
        if rng.random() < 0.3 * config.harm:
            flat = degrade.fold(flat, rng)
        image, background = backgrounds.ground(rng, size, config.split, _TABLES)
        corners = degrade.tilt(rng, *size, 0.25 * config.harm, turn=5 * config.harm)
        placed = degrade.fit(corners, (size[0] - 4, size[1] - 4), rng.uniform(0.93, 1.0), rng)
        moved = [(x + 2, y + 2) for x, y in placed]
        wave = None
        if rng.random() < 0.4 * config.harm:
            reach = rng.uniform(0.004, 0.012) * size[1]
            x = np.arange(size[0]) / size[0]
            wave = (np.sin(2 * np.pi * (x * rng.uniform(0.5, 1.2) + rng.random())) * 0.5 + 0.5) * reach
        warp = degrade.Warp(degrade.card(*size, moved), wave)
        image.paste(warp.image(flat, size), (0, 0), warp.image(Image.new("L", size, 255), size))
        image = degrade.camera(image, rng, doc.text_px * 0.8, config.harm)
    for word in doc.sheet.words:
        word.points = np.clip(warp.points(word.points), 0, size)
    for check in doc.checks:
        check.points = np.clip(warp.points(check.points), 0, size)
    return Shown(image, doc, look, warp, background)


def _askew(image: Image.Image, angle: float, colour: tuple[int, ...]) -> tuple[Image.Image, degrade.Warp]:
    """The page turned about its middle and made a little smaller, so that all of it stays on the glass."""
    w, h = image.size
    scale = 1 / (abs(np.cos(angle)) + abs(np.sin(angle)) * max(w / h, h / w))
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.array([[c, -s, w / 2 - c * w / 2 + s * h / 2], [s, c, h / 2 - s * w / 2 - c * h / 2], [0, 0, 1]])
    warp = degrade.Warp(matrix)
    glass = Image.new("RGB", image.size, colour)
    glass.paste(warp.image(image, image.size), (0, 0), warp.image(Image.new("L", image.size, 255), image.size))
    return glass, warp


def document(rng: random.Random, config: DocumentConfig) -> Shown:
    """A document as it is shown; a function of the stream and the config."""
    while True:
        doc = page(rng, config)
        if len(doc.fields) >= 2:  # else the page was too small for this kind
            break
    if looks(doc.layout).random() < 0.15 and doc.kind in ("notice", "form"):
        copy_mark(rng, doc, config.split)
    return show(rng, doc, config)
