"""`varco-vision data convert`: sets in other forms as samples of this project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import yaml

from varco_vision.cli import common
from varco_vision.cli.data_make import FormatOption, PicturesOption, ShardOption
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.convert.base import Losses, Settings
    from varco_vision.data.shards import ShardSet


def convert(
    form: Annotated[str | None, typer.Argument(metavar="[FORM", help="What the set is; see --list.")] = None,
    source: Annotated[Path | None, typer.Argument(metavar="INPUT]", help="Its file or folder.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The folder of the shards.")] = None,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Where the pictures are; else beside the input.")
    ] = None,
    lang: Annotated[str, typer.Option("--lang", help="Languages of the questions made here.")] = "ko,en",
    questions: Annotated[int, typer.Option("--questions", min=1, help="Most of them a picture and language.")] = 4,
    digits: Annotated[int, typer.Option("--digits", min=1, max=3, help="Decimals of coordinates.")] = 3,
    seed: Annotated[int, typer.Option("--seed", help="Of the choice of questions and wordings.")] = 0,
    split: Annotated[Literal["train", "eval"], typer.Option("--split", help="Which wordings.")] = "train",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many samples.")] = None,
    names: Annotated[
        Path | None, typer.Option("--names", metavar="FILE", help="YAML of English: Korean names of categories.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", metavar="ROLE=NAME", help="Form hf: image, question, answer ...")
    ] = None,
    extra: Annotated[
        Path | None, typer.Option("--extra", metavar="FILE", help="Form refcoco: instances.json of the refs.")
    ] = None,
    kind: FormatOption = "parquet",
    shard_size: ShardOption = 1000,
    pictures: PicturesOption = "png",
    list_forms: Annotated[bool, typer.Option("--list", help="List the forms.")] = False,
    as_json: common.JsonOption = False,
) -> None:
    """Convert a set in another form to shards of samples; what cannot be used is counted and said.

    \b
    Examples:
      varco-vision data convert coco instances_val2017.json --images val2017 --out made/coco
      varco-vision data convert llava llava_665k.json --images pictures --out made/llava --format tar
    """
    from varco_vision.convert.base import Settings
    from varco_vision.convert.formats import FORMS
    from varco_vision.convert.formats import form as find

    if list_forms:
        for name, found in FORMS.items():
            typer.echo(f"{name:<10} {found.about}")
        return
    if form is None or source is None or out is None:
        raise InputError(
            "name the form, the input and the folder to write: data convert FORM INPUT --out DIR (see --list)"
        )
    reader = find(form)
    if not source.exists():
        raise InputError(f"the input {source} does not exist; give a file or folder of the form {form!r}")
    settings = Settings(
        images=images,
        langs=tuple(part.strip() for part in lang.split(",") if part.strip()),
        questions=questions,
        digits=digits,
        seed=seed,
        split=split,
        names=_names(names),
        columns=_columns(column or []),
        extra=extra,
    )
    spec = {"form": form, "input": source.name, "settings": _spec(settings), "pictures": pictures, "limit": limit}
    made = _write(reader.read(source, settings), settings.losses, out, spec, kind, shard_size, pictures, limit)
    _print(out, made, settings.losses, as_json)


def _names(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"the names {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise InputError(f"{path} must hold lines such as 'traffic cone: 교통 콘', one for each category")
    return {str(key): value for key, value in found.items()}


def _columns(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for role, equals, name in pairs:
        if not equals or not name:
            raise InputError(f"--column {role!r} has no '='; write a role and a column, such as answer=reply")
    return {role: name for role, _, name in pairs}


def _spec(settings: Settings) -> dict[str, Any]:
    shown = {"langs": settings.langs, "questions": settings.questions, "digits": settings.digits, "seed": settings.seed}
    return {**shown, "split": settings.split, "names": settings.names, "columns": settings.columns}


def _write(
    groups: Any, losses: Losses, out: Path, spec: dict, kind: str, shard_size: int, encoding: str, limit: int | None
) -> ShardSet:
    """Write all groups; those that an interrupted run has written already are read again but not written again."""
    from varco_vision.data.records import store
    from varco_vision.data.shards import SetWriter, locked

    with locked(out):
        writer = SetWriter(out, kind, str(spec["settings"]["split"]), shard_size, spec, limit)
        if writer.set.finished:
            common.note(f"{out} is finished already; choose another folder to convert anew")
            return writer.set
        for number, group in enumerate(groups):
            if writer.full:
                break
            if number >= writer.next_group:
                writer.add(store(number, group, encoding))
        if not writer.samples:
            raise InputError(f"nothing in the input could be used: {_lost(losses) or 'it holds no example'}")
        return writer.finish({"left_out": dict(losses.counts), "changed": dict(losses.changes)})


def _lost(losses: Losses) -> str:
    return "; ".join(f"{n} {reason} (first: {losses.examples.get(reason, '')})" for reason, n in losses.counts.items())


def _print(out: Path, made: ShardSet, losses: Losses, as_json: bool) -> None:
    if as_json:
        common.print_json({"out": str(out), "samples": made.samples, "shards": len(made.shards), **made.report})
        return
    typer.echo(f"{out}: {made.samples:,} samples in {len(made.shards)} shards")
    for title, counts in (("left out", losses.counts), ("changed", losses.changes)):
        for reason, number in counts.most_common():
            example = losses.examples.get(reason)
            typer.echo(f"  {title}: {number:,} {reason}" + (f" (first: {example})" if example else ""))
