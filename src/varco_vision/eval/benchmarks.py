"""The evaluation sets: where they are, what their columns are called, and how a row becomes a question. No torch.

A set comes from its hub id or from a folder with a copy (`--data-dir`): parquet as on the hub, or the TSV of VLMEvalKit.
What a row lacks is an `InputError` that names set, row and column; what is put right (a stray `<image>`, options that
stand inside the question) is counted in `Loaded.counters`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from varco_vision.errors import InputError
from varco_vision.eval import tables
from varco_vision.eval.tables import Row, is_nothing, text

Kind = Literal["choice", "open"]
LETTERS = "ABCDEFGHIJ"
ROTATION = 1_000_000  # in MMBench's files the rotations of question i are i + k times this
STRAY = re.compile(r"\s*<image(?: ?\d+)?>\s*")


@dataclass(frozen=True)
class Benchmark:
    """One set. `columns`: our name -> names a file may use (compared without case, "-" as "_").

    circular: several rows are one question with its options turned. macro: the column whose group means are averaged.
    """

    task: str
    title: str
    hub: str
    split: str
    lang: str
    kind: Kind
    rows: int | None
    licence: str
    config: str | None = None
    tsv: str | None = None
    tsv_md5: str | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    circular: bool = False
    macro: str | None = None
    many_images: bool = False
    judge: str | None = None


_LETTER_COLUMNS = {letter: (letter, f"choice_{letter.lower()}", f"option_{letter.lower()}") for letter in "ABCDE"}
_CHOICE = {
    "index": ("index", "question_id", "id", "id_", "qid"),
    "question": ("question",),
    "answer": ("answer",),
    "image": ("image", "images"),
    "category": ("category", "data_type", "domain", "subject"),
    "subcategory": ("l2_category", "l2-category", "image_type", "subfield"),
    "data_type": ("data_type",),
    "hint": ("hint",),
    "options": ("options", "choices"),
    "source": ("source",),
    "split": ("split",),
    "level": ("topic_difficulty", "difficulty", "level"),
    **_LETTER_COLUMNS,
}
_OPEN = {
    "index": ("index", "question_id", "id"),
    "question": ("question",),
    "reference": ("gpt_answer", "gpt4_ans", "answer", "reference"),
    "caption": ("caption",),
    "image": ("image",),
    "category": ("category",),
    "subcategory": ("subcategory",),
}
_NC = "cc-by-nc-4.0"

BENCHMARKS: dict[str, Benchmark] = {
    b.task: b
    for b in (
        Benchmark("k_mmbench", "K-MMBench", "NCSOFT/K-MMBench", "dev", "ko", "choice", 4329, _NC, None, "MMBench_DEV_KO", "72e1cde9124b5015be6d0dd5c9b5500d", _CHOICE, circular=True),
        Benchmark("k_seed", "K-SEED", "NCSOFT/K-SEED", "test", "ko", "choice", 2971, _NC, None, "SEEDBench_IMG_KO", "b354a9ac3493f3ccf294e69b216bfab3", _CHOICE),
        Benchmark("k_mmstar", "K-MMStar", "NCSOFT/K-MMStar", "val", "ko", "choice", 1500, _NC, None, "MMStar_KO", "cc6049c7314bb54b9ac5e247a2bfb357", _CHOICE, macro="subcategory"),
        Benchmark("k_dtcbench", "K-DTCBench", "NCSOFT/K-DTCBench", "test", "ko", "choice", 240, _NC, None, "K-DTCBench", "fe72a85b010513d3840b5f3be2de6ed3", _CHOICE),
        Benchmark("k_llava_w", "K-LLaVA-W", "NCSOFT/K-LLaVA-W", "test", "ko", "open", 60, _NC, None, "LLaVABench_KO", "ef279346a8333b0bf1ba70aa7d0c7494", _OPEN, judge="llava_w"),
        Benchmark("mmbench", "MMBench", "lmms-lab-encoder/MMBench", "dev", "en", "choice", 4329, "see the hub", "en", "MMBench_DEV_EN", None, _CHOICE, circular=True),
        Benchmark("seed", "SEED-Bench (pictures)", "lmms-lab-encoder/SEED-Bench", "test", "en", "choice", None, "see the hub", None, "SEEDBench_IMG", None, _CHOICE, many_images=True),
        Benchmark("mmstar", "MMStar", "Lin-Chen/MMStar", "val", "en", "choice", 1500, "see the hub", None, "MMStar", None, _CHOICE, macro="subcategory"),
        Benchmark("llava_w", "LLaVA-Bench in the wild", "lmms-lab-encoder/llava-bench-in-the-wild", "train", "en", "open", 60, "see the hub", None, "LLaVABench", None, _OPEN, judge="llava_w"),
        Benchmark("kreta", "KRETA", "tabtoyou/KRETA", "test", "ko", "choice", 2577, "see the hub", columns=_CHOICE),
        Benchmark("k_viscuit", "K-Viscuit", "ddehun/k-viscuit", "test", "ko", "choice", 657, "cc-by-4.0", columns=_CHOICE),
        Benchmark("koffvqa", "KOFFVQA", "maum-ai/KOFFVQA_Data", "test", "ko", "open", 275, "see the hub", None, "KOFFVQA", None, _OPEN, judge="koffvqa"),
        Benchmark("kmmmu", "KMMMU", "HAERAE-HUB/KMMMU", "test", "ko", "choice", 3466, "see the hub", columns=_CHOICE, many_images=True),
    )
}  # fmt: skip
ALIASES = {"mmbench_ko_dev": "k_mmbench", "seedbench_ko": "k_seed", "mmstar_ko": "k_mmstar", "dtcbench": "k_dtcbench",
           "llava_in_the_wild_ko": "k_llava_w", "mmbench_en_dev": "mmbench", "seedbench": "seed",
           "llava_in_the_wild": "llava_w"}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One row: a question with its pictures (bytes of files), and what is right.

    options: text by letter, in order; None where the set does not tell the text apart from the question. group: equal for
    rows that are one question with its options turned. answer: the letter, or the reference answer of an open question.
    """

    task: str
    index: str
    group: str
    question: str
    options: dict[str, str | None]
    answer: str
    images: tuple[bytes, ...]
    hint: str | None = None
    category: str = ""
    subcategory: str = ""
    caption: str = ""
    level: str = ""
    raw_question: str = ""

    @property
    def letters(self) -> str:
        return "".join(self.options)


