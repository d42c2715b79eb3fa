"""Questions of all picture sources in one form, and the sources' common base: choosing, multiple choice, several turns.

Options of every source built on `Asked` (beside its own):
    questions   most samples on one picture             wordings  only the first N ways to ask (None: all)
    tasks       {family: share}; 0 leaves a family out  digits    decimals of coordinates (1-3)
    choices     share of the short questions with known wrong answers that become multiple choice
    turns       share of the samples that become a conversation of 2-4 turns on the picture
    truth       whether `meta["truth"]` carries everything that is known about the picture
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.synth.korean import josa
from varco_vision.synth.phrasing import LANGUAGES, Speaker
from varco_vision.synth.rng import SPLITS, stream
from varco_vision.synth.templates import images as t_images

YES_NO = {"ko": ("네", "아니요"), "en": ("yes", "no")}
LETTERS = "ABCDE"
Numbers = Sequence[float]


@dataclass(frozen=True)
class QA:
    """A question with its answer. `wrong`: answers that are certainly wrong; `other`: the answer in the other language.

    before: turns that come first, where the question refers back to them.
    """

    task: str
    kind: str
    lang: str
    text: str
    answer: str
    gold: dict[str, Any] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    other: str | None = None
    before: tuple[QA, ...] = ()


Maker = Callable[[], QA | None]
Asks = dict[str, list[Maker]]  # family -> questions not yet written out


@dataclass(frozen=True)
class Made:
    """A picture (or several) with all that may be asked and all that is true of it."""

    images: tuple[Image.Image, ...]
    asks: Asks
    truth: dict[str, Any]


def relative(box: Numbers, size: tuple[int, int]) -> Box:
    """A pixel box as parts of the picture, cut at its edges."""
    width, height = size
    x0, x1 = (min(max(v / width, 0.0), 1.0) for v in (box[0], box[2]))
    y0, y1 = (min(max(v / height, 0.0), 1.0) for v in (box[1], box[3]))
    return Box(x0, y0, x1, y1)


def as_list(box: Box) -> list[float]:
    """x1, y1, x2, y2 rounded to a tenth of a thousandth, for `meta`."""
    return [round(v, 4) for v in (box.x1, box.y1, box.x2, box.y2)]


def quoted(text: str) -> dict[str, str]:
    """Values for templates that quote a text: the text and the particles that follow the closing quote."""
    return {
        "text": text, "word": text, "name": text, "text_is": josa(text, "이라는/라는"), "is_called": josa(text, "이라는/라는"),
        "object": josa(text, "을/를"), "topic": josa(text, "은/는"), "subject": josa(text, "이/가"),
    }  # fmt: skip


def readable(text: str) -> bool:
    """Whether Korean particles can be chosen after the text and markup can hold it."""
    try:
        josa(text, "은/는")
    except InputError:
        return False
    return "<" not in text and ">" not in text


def user(text: str, pictures: int) -> dict[str, Any]:
    """A user's turn that shows so many pictures."""
    parts: list[dict[str, Any]] = [{"type": "image"} for _ in range(pictures)]
    return {"role": "user", "content": [*parts, *([{"type": "text", "text": text}] if text else [])]}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def sample(qa: QA, name: str, images: Sequence[Image.Image], truth: dict[str, Any] | None = None) -> Sample:
    """A question as a sample of one turn."""
    return Sample(
        id=name,
        images=tuple(images),
        task=qa.task,
        lang=qa.lang,
        messages=(user(qa.text, len(images)), assistant(qa.answer)),
        meta=_meta(qa, truth),
    )


def _meta(qa: QA, truth: dict[str, Any] | None) -> dict[str, Any]:
    return {"kind": qa.kind, "answer": qa.answer, **qa.gold, **({"truth": truth} if truth else {})}


def conversation(turns: Sequence[QA], name: str, images: Sequence[Image.Image], truth: dict[str, Any] | None) -> Sample:
    """Several questions on the same picture one after another; the last one is what is scored."""
    messages = []
    for k, qa in enumerate(turns):
        messages += [user(qa.text, 0 if k else len(images)), assistant(qa.answer)]
    last = turns[-1]
    return Sample(
        id=name,
        images=tuple(images),
        task=last.task,
        lang=last.lang,
        messages=tuple(messages),
        meta={**_meta(last, truth), "turns": len(turns)},
    )


