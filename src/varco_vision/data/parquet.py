"""Samples in parquet files with the pictures inside, one row a sample; they open as HF data sets with image columns too.

Columns: id, group, images (list of {bytes, path}), task, lang, messages, chosen, rejected (lists of {role, content},
content a list of {type, text}), meta (JSON text). Neighbouring rows with the same `group` are one group; without that
column, neighbouring rows with the same pictures. A picture that several rows share is stored once (dictionary encoding).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from PIL import Image

from varco_vision.data.records import Group, opened_picture, restore
from varco_vision.data.sample import REQUIRED, Sample, image_parts
from varco_vision.errors import InputError

BLOCK_BYTES = 1 << 20  # a row group closes above this many bytes of pictures, so that one group is cheap to read
BLOCK_ROWS = 256
TURNS = ("messages", "chosen", "rejected")
PICTURE_BYTES = "images.list.element.bytes"


def arrow() -> Any:
    """The modules (pyarrow, pyarrow.parquet), or `InputError` that says how to get them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            "parquet files need pyarrow, which is not installed; pip install 'varco-vision-open[data]', or use "
            "--format jsonl or tar"
        ) from error
    return pyarrow, pyarrow.parquet


def _schema(pa: Any) -> Any:
    part = pa.struct([("type", pa.string()), ("text", pa.string())])
    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(part))]))
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = [("id", pa.string()), ("group", pa.int64()), ("images", pa.list_(image)), ("task", pa.string())]
    columns += [("lang", pa.string()), *((name, turns) for name in TURNS), ("meta", pa.string())]
    text = {"dtype": "string", "_type": "Value"}
    feature = [{"role": text, "content": [{"type": text, "text": text}]}]
    features: dict[str, Any] = {"id": text, "group": {"dtype": "int64", "_type": "Value"}}
    features |= {"images": [{"_type": "Image"}], "task": text, "lang": text}
    features |= {name: feature for name in TURNS} | {"meta": text}
    return pa.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _rows(group: Group) -> Iterator[dict[str, Any]]:
    images = [{"bytes": p.data, "path": f"{group.number}.{k}.{p.suffix}"} for k, p in enumerate(group.pictures)]
    for record in group.records:
        row = {**record, "group": group.number, "images": images}
        for name in TURNS:
            if record.get(name) is not None:
                row[name] = [{"role": turn["role"], "content": _parts(turn["content"])} for turn in record[name]]
        row["meta"] = json.dumps(record["meta"], ensure_ascii=False) if "meta" in record else None
        yield row


def _parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _blocks(groups: Iterable[Group]) -> Iterator[list[dict[str, Any]]]:
    """Rows of whole groups, as many as make a row group."""
    rows: list[dict[str, Any]] = []
    size = 0
    for group in groups:
        rows += _rows(group)
        size += group.size
        if size >= BLOCK_BYTES or len(rows) >= BLOCK_ROWS:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def write_parquet(groups: Iterable[Group], file: IO[bytes]) -> None:
    """Write groups into an open file. The same groups give the same bytes (with the same pyarrow)."""
    pa, pq = arrow()
    schema = _schema(pa)
    settings = {
        "compression": "zstd",
        "use_dictionary": [PICTURE_BYTES],
        "dictionary_pagesize_limit": 1 << 30,
        "write_statistics": False,
    }
    with pq.ParquetWriter(file, schema, **settings) as writer:
        for rows in _blocks(groups):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def record_of(row: dict[str, Any]) -> dict[str, Any]:
    """The JSON form (without pictures) of a row; parts lose the fields that are null."""
    record = {name: value for name, value in row.items() if value is not None and name not in ("group", "images")}
    for name in TURNS:
        if isinstance(record.get(name), list):
            record[name] = [_without_nulls(turn) for turn in record[name]]
    if "meta" in record:
        try:
            record["meta"] = json.loads(record["meta"])
        except (TypeError, ValueError) as error:
            raise InputError(f"the column 'meta' holds no JSON ({error}); it must be JSON text or null") from error
    return record


def _without_nulls(turn: Any) -> Any:
    """A turn whose parts have only the fields that are set; what is no turn stays as it is, for `Sample` to refuse."""
    if not isinstance(turn, dict) or not isinstance(turn.get("content"), list):
        return turn
    parts = turn["content"]
    kept = [{k: v for k, v in p.items() if v is not None} if isinstance(p, dict) else p for p in parts]
    return {**turn, "content": kept}


