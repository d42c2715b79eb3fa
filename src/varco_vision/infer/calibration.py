"""What a confidence is worth: for each kind a monotone curve from the model's own opinion to a share of right answers.

The curves of a checkpoint are fitted once (`varco-vision eval calibrate`, `eval.calibration`) and lie beside its weights:

    calibration.json   {"format": 1, "longest_answer": tokens,
                        "curves": {kind: {"slope": a, "offset": b, "n": points it was fitted on}},
                        "check_boxes": whether `infer.checking` made grounding better,
                        "fitted": {how, on what, and what the held-out half said}}

A curve is Platt's (1999) on the log-odds of the confidence: p = 1 / (1 + exp(-(a logit(c) + b))) with a >= 0, so that the
order of answers never changes. Nothing but this package reads the file. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from varco_vision.errors import InputError
from varco_vision.infer.answer import Answer, Grounded, Word

FORMAT = 1
KINDS = {
    "word": "a read word: its letters are right and it stands there (IoU >= 0.5)",
    "letters": "a read word: its letters are right",
    "word_box": "a read word: a word stands there (IoU >= 0.5)",
    "box": "a box of a phrase: the thing is there (IoU >= 0.5)",
    "answer": "a short answer without boxes: it is right",
}
EDGE = 1e-6  # confidences are kept this far from 0 and 1, where log-odds end


def log_odds(confidence: float) -> float:
    """log(c / (1 - c)) of a confidence, kept `EDGE` away from 0 and 1."""
    c = min(max(confidence, EDGE), 1 - EDGE)
    return math.log(c / (1 - c))


@dataclass(frozen=True)
class Curve:
    """p(c) = sigmoid(slope * logit(c) + offset); `n` points decided it."""

    slope: float
    offset: float
    n: int = 0

    def __call__(self, confidence: float) -> float:
        z = self.slope * log_odds(confidence) + self.offset
        return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


@dataclass(frozen=True)
class Calibration:
    """Curves by kind; a kind without a curve keeps the model's own confidence. An answer of more than `longest_answer`
    tokens keeps it, too: longer ones than those were not seen when the curve was fitted.
    """

    curves: Mapping[str, Curve]
    longest_answer: int = 0
    check_boxes: bool = False
    fitted: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The content of `calibration.json`."""
        curves = {kind: vars(curve) for kind, curve in self.curves.items()}
        return {
            "format": FORMAT,
            "longest_answer": self.longest_answer,
            "check_boxes": self.check_boxes,
            "curves": curves,
            "fitted": dict(self.fitted),
        }

    def applied(self, answer: Answer) -> Answer:
        """The answer with its confidences put through the curves; `calibrated` names the kinds that were."""
        used: set[str] = set()
        words = [self._word(word, used) for word in answer.words]
        objects = [self._object(thing, used) for thing in answer.objects]
        confidence = answer.confidence
        if not (words or objects) and 0 < answer.new_tokens <= self.longest_answer:
            confidence = self._mapped("answer", confidence, used)
        kinds = tuple(kind for kind in KINDS if kind in used)
        return replace(answer, words=words, objects=objects, confidence=confidence, calibrated=kinds)

    def _mapped(self, kind: str, confidence: float, used: set[str]) -> float:
        curve = self.curves.get(kind)
        if curve is None:
            return confidence
        used.add(kind)
        return curve(confidence)

    def _word(self, word: Word, used: set[str]) -> Word:
        if word.text_confidence is None:
            return word  # its confidence is the whole answer's, as the answer's repairs say
        box = word.box_confidence
        return replace(
            word,
            confidence=self._mapped("word", word.confidence, used),
            text_confidence=self._mapped("letters", word.text_confidence, used),
            box_confidence=None if box is None else self._mapped("word_box", box, used),
        )

    def _object(self, thing: Grounded, used: set[str]) -> Grounded:
        return replace(thing, confidences=[self._mapped("box", c, used) for c in thing.confidences])


def calibration_of(content: Mapping[str, Any]) -> Calibration | None:
    """What `calibration.json` holds, None for nothing. Raises `InputError` when it is not of the form above."""
    if not content:
        return None
    if content.get("format") != FORMAT:
        raise InputError(f"calibration.json has the format {content.get('format')!r}; {FORMAT} is what can be read")
    try:
        curves = {
            kind: Curve(float(c["slope"]), float(c["offset"]), int(c["n"])) for kind, c in content["curves"].items()
        }
        found = Calibration(
            curves, int(content["longest_answer"]), bool(content.get("check_boxes")), content.get("fitted", {})
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"calibration.json is not complete ({error!r}); fit it again or take it away") from error
    if unknown := sorted(set(curves) - set(KINDS)):
        raise InputError(f"calibration.json has curves for {', '.join(unknown)}; kinds are {', '.join(KINDS)}")
    for kind, curve in curves.items():
        if not (math.isfinite(curve.slope) and math.isfinite(curve.offset) and curve.slope >= 0):
            raise InputError(f"calibration.json: the curve of {kind!r} does not rise with confidence; fit it again")
    return found
