"""What is asked about documents, and their source."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from varco_vision.geometry import Box
from varco_vision.markup import Object, write
from varco_vision.synth.asking import QA, Asked, Asks, Made, as_list, both, readable, relative
from varco_vision.synth.documents.base import COLUMN_NAMES, FIELD_NAMES, KIND_NAMES
from varco_vision.synth.documents.render import DocumentConfig, Shown, document
from varco_vision.synth.korean import fill, josa
from varco_vision.synth.phrasing import Speaker
from varco_vision.synth.templates import pages as t
from varco_vision.synth.typeset import Word, union
from varco_vision.synth.wild_source import reading_asks, settings, word_list

OPTIONS = tuple(f.name for f in fields(DocumentConfig) if f.name != "split")
ABSENT = {"ko": "문서에 {name|이/가} 적혀 있지 않습니다.", "en": "The document does not give the {name}."}
NONE_CHECKED = {"ko": "표시된 항목이 없습니다.", "en": "Nothing is checked."}
MOST_READ = 80  # words that are asked for at once


def _name(key: str, lang: str) -> str:
    return FIELD_NAMES[key][0 if lang == "ko" else 1]


class Paper:
    """A shown document with its questions."""

    def __init__(self, shown: Shown, rng: random.Random, speaker: Speaker, digits: int) -> None:
        self.shown, self.rng, self.speaker, self.digits = shown, rng, speaker, digits
        self.doc, self.size = shown.doc, shown.image.size
        self.words = [w for w in self.doc.sheet.words]

    def say(self, wording: Any, lang: str, **values: object) -> str:
        return self.speaker.say(self.rng, wording, lang, **values)

    def box(self, role: str) -> Box | None:
        words = [w for w in self.words if w.role == role]
        return relative(union(words), self.size) if words else None

    def kind(self, lang: str) -> QA:
        k = 0 if lang == "ko" else 1
        answer = KIND_NAMES[self.doc.kind][k]
        wrong = tuple(n[k] for kind, n in KIND_NAMES.items() if kind != self.doc.kind)
        return QA(
            "vqa", "document_kind", lang, self.say(t.KIND_OF, lang), answer, {}, wrong, KIND_NAMES[self.doc.kind][1 - k]
        )

    def field(self, lang: str, key: str, value: str) -> QA:
        wrong = tuple(f.value for f in self.doc.fields if f.key != key)
        box = self.box(f"field:{key}")
        gold: dict[str, Any] = {"field": key}
        if box:
            gold["boxes"] = [as_list(box)]
        return QA("vqa", "field", lang, self.say(t.FIELD, lang, field=_name(key, lang)), value, gold, wrong)

    def field_where(self, lang: str, key: str, value: str) -> QA | None:
        box = self.box(f"field:{key}")
        if box is None or "<" in value:
            return None
        text = "<gro>\n" + self.say(t.FIELD_WHERE, lang, field=_name(key, lang))
        answer = write([Object(value, (box,))], self.digits)
        others = tuple(
            write([Object(value, (b,))], self.digits)
            for f in self.doc.fields
            if f.key != key and (b := self.box(f"field:{f.key}"))
        )
        return QA("grounding", "field", lang, text, answer, {"boxes": [as_list(box)], "phrase": value}, others)

    def field_absent(self, lang: str, key: str) -> QA:
        name = _name(key, lang)
        wrong = tuple(f.value for f in self.doc.fields)
        return QA(
            "vqa",
            "absent",
            lang,
            self.say(t.FIELD, lang, field=name),
            fill(ABSENT[lang], name=name),
            {"field": key},
            wrong,
        )

    def item(self, lang: str, item: dict[str, str], column: str) -> QA:
        names = COLUMN_NAMES[column]
        wrong = tuple(x[column] for x in self.doc.items if x[column] != item[column])
        text = self.say(t.ITEM, lang, item=item["name"], column=names[0 if lang == "ko" else 1])
        return QA("vqa", "item", lang, text, item[column], {"item": item["name"], "column": column}, wrong)

    def count_items(self, lang: str) -> QA:
        n = len(self.doc.items)
        answer = f"{n}개" if lang == "ko" else str(n)
        wrong = tuple(answer.replace(str(n), str(x)) for x in (n - 1, n + 1, n + 2) if x >= 0)
        text = (
            self.say(t.HOW_MANY_ROWS, lang, row="상품", rows="items", unit="개")
            .replace("table", "list")
            .replace("표에", "목록에")
        )
        return QA(
            "counting",
            "items",
            lang,
            text.replace("이 표는", "이 목록은").replace("표의", "목록의"),
            answer,
            {"count": n},
            wrong,
        )

    def checked(self, lang: str, group: str) -> QA:
        labels = [c.label for c in self.doc.checks if c.group == group and c.checked]
        rest = [c.label for c in self.doc.checks if c.group == group and not c.checked]
        answer = ", ".join(labels) if labels else NONE_CHECKED[lang]
        wrong = [", ".join(rest)] if rest else []
        wrong += [", ".join([*labels, rest[0]])] if labels and rest else []
        return QA(
            "vqa", "checked", lang, self.say(t.CHECKED, lang, field=group), answer, {"group": group}, tuple(wrong)
        )

    def as_json(self, lang: str) -> QA:
        data: dict[str, Any] = {_name(f.key, lang): f.value for f in self.doc.fields}
        if self.doc.items:
            data["품목" if lang == "ko" else "items"] = [
                {
                    ("이름" if lang == "ko" else "name")
                    if k == "name"
                    else COLUMN_NAMES[k][0 if lang == "ko" else 1]: v
                    for k, v in item.items()
                }
                for item in self.doc.items
            ]
        answer = json.dumps(data, ensure_ascii=False)
        return QA(
            "vqa", "json", lang, self.say(t.AS_JSON, lang), answer, {}, (json.dumps(data, ensure_ascii=False)[:-1],)
        )

    def caption(self, lang: str, long: bool) -> QA:
        doc = self.doc
        k = 0 if lang == "ko" else 1
        name = KIND_NAMES[doc.kind][k]
        main = next((f for f in doc.fields if f.key in ("title", "store", "company", "to", "name")), doc.fields[0])
        facts = [f for f in doc.fields if f is not main] if long else []
        if lang == "ko":
            label = _name(main.key, lang)
            said = [f"{name}입니다.", f"{label}{josa(label, '은/는')} '{main.value}'입니다."]
            said += [f"{_name(f.key, lang)}{josa(_name(f.key, lang), '은/는')} '{f.value}'입니다." for f in facts]
            if long and doc.items:
                said.append(f"품목은 모두 {len(doc.items)}개입니다.")
        else:
            article = "an" if name[0] in "aeiou" else "a"
            said = [f"This is {article} {name}.", f"The {_name(main.key, lang)} is '{main.value}'."]
            said += [f"The {_name(f.key, lang)} is '{f.value}'." for f in facts]
            if long and doc.items:
                said.append(f"It lists {len(doc.items)} item{'s' if len(doc.items) > 1 else ''}.")
        wording = t.PAGE_LONG if long else t.PAGE_SHORT
        return QA("caption", "document_long" if long else "document", lang, self.say(wording, lang), " ".join(said))

    def asks(self) -> Asks:
        """Everything that can be asked, by family."""
        doc = self.doc
        absent = [key for key in FIELD_NAMES if key not in {f.key for f in doc.fields}]
        read = reading_asks(self.words, self.size, self.rng, self.speaker, self.digits, ())
        few = len(self.words) <= MOST_READ
        asks: Asks = {
            "ocr": read["ocr"] if few else [],
            "reading": read["reading"] if len(self.words) <= 40 else [],
            "referring": read["referring"],
            "grounding": [m for f in doc.fields for m in both(lambda lang, f=f: self.field_where(lang, *f))],
            "field": [m for f in doc.fields for m in both(lambda lang, f=f: self.field(lang, *f))],
            "absent": both(lambda lang: self.field_absent(lang, self.rng.choice(absent))),
            "kind": both(self.kind),
            "caption": [*both(lambda lang: self.caption(lang, False)), *both(lambda lang: self.caption(lang, True))],
            "json": both(self.as_json),
            "counting": both(self.count_items) if doc.items else [],
        }
        items = [
            (i, c) for i in doc.items for c in i if c != "name" and [x["name"] for x in doc.items].count(i["name"]) == 1
        ]
        asks["item"] = [
            m for i, c in items if readable(i["name"]) for m in both(lambda lang, i=i, c=c: self.item(lang, i, c))
        ]
        groups = dict.fromkeys(c.group for c in doc.checks)
        asks["checked"] = [m for g in groups for m in both(lambda lang, g=g: self.checked(lang, g))]
        return asks


def truth_of(shown: Shown) -> dict[str, Any]:
    """Everything that is on the page."""
    doc, size = shown.doc, shown.image.size

    def entry(w: Word) -> dict[str, Any]:
        return {**word_list([w], size)[0], "role": w.role, "line": w.line}

    return {
        "document": doc.kind, "layout": doc.layout, "look": shown.look, "background": shown.background,
        "words": [entry(w) for w in doc.sheet.words],
        "fields": {f.key: f.value for f in doc.fields}, "items": doc.items, "body": doc.body,
        "checks": [
            {"group": c.group, "label": c.label, "checked": c.checked, "box": as_list(relative((*c.points.min(0), *c.points.max(0)), size))}
            for c in doc.checks
        ],
    }  # fmt: skip


class Documents(Asked):
    """Documents. Options: those of `Asked` and of `DocumentConfig`."""

    name = "documents"
    families = {
        "ocr": 2.0, "reading": 0.5, "referring": 2.0, "grounding": 2.0, "field": 4.0, "item": 3.0, "checked": 2.0, "absent": 0.7,
        "kind": 0.7, "caption": 0.7, "json": 0.7, "counting": 0.5,
    }  # fmt: skip
    option_names = OPTIONS

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 12,
        tasks: Mapping[str, float] | None = None,
        wordings: int | None = None,
        digits: int = 2,
        choices: float = 0.1,
        turns: float = 0.1,
        truth: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(seed, split, questions, tasks, wordings, digits, choices, turns, truth)
        self.config = DocumentConfig(split=split, **settings(DocumentConfig, options, OPTIONS))

    def make(self, rng: random.Random) -> Made:
        shown = document(rng, self.config)
        return Made((shown.image,), Paper(shown, rng, self.speaker, self.digits).asks(), truth_of(shown))
