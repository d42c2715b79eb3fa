"""Samples in JSON lines files with pictures beside them: read, check, write, and serve to training.

Paths of pictures in a file are relative to the file's folder (or to `image_root`); in a `Sample` they are ready to open.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from PIL import Image

from varco_vision import pictures
from varco_vision.data.disk import make_folder, write_whole
from varco_vision.data.sample import Sample, image_parts, normalise, validate
from varco_vision.errors import InputError

Place = tuple[int, str]  # line number (from 1) and a sentence


@dataclass
class Report:
    """Everything found in one file. `faults` make samples unusable; `notes` were mended while reading."""

    path: Path
    samples: int = 0
    faults: list[Place] = field(default_factory=list)
    notes: list[Place] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when every line is a sample that can be trained on, and there is at least one."""
        return not self.faults


def read(path: str | Path, image_root: str | Path | None = None) -> Iterator[Sample]:
    """Samples of a file in order, text composed (NFC). `InputError` with file and line at the first that is not valid.

    Pictures are not opened; `check_file` does that.
    """
    path = Path(path)
    root = path.parent if image_root is None else Path(image_root)
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _sample(line, path, number, root)


def check_file(path: str | Path, image_root: str | Path | None = None, ids: dict[str, str] | None = None) -> Report:
    """All faults of a file in one run: lines that are no samples, invalid samples, repeated ids, unreadable pictures.

    ids: those of the other files of a set, with their places; the file's own are added.
    """
    path = Path(path)
    root = path.parent if image_root is None else Path(image_root)
    check = Check(path, ids)
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                check.line(number, lambda line=line: _parsed(line, root))
    return check.finish()


class Check:
    """Collects what is wrong with the samples of one file. `line` takes the number to report and a way to the sample."""

    def __init__(self, path: Path, ids: dict[str, str] | None = None) -> None:
        self.report = Report(path)
        self.ids = {} if ids is None else ids
        self.broken: dict[str | bytes, str] = {}  # picture -> fault, "" when it is sound

    def line(self, number: int, parsed: Callable[[], Sample], stored: Sequence[bytes] = ()) -> None:
        """Check one sample. stored: its pictures, where they are not files of their own."""
        report = self.report
        report.samples += 1
        try:
            sample = parsed()
        except InputError as error:
            report.faults.append((number, str(error)))
            return
        sample, notes = normalise(sample)
        report.notes.extend((number, note) for note in notes)
        report.faults.extend((number, fault) for fault in validate(sample))
        place = f"{report.path}:{number}"
        first = self.ids.setdefault(sample.id, place)
        if first != place:
            file, _, line = first.rpartition(":")
            where = f"in line {line}" if file == str(report.path) else f"in {first}"
            report.faults.append((number, f"the id {sample.id!r} was used before, {where}"))
        report.faults.extend((number, fault) for fault in self._picture_faults(sample, stored))

    def _picture_faults(self, sample: Sample, stored: Sequence[bytes]) -> Iterator[str]:
        """Each picture is opened once, however many samples show it."""
        for number, image in enumerate(stored or sample.images, start=1):
            assert not isinstance(image, Image.Image)
            key = hashlib.blake2b(image, digest_size=16).digest() if isinstance(image, bytes) else image
            if key not in self.broken:
                try:
                    pictures.load(image, name=f"picture {number}" if isinstance(image, bytes) else None)
                    self.broken[key] = ""
                except InputError as error:
                    self.broken[key] = str(error)
            if self.broken[key]:
                yield self.broken[key]

    def finish(self) -> Report:
        """The report; a file without any sample is at fault too."""
        if not self.report.samples:
            self.report.faults.append((1, "the file holds no sample"))
        return self.report


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; give a file of JSON lines") from error


def _parsed(line: bytes, root: Path) -> Sample:
    """One line as a sample whose pictures can be opened. `InputError` without the place."""
    try:
        data = json.loads(line.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start + 1} is not UTF-8; the file must be UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise InputError(f"no JSON: {error.msg} at column {error.colno}; each line must be one JSON object") from error
    sample = Sample.from_dict(data)
    resolved = tuple(os.fspath(root / image) if image else image for image in map(str, sample.images))
    return replace(sample, images=resolved)


def _no_constant(name: str) -> float:
    raise InputError(f"no JSON: {name} is no number; leave the field out")


