"""Groups of samples as they are stored: the pictures once, encoded, and what is said about them.

A group is what a `Source` gives for one index: samples on the same picture(s). All kinds of shards store and read it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from varco_vision import pictures
from varco_vision.data.sample import Sample, normalise, validate
from varco_vision.errors import InputError

ENCODINGS = {  # name -> how Pillow writes it; only "png" and "webp" keep every pixel
    "png": {"format": "PNG"},
    "jpeg": {"format": "JPEG", "quality": 92, "subsampling": 0},
    "webp": {"format": "WEBP", "lossless": True, "quality": 50, "method": 2},
}
SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "TIFF": "tif", "BMP": "bmp", "PPM": "ppm"}


@dataclass(frozen=True)
class Picture:
    """A picture as the bytes of a file, and the file name's ending ("png")."""

    data: bytes
    suffix: str


@dataclass(frozen=True)
class Group:
    """Samples on the same pictures. `records` are their JSON forms without "images"; `number` is the group's index."""

    number: int
    pictures: tuple[Picture, ...]
    records: tuple[dict[str, Any], ...]

    def first(self, count: int) -> Group:
        """The group with its first `count` samples only."""
        return replace(self, records=self.records[:count])

    @property
    def size(self) -> int:
        """Bytes of the pictures."""
        return sum(len(picture.data) for picture in self.pictures)


def encode(image: str | Image.Image, encoding: str = "png") -> Picture:
    """A picture in memory in the given encoding; the file of a path as it is, once it is known to be readable."""
    if isinstance(image, str):
        pictures.load(image)
        with Image.open(image) as opened:
            suffix = SUFFIXES.get(opened.format or "", (opened.format or "picture").lower())
        return Picture(Path(image).read_bytes(), suffix)
    if encoding not in ENCODINGS:
        raise InputError(f"pictures cannot be stored as {encoding!r}; known are {', '.join(ENCODINGS)}")
    buffer = io.BytesIO()
    settings = ENCODINGS[encoding]
    pictures.load(image).save(buffer, **settings)
    return Picture(buffer.getvalue(), SUFFIXES[str(settings["format"])])


def store(number: int, samples: Sequence[Sample], encoding: str = "png", prefix: str = "") -> Group:
    """Samples of one group in the form in which they are stored; `prefix` goes in front of their ids.

    `InputError` that names the sample for one that is not valid, or that has other pictures than the first.
    """
    first = samples[0].images if samples else ()
    records = []
    for sample in samples:
        if sample.images != first:
            raise InputError(f"sample {sample.id!r} has other pictures than {samples[0].id!r} of the same group")
        sample, _ = normalise(sample)
        if faults := validate(sample):
            raise InputError(f"sample {sample.id!r} cannot be stored: {faults[0]}")
        record = replace(sample, id=prefix + sample.id, images=()).to_dict()
        del record["images"]
        records.append(record)
    return Group(number, tuple(encode(image, encoding) for image in first), tuple(records))


def restore(record: Mapping[str, Any], images: Iterable[str | Image.Image], place: str) -> Sample:
    """A stored record with its pictures as a valid sample; `InputError` that begins with `place`."""
    try:
        data = {**record, "images": list(images)} if isinstance(record, Mapping) else record
        sample, _ = normalise(Sample.from_dict(data))
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    if faults := validate(sample):
        more = f" (and {len(faults) - 1} more; `varco-vision data validate` lists all)" if len(faults) > 1 else ""
        raise InputError(f"{place}: {faults[0]}{more}")
    return sample


def opened_picture(data: bytes, name: str) -> Image.Image:
    """The bytes of a picture as upright RGB; `InputError` that calls the picture `name`."""
    return pictures.load(data, name=name)
