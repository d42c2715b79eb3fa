"""The data card of a built folder and the checksums of its files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from varco_vision.bench.items import letter_shares
from varco_vision.bench.sets import Made
from varco_vision.errors import InputError
from varco_vision.eval.benchmarks import BENCHMARKS

CHECKSUMS = "SHA256SUMS"
LICENCE = "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)"
LIMITS = (
    "All pictures are drawn by a program: a score says how well a model reads such pictures, not how well it sees photographs.",
    "Questions follow templates. Numbers of this set and of the published sets of the same kind are not comparable.",
    "Korean questions only. Strings, layouts, designs and fonts are those of the split `eval`; a model trained on the split "
    "`train` of the same generator knows the style of the pictures, though none of their contents.",
    "Another machine with other fonts gives another set; compare models on the same files (see the checksums).",
    "Celebrities, emotions, photographs, science and other subjects of the published sets do not occur.",
)


def card(name: str, command: str, facts: Mapping[str, Any], sets: Sequence[tuple[Made, str, int]]) -> str:
    """The README of a folder. facts: what was decided (seed, sizes, versions, fonts). sets: (set, its digest, its rows)."""
    total = sum(len(made.items) for made, _, _ in sets)
    front = {
        "license": "cc-by-4.0", "language": ["ko"], "task_categories": ["visual-question-answering"],
        "configs": [
            {"config_name": made.task, "data_files": [{"split": BENCHMARKS[made.task].split, "path": f"{made.task}.parquet"}]} for made, _, _ in sets
        ],
    }  # fmt: skip
    lines = [
        "---",
        *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items()),
        "---",
        f"# {name}",
        "",
    ]
    lines += [
        f"{total} questions in {len(sets)} Korean evaluation set{'s' if len(sets) > 1 else ''}, in the columns of the published sets "
        "of the same kind. Made for evaluation only: do not train on it.", "",
        "```", command, f"varco-vision eval run --tasks {','.join(made.task for made, _, _ in sets)} --data-dir . --out scores", "```", "",
        "## How it was made", "", *(f"- {key}: {value}" for key, value in facts.items()), f"- licence: {LICENCE}", "",
    ]  # fmt: skip
    for made, digest, rows in sets:
        lines += _section(made, digest, rows)
    lines += ["## Known limits", "", *(f"- {limit}" for limit in LIMITS), ""]
    lines += [
        "## Files",
        "",
        f"`{CHECKSUMS}` holds the SHA-256 of every file (`sha256sum -c {CHECKSUMS}`, or `varco-vision bench check`).",
        "",
    ]
    return "\n".join(lines)


def _section(made: Made, digest: str, rows: int) -> list[str]:
    benchmark = BENCHMARKS[made.task]
    like = "rows, each question with its options in four rotations" if benchmark.circular else "rows"
    lines = [
        f"## {made.task}",
        "",
        f"{len(made.items)} questions, {rows} {like}; columns of {benchmark.title}; digest `{digest}`.",
        "",
    ]
    if made.choices:
        shares = ", ".join(f"{letter} {n}" for letter, n in letter_shares(made.choices).items())
        lines += [f"Right letters: {shares}.", ""]
        lines += _table(("category", "group", "questions"), Counter((c.category, c.subcategory) for c in made.choices))
        lines += _table(("picture", "questions"), Counter((c.source,) for c in made.choices))
    else:
        lines += _table(("category", "picture", "questions"), Counter((o.category, o.source) for o in made.opens))
        lines += [
            f"Rubric: the published one of {benchmark.title} (`varco_vision.eval.judge_prompts`); `{made.task}.rubrics.jsonl` has, for each "
            "question, the facts that a good answer names.", "",
        ]  # fmt: skip
    lines += [f"- {name}: {n}" for name, n in made.counters.items()]
    lines += [f"- {note}" for note in made.notes]
    return [*lines, ""]


def _table(head: Sequence[str], counted: Mapping[tuple[str, ...], int]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(str(cell) or "-" for cell in (*key, n)) + " |" for key, n in sorted(counted.items())]
    return [*lines, ""]


# --- checksums -------------------------------------------------------------------------------------------------------


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path, files: Iterable[Path]) -> Path:
    """The checksum file of a folder, in the form of `sha256sum`."""
    path = folder / CHECKSUMS
    path.write_text(
        "".join(f"{sha256(f)}  {f.relative_to(folder).as_posix()}\n" for f in sorted(files)), encoding="utf-8"
    )
    return path


def verify(folder: Path) -> dict[str, str]:
    """What the checksum file says of each file: "ok", "changed" or "missing". `InputError` without a readable one."""
    path = folder / CHECKSUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); give the folder of a set that bench build made") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name:
            raise InputError(f"{path}, line {number} is {line!r:.60}; a line is a SHA-256, two blanks and a file name")
        file = folder / name
        found[name] = "missing" if not file.is_file() else "ok" if sha256(file) == digest else "changed"
    if not found:
        raise InputError(f"{path} names no file")
    return found
