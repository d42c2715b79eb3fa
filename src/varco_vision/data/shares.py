"""How often each source of a mixture was asked for, and how often it came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from varco_vision.data.source import PERIOD, Mixture


@dataclass(frozen=True)
class Share:
    """One source: its share of the weights, its share of the groups that came, and their number."""

    name: str
    asked: float
    actual: float
    groups: int


def shares(mixture: Mixture, weights: Mapping[str, float], taken: Iterable[range]) -> list[Share]:
    """Shares of the groups whose indices are in the ranges `taken`, in the order of the weights.

    Shares are of groups, which is what a mixture deals out: a source with more samples a group gives more samples.
    """
    counts = dict.fromkeys(weights, 0)
    for indices in taken:
        whole, rest = divmod(len(indices), PERIOD)
        start, step = indices.start, indices.step
        # the pattern repeats every PERIOD places, and so does any walk over it in equal steps
        for times, length in ((whole, PERIOD), (1, rest)):
            for k in range(length) if times else ():
                counts[mixture.pattern[(start + k * step) % PERIOD]] += times
    total, weight = sum(counts.values()), sum(weights.values())
    return [Share(n, weights[n] / weight, counts[n] / total if total else 0.0, counts[n]) for n in weights]


def positions(next_groups: Mapping[int, int], shards: int) -> list[range]:
    """The groups that the shards of a stage have taken: shard -> its next group (`RowStream.state()["next"]`)."""
    return [range(shard, following, shards) for shard, following in next_groups.items()]


def shares_text(found: Iterable[Share]) -> str:
    """ "scenes 60.0 % (asked 60.0 %), words 40.0 % (asked 40.0 %)"."""
    return ", ".join(f"{s.name} {s.actual:.1%} (asked {s.asked:.1%})" for s in found)
