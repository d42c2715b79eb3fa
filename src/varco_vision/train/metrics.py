"""What a run shows while it runs: a progress bar, one JSON line a step, TensorBoard where it is installed."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from varco_vision.train.state import write_text


class StageLog:
    """Writes `metrics.jsonl`, feeds TensorBoard and the progress bar. Only the leading process makes one.

    A resumed stage first drops the lines of steps that it will do again, so that the file reads as one run.
    """

    def __init__(self, directory: Path, title: str, steps: int, first_step: int, show: bool) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "metrics.jsonl"
        kept = [r for r in read(self.path) if r["step"] < first_step]
        write_text(self.path, "".join(json.dumps(r) + "\n" for r in kept))
        self.file = self.path.open("a", encoding="utf-8")
        self.board = _board(directory)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            disable=not show or not sys.stdout.isatty(),
        )
        self.title, self.steps = title, steps
        self.lines = show and not sys.stdout.isatty()  # in a file or a pipe: a line now and then in place of a bar
        self.bar = self.progress.add_task(title, total=steps, completed=first_step, note="")
        self.progress.start()
        self.last_flush = time.monotonic()

    def step(self, step: int, record: dict[str, Any]) -> None:
        """Record one step; `record` holds plain numbers, or mappings of them."""
        self.file.write(json.dumps({"step": step, **record}) + "\n")
        self.progress.update(self.bar, completed=step + 1, note=f"loss {record['loss']:.3f}")
        if self.lines and (step + 1 == self.steps or (step + 1) % max(1, self.steps // 5) == 0):
            print(f"{self.title} {step + 1}/{self.steps} loss {record['loss']:.3f}", flush=True)
        if self.board:
            for key, value in _flat(record):
                self.board.add_scalar(key, value, step)
        if time.monotonic() - self.last_flush > 5:
            self.file.flush()
            self.last_flush = time.monotonic()

    def flush(self) -> None:
        """Let everything so far survive a kill; done before a checkpoint, behind which no line may be missing."""
        self.file.flush()

    def close(self) -> None:
        self.progress.stop()
        self.file.close()
        if self.board:
            self.board.close()


def read(path: Path) -> list[dict[str, Any]]:
    """All complete records of a metrics file; a half-written last line, as a kill leaves it, is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def _board(directory: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(directory / "tensorboard"))


def _flat(record: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    pairs = []
    for key, value in record.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{prefix}{key}/")
        elif not isinstance(value, list):  # names have no curve
            pairs.append((f"{prefix}{key}", value))
    return pairs


def peak_memory(device: torch.device | None = None) -> int:
    """Most memory, in bytes, that this process has held so far: of the GPU, where `device` is one."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
