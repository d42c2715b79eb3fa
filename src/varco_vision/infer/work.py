"""OCR of many files: results written as they come, finished ones skipped, files that cannot be read noted and passed.

    OUT/a/b.json          one result for each file and form, written under a temporary name and then renamed
    OUT/errors.jsonl      {"file", "error"} of the files that could not be read in the last run

A file counts as finished when its results in every form are there. `Reader` does the work in one process, `read_many`
spreads files over processes of this machine; `infer.cluster` does the same over the machines of a Ray cluster.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
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
    common = Counter(stems)
    for (file, name), stem in zip(files, stems, strict=True):
        target = stem if common[stem] == 1 else str(name)  # a.png and a.jpg keep their endings
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


@dataclass
class _Piece:
    """Some pages of a file, decoded. `last`: the file ends with them. `error`: why there are no more."""

    job: Job
    pages: list[tuple[Sheet, Image.Image]]
    last: bool = True
    error: str = ""


@dataclass
class _File:
    """What has been read of a file so far. Pictures are kept of files with one page only."""

    sheets: list[tuple[Sheet, Image.Image | None]] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)


def decoded(given: Sequence[Sheet]) -> Iterator[list[tuple[Sheet, Image.Image]]]:
    """Pages with their pictures, as many at a time as are read together: documents may have thousands of pages."""
    group: list[tuple[Sheet, Image.Image]] = []
    pixels = 0
    for sheet in given:
        image = sheet.load()
        group.append((sheet, image))
        pixels += image.width * image.height
        if len(group) >= CHUNK_PAGES or pixels >= CHUNK_PIXELS:
            yield group
            group, pixels = [], 0
    if group:
        yield group


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
        self._open: dict[Job, _File] = {}

    def read(self, given: Sequence[Job]) -> Iterator[Outcome]:
        """The outcome of each job, in order of completion. The next files are decoded while the model reads."""
        self._open.clear()
        with ThreadPoolExecutor(max_workers=1) as pool:
            chunks = self._chunks(given)
            coming = _later(pool, chunks)
            while (chunk := coming.result()) is not None:
                coming = _later(pool, chunks)
                yield from self._read_chunk(chunk)

    def _chunks(self, given: Sequence[Job]) -> Iterator[list[_Piece]]:
        """Pieces of files until a chunk is full; a long document is spread over several chunks."""
        chunk: list[_Piece] = []
        pages = pixels = 0
        for job in given:
            for piece in self._pieces(job):
                chunk.append(piece)
                pages += len(piece.pages)
                pixels += sum(image.width * image.height for _, image in piece.pages)
                if pages >= CHUNK_PAGES or pixels >= CHUNK_PIXELS:
                    yield chunk
                    chunk, pages, pixels = [], 0, 0
        if chunk:
            yield chunk

    def _pieces(self, job: Job) -> Iterator[_Piece]:
        """The pieces of one file; a file with a page that cannot be read ends with an error."""
        try:
            found = sheets(job.file, self.task.dpi)
            done = 0
            for group in decoded(found):
                done += len(group)
                yield _Piece(job, group, last=done == len(found))
        except InputError as error:
            yield _Piece(job, [], error=str(error))

    def _read_chunk(self, chunk: list[_Piece]) -> Iterator[Outcome]:
        pairs = [pair for piece in chunk for pair in piece.pages]
        names = [sheet.name for sheet, _ in pairs]
        pages = iter(read_pages(self.engine, [image for _, image in pairs], self.task.options, names))
        for piece in chunk:
            file = self._open.setdefault(piece.job, _File())
            for sheet, image in piece.pages:
                file.sheets.append((sheet, image if sheet.count == 1 else None))
                file.pages.append(next(pages))
            if piece.last:
                del self._open[piece.job]
                yield self._outcome(piece, file)

    def _outcome(self, piece: _Piece, file: _File) -> Outcome:
        """Write a file's results; one that cannot be written is noted like one that cannot be read."""
        job, pages = piece.job, file.pages
        if piece.error:
            return Outcome(job.file, error=piece.error)
        try:
            for form in self.task.forms:
                path = result_path(job, self.task, form)
                _make_parent(path)
                write_result(path, form, file.sheets, pages)
        except InputError as error:
            return Outcome(job.file, error=str(error))
        words = sum(len(page.words) for page in pages)
        truncated = sum(page.truncated for page in pages)
        return Outcome(job.file, len(pages), words, truncated, sum(page.left_out for page in pages))


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path.parent} ({error.strerror or error})") from error


def write_result(
    path: Path, form: str, part: Sequence[tuple[Sheet, Image.Image | None]], pages: Sequence[Page]
) -> None:
    """Write one file's pages in one form; the name appears only once everything is in it."""
    mark = hashlib.blake2b(os.fsencode(path.name), digest_size=6).hexdigest()  # names may be as long as a name can be
    temporary = path.with_name(f".{mark}.{os.getpid()}.part")
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


_READER: Reader | InputError | None = None  # of a worker process


def _start_worker(task: Task) -> None:
    import torch
    from transformers.utils import logging

    global _READER  # noqa: PLW0603 - a worker process has one model
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)  # the processes already share the cores
    try:
        _READER = Reader(task)
    except InputError as error:  # told with the first files: a worker that cannot start only breaks the pool
        _READER = error


def _work(given: list[Job]) -> list[Outcome]:
    assert _READER is not None
    if isinstance(_READER, InputError):
        raise _READER
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
    from concurrent.futures.process import BrokenProcessPool

    size = max(1, min(CHUNK_PAGES, len(given) // (4 * workers)))
    parts = [list(given[k : k + size]) for k in range(0, len(given), size)]
    context = multiprocessing.get_context("spawn")  # a forked process would inherit torch's threads in an unknown state
    with ProcessPoolExecutor(workers, context, _start_worker, (task,)) as pool:
        waiting = [pool.submit(_work, part) for part in parts]
        try:
            for future in as_completed(waiting):
                for outcome in future.result():
                    take(outcome)
        except BrokenProcessPool:
            raise InputError(
                f"a reading process was ended from outside, perhaps for want of memory, after {len(outcomes)} of "
                f"{len(given)} files; finished results are kept, so give the same command with fewer workers"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
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
