"""The application: routes, their description, and what happens at start and end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from varco_vision import __version__
from varco_vision.infer.api import VarcoVision
from varco_vision.infer.service import Service
from varco_vision.model.checkpoint import Loaded
from varco_vision.serve import schema
from varco_vision.serve.conversation import Reader
from varco_vision.serve.faults import ApiError
from varco_vision.serve.fetch import Fetcher
from varco_vision.serve.guard import Guard
from varco_vision.serve.metrics import CONTENT_TYPE, Metrics
from varco_vision.serve.settings import Settings
from varco_vision.serve.structured import Grammars
from varco_vision.serve.work import Desk

log = logging.getLogger(__name__)

CHAT = "/v1/chat/completions"
STATIC = Path(__file__).parent / "static"
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "string", "description": "A chat.completion.chunk, an error, or [DONE]"}},
}
COMPLETION = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["index", "message", "finish_reason", "logprobs"],
                "properties": {
                    "index": {"type": "integer"},
                    "finish_reason": {"enum": ["stop", "length"]},
                    "message": {
                        "type": "object",
                        "required": ["role", "content", "varco"],
                        "properties": {
                            "role": {"const": "assistant"},
                            "content": {"type": "string"},
                            "varco": {"type": "object", "required": ["text", "raw", "objects", "words", "items"]},
                        },
                    },
                },
            },
        },
        "usage": {"type": "object", "required": ["prompt_tokens", "completion_tokens", "total_tokens"]},
    },
}


def create_app(
    vision: VarcoVision, settings: Settings, fetcher: Fetcher | None = None, service: Service | None = None
) -> FastAPI:
    """The server as an ASGI application. It owns the engine's thread from start to shutdown.

    fetcher, service: for tests. `app.state.desk` is the part that answers.
    """
    loaded = vision.loaded
    service = service or Service(vision.engine, queue_limit=settings.limits.waiting * settings.limits.choices)
    metrics = Metrics(service.stats)
    grammars = _once(lambda: Grammars(loaded))
    reader = Reader(
        loaded, settings.limits, fetcher or Fetcher(settings), grammars, constrain=vision.engine.can_constrain
    )
    name = settings.name or public_name(loaded)
    desk = Desk(service, reader, settings.limits, metrics, (name,), lambda i: grammars().spelled(i))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.draining = True
        ended = await asyncio.to_thread(service.close, False, settings.limits.drain_time)
        if not ended:
            log.error("the engine did not stop within %g s", settings.limits.drain_time)

    app = FastAPI(title="VARCO-VISION", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.desk = desk
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(Exception, _any_error)
    app.router.routes.append(Route(CHAT, endpoint=desk, methods=["POST"]))
    _add_routes(app, desk, metrics, name)
    if settings.page:
        _add_page(app)
    _describe(app, name, bool(settings.keys))
    return app


def public_name(loaded: Loaded) -> str:
    """What to call a model in public: a hub id as it is; for a directory its recipe or last name, never the path."""
    if not Path(loaded.name).is_dir():
        return loaded.name or "varco-vision"
    recipe = loaded.record.get("recipe")
    named = recipe.get("name") if isinstance(recipe, dict) else None
    return str(named or Path(loaded.name).resolve().name)


def _add_routes(app: FastAPI, desk: Desk, metrics: Metrics, name: str) -> None:
    began = int(time.time())
    limits = desk.limits
    model = {
        "id": name,
        "object": "model",
        "created": began,
        "owned_by": "varco-vision",
        "varco": {
            "max_pictures": limits.pictures,
            "max_pixels": limits.pixels,
            "max_body_bytes": limits.body,
            "max_new_tokens": limits.new_tokens,
            "context": desk.service.engine.loaded.context,
        },
    }

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The model that is served, with the server's limits."""
        return {"object": "list", "data": [model]}

    @app.get("/v1/models/{model_id:path}", include_in_schema=False)
    async def one_model(model_id: str) -> dict[str, Any]:
        if model_id != name:
            raise HTTPException(404, f"the model {model_id[:100]!r} is not served here; {name!r} is")
        return model

    @app.get("/health")
    async def health() -> Response:
        """200 while requests are taken, 503 while the server shuts down or after its engine has died."""
        alive = desk.service._thread.is_alive()
        good = alive and not desk.draining
        return JSONResponse({"status": "ok" if good else "draining" if alive else "dead"}, 200 if good else 503)

    @app.get("/metrics")
    async def read_metrics() -> Response:
        """Counters in Prometheus' form."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/static", StaticFiles(directory=STATIC), name="static")


def _describe(app: FastAPI, name: str, keyed: bool) -> None:
    """The OpenAPI page: what FastAPI knows, and chat completions, which read their body themselves."""
    known = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        page = known()
        failed = {"description": "Error in OpenAI's form", "content": {"application/json": {"schema": ERROR}}}
        codes = ("400", "404", "408", "413", "415", "429", "500", "503", "504")
        asked = schema.inline_schema()
        asked["properties"]["model"] = {"type": "string", "enum": [name]}
        shown = {
            "model": name,
            "messages": [{"role": "user", "content": "대한민국의 수도는 어디인가요?"}],
            "max_tokens": 16,
        }
        answered = {"application/json": {"schema": COMPLETION}, "text/event-stream": {"schema": EVENT}}
        page["paths"][CHAT] = {
            "post": {
                "summary": "Answer a conversation",
                "operationId": "chat_completions",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": asked, "example": shown}},
                },
                "responses": {
                    "200": {"description": "The answer", "content": answered},
                    **dict.fromkeys(codes, failed),
                },
            }
        }
        page["paths"]["/health"]["get"]["responses"]["503"] = {"description": "Shutting down, or dead"}
        page["paths"]["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
        if keyed:
            page.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for path in ("/v1/models", CHAT, "/metrics"):
                for verb in page["paths"][path].values():
                    verb["security"] = [{"key": []}]
                    verb["responses"]["401"] = failed
        return page

    app.openapi = described  # type: ignore[method-assign]


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    told = {404: "there is nothing at this path", 405: "this path has no such method"}
    code = "not_found" if error.status_code == 404 else None
    detail = str(error.detail)
    standard = detail in ("Not Found", "Method Not Allowed")
    refused = ApiError(error.status_code, told.get(error.status_code, detail) if standard else detail, code)
    refused.headers |= dict(error.headers or {})
    return refused.response()


async def _any_error(_: Request, error: Exception) -> Response:
    return ApiError(500, "the server failed on this request; its log says why", "internal_error").response()


def _once(make: Callable[[], Grammars]) -> Callable[[], Grammars]:
    """Made at the first call, by whichever thread that is."""
    lock = threading.Lock()
    made = lru_cache(maxsize=1)(make)

    def get() -> Grammars:
        with lock:
            return made()

    return get
