"""Sources of synthetic samples by name, the evaluation set, and a list of what each split uses.

Every group is a pure function of the source's options, its seed, its split and the index.
"""

from __future__ import annotations

import difflib
import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from varco_vision.data.sample import Sample
from varco_vision.data.source import Source
from varco_vision.errors import InputError
from varco_vision.synth import preference, wording, wording_choices, wording_places
from varco_vision.synth import questions as q
from varco_vision.synth.fonts import split_fonts
from varco_vision.synth.phrasing import Wording
from varco_vision.synth.questions import FAMILIES, LANGUAGES, Question, QuestionConfig, check_families, choose
from varco_vision.synth.registry_extra import EXTRA, options_of
from varco_vision.synth.rng import SPLITS, stream
from varco_vision.synth.scenes import Scene, SceneConfig, make_scene
from varco_vision.synth.text_wording import TEXT
from varco_vision.synth.text_world import TextWorld, as_sample, pairs
from varco_vision.synth.words import EVAL_WORDS, WordStock

SCENE_OPTIONS = tuple(f.name for f in fields(SceneConfig) if f.name != "stock")
STOCK_OPTIONS = tuple(f.name for f in fields(WordStock) if f.name != "split")
QUESTION_OPTIONS = tuple(f.name for f in fields(QuestionConfig) if f.name not in ("shapes", "colours", "split"))
WORLD_OPTIONS = (*SCENE_OPTIONS, *STOCK_OPTIONS, *QUESTION_OPTIONS)


def _known(name: str, known: Sequence[str], what: str) -> None:
    """InputError that names the nearest known name, unless the name is known."""
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"unknown {what} {name!r}; {hint}known are {', '.join(known)}")


@dataclass(frozen=True)
class World:
    """What pictures of a source look like and how they are asked about."""

    scene: SceneConfig
    ask: QuestionConfig

    @classmethod
    def make(cls, split: str, defaults: Mapping[str, Any], options: Mapping[str, Any], **fixed: Any) -> World:
        """From options by name (`WORLD_OPTIONS`); `defaults` are the source's own, `fixed` cannot be changed."""
        values = {**defaults, **options, **fixed}
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        stock = WordStock(split=split, **{k: v for k, v in values.items() if k in STOCK_OPTIONS})
        scene = SceneConfig(stock=stock, **{k: v for k, v in values.items() if k in SCENE_OPTIONS})
        asked = {k: v for k, v in values.items() if k in QUESTION_OPTIONS}
        return cls(scene, QuestionConfig(shapes=scene.shapes, colours=scene.colours, split=split, **asked))


def _samples(chosen: Sequence[Question], scene: Scene, name: str) -> list[Sample]:
    return [question.sample(f"{name}-{k}", scene) for k, question in enumerate(chosen)]


class _Pictures:
    """What the sources of pictures share: several worlds in fixed shares, several questions a picture."""

    name = "pictures"

    def __init__(self, seed: int, split: str, questions: int, tasks: Mapping[str, float] | None) -> None:
        if questions < 1:
            raise InputError(f"questions={questions} asked for; every picture needs at least one")
        check_families(tasks or FAMILIES)
        self.seed, self.split, self.questions = seed, split, questions
        self.tasks = dict(tasks or FAMILIES)
        self.worlds: list[tuple[float, World]] = []

    def picture(self, index: int) -> tuple[Scene, World, random.Random]:
        """The scene of a group with its world; the stream goes on to ask the questions."""
        rng = stream(self.name, self.split, self.seed, index)
        world = rng.choices([world for _, world in self.worlds], [share for share, _ in self.worlds])[0]
        return make_scene(rng, world.scene), world, rng

    def group(self, index: int) -> list[Sample]:
        """Up to `questions` samples on picture `index`."""
        scene, world, rng = self.picture(index)
        chosen = choose(scene, rng, world.ask, self.questions, self.tasks)
        return _samples(chosen, scene, f"{self.name}-{self.split}-{self.seed}-{index}")


