"""The table and the figure of `benchmarks/preservation.py`, from its results.json.

    python benchmarks/preservation_report.py runs/preservation/results.json --figure docs/preservation.png

Shares are pooled over seeds and languages with Wilson's 95 % interval; kept text is the paired difference after - before on the
same questions, its interval combined from those of each seed and language as independent ones. Dots in the figure are seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from varco_vision.eval.statistics import Z95, wilson

SKILLS = {
    "grounding_acc50": "grounding",
    "referring_acc": "referring",
    "counting_acc": "counting",
    "ocr_box_recall": "boxes of words",
}
TITLES = {
    "four": "four stages",
    "no_text": "four stages,\nno text-only data",
    "joint": "one joint stage",
    "no_alignment": "no projector stage",
    "two": "two stages,\nLLaVA-1.5's way",
}


class Estimate(NamedTuple):
    """A share or a difference with its 95 % interval."""

    value: float
    low: float
    high: float


def share(right: float, n: int) -> Estimate:
    """`right` of `n`."""
    return Estimate(right / n, *wilson(right, n))


def pooled(results: Sequence[dict[str, Any]], skill: str) -> Estimate:
    """A share over all seeds and languages."""
    cells = [cell for r in results for cell in r["scores"].get(skill, {}).values()]
    return share(sum(c["value"] * c["n"] for c in cells), sum(c["n"] for c in cells))


def change(results: Sequence[dict[str, Any]]) -> Estimate:
    """Mean paired difference of right answers to text-only questions, after - before."""
    cells = [cell for r in results for cell in r["kept"].values()]
    n = sum(c["n"] for c in cells)
    value = sum(c["difference"] * c["n"] for c in cells) / n
    error = math.sqrt(sum(((c["high"] - c["low"]) / 2 / Z95 * c["n"]) ** 2 for c in cells)) / n
    return Estimate(value, value - Z95 * error, value + Z95 * error)


def by_seed(results: Sequence[dict[str, Any]], skill: str) -> list[float]:
    """The skill's mean over languages, per seed; "kept" for the change of text."""
    if skill == "kept":
        return [statistics.mean(c["difference"] for c in r["kept"].values()) for r in results]
    return [statistics.mean(c["value"] for c in r["scores"][skill].values()) for r in results]


def collect(path: Path) -> dict[str, list[dict[str, Any]]]:
    """{variant: its results, a seed each}, variants without results left out."""
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
    found = {name: [seed[name] for seed in runs.values() if name in seed] for name in TITLES}
    return {name: results for name, results in found.items() if results}


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: percent with 95 % intervals."""
    rows = [
        f"| variant | seeds | {' | '.join(SKILLS.values())} | text before | text after | change (points) |",
        "|---|---|" + "---|" * (len(SKILLS) + 3),
    ]
    for name, results in found.items():
        kept = [cell for r in results for cell in r["kept"].values()]
        n = sum(c["n"] for c in kept)
        before, after = (share(sum(c[key] * c["n"] for c in kept), n) for key in ("before", "after"))
        cells = [_cell(pooled(results, skill)) for skill in SKILLS] + [
            _cell(before),
            _cell(after),
            _cell(change(results)),
        ]
        rows.append(f"| {TITLES[name].replace(chr(10), ' ')} | {len(results)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(interval: Estimate) -> str:
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def figure(found: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Skills on the left, change of text knowledge on the right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), width_ratios=(3, 1.4))
    width = 0.8 / len(found)
    for k, (name, results) in enumerate(found.items()):
        places = [i + (k - (len(found) - 1) / 2) * width for i in range(len(SKILLS))]
        shares = [pooled(results, skill) for skill in SKILLS]
        _bars(left, places, shares, width, f"C{k}", TITLES[name].replace("\n", " "))
        for place, skill in zip(places, SKILLS, strict=True):
            left.plot([place] * len(results), [100 * v for v in by_seed(results, skill)], "k.", markersize=3)
        _bars(right, [k], [change(results)], 0.7, f"C{k}", None)
        right.plot([k] * len(results), [100 * v for v in by_seed(results, "kept")], "k.", markersize=4)
    left.set_xticks(range(len(SKILLS)), SKILLS.values())
    left.set_ylabel("right, %")
    left.set_title("what it learned to see (unseen pictures)")
    left.legend(fontsize=8)
    right.set_xticks(range(len(found)), [TITLES[name] for name in found], rotation=30, ha="right", fontsize=7)
    right.axhline(0, color="black", linewidth=0.8)
    right.set_ylabel("points")
    right.set_title("text-only knowledge, after - before")
    shown.tight_layout()
    shown.savefig(path, dpi=110)


def _bars(
    axis: Any, places: Sequence[float], shares: Sequence[Estimate], width: float, colour: str, label: str | None
) -> None:
    errors = [[100 * (s.value - s.low) for s in shares], [100 * (s.high - s.value) for s in shares]]
    axis.bar(
        places,
        [100 * s.value for s in shares],
        width,
        yerr=errors,
        color=colour,
        label=label,
        error_kw={"linewidth": 1},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    found = collect(options.results)
    print(table(found))
    if options.figure:
        figure(found, options.figure)


if __name__ == "__main__":
    main()
