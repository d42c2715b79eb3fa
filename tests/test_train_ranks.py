"""Several processes are one: the same course as one process, sharded or not; resumed with another number; none hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import write_tiny
from train_tools import same_course

from varco_vision.train import metrics, state

SCRIPT = Path(__file__).parent / "train_ranks.py"
STEPS = 50
CHANGES = {"steps": STEPS, "checkpoint_every": 10, "learning_rate": 2e-4, "max_tokens": 500}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def run(model: Path, out: Path, processes: int, *options: str, fails: bool = False, **changes: Any) -> torch.Tensor:
    """Losses of a run; a hang is a failure after two minutes (ten on a busy machine)."""
    out.mkdir(exist_ok=True, parents=True)
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*start, str(SCRIPT), str(model), str(out), "--changes", json.dumps({**CHANGES, **changes}), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    assert (done.returncode != 0) == fails, done.stderr[-3000:]
    return torch.tensor([r["loss"] for r in metrics.read(out / "metrics.jsonl")], dtype=torch.float64)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / "weights.pt", weights_only=True)


def close(a: Path, b: Path, largest: float = 2e-4) -> None:
    for name, value in weights(a).items():
        assert torch.allclose(value, weights(b)[name], atol=largest), name


@pytest.fixture(scope="module")
def one(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    out = tmp_path_factory.mktemp("one")
    return out, run(model, out, 1)


def test_two_processes_one_of_them_without_pictures(
    model: Path, one: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    same_course(one[1], run(model, tmp_path, 2))
    close(one[0], tmp_path)


def test_sharded_over_two_processes_one_of_them_without_pictures(
    model: Path, one: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    same_course(one[1], run(model, tmp_path, 2, shard=True, checkpointing="full"))
    close(one[0], tmp_path)


PREFERENCE = {"kind": "preference", "stage": 4, "trainable": ["language"]}
ADAPTERS = {part: {"rank": 4, "alpha": 8.0} for part in ("tower", "projector", "language")}
FROZEN = {  # stages in which something does not train; large recipes have the first two
    "preference with kept outputs": {**PREFERENCE, "cache_features": True},
    "preference": PREFERENCE,
    "alignment": {"stage": 1, "trainable": ["projector", "newline"], "views": "one"},
    "alignment with kept features": {"stage": 1, "trainable": ["projector", "newline"], "cache_features": True},
    "adapters": {"trainable": ["newline"], "lora": ADAPTERS, "train_markers": True},
}


def test_a_sharded_stage_with_kept_outputs_gives_the_same_course(model: Path, tmp_path: Path) -> None:
    changes = {**FROZEN["preference with kept outputs"], "steps": 6, "checkpoint_every": 2}
    alone = run(model, tmp_path / "one", 1, **changes)
    same_course(alone, run(model, tmp_path / "two", 2, shard=True, **changes), largest=1e-5)
    close(tmp_path / "one", tmp_path / "two", largest=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FROZEN)
def test_sharded_stages_that_freeze_parts_resume_exactly(model: Path, tmp_path: Path, name: str) -> None:
    """The optimizer must hold the sharded weights, whatever ran before it was made."""
    changes = {**FROZEN[name], "steps": 6, "checkpoint_every": 1}
    alone = run(model, tmp_path / "one", 1, **changes)
    run(model, tmp_path / "two", 2, "--kill-at", "5", fails=True, shard=True, **changes)
    assert len(state.complete(tmp_path / "two")) <= 2, "no more checkpoints stay than asked"
    same_course(alone, run(model, tmp_path / "two", 2, "--resume", shard=True, **changes), largest=1e-5)
    close(tmp_path / "one", tmp_path / "two", largest=1e-5)


@pytest.mark.parametrize(
    ("before", "after", "shard"),
    [(2, 1, False), pytest.param(1, 2, False, marks=pytest.mark.slow), (2, 1, True),
     pytest.param(2, 2, True, marks=pytest.mark.slow), pytest.param(1, 2, True, marks=pytest.mark.slow)],
)  # fmt: skip
def test_killed_and_resumed_with_another_number_of_processes(
    model: Path, one: tuple[Path, torch.Tensor], tmp_path: Path, before: int, after: int, shard: bool
) -> None:
    run(model, tmp_path, before, "--kill-at", "27", fails=True, shard=shard)
    assert not (tmp_path / "weights.pt").exists()
    assert [p.name for p in state.complete(tmp_path)][-1] in ("step-00000010", "step-00000020")
    same_course(one[1], run(model, tmp_path, after, "--resume", shard=shard))
    close(one[0], tmp_path)


def test_a_kill_at_any_step_of_one_process_loses_nothing(
    model: Path, one: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    for step in (3, 11, 40):
        run(model, tmp_path, 1, "--kill-at", str(step), *(["--resume"] if step > 3 else []), fails=True)
    assert torch.equal(one[1], run(model, tmp_path, 1, "--resume"))
    for name, value in weights(one[0]).items():
        assert torch.equal(value, weights(tmp_path)[name]), name


def test_rows_that_do_not_divide_are_refused_when_sharded(model: Path, tmp_path: Path) -> None:
    run(model, tmp_path, 2, fails=True, shard=True, rows=3)
