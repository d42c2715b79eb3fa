"""Batched generation: pictures encoded once, prompts packed, rows that join and leave while others go on.

Every row is answered as if it were alone. `generate` takes a list; `infer.service` takes requests as they come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from varco_vision import chat
from varco_vision.errors import InputError
from varco_vision.infer.answer import Answer, Generated, read_answer
from varco_vision.infer.batch import Batch, Memory, Row
from varco_vision.infer.calibration import calibration_of
from varco_vision.infer.features import TensorCache
from varco_vision.infer.forward import TextDecoder, weight_stamp
from varco_vision.infer.grammar import Boxes, BoxGrammar
from varco_vision.infer.prompts import Prompt, Request, prepare, share_beginnings
from varco_vision.infer.sampling import Constraint, Sampler
from varco_vision.infer.tower import Tower
from varco_vision.markup import MARKERS
from varco_vision.model.checkpoint import Loaded

__all__ = ["Engine", "Request"]

WINDOW = 16  # batches whose requests are sorted by length together
WINDOW_BYTES = 512 * 2**20  # decoded pictures that wait in a window
PREFILL_TOKENS = 16384  # prompt tokens that are read in one go while other rows wait
FEATURE_BYTES = 512 * 2**20
PREFIX_BYTES = 512 * 2**20


class Engine:
    """Answers requests with a loaded model, `batch_size` at a time.

    `prompt_tokens` bounds a batch's prompts (rows times the longest), which long pictures fill before `batch_size`
    does. `stop_loops` False lets an answer repeat itself until its length is used up. `feature_bytes` and
    `prefix_bytes` bound what is kept of pictures and of prompt prefixes, the least recently used going first; 0 keeps
    nothing. `graphs` False leaves CUDA graphs out on a GPU. `calibrate` False leaves confidences as the model gave them
    also where the checkpoint has a calibration.
    """

    def __init__(
        self,
        loaded: Loaded,
        batch_size: int = 16,
        prompt_tokens: int = 65536,
        stop_loops: bool = True,
        feature_bytes: int = FEATURE_BYTES,
        prefix_bytes: int = PREFIX_BYTES,
        graphs: bool = True,
        calibrate: bool = True,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; at least 1 request has to fit into a batch")
        self.loaded = loaded
        advice = calibration_of(loaded.calibration)
        self.calibration = advice if calibrate else None
        self.advises_check = advice is not None and advice.check_boxes
        self.batch_size = batch_size
        self.prompt_tokens = prompt_tokens
        self.stop_loops = stop_loops
        self.graphs = graphs
        self.lock = threading.RLock()  # one thread at a time computes
        vocabulary = loaded.tokenizer.get_vocab()
        self.markers = {marker: vocabulary[marker] for marker in MARKERS if marker in vocabulary}
        self._grammar: BoxGrammar | None = None
        self._memory = Memory(
            loaded,
            Tower(loaded.model),
            TextDecoder(loaded.model),
            TensorCache(feature_bytes),
            TensorCache(prefix_bytes),
        )
        self._stamp = weight_stamp(loaded.model)
        self._batch = self.batch()

    @property
    def features(self) -> TensorCache:
        """The cache of picture features, with its counters."""
        return self._memory.features

    @property
    def prefixes(self) -> TensorCache:
        """The cache of prompt prefixes, with its counters."""
        return self._memory.prefixes

    @property
    def can_constrain(self) -> bool:
        """Whether the tokenizer has the markers that constrained boxes need."""
        return {"<bbox>", "</bbox>"} <= self.markers.keys()

    def batch(self) -> Batch:
        """A new batch on this engine's model and caches."""
        return Batch(self._memory, frozenset(self.loaded.stop_ids), self.stop_loops, self.graphs)

    def generate(self, requests: Sequence[Request], progress: Callable[[int], None] | None = None) -> list[Answer]:
        """One answer per request, in order. `progress` is told how many requests are done whenever that changes.

        Raises `InputError` when pictures and image parts differ in number or a prompt exceeds the model's context.
        """
        with self.lock:
            self.refresh()
            batch = self._batch
            assert not batch.rows
            answers: list[Answer | None] = [None] * len(requests)
            done = 0
            try:
                for window in self._windows(requests):
                    waiting = [self.row(prompt) for prompt in sorted(window, key=lambda p: (-len(p.ids), p.index))]
                    while waiting or batch.rows:
                        gone = batch.admit(self.next_rows(batch, waiting)) + batch.step()
                        for row in gone:
                            answers[row.prompt.index] = self.answer(row)
                        done += len(gone)
                        if gone and progress is not None:
                            progress(done)
            finally:
                if batch.rows:
                    batch.clear()
        finished = [answer for answer in answers if answer is not None]
        assert len(finished) == len(requests)
        return finished

    def _windows(self, requests: Sequence[Request]) -> Iterator[list[Prompt]]:
        """Prompts that are sorted together, longest first: a batch too large for the memory then fails at the start."""
        window: list[Prompt] = []
        held = 0
        for index, request in enumerate(requests):
            prompt = prepare(request, self.loaded, index)
            window.append(prompt)
            held += prompt.held_bytes
            if len(window) == self.batch_size * WINDOW or held > WINDOW_BYTES:
                yield share_beginnings(window, self.prefixes)
                window, held = [], 0
        if window:
            yield share_beginnings(window, self.prefixes)

    def refresh(self) -> None:
        """Read the weights anew if they have changed since the last call (a model that is still being trained)."""
        stamp = weight_stamp(self.loaded.model)
        if stamp == self._stamp:
            return
        self._memory.tower = Tower(self.loaded.model)
        self._memory.decoder = TextDecoder(self.loaded.model)
        self._memory.features.clear()
        self._memory.prefixes.clear()
        self._stamp = stamp
        self._batch = self.batch()

    def row(self, prompt: Prompt) -> Row:
        """A new row for a prompt. Raises `InputError` when boxes are to be constrained and the tokenizer cannot."""
        request = prompt.request
        constraint: Constraint | None = None
        if request.constraint is not None:
            constraint = request.constraint()
        elif request.constrain:
            constraint = self._boxes()
        sampler = None if request.sampling.plain else Sampler(request.sampling, prompt.ids)
        return Row(prompt, constraint=constraint, sampler=sampler)

    def _boxes(self) -> Boxes:
        if self._grammar is None:
            self._grammar = BoxGrammar(self.loaded.tokenizer, self.loaded.digits, frozenset(self.loaded.stop_ids))
        return self._grammar.start()

    def next_rows(self, batch: Batch, waiting: list[Row]) -> list[Row]:
        """Take from the front of `waiting` what may join now; a lone row always may."""
        joined: list[Row] = []
        tokens = 0
        longest = max((len(row.prompt.ids) for row in batch.rows), default=0)
        while waiting:
            count = len(batch.rows) + len(joined)
            length = len(waiting[0].prompt.ids)
            longest = max(longest, length)
            tokens += length
            if count and (count == self.batch_size or (count + 1) * longest > self.prompt_tokens):
                break
            if joined and tokens > PREFILL_TOKENS:
                break
            joined.append(waiting.pop(0))
        return joined

    def answer(self, row: Row) -> Answer:
        """The answer that a finished row holds; raises what stopped the row."""
        if row.error is not None:
            raise row.error
        assert row.stop_reason is not None
        generated = Generated(row.ids, row.log_probs, row.stop_reason)
        decode = partial(chat.decode, tokenizer=self.loaded.tokenizer)
        answer = read_answer(generated, decode, self.markers, row.prompt.image_tokens)
        if self.calibration is not None:
            answer = self.calibration.applied(answer)
        return replace(
            answer,
            prompt_tokens=len(row.prompt.ids),
            forced=row.forced,
            seed=row.sampler.seed if row.sampler is not None else None,
            timings=row.timings,
            top_log_probs=row.top,
        )
