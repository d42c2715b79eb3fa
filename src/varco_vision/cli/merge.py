"""`varco-vision merge`: a model and an adapter become one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from varco_vision.cli.common import new_app, note
from varco_vision.errors import InputError

app = new_app()

EPILOG = """Example:

  varco-vision merge --model runs/base/model --adapter runs/tuned/basic/adapter --out runs/merged"""


@app.command(epilog=EPILOG)
def merge(
    adapter: Annotated[
        Path, typer.Option(metavar="DIR", help="The adapter: the folder that training left, or any of peft's.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the merged model goes.")],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="M", help="The model it was trained on; without it the shipped one."),
    ] = None,
) -> None:
    """Add a trained adapter into a model's weights.

    What comes out is a plain checkpoint, which every program loads. Training does this itself at the end of a stage; the verb is
    for adapters that came from elsewhere or are wanted on another model of the same shape.
    """
    from dataclasses import replace

    from varco_vision.model import checkpoint
    from varco_vision.model.adapters import merge_saved

    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; choose another --out")
    loaded = checkpoint.load(model or checkpoint.default_path(), device="cpu")
    record = {**loaded.record, "adapter": adapter.name}
    checkpoint.save(replace(loaded, model=merge_saved(loaded.model, adapter)), out, record)
    note(f"merged: {out}")
