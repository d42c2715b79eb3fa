"""Whole runs through the command line on a recipe of seconds: learning, resuming after a kill, several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from varco_vision.model import checkpoint
from varco_vision.train.estimate import skeleton
from varco_vision.train.recipe import read

ROOT = Path(__file__).parent.parent
STAGES = ("tower", "language", "alignment", "basic", "advanced", "preference")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nano, cut down to a few steps of a few rows; float32, so that runs can be compared."""
    content = yaml.safe_load((ROOT / "recipes" / "nano.yaml").read_text(encoding="utf-8"))
    content["name"] = "tiny"
    content["model"]["vision"] = {"width": 32, "layers": 2, "heads": 2, "mlp": 48}
    content["model"]["text"] = {"width": 32, "layers": 2, "heads": 2, "kv_heads": 1, "mlp": 48}
    content["model"]["merges"] = 300
    content["evaluation"].update(n_scenes=2, n_words=1, n_text=3)
    for stage in content["stages"]:
        stage.update(steps=6, rows=4, micro_rows=2, warmup=2, checkpoint_every=2, precision="float32")
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "varco_vision.cli.main", *map(str, arguments)]


def run(*arguments: object, check: bool = True) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command(*arguments), capture_output=True, text=True, env=environment, check=False)
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def weights(out: Path, stage: str = "preference") -> dict[str, torch.Tensor]:
    return load_file(out / stage / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    done = run("train", recipe, "--out", out, "--processes", 1)
    assert "TRAINABLE" in done.stdout and "written to" in done.stdout
    return out


def test_every_stage_leaves_what_it_should(whole: Path, recipe: Path) -> None:
    for name in STAGES:
        result = json.loads((whole / name / "result.json").read_text())
        assert result["steps"] == 6 and result["samples"] > 0 and len(result["curve"]) == 6
        assert not list((whole / name).glob("step-*")), "a finished stage keeps no checkpoints"
    record = checkpoint.load(whole / "preference" / "model").record
    assert [s["name"] for s in record["stages"]] == list(STAGES)
    assert (whole / "recipe.yaml").exists() and read(whole / "recipe.yaml") == read(recipe)


def test_only_the_named_parts_moved(whole: Path) -> None:
    before = weights(whole, "backbones")
    parts = {"alignment": ("multi_modal_projector", "image_newline"), "basic": ("",), "preference": ("language_model",)}
    previous = {"alignment": before, "basic": weights(whole, "alignment"), "preference": weights(whole, "advanced")}
    for stage, names in parts.items():
        after = weights(whole, stage)
        for name, value in after.items():
            moved = not torch.equal(value, previous[stage][name])
            dead = "post_layernorm" in name
            assert moved == (any(n in name for n in names) and not dead), f"{stage}: {name}"


def test_preference_starts_at_ln_2(whole: Path) -> None:
    first = json.loads((whole / "preference" / "metrics.jsonl").read_text().splitlines()[0])
    assert first["term"]["pair"] == pytest.approx(0.693147, abs=1e-4)


def test_the_last_model_loads_in_plain_transformers_and_answers_the_same(whole: Path) -> None:
    from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration

    from varco_vision import VarcoVision

    directory = whole / "preference" / "model"
    messages = [{"role": "user", "content": [{"type": "text", "text": "12 + 7 = ?"}]}]
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False, return_tensors="pt")
    plain = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    ours = VarcoVision.from_pretrained(directory).chat(None, "12 + 7 = ?", max_new_tokens=12)
    expected = tokenizer.decode(plain, skip_special_tokens=True)
    assert ours.text.strip() == __import__("unicodedata").normalize("NFC", expected).strip()


