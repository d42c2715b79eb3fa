"""Does asking back pay? Grounding as first answered and as checked (`infer.checking`), on the same questions.

A checkpoint's calibration advises checking when, on the half that curves are fitted on, it made more answers right than
wrong (McNemar, p < 0.05); the other half says what it is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from varco_vision.data.sample import LANGUAGES, Sample
from varco_vision.eval import own
from varco_vision.eval.statistics import Kept, compare
from varco_vision.geometry import Box
from varco_vision.infer.answer import Answer
from varco_vision.infer.calibration import Calibration

if TYPE_CHECKING:
    from varco_vision.infer.api import VarcoVision

SIGNIFICANT = 0.05
ENOUGH_IOU = 0.5


def right(answer: Answer, gold: Box) -> bool:
    """The first box of the answer meets the gold box at IoU >= 0.5."""
    boxes = [box for thing in answer.objects for box in thing.boxes]
    return bool(boxes) and boxes[0].iou(gold) >= ENOUGH_IOU


def single(samples: Sequence[Sample]) -> list[Sample]:
    """The grounding samples that ask for one thing that is there."""
    return [s for s in samples if s.task == "grounding" and len(own.gold_of(s).objects) == 1 and len(s.images) == 1]


def both(vision: VarcoVision, samples: Sequence[Sample]) -> list[tuple[str, bool, bool]]:
    """(language, right as answered, right as checked) of each `single` sample."""
    found = []
    for sample in single(samples):
        (request,) = own.requests_for([sample])
        gold = own.gold_of(sample).objects[0][1]
        text = own.text_of(own.prompt_of(sample)[-1])
        asked = {"image": request.images[0], "text": text, "max_new_tokens": request.max_new_tokens}
        plain = vision.ground(**asked, check=False)
        found.append((sample.lang, right(plain, gold), right(vision.checked(asked["image"], plain), gold)))
    return found


def gains(pairs: Sequence[tuple[str, bool, bool]]) -> dict[str, Kept]:
    """Paired comparison by language, and "all"."""
    found = {}
    for lang in (*LANGUAGES, "all"):
        mine = [(before, after) for told, before, after in pairs if lang in (told, "all")]
        if mine:
            found[lang] = compare([b for b, _ in mine], [a for _, a in mine])
    return found


def advised(
    calibration: Calibration, vision: VarcoVision, fit: Sequence[Sample], judge: Sequence[Sample]
) -> tuple[Calibration, dict[str, Any]]:
    """The calibration with its advice, and what the other half says: {language or "all": a `Kept` as a dict}, {} where
    there is nothing to ask.
    """
    fitted = gains(both(vision, fit)).get("all")
    judged = {lang: kept.to_dict() for lang, kept in gains(both(vision, judge)).items()}
    pays = fitted is not None and fitted.difference > 0 and fitted.p < SIGNIFICANT
    told = {**calibration.fitted, "check": judged}
    return replace(calibration, check_boxes=pays, fitted=told), judged
