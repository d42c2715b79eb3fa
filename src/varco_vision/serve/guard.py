"""What every request passes before a route sees it: host name, key, form and size of the body; and what is counted."""

from __future__ import annotations

import hmac
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from varco_vision.serve.faults import ApiError
from varco_vision.serve.metrics import Metrics
from varco_vision.serve.settings import Settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEYED = ("/v1/", "/metrics")
COUNTED = ("/v1/chat/completions", "/v1/models", "/health", "/metrics", "/openapi.json", "/")
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FIXED = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", POLICY),
)


class Guard:
    """ASGI middleware. Refusals have OpenAI's form; each response carries an `x-request-id`."""

    def __init__(self, app: App, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._keys = [key.encode("ascii") for key in settings.keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = f"req_{uuid.uuid4().hex}"
        scope.setdefault("state", {})["began"] = time.monotonic()

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *FIXED, (b"x-request-id", name.encode("ascii"))]
                path = scope["path"] if scope["path"] in COUNTED else "other"
                self._metrics.responses.labels(path, str(message["status"])).inc()
            await send(message)

        try:
            self._check(scope)
        except ApiError as error:
            await error.response()(scope, receive, answer)
            return
        await self._app(scope, receive, answer)

    def _check(self, scope: Scope) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        names = self._settings.own_names
        if names and _host(headers.get(b"host", b"")) not in names:
            raise ApiError(421, f"this server answers to {', '.join(names)} only", "unknown_host")
        if self._keys and scope["path"].startswith(KEYED):
            self._check_key(headers.get(b"authorization", b""))

    def _check_key(self, header: bytes) -> None:
        scheme, _, given = header.partition(b" ")
        good = [hmac.compare_digest(given.strip(), key) for key in self._keys]
        if scheme.lower() != b"bearer" or not any(good):
            raise ApiError(401, "a valid API key is needed: Authorization: Bearer KEY", "invalid_api_key")


def _host(header: bytes) -> str:
    """The name in a Host header, without its port."""
    text = header.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1 : text.find("]")]
    return text.partition(":")[0]
