"""The way of a request through the server: admitted, read, decoded, answered, and cancelled when nobody waits any more.

Memory is bounded at every stop: so many requests are admitted, so many bytes of bodies and of decoded pictures are held
at once; what is over is refused (admission) or waits (bytes).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from varco_vision.infer.service import Service
from varco_vision.serve import schema
from varco_vision.serve.answers import Token
from varco_vision.serve.budget import Budget
from varco_vision.serve.conversation import Asked, Reader
from varco_vision.serve.faults import ApiError
from varco_vision.serve.guard import Receive, Scope, Send
from varco_vision.serve.job import Job, NobodyWaits
from varco_vision.serve.metrics import Metrics
from varco_vision.serve.settings import MEBIBYTE, Limits

BODY_BYTES = 256 * MEBIBYTE
PICTURE_BYTES = 1024 * MEBIBYTE
T = TypeVar("T")
READERS = 4  # threads that parse bodies and decode pictures


class Desk:
    """The ASGI application that answers chat-completions requests of one server."""

    def __init__(
        self, service: Service, reader: Reader, limits: Limits, metrics: Metrics, names: tuple[str, ...], token: Token
    ) -> None:
        self.service, self.limits, self.metrics, self.token = service, limits, metrics, token
        self.names = names
        self.draining = False
        self.admitted = 0
        self._reader = reader
        self._pace = 1.0  # seconds a request takes, a moving average
        self._bodies, self._pictures = Budget(BODY_BYTES), Budget(PICTURE_BYTES)
        self._readers = anyio.CapacityLimiter(READERS)
        metrics.held.set_function(lambda: self._bodies.held + self._pictures.held)
        metrics.admitted.set_function(lambda: self.admitted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._admission():
                await self._serve(Request(scope, receive), send)
        except ApiError as error:
            await error.response()(scope, receive, send)
        except (ClientDisconnect, NobodyWaits):  # there is nobody to tell
            self.metrics.answers.labels("abandoned").inc()

    @contextmanager
    def _admission(self) -> Iterator[None]:
        if self.draining:
            raise ApiError(503, "the server is shutting down", "shutting_down", retry=5)
        if self.admitted >= self.limits.waiting:
            rounds = self.admitted / self.service.engine.batch_size
            seconds = min(600, max(1, math.ceil(self._pace * rounds)))
            raise ApiError(429, f"{self.admitted} requests wait already; try again later", "queue_full", retry=seconds)
        began = time.monotonic()
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1
            took = time.monotonic() - began
            self._pace += 0.1 * (took - self._pace)
            self.metrics.seconds.observe(took)

    async def _serve(self, request: Request, send: Send) -> None:
        """Answer one admitted request. Raises `ApiError` before the first byte of the response, never after it."""
        deadline = asyncio.get_running_loop().time() + self.limits.request_time
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout_at(deadline):
                    asked = await self._read(request, held)
                    job = Job(self, asked)
                    held.callback(job.leave)
                    await job.start()
                    response = None if asked.chat.stream else await job.whole(request.receive)
            except TimeoutError:
                raise self.late() from None
            if response is not None:
                await response(request.scope, request.receive, send)
            else:
                await job.stream(request.receive, send, deadline)

    def late(self) -> ApiError:
        """The error of a request whose time is up."""
        self.metrics.answers.labels("timeout").inc()
        return ApiError(504, f"the answer took longer than {self.limits.request_time:g} seconds", "timeout")

    async def _read(self, request: Request, held: AsyncExitStack) -> Asked:
        """The body, parsed, with its pictures decoded; their memory is held as long as `held` is open."""
        length = self._length(request)
        async with self._bodies.room(self.limits.body if length is None else length):
            chat = await self._threaded(schema.read, await self._body(request))
            if chat.model not in self.names:
                told = f"the model {chat.model[:100]!r} is not served here; {self.names[0]!r} is"
                raise ApiError(404, told, "model_not_found", "model")
            self._reader.check(chat)
            pictures = await held.enter_async_context(self._pictures.room(self._reader.most_bytes(chat)))
            asked = await self._threaded(self._reader.read, chat)
            pictures.settle(asked.held)
            return asked

    def _length(self, request: Request) -> int | None:
        """The declared length of the body, when there is one; refuses other types and longer bodies."""
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            # A form on a foreign page can send other types here without asking first; it cannot send this one.
            raise ApiError(415, "the body must be sent as content-type application/json", "unsupported_media_type")
        length = request.headers.get("content-length")
        if length is None:
            return None
        if not (length.isascii() and length.isdigit()) or int(length) > self.limits.body:
            raise self._too_large()
        return int(length)

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_time):
                async for piece in request.stream():
                    body += piece
                    if len(body) > self.limits.body:
                        raise self._too_large()
        except TimeoutError:
            told = f"the body did not arrive within {self.limits.body_time:g} seconds"
            raise ApiError(408, told, "timeout") from None
        return bytes(body)

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the body has more than the {self.limits.body:,} bytes allowed", "request_too_large")

    async def _threaded(self, call: Callable[..., T], *args: Any) -> T:
        return await anyio.to_thread.run_sync(partial(call, *args), limiter=self._readers)
