"""What is asked about tables, and their source."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from varco_vision.markup import Object, write
from varco_vision.synth import strings
from varco_vision.synth.asking import QA, Asked, Asks, Made, as_list, both, readable, relative
from varco_vision.synth.korean import josa
from varco_vision.synth.phrasing import Speaker
from varco_vision.synth.questions import joined
from varco_vision.synth.tables import Column, Table, TableConfig, cell_box, number_text, table
from varco_vision.synth.templates import pages as t
from varco_vision.synth.wild_source import reading_asks, settings, word_list

OPTIONS = tuple(f.name for f in fields(TableConfig) if f.name != "split")


def with_unit(value: float, column: Column, lang: str) -> str:
    """A computed value as an answer: "1,234원", "12.5 km"."""
    return strings.measured(number_text(value, column.step), column.unit(lang))


class TableBook:
    """A table with its questions."""

    def __init__(self, made: Table, rng: random.Random, speaker: Speaker, digits: int) -> None:
        assert made.image is not None
        self.table, self.rng, self.speaker, self.digits = made, rng, speaker, digits
        self.size = made.image.size

    def say(self, wording: Any, lang: str, **values: object) -> str:
        return self.speaker.say(self.rng, wording, lang, **values)

    def _row(self, lang: str) -> dict[str, str]:
        topic = self.table.topic
        return {"row": topic.said if lang == "ko" else topic.row_en, "rows": topic.rows_en, "unit": topic.counter}

    def cell(self, lang: str, r: int, c: int) -> QA:
        tb = self.table
        column, answer = tb.columns[c], tb.texts[r][c]
        wrong = tuple(row[c] for k, row in enumerate(tb.texts) if k != r)
        text = self.say(t.ITEM, lang, item=tb.names[r], column=column.name(lang))
        return QA(
            "vqa",
            "table_cell",
            lang,
            text,
            answer,
            {"row": tb.names[r], "column": column.en, "value": tb.values[r][c]},
            wrong,
        )

    def cell_where(self, lang: str, r: int, c: int) -> QA:
        tb = self.table
        found = next(
            x
            for x in tb.cells
            if x.value is not None and x.text == tb.texts[r][c] and x.value == tb.values[r][c] and x.words
        )
        box = relative(cell_box(found), self.size)
        head = tb.columns[c].name(lang)
        name = f"{tb.names[r]}의 {head}" if lang == "ko" else f"{head} of {tb.names[r]}"
        text = "<gro>\n" + self.say(t.FIELD_WHERE, lang, field=name)
        return QA(
            "grounding",
            "table_cell",
            lang,
            text,
            write([Object(tb.texts[r][c], (box,))], self.digits),
            {"boxes": [as_list(box)], "phrase": tb.texts[r][c]},
        )

    def most(self, lang: str, c: int, up: bool) -> QA:
        tb = self.table
        column = tb.columns[c]
        ranked = sorted(range(len(tb.names)), key=lambda r: tb.values[r][c], reverse=up)
        high = (column.up if up else column.down)[0 if lang == "ko" else 1]
        text = self.say(t.MOST, lang, column=column.name(lang), high=high, **self._row(lang))
        wrong = tuple(tb.names[r] for r in ranked[1:])
        return QA("vqa", "table_most", lang, text, tb.names[ranked[0]], {"column": column.en}, wrong)

    def total(self, lang: str, c: int) -> QA:
        tb = self.table
        column = tb.columns[c]
        value = round(sum(row[c] for row in tb.values), 1)
        text = self.say(t.SUM, lang, column=column.name(lang), **self._row(lang))
        wrong = tuple(
            with_unit(v, column, lang)
            for v in (value + column.step * 10, value - column.step * 10, max(row[c] for row in tb.values))
        )
        return QA(
            "vqa", "table_sum", lang, text, with_unit(value, column, lang), {"column": column.en, "value": value}, wrong
        )

    def difference(self, lang: str, c: int, a: int, b: int) -> QA:
        tb = self.table
        column = tb.columns[c]
        if tb.values[a][c] < tb.values[b][c]:
            a, b = b, a
        value = round(tb.values[a][c] - tb.values[b][c], 1)
        text = self.say(
            t.DIFFERENCE, lang, a=tb.names[a], b=tb.names[b], column=column.name(lang), more=column.more(lang)
        )
        wrong = (
            with_unit(value + column.step, column, lang),
            with_unit(value + 10 * column.step, column, lang),
            with_unit(tb.values[a][c], column, lang),
        )
        return QA(
            "vqa",
            "table_difference",
            lang,
            text,
            with_unit(value, column, lang),
            {"column": column.en, "value": value},
            wrong,
        )

    def count_if(self, lang: str, c: int) -> QA:
        """How many lie above a limit that is no value of the table."""
        tb = self.table
        column = tb.columns[c]
        ranked = sorted(row[c] for row in tb.values)
        k = self.rng.randrange(len(ranked) - 1)
        limit = round((ranked[k] + ranked[k + 1]) / 2, 1) if column.step < 1 else (ranked[k] + ranked[k + 1]) // 2
        n = sum(v > limit for v in ranked)
        answer = f"{n}{tb.topic.counter}" if lang == "ko" else str(n)
        text = self.say(
            t.COUNT_IF,
            lang,
            column=column.name(lang),
            limit=with_unit(limit, column, lang),
            high=column.more(lang),
            **self._row(lang),
        )
        wrong = tuple(answer.replace(str(n), str(x)) for x in (n - 1, n + 1, n + 2) if x >= 0)
        return QA(
            "counting", "table_count_if", lang, text, answer, {"count": n, "limit": limit, "column": column.en}, wrong
        )

    def rows(self, lang: str) -> QA:
        n = len(self.table.names)
        answer = f"{n}{self.table.topic.counter}" if lang == "ko" else str(n)
        wrong = tuple(answer.replace(str(n), str(x)) for x in (n - 1, n + 1, n + 2))
        return QA(
            "counting",
            "table_rows",
            lang,
            self.say(t.HOW_MANY_ROWS, lang, **self._row(lang)),
            answer,
            {"count": n},
            wrong,
        )

    def markdown(self, lang: str) -> QA:
        return QA("vqa", "markdown", lang, self.say(t.AS_MARKDOWN, lang), as_markdown(self.table))

    def caption(self, lang: str, long: bool) -> QA:
        """What the table is about; long, with its extremes."""
        tb = self.table
        topic, n = tb.topic, len(tb.names)
        heads = [c.name(lang) for c in tb.columns]
        titled = bool(tb.title_words)  # only what is written is quoted
        if lang == "ko":
            given = joined(heads, lang)
            rows = f"{n}개월" if topic.said == "달" else f"{topic.said} {n}{topic.counter}"
            said = [
                f"제목이 '{tb.title}'인 표입니다." if titled else "표입니다.",
                f"{rows}의 {given}{josa(given, '이/가')} 적혀 있습니다.",
            ]
        else:
            said = [
                f"This is a table titled '{tb.title}'." if titled else "This is a table.",
                f"It gives the {joined(heads, lang)} of {n} {topic.rows_en}.",
            ]
        for c, column in enumerate(tb.columns if long else []):
            if not column.ranked:
                continue
            best = max(range(n), key=lambda r: tb.values[r][c])
            if lang == "ko":
                said.append(
                    f"{column.ko}{josa(column.ko, '이/가')} 가장 {column.up[0]} {topic.said}{josa(topic.said, '은/는')} {tb.names[best]}입니다."
                )
            else:
                said.append(f"The {topic.row_en} with the {column.up[1]} {column.en} is {tb.names[best]}.")
        kind = "table_long" if long else "table"
        return QA("caption", kind, lang, self.say(t.PAGE_LONG if long else t.PAGE_SHORT, lang), " ".join(said))

    def asks(self) -> Asks:
        """Everything that can be asked, by family."""
        tb, rng = self.table, self.rng
        read = reading_asks(tb.words, self.size, rng, self.speaker, self.digits, ())
        places = [(r, c) for r in range(len(tb.names)) for c in range(len(tb.columns)) if readable(tb.names[r])]
        unique = [(r, c) for r, c in places if sum(x.text == tb.texts[r][c] for x in tb.cells) == 1]
        asks: Asks = {
            "ocr": read["ocr"] if len(tb.words) <= 80 else [],
            "referring": read["referring"],
            "grounding": [m for r, c in unique for m in both(lambda lang, r=r, c=c: self.cell_where(lang, r, c))],
            "cell": [m for r, c in places for m in both(lambda lang, r=r, c=c: self.cell(lang, r, c))],
            "markdown": both(self.markdown),
            "caption": [*both(lambda lang: self.caption(lang, False)), *both(lambda lang: self.caption(lang, True))],
            "rows": both(self.rows),
            "reason": [],
        }
        for c in range(len(tb.columns)):
            for up in (True, False) if tb.columns[c].ranked else ():
                asks["reason"] += both(lambda lang, c=c, up=up: self.most(lang, c, up))
            if "temperature" not in tb.columns[c].en and "%" not in tb.columns[c].unit_en:
                asks["reason"] += both(lambda lang, c=c: self.total(lang, c))
            if tb.columns[c].ranked:
                asks["reason"] += both(lambda lang, c=c: self.count_if(lang, c))
            for _ in range(3):
                a, b = rng.sample(range(len(tb.names)), 2)
                if readable(tb.names[a]) and readable(tb.names[b]):
                    asks["reason"] += both(lambda lang, c=c, a=a, b=b: self.difference(lang, c, a, b))
        return asks


def as_markdown(tb: Table) -> str:
    """The table in Markdown; a cell that spans several places is written in the first of them."""
    rows = max(c.row + c.rows for c in tb.cells)
    columns = max(c.column + c.columns for c in tb.cells)
    grid = [[""] * columns for _ in range(rows)]
    for cell in tb.cells:
        grid[cell.row][cell.column] = cell.text
    lines = ["| " + " | ".join(row) + " |" for row in grid]
    lines.insert(1, "|" + " --- |" * columns)
    return "\n".join(lines)


def truth_of(tb: Table) -> dict[str, Any]:
    """Every cell with its place, span, text, value and box."""
    assert tb.image is not None
    size = tb.image.size
    cells = [
        {
            "row": c.row, "column": c.column, "rows": c.rows, "columns": c.columns, "text": c.text, "value": c.value, "head": c.head,
            "box": as_list(relative(c.box, size)),
        }
        for c in tb.cells
    ]  # fmt: skip
    return {
        "title": tb.title, "topic": tb.topic.en, "layout": tb.layout, "style": tb.style, "cells": cells, "words": word_list(tb.words, size),
    }  # fmt: skip


class Tables(Asked):
    """Tables. Options: those of `Asked` and of `TableConfig`."""

    name = "tables"
    families = {
        "ocr": 1.0,
        "referring": 1.0,
        "grounding": 2.0,
        "cell": 4.0,
        "reason": 4.0,
        "rows": 0.5,
        "markdown": 0.7,
        "caption": 0.7,
    }
    option_names = OPTIONS

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 12,
        tasks: Mapping[str, float] | None = None,
        wordings: int | None = None,
        digits: int = 2,
        choices: float = 0.15,
        turns: float = 0.1,
        truth: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(seed, split, questions, tasks, wordings, digits, choices, turns, truth)
        self.config = TableConfig(split=split, **settings(TableConfig, options, OPTIONS))

    def make(self, rng: random.Random) -> Made:
        made = table(rng, self.config)
        assert made.image is not None
        return Made((made.image,), TableBook(made, rng, self.speaker, self.digits).asks(), truth_of(made))
