"""Checkpoints inside a stage: written whole or not at all, found again after a kill at any moment."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
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
    try:
        with (draft / "tensors.pt").open("wb") as file:
            torch.save(tensors, file)
            file.flush()
            os.fsync(file.fileno())
        return finish(draft, step, plain, keep)
    except Exception:  # a full disk above all: what was written so far must not take the room of the next try
        shutil.rmtree(draft, ignore_errors=True)
        raise


def begin(directory: Path, step: int) -> Path:
    """An empty directory for the files of a checkpoint, under a name that nothing reads."""
    draft = drafted(directory, step)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    return draft


def drafted(directory: Path, step: int) -> Path:
    """Where a checkpoint is written before it has its name."""
    return directory / f".{PREFIX}{step:08d}.writing"


def finish(draft: Path, step: int, plain: dict[str, Any], keep: int) -> Path:
    """Give a written checkpoint its final name, and remove all but the newest `keep`."""
    directory = draft.parent
    final = directory / f"{PREFIX}{step:08d}"
    with (draft / "state.json").open("w", encoding="utf-8") as file:
        json.dump({**plain, "step": step}, file)
        file.flush()
        os.fsync(file.fileno())
    _remove(final)
    draft.rename(final)
    for old in complete(directory)[:-keep]:
        _remove(old)
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
    """Remove the checkpoints of a finished stage, the newest last."""
    for path in complete(directory):
        _remove(path)
    sweep(directory)


def sweep(directory: Path) -> None:
    """Remove what a kill left of checkpoints that were being written or removed."""
    for path in directory.glob(f".{PREFIX}*.writing"):
        shutil.rmtree(path, ignore_errors=True)


def _remove(path: Path) -> None:
    """Take a checkpoint away: its name first, so that none that is half removed counts as complete."""
    if path.exists():
        gone = path.with_name(f".{path.name}.writing")
        shutil.rmtree(gone, ignore_errors=True)
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """One JSON file, atomically."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """One text file, atomically."""
    draft = path.with_name(f".{path.name}.writing")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def write_directory(path: Path, fill: Callable[[Path], object]) -> None:
    """A directory that has its name once `fill` has written all of it."""
    draft = path.with_name(f".{path.name}.writing")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        fill(draft)
    except Exception:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    draft.rename(path)


def is_full(error: BaseException | None) -> bool:
    """Does an error, or what caused it, say that the disk is full? Some libraries tell so in words only."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT)):
            return True
        error = error.__cause__ or error.__context__
    return False


def require_space(directory: Path, need: int, what: str = "a checkpoint") -> None:
    """Raise `InputError` when the disk has no room for `need` bytes and a little more."""
    need = int(need * 1.1) + 1_000_000
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < need:
        raise InputError(
            f"{directory}: {free / 1e6:.0f} MB free on the disk, {what} needs {need / 1e6:.0f} MB; make room and resume"
        )


def size(value: Any) -> int:
    """Bytes of all tensors in nested dictionaries and lists; of a sharded tensor, of this process' part."""
    if isinstance(value, torch.Tensor):
        part = value.to_local() if hasattr(value, "to_local") else value
        return part.numel() * part.element_size()
    if isinstance(value, dict):
        return sum(size(v) for v in value.values())
    return sum(size(v) for v in value) if isinstance(value, (list, tuple)) else 0
