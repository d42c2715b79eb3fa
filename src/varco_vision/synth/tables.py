"""Tables with exact cells: merged heads and row groups, units, negative numbers, Korean dates; printed or by hand."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from varco_vision.errors import InputError
from varco_vision.synth import degrade, strings
from varco_vision.synth.rng import stable_hash
from varco_vision.synth.typeset import HAND, Colour, Sheet, Word, faces, pick_face, style_seed, union

LAYOUTS = 24
EVAL_LAYOUTS = 25  # percent
STYLES = ("digital", "hand")


_MORE = {"highest": "higher", "longest": "longer", "greatest": "greater"}


@dataclass(frozen=True)
class Column:
    """A column of values: names in both languages, unit, range and step; `up` and `down` are the words for most and least.

    Both are empty for changes, of which it is not clear whether -5 is more than 2: they are not compared.
    """

    ko: str
    en: str
    unit_ko: str
    unit_en: str
    low: float
    high: float
    step: float
    up: tuple[str, str] = ("큰", "highest")
    down: tuple[str, str] = ("작은", "lowest")

    def name(self, lang: str) -> str:
        return self.ko if lang == "ko" else self.en

    def unit(self, lang: str) -> str:
        return self.unit_ko if lang == "ko" else self.unit_en

    @property
    def ranked(self) -> bool:
        """Whether values are asked to be compared."""
        return bool(self.up[0])

    def more(self, lang: str) -> str:
        """The word that compares two values: 많은, 먼 ... (얼마나 더 먼지), or "higher", "longer" ..."""
        return (self.up[0] or "큰") if lang == "ko" else _MORE.get(self.up[1], "larger")


@dataclass(frozen=True)
class Topic:
    """What a table is about: the kind of its rows, their names, its columns."""

    ko: str
    en: str
    row_ko: str
    row_en: str
    rows_en: str
    names: str  # of `_row_names`
    columns: tuple[Column, ...]

    @property
    def counter(self) -> str:
        """How Korean counts the rows."""
        return {"people": "명", "places": "곳"}.get(self.names, "개")

    @property
    def said(self) -> str:
        """What Korean calls a row in a sentence; months stand under the head 월 and are called 달."""
        return "달" if self.names == "months" else self.row_ko


_MANY, _HIGH, _PRICE, _SIGNED = (
    (("많은", "highest"), ("적은", "lowest")),
    (("높은", "highest"), ("낮은", "lowest")),
    (("비싼", "highest"), ("싼", "lowest")),
    (("", ""), ("", "")),
)
TOPICS = (
    Topic("도시별 인구와 면적", "Population and Area of Cities", "도시", "city", "cities", "places", (
        Column("인구", "population", "천 명", "thousand", 8, 970, 1, *_MANY), Column("면적", "area", "km²", "km²", 30, 900, 1, ("넓은", "largest"), ("좁은", "smallest")),
        Column("학교 수", "number of schools", "개", "", 5, 300, 1, *_MANY), Column("인구 증감률", "population change", "%", "%", -9, 9, 0.1, *_HIGH))),
    Topic("월별 매출", "Monthly Sales", "월", "month", "months", "months", (
        Column("매출액", "revenue", "천 원", "thousand won", 100, 9900, 10, *_HIGH), Column("비용", "cost", "천 원", "thousand won", 100, 7000, 10, *_HIGH),
        Column("손님 수", "number of visitors", "명", "", 20, 900, 1, *_MANY), Column("순이익", "net profit", "천 원", "thousand won", -900, 2500, 10, *_HIGH))),
    Topic("기온과 강수량", "Weather by City", "도시", "city", "cities", "places", (
        Column("최고 기온", "maximum temperature", "℃", "°C", -2, 37, 0.1, *_HIGH), Column("최저 기온", "minimum temperature", "℃", "°C", -19, 22, 0.1, *_HIGH),
        Column("강수량", "rainfall", "mm", "mm", 0, 300, 1, *_MANY), Column("습도", "humidity", "%", "%", 20, 95, 1, *_HIGH))),
    Topic("시험 성적", "Test Scores", "학생", "student", "students", "people", (
        Column("국어 점수", "Korean score", "점", "", 40, 100, 1, *_HIGH), Column("수학 점수", "math score", "점", "", 30, 100, 1, *_HIGH),
        Column("영어 점수", "English score", "점", "", 35, 100, 1, *_HIGH), Column("과학 점수", "science score", "점", "", 30, 100, 1, *_HIGH))),
    Topic("상품 재고", "Stock of Goods", "상품", "product", "products", "goods", (
        Column("단가", "unit price", "원", "won", 500, 15000, 100, *_HIGH), Column("재고", "stock", "개", "", 0, 400, 1, *_MANY),
        Column("판매량", "sales", "개", "", 0, 300, 1, *_MANY), Column("재고 증감", "change in stock", "개", "", -80, 80, 1, *_SIGNED))),
    Topic("열차 요금과 거리", "Train Fares", "도착역", "destination", "destinations", "places", (
        Column("거리", "distance", "km", "km", 20, 480, 1, ("먼", "longest"), ("가까운", "shortest")), Column("소요 시간", "travel time", "분", "min", 20, 320, 1, ("긴", "longest"), ("짧은", "shortest")),
        Column("요금", "fare", "원", "won", 2000, 62000, 100, *_PRICE))),
    Topic("체력 측정 결과", "Fitness Test", "학생", "student", "students", "people", (
        Column("키", "height", "cm", "cm", 140, 189, 0.1, ("큰", "greatest"), ("작은", "smallest")), Column("몸무게", "weight", "kg", "kg", 38, 92, 0.1, ("무거운", "greatest"), ("가벼운", "smallest")),
        Column("달리기 기록", "running time", "초", "s", 6.8, 11.9, 0.1, ("느린", "longest"), ("빠른", "shortest")), Column("체중 변화", "weight change", "kg", "kg", -5, 5, 0.1, *_SIGNED))),
)  # fmt: skip
# of each row, the first is at least the second; columns of which a table must not show all, since one follows from the others
_ABOVE = (("maximum temperature", "minimum temperature"), ("revenue", "net profit"))
_TIED = {"revenue", "cost", "net profit"}


@dataclass(frozen=True)
class TableConfig:
    """size: most (width, height) in pixels. rows, columns: fewest and most of data. text_px: height of writing.

    styles: "digital", "hand". korean: share of Korean tables. dates: share of tables with a column of dates.
    merged: share with a head over several columns or a group cell over several rows. harm: 0..1.
    """

    split: str = "train"
    size: tuple[int, int] = (640, 560)
    rows: tuple[int, int] = (3, 8)
    columns: tuple[int, int] = (1, 3)
    text_px: tuple[int, int] = (14, 20)
    styles: tuple[str, ...] = STYLES
    korean: float = 0.7
    dates: float = 0.25
    merged: float = 0.4
    harm: float = 0.4

    def __post_init__(self) -> None:
        for name, least in (("rows", 2), ("columns", 1), ("text_px", 6)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise InputError(f"{name}={(low, high)} asked for; give a lower and an upper bound, at least {least}")
        for style in self.styles:
            if style not in STYLES:
                raise InputError(f"unknown style {style!r}; known are {', '.join(STYLES)}")


@dataclass
class Cell:
    """row, column and how many of each it spans; its words lie in `words`; `value` is the number, where it is one."""

    row: int
    column: int
    rows: int
    columns: int
    text: str
    value: float | None = None
    head: bool = False
    box: tuple[float, float, float, float] = (0, 0, 0, 0)
    words: list[Word] = field(default_factory=list, repr=False)


@dataclass
class Table:
    """A table with its meaning: `values[r][c]` belongs to `names[r]` and `columns[c]`."""

    topic: Topic
    lang: str
    layout: str
    style: str
    names: list[str]
    columns: list[Column]
    values: list[list[float]]
    texts: list[list[str]]
    cells: list[Cell]
    title: str
    image: Image.Image | None = None
    words: list[Word] = field(default_factory=list)
    title_words: list[Word] = field(default_factory=list)


def number_text(value: float, step: float) -> str:
    """A value as tables write it: 1,234 or 0.5, negative numbers with a minus sign or a triangle."""
    return f"{value:,.1f}" if step < 1 else f"{round(value):,}"


def layout_names(split: str) -> tuple[str, ...]:
    """Table layouts of a split, by a stable hash."""
    return tuple(
        f"table-{n}"
        for n in range(LAYOUTS)
        if (stable_hash("layout", "table", n) % 100 < EVAL_LAYOUTS) == (split == "eval")
    )


def _row_names(rng: random.Random, topic: Topic, lang: str, count: int, split: str) -> list[str]:
    if topic.names == "months":
        first = rng.randint(1, 13 - min(12, count))
        months = range(first, first + min(12, count))
        return [f"{m}월" if lang == "ko" else strings._MONTHS_EN[m - 1] for m in months]
    if topic.names == "people":
        return list(dict.fromkeys(strings.person(rng, lang, split) for _ in range(count)))
    if topic.names == "places":
        pool = strings.own("table place", strings.PLACES[lang], split)
        return rng.sample(pool, min(count, len(pool)))
    index = 0 if lang == "ko" else 1
    goods = [g[index] for trade in strings.GOODS.values() for g in trade if strings.belongs("goods", g[0], split)]
    return rng.sample(goods, min(count, len(goods)))


def content(rng: random.Random, config: TableConfig) -> Table:
    """A table's meaning and cells, not yet drawn. No two values of a column are equal."""
    topic = rng.choice(TOPICS)
    lang = "ko" if rng.random() < config.korean else "en"
    layout = rng.choice(layout_names(config.split))
    names = _row_names(rng, topic, lang, rng.randint(*config.rows), config.split)
    columns = rng.sample(topic.columns, min(len(topic.columns), rng.randint(*config.columns)))
    if {c.en for c in columns} >= _TIED:
        columns = [c for c in columns if c.en != "cost"]
    values = _values(rng, columns, len(names))
    texts = [[number_text(v, c.step) for v, c in zip(row, columns, strict=True)] for row in values]
    table = Table(
        topic,
        lang,
        layout,
        rng.choice(config.styles),
        names,
        columns,
        values,
        texts,
        [],
        topic.ko if lang == "ko" else topic.en,
    )
    _cells(rng, config, table)
    return table


