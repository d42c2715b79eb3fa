"""PopEval: end-to-end text recognition scored by letters that are taken away one by one (arXiv 1908.11060).

A gold region and a told region are *related* when their convex hulls meet (a common point is enough) and they have a
letter in common. Gold regions with exactly one related region go first, the one nearest to the top left corner
before others: every letter that both have is taken away from both. When only gold regions with several related ones
are left, the nearest of them gives letters to the told region that covers most of it (to all of them in turn when
several cover the same share). Relations are looked at anew after every step, until none is left.

Precision = letters taken away / letters told, recall = letters taken away / gold letters, both over the whole set.
Told regions that lie to more than half inside a don't-care region are left out together with it. Letters are code
points: neither case nor composition (NFC) is forgiven, and blanks are letters; `varco_vision.eval.ocr` prepares texts.

Only which letters are shared matters, not their order, so texts are held as counted letters. Nearness is the distance
from (0, 0) of a point inside the hull (shapely's `point_on_surface`), as in the authors' program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from varco_vision.errors import InputError
from varco_vision.eval.readers import Region

INSIDE = 0.5  # share of a told region that must lie in a don't-care region for it to be left out


@dataclass(frozen=True)
class Letters:
    """Letters taken away, told and in the gold texts. Sums of pages are scores of a set."""

    removed: int
    told: int
    gold: int

    def __add__(self, other: Letters) -> Letters:
        return Letters(self.removed + other.removed, self.told + other.told, self.gold + other.gold)

    @property
    def precision(self) -> float:
        """removed / told; 0 when nothing was told."""
        return self.removed / self.told if self.told else 0.0

    @property
    def recall(self) -> float:
        """removed / gold; 0 when there is nothing to read."""
        return self.removed / self.gold if self.gold else 0.0

    @property
    def h(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def total(pages: Iterable[Letters]) -> Letters:
    """The sum over pages; no page at all gives zeros."""
    return sum(pages, Letters(0, 0, 0))


def score_page(gold: Sequence[Region], told: Sequence[Region]) -> Letters:
    """Letters of one page. Gold regions with `ignored` are don't-care; gold regions without text are left out."""
    shapely = _shapely()
    gold = [region for region in gold if region.text]
    hulls_G, hulls_T = _hulls(gold), _hulls(told)
    kept = _outside_ignored(gold, hulls_G, hulls_T)
    cared = [k for k, region in enumerate(gold) if not region.ignored]
    gold, hulls_G = [gold[k] for k in cared], hulls_G[cared]
    told, hulls_T = [told[k] for k in kept], hulls_T[kept]
    game = _Game(
        [Counter(region.text) for region in gold],
        [Counter(region.text) for region in told],
        _neighbours(hulls_G, hulls_T),
        shapely.distance(shapely.Point(0, 0), shapely.point_on_surface(hulls_G)) if gold else np.zeros(0),
        lambda g, t: _covered(hulls_G[g], hulls_T[t]),
    )
    return Letters(game.play(), sum(len(r.text) for r in told), sum(len(r.text) for r in gold))


def _shapely() -> Any:
    try:
        import shapely
    except ImportError as error:
        raise InputError("PopEval needs shapely; install the extra: pip install 'varco-vision-open[eval]'") from error
    return shapely


def _hulls(regions: Sequence[Region]) -> np.ndarray:
    shapely = _shapely()
    hulls = np.empty(len(regions), dtype=object)
    for k, region in enumerate(regions):
        points = np.asarray(region.polygon, dtype=np.float64).reshape(-1, 2)
        hulls[k] = shapely.convex_hull(shapely.multipoints(points))
    return hulls


def _outside_ignored(gold: Sequence[Region], hulls_G: np.ndarray, hulls_T: np.ndarray) -> list[int]:
    """Indices of told regions that are not mostly inside a don't-care region."""
    shapely = _shapely()
    kept = np.ones(len(hulls_T), dtype=bool)
    areas = shapely.area(hulls_T) if len(hulls_T) else np.zeros(0)
    for hull in (hull for region, hull in zip(gold, hulls_G, strict=True) if region.ignored):
        inside = shapely.area(shapely.intersection(hull, hulls_T))
        kept &= ~(inside > INSIDE * areas)
    return np.flatnonzero(kept).tolist()


def _neighbours(hulls_G: np.ndarray, hulls_T: np.ndarray) -> list[list[int]]:
    """For every gold region the told regions that it meets, in their order."""
    near: list[list[int]] = [[] for _ in hulls_G]
    if len(hulls_G) and len(hulls_T):
        pairs = _shapely().STRtree(hulls_T).query(hulls_G, predicate="intersects")
        for g, t in sorted(zip(*pairs.tolist(), strict=True)):
            near[g].append(t)
    return near


def _covered(gold: Any, told: Any) -> float:
    """Share of the gold hull that the told hull covers; 0 for a gold hull without area."""
    return float(told.intersection(gold).area) / float(gold.area) if gold.area else 0.0


class _Game:
    """The letters still in play. `near`: told regions that meet a gold region; `distance`: which gold region goes first."""

    def __init__(
        self,
        gold: list[Counter[str]],
        told: list[Counter[str]],
        near: list[list[int]],
        distance: Sequence[float],
        covered: Any,
    ) -> None:
        self.gold, self.told, self.near, self.covered = gold, told, near, covered
        self.order = sorted(range(len(gold)), key=lambda g: (distance[g], g))
        self.around: list[list[int]] = [[] for _ in told]
        for g, some in enumerate(near):
            for t in some:
                self.around[t].append(g)
        self.related = [self._related(g) for g in range(len(gold))]

    def _related(self, g: int) -> list[int]:
        return [t for t in self.near[g] if not self.gold[g].keys().isdisjoint(self.told[t].keys())]

    def play(self) -> int:
        """Take letters away until nothing is related; how many were."""
        removed = 0
        while (g := self._next()) is not None:
            chosen = self.related[g]
            if len(chosen) > 1:
                shares = [self.covered(g, t) for t in chosen]
                chosen = [t for t, share in zip(chosen, shares, strict=True) if share == max(shares)]
            removed += sum(self._take(g, t) for t in chosen)
            for changed in {g}.union(*(self.around[t] for t in chosen)):
                self.related[changed] = self._related(changed)
        return removed

    def _next(self) -> int | None:
        """The nearest gold region with one related region, else with several, else None."""
        open_ = [g for g in self.order if self.related[g]]
        return next((g for g in open_ if len(self.related[g]) == 1), open_[0] if open_ else None)

    def _take(self, g: int, t: int) -> int:
        """Take the letters that both have away from both; how many."""
        common = self.gold[g] & self.told[t]
        self.gold[g] -= common
        self.told[t] -= common
        return common.total()
