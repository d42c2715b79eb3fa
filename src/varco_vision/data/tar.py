"""Samples in tar files in the WebDataset way: KEY.json and the pictures KEY.0.png, KEY.1.png ... beside it.

One key is one group: the JSON is a list of samples without "images" (or a single one), and all of them show the
pictures of the key in order. The files are not compressed, so any member can be read by its place.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from PIL import Image

from varco_vision.data.records import SUFFIXES, Group, opened_picture, restore
from varco_vision.data.sample import Sample
from varco_vision.errors import InputError

PICTURE_SUFFIXES = frozenset([*SUFFIXES.values(), "jpeg", "tiff", "jp2", "avif"])


@dataclass
class Entry:
    """One key: the place of its JSON and of its pictures, as (name, offset, bytes)."""

    key: str
    text: tuple[str, int, int] | None = None
    pictures: list[tuple[str, int, int]] = field(default_factory=list)


def write_tar(groups: Iterable[Group], file: IO[bytes]) -> None:
    """Write groups into an open file. Owner and time of the members are always zero: same groups, same bytes."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for group in groups:
            key = f"{group.number:09d}"
            text = json.dumps(list(group.records), ensure_ascii=False).encode()
            _add(archive, f"{key}.json", text)
            for number, picture in enumerate(group.pictures):
                _add(archive, f"{key}.{number}.{picture.suffix}", picture.data)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(data), 0, 0o644
    archive.addfile(member, io.BytesIO(data))


class TarFile:
    """A tar file of samples: its entries in order, and what stands at their places."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.entries: list[Entry] = []
        seen: set[str] = set()
        for name, offset, size in self._members():
            folder, _, base = name.rpartition("/")
            key, _, ending = base.partition(".")
            key = f"{folder}/{key}" if folder else key
            if not self.entries or self.entries[-1].key != key:
                if key in seen:
                    raise InputError(
                        f"{self.path} has members of {key!r} in two places; those of a key must be neighbours"
                    )
                seen.add(key)
                self.entries.append(Entry(key))
            place = (name, offset, size)
            if ending == "json":
                self.entries[-1].text = place
            elif ending.rpartition(".")[2].lower() in PICTURE_SUFFIXES:
                self.entries[-1].pictures.append(place)

    def _members(self) -> Iterator[tuple[str, int, int]]:
        try:
            with tarfile.open(self.path, mode="r:") as archive:
                size, end = self.path.stat().st_size, 0
                for member in archive:
                    if not member.isfile():
                        continue
                    if member.offset_data + member.size > size:
                        raise InputError(f"{self.path} is cut off inside {member.name}; make it again")
                    end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                    yield member.name, member.offset_data, member.size
                if size < end + 2 * tarfile.BLOCKSIZE:  # an archive ends with two empty blocks
                    raise InputError(f"{self.path} is cut off behind its last member; make it again")
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}") from error
        except tarfile.TarError as error:
            raise InputError(f"{self.path} is no plain tar file or is damaged ({error}); make it again") from error

    def data(self, place: tuple[str, int, int]) -> bytes:
        """The bytes of a member."""
        _, offset, size = place
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}") from error

    def records(self, entry: Entry) -> list[dict[str, Any]]:
        """The samples of a key without their pictures. `InputError` without the place."""
        if entry.text is None:
            raise InputError("there is no .json beside its other members; it must hold the samples")
        try:
            found = json.loads(self.data(entry.text).decode())
        except ValueError as error:
            raise InputError(f"no JSON ({error}); it must be a list of samples") from error
        return found if isinstance(found, list) else [found]

    def place(self, entry: Entry, number: int = 1) -> str:
        """Where a sample is, for messages."""
        return f"{self.path}:{entry.key}.json, sample {number}"


class TarSource:
    """A tar file as a source of training samples. All JSON is checked at the start, pictures when they are used."""

    def __init__(self, path: str | Path) -> None:
        self.file = TarFile(path)
        for entry in self.file.entries:
            self._samples(entry, [name for name, _, _ in entry.pictures])
        if not self.file.entries:
            raise InputError(f"{self.file.path} holds no sample; a source needs at least one")

    def _samples(self, entry: Entry, images: list[str] | list[Image.Image]) -> list[Sample]:
        try:
            records = self.file.records(entry)
        except InputError as error:
            raise InputError(f"{self.file.path}:{entry.key}: {error}") from error
        if not records:
            raise InputError(f"{self.file.path}:{entry.key}.json holds no sample")
        return [restore(record, images, self.file.place(entry, n)) for n, record in enumerate(records, start=1)]

    def __len__(self) -> int:
        return len(self.file.entries)

    def group(self, index: int) -> list[Sample]:
        """The samples of group `index`, read now; they share their decoded pictures."""
        entry = self.file.entries[index]
        images = [opened_picture(self.file.data(p), f"{self.file.path}:{p[0]}") for p in entry.pictures]
        return self._samples(entry, images)