def _values(rng: random.Random, columns: list[Column], rows: int) -> list[list[float]]:
    """Numbers by row and column: all different within a column, and possible side by side (`_ABOVE`)."""
    places = {c.en: k for k, c in enumerate(columns)}
    pairs = [(places[a], places[b]) for a, b in _ABOVE if a in places and b in places]
    while True:
        drawn: list[list[float]] = []
        for column in columns:
            steps = round((column.high - column.low) / column.step)
            drawn.append([round(column.low + k * column.step, 1) for k in rng.sample(range(steps + 1), rows)])
        if all(high >= low for a, b in pairs for high, low in zip(drawn[a], drawn[b], strict=True)):
            return [list(row) for row in zip(*drawn, strict=True)]


def _cells(rng: random.Random, config: TableConfig, table: Table) -> None:
    """Lay names, values, dates and merged cells into a grid."""
    look = style_seed("layout", table.layout)
    ko = table.lang == "ko"
    merged = rng.random() < config.merged
    spanning_head = merged and len(table.columns) > 1 and look.random() < 0.6
    grouped = merged and not spanning_head and len(table.names) > 3 and table.topic.names != "months"
    dated = rng.random() < config.dates and table.topic.names != "months"
    units_in_head = look.random() < 0.7
    top, left = (2 if spanning_head else 1), (1 if grouped else 0)
    cells = table.cells
    row_head = table.topic.row_ko if ko else table.topic.row_en.capitalize()
    if grouped:
        cells.append(Cell(0, 0, top, 1, "구분" if ko else "Group", head=True))
    cells.append(Cell(0, left, top, 1, row_head, head=True))
    if spanning_head:
        cells.append(Cell(0, left + 1, 1, len(table.columns), "측정값" if ko else "Values", head=True))
    for c, column in enumerate(table.columns):
        text = column.ko if ko else column.en[0].upper() + column.en[1:]
        unit = column.unit(table.lang)
        cells.append(
            Cell(top - 1, left + 1 + c, 1, 1, f"{text} ({unit})" if unit and units_in_head else text, head=True)
        )
    if dated:
        cells.append(Cell(0, left + 1 + len(table.columns), top, 1, "날짜" if ko else "Date", head=True))
    sign = look.choice(("-", "-", "△" if ko else "-"))
    half = len(table.names) // 2
    if grouped:
        cells.append(Cell(top, 0, half, 1, "가" if ko else "A"))
        cells.append(Cell(top + half, 0, len(table.names) - half, 1, "나" if ko else "B"))
    for r, name in enumerate(table.names):
        cells.append(Cell(top + r, left, 1, 1, name))
        for c, column in enumerate(table.columns):
            text = table.texts[r][c].replace("-", sign)
            unit = column.unit(table.lang)
            if not units_in_head:
                text = strings.measured(text, unit)
            table.texts[r][c] = text
            cells.append(Cell(top + r, left + 1 + c, 1, 1, text, table.values[r][c]))
        if dated:
            cells.append(
                Cell(top + r, left + 1 + len(table.columns), 1, 1, strings.date_text(rng, strings.day(rng), table.lang))
            )


