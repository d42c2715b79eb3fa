"""Answers in the making: rows join when there is room, take one token a step, and leave when they end.

Row k of the batch lives in slot k of the key-value cache; when a row leaves, the last one takes its slot.
Shapes: B rows, D width of the language model, W vocabulary.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from varco_vision.infer.answer import StopReason, Timings
from varco_vision.infer.decoding import loop_cut
from varco_vision.infer.features import TensorCache, embed, features_of
from varco_vision.infer.forward import GraphedStep, KeyValueCache, Segment, TextDecoder
from varco_vision.infer.prompts import PictureKey, Prompt
from varco_vision.infer.sampling import Constraint, Sampler
from varco_vision.infer.tower import Tower
from varco_vision.model.checkpoint import Loaded

LOOP_CHECK_EVERY = 16  # tokens
RESERVE = 256  # positions for the answer that are reserved with a prompt
KEEP_BYTES = 256 * 2**20  # an idle key-value cache above this is given back


@dataclass
class Row:
    """An answer in the making. `cached` positions of prompt and answer lie in the key-value cache.

    `forced` counts tokens that a constraint put in place of the likeliest one. `error`: why the row could not go on.
    """

    prompt: Prompt
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    top: list[list[tuple[int, float]]] = field(default_factory=list)
    stop_reason: StopReason | None = None
    constraint: Constraint | None = None
    sampler: Sampler | None = None
    forced: int = 0
    cached: int = 0
    last: int = -1
    timings: Timings = field(default_factory=Timings)
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.stop_reason is not None or self.error is not None


@dataclass
class Memory:
    """What one engine's batches share: tower, decoder and the caches of pictures and prompt prefixes."""

    loaded: Loaded
    tower: Tower
    decoder: TextDecoder
    features: TensorCache[PictureKey]
    prefixes: TensorCache[bytes]


