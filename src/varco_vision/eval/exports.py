"""A run's answers in the forms of other harnesses, so that anyone can score them again with the originals.

- lmms-eval: `..._samples_TASK.jsonl`, one object a row with doc_id, target, filtered_resps, resps, input.
- VLMEvalKit: `MODEL_SET.tsv` with index, question, options, answer, category and prediction; rotations keep their indices.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from varco_vision.errors import InputError
from varco_vision.eval import benchmarks, runs
from varco_vision.eval.cache import Store

LMMS_TASKS = {ours: theirs for theirs, ours in reversed(benchmarks.ALIASES.items())} | {
    "mmstar": "mmstar",
    "k_mmstar": "mmstar_ko",
}


def export(out: Path, form: str, target: Path) -> list[Path]:
    """Write all tasks of the run in `out` into the folder `target`; the files written. form: "lmms-eval", "vlmevalkit"."""
    if form not in ("lmms-eval", "vlmevalkit"):
        raise InputError(f"the form {form!r} is unknown; use lmms-eval or vlmevalkit")
    run = runs.read_run(out)
    answers = Store(out / "answers.jsonl", writing=False).records
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for task in run["tasks"]:
        rows, rules = task["asked"], task["rules"]
        if lacking := sum(row["key"] not in answers for row in rows):
            raise InputError(
                f"{task['told']['task']}: {lacking} of {len(rows)} rows have no answer yet; let `eval run` finish first"
            )
        said = [rules.cut(answers[row["key"]]["answer"]) for row in rows]
        write = _lmms if form == "lmms-eval" else _vlmevalkit
        written.append(write(run["model"], task, rows, said, target))
    return written


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name.rstrip("/")).strip("_") or "model"


def _lmms(
    model: str, task: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], said: Sequence[str], target: Path
) -> Path:
    told = task["told"]
    path = target / f"{_safe(model)}_{told['protocol']}_samples_{LMMS_TASKS.get(told['task'], told['task'])}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number, (row, answer) in enumerate(zip(rows, said, strict=True)):
            kept = {
                "doc_id": number, "target": row["answer"], "filtered_resps": [answer], "resps": [[answer]],
                "doc_hash": row["key"], "input": row["prompt"], "index": row["index"], "protocol": told["id"],
            }  # fmt: skip
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")
    return path


def _vlmevalkit(
    model: str, task: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], said: Sequence[str], target: Path
) -> Path:
    benchmark = benchmarks.BENCHMARKS[task["told"]["task"]]
    path = target / f"{_safe(model)}_{task['told']['protocol']}_{benchmark.tsv or benchmark.task}.tsv"
    letters = [letter for letter in "ABCDE" if any(letter in row["options"] for row in rows)]
    named = {
        "question": "question",
        "hint": "hint",
        "answer": "answer",
        "category": "category",
        "l2-category": "subcategory",
        "caption": "caption",
    }
    used = {theirs: ours for theirs, ours in named.items() if any(row[ours] for row in rows)}
    if benchmark.kind == "open":
        used = {("gpt4_ans" if theirs == "answer" else theirs): ours for theirs, ours in used.items()}
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["index", *used, *letters, "prediction"])
        for row, answer in zip(rows, said, strict=True):
            cells = [row[ours] or "" for ours in used.values()]
            table.writerow([row["index"], *cells, *(row["options"].get(letter) or "" for letter in letters), answer])
    return path
