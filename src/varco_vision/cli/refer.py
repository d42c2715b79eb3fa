"""`varco-vision refer`: a question about the thing inside a box."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

app = common.new_app()


@app.command(cls=common.PictureCommand)
def refer(
    text: Annotated[str, typer.Argument(help="The question; it may hold <obj>...</obj><bbox>...</bbox> itself.")],
    image: common.ImageOption = None,
    box: Annotated[
        str | None,
        typer.Option("--box", metavar="X1,Y1,X2,Y2", help="Where the thing is, in parts of width and height."),
    ] = None,
    phrase: Annotated[
        str | None, typer.Option("--phrase", help="What to call it; where TEXT holds these words, they are marked.")
    ] = None,
    model: common.ModelOption = None,
    draw: common.DrawOption = None,
    as_json: common.JsonOption = False,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
    max_new_tokens: common.TokensOption = 512,
    raw_confidence: common.RawConfidenceOption = False,
    max_tiles: Annotated[int | None, typer.Option(min=1, help="At most so many tiles of the picture.")] = None,
) -> None:
    """Ask about the thing inside a box.

    \b
    Example:
      varco-vision refer --image desk.jpg --box 0.04,0.14,0.28,0.26 "What is this object for?"
      varco-vision refer --image desk.jpg --box 0.04,0.14,0.28,0.26 --phrase "이 물건" "이 물건은 어떻게 쓰는 거야?"
    """
    if len(image or []) != 1:
        raise InputError(f"refer works on exactly one --image; {len(image or [])} were given")
    if box is None and "<bbox>" not in text:
        raise InputError("there is no --box X1,Y1,X2,Y2, and the text holds no <bbox>...</bbox>; give one of them")
    place = None if box is None else common.parse_box(box)
    (picture,) = common.load_pictures(image)
    common.check_drawing(draw, 1)
    vision = common.open_model(model, device, dtype, calibrate=not raw_confidence)
    answer = vision.refer(picture, text, phrase=phrase, box=place, max_new_tokens=max_new_tokens, max_tiles=max_tiles)
    common.print_answer(answer, as_json, picture.size, vision.loaded.name)
    common.save_drawing(draw, picture, _asked(text, phrase, place))


def _asked(text: str, phrase: str | None, place: Any) -> list[tuple[str, Any]]:
    """The phrases of the question with their boxes."""
    from varco_vision import markup
    from varco_vision.infer.api import refer_text

    named: list[tuple[str, Any]] = []
    for part in markup.parse(refer_text(text, phrase, place)):
        if isinstance(part, markup.Object):
            named += [(part.phrase, box) for box in part.boxes]
        elif isinstance(part, markup.Chars):
            named += [(part.text, box) for box in part.boxes]
    return named
