"""A translated set as rows of its Korean counterpart, written with card, checksums and review sheet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from varco_vision.bench import card, review, schema
from varco_vision.bench.schema import Row, inside, picture_cell
from varco_vision.bench.translate import FLAGS, OPTION, TARGETS, Translated, counts
from varco_vision.errors import InputError
from varco_vision.eval import benchmarks
from varco_vision.eval.benchmarks import Item, Loaded


def options_of(one: Translated, item: Item) -> dict[str, str]:
    """The Korean options of a row; the options of a rotation are found by their English texts."""
    assert one.korean is not None
    first = {text: letter for letter, text in one.items[0].options.items()}
    return {letter: one.korean[OPTION + first[text]] for letter, text in item.options.items() if text is not None}


def rows_of(task: str, made: Sequence[Translated]) -> list[Row]:
    """Rows of the Korean set `task`; questions without a translation and dropped ones are not among them."""
    rows = []
    for one in made:
        if one.korean is None or one.verdict == "drop":
            continue
        for item in one.items:
            rows.append(_row(task, one, item))
    return rows


def _row(task: str, one: Translated, item: Item) -> Row:
    assert one.korean is not None
    image = picture_cell(item.images[0], one.index)
    question = one.korean["question"]
    index: Any = int(item.index) if item.index.isdigit() else item.index
    if task == "k_llava_w":
        return {
            "question_id": item.index, "question": question, "gpt_answer": one.korean["reference"], "caption": one.korean["caption"],
            "category": item.category, "image": image,
        }  # fmt: skip
    options = options_of(one, item)
    if task == "k_mmstar":
        return {
            "index": index, "question": inside(question, list(options.values())) if options else question, "image": image, "answer": item.answer,
            "category": item.category, "l2_category": item.subcategory,
        }  # fmt: skip
    if task == "k_seed":
        choices = {f"choice_{letter.lower()}": options.get(letter) for letter in "ABCD"}
        return {
            "question_id": item.index, "question": question, **choices, "answer": item.answer, "data_type": item.category or "image", "image": image
        }  # fmt: skip
    return {
        "index": index, "question": question, "hint": one.korean.get("hint"), **{letter: options.get(letter) for letter in "ABCD"},
        "answer": item.answer, "category": item.category, "l2-category": item.subcategory, "source": "translated", "split": "dev", "image": image,
    }  # fmt: skip


def check_groups(made: Sequence[Translated]) -> None:
    """InputError where rotations of a question do not have the same options, so that no translation fits them all."""
    for one in made:
        known = set(one.items[0].options.values())
        for item in one.items[1:]:
            if set(item.options.values()) != known or len(known) != len(item.options):
                raise InputError(
                    f"row {item.index} has other options than row {one.index}, whose rotation it is; mend the English set"
                )


def write(
    out: Path, loaded: Loaded, made: Sequence[Translated], facts: Mapping[str, Any], tsv: bool = False
) -> dict[str, int]:
    """Write the Korean set into `out` (its record of replies is there already); what was counted."""
    task = TARGETS[loaded.benchmark.task]
    check_groups(made)
    rows = rows_of(task, made)
    if not rows:
        raise InputError(
            f"no question of {loaded.benchmark.title} has a readable translation; see the replies in {out}"
        )
    schema.write_parquet(rows, out / f"{task}.parquet")
    files = [out / f"{task}.parquet"]
    if tsv:
        schema.write_tsv(rows, out / f"{task}.tsv", schema.key_of(rows[0]))
        files.append(out / f"{task}.tsv")
    digest = benchmarks.load(benchmarks.find(task), out).digest
    review.write_csv(made, out / review.CSV)
    review.write_html(made, out / review.HTML, loaded.benchmark.title)
    told = counts(made)
    (out / "README.md").write_text(_card(task, loaded, facts, told, len(rows), digest), encoding="utf-8")
    card.write_checksums(out, [*files, out / "README.md", out / review.CSV, out / review.HTML])
    return told


def _card(task: str, loaded: Loaded, facts: Mapping[str, Any], told: Mapping[str, int], rows: int, digest: str) -> str:
    benchmark = loaded.benchmark
    lines = [
        f"# {benchmarks.BENCHMARKS[task].title} made from {benchmark.title}", "",
        f"{rows} rows, translated from English by a program; digest `{digest}`.", "",
        f"- source: {benchmark.hub}, split {benchmark.split}, read from {loaded.source}; digest `{loaded.digest}`",
        f"- licence: that of the source ({benchmark.licence}); pictures are the source's, unchanged",
        *(f"- {key}: {json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value}" for key, value in facts.items()), "",
        "## Counts", "", *(f"- {key}: {n}" for key, n in told.items()), "",
        "## Flags", "", *(f"- `{flag}`: {meaning}" for flag, meaning in FLAGS.items()), "",
        "## Known limits", "",
        "- A translation that nobody has read may be wrong or stiff; how many a person has seen stands above.",
        "- Text in pictures is not translated. Questions that need it carry the flag `picture-text`.",
        "- Numbers of this set and of the published Korean set are not comparable.", "",
        f"`{review.CSV}` and `{review.HTML}` are for the person who reviews; `{card.CHECKSUMS}` holds the SHA-256 of the files.", "",
    ]  # fmt: skip
    return "\n".join(lines)