def multiple_choice(qa: QA, rng: random.Random, speaker: Speaker, most: int = 4) -> QA | None:
    """The question with shuffled options; the answer is a letter. None where it has too few wrong answers."""
    wrong = [w for w in dict.fromkeys(qa.wrong) if w != qa.answer]
    if len(wrong) < 2 or len(qa.answer) > 60 or qa.task in ("grounding", "ocr", "caption"):
        return None
    options = [qa.answer, *rng.sample(wrong, min(len(wrong), most - 1))]
    rng.shuffle(options)
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    text = "\n".join([qa.text, *lines, speaker.say(rng, t_images.CHOOSE, qa.lang)])
    letter = LETTERS[options.index(qa.answer)]
    others = tuple(x for x in LETTERS[: len(options)] if x != letter)
    return QA("choice", qa.kind, qa.lang, text, letter, {"options": options}, others)


def check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{name}={value} asked for; a share is between 0 and 1")


class Asked:
    """Base of the sources: `make` draws a picture and says what can be asked; `group` chooses and writes it out."""

    name = "asked"
    families: Mapping[str, float] = {}

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 8,
        tasks: Mapping[str, float] | None = None,
        wordings: int | None = None,
        digits: int = 2,
        choices: float = 0.15,
        turns: float = 0.1,
        truth: bool = True,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; the splits are {' and '.join(SPLITS)}")
        if questions < 1:
            raise InputError(f"questions={questions} asked for; every picture needs at least one")
        for family in tasks or {}:
            if family not in self.families:
                raise InputError(
                    f"unknown family of questions {family!r} for the source {self.name!r}; known are {', '.join(self.families)}"
                )
        if not any(share > 0 for share in (tasks or self.families).values()):
            raise InputError("no family of questions has a positive share; give at least one")
        if not 1 <= digits <= 3:
            raise InputError(f"digits={digits} asked for; coordinates have 1 to 3 decimals")
        check_share("choices", choices)
        check_share("turns", turns)
        self.seed, self.split, self.questions, self.digits = seed, split, questions, digits
        self.tasks = dict(tasks) if tasks else dict(self.families)
        self.choices, self.turns, self.truth = choices, turns, truth
        self.speaker = Speaker(split, wordings)

    def make(self, rng: random.Random) -> Made:
        """Draw a picture."""
        raise NotImplementedError

    def made(self, index: int) -> tuple[Made, random.Random]:
        """Picture `index`; the stream goes on to choose the questions."""
        rng = stream(self.name, self.split, self.seed, index)
        return self.make(rng), rng

    def group(self, index: int) -> list[Sample]:
        """Up to `questions` samples on picture `index`, a function of (options, seed, split, index) only."""
        made, rng = self.made(index)
        name = f"{self.name}-{self.split}-{self.seed}-{index}"
        truth = made.truth if self.truth else None
        chosen = choose(made.asks, rng, self.questions, self.tasks)
        samples: list[Sample] = []
        for k, qa in enumerate(chosen):
            if qa.before:
                samples.append(conversation([*qa.before, qa], f"{name}-{k}", made.images, truth))
                continue
            if qa.wrong and rng.random() < self.choices:
                qa = multiple_choice(qa, rng, self.speaker) or qa
            before = [
                x
                for x in chosen[:k]
                if x.lang == qa.lang and not x.before and x.task not in ("ocr", "caption") and len(x.answer) < 200
            ]
            if before and rng.random() < self.turns:
                turns = [*rng.sample(before, min(len(before), rng.randint(1, 3))), qa]
                samples.append(conversation(turns, f"{name}-{k}", made.images, truth))
            else:
                samples.append(sample(qa, f"{name}-{k}", made.images, truth))
        return samples


def choose(asks: Asks, rng: random.Random, count: int, shares: Mapping[str, float]) -> list[QA]:
    """Up to `count` different questions: families by their shares, each question once, languages as they come."""
    left = {name: list(found) for name, found in asks.items() if found and shares.get(name, 0) > 0}
    for found in left.values():
        rng.shuffle(found)
    chosen: list[QA] = []
    while left and len(chosen) < count:
        name = rng.choices(list(left), [shares[n] for n in left])[0]
        qa = left[name].pop()()
        if qa is not None:
            chosen.append(qa)
        if not left[name]:
            del left[name]
    return chosen


def both(maker: Callable[[str], QA | None]) -> list[Maker]:
    """The same question in both languages."""
    return [lambda lang=lang: maker(lang) for lang in LANGUAGES]
