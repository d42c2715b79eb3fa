"""Questions as rows of the published sets' columns, and rows as files: parquet with the pictures inside, or TSV.

Both are what `eval.benchmarks` reads. Bytes of a file depend on the rows and on the version of pyarrow only.
"""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from varco_vision.bench.items import LETTERS, Choice, Open
from varco_vision.errors import InputError
from varco_vision.eval.benchmarks import ROTATION, split_options

Row = dict[str, Any]
LETTER_COLUMNS = tuple(LETTERS)
CHOICE_COLUMNS = tuple(f"choice_{letter.lower()}" for letter in LETTERS)


def rows_of(task: str, items: Sequence[Choice | Open]) -> list[Row]:
    """Rows in the columns of the set `task`; a question of K-MMBench becomes four rows, its options turned."""
    make = {"k_mmbench": _mmbench, "k_seed": _seed, "k_mmstar": _mmstar, "k_dtcbench": _dtc, "k_llava_w": _llava}[task]
    return [row for number, item in enumerate(items) for row in make(number, item)]


def picture_cell(content: bytes, name: str) -> Row:
    """A picture as the hub's parquet files hold it."""
    suffix = "png" if content.startswith(b"\x89PNG") else "jpg"
    return {"bytes": content, "path": f"{name}.{suffix}"}


def rotated(options: Sequence[str], answer: int, k: int) -> tuple[list[str], int]:
    """Options turned left by k places, and where the right one then stands."""
    return [*options[k:], *options[:k]], (answer - k) % len(options)


def _mmbench(number: int, item: Choice) -> list[Row]:
    rows = []
    for k in range(len(item.options)):
        options, answer = rotated(item.options, item.answer, k)
        rows.append(
            {
                "index": number + k * ROTATION, "question": item.question, "hint": item.hint, **dict(zip(LETTER_COLUMNS, options, strict=True)),
                "answer": LETTERS[answer], "category": item.category, "l2-category": item.subcategory, "source": item.source, "split": "dev",
                "image": picture_cell(item.picture, str(number)),
            }
        )  # fmt: skip
    return rows


def _seed(number: int, item: Choice) -> list[Row]:
    choices = dict(zip(CHOICE_COLUMNS, item.options, strict=True))
    return [
        {
            "question_id": item.name, "question": item.question, **choices, "answer": item.letter, "data_type": "image",
            "image": picture_cell(item.picture, str(number)),
        }
    ]  # fmt: skip


def inside(question: str, options: Sequence[str]) -> str:
    """A question with its options, as MMStar writes them."""
    return f"{question}\nOptions: {', '.join(f'{a}: {b}' for a, b in zip(LETTERS, options, strict=False))}"


def _mmstar(number: int, item: Choice) -> list[Row]:
    question = inside(item.question, item.options)
    assert split_options(question) == dict(zip(LETTERS, item.options, strict=True)), question
    return [
        {
            "index": number, "question": question, "image": picture_cell(item.picture, str(number)), "answer": item.letter,
            "category": item.subcategory, "l2_category": item.category,
        }
    ]  # fmt: skip


def _dtc(number: int, item: Choice) -> list[Row]:
    choices = dict(zip(CHOICE_COLUMNS, item.options, strict=True))
    return [
        {
            "index": item.name, "question": item.question, **choices, "answer": item.letter, "category": item.category,
            "image": picture_cell(item.picture, item.name),
        }
    ]  # fmt: skip


def _llava(number: int, item: Open) -> list[Row]:
    return [
        {
            "question_id": item.name, "question": item.question, "gpt_answer": item.reference, "caption": item.caption, "category": item.category,
            "image": picture_cell(item.picture, item.name),
        }
    ]  # fmt: skip


# --- files -----------------------------------------------------------------------------------------------------------


def write_parquet(rows: Sequence[Row], path: Path) -> None:
    """Rows with the pictures inside; `datasets` finds the type of the picture column in the file's metadata."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            "writing parquet needs pyarrow; install the extra 'eval': pip install 'varco-vision-open[eval]'"
        ) from error
    pictures = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = []
    for name in rows[0]:
        kind = pictures if name == "image" else pa.int64() if isinstance(rows[0][name], int) else pa.string()
        fields.append(pa.field(name, kind))
    features = {
        f.name: {"_type": "Image"} if f.name == "image" else {"dtype": "int64" if f.type == pa.int64() else "string", "_type": "Value"}
        for f in fields
    }  # fmt: skip
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.Table.from_pylist(list(rows), pa.schema(fields, metadata=metadata))
    parquet.write_table(table, path, compression="zstd", use_dictionary=[n for n in rows[0] if n != "image"])


def write_tsv(rows: Sequence[Row], path: Path, key: str) -> None:
    """Rows with pictures in base64; a picture that an earlier row has is written as that row's value of `key`."""
    first: dict[bytes, str] = {}
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        table.writeheader()
        for row in rows:
            content = row["image"]["bytes"]
            name = first.setdefault(content, str(row[key]))
            told = base64.b64encode(content).decode() if name == str(row[key]) else name
            table.writerow({**row, "image": told})


def key_of(row: Mapping[str, Any]) -> str:
    """The column that tells rows apart."""
    return "index" if "index" in row else "question_id"
