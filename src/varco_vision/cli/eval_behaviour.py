"""`varco-vision eval behaviour`: how answers are, apart from being right, whoever wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from varco_vision.cli import common, eval_files
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.eval.behaviour import Vocabulary

HEAD = ("measure", "meaning", "share", "95 % interval", "n")
MEANING = {
    "loops": "answers that repeat themselves",
    "language_ko": "questions that want Korean: answered in it",
    "language_en": "questions that want English: answered in it",
    "without_letters": "answers without letters, such as 42",
    "named_but_absent": "named things that the picture does not hold (CHAIRi)",
    "answers_with_absent": "answers that name such a thing (CHAIRs)",
    "named_of_present": "things in the pictures that are named",
    "accuracy": "yes-or-no questions answered rightly",
    "yes": "yes-or-no questions answered with yes",
    "yes_on_absent": "the same where no is right",
}


def attach(app: typer.Typer) -> None:
    """Put the verb into the group of `varco-vision eval`."""
    app.command()(behaviour)


def behaviour(
    told: Annotated[Path, typer.Option("--told", metavar="PATH", help="The answers.")],
    gold: Annotated[
        Path | None,
        typer.Option("--gold", metavar="PATH", help="What is known of each question: lang, things, present."),
    ] = None,
    names: Annotated[
        Path | None, typer.Option("--names", metavar="FILE.yaml", help="Things and their names: dog: [dog, 개]")
    ] = None,
    out: eval_files.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Say how often answers repeat themselves, leave the language, or name what is not there.

    Answers are JSON lines {"id": ..., "answer": "..."}. Rows of --gold have the same ids and what is known: "lang" (ko or en),
    the language that is wanted; "things", what the picture holds, by the names of --names; "present" (true or false), what is
    right for a yes-or-no question.

    \\b
    Example:
      varco-vision eval behaviour --told answers.jsonl
      varco-vision eval behaviour --told answers.jsonl --gold known.jsonl --names names.yaml
    """
    from varco_vision.eval.readers import rows

    lines = [row for _, row in rows(told)]
    known = _known(gold) if gold is not None else {}
    ids = list(known) if gold is not None else [str(row.get("id")) for row in lines]
    answers = eval_files.answers_of(told, ids)
    if not answers:
        raise InputError(f"{told} holds no answer")
    result = measure(lines, answers, known, _vocabulary(names) if names is not None else None)
    if not as_json:
        shown = [(name, MEANING[name], *_cells(cell)) for name, cell in result.items()]
        common.print_table(HEAD, shown, 2)
    eval_files.give(result, out, as_json)


def measure(
    lines: list[dict[str, Any]],
    answers: Mapping[str, str],
    known: Mapping[str, dict[str, Any]],
    vocabulary: Vocabulary | None,
) -> dict[str, Any]:
    """Every measure that what is known of the questions allows, by the names of `MEANING`; cells as {"value", "low", "high", "n"}."""
    from varco_vision.eval import behaviour as b
    from varco_vision.eval import metrics

    found: dict[str, Any] = {"loops": asdict(b.loop_rate(lines))}
    wanted = [(answers[id_], str(row["lang"])) for id_, row in known.items() if "lang" in row]
    if wanted:
        language = b.reply_language(wanted)
        found |= {("" if k == "without_letters" else "language_") + k: asdict(v) for k, v in language.items() if v}
    seen = [(answers[id_], row["things"]) for id_, row in known.items() if "things" in row]
    if bool(seen) != (vocabulary is not None):
        raise InputError('things that are named need both: "things" in the rows of --gold, and --names FILE.yaml')
    if seen and vocabulary is not None:
        told = b.hallucination([answer for answer, _ in seen], [things for _, things in seen], vocabulary)
        low, high = told.mentions_interval or (None, None)
        found["named_but_absent"] = {"value": told.mentions, "low": low, "high": high, "n": told.named}
        found["answers_with_absent"] = asdict(told.answers)
        there = sum(len(set(things)) for _, things in seen)
        found["named_of_present"] = {"value": told.recall, "low": None, "high": None, "n": there}
    asked = [(metrics.yes_no(answers[id_]), row["present"]) for id_, row in known.items() if "present" in row]
    if asked:
        found |= {name: asdict(share) for name, share in b.presence_bias(asked).items() if share}
    return found


def _known(path: Path) -> dict[str, dict[str, Any]]:
    """What is known of each question, by id; faults name the row."""
    from varco_vision.eval.readers import rows

    found: dict[str, dict[str, Any]] = {}
    for number, (_, row) in enumerate(rows(path), start=1):
        where = f"row {number} of {path}"
        if "id" not in row or not {"lang", "things", "present"} & row.keys():
            raise InputError(f'{where} needs "id" and some of "lang", "things", "present"; found {sorted(row)}')
        if "things" in row and not (isinstance(row["things"], list) and all(isinstance(t, str) for t in row["things"])):
            raise InputError(f'{where}: "things" is {row["things"]!r}; a list of names is needed')
        if "present" in row and not isinstance(row["present"], bool):
            raise InputError(f'{where}: "present" is {row["present"]!r}; true or false is needed')
        if str(row["id"]) in found:
            raise InputError(f"{where} repeats the id {row['id']!r}")
        found[str(row["id"])] = row
    return found


def _vocabulary(path: Path) -> Vocabulary:
    import yaml

    from varco_vision.eval.behaviour import Vocabulary

    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(read, dict) or not all(
        isinstance(v, list) and v and all(isinstance(n, str) and n.strip() for n in v) for v in read.values()
    ):
        raise InputError(f"{path} must hold things with lists of their names, such as dog: [dog, 개]")
    return Vocabulary({str(thing): tuple(listed) for thing, listed in read.items()})


def _cells(cell: Mapping[str, Any]) -> tuple[str, str, str]:
    if cell["value"] is None:
        return "–", "", str(cell["n"])
    interval = "" if cell["low"] is None else f"{cell['low']:.3f} - {cell['high']:.3f}"
    return f"{cell['value']:.3f}", interval, str(cell["n"])