def _sized(sizes: Sequence[tuple[int, int]] | None, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The options once for every size of picture; in larger pictures things may be larger by the shorter side's ratio."""
    if not sizes:
        return [dict(options)]
    made = []
    for size in sizes:
        more = {**options, "size": tuple(size)}
        for name, usual in (("object_px", (30, 54)), ("word_px", (28, 40))):
            low, high = options.get(name, usual)
            more[name] = (low, max(low, round(high * min(size) / 128)))
        made.append(more)
    return made


class Scenes(_Pictures):
    """Coloured shapes, asked about in both languages. Options: `WORLD_OPTIONS`, `questions`, `tasks` (family: share).

    sizes: (width, height) of pictures, drawn evenly (None: the option `size`). varied: half of the pictures have a ground
    that runs from one colour to another, half of them soft edges.
    """

    name = "scenes"

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 16,
        tasks: Mapping[str, float] | None = None,
        sizes: Sequence[tuple[int, int]] | None = None,
        varied: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(seed, split, questions, tasks)
        looks = product(("plain", "gradient"), (False, True)) if varied else [None]
        self.worlds = [
            (
                1.0,
                World.make(
                    split, {}, {**sized, **(dict(zip(("background", "smooth"), look, strict=True)) if look else {})}
                ),
            )
            for look in looks
            for sized in _sized(sizes, options)
        ]


class Told(Scenes):
    """Scenes told in words in place of a picture, with the questions of `Scenes` on them: looking things up, learned in text.

    The user's turn is the description with its boxes, then the question. Only families whose answers the description
    holds: grounding, referring, counting, vqa, options. Options: those of `Scenes`; nothing that only eyes can tell should be asked.
    """

    name = "told"
    families = ("grounding", "referring", "counting", "vqa", "options")

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 4,
        tasks: Mapping[str, float] | None = None,
        **options: Any,
    ) -> None:
        tasks = dict(tasks or {name: FAMILIES[name] for name in self.families if FAMILIES.get(name)})
        if not set(tasks) <= set(self.families):
            raise InputError(f"told scenes can be asked for {', '.join(self.families)}; found {', '.join(tasks)}")
        super().__init__(seed, split, questions, tasks, **options)

    def group(self, index: int) -> list[Sample]:
        """Up to `questions` samples without a picture on scene `index`."""
        scene, world, rng = self.picture(index)
        chosen = choose(scene, rng, world.ask, self.questions, self.tasks)
        told = {lang: q.sentences(scene, lang, world.ask, True) for lang in LANGUAGES}
        name = f"{self.name}-{self.split}-{self.seed}-{index}"
        return [x.told(f"{name}-{k}", told[x.lang]) for k, x in enumerate(chosen)]


