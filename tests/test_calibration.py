"""Calibration: curves and errors against values worked out by hand and against what made the outcomes, points of answers, the file, the engine, the command."""

from __future__ import annotations

import json
import math
import random
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import write_tiny

from varco_vision.cli.main import main
from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.eval import calibrate as work
from varco_vision.eval.calibration import Point, error_of, fit, fit_curve, points_of, reliability, resource_half
from varco_vision.geometry import Box
from varco_vision.infer.answer import Answer, Grounded, Word
from varco_vision.infer.calibration import KINDS, Calibration, Curve, calibration_of, log_odds
from varco_vision.infer.engine import Engine, Request
from varco_vision.model import checkpoint

CURVES = Calibration({kind: Curve(0.5, -1.0, 100) for kind in KINDS}, longest_answer=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny") / "model")


def said(text="", objects=(), words=(), confidence=0.9, tokens=3):
    return Answer(text, text, list(objects), list(words), False, "end", confidence, 0, new_tokens=tokens)


def sample(task, meta, answer, question="?", lang="en", images=()):
    turns = [("user", question), ("assistant", answer)]
    messages = tuple({"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns)
    return Sample(f"{task}-{answer}", images, task, lang, messages, meta=meta)


# --- curves --------------------------------------------------------------------------------------------------------


@given(st.floats(0, 5), st.floats(-5, 5), st.floats(0, 1), st.floats(0, 1))
def test_a_curve_rises_and_stays_between_0_and_1(slope, offset, a, b):
    curve = Curve(slope, offset)
    low, high = sorted((a, b))
    assert 0 <= curve(low) <= curve(high) <= 1


def test_the_plain_curve_changes_nothing():
    for confidence in (0.01, 0.3, 0.5, 0.99):
        assert Curve(1.0, 0.0)(confidence) == pytest.approx(confidence)
    assert Curve(1.0, 0.0)(1.0) == pytest.approx(1, abs=1e-5) and Curve(1.0, 0.0)(0.0) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.4, -1.2), (3.0, 2.0)])
def test_the_fit_finds_the_curve_that_made_the_outcomes(slope, offset):
    rng = random.Random(0)
    confidences = [rng.random() for _ in range(40000)]
    right = [rng.random() < Curve(slope, offset)(c) for c in confidences]
    found = fit_curve(confidences, right)
    assert (found.slope, found.offset) == pytest.approx((slope, offset), rel=0.08, abs=0.08)
    assert found.n == 40000


def test_the_fit_is_where_the_likelihood_is_flat():
    """The optimum of a logistic regression: residuals add up to nothing, alone and against the log-odds (but for the ridge)."""
    rng = random.Random(1)
    confidences = [rng.random() for _ in range(500)]
    right = [rng.random() < c for c in confidences]
    curve = fit_curve(confidences, right)
    good, bad = sum(right), 500 - sum(right)
    targets = [(good + 1) / (good + 2) if r else 1 / (bad + 2) for r in right]
    residuals = [curve(c) - t for c, t in zip(confidences, targets, strict=True)]
    assert sum(residuals) == pytest.approx(0, abs=5e-3)
    assert sum(r * log_odds(c) for r, c in zip(residuals, confidences, strict=True)) == pytest.approx(0, abs=5e-3)


