"""What each kind of question measures, in the words of the sets: abilities of MMBench, dimensions of SEED-Bench, categories of MMStar."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Where a kind of question stands in the sets; None where a set has no such question."""

    mmbench: tuple[str, str] | None  # l2-category, category
    seed: str | None
    mmstar: tuple[str, str] | None  # category, l2_category


_INSTANCE, _CROSS = "finegrained_perception (instance-level)", "finegrained_perception (cross-instance)"
_COARSE, _LOGIC = "coarse_perception", "logic_reasoning"
_STAR_COARSE, _STAR_FINE, _STAR_INSTANCE, _STAR_LOGIC, _STAR_MATH = (
    "coarse perception", "fine-grained perception", "instance reasoning", "logical reasoning", "math",
)  # fmt: skip

KINDS: dict[str, Place] = {
    "present": Place((_INSTANCE, "object_recognition"), "instance_identity", (_STAR_FINE, "recognition")),
    "missing": Place((_INSTANCE, "object_recognition"), "instance_identity", (_STAR_INSTANCE, "cross-instance comparison")),
    "thing_present": Place((_INSTANCE, "object_recognition"), "instance_identity", (_STAR_FINE, "recognition")),
    "thing_missing": Place((_INSTANCE, "object_recognition"), "instance_identity", (_STAR_INSTANCE, "cross-instance comparison")),
    "colour": Place((_INSTANCE, "attribute_recognition"), "instance_attributes", (_STAR_FINE, "attribute")),
    "shape": Place((_INSTANCE, "attribute_recognition"), "instance_attributes", (_STAR_FINE, "attribute")),
    "quadrant": Place((_INSTANCE, "object_localization"), "instance_location", (_STAR_FINE, "localization")),
    "thing_quadrant": Place((_INSTANCE, "object_localization"), "instance_location", (_STAR_FINE, "localization")),
    "outermost": Place((_INSTANCE, "object_localization"), "instance_location", (_STAR_FINE, "localization")),
    "thing_outermost": Place((_INSTANCE, "object_localization"), "instance_location", (_STAR_FINE, "localization")),
    "count_all": Place((_INSTANCE, "object_counting"), "instances_counting", (_STAR_MATH, "numeric calculation")),
    "count_two": Place((_INSTANCE, "object_counting"), "instances_counting", (_STAR_MATH, "numeric calculation")),
    "thing_count": Place((_INSTANCE, "object_counting"), "instances_counting", (_STAR_MATH, "numeric calculation")),
    "relation": Place((_CROSS, "spatial_relationship"), "spatial_relation", (_STAR_INSTANCE, "cross-instance relation")),
    "thing_relation": Place((_CROSS, "spatial_relationship"), "spatial_relation", (_STAR_INSTANCE, "cross-instance relation")),
    "biggest": Place((_CROSS, "attribute_comparison"), "visual_reasoning", (_STAR_INSTANCE, "cross-instance comparison")),
    "smallest": Place((_CROSS, "attribute_comparison"), "visual_reasoning", (_STAR_INSTANCE, "cross-instance comparison")),
    "thing_biggest": Place((_CROSS, "attribute_comparison"), "visual_reasoning", (_STAR_INSTANCE, "cross-instance comparison")),
    "word_read": Place((_INSTANCE, "ocr"), "text_recognition", None),
    "word_pick": Place((_INSTANCE, "ocr"), "text_recognition", (_STAR_FINE, "recognition")),
    "word_missing": Place((_INSTANCE, "ocr"), "text_recognition", None),
    "word_outermost": Place((_INSTANCE, "ocr"), "text_recognition", None),
    "background": Place((_COARSE, "image_scene"), "scene_understanding", (_STAR_COARSE, "image scene")),
    "doc_kind": Place((_COARSE, "image_topic"), "scene_understanding", (_STAR_COARSE, "image topic")),
    "chart_kind": Place((_COARSE, "image_topic"), "scene_understanding", (_STAR_COARSE, "image topic")),
    "table_topic": Place((_COARSE, "image_topic"), None, (_STAR_COARSE, "image topic")),
    "chart_topic": Place((_COARSE, "image_topic"), None, (_STAR_COARSE, "image topic")),
    "second_place": Place((_LOGIC, "ordered_reasoning"), "visual_reasoning", (_STAR_LOGIC, "sequence reasoning")),
    "statement": Place((_LOGIC, "ordered_reasoning"), "visual_reasoning", (_STAR_LOGIC, "common reasoning")),
    "false_statement": Place((_LOGIC, "ordered_reasoning"), "visual_reasoning", (_STAR_LOGIC, "common reasoning")),
    "corners": Place(None, None, (_STAR_MATH, "geometry")),
    "table_cell": Place((_LOGIC, "structuralized_imagetext_understanding"), None, None),
    "table_most": Place((_LOGIC, "structuralized_imagetext_understanding"), None, (_STAR_LOGIC, "diagram reasoning")),
    "table_second": Place((_LOGIC, "structuralized_imagetext_understanding"), None, (_STAR_LOGIC, "diagram reasoning")),
    "table_count_if": Place(None, None, (_STAR_MATH, "statistical analysis")),
    "table_sum": Place(None, None, (_STAR_MATH, "numeric calculation")),
    "table_difference": Place(None, None, (_STAR_MATH, "numeric calculation")),
    "chart_value": Place((_LOGIC, "structuralized_imagetext_understanding"), None, None),
    "chart_most": Place((_LOGIC, "structuralized_imagetext_understanding"), "visual_reasoning", (_STAR_LOGIC, "diagram reasoning")),
    "chart_second": Place((_LOGIC, "structuralized_imagetext_understanding"), "visual_reasoning", (_STAR_LOGIC, "diagram reasoning")),
    "chart_difference": Place(None, None, (_STAR_MATH, "statistical analysis")),
    "chart_sum": Place(None, None, (_STAR_MATH, "statistical analysis")),
    "doc_field": Place((_INSTANCE, "ocr"), None, None),
    "doc_item": Place(None, None, None),
    "doc_most": Place(None, None, (_STAR_LOGIC, "diagram reasoning")),
    "doc_count": Place(None, None, None),
    "doc_checked": Place(None, None, None),
}  # fmt: skip
# kinds of the DTC-type set by source; what stands first is tried first
DTC = {
    "documents": ("doc_field", "doc_item", "doc_most", "doc_checked", "doc_count"),
    "tables": ("table_cell", "table_most", "table_second", "table_count_if", "table_difference", "table_sum"),
    "charts": ("chart_value", "chart_most", "chart_second", "chart_difference", "chart_sum"),
}
DTC_CATEGORY = {"documents": "document", "tables": "table", "charts": "chart"}


def groups(of: str) -> dict[tuple[str, ...], list[str]]:
    """The classes of a set ("mmbench", "seed", "mmstar") with the kinds that belong to each."""
    found: dict[tuple[str, ...], list[str]] = {}
    for kind, place in KINDS.items():
        value = getattr(place, of)
        if value is not None:
            found.setdefault((value,) if isinstance(value, str) else tuple(value), []).append(kind)
    return found
