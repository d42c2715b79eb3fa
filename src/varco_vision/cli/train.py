"""`varco-vision train RECIPE`: stages 0 to 4 of a recipe, on one process or many."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varco_vision.cli.common import new_app
from varco_vision.cli.launch import one_sentence
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.train.recipe import Recipe

app = new_app()

# glibc would hand every large tensor back to the system and fetch it anew: a step of nano took 0.33 s, and 0.30 s with this.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "200000000",
}

EPILOG = """Examples:

  varco-vision train recipes/nano.yaml --out runs/nano

  varco-vision train recipes/nano.yaml --out runs/nano --resume

  varco-vision train recipes/nano.yaml --out runs/short stages.basic.steps=500

  varco-vision train recipes/nano.yaml --stages 2 --show-labels 3

  torchrun --nnodes 2 --nproc-per-node 8 ... -m varco_vision.cli.main train recipes/nano.yaml --out runs/nano"""


@app.command(epilog=EPILOG)
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe file or name, such as recipes/nano.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE ...]", help="Values that replace the recipe's.")
    ] = None,
    stages: Annotated[str, typer.Option(metavar="A-B", help="Which stages to run.")] = "0-4",
    out: Annotated[Path | None, typer.Option(help="Where everything is written; runs/NAME by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in --out.")] = False,
    processes: Annotated[int, typer.Option(min=0, help="Processes on this machine; 0: one a GPU, or one a core.")] = 0,
    lora: Annotated[
        int, typer.Option(metavar="RANK", min=0, help="Adapters of this rank in place of full training.")
    ] = 0,
    show_labels: Annotated[
        int,
        typer.Option("--show-labels", metavar="N", min=0, help="Show N rows as they are learned, and do not train."),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the stages' results as JSON.")] = False,
) -> None:
    """Train a model stage by stage.

    Each stage reads what the one before left in --out and writes a checkpoint that any program can load. A run that was
    stopped at any moment goes on with --resume and ends with the same weights.
    """
    from varco_vision.data.disk import require_writable
    from varco_vision.train.recipe import find, read, with_lora

    first, last = stage_range(stages)
    resolved = read(find(recipe), overrides or ())
    resolved = with_lora(resolved, lora) if lora else resolved
    directory = out or Path("runs") / resolved.name
    if show_labels:
        labels(resolved, first, last, directory, show_labels)
        return
    refuse_overwriting(directory, resume)
    require_writable(directory)
    spawn(processes)
    from varco_vision.train import parallel
    from varco_vision.train.run import Run

    world = parallel.start()
    try:
        with one_sentence():
            results = Run(resolved, directory, world, resume=resume, show=not as_json).stages(first, last)
        if world.leads:
            report(results, directory, as_json)
    finally:
        parallel.stop()


def labels(recipe: Recipe, first: int, last: int, directory: Path, rows: int) -> None:
    """Rows of the chosen stages as training would see them, what is supervised in colour."""
    from rich.console import Console

    from varco_vision.train.labels import label_rows, tokenizer_of

    console = Console(highlight=False)
    chosen = [s for s in recipe.stages if first <= s.stage <= last and s.mixture]
    if not chosen:
        raise InputError(f"--show-labels: no stage {first}-{last} of recipe '{recipe.name}' has a mixture")
    tokenizer = tokenizer_of(recipe, directory)
    for stage in chosen:
        console.rule(f"stage {stage.stage} {stage.name}")
        for text in label_rows(recipe, stage, tokenizer, rows):
            console.print(text, soft_wrap=True)


def report(results: list, directory: Path, as_json: bool) -> None:
    """Print what each stage did."""
    if as_json:
        typer.echo(json.dumps([r.to_dict() for r in results], ensure_ascii=False, indent=1))
        return
    for r in results:
        line = f"{r.stage} {r.name:<12} {r.samples:>9,} samples {r.seconds:>8.1f} s   loss {r.loss_first:.3f} -> {r.loss_last:.3f}"
        typer.echo(line)
    typer.echo(f"written to {directory}")


def stage_range(text: str) -> tuple[int, int]:
    """ "1-4" -> (1, 4), "2" -> (2, 2)."""
    first, _, last = text.partition("-")
    if not first.isdigit() or (last and not last.isdigit()) or (last and int(last) < int(first)):
        raise InputError(f"--stages {text!r} is no range of stages; write for example 1-4 or 2")
    return int(first), int(last or first)


def refuse_overwriting(directory: Path, resume: bool) -> None:
    """Training that is there must be resumed or left alone, never silently begun anew."""
    if os.environ.get("RANK", "0") != "0":  # one process looks; nothing is written before it has
        return
    if not resume and any(directory.glob("*/result.json")):
        raise InputError(f"{directory} holds finished stages; add --resume to go on with them, or choose another --out")
    if not resume and any(directory.glob("*/step-*/state.json")):
        raise InputError(
            f"{directory} holds checkpoints of a stopped run; add --resume to go on from them, or choose another --out"
        )


def spawn(processes: int) -> None:
    """Start this very command again under torchrun, one process a GPU or core, unless it already runs there.

    Does not return when it does so.
    """
    if "RANK" in os.environ:
        return
    count = processes or available()
    if count == 1:
        return
    module = "varco_vision.cli.main"
    command = [sys.executable, "-m", "varco_vision.cli.launch", "--standalone", "--nproc-per-node", str(count)]
    environment = {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR", **KEEP_MEMORY, **os.environ}
    os.execve(sys.executable, [*command, "-m", module, *sys.argv[1:]], environment)


def available() -> int:
    """GPUs of this machine, or the cores that this process may use (at most 4: small models gain nothing beyond)."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return min(4, len(os.sched_getaffinity(0)))
