"""OCR of many files: results written as they come, finished ones skipped, files that cannot be read noted and passed.

    OUT/a/b.json          one result for each file and form, written under a temporary name and then renamed
    OUT/errors.jsonl      {"file", "error"} of the files that could not be read in the last run

A file counts as finished when its results in every form are there. `Reader` does the work in one process, `read_many`
spreads files over processes of this machine; `infer.cluster` does the same over the machines of a Ray cluster.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from varco_vision.errors import InputError
from varco_vision.infer import formats
from varco_vision.infer.engine import Engine
from varco_vision.infer.ocr import OcrOptions, read_pages
from varco_vision.infer.pages import Page
from varco_vision.infer.searchable import write_pdf
from varco_vision.infer.sources import DPI, Sheet, sheets

CHUNK_PAGES = 16  # pages that are read together
CHUNK_PIXELS = 64_000_000  # decoded pixels of a chunk


@dataclass(frozen=True)
class Job:
    """A file to read and the name of its results below OUT, without ending."""

    file: str
    target: str


@dataclass(frozen=True)
class Outcome:
    """What became of a file: its pages, words and truncated pages, or why it could not be read."""

    file: str
    pages: int = 0
    words: int = 0
    truncated: int = 0
    left_out: int = 0
    error: str = ""


@dataclass(frozen=True)
class Task:
    """What every worker needs to know. `model` None: the shipped default."""

    out: str
    forms: tuple[str, ...] = ("json",)
    options: OcrOptions = field(default_factory=OcrOptions)
    dpi: int = DPI
    model: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 16
    calibrate: bool = True


def jobs(files: Sequence[tuple[Path, Path]]) -> list[Job]:
    """A job for each (file, name below OUT). Raises `InputError` when two files would have the same results."""
    made: list[Job] = []
    taken: dict[str, str] = {}
    stems = [str(name.with_suffix("")) for _, name in files]
    for (file, name), stem in zip(files, stems, strict=True):
        target = stem if stems.count(stem) == 1 else str(name)  # a.png and a.jpg keep their endings
        if target in taken:
            raise InputError(
                f"{file} and {taken[target]} would both be written to {target}; read them into two folders"
            )
        taken[target] = str(file)
        made.append(Job(str(file), target))
    return made


def finished(job: Job, task: Task) -> bool:
    """Whether every result of this file is there."""
    return all(result_path(job, task, form).exists() for form in task.forms)


def result_path(job: Job, task: Task, form: str) -> Path:
    return Path(task.out) / (job.target + formats.SUFFIX[form])


class Reader:
    """Reads files with one model in this process."""

    def __init__(self, task: Task, engine: Engine | None = None) -> None:
        from varco_vision.infer.api import VarcoVision

        self.task = task
        if engine is None:
            engine = VarcoVision.from_pretrained(
                task.model, task.device, task.dtype, task.batch_size, task.calibrate
            ).engine
        self.engine = engine

    def read(self, given: Sequence[Job]) -> Iterator[Outcome]:
        """The outcome of each job, in order of completion. The next files are decoded while the model reads."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            chunks = self._chunks(given)
            coming = _later(pool, chunks)
            while (chunk := coming.result()) is not None:
                coming = _later(pool, chunks)
                yield from self._read_chunk(chunk)

    def _chunks(self, given: Sequence[Job]) -> Iterator[list[tuple[Job, list[tuple[Sheet, Image.Image]] | str]]]:
        """Whole files, decoded, until a chunk is full; a string in place of pages says why there are none."""
        chunk: list[tuple[Job, list[tuple[Sheet, Image.Image]] | str]] = []
        pages = pixels = 0
        for job in given:
            try:
                loaded = [(sheet, sheet.load()) for sheet in sheets(job.file, self.task.dpi)]
            except InputError as error:
                chunk.append((job, str(error)))
                continue
            chunk.append((job, loaded))
            pages += len(loaded)
            pixels += sum(image.width * image.height for _, image in loaded)
            if pages >= CHUNK_PAGES or pixels >= CHUNK_PIXELS:
                yield chunk
                chunk, pages, pixels = [], 0, 0
        if chunk:
            yield chunk

    def _read_chunk(self, chunk: list[tuple[Job, list[tuple[Sheet, Image.Image]] | str]]) -> Iterator[Outcome]:
        sound = [(job, part) for job, part in chunk if not isinstance(part, str)]
        pairs = [pair for _, part in sound for pair in part]
        names = [sheet.name for sheet, _ in pairs]
        pages = read_pages(self.engine, [image for _, image in pairs], self.task.options, names)
        yield from (Outcome(job.file, error=part) for job, part in chunk if isinstance(part, str))
        at = 0
        for job, part in sound:
            own = pages[at : at + len(part)]
            at += len(part)
            self._write(job, part, own)
            words = sum(len(page.words) for page in own)
            truncated = sum(page.truncated for page in own)
            yield Outcome(job.file, len(own), words, truncated, sum(page.left_out for page in own))

    def _write(self, job: Job, part: list[tuple[Sheet, Image.Image]], pages: list[Page]) -> None:
        for form in self.task.forms:
            path = result_path(job, self.task, form)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_result(path, form, part, pages)


def write_result(path: Path, form: str, part: Sequence[tuple[Sheet, Image.Image]], pages: Sequence[Page]) -> None:
    """Write one file's pages in one form; the name appears only once everything is in it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if form == "pdf":
            write_pdf([(sheet, image, page) for (sheet, image), page in zip(part, pages, strict=True)], temporary)
        else:
            temporary.write_text(formats.written(pages, form), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _later(pool: ThreadPoolExecutor, chunks: Iterator) -> Future:
    return pool.submit(next, chunks, None)


_READER: Reader | None = None  # of a worker process


def _start_worker(task: Task) -> None:
    import torch
    from transformers.utils import logging

    global _READER  # noqa: PLW0603 - a worker process has one model
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)  # the processes already share the cores
    _READER = Reader(task)


def _work(given: list[Job]) -> list[Outcome]:
    assert _READER is not None
    return list(_READER.read(given))


def read_many(
    given: Sequence[Job],
    task: Task,
    workers: int = 1,
    reader: Reader | None = None,
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Read files with `workers` processes, each with a model of its own; `progress` is told each outcome.

    With one worker everything happens in this process, with `reader` where one is given.
    """
    outcomes: list[Outcome] = []

    def take(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if progress is not None:
            progress(outcome)

    if workers < 1:
        raise InputError(f"{workers} workers were asked for; at least 1 is needed")
    if workers == 1:
        for outcome in (reader or Reader(task)).read(given):
            take(outcome)
        return outcomes
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    size = max(1, min(CHUNK_PAGES, len(given) // (4 * workers)))
    parts = [list(given[k : k + size]) for k in range(0, len(given), size)]
    context = multiprocessing.get_context("spawn")  # a forked process would inherit torch's threads in an unknown state
    with ProcessPoolExecutor(workers, context, _start_worker, (task,)) as pool:
        for future in as_completed([pool.submit(_work, part) for part in parts]):
            for outcome in future.result():
                take(outcome)
    return outcomes


def write_errors(outcomes: Sequence[Outcome], out: str | Path) -> int:
    """Write OUT/errors.jsonl, or take it away when there are none; how many files could not be read."""
    path = Path(out) / "errors.jsonl"
    failed = [outcome for outcome in outcomes if outcome.error]
    if failed:
        rows = [json.dumps({"file": o.file, "error": o.error}, ensure_ascii=False) + "\n" for o in failed]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(rows), encoding="utf-8")
    else:
        path.unlink(missing_ok=True)
    return len(failed)
