"""The entry point `varco-vision`: verbs are listed by name and imported only when they are called."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from varco_vision.cli.common import new_app
from varco_vision.errors import EXIT_USER, InputError

VERBS = {
    "demo": "Run the whole system here and write a report with pictures.",
    "chat": "Talk about no, one or several pictures.",
    "ground": "Answer with boxes: where things are in a picture.",
    "refer": "Ask about the thing inside a box.",
    "ocr": "Read the text of pictures: words with boxes.",
    "train": "Train a model from a recipe.",
    "merge": "Add a trained adapter into a model's weights.",
    "data": "Make, check, convert, count and look at training data.",
    "eval": "Measure models.",
    "bench": "Build evaluation sets.",
    "serve": "Serve a model over HTTP.",
    "web": "Open a web page to try a model.",
    "estimate": "Say whether a recipe fits, and how long it takes.",
    "doctor": "Show what is installed, what is missing and what each extra adds.",
}
EXIT_INTERRUPTED = 130


class LazyGroup(TyperGroup):
    """Lists the verbs by their one line each; the module of a verb is imported when the verb is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for verb, line in VERBS.items():
            if importlib.util.find_spec(_module(verb)) is not None:
                self.commands[verb] = TyperCommand(name=verb, help=line, rich_markup_mode=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        verb, command, rest = super().resolve_command(ctx, args)
        if verb in VERBS:
            command = typer.main.get_command(importlib.import_module(_module(verb)).app)
            command.name = verb
        return verb, command, rest


def _module(verb: str) -> str:
    return f"varco_vision.cli.{verb}"


app = new_app(cls=LazyGroup, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


def _print_version(wanted: bool) -> None:
    if wanted:
        from varco_vision import __version__

        typer.echo(f"varco-vision {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train, measure and use Korean-English vision-language models in the VARCO-VISION way.

    Example: varco-vision ground --image street.jpg "이미지를 자세히 묘사해줘."
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line (`args` without the program's name; None: those of the process) and exit."""
    try:
        typer.main.get_command(app).main(args=args, prog_name="varco-vision")
    except InputError as error:
        _fail(" ".join(str(error).split()))
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None


def _fail(message: str) -> None:
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(EXIT_USER)


if __name__ == "__main__":
    main()
