"""An answer: what the model said, read as text, objects and words. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from varco_vision import markup
from varco_vision.geometry import Box
from varco_vision.infer.decoding import confidence, match_words, word_spans

StopReason = Literal["end", "length", "loop"]


@dataclass(frozen=True)
class Grounded:
    """A phrase of the answer and where it is in the picture."""

    phrase: str
    boxes: list[Box]


@dataclass(frozen=True)
class Word:
    """Recognised characters, their box, and how sure the model was (0..1) of both together."""

    text: str
    box: Box
    confidence: float


@dataclass(frozen=True)
class Answer:
    """`text` is readable (markup removed), `raw` is what the model wrote with its markers; both NFC.

    `stop_reason`: "end" (the model ended the turn), "length" (out of tokens), "loop" (it repeated itself; one copy of the
    repeated stretch is kept). `truncated` is true for the last two. `confidence` is exp of the mean log-probability of
    the answer's tokens. `image_tokens` were spent on pictures, `new_tokens` were generated. `repairs` says what in the
    markup was not well-formed and how it was read.
    """

    text: str
    raw: str
    objects: list[Grounded]
    words: list[Word]
    truncated: bool
    stop_reason: StopReason
    confidence: float
    image_tokens: int
    repairs: list[str] = field(default_factory=list)
    new_tokens: int = 0

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Generated:
    """Ids of an answer without its end token, one log-probability for each (and for the end token, if there is one)."""

    ids: list[int]
    log_probs: list[float]
    stop_reason: StopReason


def read_answer(
    generated: Generated, decode: Callable[[Sequence[int]], str], markers: dict[str, int], image_tokens: int
) -> Answer:
    """Turn generated ids into an `Answer`.

    `decode` gives NFC text in which the nine markers stand as text; `markers` maps a marker to its id (markers that the
    tokenizer lacks are absent).
    """
    raw = decode(generated.ids).strip()
    repairs: list[str] = []
    items = markup.parse(raw, report=repairs)
    objects = [
        Grounded(item.phrase, list(item.boxes)) for item in items if isinstance(item, markup.Object) and item.boxes
    ]
    chars = [item for item in items if isinstance(item, markup.Chars)]
    words = _words(chars, generated, decode, markers, repairs)
    return Answer(
        text=markup.plain(items).strip(),
        raw=raw,
        objects=objects,
        words=words,
        truncated=generated.stop_reason != "end",
        stop_reason=generated.stop_reason,
        confidence=confidence(generated.log_probs),
        image_tokens=image_tokens,
        repairs=repairs,
        new_tokens=len(generated.log_probs),
    )


def _words(
    chars: Sequence[markup.Chars],
    generated: Generated,
    decode: Callable[[Sequence[int]], str],
    markers: dict[str, int],
    repairs: list[str],
) -> list[Word]:
    """A word per <char> element that has a box; several boxes of one word become their hull."""
    spans = []
    if {"<char>", "</char>", "</bbox>"} <= markers.keys():
        spans = word_spans(generated.ids, markers["<char>"], markers["</char>"], markers["</bbox>"])
    spelled = [decode(span.content).strip() for span in spans]
    matches = match_words([part.text.strip() for part in chars], spelled)
    words = []
    for part, match in zip(chars, matches, strict=True):
        if not part.boxes:
            continue  # the parser has reported it
        if match is None:
            repairs.append(f"the tokens of the word {part.text!r} were not found; its confidence is the whole answer's")
            log_probs = generated.log_probs
        else:
            log_probs = generated.log_probs[spans[match].start : spans[match].end]
        words.append(Word(part.text, _hull(part.boxes), confidence(log_probs)))
    return words


def _hull(boxes: Sequence[Box]) -> Box:
    return Box(min(b.x1 for b in boxes), min(b.y1 for b in boxes), max(b.x2 for b in boxes), max(b.y2 for b in boxes))
