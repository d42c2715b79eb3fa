"""What is counted as right: pure functions on text and boxes, each with its tolerance written down. No torch.

Conventions, the same everywhere: text is composed (NFC), never NFKC (that would turn the compatibility letter ㄱ into
another one); full-width ASCII counts as ASCII where a function says so; an answer that cannot be read is None here, and
whoever averages counts it as wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from varco_vision.geometry import Box

Unit = Literal["syllable", "jamo"]
Word = tuple[str, Box]

IOU_MATCH = 0.5
# The tolerances of `phrase`, besides those of `answer`: nothing else is taken off.
KOREAN_ENDINGS = ("입니다", "이에요", "예요")
ENGLISH_ARTICLES = ("a ", "an ", "the ")

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_TRAILING = " .,!?。"


# --- boxes ---------------------------------------------------------------------------------------------------------


def first_box_iou(predicted: Sequence[Box], gold: Box) -> float:
    """IoU of the first predicted box with the gold box; 0 when there is none (nothing overlaps with nothing)."""
    return predicted[0].iou(gold) if predicted else 0.0


def box_accuracy(ious: Sequence[float], threshold: float = IOU_MATCH) -> float:
    """Share of IoUs that reach the threshold (>=), as RefCOCO's Acc@0.5 is defined. At least one IoU is needed."""
    assert ious
    return sum(iou >= threshold for iou in ious) / len(ious)


def mean_iou(ious: Sequence[float]) -> float:
    """Mean over all samples, those without a box included as 0. At least one IoU is needed."""
    assert ious
    return sum(ious) / len(ious)


def matching(rows: int, columns: int, fits: Callable[[int, int], bool]) -> int:
    """Size of the largest one-to-one matching of rows with columns that fit (augmenting paths, Kuhn 1955)."""
    edges = [[c for c in range(columns) if fits(r, c)] for r in range(rows)]
    partner: dict[int, int] = {}

    def augment(row: int, seen: set[int]) -> bool:
        for column in edges[row]:
            if column in seen:
                continue
            seen.add(column)
            if column not in partner or augment(partner[column], seen):
                partner[column] = row
                return True
        return False

    return sum(augment(row, set()) for row in range(rows))


def box_matches(predicted: Sequence[Box], gold: Sequence[Box], threshold: float = IOU_MATCH) -> int:
    """How many gold boxes are found, one-to-one, at IoU >= threshold."""
    return matching(len(gold), len(predicted), lambda g, p: predicted[p].iou(gold[g]) >= threshold)


def named_box_matches(predicted: Sequence[Word], gold: Sequence[Word], threshold: float = IOU_MATCH) -> int:
    """As `box_matches`, and the texts must be equal too (composed, nothing else forgiven)."""
    told, known = [(nfc(t), b) for t, b in predicted], [(nfc(t), b) for t, b in gold]
    return matching(
        len(known),
        len(told),
        lambda g, p: told[p][0] == known[g][0] and told[p][1].iou(known[g][1]) >= threshold,
    )


def text_matches(predicted: Iterable[str], gold: Iterable[str]) -> int:
    """How many gold words are among the predicted ones, one-to-one, wherever their boxes are."""
    return sum((Counter(map(nfc, predicted)) & Counter(map(nfc, gold))).values())


def f1(found: int, predicted: int, gold: int) -> float:
    """Harmonic mean of precision and recall: 2 found / (predicted + gold). Nothing asked for, nothing told: 1."""
    return 2 * found / (predicted + gold) if predicted + gold else 1.0


# --- text ----------------------------------------------------------------------------------------------------------


def nfc(text: str) -> str:
    """Composed, without blanks around it: the strict form of a text."""
    return unicodedata.normalize("NFC", text).strip()


def fold_width(text: str) -> str:
    """Full-width ASCII and the ideographic space as plain ASCII: Ｂ -> B."""
    return text.translate(_FULL_WIDTH)


def answer(text: str) -> str:
    """A short answer as it is compared: NFC, full width folded, runs of blanks as one, no stop at the end, lower case."""
    return " ".join(fold_width(nfc(text)).split()).rstrip(_TRAILING).lower()


def phrase(text: str) -> str:
    """As `answer`, without a copula at the end (`KOREAN_ENDINGS`) or an article at the start (`ENGLISH_ARTICLES`)."""
    bare = answer(text)
    for ending in KOREAN_ENDINGS:
        if bare.endswith(ending) and len(bare) > len(ending):
            return bare.removesuffix(ending).rstrip()
    for article in ENGLISH_ARTICLES:
        if bare.startswith(article):
            return bare.removeprefix(article)
    return bare


def same_strict(predicted: str, gold: str) -> bool:
    """Equal as composed text, blanks around it apart."""
    return nfc(predicted) == nfc(gold)


def same_answer(predicted: str, gold: str) -> bool:
    """Equal under `answer`."""
    return answer(predicted) == answer(gold)


def same_phrase(predicted: str, gold: str) -> bool:
    """Equal under `phrase`."""
    return phrase(predicted) == phrase(gold)


# --- numbers -------------------------------------------------------------------------------------------------------

_ENGLISH = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
_COUNTERS = "개|마리|명|대|사람|가지|송이|장|권|그루|채|켤레|분"
_COPULAS = "입니다|이에요|예요|이다|다|이야|야|요"


