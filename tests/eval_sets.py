"""Small evaluation sets in the column schemas of the published ones, made on the spot for tests."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from varco_vision.cli.main import main
from varco_vision.eval import benchmarks, pipeline, protocols
from varco_vision.eval.benchmarks import BENCHMARKS

SETTINGS = protocols.Settings(max_new_tokens=6)
COLOURS = {"빨강": (220, 40, 40), "파랑": (40, 60, 220), "초록": (30, 160, 60), "노랑": (230, 210, 40)}


def picture(number: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """PNG of a coloured shape; another number, another picture."""
    image = Image.new("RGB", size, (245, 245, 240 - number % 16))
    colour = list(COLOURS.values())[number % 4]
    ImageDraw.Draw(image).ellipse((8 + number % 9, 6, 40 + number % 9, 38), fill=colour)
    kept = io.BytesIO()
    image.save(kept, "PNG")
    return kept.getvalue()


def cell(number: int) -> dict:
    """A picture as the hub's parquet files hold it."""
    return {"bytes": picture(number), "path": None}


def mmbench_rows(questions: int = 3, rotations: int = 4, text_image: bool = False) -> list[dict]:
    """K-MMBench: each question with its options turned; hints missing in every form."""
    names, rows = list(COLOURS), []
    for q in range(questions):
        for k in range(rotations):
            turned = names[k:] + names[:k]
            rows.append(
                {
                    "index": q + k * 1_000_000,
                    "question": f"동그라미 {q}번은 무슨 색입니까?",
                    "hint": [None, "nan", "그림을 보세요.", float("nan")][q % 4] if text_image else [None, "nan", "그림을 보세요."][q % 3],
                    **dict(zip("ABCD", turned, strict=True)),
                    "answer": "ABCD"[turned.index(names[q % 4])],
                    "category": ["color", "shape"][q % 2],
                    "l2-category": "perception",
                    "source": "made",
                    "split": "dev",
                    "image": base64.b64encode(picture(q)).decode() if text_image else cell(q),
                }
            )  # fmt: skip
    return rows


def seed_rows(count: int = 6, id_name: str = "question_id") -> list[dict]:
    """K-SEED and K-DTCBench (which calls its id "index")."""
    names = list(COLOURS)
    return [
        {
            id_name: str(k), "question": f"그림 {k}의 색은?", "image": cell(k // 2), "answer": "ABCD"[k % 4],
            **{f"choice_{letter}": name for letter, name in zip("abcd", names, strict=True)},
            **({"data_type": "image"} if id_name == "question_id" else {"category": ["document", "table", "chart"][k % 3]}),
        }
        for k in range(count)
    ]  # fmt: skip


def mmstar_rows(count: int = 6) -> list[dict]:
    """K-MMStar: a stray <image> in front, options inside the question."""
    names = list(COLOURS)
    listed = ", ".join(f"{letter}: {name}" for letter, name in zip("ABCD", names, strict=True))
    return [
        {
            "index": k, "question": f"<image>\n{k}번 그림의 색은 무엇입니까?\nOptions: {listed}", "image": cell(k),
            "answer": "ABCD"[k % 4], "category": "coarse perception", "l2_category": ["emotion", "style", "topic"][k % 3],
        }
        for k in range(count)
    ]  # fmt: skip


def llava_rows(count: int = 4) -> list[dict]:
    """K-LLaVA-W."""
    return [
        {
            "question_id": k, "question": f"그림 {k}를 설명해 주세요.", "gpt_answer": "둥근 도형이 하나 있습니다.",
            "caption": "색이 있는 동그라미 하나", "category": ["conv", "detail", "complex"][k % 3], "image": cell(k),
        }
        for k in range(count)
    ]  # fmt: skip


def write_parquet(rows: list[dict], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_tsv(rows: list[dict], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    return path


def write_all(folder: Path) -> Path:
    """The five Korean sets in one folder, some as the hub has them, some as VLMEvalKit has them."""
    write_parquet(mmbench_rows(), folder / "K-MMBench" / "data" / "dev-00000-of-00001.parquet")
    write_parquet(seed_rows(), folder / "k_seed.parquet")
    write_parquet(mmstar_rows(), folder / "K-MMStar.parquet")
    write_parquet(seed_rows(4, "index"), folder / "k_dtcbench.parquet")
    write_parquet(llava_rows(), folder / "k_llava_w.parquet")
    return folder


def prepared(sets, task="k_dtcbench", protocol="strict", model="m", settings=SETTINGS):
    return pipeline.prepare(benchmarks.load(BENCHMARKS[task], sets), protocols.find(protocol), settings, model, "views")


def eval_command(capsys):
    """A function that runs `varco-vision eval ...` in this process: (exit code, what it printed, what it said of errors)."""

    def call(*args):
        with pytest.raises(SystemExit) as caught:
            main(["eval", *map(str, args)])
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return call
