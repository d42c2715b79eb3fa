"""`varco-vision data make`: samples of the synthetic world, or of a recipe's mixture, as shards."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import yaml

from varco_vision.cli import common
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.data.source import Mixture
    from varco_vision.train.recipe import Recipe, StageRecipe

FormatOption = Annotated[
    Literal["parquet", "tar", "jsonl"], typer.Option("--format", help="Kind of the shards; tar is WebDataset's form.")
]
PicturesOption = Annotated[
    Literal["png", "jpeg", "webp"], typer.Option("--pictures", help="How pictures are stored; png and webp keep all.")
]
ShardOption = Annotated[int, typer.Option("--shard-size", min=1, help="Samples in a shard.")]


def make(
    source: Annotated[str | None, typer.Argument(metavar="[SOURCE", help="Name of a source: scenes, words ...")] = None,
    options: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...]", help="Its options.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The folder of the shards.")] = None,
    count: Annotated[int, typer.Option("--count", "--samples", min=1, help="How many samples.")] = 1000,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the samples; a recipe has its own, else 0.")] = None,
    split: Annotated[
        Literal["train", "eval"], typer.Option("--split", help="Which fonts, words and wordings.")
    ] = "train",
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes; without it one for every core, 0 for none.")
    ] = None,
    kind: FormatOption = "parquet",
    shard_size: ShardOption = 1000,
    pictures: PicturesOption = "png",
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="FILE", help="Make what a stage of this recipe sees.")
    ] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="Name of the recipe's stage.")] = None,
    list_sources: Annotated[bool, typer.Option("--list", help="List the sources and their options.")] = False,
    as_json: common.JsonOption = False,
) -> None:
    """Make samples as shards. The same command goes on after an interruption; workers do not change a byte.

    \b
    Examples:
      varco-vision data make scenes questions=8 "size=[256, 256]" --out made/scenes --count 20000 --seed 7
      varco-vision data make --recipe nano --stage basic --out made/basic --count 50000 --format tar
    """
    if list_sources:
        return _list_sources()
    if out is None:
        raise InputError("--out is missing; name the folder that the shards shall lie in")
    if (source is None) == (recipe is None):
        raise InputError("name either a source (see --list) or a recipe and its stage (--recipe FILE --stage NAME)")
    from varco_vision.data.make import Order
    from varco_vision.data.make import make as make_set

    if recipe is not None:
        factory, spec, report = _of_recipe(recipe, stage, split, seed)
    else:
        factory, spec, report = _of_source(str(source), options or [], split, seed or 0, stage)
    order = Order(out, spec, count, shard_size, kind, split, pictures, numbered=recipe is not None)
    workers = _cores() if workers is None else workers
    with progress_bar(count) as progress:
        made = make_set(factory, order, workers, progress, report)
    _print_made(out, made, as_json)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _list_sources() -> None:
    from varco_vision.synth.sources import SOURCES, source_options

    for name, kind in SOURCES.items():
        line = (kind.__doc__ or "").strip().splitlines()
        typer.echo(f"{name}: {line[0] if line else ''}\n    options: {', '.join(source_options(name))}")


def _of_source(
    name: str, options: list[str], split: str, seed: int, stage: str | None
) -> tuple[Callable, dict, Callable]:
    from varco_vision.synth.sources import make_source

    if stage is not None:
        raise InputError("--stage belongs to --recipe; leave it out, or name a recipe instead of a source")
    name = name.removeprefix("synth:")  # as recipes write it
    values = dict(map(read_option, options))
    factory = partial(make_source, name, seed=seed, split=split, **values)
    factory()  # a wrong name or option is said before any process is started
    spec = {"source": name, "options": values, "seed": seed, "split": split}
    return factory, spec, lambda groups: {"groups": groups}


def read_option(text: str) -> tuple[str, Any]:
    """ "size=[256, 256]" as ("size", [256, 256]); values are YAML."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"the option {text!r} has no '='; write key=value, such as questions=8")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"the value of {text!r} cannot be read ({' '.join(str(error).split())})") from error


def _of_recipe(name: str, stage: str | None, split: str, seed: int | None) -> tuple[Callable, dict, Callable]:
    """The mixture of a stage, with the recipe's own seed the very samples that training sees."""
    from varco_vision.data.shares import shares
    from varco_vision.train.recipe import find, read, to_dict

    if split != "train":
        raise InputError(
            f"a recipe's mixture is of the split 'train', not {split!r}; name a source for --split {split}"
        )
    found = read(find(name))
    wanted = _stage(found, stage)
    seed = found.seed if seed is None else seed
    mixture = open_stage(wanted, seed)
    weights = {key: part.weight for key, part in wanted.mixture.items()}
    parts = next(s for s in to_dict(found)["stages"] if s["name"] == wanted.name)["mixture"]
    spec = {"recipe": found.name, "stage": wanted.name, "stage_seed": wanted.seed, "mixture": parts, "seed": seed}

    def report(groups: int) -> dict[str, Any]:
        found = shares(mixture, weights, [range(groups)])
        return {"groups": groups, "shares": {s.name: {"asked": s.asked, "actual": s.actual} for s in found}}

    return partial(open_stage, wanted, seed), {**spec, "split": split}, report


def _stage(recipe: Recipe, name: str | None) -> StageRecipe:
    mixed = [stage for stage in recipe.stages if stage.mixture]
    for stage in mixed:
        if stage.name == name:
            return stage
    known = ", ".join(stage.name for stage in mixed)
    found = "--stage is missing" if name is None else f"the recipe {recipe.name} has no stage {name!r} with a mixture"
    raise InputError(f"{found}; stages with a mixture are {known}")


def open_stage(stage: StageRecipe, seed: int) -> Mixture:
    """All sources of a stage; a function of its own so that it can be handed to other processes."""
    from varco_vision.train.feed import open_mixture

    return open_mixture(stage, seed)


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with rate and time left; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=total, rate="")

        def progress(done: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, rate=f"{speed:,.0f} samples/s" if speed else "")

        yield progress


def _print_made(out: Path, made: Any, as_json: bool) -> None:
    report = made.report
    if as_json:
        size = sum(shard.bytes for shard in made.shards)
        common.print_json(
            {"out": str(out), "samples": made.samples, "shards": len(made.shards), "bytes": size, **report}
        )
        return
    size = sum(shard.bytes for shard in made.shards) / 1e6
    typer.echo(f"{out}: {made.samples:,} samples in {len(made.shards)} shards, {size:,.1f} MB")
    for name, share in report.get("shares", {}).items():
        typer.echo(f"  {name:<16}asked {share['asked']:6.2%}  made {share['actual']:6.2%} of the groups")
