"""What a run refuses before it has begun: files that are not there, folders that cannot be written, work that would be lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from train_tools import borrowed

from varco_vision.cli import launch
from varco_vision.cli.train import refuse_overwriting
from varco_vision.data.disk import require_writable
from varco_vision.errors import InputError
from varco_vision.train import state
from varco_vision.train.feed import open_mixture
from varco_vision.train.parallel import World
from varco_vision.train.recipe import difference, from_dict, read
from varco_vision.train.run import Run

WORLD = World(0, 1, torch.device("cpu"))


def content(source: str = "synth:text", **changes: Any) -> dict[str, Any]:
    """Two stages; the second one draws from `source`."""
    mixture = {"own": {"source": "synth:text"}}
    stage = {"rows": 2, "steps": 3, "learning_rate": 1e-3, "trainable": ["projector"], "mixture": mixture}
    later = {**stage, "mixture": {"own": {"source": source}}, **changes}
    return {
        "name": "r",
        "model": {"tile": 32, "patch": 8, "max_tiles": 4, "tower_from": "/nowhere/t", "language_from": "/nowhere/l"},
        "stages": [{**stage, "name": "alignment", "stage": 1}, {**later, "name": "basic", "stage": 2}],
    }


def run(recipe: dict[str, Any], out: Path, resume: bool = False) -> Run:
    return Run(from_dict(recipe), out, WORLD, resume=resume, show=False, say=lambda text: None)


@pytest.mark.parametrize("name", ["missing.jsonl", "missing-folder"])
def test_a_missing_file_of_a_later_stage_is_told_before_the_first(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"stage 'basic', source 'own': .*{name} does not exist"):
        run(content(str(tmp_path / name)), tmp_path / "o").stages(1, 2)
    assert not (tmp_path / "o").exists()
    with pytest.raises(InputError, match="there is no folder /nowhere/t"):  # stage 1 alone does not ask for it
        run(content(str(tmp_path / name)), tmp_path / "o").stages(1, 1)


def test_faults_of_a_source_name_stage_and_source(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "folder").mkdir()
    options = {"mixture": {"own": {"source": "x.jsonl", "options": {"root": 1}}}}
    for source, changes, message in [
        (str(tmp_path / "empty.jsonl"), {}, "holds no sample"),
        (str(tmp_path / "folder"), {}, "holds no files of samples"),
        ("synth:nosuch", {}, "unknown source 'nosuch'"),
        ("", options, "unknown option 'root' of the files x.jsonl; known is image_root"),
    ]:
        stage = from_dict(content(source, **changes)).stages[1]
        with pytest.raises(InputError, match=f"stage 'basic', source 'own': .*{message}"):
            open_mixture(stage, 0)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"the folder .*file.* cannot be made: .*; choose another one"):
            run(content(), out).stages(1, 2)

    def denied(**options: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    with pytest.raises(InputError, match="nothing can be written to .*: Permission denied; choose another folder"):
        require_writable(tmp_path)


def test_a_stopped_run_is_not_begun_anew_by_accident(tmp_path: Path) -> None:
    state.write(tmp_path / "alignment", 4, {"w": torch.zeros(2)}, {}, keep=2)
    with pytest.raises(InputError, match="holds checkpoints of a stopped run; add --resume to go on from them"):
        refuse_overwriting(tmp_path, resume=False)
    refuse_overwriting(tmp_path, resume=True)
    (tmp_path / "alignment" / "step-00000004" / "state.json").unlink()  # what a kill left is no checkpoint
    refuse_overwriting(tmp_path, resume=False)


def test_a_changed_recipe_is_refused_with_the_key_that_changed(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content()))
    with pytest.raises(
        InputError, match=r"differs from the recipe given, in stages\.basic\.rows \(2, and 4 is given\)"
    ):
        run(content(rows=4), tmp_path, resume=True).stages(1, 2)
    assert read(tmp_path / "recipe.yaml") == from_dict(content()), "the saved recipe stays"


def test_differences_of_recipes() -> None:
    first = from_dict(content())
    assert difference(first, first) == ""
    fewer = {**content(), "stages": content()["stages"][:1]}
    assert difference(first, from_dict(fewer)).startswith("stages.basic ({'name': 'basic'")
    assert difference(first, from_dict(fewer)).endswith("..., and nothing is given)")
    assert difference(from_dict(fewer), first).startswith("stages.basic (nothing, and {")
    assert difference(first, from_dict({**content(), "seed": 3})) == "seed (0, and 3 is given)"
    assert "mixture.own.source (synth:text, and a.jsonl is given)" in difference(first, from_dict(content("a.jsonl")))


def test_of_several_processes_the_first_tells_and_the_others_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(error: Exception) -> None:
        with launch.one_sentence():
            raise error

    lost = RuntimeError("Connection closed by peer")
    with pytest.raises(InputError, match="first"):  # one process alone tells
        ends(InputError("first"))
    monkeypatch.setenv(launch.TOLD, str(tmp_path / "told"))
    with pytest.raises(RuntimeError, match="closed by peer"):  # nobody has told why
        ends(lost)
    with pytest.raises(InputError, match="first"):
        ends(InputError("first"))
    for error in (InputError("second"), lost):
        with pytest.raises(SystemExit) as silent:
            ends(error)
        assert silent.value.code == 2


@pytest.mark.parametrize("broken", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_fault_in_two_processes_is_one_sentence_and_exit_2(tmp_path: Path, broken: bool) -> None:
    """A picture is broken, which one process alone reads before the first step; or the loss of both is not finite."""
    recipe = borrowed(tmp_path)
    recipe["stages"] = [{**recipe["stages"][0], "steps": 20, "warmup": 1, "learning_rate": 1e30, "clip": 1e30}]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    start = [sys.executable, "-m", "varco_vision.cli.main", "train", tmp_path / "r.yaml", "--processes", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if broken:
        (tmp_path / "5.png").write_bytes((tmp_path / "5.png").read_bytes()[:60])
    command = [str(part) for part in (*start, "--out", tmp_path / "o")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200, check=False)
    assert done.returncode == 2, done.stderr[-2000:]
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    message = "stage 'alignment': sample 5: " if broken else "stage 'alignment', step 1: loss nan"
    assert len(told) == 1 and message in told[0], done.stderr[-2000:]
    assert "Traceback" not in done.stderr and "FAILED" not in done.stderr
