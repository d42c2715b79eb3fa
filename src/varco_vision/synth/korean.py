"""Korean particles, counters and a template language that picks the right particle for any word.

A particle has two forms, one after a final consonant and one after a vowel. Which letter a text ends on is a question
of how it is read aloud: digits in Sino-Korean, Latin capitals letter by letter, Latin words as they are usually
written in Hangul (pen -> 펜, cake -> 케이크, milk -> 밀크).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from varco_vision.errors import InputError

# after a consonant / after a vowel; forms with 으 also take the second form after ㄹ
PAIRS = (
    ("은", "는"),
    ("이", "가"),
    ("을", "를"),
    ("과", "와"),
    ("아", "야"),
    ("이랑", "랑"),
    ("이나", "나"),
    ("이든", "든"),
    ("이라", "라"),
    ("이라고", "라고"),
    ("이라는", "라는"),
    ("이며", "며"),
    ("이고", "고"),
    ("이야", "야"),
    ("이다", "다"),
    ("이에요", "예요"),
    ("이었어요", "였어요"),
    ("이었습니다", "였습니다"),
    ("으로", "로"),
    ("으로는", "로는"),
    ("으로서", "로서"),
    ("으로써", "로써"),
)
_BY_NAME = {name: pair for pair in PAIRS for name in ("/".join(pair), "/".join(reversed(pair)))}

NONE, CONSONANT, LIEUL = "", "consonant", "lieul"
_DIGIT_ENDS = {
    "0": CONSONANT, "1": LIEUL, "2": NONE, "3": CONSONANT, "4": NONE, "5": NONE, "6": CONSONANT, "7": LIEUL, "8": LIEUL,
    "9": NONE,
}  # fmt: skip
_LETTER_ENDS = {"l": LIEUL, "r": LIEUL, "m": CONSONANT, "n": CONSONANT}
_UNIT_ENDS = {
    "%": NONE, "cm": NONE, "mm": NONE, "km": NONE, "m": NONE, "l": NONE, "ml": NONE, "px": LIEUL,
    "kg": CONSONANT, "g": CONSONANT, "mg": CONSONANT, "t": CONSONANT,
}  # fmt: skip
_SIGN_ENDS = {"²": NONE, "³": NONE, "%": NONE, "℃": NONE, "°": NONE, "+": NONE, "㎝": NONE, "㎞": NONE, "㎏": CONSONANT}
_BOX_AT_END = re.compile(
    r"<(obj|char)>((?:(?!<obj>|<char>).)*?)</\1>\s*<bbox>[^<]*(?:<delim>[^<]*)*</bbox>\s*$", re.DOTALL
)
_IN_BRACKETS_AT_END = re.compile(r"\s*\([^()]*\)\s*$")
_CLOSING = " \t\n\"'”’」』》〉)]}.,!?…*_`"
_COUNTERS = {
    "명": ("person", "사람", "아이", "어린이", "여자", "남자", "학생", "선생님", "친구", "의사", "가수", "손님"),
    "마리": ("animal", "동물", "고양이", "개", "강아지", "새", "물고기", "말", "소", "닭", "토끼", "곰", "나비", "벌"),
    "대": ("vehicle", "machine", "자동차", "차", "버스", "기차", "자전거", "비행기", "트럭", "컴퓨터", "텔레비전"),
}
_COUNTER_OF = {noun: counter for counter, nouns in _COUNTERS.items() for noun in nouns}
_NATIVE = ("영", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열")


def counter(kind: str) -> str:
    """The counting word for a kind ("thing", "animal", "person", "vehicle") or a Korean noun: 개, 마리, 명 or 대."""
    return _COUNTER_OF.get(kind, "개")


def count_phrase(count: int, kind: str = "thing") -> str:
    """A number with its counting word as one says it: 세 개, 두 마리; digits from eleven on (12개)."""
    return f"{_NATIVE[count]} {counter(kind)}" if 0 < count <= 10 else f"{count}{counter(kind)}"


def _number_end(digits: str, fraction: bool) -> str:
    """How a number is read at its end: 10 십, 100 백, 10000 만; digit by digit after a decimal point or a leading 0."""
    zeros = len(digits) - len(digits.rstrip("0"))
    if fraction or zeros == 0 or zeros == len(digits) or digits[0] == "0":
        return _DIGIT_ENDS[digits[-1]]
    return NONE if zeros // 4 == 3 else CONSONANT  # 십 백 천 만 억 경 end on a consonant, 조 does not


def _latin_end(word: str) -> str:
    """The end of a Latin word as its usual Hangul spelling has it."""
    if len(word) == 1 or (word.isupper() and (len(word) <= 4 or not re.search("[AEIOUY]", word))):
        return _LETTER_ENDS.get(word[-1].lower(), NONE)
    w = word.lower()
    if re.search(r"(ll?|[^aeiou]le|[aeiou]le)$", w):
        return LIEUL
    if re.search(r"(m|n|ng)$", w) or re.search(r"[aeiouy][mn]e$", w):
        return CONSONANT
    if w.endswith("ic") or w.endswith("ck"):
        return CONSONANT
    # a stop after one short vowel closes the syllable (cat 캣, book 북, web 웹); after two vowels or a consonant not
    return CONSONANT if re.search(r"(^|[^aeiou])[aeiou][ptkb]$|ook$|oot$", w) else NONE


@lru_cache(maxsize=50_000)
def last_sound(word: str) -> str:
    """How the text ends when read aloud: "" (a vowel), "consonant" or "lieul" (the consonant ㄹ).

    A text that ends with a box is read as the phrase before the box; closing quotes, stops and a bracketed remark at
    the end are not read. InputError when nothing readable is left.
    """
    text = word
    while found := _BOX_AT_END.search(text):
        text = found.group(2)
    text = text.rstrip()
    bare = _IN_BRACKETS_AT_END.sub("", text)
    text = (bare or text).rstrip(_CLOSING)
    if not text:
        raise InputError(f"cannot choose a particle for {word!r}: it has no letter or digit to read; give a word")
    last = text[-1]
    if "가" <= last <= "힣":
        final = (ord(last) - 0xAC00) % 28
        return NONE if final == 0 else LIEUL if final == 8 else CONSONANT
    if (unit := re.search(r"\d\s?([a-zA-Z]{1,2}|%)$", text)) and unit.group(1).lower() in _UNIT_ENDS:
        return _UNIT_ENDS[unit.group(1).lower()]
    if number := re.search(r"(\.?)(\d[\d,]*)$", text):
        digits = number.group(2).replace(",", "")
        return _number_end(digits, number.group(1) == "." and text[: number.start()][-1:].isdigit())
    if latin := re.search(r"[A-Za-z]+$", text):
        return _latin_end(latin.group())
    if last in _SIGN_ENDS:
        return _SIGN_ENDS[last]
    raise InputError(
        f"cannot choose a particle for {word!r}: {last!r} has no known reading; end it on Hangul, Latin or a digit"
    )


def josa(word: str, pair: str) -> str:
    """The form of a particle that fits after the word: josa("원", "은/는") == "은"; josa("별", "으로/로") == "로".

    `pair` names both forms in either order; InputError for a pair that is not in `PAIRS`.
    """
    if pair not in _BY_NAME:
        known = ", ".join("/".join(p) for p in PAIRS)
        raise InputError(f"unknown particle pair {pair!r}; known pairs are {known}")
    after_consonant, after_vowel = _BY_NAME[pair]
    sound = last_sound(word)
    if sound == NONE or (sound == LIEUL and after_consonant.startswith("으로")):
        return after_vowel
    return after_consonant


def attach(word: str, pair: str) -> str:
    """The word with the fitting particle written to it: attach("고리", "이/가") == "고리가"."""
    return word + josa(word, pair)


def listed(items: Iterable[str]) -> str:
    """Things one after another, as one says them: "빨간색 원, 파란색 별과 초록색 고리"; the last two are joined by 과 or 와.

    InputError for no items, or where the last but one cannot be read aloud.
    """
    *before, last = items
    if not before:
        return last
    return f"{', '.join(before)}{josa(before[-1], '과/와')} {last}"


_LIST_PARTICLE = re.compile(r"(\S+?)([과와]) ")


def with_commas(text: str) -> str:
    """The text with every list written with commas alone: "원, 별과 고리" -> "원, 별, 고리"; other text stays as it is.

    A syllable 과 or 와 counts as the particle where it fits the sound before it: 사과 한 개 stays, since after 사 it were 와.
    """

    def plain(found: re.Match[str]) -> str:
        word, particle = found.groups()
        try:
            fits = josa(word, "과/와") == particle
        except InputError:  # signs that nobody reads aloud carry no particle
            fits = False
        return f"{word}, " if fits else found.group()

    return _LIST_PARTICLE.sub(plain, text)


_SLOT = re.compile(r"\{(\w+)(?:\|([^{}]+))?\}")


def fill(template: str, **values: object) -> str:
    """Put values into {name} and {name|은/는}; the second form writes the fitting particle after the value."""

    def put(found: re.Match[str]) -> str:
        value = str(values[found.group(1)])
        return attach(value, found.group(2)) if found.group(2) else value

    return _SLOT.sub(put, template)
