"""What may be written next, so that every box comes out as `markup.write` would put it.

Inside <bbox> only the numbers, separators and markers of legal boxes can follow: 0..1, at most so many decimals, no
superfluous zeros, x1 <= x2 and y1 <= y2, four numbers to a box, </bbox> at the end. An <obj> or <char> is closed by its
own tag before <bbox> opens, and a <bbox> follows such a phrase. Nothing is forced that the model did not begin: a phrase
without a box, or an answer without any, stays as it is.

The rules look at the *text* that tokens spell, so they hold for tokenizers whose numbers are one token each and for those
that spell digit by digit. A greedy answer that is legal is never changed, because the likeliest token is only replaced
when it breaks a rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from varco_vision.errors import InputError
from varco_vision.markup import MARKERS, MAX_DIGITS, format_number

SEPARATOR = ", "
CLOSING = {"<obj>": "</obj>", "<char>": "</char>"}
MOST_STATES = 20_000  # states inside boxes whose next tokens are remembered


@dataclass(frozen=True)
class BoxState:
    """How far the box being written has come: `done` numbers in steps of 10^-digits, and the letters after them, which
    are the start of a number or of a separator.
    """

    done: tuple[int, ...] = ()
    tail: str = ""
    separating: bool = False


class NumberRules:
    """Which texts begin a coordinate, and which values they can still become. Values are in steps of 10^-digits."""

    def __init__(self, digits: int) -> None:
        if not 1 <= digits <= MAX_DIGITS:
            raise InputError(f"{digits} decimals were asked for; coordinates have 1 to {MAX_DIGITS}")
        self.steps = 10**digits
        self.value: dict[str, int] = {}  # a complete number
        self.highest: dict[str, int] = {}  # a beginning: the greatest value that it can become
        for n in range(self.steps + 1):
            text = format_number(n / self.steps, digits)
            self.value[text] = n
            for end in range(len(text) + 1):
                self.highest[text[:end]] = max(n, self.highest.get(text[:end], 0))


def least(state: BoxState) -> int:
    """The least value of the number being written: right and lower edges are not before left and upper ones."""
    return state.done[len(state.done) - 2] if len(state.done) >= 2 else 0


def advance(state: BoxState, text: str, rules: NumberRules) -> BoxState | None:
    """The state after more letters, None when no legal box goes on like that."""
    done, tail, separating = state.done, state.tail, state.separating
    for letter in text:
        bound = least(BoxState(done))
        if separating:
            tail += letter
            if not SEPARATOR.startswith(tail):
                return None
            if tail == SEPARATOR:
                tail, separating = "", False
            continue
        if letter == SEPARATOR[0]:
            value = rules.value.get(tail)
            if value is None or value < bound or len(done) == 3:
                return None
            done, tail, separating = (*done, value), letter, True
            continue
        tail += letter
        if rules.highest.get(tail, -1) < bound:
            return None
    return BoxState(done, tail, separating)


def complete(state: BoxState, rules: NumberRules) -> bool:
    """Whether four numbers stand, so that <delim> or </bbox> may follow."""
    value = rules.value.get(state.tail)
    return len(state.done) == 3 and not state.separating and value is not None and value >= least(state)


class BoxGrammar:
    """The rules for one tokenizer; `start` gives the state machine of one answer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, digits: int, stop_ids: frozenset[int]) -> None:
        vocabulary = tokenizer.get_vocab()
        self.markers = {vocabulary[marker]: marker for marker in MARKERS if marker in vocabulary}
        if not {"<bbox>", "</bbox>"} <= set(self.markers.values()):
            raise InputError("this model's tokenizer has no <bbox> and </bbox>, so its boxes cannot be constrained")
        self.ids = {marker: token for token, marker in self.markers.items()}
        self.rules = NumberRules(digits)
        self.stop_ids = stop_ids
        self.texts = dict(_number_pieces(tokenizer, set(self.markers) | stop_ids))
        self.inside = lru_cache(MOST_STATES)(self._inside)
        self._check_spelling()

    def start(self) -> Boxes:
        """The rules at the start of an answer."""
        return Boxes(self)

    def _inside(self, state: BoxState) -> tuple[int, ...]:
        """Tokens that may follow inside a box."""
        found = [token for token, text in self.texts.items() if advance(state, text, self.rules) is not None]
        if complete(state, self.rules):
            found += [self.ids[marker] for marker in ("<delim>", "</bbox>") if marker in self.ids]
        return tuple(found)

    def _check_spelling(self) -> None:
        """Every digit, the point and the separator must have tokens, else a box could come to a dead end."""
        letters = {text for text in self.texts.values() if len(text) == 1}
        numbers = set(self.texts.values())
        spelled = set("0123456789.") <= letters or {*self.rules.value} <= numbers
        if not spelled or not (SEPARATOR in numbers or set(SEPARATOR) <= letters):
            raise InputError("this model's tokenizer cannot spell the numbers of a box; constrained boxes need it to")


