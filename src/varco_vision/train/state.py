"""Checkpoints inside a stage: written whole or not at all, found again after a kill at any moment."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from varco_vision.errors import InputError

PREFIX = "step-"


def write(directory: Path, step: int, tensors: dict[str, Any], plain: dict[str, Any], keep: int) -> Path:
    """Write `step-N` beside the others, atomically, and remove all but the newest `keep`.

    The directory gets its final name by one rename, after its files are flushed to the disk; what a kill leaves behind
    is a `.writing` directory that nothing reads.
    """
    final = directory / f"{PREFIX}{step:08d}"
    draft = directory / f".{final.name}.writing"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    _require_space(directory, tensors)
    with (draft / "tensors.pt").open("wb") as file:
        torch.save(tensors, file)
        file.flush()
        os.fsync(file.fileno())
    with (draft / "state.json").open("w", encoding="utf-8") as file:
        json.dump({**plain, "step": step}, file)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)
    draft.rename(final)
    for old in complete(directory)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def complete(directory: Path) -> list[Path]:
    """Complete checkpoints of a stage, the oldest first."""
    return sorted(p for p in directory.glob(f"{PREFIX}*") if (p / "state.json").exists())


def newest(directory: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(tensors, plain) of the newest complete checkpoint, or None."""
    found = complete(directory)
    if not found:
        return None
    plain = json.loads((found[-1] / "state.json").read_text(encoding="utf-8"))
    return torch.load(found[-1] / "tensors.pt", map_location="cpu", weights_only=True), plain


def clear(directory: Path) -> None:
    """Remove the checkpoints of a finished stage."""
    for path in [*complete(directory), *directory.glob(f".{PREFIX}*.writing")]:
        shutil.rmtree(path, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """One JSON file, atomically."""
    draft = path.with_name(f".{path.name}.writing")
    draft.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def _require_space(directory: Path, tensors: dict[str, Any]) -> None:
    need = int(_size(tensors) * 1.1) + 1_000_000
    free = shutil.disk_usage(directory).free
    if free < need:
        raise InputError(
            f"{directory}: {free / 1e6:.0f} MB free on the disk, a checkpoint needs {need / 1e6:.0f} MB; make room and resume"
        )


def _size(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(_size(v) for v in value.values())
    return sum(_size(v) for v in value) if isinstance(value, (list, tuple)) else 0
