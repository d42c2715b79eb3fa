"""Reading the tables that evaluation sets come in: parquet, TSV and JSON lines, every form of "nothing", pictures. No torch.

A cell that means nothing is None here, whatever it was: None, a float NaN, an empty cell, "nan", "None", "null", "<NA>".
Pictures stay the bytes of their files until a model needs them.
"""

from __future__ import annotations

import ast
import base64
import binascii
import csv
import hashlib
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from varco_vision.errors import InputError

Row = dict[str, Any]
SUFFIXES = (".parquet", ".tsv", ".jsonl")
NOTHING = frozenset(["", "nan", "none", "null", "<na>", "n/a"])
SHORTEST_BASE64 = 64  # in TSV files a shorter "picture" is the index of the row that holds it


def is_nothing(value: Any) -> bool:
    """None, NaN and the strings that stand for them. An empty list is nothing, too."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if isinstance(value, str):
        return value.strip().lower() in NOTHING
    return isinstance(value, (list, tuple)) and not value


def text(value: Any) -> str | None:
    """A cell as text: None for nothing; 3.0 as "3", since a column with gaps turns whole numbers into floats."""
    if is_nothing(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def read(path: Path) -> list[Row]:
    """Rows of a table file, in order."""
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix == ".tsv":
        return list(_tsv(path))
    if path.suffix == ".jsonl":
        return list(_jsonl(path))
    raise InputError(f"{path} is no table that can be read; give a file ending in {', '.join(SUFFIXES)}")


def _parquet(path: Path) -> list[Row]:
    try:
        from pyarrow import lib, parquet
    except ImportError as error:
        raise InputError(
            "reading parquet needs pyarrow; install the extra 'eval': pip install 'varco-vision-open[eval]'"
        ) from error
    try:
        return parquet.ParquetFile(path).read().to_pylist()  # read_table would import pandas, 0.2 s of every start
    except (OSError, lib.ArrowInvalid) as error:
        raise InputError(f"{path} is no complete parquet file ({str(error).splitlines()[0]})") from error


def _tsv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # pictures stand inside as base64
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(
                        f"{path}, line {reader.line_num}: the row has not the {len(reader.fieldnames or ())} cells of the header"
                    )
                yield dict(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table with tabs in UTF-8 ({error})") from error


def _jsonl(path: Path) -> Iterator[Row]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as JSON lines in UTF-8 ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number} is no JSON ({error.msg})") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number} is {type(row).__name__}; an object with the columns is needed")
        yield row


def file_digest(path: Path) -> tuple[str, str]:
    """(SHA-256, MD5) of a file: sets are published with one or the other."""
    sha, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
            md5.update(block)
    return sha.hexdigest(), md5.hexdigest()


# --- lists and pictures --------------------------------------------------------------------------------------------


def listed(value: Any, where: str) -> list[Any]:
    """A cell that holds a list: a list, or one written as JSON or as Python."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):
        for parse in (json.loads, ast.literal_eval):
            try:
                found = parse(value)
            except (ValueError, SyntaxError):
                continue
            if isinstance(found, (list, tuple)):
                return list(found)
    raise InputError(f"{where} is {value!r:.60}; a list of options is needed")


class Pictures:
    """Bytes of the pictures of one table, each kept once however many rows show it.

    folder: where paths in the table start. rows: needed where TSV rows name another row's index in place of a picture.
    """

    def __init__(self, folder: Path, rows: Sequence[Row] = (), key: str | None = None) -> None:
        self.folder = folder
        self._kept: dict[str, bytes] = {}
        self._by_index = {str(text(row.get(key))): row.get("image") for row in rows} if key else {}

    def read(self, value: Any, where: str) -> tuple[bytes, ...]:
        """The pictures of a cell: one or a list; nothing gives none."""
        if is_nothing(value):
            return ()
        if isinstance(value, str) and value.lstrip().startswith("["):
            value = listed(value, where)
        if isinstance(value, (list, tuple)):
            return tuple(content for one in value for content in self.read(one, where))
        return (self._keep(self._bytes(value, where)),)

    def _keep(self, content: bytes) -> bytes:
        return self._kept.setdefault(digest(content), content)

    def _bytes(self, value: Any, where: str) -> bytes:
        if isinstance(value, Mapping):
            if value.get("bytes"):
                return bytes(value["bytes"])
            value = value.get("path")
        if isinstance(value, bytes):
            return value
        if isinstance(value, Image.Image):
            kept = io.BytesIO()
            value.convert("RGB").save(kept, "PNG")
            return kept.getvalue()
        if not isinstance(value, str) or not value:
            raise InputError(
                f"{where} holds no picture: found {type(value).__name__}; bytes, base64 or a path are needed"
            )
        if len(value) < SHORTEST_BASE64 and value in self._by_index and self._by_index[value] != value:
            return self._bytes(self._by_index[value], where)
        return self._file(value) or _decoded(value, where)

    def _file(self, name: str) -> bytes | None:
        if len(name) > 1024 or "\n" in name:
            return None
        path = self.folder / name
        try:
            return path.read_bytes() if path.is_file() else None
        except OSError:
            return None


def _decoded(value: str, where: str) -> bytes:
    content = value.split(",", 1)[1] if value.startswith("data:image") else value
    try:
        decoded = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) < 16:
        raise InputError(f"{where} is {value[:40]!r}, neither a picture in base64 nor a file that exists")
    return decoded


def digest(content: bytes) -> str:
    """What stands for a picture's bytes in keys and file names: 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
