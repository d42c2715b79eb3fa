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
    require_space(directory, size(tensors))
    draft = begin(directory, step)
    with (draft / "tensors.pt").open("wb") as file:
        torch.save(tensors, file)
        file.flush()
        os.fsync(file.fileno())
    return finish(draft, step, plain, keep)


def begin(directory: Path, step: int) -> Path:
    """An empty directory for the files of a checkpoint, under a name that nothing reads."""
    draft = directory / f".{PREFIX}{step:08d}.writing"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    return draft


def finish(draft: Path, step: int, plain: dict[str, Any], keep: int) -> Path:
    """Give a written checkpoint its final name, and remove all but the newest `keep`."""
    directory = draft.parent
    final = directory / f"{PREFIX}{step:08d}"
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
    found = newest_plain(directory)
    if found is None:
        return None
    return torch.load(found[0] / "tensors.pt", map_location="cpu", weights_only=True), found[1]


def newest_plain(directory: Path) -> tuple[Path, dict[str, Any]] | None:
    """(its directory, plain) of the newest complete checkpoint, or None; the tensors stay on the disk."""
    found = complete(directory)
    if not found:
        return None
    return found[-1], json.loads((found[-1] / "state.json").read_text(encoding="utf-8"))


def clear(directory: Path) -> None:
    """Remove the checkpoints of a finished stage."""
    for path in [*complete(directory), *directory.glob(f".{PREFIX}*.writing")]:
        shutil.rmtree(path, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """One JSON file, atomically."""
    draft = path.with_name(f".{path.name}.writing")
    draft.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def require_space(directory: Path, need: int) -> None:
    """Raise `InputError` when the disk has no room for `need` bytes and a little more."""
    need = int(need * 1.1) + 1_000_000
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < need:
        raise InputError(
            f"{directory}: {free / 1e6:.0f} MB free on the disk, a checkpoint needs {need / 1e6:.0f} MB; make room and resume"
        )


def size(value: Any) -> int:
    """Bytes of all tensors in nested dictionaries and lists; of a sharded tensor, of this process' part."""
    if isinstance(value, torch.Tensor):
        part = value.to_local() if hasattr(value, "to_local") else value
        return part.numel() * part.element_size()
    if isinstance(value, dict):
        return sum(size(v) for v in value.values())
    return sum(size(v) for v in value) if isinstance(value, (list, tuple)) else 0
