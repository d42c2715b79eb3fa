"""Our models inside lmms-eval: `--model varco_vision --model_args pretrained=DIR` once this package is installed there.

The entry point `lmms_eval.models` leads to `manifest`. What lmms-eval asks for boxes is put in the words our models know,
and `<bbox>x1, y1, x2, y2</bbox>` is rewritten to the box syntax of the task; without that a right box scores 0 there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from varco_vision import markup

if TYPE_CHECKING:
    from varco_vision.geometry import Box

MODEL_ID = "varco_vision"
_REC = re.compile(r"^refcoco(?:\+|plus|g)?_bbox_rec")
_GROUNDING = re.compile(r"^refcoco(?:\+|plus|g)?_grounding")
_DESCRIBES = re.compile(r"the region this sentence describes:\s*(.+)$", re.S)


def manifest() -> Any:
    """What lmms-eval's registry wants to know of a model."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(
        model_id=MODEL_ID,
        simple_class_path="varco_vision.eval.lmms_model.VarcoVisionModel",
        aliases=("varco-vision",),
    )


def prompt(task: str, context: str) -> str:
    """The prompt that our model gets: as it is, except that a request for a box becomes a grounding request."""
    described = _DESCRIBES.search(context)
    if _REC.match(task) and described is not None:
        return f"<gro>\nWhere is {described[1].strip().rstrip('.')}?"
    return context


def answer(task: str, raw: str) -> str:
    """The model's answer in the syntax of the task: one box where one is asked for, else the text without markup."""
    boxes = _boxes(raw)
    if boxes and _REC.match(task):
        return "[" + ", ".join(f"{v:.3f}" for v in _corners(boxes[0])) + "]"
    if boxes and _GROUNDING.match(task):
        return "[" + ", ".join(str(round(1000 * v)) for v in _corners(boxes[0])) + "]"
    return markup.plain(markup.parse(raw)).strip()


def until(text: str, stops: str | Sequence[str] | None) -> str:
    """The text before the first of `stops`, as lmms-eval's generation settings want it."""
    listed = [stops] if isinstance(stops, str) else list(stops or ())
    places = [place for stop in listed if stop and (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text


def _boxes(raw: str) -> list[Box]:
    items = markup.parse(raw)
    return [box for item in items if isinstance(item, markup.Object | markup.Chars) for box in item.boxes]


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x1, box.y1, box.x2, box.y2
