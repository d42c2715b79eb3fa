"""One admitted request between the engine and the client."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
import uuid
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread
from starlette.responses import JSONResponse

from varco_vision.errors import InputError
from varco_vision.infer.answer import Answer
from varco_vision.infer.service import Closed, Event, Handle, QueueFull
from varco_vision.serve import answers
from varco_vision.serve.answers import Choice
from varco_vision.serve.conversation import Asked
from varco_vision.serve.faults import ApiError, bad
from varco_vision.serve.guard import Receive, Send

if TYPE_CHECKING:
    from varco_vision.serve.work import Desk

log = logging.getLogger(__name__)

T = TypeVar("T")
HEARTBEAT = 15.0  # seconds without a token after which a stream shows that it is alive
STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class NobodyWaits(Exception):
    """The client has gone."""


class Job:
    """One request: all its choices are handed to the engine, and what they write is sent on."""

    def __init__(self, desk: Desk, asked: Asked) -> None:
        self.desk, self.asked = desk, asked
        self.began = time.monotonic()
        self.choices = [Choice(asked, k, desk.token) for k in range(len(asked.requests))]
        self.head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": desk.names[0],
            "system_fingerprint": None,
        }
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self._handles: list[Handle] = []
        self._answers: dict[int, Answer] = {}
        self._gone = False

    async def start(self) -> None:
        """Hand all choices over to the engine. Raises `ApiError`; `leave` then takes back those that it has."""
        loop = asyncio.get_running_loop()
        try:
            await anyio.to_thread.run_sync(self._hand_over, loop)
        except QueueFull as error:
            raise ApiError(429, str(error), "queue_full", retry=math.ceil(error.retry_after)) from error
        except Closed as error:
            raise ApiError(503, "the server is shutting down", "shutting_down", retry=5) from error
        except InputError as error:
            told = str(error).replace(" of request 0 ", " ")
            long = "the model reads at most" in told
            raise bad(told, "messages", "context_length_exceeded" if long else None) from error

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        for number, request in enumerate(self.asked.requests):

            def tell(event: Event, number: int = number) -> None:
                loop.call_soon_threadsafe(self._events.put_nowait, (number, event))

            handle = self.desk.service.submit(request, listener=tell)
            self._handles.append(handle)
            if self._gone:  # cancelled while this thread was at it
                handle.cancel()

    def leave(self) -> None:
        """Stop what still runs and let go of the pictures: handles know this job, so they would wait for the garbage
        collector.
        """
        self._gone = True
        for handle in self._handles:
            handle.cancel()
        self._handles = []

    @property
    def prompt_tokens(self) -> int:
        return self._handles[0].prompt_tokens

    async def whole(self, receive: Receive) -> JSONResponse:
        """The complete answer. Raises `ApiError`, and `NobodyWaits` when the client has gone."""

        async def all_pieces() -> None:
            async for _ in self._pieces():
                pass

        await unless_gone(receive, all_pieces())
        pairs = [(choice, self._answers[choice.index]) for choice in self.choices]
        return JSONResponse(answers.completion(self.head, pairs, self.asked, self.prompt_tokens))

    async def stream(self, receive: Receive, send: Send, deadline: float) -> None:
        """Send server-sent events until the answer ends; an error becomes an event, since the status has been sent."""
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        try:
            async with asyncio.timeout_at(deadline):
                await unless_gone(receive, self._send_events(send))
            error = None
        except TimeoutError:
            error = self.desk.late()
        except ApiError as found:
            error = found
        with anyio.move_on_after(1.0):  # a client that reads nothing is not waited for
            last = b"" if error is None else _event(error.body()).encode()
            await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _send_events(self, send: Send) -> None:
        async for event in self._stream_events():
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})

    async def _stream_events(self) -> AsyncIterator[str]:
        for choice in self.choices:
            yield _event(answers.chunk(self.head, choice.index, {"role": "assistant", "content": ""}))
        told = [0] * len(self.choices)
        async for choice, piece in self._pieces():
            if choice is None:
                yield ": still at work\n\n"
                continue
            entries = choice.entries[told[choice.index] :] if self.asked.chat.logprobs else None
            told[choice.index] = len(choice.entries)
            if piece or entries:
                yield _event(answers.chunk(self.head, choice.index, {"content": piece}, entries=entries))
            if (answer := self._answers.get(choice.index)) is not None:
                finish = choice.finish(answer)
                last = {"varco": answers.extension(answer, self.asked, finish)}
                yield _event(answers.chunk(self.head, choice.index, last, finish))
        options = self.asked.chat.stream_options
        if options is not None and options.include_usage:
            counted = answers.usage(self.prompt_tokens, list(self._answers.values()))
            yield _event({**self.head, "object": "chat.completion.chunk", "choices": [], "usage": counted})
        yield "data: [DONE]\n\n"

    async def _pieces(self) -> AsyncIterator[tuple[Choice | None, str]]:
        """(choice, new content) as it comes, each choice's last one when its answer is there; (None, "") now and then.

        Raises `ApiError` when an answer fails.
        """
        first = True
        while len(self._answers) < len(self.choices):
            try:
                async with asyncio.timeout(HEARTBEAT):  # wait_for of Python 3.11 may lose a cancellation
                    number, event = await self._events.get()
            except TimeoutError:
                yield None, ""
                continue
            choice = self.choices[number]
            if isinstance(event, Exception):
                raise self._failed(event)
            if first:
                self.desk.metrics.first.observe(time.monotonic() - self.began)
                first = False
            if isinstance(event, Answer):
                self._book(number, event)
                yield choice, choice.end(event)
                continue
            piece = choice.add(event)
            if choice.stopped:
                self._handles[number].cancel()
            yield choice, piece

    def _book(self, number: int, answer: Answer) -> None:
        stopped = self.choices[number].stopped
        if answer.stop_reason == "cancelled" and not stopped:
            raise ApiError(503, "the server stopped before the answer was complete", "shutting_down", retry=5)
        self._answers[number] = answer
        metrics = self.desk.metrics
        metrics.answers.labels("stop" if stopped else answer.stop_reason).inc()
        metrics.written.inc(answer.new_tokens)
        if number == 0:
            metrics.prompt.inc(answer.prompt_tokens)
            metrics.image.inc(answer.image_tokens)

    def _failed(self, error: Exception) -> ApiError:
        self.desk.metrics.answers.labels("error").inc()
        if isinstance(error, InputError):
            return bad(str(error))
        log.error("an answer failed: %r", error)
        return ApiError(500, "the model failed on this request; the server's log says why", "internal_error")


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled (and `NobodyWaits` raised) when the client goes away before that."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    doing, watching = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((doing, watching), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise NobodyWaits
        return doing.result()
    finally:
        for task in (doing, watching):
            task.cancel()
        await asyncio.gather(doing, watching, return_exceptions=True)


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"
