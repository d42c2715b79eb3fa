"""Scores that others published, as data with their sources, to stand beside ours. No torch."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _data() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))


def of(task: str) -> list[dict[str, Any]]:
    """Published scores of a task in per cent: [{"model", "score", "source", "title", "protocol"}], highest first."""
    sources = _data()["sources"]
    found = [
        {"model": model, "score": score, "source": source, **sources[source]}
        for model, score, source in _data()["scores"].get(task, ())
    ]
    return sorted(found, key=lambda one: -one["score"])


def sources() -> dict[str, dict[str, str]]:
    """Where the scores come from, by name of the source."""
    return dict(_data()["sources"])
