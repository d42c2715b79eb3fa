"""The experiment about step-by-step training: what its variants share, and what its table says."""

import json
import sys
from pathlib import Path

import pytest

from varco_vision.eval.statistics import wilson
from varco_vision.train.recipe import find, read

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import preservation
import preservation_report as report


@pytest.fixture(scope="module")
def recipes():
    return preservation.variants(preservation.scaled(read(find("nano")), 0.4, 1))


def test_all_variants_spend_the_same_tokens(recipes):
    spent = {name: preservation.tokens([s for s in r.stages if s.stage > 0]) for name, r in recipes.items()}
    assert set(spent) == set(preservation.NAMES)
    assert max(spent.values()) < 1.01 * min(spent.values())


def test_all_variants_start_from_the_same_backbones(recipes):
    first = {name: [s for s in r.stages if s.stage == 0] for name, r in recipes.items()}
    assert all(stages == first["four"] for stages in first.values())
    assert {r.seed for r in recipes.values()} == {1}


def test_what_sets_the_variants_apart(recipes):
    after = {name: [s for s in r.stages if s.stage > 0] for name, r in recipes.items()}
    sources = lambda stages: {m.source for s in stages for m in s.mixture.values()}  # noqa: E731
    assert "synth:text" in sources(after["four"]) and "synth:text" not in sources(after["no_text"])
    assert after["no_text"][-1].mixture["pairs"].options["text_share"] == 0
    assert [s.stage for s in after["joint"]] == [2] and set(after["joint"][0].trainable) >= {"tower", "language"}
    assert [s.stage for s in after["no_alignment"]] == [2, 3, 4]
    assert all("tower" not in s.trainable for s in after["two"])
    assert sources(after["joint"]) | {"synth:preferences"} >= sources(after["four"])


def cell(value, n=100):
    return {"value": value, "n": n}


def change(before, after, half, n=100):
    found = {"n": n, "before": before, "after": after, "difference": after - before}
    return found | {"low": after - before - half, "high": after - before + half}


@pytest.fixture
def results(tmp_path):
    seeds = {}
    for seed, right in (("seed1", 0.6), ("seed2", 0.8)):
        scores = {skill: {"ko": cell(right), "en": cell(right)} for skill in report.SKILLS}
        kept = {"ko": change(0.9, 0.8, 0.06), "en": change(0.9, 0.9, 0.06)}
        seeds[seed] = {"four": {"scores": scores, "kept": kept}}
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"runs": seeds}), encoding="utf-8")
    return path


def test_shares_are_pooled_and_changes_combined(results):
    (found,) = report.collect(results).values()
    assert report.pooled(found, "grounding_acc50") == pytest.approx((0.7, *wilson(280, 400)))
    estimate = report.change(found)
    assert estimate.value == pytest.approx(-0.05)
    assert estimate.high - estimate.value == pytest.approx(0.03)  # four independent halves of 0.06: 0.06 / sqrt(4)
    assert report.by_seed(found, "grounding_acc50") == pytest.approx([0.6, 0.8])


def test_table_and_figure(results, tmp_path):
    found = report.collect(results)
    lines = report.table(found).splitlines()
    assert len(lines) == 3 and lines[2].startswith("| four stages | 2 | 70.0 (65.3 to 74.3)")
    report.figure(found, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000
