"""An answer: what the model said, read as text, objects and words. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from varco_vision import markup
from varco_vision.geometry import Box
from varco_vision.infer.decoding import Span, confidence, match_words, word_spans

StopReason = Literal["end", "length", "loop", "cancelled"]


@dataclass
class Timings:
    """Seconds of the clock that passed while the request waited, while its pictures went through the tower, while its
    prompt was read and while its answer was written. What several requests do together counts fully for each.
    """

    queued: float = 0.0
    vision: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0


@dataclass(frozen=True)
class Grounded:
    """A phrase of the answer and where it is in the picture; for each box how sure the model was of it (0..1)."""

    phrase: str
    boxes: list[Box]
    confidences: list[float] = field(default_factory=list, compare=False)


@dataclass(frozen=True)
class Word:
    """Recognised characters, their box, and how sure the model was (0..1) of both together and of each alone.

    `text_confidence` and `box_confidence` are None where the answer does not tell them apart.
    """

    text: str
    box: Box
    confidence: float
    text_confidence: float | None = field(default=None, compare=False)
    box_confidence: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Answer:
    """`text` is readable (markup removed), `raw` is what the model wrote with its markers; both NFC.

    `stop_reason`: "end" (the model ended the turn), "length" (out of tokens), "loop" (it repeated itself; one copy of the
    repeated stretch is kept). `truncated` is true for the last two. `confidence` is exp of the mean log-probability of
    the answer's tokens. `image_tokens` were spent on pictures, `new_tokens` were generated. `repairs` says what in the
    markup was not well-formed and how it was read. "cancelled" (somebody stopped it) is truncated as well.

    `prompt_tokens` counts the prompt with its picture tokens. `forced` tokens were put by a constraint in place of the
    likeliest ones; their log-probabilities are those that the model gave them, so confidence shows the doubt. `seed`
    repeats a sampled answer. `token_ids` are the answer's without the end token, `log_probs` has one for each, and for
    the end token where there is one; `top_log_probs` holds (id, log-probability) of the likeliest tokens at each.
    `calibrated`: the kinds of confidences here that are shares of right answers (`infer.calibration.KINDS`); all others are
    the model's own opinion. `check`: what came of asking the model about its own box (`infer.checking`), None: not asked.
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
    prompt_tokens: int = 0
    forced: int = 0
    seed: int | None = None
    calibrated: tuple[str, ...] = field(default=(), compare=False)
    check: Literal["held", "moved", "doubtful"] | None = None
    timings: Timings = field(default_factory=Timings, compare=False)
    token_ids: list[int] = field(default_factory=list, repr=False)
    log_probs: list[float] = field(default_factory=list, repr=False, compare=False)
    top_log_probs: list[list[tuple[int, float]]] = field(default_factory=list, repr=False, compare=False)

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
    reader = _Scores(generated, decode, markers, repairs)
    return Answer(
        text=markup.plain(items).strip(),
        raw=raw,
        objects=reader.objects([item for item in items if isinstance(item, markup.Object)]),
        words=reader.words([item for item in items if isinstance(item, markup.Chars)]),
        truncated=generated.stop_reason != "end",
        stop_reason=generated.stop_reason,
        confidence=confidence(generated.log_probs),
        image_tokens=image_tokens,
        repairs=repairs,
        new_tokens=len(generated.log_probs),
        token_ids=list(generated.ids),
        log_probs=list(generated.log_probs),
    )


@dataclass
class _Scores:
    """Folds log-probabilities of tokens to the words and boxes that they spell."""

    generated: Generated
    decode: Callable[[Sequence[int]], str]
    markers: dict[str, int]
    repairs: list[str]

    def words(self, chars: Sequence[markup.Chars]) -> list[Word]:
        """A word per <char> element that has a box; several boxes of one word become their hull."""
        words = []
        for part, span in zip(chars, self._matched("<char>", [c.text for c in chars]), strict=True):
            if not part.boxes:
                continue  # the parser has reported it
            if span is None:
                whole = confidence(self.generated.log_probs)
                self.repairs.append(
                    f"the tokens of the word {part.text!r} were not found; its confidence is the whole answer's"
                )
                words.append(Word(part.text, _hull(part.boxes), whole))
                continue
            boxes = self._box_confidences(span)
            text = confidence(self.generated.log_probs[span.start : span.start + 1 + len(span.content)])
            box = sum(boxes) / len(boxes) if boxes else None
            both = confidence(self.generated.log_probs[span.start : span.end])
            words.append(Word(part.text, _hull(part.boxes), both, text, box))
        return words

    def objects(self, objects: Sequence[markup.Object]) -> list[Grounded]:
        """A phrase with its boxes. Confidences are left out where the tokens of a phrase and its boxes do not match."""
        found = []
        for part, span in zip(objects, self._matched("<obj>", [o.phrase for o in objects]), strict=True):
            if not part.boxes:
                continue
            scores = self._box_confidences(span) if span is not None else []
            found.append(Grounded(part.phrase, list(part.boxes), scores if len(scores) == len(part.boxes) else []))
        return found

    def _matched(self, opening: str, texts: Sequence[str]) -> list[Span | None]:
        """For each text the tokens from its opening marker to the end of its boxes."""
        closing = opening.replace("<", "</")
        spans: list[Span] = []
        if {opening, closing, "</bbox>"} <= self.markers.keys():
            ids = (self.markers[opening], self.markers[closing], self.markers["</bbox>"])
            spans = word_spans(self.generated.ids, *ids)
        spelled = [self.decode(span.content).strip() for span in spans]
        matches = match_words([text.strip() for text in texts], spelled)
        return [None if match is None else spans[match] for match in matches]

    def _box_confidences(self, span: Span) -> list[float]:
        """One for each box between <bbox> and </bbox>: the numbers and their separators."""
        tokens = self.generated.ids[span.start : span.end]
        opening = self.markers.get("<bbox>")
        if opening not in tokens:
            return []
        first = span.start + tokens.index(opening) + 1
        scores: list[list[float]] = [[]]
        for token, log_prob in zip(
            self.generated.ids[first : span.end], self.generated.log_probs[first : span.end], strict=True
        ):
            if token == self.markers.get("<delim>"):
                scores.append([])
            elif token != self.markers["</bbox>"]:
                scores[-1].append(log_prob)
        return [confidence(part) for part in scores if part]


def _hull(boxes: Sequence[Box]) -> Box:
    return Box(min(b.x1 for b in boxes), min(b.y1 for b in boxes), max(b.x2 for b in boxes), max(b.y2 for b in boxes))
