"""Multiple choice in text alone: the letter of an option that is named, and of the answer to a fact.

A small model that names a colour does not yet find the letter in front of it: that is a step of its own, and text teaches
it at a tenth of the cost of a picture.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from varco_vision.data.sample import LANGUAGES, Sample
from varco_vision.errors import InputError
from varco_vision.synth import wording_choices as c
from varco_vision.synth.choosing import LETTERS, ask_options, look_alike
from varco_vision.synth.lexicon import syllables
from varco_vision.synth.phrasing import Speaker
from varco_vision.synth.questions import Question
from varco_vision.synth.rng import SPLITS, stream
from varco_vision.synth.shapes import COLOURS, SHAPES, object_name
from varco_vision.synth.text_world import Fact, facts, pairs

FACT_SHARE = 0.3


def _names(rng: random.Random, lang: str, colours: int, shapes: int) -> list[str]:
    """Four things, some of which share a colour or a shape."""
    few = [rng.randrange(colours) for _ in range(2)], [rng.randrange(shapes) for _ in range(2)]
    found: dict[str, None] = {}
    while len(found) < len(LETTERS):
        near = rng.random() < 0.5
        colour = rng.choice(few[0]) if near else rng.randrange(colours)
        found[object_name(colour, rng.choice(few[1]) if not near else rng.randrange(shapes), lang)] = None
    return list(found)


def _kinds(colours: int, shapes: int) -> dict[str, Callable[[random.Random, str], list[str]]]:
    """What four options can be, by kind; the first one is the one that is asked for."""

    def words(rng: random.Random, lang: str) -> list[str]:
        letters = syllables(500) if lang == "ko" else "abcdefghijklmnopqrstuvwxyz"
        found = dict.fromkeys(["".join(rng.choices(letters, k=rng.randint(2, 4 if lang == "ko" else 6)))])
        while len(found) < len(LETTERS):
            found[look_alike(rng, rng.choice(list(found)))] = None
        return list(found)

    def counts(rng: random.Random, lang: str) -> list[str]:
        numbers = rng.sample(range(10), len(LETTERS))
        return [f"{n}개" if lang == "ko" else str(n) for n in numbers]

    return {
        "name": lambda rng, lang: _names(rng, lang, colours, shapes),
        "colour": lambda rng, lang: rng.sample([getattr(x, lang) for x in COLOURS[:colours]], len(LETTERS)),
        "shape": lambda rng, lang: rng.sample([getattr(x, lang) for x in SHAPES[:shapes]], len(LETTERS)),
        "corner": lambda rng, lang: rng.sample(c.QUARTERS[lang], len(LETTERS)),
        "count": counts,
        "word": words,
    }


class Letters:
    """Multiple choice without pictures, Korean and English in turn.

    questions: samples in a group. colours, shapes: how many of each (at least 4). fact_share: how many ask for a fact of
    `text`; the others name the option that is wanted.
    """

    name = "letters"
    option_names: tuple[str, ...] = ()

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 12,
        colours: int = 8,
        shapes: int = 8,
        fact_share: float = FACT_SHARE,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; the splits are {' and '.join(SPLITS)}")
        if questions < 1 or not 4 <= colours <= len(COLOURS) or not 4 <= shapes <= len(SHAPES):
            raise InputError(
                f"questions={questions}, colours={colours}, shapes={shapes} asked for; at least one question, "
                f"4 to {len(COLOURS)} colours and 4 to {len(SHAPES)} shapes are needed"
            )
        if not 0 <= fact_share <= 1:
            raise InputError(f"fact_share={fact_share} asked for; it lies between 0 and 1")
        self.seed, self.split, self.questions, self.fact_share = seed, split, questions, fact_share
        self.kinds = _kinds(colours, shapes)

    def _fact(self, rng: random.Random, lang: str) -> Question | None:
        fact, wording = rng.choice(pairs(self.split, lang))
        if fact.kind == "dialogue":
            return None
        others = sorted(_answers(fact.kind, lang) - {fact.answers[lang]})
        return ask_options(
            rng,
            self.split,
            lang,
            "fact",
            fact.questions[lang][wording],
            fact.answers[lang],
            rng.sample(others, min(3, len(others))),
        )

    def _named(self, rng: random.Random, lang: str) -> Question | None:
        kind = rng.choice(list(self.kinds))
        right, *wrong = self.kinds[kind](rng, lang)
        text = Speaker(self.split).say(rng, c.NAMED, lang, name=right)
        return ask_options(rng, self.split, lang, kind, text, right, wrong)

    def group(self, index: int) -> list[Sample]:
        """`questions` samples, a function of (options, seed, split, index) only."""
        rng = stream(self.name, self.split, self.seed, index)
        samples: list[Sample] = []
        while len(samples) < self.questions:
            lang = LANGUAGES[(index * self.questions + len(samples)) % 2]
            made = self._fact(rng, lang) if rng.random() < self.fact_share else self._named(rng, lang)
            if made is not None:
                samples.append(made.told(f"{self.name}-{self.split}-{self.seed}-{index}-{len(samples)}", ""))
        return samples


_KNOWN: dict[tuple[str, str], set[str]] = {}


def _answers(kind: str, lang: str) -> set[str]:
    """All answers to facts of a kind."""
    if (kind, lang) not in _KNOWN:
        all_facts: tuple[Fact, ...] = facts()
        for fact in all_facts:
            _KNOWN.setdefault((fact.kind, lang), set()).add(fact.answers[lang])
    return _KNOWN[kind, lang]
