"""Several models on the same evaluation sets, side by side: score, interval, chance, unread answers, categories, and which
model is better on the same questions; HTML, Markdown, plain.

`collect` makes plain JSON out of the results of runs (`runs.score_run`); the rest shows it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from varco_vision.eval import figures, page, protocols

Row = Mapping[str, Any]
HEAD = ("Set", "Measured as", "n", "By chance")
MEASURED = {"circular": "questions right in all rotations", "per_row": "right rows", "judge": "by a judge"}
INTRO = (
    "Built on this machine from pictures, texts and fonts that training does not use. Greedy answers under the protocol "
    "<code>strict</code>: what cannot be read from an answer is wrong and counted, nothing is guessed. These numbers do not "
    "compare with those of the published sets of the same kind."
)
CHANCE = (
    "By chance: one letter drawn for each row. Where options are turned, a guess of one option's text that stays the same in all "
    "rotations would be right in 25 %. A model that answers without a letter falls below chance: such answers are wrong here."
)
PAIRED = (
    "The same questions answered by both: lost are right answers of the first model that the second one has not, gained the other way "
    "round; p is McNemar's exact test, the interval a paired bootstrap."
)
PAIRED_HEAD = ("Set", "n", "Change, points", "Lost / gained", "p")
TEMPLATE = Path(__file__).with_name("template.html")
JUDGE = "Open questions are answered but not scored: a judge is a language model, and none is asked here."


def chance(rows: Sequence[Row], circular: bool) -> float:
    """Expected score of drawing one of the options that a row has, each row by itself.

    Circular: mean over questions of the product over their rows. rows: as `Asked.to_dict` of `pipeline`.
    """
    groups: dict[str, list[float]] = {}
    for row in rows:
        options = sum(text is not None for text in row["options"].values())
        groups.setdefault(row["group"] if circular else row["index"], []).append(1 / options)
    return sum(math.prod(shares) for shares in groups.values()) / len(groups)


def collect(runs: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """What the results of runs on the same sets say, as results.json keeps it. runs: by model; rows: by task.

    {"sets": {task: {"title", "aggregation", "n_questions", "n_rows", "chance": {measure: share}}},
     "models": {name: {task: {"protocol", "unread", "scores": {measure: cell}, "tables": {column: {value: cell}}}}}}; measures as in
    `MEASURED`.
    """
    sets: dict[str, Any] = {}
    models: dict[str, Any] = {}
    for name, results in runs.items():
        for task in results["tasks"]:
            told = task["told"]
            choice = told["aggregation"] != "judge"
            measures = ["circular"] if told["aggregation"] == "circular" else []
            measures += ["per_row"] if choice else []
            sets[told["task"]] = {
                "title": task["about"]["title"],
                "aggregation": told["aggregation"],
                "n_questions": task["n_questions"],
                "n_rows": task["n_rows"],
                "chance": {measure: chance(rows[told["task"]], measure == "circular") for measure in measures},
            }
            own = task["readers"][task["score"]["reader"]] if choice else {}
            models.setdefault(name, {})[told["task"]] = {
                "protocol": protocols.line(told),
                "unread": own.get("unread"),
                "scores": {measure: own[measure] for measure in measures},
                "tables": task.get("tables", {}),
            }
    return {"sets": sets, "models": models}


def against_chance(cell: Mapping[str, Any], by_chance: float) -> str:
    """ "above" or "below" where the 95 % interval leaves chance out, else "like"."""
    return "above" if cell["low"] > by_chance else "below" if cell["high"] < by_chance else "like"


def table_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Plain cells: `HEAD`, then for each model its score with interval, and its unread answers."""
    lines = []
    for task, told in found["sets"].items():
        measures = told["chance"] or {"judge": None}
        for measure, by_chance in measures.items():
            n = told["n_questions"] if measure != "per_row" else told["n_rows"]
            line = [told["title"], MEASURED[measure], f"{n:,}", "–" if by_chance is None else _per_cent(by_chance)]
            for tasks in found["models"].values():
                cell = tasks[task]["scores"].get(measure)
                line += ["not judged", "–"] if cell is None else [_interval(cell), _per_cent(tasks[task]["unread"])]
            lines.append(line)
    return lines


