"""Fitting a checkpoint's calibration on one half of the questions and judging it on the other.

The halves share neither pictures nor, where there are any, strings to read or facts to know (`calibration.resource_half`);
both are of the split "eval", which training never sees.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.eval import own
from varco_vision.eval.calibration import Point, fit, group_of, points_of, reliability, resource_half
from varco_vision.infer.calibration import KINDS, Calibration, Curve
from varco_vision.infer.engine import Engine
from varco_vision.model.checkpoint import CALIBRATION

FIT_SEED, JUDGE_SEED = 8101, 8102  # of no recipe's evaluation
TASKS = ("grounding", "absent", "referring", "counting", "vqa", "choice")
BOXED = ("ocr", "grounding")  # asked with constrained boxes, as `ocr` and `ground` ask


@dataclass(frozen=True)
class Halves:
    """What curves are fitted on and what they are judged on; `name` says where both come from."""

    fit: list[Sample]
    judge: list[Sample]
    name: str


def made_halves(count: int, section: Mapping[str, Any] | None = None) -> Halves:
    """`count` scenes and words in each language for either half. `section`: the `evaluation` section of the model's
    recipe, of which the looks of pictures and the tasks are taken; None: the sources' own.
    """
    section = section or {}
    looks = {name: dict(section[name]) for name in ("scenes", "words", "text") if name in section}
    looks["words"] = {**looks.get("words", {}), "words": (1, 2)}
    tasks = tuple(section.get("tasks", TASKS))
    parts = [_made(seed, half, count, looks, tasks) for half, seed in enumerate((FIT_SEED, JUDGE_SEED))]
    name = (
        f"synth:eval seeds {FIT_SEED} and {JUDGE_SEED}, {count} scenes and about {count} pictures of words a language"
    )
    return Halves(parts[0], parts[1], name)


def _made(seed: int, half: int, count: int, looks: Mapping[str, Any], tasks: Sequence[str]) -> list[Sample]:
    from varco_vision.synth.sources import evaluation_set
    from varco_vision.synth.text_world import LANGUAGES, pairs

    facts = looks.get("text", {}).get("facts")
    n_text = min(4 * count, *(len(pairs("eval", lang, facts)) for lang in LANGUAGES))
    samples = evaluation_set(seed, count, 5 * count, n_text, tasks=tasks, **looks)
    return [sample for sample in samples if resource_half(sample) <= {half}]


def given_halves(samples: Sequence[Sample], name: str) -> Halves:
    """Samples of a file, in two halves by their pictures (by their questions, where they have none)."""
    parts: tuple[list[Sample], list[Sample]] = ([], [])
    for sample in samples:
        parts[hashlib.blake2b(group_of(sample).encode(), digest_size=1).digest()[0] % 2].append(sample)
    if not all(parts):
        raise InputError(f"{name} has samples on one picture only; two halves with different pictures are needed")
    return Halves(*parts, name)


def points(engine: Engine, samples: Sequence[Sample], progress: Callable[[int], None] | None = None) -> list[Point]:
    """The engine's answers as points. The engine must not calibrate them itself."""
    assert engine.calibration is None
    requests = own.requests_for(samples)
    if engine.can_constrain:
        requests = [replace(r, constrain=s.task in BOXED) for r, s in zip(requests, samples, strict=True)]
    answers = engine.generate(requests, progress)
    return [point for sample, answer in zip(samples, answers, strict=True) for point in points_of(sample, answer)]


def mapped(given: Sequence[Point], calibration: Calibration) -> list[Point]:
    """The points as they are with the curves applied."""
    same = Curve(1.0, 0.0)
    return [replace(p, confidence=calibration.curves.get(p.kind, same)(p.confidence)) for p in given]


def calibrate(
    engine: Engine, halves: Halves, progress: Callable[[int], None] | None = None
) -> tuple[Calibration, dict[str, Any]]:
    """Curves fitted on one half, and their reliability on the other: {"kinds": {kind: {"before", "after"}}, ...}."""
    began = time.monotonic()
    count = len(halves.fit)
    fitting = points(engine, halves.fit, progress)
    judging = points(engine, halves.judge, None if progress is None else lambda done: progress(count + done))
    calibration, few = fit(fitting)
    result = {
        "set": halves.name,
        "digests": {"fit": own.set_digest(halves.fit), "judge": own.set_digest(halves.judge)},
        "answers": {"fit": len(halves.fit), "judge": len(halves.judge)},
        "without_curve": few,
        "seconds": round(time.monotonic() - began, 1),
        "kinds": compared(judging, calibration),
    }
    told = {
        kind: {side: {name: round(r[side][name], 4) for name in ("n", "ece", "low", "high")} for side in r}
        for kind, r in result["kinds"].items()
    }
    fitted = {"set": halves.name, "digests": result["digests"], "held_out": told}
    return replace(calibration, fitted=fitted), result


def compared(judging: Sequence[Point], calibration: Calibration) -> dict[str, Any]:
    """Reliability of each kind before and after the curves; kinds without a point are absent."""
    table = {}
    for kind in KINDS:
        if own_points := [p for p in judging if p.kind == kind]:
            after = mapped(own_points, calibration)
            table[kind] = {"before": reliability(own_points), "after": reliability(after)}
    return table


def write(calibration: Calibration, directory: str | Path) -> Path:
    """Write `calibration.json` beside a checkpoint's weights."""
    path = Path(directory) / CALIBRATION
    try:
        path.write_text(json.dumps(calibration.to_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path