@pytest.mark.parametrize("stage", ["tower", "basic", "preference"])
def test_killed_in_a_stage_and_resumed_ends_with_the_same_weights(
    whole: Path, recipe: Path, tmp_path: Path, stage: str
) -> None:
    out = tmp_path / "killed"
    if stage != "tower":  # what comes before is the same: take it from the whole run
        import shutil

        shutil.copytree(whole, out)
        for name in STAGES[STAGES.index(stage) :]:
            shutil.rmtree(out / name)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = command("train", recipe, "--out", out, "--processes", 1, *(["--resume"] if out.exists() else []))
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 120
    while not list((out / stage).glob("step-*/state.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "preference" / "model").exists()
    done = run("train", recipe, "--out", out, "--processes", 1, "--resume")
    assert "kept" in done.stdout or stage == "tower"
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(out)[name]), name


def test_a_second_stage_of_a_tower_goes_on_with_the_first(recipe: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(recipe.read_text())
    first = content["stages"][0]
    again = {**first, "name": "reading", "dense": {**first["dense"], "text": 1.0}, "learning_rate": 1e-9}
    content["stages"] = [first, again, *content["stages"][1:]]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(content))
    done = run("train", tmp_path / "r.yaml", "--out", tmp_path / "o", "--processes", 1, "--stages", "0-1")
    assert "'reading' continues from 'tower'" in done.stdout
    towers = [load_file(tmp_path / "o" / n / "tower" / "model.safetensors") for n in ("tower", "reading")]
    assert all(torch.allclose(value, towers[1][name], atol=1e-5) for name, value in towers[0].items())
    whole = weights(tmp_path / "o", "backbones")
    used = {
        n.split("vision_tower.")[1].removeprefix("vision_model."): v for n, v in whole.items() if "vision_tower." in n
    }
    assert used
    last = {name.removeprefix("vision_model."): value for name, value in towers[1].items()}
    centred = [name for name, value in used.items() if not torch.equal(value, last[name])]
    assert len(centred) == 1 and centred[0].endswith("mlp.fc2.bias"), (
        "the last tower is the backbone, its states centred"
    )


def test_a_tower_that_learns_on_between_stages_is_taken_in(recipe: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(recipe.read_text())
    first = content["stages"][0]
    at = next(k for k, s in enumerate(content["stages"]) if s["name"] == "preference")
    dense = {**first["dense"], "text": 1.0, "order": True}
    order = {
        **first,
        "name": "order",
        "stage": 3,
        "steps": 3,
        "learning_rate": 1e-9,
        "learning_rates": {},
        "dense": dense,
    }
    content["stages"].insert(at, order)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(content))
    done = run("train", tmp_path / "r.yaml", "--out", tmp_path / "o", "--processes", 1)
    assert "stage 3 continues from 'advanced'" in done.stdout and "the tower of 'order' is taken in" in done.stdout
    trained = load_file(tmp_path / "o" / "order" / "tower" / "model.safetensors")
    whole = weights(tmp_path / "o")
    used = {
        n.split("vision_tower.")[1].removeprefix("vision_model."): v for n, v in whole.items() if "vision_tower." in n
    }
    last = {name.removeprefix("vision_model."): value for name, value in trained.items()}
    assert used and all(torch.equal(value, last[name]) for name, value in used.items())
    earlier = weights(tmp_path / "o", "advanced")
    assert any(not torch.equal(whole[n], earlier[n]) for n in whole if "projector" in n)
    moved = {n: float((whole[n] - earlier[n]).abs().max()) for n in whole if "vision_tower" in n}
    assert max(moved.values()) < 1e-5, (
        moved,
        "a tower stage behind a whole model goes on with the tower of that model",
    )


def test_a_stage_deepens_and_the_next_goes_on(whole: Path, recipe: Path, tmp_path: Path) -> None:
    import shutil

    content = yaml.safe_load(recipe.read_text())
    at = next(k for k, s in enumerate(content["stages"]) if s["name"] == "preference")
    content["stages"].insert(at, {**content["stages"][at - 1], "name": "deep", "steps": 2, "deepen": {"language": 3}})
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(content))
    shutil.copytree(whole, tmp_path / "o")
    shutil.rmtree(tmp_path / "o" / "preference")
    (tmp_path / "o" / "recipe.yaml").unlink()
    run("train", tmp_path / "r.yaml", "--out", tmp_path / "o", "--processes", 1, "--resume")
    for name in ("deep", "preference"):
        found = {
            n.split("layers.")[1].split(".")[0]
            for n in weights(tmp_path / "o", name)
            if "language_model.model.layers." in n
        }
        assert found == {"0", "1", "2"}, name
    plan = read(tmp_path / "r.yaml")
    depths = [skeleton(plan.model_of(s)).config.text_config.num_hidden_layers for s in plan.stages[at - 1 :]]
    assert depths == [2, 3, 3], "estimates see the layers that were added until then"


def test_loader_workers_change_nothing(whole: Path, recipe: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(whole, tmp_path / "w")
    for name in (STAGES[0], *STAGES[3:]):
        shutil.rmtree(tmp_path / "w" / name)
    content = yaml.safe_load(recipe.read_text())
    content["stages"][0].update(workers=2)
    content["stages"][3].update(workers=3)
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "w" / "recipe.yaml").unlink()
    run("train", tmp_path / "w.yaml", "--out", tmp_path / "w", "--processes", 1, "--resume", "--stages", "0-2")
    for name, value in weights(whole, "basic").items():
        assert torch.equal(value, weights(tmp_path / "w", "basic")[name]), name
    towers = [load_file(out / "tower" / "tower" / "model.safetensors") for out in (whole, tmp_path / "w")]
    assert all(torch.equal(value, towers[1][name]) for name, value in towers[0].items())


def test_two_processes_give_the_same_model(whole: Path, recipe: Path, tmp_path: Path) -> None:
    run("train", recipe, "--out", tmp_path / "two", "--processes", 2)
    one, two = weights(whole, "basic"), weights(tmp_path / "two", "basic")
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=2e-3), name


def test_wrong_commands_are_one_sentence_and_exit_2(whole: Path, recipe: Path, tmp_path: Path) -> None:
    for arguments, message in [
        (("train", recipe, "--out", whole), "holds finished stages; add --resume"),
        (("train", recipe, "--out", whole, "--resume", "--processes", 1, "seed=5"), "differs from the recipe given"),
        (("train", "nothing.yaml"), "no recipe nothing.yaml"),
        (("train", recipe, "--stages", "x"), "is no range of stages"),
        (("train", recipe, "--stages", "3-3", "--out", tmp_path / "new", "--processes", 1), "needs stage 'basic'"),
        (("train", recipe, "--stages", "1-1", "--out", tmp_path / "new2", "--processes", 1), "run stage 0 first"),
        (
            ("train", recipe, "stages.basic.mixture.text.source=synth:tex", "--out", tmp_path / "n3", "--processes", 1),
            "text",
        ),
    ]:
        done = run(*arguments, check=False)
        assert done.returncode == 2, (arguments, done.stderr[-500:])
        assert message in done.stderr and "Traceback" not in done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("error: ")


def test_not_a_number_stops_the_run_and_names_samples(recipe: Path, tmp_path: Path) -> None:
    done = run(
        "train", recipe, "--stages", "0-0", "--out", tmp_path / "nan", "--processes", 1,
        "stages.language.learning_rate=1e30", check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "stage 'language', step" in done.stderr and "text-train-" in done.stderr
