"""What a set of samples holds, in numbers, counted in one pass."""

from __future__ import annotations

import statistics
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from PIL import Image

from varco_vision import markup, pictures
from varco_vision.data.sample import Sample, Turn, text_of
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig, TilePlan, plan_sample

TOKEN_STEPS = (0, 500, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000)  # lower ends of the bars of picture tokens
TEXT_STEPS = (0, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)  # and of text tokens
SYLLABLES = 11_172  # modern Hangul: 19 initials x 21 vowels x 28 finals
CountTokens = Callable[[list[tuple[Turn, ...]]], list[tuple[int, int]]]


@lru_cache(maxsize=1)
def common_syllables() -> frozenset[str]:
    """The 2,350 syllables of the standard KS X 1001, which hold nearly all of running Korean."""
    made = (chr(code) for code in range(0xAC00, 0xAC00 + SYLLABLES))
    return frozenset(s for s in made if len(s.encode("euc_kr", errors="ignore")) == 2)


class Tally:
    """Counts samples one by one; `found` gives the numbers so far.

    count_tokens: gives (text tokens, supervised tokens) of conversations; left out, no text tokens are counted.
    """

    def __init__(self, anyres: AnyResConfig, count_tokens: CountTokens | None = None) -> None:
        self.anyres, self.count_tokens = anyres, count_tokens
        self.counts: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()
        self.both: Counter[str] = Counter()
        self.things: Counter[str] = Counter()
        self.grids: Counter[str] = Counter()
        self.sizes: list[tuple[int, int]] = []
        self.known: dict[str, tuple[int, int]] = {}
        self.last: tuple[tuple[Image.Image, ...], list[tuple[int, int]]] = ((), [])
        self.values: dict[str, list[int]] = {
            n: [] for n in ("question_characters", "answer_characters", "picture_tokens", "text_tokens", "supervised")
        }
        self.syllables: Counter[str] = Counter()
        self.written: Counter[str] = Counter()  # syllables inside <char>

    def add(self, sample: Sample) -> None:
        """Count one sample. Pictures are measured upright, each once."""
        self.counts["samples"] += 1
        self.counts["preference_pairs"] += sample.chosen is not None
        self.counts["without_picture"] += not sample.images
        self.counts["several_pictures"] += len(sample.images) > 1
        self.languages[sample.lang] += 1
        self.tasks[sample.task] += 1
        self.both[f"{sample.task} {sample.lang}"] += 1
        plans = plan_sample(self._measured(sample), self.anyres)
        self.grids.update(_grid(plan) for plan in plans)
        if plans:
            self.values["picture_tokens"].append(sum(plan.token_count for plan in plans))
        self._add_text(sample)

    def _measured(self, sample: Sample) -> list[tuple[int, int]]:
        """Sizes of the pictures; new ones are noted."""
        if not sample.images:
            return []
        if all(isinstance(image, str) for image in sample.images):
            for image in map(str, sample.images):
                if image not in self.known:
                    self.known[image] = pictures.load(image).size
                    self.sizes.append(self.known[image])
            return [self.known[str(image)] for image in sample.images]
        images, sizes = self.last
        if len(images) != len(sample.images) or any(a is not b for a, b in zip(images, sample.images, strict=True)):
            sizes = [pictures.load(image).size for image in sample.images]
            self.last = (sample.images, sizes)  # type: ignore[assignment]
            self.sizes += sizes
        return sizes

    def _add_text(self, sample: Sample) -> None:
        for turn in (*sample.messages, *(sample.chosen or ())):
            text = text_of(turn)
            if turn["role"] == "assistant":
                self.values["answer_characters"].append(len(text))
                self._add_answer(text)
            elif turn["role"] == "user" and turn not in (sample.chosen or ()):
                self.values["question_characters"].append(len(text))
            self.syllables.update(c for c in unicodedata.normalize("NFC", text) if "가" <= c <= "힣")
        if self.count_tokens:
            answers = [sample.messages]
            if sample.chosen is not None:
                answers = [(*sample.messages, *sample.chosen), (*sample.messages, *(sample.rejected or ()))]
            for tokens, supervised in self.count_tokens(answers):
                self.values["text_tokens"].append(tokens)
                self.values["supervised"].append(supervised)

    def _add_answer(self, text: str) -> None:
        for item in markup.parse(text):
            self.things["objects"] += isinstance(item, markup.Object)
            self.things["words"] += isinstance(item, markup.Chars)
            self.things["boxes"] += 0 if isinstance(item, markup.Text) else len(item.boxes)
            if isinstance(item, markup.Chars):
                self.written.update(c for c in item.text if "가" <= c <= "힣")

    def found(self) -> dict[str, Any]:
        """All numbers; lengths of text are in characters. `InputError` when nothing was counted."""
        if not self.counts["samples"]:
            raise InputError("there is no sample to count; give a file with at least one")
        values = self.values
        widths, heights = [w for w, _ in self.sizes], [h for _, h in self.sizes]
        found: dict[str, Any] = {
            "samples": self.counts["samples"],
            **{name: self.counts[name] for name in ("preference_pairs", "without_picture", "several_pictures")},
            "pictures": len(self.sizes),
            "languages": dict(self.languages.most_common()),
            "tasks": dict(self.tasks.most_common()),
            "tasks_by_language": dict(self.both.most_common()),
            "answers_hold": {name: self.things[name] for name in ("objects", "words", "boxes")},
            "question_characters": spread(values["question_characters"]),
            "answer_characters": spread(values["answer_characters"]),
            "picture_width": spread(widths),
            "picture_height": spread(heights),
            "tiles": dict(sorted(self.grids.items())),
            "picture_tokens": spread(values["picture_tokens"]),
            "picture_tokens_histogram": histogram(values["picture_tokens"], TOKEN_STEPS),
        }
        if self.count_tokens:
            found["text_tokens"] = spread(values["text_tokens"])
            found["text_tokens_histogram"] = histogram(values["text_tokens"], TEXT_STEPS)
            found["supervised_tokens"] = spread(values["supervised"])
        return {**found, "syllables": _coverage(self.syllables), "syllables_to_read": _coverage(self.written)}


