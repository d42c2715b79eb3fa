"""Text while it is being written: ids in, pieces of text out that never have to be taken back."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

UNFINISHED = "\ufffd"  # a character whose bytes have not all come
LONG = 64  # tokens after which settled ones are no longer decoded again


@dataclass(frozen=True)
class Delta:
    """What an answer has gained: `raw` with its markers, `text` as people read it (no markers, no numbers of boxes).

    `ids` and `log_probs` are the tokens since the last delta, `top_log_probs` their alternatives where asked for. Text
    may lag behind the tokens by a character, because Hangul letters that follow can still change it.
    """

    raw: str
    text: str
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    top_log_probs: list[list[tuple[int, float]]] = field(default_factory=list)


class Piecewise:
    """Decodes a growing list of ids; every call gives the text that is now certain."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._given = ""  # of the text of `_ids`

    def add(self, ids: Sequence[int], final: bool = False) -> str:
        """Text that `ids` make certain; `final` gives everything that is left."""
        self._ids += ids
        text = self._decode(self._ids)
        certain = text if final else text[: _settled(text)]
        if not certain.startswith(self._given):
            return ""
        piece, self._given = certain[len(self._given) :], certain
        if len(self._ids) > LONG and certain == text:
            self._ids, self._given = [], ""
        return piece


def _settled(text: str) -> int:
    """How much of a composed text no later letter can change: all but the last starter and what hangs on it."""
    end = len(text.rstrip(UNFINISHED))
    while end and (unicodedata.combining(text[end - 1]) or _jamo(text[end - 1])):
        end -= 1
    if end and (text[end - 1].isalpha() or text[end:]):
        end -= 1
    return end


def _jamo(character: str) -> bool:
    """A medial or final Hangul letter, which joins the syllable before it."""
    return "\u1160" <= character <= "\u11ff"


class TextStream:
    """Deltas of one answer. Markers are recognised by their ids."""

    def __init__(self, decode: Callable[[Sequence[int]], str], markers: dict[str, int]) -> None:
        self._names = {token: marker for marker, token in markers.items()}
        self._decode = decode
        self._raw = Piecewise(decode)
        self._plain = Piecewise(decode)
        self._in_box = False

    def add(
        self,
        ids: Sequence[int],
        log_probs: Sequence[float],
        top: Sequence[list[tuple[int, float]]] = (),
        final: bool = False,
    ) -> Delta:
        """The delta for tokens that came since the last call; `final` with the last ones."""
        raw, text = "", ""
        run: list[int] = []
        for token in ids:
            marker = self._names.get(token)
            if marker is None:
                run.append(token)
                continue
            raw, text = self._flush(run, raw, text, final=True)
            run = []
            raw += marker
            if marker == "<bbox>":
                self._in_box = True
            elif marker == "</bbox>":
                self._in_box = False
        raw, text = self._flush(run, raw, text, final)
        return Delta(raw, text, list(ids), list(log_probs), list(top))

    def _flush(self, run: list[int], raw: str, text: str, final: bool) -> tuple[str, str]:
        raw += self._raw.add(run, final)
        if final:
            self._raw = Piecewise(self._decode)
        if self._in_box:
            return raw, text
        text += self._plain.add(run, final)
        if final:
            self._plain = Piecewise(self._decode)
        return raw, text
