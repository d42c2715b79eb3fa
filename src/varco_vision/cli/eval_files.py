"""The verbs of `varco-vision eval` that score files, whoever wrote the answers: ocr, ground, refer; and kept, for a training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.eval.readers import Target

GoldOption = Annotated[Path, typer.Option("--gold", metavar="PATH", help="The right answers.")]
ToldOption = Annotated[Path, typer.Option("--told", metavar="PATH", help="The answers to score.")]
KeptOption = Annotated[
    Path, typer.Option("--told", metavar="PATH", help="The answers to score; with --model, where its answers are kept.")
]
AskedOption = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="M", help="Ask this model first, what it has not answered yet; default: the shipped one."
    ),
]
ImagesOption = Annotated[
    Path | None, typer.Option("--images", metavar="DIR", help="--model: the pictures, where --gold names them only.")
]
LangOption = Annotated[str, typer.Option("--lang", help="--model: language of the questions, ko or en.")]
TilesOption = Annotated[int | None, typer.Option("--max-tiles", min=1, help="--model: at most N tiles a picture.")]
BatchOption = Annotated[int, typer.Option("--batch-size", min=1, help="--model: questions answered at once.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE.json", help="Write all numbers to a file.")]
GROUND_FORMS = ("refcoco", "refer", "flickr", "own")


def attach(app: typer.Typer) -> None:
    """Put the verbs into the group of `varco-vision eval`."""
    for verb in (ocr, ground, refer, kept):
        app.command()(verb)


def ocr(
    gold: GoldOption,
    told: ToldOption,
    form: Annotated[
        str, typer.Option("--form", help="Form of the gold files: icdar2013, icdar2015, popeval, cord, funsd or own.")
    ],
    told_form: Annotated[
        str | None, typer.Option("--told-form", help="Form of the answers, where it is another; own: `ocr --json`.")
    ] = None,
    fold_case: Annotated[bool, typer.Option("--fold-case", help="Case does not count.")] = False,
    fold_width: Annotated[bool, typer.Option("--fold-width", help="Full-width ASCII counts as ASCII.")] = False,
    drop_blanks: Annotated[bool, typer.Option("--drop-blanks", help="Blanks are no letters.")] = False,
    as_is: Annotated[bool, typer.Option("--as-is", help="Texts as they are, not composed (NFC).")] = False,
    missing: Annotated[
        bool, typer.Option("--missing", help="Pages without an answer count as read empty; else they are an error.")
    ] = False,
    with_cleval: Annotated[bool, typer.Option("--cleval", help="CLEval too (extra: cleval).")] = False,
    out: OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Score read text: PopEval, CLEval, error rates in syllables and jamo, word F1, character F1, order of reading.

    \b
    Example:
      varco-vision eval ocr --gold gt.zip --told results.zip --form icdar2015 --cleval
      varco-vision eval ocr --gold cord/json --told pages.json --form cord --told-form own --missing
    """
    from varco_vision.eval import ocr as rules
    from varco_vision.eval import readers

    pairs = rules.pair_pages(readers.read_pages(gold, form), readers.read_pages(told, told_form or form), missing)
    settings = rules.Settings(not as_is, fold_case, fold_width, drop_blanks)
    result = rules.score(pairs, settings, with_cleval)
    if not as_json:
        _ocr_table(result)
    give(result, out, as_json)


def _ocr_table(result: Mapping[str, Any]) -> None:
    from varco_vision.eval.ocr import LOWER_IS_BETTER, RATES

    typer.echo(f"protocol {result['protocol']} | pages {result['pages']}")
    rows = []
    for name, meaning in RATES.items():
        cell = result["rates"][name]
        note = f"{meaning}{' (lower is better)' if name in LOWER_IS_BETTER else ''}"
        rows.append((name, *_shown(cell), note))
    p = result["popeval"]
    rows.append(("popeval_h", *_shown(p), f"PopEval; precision {p['precision']:.4f}, recall {p['recall']:.4f}"))
    for part in ("cleval", "cleval_no_granularity"):
        if part in result:
            c = result[part]
            for kind in ("det", "e2e"):
                told = f"CLEval {kind}; precision {c[kind + '_p']:.4f}, recall {c[kind + '_r']:.4f}"
                note = f"{told}{', finer boxes cost nothing' if part.endswith('granularity') else ''}"
                rows.append((f"{part}_{kind}_h", f"{c[kind + '_h']:.4f}", "", note))
    _table(("metric", "score", "95 % interval", "meaning"), rows)
    if any(result["without_text"].values()):
        counts = result["without_text"]
        typer.echo(f"regions without text: {counts['gold']} gold, {counts['told']} told")


