"""Answers that are JSON by construction: a schema becomes a grammar, the grammar says which token may come next."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from torch import Tensor

from varco_vision.errors import InputError
from varco_vision.model.checkpoint import Loaded

LARGEST = 65536  # characters of a schema
ANY_OBJECT: dict[str, Any] = {"type": "object"}
_BIT = torch.arange(8)


class Grammars:
    """Makes constraints for one model's tokenizer. Safe to use from several threads: a constraint shares nothing."""

    def __init__(self, loaded: Loaded) -> None:
        self._width = loaded.model.get_output_embeddings().weight.shape[0]
        self._stop_ids = frozenset(loaded.stop_ids)
        self._vocabulary, self._size = loaded.tokenizer, len(loaded.tokenizer)
        self._tokenizer: LLTokenizer = from_tokenizer(
            loaded.tokenizer, n_vocab=self._width, eos_token=loaded.tokenizer.eos_token_id
        )
        probe = loaded.tokenizer.backend_tokenizer.normalizer
        self._decomposed = probe is not None and probe.normalize_str("가") != "가"

    def spelled(self, token: int) -> bytes:
        """The bytes that a token stands for; special tokens by their names, rows that only pad the table nothing."""
        if token >= self._size:
            return b""
        if token in self._vocabulary.added_tokens_decoder:
            return self._vocabulary.added_tokens_decoder[token].content.encode()
        return self._tokenizer.decode_bytes([token])

    def constraint(self, schema: dict[str, Any]) -> JsonConstraint:
        """A constraint for one answer. Raises `InputError` for a schema that is malformed or not supported."""
        text = json.dumps(schema, ensure_ascii=False)
        if len(text) > LARGEST:
            raise InputError(f"the schema has {len(text):,} characters; at most {LARGEST:,} are read")
        if self._decomposed:  # this tokenizer writes jamo, which are composed only after decoding
            text = unicodedata.normalize("NFD", text)
        try:
            grammar = LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_flexible": False})
            faulty, told = LLMatcher.validate_grammar_with_warnings(grammar, self._tokenizer)
        except ValueError as error:
            raise InputError(f"the JSON schema cannot be used: {_first_line(error)}") from error
        if faulty:
            raise InputError(f"the JSON schema cannot be used: {_first_line(told[0] if told else 'no reason given')}")
        return JsonConstraint(LLMatcher(self._tokenizer, grammar), self._width, self._stop_ids)


class JsonConstraint:
    """`varco_vision.infer.sampling.Constraint` over a grammar; W is the width of the model's output."""

    def __init__(self, matcher: LLMatcher, width: int, stop_ids: frozenset[int]) -> None:
        self._matcher, self._width, self._stop_ids = matcher, width, stop_ids
        self._allowed: Tensor | None = None  # bool [W], of the present place

    def allows(self, token: int) -> bool:
        """Whether `token` may come next."""
        return bool(self._bits()[token])

    def mask(self, scores_W: Tensor) -> Tensor:
        """The scores with -inf wherever the grammar does not go on."""
        return scores_W.masked_fill(~self._bits().to(scores_W.device), -torch.inf)

    def advance(self, token: int) -> None:
        """`token` has been chosen."""
        self._allowed = None
        if not self._matcher.is_stopped():
            assert self._matcher.consume_token(token), self._matcher.get_error()

    def _bits(self) -> Tensor:
        if self._allowed is None:
            if self._matcher.is_stopped():
                allowed = torch.zeros(self._width, dtype=torch.bool)
                allowed[list(self._stop_ids)] = True
            else:
                packed = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
                allowed = ((packed[:, None] >> _BIT) & 1).reshape(-1)[: self._width].bool()
            assert allowed.any(), self._matcher.get_error()
            self._allowed = allowed
        return self._allowed


def _first_line(error: object) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else "no reason given"
