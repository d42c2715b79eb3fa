"""Tables with picture columns, as the hub keeps them: questions, choices, conversations, our own shards."""

from __future__ import annotations

from pathlib import Path

import pytest
from convert_cases import HERE, converted, question
from typer.testing import CliRunner

from varco_vision.cli.data import app
from varco_vision.data import files
from varco_vision.data.sample import text_of
from varco_vision.errors import InputError


@pytest.fixture
def table(tmp_path):
    pa = pytest.importorskip("pyarrow")

    def make(rows: list[dict], kind: str = "parquet") -> Path:
        found = pa.Table.from_pylist(rows)
        path = tmp_path / f"x.{kind}"
        if kind == "parquet":
            import pyarrow.parquet as pq

            pq.write_table(found, path)
        else:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, found.schema) as stream:
                stream.write_table(found)
        return path

    return make


IMAGE = {"bytes": (HERE / "llava" / "a.png").read_bytes(), "path": "a.png"}


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_hf_questions(table, kind):
    rows = [
        {"image": IMAGE, "question": "무슨 색?", "answers": ["회색", "연회색"], "question_id": 5},
        {"image": IMAGE, "question": "What?", "answers": ["wall"], "question_id": 5},
        {"image": IMAGE, "question": "Nothing?", "answers": [], "question_id": 6},
    ]
    samples, used = converted("hf", table(rows, kind))
    assert [(s.id, s.lang, text_of(s.messages[1])) for s in samples] == [
        ("hf-5", "ko", "회색"),
        ("hf-5-2", "en", "wall"),
    ]
    assert samples[0].meta["answers"] == ["회색", "연회색"]
    assert samples[0].images[0].size == (100, 80)
    assert used.losses.counts == {"rows without an answer or with a question that is no text": 1}


def test_hf_choices(table):
    rows = [
        {"photo": IMAGE, "question": "무엇인가요?", "choices": ["벽", "문"], "answer": 1},
        {"photo": IMAGE, "question": "무엇인가요?", "choices": ["벽", "문"], "answer": 0},
    ]
    samples, _ = converted("hf", table(rows), columns={"image": "photo"})
    assert [(s.task, text_of(s.messages[1])) for s in samples] == [("choice", "B"), ("choice", "A")]
    assert question(samples[0]) == "무엇인가요?\nA. 벽\nB. 문"


def test_hf_conversations(table):
    cauldron = [
        {
            "images": [IMAGE],
            "texts": [{"user": "What is it?", "assistant": "A wall."}, {"user": "Sure?", "assistant": "Yes."}],
        }
    ]
    samples, _ = converted("hf", table(cauldron))
    assert [m["role"] for m in samples[0].messages] == ["user", "assistant", "user", "assistant"]
    assert samples[0].messages[0]["content"][0] == {"type": "image"}
    assert samples[0].task == "chat"


def test_hf_reads_what_data_make_writes(tmp_path):
    pytest.importorskip("pyarrow")
    CliRunner().invoke(app, ["make", "scenes", "--out", str(tmp_path / "s"), "--count", "20", "--workers", "0"])
    samples, used = converted("hf", tmp_path / "s")
    assert [s.messages for s in samples] == [s.messages for s in files.read(tmp_path / "s")]
    assert not used.losses.counts


def test_hf_without_usable_columns(table):
    path = table([{"pixels": b"x", "caption": "a"}])
    with pytest.raises(InputError, match="has the columns pixels, caption; name those of the picture"):
        converted("hf", path)
    with pytest.raises(InputError, match="has no column 'x'; its columns are pixels"):
        converted("hf", path, columns={"image": "x"})
