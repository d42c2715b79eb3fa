"""The adapter for lmms-eval: box syntax, prompts, stops; the class itself where lmms-eval is installed."""

from __future__ import annotations

from importlib import metadata

import pytest

from varco_vision.eval import lmms_plugin as plugin

BOX = "<obj>빨간 공</obj><bbox>0.1, 0.2, 0.514, 0.996</bbox>"
ASKED = (
    "Bounding box coordinates are specified in the format (top-left x, top-left y, bottom-right x, bottom-right y). All "
    "values are floating point numbers bounded between 0 and 1. Please provide the bounding box coordinate of the region "
    "this sentence describes: the man in red."
)


@pytest.mark.parametrize(
    ("task", "raw", "wanted"),
    [
        ("refcoco_bbox_rec_val", BOX, "[0.100, 0.200, 0.514, 0.996]"),
        ("refcoco+_bbox_rec_testA", "<bbox>0.0, 0.0, 1.0, 1.0</bbox>", "[0.000, 0.000, 1.000, 1.000]"),
        ("refcocog_bbox_rec_test", f"{BOX} {BOX}", "[0.100, 0.200, 0.514, 0.996]"),
        ("refcoco_grounding_val", BOX, "[100, 200, 514, 996]"),
        ("refcoco_bbox_rec_val", "없습니다.", "없습니다."),
        ("mmbench_ko_dev", "B", "B"),
        ("k_any", f"여기 {BOX} 있습니다.", "여기 빨간 공 있습니다."),
    ],
)
def test_answers_in_the_syntax_of_the_task(task, raw, wanted):
    assert plugin.answer(task, raw) == wanted


def test_a_request_for_a_box_becomes_a_grounding_request():
    assert plugin.prompt("refcoco_bbox_rec_val", ASKED) == "<gro>\nWhere is the man in red?"
    assert plugin.prompt("mmstar_ko", ASKED) == ASKED and plugin.prompt("refcoco_bbox_rec_val", "What?") == "What?"


def test_stops():
    assert plugin.until("B\n\nbecause", ["\n\n"]) == "B" and plugin.until("B ASSISTANT: C", "ASSISTANT:") == "B "
    assert plugin.until("B", None) == "B" and plugin.until("B", [""]) == "B"


def test_the_entry_point_is_declared():
    found = metadata.entry_points(group="lmms_eval.models")
    if not any(point.value.startswith("varco_vision") for point in found):
        pytest.skip("the package was installed before it had this entry point; install it again")
    assert next(p for p in found if p.value.startswith("varco_vision")).load() is plugin.manifest


def test_the_original_parser_reads_our_boxes():
    utils_rec = pytest.importorskip("lmms_eval.tasks.refcoco.utils_rec", reason="lmms-eval is not installed")
    assert utils_rec.parse_float_sequence_within(plugin.answer("refcoco_bbox_rec_val", BOX)) == [0.1, 0.2, 0.514, 0.996]


def test_lmms_eval_finds_the_model():
    registry = pytest.importorskip("lmms_eval.models.registry_v2", reason="lmms-eval is not installed")
    assert isinstance(plugin.manifest(), registry.ModelManifest)
