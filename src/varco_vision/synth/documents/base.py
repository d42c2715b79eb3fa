"""What every document is made of: fields, items, check boxes, a flow that fills a page, stamps and watermarks.

A layout is a kind with a number, "receipt-3"; its looks (measures, order, ornaments) follow from its name, and names are
split by a stable hash.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from varco_vision.errors import InputError
from varco_vision.synth.rng import SPLITS, stable_hash
from varco_vision.synth.typeset import Colour, Sheet, Word, faces, ink, outline, pick_face, style_seed, width_of, wrap

KINDS = ("letter", "notice", "article", "receipt", "form", "price_list", "name_card")
KIND_NAMES = {
    "letter": ("편지", "letter"), "notice": ("안내문", "notice"), "article": ("신문 기사", "newspaper article"), "receipt": ("영수증", "receipt"),
    "form": ("신청서", "application form"), "price_list": ("가격표", "price list"), "name_card": ("명함", "business card"),
}  # fmt: skip
FIELD_NAMES = {
    "title": ("제목", "title"), "date": ("날짜", "date"), "time": ("시간", "time"), "place": ("장소", "place"), "host": ("주최", "organizer"),
    "phone": ("전화번호", "phone number"), "to": ("받는 사람", "recipient"), "from": ("보내는 사람", "sender"), "store": ("가게 이름", "store name"),
    "total": ("합계", "total"), "payment": ("결제 수단", "payment method"), "business": ("사업자 번호", "business number"), "name": ("이름", "name"),
    "job": ("직책", "job title"), "company": ("회사 이름", "company name"), "email": ("이메일", "email address"), "address": ("주소", "address"),
    "birthday": ("생년월일", "date of birth"), "author": ("글쓴이", "author"), "number": ("접수 번호", "reference number"),
    "fee": ("참가비", "entry fee"), "target": ("대상", "target group"),
}  # fmt: skip
COLUMN_NAMES = {
    "price": ("단가", "unit price"),
    "quantity": ("수량", "quantity"),
    "amount": ("금액", "amount"),
    "cost": ("가격", "price"),
}
LAYOUTS = 12  # of each kind
EVAL_LAYOUTS = 25  # percent


class Field(NamedTuple):
    """One fact of a page: key of `FIELD_NAMES`, its value as written; its words have the role "field:" + key."""

    key: str
    value: str


@dataclass
class Check:
    """A box to tick: its label, the group it belongs to, the square in pixels [4, 2], whether it is ticked."""

    group: str
    label: str
    points: np.ndarray
    checked: bool


@dataclass
class Document:
    """A page before any harm. items: rows of a list with their columns by name."""

    kind: str
    layout: str
    lang: str
    sheet: Sheet
    text_px: int
    fields: list[Field] = field(default_factory=list)
    items: list[dict[str, str]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    body: str = ""

    def value(self, key: str) -> str | None:
        return next((f.value for f in self.fields if f.key == key), None)


@lru_cache(maxsize=64)
def layouts(kind: str, split: str) -> tuple[str, ...]:
    """The layouts of a kind that a split uses; both splits have some."""
    if kind not in KINDS:
        raise InputError(f"unknown kind of document {kind!r}; known are {', '.join(KINDS)}")
    assert split in SPLITS
    ranked = sorted(range(LAYOUTS), key=lambda n: stable_hash("layout", kind, n))
    held = [n for n in ranked if stable_hash("layout", kind, n) % 100 < EVAL_LAYOUTS] or ranked[:1]
    held = held[: LAYOUTS // 2]
    return tuple(f"{kind}-{n}" for n in range(LAYOUTS) if (n in held) == (split == "eval"))


@dataclass
class Flow:
    """A page that is filled from the top; every method says whether there was room, and writes nothing otherwise."""

    doc: Document
    rng: random.Random
    split: str
    margin: int
    size: int
    colour: Colour = (25, 25, 25)
    style: str = "text"
    y: float = 0.0
    left: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    font: str = ""
    bold: str = ""
    leading: float = 1.45

    def __post_init__(self) -> None:
        w, h = self.doc.sheet.image.size
        self.left, self.right, self.bottom, self.y = self.margin, w - self.margin, h - self.margin, self.margin
        fonts = faces(self.split, self.style)
        self.font = pick_face(self.rng, fonts, "가나다 ABC 0123456789-:(),.")
        self.bold = pick_face(self.rng, fonts, "가나다 ABC 0123456789-:(),.")

    @property
    def width(self) -> float:
        return self.right - self.left

    def has_room(self, size: int | None = None) -> bool:
        return self.y + (size or self.size) * 1.25 <= self.bottom

    def line(
        self,
        text: str,
        role: str = "",
        size: int | None = None,
        align: str = "left",
        font: str | None = None,
        colour: Colour | None = None,
    ) -> bool:
        """One line; made smaller until it is as wide as the page at most, down to the size of the body."""
        font, size = font or self.font, size or self.size
        font = self._able(font, text)
        while size > self.size and self.doc.sheet.room(text, font, size) > self.width:
            size -= 1
        if not self.has_room(size) or self.doc.sheet.room(text, font, size) > self.width:
            return False
        write = {"left": self.doc.sheet.write, "middle": self.doc.sheet.middle, "right": self.doc.sheet.right}[align]
        x = {"left": self.left, "middle": (self.left + self.right) / 2, "right": self.right}[align]
        write(text, x, self.y + size, font, size, colour or self.colour, role)
        self.y += size * self.leading
        return True

    def _able(self, font: str, text: str) -> str:
        from varco_vision.synth.typeset import drawable

        return font if drawable(font, text) else pick_face(self.rng, faces(self.split, self.style), text)

    def paragraph(self, text: str, role: str = "") -> str:
        """Lines as far as there is room; gives the part that was written."""
        written = []
        font = self._able(self.font, text)
        for line in wrap(text, font, self.size, self.width):
            if not self.line(line, role, font=font):
                break
            written.append(line)
        return " ".join(written)

    def fact(self, key: str, value: str, label: str | None, form: str = "{}: {}", lines: int = 2) -> bool:
        """A field with its label before it ("일시: 3월 4일"); the value takes up to `lines` lines."""
        font = self._able(self.font, value + (label or ""))
        sheet, x = self.doc.sheet, self.left
        gap = max(width_of(font, self.size, " "), self.size * 0.22)
        head = form.format(label, "").rstrip() if label else ""
        start = x + (sheet.room(head, font, self.size) + gap if head else 0)
        pieces = wrap(value, font, self.size, self.right - start)
        pitch = self.size * self.leading
        fits = self.y + pitch * (len(pieces) - 1) + self.size * 1.25 <= self.bottom
        if len(pieces) > lines or not fits or any(sheet.room(p, font, self.size) > self.right - start for p in pieces):
            return False
        if head:
            sheet.write(head, x, self.y + self.size, font, self.size, self.colour, "label")
            sheet.lines -= 1
        for piece in pieces:
            sheet.write(piece, start, self.y + self.size, font, self.size, self.colour, f"field:{key}")
            self.y += pitch
        self.doc.fields.append(Field(key, value))
        return True

    def titled(self, key: str, value: str, factor: float, align: str) -> bool:
        """A field as a heading without a label."""
        if not self.line(value, f"field:{key}", round(self.size * factor), align, self.bold):
            return False
        self.doc.fields.append(Field(key, value))
        return True

    def rule(self, dashed: bool = False, colour: Colour = (90, 90, 90)) -> None:
        """A line across, where there is room for it."""
        if self.y + 4 > self.bottom:
            return
        draw = ImageDraw.Draw(self.doc.sheet.image)
        y = round(self.y + self.size * 0.2)
        if dashed:
            for x in range(int(self.left), int(self.right), 8):
                draw.line((x, y, min(x + 4, self.right), y), fill=colour)
        else:
            draw.line((self.left, y, self.right, y), fill=colour)
        self.y += self.size * 0.55

    def gap(self, lines: float) -> None:
        self.y += self.size * lines


def turned_text(
    rng: random.Random,
    sheet: Sheet,
    text: str,
    font: str,
    size: int,
    middle: tuple[float, float],
    angle: float,
    colour: Colour,
    strength: float,
    role: str,
) -> Word | None:
    """A text turned around its middle and mixed into the page with a strength of 0..1; None where it would leave it."""
    made = ink(font, size, text)
    mask = made.mask.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    box = mask.getbbox()
    assert box is not None
    mask = mask.crop(box)
    x, y = round(middle[0] - mask.width / 2), round(middle[1] - mask.height / 2)
    if x < 0 or y < 0 or x + mask.width > sheet.image.width or y + mask.height > sheet.image.height:
        return None
    sheet.image.paste(colour, (x, y), mask.point([round(v * strength) for v in range(256)]))
    word = Word(text, outline(mask, x, y), role, 10_000, mask, (x, y))
    sheet.words.append(word)
    return word


def stamp(rng: random.Random, sheet: Sheet, split: str, text: str, middle: tuple[float, float], size: int) -> None:
    """A red seal over what is written: a ring with a text inside, a little turned."""
    red = (rng.randint(180, 230), rng.randint(20, 50), rng.randint(20, 50))
    font = pick_face(rng, faces(split, "all"), text)
    made = ink(font, size, text)
    radius = max(made.mask.width, made.mask.height) * 0.5 + size * 0.5
    x, y = middle
    if x - radius < 0 or y - radius < 0 or x + radius >= sheet.image.width or y + radius >= sheet.image.height:
        return
    if turned_text(rng, sheet, text, font, size, middle, rng.uniform(-15, 15), red, 0.85, "stamp"):
        ring = Image.new("L", sheet.image.size, 0)
        shape = (x - radius, y - radius, x + radius, y + radius)
        draw = ImageDraw.Draw(ring)
        (draw.ellipse if rng.random() < 0.7 else draw.rectangle)(shape, outline=215, width=max(1, size // 7))
        sheet.image.paste(red, (0, 0), ring)


def looks(layout: str) -> random.Random:
    """The stream that decides the measures of a layout; the same for every page of it."""
    return style_seed("layout", layout)


Builder = Callable[[random.Random, Document, str, tuple[int, int]], None]  # (stream, page, split, text_px)
