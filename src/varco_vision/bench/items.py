"""Questions of a set before they become rows: what a question is, how options are ordered, what no question may be.

No answer may be had from the form alone: letters are balanced over a set, options differ in more than blanks and case, and
wrong options that are made from the right one are made so that each of the four could have been the origin (`four_of`).
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from varco_vision.bench.encode import encode
from varco_vision.errors import InputError

LETTERS = "ABCD"
OPTIONS = len(LETTERS)


@dataclass(frozen=True)
class Choice:
    """One question with four options. answer: place of the right option. picture: the bytes of its file.

    category, subcategory: as the set's schema names them. kind: what the question is made by (the unit of `priors`).
    source: where the picture comes from, for the data card.
    """

    name: str
    picture: bytes
    question: str
    options: tuple[str, ...]
    answer: int
    category: str
    subcategory: str
    kind: str
    source: str
    hint: str | None = None

    @property
    def letter(self) -> str:
        return LETTERS[self.answer]

    @property
    def right(self) -> str:
        return self.options[self.answer]


@dataclass(frozen=True)
class Open:
    """One open question. caption: everything that is on the picture, for a judge who does not see it. reference: a good
    answer. points: facts that a good answer names (the question's own rubric)."""

    name: str
    picture: bytes
    question: str
    reference: str
    caption: str
    category: str
    points: tuple[str, ...]
    source: str


def plain(text: str) -> str:
    """A text as a reader compares it: composed, without case, blanks and final stops."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).casefold().rstrip(".")


def make_choice(rng: random.Random, right: str, wrong: Sequence[str], **values: Any) -> Choice | None:
    """A question of the right text and three of the wrong ones, the first of them first; None where there are too few.

    `wrong` may hold duplicates and the right text; both are passed over. The place of the right option is set later
    (`balance`).
    """
    seen, chosen = {plain(right)}, []
    for text in wrong:
        if plain(text) not in seen and len(chosen) < OPTIONS - 1:
            seen.add(plain(text))
            chosen.append(text)
    if len(chosen) < OPTIONS - 1:
        return None
    rng.shuffle(chosen)
    if isinstance(values.get("picture"), Image.Image):
        values["picture"] = encode(values["picture"])
    return Choice(options=(right, *chosen), answer=0, **values)


def balance(items: Sequence[Choice], rng: random.Random) -> list[Choice]:
    """The same questions, with the right options at A, B, C and D equally often, over all and within each category.

    Counts of letters differ by at most one over all questions.
    """
    order = sorted(range(len(items)), key=lambda k: (items[k].category, items[k].subcategory))
    letters: list[int] = []
    while len(letters) < len(items):
        letters += rng.sample(range(OPTIONS), OPTIONS)
    placed = list(items)
    for place, k in zip(letters, order, strict=False):
        options = list(items[k].options)
        right = options.pop(items[k].answer)
        options.insert(place, right)
        placed[k] = replace(items[k], options=tuple(options), answer=place)
    return placed


def check(item: Choice) -> None:
    """What no question may be; our own invariants."""
    assert len(item.options) == OPTIONS, item
    assert 0 <= item.answer < OPTIONS, item
    assert all(text == text.strip() and text for text in item.options), item.options
    assert len({plain(text) for text in item.options}) == OPTIONS, item.options
    assert item.question.strip() == item.question and item.question, item
    assert unicodedata.is_normalized("NFC", item.question + "".join(item.options)), item
    assert re.search("[가-힣]", item.question), item.question


def letter_shares(items: Sequence[Choice]) -> dict[str, int]:
    """How often each letter is right."""
    counted = Counter(item.letter for item in items)
    return {letter: counted[letter] for letter in LETTERS}


# --- wrong options ---------------------------------------------------------------------------------------------------


def numbers_around(rng: random.Random, n: int, least: int = 0) -> list[int]:
    """Three other whole numbers that with n are four in a row; n is any of the four equally often (where `least` lets it)."""
    first = rng.randint(max(least, n - (OPTIONS - 1)), max(least, n))
    return [k for k in range(first, first + OPTIONS) if k != n]


def four_of(rng: random.Random, text: str) -> list[str]:
    """Three texts made of one by changing two of its places, one, the other, or both.

    Places are the digits of numbers, else syllables or letters. Since any of the four could be the origin, the form does
    not tell which is right. Fewer than two places give none. Zeros that round a number, and a first digit, keep their sense.
    """
    places = _digit_places(text) or _letter_places(text)
    if len(places) < 2:
        return []
    (i, a), (j, b) = ((k, rng.choice(other)) for k, other in sorted(rng.sample(places, 2)))
    first, second = text[:i] + a + text[i + 1 :], text[:j] + b + text[j + 1 :]
    return [first, second, first[:j] + b + first[j + 1 :]]


def _digit_places(text: str) -> list[tuple[int, str]]:
    """Places of digits with what may stand there instead: no first digit becomes 0, no closing zero changes."""
    found = []
    for number in re.finditer(r"\d[\d,]*", text):
        kept = len(number[0].rstrip("0,"))
        for k in range(number.start(), number.start() + kept):
            if text[k] != ",":
                found.append((k, "".join(d for d in "0123456789"[k == number.start() :] if d != text[k])))
    return found


def sums_of(rng: random.Random, value: float, step: float, least: float | None = None) -> list[float]:
    """Three other results of a calculation: two slips, each up or down, and both together. None below `least`."""
    most = max(abs(value) / step * 0.6, 2)
    sizes = rng.sample([size for size in (1, 2, 5, 10, 20, 100) if size <= most], 2)
    for signs in rng.sample([(1, 1), (1, -1), (-1, 1), (-1, -1)], 4):
        a, b = (sign * size * step for sign, size in zip(signs, sizes, strict=True))
        made = [round(value + x, 1) for x in (a, b, a + b)]
        if least is None or min(made) >= least:
            return made
    return []


_COMMON_LEADS = (0, 2, 3, 5, 6, 7, 9, 11, 12, 14, 16, 17, 18)  # ㄱ ㄴ ㄷ ㄹ ㅁ ㅂ ㅅ ㅇ ㅈ ㅊ ㅌ ㅍ ㅎ
_COMMON_VOWELS = (0, 1, 4, 5, 6, 8, 13, 18, 20)  # ㅏ ㅐ ㅓ ㅔ ㅕ ㅗ ㅜ ㅡ ㅣ


def _letter_places(text: str) -> list[tuple[int, str]]:
    """Places of syllables (another first consonant or vowel) and Latin letters (another of their kind)."""
    found = []
    for k, c in enumerate(text):
        if "가" <= c <= "힣":
            lead, rest = divmod(ord(c) - 0xAC00, 588)
            vowel, tail = divmod(rest, 28)
            others = [chr(0xAC00 + n * 588 + vowel * 28 + tail) for n in _COMMON_LEADS if n != lead]
            others += [chr(0xAC00 + lead * 588 + n * 28 + tail) for n in _COMMON_VOWELS if n != vowel]
            found.append((k, "".join(others)))
        elif c.isascii() and c.isalpha():
            kind = "aeiou" if c.lower() in "aeiou" else "bcdfghklmnprstvw"
            others = "".join(o.upper() if c.isupper() else o for o in kind if o != c.lower())
            found.append((k, others))
    return found


def need(items: Sequence[Any], count: int, what: str) -> None:
    """InputError when a set did not come together."""
    if len(items) < count:
        raise InputError(f"only {len(items)} of {count} questions of {what} could be made; ask for fewer with --count")
