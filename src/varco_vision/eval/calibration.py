"""Whether confidences are shares of right answers, and the curves that make them so.

A point is one word, box or short answer of a model: its confidence, and whether it was right. Reliability (Guo et al. 2017,
arXiv 1706.04599) compares both in ten bins of confidence: the expected calibration error (ECE) is the mean distance of share
right and mean confidence, weighted by the points of a bin. A perfectly calibrated model has an ECE above 0 on finitely many
points; `by_chance` says how much. Points of one picture come in clusters, so intervals draw whole pictures.

Curves are fitted by logistic regression on the log-odds of the confidence (Platt 1999, with his smoothed targets). No torch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from varco_vision import pictures
from varco_vision.data.sample import Sample, text_of
from varco_vision.eval import metrics as m
from varco_vision.eval import own
from varco_vision.eval.statistics import wilson
from varco_vision.infer.answer import Answer
from varco_vision.infer.calibration import KINDS, Calibration, Curve, log_odds

BINS = 10
DRAWS = 500
LEAST_POINTS = 60  # below this a kind gets no curve
SHORT_TASKS = ("referring", "counting", "vqa", "choice", "text")
RIDGE = 1e-3  # keeps the slope finite where confidence tells right from wrong without a single mistake


@dataclass(frozen=True)
class Point:
    """`kind` is one of `infer.calibration.KINDS`; `group` names the picture (or the question without one)."""

    kind: str
    confidence: float
    right: bool
    lang: str
    group: str
    tokens: int = 0


# --- points of answers ---------------------------------------------------------------------------------------------


def points_of(sample: Sample, answer: Answer) -> list[Point]:
    """What this answer says about each kind. Confidences are taken as they stand in the answer."""
    gold, group = own.gold_of(sample), group_of(sample)
    found: list[tuple[str, float, bool]] = []
    if sample.task == "ocr" and gold.words:
        found = list(_word_points(answer, gold.words))
    elif sample.task == "grounding" and sample.meta.get("kind") != "description":
        found = [("box", c, right) for c, right in _box_points(answer, gold.objects)]
    elif sample.task in SHORT_TASKS and not (answer.objects or answer.words) and answer.new_tokens:
        right = own.record(sample, answer)["correct"]
        found = [] if right is None else [("answer", answer.confidence, right)]
    return [Point(kind, c, bool(right), sample.lang, group, answer.new_tokens) for kind, c, right in found]


def _word_points(answer: Answer, gold: Sequence[m.Word]) -> Iterable[tuple[str, float, bool]]:
    """Told words in turn; each takes the gold word that it overlaps most, and none is taken twice."""
    left = list(gold)
    for word in answer.words:
        if word.text_confidence is None or word.box_confidence is None:
            continue  # the answer's repairs tell
        near = max(left, key=lambda g: word.box.iou(g[1]), default=None)
        there = near is not None and word.box.iou(near[1]) >= m.IOU_MATCH
        read = near is not None and word.box.iou(near[1]) > 0 and m.same_strict(word.text, near[0])
        yield "word", word.confidence, there and read
        yield "letters", word.text_confidence, read
        yield "word_box", word.box_confidence, there
        if near is not None and (there or read):
            left.remove(near)


def _box_points(answer: Answer, gold: Sequence[m.Word]) -> Iterable[tuple[float, bool]]:
    left = [box for _, box in gold]
    for thing in answer.objects:
        for box, confidence in zip(thing.boxes, thing.confidences, strict=False):  # none where tokens do not match
            near = max(left, key=box.iou, default=None)
            right = near is not None and box.iou(near) >= m.IOU_MATCH
            yield confidence, right
            if right:
                left.remove(near)


def group_of(sample: Sample) -> str:
    """Names the pictures of a sample, or its question where it has none: samples of one group are not independent."""
    if not sample.images:
        return text_of(own.prompt_of(sample)[-1])
    digest = hashlib.blake2b(digest_size=8)
    for image in sample.images:
        digest.update(pictures.load(image).tobytes())
    return digest.hexdigest()


def resource_half(sample: Sample) -> set[int]:
    """Which halves (0, 1) the strings of a sample belong to: words to read and facts; none for scenes without words.

    Fitting and judging take samples of different halves, so that no string is in both.
    """
    words = [word["text"] for word in sample.meta.get("words", ())]
    if not sample.images:
        words = [sample.meta.get("fact", text_of(sample.messages[-1]))]
    return {hashlib.blake2b(w.encode(), digest_size=1).digest()[0] % 2 for w in words}


# --- reliability ---------------------------------------------------------------------------------------------------


def error_of(confidences: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over `BINS` equal bins of confidence."""
    return float(_errors(_bins(confidences), confidences, right[None])[0])


def _bins(confidences: np.ndarray) -> np.ndarray:
    return np.minimum((confidences * BINS).astype(int), BINS - 1)


def _errors(bins: np.ndarray, confidences: np.ndarray, right_DN: np.ndarray) -> np.ndarray:
    """The error [D] for D sets of N outcomes: sum over bins of |sum right - sum confidence| / N."""
    member = np.eye(BINS)[bins]
    return np.abs(right_DN @ member - confidences @ member).sum(-1) / len(confidences)


