"""Questions about a scene and their answers, several on one picture, with the gold beside the text."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.markup import Chars, Object, write
from varco_vision.synth import wording as w
from varco_vision.synth import wording_places as places
from varco_vision.synth.korean import fill, listed
from varco_vision.synth.phrasing import Speaker, Wording
from varco_vision.synth.scenes import Scene, SceneObject, SceneWord
from varco_vision.synth.shapes import COLOURS, SHAPES, article, object_name, other_name
from varco_vision.synth.words import PixelBox, script

LANGUAGES = ("ko", "en")
# family of questions -> the share of a picture's questions it gets where nothing else is asked for
FAMILIES = {
    "grounding": 4.0,
    "referring": 4.0,
    "counting": 2.0,
    "vqa": 4.0,
    "caption": 1.0,
    "description": 1.0,
    "ocr": 4.0,
    "reading": 4.0,
    "choice": 0.0,
    "text_grounding": 0.0,
    "options": 0.0,
}
CLEAR = 0.08  # a thing this near to the middle line (part of the picture) is neither left nor right


@dataclass(frozen=True)
class QuestionConfig:
    """How to ask.

    split: whose templates are used. wordings: of each list only the first N that training has, in either split (None:
    all of the split; see `Speaker`). digits: decimals of coordinates. absent_share: of the grounding questions, those about something that is not there. plural_share: of
    the colours and shapes that several objects share, those asked for together ("all red objects"). named_counts: share
    of pictures where counting also asks for one colour or shape. alias_share: of the things asked for, those called by
    a name that answers do not use.
    shapes, colours: how many of each the world has (for wrong names).
    """

    wordings: int | None = None
    digits: int = 2
    absent_share: float = 0.1
    plural_share: float = 0.0
    named_counts: float = 0.0
    alias_share: float = 0.0
    shapes: int = 4
    colours: int = 6
    split: str = "train"

    def __post_init__(self) -> None:
        if self.wordings is not None and self.wordings < 1:
            raise InputError(f"wordings={self.wordings} asked for; at least one wording is needed")
        if not 0 <= self.absent_share < 1:
            raise InputError(f"absent_share={self.absent_share} asked for; it must be at least 0 and below 1")

    def say(self, rng: random.Random, wording: Wording, lang: str, **values: object) -> str:
        """A random wording of the split, filled in."""
        return Speaker(self.split, self.wordings).say(rng, wording, lang, **values)

    def asked_name(self, rng: random.Random, colour: int, shape: int, lang: str) -> str:
        """What a question calls a thing."""
        if self.alias_share and rng.random() < self.alias_share:
            return other_name(colour, shape, lang, rng)
        return object_name(colour, shape, lang)


@dataclass(frozen=True)
class Question:
    """One question on a picture. kind tells questions of a family apart; gold is what `Sample.meta` carries."""

    task: str
    kind: str
    lang: str
    text: str
    answer: str
    gold: dict[str, Any] = field(default_factory=dict)

    def sample(self, name: str, scene: Scene) -> Sample:
        """The question as a training or evaluation sample."""
        content = [{"type": "image"}, *([{"type": "text", "text": self.text}] if self.text else [])]
        return Sample(
            id=name,
            images=(scene.image,),
            task=self.task,
            lang=self.lang,
            messages=(
                {"role": "user", "content": content},
                {"role": "assistant", "content": [{"type": "text", "text": self.answer}]},
            ),
            meta={"kind": self.kind, "answer": self.answer, **self.gold},
        )

    def told(self, name: str, description: str) -> Sample:
        """The question as a sample without a picture: the description stands where the picture was."""
        switch, _, rest = ("", "", self.text) if self.task == "choice" else self.text.rpartition("\n")
        text = "\n".join(part for part in (switch, description, rest) if part)
        return Sample(
            id=name,
            images=(),
            task=self.task,
            lang=self.lang,
            messages=(
                {"role": "user", "content": [{"type": "text", "text": text}]},
                {"role": "assistant", "content": [{"type": "text", "text": self.answer}]},
            ),
            meta={"kind": self.kind, "answer": self.answer},
        )


def relative(box: PixelBox, scene: Scene) -> Box:
    """A pixel box of the scene as parts of the picture."""
    return Box.from_pixels(*box, *scene.image.size)


def numbers(box: PixelBox, scene: Scene) -> list[float]:
    """x1, y1, x2, y2 as parts of the picture."""
    width, height = scene.image.size
    return [box[0] / width, box[1] / height, box[2] / width, box[3] / height]


def _name(o: SceneObject, lang: str) -> str:
    return object_name(o.colour, o.shape, lang)


def _label(colour: int, shape: int) -> dict[str, str]:
    return {"colour": COLOURS[colour].en, "shape": SHAPES[shape].en}


def absent_pairs(rng: random.Random, scene: Scene, config: QuestionConfig, count: int) -> list[tuple[int, int]]:
    """Up to `count` different (colour, shape) that the scene lacks; mostly such as share one with something there."""
    there = {(o.colour, o.shape) for o in scene.objects}
    missing = [(c, s) for c in range(config.colours) for s in range(config.shapes) if (c, s) not in there]
    rng.shuffle(missing)
    colours, shapes = {c for c, _ in there}, {s for _, s in there}
    near = [pair for pair in missing if pair[0] in colours or pair[1] in shapes]
    far = [pair for pair in missing if not (pair[0] in colours or pair[1] in shapes)]
    chosen = []
    while (near or far) and len(chosen) < count:
        pick_near = bool(near) and (not far or rng.random() < 0.75)
        chosen.append((near if pick_near else far).pop())
    return chosen


# --- one function for each kind; all take (scene, rng, config, lang, ...) and give a Question


def grounding(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, o: SceneObject) -> Question:
    """Where is this object?"""
    name = _name(o, lang)
    text = "<gro>\n" + config.say(rng, w.GROUNDING, lang, name=config.asked_name(rng, o.colour, o.shape, lang))
    answer = write([Object(name, (relative(o.box, scene),))], config.digits)
    gold = {"boxes": [numbers(o.box, scene)], "phrase": name, "label": _label(o.colour, o.shape)}
    return Question("grounding", "where", lang, text, answer, gold)


def absent(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, pair: tuple[int, int]) -> Question:
    """Where is something (colour, shape) that is not there? The answer says so and has no box."""
    name = object_name(*pair, lang)
    text = "<gro>\n" + config.say(rng, w.GROUNDING, lang, name=name)
    gold = {"boxes": [], "phrase": name, "label": _label(*pair)}
    return Question("grounding", "absent", lang, text, fill(w.ABSENT[lang], name=name), gold)


@dataclass(frozen=True)
class Group:
    """Objects that share a colour or a shape."""

    colour: int | None
    shape: int | None
    objects: tuple[SceneObject, ...]

    def name(self, lang: str, plural: bool = True) -> str:
        """ "빨간색 물체", "원"; English in the plural: "red objects", "crosses"."""
        colour = [] if self.colour is None else [getattr(COLOURS[self.colour], lang)]
        noun = w.THING[lang] if self.shape is None else getattr(SHAPES[self.shape], lang)
        ending = "" if lang == "ko" or not plural else "es" if noun.endswith("s") else "s"
        return " ".join([*colour, noun + ending])


def groups(scene: Scene, config: QuestionConfig) -> list[Group]:
    """Every colour and every shape of the world with the objects that have it (perhaps none)."""
    by_colour = [Group(c, None, tuple(o for o in scene.objects if o.colour == c)) for c in range(config.colours)]
    by_shape = [Group(None, s, tuple(o for o in scene.objects if o.shape == s)) for s in range(config.shapes)]
    return by_colour + by_shape


def grounding_all(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, group: Group) -> Question:
    """Where are all objects of a colour or shape? One phrase, several boxes."""
    name = group.name(lang)
    boxes = tuple(relative(o.box, scene) for o in group.objects)
    text = "<gro>\n" + config.say(rng, w.GROUNDING_ALL, lang, name=name)
    gold = {"boxes": [numbers(o.box, scene) for o in group.objects], "phrase": name}
    return Question("grounding", "all", lang, text, write([Object(name, boxes)], config.digits), gold)


def referring(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, o: SceneObject) -> Question:
    """What is the thing in this box?"""
    ref = write([Object(rng.choice(w.REFERENTS[lang]), (relative(o.box, scene),))], config.digits)
    text = config.say(rng, w.REFERRING, lang, ref=ref)
    gold = {"boxes": [numbers(o.box, scene)], "label": _label(o.colour, o.shape)}
    return Question("referring", "what", lang, text, _name(o, lang), gold)


def _count(count: int, lang: str) -> str:
    return f"{count}개" if lang == "ko" else str(count)


def counting(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Question:
    """How many objects are there?"""
    count = len(scene.objects)
    return Question("counting", "all", lang, config.say(rng, w.COUNTING, lang), _count(count, lang), {"count": count})


def counting_named(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, group: Group) -> Question:
    """How many objects of this colour or shape are there?"""
    count, name = len(group.objects), group.name(lang)
    text = config.say(rng, w.COUNTING_NAMED, lang, name=name)
    return Question("counting", "named", lang, text, _count(count, lang), {"count": count, "phrase": name})


def colour_of(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, o: SceneObject) -> Question:
    """What colour is the only object of its shape?"""
    text = config.say(rng, w.COLOUR, lang, shape=getattr(SHAPES[o.shape], lang))
    gold = {"label": _label(o.colour, o.shape)}
    return Question("vqa", "colour", lang, text, getattr(COLOURS[o.colour], lang), gold)


def shape_of(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, o: SceneObject) -> Question:
    """What shape has the only object of its colour?"""
    text = config.say(rng, w.SHAPE, lang, colour=getattr(COLOURS[o.colour], lang))
    gold = {"label": _label(o.colour, o.shape)}
    return Question("vqa", "shape", lang, text, getattr(SHAPES[o.shape], lang), gold)


def presence(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, pair: tuple[int, int]) -> Question:
    """Is there such an object?"""
    name, there = config.asked_name(rng, *pair, lang), any((o.colour, o.shape) == pair for o in scene.objects)
    text = config.say(rng, w.PRESENCE, lang, name=name, a_name=article(name))
    gold = {"label": _label(*pair), "present": there}
    return Question("vqa", "presence", lang, text, w.YES_NO[lang][not there], gold)


def side(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, o: SceneObject, axis: int) -> Question:
    """Left or right (axis 0), top or bottom (axis 1)?"""
    templates, answers = ((w.LEFT_RIGHT, w.SIDES), (w.TOP_BOTTOM, w.HEIGHTS))[axis]
    text = config.say(rng, templates, lang, name=_name(o, lang))
    far = _middle(o, scene, axis) > 0.5
    gold = {"label": _label(o.colour, o.shape), "boxes": [numbers(o.box, scene)]}
    return Question("vqa", "position", lang, text, answers[lang][far], gold)


def _middle(o: SceneObject, scene: Scene, axis: int) -> float:
    return (o.box[axis] + o.box[axis + 2]) / 2 / scene.image.size[axis]


def joined(names: Iterable[str], lang: str) -> str:
    """A list in words: "A와 B", "A, B와 C"; "A and B", "A, B and C"."""
    items = list(names)
    if lang == "ko":
        return listed(items)
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])} and {items[-1]}"


def sentences(scene: Scene, lang: str, config: QuestionConfig, boxes: bool, extra: Iterable[str] = ()) -> str:
    """What a scene holds in one or two sentences, with or without boxes; extra names are put at the end of the list."""

    def thing(o: SceneObject) -> str:
        name = _name(o, lang) if lang == "ko" else article(_name(o, lang))
        return write([Object(name, (relative(o.box, scene),))], config.digits) if boxes else name

    def word(x: SceneWord) -> str:
        return write([Chars(x.text, (relative(x.box, scene),))], config.digits) if boxes else f"'{x.text}'"

    things = [*(thing(o) for o in scene.objects), *extra]
    parts = [fill(w.SHOWS[lang], list=joined(things, lang))] if things else []
    if scene.words:
        parts.append(fill(w.WRITTEN[lang], list=joined((word(x) for x in scene.words), lang)))
    return " ".join(parts) or w.EMPTY[lang]


def _words_gold(scene: Scene) -> list[dict[str, Any]]:
    return [{"text": x.text, "box": numbers(x.box, scene)} for x in scene.words]


def _scene_gold(scene: Scene) -> dict[str, Any]:
    return {
        "boxes": [numbers(o.box, scene) for o in scene.objects],
        "labels": [_label(o.colour, o.shape) for o in scene.objects],
        "count": len(scene.objects),
        "words": _words_gold(scene),
    }


def caption(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, ask: bool = True) -> Question:
    """Describe the picture; ask=False leaves the question out, so that only the picture is shown."""
    text = config.say(rng, w.CAPTION, lang) if ask else ""
    return Question("caption", "caption", lang, text, sentences(scene, lang, config, False), _scene_gold(scene))


def description(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Question:
    """Describe the picture with a box for everything in it."""
    text = "<gro>\n" + config.say(rng, w.CAPTION, lang)
    return Question("grounding", "description", lang, text, sentences(scene, lang, config, True), _scene_gold(scene))


def word_languages(scene: Scene) -> list[str]:
    """The language a picture's words count for: Korean as soon as one of them is."""
    return ["ko" if any(script(x.text) == "ko" for x in scene.words) else "en"] if scene.words else []


