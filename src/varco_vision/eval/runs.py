"""The folder of a run: what was asked, answered, read and scored; everything after the answers can be made anew from it.

```
OUT/run.json            model, versions, settings, and each task with its protocol
    rows/*.jsonl        what was asked: questions, options, right answers, prompts, keys (no pictures)
    answers.jsonl       what the model said, by key (append-only)
    letters.jsonl       what each rule read (append-only)
    reviews.jsonl       what a judge said (append-only)
    pictures/*.jpg      small copies of the pictures, for the report
    marks.jsonl         right or wrong, row by row
    results.json        all scores; report.md and report.html show them
```
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from varco_vision import pictures
from varco_vision.errors import InputError
from varco_vision.eval import judged, protocols, published
from varco_vision.eval.cache import Store
from varco_vision.eval.judge import Judge, preview
from varco_vision.eval.pipeline import TaskRun, require_answers, score_choice
from varco_vision.eval.protocols import Rules, Settings
from varco_vision.eval.report import versions
from varco_vision.eval.statistics import bootstrap_mean, compare

THUMBNAIL = 360  # longest side in pixels
Row = dict[str, Any]


def write_run(out: Path, model: str, fingerprint: str, settings: Settings, runs: Sequence[TaskRun]) -> None:
    """run.json, rows and small pictures: all that scoring and the report need besides answers."""
    (out / "rows").mkdir(parents=True, exist_ok=True)
    tasks = []
    for run in runs:
        name = rows_name(run.told)
        lines = (json.dumps(one.to_dict(), ensure_ascii=False) + "\n" for one in run.asked)
        (out / "rows" / name).write_text("".join(lines), encoding="utf-8")
        rules = {**asdict(run.rules), "until": list(run.rules.until)}
        tasks.append({"told": run.told, "about": run.about, "rules": rules, "rows": name})
    told = {
        "model": model, "fingerprint": fingerprint, "settings": asdict(settings), "tasks": tasks,
        "started": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions(),
    }  # fmt: skip
    write_json(out / "run.json", told)
    write_thumbnails(out / "pictures", runs)


def rows_name(told: Mapping[str, Any]) -> str:
    """File name of a task's rows."""
    return f"{told['protocol']}.{told['task']}.jsonl"


def write_thumbnails(folder: Path, runs: Sequence[TaskRun]) -> None:
    """A small JPEG of every picture that is not there yet."""
    folder.mkdir(exist_ok=True)
    for run in runs:
        for one in run.asked:
            for name, content in zip(one.images, one.item.images, strict=True):
                path = folder / f"{name}.jpg"
                if path.exists():
                    continue
                image = pictures.load(content, name=f"the picture of {one.item.task}, index {one.item.index}")
                image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC)
                kept = io.BytesIO()
                image.save(kept, "JPEG", quality=80)
                path.write_bytes(kept.getvalue())


def read_run(out: Path) -> dict[str, Any]:
    """run.json with the rows of each task in "asked"."""
    told = read_json(out / "run.json", "eval run --tasks ... --out")
    for task in told["tasks"]:
        path = out / "rows" / task["rows"]
        try:
            task["asked"] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}); let eval run write it again") from error
        task["rules"] = Rules(**{**task["rules"], "until": tuple(task["rules"]["until"])})
    return told


def score_run(
    out: Path, judge: Judge | None = None, swap: bool = False, progress: Callable[[str, int, int], None] | None = None
) -> dict[str, Any]:
    """Read and score the answers of a folder, without model or data; writes marks.jsonl and results.json.

    progress: (task, rows, rows that the judge has seen).
    """
    run = read_run(out)
    answers = Store(out / "answers.jsonl", writing=False)
    results, marked = [], []
    with Store(out / "letters.jsonl") as letters:
        for task in run["tasks"]:
            told, rules, rows = dict(task["told"]), task["rules"], task["asked"]
            if rules.aggregation == "judge":
                require_answers(told["task"], rows, answers.records)
                told = protocols.with_judge(told, judge.name if judge else None)
                tell = partial(progress, told["task"], len(rows)) if progress else None
                found = judged.score(told, rows, rules, answers.records, judge, swap, tell)
            else:
                found = score_choice(told, rows, rules, answers.records, letters)
            marks = found.pop("marks")
            marked += [{"protocol": told["protocol"], "task": told["task"], "index": row["index"], "group": row["group"], **marks[row["index"]]}
                       for row in rows if row["index"] in marks]  # fmt: skip
            results.append({"told": told, "about": task["about"], **found, "published": published.of(told["task"])})
    whole = {name: run[name] for name in ("model", "fingerprint", "settings", "versions", "started")}
    whole |= {"scored": datetime.now(UTC).isoformat(timespec="seconds"), "tasks": results}
    (out / "marks.jsonl").write_text(
        "".join(json.dumps(m, ensure_ascii=False) + "\n" for m in marked), encoding="utf-8"
    )
    write_json(out / "results.json", whole)
    return whole


