"""Questions on tables and charts: cells, extremes, sums, differences, what lies above a limit."""

from __future__ import annotations

import random
import re

from varco_vision.bench.draft import Picture
from varco_vision.bench.items import numbers_around, sums_of
from varco_vision.synth.chart_source import ChartBook, Charts
from varco_vision.synth.charts import KIND_NAMES, THEMES, Chart
from varco_vision.synth.table_source import TableBook, Tables
from varco_vision.synth.tables import TOPICS, Table, number_text

ROW_WORDS = {
    "월": ("달", "언제입니까?"),
    "달": ("달", "언제입니까?"),
    "학생": ("학생", "누구입니까?"),
    "도시": ("도시", "어디입니까?"),
    "도착역": ("도착역", "어디입니까?"),
}
NOT_SUMMED = ("℃", "%", "cm", "kg", "점", "초", "분")  # units whose sum means nothing


def with_unit(value: float, step: float, unit: str) -> str:
    """A number as one writes it: "1,234원", "97만 명", "12.5 km"."""
    return f"{number_text(value, step)}{' ' if re.match('[a-zA-Z]', unit) else ''}{unit}"


# --- tables ----------------------------------------------------------------------------------------------------------


def table_picture(source: Tables, table: Table, rng: random.Random, index: int) -> Picture:
    """Everything that can be asked about a table."""
    assert table.image is not None
    made = Picture(table.image, "tables", "handwritten" if table.style == "hand" else "digital", index)
    book = TableBook(table, rng, source.speaker, source.digits)
    made.short, made.caption = book.caption("ko", False).answer, book.caption("ko", True).answer
    rows = [
        f"{name}: " + ", ".join(
            f"{c.ko} {with_unit(v, c.step, c.unit_ko)}" for c, v in zip(table.columns, row, strict=True)
        )
        for name, row in zip(table.names, table.values, strict=True)
    ]  # fmt: skip
    made.facts = tuple(rows)
    made.caption += " 값은 다음과 같습니다. " + "; ".join(rows) + "."
    wrong = [t.ko for t in TOPICS if t is not table.topic]
    if table.title == table.topic.ko:
        made.add(
            "table_topic",
            "이 표는 무엇을 나타냅니까?",
            table.topic.ko,
            rng.sample(wrong, 3),
            "이 표는 {right|을/를} 나타냅니다.",
        )
    _cells(made, table, rng)
    _ranks(made, table, rng)
    _sums(made, table, rng)
    return made


def _cells(made: Picture, table: Table, rng: random.Random) -> None:
    c = rng.randrange(len(table.columns))
    column = table.columns[c]
    r = rng.randrange(len(table.names))
    values = [with_unit(row[c], column.step, column.unit_ko) for row in table.values]
    here = [v for k, v in enumerate(values) if k != r]
    made.add(
        "table_cell", "{name}의 {column|은/는} 얼마입니까?", values[r], rng.sample(here, len(here)), "{name}의 {column|은/는} {right}입니다.",
        name=table.names[r], column=column.ko,
    )  # fmt: skip


def _counter(table: Table) -> str:
    return {"places": "곳", "people": "명"}.get(table.topic.names, "개")


