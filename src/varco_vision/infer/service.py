"""Requests as they come: a bounded queue, one thread that computes, answers piece by piece, cancelling.

    service = Service(engine, queue_limit=256)
    handle = service.submit(Request(messages, images, max_new_tokens=200))
    for delta in handle:              # Delta(raw, text, ids, log_probs, top_log_probs), until the answer ends
        print(delta.text, end="")
    answer = handle.result()          # Answer; the same as engine.generate([request])[0]
    service.close()                   # finish what is under way; close(drain=False) cancels it

* `submit` loads pictures and renders the prompt in the caller's thread, so a bad request raises `InputError` there and
  disturbs nobody. It raises `QueueFull` (with `retry_after` in seconds) when `queue_limit` requests wait already, and
  `Closed` after `close`. It may be called from any number of threads.
* `handle.cancel()` stops a request wherever it is; its answer has `stop_reason` "cancelled" and what was written so far.
* `handle.result(timeout)` waits; it raises `TimeoutError` when the answer is not there in time (the request goes on), or
  whatever stopped this request alone.
* Programs with an event loop give `submit(request, listener=f)`. `f` is called in the computing thread with each
  `Delta`, and at the end with the `Answer` or the exception; it must return at once
  (`loop.call_soon_threadsafe(queue.put_nowait, event)`). A handle with a listener is not iterated.
* A request that is one of several running costs the others only the time of its prompt. A failure of the machinery
  (out of memory) ends the requests that were running with that error and lets later ones start anew.
* Text may lag a character behind the tokens. When an answer ends with "loop", the deltas hold the repeated copies that
  the answer leaves out.
* `service.stats()` has counters for monitoring.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from varco_vision import chat
from varco_vision.errors import InputError
from varco_vision.infer.answer import Answer
from varco_vision.infer.batch import Row
from varco_vision.infer.engine import Engine
from varco_vision.infer.prompts import Request, prepare
from varco_vision.infer.stream import Delta, TextStream

log = logging.getLogger(__name__)

Event = Delta | Answer | Exception
Listener = Callable[[Event], None]


class QueueFull(RuntimeError):
    """Too many requests wait; `retry_after` seconds is a guess at when there will be room."""

    def __init__(self, waiting: int, retry_after: float) -> None:
        super().__init__(f"{waiting} requests wait already; try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class Closed(RuntimeError):
    """The service takes no more requests."""


@dataclass
class Handle:
    """One request on its way. Iterate over it for deltas (once, from one thread), ask `result` for the answer."""

    request: Request
    row: Row
    stream: TextStream
    listener: Listener | None
    submitted: float
    told: int = 0  # tokens that deltas have held
    cancelled: bool = False
    _events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)
    _ended: threading.Event = field(default_factory=threading.Event)
    _outcome: Answer | Exception | None = None

    @property
    def done(self) -> bool:
        """Whether the answer, or what stopped it, is there."""
        return self._ended.is_set()

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, pictures included; known as soon as the request is accepted."""
        return len(self.row.prompt.ids)

    def cancel(self) -> None:
        """Stop as soon as possible; harmless when it has ended already."""
        self.cancelled = True

    def result(self, timeout: float | None = None) -> Answer:
        """Wait for the answer; see the module's text for what is raised."""
        if not self._ended.wait(timeout):
            raise TimeoutError(f"no answer within {timeout} s; the request goes on")
        assert self._outcome is not None
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def __iter__(self) -> Iterator[Delta]:
        if self.listener is not None:
            raise InputError("this request tells a listener; only handles without one can be iterated over")
        while isinstance(event := self._events.get(), Delta):
            yield event
        if isinstance(event, Exception):
            raise event

    def tell(self, event: Event) -> None:
        """Deliver an event; called by the service alone."""
        if not isinstance(event, Delta):
            self._outcome = event
            self._ended.set()
        if self.listener is None:
            self._events.put(event)
            return
        try:
            self.listener(event)
        except Exception:
            log.exception("a listener failed; its request is cancelled")
            self.cancelled = True


