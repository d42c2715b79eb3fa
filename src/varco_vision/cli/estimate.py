"""`varco-vision estimate RECIPE`: does it fit, and how long does it take, asked before any GPU is paid for."""

from __future__ import annotations

from typing import Annotated

import typer

from varco_vision.cli.common import new_app, note, print_json
from varco_vision.errors import InputError

app = new_app()

# What a card of so much memory usually is: (memory in GiB up to, name in train.flops.PEAKS).
USUAL = ((24, "RTX 4090"), (40, "A100"), (48, "L40S"), (80, "H100"), (141, "H200"), (192, "B200"))

EPILOG = """Examples:

  varco-vision estimate varco-14b --gpus 8 --gpu-memory 80

  varco-vision estimate varco2-1.7b --gpus 1 --gpu-memory 24 --lora 16

  varco-vision estimate varco-14b --gpus 8 --gpu-memory 80 --stages 2-3 stages.basic.checkpointing=selective"""


@app.command(epilog=EPILOG)
def estimate(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe file or name, such as varco-14b.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE ...]", help="Values that replace the recipe's.")
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs over all nodes.")] = 1,
    gpu_memory: Annotated[float, typer.Option(metavar="GIB", min=1, help="Memory of each GPU.")] = 80.0,
    gpu: Annotated[str | None, typer.Option(metavar="NAME", help="Kind of GPU, for its speed.")] = None,
    stages: Annotated[str, typer.Option(metavar="A-B", help="Which stages.")] = "1-4",
    lora: Annotated[
        int, typer.Option(metavar="RANK", min=0, help="Adapters of this rank in place of full training.")
    ] = 0,
    picture: Annotated[str, typer.Option(metavar="WxH", help="Size of the pictures that fill the rows.")] = "1024x768",
    answer: Annotated[int, typer.Option(min=1, help="Supervised tokens of an answer.")] = 120,
    utilisation: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Part of the GPU's peak that is reached.")
    ] = 0.4,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say whether a recipe fits, and how long it takes, without a GPU.

    The real training step runs on tensors without values; what would be in memory is counted. Hours follow from counted work
    and an assumed utilisation, which is the one number here that only a trial on the machine itself can tell.
    """
    from varco_vision.cli.train import stage_range
    from varco_vision.train.recipe import find, read, with_lora

    first, last = stage_range(stages)
    width, height = picture_size(picture)
    resolved = read(find(recipe), overrides or ())
    resolved = with_lora(resolved, lora) if lora else resolved
    name = gpu or usual_gpu(gpu_memory)
    from dataclasses import replace

    from varco_vision.train.estimate import Assumptions, estimate_recipe
    from varco_vision.train.flops import PEAKS, peak

    speed = peak(name)
    if speed is None:
        raise InputError(f"--gpu {name!r} is not known; one of {', '.join(PEAKS)} is needed")
    chosen = tuple(s for s in resolved.stages if first <= s.stage <= last)
    assumed = Assumptions(picture=(width, height), answer=answer, utilisation=utilisation, peak=speed)
    note(f"{gpus} x {name} ({gpu_memory:g} GiB), {speed / 1e12:g} TFLOPS at most of which {utilisation:.0%} is assumed")
    note(f"rows filled with pictures of {width}x{height} and answers of {answer} tokens")
    found = estimate_recipe(replace(resolved, stages=chosen), gpus, gpu_memory, assumed)
    if as_json:
        print_json([e.to_dict() for e in found])
    else:
        show(found)


def show(found: list) -> None:
    """A table: GiB for each GPU by kind, whether it fits, hours."""
    head = (
        "stage",
        "trained",
        "weights",
        "grads",
        "AdamW",
        "activ.",
        "peak",
        "fits",
        "tokens/step",
        "TFLOP/step",
        "hours",
    )
    typer.echo("{:<14}{:>15}{:>9}{:>8}{:>8}{:>8}{:>8}{:>6}{:>13}{:>12}{:>9}".format(*head))
    for e in found:
        typer.echo(
            f"{e.stage} {e.name:<12}{e.trained:>15,}{e.weights:>9.1f}{e.gradients:>8.1f}{e.optimizer:>8.1f}"
            f"{e.activations:>8.1f}{e.peak:>8.1f}{'yes' if e.fits else 'NO':>6}{e.tokens:>13,}{e.teraflops:>12,.0f}{e.hours:>9.1f}"
        )
    typer.echo(f"memory in GiB for each GPU; together {sum(e.hours for e in found):.1f} hours")


def picture_size(text: str) -> tuple[int, int]:
    """ "1024x768" -> (1024, 768)."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) for p in parts):
        raise InputError(f"--picture is {text!r}; width and height in pixels are needed, such as 1024x768")
    return int(parts[0]), int(parts[1])


def usual_gpu(memory: float) -> str:
    """The usual kind of GPU with so much memory."""
    for most, name in USUAL:
        if memory <= most:
            return name
    raise InputError(f"no usual GPU has {memory:g} GiB; name its kind with --gpu")
