"""`varco-vision ocr`: the words of pictures with their boxes."""

from __future__ import annotations

from typing import Annotated

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

app = common.new_app()
FORMATS = ("text", "json", "hocr")


@app.command(cls=common.PictureCommand)
def ocr(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Pictures to read.")] = None,
    image: common.ImageOption = None,
    form: Annotated[str | None, typer.Option("--format", help="text (lines), json (words with boxes) or hocr.")] = None,
    model: common.ModelOption = None,
    draw: common.DrawOption = None,
    as_json: common.JsonOption = False,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
    max_new_tokens: common.TokensOption = 4096,
) -> None:
    """Read the text of pictures: words with boxes.

    One picture gives one JSON object, several give a list of them; hocr puts all into one document.

    \b
    Example:
      varco-vision ocr receipt.jpg
      varco-vision ocr --image page1.png page2.png --format hocr > pages.html
    """
    form = form or ("json" if as_json else "text")
    if form not in FORMATS:
        raise InputError(f"unknown --format {form!r}; use {', '.join(FORMATS)}")
    if as_json and form != "json":
        raise InputError(f"--json and --format {form} contradict each other; give one of them")
    names = [*(image or []), *(files or [])]
    if not names:
        raise InputError("there is no picture to read; name one or more files")
    pictures = common.load_pictures(names)
    common.check_drawing(draw, len(pictures))
    vision = common.open_model(model, device, dtype)
    from varco_vision.infer.pages import answer_dict, hocr

    pages = vision.ocr_batch(names, max_new_tokens, lambda done: common.note(f"{done} of {len(names)} read"))
    if form == "hocr":
        typer.echo(hocr(pages), nl=False)
    elif form == "json":
        values = [
            {**answer_dict(page.answer, (page.width, page.height)), **page.to_dict(), "model": vision.loaded.name}
            for page in pages
        ]
        common.print_json(values[0] if len(values) == 1 else values)
    else:
        for page in pages:
            if len(pages) > 1:
                typer.echo(f"== {page.name} ==")
            typer.echo(page.text)
    for page in pages:
        common.warn_truncated(page.answer)
    if draw is not None:
        common.save_drawing(draw, pictures[0], pages[0])
