"""Making a set of shards from a source, in any number of processes, so that it can be killed and goes on exactly.

Workers make and encode blocks of groups; this process takes the blocks in order and writes. So neither the number of
workers nor an interruption changes a byte.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from varco_vision.data.records import ENCODINGS, Group, store
from varco_vision.data.shards import SetWriter, ShardSet, locked
from varco_vision.data.source import Source
from varco_vision.errors import InputError

BLOCK = 4  # groups that a worker makes in one go
AHEAD = 3  # blocks for each worker that may wait for the writer
BARREN = 1000  # groups in a row without a sample before that counts as a fault

Factory = Callable[[], Source]


@dataclass(frozen=True)
class Order:
    """What to make: `count` samples in shards of about `shard_size`; `spec` is what identifies the set besides these.

    numbered: ids get the number of their group in front, for sources that give a sample more than once.
    """

    folder: Path
    spec: dict[str, Any]
    count: int
    shard_size: int = 1000
    kind: str = "parquet"
    prefix: str = "train"
    encoding: str = "png"
    numbered: bool = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"{self.count} samples were asked for; at least 1 is needed")
        if self.encoding not in ENCODINGS:
            raise InputError(f"pictures cannot be stored as {self.encoding!r}; known are {', '.join(ENCODINGS)}")

    def full_spec(self) -> dict[str, Any]:
        own = {"count": self.count, "shard_size": self.shard_size, "format": self.kind, "pictures": self.encoding}
        return {**self.spec, **own, "prefix": self.prefix}


def make(
    factory: Factory,
    order: Order,
    workers: int = 0,
    progress: Callable[[int], object] = lambda done: None,
    report: Callable[[int], dict[str, Any]] = lambda groups: {},
) -> ShardSet:
    """Write the set, or what is left of it, and return its list.

    factory: makes the source; it goes to `workers` processes (0: this one does everything) and must be picklable.
    progress: called with the number of samples so far. report: called with the number of groups, for `set.json`.
    """
    if workers < 0:
        raise InputError(f"{workers} workers were asked for; 0 or more are possible")
    with locked(order.folder):
        writer = SetWriter(order.folder, order.kind, order.prefix, order.shard_size, order.full_spec(), order.count)
        progress(writer.samples)
        if writer.set.finished:
            return writer.set
        barren = 0
        groups = _groups(factory, order, writer.next_group, workers)
        try:
            while not writer.full:
                group = next(groups)
                barren = 0 if group.records else barren + 1
                if barren == BARREN:
                    raise InputError(f"{BARREN} groups in a row hold no sample; check the options of the source")
                writer.add(group)
                progress(writer.samples)
        finally:
            groups.close()
        return writer.finish(report(writer.next_group))


def _groups(factory: Factory, order: Order, first: int, workers: int) -> Iterator[Group]:
    """Groups from `first` on in order, without end."""
    if not workers:
        source = factory()
        number = first
        while True:
            yield _stored(source, number, order.encoding, order.numbered)
            number += 1
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (factory,))
    waiting: deque[Future[list[Group]]] = deque()
    try:
        while True:
            while len(waiting) < workers * AHEAD:
                waiting.append(pool.submit(_block, first, order.encoding, order.numbered))
                first += BLOCK
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process was ended from outside, perhaps for want of memory; try fewer --workers, the same "
            "command goes on"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_SOURCE: list[Source | InputError] = []  # of a worker process


def _begin(factory: Factory) -> None:
    """Start of a worker. An interrupt is the writing process's business; a fault is kept for the first block."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _SOURCE.append(factory())
    except InputError as error:
        _SOURCE.append(error)


def _end_with_parent() -> None:
    """A worker whose writing process was killed would otherwise wait for work for ever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _block(first: int, encoding: str, numbered: bool) -> list[Group]:
    source = _SOURCE[0]
    if isinstance(source, InputError):
        raise source
    return [_stored(source, number, encoding, numbered) for number in range(first, first + BLOCK)]


def _stored(source: Source, number: int, encoding: str, numbered: bool) -> Group:
    return store(number, source.group(number), encoding, f"{number:08d}-" if numbered else "")
