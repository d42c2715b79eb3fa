"""Where words stand on a page: lines, blocks, columns and the order in which people read them. No torch.

Coordinates are relative (0..1) in boxes; `aspect` = width / height of the page makes both directions comparable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from varco_vision.geometry import Box
from varco_vision.infer.answer import Word

LEVEL = 0.5  # of the lower word's height: how much two words of a line overlap
LINE_GAP = 2.5  # letter heights between two words of one line; columns stand further apart
GUTTER = 1.2  # letter heights: an empty strip this wide may part two columns
TEXT_WORDS = 2  # words in the median line of a column of text; table cells have fewer
PARAGRAPH_GAP = 0.9  # letter heights between two lines that belong to different paragraphs

Line = list[Word]


@dataclass(frozen=True)
class Block:
    """Lines that belong together, such as a paragraph."""

    lines: list[Line]

    @property
    def box(self) -> Box:
        return hull([word.box for line in self.lines for word in line])


def hull(boxes: Sequence[Box]) -> Box:
    """The least box around all."""
    return Box(min(b.x1 for b in boxes), min(b.y1 for b in boxes), max(b.x2 for b in boxes), max(b.y2 for b in boxes))


def blocks(words: Sequence[Word], aspect: float = 1.0) -> list[Block]:
    """Words in reading order: columns from left to right, in each the lines from top to bottom.

    A recursive cut along empty strips (the X-Y cut of Nagy and Seth 1984): the page is parted where a strip is empty
    over its whole width or height, the columns first where each side holds at least two lines.
    """
    segments = _segments(words, aspect)
    return [Block(part) for group in _cut(segments, aspect) for part in _paragraphs(group)]


def lines(words: Sequence[Word], aspect: float = 1.0) -> list[Line]:
    """The lines of `blocks`."""
    return [line for block in blocks(words, aspect) for line in block.lines]


def paragraphs(given: Sequence[Line]) -> list[Block]:
    """Blocks of lines whose order is known already: a new one where the next line is far below, above or beside."""
    return [Block(part) for part in _paragraphs(list(given))]


def _height(word: Word) -> float:
    return max(word.box.y2 - word.box.y1, 1e-6)


def _level(a: Box, b: Box) -> bool:
    overlap = min(a.y2, b.y2) - max(a.y1, b.y1)
    return overlap >= LEVEL * min(max(a.y2 - a.y1, 1e-6), max(b.y2 - b.y1, 1e-6))


def _segments(words: Sequence[Word], aspect: float) -> list[Line]:
    """Words that stand level with and close to one another, from left to right."""
    segments: list[Line] = []
    for word in sorted(words, key=lambda w: (w.box.x1, w.box.y1)):
        near = [s for s in segments if _level(s[-1].box, word.box) and _gap(s[-1], word, aspect) <= LINE_GAP]
        if near:
            min(near, key=lambda s: abs(_gap(s[-1], word, aspect))).append(word)
        else:
            segments.append([word])
    return segments


def _gap(left: Word, right: Word, aspect: float) -> float:
    """Blank between two words in letter heights; negative where they overlap."""
    return (right.box.x1 - left.box.x2) * aspect / min(_height(left), _height(right))


def _cut(segments: list[Line], aspect: float) -> list[list[Line]]:
    """Groups of segments in reading order."""
    if len(segments) < 2:
        return [segments] if segments else []
    if columns := _columns(segments, aspect):
        return [group for column in columns for group in _cut(column, aspect)]
    rows = _split(segments, lambda b: (b.y1, b.y2), 0.0)
    if len(rows) > 1:
        return _rows(rows, aspect)
    return [_merged(segments)]


def _columns(segments: list[Line], aspect: float) -> list[list[Line]]:
    """The segments by column, or an empty list where they are none.

    Columns hold lines one below the other that are running text: two words and more. The cells of a table or a receipt
    are shorter, and those are read row by row.
    """
    letter = median(_height(word) for line in segments for word in line)
    columns = _split(segments, lambda b: (b.x1, b.x2), GUTTER * letter / aspect)
    if len(columns) < 2:
        return []
    for column in columns:
        stacked = len(_split(column, lambda b: (b.y1, b.y2), 0.0)) > 1
        if not stacked or median(len(line) for line in column) < TEXT_WORDS:
            return []
    return columns


def _rows(rows: list[list[Line]], aspect: float) -> list[list[Line]]:
    """Rows one below the other; neighbouring rows that together fall into columns are taken as those."""
    groups: list[list[Line]] = []
    plain = False  # whether the last group is made of plain rows, to which another may be added
    at = 0
    while at < len(rows):
        end = at + 1
        while end < len(rows) and _columns([segment for row in rows[at : end + 1] for segment in row], aspect):
            end += 1
        assert end - at < len(rows)
        found = _cut([segment for row in rows[at:end] for segment in row], aspect)
        single = end - at == 1 and len(found) == 1
        if single and plain:
            groups[-1] = groups[-1] + found[0]
        else:
            groups += found
        plain = single
        at = end
    return groups


def _split(segments: list[Line], span: Callable[[Box], tuple[float, float]], least: float) -> list[list[Line]]:
    """Groups of segments between empty strips that are wider than `least`, along one direction."""
    spans = sorted(((*span(hull([w.box for w in line])), k) for k, line in enumerate(segments)), key=lambda s: s[:2])
    groups: list[list[Line]] = []
    reach = float("-inf")
    for start, end, k in spans:
        if not groups or start - reach > least or (least == 0.0 and start >= reach):
            groups.append([])
        groups[-1].append(segments[k])
        reach = max(reach, end)
    return groups


def _merged(segments: list[Line]) -> list[Line]:
    """Segments that no strip parts: level ones are one line, from left to right, the lines from top to bottom."""
    merged: list[Line] = []
    for segment in sorted(segments, key=lambda s: (_middle(s), s[0].box.x1)):
        if merged and _level(hull([w.box for w in merged[-1]]), hull([w.box for w in segment])):
            merged[-1] = sorted(merged[-1] + segment, key=lambda w: w.box.x1)
        else:
            merged.append(segment)
    return merged


def _middle(line: Line) -> float:
    return median((w.box.y1 + w.box.y2) / 2 for w in line)


def _paragraphs(group: list[Line]) -> list[list[Line]]:
    """Lines with a wide gap between them, or letters of another size, belong to different paragraphs."""
    parts: list[list[Line]] = []
    for line in group:
        if parts and _continues_paragraph(parts[-1][-1], line):
            parts[-1].append(line)
        else:
            parts.append([line])
    return parts


def _continues_paragraph(before: Line, after: Line) -> bool:
    a, b = hull([w.box for w in before]), hull([w.box for w in after])
    tall, low = median(map(_height, before)), median(map(_height, after))
    if not 0.7 < tall / low < 1.4:
        return False
    gap = b.y1 - a.y2
    beside = b.x1 > a.x2 or b.x2 < a.x1
    return -LEVEL * low <= gap <= PARAGRAPH_GAP * max(tall, low) and not beside
