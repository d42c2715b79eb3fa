"""What single answers add up to: per row, circular, macro over groups; shares of unread answers; intervals. No torch.

Circular (MMBench): a question is right when all its rotations are. Macro (MMStar): the mean of the groups' means. Rows of
one question are no independent draws, so their interval is bootstrapped over questions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from varco_vision.eval.statistics import DRAWS, Interval, bootstrap_ratio, wilson

Cell = dict[str, Any]


@dataclass(frozen=True)
class Mark:
    """One row under one rule: the letter that was read (None: none) and whether it is the right one."""

    index: str
    group: str
    letter: str | None
    correct: bool
    category: str = ""
    subcategory: str = ""
    level: str = ""


def cell(value: float, interval: Interval, n: int) -> Cell:
    """A number with its 95 % interval and what it is a mean of."""
    return {"value": value, "low": interval[0], "high": interval[1], "n": n}


def by(marks: Iterable[Mark], name: str) -> dict[str, list[Mark]]:
    """Marks by one of their fields, in the order in which its values come."""
    found: dict[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        found[getattr(mark, name)].append(mark)
    return dict(found)


def questions(marks: Sequence[Mark]) -> list[tuple[Mark, bool]]:
    """(first row, whether all rows are right) of every question."""
    return [(rows[0], all(row.correct for row in rows)) for rows in by(marks, "group").values()]


def micro(marks: Sequence[Mark]) -> Cell:
    """Share of right rows."""
    right, n = sum(mark.correct for mark in marks), len(marks)
    groups = by(marks, "group").values()
    if len(groups) == n or right in (0, n):
        interval = wilson(right * len(groups) / n, len(groups))
    else:
        interval = bootstrap_ratio([(sum(m.correct for m in rows), len(rows)) for rows in groups])
    return cell(right / n, interval, n)


def circular(marks: Sequence[Mark]) -> Cell:
    """Share of questions whose rows are all right."""
    right = [whole for _, whole in questions(marks)]
    return cell(sum(right) / len(right), wilson(sum(right), len(right)), len(right))


def macro(marks: Sequence[Mark], name: str = "subcategory") -> Cell:
    """Mean of the groups' shares of right rows; the interval is a bootstrap within each group."""
    groups = [[float(mark.correct) for mark in rows] for rows in by(marks, name).values()]
    value = sum(sum(rows) / len(rows) for rows in groups) / len(groups)
    rng = np.random.default_rng(0)
    drawn = np.zeros(DRAWS)
    for rows in groups:
        drawn += rng.binomial(len(rows), sum(rows) / len(rows), DRAWS) / len(rows)  # resampling 0/1 values is binomial
    low, high = np.quantile(drawn / len(groups), [0.025, 0.975])
    if value in (0.0, 1.0):
        low, high = wilson(value * len(marks), len(marks))
    return cell(value, (float(low), float(high)), len(marks))


AGGREGATES: dict[str, Callable[[Sequence[Mark]], Cell]] = {"micro": micro, "circular": circular, "macro": macro}


def unread(marks: Sequence[Mark]) -> float:
    """Share of rows in which no letter was read; they count as wrong."""
    return sum(mark.letter is None for mark in marks) / len(marks)


def summary(marks: Sequence[Mark], with_circular: bool, with_macro: bool) -> dict[str, Any]:
    """Everything about one rule on one set: {"per_row", "circular", "macro", "unread"}; what does not apply is absent."""
    found: dict[str, Any] = {"per_row": micro(marks)}
    if with_circular:
        found["circular"] = circular(marks)
    if with_macro:
        found["macro"] = macro(marks)
    return {**found, "unread": unread(marks)}


def tables(marks: Sequence[Mark], aggregation: str) -> dict[str, dict[str, Cell]]:
    """Scores by category, subcategory and level where a set has them. Circular sets stay circular, others are per row."""
    measure = circular if aggregation == "circular" else micro
    found = {}
    for name in ("category", "subcategory", "level"):
        groups = by(marks, name)
        if len(groups) > 1 or (groups and next(iter(groups))):
            found[name] = {value or "(none)": measure(rows) for value, rows in sorted(groups.items())}
    return found
