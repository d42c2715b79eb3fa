"""Questions on documents: fields, rows of lists, boxes that are ticked."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from varco_vision.bench.draft import Picture
from varco_vision.bench.items import four_of, numbers_around
from varco_vision.synth import strings
from varco_vision.synth.documents import sentences as s
from varco_vision.synth.documents.base import COLUMN_NAMES, FIELD_NAMES, KIND_NAMES, Document
from varco_vision.synth.documents.render import Shown
from varco_vision.synth.documents.source import Documents, Paper

SPLIT = "eval"
DIGITAL = ("notice", "receipt", "price_list", "name_card", "article")
HANDWRITTEN = ("form",)  # what is asked about is filled in by hand
WEEKDAY = re.compile(r"\([월화수목금토일]\)$")  # would tell the right date to whoever reckons
ASKS = {
    "date": "언제입니까?", "time": "언제입니까?", "birthday": "언제입니까?", "place": "어디입니까?", "address": "어디입니까?",
    "total": "얼마입니까?", "fee": "얼마입니까?", "to": "누구입니까?", "from": "누구입니까?", "author": "누구입니까?", "phone": "몇 번입니까?",
}  # fmt: skip
MONEY = ("price", "cost", "amount")


def _fresh(key: str, doc: Document) -> Callable[[random.Random], str] | None:
    """How another value of a field is drawn: as the right one was, so that nothing but the picture tells which is right."""
    ko = "ko"
    if key in ("name", "to", "from", "author"):
        return lambda rng: strings.person(rng, ko, SPLIT)
    if key in ("place", "address"):
        return lambda rng: strings.address(rng, ko, SPLIT)
    if key == "company":
        return lambda rng: strings.pick(rng, "company", strings.COMPANIES[ko], SPLIT)
    if key == "job":
        return lambda rng: rng.choice(strings.JOBS[ko])
    if key == "host":
        return lambda rng: strings.pick(rng, "company", strings.COMPANIES[ko], SPLIT)
    if key == "store":
        return lambda rng: strings.shop(rng, ko, SPLIT)
    if key == "title" and doc.kind in ("notice", "article"):
        texts = s.EVENTS if doc.kind == "notice" else s.HEADLINES
        return lambda rng: s.sentence(rng, texts, ko, SPLIT)
    if key in ("date", "birthday"):
        draw = strings.day if key == "date" else strings.birthday
        return lambda rng: strings.date_text(rng, draw(rng), ko)
    if key == "time":
        return lambda rng: strings.time_text(rng, ko)
    if key == "target":
        return lambda rng: rng.choice(("주민 누구나", "초등학생", "회원", "직원", "학부모"))
    if key == "payment":
        return lambda rng: rng.choice(("현금", "신용카드", "체크카드", "간편결제"))
    return None


def _shape(text: str) -> str:
    """The form of a value: digits as 0, so that dates and times are compared with their like."""
    return re.sub(r"\d+", "0", WEEKDAY.sub("", text))


def others(rng: random.Random, key: str, value: str, doc: Document) -> list[str]:
    """Wrong values of a field: of the same kind on the same page first, then changed digits or freshly drawn ones."""
    here = [WEEKDAY.sub("", f.value) for f in doc.fields if f.key != key and _alike(f.key, key)]
    if key in ("phone", "number", "business", "total", "fee"):
        head, mark, tail = value.partition("-")  # an area code or a year would be known to be one
        return [head + mark + text for text in four_of(rng, tail)] if mark else four_of(rng, value)
    draw = _fresh(key, doc)
    if draw is None:
        return []
    found: list[str] = here
    for _ in range(400):
        text = WEEKDAY.sub("", draw(rng))
        numeric = key in ("date", "birthday", "time")
        told = {_shape(known) for known in (value, *found)}
        if text not in (value, *found) and (_shape(text) == _shape(value) if numeric else _shape(text) not in told):
            found.append(text)
        if len(found) >= 3:
            break
    return found


_PEOPLE = {"name", "to", "from", "author"}


def _alike(a: str, b: str) -> bool:
    return {a, b} <= _PEOPLE or {a, b} <= {"company", "host"} or {a, b} <= {"date", "birthday"}


def picture(source: Documents, shown: Shown, rng: random.Random, index: int) -> Picture:
    """Everything that can be asked about a page."""
    doc = shown.doc
    look = "handwritten" if doc.kind in HANDWRITTEN else "digital"
    made = Picture(shown.image, "documents", look, index)
    paper = Paper(shown, rng, source.speaker, source.digits)
    made.short, made.caption = paper.caption("ko", False).answer, paper.caption("ko", True).answer
    kind = KIND_NAMES[doc.kind][0]
    made.facts = tuple(f"{FIELD_NAMES[f.key][0]}: {f.value}" for f in doc.fields)
    made.facts += tuple(map(_row, doc.items))
    if doc.kind in DIGITAL:  # forms and letters would be right always or never
        wrong = [KIND_NAMES[other][0] for other in DIGITAL if other != doc.kind]
        made.add("doc_kind", "이 문서의 종류는 무엇입니까?", kind, rng.sample(wrong, 3), "이 문서는 {right}입니다.")
    # on forms the date is printed and often lies under a stamp
    fields = [
        f for f in doc.fields if not f.value.startswith("무료") and not (look == "handwritten" and f.key == "date")
    ]
    for f in rng.sample(fields, len(fields)):
        value = WEEKDAY.sub("", f.value)
        made.add(
            "doc_field", "이 {kind}에 적힌 {field|은/는} {ask}", value, others(rng, f.key, value, doc), "이 {kind}에 적힌 {field|은/는} {right}입니다.",
            kind=kind, field=FIELD_NAMES[f.key][0], ask=ASKS.get(f.key, "무엇입니까?"),
        )  # fmt: skip
    _items(made, doc, rng, kind)
    _checks(made, doc, rng)
    return made


def _money(text: str) -> str:
    return text if "원" in text or "₩" in text else f"{text}원"


def _number(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def _row(item: dict[str, str]) -> str:
    """A row of a list in words: "스콘: 단가 4,200원, 수량 4개, 금액 16,800원"."""
    parts = [
        f"{COLUMN_NAMES[key][0]} {_money(text) if key in MONEY else f'{text}개'}"
        for key, text in item.items()
        if key != "name"
    ]
    return f"{item['name']}: {', '.join(parts)}"


def _items(made: Picture, doc: Document, rng: random.Random, kind: str) -> None:
    names = [item["name"] for item in doc.items]
    if len(set(names)) != len(names) or len(names) < 2:
        return
    made.add(
        "doc_count", "이 {kind}에는 품목이 모두 몇 가지 적혀 있습니까?", f"{len(names)}가지", [f"{k}가지" for k in numbers_around(rng, len(names), 1)],
        "이 {kind}에는 품목이 모두 {right} 적혀 있습니다.", kind=kind,
    )  # fmt: skip
    column = rng.choice([c for c in doc.items[0] if c in MONEY])
    item = rng.choice(doc.items)
    right = _money(item[column])
    here = [_money(x[column]) for x in doc.items if x is not item]
    made.add(
        "doc_item", "{item}의 {column|은/는} 얼마입니까?", right, [*rng.sample(here, len(here)), *four_of(rng, right)],
        "{item}의 {column|은/는} {right}입니다.", item=item["name"], column=COLUMN_NAMES[column][0],
    )  # fmt: skip
    ranked = sorted(doc.items, key=lambda x: _number(x[column]), reverse=True)
    for place, word in ((0, "높은"), (-1, "낮은")):
        best = ranked[place]
        if len(ranked) >= 4 and [x[column] for x in ranked].count(best[column]) == 1:
            wrong = [x["name"] for x in rng.sample(ranked, len(ranked)) if x is not best]
            made.add(
                "doc_most", "{column|이/가} 가장 {word} 품목은 무엇입니까?", best["name"], wrong,
                "{column|이/가} 가장 {word} 품목은 {right}입니다.", column=COLUMN_NAMES[column][0], word=word,
            )  # fmt: skip


def _checks(made: Picture, doc: Document, rng: random.Random) -> None:
    for group in dict.fromkeys(check.group for check in doc.checks):
        ticked = [c.label for c in doc.checks if c.group == group and c.checked]
        empty = [c.label for c in doc.checks if c.group == group and not c.checked]
        if len(ticked) == 1 and len(empty) >= 3:
            made.add(
                "doc_checked", "{group} 항목에서 표시된 것은 무엇입니까?", ticked[0], empty, "{group} 항목에서 표시된 것은 {right}입니다.", group=group
            )  # fmt: skip
        elif len(empty) == 1 and len(ticked) >= 3:
            made.add(
                "doc_checked", "{group} 항목에서 표시되지 않은 것은 무엇입니까?", empty[0], ticked, "{group} 항목에서 표시되지 않은 것은 {right}입니다.", group=group
            )  # fmt: skip
