"""`varco-vision web`: a page on which to try a model."""

from __future__ import annotations

from typing import Annotated

import typer

from varco_vision.cli import common
from varco_vision.cli import serve as serving

app = common.new_app()


@app.command()
def web(
    model: common.ModelOption = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free one.")] = 7860,
    host: serving.HostOption = "127.0.0.1",
    name: serving.NameOption = "",
    api_key_file: serving.KeyOption = None,
    own_name: serving.OwnOption = None,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
) -> None:
    """Serve a web page to try a model: pictures, questions, boxes and text, in Korean and English.

    The page needs nothing from elsewhere and works without a network. It talks to the same server as `varco-vision
    serve`, which other clients may use at the same address.

    \b
    Example:
      varco-vision web --port 7860
      varco-vision web --model runs/demo/preference/model --port 7860
    """
    serving.need_extra()
    chosen = serving.settings(host, port, name, api_key_file, own_name, page=True)
    serving.start(chosen, model, device, dtype, batch_size=16)
