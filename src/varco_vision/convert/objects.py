"""Boxes of things: COCO, Pascal VOC and referring expressions (RefCOCO/+/g).

Categories become questions in both languages: where (all instances behind one phrase), what, how many, whether there is.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

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
from varco_vision.convert.names import Name, name_of
from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.eval.readers import Target, read_refcoco, read_refer
from varco_vision.geometry import Box
from varco_vision.markup import Object, escape, write
from varco_vision.synth.korean import fill
from varco_vision.synth.shapes import article
from varco_vision.synth.templates import objects as t

ABSENT = {"ko": "그림에는 {name|이/가} 없습니다.", "en": "There is no {name} in the picture."}


@dataclass(frozen=True)
class Things:
    """A picture with its things by name. `vague`: names whose instances are not all boxed, so they are not counted."""

    id: str
    path: Path
    things: dict[str, list[Box]]
    vague: frozenset[str] = frozenset()


class Asker:
    """Questions about the things of one picture in one language."""

    def __init__(self, page: Things, names: dict[str, Name], lang: str, settings: Settings, form: str) -> None:
        self.page, self.lang, self.settings, self.form = page, lang, settings, form
        self.names = {key: name for key, name in names.items() if lang == "en" or name.ko}
        self.rng = settings.rng(form, page.id, lang)
        self.number = 0

    def made(self, task: str, kind: str, question: str, answer: str, **gold: object) -> Sample:
        self.number += 1
        name = f"{self.form}-{self.page.id}-{self.lang}-{self.number}"
        return sample(name, [self.page.path], task, self.lang, question, answer, kind=kind, **gold)

    def say(self, template: object, **values: object) -> str:
        return self.settings.speaker.say(self.rng, template, self.lang, **values)

    def marked(self, name: str, boxes: Sequence[Box]) -> str:
        return write([Object(name, tuple(boxes))], self.settings.digits)

    def where(self, key: str) -> Sample:
        name, boxes = self.names[key], self.page.things[key]
        shown = name.of(self.lang)
        if len(boxes) == 1:
            question, phrase = self.say(t.WHERE, name=shown), shown
        else:
            question = self.say(t.WHERE_ALL, name=shown, names=name.plural)
            phrase = name.plural if self.lang == "en" else shown
        gold = {"boxes": [numbers(b) for b in boxes], "phrase": phrase}
        return self.made(
            "grounding", "where" if len(boxes) == 1 else "all", "<gro>\n" + question, self.marked(phrase, boxes), **gold
        )

    def absent(self, key: str) -> Sample:
        shown = self.names[key].of(self.lang)
        question = "<gro>\n" + self.say(t.WHERE, name=shown)
        return self.made("grounding", "absent", question, fill(ABSENT[self.lang], name=shown), boxes=[], phrase=shown)

    def what(self, key: str) -> Sample:
        box = self.rng.choice(self.page.things[key])
        ref = self.marked(self.rng.choice(w.REFERENT[self.lang]), [box])
        return self.made(
            "referring", "what", self.say(t.REFER, ref=ref), self.names[key].of(self.lang), boxes=[numbers(box)]
        )

    def count(self, key: str) -> Sample:
        name, count = self.names[key], len(self.page.things.get(key, ()))
        question = self.say(t.COUNT_NAMED, name=name.of(self.lang), names=name.plural, unit=name.unit)
        answer = f"{count}{name.unit}" if self.lang == "ko" else str(count)
        return self.made("counting", "named", question, answer, count=count, phrase=name.of(self.lang))

    def present(self, key: str) -> Sample:
        there, shown = key in self.page.things, self.names[key].of(self.lang)
        question = self.say(t.PRESENCE, name=shown, a_name=article(shown) if self.lang == "en" else shown)
        return self.made("vqa", "presence", question, w.YES_NO[self.lang][not there], present=there)

    def group(self) -> list[Sample]:
        """A choice of everything that can be asked; as much is asked about absent things as presence needs."""
        sure = [key for key in self.page.things if key in self.names and key not in self.page.vague]
        seen = [key for key in self.page.things if key in self.names]
        missing = [key for key in self.names if key not in self.page.things]
        absent = self.rng.sample(missing, min(len(missing), max(1, len(seen))))
        asks: list[Ask] = [partial(ask, key) for key in sure for ask in (self.where, self.count)]
        asks += [partial(self.what, key) for key in seen if self.page.things[key]]
        asks += [partial(self.present, key) for key in seen]
        asks += [partial(self.present, key) for key in absent]
        asks += [partial(self.absent, key) for key in absent[:1]]
        return chosen(asks, self.rng, self.settings.questions)


def _questions(pages: Iterator[Things], categories: Sequence[str], settings: Settings, form: str) -> Groups:
    names = {key: name_of(key, settings.names) for key in categories}
    if "ko" in settings.langs:
        for key, name in names.items():
            if name.ko is None:
                settings.losses.change("categories asked about in English only (no Korean name; see --names)", key)
    for page in pages:
        group = [s for lang in settings.langs for s in Asker(page, names, lang, settings, form).group()]
        if group:
            yield group
        else:
            settings.losses.drop("pictures about which nothing can be asked", page.id)


def coco(path: Path, settings: Settings) -> Groups:
    """COCO instances: boxes are x, y, width, height in pixels. Crowds are neither boxed nor counted."""
    data = read_json(path)
    images = needed(data, "images", list, str(path))
    categories = {
        needed(c, "id", int, f"{path}: categories"): str(c.get("name", ""))
        for c in needed(data, "categories", list, str(path))
    }
    found: dict[object, list[dict]] = {}
    for number, thing in enumerate(needed(data, "annotations", list, str(path)), start=1):
        place = f"{path}: annotation {number}"
        if needed(thing, "category_id", int, place) not in categories:
            raise InputError(f"{place}: category_id {thing['category_id']} is not among the categories")
        needed(thing, "bbox", list, place)
        found.setdefault(needed(thing, "image_id", (int, str), place), []).append(thing)
    gallery = Gallery(settings.images or path.parent, settings.losses)

    def pages() -> Iterator[Things]:
        for number, image in enumerate(images, start=1):
            place = f"{path}: image {number}"
            size = (needed(image, "width", int, place), needed(image, "height", int, place))
            measured = gallery.measured(needed(image, "file_name", str, place), size)
            if measured is None:
                continue
            things: dict[str, list[Box]] = {}
            vague = set()
            for thing in found.get(needed(image, "id", (int, str), place), ()):
                name = categories[thing["category_id"]]
                x, y, wide, high = thing["bbox"]
                box = pixel_box((x, y, x + wide, y + high), size, settings, f"annotation {thing.get('id')}")
                if thing.get("iscrowd") or box is None:
                    vague.add(name)
                    if thing.get("iscrowd"):
                        settings.losses.drop("crowds", f"annotation {thing.get('id')}")
                    things.setdefault(name, [])
                else:
                    things.setdefault(name, []).append(box)
            yield Things(str(image["id"]), measured[0], *_boxed(things, vague))

    return _questions(pages(), list(categories.values()), settings, "coco")


def _boxed(things: dict[str, list[Box]], vague: set[str]) -> tuple[dict[str, list[Box]], frozenset[str]]:
    """Names without any box stay known as present only through `vague`."""
    return things, frozenset(vague | {name for name, boxes in things.items() if not boxes})


def voc(path: Path, settings: Settings) -> Groups:
    """Pascal VOC: a folder of XML files (or the set's own folder). Corners count from 1; difficult things are not counted."""
    folder = path / "Annotations" if (path / "Annotations").is_dir() else path
    files = sorted(folder.glob("*.xml")) if folder.is_dir() else [folder]
    if not files:
        raise InputError(f"the folder {folder} holds no .xml file; name the folder Annotations of a VOC set")
    beside = folder.parent / "JPEGImages"
    gallery = Gallery(
        settings.images or (beside if beside.is_dir() else folder if folder.is_dir() else folder.parent),
        settings.losses,
    )
    roots = [(file, _xml(file)) for file in files]
    categories = sorted({thing.findtext("name", "") for _, root in roots for thing in root.iter("object")} - {""})

    def pages() -> Iterator[Things]:
        for file, root in roots:
            size = tuple(int(float(root.findtext(f"size/{side}", "0"))) for side in ("width", "height"))
            measured = gallery.measured(root.findtext("filename") or file.stem, size if all(size) else None)
            if measured is None:
                continue
            things: dict[str, list[Box]] = {}
            vague = set()
            for thing in root.findall("object"):
                name = thing.findtext("name", "")
                box = _voc_box(file, thing, measured[1], settings)
                if box is None or thing.findtext("difficult", "0").strip() == "1":
                    vague.add(name)
                things.setdefault(name, []).extend([box] if box else [])
            yield Things(file.stem, measured[0], *_boxed(things, vague))

    return _questions(pages(), categories, settings, "voc")


def _xml(file: Path) -> ET.Element:
    try:
        return ET.parse(file).getroot()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except ET.ParseError as error:
        raise InputError(f"{file}:{error.position[0]}: no XML: {error}") from error


def _voc_box(file: Path, thing: ET.Element, size: tuple[int, int], settings: Settings) -> Box | None:
    edges = [thing.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    try:
        x1, y1, x2, y2 = (float(edge or "") for edge in edges)
    except ValueError:
        raise InputError(
            f"{file}: the object {thing.findtext('name')!r} has the corners {edges}; four numbers are needed"
        ) from None
    return pixel_box((x1 - 1, y1 - 1, x2, y2), size, settings, f"{file.name}: {thing.findtext('name')}")


def refcoco(path: Path, settings: Settings) -> Groups:
    """Referring expressions: rows with bbox and sentences, or the distributed refs file with `extra` = instances.json.

    Each expression is looked for (grounding), and one for each box is asked for (referring).
    """
    if settings.extra is None:
        targets = read_refcoco(path)
    else:
        splits = sorted({str(ref.get("split")) for ref in read_json(path)}) if path.suffix == ".json" else ["train"]
        targets = [target for split in splits for target in read_refer(path, settings.extra, split)]
    gallery = Gallery(settings.images or path.parent, settings.losses)
    ordered = sorted(targets, key=lambda target: target.image)
    for image, same in groupby(ordered, key=lambda target: target.image):
        if not image:
            raise InputError(f"{path} does not say which picture its boxes are in; each row needs the field 'image'")
        members = list(same)
        measured = gallery.measured(image, members[0].size)
        if measured is not None and (group := _expressions(measured[0], members, settings)):
            yield group


def _expressions(picture: Path, targets: list[Target], settings: Settings) -> list[Sample]:
    rng = settings.rng("refcoco", targets[0].image)
    made, described = [], set()
    for number, target in enumerate(targets):
        phrase = escape(" ".join(target.phrases[0].split()))
        lang = language(phrase)
        if not phrase or lang not in settings.langs:
            settings.losses.drop("expressions that are empty or in a language not asked for", target.id)
            continue
        name = f"refcoco-{target.id}-{number}".replace("/", "-")
        question = "<gro>\n" + settings.speaker.say(rng, w.FIND_PHRASE, lang, phrase=phrase)
        answer = (
            write([Object(phrase, target.boxes)], settings.digits) if target.boxes else fill(ABSENT[lang], name=phrase)
        )
        gold = {"boxes": [numbers(b) for b in target.boxes], "phrase": phrase}
        made.append(sample(f"{name}-where", [picture], "grounding", lang, question, answer, kind="expression", **gold))
        if len(target.boxes) == 1 and target.boxes[0] not in described:
            described.add(target.boxes[0])
            ref = write([Object(rng.choice(w.REFERENT[lang]), target.boxes)], settings.digits)
            question = settings.speaker.say(rng, w.DESCRIBE_AT, lang, ref=ref)
            made.append(
                sample(f"{name}-what", [picture], "referring", lang, question, phrase, kind="expression", **gold)
            )
    return made