class Boxes:
    """One answer's state: outside, in the phrase of <obj> or <char>, right after one, or inside <bbox>."""

    def __init__(self, grammar: BoxGrammar) -> None:
        self.grammar = grammar
        self.opening = ""  # the phrase that is open
        self.closed = False  # a phrase has just been closed, so a box may follow
        self.box: BoxState | None = None
        self.begun = False

    def allows(self, token: int) -> bool:
        """Whether `token` may come next."""
        g = self.grammar
        marker = g.markers.get(token)
        if self.box is not None:
            if marker is not None:
                return marker in {"<delim>", "</bbox>"} and complete(self.box, g.rules)
            text = g.texts.get(token)
            return text is not None and advance(self.box, text, g.rules) is not None
        return marker is None or marker in self._markers()

    def mask(self, scores_W: Tensor) -> Tensor:
        """`scores_W` with -inf where `allows` is false."""
        g = self.grammar
        if self.box is not None:
            kept = torch.tensor(g.inside(self.box), dtype=torch.long, device=scores_W.device)
            assert len(kept), self.box
            masked = torch.full_like(scores_W, -math.inf)
            masked[kept] = scores_W[kept]
            return masked
        banned = [token for token, marker in g.markers.items() if marker not in self._markers()]
        scores_W[torch.tensor(banned, dtype=torch.long, device=scores_W.device)] = -math.inf
        return scores_W

    def _markers(self) -> set[str]:
        """Markers that may come next outside of boxes."""
        if self.opening:
            return {CLOSING[self.opening]}
        allowed = {"<obj>", "<char>"}
        if self.closed:
            allowed.add("<bbox>")
        if not self.begun:
            allowed |= {"<gro>", "<ocr>"}
        return allowed

    def advance(self, token: int) -> None:
        """`token` has been chosen."""
        marker = self.grammar.markers.get(token)
        closed, self.closed, self.begun = self.closed, False, True
        if self.box is not None:
            self._advance_box(token, marker)
        elif marker in CLOSING:
            self.opening = marker
        elif self.opening and marker == CLOSING[self.opening]:
            self.opening, self.closed = "", True
        elif marker == "<bbox>" and closed:
            self.box = BoxState()

    def _advance_box(self, token: int, marker: str | None) -> None:
        assert self.box is not None
        if marker == "</bbox>":
            self.box = None
        elif marker == "<delim>":
            self.box = BoxState()
        elif token in self.grammar.texts:
            self.box = advance(self.box, self.grammar.texts[token], self.grammar.rules)
            assert self.box is not None, "a token that the rules do not allow was chosen"


def _number_pieces(tokenizer: PreTrainedTokenizerBase, left_out: set[int]) -> Iterator[tuple[int, str]]:
    """Tokens that spell nothing but digits, points, commas and blanks, with what they spell."""
    allowed = set("0123456789., ")
    for token in sorted(set(tokenizer.get_vocab().values()) - left_out):
        text = tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if text and set(text) <= allowed:
            yield token, text