def draw(rng: random.Random, config: TableConfig, table: Table) -> bool:
    """Draw the table, as large as its writing asks for; False where that exceeds the picture."""
    look = style_seed("layout", table.layout, "looks")
    hand = table.style == "hand"
    size = rng.randint(*config.text_px)
    everything = " ".join([table.title, *(cell.text for cell in table.cells)])
    fonts = faces(config.split, "hand" if hand else "text")
    try:
        font = pick_face(rng, fonts, everything)
    except InputError:
        return False
    if hand and HAND.search(font.rsplit("/", 1)[-1]):
        size = round(size * 1.3)
    measure = Sheet(Image.new("RGB", (1, 1)))
    pad, height = round(size * look.uniform(0.4, 0.8)), round(size * look.uniform(1.7, 2.2))
    columns = max(c.column + c.columns for c in table.cells)
    rows = max(c.row + c.rows for c in table.cells)
    widths = [0.0] * columns
    for cell in table.cells:
        if cell.columns == 1:
            widths[cell.column] = max(widths[cell.column], measure.room(cell.text, font, size) + 2 * pad)
    for cell in table.cells:
        if cell.columns > 1:
            lack = measure.room(cell.text, font, size) + 2 * pad - sum(widths[cell.column : cell.column + cell.columns])
            widths[cell.column] += max(0, lack)
    margin = round(size * rng.uniform(0.6, 1.5))
    title_room = round(size * 2.2) if look.random() < 0.75 else 0
    width = round(sum(widths)) + 2 * margin
    total = height * rows + title_room + 2 * margin
    title_wide = measure.room(table.title, font, round(size * 1.25)) + 2 * margin
    if max(width, title_wide) > config.size[0] or total > config.size[1]:
        return False
    width = max(width, round(title_wide) if title_room else 0)
    _paint(rng, look, table, font, size, (width, total, margin, title_room, pad, height), widths)
    return True


