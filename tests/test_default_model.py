"""The model inside the package: loads strictly, answers the README word for word, reaches the scores of its card."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from varco_vision.model import checkpoint

ROOT = Path(__file__).parent.parent
SCORES = ROOT / "docs" / "mini-scores.json"


def test_it_loads_strictly_and_fits_the_package() -> None:
    loaded = checkpoint.load(checkpoint.default_path())  # raises where a weight is missing or left over
    assert sum(p.numel() for p in loaded.model.parameters()) <= 32_000_000
    shards = list(checkpoint.default_path().glob("*.safetensors"))
    assert shards and all(s.stat().st_size <= 16_000_000 for s in shards)
    assert loaded.record["recipe"]["name"] == json.loads(SCORES.read_text(encoding="utf-8"))["model"]


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_answer_in_the_readme_is_what_the_model_says(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    command = re.search(r"^varco-vision (ground .*?) --draw", text, re.MULTILINE)
    printed = re.search(r"```text\n(.*?)```", text[text.index("--draw") :], re.DOTALL)
    assert command and printed
    words = re.findall(r'"[^"]*"|\S+', command[1])
    arguments = [sys.executable, "-m", "varco_vision.cli.main", *(w.strip('"') for w in words)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == printed[1]


@pytest.mark.slow
def test_it_reaches_the_scores_of_its_card() -> None:
    """On the questions of docs/mini-scores.json; where other fonts make other pictures of words, those are left out."""
    spec = importlib.util.spec_from_file_location("measure_default", ROOT / "scripts" / "measure_default.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    card, found = json.loads(SCORES.read_text(encoding="utf-8")), script.measure()
    same_pictures = found["digest"] == card["digest"]
    compared = 0
    for metric, table in card["scores"].items():
        if metric in ("counters", "n") or (metric.startswith(("ocr", "language")) and not same_pictures):
            continue
        for lang, cell in table.items():
            value = found["scores"][metric][lang]["value"]
            assert cell["low"] - 1e-9 <= value <= cell["high"] + 1e-9, (metric, lang, value, cell)
            compared += 1
    assert compared >= 12
