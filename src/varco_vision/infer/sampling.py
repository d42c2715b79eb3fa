"""Choosing the next token: greedy, or drawn with a seed of the row's own, so that other rows never change the draw."""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from varco_vision.errors import InputError


class Constraint(Protocol):
    """What may be written next. One object serves one answer; `advance` is told every token that was chosen."""

    def allows(self, token: int) -> bool:
        """Whether `token` may come next."""
        ...

    def mask(self, scores_W: Tensor) -> Tensor:
        """The scores with -inf for every token that may not come next; at least one must be left."""
        ...

    def advance(self, token: int) -> None:
        """`token` has been chosen (also when it ends the answer)."""
        ...


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. temperature 0: the likeliest token (greedy), whatever `top_k`, `top_p` and `seed` are.

    top_k: only so many of the likeliest tokens, 0 for all. top_p: the fewest likeliest tokens that hold this much
    probability. repetition_penalty: divides the scores of tokens that prompt or answer already hold (CTRL,
    arXiv 1909.05858; 1.0: none). no_repeat_ngram: no run of so many tokens twice (0: allowed). seed: None draws one,
    which the answer tells. The order of steps is that of transformers: penalty, n-grams, temperature, top-k, top-p.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    seed: int | None = None

    def __post_init__(self) -> None:
        checks = (
            (math.isfinite(self.temperature) and 0 <= self.temperature <= 100, "temperature", "0 to 100"),
            (0 < self.top_p <= 1, "top_p", "above 0, at most 1"),
            (self.top_k >= 0, "top_k", "0 or more"),
            (math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0, "repetition_penalty", "above 0"),
            (self.no_repeat_ngram >= 0, "no_repeat_ngram", "0 or more"),
        )
        for good, name, range_ in checks:
            if not good:
                raise InputError(f"{name} is {getattr(self, name)}; it must be {range_}")

    @property
    def plain(self) -> bool:
        """Greedy without any change of scores: the common case, decided for all rows at once."""
        return self.temperature == 0 and self.repetition_penalty == 1.0 and self.no_repeat_ngram == 0


class Sampler:
    """Draws the tokens of one answer."""

    def __init__(self, settings: Sampling, prompt: Sequence[int]) -> None:
        self.settings = settings
        self.seed = settings.seed if settings.seed is not None else secrets.randbits(32)
        self._random = random.Random(self.seed)
        self._seen = sorted(set(prompt))
        self._history = list(prompt)

    def choose(self, scores_W: Tensor, constraint: Constraint | None) -> int:
        """The next token of a row whose raw scores are `scores_W` (float32, not changed)."""
        s = self.settings
        scores = self._penalised(scores_W)
        if constraint is not None:
            scores = constraint.mask(scores)
        token = int(scores.argmax()) if s.temperature == 0 else self._draw(scores / s.temperature)
        if s.repetition_penalty != 1.0 and token not in self._seen:
            self._seen.append(token)
        self._history.append(token)
        return token

    def _penalised(self, scores_W: Tensor) -> Tensor:
        s = self.settings
        scores = scores_W.clone()
        if s.repetition_penalty != 1.0:
            seen = torch.tensor(self._seen, device=scores.device)
            value = scores[seen]
            scores[seen] = torch.where(value < 0, value * s.repetition_penalty, value / s.repetition_penalty)
        if s.no_repeat_ngram and (banned := self._banned(s.no_repeat_ngram)):
            scores[torch.tensor(banned, device=scores.device)] = -math.inf
        return scores

    def _banned(self, size: int) -> list[int]:
        """Tokens that would complete a run of `size` tokens that is there already."""
        history = self._history
        if len(history) < size:
            return []
        tail = history[len(history) - size + 1 :]
        starts = range(len(history) - size + 1)
        return sorted({history[i + size - 1] for i in starts if history[i : i + size - 1] == tail})

    def _draw(self, scores_W: Tensor) -> int:
        """Inverse of the cumulative probability, likeliest first; one number of the row's own stream a token."""
        s = self.settings
        count = min(s.top_k, len(scores_W)) if s.top_k else len(scores_W)
        top, ids = scores_W.topk(count)
        reached = top.double().softmax(-1).cumsum(-1).cpu()
        kept = int((reached < s.top_p).sum()) + 1 if s.top_p < 1 else count
        kept = min(kept, int(top.isfinite().sum()))
        point = torch.tensor([self._random.random()], dtype=torch.float64) * reached[kept - 1]
        return int(ids[min(int(torch.searchsorted(reached[:kept], point, right=True)), kept - 1)])
