"""Ask the model inside the package the questions of its recipe's `evaluation` section; write every score with its interval.

python scripts/measure_default.py            # prints, and writes docs/mini-scores.json
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from varco_vision.data.sample import LANGUAGES, Sample
from varco_vision.eval import checking, own
from varco_vision.eval.report import versions
from varco_vision.eval.statistics import wilson
from varco_vision.infer.api import VarcoVision
from varco_vision.model import checkpoint
from varco_vision.synth.sources import evaluation_set

TARGET = Path(__file__).parent.parent / "docs" / "mini-scores.json"


def measure(**changes: Any) -> dict[str, Any]:
    """Protocol, scores with n and interval, and counters; `changes` replace entries of the `evaluation` section."""
    loaded = checkpoint.load(checkpoint.default_path())
    recipe = loaded.record["recipe"]
    section = {**recipe["evaluation"], **changes}
    samples = evaluation_set(**section)
    began = time.monotonic()
    vision = VarcoVision(loaded, batch_size=24)
    scores = own.score(vision.engine, samples).to_dict() | {"grounding_checked_acc50": checked(vision, samples)}
    return {
        "model": recipe["name"],
        "protocol": own.PROTOCOL,
        "evaluation": section,
        "digest": own.set_digest(samples),
        "seconds": round(time.monotonic() - began, 1),
        "versions": versions(),
        "scores": scores,
    }


def checked(vision: VarcoVision, samples: list[Sample]) -> dict[str, Any]:
    """Grounding of one thing with the model asked back about its box (`infer.checking`)."""
    pairs, found = checking.both(vision, samples), {}
    for lang in LANGUAGES:
        right = [after for told, _, after in pairs if told == lang]
        low, high = wilson(sum(right), len(right))
        found[lang] = {"value": sum(right) / len(right), "n": len(right), "low": low, "high": high}
    return found


def main() -> None:
    found = measure()
    TARGET.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for metric, table in found["scores"].items():
        if isinstance(table, dict) and metric != "counters":
            cells = (
                f"{lang} {c['value']:.3f} ({c['low']:.3f} - {c['high']:.3f}), n {c['n']}" for lang, c in table.items()
            )
            print(f"{metric:<22} {'   '.join(cells)}")
    print(found["scores"]["counters"], file=sys.stderr)


if __name__ == "__main__":
    main()
