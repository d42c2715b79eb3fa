"""A recipe over existing backbones, as the large ones are: a whole SigLIP, a Qwen3, adapters, and their merging by command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from train_tools import borrowed
from typer.testing import CliRunner

from varco_vision.cli.main import app
from varco_vision.errors import InputError
from varco_vision.model import checkpoint
from varco_vision.train.parallel import World
from varco_vision.train.recipe import read, with_lora
from varco_vision.train.run import Run

WORLD = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Backbones of width 16 and 32, a file of eight pictures with questions, and a recipe over both."""
    folder = tmp_path_factory.mktemp("backbones")
    content = borrowed(folder)
    path = folder / "borrowed.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_backbones_are_read_cut_and_trained(recipe: Path, tmp_path: Path) -> None:
    results = Run(read(recipe), tmp_path, WORLD, show=False, say=lambda text: None).stages(1, 2)
    assert [r.name for r in results] == ["alignment", "basic"] and all(r.samples for r in results)
    begun = checkpoint.load(tmp_path / "backbones" / "model", device="cpu")
    assert begun.model.config.vision_config.num_hidden_layers == 2, "the layer behind the feature layer is gone"
    assert begun.model.config.text_config.model_type == "qwen3"
    before = {k.split("vision_tower.")[1].removeprefix("vision_model."): v
              for k, v in begun.model.state_dict().items() if "vision_tower." in k}  # fmt: skip
    given = {
        k.removeprefix("vision_model."): v for k, v in load_file(recipe.parent / "siglip" / "model.safetensors").items()
    }
    assert before and all(torch.equal(value, given[name]) for name, value in before.items())
    assert checkpoint.load(tmp_path / "basic" / "model", device="cpu").record["stages"][-1]["name"] == "basic"


def test_adapters_are_left_beside_the_merged_model_and_merge_by_command(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="adapters need the extra 'train'")
    shown: list[str] = []
    Run(with_lora(read(recipe), 4), tmp_path / "run", WORLD, show=False, say=shown.append).stages(1, 2)
    assert any("parameters train in all" in line for line in shown)
    done = CliRunner().invoke(
        app, ["merge", "--model", str(tmp_path / "run" / "alignment" / "model"), "--out", str(tmp_path / "merged"),
              "--adapter", str(tmp_path / "run" / "basic" / "adapter")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    ours, theirs = (checkpoint.load(p, device="cpu").model.state_dict() for p in
                    (tmp_path / "run" / "basic" / "model", tmp_path / "merged"))  # fmt: skip
    start = checkpoint.load(tmp_path / "run" / "alignment" / "model", device="cpu").model.state_dict()
    for name, value in ours.items():
        if "multi_modal_projector" in name or "newline" in name:
            continue  # trained as a whole: in the model, not in the adapter
        assert torch.allclose(value, theirs[name], atol=1e-6), name
    assert any(not torch.equal(v, start[n]) for n, v in theirs.items() if "q_proj" in n)
    again = CliRunner().invoke(app, ["merge", "--out", str(tmp_path / "merged"), "--adapter", str(tmp_path)])
    assert isinstance(again.exception, InputError) and "is not empty" in str(again.exception)


def test_a_shape_that_is_not_the_backbones_is_refused(recipe: Path, tmp_path: Path) -> None:
    for change, message in [
        ("model.vision.layers=4", r"model\.vision\.layers is 4, but .*siglip has 3"),
        ("model.text.vocabulary=100", r"model\.text\.vocabulary is 100, but .*qwen has 384"),
        ("model.tower_from=/nowhere/at/all", r"model\.tower_from: there is no folder /nowhere/at/all"),
    ]:
        with pytest.raises(InputError, match=message):
            Run(read(recipe, [change]), tmp_path / change[:14], WORLD, show=False, say=lambda text: None).stages(1, 1)


def test_a_run_resumes_under_a_newer_version_that_knows_more_keys(recipe: Path, tmp_path: Path) -> None:
    """A recipe.yaml that an older version wrote lacks the keys that came later; their defaults are what it meant."""
    chosen = read(recipe)
    Run(chosen, tmp_path, WORLD, show=False, say=lambda text: None).stages(1, 1)
    saved = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    for stage in saved["stages"]:
        for key in ("lora", "shard", "compile", "logit_chunk"):
            del stage[key]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(saved))
    results = Run(chosen, tmp_path, WORLD, resume=True, show=False, say=lambda text: None).stages(1, 1)
    assert results[0].name == "alignment"


def test_rows_are_shown_as_they_are_learned(recipe: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["train", str(recipe), "--stages", "2", "--out", str(tmp_path / "none"), "--show-labels", "1"]
    )
    assert done.exit_code == 0, done.output
    assert "picture tokens]" in done.stdout and "two blue squares" in done.stdout and "learned (green)" in done.stdout
    assert not (tmp_path / "none").exists()


def test_only_answers_are_green(recipe: Path) -> None:
    from varco_vision.train.labels import LEARNED, label_rows, tokenizer_of

    chosen = read(recipe)
    text = next(iter(label_rows(chosen, chosen.stages[1], tokenizer_of(chosen, Path("nowhere")), 1)))
    green = [text.plain[s.start : s.end] for s in text.spans if s.style == LEARNED]
    assert green and all(piece.startswith("two blue squares") and piece.endswith("<|im_end|>") for piece in green)
