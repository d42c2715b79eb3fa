"""Knowledge without pictures: what stage 0 teaches and the later stages must keep.

A fact is asked in several wordings and in both languages. Some (fact, wording) pairs are kept for evaluation, where
the same fact is known from other wordings; of the sums and differences whole operand pairs are kept, so that those
must be worked out rather than remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.synth.knowledge import (
    CAPITALS,
    DAYS,
    DIALOGUES,
    MONTHS,
    OPPOSITES,
    THINGS,
    WORDS,
    number_word,
)
from varco_vision.synth.korean import fill
from varco_vision.synth.rng import SPLITS, in_percent, stable_hash, stream
from varco_vision.synth.text_wording import TEXT

LANGUAGES = ("ko", "en")
HELD_OUT = 12  # percent
_COLOUR_NAMES = {
    "red": "빨간색", "blue": "파란색", "green": "초록색", "yellow": "노란색", "purple": "보라색", "black": "검은색",
    "orange": "주황색", "pink": "분홍색", "white": "흰색",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Fact:
    """questions[lang]: the ways to ask, answers[lang]: the one short answer. kind: "capital", "sum", ..."""

    id: str
    kind: str
    questions: Mapping[str, tuple[str, ...]]
    answers: Mapping[str, str]


def _fact(kind: str, key: str, ko: dict[str, str], en: dict[str, str], answers: tuple[str, str]) -> Fact:
    values = {"ko": ko, "en": en}
    questions = {lang: tuple(fill(t, **values[lang]) for t in TEXT[kind][lang]) for lang in LANGUAGES}
    return Fact(f"{kind}/{key}", kind, questions, dict(zip(LANGUAGES, answers, strict=True)))


def _capitals() -> Iterable[Fact]:
    for land_ko, land_en, city_ko, city_en in CAPITALS:
        yield _fact("capital", land_en, {"land": land_ko}, {"land": land_en}, (city_ko, city_en))


def _capitals_of() -> Iterable[Fact]:
    for land_ko, land_en, city_ko, city_en in CAPITALS:
        yield _fact("capital_of", city_en, {"city": city_ko}, {"city": city_en}, (land_ko, land_en))


def _to_english() -> Iterable[Fact]:
    for ko, en in WORDS:
        yield _fact("to_english", en, {"word": ko}, {"word": ko}, (en, en))


def _to_korean() -> Iterable[Fact]:
    for ko, en in WORDS:
        yield _fact("to_korean", en, {"word": en}, {"word": en}, (ko, ko))


def _neighbours(kind: str, names: tuple[tuple[str, ...], ...], step: int) -> Iterable[Fact]:
    for k, (ko, en) in enumerate(names):
        yield _fact(kind, en, {"name": ko}, {"name": en}, tuple(names[(k + step) % len(names)]))


def _numbers() -> Iterable[Fact]:
    for n in range(101):
        digits = {"n": str(n)}
        yield _fact("number", str(n), digits, digits, (number_word(n, "ko"), number_word(n, "en")))


def _arithmetic(kind: str) -> Iterable[Fact]:
    for a in range(21):
        for b in range(21 if kind == "sum" else a + 1):
            result = str(a + b if kind == "sum" else a - b)
            values = {"a": str(a), "b": str(b)}
            yield _fact(kind, f"{a},{b}", values, values, (result, result))


def _opposites() -> Iterable[Fact]:
    for ko_a, ko_b, en_a, en_b in OPPOSITES:
        yield _fact("opposite", en_a, {"word": ko_a}, {"word": en_a}, (ko_b, en_b))
        yield _fact("opposite", en_b, {"word": ko_b}, {"word": en_b}, (ko_a, en_a))


def _things() -> Iterable[Fact]:
    for ko, en, colour in THINGS:
        yield _fact("thing_colour", en, {"thing": ko}, {"thing": en}, (_COLOUR_NAMES[colour], colour))


def _dialogues() -> Iterable[Fact]:
    for key, sides in DIALOGUES.items():
        questions = {lang: tuple(sides[lang][0].split("/")) for lang in LANGUAGES}
        yield Fact(f"dialogue/{key}", "dialogue", questions, {lang: sides[lang][1] for lang in LANGUAGES})


@lru_cache(maxsize=1)
def facts() -> tuple[Fact, ...]:
    """Every fact, kinds taking turns, so that the first N are a small world with something of each kind."""
    kinds = (
        _capitals(), _to_english(), _to_korean(), _arithmetic("sum"), _neighbours("day_after", DAYS, 1), _opposites(),
        _things(), _dialogues(), _numbers(), _arithmetic("difference"), _neighbours("day_before", DAYS, -1),
        _neighbours("month_after", MONTHS, 1), _neighbours("month_before", MONTHS, -1), _capitals_of(),
    )  # fmt: skip
    return tuple(fact for turn in zip_longest(*kinds) for fact in turn if fact is not None)


def _operands_held(fact: Fact) -> bool:
    """Whether this sum (in either order) or difference is known to evaluation only."""
    if fact.kind not in ("sum", "difference"):
        return False
    operands = fact.id.split("/")[1].split(",")
    if fact.kind == "sum":
        operands.sort(key=int)
    return in_percent(HELD_OUT, "operands", fact.kind, *operands)


@lru_cache(maxsize=20_000)
def held_out(fact: Fact, lang: str) -> frozenset[int]:
    """Which wordings of the fact in this language only evaluation sees; never all, except held-out operand pairs."""
    count = len(fact.questions[lang])
    if _operands_held(fact):
        return frozenset(range(count))
    ranked = sorted(range(count), key=lambda k: stable_hash("wording", fact.id, lang, k))
    return frozenset(k for k in ranked[1:] if in_percent(HELD_OUT, "held", fact.id, lang, k))


def pairs(split: str, lang: str, count: int | None = None) -> tuple[tuple[Fact, int], ...]:
    """The (fact, wording) pairs of a split in one language, of the first `count` facts."""
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; the splits are {' and '.join(SPLITS)}")
    return _pairs(split, lang, count)


@lru_cache(maxsize=64)
def _pairs(split: str, lang: str, count: int | None) -> tuple[tuple[Fact, int], ...]:
    chosen = []
    for fact in facts()[:count]:
        held = held_out(fact, lang)
        chosen.extend((fact, k) for k in range(len(fact.questions[lang])) if (k in held) == (split == "eval"))
    return tuple(chosen)


def as_sample(fact: Fact, wording: int, lang: str, name: str) -> Sample:
    """A fact as a one-turn conversation without pictures."""
    answer = fact.answers[lang]
    return Sample(
        id=name,
        images=(),
        task="chat" if fact.kind == "dialogue" else "text",
        lang=lang,
        messages=(
            {"role": "user", "content": [{"type": "text", "text": fact.questions[lang][wording]}]},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ),
        meta={"kind": fact.kind, "fact": fact.id, "wording": wording, "answer": answer},
    )


class TextWorld:
    """A source of facts. facts: how many of them (None: all); questions: samples in a group; kinds drawn evenly.

    Every group takes kinds in turn at random, so that the 670 sums and differences do not drown the rest.
    """

    def __init__(self, seed: int, split: str = "train", facts: int | None = None, questions: int = 8) -> None:
        self.seed, self.split, self.questions = seed, split, questions
        if questions < 1 or (facts is not None and facts < 1):
            raise InputError(f"facts={facts}, questions={questions} asked for; both must be at least 1")
        self._by_kind: dict[str, dict[str, list[tuple[Fact, int]]]] = {}
        for lang in LANGUAGES:
            table: dict[str, list[tuple[Fact, int]]] = {}
            for fact, wording in pairs(split, lang, facts):
                table.setdefault(fact.kind, []).append((fact, wording))
            if not table:
                raise InputError(f"the first {facts} facts have no pair in split {split!r}; allow more facts")
            self._by_kind[lang] = table

    def group(self, index: int) -> list[Sample]:
        """`questions` samples, Korean and English taking turns."""
        rng = stream("text", self.split, self.seed, index)
        samples = []
        for k in range(self.questions):
            lang = LANGUAGES[(index * self.questions + k) % 2]
            table = self._by_kind[lang]
            # a kind's share grows with the square root of its size
            weights = [len(v) ** 0.5 for v in table.values()]
            fact, wording = rng.choice(table[rng.choices(list(table), weights)[0]])
            samples.append(as_sample(fact, wording, lang, f"text-{self.split}-{self.seed}-{index}-{k}"))
        return samples
