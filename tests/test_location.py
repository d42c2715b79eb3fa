"""Boxes and names of answers: declared coordinates, rules worked out by hand, and what the originals say."""

from __future__ import annotations

import math
from collections import Counter

import metric_cases as cases
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varco_vision.errors import InputError
from varco_vision.eval import location as loc
from varco_vision.eval import metrics as m
from varco_vision.eval.readers import Target
from varco_vision.geometry import Box

A, B, C = Box(0.0, 0.0, 0.4, 0.4), Box(0.5, 0.5, 0.9, 0.9), Box(0.0, 0.5, 0.4, 0.9)


def target(*boxes: Box, split: str = "val", name: str = "t") -> Target:
    return Target(name, ("사람",), boxes, (640, 480), split)


# --- reading boxes ---


@pytest.mark.parametrize(
    ("coordinates", "answer", "expected"),
    [
        ("relative-xyxy", "<obj>사람</obj><bbox>0.1, 0.2, 0.5, 0.6</bbox>", (0.1, 0.2, 0.5, 0.6)),
        ("relative-xyxy", "[0.1, 0.2, 0.5, 0.6]", (0.1, 0.2, 0.5, 0.6)),
        ("relative-xyxy", "[[0.1, 0.2, 0.5, 0.6]]", (0.1, 0.2, 0.5, 0.6)),
        ("relative-xyxy", "0.1, 0.2, 0.5, 0.6", (0.1, 0.2, 0.5, 0.6)),
        ("relative-xyxy", "[.1, .2, .5, .6]", (0.1, 0.2, 0.5, 0.6)),
        ("relative-xyxy", "[１,２,３,４]", None),
        ("relative-xywh", "[0.1, 0.2, 0.4, 0.4]", (0.1, 0.2, 0.5, 0.6)),
        ("thousand-xyxy", "(100,200),(500,600)", (0.1, 0.2, 0.5, 0.6)),
        ("thousand-xyxy", '{"bbox_2d": [100, 200, 500, 600]}', (0.1, 0.2, 0.5, 0.6)),
        ("thousand-xyxy", "<bbox>100, 200, 500, 600</bbox>", (0.1, 0.2, 0.5, 0.6)),
        ("thousand-xyxy", "[1, 2, 3, 4]", (0.001, 0.002, 0.003, 0.004)),
        ("pixels-xyxy", "[64, 96, 320, 288]", (0.1, 0.2, 0.5, 0.6)),
        ("pixels-xywh", "[64, 96, 256, 192]", (0.1, 0.2, 0.5, 0.6)),
        ("relative-xyxy", "[100, 200, 500, 600]", None),
        ("relative-xyxy", "1234", None),
        ("relative-xyxy", "0.1, 0.2, 0.5", None),
        ("relative-xyxy", "in 2020, 1, 2, 3 people", None),
    ],
)
def test_numbers_mean_what_is_declared(coordinates, answer, expected):
    boxes = loc.read_boxes(answer, loc.Coordinates.parse(coordinates), (640, 480))
    if expected is None:
        assert boxes == []
    else:
        assert [boxes[0].x1, boxes[0].y1, boxes[0].x2, boxes[0].y2] == pytest.approx(expected)


def test_odd_boxes_are_mended_once_and_counted():
    events: Counter[str] = Counter()
    assert loc.read_boxes("[0.5, 0.6, 0.1, 0.2]", events=events) == [Box(0.1, 0.2, 0.5, 0.6)]
    assert loc.read_boxes("[-0.05, 0.2, 0.5, 1.05]", events=events) == [Box(0.0, 0.2, 0.5, 1.0)]
    assert loc.read_boxes("[0.1, 0.2, 0.5, 60]", events=events) == []
    assert +events == Counter(swapped=1, clipped=1, off_scale=1)


def test_unknown_coordinates_and_missing_sizes_are_refused():
    with pytest.raises(InputError, match="pixels-xywh"):
        loc.Coordinates.parse("pixel")
    with pytest.raises(InputError, match="size of the picture"):
        loc.read_boxes("[1, 2, 3, 4]", loc.Coordinates("pixels"))


