"""OCR of many files over the machines of a Ray cluster (extra `ray`); every machine must see files and OUT alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from varco_vision.errors import InputError
from varco_vision.infer.work import Job, Outcome, Reader, Task

BLOCK = 32  # files that a worker is given at once


class _Worker:
    """One model on one worker; Ray makes it once and calls it with blocks of files."""

    def __init__(self, task: Task) -> None:
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self.reader = Reader(task)

    def __call__(self, block: dict[str, Any]) -> dict[str, list[Any]]:
        given = [Job(str(file), str(target)) for file, target in zip(block["file"], block["target"], strict=True)]
        rows = [asdict(outcome) for outcome in self.reader.read(given)]
        return {name: [row[name] for row in rows] for name in rows[0]}


def read_cluster(
    given: Sequence[Job],
    task: Task,
    workers: int = 1,
    address: str | None = None,
    gpus: float = 0,
    cpus: float = 1,
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Read files with `workers` Ray actors, each with `cpus` cores and `gpus` GPUs.

    address: of a running cluster, "auto" for the one of this machine, None to start a local one (or use the one that
    this process is connected to). Raises `InputError` when Ray is missing.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("a cluster needs Ray; pip install 'varco-vision-open[ray]'") from None
    if not given:
        return []
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False if address is None else None)
        except (ConnectionError, ValueError) as error:
            raise InputError(f"no Ray cluster at {address!r} ({error})") from error
    rows = [asdict(job) for job in given]
    size = max(1, min(BLOCK, -(-len(rows) // (2 * workers))))
    read = ray.data.from_items(rows).map_batches(
        _Worker,
        fn_constructor_args=(task,),
        batch_size=size,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=cpus,
        num_gpus=gpus,
    )
    outcomes = []
    for row in read.iter_rows():
        outcomes.append(Outcome(**{name: _plain(value) for name, value in row.items()}))
        if progress is not None:
            progress(outcomes[-1])
    return outcomes


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