def _sample(line: bytes, path: Path, number: int, root: Path) -> Sample:
    """A valid sample, or `InputError` with its place."""
    try:
        sample, _ = normalise(_parsed(line, root))
    except InputError as error:
        raise InputError(f"{path}:{number}: {error}") from error
    faults = validate(sample)
    if faults:
        more = f" (and {len(faults) - 1} more; `varco-vision data validate` lists all)" if len(faults) > 1 else ""
        raise InputError(f"{path}:{number}: {faults[0]}{more}")
    return sample


def write(samples: Iterable[Sample], path: str | Path, picture_dir: str | Path | None = None) -> int:
    """Write samples to a JSON lines file and return their number.

    Pictures in memory are stored as PNG files in `picture_dir` (left out: a folder beside the file, named after it),
    each once, named after its pixels. All is there or nothing: the file appears under its name when it is complete.
    `InputError` for a sample that is not valid, an id that was used before, or a place that cannot be written to.
    """
    path = Path(path)
    folder = path.parent / f"{path.stem}_pictures" if picture_dir is None else Path(picture_dir)
    make_folder(path.parent)
    ids: set[str] = set()

    def lines(file: IO[bytes]) -> None:
        for sample in samples:
            faults = validate(sample) or (["its id was used before"] if sample.id in ids else [])
            if faults:
                raise InputError(f"sample {sample.id!r} cannot be written to {path}: {faults[0]}")
            ids.add(sample.id)
            images = tuple(_relative(_stored(image, folder), path.parent) for image in sample.images)
            data = replace(sample, images=images).to_dict()
            file.write(json.dumps(data, ensure_ascii=False).encode() + b"\n")

    write_whole(path, lines)
    return len(ids)


def _stored(image: str | Image.Image, folder: Path) -> str:
    """The path of a picture, which is written first where it is in memory."""
    if isinstance(image, str):
        return image
    picture = pictures.load(image)
    digest = hashlib.blake2b(picture.tobytes(), digest_size=12, key=repr(picture.size).encode()).hexdigest()
    target = folder / f"{digest}.png"
    if not target.exists():
        make_folder(folder)
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        write_whole(target, lambda file: file.write(buffer.getbuffer()), sync=False)
    return os.fspath(target)


def _relative(image: str, folder: Path) -> str:
    """Relative inside the file's folder, so that the two can move together; absolute elsewhere."""
    absolute = Path(os.path.abspath(image))
    folder = Path(os.path.abspath(folder))
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else os.fspath(absolute)


class JsonlSource:
    """A file as a source of training samples: group i holds the samples on the same picture(s), in file order.

    Samples share a group when their pictures and everything said before the last picture are the same; samples without
    pictures stand alone. Only places in the file are kept in memory. The whole file is checked at the start, also that
    the pictures exist, but not what is in them: `InputError` names file and line.
    """

    def __init__(self, path: str | Path, image_root: str | Path | None = None) -> None:
        self.path = Path(path)
        self.root = self.path.parent if image_root is None else Path(image_root)
        groups: dict[bytes, list[tuple[int, int]]] = {}
        found: set[str] = set()
        with _opened(self.path) as file:
            offset = 0
            for number, line in enumerate(file, start=1):
                if line.strip():
                    sample = _sample(line, self.path, number, self.root)
                    self._find_pictures(sample, number, found)
                    key = _shared_key(sample) or number.to_bytes(8, "big")
                    groups.setdefault(key, []).append((offset, number))
                offset += len(line)
        if not groups:
            raise InputError(f"{self.path} holds no sample; a source needs at least one")
        self.places = list(groups.values())

    def _find_pictures(self, sample: Sample, number: int, found: set[str]) -> None:
        for image in map(str, sample.images):
            if image not in found and not os.path.isfile(image):
                raise InputError(
                    f"{self.path}:{number}: the picture {image} does not exist; paths start at {self.root}"
                )
            found.add(image)

    def __len__(self) -> int:
        return len(self.places)

    def group(self, index: int) -> list[Sample]:
        """The samples of group `index`, read from the file now."""
        samples = []
        with _opened(self.path) as file:
            for offset, number in self.places[index]:
                file.seek(offset)
                samples.append(_sample(file.readline(), self.path, number, self.root))
        return samples


def _shared_key(sample: Sample) -> bytes | None:
    """Equal for samples whose conversations are the same up to the last picture; None without pictures."""
    if not sample.images:
        return None
    last = max(n for n, turn in enumerate(sample.messages) if image_parts([turn]))
    before = [sample.images, sample.messages[:last], image_parts(sample.messages[last : last + 1])]
    return hashlib.blake2b(json.dumps(before, ensure_ascii=False).encode(), digest_size=16).digest()
