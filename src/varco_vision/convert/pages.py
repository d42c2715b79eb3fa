"""Text in pictures: ICDAR 2013 and 2015, UFO, SROIE, CORD and FUNSD.

Words become the whole page to read (`<ocr>`), words to read in a box and words to find; fields become questions.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from varco_vision.convert import wording as w
from varco_vision.convert.base import (
    Ask,
    Gallery,
    Groups,
    Settings,
    chosen,
    language,
    needed,
    numbers,
    pixel_box,
    read_json,
    sample,
)
from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.eval.readers import Region, read_pages, rows
from varco_vision.geometry import Box
from varco_vision.infer import layout
from varco_vision.infer.answer import Word
from varco_vision.markup import Chars, escape, write
from varco_vision.synth.korean import josa
from varco_vision.synth.templates import pages as p
from varco_vision.synth.templates import reading as t

LONGEST_SOUGHT = 40  # letters; longer texts are not asked for by their words


@dataclass(frozen=True)
class Field:
    """A named value of a page: the name in each language, or (quoted) as it is printed there."""

    value: str
    ko: str
    en: str
    box: Box | None = None
    printed: bool = False


@dataclass(frozen=True)
class Page:
    """A picture with its words in reading order, its fields, and its content as JSON where the set gives it."""

    id: str
    picture: Path | Any
    words: tuple[tuple[str, Box], ...]
    fields: tuple[Field, ...] = ()
    content: Any = None
    meta: dict[str, Any] = field(default_factory=dict)


def page_of(
    id_: str, picture: Path | Any, size: tuple[int, int], regions: list[Region], settings: Settings, **more: Any
) -> Page:
    """Regions in pixels as a page; those without readable text are left out and counted."""
    found = []
    for region in regions:
        text = " ".join(escape(region.text).split())
        if region.ignored or not text:
            settings.losses.drop("texts that need not be read or are empty", id_)
            continue
        box = pixel_box(region.corners, size, settings, f"{id_}: {text}")
        if box is not None:
            found.append(Word(text, box, 1.0))
    ordered = [word for line in layout.lines(found, size[0] / size[1]) for word in line]
    return Page(id_, picture, tuple((word.text, word.box) for word in ordered), **more)


class _Asker:
    def __init__(self, page: Page, lang: str, settings: Settings, form: str) -> None:
        self.page, self.lang, self.settings, self.form = page, lang, settings, form
        self.rng = settings.rng(form, page.id, lang)
        self.number = 0

    def made(self, task: str, kind: str, question: str, answer: str, **gold: Any) -> Sample:
        self.number += 1
        name = f"{self.form}-{self.page.id}-{self.lang}-{self.number}"
        return sample(name, [self.page.picture], task, self.lang, question, answer, kind=kind, **gold)

    def say(self, template: object, **values: object) -> str:
        return self.settings.speaker.say(self.rng, template, self.lang, **values)

    def read_at(self, text: str, box: Box) -> Sample:
        ref = write([Chars(self.rng.choice(t.TEXT_REFERENT[self.lang]), (box,))], self.settings.digits)
        words = [{"text": text, "box": numbers(box)}]
        return self.made("referring", "reading", self.say(t.READ_AT, ref=ref), text, boxes=[numbers(box)], words=words)

    def find(self, text: str, box: Box) -> Sample:
        values = {"text": text, "text_is": _called(text)}
        question = "<gro>\n" + self.say(t.WHERE_TEXT, **values)
        answer = write([Chars(text, (box,))], self.settings.digits)
        return self.made("grounding", "text", question, answer, boxes=[numbers(box)], phrase=text)

    def value(self, field_: Field) -> Sample:
        name = field_.ko if self.lang == "ko" else field_.en
        template = w.FIELD_VALUE if field_.printed else p.FIELD
        return self.made("vqa", "field", self.say(template, field=name), field_.value, answers=[field_.value])

    def where_value(self, field_: Field, box: Box) -> Sample:
        name = field_.ko if self.lang == "ko" else field_.en
        answer = write([Chars(field_.value, (box,))], self.settings.digits)
        question = "<gro>\n" + self.say(p.FIELD_WHERE, field=name)
        return self.made("grounding", "field", question, answer, boxes=[numbers(box)], phrase=field_.value)

    def content(self) -> Sample:
        answer = json.dumps(self.page.content, ensure_ascii=False)
        return self.made("vqa", "json", self.say(p.AS_JSON), answer)

    def group(self) -> list[Sample]:
        counts = Counter(text for text, _ in self.page.words)
        asks: list[Ask] = [partial(self.read_at, text, box) for text, box in self.page.words]
        asks += [
            partial(self.find, text, box)
            for text, box in self.page.words
            if counts[text] == 1 and len(text) <= LONGEST_SOUGHT and "'" not in text and _called(text) is not None
        ]
        asks = self.rng.sample(asks, len(asks))
        fields: list[Ask] = [partial(self.value, f) for f in self.page.fields]
        fields += [partial(self.where_value, f, f.box) for f in self.page.fields if f.box and not f.printed]
        most = self.settings.questions
        made = chosen(fields, self.rng, most - most // 3 if asks else most)  # fields first, some words always
        made += chosen(asks, self.rng, most - len(made))
        return [*made, self.content()] if self.page.content else made


def _called(text: str) -> str | None:
    """이라는 or 라는 behind a quoted text; None where it is not known how the text is read aloud."""
    try:
        return josa(text, "이라는/라는")
    except InputError:
        return None


def page_samples(page: Page, settings: Settings, form: str) -> list[Sample]:
    """The whole page to read, in the language of its words, and questions in every language asked for."""
    made = []
    if page.words:
        lang = language(" ".join(text for text, _ in page.words))
        lines = [write([Chars(text, (box,))], settings.digits) for text, box in page.words]
        gold = [{"text": text, "box": numbers(box)} for text, box in page.words]
        made.append(
            sample(
                f"{form}-{page.id}-ocr", [page.picture], "ocr", lang, "<ocr>", "\n".join(lines), kind="ocr", words=gold
            )
        )
    for asked in settings.langs:
        made += _Asker(page, asked, settings, form).group()
    return made


def _all(pages: Iterator[Page], settings: Settings, form: str) -> Groups:
    for page in pages:
        if group := page_samples(page, settings, form):
            yield group
        else:
            settings.losses.drop("pictures without a readable text", page.id)


def icdar(form: str, path: Path, settings: Settings) -> Groups:
    """ICDAR 2013 or 2015: a folder (or zip) of gt_NAME.txt; pictures NAME.jpg in it or in the folder of `images`."""
    gallery = Gallery(settings.images or (path if path.is_dir() else path.parent), settings.losses)

    def pages() -> Iterator[Page]:
        for id_, found in read_pages(path, form).items():
            if (measured := gallery.measured(id_)) is not None:
                yield page_of(id_, *measured, list(found.regions), settings)

    return _all(pages(), settings, form)


def ufo(path: Path, settings: Settings) -> Groups:
    """UFO: {"images": {name: {"img_w", "img_h", "words": {id: {"points", "transcription", "illegibility"}}}}}."""
    images = needed(read_json(path), "images", dict, str(path))
    gallery = Gallery(settings.images or path.parent, settings.losses)

    def pages() -> Iterator[Page]:
        for name, image in images.items():
            place = f"{path}: {name}"
            size = (needed(image, "img_w", int, place), needed(image, "img_h", int, place))
            words = needed(image, "words", dict, place)
            regions = [_ufo_word(word, f"{place}, word {key}") for key, word in words.items()]
            if (measured := gallery.measured(name, size)) is not None:
                yield page_of(Path(name).stem, *measured, regions, settings)

    return _all(pages(), settings, "ufo")


def _ufo_word(word: Any, place: str) -> Region:
    points = needed(word, "points", list, place)
    try:
        polygon = tuple(float(value) for point in points for value in point)
        assert len(polygon) >= 6
    except (TypeError, ValueError, AssertionError):
        raise InputError(f"{place}: 'points' is {points!r}; three or more pairs of pixels are needed") from None
    text = word.get("transcription")
    return Region(str(text or ""), polygon, bool(word.get("illegibility")) or not text)


_SROIE = {
    "company": ("회사 이름", "company name"),
    "date": ("날짜", "date"),
    "address": ("주소", "address"),
    "total": ("총액", "total"),
}


def sroie(path: Path, settings: Settings) -> Groups:
    """SROIE: the folders `img`, `box` (x1,y1,...,x4,y4,text) and `entities` (JSON with company, date, address, total)."""
    boxes, entities = path / "box", path / "entities"
    if not boxes.is_dir():
        raise InputError(f"{path} has no folder 'box'; SROIE has the folders img, box and entities")
    gallery = Gallery(settings.images or path / "img", settings.losses)

    def pages() -> Iterator[Page]:
        for id_, found in read_pages(boxes, "icdar2015").items():
            measured = gallery.measured(id_)
            if measured is None:
                continue
            file = entities / f"{id_}.txt"
            values = read_json(file) if file.is_file() else {}
            if not values:
                settings.losses.change("pages without entities", id_)
            if not isinstance(values, dict):
                raise InputError(f"{file}: a {type(values).__name__}; it must be an object with {', '.join(_SROIE)}")
            fields = [
                Field(escape(str(values[k])), ko, en)
                for k, (ko, en) in _SROIE.items()
                if str(values.get(k) or "").strip()
            ]
            yield page_of(id_, *measured, list(found.regions), settings, fields=tuple(fields), content=values)

    return _all(pages(), settings, "sroie")


_CORD = {
    "total.total_price": ("총액", "total price"),
    "sub_total.subtotal_price": ("소계", "subtotal"),
    "sub_total.tax_price": ("세금", "tax"),
    "sub_total.discount_price": ("할인 금액", "discount"),
    "total.cashprice": ("받은 현금", "cash received"),
    "total.changeprice": ("거스름돈", "change"),
    "total.creditcardprice": ("카드 결제 금액", "amount paid by card"),
    "total.menuqty_cnt": ("품목 수량 합계", "number of items"),
}


def cord(path: Path, settings: Settings) -> Groups:
    """CORD: a folder of JSON files beside a folder `image`, or the published parquet with the pictures inside."""
    if path.is_dir() and (path / "json").is_dir():
        path = path / "json"
    beside = path.parent / "image"
    folder = settings.images or (beside if beside.is_dir() else path if path.is_dir() else path.parent)

    def pages() -> Iterator[Page]:
        gallery = Gallery(folder, settings.losses)
        regions = read_pages(path, "cord")
        for name, row in rows(path):
            data = json.loads(row["ground_truth"]) if isinstance(row.get("ground_truth"), str) else row
            stored = row["image"].get("bytes") if isinstance(row.get("image"), dict) else None
            picture = _stored(stored, name, settings) if stored else gallery.measured(name, regions[name].size)
            if picture is None:
                continue
            fields = tuple(_cord_fields(data, picture[1], settings, name))
            content = data.get("gt_parse")
            yield page_of(name, *picture, list(regions[name].regions), settings, fields=fields, content=content)

    return _all(pages(), settings, "cord")


def _stored(data: bytes, name: str, settings: Settings) -> tuple[Any, tuple[int, int]] | None:
    from varco_vision.data.records import opened_picture

    try:
        image = opened_picture(data, name)
    except InputError as error:
        settings.losses.drop("pictures that cannot be read", error)
        return None
    return image, image.size


def _cord_fields(data: dict, size: tuple[int, int], settings: Settings, place: str) -> Iterator[Field]:
    """Sums that stand on the receipt once, and the price of each dish."""
    lines: dict[str, list[tuple[str, Box | None]]] = {}
    menu: dict[object, dict[str, str]] = {}
    for line in data["valid_line"]:
        words = [word for word in line["words"] if not word.get("is_key")]
        text = escape(" ".join(word["text"] for word in words).strip())
        if not text:
            continue
        corners = [word["quad"] for word in words]
        xs = [quad[f"x{k}"] for quad in corners for k in range(1, 5)]
        ys = [quad[f"y{k}"] for quad in corners for k in range(1, 5)]
        box = pixel_box((min(xs), min(ys), max(xs), max(ys)), size, settings, f"{place}: {text}")
        lines.setdefault(line["category"], []).append((text, box))
        if line["category"] in ("menu.nm", "menu.price"):
            entry = menu.setdefault(line.get("group_id"), {})
            entry[line["category"]] = f"{entry[line['category']]} {text}" if line["category"] in entry else text
    for category, (ko, en) in _CORD.items():
        if len(lines.get(category, ())) == 1:
            text, box = lines[category][0]
            yield Field(text, ko, en, box)
    counts = Counter(entry.get("menu.nm") for entry in menu.values())
    for entry in menu.values():
        if len(entry) == 2 and counts[entry["menu.nm"]] == 1:
            yield Field(entry["menu.price"], f"'{entry['menu.nm']}'의 가격", f"price of '{entry['menu.nm']}'")


def funsd(path: Path, settings: Settings) -> Groups:
    """FUNSD: the folder `annotations` (JSON with "form") and beside it `images`; linked answers become questions."""
    if (path / "annotations").is_dir():
        path = path / "annotations"
    beside = path.parent / "images"
    folder = settings.images or (beside if beside.is_dir() else path if path.is_dir() else path.parent)

    def pages() -> Iterator[Page]:
        gallery = Gallery(folder, settings.losses)
        regions = read_pages(path, "funsd")
        for name, row in rows(path):
            measured = gallery.measured(name)
            if measured is not None:
                fields = tuple(_linked(row["form"], measured[1], settings, name))
                yield page_of(name, *measured, list(regions[name].regions), settings, fields=fields)

    return _all(pages(), settings, "funsd")


def _linked(form: list[dict], size: tuple[int, int], settings: Settings, place: str) -> Iterator[Field]:
    """Questions of the form with the one answer that is linked to each."""
    blocks = {block.get("id"): block for block in form}
    printed = Counter(_asked(block) for block in form if block.get("label") == "question")
    for block in form:
        name = _asked(block)
        if block.get("label") != "question" or not name or printed[name] > 1:
            continue
        linked = {b for pair in block.get("linking") or () for b in pair if b != block.get("id")}
        answers = [blocks[b] for b in linked if b in blocks and blocks[b].get("label") == "answer"]
        text = escape(" ".join(str(answers[0].get("text", "")).split())) if len(answers) == 1 else ""
        if not text:
            settings.losses.drop("form fields without exactly one filled-in answer", f"{place}: {name}")
            continue
        yield Field(text, name, name, pixel_box(answers[0]["box"], size, settings, f"{place}: {text}"), printed=True)


def _asked(block: dict) -> str:
    return re.sub(r"\s*:\s*$", "", escape(" ".join(str(block.get("text", "")).split())))