def _korean_numbers() -> tuple[dict[str, int], dict[str, int]]:
    """Numerals that stand alone (하나, 열둘) and those that need a counter after them (한, 스무, 십이), 1 to 99."""
    alone = dict(zip(["하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉"], range(1, 10), strict=True))
    before = dict(zip(["한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉"], range(1, 10), strict=True)) | {
        "석": 3,
        "넉": 4,
    }
    tens = dict(
        zip(["열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔"], range(10, 100, 10), strict=True)
    )
    digits = dict(zip("일이삼사오육칠팔구", range(1, 10), strict=True))
    native = alone | tens | {t + a: n + k for t, n in tens.items() for a, k in alone.items()}
    counted = before | tens | {"스무": 20} | {t + b: n + k for t, n in tens.items() for b, k in before.items()}
    ten = {(head if k > 1 else "") + "십": 10 * k for head, k in [("", 1), *digits.items()]}
    sino = digits | ten | {t + d: n + k for t, n in ten.items() for d, k in digits.items()} | {"영": 0}
    return native, counted | native | sino


_ALONE, _COUNTED = _korean_numbers()


def _either(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=lambda w: (-len(w), w)))


_NUMBER = re.compile(
    rf"(?P<digits>\d+(?:,\d{{3}})*(?:\.\d+)?)"
    rf"|(?<![가-힣])(?P<counted>{_either(_COUNTED)})\s*(?:{_COUNTERS})"
    rf"|(?<![가-힣])(?P<alone>{_either(_ALONE)})(?=(?:{_COPULAS})?(?:[^가-힣]|$))"
    rf"|\b(?P<english>{_either(_ENGLISH)})\b"
)
_NOTHING = re.compile(r"없|\b(?:no|none|nothing)\b")


def count_in(text: str) -> int | None:
    """The first number of an answer: digits, Korean numerals (하나, 세 개, 열두 마리, 삼 개) or English ones to twenty.

    A Korean numeral that could be another word (네 "yes", 이 "this", 한) counts only before a counting word. Without any
    number, "none", "no" and 없다 mean 0. None when there is nothing of the kind, or a fraction.
    """
    plain = answer(text)
    found = _NUMBER.search(plain)
    if found is None:
        return 0 if _NOTHING.search(plain) else None
    if found["digits"]:
        value = float(found["digits"].replace(",", ""))
        return int(value) if value.is_integer() else None
    if found["english"]:
        return _ENGLISH.index(found["english"])
    return _COUNTED[found["counted"]] if found["counted"] else _ALONE[found["alone"]]


# --- yes and no ----------------------------------------------------------------------------------------------------

_YES = re.compile(r"(?:네|예|응|그래요?|맞아요?|맞습니다)(?![가-힣])|(?:yes|yeah|yep|true)\b")
_NO = re.compile(r"아니|(?:no|nope|false)\b")
_NEGATED = re.compile(r"없|않|안 보|\b(?:no|not|cannot)\b|n't\b|n’t\b")
_AFFIRMED = re.compile(r"있|보입니다|보여|보인다|\b(?:there (?:is|are)|i (?:can )?see)\b")


def yes_no(text: str) -> bool | None:
    """True or False as the answer declares it: its first word, else a plain statement of existence; None for neither."""
    plain = answer(text).lstrip("\"'“‘(")
    for pattern, meaning in ((_YES, True), (_NO, False)):
        if pattern.match(plain):
            return meaning
    if _NEGATED.search(plain):
        return False
    return True if _AFFIRMED.search(plain) else None


# --- characters ----------------------------------------------------------------------------------------------------


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein distance: fewest insertions, deletions and replacements. One numpy row per element of the shorter.

    Insertions along a row are a running minimum: d[j] = min over i <= j of (t[i] + j - i), t the row without them.
    """
    if len(a) > len(b):
        a, b = b, a
    if not a:
        return len(b)
    codes = {unit: k for k, unit in enumerate(dict.fromkeys([*a, *b]))}
    longer = np.array([codes[unit] for unit in b])
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for number, unit in enumerate(a, start=1):
        table = np.empty_like(row)
        table[0] = number
        np.minimum(row[:-1] + (longer != codes[unit]), row[1:] + 1, out=table[1:])
        row = np.minimum.accumulate(table - steps) + steps
    return int(row[-1])


def units(text: str, unit: Unit = "syllable", spaces: bool = True) -> str:
    """What a character error rate counts: NFC syllables or NFD letters (jamo), runs of blanks as one or left out."""
    joined = (" " if spaces else "").join(unicodedata.normalize("NFC", text).split())
    return joined if unit == "syllable" else unicodedata.normalize("NFD", joined)


def character_errors(predicted: str, gold: str, unit: Unit = "syllable", spaces: bool = True) -> tuple[int, int]:
    """(edit distance, characters of the gold text). Summed over samples the two give the micro error rate."""
    reference = units(gold, unit, spaces)
    return edit_distance(units(predicted, unit, spaces), reference), len(reference)


def character_error_rate(
    pairs: Iterable[tuple[str, str]], unit: Unit = "syllable", spaces: bool = True
) -> float | None:
    """Micro CER of (predicted, gold) pairs: sum of distances / sum of gold characters; None without any character."""
    counted = [character_errors(predicted, gold, unit, spaces) for predicted, gold in pairs]
    total = sum(length for _, length in counted)
    return sum(distance for distance, _ in counted) / total if total else None


# --- languages -----------------------------------------------------------------------------------------------------


def hangul_share(text: str) -> float | None:
    """Hangul letters / (Hangul + Latin letters) of a text, 0..1; None when it has neither, as in "42"."""
    composed = unicodedata.normalize("NFC", text)
    hangul = len(re.findall(r"[가-힣ㄱ-ㆎᄀ-ᇿ]", composed))
    latin = len(re.findall(r"[A-Za-z]", fold_width(composed)))
    return hangul / (hangul + latin) if hangul + latin else None


def language(text: str) -> str | None:
    """ "ko" or "en", by which script has more letters ("ko" on a tie); None without letters."""
    share = hangul_share(text)
    return None if share is None else "ko" if share >= 0.5 else "en"