def head(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the columns of `table_rows`."""
    return (*HEAD, *(text for name in found["models"] for text in (name, "Unread")))


def markdown(found: Mapping[str, Any], title: str) -> str:
    """The table with what a reader must know of it."""
    lines = [f"# {title}", "", INTRO.replace("<code>", "`").replace("</code>", "`"), ""]
    lines += [*page.markdown(head(found), table_rows(found)), "", f"{CHANCE} {JUDGE}", ""]
    if rows := paired_rows(found):
        lines += [_pair_title(found), "", *page.markdown(PAIRED_HEAD, rows), "", PAIRED, ""]
    for name, tasks in found["models"].items():
        lines += [f"- {name}: {tasks[task]['protocol']}" for task in tasks]
    return "\n".join(lines) + "\n"


def paired_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Plain cells of `PAIRED_HEAD`: found["paired"], as `runs.compare_runs` gives it, without what no judge has seen."""
    rows = []
    for one in found.get("paired", ()):
        if one["judged"]:
            continue
        change = f"{100 * one['difference']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
        title = found["sets"][one["task"]]["title"]
        rows.append([title, f"{one['n']:,}", change, f"{one['lost']} / {one['gained']}", f"{one['p']:.2g}"])
    return rows


def _pair_title(found: Mapping[str, Any]) -> str:
    first, second = list(found["models"])[:2]
    return f"From {first} to {second}"


# --- HTML ----------------------------------------------------------------------------------------------------------


def html(found: Mapping[str, Any] | None, folder: Path) -> str:
    """The section of a report; "" without results. found: `collect`, with "examples" where wanted, or {"left_out": why}.

    folder: where the pictures of examples lie.
    """
    if not found:
        return ""
    title, korean_title = "Five Korean sets: k-mini", "한국어 평가 다섯 가지: k-mini"
    if "left_out" in found:
        return page.section(title, korean_title, f"<p>Left out: {escape(found['left_out'])}</p>")
    notes = f'<p>{INTRO}</p><p class="quiet">Under each score its 95 % interval; the upright tick is chance. {CHANCE} {JUDGE}</p>'
    lines = [
        f"<li>{escape(name)}: {escape(one['protocol'])}</li>"
        for name, tasks in found["models"].items()
        for one in tasks.values()
    ]
    protocol = f"<details><summary>protocol of each number</summary><ul>{''.join(lines)}</ul></details>"
    examples = [_example(one, folder) for one in found.get("examples", ())]
    shown = (
        f'<h3>The first question of each set{page.korean("각 평가의 첫 문항")}</h3><div class="gallery">{"".join(examples)}</div>'
        if examples
        else ""
    )
    parts = (notes, _table(found), protocol, _paired(found), _categories(found), _reports(found), shown)
    return page.section(title, korean_title, *parts)


def write(found: Mapping[str, Any], title: str, folder: Path, pictures: Path) -> list[Path]:
    """report.html and report.md of `found` in a folder. pictures: the folder that paths of examples start from."""
    paths = [folder / "report.html", folder / "report.md"]
    here = {
        **found,
        "reports": {name: path.removeprefix(f"{folder.name}/") for name, path in found.get("reports", {}).items()},
    }
    body = f"<header><h1>{escape(title)}</h1></header>\n{html(here, pictures)}"
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    paths[0].write_text(template.substitute(title=escape(title), body=body), encoding="utf-8")
    paths[1].write_text(markdown(found, title), encoding="utf-8")
    return paths


def _paired(found: Mapping[str, Any]) -> str:
    rows = [[escape(cell) for cell in row] for row in paired_rows(found)]
    if not rows:
        return ""
    title = f"<h3>{escape(_pair_title(found))}{page.korean('같은 문항에서의 차이')}</h3>"
    return f'{title}<p class="quiet">{PAIRED}</p>{page.table(PAIRED_HEAD, rows, range(1, 5))}'


def _categories(found: Mapping[str, Any]) -> str:
    """For each set a closed table of its categories, a column a model; left out where a set has one category only."""
    parts = []
    for task, told in found["sets"].items():
        tables = {name: tasks[task].get("tables", {}) for name, tasks in found["models"].items()}
        for column in dict.fromkeys(column for table in tables.values() for column in table):
            values = dict.fromkeys(value for table in tables.values() for value in table.get(column, {}))
            if len(values) < 2:
                continue
            rows = []
            for value in values:
                cells = [table.get(column, {}).get(value) for table in tables.values()]
                n = next(cell["n"] for cell in cells if cell)
                shown = ["–" if c is None else f"{_per_cent(c['value'])}<small>{_span(c)}</small>" for c in cells]
                rows.append([escape(value), str(n), *shown])
            inner = page.table([escape(column), "n", *map(escape, tables)], rows, range(1, 2 + len(tables)))
            parts.append(f"<details><summary>{escape(told['title'])} by {escape(column)}</summary>{inner}</details>")
    return f"<h3>By category{page.korean('범주별')}</h3>{''.join(parts)}" if parts else ""


def _reports(found: Mapping[str, Any]) -> str:
    """Links to the models' own reports: every rule, every category, wrong answers beside their pictures."""
    links = [f'<li><a href="{escape(path)}">{escape(name)}</a></li>' for name, path in found.get("reports", {}).items()]
    if not links:
        return ""
    return f"<p>Every wrong answer beside its picture, and the same answers under other rules:</p><ul>{''.join(links)}</ul>"


def _table(found: Mapping[str, Any]) -> str:
    rows = []
    for task, told in found["sets"].items():
        for measure, by_chance in (told["chance"] or {"judge": None}).items():
            n = told["n_questions"] if measure != "per_row" else told["n_rows"]
            cells = [f"<strong>{escape(told['title'])}</strong>", MEASURED[measure], f"{n:,}"]
            cells.append("–" if by_chance is None else _per_cent(by_chance))
            for tasks in found["models"].values():
                cells += _cells(tasks[task], measure, by_chance)
            rows.append(cells)
    return page.table([escape(text) for text in head(found)], rows, range(2, len(head(found))))


def _cells(task: Mapping[str, Any], measure: str, by_chance: float | None) -> list[str]:
    cell = task["scores"].get(measure)
    if cell is None or by_chance is None:
        return ['<span class="quiet">not judged</span>', "–"]
    side = against_chance(cell, by_chance)
    kind = {"above": "up", "below": "down", "like": "quiet"}[side]
    score = f'<span class="{kind}">{_per_cent(cell["value"])}</span>{figures.interval(cell, by_chance)}'
    score += f"<small>{_span(cell)}</small><small>{side} chance</small>"
    return [score, _per_cent(task["unread"])]


def _example(one: Mapping[str, Any], folder: Path) -> str:
    """A question with its picture, the right answer and what each model said; chosen before any answer was known."""
    frame = ""
    if one["picture"] and (folder / one["picture"]).is_file():
        data = base64.b64encode((folder / one["picture"]).read_bytes()).decode()
        frame = f'<div class="frame"><img alt="picture of the question" src="data:image/jpeg;base64,{data}"></div>'
    options = "\n".join(f"{letter}. {text}" for letter, text in one["options"].items() if text is not None)
    asked = f"{one['question']}\n{options}" if options else one["question"]
    rows = [("Question", escape(asked)), ("Right answer", escape(one["answer"]))]
    for name, told in one["told"].items():
        letter = "" if not options else f" <small>({'no letter' if told['letter'] is None else told['letter']})</small>"
        rows.append((name, f"{escape(_short(told['answer'])) or '(nothing)'}{letter}"))
    listed = "".join(f'<dt>{escape(a)}</dt><dd lang="ko">{b}</dd>' for a, b in rows)
    return f'<article class="card">{frame}<div class="verdict open">{escape(one["title"])}</div><dl>{listed}</dl></article>'


def _short(text: str, most: int = 160) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _per_cent(value: float) -> str:
    return f"{100 * value:.1f}\u00a0%"


def _span(cell: Mapping[str, Any]) -> str:
    return f"{100 * cell['low']:.1f} – {100 * cell['high']:.1f}"


def _interval(cell: Mapping[str, Any]) -> str:
    return f"{100 * cell['value']:.1f} ({100 * cell['low']:.1f} - {100 * cell['high']:.1f})"
