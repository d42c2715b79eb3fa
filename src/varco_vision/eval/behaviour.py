"""How a model behaves, apart from being right: language of replies, loops, things named that are not there. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from varco_vision.errors import InputError
from varco_vision.eval import metrics as m
from varco_vision.eval.statistics import Interval, bootstrap_ratio, wilson

# What may follow a noun inside the same Korean word and leave it that noun.
ENDINGS = (
    "이라는", "에서는", "에게는", "이에요", "입니다", "이었다", "이지만", "에서", "에게", "으로", "에는", "부터", "까지", "처럼",
    "보다", "하고", "이나", "이랑", "들이", "들은", "들을", "들과", "들의", "들도", "예요", "이다", "였다", "와는", "과는", "로는",
    "은", "는", "이", "가", "을", "를", "의", "에", "와", "과", "도", "로", "만", "들", "나", "랑", "뿐",
)  # fmt: skip
LOOP_COPIES = 4
LOOP_LETTERS = 40


@dataclass(frozen=True)
class Share:
    """A share of n answers with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


def _share(hits: int, n: int) -> Share | None:
    return Share(hits / n, *wilson(hits, n), n) if n else None


def reply_language(replies: Iterable[tuple[str, str]]) -> dict[str, Share | None]:
    """Share of (answer, wanted language "ko" or "en") pairs answered in that language, for each of them.

    The language is the script with more letters; answers without letters ("42", an empty one) are left out and make up the
    rest of "without_letters", a share of all.
    """
    table: dict[str, list[bool]] = {"ko": [], "en": []}
    total = silent = 0
    for answer, wanted in replies:
        if wanted not in table:
            raise InputError(f"the wanted language is {wanted!r}; it must be 'ko' or 'en'")
        total += 1
        told = m.language(answer)
        if told is None:
            silent += 1
        else:
            table[wanted].append(told == wanted)
    return {lang: _share(sum(hits), len(hits)) for lang, hits in table.items()} | {
        "without_letters": _share(silent, total)
    }


def loop_rate(records: Iterable[Mapping[str, Any]]) -> Share | None:
    """Share of answers that repeat themselves: stopped for that ("loop" in their flags or as stop_reason), or `loops`."""
    found = [
        "loop" in r.get("flags", ()) or r.get("stop_reason") == "loop" or loops(str(r.get("answer", "")))
        for r in records
    ]
    return _share(sum(found), len(found))


def loops(text: str) -> bool:
    """Whether a text ends with the same stretch at least 4 times over at least 40 characters. Works on any model's output."""
    plain = text.rstrip()
    for period in range(1, len(plain) // LOOP_COPIES + 1):
        end = len(plain)
        while end > period and plain[end - 1] == plain[end - 1 - period]:
            end -= 1
        if len(plain) - end + period >= max(LOOP_COPIES * period, LOOP_LETTERS) and plain[-period:].strip("-_=.· "):
            return True
    return False


# --- things that are not there -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vocabulary:
    """Things that can be named: {thing: its names in any language}. A name must not belong to two things."""

    names: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        owner: dict[str, str] = {}
        for thing, names in self.names.items():
            for name in names:
                if owner.setdefault(m.answer(name), thing) != thing:
                    raise InputError(
                        f"the name {name!r} belongs to {owner[m.answer(name)]!r} and {thing!r}; it must be one's"
                    )

    @cached_property
    def _owner(self) -> dict[str, str]:
        return {m.answer(name): thing for thing, names in self.names.items() for name in names}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest = sorted(self._owner, key=lambda name: (-len(name), name))
        korean = "|".join(re.escape(n) for n in longest if m.language(n) == "ko")
        latin = "|".join(re.escape(n) for n in longest if m.language(n) != "ko")
        endings = "|".join(ENDINGS)
        parts = [rf"(?<![가-힣])(?P<ko>{korean})(?:{endings})?(?![가-힣])"] if korean else []
        parts += [rf"\b(?P<en>{latin})(?:e?s)?\b"] if latin else []
        return re.compile("|".join(parts))

    def mentions(self, text: str) -> list[str]:
        """The things that a text names, in order, each as often as it is named; the longest name wins."""
        found = self._pattern.finditer(m.answer(text)) if self._owner else ()
        return [self._owner[name] for match in found for name in match.groups() if name is not None]


@dataclass(frozen=True)
class Hallucination:
    """CHAIR (Rohrbach et al. 2018): `mentions` share of named things that are not there (CHAIRi), `answers` share of answers
    that name at least one such thing (CHAIRs). `recall`: named among the things that are there."""

    mentions: float | None
    mentions_interval: Interval | None
    answers: Share
    recall: float | None
    named: int
    wrong: int


def hallucination(answers: Sequence[str], present: Sequence[Iterable[str]], vocabulary: Vocabulary) -> Hallucination:
    """Which things answers name that their pictures do not hold. `present`: the things of each picture."""
    if not answers or len(answers) != len(present):
        raise InputError(
            f"{len(answers)} answers and {len(present)} pictures were given; each answer needs its picture"
        )
    parts, known = [], [frozenset(things) for things in present]
    if strange := sorted(frozenset().union(*known) - vocabulary.names.keys()):
        raise InputError(f"the picture holds {strange[0]!r}, which the vocabulary lacks")
    found = [vocabulary.mentions(answer) for answer in answers]
    parts = [(sum(t not in there for t in told), len(told)) for told, there in zip(found, known, strict=True)]
    wrong, named = sum(p[0] for p in parts), sum(p[1] for p in parts)
    seen = sum(len(there & set(told)) for told, there in zip(found, known, strict=True))
    there_at_all = sum(map(len, known))
    share = _share(sum(p[0] > 0 for p in parts), len(parts))
    assert share is not None
    return Hallucination(
        wrong / named if named else None,
        bootstrap_ratio(parts) if named else None,
        share,
        seen / there_at_all if there_at_all else None,
        named,
        wrong,
    )


def presence_bias(replies: Iterable[tuple[bool | None, bool]]) -> dict[str, Share | None]:
    """POPE's view of yes-or-no questions, from (answer, truth): accuracy, share of yes, and yes on what is absent.

    An answer that could not be read (None) is wrong, and not a yes.
    """
    told = list(replies)
    absent = [answer for answer, truth in told if not truth]
    return {
        "accuracy": _share(sum(answer is truth for answer, truth in told), len(told)),
        "yes": _share(sum(answer is True for answer, _ in told), len(told)),
        "yes_on_absent": _share(sum(answer is True for answer in absent), len(absent)),
    }