class Batch:
    """Rows that are decoded together. Not for several threads at once."""

    def __init__(self, memory: Memory, stop_ids: frozenset[int], stop_loops: bool = True, graphs: bool = True) -> None:
        self.memory = memory
        self.cache: KeyValueCache = memory.decoder.cache()
        self.rows: list[Row] = []
        self._stop_ids = stop_ids
        self._stop_loops = stop_loops
        self._step = memory.decoder.step
        if graphs and memory.decoder.device.type == "cuda":
            self._step = GraphedStep(memory.decoder)

    @torch.inference_mode()
    def admit(self, rows: Sequence[Row]) -> list[Row]:
        """Read the prompts of new rows and choose each one's first token; the rows that end with it.

        When it raises, none of the rows has joined.
        """
        if not rows:
            return []
        began = time.perf_counter()
        memory = self.memory
        unread = [row.prompt for row in rows if row.prompt.prefix not in memory.prefixes]
        features = features_of(unread, memory.loaded, memory.tower, memory.features)
        seen = time.perf_counter()
        base = len(self.rows)
        longest = max(len(row.prompt.ids) + min(row.prompt.limit, RESERVE) for row in rows)
        self.cache.reserve(base + len(rows), longest)
        slots = {id(row): base + k for k, row in enumerate(rows)}
        hidden: dict[int, Tensor] = {}
        for wave in self._waves(rows):
            embeds, segments = [], []
            for row in wave:
                start = self._restore(row, slots[id(row)])
                embeds.append(embed(row.prompt, start, features, memory.loaded))
                segments.append(Segment(slots[id(row)], start, len(row.prompt.ids) - start))
            found = memory.decoder.prefill(torch.cat(embeds), segments, self.cache)
            for row, state in zip(wave, found, strict=True):
                hidden[id(row)] = state
                self._keep_prefix(row, slots[id(row)])
        logits = memory.decoder.logits(torch.stack([hidden[id(row)] for row in rows]))
        for row in rows:
            row.cached = len(row.prompt.ids)
        self.rows += rows
        self._choose(rows, logits)
        ended = time.perf_counter()
        for row in rows:
            row.timings.vision += seen - began
            row.timings.prefill += ended - seen
        return self._leave()

    def _waves(self, rows: Sequence[Row]) -> list[list[Row]]:
        """First one row for each new prefix with everything else, then the rows that can use what those leave."""
        first: list[Row] = []
        second: list[Row] = []
        coming: set[bytes] = set()
        fits = self.memory.prefixes.limit // max(1, self.cache.token_bytes)
        for row in rows:
            prefix = row.prompt.prefix
            if prefix in coming:
                second.append(row)
                continue
            first.append(row)
            if prefix and prefix not in self.memory.prefixes and row.prompt.prefix_length <= fits:
                coming.add(prefix)
        return [wave for wave in (first, second) if wave]

    def _restore(self, row: Row, slot: int) -> int:
        """Put a known prefix into the slot; how many positions that filled."""
        prompt = row.prompt
        if not prompt.prefix or prompt.prefix not in self.memory.prefixes:
            return 0
        states = self.memory.prefixes.get(prompt.prefix)
        assert states is not None
        self.cache.write(slot, states)
        return prompt.prefix_length

    def _keep_prefix(self, row: Row, slot: int) -> None:
        prompt, prefixes = row.prompt, self.memory.prefixes
        if prompt.prefix and prompt.prefix not in prefixes:
            prefixes.misses += 1
            if prompt.prefix_length * self.cache.token_bytes <= prefixes.limit:
                prefixes.put(prompt.prefix, self.cache.read(slot, prompt.prefix_length))

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """One token for every row; the rows that end with it."""
        if not self.rows:
            return []
        began = time.perf_counter()
        device = self.memory.decoder.device
        tokens = torch.tensor([row.last for row in self.rows], device=device)
        positions = torch.tensor([row.cached for row in self.rows], device=device)
        length = max(row.cached for row in self.rows) + 1
        self.cache.reserve(len(self.rows), length)
        hidden = self._step(tokens, positions, length, self.cache)
        for row in self.rows:
            row.cached += 1
        self._choose(self.rows, self.memory.decoder.logits(hidden))
        seconds = time.perf_counter() - began
        for row in self.rows:
            row.timings.decode += seconds
        return self._leave()

    @torch.inference_mode()
    def cancel(self, row: Row) -> None:
        """Take a row out; what it has written so far stays in it."""
        row.stop_reason = "cancelled"
        self._leave()

    @torch.inference_mode()
    def clear(self) -> None:
        """Forget all rows, after a failure that left their states unknown."""
        self.rows = []
        self.cache.release()

    def _leave(self) -> list[Row]:
        """Rows that are done; their slots go to rows from the end."""
        gone = [row for row in self.rows if row.done]
        for slot in range(len(self.rows) - 1, -1, -1):
            if not self.rows[slot].done:
                continue
            last = self.rows.pop()
            if slot < len(self.rows):
                self.rows[slot] = last
                self.cache.move(len(self.rows), slot, last.cached)
        if gone and not self.rows and self.cache.states.nbytes > KEEP_BYTES:
            self.cache.release()
        return gone

    def _choose(self, rows: Sequence[Row], logits_BW: Tensor) -> None:
        """Pick each row's next token and book it."""
        tokens = logits_BW.argmax(-1).tolist()
        for k, row in enumerate(rows):
            if row.sampler is not None:
                tokens[k] = row.sampler.choose(logits_BW[k], row.constraint)
            elif row.constraint is not None and not row.constraint.allows(tokens[k]):
                tokens[k] = int(row.constraint.mask(logits_BW[k].clone()).argmax())
                row.forced += 1
            if row.constraint is not None:
                row.constraint.advance(tokens[k])
        chosen_B = logits_BW.gather(-1, torch.tensor(tokens, device=logits_BW.device)[:, None])[:, 0]
        norms_B = logits_BW.logsumexp(-1)
        for k, (row, token, log_prob) in enumerate(zip(rows, tokens, (chosen_B - norms_B).tolist(), strict=True)):
            if not math.isfinite(log_prob):
                row.error = FloatingPointError("the model's scores are not finite; try dtype float32")
                continue
            if count := row.prompt.request.top_log_probs:
                values, ids = (logits_BW[k] - norms_B[k]).topk(min(count, logits_BW.shape[1]))
                row.top.append(list(zip(ids.tolist(), values.tolist(), strict=True)))
            self._advance(row, token, log_prob)

    def _advance(self, row: Row, token: int, log_prob: float) -> None:
        """Book one generated token, and whether the answer ends with it."""
        row.log_probs.append(log_prob)
        row.last = token
        if token in self._stop_ids:
            row.stop_reason = "end"
            return
        row.ids.append(token)
        if self._stop_loops and len(row.ids) % LOOP_CHECK_EVERY == 0 and (cut := loop_cut(row.ids)) is not None:
            del row.ids[cut:], row.log_probs[cut:], row.top[cut:]
            row.stop_reason = "loop"
        elif len(row.ids) >= row.prompt.limit:
            row.stop_reason = "length"
