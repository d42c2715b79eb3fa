"""What can be asked about a scene of things, and the sources that ask it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from varco_vision.markup import Object, write
from varco_vision.synth.asking import QA, YES_NO, Asks, as_list, both, relative
from varco_vision.synth.emoji_names import Thing, indefinite, plural
from varco_vision.synth.emoji_scenes import PlacedThing, ThingScene
from varco_vision.synth.korean import fill
from varco_vision.synth.phrasing import Speaker
from varco_vision.synth.questions import joined
from varco_vision.synth.shapes import COLOURS
from varco_vision.synth.templates import objects as t

ABSENT = {"ko": "그림에는 {name|이/가} 없습니다.", "en": "There is no {name} in the picture."}
_NATIVE = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열", "열한", "열두")
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_GROUND = {
    "plain": ("단색", "plain"), "gradient": ("그러데이션", "a gradient"), "radial": ("둥근 그러데이션", "a round gradient"), "paper": ("종이", "paper"),
    "wood": ("나무 무늬", "wood"), "brick": ("벽돌담", "a brick wall"), "fabric": ("천", "fabric"), "stripes": ("줄무늬", "stripes"), "dots": ("물방울무늬", "dots"),
    "checks": ("바둑판무늬", "a checkered pattern"), "stone": ("돌", "stone"), "asphalt": ("아스팔트", "asphalt"), "hills": ("언덕", "hills"), "sky": ("하늘", "the sky"),
    "room": ("방", "a room"), "bokeh": ("흐릿한 불빛", "blurred lights"), "water": ("물", "water"), "wall": ("벽", "a wall"), "night": ("밤의 불빛", "lights at night"),
}  # fmt: skip
_CLEAR = 0.08


def counted(thing: Thing, n: int, lang: str) -> str:
    """A number of things in words: "사과 두 개", "two apples"; one of them: "사과 한 개", "an apple"."""
    if lang == "ko":
        return f"{thing.ko} {_NATIVE[n] if n < len(_NATIVE) else n} {thing.counter}"
    return indefinite(thing.en) if n == 1 else f"{_WORDS[n] if n < len(_WORDS) else n} {thing.plural}"


class Book:
    """A scene with its questions; one method for each kind."""

    def __init__(
        self, scene: ThingScene, rng: random.Random, speaker: Speaker, digits: int, absent: Sequence[Thing]
    ) -> None:
        self.scene, self.rng, self.speaker, self.digits, self.absent = scene, rng, speaker, digits, list(absent)
        self.size = scene.image.size
        self.groups: dict[str, list[PlacedThing]] = {}
        for placed in scene.things:
            self.groups.setdefault(placed.thing.key, []).append(placed)
        self.single = [g[0] for g in self.groups.values() if len(g) == 1]

    def say(self, wording: Any, lang: str, **values: object) -> str:
        return self.speaker.say(self.rng, wording, lang, **values)

    def box(self, placed: PlacedThing) -> Any:
        return relative(placed.box, self.size)

    def names(self, lang: str, but: str) -> tuple[str, ...]:
        """Names that are wrong for the thing `but`: others in the picture and some that are not there."""
        others = [g[0].thing for k, g in self.groups.items() if k != but] + self.absent
        return tuple(dict.fromkeys(x.name(lang) for x in others))

    def caption(self, lang: str, other: bool = True) -> QA:
        parts = {x: joined([counted(g[0].thing, len(g), x) for g in self.groups.values()], x) for x in ("ko", "en")}
        texts = {
            "ko": fill("그림에는 {list|이/가} 있습니다.", list=parts["ko"]),
            "en": f"The picture shows {parts['en']}.",
        }
        gold = {"count": len(self.scene.things), "labels": [p.thing.en for p in self.scene.things]}
        extra = self.absent[0]
        more = {"ko": f"{counted(extra, 1, 'ko')}", "en": counted(extra, 1, "en")}[lang]
        things = [*(counted(g[0].thing, len(g), lang) for g in self.groups.values()), more]
        invented = joined(things, lang)
        wrong = (
            fill("그림에는 {list|이/가} 있습니다.", list=invented) if lang == "ko" else f"The picture shows {invented}."
        )
        return QA(
            "caption",
            "short",
            lang,
            self.say(t.CAPTION_SHORT, lang),
            texts[lang],
            gold,
            (wrong,),
            texts["en" if lang == "ko" else "ko"],
        )

    def _place(self, placed: PlacedThing, lang: str) -> str:
        """Where in the picture, in words."""
        x = (placed.box[0] + placed.box[2]) / 2 / self.size[0]
        y = (placed.box[1] + placed.box[3]) / 2 / self.size[1]
        column, row = (0 if x < 0.37 else 2 if x > 0.63 else 1), (0 if y < 0.37 else 2 if y > 0.63 else 1)
        if lang == "ko":
            if (column, row) == (1, 1):
                return "가운데"
            return " ".join(w for w in (("왼쪽", "", "오른쪽")[column], ("위", "", "아래")[row]) if w)
        if (column, row) == (1, 1):
            return "in the middle"
        if row == 1:
            return f"on the {('left', '', 'right')[column]}"
        edge = ("top", "", "bottom")[row]
        return f"at the {edge}" if column == 1 else f"at the {edge} {('left', '', 'right')[column]}"

    def _places(self, lang: str) -> list[tuple[str, str, int]]:
        """Where things are, with all that is there in words and its number: things of one place are told together."""
        found: dict[str, list[Thing]] = {}
        for p in self.scene.things:
            found.setdefault(self._place(p, lang), []).append(p.thing)
        told = []
        for place, there in found.items():
            numbers = Counter(there)
            names = [x.ko if lang == "ko" and n == 1 else counted(x, n, lang) for x, n in numbers.items()]
            told.append((place, joined(names, lang), len(there)))
        return told

    def caption_long(self, lang: str) -> QA:
        n, ground = len(self.scene.things), self.scene.background.rsplit("-", 1)[0]
        said = []
        if lang == "ko":
            said.append(f"그림에는 물체가 모두 {n}개 있습니다.")
            said += [
                fill("{place}에는 {things|이/가} 있습니다.", place=place, things=things)
                for place, things, _ in self._places(lang)
            ]
            if ground in _GROUND:
                said.append(f"배경은 {_GROUND[ground][0]}입니다.")
        else:
            said.append(
                f"There {'is one object' if n == 1 else f'are {_WORDS[n] if n < 13 else n} objects'} in the picture."
            )
            said += [f"There {'is' if n == 1 else 'are'} {things} {place}." for place, things, n in self._places(lang)]
            if ground in _GROUND:
                said.append(f"The background is {_GROUND[ground][1]}.")
        return QA("caption", "long", lang, self.say(t.CAPTION_LONG, lang), " ".join(said), {"count": n})

    def description(self, lang: str) -> QA:
        """Everything with its boxes, things of a kind together."""
        things, boxes, labels = [], [], []
        for group in self.groups.values():
            name = (
                group[0].thing.name(lang)
                if lang == "ko"
                else (indefinite(group[0].thing.en) if len(group) == 1 else group[0].thing.plural)
            )
            things.append(write([Object(name, tuple(self.box(p) for p in group))], self.digits))
            boxes += [as_list(self.box(p)) for p in group]
            labels += [p.thing.en for p in group]
        listed = joined(things, lang)
        answer = (
            fill("그림에는 {list|이/가} 있습니다.", list=listed) if lang == "ko" else f"The picture shows {listed}."
        )
        return QA(
            "grounding",
            "description",
            lang,
            "<gro>\n" + self.say(t.DESCRIBE_BOXES, lang),
            answer,
            {"boxes": boxes, "labels": labels},
        )

    def where(self, lang: str, p: PlacedThing) -> QA:
        name = p.thing.name(lang)
        gold = {"boxes": [as_list(self.box(p))], "phrase": name, "label": p.thing.en}
        others = tuple(write([Object(name, (self.box(x),))], self.digits) for x in self.scene.things if x is not p)
        answer = write([Object(name, (self.box(p),))], self.digits)
        return QA("grounding", "where", lang, "<gro>\n" + self.say(t.WHERE, lang, name=name), answer, gold, others)

    def where_all(self, lang: str, group: list[PlacedThing]) -> QA:
        thing = group[0].thing
        boxes = tuple(self.box(p) for p in group)
        text = "<gro>\n" + self.say(t.WHERE_ALL, lang, name=thing.name(lang), names=plural(thing.en))
        answer = write([Object(thing.name(lang) if lang == "ko" else thing.plural, boxes)], self.digits)
        return QA(
            "grounding", "all", lang, text, answer, {"boxes": [as_list(b) for b in boxes], "phrase": thing.name(lang)}
        )

    def where_absent(self, lang: str, thing: Thing) -> QA:
        name = thing.name(lang)
        text = "<gro>\n" + self.say(t.WHERE, lang, name=name)
        guess = write([Object(name, (self.box(self.rng.choice(self.scene.things)),))], self.digits)
        return QA(
            "grounding", "absent", lang, text, fill(ABSENT[lang], name=name), {"boxes": [], "phrase": name}, (guess,)
        )

    def side_absent(self, lang: str, thing: Thing) -> QA:
        """A question that takes for granted what is not there: the answer says so."""
        name = thing.name(lang)
        wording, answers = self.rng.choice(((t.LEFT_RIGHT, _SIDES), (t.TOP_BOTTOM, _HEIGHTS)))
        return QA(
            "vqa",
            "absent",
            lang,
            self.say(wording, lang, name=name),
            fill(ABSENT[lang], name=name),
            {"label": thing.en},
            answers[lang],
        )

    def refer(self, lang: str, p: PlacedThing) -> QA:
        ref = write([Object(self.rng.choice(t.REFERENT[lang]), (self.box(p),))], self.digits)
        gold = {"boxes": [as_list(self.box(p))], "label": p.thing.en}
        name = p.thing.name(lang)
        other = p.thing.name("en" if lang == "ko" else "ko")
        return QA(
            "referring",
            "what",
            lang,
            self.say(t.REFER, lang, ref=ref),
            name,
            gold,
            self.names(lang, p.thing.key),
            other,
        )

    def _number(self, n: int, unit: str, lang: str) -> tuple[str, tuple[str, ...]]:
        ending = unit if lang == "ko" else ""
        return f"{n}{ending}", tuple(f"{x}{ending}" for x in (n - 2, n - 1, n + 1, n + 2) if x >= 0)

    def count_all(self, lang: str) -> QA:
        answer, wrong = self._number(len(self.scene.things), "개", lang)
        return QA(
            "counting", "all", lang, self.say(t.COUNT_ALL, lang), answer, {"count": len(self.scene.things)}, wrong
        )

    def count_named(self, lang: str, thing: Thing) -> QA:
        n = len(self.groups.get(thing.key, []))
        answer, wrong = self._number(n, thing.counter, lang)
        text = self.say(t.COUNT_NAMED, lang, name=thing.name(lang), names=thing.plural, unit=thing.counter)
        return QA("counting", "named", lang, text, answer, {"count": n, "phrase": thing.name(lang)}, wrong)

    def presence(self, lang: str, thing: Thing) -> QA:
        there = thing.key in self.groups
        yes, no = YES_NO[lang]
        text = self.say(t.PRESENCE, lang, name=thing.name(lang), a_name=indefinite(thing.en))
        return QA(
            "vqa",
            "presence",
            lang,
            text,
            yes if there else no,
            {"present": there, "label": thing.en},
            (no if there else yes,),
        )

    def colour(self, lang: str, p: PlacedThing) -> QA:
        """The colour of the only shape of its kind."""
        index = 0 if lang == "ko" else 1
        shape = p.thing.name(lang).split(" ", 1)[1]
        names = [c[index] for c in COLOURS]
        answer = p.thing.name(lang).split(" ", 1)[0]
        wrong = tuple(n for n in names if n != answer)
        return QA("vqa", "colour", lang, self.say(t.COLOUR, lang, name=shape), answer, {"label": p.thing.en}, wrong)

    def compare(self, lang: str, a: PlacedThing, b: PlacedThing) -> QA:
        big, small = (a, b) if _extent(a) > _extent(b) else (b, a)
        text = self.say(t.COMPARE_SIZE, lang, a=a.thing.name(lang), b=b.thing.name(lang))
        return QA(
            "vqa", "compare_size", lang, text, big.thing.name(lang), {"label": big.thing.en}, (small.thing.name(lang),)
        )

    def extreme(self, lang: str, p: PlacedThing, most: bool) -> QA:
        wording = t.BIGGEST if most else t.SMALLEST
        gold = {"label": p.thing.en}
        wrong = tuple(x.thing.name(lang) for x in self.scene.things if x is not p)
        return QA(
            "vqa", "biggest" if most else "smallest", lang, self.say(wording, lang), p.thing.name(lang), gold, wrong
        )

    def then_where(self, lang: str, p: PlacedThing, most: bool) -> QA:
        """Two turns: which is the biggest, and where is it."""
        first, second = self.extreme(lang, p, most), self.where(lang, p)
        return QA(
            "grounding", "follow_up", lang, "<gro>\n" + self.say(t.THAT_WHERE, lang), second.answer, second.gold, second.wrong, None, (first,)
        )  # fmt: skip

    def side(self, lang: str, p: PlacedThing, axis: int) -> QA:
        wording, answers = ((t.LEFT_RIGHT, _SIDES), (t.TOP_BOTTOM, _HEIGHTS))[axis]
        far = (p.box[axis] + p.box[axis + 2]) / 2 / self.size[axis] > 0.5
        gold = {"label": p.thing.en, "boxes": [as_list(self.box(p))]}
        return QA(
            "vqa",
            "position",
            lang,
            self.say(wording, lang, name=p.thing.name(lang)),
            answers[lang][far],
            gold,
            (answers[lang][not far],),
        )

    def relation(self, lang: str, a: PlacedThing, b: PlacedThing, axis: int, truth: bool) -> QA:
        """Is a left of (above) b? `truth` chooses the side that is asked for."""
        before = a.box[axis] + a.box[axis + 2] < b.box[axis] + b.box[axis + 2]
        words = {
            "ko": (("왼쪽", "오른쪽"), ("위쪽", "아래쪽")),
            "en": (("to the left of", "to the right of"), ("above", "below")),
        }
        side = words[lang][axis][before != truth]
        yes, no = YES_NO[lang]
        text = self.say(t.RELATION, lang, a=a.thing.name(lang), b=b.thing.name(lang), side=side)
        return QA("vqa", "relation", lang, text, yes if truth else no, {"present": truth}, (no if truth else yes,))

    def asks(self) -> Asks:
        """Everything that can be asked, by family."""
        things, rng = self.scene.things, self.rng
        asks: Asks = {
            "caption": [*both(self.caption), *both(self.caption_long)],
            "description": both(self.description),
            "grounding": [m for p in self.single for m in both(lambda lang, p=p: self.where(lang, p))],
            "referring": [m for p in things for m in both(lambda lang, p=p: self.refer(lang, p))],
            "counting": both(self.count_all),
        }
        for group in self.groups.values():
            asks["counting"] += both(lambda lang, g=group: self.count_named(lang, g[0].thing))
            if len(group) > 1:
                asks["grounding"] += both(lambda lang, g=group: self.where_all(lang, g))
        asks["absent"] = [
            m
            for x in self.absent
            for m in (
                *both(lambda lang, x=x: self.where_absent(lang, x)),
                *both(lambda lang, x=x: self.side_absent(lang, x)),
            )
        ]
        there = [g[0].thing for g in self.groups.values()]
        balanced = [x for pair in zip(there, self.absent, strict=False) for x in pair]
        asks["presence"] = [m for x in balanced for m in both(lambda lang, x=x: self.presence(lang, x))]
        asks["counting"] += both(lambda lang: self.count_named(lang, self.absent[0]))
        asks["vqa"] = self._vqa(rng)
        asks["dialogue"] = [
            m for p, most in self._extremes() for m in both(lambda lang, p=p, most=most: self.then_where(lang, p, most))
        ]
        return asks

    def _extremes(self) -> list[tuple[PlacedThing, bool]]:
        """The clearly biggest and smallest thing, where they are the only ones of their kind."""
        found = []
        for most in (True, False):
            ranked = sorted(self.scene.things, key=_extent, reverse=most)
            if len(ranked) > 1 and ranked[0] in self.single:
                a, b = _extent(ranked[0]), _extent(ranked[1])
                if max(a, b) > 1.3 * min(a, b):
                    found.append((ranked[0], most))
        return found

    def _vqa(self, rng: random.Random) -> list:
        made: list = []
        for p, most in self._extremes():
            made += both(lambda lang, p=p, most=most: self.extreme(lang, p, most))
        for p in self.single:
            for axis in (0, 1):
                if abs((p.box[axis] + p.box[axis + 2]) / 2 / self.size[axis] - 0.5) > _CLEAR:
                    made += both(lambda lang, p=p, axis=axis: self.side(lang, p, axis))
            shape = p.thing.en.split(" ", 1)[-1]
            if (
                p.colour
                and sum(x.thing.en.endswith(" " + shape) or x.thing.en == shape for x in self.scene.things) == 1
            ):
                made += both(lambda lang, p=p: self.colour(lang, p))
        for k, a in enumerate(self.single):
            for b in self.single[k + 1 :]:
                if max(_extent(a), _extent(b)) > 1.4 * min(_extent(a), _extent(b)):
                    made += both(lambda lang, a=a, b=b: self.compare(lang, a, b))
                for axis in (0, 1):
                    if a.box[axis + 2] < b.box[axis] or b.box[axis + 2] < a.box[axis]:
                        truth = rng.random() < 0.5
                        made += both(
                            lambda lang, a=a, b=b, axis=axis, truth=truth: self.relation(lang, a, b, axis, truth)
                        )
        return made


_SIDES = {"ko": ("왼쪽", "오른쪽"), "en": ("left", "right")}
_HEIGHTS = {"ko": ("위쪽", "아래쪽"), "en": ("top", "bottom")}


def _extent(p: PlacedThing) -> float:
    """Size as one sees it: the area of the box, where that of the ink says the same."""
    return float((p.box[2] - p.box[0]) * (p.box[3] - p.box[1]))


def truth_of(scene: ThingScene) -> dict[str, Any]:
    """Everything that is in a scene."""
    size = scene.image.size
    objects = [
        {
            "ko": p.thing.ko, "en": p.thing.en, "category": p.thing.category, "colour": p.colour,
            "box": as_list(relative(p.box, size)), "visible": round(p.visible, 3), "area_px": p.area,
        }
        for p in scene.things
    ]  # fmt: skip
    return {"objects": objects, "background": scene.background}