def _ranks(made: Picture, table: Table, rng: random.Random) -> None:
    word, ask = ROW_WORDS.get(table.topic.row_ko, (table.topic.row_ko, "무엇입니까?"))
    compared = [k for k, column in enumerate(table.columns) if column.ranked]
    if len(table.names) < 4 or not compared:
        return
    c = rng.choice(compared)
    column = table.columns[c]
    up = rng.random() < 0.5
    high = (column.up if up else column.down)[0]
    ranked = sorted(range(len(table.names)), key=lambda r: table.values[r][c], reverse=up)
    for kind, place, order in (("table_most", 0, "가장"), ("table_second", 1, "두 번째로")):
        best = ranked[place]
        wrong = [table.names[r] for r in rng.sample(ranked, len(ranked)) if r != best]
        made.add(
            kind, "{column|이/가} {order} {high} {row|은/는} {ask}", table.names[best], wrong, "{column|이/가} {order} {high} {row|은/는} {right}입니다.",
            column=column.ko, order=order, high=high, row=word, ask=ask,
        )  # fmt: skip
    values = sorted(row[c] for row in table.values)
    gaps = [(a, b) for a, b in zip(values, values[1:], strict=False) if b - a >= 2 * column.step]
    if gaps:
        a, b = rng.choice(gaps)
        limit = round(a + column.step * max(1, round((b - a) / column.step / 2)), 1)
        assert a < limit < b
        n = sum(v > limit for v in values)
        unit = _counter(table)
        made.add(
            "table_count_if", "{column|이/가} {limit}보다 {high} {row|은/는} 모두 몇 {unit}입니까?", f"{n}{unit}",
            [f"{k}{unit}" for k in numbers_around(rng, n)], "{column|이/가} {limit}보다 {high} {row|은/는} 모두 {right}입니다.",
            column=column.ko, limit=with_unit(limit, column.step, column.unit_ko), high=column.up[0], row=word, unit=unit,
        )  # fmt: skip


def _sums(made: Picture, table: Table, rng: random.Random) -> None:
    c = rng.randrange(len(table.columns))
    column = table.columns[c]

    def told(v: float) -> str:
        return with_unit(v, column.step, column.unit_ko)

    a, b = rng.sample(range(len(table.names)), 2)
    a, b = (a, b) if table.values[a][c] > table.values[b][c] else (b, a)
    value = round(table.values[a][c] - table.values[b][c], 1)
    made.add(
        "table_difference", "{a|과/와} {b}의 {column} 차이는 얼마입니까?", told(value), [told(v) for v in sums_of(rng, value, column.step, column.step)],
        "{a|과/와} {b}의 {column} 차이는 {right}입니다.", a=table.names[a], b=table.names[b], column=column.ko,
    )  # fmt: skip
    if column.unit_ko not in NOT_SUMMED and min(row[c] for row in table.values) >= 0:
        chosen = rng.sample(range(len(table.names)), min(3, len(table.names)))
        total = round(sum(table.values[r][c] for r in chosen), 1)
        listed = ", ".join(table.names[r] for r in chosen)
        made.add(
            "table_sum", "{listed}의 {column|을/를} 모두 더하면 얼마입니까?", told(total), [told(v) for v in sums_of(rng, total, column.step, 0)],
            "{listed}의 {column|을/를} 모두 더하면 {right}입니다.", listed=listed, column=column.ko,
        )  # fmt: skip


# --- charts ----------------------------------------------------------------------------------------------------------


def chart_picture(source: Charts, chart: Chart, rng: random.Random, index: int) -> Picture:
    """Everything that can be asked about a chart. Exact values are asked for where they are written on the marks."""
    made = Picture(chart.image, "charts", "handwritten" if chart.hand else "digital", index)
    book = ChartBook(chart, rng, source.speaker, source.digits)
    made.short, made.caption = book.caption("ko", False).answer, book.caption("ko", True).answer
    unit = chart.unit("ko")
    rows = [
        f"{_of(chart, s, k)}: {with_unit(chart.values[s][k], 1, unit)}"
        for s in range(len(chart.values))
        for k in range(len(chart.names))
    ]
    made.facts = tuple(rows)
    made.caption += " 값은 다음과 같습니다. " + "; ".join(rows) + "."
    _chart_kind(made, chart, rng)
    wrong = [theme.ko for theme in THEMES if theme is not chart.theme]
    made.add(
        "chart_topic",
        "이 그래프는 무엇을 나타냅니까?",
        chart.theme.ko,
        rng.sample(wrong, 3),
        "이 그래프는 {right|을/를} 나타냅니다.",
    )
    s = rng.randrange(len(chart.values))
    _chart_ranks(made, chart, rng, s)
    if chart.labelled:
        _chart_values(made, chart, rng, s, unit)
    return made


