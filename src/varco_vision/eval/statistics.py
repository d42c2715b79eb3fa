"""How sure a number is: 95 % intervals and paired comparisons. No torch; seeded, and independent of the order of values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Z95 = 1.959963984540054  # 97.5 % point of the normal distribution
DRAWS = 2000
CELLS = 1_000_000  # drawn at once, so that large sets stay small in memory
Interval = tuple[float, float]


def wilson(successes: float, n: int, z: float = Z95) -> Interval:
    """Wilson's score interval of a share (Wilson 1927); keeps its width at 0 and 1, unlike successes/n +- z s."""
    assert n > 0 and 0 <= successes <= n
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def bootstrap_mean(values: Sequence[float], seed: int = 0, draws: int = DRAWS) -> Interval:
    """Percentile bootstrap interval of a mean (Efron 1979). At least one value."""
    return bootstrap_ratio([(value, 1.0) for value in values], seed, draws)


def bootstrap_ratio(parts: Sequence[tuple[float, float]], seed: int = 0, draws: int = DRAWS) -> Interval:
    """Percentile bootstrap interval of sum(numerators) / sum(denominators), whole samples drawn.

    Used for micro rates over words or characters, which come in clusters of one picture. Draws without any denominator
    are drawn into the interval as nothing: they are left out. The sum of denominators must be positive.
    """
    table = np.array(sorted(parts), dtype=np.float64)
    assert len(table) and table[:, 1].sum() > 0
    rng, chunk = np.random.default_rng(seed), max(1, CELLS // len(table))
    sums = []
    for first in range(0, draws, chunk):
        picks = rng.integers(0, len(table), size=(min(chunk, draws - first), len(table)))
        sums.append(table[picks].sum(1))
    above, below = np.concatenate(sums).T
    ratios = above[below > 0] / below[below > 0]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided exact p value that `lost` and `gained` differ by chance alone (McNemar 1947, binomial with 1/2)."""
    total, fewer = lost + gained, min(lost, gained)
    tail = sum(math.comb(total, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**total)


@dataclass(frozen=True)
class Kept:
    """The same questions before and after: shares right, their difference with its paired 95 % interval.

    `kept` is the share of what was right before that is right still (None when nothing was); lost and gained are counts;
    p is McNemar's.
    """

    n: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    kept: float | None
    lost: int
    gained: int
    p: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(before: Sequence[bool], after: Sequence[bool], seed: int = 0) -> Kept:
    """Paired comparison of right answers; before[i] and after[i] belong to one question. At least one pair.

    The interval is the percentile bootstrap of the mean difference. Where no answer changed, or all did in one direction, it
    has no width, and is widened to what `wilson` leaves open.
    """
    assert before and len(before) == len(after)
    n = len(before)
    lost = sum(b and not a for b, a in zip(before, after, strict=True))
    gained = sum(a and not b for b, a in zip(before, after, strict=True))
    low, high = bootstrap_mean([int(a) - int(b) for b, a in zip(before, after, strict=True)], seed)
    if lost == gained == 0:
        unseen = wilson(0, n)[1]
        low, high = -unseen, unseen
    elif n in (lost, gained):
        certain = wilson(n, n)[0]
        low, high = (certain, 1.0) if gained else (-1.0, -certain)
    right = sum(before)
    return Kept(
        n=n,
        before=right / n,
        after=sum(after) / n,
        difference=(gained - lost) / n,
        low=low,
        high=high,
        kept=(right - lost) / right if right else None,
        lost=lost,
        gained=gained,
        p=mcnemar(lost, gained),
    )
