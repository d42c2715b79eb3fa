"""`varco-vision ground`: an answer whose phrases carry boxes."""

from __future__ import annotations

from typing import Annotated

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

app = common.new_app()


@app.command(cls=common.PictureCommand)
def ground(
    text: Annotated[str, typer.Argument(help="What to describe or to find.")],
    image: common.ImageOption = None,
    model: common.ModelOption = None,
    draw: common.DrawOption = None,
    as_json: common.JsonOption = False,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
    max_new_tokens: common.TokensOption = 512,
    raw_confidence: common.RawConfidenceOption = False,
    max_tiles: Annotated[int | None, typer.Option(min=1, help="At most so many tiles of the picture.")] = None,
    constrain: Annotated[
        bool, typer.Option("--constrain/--no-constrain", help="Only well-formed boxes can be written.")
    ] = True,
    check: Annotated[
        bool | None,
        typer.Option(
            "--check/--no-check",
            help="Ask the model back about a single box and mend contradictions; by default as its calibration advises.",
        ),
    ] = None,
) -> None:
    """Answer with boxes: where things are in a picture.

    Prints the answer, then one line per box: phrase, tab, x1, y1, x2, y2 in parts of the picture's width and height.

    \b
    Example:
      varco-vision ground --image cats.jpg "Describe the image in detail." --draw boxes.png
      varco-vision ground --image street.jpg "간판은 어디에 있나요?" --json
    """
    if len(image or []) != 1:
        raise InputError(f"ground works on exactly one --image; {len(image or [])} were given")
    (picture,) = common.load_pictures(image)
    common.check_drawing(draw, 1)
    vision = common.open_model(model, device, dtype, calibrate=not raw_confidence)
    answer = vision.ground(
        picture, text, max_new_tokens=max_new_tokens, constrain=constrain, max_tiles=max_tiles, check=check
    )
    common.print_answer(answer, as_json, picture.size, vision.loaded.name)
    common.save_drawing(draw, picture, answer)
