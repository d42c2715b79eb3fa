"""Between forward and update a step neither reads a value of the device nor copies one to it: a GPU's queue stays full.

The operations that make a host wait are the same on every device; here they are watched for on a CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import write_tiny
from torch.utils._python_dispatch import TorchDispatchMode
from train_tools import make_stage, set_up, steps, use_pictures

from varco_vision.model.checkpoint import load
from varco_vision.train import forward, step
from varco_vision.train.loss import SoftNumbers
from varco_vision.train.recipe import LoraRecipe

READS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim", "bincount"}
COPIES = {"lift_fresh"}  # a tensor made of numbers of the host, as torch.tensor makes one


class Waits(TorchDispatchMode):
    """Names of the operations for which a host would wait, and how many operations there were."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masks = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            t is not None and t.dtype in (torch.bool, torch.uint8) for t in args[1]
        )
        counts = name == "repeat_interleave" and isinstance(args[-1], torch.Tensor)
        self.count += 1
        if name in READS | COPIES or masks or counts:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def watched(directory: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Waits:
    """Two steps of a stage, watched from the first forward to the update."""
    use_pictures(monkeypatch)
    setup = set_up(load(directory, device="cpu"), make_stage(**changes), out)
    waits, real = Waits(), step.advance

    def advance(*arguments: Any) -> Any:
        with waits:
            return real(*arguments)

    monkeypatch.setattr(step, "advance", advance)
    steps(setup, 2)
    return waits


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"soft_numbers": 1.5, "box_start_weight": 4.0, "task_weights": {"vqa": 2.0, "ocr": 3.0}},
        {"checkpointing": "full"},
        {"checkpointing": "selective"},
        {"kind": "preference"},
        {"kind": "preference", "length_normalised": True, "reference_free": True, "margin": 0.5},
        {"trainable": ("projector",), "lora": {"language": LoraRecipe(rank=2, alpha=4.0)}},
        {"trainable": ("projector", "newline"), "cache_features": True},
    ],
    ids=["plain", "weighted", "recomputed", "recomputed-in-part", "pairs", "pairs-without-reference", "adapters", "kept"],
)  # fmt: skip
def test_no_host_waits_for_its_device_inside_a_step(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    waits = watched(directory, tmp_path, monkeypatch, **changes)
    assert waits.count > 500 and waits.found == []


def test_nor_with_a_large_vocabulary(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "LARGE_VOCABULARY", 10)
    options = {"soft_numbers": 1.5, "logit_chunk": 16, "kind": "preference", "sft_weight": 1.0}
    waits = watched(directory, tmp_path, monkeypatch, **options)
    assert waits.count > 500 and waits.found == []


def test_trained_markers_copy_their_few_indices_and_nothing_else(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """peft brings the numbers of the trained rows to the device whenever it reads them: twice in a forward, once in the head."""
    waits = watched(directory, tmp_path, monkeypatch, trainable=("projector",), train_markers=True)
    assert set(waits.found) == {"lift_fresh"} and len(waits.found) <= 3 * 2 * 2  # micro-batches, steps


def test_the_watch_sees_what_makes_a_host_wait() -> None:
    values = torch.arange(4.0)
    for ask, name in (
        (lambda: values.sum().item(), "_local_scalar_dense"),
        (lambda: bool(values.any()), "_local_scalar_dense"),
        (lambda: values[values > 1], "index"),
        ((values > 1).nonzero, "nonzero"),
        (lambda: torch.tensor([1.0, 2.0]), "lift_fresh"),
    ):
        with Waits() as waits:
            ask()
        assert name in waits.found


def test_softened_targets_leave_other_tokens_alone() -> None:
    soft = SoftNumbers([1, 2, 3], sigma=1.0, vocabulary=6)
    numbers, ids, weights = soft.rows(torch.tensor([2, 5, 0]))
    assert numbers.tolist() == [True, False, False] and ids.tolist() == [1, 2, 3]
    assert weights[0].sum() == pytest.approx(1) and not weights[1:].any()
