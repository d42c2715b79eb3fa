"""One location language: the nine markers that tie words of a text to places in a picture.

    <obj>phrase</obj><bbox>x1, y1, x2, y2<delim>x1, y1, x2, y2</bbox>     a thing and where it is (any number of boxes)
    <char>text</char><bbox>x1, y1, x2, y2</bbox>                          characters and where they are written
    <gro>  <ocr>                                                          first in a user's text: answer with boxes, read

`write` is strict, `parse` reads whatever a model wrote and says what it repaired, `legal` says what is not as `write`
would put it. Numbers are parts of the original picture, 0..1, ", " between them. Text is composed (NFC) everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from varco_vision.errors import InputError
from varco_vision.geometry import Box

MARKERS = ("<gro>", "<ocr>", "<char>", "</char>", "<obj>", "</obj>", "<bbox>", "</bbox>", "<delim>")
SWITCHES = ("<gro>", "<ocr>")  # they turn a function on; all others stand around something
WORD_JOINER = "\u2060"  # no width, no line break, and NFC leaves it alone
MAX_DIGITS = 3
OVERSHOOT = 0.1  # a number this far outside 0..1 is a slip of the pen; beyond it the scale itself is unknown

_CLOSING = {"<obj>": "</obj>", "<char>": "</char>"}
_MARKER = re.compile("(" + "|".join(map(re.escape, MARKERS)) + ")")
_TAILS = "|".join(re.escape(marker[1:]) for marker in MARKERS)
_ESCAPABLE = re.compile(f"<(?={WORD_JOINER}*(?:{_TAILS}))")
_ESCAPED = re.compile(f"<{WORD_JOINER}(?={WORD_JOINER}*(?:{_TAILS}))")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:\s*%)?")
_QUAD_START = re.compile(rf"(?:[\s,;\[(]*{_NUMBER.pattern}){{0,4}}[\])]?")
_BETWEEN_BOXES = re.compile(r"[ \t]*,?[ \t]*")
# Location markup of other models, and near misses of this one (wrong case, blanks, closing tags that do not exist).
_FOREIGN = re.compile(
    r"<\s*/?\s*(?:gro|ocr|chars?|obj|bbox|delim|box|boxes|ref|object|quad|poly|points?|coords?|phrase|loc_?\d+)\s*/?\s*>"
    r"|<\|/?(?:box|object_ref|quad|ref|det|grounding)(?:_start|_end)?\|>",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Text:
    """Running text without markup; at the very start it may begin with <gro> or <ocr>."""

    text: str


@dataclass(frozen=True)
class Object:
    """A phrase that names something and the boxes where it is. Tolerant reading may leave either of them empty."""

    phrase: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Chars:
    """Characters that are written in the picture and their boxes. Tolerant reading may leave the boxes empty."""

    text: str
    boxes: tuple[Box, ...]


Item = Text | Object | Chars


def escape(user_text: str) -> str:
    """The text with a WORD JOINER (U+2060) behind the "<" of every marker string, so that it is read as plain text.

    Looks the same to people. `unescape` is the exact inverse, up to NFC.
    """
    return _ESCAPABLE.sub("<" + WORD_JOINER, unicodedata.normalize("NFC", user_text))


def unescape(text: str) -> str:
    """Take away what `escape` put in."""
    return _ESCAPED.sub("<", unicodedata.normalize("NFC", text))


def format_number(value: float, digits: int = MAX_DIGITS) -> str:
    """A coordinate as text: at most `digits` (1..3) decimals, no superfluous zeros, "0.0" and "1.0" at the ends."""
    if not 1 <= digits <= MAX_DIGITS:
        raise InputError(f"{digits} decimals were asked for; coordinates have 1 to {MAX_DIGITS}")
    return str(round(float(value), digits) + 0.0)  # + 0.0 turns -0.0 into 0.0


def format_box(box: Box, digits: int = MAX_DIGITS) -> str:
    """ "x1, y1, x2, y2" with at most `digits` decimals."""
    clipped = box.clipped()
    return ", ".join(format_number(v, digits) for v in (clipped.x1, clipped.y1, clipped.x2, clipped.y2))


def write(items: Iterable[Item], digits: int = MAX_DIGITS) -> str:
    """Items as text with markup, coordinates with at most `digits` decimals.

    `InputError` for what cannot be read back: markers inside text (see `escape`), a phrase or boxes that are missing.
    """
    parts = []
    for item in items:
        match item:
            case Text(text):
                parts.append(_plain(text, "a text", switch=not any(parts)))
            case Object(phrase, boxes):
                parts.append(f"<obj>{_named(phrase, boxes, 'an object')}</obj>{_boxes(boxes, digits)}")
            case Chars(text, boxes):
                parts.append(f"<char>{_named(text, boxes, 'a text in the picture')}</char>{_boxes(boxes, digits)}")
            case _:
                raise InputError(f"{item!r} cannot be written; give Text, Object or Chars")
    written = "".join(parts)
    if len(_MARKER.findall(written)) != sum(len(_MARKER.findall(part)) for part in parts):
        raise InputError(f"two neighbouring texts form a marker together in {written!r}; escape them")
    if not unicodedata.is_normalized("NFC", written):
        raise InputError(f"a piece of {written!r} begins with a mark that would combine with what is before it")
    return written


def _plain(text: str, what: str, switch: bool = False) -> str:
    text = unicodedata.normalize("NFC", text)
    body = text[len("<gro>") :] if switch and text.startswith(SWITCHES) else text
    if found := _MARKER.search(body):
        raise InputError(
            f"{what} holds the marker {found[0]} ({text!r}); varco_vision.markup.escape makes it plain text"
        )
    return text


def _named(name: str, boxes: Sequence[Box], what: str) -> str:
    if not name or not boxes:
        raise InputError(f"{what} needs a name and at least one box, found {name!r} with {len(boxes)} boxes")
    return _plain(name, what)


def _boxes(boxes: Sequence[Box], digits: int) -> str:
    return "<bbox>" + "<delim>".join(format_box(box, digits) for box in boxes) + "</bbox>"


def plain(items: Iterable[Item]) -> str:
    """What people read: text, phrases and characters in order, without markers and boxes."""
    parts = []
    for item in items:
        text = item.phrase if isinstance(item, Object) else item.text
        if not any(parts) and text.startswith(SWITCHES):
            text = text[len("<gro>") :].removeprefix("\n")
        parts.append(text)
    return "".join(parts)


def parse(text: str, report: list[str] | None = None) -> list[Item]:
    """Items of a text with markup, whatever its faults; every repair is added to `report`.

    Nothing that people would read is lost: what is no markup, or no complete markup, remains as text. For text that
    `write` made, `write(parse(text))` is the text again.
    """
    return _Reader(text, [] if report is None else report).read()


def legal(text: str) -> list[str]:
    """Everything in `text` that is not exactly as `write` would put it, one sentence each; empty when it is legal."""
    faults: list[str] = []
    items = _Reader(text, faults).read()
    faults.extend(f"{found!r} is no marker of this language" for found in dict.fromkeys(_unknown(text)))
    if not faults:
        faults.extend(
            f"{_name(item)} has no name" for item in items if not isinstance(item, Text) and not _phrase(item)
        )
    if not faults and (written := write(items)) != unicodedata.normalize("NFC", text):
        faults.append(f"it would be written {written!r}")
    return faults


def _unknown(text: str) -> Iterable[str]:
    return (found[0] for found in _FOREIGN.finditer(text) if found[0] not in MARKERS)


def _phrase(item: Item) -> str:
    return item.phrase if isinstance(item, Object) else item.text


def _name(item: Item) -> str:
    return f"{'<obj>' if isinstance(item, Object) else '<char>'} {_phrase(item)!r}"


@dataclass
class _Reader:
    """Reads once from left to right. `pieces` alternates: text, marker, text, ..., text."""

    text: str
    report: list[str]
    items: list[Item] = field(default_factory=list)
    at: int = 0

    def read(self) -> list[Item]:
        self.pieces = [unicodedata.normalize("NFC", piece) for piece in _MARKER.split(self.text)]
        while self.at < len(self.pieces):
            piece = self.pieces[self.at]
            self.at += 1
            if self.at % 2:  # even places are text
                self._add_text(piece)
            elif piece in _CLOSING:
                self._read_phrase(piece)
            elif piece == "<bbox>":
                self._attach(self._read_boxes())
            elif piece in SWITCHES and not self.items:
                self._add_text(piece)
            else:
                self.report.append(f"a stray {piece} was left out")
        found, self.items = self.items, []
        for item in found:
            if isinstance(item, Text):
                self._add_text(item.text)
                continue
            if not item.boxes:
                self.report.append(f"{_name(item)} has no box")
            if item.boxes or _phrase(item):
                self.items.append(item)
        return self.items

    def _add_text(self, text: str) -> None:
        if not text:
            return
        if self.items and isinstance(self.items[-1], Text):
            text = unicodedata.normalize("NFC", self.items.pop().text + text)
        self.items.append(Text(text))

    def _next_marker(self, ahead: int = 0) -> str:
        """The marker after the text at the current place (or `ahead` markers later), "" at the end."""
        place = self.at + 1 + 2 * ahead
        return self.pieces[place] if place < len(self.pieces) else ""

    def _read_phrase(self, opening: str) -> None:
        """After <obj> or <char>: the phrase up to its closing tag, or up to where it must have ended."""
        phrase = self.pieces[self.at]
        marker = self._next_marker()
        while marker in _CLOSING and self._closes_twice(marker, opening):
            self.report.append(f"the {marker} nested in {opening} was left out")
            phrase += self.pieces[self.at + 2] + self.pieces[self.at + 4]
            self.at += 4
            marker = self._next_marker()
        if marker in _CLOSING.values():
            if marker != _CLOSING[opening]:
                self.report.append(f"{opening} {phrase!r} ends with {marker}")
            self.at += 2
            self._add_phrase(opening, phrase)
        elif marker == "<bbox>":
            self.report.append(f"{opening} {phrase!r} has no {_CLOSING[opening]}")
            self.at += 1
            self._add_phrase(opening, phrase)
        else:
            self.report.append(f"{opening} {phrase!r} is neither closed nor followed by a box; it was read as text")
            self.at += 1
            self._add_text(phrase)

    def _add_phrase(self, opening: str, phrase: str) -> None:
        if not phrase:
            self.report.append(f"{opening} has no name")
        self.items.append(Object(phrase, ()) if opening == "<obj>" else Chars(phrase, ()))

    def _closes_twice(self, inner: str, outer: str) -> bool:
        return self._next_marker(1) == _CLOSING[inner] and self._next_marker(2) == _CLOSING[outer]

    def _read_boxes(self) -> list[Box]:
        """After <bbox>: boxes up to </bbox>, or as far as there are numbers."""
        boxes: list[Box] = []
        while True:
            numbers, marker = self.pieces[self.at], self._next_marker()
            if marker not in ("</bbox>", "<delim>"):
                return boxes + self._unclosed(numbers, last=not marker)
            boxes += self._quads(numbers)
            self.at += 2
            if marker == "</bbox>":
                return boxes

    def _unclosed(self, text: str, last: bool) -> list[Box]:
        """The box at the start of `text`, which no </bbox> ends; what follows its numbers stays as ordinary text."""
        quad = _QUAD_START.match(text)[0]  # type: ignore[index]  # matches the empty string too
        rest = text[len(quad) :]
        cut_off = last and not rest.strip()
        self.report.append("a <bbox> has no </bbox>" + ("; the text was cut off" if cut_off else ""))
        self.pieces[self.at] = rest
        if cut_off and quad.endswith("."):
            self.report.append(f"the last number of {quad!r} is not complete; the box was left out")
            return []
        return self._quads(quad) if quad else []

    def _quads(self, text: str) -> list[Box]:
        """Boxes of the text between two markers: one, unless a <delim> is missing; none when the numbers do not fit."""
        numbers = _NUMBER.findall(text)
        if not numbers or len(numbers) % 4 or _NUMBER.sub("", text).strip(" \t\r\n,;[]()"):
            self.report.append(f"{text!r} is no box of four numbers and was left out")
            return []
        if len(numbers) > 4:
            self.report.append(f"{text!r} holds {len(numbers) // 4} boxes without <delim>")
        boxes = [self._box(numbers[k : k + 4]) for k in range(0, len(numbers), 4)]
        read = [box for box in boxes if box is not None]
        values = [_value(number) for number in numbers]
        usual = ", ".join(map(format_number, values))
        if usual != text and all(0 <= value <= 1 for value in values):
            self.report.append(f"the box {text!r} is not written {usual!r}")
        return read

    def _box(self, numbers: Sequence[str]) -> Box | None:
        values = [_value(number) for number in numbers]
        shown = ", ".join(numbers)
        if any(not -OVERSHOOT <= value <= 1 + OVERSHOOT for value in values):
            self.report.append(f"the box {shown} is far outside 0..1, so its scale is unknown; it was left out")
            return None
        x1, y1, x2, y2 = (min(max(value, 0.0), 1.0) for value in values)
        if [x1, y1, x2, y2] != values:
            self.report.append(f"the box {shown} was clipped to 0..1")
        if x1 > x2 or y1 > y2:
            self.report.append(f"the corners of the box {shown} were swapped")
        return Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))

    def _attach(self, boxes: list[Box]) -> None:
        """Give boxes to the phrase right before them."""
        between = ""
        if len(self.items) > 1 and isinstance(self.items[-1], Text) and not isinstance(self.items[-2], Text):
            between = self.items[-1].text
            waiting = not self.items[-2].boxes
            if not (_BETWEEN_BOXES.fullmatch(between) or (waiting and not between.strip())):
                between = ""
        owner = self.items[-2 if between else -1] if self.items else None
        if not isinstance(owner, Object | Chars):
            self.report.append("a <bbox> belongs to no phrase")
            if boxes:
                self.items.append(Object("", tuple(boxes)))
            return
        if between:
            self.report.append(f"{between!r} between {_name(owner)} and its box was left out")
            self.items.pop()
        if owner.boxes:
            self.report.append(f"{_name(owner)} has several <bbox>")
        self.items[-1] = type(owner)(_phrase(owner), owner.boxes + tuple(boxes))


def _value(number: str) -> float:
    return float(number.rstrip("%")) / 100 if number.endswith("%") else float(number)
