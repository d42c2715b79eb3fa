"""`varco-vision serve`: a model over HTTP, in the form of OpenAI's chat completions."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.serve.settings import Settings

app = common.new_app()

NEEDED = ("fastapi", "uvicorn", "httpcore2", "prometheus_client", "llguidance")
KEY_VARIABLE = "VARCO_VISION_API_KEY"

HostOption = Annotated[str, typer.Option("--host", help="Address to listen at; 0.0.0.0 for all of this machine's.")]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file", metavar="FILE", help=f"API keys, one a line; also {KEY_VARIABLE} in the environment."
    ),
]
NameOption = Annotated[
    str, typer.Option("--name", help="What clients call the model; without it the checkpoint's name.")
]
OwnOption = Annotated[
    list[str] | None,
    typer.Option("--own-name", metavar="HOST", help="A Host header to answer to; may be given more than once."),
]


@app.command()
def serve(
    model: common.ModelOption = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free one.")] = 8000,
    host: HostOption = "127.0.0.1",
    name: NameOption = "",
    api_key_file: KeyOption = None,
    own_name: OwnOption = None,
    image_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-image-host",
            metavar="HOST",
            help="Fetch pictures by http(s) from this host; without it none are fetched. May be given more than once.",
        ),
    ] = None,
    page: Annotated[bool, typer.Option("--page", help="Serve the web page of `varco-vision web` too.")] = False,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Answers written at the same time.")] = 16,
    waiting: Annotated[int, typer.Option("--max-waiting", min=1, help="Requests at once; more get status 429.")] = 64,
    body: Annotated[int, typer.Option("--max-body-mib", min=1, help="Largest request body.")] = 32,
    pictures: Annotated[int, typer.Option("--max-pictures", min=1, help="Pictures in a request.")] = 8,
    pixels: Annotated[int, typer.Option("--max-pixels", min=1, help="Pixels of a request's pictures.")] = 50_000_000,
    new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Longest answer, in tokens.")] = 4096,
    request_time: Annotated[float, typer.Option("--request-timeout", min=0.1, help="Seconds for a request.")] = 300.0,
    drain_time: Annotated[
        float, typer.Option("--drain-timeout", min=0.1, help="Seconds to finish in at the end.")
    ] = 30.0,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
) -> None:
    """Serve a model over HTTP to any client of OpenAI's chat completions.

    POST /v1/chat/completions, GET /v1/models, /health, /metrics, /openapi.json. Ends on SIGTERM after the answers under
    way are complete.

    \b
    Example:
      varco-vision serve --port 8000
      varco-vision serve --model runs/demo/preference/model --port 8000 --host 0.0.0.0 --api-key-file keys.txt
    """
    need_extra()
    from varco_vision.serve.settings import MEBIBYTE, Limits

    limits = Limits(
        waiting=waiting,
        body=body * MEBIBYTE,
        pictures=pictures,
        pixels=pixels,
        new_tokens=new_tokens,
        request_time=request_time,
        drain_time=drain_time,
    )
    chosen = settings(
        host, port, name, api_key_file, own_name, image_hosts=tuple(image_host or ()), page=page, limits=limits
    )
    start(chosen, model, device, dtype, batch_size)


def need_extra() -> None:
    """Refuse, naming the extra, when a library is missing."""
    missing = [module for module in NEEDED if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(
            f"serving needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed; "
            "pip install 'varco-vision-open[serve]' brings everything"
        )


def settings(
    host: str, port: int, name: str, key_file: Path | None, own_names: list[str] | None, **others: Any
) -> Settings:
    """Settings out of options and environment."""
    from varco_vision.serve.settings import LOOPBACK_NAMES, Settings, is_loopback, read_keys

    keys = read_keys(key_file) if key_file is not None else ()
    if key := os.environ.get(KEY_VARIABLE, "").strip():
        keys = (*keys, key)
    names = {own.lower() for own in own_names or ()}
    names |= LOOPBACK_NAMES if is_loopback(host) else {host.lower()} if names else set()
    return Settings(host=host, port=port, name=name, keys=keys, own_names=tuple(sorted(names)), **others)


def start(chosen: Settings, model: str | None, device: str, dtype: str, batch_size: int) -> None:
    """Listen, load the model, serve. The port is taken first, so that a wrong one is told at once."""
    from varco_vision.serve.run import listen, serve

    bound = listen(chosen.host, chosen.port)
    if not (chosen.local or chosen.keys):
        common.note("note: everybody who reaches this port may use the model; --api-key-file limits that")
    vision = common.open_model(model, device, dtype)
    vision.engine.batch_size = batch_size
    what = "open" if chosen.page else "serving"
    serve(vision, chosen, bound, lambda address: common.note(f"{what} {address}"))
