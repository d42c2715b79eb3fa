"""Preference pairs on every kind of picture and on text: the right answer against one that is wrong in a known way."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from varco_vision import markup
from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.synth.asking import QA, Asked, Made, assistant, user
from varco_vision.synth.chart_source import Charts
from varco_vision.synth.documents.source import Documents
from varco_vision.synth.phrasing import LANGUAGES
from varco_vision.synth.rng import SPLITS, stream
from varco_vision.synth.table_source import Tables
from varco_vision.synth.text_source import Knowledge
from varco_vision.synth.thing_sources import Things
from varco_vision.synth.wild_source import WildText

Reject = Callable[[random.Random, QA, Made], str | None]
_BY_ASKED: dict[str, type[Asked]] = {
    "things": Things,
    "wild": WildText,
    "documents": Documents,
    "tables": Tables,
    "charts": Charts,
}
_PARTICLES = {"이": "가", "가": "이", "을": "를", "를": "을", "은": "는", "는": "은"}
# particles as the answers of this package use them, so that no ending of a verb is taken for one
_PARTICLE_SPOT = re.compile(
    r"(?<=[가-힣>])(?:[이가](?= (?:있습니다|없습니다|적혀))|[을를](?= (?:보여 주는|나타낸))|[은는](?= '))"
)


def _wrong_box(rng: random.Random, qa: QA, made: Made) -> str | None:
    """The box of something else, or the right one moved until it misses."""
    if qa.task != "grounding" or not qa.gold.get("boxes") or qa.kind == "description":
        return None
    if qa.wrong and rng.random() < 0.6:
        return rng.choice(qa.wrong)
    x1, y1, x2, y2 = qa.gold["boxes"][0]
    for _ in range(50):
        x, y = rng.uniform(0, 1 - (x2 - x1)), rng.uniform(0, 1 - (y2 - y1))
        moved = Box(x, y, min(1.0, x + x2 - x1), min(1.0, y + y2 - y1))
        if moved.iou(Box(x1, y1, x2, y2)) < 0.3:
            return markup.write([markup.Object(qa.gold.get("phrase", "?"), (moved,))], 2)
    return None


def _box_for_absent(rng: random.Random, qa: QA, made: Made) -> str | None:
    """A box for something that is not there."""
    return rng.choice(qa.wrong) if qa.kind == "absent" and qa.wrong else None


def _wrong_answer(rng: random.Random, qa: QA, made: Made) -> str | None:
    if qa.task not in ("vqa", "referring", "text", "choice") or qa.kind in ("json", "absent") or not qa.wrong:
        return None
    return rng.choice(qa.wrong)


def _wrong_count(rng: random.Random, qa: QA, made: Made) -> str | None:
    return rng.choice(qa.wrong) if qa.task == "counting" and qa.wrong else None


def _misread(rng: random.Random, qa: QA, made: Made) -> str | None:
    """What is read with one digit or syllable changed; the markup stays right."""
    if qa.kind not in ("ocr", "reading", "field", "item", "table_cell"):
        return None
    items = markup.parse(qa.answer)
    places = [k for k, item in enumerate(items) if not isinstance(item, markup.Object) and item.text.strip()]
    if qa.kind == "ocr":
        places = [k for k in places if isinstance(items[k], markup.Chars)]
    if not places:
        return None
    k = rng.choice(places)
    item = items[k]
    assert not isinstance(item, markup.Object)
    changed = _changed(rng, item.text)
    if changed is None:
        return None
    items[k] = markup.Chars(changed, item.boxes) if isinstance(item, markup.Chars) else markup.Text(changed)
    return markup.write(items, 2)


def _changed(rng: random.Random, text: str) -> str | None:
    """One digit, Latin letter or Hangul syllable replaced by one that looks like it."""
    spots = [k for k, c in enumerate(text) if c.isdigit() or "가" <= c <= "힣" or (c.isascii() and c.isalpha())]
    if not spots:
        return None
    k = rng.choice(spots)
    c = text[k]
    if c.isdigit():
        new = rng.choice([d for d in "0123456789" if d != c])
    elif "가" <= c <= "힣":
        code = ord(c) - 0xAC00
        initial, medial, final = code // 588, code // 28 % 21, code % 28
        part = rng.randrange(3)
        initial = (initial + rng.randint(1, 18)) % 19 if part == 0 else initial
        medial = (medial + rng.randint(1, 20)) % 21 if part == 1 else medial
        final = (final + rng.randint(1, 27)) % 28 if part == 2 else final
        new = chr(0xAC00 + initial * 588 + medial * 28 + final)
    else:
        new = rng.choice([x for x in "abcdefghijklmnopqrstuvwxyz" if x != c.lower()])
        new = new.upper() if c.isupper() else new
    return text[:k] + new + text[k + 1 :]


def _wrong_language(rng: random.Random, qa: QA, made: Made) -> str | None:
    return qa.other if qa.other and qa.other != qa.answer else None


def _other(made: Made, family: str, lang: str | None) -> QA | None:
    """The question of a family in a language (None: whichever there is)."""
    for maker in made.asks.get(family, []):
        qa = maker()
        if qa is not None and lang in (None, qa.lang):
            return qa
    return None


def _markup_unasked(rng: random.Random, qa: QA, made: Made) -> str | None:
    """Boxes although neither <gro> nor <ocr> asked for them."""
    if qa.kind == "short" and (found := _other(made, "description", qa.lang)):
        return found.answer
    if qa.kind == "reading" and qa.task == "vqa" and (found := _other(made, "ocr", None)):
        return found.answer
    return None


def _markup_missing(rng: random.Random, qa: QA, made: Made) -> str | None:
    """No boxes although <gro> or <ocr> asked for them."""
    if not qa.text.startswith(markup.SWITCHES) or "<bbox>" not in qa.answer:
        return None
    return markup.plain(markup.parse(qa.answer)).strip()


def _invented(rng: random.Random, qa: QA, made: Made) -> str | None:
    """A caption with one thing too many."""
    return rng.choice(qa.wrong) if qa.task == "caption" and qa.wrong else None


def _loop(rng: random.Random, qa: QA, made: Made) -> str | None:
    if len(qa.answer) > 400 or qa.kind == "json":
        return None
    return ("\n" if "\n" in qa.answer else " ").join([qa.answer] * rng.randint(3, 6))


def _wrong_particle(rng: random.Random, qa: QA, made: Made) -> str | None:
    """Korean with the other form of a particle before a blank and a verb: 원가 있습니다."""
    if qa.lang != "ko" or qa.task not in ("caption", "grounding", "vqa", "chat"):
        return None
    found = list(_PARTICLE_SPOT.finditer(qa.answer))
    if not found:
        return None
    spot = rng.choice(found)
    return qa.answer[: spot.start()] + _PARTICLES[spot.group()] + qa.answer[spot.end() :]


def _broken_format(rng: random.Random, qa: QA, made: Made) -> str | None:
    """JSON that cannot be read, Markdown without its ruled line, a list without numbers."""
    if qa.kind == "markdown":
        return "\n".join(line for line in qa.answer.splitlines() if "---" not in line)
    if qa.kind in ("json", "fields_to_json", "as_list") and qa.wrong:
        return rng.choice(qa.wrong)
    return None


REJECT: dict[str, Reject] = {
    "wrong_box": _wrong_box, "box_for_absent": _box_for_absent, "wrong_answer": _wrong_answer, "wrong_count": _wrong_count, "misread": _misread,
    "wrong_language": _wrong_language, "markup_unasked": _markup_unasked, "markup_missing": _markup_missing, "invented_object": _invented,
    "loop": _loop, "wrong_particle": _wrong_particle, "broken_format": _broken_format,
}  # fmt: skip
SOURCES = ("things", "wild", "documents", "tables", "charts", "knowledge")


class Pairs:
    """Preference pairs. pairs: most of a picture, each wrong in another way. sources: {name of `SOURCES`: share}.

    kinds: which ways to be wrong, of `REJECT` (None: all). options: {name of a source: its options}.
    """

    name = "pairs"
    option_names: tuple[str, ...] = ()

    def __init__(
        self,
        seed: int,
        split: str = "train",
        pairs: int = 6,
        sources: Mapping[str, float] | None = None,
        kinds: Sequence[str] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; the splits are {' and '.join(SPLITS)}")
        if pairs < 1:
            raise InputError(f"pairs={pairs} asked for; at least one is needed")
        for kind in kinds or ():
            if kind not in REJECT:
                raise InputError(f"unknown kind of pair {kind!r}; known are {', '.join(REJECT)}")
        for name in (*(sources or ()), *(options or ())):
            if name not in SOURCES:
                raise InputError(f"unknown source of pairs {name!r}; known are {', '.join(SOURCES)}")
        self.seed, self.split, self.pairs = seed, split, pairs
        self.shares = dict(sources) if sources else dict.fromkeys(SOURCES, 1.0)
        if not any(share > 0 for share in self.shares.values()):
            raise InputError("no source of pairs has a positive share; give at least one")
        self.kinds = tuple(kinds or REJECT)
        given = options or {}
        self.pictured = {n: _BY_ASKED[n](seed, split, **given.get(n, {})) for n in self.shares if n in _BY_ASKED}
        self.text = Knowledge(seed, split, **given.get("knowledge", {})) if "knowledge" in self.shares else None

    def _questions(self, rng: random.Random) -> tuple[Made, list[QA]]:
        """A picture (or none) with many questions in random order."""
        name = rng.choices(list(self.shares), list(self.shares.values()))[0]
        if name in self.pictured:
            made = self.pictured[name].make(rng)
            # families take turns, so that a large one does not crowd out the others
            families = [rng.sample(found, min(4, len(found))) for found in made.asks.values()]
            makers = [maker for family in families for maker in family]
            rng.shuffle(makers)
            return made, [qa for maker in makers if (qa := maker()) is not None and not qa.before]
        assert self.text is not None
        asked = [(lang, self.text.question(rng, lang)) for lang in LANGUAGES for _ in range(self.pairs)]
        rng.shuffle(asked)
        made = Made((), {}, {})
        return made, [
            QA(
                "chat" if q.kind == "dialogue" else "text",
                q.kind,
                lang,
                q.text,
                q.answer,
                {"key": q.key},
                q.wrong,
                q.other,
            )
            for lang, q in asked
        ]

    def group(self, index: int) -> list[Sample]:
        """Up to `pairs` preference samples on one picture, a function of (options, seed, split, index) only."""
        rng = stream(self.name, self.split, self.seed, index)
        made, questions = self._questions(rng)
        samples: list[Sample] = []
        kinds = rng.sample(self.kinds, len(self.kinds))
        while len(samples) < self.pairs and questions and kinds:
            kind = kinds.pop(0)
            for qa in questions:
                wrong = REJECT[kind](rng, qa, made)
                if wrong is not None and wrong != qa.answer and wrong.strip():
                    name = f"{self.name}-{self.split}-{self.seed}-{index}-{len(samples)}"
                    samples.append(_pair(qa, kind, wrong, made, name))
                    questions.remove(qa)
                    kinds.append(kind)  # it comes again when the other kinds have had their turn
                    break
        return samples


def _pair(qa: QA, kind: str, wrong: str, made: Made, name: str) -> Sample:
    return Sample(
        id=name,
        images=made.images,
        task=qa.task,
        lang=qa.lang,
        messages=(user(qa.text, len(made.images)),),
        chosen=(assistant(qa.answer),),
        rejected=(assistant(wrong),),
        meta={"answer": qa.answer, **qa.gold, "kind": kind, "question": qa.kind},
    )
