"""Large pages in overlapping windows, and one list of words from what each window showed. No torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.infer.answer import Word

TOUCH = 0.006  # of a window's side: a word this near to an inner edge may be cut off there
SAME = 0.5  # of the smaller box: how much of it two readings of one word share
CELLS = 32
STRETCH = 1.5  # a page is parted when a side is longer than this many windows


@dataclass(frozen=True)
class Window:
    """A part of a page in whole pixels: left, top, right, bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        return self.right - self.left, self.bottom - self.top

    @property
    def corners(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.right, self.bottom


def windows(width: int, height: int, side: int, overlap: float = 0.2) -> list[Window]:
    """Windows of at most `side` pixels a side that cover the page, neighbours sharing at least `overlap` of a side.

    A page of up to `STRETCH` sides each way is one window. Raises `InputError` for an overlap outside 0..0.5.
    """
    if not 0 <= overlap <= 0.5:
        raise InputError(f"the overlap of windows is {overlap}; 0 to 0.5 of a side is possible")
    if side < 32:
        raise InputError(f"windows of {side} pixels were asked for; at least 32 are needed")
    if max(width, height) <= STRETCH * side:
        return [Window(0, 0, width, height)]
    return [
        Window(left, top, right, bottom)
        for top, bottom in _spans(height, side, overlap)
        for left, right in _spans(width, side, overlap)
    ]


def _spans(length: int, side: int, overlap: float) -> list[tuple[int, int]]:
    """Evenly spread spans of `side`, the first at 0 and the last at the end."""
    if length <= side:
        return [(0, length)]
    step = side * (1 - overlap)
    count = 1 + -int(-(length - side) // step)
    starts = [round(k * (length - side) / (count - 1)) for k in range(count)]
    return [(start, start + side) for start in starts]


@dataclass(frozen=True)
class _Reading:
    word: Word
    window: int
    cut: bool  # touches an edge behind which the page goes on


def merge(parts: Sequence[Sequence[Word]], places: Sequence[Window], width: int, height: int) -> list[Word]:
    """The words of all windows on the page, each once.

    Of two readings of the same place by different windows, one that no inner edge cuts off wins, then the larger box,
    then the surer one. A cut word stays when no other window shows it (it is longer than the overlap).
    """
    readings = []
    for number, (words, window) in enumerate(zip(parts, places, strict=True)):
        for word in words:
            box = _on_page(word.box, window, width, height)
            readings.append(_Reading(replace(word, box=box), number, _is_cut(word.box, window, width, height)))
    readings.sort(key=lambda r: (r.cut, -round(r.word.box.area, 6), -r.word.confidence))
    kept: list[_Reading] = []
    near: dict[tuple[int, int], list[_Reading]] = defaultdict(list)
    for reading in readings:
        cells = _cells(reading.word.box)
        others = (other for cell in cells for other in near[cell] if other.window != reading.window)
        if not any(_same(reading, other) for other in others):
            kept.append(reading)
            for cell in cells:
                near[cell].append(reading)
    kept.sort(key=lambda r: (r.window, r.word.box.y1, r.word.box.x1))
    return [reading.word for reading in kept]


def _cells(box: Box) -> list[tuple[int, int]]:
    """Squares of a grid over the page that a box touches: only readings that share one are compared."""
    x1, y1, x2, y2 = (int(CELLS * v) for v in (box.x1, box.y1, box.x2, box.y2))
    return [(x, y) for x in range(x1, x2 + 1) for y in range(y1, y2 + 1)]


def _on_page(box: Box, window: Window, width: int, height: int) -> Box:
    x1, y1, x2, y2 = box.clipped().to_pixels(*window.size)
    return Box.from_pixels(
        x1 + window.left, y1 + window.top, x2 + window.left, y2 + window.top, width, height, clip=True
    )


def _is_cut(box: Box, window: Window, width: int, height: int) -> bool:
    return (
        (box.x1 <= TOUCH and window.left > 0)
        or (box.y1 <= TOUCH and window.top > 0)
        or (box.x2 >= 1 - TOUCH and window.right < width)
        or (box.y2 >= 1 - TOUCH and window.bottom < height)
    )


def _same(a: _Reading, b: _Reading) -> bool:
    """Two readings of one word: most of the smaller box lies in the other."""
    first, second = a.word.box, b.word.box
    wide = min(first.x2, second.x2) - max(first.x1, second.x1)
    high = min(first.y2, second.y2) - max(first.y1, second.y1)
    if wide <= 0 or high <= 0:
        return False
    smaller = min(first.area, second.area)
    return smaller > 0 and wide * high >= SAME * smaller