def reliability(points: Sequence[Point], seed: int = 0) -> dict[str, Any]:
    """n, share right, mean confidence, ECE with its 95 % interval, what a calibrated model would have by chance (the 95 %
    point is `by_chance_high`), Brier score, area under the ROC curve (None where all are right or all wrong), and the table:
    for each bin that has points n, mean confidence, share right with Wilson's interval. At least one point.
    """
    confidences = np.array([p.confidence for p in points])
    right = np.array([float(p.right) for p in points])
    rng = np.random.default_rng(seed)
    drawn = _errors(_bins(confidences), confidences, rng.random((DRAWS, len(points))) < confidences)
    ece = error_of(confidences, right)
    low, high = _interval(points, confidences, right, rng)
    return {
        "n": len(points),
        "right": float(right.mean()),
        "confidence": float(confidences.mean()),
        "ece": ece,
        "low": min(low, ece),
        "high": max(high, ece),
        "by_chance": float(np.median(drawn)),
        "by_chance_high": float(np.quantile(drawn, 0.95)),
        "brier": float(((confidences - right) ** 2).mean()),
        "auc": _auc(confidences, right),
        "table": _table(confidences, right),
    }


def _interval(
    points: Sequence[Point], confidences: np.ndarray, right: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Percentile bootstrap of the ECE, whole groups drawn."""
    names = {name: k for k, name in enumerate(sorted({p.group for p in points}))}
    sums = np.zeros((len(names), BINS, 2))
    for point, place, c, r in zip(points, _bins(confidences), confidences, right, strict=True):
        sums[names[point.group], place] += (r - c, 1)
    picks = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS).astype(float)
    drawn = np.tensordot(picks, sums, axes=1)
    errors = np.abs(drawn[..., 0]).sum(-1) / drawn[..., 1].sum(-1)
    low, high = np.quantile(errors, [0.025, 0.975])
    return float(low), float(high)


def _auc(confidences: np.ndarray, right: np.ndarray) -> float | None:
    """How often a right one has the higher confidence than a wrong one, ties half."""
    good, bad = confidences[right == 1], confidences[right == 0]
    if not len(good) or not len(bad):
        return None
    bad = np.sort(bad)
    below, upto = np.searchsorted(bad, good, "left"), np.searchsorted(bad, good, "right")
    return float((below + upto).sum() / 2 / len(good) / len(bad))


def _table(confidences: np.ndarray, right: np.ndarray) -> list[dict[str, Any]]:
    bins, rows = _bins(confidences), []
    for place in range(BINS):
        own_right, own_confidences = right[bins == place], confidences[bins == place]
        if n := len(own_right):
            low, high = wilson(own_right.sum(), n)
            row = {"from": place / BINS, "to": (place + 1) / BINS, "n": n, "confidence": float(own_confidences.mean())}
            rows.append({**row, "right": float(own_right.mean()), "low": low, "high": high})
    return rows


# --- fitting -------------------------------------------------------------------------------------------------------


def fit_curve(confidences: Sequence[float], right: Sequence[bool]) -> Curve:
    """The curve of greatest likelihood, slope >= 0, by Newton's method; Platt's targets (k + 1) / (n + 2) keep it finite.

    Where confidence does not rise with being right, the slope is 0 and the curve is the share right.
    """
    x = np.array([log_odds(c) for c in confidences])
    flags = np.array(right, dtype=bool)
    assert len(x) == len(flags) > 0
    good, bad = flags.sum(), (~flags).sum()
    targets = np.where(flags, (good + 1) / (good + 2), 1 / (bad + 2))
    slope, offset = _newton(np.stack([x, np.ones_like(x)], axis=1), targets)
    if slope <= 0:
        slope, offset = 0.0, float(math.log((good + 1) / (bad + 1)))
    return Curve(float(slope), float(offset), len(x))


def _newton(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Coefficients of a logistic regression with a small ridge around (1, 0); halved steps where a whole one overshoots."""
    start = np.array([1.0, 0.0])

    def loss(w: np.ndarray) -> float:
        z = inputs @ w
        return float((np.logaddexp(0, z) - targets * z).sum() + RIDGE / 2 * ((w - start) ** 2).sum())

    w = start
    for _ in range(100):
        p = 1 / (1 + np.exp(-(inputs @ w)))
        gradient = inputs.T @ (p - targets) + RIDGE * (w - start)
        hessian = (inputs * (p * (1 - p))[:, None]).T @ inputs + RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while loss(w - step) > loss(w) and np.abs(step).max() > 1e-12:
            step = step / 2
        w = w - step
        if np.abs(step).max() < 1e-9:
            break
    return w


def fit(points: Iterable[Point], fitted: Mapping[str, Any] | None = None) -> tuple[Calibration, dict[str, int]]:
    """Curves for every kind with `LEAST_POINTS` points, and how many points each kind without a curve had."""
    by_kind: dict[str, list[Point]] = {kind: [] for kind in KINDS}
    for point in points:
        by_kind[point.kind].append(point)
    curves = {
        kind: fit_curve([p.confidence for p in own_points], [p.right for p in own_points])
        for kind, own_points in by_kind.items()
        if len(own_points) >= LEAST_POINTS
    }
    longest = max((p.tokens for p in by_kind["answer"]), default=0)
    few = {kind: len(own_points) for kind, own_points in by_kind.items() if kind not in curves}
    return Calibration(curves, longest if "answer" in curves else 0, fitted or {}), few