def _paint(
    rng: random.Random,
    look: random.Random,
    table: Table,
    font: str,
    size: int,
    measures: tuple[int, int, int, int, int, int],
    widths: list[float],
) -> None:
    width, total, margin, title_room, pad, height = measures
    hand = table.style == "hand"
    white = rng.randint(240, 255)
    sheet = Sheet(Image.new("RGB", (width, total), (white, white, white if not hand else white - 6)))
    text: Colour = look.choice(((20, 20, 20), (40, 40, 50))) if not hand else look.choice(((25, 45, 150), (35, 35, 40)))
    if title_room:
        sheet.middle(table.title, width / 2, margin + size * 1.2, font, round(size * 1.25), text, "title")
        table.title_words = sheet.of("title")
    lefts = [margin + sum(widths[:k]) for k in range(len(widths) + 1)]
    fill = tuple(look.randint(185, 240) for _ in range(3))
    zebra = tuple(look.randint(236, 248) for _ in range(3)) if look.random() < 0.4 else None
    lines = look.choice(("grid", "grid", "rows", "outer"))
    align = look.choice(("right", "middle"))
    draw = ImageDraw.Draw(sheet.image)
    for cell in table.cells:
        x0, x1 = lefts[cell.column], lefts[cell.column + cell.columns]
        y0 = margin + title_room + cell.row * height
        y1 = y0 + cell.rows * height
        cell.box = (x0, y0, x1, y1)
        if not hand and cell.head:
            draw.rectangle(cell.box, fill=fill)
        elif not hand and zebra and cell.row % 2:
            draw.rectangle(cell.box, fill=zebra)
        _border(rng, draw, cell.box, lines if not hand else "grid", hand, text)
    for k, cell in enumerate(sorted(table.cells, key=lambda c: (c.row, c.column))):
        x0, y0, x1, y1 = cell.box
        base = (y0 + y1) / 2 + size * 0.36
        before = len(sheet.words)
        if cell.value is not None and align == "right" and not cell.head:
            sheet.right(cell.text, x1 - pad, base, font, size, text)
        else:
            sheet.middle(cell.text, (x0 + x1) / 2, base, font, size, text)
        cell.words = sheet.words[before:]
        for word in cell.words:
            word.line = cell.row * 100 + k
    table.image, table.words = sheet.image, sheet.words