@given(st.tuples(*[st.floats(0, 1)] * 4), st.sampled_from(loc.SCALES), st.sampled_from(loc.ORDERS))
def test_a_box_survives_every_scale(corners, scale, order):
    x1, x2 = sorted(corners[::2])
    y1, y2 = sorted(corners[1::2])
    wide, high = {"relative": (1, 1), "thousand": (1000, 1000), "pixels": (640, 480)}[scale]
    last = (x2, y2) if order == "xyxy" else (x2 - x1, y2 - y1)
    numbers = [x1 * wide, y1 * high, last[0] * wide, last[1] * high]
    box = loc.Coordinates(scale, order).box(numbers, (640, 480), Counter())
    assert [box.x1, box.y1, box.x2, box.y2] == pytest.approx([x1, y1, x2, y2], abs=1e-9)


# --- scoring boxes ---


def test_one_box_asked_for():
    exact = loc.record(target(A), "[0, 0, 0.4, 0.4]")
    second = loc.record(target(A), "[0.5, 0.5, 0.9, 0.9] [0, 0, 0.4, 0.4]")
    half = loc.record(target(A, split="test"), "[0, 0, 0.4, 0.2]")
    none = loc.record(target(A, split="test"), "모르겠습니다")
    assert (exact["iou"], second["iou"], none["iou"]) == (1.0, 0.0, 0.0), "the first box counts, none is 0"
    found = loc.summary([exact, second, half, none])
    assert found["all"]["acc50"]["value"] == 0.5 and found["all"]["acc70"]["value"] == 0.25
    assert found["all"]["miou"]["value"] == pytest.approx(1.5 / 4)
    assert found["splits"]["test"]["acc50"]["value"] == 0.5
    uneven = loc.summary([exact, half, none])
    assert uneven["macro"]["acc50"] == 0.75 and uneven["all"]["acc50"]["value"] == pytest.approx(2 / 3)
    assert found["counters"] == {
        "no_box": 1, "several_boxes": 1, "swapped": 0, "clipped": 0, "off_scale": 0, "repaired": 0,
    }  # fmt: skip


def test_several_and_none():
    all_three = "<obj>사람</obj><bbox>0, 0, 0.4, 0.4<delim>0.5, 0.5, 0.9, 0.9<delim>0.5, 0.5, 0.9, 0.9</bbox>"
    some = loc.record(target(A, B), all_three)
    assert (some["found"], some["told"], some["gold"]) == (2, 3, 2), "a gold box is found once"
    absent = [loc.record(target(), "없습니다"), loc.record(target(), all_three)]
    found = loc.summary([some, *absent])["all"]
    assert found["several_f1"]["value"] == pytest.approx(0.8) and found["several_exact"]["value"] == 0.0
    assert found["several_precision"]["value"] == pytest.approx(2 / 3) and found["several_recall"]["value"] == 1.0
    assert found["absent_acc"]["value"] == 0.5
    with pytest.raises(InputError, match="no answer"):
        loc.summary([])


def test_flickr_recall_by_rank_type_and_protocol():
    people = Target("a", ("두 사람",), (A, B), kind=("people",))
    dog = Target("b", ("개",), (C,), kind=("animals", "other"))
    told = [[C, A], [A] * 6 + [C]]
    any_box = loc.flickr_recall([people, dog], told)
    assert [any_box["people"][r]["value"] for r in ("1", "5", "10", "upper")] == [0, 1, 1, 1]
    assert [any_box["animals"][r]["value"] for r in ("1", "5", "10", "upper")] == [0, 0, 1, 1]
    assert any_box["all"]["5"]["value"] == 0.5 and any_box["all"]["1"]["n"] == 2
    merged = loc.flickr_recall([people], [[A, Box(0.0, 0.0, 0.9, 0.9)]], "merged")
    assert merged["people"]["1"]["value"] == 0.0 and merged["people"]["5"]["value"] == 1.0
    assert loc.flickr_recall([people], [[]])["all"]["upper"]["value"] == 0.0
    with pytest.raises(InputError, match="any or merged"):
        loc.flickr_recall([people], [[]], "best")


