"""Letters, notices, two-column articles and name cards."""

from __future__ import annotations

import random

from PIL import ImageDraw

from varco_vision.synth import strings
from varco_vision.synth.documents import sentences as s
from varco_vision.synth.documents.base import Document, Field, Flow, looks, stamp


def letter(rng: random.Random, doc: Document, split: str, text_px: tuple[int, int]) -> None:
    """Recipient, body, date and sender."""
    look = looks(doc.layout)
    style = look.choice(("text", "text", "hand"))
    flow = Flow(
        doc, rng, split, round(doc.sheet.image.width * look.uniform(0.06, 0.12)), rng.randint(*text_px), style=style
    )
    flow.leading = look.uniform(1.4, 1.9)
    ko = doc.lang == "ko"
    person, sender = strings.person(rng, doc.lang, split), strings.person(rng, doc.lang, split)
    date = strings.date_text(rng, strings.day(rng), doc.lang)
    date_first, labelled = look.random() < 0.4, look.random() < 0.5
    if date_first and flow.line(date, "field:date", align="right"):
        doc.fields.append(Field("date", date))
    if labelled:
        flow.fact("to", person, "받는 사람" if ko else "To")
    else:
        _named(flow, "to", person, "{} 님께" if ko else "Dear {},")
    flow.gap(0.6)
    reserve = flow.size * flow.leading * 2.5
    flow.bottom -= reserve
    doc.body = flow.paragraph(s.passage(rng, s.LETTER, doc.lang, split, rng.randint(3, 9)))
    flow.bottom += reserve
    flow.gap(0.6)
    if not date_first and flow.line(date, "field:date", align=look.choice(("left", "right"))):
        doc.fields.append(Field("date", date))
    if flow.line(sender, "field:from", align="right"):
        doc.fields.append(Field("from", sender))
        if look.random() < 0.4 and ko:
            word = doc.sheet.words[-1]
            stamp(rng, doc.sheet, split, sender, ((word.box[0] + word.box[2]) / 2, word.box[1]), max(8, flow.size))


def _named(flow: Flow, key: str, value: str, form: str) -> None:
    """A field inside a phrase ("김민수 님께"): the words of the value carry the role of the field."""
    before = len(flow.doc.sheet.words)
    if flow.line(form.format(value)):
        parts = set(value.split())
        for word in flow.doc.sheet.words[before:]:
            if word.text.strip(",") in parts:
                word.role = f"field:{key}"
        flow.doc.fields.append(Field(key, value))