def _grid(plan: TilePlan) -> str:
    """ "one view", or columns x rows of the tiles."""
    if plan.single or plan.shared:
        return "one view"
    return "{} x {}".format(*plan.grid)


def _coverage(seen: Counter[str]) -> dict[str, int]:
    """How many different Hangul syllables occur, of all 11,172 and of the 2,350 common ones."""
    common = common_syllables()
    return {
        "total": sum(seen.values()),
        "different": len(seen),
        "of": SYLLABLES,
        "common": len(common & seen.keys()),
        "of_common": len(common),
    }


def count(samples: Iterable[Sample], anyres: AnyResConfig, count_tokens: CountTokens | None = None) -> dict[str, Any]:
    """The numbers of all samples; see `Tally`."""
    tally = Tally(anyres, count_tokens)
    for sample in samples:
        tally.add(sample)
    return tally.found()


def spread(values: list[int]) -> dict[str, float] | None:
    """Least, middle, mean, greatest and sum; None without values."""
    if not values:
        return None
    middle, mean = statistics.median(values), round(statistics.fmean(values), 1)
    return {"min": min(values), "median": middle, "mean": mean, "max": max(values), "sum": sum(values)}


def histogram(values: list[int], steps: tuple[int, ...]) -> dict[str, int]:
    """How many values lie between two steps, empty bars left out."""
    ends = [*(step - 1 for step in steps[1:]), None]
    bars = {}
    for low, high in zip(steps, ends, strict=True):
        inside = sum(low <= value and (high is None or value <= high) for value in values)
        if inside:
            bars[f"{low}-{high}" if high is not None else f"{low}+"] = inside
    return bars
