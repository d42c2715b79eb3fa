"""When an answer has stopped saying anything new, and how sure its pieces were. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

LONGEST_PERIOD = 256  # tokens; an OCR line with its box is about 10 (small tokenizers) to 40 (published models)
LEAST_COPIES = 4
LEAST_TOKENS = 64  # short periods need more copies: rulers "-----" and "0, 0, 0" are ordinary text


def loop_cut(tokens: Sequence[int]) -> int | None:
    """How many leading tokens to keep when the end of `tokens` repeats itself, None when it does not.

    A loop is a stretch of at most `LONGEST_PERIOD` tokens that stands at the end at least `LEAST_COPIES` times without
    a gap, over at least `LEAST_TOKENS` tokens. One copy is kept. Lines that differ in one digit of a box are no loop.
    """
    count = len(tokens)
    if count < LEAST_TOKENS:
        return None
    last = tokens[-1]
    for period in range(1, min(LONGEST_PERIOD, count // LEAST_COPIES) + 1):
        if tokens[-1 - period] != last:
            continue
        start = count - 1
        while start >= period and tokens[start] == tokens[start - period]:
            start -= 1
        repeated = count - 1 - start + period
        if repeated >= max(LEAST_COPIES * period, LEAST_TOKENS):
            return count - repeated + period
    return None


def confidence(log_probs: Sequence[float]) -> float:
    """exp of the mean log-probability, 0..1: the geometric mean of the tokens' probabilities; 0 without any token."""
    return math.exp(math.fsum(log_probs) / len(log_probs)) if log_probs else 0.0


@dataclass(frozen=True)
class Span:
    """Tokens [start, end) of an answer that spell one recognised word with its box, and the ids of the word alone."""

    start: int
    end: int
    content: tuple[int, ...]


def word_spans(tokens: Sequence[int], char_open: int, char_close: int, box_close: int) -> list[Span]:
    """Where the words of an OCR answer stand: from <char> to the </bbox> that belongs to it (or to the next <char>)."""
    starts = [i for i, token in enumerate(tokens) if token == char_open]
    spans = []
    for start, bound in pairwise([*starts, len(tokens)]):
        piece = list(tokens[start:bound])
        end = piece.index(box_close) + 1 if box_close in piece else len(piece)
        stop = piece.index(char_close) if char_close in piece else end
        spans.append(Span(start, start + end, tuple(piece[1:stop])))
    return spans


def match_words(wanted: Sequence[str], found: Sequence[str]) -> list[int | None]:
    """For each text of `wanted` the index of the same text in `found`, both read in order; None where it is missing."""
    matches: list[int | None] = []
    position = 0
    for text in wanted:
        index = next((i for i in range(position, len(found)) if found[i] == text), None)
        matches.append(index)
        if index is not None:
            position = index + 1
    return matches
