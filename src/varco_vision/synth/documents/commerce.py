"""Receipts with a thermal look, price lists, and forms with check boxes."""

from __future__ import annotations

import random

import numpy as np
from PIL import ImageDraw

from varco_vision.synth import strings
from varco_vision.synth.documents.base import FIELD_NAMES, Check, Document, Field, Flow, looks, stamp
from varco_vision.synth.typeset import HAND, drawable, faces, pick_face

_GAP = 0.3  # least room between two cells of a row, in heights of type
_HEAD_GAP = 0.4


def _goods(rng: random.Random, lang: str, count: int, split: str) -> tuple[str, list[tuple[str, int]]]:
    """A shop with names and prices of what it sells; shop and names belong to the split."""
    index = 0 if lang == "ko" else 1
    sold = {k: [g for g in goods if strings.belongs("goods", g[0], split)] for k, goods in strings.GOODS.items()}
    trade = rng.choice([k for k, goods in sold.items() if len(goods) > 1])
    chosen = rng.sample(sold[trade], min(count, len(sold[trade])))
    prices = [(g[index], max(100, round(g[2] * rng.uniform(0.8, 1.3) / 100) * 100)) for g in chosen]
    return strings.shop(rng, lang, split, trade), prices


def receipt(rng: random.Random, doc: Document, split: str, text_px: tuple[int, int]) -> None:
    """Shop, items with price, quantity and amount, total and payment."""
    look = looks(doc.layout)
    faded = look.randint(20, 80)
    flow = Flow(
        doc,
        rng,
        split,
        round(doc.sheet.image.width * look.uniform(0.05, 0.09)),
        rng.randint(*text_px),
        (faded, faded, faded + 8),
    )
    flow.leading = look.uniform(1.3, 1.5)
    ko = doc.lang == "ko"
    store, rows = _goods(rng, doc.lang, rng.randint(2, 7), split)
    flow.titled("store", store, look.uniform(1.2, 1.7), "middle")
    if look.random() < 0.6:
        flow.fact(
            "business",
            f"{rng.randint(100, 999)}-{rng.randint(10, 99)}-{rng.randint(10000, 99999)}",
            "사업자" if ko else "Reg. No.",
        )
    flow.fact("phone", strings.phone(rng), "전화" if ko else "Tel")
    flow.fact("date", strings.date_text(rng, strings.day(rng), doc.lang), "날짜" if ko else "Date")
    flow.rule(dashed=look.random() < 0.6)
    columns = _columns(flow, ("품목", "단가", "수량", "금액") if ko else ("Item", "Price", "Qty", "Amount"))
    flow.rule(dashed=look.random() < 0.6)
    total = 0
    reserve = flow.size * flow.leading * 3.2
    for name, price in rows:
        quantity = rng.randint(1, 5)
        cells = (name, f"{price:,}", str(quantity), f"{price * quantity:,}")
        if flow.y + flow.size * 1.3 > flow.bottom - reserve or not _row(
            flow, columns, cells, f"item:{len(doc.items)}:"
        ):
            continue
        doc.items.append(dict(zip(("name", "price", "quantity", "amount"), cells, strict=True)))
        total += price * quantity
    flow.rule(dashed=look.random() < 0.6)
    _total(flow, "합계" if ko else "Total", strings.won(total) if ko else f"{total:,}", look.uniform(1.0, 1.3))
    cards = ("현금", "신용카드", "체크카드", "간편결제") if ko else ("cash", "credit card", "debit card", "mobile")
    flow.fact("payment", rng.choice(cards), "결제" if ko else "Paid by")
    flow.line("감사합니다" if ko else "Thank you", align="middle")
    if look.random() < 0.4 and flow.has_room():
        draw = ImageDraw.Draw(doc.sheet.image)
        x, y = flow.left, flow.y
        while x < flow.right - 3:
            width = rng.choice((1, 1, 2, 3))
            draw.rectangle((x, y, x + width - 1, min(y + flow.size * 1.4, flow.bottom)), fill=flow.colour)
            x += width + rng.choice((1, 2, 3))


def _columns(flow: Flow, heads: tuple[str, ...]) -> list[float]:
    """The right ends of the columns behind the first, and the heads written over them."""
    ends = [flow.left + flow.width * share for share in (0.6, 0.74, 1.0)]
    sheet = flow.doc.sheet
    lacking = sheet.room(heads[2], flow.font, flow.size) + _HEAD_GAP * flow.size - (ends[1] - ends[0])
    if lacking > 0:  # on narrow paper the heads of price and quantity would be read as one word
        ends[0], ends[1] = ends[0] - lacking / 2, ends[1] + lacking / 2
    sheet.write(heads[0], flow.left, flow.y + flow.size, flow.font, flow.size, flow.colour, "head")
    for head, end in zip(heads[1:], ends, strict=True):
        sheet.lines -= 1
        sheet.right(head, end, flow.y + flow.size, flow.font, flow.size, flow.colour, "head")
    flow.y += flow.size * flow.leading
    return ends