class ParquetFile:
    """A parquet file of samples: `rows` in order, and single groups. `InputError` for a file that is none."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.metadata = self._open().metadata
        names = self._open().schema_arrow.names
        missing = [name for name in REQUIRED if name not in names]
        if missing:
            found = ", ".join(names)
            raise InputError(
                f"{self.path} has no column {missing[0]!r} (its columns are {found}); samples need "
                f"{', '.join(REQUIRED)}; `varco-vision data convert hf` reads other tables"
            )
        self.names = names
        self._kept: tuple[int, Any] = (-1, None)

    def _open(self) -> Any:
        """Opened anew each time, so that a source can be handed to other processes."""
        pa, pq = arrow()
        try:
            return pq.ParquetFile(self.path, metadata=getattr(self, "metadata", None))
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}") from error
        except pa.ArrowException as error:
            raise InputError(f"{self.path} is no parquet file or is cut off ({error}); make it again") from error

    def block(self, number: int, pictures: bool = True) -> list[dict[str, Any]]:
        """The rows of a row group; without `pictures` their bytes are left out."""
        pa, _ = arrow()
        schema = self.metadata.schema
        paths = [schema.column(k).path for k in range(len(schema))]
        wanted = [p for p in paths if pictures or not (p.startswith("images.") and p.endswith(".bytes"))]
        try:
            return self._open().read_row_group(number, columns=wanted).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{self.path} is damaged in row group {number + 1} ({error}); make it again") from error

    def rows(self, pictures: bool = True) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number from 1, row) of the whole file."""
        number = 0
        for block in range(self.metadata.num_row_groups):
            for row in self.block(block, pictures):
                number += 1
                yield number, row

    def group_rows(self, block: int, start: int, count: int) -> list[dict[str, Any]]:
        """Rows `start` .. `start + count` of a row group. The last row group stays in memory, as a table."""
        if self._kept[0] != block:
            pa, _ = arrow()
            try:
                self._kept = (block, self._open().read_row_group(block))
            except (OSError, pa.ArrowException) as error:
                raise InputError(f"{self.path} is damaged in row group {block + 1} ({error}); make it again") from error
        return self._kept[1].slice(start, count).to_pylist()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": (-1, None)}


def picture_data(row: dict[str, Any], place: str) -> list[bytes]:
    """The bytes of a row's pictures; `InputError` for a picture that is not stored in the file."""
    found = []
    for number, image in enumerate(row.get("images") or (), start=1):
        data = image.get("bytes") if isinstance(image, dict) else image
        if not isinstance(data, bytes):
            raise InputError(f"{place}: picture {number} is not stored in the file; every picture needs its bytes")
        found.append(data)
    return found


class ParquetSource:
    """A parquet file as a source of training samples. The text of all rows is checked at the start, pictures when used."""

    def __init__(self, path: str | Path) -> None:
        self.file = ParquetFile(path)
        self.places: list[tuple[int, int, int, int]] = []  # row group, first row in it, rows, number of the first row
        first = 1
        grouped = "group" in self.file.names
        for block in range(self.file.metadata.num_row_groups):
            rows = self.file.block(block, pictures=not grouped)
            for number, row in enumerate(rows, start=first):
                named = [f"picture {k}" for k, _ in enumerate(row.get("images") or (), start=1)]
                restored(row, named, self._place(number))
            keys = [row["group"] if grouped else _picture_key(row, first + k) for k, row in enumerate(rows)]
            start = 0
            for _, same in groupby(keys):
                count = len(list(same))
                self.places.append((block, start, count, first + start))
                start += count
            first += len(rows)
        if not self.places:
            raise InputError(f"{self.file.path} holds no sample; a source needs at least one")

    def _place(self, number: int) -> str:
        return f"{self.file.path}:{number}"

    def __len__(self) -> int:
        return len(self.places)

    def group(self, index: int) -> list[Sample]:
        """The samples of group `index`, read now; they share their decoded pictures."""
        block, start, count, first = self.places[index]
        shared: list[bytes] | None = None
        images: list[Image.Image] = []
        samples = []
        for number, row in enumerate(self.file.group_rows(block, start, count), start=first):
            place = self._place(number)
            data = picture_data(row, place)
            if shared is None:
                shared = data
                images = [opened_picture(d, f"{place}: picture {k}") for k, d in enumerate(data, start=1)]
            elif data != shared:
                raise InputError(f"{place}: its pictures are not those of row {first}, which has the same group")
            samples.append(restored(row, images, place))
        return samples


def restored(row: dict[str, Any], images: Iterable[str | Image.Image], place: str) -> Sample:
    """A row as a valid sample; `InputError` with its place."""
    try:
        record = record_of(row)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return restore(record, images, place)


def _picture_key(row: dict[str, Any], number: int) -> bytes:
    """Equal for rows on the same pictures and with the same words before the last of them."""
    if not row.get("images"):
        return number.to_bytes(8, "big")
    digest = hashlib.blake2b(digest_size=16)
    for data in picture_data(row, f"row {number}"):
        digest.update(hashlib.blake2b(data).digest())
    turns = row["messages"]
    holding = [k for k, turn in enumerate(turns) if image_parts([turn])]
    digest.update(json.dumps(turns[: holding[-1]] if holding else turns, ensure_ascii=False).encode())
    return digest.digest()
