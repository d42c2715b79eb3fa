"""Append-only files of JSON lines that keep what is expensive: nothing is rewritten, every batch is on the disk.

A record has a "key", a digest of everything that decides its content. A run that was killed leaves at most one torn line
at the end, which is cut off when the file is opened again; anything else that cannot be read is an error.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from varco_vision.errors import InputError

Record = dict[str, Any]


def key_of(**parts: Any) -> str:
    """32 hexadecimal digits that stand for JSON values by name."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Store:
    """Records of one file by key. Open for writing it is locked: two runs cannot write into the same file.

    `torn`: bytes of an unfinished last line that were cut off.
    """

    def __init__(self, path: Path, writing: bool = True) -> None:
        self.path = path
        self.torn = 0
        self.records: dict[str, Record] = {}
        self._file: int | None = None
        if writing:
            self._open()
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror or error}") from error
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no such locks on Windows
            pass
        except OSError:
            self.close()
            raise InputError(f"another run is writing {self.path}; wait for it, or use another --out") from None

    def _read(self) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole, end = content.rpartition(b"\n")[::2]
        if end:
            self.torn = len(end)
            if self._file is not None:
                os.ftruncate(self._file, len(content) - len(end))
        for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
            try:
                record = json.loads(line)
                self.records[record["key"]] = record
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    f"{self.path}, line {number} is no record of a run; move the file away to begin anew"
                ) from error

    def __contains__(self, key: str) -> bool:
        return key in self.records

    def __getitem__(self, key: str) -> Record:
        return self.records[key]

    def __len__(self) -> int:
        return len(self.records)

    def append(self, records: Iterable[Record]) -> None:
        """Write records and wait until they are on the disk."""
        assert self._file is not None, "opened for reading"
        kept = list(records)
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept).encode()
        try:
            while lines:
                lines = lines[os.write(self._file, lines) :]
            os.fsync(self._file)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror or error}") from error
        self.records.update({record["key"]: record for record in kept})

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