@dataclass(frozen=True)
class Loaded:
    """A set as it was found. `digest` stands for all rows and pictures; `files`: SHA-256 by name; notes for the reader."""

    benchmark: Benchmark
    items: list[Item]
    digest: str
    source: str
    files: dict[str, str] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find(name: str) -> Benchmark:
    """The set of a task name, ours or lmms-eval's."""
    task = ALIASES.get(name, name)
    if task not in BENCHMARKS:
        raise InputError(f"the task {name!r} is unknown; known are {', '.join(BENCHMARKS)}")
    return BENCHMARKS[task]


# --- where the rows are --------------------------------------------------------------------------------------------


def load(
    benchmark: Benchmark, data_dir: Path | None = None, revision: str | None = None, limit: int | None = None
) -> Loaded:
    """Read a set from a folder, or from the hub when there is none. limit: the first questions only (all their rows)."""
    files, source = (_local(benchmark, data_dir), str(data_dir)) if data_dir else _hub(benchmark, revision)
    digests, notes = {}, []
    for path in files:
        sha, md5 = tables.file_digest(path)
        digests[path.name] = sha
        if path.suffix == ".tsv" and benchmark.tsv_md5 and path.stem == benchmark.tsv:
            known = md5 == benchmark.tsv_md5
            notes.append(f"{path.name}: MD5 {md5} is {'' if known else 'not '}the published one")
    rows = [row for path in files for row in tables.read(path)]
    if not rows:
        raise InputError(f"{benchmark.title}: {files[0]} holds no rows")
    items, counters = items_of(benchmark, rows, files[0].parent)
    if benchmark.rows is not None and len(items) != benchmark.rows:
        notes.append(f"{len(items)} rows; the published set has {benchmark.rows}")
    if limit is not None:
        wanted = set(list(dict.fromkeys(item.group for item in items))[:limit])
        items = [item for item in items if item.group in wanted]
        notes.append(f"only the first {limit} questions")
    return Loaded(benchmark, items, set_digest(items), source, digests, counters, notes)


