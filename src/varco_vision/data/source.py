"""Where samples come from: anything that gives, for an index, the samples that share one picture (or one text)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from varco_vision.data.sample import Sample
from varco_vision.errors import InputError

PERIOD = 1000  # shares of a mixture are exact to 1/PERIOD


@runtime_checkable
class Source(Protocol):
    """`group` must be a pure function of the index: resuming, sharding and several processes rest on it."""

    def group(self, index: int) -> list[Sample]:
        """The samples of group `index`, all on the same picture(s); index may exceed any number for endless sources."""
        ...


class Repeated:
    """A finite source made endless: group i is group i modulo its length, in a new order every round."""

    def __init__(self, source: Source, seed: int) -> None:
        self.source, self.seed = source, seed
        self.length = len(source)  # type: ignore[arg-type]
        if not self.length:
            raise InputError("a source without samples cannot be trained on; check the file and its filters")
        self._round: tuple[int, list[int]] = (-1, [])

    def group(self, index: int) -> list[Sample]:
        number, place = divmod(index, self.length)
        if self._round[0] != number:
            order = list(range(self.length))
            random.Random(f"{self.seed}-{number}").shuffle(order)
            self._round = (number, order)
        return self.source.group(self._round[1][place])


class Mixture:
    """Several sources in fixed shares; which one serves index i, and with which of its groups, is known in O(1).

    The shares are apportioned over a pattern of `PERIOD` places (largest remainder), shuffled once by the seed. With
    `even_shards` it is not shuffled: each of that many shards (groups k, k + shards, ...) meets the sources as evenly as can be,
    so that shares are near from the first groups on.
    """

    def __init__(
        self, sources: Mapping[str, Source], weights: Mapping[str, float], seed: int, even_shards: int | None = None
    ) -> None:
        if set(sources) != set(weights) or not sources:
            raise InputError(
                f"a mixture needs one weight for each source, found {sorted(sources)} and {sorted(weights)}"
            )
        if min(weights.values()) < 0 or not sum(weights.values()):
            raise InputError(f"mixture weights must be positive numbers, found {dict(weights)}")
        self.sources = dict(sources)
        counts = self._counts(weights)
        self.pattern = self._shuffled(counts, seed) if even_shards is None else even_pattern(counts, even_shards)
        self.places: list[int] = []  # how often the same source stood earlier in the pattern
        seen = dict.fromkeys(self.sources, 0)
        for name in self.pattern:
            self.places.append(seen[name])
            seen[name] += 1
        self.counts = seen

    @staticmethod
    def _counts(weights: Mapping[str, float]) -> dict[str, int]:
        total = sum(weights.values())
        exact = {name: weight / total * PERIOD for name, weight in weights.items()}
        counts = {name: int(share) for name, share in exact.items()}
        rest = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
        for name in rest[: PERIOD - sum(counts.values())]:
            counts[name] += 1
        return counts

    @staticmethod
    def _shuffled(counts: Mapping[str, int], seed: int) -> list[str]:
        pattern = [name for name, count in counts.items() for _ in range(count)]
        random.Random(seed).shuffle(pattern)
        return pattern

    def group(self, index: int) -> list[Sample]:
        number, place = divmod(index, PERIOD)
        name = self.pattern[place]
        return self.sources[name].group(number * self.counts[name] + self.places[place])


def even_pattern(counts: Mapping[str, int], shards: int) -> list[str]:
    """Every name as often as asked, spread evenly over the whole and over each shard's own places (k, k + shards, ...).

    Each place goes to the name that is furthest behind its share, in both together; so both stay within two of it
    (tests/test_filling.py looks at all prefixes).
    """
    total = sum(counts.values())
    names = [name for name, count in counts.items() if count]
    made, of_shard = dict.fromkeys(names, 0), [dict.fromkeys(names, 0) for _ in range(shards)]
    pattern = []
    for place in range(total):
        own, turn = of_shard[place % shards], place // shards
        chosen = max(
            (name for name in names if made[name] < counts[name]),
            key=lambda name: (place + turn + 2) * counts[name] / total - made[name] - own[name],
        )
        made[chosen] += 1
        own[chosen] += 1
        pattern.append(chosen)
    return pattern