def ground(
    gold: GoldOption,
    told: KeptOption,
    form: Annotated[
        str,
        typer.Option(
            "--form",
            help="refcoco (rows with bbox and answer or sent), refer (refs file), flickr (folder) or own (samples).",
        ),
    ],
    coordinates: Annotated[
        str,
        typer.Option(help="What numbers in answers mean: relative, thousand or pixels, with -xyxy or -xywh."),
    ] = "relative-xyxy",
    instances: Annotated[Path | None, typer.Option("--instances", help="instances.json, for the form refer.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="The split, for the form refer.")] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="Flickr30k: against the hull of a phrase's boxes, not any of them.")
    ] = False,
    model: AskedOption = None,
    images: ImagesOption = None,
    lang: LangOption = "en",
    max_tiles: TilesOption = None,
    batch_size: BatchOption = 16,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
    out: OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Score boxes: Acc@0.3/0.5/0.7, mean IoU, F1 of several, nothing where nothing is; for Flickr30k recall.

    Answers are JSON lines {"id": ..., "answer": "..."}; every expression needs one. With --model they are asked for.

    \b
    Example:
      varco-vision eval ground --gold refcoco_val.jsonl --told answers.jsonl --form refcoco
      varco-vision eval ground --gold refcoco_val.parquet --form refcoco --model runs/mini/preference/model --told kept.jsonl
      varco-vision eval ground --gold refs.json --instances instances.json --split val --told answers.jsonl --form refer
    """
    from varco_vision.eval import location

    declared = location.Coordinates.parse(coordinates)
    if model is not None and form == "own":
        raise InputError(f"samples hold their own questions; ask them by: varco-vision eval run --data {gold}")
    if model is not None and declared != location.RELATIVE:
        raise InputError("--model answers in relative-xyxy; leave --coordinates out")
    targets = _targets(gold, form, instances, split)
    about: dict[str, Any] = {}
    if model is None:
        answers = answers_of(told, [target.id for target in targets])
    else:
        asked = Asked("ground", model, images, lang, max_tiles, batch_size, device, dtype)
        answers, about = _ask(asked, targets, told)
    records = [location.record(t, answers[t.id], declared) for t in targets]
    result: dict[str, Any] = {"coordinates": str(declared), "form": form, **about, **location.summary(records)}
    if form == "flickr":
        boxes = [location.read_boxes(answers[t.id], declared, t.size) for t in targets]
        protocol = "merged" if merged else "any"
        result["flickr"] = {"protocol": protocol, "recall": location.flickr_recall(targets, boxes, protocol)}
        result["without_box"] = sum(t.counts.get("without_box", 0) for t in targets)
    if not as_json:
        _ground_table(result)
    give({**result, "records": records} if out else result, out, as_json)


def _targets(gold: Path, form: str, instances: Path | None, split: str | None) -> list[Target]:
    from varco_vision.eval import readers

    if form not in GROUND_FORMS:
        raise InputError(f"the form {form!r} of --gold is unknown; use {', '.join(GROUND_FORMS)}")
    if form == "refer":
        if instances is None or split is None:
            raise InputError("the form refer needs --instances FILE and --split NAME")
        return readers.read_refer(gold, instances, split)
    return {"refcoco": readers.read_refcoco, "flickr": readers.read_flickr, "own": readers.read_samples}[form](gold)


def answers_of(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """Answers by id, exactly those that are asked for."""
    from varco_vision.eval.readers import rows

    found: dict[str, str] = {}
    for number, (_, row) in enumerate(rows(path), start=1):
        if not {"id", "answer"} <= row.keys() or not isinstance(row["answer"], str):
            raise InputError(f'row {number} of {path} must be {{"id": ..., "answer": "..."}}; found {sorted(row)}')
        if str(row["id"]) in found:
            raise InputError(f"row {number} of {path} repeats the id {row['id']!r}")
        found[str(row["id"])] = row["answer"]
    wanted = set(ids)
    if len(wanted) < len(ids):
        raise InputError("the gold ids are not all different, so answers cannot be told apart by id")
    if absent := sorted(wanted - found.keys()):
        raise InputError(f"{path} lacks {len(absent)} of {len(ids)} answers, such as the one to {absent[0]!r}")
    if extra := sorted(found.keys() - wanted):
        raise InputError(f"{path} answers {len(extra)} questions that the gold file lacks, such as {extra[0]!r}")
    return found


def _ground_table(result: Mapping[str, Any]) -> None:
    from varco_vision.eval.location import EVENTS

    line = f"protocol {result['protocol']} | coordinates {result['coordinates']} | answers {result['n']}"
    typer.echo(line + _asked_line(result))
    rows = []
    parts = dict(result["splits"]) if len(result["splits"]) > 1 else {}
    for split, cells in [*parts.items(), ("all (micro)", result["all"])]:
        rows += [(split, name, *_shown(cell), str(cell["n"])) for name, cell in cells.items()]
    if parts:
        rows += [("mean of splits", name, f"{value:.4f}", "", "") for name, value in result["macro"].items()]
    _table(("split", "metric", "score", "95 % interval", "n"), rows)
    if "flickr" in result:
        typer.echo(
            f"recall by phrase type, {result['flickr']['protocol']}-box; phrases without box: {result['without_box']}"
        )
        kinds = result["flickr"]["recall"].items()
        shown = [
            (k, *(f"{c[rank]['value']:.4f}" for rank in ("1", "5", "10", "upper")), str(c["1"]["n"])) for k, c in kinds
        ]
        _table(("type", "R@1", "R@5", "R@10", "upper", "n"), shown)
    for name, count in result["counters"].items():
        if count:
            typer.echo(f"{count} of {result['n']} answers: {EVENTS[name]}")


def refer(
    gold: GoldOption,
    told: KeptOption,
    unit: Annotated[str, typer.Option("--unit", help="CIDEr over words, or over characters (Korean).")] = "words",
    model: AskedOption = None,
    images: ImagesOption = None,
    lang: LangOption = "en",
    max_tiles: TilesOption = None,
    batch_size: BatchOption = 16,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
    out: OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Score names of regions: exact, phrase (article, copula, case forgiven), CIDEr and chrF.

    Gold rows hold "id" (or "question_id") and "answer": a name or a list of them, as RefCOCO's rows do; for --model also
    "bbox" (x, y, width, height in pixels) and the picture or its name.

    \b
    Example:
      varco-vision eval refer --gold regions.jsonl --told answers.jsonl --unit characters
      varco-vision eval refer --gold refcoco_val.parquet --model default --told kept.jsonl
    """
    from varco_vision.eval import location
    from varco_vision.eval.readers import read_refcoco

    about: dict[str, Any] = {}
    if model is None:
        names = _names(gold)
        answers = answers_of(told, list(names))
    else:
        targets = read_refcoco(gold, apart=False)
        names = {target.id: list(target.phrases) for target in targets}
        asked = Asked("refer", model, images, lang, max_tiles, batch_size, device, dtype)
        answers, about = _ask(asked, targets, told)
    result = {**about, **location.referring([answers[id_] for id_ in names], list(names.values()), unit)}
    if not as_json:
        line = f"protocol {location.PROTOCOL} | unit of CIDEr: {unit} | regions {len(names)}"
        typer.echo(line + _asked_line(result))
        rows_ = [(name, *_shown(cell)) for name, cell in result.items() if isinstance(cell, dict) and "n" in cell]
        _table(("metric", "score", "95 % interval"), rows_)
    give(result, out, as_json)


def _names(gold: Path) -> dict[str, list[str]]:
    """Right names by id."""
    from varco_vision.eval.readers import rows

    names: dict[str, list[str]] = {}
    for number, (_, row) in enumerate(rows(gold), start=1):
        id_, said = row.get("id", row.get("question_id")), row.get("answer")
        if id_ is None or not said or not isinstance(said, str | list):
            raise InputError(f'row {number} of {gold} needs "id" and "answer" (a name or several); found {sorted(row)}')
        names[str(id_)] = [said] if isinstance(said, str) else list(said)
    return names


@dataclass(frozen=True)
class Asked:
    """What `eval ground` and `eval refer` were told of the model that they ask."""

    kind: str
    model: str
    images: Path | None
    lang: str
    max_tiles: int | None
    batch_size: int
    device: str
    dtype: str


def _ask(asked: Asked, targets: Sequence[Target], told: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Answers by id, and how they were asked for; those that `told` has already are not asked again."""
    from varco_vision.eval import asking, pipeline
    from varco_vision.eval.cache import Store

    if told.suffix != ".jsonl":
        raise InputError(f"--told {told} is where answers are kept, as JSON lines; give a name that ends in .jsonl")
    if asked.lang not in asking.REFERENT:
        raise InputError(f"--lang is {asked.lang!r}; questions are asked in {' or '.join(asking.REFERENT)}")
    if len({target.id for target in targets}) < len(targets):
        raise InputError("the gold ids are not all different, so answers cannot be told apart by id")
    for target in targets:
        asking.picture_of(target, asked.images)  # what is missing is said before a model is loaded
    common.keep_memory()
    source = None if asked.model == "default" else asked.model
    vision = common.open_model(source, asked.device, asked.dtype, asked.batch_size, calibrate=False)
    if asked.kind == "ground":
        questions = asking.grounding(targets, asked.images, asked.lang)
    else:
        questions = asking.referring(targets, asked.images, asked.lang, vision.loaded.digits)
    model, constrain = pipeline.fingerprint(vision.loaded), vision.engine.can_constrain
    with Store(told) as store:
        if store.torn:
            common.note(f"{store.torn} bytes of an unfinished line of an earlier run were cut off")
        answers, counted = asking.ask(
            vision.engine, model, questions, store, constrain, asked.max_tiles, common.twentieths()
        )
    common.note(f"{counted['answered']} answered now, {counted['known']} known from before, kept in {told}")
    about = {"asked": asking.PROTOCOL, "lang": asked.lang, "model": vision.loaded.name, "fingerprint": model}
    about |= {"views": pipeline.views_of(vision.loaded), "max_tiles": asked.max_tiles}
    return answers, about | {"constrained": constrain and asked.kind == "ground"}


def _asked_line(result: Mapping[str, Any]) -> str:
    if "asked" not in result:
        return ""
    cap = "" if result["max_tiles"] is None else f", at most {result['max_tiles']} tiles"
    boxes = ", constrained boxes" if result["constrained"] else ""
    return (
        f" | {result['asked']} {result['lang']}, greedy{boxes} | {result['views']}{cap} | "
        f"model {result['model']} {result['fingerprint']}"
    )


def kept(
    training: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a training (`train --out OUT`).")],
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, help="Questions in each language; without it all on facts that were taught."),
    ] = None,
    text: Annotated[
        Path | None, typer.Option("--text", help="Fixed text of the divergence; else the questions with their answers.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="PAGE.md", help="Write the page to a file.")] = None,
    as_json: common.JsonOption = False,
    device: common.DeviceOption = "auto",
    dtype: common.DtypeOption = "auto",
) -> None:
    """Say what every stage of a training kept of what the model knew without pictures.

    \b
    Example:
      varco-vision eval kept runs/nano --out kept.md
    """
    from varco_vision.eval import kept as rules
    from varco_vision.model import checkpoint

    models = rules.stage_models(training)
    record = models[next(iter(models))] / checkpoint.RECORD
    taught = rules.taught_facts(json.loads(record.read_text(encoding="utf-8"))) if record.exists() else None
    samples = rules.text_questions(count, taught)

    def texts(tokenizer: Any) -> list[rules.Text]:
        return rules.texts_from_file(text, tokenizer) if text else rules.texts_from_samples(samples, tokenizer)

    reports = rules.measure(
        models, samples, texts, lambda path: checkpoint.load(path, device=device, dtype=dtype), common.note
    )
    page = rules.page(reports, training.name)
    if out is not None:
        _write(out, page)
    if as_json:
        common.print_json([report.to_dict() for report in reports])
    else:
        typer.echo(page, nl=False)


# --- printing ------------------------------------------------------------------------------------------------------


def _shown(cell: Mapping[str, float] | None) -> tuple[str, str]:
    if cell is None:
        return "-", "nothing to count"
    value = cell["value"] if "value" in cell else cell["h"]
    known = cell.get("low") is not None
    return f"{value:.4f}", f"{cell['low']:.4f} - {cell['high']:.4f}" if known else ""


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[k]) for row in [columns, *rows]) for k in range(len(columns))]
    for row in [columns, *rows]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def give(result: Any, out: Path | None, as_json: bool) -> None:
    """Write all numbers to a file, print them as JSON, or neither."""
    if out is not None:
        _write(out, json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    if as_json:
        common.print_json(result)


def _write(out: Path, text: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    common.note(f"written: {out}")
