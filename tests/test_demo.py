"""The demonstration: a tiny one in seconds, and the real one against the floor that it must reach (slow)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from test_run import recipe, run  # noqa: F401 - `recipe` is a fixture

SCORES = {"grounding_acc50", "referring_acc", "counting_acc", "ocr_word_acc", "ocr_cer", "text_acc"}
MODELS = ["backbones", "alignment", "basic", "advanced", "preference"]


@pytest.fixture(scope="module")
def tiny(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    out = tmp_path_factory.mktemp("demo")
    Image.new("RGB", (300, 90), "orange").save(out / "mine.png")
    run("demo", "--recipe", recipe, "--out", out / "run", "--processes", 2, "--image", out / "mine.png")
    return out / "run"


def test_results_hold_what_other_programs_read(tiny: Path) -> None:
    results = json.loads((tiny / "results.json").read_text())
    assert [s["name"] for s in results["stages"]] == ["tower", "language", *MODELS[1:]]
    for stage in results["stages"]:
        assert {"name", "trainable", "frozen", "samples", "seconds", "loss_first", "loss_last"} <= set(stage)
    assert list(results["scores"]) == MODELS
    for table in results["scores"].values():
        assert set(table) >= SCORES
        assert all(set(table[name]) == {"ko", "en"} for name in SCORES)
        assert all(0 <= v <= 1 for name in SCORES - {"ocr_cer"} for v in table[name].values())
    assert results["n_eval"] == len((tiny / "data" / "evaluation.jsonl").read_text().splitlines())
    assert results["total_seconds"] > 0 and "torch" in results["versions"]


def test_report_is_one_page_with_pictures(tiny: Path) -> None:
    page = (tiny / "report.html").read_text()
    assert page.count("data:image/png") >= 6 and "<svg" in page and "mine.png" in page
    assert 'src="http' not in page and 'href="http' not in page
    assert len(list((tiny / "pictures").glob("*.png"))) >= 6


def test_the_model_of_the_demo_answers_on_the_command_line(tiny: Path, tmp_path: Path) -> None:
    model, picture = tiny / "preference" / "model", tmp_path / "p.png"
    Image.new("RGB", (64, 64), "red").save(picture)
    done = run(
        "ground", "--model", model, "--image", picture, "빨간색 원은 어디에 있나요?", "--json", "--max-new-tokens", 20
    )
    assert {"text", "raw", "objects", "truncated", "stop_reason"} <= set(json.loads(done.stdout))


def test_resumed_demo_keeps_what_is_there(tiny: Path, recipe: Path) -> None:  # noqa: F811
    before = json.loads((tiny / "results.json").read_text())
    done = run("demo", "--recipe", recipe, "--out", tiny, "--processes", 2, "--resume")
    assert done.stdout.count("is finished, kept") == 6
    after = json.loads((tiny / "results.json").read_text())
    assert after["scores"] == before["scores"] and after["stages"] == before["stages"]
    assert after["total_seconds"] > before["total_seconds"], "the time of all starts counts"
    again = run("demo", "--recipe", recipe, "--out", tiny, check=False)
    assert again.returncode == 2 and "add --resume" in again.stderr


@pytest.mark.slow
def test_nano_reaches_its_floor(tmp_path: Path) -> None:
    """On pictures and texts that training has not seen, decoded greedily, in each language.

    The floors lie somewhat below what was measured (recipes/README.md): rounding on another processor or another set of
    fonts takes the training another way, which moves a score by several points.
    """
    run("demo", "--out", tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    print(json.dumps(results["scores"], indent=1), results["total_seconds"])
    final, first = results["scores"]["preference"], results["scores"]["backbones"]
    for language in ("ko", "en"):
        assert final["grounding_acc50"][language] >= 0.45
        assert final["referring_acc"][language] >= 0.70
        assert final["counting_acc"][language] >= 0.85
        assert final["ocr_box_recall"][language] >= 0.05
        assert final["text_acc"][language] >= 0.88 * first["text_acc"][language]
    for stage in results["stages"]:
        assert stage["loss_last"] < stage["loss_first"], stage["name"]
