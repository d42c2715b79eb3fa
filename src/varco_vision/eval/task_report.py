"""What a run on evaluation sets found, as one HTML page without network or script, and as Markdown.

Both show each number with its protocol, the same answers under every rule, categories, published scores, and wrong answers
beside their pictures.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from varco_vision.eval import page, protocols
from varco_vision.eval.benchmarks import stem
from varco_vision.eval.cache import Store
from varco_vision.eval.rules import COMPARED, SCORERS

LONGEST = 400  # letters of a question or an answer on the page
SHOWN = 24  # wrong answers of a task on the page
AGGREGATIONS = {
    "micro": "share of right rows",
    "circular": "share of questions right in all rotations",
    "macro": "mean of the groups' shares",
    "judge": "by a judge",
}


def write(out: Path, results: Mapping[str, Any]) -> tuple[Path, Path]:
    """report.html and report.md in the folder of a run."""
    wrong = {key: _wrong(out, key) for key in ((t["told"]["protocol"], t["told"]["task"]) for t in results["tasks"])}
    html, markdown = out / "report.html", out / "report.md"
    html.write_text(_page(out, results, wrong), encoding="utf-8")
    markdown.write_text(_markdown(results, wrong), encoding="utf-8")
    return html, markdown


def per_cent(cell: Mapping[str, Any] | None, interval: bool = True) -> str:
    """ "57.3 (54.8 - 59.8)"; a dash for what was not measured."""
    if cell is None:
        return "–"
    value = f"{100 * cell['value']:.1f}"
    return f"{value} ({100 * cell['low']:.1f} - {100 * cell['high']:.1f})" if interval else value


def main_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """One line a task: title, protocol, score with interval, what it is, n, unread, id."""
    rows = []
    for task in results["tasks"]:
        told, score = task["told"], task["score"]
        n = f"{task['n_questions']:,}" + (
            f" ({task['n_rows']:,} rows)" if task["n_rows"] != task["n_questions"] else ""
        )
        unread = "–" if not score else _share(score["unread"]) if "unread" in score else f"{score['failed']} not judged"
        what = AGGREGATIONS[told["aggregation"]] if score else "answered, not judged"
        rows.append(
            [task["about"]["title"], told["protocol"], per_cent(score), what, n, unread, told["id"].rpartition("#")[2]]
        )
    return rows


def reader_rows(task: Mapping[str, Any]) -> list[list[str]]:
    """The same answers under every rule, a column each: right rows, right questions, mean of groups, rows not read."""
    found = []
    for kind, name in KINDS.items():
        cells = [task["readers"][rule].get(kind) if rule in task["readers"] else None for rule in COMPARED]
        if any(cell is not None for cell in cells):
            found.append([name, *(_shown(cell) for cell in cells)])
    return found


def _shown(cell: Mapping[str, Any] | float | None) -> str:
    if isinstance(cell, float):
        return f"{100 * cell:.1f}"
    return per_cent(cell, False)


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


PUBLISHED = (
    "Of the whole published set, each under the protocol of its source: they compare with a number of this page only as far as set "
    "and protocol agree."
)
MAIN_HEAD = ("Set", "Protocol", "Score (95 % interval)", "Measured as", "n", "Unread", "Id")
KINDS = {"per_row": "per row", "circular": "circular", "macro": "macro", "unread": "not read"}
READER_HEAD = ("Per cent", *COMPARED)


def _wrong(out: Path, key: tuple[str, str]) -> list[dict[str, Any]]:
    """Rows of a task that were wrong or not read, with answer and letter, in the order of the set."""
    rows = {row["index"]: row for row in _lines(out / "rows" / f"{key[0]}.{key[1]}.jsonl")}
    answers = Store(out / "answers.jsonl", writing=False).records
    found = []
    for mark in _lines(out / "marks.jsonl"):
        if (mark["protocol"], mark["task"]) == key and mark.get("correct") is False and mark["index"] in rows:
            row = rows[mark["index"]]
            found.append({**row, "said": answers[row["key"]]["answer"], "letter": mark["letter"]})
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- HTML ----------------------------------------------------------------------------------------------------------


def _page(out: Path, results: Mapping[str, Any], wrong: Mapping[tuple[str, str], list[dict[str, Any]]]) -> str:
    title = f"Evaluation of {results['model']}"
    when = results["scored"][:16].replace("T", " ")
    head = (
        f'<header><h1>{escape(title)}</h1><p class="quiet">{when} UTC. Answers that cannot be read are wrong and counted; '
        "nothing is guessed. Numbers with different ids do not compare.</p></header>"
    )
    body = [head, page.section("Scores", "", _table(MAIN_HEAD, main_rows(results), (2, 4, 5)))]
    for task in results["tasks"]:
        key = (task["told"]["protocol"], task["told"]["task"])
        body.append(_task(out, task, wrong[key]))
    body.append(page.section("Versions", "", f'<p class="quiet">{escape(json.dumps(results["versions"]))}</p>'))
    template = Template(Path(__file__).with_name("template.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), body="\n".join(body))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    return page.table([escape(cell) for cell in head], [[escape(cell) for cell in row] for row in rows], numeric)


def _task(out: Path, task: Mapping[str, Any], wrong: Sequence[Mapping[str, Any]]) -> str:
    told, about = task["told"], task["about"]
    parts = [f'<p class="quiet">{escape(protocols.line(told))}</p>']
    parts += [f'<p class="quiet">{escape(note)}</p>' for note in _notes(task)]
    if task["readers"]:
        parts += [
            "<h3>The same answers under every rule</h3>",
            _table(READER_HEAD, reader_rows(task), range(1, len(READER_HEAD))),
        ]
    for name, cells in _tables(task).items():
        parts += [
            f"<h3>By {name}</h3>",
            _table((name, "Score", "n"), [[v, per_cent(c), str(c["n"])] for v, c in cells.items()], (1, 2)),
        ]
    if task["published"]:
        table = _table(("Model", "Score", "Source", "Protocol"), _published(task), (1,))
        parts += ["<h3>Published scores</h3>", f'<p class="quiet">{escape(PUBLISHED)}</p>', table]
    if wrong:
        cards = "".join(_card(out, row) for row in wrong[:SHOWN])
        parts += [
            f"<h3>Wrong or not read: {len(wrong)} rows, {min(SHOWN, len(wrong))} shown</h3>",
            f'<div class="gallery">{cards}</div>',
        ]
    return page.section(f"{about['title']} · {told['protocol']}", "", *parts)


def _notes(task: Mapping[str, Any]) -> list[str]:
    """What a reader of the number should know."""
    about = task["about"]
    counted = [f"{n} {name}" for name, n in {**about["counters"], **task["counters"]}.items() if n]
    files = [f"{name}: SHA-256 {sha}" for name, sha in about["files"].items()]
    judge = (
        [f"published numbers of this protocol were judged by {about['official_judge']}"]
        if about.get("official_judge") and task["told"]["judge_protocol"]
        else []
    )
    return [
        f"{about['source']} (licence of the published set: {about['licence']})",
        *files,
        *counted,
        *about["notes"],
        *judge,
        *both_orders(task),
    ]


def both_orders(task: Mapping[str, Any]) -> list[str]:
    """What asking a judge in both orders found, as a sentence; apart from the official score, which has one order."""
    found = task.get("both_orders")
    if not found or found["agreement"] is None:
        return []
    told = (
        f"both orders: {found['scores']['relative']:.1f} per cent of the reference; the same winner in "
        f"{100 * found['agreement']:.0f} % of {found['n'] - found['failed']} questions; standing first is worth "
        f"{found['first_favoured']:+.2f} points"
    )
    return [told + (f"; {found['failed']} not read in both" if found["failed"] else "")]


def _tables(task: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Tables of categories that tell more than the score does."""
    return {name: cells for name, cells in task["tables"].items() if len(cells) > 1}


