"""Sources of written pictures: text in the wild, and single lines cut close."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from PIL import Image

from varco_vision.errors import InputError
from varco_vision.markup import Chars, Object, write
from varco_vision.synth import backgrounds, degrade, wild
from varco_vision.synth.asking import QA, YES_NO, Asked, Asks, Made, as_list, both, quoted, readable, relative
from varco_vision.synth.phrasing import Speaker
from varco_vision.synth.strings import TextStock
from varco_vision.synth.templates import reading as t
from varco_vision.synth.typeset import Word, faces, ink, pick_face, width_of
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
        if not _alike(value, defaults[name]):
            raise InputError(f"{name}={options[name]!r} asked for; give something like {_shown(defaults[name])}")
    return chosen


def _alike(value: Any, default: Any) -> bool:
    """Whether a value has the form of the default; lists of names or sizes may have any length, ranges have two ends."""
    if default is None:
        return value is None or isinstance(value, str)
    if isinstance(default, tuple):
        if not isinstance(value, tuple) or not value:
            return False
        ends = isinstance(default[0], int)
        return (len(value) == 2 or not ends) and all(_alike(v, default[0]) for v in value)
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


class Lines(Asked):
    """One word or line cut close, as text recognisers are trained on.

    height: pixels of the picture. words: fewest and most. harm: 0..1. skew: 0..1, how far the line is tilted; and the
    options of `TextStock`. The picture is as wide as the line.
    """

    name = "lines"
    families = {"reading": 2.0, "ocr": 1.0}
    option_names = STOCK_OPTIONS

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 1,
        tasks: Mapping[str, float] | None = None,
        wordings: int | None = None,
        digits: int = 2,
        choices: float = 0.0,
        turns: float = 0.0,
        truth: bool = False,
        height: int = 64,
        words: tuple[int, int] = (1, 1),
        harm: float = 0.6,
        skew: float = 0.4,
        **options: Any,
    ) -> None:
        super().__init__(seed, split, questions, tasks, wordings, digits, choices, turns, truth)
        if not 16 <= height <= 512:
            raise InputError(f"height={height} asked for; choose 16 to 512 pixels")
        words = tuple(words) if isinstance(words, list | tuple) else words
        if not _alike(words, (1, 1)) or not 1 <= words[0] <= words[1]:
            raise InputError(f"words={words} asked for; give a lower and an upper bound, at least 1")
        self.height, self.words, self.harm, self.skew = height, words, harm, skew
        self.stock = TextStock(split=split, **settings(TextStock, options, STOCK_OPTIONS))
        self.fonts = faces(split, "all")

    def line(self, rng: random.Random) -> tuple[Image.Image, list[Word]]:
        """The picture of a line and its words."""
        h = self.height
        words = self.stock.phrase(rng, rng.randint(*self.words))
        font = pick_face(rng, self.fonts, " ".join(words))
        size = round(h * rng.uniform(0.5, 0.72))
        gap = max(width_of(font, size, " "), size * 0.22)
        inks = [ink(font, size, word) for word in words]
        margin = round(h * rng.uniform(0.08, 0.3))
        pen, places = float(margin - min(0, inks[0].left)), []
        for made in inks:
            places.append(round(pen) + made.left)
            pen += made.advance + gap
        width = max(places[-1] + inks[-1].mask.width + margin, h // 2)
        low, high = min(m.top for m in inks), max(m.top + m.mask.height for m in inks)
        base = round((h - (high - low)) * rng.uniform(0.3, 0.7)) - low
        ground, colour = wild._palette(rng, rng.random() < 0.5)
        if rng.random() < 0.35:
            image = Image.new("RGB", (width, h), ground)
        else:
            image = backgrounds.faint(rng, (width, h), self.split, ground, rng.uniform(0.6, 0.85))
        written: list[Word] = []
        layer = Image.new("L", (width, h), 0)
        for word, made, x in zip(words, inks, places, strict=True):
            top = base + made.top
            layer.paste(255, (x, top), made.mask)
            written.append(Word(word, np.array([(x, top), (x + made.mask.width, top + made.mask.height)], float)))
        if self.skew and rng.random() < 0.5:
            layer = self._skewed(rng, layer, written, width, h)
        image.paste(colour, (0, 0), layer)
        return degrade.camera(image, rng, size, self.harm), written

    def _skewed(
        self, rng: random.Random, layer: Image.Image, words: list[Word], width: int, height: int
    ) -> Image.Image:
        """The ink tilted within its own frame; words follow by the corners of their boxes.

        The ground stays: a tilt of a few pixels is not seen on it, and one channel costs a third of three.
        """
        reach = height * 0.1 * self.skew
        corners = [(0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height))]
        # every corner moves outwards
        moved = [
            (x + (-1 if x == 0 else 1) * rng.uniform(0, reach), y + (-1 if y == 0 else 1) * rng.uniform(0, reach))
            for x, y in corners
        ]
        warp = degrade.Warp(degrade.homography(corners, moved))
        for word in words:
            (x0, y0), (x1, y1) = word.points[0], word.points[-1]
            word.points = np.clip(warp.points(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])), 0, (width, height))
        return warp.image(layer, (width, height))

    def make(self, rng: random.Random) -> Made:
        image, words = self.line(rng)
        asks = whole_asks(words, image.size, rng, self.speaker, self.digits)
        return Made((image,), asks, {"words": word_list(words, image.size)} if self.truth else {})
