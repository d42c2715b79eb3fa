"""Which questions can be answered without the picture: by what is usual in the set, and by a model that sees the text only.

Multiple choice gives a blind guess one chance in four, so one right answer proves little. The model therefore answers each
question with its options in all four rotations, and only four right answers count (by luck: one in 256). The baseline of
priors counts only where what it goes by is right at least half of the time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from varco_vision.bench.items import LETTERS, OPTIONS, Choice, plain
from varco_vision.eval import extract

if TYPE_CHECKING:
    from varco_vision.infer.api import VarcoVision

ASK = "주어진 선택지 중 해당 옵션의 문자로 바로 답하세요."
LEAST_SEEN = 4  # other questions that must have offered a trait before it counts as a prior
SURE = 0.5
ANSWER_TOKENS = 16


@dataclass(frozen=True)
class Prior:
    """What the baseline of priors says of a question: the option it picks and how often such options are right."""

    pick: int
    rate: float


def _traits(item: Choice, place: int) -> list[tuple[str, ...]]:
    """What is known of an option without the picture: its text, its rank among numbers, whether it is longest or shortest."""
    text = item.options[place]
    traits = [("text", item.kind, plain(text))]
    numbers = [re.sub(r"[^\d.-]", "", option) for option in item.options]
    if all(re.fullmatch(r"-?\d+(\.\d+)?", n) for n in numbers):
        values = [float(n) for n in numbers]
        traits.append(("rank", item.kind, str(sorted(values).index(values[place]))))
    lengths = [len(option) for option in item.options]
    if lengths.count(lengths[place]) == 1 and lengths[place] in (max(lengths), min(lengths)):
        traits.append(("length", item.kind, "longest" if lengths[place] == max(lengths) else "shortest"))
    return traits


def priors(items: Sequence[Choice]) -> list[Prior]:
    """The baseline's pick for each question, learned from all the others of the set (leave one out).

    The rate of a trait is (times right + 1) / (times offered + 4): one in four where nothing is known.
    """
    offered: dict[tuple[str, ...], int] = defaultdict(int)
    right: dict[tuple[str, ...], int] = defaultdict(int)
    traits = [[_traits(item, k) for k in range(OPTIONS)] for item in items]
    for item, found in zip(items, traits, strict=True):
        for place, own in enumerate(found):
            for trait in own:
                offered[trait] += 1
                right[trait] += place == item.answer
    picks = []
    for item, found in zip(items, traits, strict=True):
        rates = []
        for place, own in enumerate(found):
            known = [(offered[t] - 1, right[t] - (place == item.answer)) for t in own]
            rates.append(max((r + 1) / (n + OPTIONS) if n >= LEAST_SEEN else 1 / OPTIONS for n, r in known))
        best = max(range(OPTIONS), key=lambda k: (rates[k], -k))
        picks.append(Prior(best, rates[best]))
    return picks


def by_priors(items: Sequence[Choice]) -> list[bool]:
    """Whether the baseline answers each question, and with reason."""
    return [p.pick == item.answer and p.rate >= SURE for item, p in zip(items, priors(items), strict=True)]


def prior_accuracy(items: Sequence[Choice]) -> float:
    """The share of questions that the baseline gets right, luck included; a quarter is chance."""
    return sum(p.pick == item.answer for item, p in zip(items, priors(items), strict=True)) / max(1, len(items))


def prompt(question: str, options: Sequence[str]) -> str:
    """The question as a model gets it without its picture."""
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=True)]
    return "\n".join([question, *lines, ASK])


def by_model(items: Sequence[Choice], vision: VarcoVision) -> list[bool]:
    """Whether the model answers each question in all rotations from the text alone, greedily."""
    asked = []
    for item in items:
        for k in range(OPTIONS):
            turned = item.options[k:] + item.options[:k]
            asked.append((item, turned))
    requests = [{"text": prompt(item.question, turned), "max_new_tokens": ANSWER_TOKENS} for item, turned in asked]
    answers = vision.chat_batch(requests)
    right = [
        (letter := extract.choice(answer.text, LETTERS, turned)) is not None
        and turned[LETTERS.index(letter)] == item.right
        for (item, turned), answer in zip(asked, answers, strict=True)
    ]
    return [all(right[k : k + OPTIONS]) for k in range(0, len(right), OPTIONS)]