def _local(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Files of a set in a folder: TASK.parquet, TASK/..., the hub's name, or the TSV of VLMEvalKit."""
    if not folder.is_dir():
        raise InputError(f"--data-dir {folder} is no folder; give the one that holds the sets")
    names = [benchmark.task, benchmark.hub.split("/")[1], *([benchmark.tsv] if benchmark.tsv else [])]
    for name in names:
        for suffix in tables.SUFFIXES:
            if (path := folder / f"{name}{suffix}").is_file():
                return [path]
        if (inner := folder / name).is_dir():
            for suffix in tables.SUFFIXES:
                found = sorted(inner.rglob(f"*{suffix}"))
                of_split = [p for p in found if p.name.startswith(f"{benchmark.split}-") or p.stem == benchmark.split]
                of_config = [p for p in of_split if benchmark.config and p.parent.name == benchmark.config]
                if chosen := of_config or of_split or found:
                    return chosen
    shown = ", ".join(f"{name}.parquet" for name in names)
    raise InputError(
        f"{folder} holds nothing for {benchmark.title}; looked for {shown}, the same as .tsv or .jsonl, and folders of these names"
    )


def _hub(benchmark: Benchmark, revision: str | None) -> tuple[list[Path], str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = [
        f"*{benchmark.split}*.parquet",
        f"*{benchmark.split}*.tsv",
        *([f"*{benchmark.tsv}.tsv"] if benchmark.tsv else []),
    ]
    try:
        folder = Path(snapshot_download(benchmark.hub, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"{benchmark.title} ({benchmark.hub}) cannot be had from the hub ({str(error).splitlines()[0]}); "
            "give a folder with a copy by --data-dir"
        ) from error
    found = sorted([*folder.rglob("*.parquet")] or [*folder.rglob("*.tsv")])
    if benchmark.config:
        found = [p for p in found if benchmark.config in (p.parent.name, p.name.split("-")[0])] or found
    if not found:
        raise InputError(f"{benchmark.title}: {benchmark.hub} has no file of the split {benchmark.split!r}")
    return found, f"{benchmark.hub}@{folder.name}"


# --- rows to questions ---------------------------------------------------------------------------------------------


def items_of(benchmark: Benchmark, rows: Sequence[Row], folder: Path) -> tuple[list[Item], dict[str, int]]:
    """Questions of a table's rows, and what was put right, by name."""
    names = _columns(benchmark, rows)
    counters: Counter[str] = Counter()
    pictures = tables.Pictures(folder, rows, names.get("index"))
    base = _answer_base(benchmark, rows, names) if benchmark.kind == "choice" else 0
    items = []
    for number, row in enumerate(rows):
        value = {ours: row.get(theirs) for ours, theirs in names.items()}
        index = text(value.get("index")) or str(number)
        where = f"{benchmark.title}, row {number} (index {index})"
        if benchmark.task == "seed" and text(value.get("data_type")) not in (None, "image"):
            counters["rows that ask about videos, left out"] += 1
            continue
        images = pictures.read(value.get("image"), f"{where}: column {names['image']!r}")
        if not images:
            raise InputError(f"{where} has no picture in its column {names['image']!r}")
        if len(images) > 1 and not benchmark.many_images:
            raise InputError(f"{where} has {len(images)} pictures; the set has one a question")
        make = _choice_item if benchmark.kind == "choice" else _open_item
        items.append(make(benchmark, value, index, images, where, base, counters))
    _check_indices(benchmark, items)
    return items, dict(counters)


def _columns(benchmark: Benchmark, rows: Sequence[Row]) -> dict[str, str]:
    """Our names of the columns to those of the table; `InputError` for what is needed and missing."""
    known = {name.lower().replace("-", "_"): name for name in rows[0]}
    found = {}
    for ours, theirs in benchmark.columns.items():
        for name in theirs:
            if (real := known.get(name.lower().replace("-", "_"))) is not None:
                found[ours] = real
                break
    needed = ["question", "image", "answer" if benchmark.kind == "choice" else "reference"]
    if benchmark.judge == "llava_w":
        needed.append("caption")
    missing = [" or ".join(benchmark.columns[ours]) for ours in needed if ours not in found]
    if missing:
        raise InputError(
            f"{benchmark.title}: the table lacks the column {'; '.join(missing)}; it has {', '.join(rows[0])}"
        )
    return found


def _answer_base(benchmark: Benchmark, rows: Sequence[Row], names: Mapping[str, str]) -> int:
    """0 or 1 where right answers are numbers of options: what the whole table says. Letters need none."""
    numbers = [text(row.get(names["answer"])) for row in rows]
    if not all(n is not None and n.isdigit() for n in numbers) or "options" not in names:
        return 1
    values = [int(n) for n in numbers if n is not None]
    counts = [len(tables.listed(row[names["options"]], f"{benchmark.title}: options")) for row in rows]
    if 0 in values:
        return 0
    if any(v == count for v, count in zip(values, counts, strict=True)):
        return 1
    raise InputError(
        f"{benchmark.title}: right answers are numbers from {min(values)} to {max(values)}, and no row tells whether they "
        "count from 0 or from 1; give letters"
    )


def _choice_item(
    benchmark: Benchmark,
    value: Mapping[str, Any],
    index: str,
    images: tuple[bytes, ...],
    where: str,
    base: int,
    counters: Counter[str],
) -> Item:
    raw = _needed(value, "question", where)
    question = _clean(raw, counters)
    options = _options(benchmark, value, question, where, counters)
    answer = (text(value.get("answer")) or "").strip().upper()
    if answer.isdigit() and answer not in options and 0 <= int(answer) - base < len(options):
        answer = list(options)[int(answer) - base]
    if answer not in options:
        raise InputError(
            f"{where}: the right answer is {value.get('answer')!r}, which is none of its options {', '.join(options)}"
        )
    group = str(int(index) % ROTATION) if benchmark.circular and index.isdigit() else index
    return Item(
        benchmark.task, index, group, question, options, answer, images, text(value.get("hint")),
        text(value.get("category")) or "", text(value.get("subcategory")) or "", level=text(value.get("level")) or "",
        raw_question=raw,
    )  # fmt: skip


def _open_item(
    benchmark: Benchmark,
    value: Mapping[str, Any],
    index: str,
    images: tuple[bytes, ...],
    where: str,
    base: int,
    counters: Counter[str],
) -> Item:
    raw = _needed(value, "question", where)
    caption = value.get("caption")
    described = "\n".join(map(str, caption)) if isinstance(caption, list) else text(caption) or ""
    if benchmark.judge == "llava_w" and not described:
        raise InputError(f"{where} has no caption, without which the judge cannot see what the picture shows")
    return Item(
        benchmark.task, index, index, _clean(raw, counters), {}, _needed(value, "reference", where), images, None,
        text(value.get("category")) or "", text(value.get("subcategory")) or "", described, raw_question=raw,
    )  # fmt: skip


def _needed(value: Mapping[str, Any], name: str, where: str) -> str:
    found = text(value.get(name))
    if found is None:
        raise InputError(f"{where} has no {name}")
    return found


def _clean(question: str, counters: Counter[str]) -> str:
    """The question without placeholders for its picture, of which the prompt has one already."""
    cleaned = STRAY.sub("\n", question).strip() if STRAY.search(question) else question
    counters["questions with a stray <image>, taken out"] += cleaned != question
    return cleaned


_INSIDE = re.compile(r"^(?P<stem>.*?)\s*(?:Options|Choices|옵션|선택지|보기)\s*:\s*(?P<list>A\s*[:.)].*)$", re.S)


def _options(
    benchmark: Benchmark, value: Mapping[str, Any], question: str, where: str, counters: Counter[str]
) -> dict[str, str | None]:
    """Texts of the options by letter: from their columns, from a list, or from inside the question."""
    if "options" in value and not is_nothing(value["options"]):
        given = [text(one) for one in tables.listed(value["options"], f"{where}: options")]
        return {LETTERS[k]: one for k, one in enumerate(given) if k < len(LETTERS)}
    columns = {letter: text(value.get(letter)) for letter in "ABCDE" if letter in value}
    if any(one is not None for one in columns.values()):
        return {letter: one for letter, one in columns.items() if one is not None}
    if columns and not _INSIDE.match(question):
        raise InputError(f"{where} has no option: the columns {', '.join(columns)} are empty")
    inside = split_options(question)
    if inside is None and benchmark.macro is None:  # only the MMStar kind is published with its options in the question
        named = " or ".join(["options", *_LETTER_COLUMNS["A"]])
        raise InputError(f"{where} has no options, neither in a column ({named}, ...) nor inside the question")
    counters[
        "questions that hold their options, told apart" if inside else "questions whose options could not be told apart"
    ] += 1
    return dict(inside) if inside else dict.fromkeys("ABCD")


def split_options(question: str) -> dict[str, str] | None:
    """Options that stand in a question as "Options: A: …, B: …, C: …, D: …"; None when they do not."""
    found = _INSIDE.match(question)
    if found is None:
        return None
    every = re.finditer(r"(?:^|[,\s]\s*)([A-J])\s*[:.)]\s*", found["list"])
    marks: list[re.Match[str]] = []
    for mark in every:  # only A, B, C, ... in order: "vitamin C: ..." inside a text is no mark of option C
        if mark[1] == LETTERS[len(marks) : len(marks) + 1]:
            marks.append(mark)
    if len(marks) < 2:
        return None
    ends = [mark.start() for mark in marks[1:]] + [len(found["list"])]
    return {
        mark[1]: found["list"][mark.end() : end].strip().rstrip(",").strip()
        for mark, end in zip(marks, ends, strict=True)
    }


def stem(question: str) -> str:
    """The question without the options that stand inside it."""
    found = _INSIDE.match(question)
    return found["stem"].strip() if found and split_options(question) else question


def _check_indices(benchmark: Benchmark, items: Sequence[Item]) -> None:
    twice = [index for index, count in Counter(item.index for item in items).items() if count > 1]
    if twice:
        raise InputError(
            f"{benchmark.title}: {len(twice)} rows share an index with another one, the first is {twice[0]}"
        )
    if benchmark.circular:
        present = {item.index for item in items}
        if orphans := sorted({item.group for item in items} - present):
            raise InputError(
                f"{benchmark.title}: question {orphans[0]} has rotations but no first row (index below {ROTATION:,})"
            )


def set_digest(items: Sequence[Item]) -> str:
    """16 hexadecimal digits for questions, options, right answers and the bytes of pictures, in any order."""
    whole = 0
    for item in items:
        told = [
            item.index,
            item.raw_question,
            item.options,
            item.answer,
            item.hint,
            item.category,
            item.subcategory,
            item.caption,
        ]
        one = hashlib.blake2b(json.dumps(told, ensure_ascii=False).encode(), digest_size=8)
        for image in item.images:
            one.update(tables.digest(image).encode())
        whole = (whole + int.from_bytes(one.digest(), "big")) % 2**64
    return f"{whole:016x}"
