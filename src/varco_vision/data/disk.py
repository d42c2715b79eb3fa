"""Writing files so that a name always stands for a complete file."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO

from varco_vision.errors import InputError


def write_whole(path: Path, fill: Callable[[IO[bytes]], object], sync: bool = True) -> None:
    """Write a file under another name first; it gets its name once it is complete, and nothing stays on failure.

    sync: wait until the bytes are on the disk before the name is given. `InputError` where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        with temporary.open("xb") as file:
            fill(file)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}; give a folder with room for new files"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; `InputError` where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be made: {error.strerror}; choose another one") from error


def require_writable(folder: Path) -> None:
    """Make a folder; `InputError` where that, or a new file in it, is not possible."""
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"nothing can be written to {folder}: {error.strerror}; choose another folder") from error
