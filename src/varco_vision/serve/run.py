"""Starting a server, and ending it without losing an answer."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from varco_vision.errors import InputError
from varco_vision.infer.api import VarcoVision
from varco_vision.serve.app import create_app
from varco_vision.serve.settings import Settings

KEEP_ALIVE = 15  # seconds for which an idle connection is kept
BACKLOG = 1024


class Server(uvicorn.Server):
    """Tells when it is ready, and refuses new requests from the moment it is asked to stop."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._desk, self._ready = app.state.desk, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._desk.draining = True
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; `InputError` when the address is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small pieces at once; without it every answer waits 40 ms for a delayed ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), port))
    except OSError as error:
        bound.close()
        raise InputError(f"cannot listen at {host} port {port} ({error.strerror}); choose another --port") from error
    return bound


def serve(vision: VarcoVision, settings: Settings, bound: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished first, for at most `limits.drain_time`.

    `ready` is given the address once requests are taken. SIGINT ends with `KeyboardInterrupt`, SIGTERM returns.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    app = create_app(vision, settings)
    port = bound.getsockname()[1]
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(settings.limits.drain_time)),
    )
    # uvicorn raises the signal anew after it has shut down; by then everything is done.
    signal.signal(signal.SIGTERM, lambda *_: None)
    Server(config, app, lambda: ready(f"http://{shown}:{port}")).run(sockets=[bound])
