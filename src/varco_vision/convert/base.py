"""What all converters share: settings, counters of what was left out, finding pictures, and writing questions.

A converter reads a set in another form and yields groups of samples, one group for each picture. What cannot be used is
left out and counted by reason, never mended by guessing; a file that is not of the form at all is an `InputError`.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from varco_vision import markup, pictures
from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.synth.phrasing import LANGUAGES, Speaker
from varco_vision.synth.rng import stream

Groups = Iterator[list[Sample]]
HANGUL = re.compile("[가-힣ㄱ-ㅎㅏ-ㅣ]")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass
class Losses:
    """Counts of what was left out, by reason, each with the first example; `changes` counts what was altered."""

    counts: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def drop(self, reason: str, example: object = "") -> None:
        self.counts[reason] += 1
        if example != "":
            self.examples.setdefault(reason, str(example))

    def change(self, what: str, example: object = "") -> None:
        self.changes[what] += 1
        if example != "":
            self.examples.setdefault(what, str(example))


@dataclass(frozen=True)
class Settings:
    """How to convert.

    images: folder of the pictures (None: beside the file). langs: languages of the questions that are made here.
    questions: most of them a picture and language. digits: decimals of coordinates. names: English name -> Korean name
    of things that the built-in table lacks. columns: names of columns by role (form "hf"). extra: a second file where a
    form has one (instances.json for references).
    """

    images: Path | None = None
    langs: tuple[str, ...] = LANGUAGES
    questions: int = 4
    digits: int = 3
    seed: int = 0
    split: str = "train"
    names: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    extra: Path | None = None
    losses: Losses = field(default_factory=Losses)

    def __post_init__(self) -> None:
        unknown = [lang for lang in self.langs if lang not in LANGUAGES]
        if unknown or not self.langs:
            raise InputError(f"languages {list(self.langs)} were asked for; known are {', '.join(LANGUAGES)}")
        if self.questions < 1:
            raise InputError(f"{self.questions} questions a picture were asked for; at least 1 is needed")
        if not 1 <= self.digits <= markup.MAX_DIGITS:
            raise InputError(f"{self.digits} decimals were asked for; coordinates have 1 to {markup.MAX_DIGITS}")

    @property
    def speaker(self) -> Speaker:
        return Speaker(self.split)

    def rng(self, *parts: object) -> random.Random:
        """A random stream of its own for every picture, so that results do not depend on the order."""
        return stream("convert", self.seed, *parts)


def language(text: str) -> str:
    """ "ko" as soon as there is Hangul in the text."""
    return "ko" if HANGUL.search(text) else "en"


class Gallery:
    """Pictures of a folder by relative path, by name or by name without suffix; sizes are measured upright."""

    def __init__(self, folder: Path, losses: Losses) -> None:
        if not folder.is_dir():
            raise InputError(f"the folder of pictures {folder} does not exist; name it with --images")
        self.folder, self.losses = folder, losses

    @cached_property
    def by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file():
                for key in (path.name, path.stem):
                    found.setdefault(key, []).append(path)
        return found

    def find(self, name: str) -> Path | None:
        """The picture, or None (counted). Several of one name are not told apart by guessing."""
        direct = self.folder / name
        if name and Path(name).suffix and direct.is_file():
            return direct
        found = self.by_name.get(Path(name).name, [])
        if len(found) == 1:
            return found[0]
        self.losses.drop("pictures not found" if not found else "pictures whose name stands for several files", name)
        return None

    def measured(self, name: str, size: tuple[int, int] | None = None) -> tuple[Path, tuple[int, int]] | None:
        """The picture and its size; None (counted) if it cannot be read or is not as large as the annotation says."""
        path = self.find(name)
        if path is None:
            return None
        try:
            real = pictures.load(path).size
        except InputError as error:
            self.losses.drop("pictures that cannot be read", error)
            return None
        if size is not None and tuple(size) != real:
            note = f"{path.name} is {real[0]} x {real[1]}, annotated as {size[0]} x {size[1]}"
            self.losses.drop("pictures of another size than annotated", note)
            return None
        return path, real


def pixel_box(corners: Sequence[float], size: tuple[int, int], settings: Settings, example: str) -> Box | None:
    """x1, y1, x2, y2 in pixels as a box, cut at the edges; None (counted) if nothing is left of it."""
    losses = settings.losses
    try:
        box = Box.from_pixels(*corners, *size, clip=True)
    except InputError as error:
        losses.drop("boxes outside the picture or with swapped corners", f"{example}: {error}")
        return None
    shown = [round(v, settings.digits) for v in (box.x1, box.y1, box.x2, box.y2)]
    if shown[0] >= shown[2] or shown[1] >= shown[3]:
        losses.drop("boxes without area", example)
        return None
    if min(corners) < 0 or corners[2] > size[0] or corners[3] > size[1]:
        losses.change("boxes cut at the edge of the picture", example)
    return box


def numbers(box: Box) -> list[float]:
    """A box for `meta`."""
    return [box.x1, box.y1, box.x2, box.y2]


def sample(
    name: str, images: Sequence[Path | Any], task: str, lang: str, question: str, answer: str, **gold: Any
) -> Sample:
    """One question on the pictures (which come first) with its answer."""
    content: list[dict[str, Any]] = [{"type": "image"} for _ in images]
    if question:
        content.append({"type": "text", "text": question})
    return Sample(
        id=name,
        images=tuple(str(i) if isinstance(i, Path) else i for i in images),
        task=task,
        lang=lang,
        messages=(
            {"role": "user", "content": content},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ),
        meta=gold,
    )


Ask = Callable[[], Sample | None]


def chosen(asks: Sequence[Ask], rng: random.Random, count: int) -> list[Sample]:
    """Up to `count` of the questions that can be asked, in random order."""
    made = []
    for ask in rng.sample(list(asks), len(asks)):
        if len(made) == count:
            break
        if (found := ask()) is not None:
            made.append(found)
    return made


def read_json(path: Path, lines: bool = False) -> Any:
    """A JSON file, or (for .jsonl, or if asked) the list of its lines; `InputError` with file and line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 at byte {error.start + 1}; convert it first") from error
    if lines or path.suffix == ".jsonl":
        return [_json_line(path, n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: no JSON: {error.msg} at column {error.colno}") from error


def _json_line(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{number}: no JSON: {error.msg} at column {error.colno}") from error


def needed(row: Any, key: str, kind: type | tuple[type, ...], place: str) -> Any:
    """row[key], which must be there and of the kind; `InputError` with its place."""
    if not isinstance(row, dict) or key not in row:
        found = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
        raise InputError(f"{place}: the field {key!r} is missing (found: {found})")
    if not isinstance(row[key], kind):
        raise InputError(f"{place}: the field {key!r} holds a {type(row[key]).__name__}, which does not fit the form")
    return row[key]