BARS = ("bar", "barh", "grouped", "stacked")
SINGLE = ("line", "pie", "scatter")


def _chart_kind(made: Picture, chart: Chart, rng: random.Random) -> None:
    """Always one kind of bars beside the three others; bars, of which there are four kinds, are asked for as often as each."""
    is_bar = chart.kind in BARS
    if is_bar and rng.random() >= 1 / len(BARS):
        return
    kinds = [*SINGLE, chart.kind if is_bar else rng.choice(BARS)]
    wrong = [KIND_NAMES[kind][0] for kind in kinds if kind != chart.kind]
    right = KIND_NAMES[chart.kind][0]
    made.add("chart_kind", "이 그래프의 종류는 무엇입니까?", right, rng.sample(wrong, 3), "이 그래프는 {right}입니다.")


def _of(chart: Chart, s: int, k: int) -> str:
    return f"{chart.series[s]}의 {chart.names[k]}" if chart.series else chart.names[k]


def _chart_ranks(made: Picture, chart: Chart, rng: random.Random, s: int) -> None:
    if len(chart.names) < 4 or (chart.series and not chart.labelled and chart.kind in ("stacked", "line", "scatter")):
        return  # parts that start at different heights, and marks that a legend may hide
    among = chart.theme.among[0]
    word, ask = ROW_WORDS.get(among, (among, "무엇입니까?"))
    up = rng.random() < 0.5
    ranked = sorted(range(len(chart.names)), key=lambda k: chart.values[s][k], reverse=up)
    head = f"{chart.series[s]}의 값이" if chart.series else "값이"
    for kind, place, order in (("chart_most", 0, "가장"), ("chart_second", 1, "두 번째로")):
        best = ranked[place]
        wrong = [chart.names[k] for k in rng.sample(ranked, len(ranked)) if k != best]
        made.add(
            kind, "그래프에서 {head} {order} {high} {row|은/는} {ask}", chart.names[best], wrong, "{head} {order} {high} {row|은/는} {right}입니다.",
            head=head, order=order, high="큰" if up else "작은", row=word, ask=ask,
        )  # fmt: skip


def _chart_values(made: Picture, chart: Chart, rng: random.Random, s: int, unit: str) -> None:
    def told(v: float) -> str:
        return with_unit(v, 1, unit)

    k = rng.randrange(len(chart.names))
    value = chart.values[s][k]
    here = [told(v) for row in chart.values for v in row if v != value]
    made.add(
        "chart_value", "그래프에서 {of}의 값은 얼마입니까?", told(value), [*rng.sample(here, len(here)), *map(told, sums_of(rng, value, 1, 1))],
        "{of}의 값은 {right}입니다.", of=_of(chart, s, k).replace("의 ", " "),
    )  # fmt: skip
    a, b = rng.sample(range(len(chart.names)), 2)
    a, b = (a, b) if chart.values[s][a] > chart.values[s][b] else (b, a)
    value = chart.values[s][a] - chart.values[s][b]
    head = f"{chart.series[s]} 값" if chart.series else "값"
    wrong = [told(v) for v in sums_of(rng, value, 1, 1)]
    made.add(
        "chart_difference", "그래프에서 {a|과/와} {b}의 {head} 차이는 얼마입니까?", told(value), wrong, "{a|과/와} {b}의 {head} 차이는 {right}입니다.",
        a=chart.names[a], b=chart.names[b], head=head,
    )  # fmt: skip
    chosen = rng.sample(range(len(chart.names)), min(3, len(chart.names)))
    total = sum(chart.values[s][k] for k in chosen)
    made.add(
        "chart_sum", "그래프에서 {listed}의 {head|을/를} 모두 더하면 얼마입니까?", told(total), [told(v) for v in sums_of(rng, total, 1, 1)],
        "{listed}의 {head|을/를} 모두 더하면 {right}입니다.", listed=", ".join(chart.names[k] for k in chosen), head=head,
    )  # fmt: skip
