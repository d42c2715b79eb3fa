"""Charts drawn by matplotlib with Korean faces: bars, lines, pies, scatter, stacked; printed or as if by hand."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from varco_vision.errors import InputError
from varco_vision.synth import degrade, strings
from varco_vision.synth.rng import stable_hash
from varco_vision.synth.typeset import HAND, drawable, faces, pick_face, style_seed

KINDS = ("bar", "barh", "grouped", "stacked", "line", "pie", "scatter")
KIND_NAMES = {
    "bar": ("막대그래프", "bar chart"), "barh": ("가로 막대그래프", "horizontal bar chart"), "grouped": ("묶은 막대그래프", "grouped bar chart"),
    "stacked": ("누적 막대그래프", "stacked bar chart"), "line": ("꺾은선그래프", "line chart"), "pie": ("원그래프", "pie chart"), "scatter": ("산점도", "scatter plot"),
}  # fmt: skip
LAYOUTS = 32
EVAL_LAYOUTS = 25  # percent
_DPI = 100
_PALETTES = ("tab10", "Set2", "Dark2", "Paired", "Accent", "tab20", "Set1", "viridis", "plasma")


@dataclass(frozen=True)
class Theme:
    """What a chart is about: title, unit, the word for its categories, and where their names come from."""

    ko: str
    en: str
    unit_ko: str
    unit_en: str
    low: int
    high: int
    among: tuple[str, str, str]  # category in Korean, English, English plural
    names: str
    series: tuple[tuple[str, str], ...]


THEMES = (
    Theme("월별 매출", "Monthly Sales", "백만 원", "million won", 10, 98, ("달", "month", "months"), "months", (("본점", "Main store"), ("분점", "Branch"), ("온라인", "Online"))),
    Theme("월별 방문자 수", "Visitors by Month", "명", "people", 20, 400, ("달", "month", "months"), "months", (("어른", "Adults"), ("어린이", "Children"))),
    Theme("도시별 강수량", "Rainfall by City", "mm", "mm", 10, 290, ("도시", "city", "cities"), "places", (("여름", "Summer"), ("겨울", "Winter"))),
    Theme("과목별 점수", "Scores by Subject", "점", "points", 35, 100, ("과목", "subject", "subjects"), "subjects", (("1반", "Class 1"), ("2반", "Class 2"), ("3반", "Class 3"))),
    Theme("좋아하는 운동", "Favorite Sports", "명", "people", 3, 40, ("운동", "sport", "sports"), "sports", (("남학생", "Boys"), ("여학생", "Girls"))),
    Theme("상품별 판매량", "Sales by Product", "개", "items", 5, 200, ("상품", "product", "products"), "goods", (("3월", "March"), ("4월", "April"))),
    Theme("교통수단 이용", "Means of Transport", "명", "people", 4, 80, ("교통수단", "means of transport", "means of transport"), "transport", (("평일", "Weekdays"), ("주말", "Weekends"))),
)  # fmt: skip
_LISTS = {
    "subjects": (("국어", "Korean"), ("수학", "Math"), ("영어", "English"), ("과학", "Science"), ("사회", "Social studies"), ("음악", "Music"), ("미술", "Art")),
    "sports": (("축구", "Soccer"), ("농구", "Basketball"), ("야구", "Baseball"), ("수영", "Swimming"), ("배드민턴", "Badminton"), ("탁구", "Table tennis"), ("달리기", "Running")),
    "transport": (("버스", "Bus"), ("지하철", "Subway"), ("자전거", "Bicycle"), ("택시", "Taxi"), ("자동차", "Car"), ("도보", "Walking")),
}  # fmt: skip


@dataclass(frozen=True)
class ChartConfig:
    """size: (width, height) choices in pixels. text_px: height of writing. kinds: which of `KINDS`.

    categories: fewest and most. hand: share drawn as if by hand. labels: share with the values written on the marks.
    korean: share of Korean charts. harm: 0..1.
    """

    split: str = "train"
    size: tuple[tuple[int, int], ...] = ((480, 360), (560, 400), (420, 420))
    text_px: tuple[int, int] = (12, 16)
    kinds: tuple[str, ...] = KINDS
    categories: tuple[int, int] = (3, 6)
    hand: float = 0.4
    labels: float = 0.6
    korean: float = 0.7
    harm: float = 0.3

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise InputError(f"unknown kind of chart {kind!r}; known are {', '.join(KINDS)}")
        low, high = self.categories
        if not 2 <= low <= high <= 6:
            raise InputError(f"categories={(low, high)} asked for; give a lower and an upper bound from 2 to 6")
        if not 6 <= self.text_px[0] <= self.text_px[1]:
            raise InputError(f"text_px={self.text_px} asked for; give a lower and an upper bound, at least 6 pixels")


@dataclass
class Chart:
    """A chart and its meaning: values[s][k] of series s in category k; boxes of marks and writing in pixels."""

    kind: str
    theme: Theme
    lang: str
    layout: str
    hand: bool
    labelled: bool
    title: str
    names: list[str]
    series: list[str]
    values: list[list[int]]
    image: Image.Image
    marks: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)

    def unit(self, lang: str) -> str:
        return "%" if self.kind == "pie" else self.theme.unit_ko if lang == "ko" else self.theme.unit_en


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise InputError(
            'charts need the package "matplotlib", which is not installed; pip install "varco-vision-open[synth]"'
        ) from error
    return matplotlib


def layout_names(split: str) -> tuple[str, ...]:
    """Chart layouts of a split, by a stable hash."""
    return tuple(
        f"chart-{n}"
        for n in range(LAYOUTS)
        if (stable_hash("layout", "chart", n) % 100 < EVAL_LAYOUTS) == (split == "eval")
    )


def _names(rng: random.Random, theme: Theme, lang: str, count: int, split: str) -> list[str]:
    index = 0 if lang == "ko" else 1
    if theme.names == "months":
        first = rng.randint(1, 13 - count)
        return [f"{m}월" if lang == "ko" else strings._MONTHS_EN[m - 1][:3] for m in range(first, first + count)]
    if theme.names == "places":
        pool = strings.own("table place", strings.PLACES[lang], split)
    elif theme.names == "goods":
        pool = [g[index] for trade in strings.GOODS.values() for g in trade if strings.belongs("goods", g[0], split)]
    else:
        pool = [pair[index] for pair in _LISTS[theme.names]]
    return rng.sample(pool, min(count, len(pool)))


def _values(rng: random.Random, theme: Theme, kind: str, series: int, count: int) -> list[list[int]]:
    """Numbers that can be told apart: within a series they differ by at least a twentieth of the range."""
    if kind == "pie":
        while True:
            # six different parts of a twentieth each would already be more than the whole, hence fiftieths
            cuts = sorted(rng.sample(range(1, 50), count - 1))
            shares = [2 * (b - a) for a, b in zip([0, *cuts], [*cuts, 50], strict=True)]
            if len(set(shares)) == count and min(shares) >= 4:
                return [shares]
    least = max(1, (theme.high - theme.low) // 20)
    rows = []
    for _ in range(series):
        while True:
            row = [rng.randint(theme.low, theme.high) for _ in range(count)]
            ranked = sorted(row)
            if all(b - a >= least for a, b in zip(ranked, ranked[1:], strict=False)):
                break
        rows.append(row)
    return rows


def chart(rng: random.Random, config: ChartConfig) -> Chart:
    """Draw a chart; a function of the stream and the config (and of matplotlib's version)."""
    _matplotlib()
    kind, theme = rng.choice(config.kinds), rng.choice(THEMES)
    lang = "ko" if rng.random() < config.korean else "en"
    index = 0 if lang == "ko" else 1
    count = rng.randint(*config.categories)
    several = kind in ("grouped", "stacked") or (kind in ("line", "scatter") and rng.random() < 0.4)
    chosen = rng.sample(theme.series, min(len(theme.series), rng.choice((2, 2, 3)))) if several else []
    names = _names(rng, theme, lang, count, config.split)
    values = _values(rng, theme, kind, max(1, len(chosen)), len(names))
    title = theme.ko if lang == "ko" else theme.en
    made = Chart(
        kind, theme, lang, rng.choice(layout_names(config.split)), rng.random() < config.hand,
        kind == "pie" or (rng.random() < config.labels and not (kind in ("line", "scatter") and several)),
        title, names, [s[index] for s in chosen], values, Image.new("RGB", (1, 1)),
    )  # fmt: skip
    _draw(rng, config, made)
    made.image = degrade.camera(made.image, rng, config.text_px[0], config.harm) if rng.random() < 0.5 else made.image
    return made


def _draw(rng: random.Random, config: ChartConfig, made: Chart) -> None:
    matplotlib = _matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.text import Text

    look = style_seed("layout", made.layout)
    size, px = rng.choice(config.size), rng.randint(*config.text_px)
    unit = made.unit(made.lang)
    everything = " ".join([made.title, unit, *made.names, *made.series, "0123456789.,-%()"])
    fonts = faces(config.split, "hand" if made.hand else "text")
    fonts = tuple(f for f in fonts if drawable(f, everything)) or faces(config.split, "text")
    font = pick_face(rng, fonts, everything)
    if HAND.search(font.rsplit("/", 1)[-1]):
        px = round(px * 1.35)  # written faces are small for their size
    rc: dict[str, Any] = {"axes.unicode_minus": False, "path.sketch": (1.2, 110, 3) if made.hand else None}
    with matplotlib.rc_context(rc):
        figure = Figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        figure.set_facecolor(look.choice(("white", "white", "#f7f5ef", "#eef3f8")))
        axes.set_facecolor(look.choice(("white", "white", "#fafafa", "#eaeaf2")))
        marks = _plot(rng, look, axes, made, matplotlib)
        axes.set_title(
            made.title if made.kind == "pie" else f"{made.title} ({unit})" if look.random() < 0.5 else made.title
        )
        if made.kind != "pie" and "(" not in axes.get_title():
            (axes.set_xlabel if made.kind == "barh" else axes.set_ylabel)(unit)
        if made.series:
            place = look.choice(("upper right", "upper left", "best"))
            axes.legend(loc=place if made.kind in ("grouped", "stacked") else "best", framealpha=0.9)
        for text in figure.findobj(Text):
            factor = 1.25 if text is axes.title else 1.0
            text.set_fontproperties(FontProperties(fname=font, size=px * factor * 72 / _DPI))
        _readable_on_marks(axes, made, marks)
        figure.tight_layout()
        if _crowded(axes, canvas.get_renderer()):
            axes.tick_params(axis="x", labelrotation=40)
            figure.tight_layout()
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        made.image = Image.fromarray(pixels, "RGB")
        _measure(figure, axes, made, marks, canvas.get_renderer())


def _plot(
    rng: random.Random, look: random.Random, axes: Any, made: Chart, matplotlib: Any
) -> list[tuple[Any, int, int]]:
    """Draw the marks; (artist, series, category) of those that have a box."""
    palette = matplotlib.colormaps[look.choice(_PALETTES)]
    n, k = len(made.values), len(made.names)

    def colour(i: int, of: int) -> Any:
        return palette(i % palette.N) if palette.N <= 20 else palette((i + 0.5) / of)

    edge = look.choice((None, "black", "white"))
    marks: list[tuple[Any, int, int]] = []
    if made.kind == "pie":
        wedges, *_ = axes.pie(
            made.values[0], labels=made.names, autopct="%d%%" if made.labelled else None, colors=[colour(i, k) for i in range(k)],
            startangle=look.choice((0, 90, 90, 180)), counterclock=look.random() < 0.4, wedgeprops={"edgecolor": "white"},
        )  # fmt: skip
        return [(w, 0, i) for i, w in enumerate(wedges)]
    if made.kind in ("bar", "barh"):
        width = look.uniform(0.45, 0.85)
        draw = axes.bar if made.kind == "bar" else axes.barh
        one = look.random() < 0.5
        bars = draw(
            made.names, made.values[0], width, color=[colour(0 if one else i, k) for i in range(k)], edgecolor=edge
        )
        marks = [(bar, 0, i) for i, bar in enumerate(bars)]
        if made.labelled:
            axes.bar_label(bars, padding=2)
    elif made.kind in ("grouped", "stacked"):
        low = np.zeros(k)
        width = 0.8 / n if made.kind == "grouped" else look.uniform(0.5, 0.75)
        for s, row in enumerate(made.values):
            shift = (s - (n - 1) / 2) * width if made.kind == "grouped" else 0
            bars = axes.bar(
                np.arange(k) + shift,
                row,
                width,
                bottom=low if made.kind == "stacked" else None,
                label=made.series[s],
                color=colour(s, n),
                edgecolor=edge,
            )
            marks += [(bar, s, i) for i, bar in enumerate(bars)]
            if made.labelled:
                axes.bar_label(bars, label_type="center" if made.kind == "stacked" else "edge")
            low += np.array(row) if made.kind == "stacked" else 0
        axes.set_xticks(range(k), made.names)
    else:
        for s, row in enumerate(made.values):
            label = made.series[s] if made.series else None
            style = {"marker": look.choice("os^D"), "color": colour(s, max(n, 3)), "label": label}
            if made.kind == "line":
                axes.plot(
                    range(k), row, linestyle=look.choice(("-", "-", "--")), linewidth=look.uniform(1.2, 2.6), **style
                )
            else:
                axes.scatter(range(k), row, s=look.uniform(30, 80), **style)
            if made.labelled:
                for i, value in enumerate(row):
                    axes.annotate(str(value), (i, value), xytext=(0, 6), textcoords="offset points", ha="center")
        axes.set_xticks(range(k), made.names)
        axes.margins(y=0.2)
        if made.series:  # room for the legend above the marks
            low, high = axes.get_ylim()
            axes.set_ylim(low, high + 0.3 * (high - low))
    if made.kind == "barh":
        axes.set_xlim(0, axes.get_xlim()[1] * 1.12)
    elif made.kind not in ("line", "scatter"):
        axes.set_ylim(0, axes.get_ylim()[1] * (1.3 if made.series else 1.1))
    if look.random() < 0.5:
        axes.grid(True, axis="x" if made.kind == "barh" else "y", alpha=0.4)
        axes.set_axisbelow(True)
    if look.random() < 0.5:
        axes.spines[["top", "right"]].set_visible(False)
    return marks


def _crowded(axes: Any, renderer: Any) -> bool:
    """Whether names below the axis run into each other."""
    boxes = [x.get_window_extent(renderer) for x in axes.get_xticklabels() if x.get_text()]
    return any(a.x1 + 3 > b.x0 for a, b in zip(boxes, boxes[1:], strict=False))


def _readable_on_marks(axes: Any, made: Chart, marks: list[tuple[Any, int, int]]) -> None:
    """White writing on dark wedges and dark parts of stacked bars."""
    if made.kind not in ("pie", "stacked") or not made.labelled:
        return
    inside = [text for text in axes.texts if text.get_text() not in made.names]
    for text, (mark, _, _) in zip(inside, marks, strict=False):
        r, g, b, _ = mark.get_facecolor()
        text.set_color("white" if 0.299 * r + 0.587 * g + 0.114 * b < 0.5 else "black")


def _measure(figure: Any, axes: Any, made: Chart, marks: list[tuple[Any, int, int]], renderer: Any) -> None:
    """Boxes of marks and of title, category names and legend, in pixels from the top left corner."""
    width, height = made.image.size

    def pixels(artist: Any) -> tuple[float, float, float, float] | None:
        b = artist.get_window_extent(renderer)
        box = (max(0.0, b.x0), max(0.0, height - b.y1), min(width, b.x1), min(height, height - b.y0))
        return box if box[2] - box[0] >= 1 and box[3] - box[1] >= 1 else None

    for artist, s, k in marks:
        if (box := pixels(artist)) is not None and made.kind != "pie":
            made.marks.append(
                {
                    "series": made.series[s] if made.series else "",
                    "name": made.names[k],
                    "value": made.values[s][k],
                    "box": box,
                }
            )
    ticks = axes.get_yticklabels() if made.kind == "barh" else axes.get_xticklabels()
    named = axes.texts if made.kind == "pie" else ticks
    legend = axes.get_legend()
    groups = [("title", [axes.title]), ("category", named), ("legend", legend.get_texts() if legend else [])]
    for role, artists in groups:
        for artist in artists:
            text = artist.get_text()
            if (role == "category" and text not in made.names) or (box := pixels(artist)) is None:
                continue
            tight = _ink_box(made.image, box)
            if tight is not None:
                made.texts.append({"role": role, "text": text, "box": tight})


def _ink_box(image: Image.Image, box: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
    """The box of what differs from its ground (the commonest colour) inside a text's extent."""
    x0, y0, x1, y1 = int(box[0]), int(box[1]), int(np.ceil(box[2])), int(np.ceil(box[3]))
    cut = np.asarray(image.crop((x0, y0, x1, y1)), np.int16)
    flat = cut.reshape(-1, 3)
    colours, counts = np.unique(flat, axis=0, return_counts=True)
    ink = np.abs(cut - colours[counts.argmax()]).sum(2) > 150
    if not ink.any():
        return None
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return (x0 + float(columns[0]), y0 + float(rows[0]), x0 + float(columns[-1]) + 1, y0 + float(rows[-1]) + 1)