# --- names ---


def test_names_of_regions():
    pytest.importorskip("sacrebleu", reason="chrF needs sacrebleu (extra: eval)")
    found = loc.referring(["빨간 차입니다", "남자", "a dog"], [["빨간 차"], ["남자", "사람"], ["a cat"]], "characters")
    assert found["exact"]["value"] == pytest.approx(1 / 3) and found["phrase"]["value"] == pytest.approx(2 / 3)
    perfect = loc.referring(["빨간 차", "남자"], [["빨간 차"], ["남자"]])
    assert perfect["chrf"]["value"] == 100.0
    with pytest.raises(InputError, match="words or characters"):
        loc.tokens("가", "jamo")
    with pytest.raises(InputError, match="needs names"):
        loc.referring(["가"], [[]])


def test_a_particle_makes_another_word_but_not_other_characters():
    assert loc.tokens("남자가 왼쪽에 있다.") == ["남자가", "왼쪽에", "있다"]
    assert loc.tokens("남자가 왼쪽에", "characters") == list("남자가왼쪽에")
    gold = [[["남자", "는"]], [["차"]], [["개"]]]
    assert loc.cider([["남자", "는"], ["차"], ["개"]], gold)[0] > 0
    assert loc.cider([["가"]], [[["가"]]]) == [0.0], "a single region has no document frequencies"


# --- the originals ---


def test_cider_equals_coco_captions():
    recorded, made = cases.load("cider"), cases.caption_sets()
    assert recorded["digest"] == cases.digest(made)
    assert sum(map(len, made)) >= 10_000
    for rows, known in zip(made, recorded["outputs"], strict=True):
        found = loc.cider([answer.split() for answer, _ in rows], [[g.split() for g in gold] for _, gold in rows])
        assert found == pytest.approx(known, rel=1e-9, abs=1e-9)


def test_refcoco_equals_lmms_eval():
    recorded, made = cases.load("refcoco"), cases.box_cases()
    assert recorded["digest"] == cases.digest(made) and len(made) >= 10_000
    read = 0
    for (answer, gold), known in zip(made, recorded["outputs"], strict=True):
        assert known is not None
        found = loc.lmms_rec(answer, gold)
        assert list(found) == ["IoU", "ACC@0.1", "ACC@0.3", "ACC@0.5", "ACC@0.7", "ACC@0.9", "Center_ACC"]
        assert list(found.values()) == known[1], (answer, gold)
        read += any(known[0])
    assert read > len(made) / 3, "the cases must hold boxes that are read"


def test_where_lmms_eval_divides_by_zero_we_say_so():
    with pytest.raises(InputError, match="divides by zero"):
        loc.lmms_rec("nothing", [0.2, 0.2, 0.2, 0.2])


def test_our_markup_scores_nothing_under_their_rule():
    answer = "<obj>사람</obj><bbox>0.1, 0.2, 0.5, 0.6</bbox>"
    gold = Box(0.1, 0.2, 0.5, 0.6)
    assert loc.lmms_rec(answer, [0.1, 0.2, 0.5, 0.6])["IoU"] == 0.0
    assert m.first_box_iou(loc.read_boxes(answer), gold) == 1.0


@given(st.integers(0, 10**9))
def test_strict_and_lmms_agree_on_clean_boxes(seed):
    answer, gold = cases.box_case(seed)
    box = loc.read_boxes(answer)
    clean = answer.startswith("[0.") and answer.count("[") == 1 and box
    if clean and box[0].x1 > 0 and box[0].y1 > 0 and max(box[0].x2, box[0].y2) < 1:
        theirs = loc.lmms_rec(answer, gold)["IoU"]
        if theirs > 0:  # theirs gives 0 for corners in the wrong order
            assert math.isclose(m.first_box_iou(box, Box(*gold)), theirs, abs_tol=1e-9)
