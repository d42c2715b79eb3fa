"""What the verbs share.

Every verb is a module of this folder that exposes `app: typer.Typer`, made by `new_app`, with one command or several.
Heavy imports (torch, transformers) stand inside the functions that need them. Answers go to stdout, notes to stderr.
A user's mistake is an `InputError`; `main` turns it into one sentence and exit code 2.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.geometry import Box
    from varco_vision.infer.api import VarcoVision

PICTURE_SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".heic", ".avif"]
)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
DRAWING_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".webp"])


def new_app(**settings: Any) -> typer.Typer:
    """A Typer application with plain help text (no markup in it, no boxes around it) and no completion options."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **settings)


class PictureCommand(TyperCommand):
    """A command in which `--image` takes several files: `--image a.png b.png` as well as `--image a.png --image b.png`.

    What follows the first file counts as a further one when it is an existing file or is named like a picture.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread_images(args))


def spread_images(args: list[str]) -> list[str]:
    """`--image a b` written as `--image a --image b`."""
    spread: list[str] = []
    inside = False
    for position, arg in enumerate(args):
        if arg == "--":
            return spread + args[position:]
        if inside and not arg.startswith("-"):
            first = spread[-1] == "--image"
            if first or _like_picture(arg):
                spread += [arg] if first else ["--image", arg]
                continue
        inside = arg == "--image"
        spread.append(arg)
    return spread


def _like_picture(arg: str) -> bool:
    named = Path(arg).suffix.lower() in PICTURE_SUFFIXES and not any(c.isspace() for c in arg)
    return named or (len(arg) < 1024 and os.path.isfile(arg))


ImageOption = Annotated[list[str] | None, typer.Option("--image", metavar="FILE...", help="The picture, or several.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="M", help="Checkpoint directory or hub id; without it the shipped one.")
]
DrawOption = Annotated[
    Path | None, typer.Option("--draw", metavar="OUT.png", help="Write the picture with the boxes drawn in.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
DtypeOption = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16, float16 or int8 (CPU).")]
RawConfidenceOption = Annotated[
    bool, typer.Option("--raw-confidence", help="Confidences as the model gave them, not calibrated.")
]
TokensOption = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Longest answer, in tokens.")]


def note(text: str) -> None:
    """A line for the person at the terminal; stdout stays clean."""
    typer.echo(text, err=True)


def open_model(
    model: str | None, device: str, dtype: str = "auto", batch_size: int = 16, calibrate: bool = True
) -> VarcoVision:
    """Load the model and say so; progress bars of libraries are switched off."""
    with uncollected():
        from transformers.utils import logging

        from varco_vision.infer.api import VarcoVision

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        note(f"loading {model or 'the default model'} ...")
        return VarcoVision.from_pretrained(
            model, device=device, dtype=dtype, batch_size=batch_size, calibrate=calibrate
        )


@contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collection, for importing torch and transformers: what they make stays for the life of the process,
    and walking it over and over was a fifth of the time that a verb takes to start. In a process that has imported them before,
    it changes nothing.
    """
    if "transformers" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def load_pictures(files: list[Any] | None) -> list[Any]:
    """The named pictures (or `infer.sources.Sheet`s), upright and RGB; done before the model is loaded, so that a wrong
    name fails at once.
    """
    from varco_vision import pictures

    return [pictures.load(file) if isinstance(file, str) else file.load() for file in files or []]


def check_drawing(out: Path | None, pictures: int) -> None:
    """Refuse a drawing that could not be made, before any work is done."""
    if out is None:
        return
    if pictures != 1:
        raise InputError(f"--draw needs exactly one picture to draw on; {pictures} were given")
    if out.suffix.lower() not in DRAWING_SUFFIXES:
        raise InputError(f"cannot write a picture named {out}; use one of {', '.join(sorted(DRAWING_SUFFIXES))}")
    if not out.parent.is_dir():
        raise InputError(f"the folder {out.parent} of the drawing does not exist")


def save_drawing(out: Path | None, picture: Any, what: Any) -> None:
    """Draw boxes on a picture and write the file."""
    if out is None:
        return
    from varco_vision.infer.drawing import draw

    try:
        draw(picture, what).save(out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    note(f"drawn: {out}")


def parse_box(text: str) -> Box:
    """The box "x1,y1,x2,y2" in parts of the picture's width and height."""
    from varco_vision.geometry import Box

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(math.isfinite(n) for n in numbers):
        raise InputError(f"--box is {text!r}; four numbers x1,y1,x2,y2 are needed, such as 0.1,0.2,0.5,0.6")
    if not all(0.0 <= n <= 1.0 for n in numbers):
        raise InputError(
            f"--box is {text!r}; its numbers are parts of the picture's width and height, 0 to 1, not pixels"
        )
    if numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
        raise InputError(f"--box is {text!r}; x1 must be less than x2 and y1 less than y2")
    return Box(*numbers)


def print_json(value: Any) -> None:
    """JSON on stdout, Korean left readable."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> None:
    """Plain cells on stdout, the first `left` columns set to the left; whole lines also where stdout is no terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=160)
    console.print(table)


def print_answer(answer: Any, as_json: bool, size: tuple[int, int] | None, model: str) -> None:
    """An answer on stdout. Text form: what was said, then one line per box; JSON form: everything known about it."""
    from varco_vision.infer.pages import answer_dict

    if as_json:
        print_json({**answer_dict(answer, size), "model": model})
        return
    typer.echo(answer.text)
    for thing in answer.objects:
        for box in thing.boxes:
            typer.echo(f"{thing.phrase}\t{_corners(box)}")
    warn_truncated(answer)


def warn_truncated(answer: Any) -> None:
    """Say on stderr when an answer was cut off."""
    if answer.stop_reason == "length":
        note(f"note: the answer was cut off after {answer.new_tokens} tokens; see --max-new-tokens")
    elif answer.stop_reason == "loop":
        note("note: the model began to repeat itself; the answer was cut there")


def _corners(box: Box) -> str:
    return ", ".join(f"{v:.3f}" for v in (box.x1, box.y1, box.x2, box.y2))


def keep_memory() -> None:
    """Let glibc keep freed memory for the next large tensor, for verbs that compute and end.

    It would hand every large block back to the system and fetch it anew: of 500 short answers that took 2.7 s, 0.6 s were
    page faults. Elsewhere than with glibc nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
        mallopt(parameter, 1 << 30)


def twentieths() -> Callable[[int, int], None]:
    """A note whenever a further twentieth is answered, with the time that is left."""
    begun, told = time.monotonic(), 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if done * 20 // total > told:
            told = done * 20 // total
            left = (time.monotonic() - begun) / done * (total - done)
            note(f"{done} of {total} answered, about {left:.0f} s left")

    return tell