def test_confidence_that_tells_nothing_becomes_the_share_right():
    curve = fit_curve([0.1] * 50 + [0.9] * 50, [True] * 50 + [False] * 50)  # the surer, the more wrong
    assert curve.slope == 0 and curve(0.1) == curve(0.9) == pytest.approx(0.5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_any_outcomes_give_a_finite_rising_curve(outcomes):
    curve = fit_curve([c for c, _ in outcomes], [r for _, r in outcomes])
    assert math.isfinite(curve.slope) and math.isfinite(curve.offset) and curve.slope >= 0


def test_kinds_with_few_points_get_no_curve():
    points = [Point("box", 0.5, k % 2 == 0, "ko", str(k)) for k in range(100)]
    points += [Point("answer", 0.5, True, "ko", str(k), tokens=k) for k in range(7)]
    calibration, few = fit(points)
    assert set(calibration.curves) == {"box"} and calibration.longest_answer == 0
    assert few == {"word": 0, "letters": 0, "word_box": 0, "answer": 7}


# --- reliability ---------------------------------------------------------------------------------------------------


def test_error_by_hand():
    confidences, right = np.array([0.95, 0.95, 0.15, 0.15]), np.array([1.0, 0.0, 0.0, 0.0])
    assert error_of(confidences, right) == pytest.approx((2 * 0.45 + 2 * 0.15) / 4)
    found = reliability(
        [Point("box", c, bool(r), "ko", str(k)) for k, (c, r) in enumerate(zip(confidences, right, strict=True))]
    )
    assert found["ece"] == pytest.approx(0.3) and found["brier"] == pytest.approx((0.05**2 + 0.95**2 + 2 * 0.15**2) / 4)
    assert found["auc"] == pytest.approx((2 + 0.5) / 3)
    assert [(row["n"], row["right"]) for row in found["table"]] == [(2, 0.0), (2, 0.5)]


def test_perfect_confidences_are_within_chance_and_bad_ones_are_not():
    rng = random.Random(3)
    confidences = [rng.random() for _ in range(2000)]
    fair = [Point("box", c, rng.random() < c, "ko", str(k)) for k, c in enumerate(confidences)]
    bold = [Point("box", 0.95, p.right, "ko", p.group) for p in fair]
    assert reliability(fair)["ece"] < reliability(fair)["by_chance_high"] * 1.3
    found = reliability(bold)
    assert found["low"] > 0.3 and found["ece"] > 10 * found["by_chance_high"] and found["auc"] == 0.5
    calibration, _ = fit(bold)
    assert reliability(work.mapped(bold, calibration))["ece"] < 0.01
    clustered = [Point(p.kind, p.confidence, p.right, "ko", str(k // 200)) for k, p in enumerate(bold)]
    wide = reliability(clustered)
    assert wide["high"] - wide["low"] > 0, "whole pictures are drawn"


# --- points of answers ---------------------------------------------------------------------------------------------


def test_points_of_words():
    gold = [{"text": "가나", "box": [0.1, 0.1, 0.3, 0.2]}, {"text": "abc", "box": [0.1, 0.6, 0.3, 0.7]}]
    asked = sample("ocr", {"words": gold}, "<char>가나</char><bbox>0.1, 0.1, 0.3, 0.2</bbox>")
    words = [
        Word("가나", Box(0.1, 0.1, 0.3, 0.2), 0.9, 0.8, 0.7),
        Word("abd", Box(0.1, 0.6, 0.3, 0.7), 0.6, 0.5, 0.4),
        Word("abc", Box(0.1, 0.6, 0.3, 0.7), 0.6, 0.5, 0.4),  # its place is taken
        Word("x", Box(0.1, 0.6, 0.3, 0.7), 0.6),
    ]
    found = [(p.kind, p.confidence, p.right) for p in points_of(asked, said("가나 abd", words=words))]
    assert found[:3] == [("word", 0.9, True), ("letters", 0.8, True), ("word_box", 0.7, True)]
    assert found[3:6] == [("word", 0.6, False), ("letters", 0.5, False), ("word_box", 0.4, True)]
    assert [right for _, _, right in found[6:]] == [False, False, False], "the same word is not right twice"


def test_points_of_boxes_and_answers():
    there, elsewhere = Box(0.1, 0.1, 0.3, 0.3), Box(0.5, 0.5, 0.9, 0.9)
    asked = sample("grounding", {"boxes": [[0.1, 0.1, 0.3, 0.3]]}, "<obj>it</obj><bbox>0.1, 0.1, 0.3, 0.3</bbox>")
    told = said("it", [Grounded("it", [there, elsewhere], [0.8, 0.3])])
    assert [(p.kind, p.confidence, p.right) for p in points_of(asked, told)] == [
        ("box", 0.8, True),
        ("box", 0.3, False),
    ]
    absent = sample("grounding", {"boxes": []}, "There is none.")
    assert [p.right for p in points_of(absent, told)] == [False, False]
    count = sample("counting", {"count": 3}, "3")
    assert [(p.kind, p.right, p.tokens) for p in points_of(count, said("3"))] == [("answer", True, 3)]
    assert not points_of(sample("caption", {}, "a red circle"), said("a red circle")), "no short answer"


def test_halves_share_no_strings():
    words = [
        sample("ocr", {"words": [{"text": w, "box": [0, 0, 1, 1]}]}, w, images=("x",))
        for w in ("가", "나", "다", "라", "마")
    ]
    halves = [resource_half(one) for one in words]
    assert {0} in halves and {1} in halves
    made = work.made_halves(2, {"tasks": ["grounding"], "text": {"facts": 20}})
    strings = [{w["text"] for s in part for w in s.meta.get("words", ())} for part in (made.fit, made.judge)]
    facts = [{s.meta["fact"] for s in part if "fact" in s.meta} for part in (made.fit, made.judge)]
    assert all(strings) and all(facts)
    assert not strings[0] & strings[1] and not facts[0] & facts[1]
    assert not {s.id for s in made.fit} & {s.id for s in made.judge}


def test_samples_on_one_picture_cannot_be_halved():
    with pytest.raises(InputError, match="one picture"):
        work.given_halves([sample("text", {}, "a")] * 3, "here.jsonl")


# --- applied -------------------------------------------------------------------------------------------------------


def test_applied_to_an_answer():
    word, bare = Word("a", Box(0, 0, 1, 1), 0.9, 0.8, 0.7), Word("b", Box(0, 0, 1, 1), 0.6)
    curve = Curve(0.5, -1.0)
    found = CURVES.applied(said("a b", words=[word, bare]))
    first, second = found.words
    assert (first.confidence, first.text_confidence, first.box_confidence) == pytest.approx(
        [curve(c) for c in (0.9, 0.8, 0.7)]
    )
    assert second.confidence == 0.6, "not of its own tokens"
    assert found.confidence == 0.9, "an answer of words is no short answer"
    assert found.calibrated == ("word", "letters", "word_box")
    found = CURVES.applied(said("it", [Grounded("it", [Box(0, 0, 1, 1)], [0.4])]))
    assert found.objects[0].confidences == pytest.approx([curve(0.4)]) and found.calibrated == ("box",)
    assert CURVES.applied(said("red")).confidence == pytest.approx(curve(0.9))
    long = CURVES.applied(said("a long story", tokens=5))
    assert long.confidence == 0.9 and long.calibrated == ()
    some = Calibration({"box": Curve(0.5, -1.0)}, longest_answer=4)
    assert some.applied(said("red")).calibrated == ()


def test_the_file_round_trips_and_faults_are_told():
    assert calibration_of(json.loads(json.dumps(CURVES.to_dict()))) == CURVES
    assert calibration_of({}) is None
    good = CURVES.to_dict()
    for wrong, message in (
        ({**good, "format": 2}, "format 2"),
        ({**good, "curves": {"words": vars(Curve(1, 0, 1))}}, "words"),
        ({**good, "curves": {"word": {"slope": -1.0, "offset": 0.0, "n": 5}}}, "does not rise"),
        ({**good, "curves": {"word": {"slope": float("nan"), "offset": 0.0, "n": 5}}}, "does not rise"),
        ({**good, "curves": {"word": {"slope": 1.0}}}, "not complete"),
        ({**good, "curves": 7}, "not complete"),
        ({"format": 1}, "not complete"),
    ):
        with pytest.raises(InputError, match=message):
            calibration_of(wrong)


def test_the_engine_applies_the_file_unless_told_not_to(model, tmp_path):
    copied = tmp_path / "model"
    shutil.copytree(model, copied)
    asked = [Request([{"role": "user", "content": "Where is the red circle?"}], [], 4)]
    plain = Engine(checkpoint.load(copied, device="cpu")).generate(asked)[0]
    assert plain.calibrated == ()
    work.write(CURVES, copied)
    loaded = checkpoint.load(copied, device="cpu")
    found = Engine(loaded).generate(asked)[0]
    assert found.calibrated == ("answer",) and found.raw == plain.raw
    assert found.confidence == pytest.approx(Curve(0.5, -1.0)(plain.confidence))
    raw = Engine(loaded, calibrate=False).generate(asked)[0]
    assert raw.confidence == plain.confidence and raw.calibrated == ()
    checkpoint.save(loaded, copied)
    assert not (copied / checkpoint.CALIBRATION).exists(), "weights that were written anew have no calibration"
    (copied / checkpoint.CALIBRATION).write_text("{")
    with pytest.raises(InputError, match="cannot read"):
        checkpoint.load(copied, device="cpu")


def test_the_command(model, tmp_path, capsys):
    copied = tmp_path / "model"
    shutil.copytree(model, copied)
    main_of(["eval", "calibrate", "--model", str(copied), "--own", "8", "--json"])
    told = json.loads(capsys.readouterr().out)
    stored = json.loads((copied / "calibration.json").read_text())
    assert told["calibration"] == stored and stored["fitted"]["held_out"].keys() == told["kinds"].keys()
    assert told["answers"]["fit"] > 50 and told["digests"]["fit"] != told["digests"]["judge"]
    assert set(told["kinds"]) | set(told["without_curve"]) == set(KINDS)
    for sides in told["kinds"].values():
        assert sides["before"]["n"] == sides["after"]["n"]
        if sides["before"]["auc"] is not None:
            assert sides["after"]["auc"] in (pytest.approx(sides["before"]["auc"]), 0.5), "the order stays"
    for arguments, message in (
        (["--model", "someone/somewhere", "--own", "2"], "no directory"),
        (["--model", str(copied), "--data", str(tmp_path / "nothing.jsonl")], "nothing.jsonl"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["eval", "calibrate", *arguments])
        assert stop.value.code == 2 and message in capsys.readouterr().err


def main_of(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code in (0, None)