def _published(task: Mapping[str, Any]) -> list[list[str]]:
    return [[p["model"], f"{p['score']:.2f}", p["title"], p["protocol"]] for p in task["published"]]


def _card(out: Path, row: Mapping[str, Any]) -> str:
    frames = []
    for name in row["images"][:2]:
        path = out / "pictures" / f"{name}.jpg"
        if path.exists():
            data = base64.b64encode(path.read_bytes()).decode()
            frames.append(f'<div class="frame"><img alt="" src="data:image/jpeg;base64,{data}"></div>')
    options = "\n".join(f"{letter}. {text}" for letter, text in row["options"].items() if text)
    read = "no letter was read" if row["letter"] is None else f"read as {row['letter']}"
    question = stem(row["question"]) if options else row["question"]
    shown = [
        ("Question", escape(_short(question) + ("\n" + options if options else ""))),
        ("Answer", f'<span class="down">{escape(_short(row["said"])) or "(empty)"}</span> <small>({read})</small>'),
        ("Right answer", f'<span class="up">{escape(row["answer"])}</span>'),
        ("Row", escape(f"{row['index']} {row['category']}".strip())),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{cell}</dd>" for name, cell in shown)
    return f'<article class="card">{"".join(frames)}<dl>{listed}</dl></article>'


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


# --- Markdown ------------------------------------------------------------------------------------------------------


def _markdown(results: Mapping[str, Any], wrong: Mapping[tuple[str, str], list[dict[str, Any]]]) -> str:
    lines = [f"# Evaluation of {results['model']}", "", *page.markdown(MAIN_HEAD, main_rows(results))]
    for task in results["tasks"]:
        told = task["told"]
        lines += ["", f"## {task['about']['title']} · {told['protocol']}", "", protocols.line(told), ""]
        lines += [f"- {note}" for note in _notes(task)]
        if task["readers"]:
            lines += ["", "The same answers under every rule:", "", *page.markdown(READER_HEAD, reader_rows(task))]
            lines += ["", *(f"- {name}: {SCORERS[name].meaning}" for name in task["readers"])]
        for name, cells in _tables(task).items():
            lines += [
                "",
                *page.markdown((name, "Score", "n"), [[v, per_cent(c), str(c["n"])] for v, c in cells.items()]),
            ]
        if task["published"]:
            lines += [
                "",
                f"Published scores. {PUBLISHED}",
                "",
                *page.markdown(("Model", "Score", "Source", "Protocol"), _published(task)),
            ]
        for row in wrong[told["protocol"], told["task"]][:SHOWN]:
            picture = "".join(f"![](pictures/{name}.jpg) " for name in row["images"][:1])
            said = " ".join(row["said"].split())[:200] or "(empty)"
            lines += [
                "",
                f"{picture}{row['index']}: {' '.join(row['question'].split())[:300]}",
                f"said `{said.replace('`', ' ')}`, right is {row['answer']}",
            ]
    return "\n".join(lines) + "\n"