def ocr(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Question:
    """Every word with its box, one a line, in reading order."""
    lines = [write([Chars(x.text, (relative(x.box, scene),))], config.digits) for x in scene.words]
    return Question("ocr", "ocr", lang, "<ocr>", "\n".join(lines), {"words": _words_gold(scene)})


def reading(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Question:
    """What is written in the picture? The words only."""
    text = config.say(rng, w.READING, lang)
    answer = " ".join(x.text for x in scene.words)
    return Question("vqa", "reading", lang, text, answer, {"words": _words_gold(scene)})


def reading_at(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, x: SceneWord) -> Question:
    """What is written in this box?"""
    ref = write([Chars(rng.choice(w.TEXT_REFERENTS[lang]), (relative(x.box, scene),))], config.digits)
    text = config.say(rng, w.READING_AT, lang, ref=ref)
    gold = {"boxes": [numbers(x.box, scene)], "words": [{"text": x.text, "box": numbers(x.box, scene)}]}
    return Question("referring", "reading", lang, text, x.text, gold)


def text_places(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Question:
    """Where is text? One phrase, a box for every word in reading order."""
    boxes = tuple(relative(x.box, scene) for x in scene.words)
    text = "<gro>\n" + config.say(rng, places.WHERE_IS_TEXT, lang)
    gold = {"boxes": [numbers(x.box, scene) for x in scene.words], "phrase": places.TEXT[lang]}
    return Question("grounding", "text", lang, text, write([Object(places.TEXT[lang], boxes)], config.digits), gold)


def word_place(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, x: SceneWord) -> Question:
    """Where does it say this word?"""
    text = "<gro>\n" + config.say(rng, places.WHERE_IS_WORD, lang, word=f"'{x.text}'")
    gold = {"boxes": [numbers(x.box, scene)], "phrase": x.text}
    return Question(
        "grounding", "word", lang, text, write([Object(x.text, (relative(x.box, scene),))], config.digits), gold
    )


def choice(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, o: SceneObject) -> Question:
    """Which of up to four things is in the picture? The answer is its letter."""
    options = [(o.colour, o.shape), *absent_pairs(rng, scene, config, 3)]
    rng.shuffle(options)
    lines = [f"{letter}. {object_name(*pair, lang)}" for letter, pair in zip("ABCD", options, strict=False)]
    text = "\n".join([config.say(rng, w.CHOICE, lang), *lines, w.ANSWER_BY_LETTER[lang]])
    gold = {"options": [object_name(*pair, lang) for pair in options], "label": _label(o.colour, o.shape)}
    return Question("choice", "present", lang, text, "ABCD"[options.index((o.colour, o.shape))], gold)


Ask = Callable[[], Question | None]  # None: turns out not to be askable


def _object_asks(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> dict[str, list[Ask]]:
    """What can be asked about the objects, by family, not yet written out."""
    asks: dict[str, list[Ask]] = {name: [] for name in FAMILIES}
    missing = absent_pairs(rng, scene, config, len(scene.objects))
    asks["vqa"] += [partial(presence, scene, rng, config, lang, pair) for pair in missing]
    for pair in missing:
        if rng.random() < config.absent_share / (1 - config.absent_share):
            asks["grounding"].append(partial(absent, scene, rng, config, lang, pair))
    for o in scene.objects:
        on = partial(partial, scene=scene, rng=rng, config=config, lang=lang, o=o)
        asks["grounding"].append(on(grounding))
        asks["referring"].append(on(referring))
        if missing:
            asks["choice"].append(on(choice))
        asks["vqa"].append(partial(presence, scene, rng, config, lang, (o.colour, o.shape)))
        if sum(x.shape == o.shape for x in scene.objects) == 1:
            asks["vqa"].append(on(colour_of))
        if sum(x.colour == o.colour for x in scene.objects) == 1:
            asks["vqa"].append(on(shape_of))
        clear = [axis for axis in (0, 1) if abs(_middle(o, scene, axis) - 0.5) > CLEAR]
        asks["vqa"] += [on(side, axis=axis) for axis in clear]
    asks["counting"].append(partial(counting, scene, rng, config, lang))
    for group in groups(scene, config) if config.plural_share or config.named_counts else ():
        if len(group.objects) > 1 and rng.random() < config.plural_share:
            asks["grounding"].append(partial(grounding_all, scene, rng, config, lang, group))
        if rng.random() < config.named_counts * (1.0 if group.objects else 0.2):
            asks["counting"].append(partial(counting_named, scene, rng, config, lang, group))
    return asks


def possible(scene: Scene, rng: random.Random, config: QuestionConfig) -> dict[str, list[Ask]]:
    """Everything that can be asked about a scene in both languages, by family, each once."""
    from varco_vision.synth import choosing  # which is built on the questions of this file

    all_asks: dict[str, list[Ask]] = {name: [] for name in FAMILIES}
    for lang in LANGUAGES:
        if scene.objects:
            for name, asks in _object_asks(scene, rng, config, lang).items():
                all_asks[name] += asks
        all_asks["caption"].append(partial(caption, scene, rng, config, lang))
        all_asks["description"].append(partial(description, scene, rng, config, lang))
        if scene.words:
            all_asks["reading"].append(partial(reading, scene, rng, config, lang))
            all_asks["reading"] += [partial(reading_at, scene, rng, config, lang, x) for x in scene.words]
            all_asks["text_grounding"].append(partial(text_places, scene, rng, config, lang))
            texts = Counter(x.text for x in scene.words)
            once = [x for x in scene.words if texts[x.text] == 1]
            all_asks["text_grounding"] += [partial(word_place, scene, rng, config, lang, x) for x in once]
        all_asks["options"] += choosing.makers(scene, rng, config, lang)
    for lang in word_languages(scene):
        all_asks["ocr"].append(partial(ocr, scene, rng, config, lang))
    return all_asks


def check_families(shares: Mapping[str, float]) -> None:
    """InputError unless every name is a family of questions and some share is positive."""
    for name in shares:
        if name not in FAMILIES:
            raise InputError(f"unknown family of questions {name!r}; known are {', '.join(FAMILIES)}")
    if not any(share > 0 for share in shares.values()):
        raise InputError("no family of questions has a positive share; give at least one")


def choose(
    scene: Scene, rng: random.Random, config: QuestionConfig, count: int, shares: Mapping[str, float] = FAMILIES
) -> list[Question]:
    """Up to `count` different questions: one of every family first, then by the shares, in random order."""
    asks = {name: found for name, found in possible(scene, rng, config).items() if found and shares.get(name, 0) > 0}
    for found in asks.values():
        rng.shuffle(found)
    order = list(asks)
    rng.shuffle(order)
    chosen: list[Question] = []
    while asks and len(chosen) < count:
        name = order.pop() if order else rng.choices(list(asks), [shares[n] for n in asks])[0]
        made = asks[name].pop()()
        chosen += [made] if made else []
        if not asks[name]:
            del asks[name]
    rng.shuffle(chosen)
    return chosen
