"""Files of samples of any kind: JSON lines, parquet, tar, or a folder with shards of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from varco_vision.data import jsonl
from varco_vision.data.jsonl import Check, JsonlSource, Report
from varco_vision.data.parquet import ParquetFile, ParquetSource, picture_data, record_of, restored
from varco_vision.data.records import opened_picture
from varco_vision.data.sample import Sample
from varco_vision.data.shards import KINDS, LIST, ShardSet
from varco_vision.data.source import Source
from varco_vision.data.tar import TarFile, TarSource
from varco_vision.errors import InputError


class Joined:
    """Several finite sources one after the other."""

    def __init__(self, sources: list[Source]) -> None:
        self.sources = sources
        self.ends = list(accumulate(len(source) for source in sources))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.ends[-1]

    def group(self, index: int) -> list[Sample]:
        """Group `index` of all sources together."""
        which = bisect_right(self.ends, index)
        return self.sources[which].group(index - (self.ends[which - 1] if which else 0))


def sample_files(path: str | Path) -> list[Path]:
    """The files that a path names: itself, or the shards of a folder (those of its `set.json`, which must be finished).

    A folder without a list must hold files of one kind only.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    if (path / LIST).exists():
        found = ShardSet.load(path)
        if not found.finished:
            raise InputError(
                f"the set in {path} is not finished ({found.samples:,} samples so far); repeat the command that makes "
                "it, or name single files of it"
            )
        return [path / shard.file for shard in found.shards]
    kinds = {kind: sorted(path.glob(f"*.{kind}")) for kind in KINDS}
    there = [kind for kind, files in kinds.items() if files]
    if len(there) != 1:
        raise InputError(
            f"the folder {path} holds {' and '.join(there) or 'no'} files of samples; name a file, or a folder with "
            f"one kind of {', '.join('.' + kind for kind in KINDS)}"
        )
    return kinds[there[0]]


def open_files(path: str | Path, image_root: str | Path | None = None) -> Source:
    """A file or folder as a finite source of training samples (it has a length); `image_root` is for JSON lines only."""
    sources: list[Source] = []
    for file in sample_files(path):
        if file.suffix == ".parquet":
            sources.append(ParquetSource(file))
        elif file.suffix == ".tar":
            sources.append(TarSource(file))
        else:
            sources.append(JsonlSource(file, image_root))
    return sources[0] if len(sources) == 1 else Joined(sources)


def read(path: str | Path, image_root: str | Path | None = None) -> Iterator[Sample]:
    """Samples of a file or folder in order. Pictures inside shards come decoded, and shared by the samples of a group."""
    for file in sample_files(path):
        if file.suffix == ".parquet":
            yield from _read_parquet(file)
        elif file.suffix == ".tar":
            source = TarSource(file)
            for index in range(len(source)):
                yield from source.group(index)
        else:
            yield from jsonl.read(file, image_root)


def _read_parquet(path: Path) -> Iterator[Sample]:
    file = ParquetFile(path)
    shared: list[bytes] | None = None
    images: list = []
    for number, row in file.rows():
        place = f"{path}:{number}"
        data = picture_data(row, place)
        if data != shared:
            shared, images = data, [opened_picture(d, f"{place}: picture {k}") for k, d in enumerate(data, start=1)]
        yield restored(row, images, place)


def check(path: str | Path, image_root: str | Path | None = None) -> list[Report]:
    """All faults of a file, or of all files of a folder, in one run; ids must differ in the whole folder."""
    ids: dict[str, str] = {}
    reports = []
    for file in sample_files(path):
        if file.suffix == ".parquet":
            reports.append(_check_parquet(file, ids))
        elif file.suffix == ".tar":
            reports.append(_check_tar(file, ids))
        else:
            reports.append(jsonl.check_file(file, image_root, ids))
    return reports


def _check_parquet(path: Path, ids: dict[str, str]) -> Report:
    """Faults by row, counted from 1."""
    found = Check(path, ids)
    try:
        for number, row in ParquetFile(path).rows():
            found.line(number, *_parquet_line(row))
    except InputError as error:  # the file itself is damaged
        found.report.faults.append((found.report.samples + 1, str(error)))
    return found.finish() if found.report.samples or not found.report.faults else found.report


def _parquet_line(row: dict) -> tuple:
    try:
        data = picture_data(row, "the row")
    except InputError as error:
        return _raiser(error), ()
    names = [f"picture {k}" for k, _ in enumerate(data, start=1)]
    return (lambda: Sample.from_dict({**record_of(row), "images": names})), data


def _raiser(error: InputError):
    def fail() -> Sample:
        raise error

    return fail


def _check_tar(path: Path, ids: dict[str, str]) -> Report:
    """Faults by sample, counted from 1 over the whole file; messages name the key."""
    found = Check(path, ids)
    try:
        file = TarFile(path)
    except InputError as error:
        found.report.faults.append((1, str(error)))
        return found.report
    for entry in file.entries:
        before = len(found.report.faults)
        names = [name for name, _, _ in entry.pictures]
        try:
            records = file.records(entry)
            data = [file.data(place) for place in entry.pictures]
        except InputError as error:
            records, data = [_raiser(error)], []
        for record in records:
            found.line(found.report.samples + 1, _tar_line(record, names), data)
        new = [(number, f"{entry.key}: {message}") for number, message in found.report.faults[before:]]
        found.report.faults[before:] = new
    return found.finish()


def _tar_line(record, names: list[str]):
    if callable(record):
        return record
    return lambda: Sample.from_dict({**record, "images": names} if isinstance(record, dict) else record)
