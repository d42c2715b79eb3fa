"""A server in this process: on a real port of the loopback, or called without a network."""

from __future__ import annotations

import base64
import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import uvicorn
from PIL import Image, ImageDraw

from varco_vision.infer.answer import Answer
from varco_vision.infer.api import VarcoVision
from varco_vision.infer.engine import Request
from varco_vision.serve.app import create_app
from varco_vision.serve.run import Server, listen
from varco_vision.serve.settings import Limits, Settings


@dataclass
class Running:
    """`url` of the server, the application and its uvicorn server; `errors` is what a client library raised."""

    url: str
    app: Any
    server: uvicorn.Server

    @property
    def desk(self) -> Any:
        return self.app.state.desk

    @property
    def service(self) -> Any:
        return self.desk.service

    def client(self, **settings: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", **{"api_key": "none", "max_retries": 0, **settings})

    def post(self, body: Any, **settings: Any) -> httpx2.Response:
        return httpx2.post(f"{self.url}/v1/chat/completions", json=body, timeout=300, **settings)


@contextmanager
def running(vision: VarcoVision, limits: Limits | None = None, fetcher: Any = None, **others: Any) -> Iterator[Running]:
    """A server on a free port of 127.0.0.1, stopped at the end."""
    settings = Settings(port=0, limits=limits or Limits(), **others)
    bound = listen("127.0.0.1", 0)
    app = create_app(vision, settings, fetcher=fetcher)
    ready = threading.Event()
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=20)
    server = Server(config, app, ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield Running(f"http://127.0.0.1:{bound.getsockname()[1]}", app, server)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server did not stop"
        bound.close()


def eventually(check: Any, seconds: float = 20.0) -> None:
    """Wait until `check` gives true."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def png(width: int = 60, height: int = 40, seed: int = 0) -> bytes:
    """A small picture; another seed gives another one."""
    image = Image.new("RGB", (width, height), (seed * 53 % 256, 255 - seed * 31 % 256, 90))
    ImageDraw.Draw(image).ellipse((5 + seed % 7, 5, width - 9, height - 7), fill=(255, seed * 17 % 256, 40))
    return encoded(image, "PNG")


def encoded(image: Image.Image, form: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def shown(text: str | None, *pictures: bytes | str) -> list[dict[str, Any]]:
    """One user turn: pictures (bytes, or addresses) and a text."""
    urls = [url if isinstance(url, str) else data_url(url) for url in pictures]
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": parts + ([] if text is None else [{"type": "text", "text": text}])}]


def raw_connection(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def expected(vision: VarcoVision, text: str | None, *pictures: bytes, **settings: Any) -> Answer:
    """What the engine itself says to one user turn."""
    content = [*({"type": "image"} for _ in pictures), *([] if text is None else [{"type": "text", "text": text}])]
    request = Request([{"role": "user", "content": content}], list(pictures), constrain=True, **settings)
    return vision.engine.generate([request])[0]
