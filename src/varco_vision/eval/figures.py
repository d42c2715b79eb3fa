"""Figures as inline SVG. Colours are the page's CSS variables, so that they follow its light or dark scheme.

Coordinates are user units of a viewBox; the SVG scales with its container. Nothing here refers to anything outside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 12, 26  # margins of the plotting area
CHARTS = (  # metrics that the report draws from stage to stage, where they were measured
    "grounding_acc50",
    "referring_acc",
    "counting_acc",
    "vqa_acc",
    "ocr_box_recall",
    "ocr_word_acc",
    "ocr_cer",
    "text_acc",
)
LOG_RANGE = 8.0  # a loss that falls by more than this factor is drawn on a logarithmic axis
SMOOTHING = 0.08  # width of the running mean, part of the curve

Point = tuple[float, float]


def smooth(values: Sequence[float], width: int) -> list[float]:
    """Centred running mean over `width` values (odd), fewer at the ends."""
    half = width // 2
    windows = [values[max(0, k - half) : k + half + 1] for k in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round numbers (1, 2, 2.5 or 5 times a power of ten) within low..high."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, int(math.floor(high / step + 1e-9)) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within low..high; every second one left out where they would crowd."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [k * 10.0**p for p in powers for k in (1, 2, 5) if low <= k * 10.0**p <= high]
    return ticks if len(ticks) <= 6 else ticks[:: math.ceil(len(ticks) / 6)]


def number(value: float) -> str:
    """A tick's label: 0, 0.25, 1,200, 15k."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def loss_curve(curve: Sequence[Sequence[float]], name: str) -> str:
    """A loss over steps: the recorded points faint, their running mean on top. curve: [step, loss] in order of steps.

    Losses that are not finite are left out and said in the figure's text.
    """
    points = [(float(step), float(loss)) for step, loss in curve if math.isfinite(loss)]
    left_out = len(curve) - len(points)
    if not points:
        return f'<p class="quiet">no loss was recorded for {escape(name)}</p>'
    losses = [loss for _, loss in points]
    low, high = min(losses), max(losses)
    logarithmic = low > 0 and high > LOG_RANGE * low
    if not logarithmic:
        low = min(low, 0.0) if low < 0.3 * high else low
    if high == low:
        low, high = low - 0.5, high + 0.5
    scale = math.log if logarithmic else float
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)

    def place(step: float, loss: float) -> Point:
        across = (step - first) / (last - first)
        up = (scale(loss) - scale(low)) / (scale(high) - scale(low))
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    mean = smooth(losses, max(1, round(len(losses) * SMOOTHING)) | 1)
    ticks = log_ticks(low, high) if logarithmic else nice_ticks(low, high)
    parts = [_level(place(first, tick)[1], number(tick)) for tick in ticks]
    parts += [_below(place(tick, high)[0], number(tick)) for tick in nice_ticks(first, last) if tick == int(tick)]
    parts.append(_line([place(*p) for p in points], "raw"))
    parts.append(_line([place(step, m) for (step, _), m in zip(points, mean, strict=True)], "mean"))
    said = f"loss of {name}, {losses[0]:.3g} to {losses[-1]:.3g} over {points[-1][0]:.0f} steps"
    said += ", logarithmic axis" if logarithmic else ""
    said += f", {left_out} points that are no finite number left out" if left_out else ""
    return _svg(parts, said, "curve")


Dot = tuple[float, float | None, float | None]  # value, low, high


def stages_chart(rows: Sequence[str], series: Mapping[str, Sequence[Dot | None]], name: str, top: float = 1.0) -> str:
    """Values of one metric, stage by stage, with intervals as vertical bars; one line a language.

    rows: names of the stages; series: for each language a value (or None) a stage; the axis runs from 0 to `top`.
    """
    width = max(WIDTH, 64 * len(rows) + LEFT + RIGHT)
    step = (width - LEFT - RIGHT) / len(rows)

    def place(index: int, value: float, shift: float) -> Point:
        up = min(max(value / top, 0.0), 1.0)
        return LEFT + step * (index + 0.5) + shift, HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [_level(place(0, tick, 0)[1], number(tick), width) for tick in nice_ticks(0, top)]
    parts += [_below(place(k, 0, 0)[0], row if len(row) <= 14 else row[:13] + "…") for k, row in enumerate(rows)]
    for order, (lang, dots) in enumerate(series.items()):
        shift = 10.0 * (order - (len(series) - 1) / 2)
        known = [(k, dot) for k, dot in enumerate(dots) if dot is not None]
        parts.append(_line([place(k, dot[0], shift) for k, dot in known], f"thin {lang}"))
        for k, (value, low, high) in known:
            x, y = place(k, value, shift)
            if low is not None and high is not None:
                parts.append(_segment((x, place(k, low, shift)[1]), (x, place(k, high, shift)[1]), f"bar {lang}"))
            parts.append(
                f'<circle class="dot {lang}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{lang} {rows_title(rows[k], value)}</title></circle>'
            )
    return _svg(parts, f"{name} by stage", "stages", width)


def interval(cell: Mapping[str, float], mark: float) -> str:
    """A share with its interval on a line from 0 to 1, in a cell of a table; `mark` is a tick across it, such as chance."""
    wide, high = 96, 12
    x = {name: 2 + (wide - 4) * min(max(value, 0.0), 1.0) for name, value in {**_ends(cell), "mark": mark}.items()}
    parts = [
        _segment((2, high / 2), (wide - 2, high / 2), "grid"),
        _segment((x["low"], high / 2), (x["high"], high / 2), "bar"),
        _segment((x["mark"], 1), (x["mark"], high - 1), "mark"),
        f'<circle class="dot" cx="{x["value"]:.1f}" cy="{high / 2:.1f}" r="3"></circle>',
    ]
    return f'<svg class="interval" viewBox="0 0 {wide} {high}" aria-hidden="true">{"".join(parts)}</svg>'


def _ends(cell: Mapping[str, float]) -> dict[str, float]:
    return {name: float(cell[name]) for name in ("low", "value", "high")}


def rows_title(row: str, value: float) -> str:
    """What pointing at a dot shows."""
    return escape(f"{row}: {value:.3f}")


def _svg(parts: Sequence[str], said: str, kind: str, width: float = WIDTH) -> str:
    label = escape(said, quote=True)
    return f'<svg class="figure {kind}" viewBox="0 0 {width:g} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _line(points: Sequence[Point], kind: str) -> str:
    if len(points) < 2:
        return "".join(f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="2"></circle>' for x, y in points)
    return f'<polyline class="line {kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"></polyline>'


def _segment(start: Point, end: Point, kind: str) -> str:
    return f'<line class="{kind}" x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"></line>'


def _level(y: float, label: str, width: float = WIDTH) -> str:
    """A horizontal grid line with its label."""
    text = f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{escape(label)}</text>'
    return _segment((LEFT, y), (width - RIGHT, y), "grid") + text


def _below(x: float, label: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{escape(label)}</text>'