def _border(
    rng: random.Random,
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    lines: str,
    hand: bool,
    colour: Colour,
) -> None:
    x0, y0, x1, y1 = box
    if hand:

        def off() -> float:
            return rng.uniform(-1.2, 1.2)

        for a, b in (((x0, y0), (x1, y0)), ((x0, y1), (x1, y1)), ((x0, y0), (x0, y1)), ((x1, y0), (x1, y1))):
            middle = ((a[0] + b[0]) / 2 + off(), (a[1] + b[1]) / 2 + off())
            draw.line([(a[0] + off(), a[1] + off()), middle, (b[0] + off(), b[1] + off())], fill=colour, width=1)
    elif lines == "grid":
        draw.rectangle(box, outline=(110, 110, 110))
    else:
        draw.line((x0, y1, x1, y1), fill=(150, 150, 150) if lines == "rows" else (205, 205, 205))


def table(rng: random.Random, config: TableConfig) -> Table:
    """A drawn table with a camera's or scanner's look; a function of the stream and the config."""
    for _ in range(60):
        made = content(rng, config)
        if draw(rng, config, made):
            break
    else:
        raise InputError(
            f"no table of {config.rows[0]} rows at text_px={config.text_px} fits into {config.size[0]} x {config.size[1]} pixels; "
            "allow fewer rows or columns, smaller writing or a larger picture"
        )
    assert made.image is not None
    if config.harm and rng.random() < 0.6:
        image, size = made.image, made.image.size
        if rng.random() < 0.5:
            corners = degrade.tilt(rng, *size, 0.12 * config.harm, turn=3 * config.harm)
            placed = degrade.fit(corners, (size[0] - 2, size[1] - 2), 0.99, rng)
            moved = [(x + 1, y + 1) for x, y in placed]
            warp = degrade.Warp(degrade.card(*size, moved))
            desk = Image.new("RGB", size, tuple(rng.randint(90, 220) for _ in range(3)))
            desk.paste(warp.image(image, size), (0, 0), warp.image(Image.new("L", size, 255), size))
            image = desk
            for word in made.words:
                word.points = np.clip(warp.points(word.points), 0, size)
            for cell in made.cells:
                x0, y0, x1, y1 = cell.box
                points = warp.points(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]))
                cell.box = (*points.min(0).tolist(), *points.max(0).tolist())
        made.image = degrade.camera(image, rng, config.text_px[0] * 0.8, config.harm)
    return made


def cell_box(cell: Cell) -> tuple[float, float, float, float]:
    """The box of what is written in a cell."""
    return union(cell.words)
