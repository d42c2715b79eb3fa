"""The source of text in the wild, and what can be asked about writing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from varco_vision.errors import InputError
from varco_vision.markup import Chars, Object, write
from varco_vision.synth.asking import QA, YES_NO, Asked, Asks, Made, as_list, both, quoted, readable, relative
from varco_vision.synth.phrasing import Speaker
from varco_vision.synth.strings import TextStock
from varco_vision.synth.templates import reading as t
from varco_vision.synth.typeset import Word
from varco_vision.synth.wild import WildConfig, wild_picture
from varco_vision.synth.words import script

WILD_OPTIONS = tuple(f.name for f in fields(WildConfig) if f.name not in ("stock", "split"))
STOCK_OPTIONS = tuple(f.name for f in fields(TextStock) if f.name != "split")


def settings(config: type, options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The options that belong to a dataclass, lists (as recipes give them) as tuples; InputError for another shape."""

    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value

    defaults = {f.name: f.default for f in fields(config)}
    chosen = {k: frozen(v) for k, v in options.items() if k in names}
    for name, value in chosen.items():
        if not alike(value, defaults[name]):
            raise InputError(f"{name}={options[name]!r} asked for; give something like {_shown(defaults[name])}")
    return chosen


def alike(value: Any, default: Any) -> bool:
    """Whether a value has the form of the default; lists of names or sizes may have any length, ranges have two ends."""
    if default is None:
        return value is None or isinstance(value, str)
    if isinstance(default, tuple):
        if not isinstance(value, tuple) or not value:
            return False
        ends = isinstance(default[0], int)
        return (len(value) == 2 or not ends) and all(alike(v, default[0]) for v in value)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))


def _shown(default: Any) -> str:
    """A default as recipes write it."""
    text = repr(default).replace("(", "[").replace(",)", "]").replace(")", "]").replace("'", "")
    return text if default is not None else "the path of a folder or file"


def word_list(words: Sequence[Word], size: tuple[int, int]) -> list[dict[str, Any]]:
    """Words as `meta` carries them."""
    return [{"text": w.text, "box": as_list(relative(w.box, size))} for w in words]


def ocr_text(words: Sequence[Word], size: tuple[int, int], digits: int) -> str:
    """Every word with its box, one a line."""
    return "\n".join(write([Chars(w.text, (relative(w.box, size),))], digits) for w in words)


def as_read(words: Sequence[Word]) -> str:
    """The words as one reads them: lines of the picture as lines."""
    lines: dict[int, list[str]] = {}
    for w in words:
        lines.setdefault(w.line, []).append(w.text)
    return "\n".join(" ".join(line) for line in lines.values())


def whole_asks(words: Sequence[Word], size: tuple[int, int], rng: random.Random, speaker: Speaker, digits: int) -> Asks:
    """What can be asked about all of the writing at once: families ocr and reading."""
    gold = word_list(words, size)
    lang = "ko" if any(script(w.text) == "ko" for w in words) else "en"

    def read(lang: str) -> QA:
        return QA("vqa", "reading", lang, speaker.say(rng, t.READ_ALL, lang), as_read(words), {"words": gold})

    return {
        "ocr": [lambda: QA("ocr", "ocr", lang, "<ocr>", ocr_text(words, size, digits), {"words": gold})],
        "reading": both(read),
    }


def reading_asks(
    words: Sequence[Word],
    size: tuple[int, int],
    rng: random.Random,
    speaker: Speaker,
    digits: int,
    other: Sequence[str],
) -> Asks:
    """What can be asked about writing: families ocr, reading, referring, grounding, vqa. `other`: words not there."""
    texts = [w.text for w in words]
    single = [w for w in words if texts.count(w.text) == 1 and readable(w.text)]

    def at(lang: str, w: Word) -> QA:
        ref = write([Chars(rng.choice(t.TEXT_REFERENT[lang]), (relative(w.box, size),))], digits)
        g = {"boxes": [as_list(relative(w.box, size))], "words": word_list([w], size)}
        wrong = tuple(x for x in dict.fromkeys([*texts, *other]) if x != w.text)
        return QA("referring", "reading", lang, speaker.say(rng, t.READ_AT, lang, ref=ref), w.text, g, wrong)

    def where(lang: str, w: Word) -> QA:
        text = "<gro>\n" + speaker.say(rng, t.WHERE_TEXT, lang, **quoted(w.text))
        box = relative(w.box, size)
        return QA(
            "grounding",
            "text",
            lang,
            text,
            write([Object(w.text, (box,))], digits),
            {"boxes": [as_list(box)], "phrase": w.text},
        )

    def present(lang: str, text: str) -> QA:
        there = text in texts
        yes, no = YES_NO[lang]
        asked = speaker.say(rng, t.TEXT_PRESENT, lang, **quoted(text))
        return QA(
            "vqa", "text_presence", lang, asked, yes if there else no, {"present": there}, (no if there else yes,)
        )

    def number(lang: str) -> QA:
        n = len(words)
        wrong = tuple(str(x) + ("개" if lang == "ko" else "") for x in (n - 2, n - 1, n + 1, n + 2) if x > 0)
        return QA(
            "counting",
            "words",
            lang,
            speaker.say(rng, t.COUNT_WORDS, lang),
            f"{n}개" if lang == "ko" else str(n),
            {"count": n},
            wrong,
        )

    asks: Asks = {
        **whole_asks(words, size, rng, speaker, digits),
        "referring": [m for w in words if readable(w.text) for m in both(lambda lang, w=w: at(lang, w))],
        "grounding": [m for w in single for m in both(lambda lang, w=w: where(lang, w))],
        "counting": both(number),
    }
    absent = [x for x in other if x not in texts and readable(x)]
    pairs = list(zip(single, absent, strict=False))  # as many that are there as that are not
    asks["vqa"] = [
        m for w, x in pairs for text in (w.text, x) for m in both(lambda lang, text=text: present(lang, text))
    ]
    return asks


class WildText(Asked):
    """Text in the wild. Options: those of `Asked`, `WildConfig` (size, words, text_px, harm, tilt, carriers, backgrounds,
    photos) and `TextStock` (rare, latin, numbers, marks, real, syllables)."""

    name = "wild"
    families = {"ocr": 4.0, "reading": 2.0, "referring": 3.0, "grounding": 2.0, "vqa": 1.5, "counting": 0.5}

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 8,
        tasks: Mapping[str, float] | None = None,
        wordings: int | None = None,
        digits: int = 2,
        choices: float = 0.1,
        turns: float = 0.1,
        truth: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(seed, split, questions, tasks, wordings, digits, choices, turns, truth)
        stock = TextStock(split=split, **settings(TextStock, options, STOCK_OPTIONS))
        self.config = WildConfig(split=split, stock=stock, **settings(WildConfig, options, WILD_OPTIONS))

    option_names = (*WILD_OPTIONS, *STOCK_OPTIONS)

    def make(self, rng: random.Random) -> Made:
        p = wild_picture(rng, self.config)
        other = [self.config.stock.word(rng) for _ in range(4)]
        asks = reading_asks(p.words, p.image.size, rng, self.speaker, self.digits, other)
        truth = {"words": word_list(p.words, p.image.size), "carriers": p.carriers, "background": p.background}
        return Made((p.image,), asks, truth)