def _row(flow: Flow, ends: list[float], cells: tuple[str, ...], role: str) -> bool:
    """One row of a list; nothing is written where a cell would run into the next."""
    sheet, font = flow.doc.sheet, flow.font
    if not drawable(font, "".join(cells)):
        font = pick_face(flow.rng, faces(flow.split, flow.style), " ".join(cells))
    widths = [sheet.room(c, font, flow.size) for c in cells]
    starts = [end - w for end, w in zip(ends, widths[1:], strict=True)]
    gap = flow.size * _GAP
    edges = [flow.left + widths[0], *ends]
    if any(start < edge + gap for start, edge in zip(starts, edges[:-1], strict=True)):
        return False
    names = ("name", "price", "quantity", "amount") if len(cells) == 4 else ("name", "cost")
    sheet.write(cells[0], flow.left, flow.y + flow.size, font, flow.size, flow.colour, role + names[0])
    for cell, start, name in zip(cells[1:], starts, names[1:], strict=True):
        sheet.lines -= 1
        sheet.write(cell, start, flow.y + flow.size, font, flow.size, flow.colour, role + name)
    flow.y += flow.size * flow.leading
    return True


def _total(flow: Flow, label: str, value: str, factor: float) -> None:
    size = round(flow.size * factor)
    sheet = flow.doc.sheet
    if (
        not flow.has_room(size)
        or sheet.room(label, flow.font, size) + sheet.room(value, flow.font, size) + size > flow.width
    ):
        size = flow.size
    if not flow.has_room(size):
        return
    sheet.write(
        label,
        flow.left,
        flow.y + size,
        flow.bold if drawable(flow.bold, label) else flow.font,
        size,
        flow.colour,
        "label",
    )
    sheet.lines -= 1
    sheet.right(value, flow.right, flow.y + size, flow.font, size, flow.colour, "field:total")
    flow.doc.fields.append(Field("total", value))
    flow.y += size * flow.leading


def price_list(rng: random.Random, doc: Document, split: str, text_px: tuple[int, int]) -> None:
    """What a shop sells, with prices."""
    look = looks(doc.layout)
    image = doc.sheet.image
    dark = look.random() < 0.3
    if dark:
        image.paste(tuple(look.randint(20, 60) for _ in range(3)), (0, 0, *image.size))
    colour = (240, 238, 228) if dark else tuple(look.randint(10, 70) for _ in range(3))
    flow = Flow(doc, rng, split, round(image.width * look.uniform(0.07, 0.13)), rng.randint(*text_px), colour)
    flow.leading = look.uniform(1.5, 1.9)
    ko = doc.lang == "ko"
    store, goods = _goods(rng, doc.lang, rng.randint(3, 10), split)
    flow.titled("store", store, look.uniform(1.5, 2.1), "middle")
    flow.line("가격표" if ko else look.choice(("Price List", "Prices")), "head", align="middle")
    flow.rule(colour=colour)
    sign = look.random() < 0.25
    for name, price in goods:
        text = strings.won(price, doc.lang, sign) if ko or sign else f"{price:,}"
        if not flow.has_room() or not _row(flow, [flow.right], (name, text), f"item:{len(doc.items)}:"):
            continue
        doc.items.append({"name": name, "cost": text})
        if look.random() < 0.3:
            flow.rule(dashed=True, colour=colour)
    flow.gap(0.4)
    if look.random() < 0.7:
        flow.fact("phone", strings.phone(rng), "배달 문의" if ko else "Call")


_GROUPS = {
    "ko": {"신청 과목": ("요가", "수영", "미술", "피아노", "바둑", "서예"), "희망 요일": ("월요일", "화요일", "수요일", "목요일", "금요일"), "수강 시간": ("오전", "오후", "저녁"), "안내 방법": ("문자", "전화", "우편")},
    "en": {"Course": ("Yoga", "Swimming", "Painting", "Piano", "Chess"), "Day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"), "Hours": ("Morning", "Afternoon", "Evening"), "Contact by": ("Text", "Phone", "Post")},
}  # fmt: skip