def preview_run(
    out: Path, judge: Judge, swap: bool = False, prices: tuple[float, float] | None = None
) -> list[dict[str, Any]]:
    """What judging the open tasks of a folder would ask for, before anything is sent: requests, tokens at most, cost.

    prices: per million input and output tokens. Requests that are recorded already cost nothing; a reply that cannot be
    read is asked for again under `strict`, which no preview knows.
    """
    run, answers = read_run(out), Store(out / "answers.jsonl", writing=False)
    found = []
    for task in run["tasks"]:
        told, rules, rows = task["told"], task["rules"], task["asked"]
        if rules.aggregation != "judge":
            continue
        require_answers(told["task"], rows, answers.records)
        asked = judged.requests(told, rows, rules, answers.records, swap)
        found.append({"task": told["task"], "protocol": told["protocol"], **asdict(preview(judge, asked, prices))})
    if not found:
        raise InputError(f"{out} holds no open questions, so there is nothing to judge")
    return found


# --- two runs ------------------------------------------------------------------------------------------------------


def compare_runs(first: Path, second: Path, across: bool = False) -> list[dict[str, Any]]:
    """Paired comparison of every task that both folders scored, question by question.

    Tasks belong together when their protocol ids are equal; with `across` when their names are. `InputError` when
    nothing belongs together.
    """
    runs = [read_json(folder / "results.json", "eval score --out") for folder in (first, second)]
    marks = [_marks(folder) for folder in (first, second)]
    found = []
    for a in runs[0]["tasks"]:
        for b in runs[1]["tasks"]:
            same = a["told"]["id"] == b["told"]["id"]
            if a["told"]["task"] == b["told"]["task"] and (
                same or (across and a["told"]["protocol"] == b["told"]["protocol"])
            ):
                found.append({**_paired(a, b, marks), "same_protocol": same})
    if not found:
        ids = [", ".join(task["told"]["id"] for task in run["tasks"]) for run in runs]
        raise InputError(
            f"no task of {first} has the same protocol id as one of {second} ({ids[0]} against {ids[1]}); "
            "--across compares tasks of one name all the same"
        )
    return found


def _marks(folder: Path) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    kept: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    try:
        for line in (folder / "marks.jsonl").read_text(encoding="utf-8").splitlines():
            mark = json.loads(line)
            kept.setdefault((mark["protocol"], mark["task"]), {})[mark["index"]] = mark
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / 'marks.jsonl'} cannot be read ({error}); run eval score --out {folder}") from error
    return kept


def _paired(a: Mapping[str, Any], b: Mapping[str, Any], marks: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
    """Right answers (questions, where a set is circular) before and after, with McNemar's test; means where a judge scored."""
    told = a["told"]
    left, right = (m.get((t["told"]["protocol"], t["told"]["task"]), {}) for m, t in zip(marks, (a, b), strict=True))
    common = [index for index in left if index in right]
    base = {"task": told["task"], "protocol": told["protocol"], "first": a["told"]["id"], "second": b["told"]["id"]}
    base |= {"only_first": len(left) - len(common), "only_second": len(right) - len(common)}
    if told["aggregation"] == "judge":
        pairs = [
            (left[i]["score"], right[i]["score"]) for i in common if None not in (left[i]["score"], right[i]["score"])
        ]
        return {**base, "judged": True, **_means(pairs)}
    if told["aggregation"] == "circular":
        groups: dict[str, list[tuple[bool, bool]]] = {}
        for i in common:
            groups.setdefault(left[i]["group"], []).append((left[i]["correct"], right[i]["correct"]))
        pairs_of = [(all(x for x, _ in rows), all(y for _, y in rows)) for rows in groups.values()]
    else:
        pairs_of = [(left[i]["correct"], right[i]["correct"]) for i in common]
    if not pairs_of:
        raise InputError(f"{told['task']}: the two runs share no row")
    return {**base, "judged": False, **compare([x for x, _ in pairs_of], [y for _, y in pairs_of]).to_dict()}


def _means(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    if not pairs:
        return {"n": 0}
    n = len(pairs)
    low, high = bootstrap_mean([y - x for x, y in pairs])
    before, after = sum(x for x, _ in pairs) / n, sum(y for _, y in pairs) / n
    return {"n": n, "before": before, "after": after, "difference": after - before, "low": low, "high": high}


# --- files ---------------------------------------------------------------------------------------------------------


def write_json(path: Path, value: Any) -> None:
    """JSON into a file that is whole or not there."""
    try:
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def read_json(path: Path, made_by: str) -> dict[str, Any]:
    """A file that a verb of ours wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; {made_by} {path.parent} makes it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})") from error