class Service:
    """Takes requests from any thread and answers them on one engine. `queue_limit`: how many may wait."""

    def __init__(self, engine: Engine, queue_limit: int = 256) -> None:
        if queue_limit < 1:
            raise InputError(f"queue_limit is {queue_limit}; at least 1 request must be allowed to wait")
        self.engine = engine
        self.queue_limit = queue_limit
        self._batch = engine.batch()
        self._waiting: deque[Handle] = deque()
        self._running: dict[int, Handle] = {}
        self._changed = threading.Condition()
        self._render = threading.Lock()
        self._closing = False
        self._counts: Counter[str] = Counter()
        self._pace = 1.0  # seconds a request, a moving average
        self._thread = threading.Thread(target=self._work, name="varco-vision engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request, listener: Listener | None = None) -> Handle:
        """Accept a request; see the module's text."""
        self._check_room()
        prompt = prepare(request, self.engine.loaded, guard=self._render)
        row = self.engine.row(prompt)
        decode = partial(chat.decode, tokenizer=self.engine.loaded.tokenizer)
        stream = TextStream(decode, self.engine.markers)
        handle = Handle(request, row, stream, listener, time.monotonic())
        with self._changed:
            self._check_room()
            self._counts["accepted"] += 1
            self._waiting.append(handle)
            self._changed.notify()
        return handle

    def _check_room(self) -> None:
        if self._closing:
            raise Closed("the service is closing and takes no more requests")
        if len(self._waiting) >= self.queue_limit:
            self._counts["refused"] += 1
            raise QueueFull(len(self._waiting), max(1.0, self._pace * len(self._waiting)))

    def stats(self) -> dict[str, Any]:
        """Counters: accepted, refused, ended by reason or "error", tokens read and written; rows running and waiting;
        hits, misses and bytes of the caches.
        """
        caches = {"features": self.engine.features, "prefixes": self.engine.prefixes}
        kept = {name: {"hits": c.hits, "misses": c.misses, "bytes": c.bytes} for name, c in caches.items()}
        return {"waiting": len(self._waiting), "running": len(self._running), **self._counts, "caches": kept}

    def close(self, drain: bool = True, timeout: float | None = None) -> bool:
        """Take no more requests and finish those that are there, or cancel them. True when all have ended in time."""
        with self._changed:
            self._closing = True
            if not drain:
                for handle in [*self._waiting, *self._running.values()]:
                    handle.cancel()
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        """The computing thread."""
        while True:
            with self._changed:
                while not (self._waiting or self._running or self._closing):
                    self._changed.wait()
                if self._closing and not self._waiting and not self._running:
                    return
                self._drop_cancelled()
                joining = self._next()
            with self.engine.lock:
                self._round(joining)

    def _next(self) -> list[Handle]:
        rows = [handle.row for handle in self._waiting]
        joined = self.engine.next_rows(self._batch, rows)
        return [self._waiting.popleft() for _ in joined]

    def _drop_cancelled(self) -> None:
        for handle in [h for h in self._waiting if h.cancelled]:
            self._waiting.remove(handle)
            handle.row.stop_reason = "cancelled"
            self._end(handle)
        for handle in [h for h in self._running.values() if h.cancelled]:
            self._batch.cancel(handle.row)
            self._end(handle)

    def _round(self, joining: list[Handle]) -> None:
        """Let requests join, take one token for each running one, tell everybody."""
        try:
            gone = self._admit(joining)
            gone += self._batch.step()
        except Exception as error:  # not one request's fault: end those that were running, go on with the next
            log.exception("generation failed; %d running requests end with this error", len(self._running))
            self._batch.clear()
            for handle in list(self._running.values()):
                handle.row.error = error
                self._end(handle)
            return
        for handle in list(self._running.values()):
            if handle.row.done:
                self._end(handle)
            else:
                self._tell_news(handle)

    def _admit(self, joining: list[Handle]) -> list[Row]:
        now = time.monotonic()
        for handle in joining:
            handle.row.timings.queued = now - handle.submitted
            self._running[id(handle.row)] = handle
        try:
            return self._batch.admit([handle.row for handle in joining])
        except Exception:
            if len(joining) == 1:
                return self._fail_alone(joining)
        gone = []
        for handle in joining:  # find out whose fault it was
            try:
                gone += self._batch.admit([handle.row])
            except Exception:
                gone += self._fail_alone([handle])
        return gone

    def _fail_alone(self, handles: list[Handle]) -> list[Row]:
        """Called while an exception is handled: it ends this request and no other."""
        import sys

        error = sys.exception()
        assert isinstance(error, Exception) and len(handles) == 1
        handles[0].row.error = error
        return [handles[0].row]

    def _tell_news(self, handle: Handle, final: bool = False) -> None:
        row = handle.row
        count = len(row.ids)
        if count <= handle.told and not final:
            return
        told, handle.told = handle.told, max(handle.told, count)
        delta = handle.stream.add(row.ids[told:], row.log_probs[told:count], row.top[told:count], final)
        if delta.ids or delta.raw or delta.text:
            handle.tell(delta)

    def _end(self, handle: Handle) -> None:
        row = handle.row
        self._running.pop(id(row), None)
        outcome: Answer | Exception
        try:
            self._tell_news(handle, final=True)
            outcome = self.engine.answer(row)
        except Exception as error:
            outcome = error
        reason = outcome.stop_reason if isinstance(outcome, Answer) else "error"
        self._counts[reason] += 1
        self._counts["prompt_tokens"] += len(row.prompt.ids)
        self._counts["new_tokens"] += len(row.log_probs)
        self._pace += 0.1 * ((row.timings.prefill + row.timings.decode) / self.engine.batch_size - self._pace)
        handle.tell(outcome)
