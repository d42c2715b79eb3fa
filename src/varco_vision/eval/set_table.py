"""Several models on the same evaluation sets, side by side: score, interval, chance, unread answers; HTML, Markdown, plain.

`collect` makes plain JSON out of the results of runs (`runs.score_run`); the rest shows it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from varco_vision.eval import page, protocols

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
     "models": {name: {task: {"protocol", "unread", "not_judged", "scores": {measure: cell}}}}}; measures as in `MEASURED`.
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
    for name, tasks in found["models"].items():
        lines += [f"- {name}: {tasks[task]['protocol']}" for task in tasks]
    return "\n".join(lines) + "\n"


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
    notes = f'<p>{INTRO}</p><p class="quiet">Under each score its 95 % interval. {CHANCE} {JUDGE}</p>'
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
    return page.section(title, korean_title, notes, _table(found), protocol, shown)


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
    interval = f"{100 * cell['low']:.1f} – {100 * cell['high']:.1f}"
    score = (
        f'<span class="{kind}">{_per_cent(cell["value"])}</span><small>{interval}</small><small>{side} chance</small>'
    )
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


def _interval(cell: Mapping[str, Any]) -> str:
    return f"{100 * cell['value']:.1f} ({100 * cell['low']:.1f} - {100 * cell['high']:.1f})"