def notice(rng: random.Random, doc: Document, split: str, text_px: tuple[int, int]) -> None:
    """A title and facts, with a sentence or two."""
    look = looks(doc.layout)
    flow = Flow(doc, rng, split, round(doc.sheet.image.width * look.uniform(0.06, 0.12)), rng.randint(*text_px))
    flow.leading = look.uniform(1.45, 1.8)
    ko = doc.lang == "ko"
    if look.random() < 0.4:
        image = doc.sheet.image
        shade = tuple(look.randint(60, 190) for _ in range(3))
        ImageDraw.Draw(image).rectangle(
            (3, 3, image.width - 4, image.height - 4), outline=shade, width=max(2, image.width // 120)
        )
    flow.gap(0.4)
    flow.titled(
        "title",
        s.sentence(rng, s.EVENTS, doc.lang, split),
        look.uniform(1.5, 2.1),
        look.choice(("middle", "middle", "left")),
    )
    flow.gap(0.5)
    if look.random() < 0.5:
        flow.rule()
    form = look.choice(("{}: {}", "■ {}: {}", "- {}: {}", "{} : {}"))
    labels = {
        "date": ("일시", "Date"), "time": ("시간", "Time"), "place": ("장소", "Place"), "target": ("대상", "For"), "fee": ("참가비", "Fee"),
        "phone": ("문의", "Contact"), "host": ("주최", "Organizer"),
    }  # fmt: skip
    values = {
        "date": strings.date_text(rng, strings.day(rng), doc.lang),
        "time": strings.time_text(rng, doc.lang),
        "place": strings.address(rng, doc.lang, split),
        "target": rng.choice(
            ("주민 누구나", "초등학생", "회원", "직원", "학부모")
            if ko
            else ("everyone", "members", "students", "parents")
        ),
        "fee": rng.choice((strings.won(rng.randint(1, 30) * 1000, doc.lang), "무료" if ko else "free")),
        "phone": strings.phone(rng),
        "host": strings.pick(rng, "company", strings.COMPANIES[doc.lang], split),
    }
    keys = look.sample(list(labels), look.randint(4, 7))
    for key in keys:
        flow.fact(key, values[key], labels[key][0 if ko else 1], form)
    flow.gap(0.5)
    doc.body = flow.paragraph(rng.choice(("많은 참여 바랍니다.", "이용에 불편을 드려 죄송합니다.", "여러분의 관심을 부탁드립니다.") if ko else ("Everyone is welcome.", "We are sorry for the inconvenience.", "Thank you for your interest.")))  # fmt: skip


def article(rng: random.Random, doc: Document, split: str, text_px: tuple[int, int]) -> None:
    """A headline over two columns of text, with an author and a date."""
    look = looks(doc.layout)
    margin = round(doc.sheet.image.width * look.uniform(0.04, 0.08))
    flow = Flow(doc, rng, split, margin, rng.randint(text_px[0], max(text_px[0], (text_px[0] + text_px[1]) // 2)))
    flow.leading = look.uniform(1.35, 1.6)
    flow.titled(
        "title", s.sentence(rng, s.HEADLINES, doc.lang, split), look.uniform(1.6, 2.3), look.choice(("left", "middle"))
    )
    author = strings.person(rng, doc.lang, split)
    _named(flow, "author", author, "{} 기자" if doc.lang == "ko" else "By {}")
    date = strings.date_text(rng, strings.day(rng), doc.lang)
    if flow.line(date, "field:date"):
        doc.fields.append(Field("date", date))
    flow.rule()
    top, gutter = flow.y, flow.size * look.uniform(1.0, 1.6)
    column = (flow.width - gutter) / 2
    bodies, used = [], set[str]()
    most = min(8, len(strings.own("sentence", s.ARTICLE[doc.lang], split)) // 2)
    for k in range(2):
        flow.left = margin + k * (column + gutter)
        flow.right = flow.left + column
        flow.y = top
        rows = max(1, int((flow.bottom - flow.y) / (flow.size * flow.leading)))
        bodies.append(flow.paragraph(s.passage(rng, s.ARTICLE, doc.lang, split, min(most, max(2, rows // 3)), used)))
    if look.random() < 0.5:
        x = round(margin + column + gutter / 2)
        ImageDraw.Draw(doc.sheet.image).line((x, top, x, flow.bottom), fill=(150, 150, 150))
    doc.body = " ".join(bodies)


def name_card(rng: random.Random, doc: Document, split: str, text_px: tuple[int, int]) -> None:
    """Company, name, job and how to reach the person."""
    look = looks(doc.layout)
    image = doc.sheet.image
    flow = Flow(doc, rng, split, round(image.width * look.uniform(0.05, 0.1)), rng.randint(*text_px))
    flow.leading = look.uniform(1.35, 1.6)
    accent = tuple(look.randint(30, 160) for _ in range(3))
    if look.random() < 0.5:
        side = look.random() < 0.5
        shape = (
            (0, 0, round(image.width * 0.03), image.height)
            if side
            else (0, image.height - round(image.height * 0.04), image.width, image.height)
        )
        ImageDraw.Draw(image).rectangle(shape, fill=accent)
    align = look.choice(("left", "left", "middle", "right"))
    company = strings.pick(rng, "company", strings.COMPANIES[doc.lang], split)
    name = strings.person(rng, doc.lang, split)
    facts = {
        "company": company,
        "name": name,
        "job": strings.pick(rng, "job", strings.JOBS[doc.lang], split),
        "phone": strings.phone(rng),
        "email": f"{''.join(rng.choice('abcdefghjkmnprstuvwxyz') for _ in range(rng.randint(3, 7)))}{rng.randint(1, 99)}@{rng.choice(('mail', 'office', 'post'))}.{rng.choice(('kr', 'com', 'net'))}",
        "address": strings.address(rng, doc.lang, split),
    }
    order = look.choice(
        (
            ("company", "name", "job", "phone", "email", "address"),
            ("name", "job", "company", "phone", "email", "address"),
            ("name", "job", "address", "phone", "email", "company"),
        )
    )
    for key in order:
        factor = {"name": look.uniform(1.4, 1.9), "company": look.uniform(1.0, 1.4)}.get(key, 1.0)
        flow.titled(key, facts[key], factor, align)
        if key in ("job", "company") and look.random() < 0.6:
            flow.gap(0.4)
