"""Sets of shards: a folder with files of one kind and `set.json`, which lists them and says what they are made of.

A shard gets its name when it is complete and on the disk, and is listed after that. So whatever happens to a process,
every listed shard is whole, and what is not listed may be written again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from varco_vision.data.disk import make_folder, write_whole
from varco_vision.data.parquet import arrow, write_parquet
from varco_vision.data.records import Group
from varco_vision.data.tar import write_tar
from varco_vision.errors import InputError

KINDS = ("parquet", "tar", "jsonl")
LIST = "set.json"
LOCK = ".writing"
VERSION = 1


@dataclass(frozen=True)
class Shard:
    """A finished file: the groups `first` .. `next` - 1 of the stream are in it (some may have had no sample)."""

    file: str
    first: int
    next: int
    samples: int
    bytes: int
    blake2b: str


@dataclass
class ShardSet:
    """What `set.json` holds. `spec` says how the set is made: the same spec gives the same shards."""

    spec: dict[str, Any]
    shards: list[Shard] = field(default_factory=list)
    finished: bool = False
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return sum(shard.samples for shard in self.shards)

    @property
    def next_group(self) -> int:
        return self.shards[-1].next if self.shards else 0

    def save(self, folder: Path) -> None:
        text = json.dumps({"version": VERSION, "samples": self.samples, **asdict(self)}, ensure_ascii=False, indent=1)
        write_whole(folder / LIST, lambda file: file.write(text.encode() + b"\n"))

    @staticmethod
    def load(folder: Path) -> ShardSet:
        """`InputError` where there is no list, or one that this version does not read."""
        path = folder / LIST
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            shards = [Shard(**shard) for shard in data["shards"]]
            return ShardSet(data["spec"], shards, data["finished"], data["report"])
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no list of shards ({error}); write the set into a new folder") from error


def write_shard(path: Path, kind: str, groups: Sequence[Group]) -> None:
    """Write groups as one complete file of the kind; JSON lines put their pictures into `pictures/` beside it."""
    if kind == "jsonl":
        _write_lines(path, groups)
    else:
        write = write_parquet if kind == "parquet" else write_tar
        write_whole(path, lambda file: write(groups, file))


def _write_lines(path: Path, groups: Sequence[Group]) -> None:
    folder = path.parent / "pictures"
    lines = []
    for group in groups:
        names = []
        for picture in group.pictures:
            name = f"{hashlib.blake2b(picture.data, digest_size=12).hexdigest()}.{picture.suffix}"
            names.append(f"pictures/{name}")
            if not (folder / name).exists():
                make_folder(folder)
                write_whole(folder / name, lambda file, data=picture.data: file.write(data))
        for record in group.records:
            ordered = {"id": record["id"], "images": names, **record}
            lines.append(json.dumps(ordered, ensure_ascii=False).encode() + b"\n")
    write_whole(path, lambda file: file.writelines(lines))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder for one writing process alone; the lock ends with the process, however that ends."""
    make_folder(folder)
    try:
        file = (folder / LOCK).open("w")
    except OSError as error:
        raise InputError(f"{folder} cannot be written into: {error.strerror}; choose another folder") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another process is writing into {folder}; wait for it or choose another folder"
            ) from None
        yield


class SetWriter:
    """Takes groups in order and writes a shard whenever `shard_size` samples have come together, `count` in all.

    An existing set with the same spec in the folder is continued after its last shard (`next_group`, `samples`). `InputError` for a
    folder with anything else in it, a set made otherwise, or listed shards that are not there as they were written.
    Nothing that was listed is lost when a write fails; the message says how much that is.
    """

    def __init__(
        self, folder: Path, kind: str, prefix: str, shard_size: int, spec: dict[str, Any], count: int | None = None
    ) -> None:
        if kind not in KINDS:
            raise InputError(f"unknown format {kind!r}; known are {', '.join(KINDS)}")
        if shard_size < 1:
            raise InputError(f"shards of {shard_size} samples were asked for; at least 1 is needed")
        if kind == "parquet":
            arrow()
        self.folder, self.kind, self.prefix, self.shard_size, self.count = folder, kind, prefix, shard_size, count
        make_folder(folder)
        self.set = self._begun(folder, json.loads(json.dumps(spec)))
        self.samples, self.next_group = self.set.samples, self.set.next_group
        self.waiting: list[Group] = []
        self.waiting_samples = 0
        self.first = self.next_group

    def _begun(self, folder: Path, spec: dict[str, Any]) -> ShardSet:
        there = [p for p in folder.iterdir() if p.name != LOCK] if folder.is_dir() else []
        leftovers = [p for p in there if p.name.startswith(".") and p.name.endswith(".part")]
        listed = (folder / LIST).exists()
        others = len(there) - len(leftovers) - listed
        if not listed or (
            not others and not ShardSet.load(folder).shards
        ):  # a command that failed at once binds nobody
            if others:
                raise InputError(f"the folder {folder} holds other files; choose a new or an empty one")
            found = ShardSet(spec)
            found.save(folder)  # from now on the folder is known as this set's, even if nothing else gets written
        else:
            found = ShardSet.load(folder)
            _check_spec(folder, found.spec, spec)
            for shard in found.shards:
                path = folder / shard.file
                if not path.is_file() or path.stat().st_size != shard.bytes:
                    raise InputError(
                        f"{path} is missing or changed since it was written; write the set into a new folder"
                    )
        for path in (*leftovers, *folder.glob("pictures/.*.part")):
            path.unlink()
        return found

    @property
    def full(self) -> bool:
        return self.count is not None and self.samples >= self.count

    def add(self, group: Group) -> None:
        """Take the next group; the last one is cut so that the set has `count` samples exactly."""
        assert not self.set.finished and not self.full, "the set is complete"
        if self.count is not None:
            group = group.first(self.count - self.samples)
        self.next_group = group.number + 1
        if not group.records:
            return
        self.waiting.append(group)
        self.waiting_samples += len(group.records)
        self.samples += len(group.records)
        if self.waiting_samples >= self.shard_size:
            self._write()

    def _write(self) -> None:
        name = f"{self.prefix}-{len(self.set.shards):05d}.{self.kind}"
        path = self.folder / name
        try:
            write_shard(path, self.kind, self.waiting)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            shard = Shard(name, self.first, self.next_group, self.waiting_samples, path.stat().st_size, digest)
            self.set.shards.append(shard)
            try:
                self.set.save(self.folder)
            except InputError:
                self.set.shards.pop()
                raise
        except InputError as error:
            kept = f"{self.set.samples:,} samples in {len(self.set.shards)} shards are complete and kept"
            raise InputError(f"{error}; {kept}, and the same command goes on behind them") from error
        self.waiting, self.waiting_samples, self.first = [], 0, self.next_group

    def finish(self, report: dict[str, Any] | None = None) -> ShardSet:
        """Write what waits, and the list with its report for the last time."""
        if self.waiting:
            self._write()
        self.set.finished, self.set.report = True, report or {}
        self.set.save(self.folder)
        return self.set


def _check_spec(folder: Path, found: dict[str, Any], spec: dict[str, Any]) -> None:
    for name in [*spec, *(n for n in found if n not in spec)]:
        if found.get(name) != spec.get(name):
            raise InputError(
                f"the set in {folder} was begun with {name} = {found.get(name)!r}, now it is {spec.get(name)!r}; repeat "
                "the first command to go on with it, or choose another folder"
            )
