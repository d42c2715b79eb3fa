"""`varco-vision chat`: one question, or a conversation on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.infer.api import VarcoVision

app = common.new_app()
LEAVE = ("/exit", "/quit")


@app.command(cls=common.PictureCommand)
def chat(
    text: Annotated[str | None, typer.Argument(help="The question; without it a conversation starts.")] = None,
    image: common.ImageOption = None,
    model: common.ModelOption = None,
    draw: common.DrawOption = None,
    as_json: common.JsonOption = False,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
    max_new_tokens: common.TokensOption = 512,
    raw_confidence: common.RawConfidenceOption = False,
    temperature: Annotated[float, typer.Option(help="0: always the likeliest token; above: drawn by chance.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest tokens that hold this much probability.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Repeats a drawn answer.")] = None,
    max_tiles: Annotated[int | None, typer.Option(min=1, help="At most so many tiles of each picture.")] = None,
    constrain: Annotated[bool, typer.Option("--constrain", help="Only well-formed boxes can be written.")] = False,
) -> None:
    """Talk about no, one or several pictures.

    Without TEXT on a terminal a conversation starts (leave it with /exit); without a terminal TEXT is read from stdin.

    \b
    Example:
      varco-vision chat --image street.jpg "What is written on the sign?"
      varco-vision chat --image before.png after.png "두 그림의 차이는 무엇인가요?"
    """
    talk = text is None and sys.stdin.isatty()
    if talk and (as_json or draw is not None):
        raise InputError("--json and --draw need a TEXT; a conversation has neither")
    if text is None and not talk:
        text = sys.stdin.read().strip()
        if not text:
            raise InputError("there is no TEXT, neither as an argument nor on stdin; give a question")
    pictures = common.load_pictures(image)
    common.check_drawing(draw, len(pictures))
    from varco_vision.infer.sampling import Sampling

    sampling = Sampling(temperature, top_p, seed=seed)
    vision = common.open_model(model, device, dtype, calibrate=not raw_confidence)
    if text is None:
        converse(vision, pictures, _ask, max_new_tokens)
        return
    answer = vision.chat(
        pictures, text, max_new_tokens=max_new_tokens, sampling=sampling, max_tiles=max_tiles, constrain=constrain
    )
    size = pictures[0].size if len(pictures) == 1 else None
    common.print_answer(answer, as_json, size, vision.loaded.name)
    common.save_drawing(draw, pictures[0] if pictures else None, answer)


def converse(vision: VarcoVision, pictures: list[Any], ask: Callable[[], str | None], max_new_tokens: int) -> None:
    """Answer what `ask` returns until it returns None or /exit; every answer sees what was said before."""
    common.note("Type a question; /exit ends the conversation.")
    history: list[tuple[str, Any]] = []
    while (text := ask()) is not None and text.strip() not in LEAVE:
        if not text.strip():
            continue
        answer = vision.chat(pictures, text, history=history, max_new_tokens=max_new_tokens)
        history.append((text, answer))
        typer.echo(answer.text)
        common.warn_truncated(answer)


def _ask() -> str | None:
    try:
        return input("> ")
    except EOFError:
        return None