def form(rng: random.Random, doc: Document, split: str, text_px: tuple[int, int]) -> None:
    """Fields filled in by hand and boxes to tick."""
    look = looks(doc.layout)
    ko = doc.lang == "ko"
    flow = Flow(doc, rng, split, round(doc.sheet.image.width * look.uniform(0.06, 0.1)), rng.randint(*text_px))
    flow.leading = look.uniform(1.6, 2.0)
    titles = (
        ("수강 신청서", "회원 가입 신청서", "도서관 이용 신청서", "행사 참가 신청서")
        if ko
        else ("Course Application", "Membership Form", "Library Card Form", "Event Registration")
    )
    flow.titled("title", look.choice(titles), look.uniform(1.4, 1.9), "middle")
    flow.gap(0.4)
    values = {
        "number": f"{rng.randint(2020, 2029)}-{rng.randint(1, 9999):04d}",
        "name": strings.person(rng, doc.lang, split),
        "birthday": strings.date_text(rng, strings.birthday(rng), doc.lang),
        "phone": strings.phone(rng),
        "address": strings.address(rng, doc.lang, split),
    }
    ink = look.choice(((25, 45, 150), (30, 30, 35), (20, 70, 140)))
    for key in look.sample(list(values), look.randint(3, 5)):
        _filled(flow, key, values[key], FIELD_NAMES[key][0 if ko else 1].capitalize(), ink)
    groups = _GROUPS[doc.lang]
    for group in look.sample(list(groups), look.randint(1, 3)):
        options = rng.sample(groups[group], min(len(groups[group]), rng.randint(2, 5)))
        _checks(rng, flow, group, options, ink, mark=look.choice(("tick", "cross", "fill")))
    date = strings.date_text(rng, strings.day(rng), doc.lang)
    flow.gap(0.3)
    if flow.line(date, "field:date", align="right"):
        doc.fields.append(Field("date", date))
        if ko and look.random() < 0.4:
            box = doc.sheet.words[-1].box
            stamp(rng, doc.sheet, split, "접수", (box[0], box[3]), max(8, round(flow.size * 1.1)))


def _filled(flow: Flow, key: str, value: str, label: str, colour: tuple[int, int, int]) -> None:
    """A label, a line, and the value written on it by hand."""
    sheet, size = flow.doc.sheet, flow.size
    start = flow.left + max(flow.width * 0.26, sheet.room(label, flow.font, size) + size)
    font = pick_face(flow.rng, faces(flow.split, "hand"), value)
    by_hand = round(
        size * (1.3 if HAND.search(font.rsplit("/", 1)[-1]) else 1.0)
    )  # written faces are small for their size
    if not flow.has_room() or start + sheet.room(value, font, by_hand) > flow.right:
        return
    sheet.write(label, flow.left, flow.y + size, flow.font, size, flow.colour, "label")
    sheet.lines -= 1
    y = round(flow.y + size * 1.22)
    ImageDraw.Draw(sheet.image).line((start - size * 0.2, y, flow.right, y), fill=(160, 160, 160))
    sheet.write(value, start, flow.y + size, font, by_hand, colour, f"field:{key}")
    flow.doc.fields.append(Field(key, value))
    flow.y += size * flow.leading


def _checks(
    rng: random.Random, flow: Flow, group: str, options: list[str], colour: tuple[int, int, int], mark: str
) -> None:
    """A group of boxes behind its name, some of them ticked (perhaps none)."""
    sheet, size = flow.doc.sheet, flow.size
    if not flow.has_room() or not drawable(flow.font, group + "".join(options)):
        return
    sheet.write(group, flow.left, flow.y + size, flow.font, size, flow.colour, "label")
    sheet.lines -= 1
    x = flow.left + max(flow.width * 0.26, sheet.room(group, flow.font, size) + size)
    start, square = x, round(size * 0.8)
    draw = ImageDraw.Draw(sheet.image)
    for option in options:
        room = square + size * 0.35 + sheet.room(option, flow.font, size)
        if x + room > flow.right:
            flow.y += size * flow.leading
            x = start
            sheet.lines += 1
            if not flow.has_room() or x + room > flow.right:
                break
        top = flow.y + size * 0.2
        draw.rectangle((x, top, x + square, top + square), outline=flow.colour, width=max(1, size // 14))
        checked = rng.random() < 0.4
        if checked:
            _mark(draw, mark, x, top, square, colour)
        corners = np.array([(x, top), (x + square, top), (x + square, top + square), (x, top + square)], float)
        flow.doc.checks.append(Check(group, option, corners, checked))
        sheet.write(option, x + square + size * 0.35, flow.y + size, flow.font, size, flow.colour, "option")
        sheet.lines -= 1
        x += room + size * 0.8
    sheet.lines += 1
    flow.y += size * flow.leading


def _mark(draw: ImageDraw.ImageDraw, mark: str, x: float, y: float, side: float, colour: tuple[int, int, int]) -> None:
    width = max(2, round(side / 6))
    if mark == "tick":
        draw.line(
            [(x + side * 0.15, y + side * 0.5), (x + side * 0.42, y + side * 0.85), (x + side * 1.0, y - side * 0.05)],
            fill=colour,
            width=width,
        )
    elif mark == "cross":
        draw.line((x + 2, y + 2, x + side - 2, y + side - 2), fill=colour, width=width)
        draw.line((x + side - 2, y + 2, x + 2, y + side - 2), fill=colour, width=width)
    else:
        draw.rectangle((x + 2, y + 2, x + side - 2, y + side - 2), fill=colour)
