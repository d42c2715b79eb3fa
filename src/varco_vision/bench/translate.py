"""From an English set to a Korean one: translate, translate back, check, and hand the doubtful ones to a person.

Each question is translated once, its rotations get the same texts. What a check says is a flag, never a silent change: a
question without a readable translation is left out and counted, everything else is kept with its flags in the review sheet.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from varco_vision.bench import ask
from varco_vision.bench.items import plain
from varco_vision.errors import InputError
from varco_vision.eval.benchmarks import Item, Loaded, stem
from varco_vision.eval.judge import Judge
from varco_vision.eval.location import chrf

TARGETS = {"mmbench": "k_mmbench", "seed": "k_seed", "mmstar": "k_mmstar", "llava_w": "k_llava_w"}
BACK_LEAST = 45.0  # chrF of the text translated back
FLAGS = {
    "back": "the text translated back differs from the original",
    "options": "options that differ in English are the same in Korean",
    "numbers": "other numbers than in the original",
    "terms": "a term that was to be kept is missing",
    "english": "a part was not translated",
    "style": "the question does not end as Korean questions do",
    "option-words": "the same English option is translated in several ways in the set",
    "picture-text": "text in the picture has to be read; it is not Korean",
    "no-back": "the translation back could not be read",
}
READS = re.compile(
    r"\b(read|text|word|words|written|writes?|says?|sign|label|title|caption|letter|letters|spell|headline|logo|license plate|poster|menu|chart|table|graph|document)\b",
    re.IGNORECASE,
)
OPTION = "option_"


@dataclass
class Translated:
    """One question in both languages. items: its rows (several with rotations). korean: None when there is no translation.

    Keys: question, hint, option_X by the first row's letters; open questions: question, reference, caption.
    """

    items: list[Item]
    english: dict[str, str]
    korean: dict[str, str] | None = None
    back: dict[str, str] | None = None
    likeness: float | None = None
    flags: dict[str, str] = field(default_factory=dict)
    verdict: str = ""

    @property
    def index(self) -> str:
        return self.items[0].index


@dataclass(frozen=True)
class Settings:
    """terms: English to the Korean that must be used. least: lowest chrF of the text translated back without a flag.

    see: also ask the endpoint, with the picture, whether text in it has to be read.
    """

    terms: Mapping[str, str] = field(default_factory=dict)
    least: float = BACK_LEAST
    see: bool = False


def texts_of(item: Item) -> dict[str, str]:
    """What of a row is to be translated."""
    texts = {"question": stem(item.question) if any(item.options.values()) else item.question}
    if item.hint:
        texts["hint"] = item.hint
    if not item.options:
        return {**texts, "reference": item.answer, "caption": item.caption}
    return {**texts, **{OPTION + letter: text for letter, text in item.options.items() if text is not None}}


def run(
    loaded: Loaded, judge: Judge, settings: Settings, tell: Callable[[int, int], None] = lambda done, of: None
) -> list[Translated]:
    """Translate a set and check the translations."""
    if loaded.benchmark.task not in TARGETS:
        raise InputError(
            f"{loaded.benchmark.title} has no Korean counterpart here; those with one are {', '.join(TARGETS)}"
        )
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in loaded.items:
        groups[item.group].append(item)
    made = []
    for number, items in enumerate(groups.values(), start=1):
        items = sorted(items, key=lambda item: (len(item.index), item.index))
        made.append(_one(items, judge, settings))
        tell(number, len(groups))
    _same_words(made)
    return made


def _one(items: list[Item], judge: Judge, settings: Settings) -> Translated:
    one = Translated(items, texts_of(items[0]))
    whole = " ".join(one.english.values()).casefold()
    terms = {en: ko for en, ko in settings.terms.items() if _holds(whole, en)}
    one.korean = ask.translate(judge, one.english, terms)
    if one.korean is None:
        return one
    one.back = ask.back(judge, one.korean)
    one.flags = checks(one, terms, settings.least)
    if reading := _reads(one, judge, settings):
        one.flags["picture-text"] = reading
    return one


def _holds(text: str, term: str) -> bool:
    return re.search(rf"(?<![a-z]){re.escape(term.casefold())}(?![a-z])", text) is not None


def _reads(one: Translated, judge: Judge, settings: Settings) -> str:
    """Why text in the picture seems to matter, "" when it does not."""
    item = one.items[0]
    if "ocr" in (item.category + item.subcategory).lower() or "text" in (item.category + item.subcategory).lower():
        return f"category {item.category or item.subcategory}"
    if found := READS.search(one.english["question"]):
        return f"the question says {found[0]!r}"
    if settings.see and (seen := ask.picture_text(judge, item.images[0], one.english["question"])) is not False:
        return "a model sees text" if seen else "the model's reply about the picture could not be read"
    return ""


def checks(one: Translated, terms: Mapping[str, str], least: float) -> dict[str, str]:
    """Flags of a translation: flag -> what was found. Sets `likeness`, the lowest chrF of question and running texts."""
    assert one.korean is not None
    english, korean, flags = one.english, one.korean, {}
    if one.back is None:
        flags["no-back"] = "no readable reply"
    else:
        scored = {key: chrf([one.back[key]], [[english[key]]]) for key in english if len(english[key].split()) >= 3}
        if scored:
            worst = min(scored, key=lambda key: scored[key])
            one.likeness = round(scored[worst], 1)
            if one.likeness < least:
                flags["back"] = f"chrF {one.likeness} of {worst}: {one.back[worst]}"
    by_text: dict[str, list[str]] = defaultdict(list)
    for key in (key for key in english if key.startswith(OPTION)):
        by_text[plain(korean[key])].append(key)
    same = [keys for keys in by_text.values() if len({plain(english[key]) for key in keys}) > 1]
    if same:
        flags["options"] = f"{korean[same[0][0]]} ({', '.join(same[0])})"
    if wrong := [key for key in english if _numbers(english[key]) - _numbers(korean[key])]:
        flags["numbers"] = ", ".join(wrong)
    told = " ".join(korean.values())
    if missing := [f"{en} = {ko}" for en, ko in terms.items() if ko not in told]:
        flags["terms"] = ", ".join(missing)
    left = [key for key in english if _untranslated(english[key], korean[key])]
    if left:
        flags["english"] = ", ".join(left)
    if english["question"].rstrip().endswith("?") and not re.search(r"[까요나가]\s*\?\s*$", korean["question"]):
        flags["style"] = korean["question"][-12:]
    return flags


def _numbers(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d+(?:\.\d+)?", text.replace(",", "")))


def _untranslated(english: str, korean: str) -> bool:
    """Several English words of which Korean letters took no part. Single words may be names."""
    words = re.findall(r"[A-Za-z]{2,}", english)
    return len(words) >= 2 and any(w.islower() for w in words) and not re.search("[가-힣]", korean)


def _same_words(made: Sequence[Translated]) -> None:
    """Flag options that the set translates in several ways ("red": 빨강, 빨간색): one of them gives away nothing, several might."""
    seen: dict[str, dict[str, list[Translated]]] = defaultdict(lambda: defaultdict(list))
    for one in made:
        for key, text in one.english.items():
            if key.startswith(OPTION) and one.korean is not None:
                seen[plain(text)][one.korean[key]].append(one)
    for ways in seen.values():
        if len(ways) > 1:
            usual = max(ways, key=lambda way: len(ways[way]))
            for way, ones in ways.items():
                for one in ones if way != usual else ():
                    one.flags["option-words"] = f"{way} (elsewhere {usual})"


def counts(made: Sequence[Translated]) -> dict[str, int]:
    """How many questions there are, were left out, carry each flag."""
    flags = Counter(flag for one in made for flag in one.flags)
    return {
        "questions": len(made),
        "without a readable translation, left out": sum(one.korean is None for one in made),
        "dropped by a person": sum(one.verdict == "drop" for one in made),
        "seen by a person": sum(bool(one.verdict) for one in made),
        "without a flag": sum(not one.flags and one.korean is not None for one in made),
        **{f"flag {flag}": flags[flag] for flag in FLAGS if flags[flag]},
    }
