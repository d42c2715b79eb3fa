"""Build k-mini, let the model inside the package answer it under the protocol `strict`, and write every score with its interval.

python scripts/measure_sets.py [FOLDER]       # prints, and writes docs/mini-sets.json; FOLDER keeps the sets and all answers
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from varco_vision.cli import demo_bench
from varco_vision.eval.report import versions
from varco_vision.eval.statistics import wilson
from varco_vision.model import checkpoint
from varco_vision.train.parallel import World

TARGET = Path(__file__).parent.parent / "docs" / "mini-sets.json"
NAME, QUESTIONS = "mini", 100


def once(folder: Path, tasks: list[str]) -> dict[str, Any]:
    """All closed sets together, every question counted once, in its first order of options, so that counts are independent."""
    right: list[bool] = []
    by_chance: list[float] = []
    for task in tasks:
        rows = {row["index"]: row for row in demo_bench.asked(folder, task)}
        for mark in map(json.loads, (folder / "marks.jsonl").read_text(encoding="utf-8").splitlines()):
            if mark["task"] == task and mark["index"] == mark["group"]:
                right.append(bool(mark["correct"]))
                by_chance.append(1 / sum(text is not None for text in rows[mark["index"]]["options"].values()))
    low, high = wilson(sum(right), len(right))
    return {
        "value": sum(right) / len(right),
        "n": len(right),
        "low": low,
        "high": high,
        "chance": sum(by_chance) / len(by_chance),
    }


def measure(out: Path) -> dict[str, Any]:
    """What `set_table` shows, and all closed sets together."""
    found = demo_bench.measure(
        {NAME: checkpoint.load(checkpoint.default_path(), device="cpu")},
        out,
        QUESTIONS,
        World(0, 1, torch.device("cpu")),
    )
    if "left_out" in found:
        raise SystemExit(f"k-mini cannot be built here: {found['left_out']}")
    closed = [task for task, told in found["sets"].items() if told["chance"]]
    found["together"] = once(out / demo_bench.SCORES / demo_bench.folder_name(NAME), closed)
    return {name: found[name] for name in ("sets", "models", "count", "command", "together")} | {"versions": versions()}


def main(folder: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as spare:
        found = measure(Path(folder or spare))
    TARGET.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"all closed sets, each question once: {found['together']}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