class Words(_Pictures):
    """Words to read: one to two that stand freely, or (in `line_share` of the pictures) one to three lines of them.

    sizes: (width, height) of pictures, drawn evenly (None: the option `size`).
    """

    name = "words"

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 8,
        tasks: Mapping[str, float] | None = None,
        line_share: float = 0.3,
        sizes: Sequence[tuple[int, int]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(seed, split, questions, tasks or {"ocr": 4.0, "reading": 2.0})
        bare = {"min_objects": 0, "max_objects": 0, "inverted": 0.3}
        for sized in _sized(sizes, options):
            free = {k: v for k, v in sized.items() if k != "lines"}
            lined = {k: v for k, v in sized.items() if k != "words"}
            self.worlds += [
                (1 - line_share, World.make(split, {**bare, "words": (1, 2)}, free)),
                (line_share, World.make(split, {**bare, "lines": (1, 3)}, lined)),
            ]


class Captions(_Pictures):
    """Pictures shown without a word, and what is on them: `captions` a picture, Korean and English taking turns."""

    name = "captions"

    def __init__(
        self, seed: int, split: str = "train", captions: int = 2, text_share: float = 0.25, **options: Any
    ) -> None:
        super().__init__(seed, split, captions, {"caption": 1.0})
        if captions > 2:
            raise InputError(f"captions={captions} asked for; a picture has two, one in each language")
        scenes = {k: v for k, v in options.items() if k not in ("words", "lines")}
        texts = {k: v for k, v in options.items() if k not in ("min_objects", "max_objects")}
        self.worlds = [
            (1 - text_share, World.make(split, {}, scenes)),
            (text_share, World.make(split, {"words": (1, 2), "inverted": 0.3}, texts, min_objects=0, max_objects=0)),
        ]

    def group(self, index: int) -> list[Sample]:
        """Captions of picture `index`; the user's turn holds the picture only."""
        scene, world, rng = self.picture(index)
        order = LANGUAGES if index % 2 == 0 else LANGUAGES[::-1]
        made = [q.caption(scene, rng, world.ask, lang, ask=False) for lang in order[: self.questions]]
        return _samples(made, scene, f"{self.name}-{self.split}-{self.seed}-{index}")


class Pages(_Pictures):
    """Pictures larger than one tile: lines of words (in `text_share` of them) or scenes with more objects.

    sizes: (width, height) in pixels, drawn evenly.
    """

    name = "pages"

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 16,
        tasks: Mapping[str, float] | None = None,
        sizes: Sequence[tuple[int, int]] = ((256, 128), (128, 256), (256, 256)),
        text_share: float = 0.6,
        **options: Any,
    ) -> None:
        super().__init__(seed, split, questions, tasks)
        scenes = {k: v for k, v in options.items() if k not in ("words", "lines", "inverted")}
        texts = {k: v for k, v in options.items() if k not in ("min_objects", "max_objects", "words")}
        for size in sizes:
            size = tuple(size)
            more = {"min_objects": 2, "max_objects": max(3, min(8, size[0] * size[1] // 7000))}
            page = {"lines": (2, max(3, size[1] // 36)), "inverted": 0.2, "word_px": (24, 40)}
            self.worlds += [
                ((1 - text_share) / len(sizes), World.make(split, more, scenes, size=size)),
                (text_share / len(sizes), World.make(split, page, texts, size=size, min_objects=0, max_objects=0)),
            ]


class Preferences:
    """Pairs of answers: `pairs` of different kinds on each picture, and in `text_share` of the groups text facts.

    kinds: which of `preference.KINDS` (None: all); facts: how many text facts (None: all).
    """

    name = "preferences"

    def __init__(
        self,
        seed: int,
        split: str = "train",
        pairs: int = 6,
        text_share: float = 0.15,
        kinds: Sequence[str] | None = None,
        facts: int | None = None,
        **options: Any,
    ) -> None:
        for kind in kinds or ():
            _known(kind, preference.KINDS, "kind of pair")
        chosen = tuple(kinds or preference.KINDS)
        self.kinds = [k for k in chosen if k in preference.SCENE_KINDS]
        if pairs < 1 or not chosen:
            raise InputError(f"pairs={pairs}, kinds={kinds} asked for; at least one of each is needed")
        text = [k for k in chosen if k in preference.TEXT_KINDS]
        self.text_share = (text_share if self.kinds else 1.0) if text else 0.0
        self.seed, self.split, self.pairs, self.facts = seed, split, pairs, facts
        self.world = World.make(split, {"words": (0, 1)}, options)

    def group(self, index: int) -> list[Sample]:
        """Up to `pairs` preference samples that share a picture, or text facts."""
        rng = stream(self.name, self.split, self.seed, index)
        name = f"{self.name}-{self.split}-{self.seed}-{index}"
        langs = [LANGUAGES[(index + k) % 2] for k in range(self.pairs)]
        if rng.random() < self.text_share:
            return [
                preference.fact_pair(rng, self.split, lang, f"{name}-{k}", self.facts) for k, lang in enumerate(langs)
            ]
        scene = make_scene(rng, self.world.scene)
        kinds = rng.sample(self.kinds, len(self.kinds))
        made = [
            preference.scene_pair(scene, rng, self.world.ask, kind, lang, f"{name}-{k}")
            for k, (kind, lang) in enumerate(zip(kinds, langs, strict=False))
        ]
        return [sample for sample in made if sample]


SOURCES: dict[str, Callable[..., Source]] = {
    "scenes": Scenes,
    "told": Told,
    "words": Words,
    "captions": Captions,
    "text": TextWorld,
    "preferences": Preferences,
    "pages": Pages,
    **EXTRA,
}


def source_options(name: str) -> tuple[str, ...]:
    """The names of all options that a source understands."""
    _known(name, tuple(SOURCES), "source")
    if name in EXTRA:
        return options_of(name)
    parameters = inspect.signature(SOURCES[name]).parameters
    own = [p.name for p in parameters.values() if p.kind is not p.VAR_KEYWORD and p.name not in ("seed", "split")]
    return (*own, *(WORLD_OPTIONS if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) else ()))


def make_source(name: str, seed: int, split: str = "train", **options: Any) -> Source:
    """An endless source of samples: "scenes", "told", "words", "captions", "text", "preferences", "pages", or one of `EXTRA`.

    InputError for an unknown name, split or option, naming the nearest known one.
    """
    known = source_options(name)
    _known(split, SPLITS, "split")
    for option in options:
        _known(option, known, f"option of the source {name!r}:")
    return SOURCES[name](seed=seed, split=split, **options)


def manifest(split: str) -> dict[str, Any]:
    """What a split draws from. Fonts, strings to read, templates and (fact, wording) pairs do not occur in the other split.

    With a single Korean font on the machine both splits use it ("fonts_shared" is then true). The words for a thing in
    a box ("referents") are common to both splits; scenes differ by their random streams only.
    """
    _known(split, SPLITS, "split")
    fonts = {name: [path.name for path in split_fonts(name)] for name in SPLITS}
    shared = sorted(set(fonts["train"]) & set(fonts["eval"]))
    modules = (wording, wording_choices, wording_places)
    lists = {n: t for module in modules for n, t in vars(module).items() if isinstance(t, Wording)}
    return {
        "split": split,
        "fonts": fonts[split],
        "fonts_shared": bool(shared),
        "strings": f"{EVAL_WORDS if split == 'eval' else 100 - EVAL_WORDS} of 100 by a stable hash",
        "templates": {name: {lang: list(t.of(split, lang)) for lang in LANGUAGES} for name, t in lists.items()},
        "referents": {lang: [*wording.REFERENTS[lang], *wording.TEXT_REFERENTS[lang]] for lang in LANGUAGES},
        "text_templates": {kind: {lang: list(t[lang]) for lang in LANGUAGES} for kind, t in TEXT.items()},
        "fact_pairs": {lang: [(fact.id, k) for fact, k in pairs(split, lang)] for lang in LANGUAGES},
    }


def _scene_questions(scene: Scene, rng: random.Random, ask: QuestionConfig, tasks: Sequence[str]) -> list[Question]:
    """One question of each task in each language; "grounding" asks for one thing that is there, "absent" for one that is not."""
    plain = replace(ask, absent_share=0.0, plural_share=0.0, named_counts=0.0)
    chosen = []
    for task in tasks:
        for lang in LANGUAGES:
            if task == "absent":
                found = [q.absent(scene, rng, plain, lang, pair) for pair in q.absent_pairs(rng, scene, plain, 1)]
            else:
                found = [made for made in choose(scene, rng, plain, 1000, {task: 1.0}) if made.lang == lang]
            if not found:
                raise InputError(f"a scene of these options has no question of the task {task!r}; leave that task out")
            chosen.append(rng.choice(found))
    return chosen


def evaluation_set(
    seed: int,
    n_scenes: int,
    n_words: int,
    n_text: int,
    scenes: Mapping[str, Any] | None = None,
    words: Mapping[str, Any] | None = None,
    text: Mapping[str, Any] | None = None,
    tasks: Sequence[str] = ("grounding", "referring", "counting"),
) -> list[Sample]:
    """A balanced set from the split "eval": unseen pictures, strings, wordings, and fonts (see `manifest`).

    For each of `tasks` (families of questions on scenes, or "absent") n_scenes samples in Korean and n_scenes in English, all on the
    same n_scenes pictures; n_words pictures of Korean words and n_words of Latin words and numbers to transcribe; n_text
    facts in each language, kinds in turn. scenes, words, text: options as for `make_source` of these names.
    """
    for task in tasks:
        _known(task, (*FAMILIES, "absent"), "task")
    source = make_source("scenes", seed, "eval", **(scenes or {}))
    assert isinstance(source, Scenes)
    samples: list[Sample] = []
    for index in range(n_scenes):
        scene, world, rng = source.picture(index)
        samples += _samples(_scene_questions(scene, rng, world.ask, tasks), scene, f"eval-scene-{seed}-{index}")
    samples += _word_samples(seed, n_words, words or {})
    return samples + _text_samples(seed, n_text, text or {})


def _word_samples(seed: int, count: int, options: Mapping[str, Any]) -> list[Sample]:
    """Pictures of words in one script each: syllables only, or Latin words with some numbers."""
    numbers = 0.2 if options.get("number_share", 1.0) else 0.0
    samples = []
    for lang in LANGUAGES:
        shares = {"latin_share": 0.0 if lang == "ko" else 1 - numbers, "number_share": 0.0 if lang == "ko" else numbers}
        source = make_source("words", seed, "eval", **{"words": (1, 1), "line_share": 0.0, **options, **shares})
        assert isinstance(source, Words)
        for index in range(count):
            scene, world, rng = source.picture(index)
            samples += _samples([q.ocr(scene, rng, world.ask, lang)], scene, f"eval-word-{lang}-{seed}-{index}")
    return samples


def _text_samples(seed: int, count: int, options: Mapping[str, Any]) -> list[Sample]:
    """Different held-out pairs, kinds in turn as far as they reach."""
    facts = options.get("facts")
    make_source("text", seed, "eval", **options)  # checks the options
    samples = []
    for lang in LANGUAGES:
        rng = stream("eval-text", seed, lang)
        by_kind: dict[str, list] = {}
        for pair in rng.sample(pairs("eval", lang, facts), len(pairs("eval", lang, facts))):
            by_kind.setdefault(pair[0].kind, []).append(pair)
        if count > sum(map(len, by_kind.values())):
            raise InputError(
                f"{count} text questions asked for; split 'eval' has {sum(map(len, by_kind.values()))} in {lang!r}"
            )
        chosen: list = []
        while len(chosen) < count:
            for found in by_kind.values():
                if found and len(chosen) < count:
                    chosen.append(found.pop())
        samples += [as_sample(fact, k, lang, f"eval-text-{lang}-{seed}-{n}") for n, (fact, k) in enumerate(chosen)]
    return samples
