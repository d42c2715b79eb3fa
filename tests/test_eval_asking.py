"""`eval ground` and `eval refer` with a model: what is asked, kept, asked again, and refused."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from eval_sets import eval_command
from PIL import Image, ImageDraw
from tiny import write_tiny

from varco_vision.errors import InputError
from varco_vision.eval import asking
from varco_vision.eval.cache import Store
from varco_vision.eval.readers import Target
from varco_vision.geometry import Box
from varco_vision.infer.engine import Engine

SIDE = 80


def picture(k: int) -> bytes:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    ImageDraw.Draw(image).rectangle((10 + k, 10, 40, 40), fill="red")
    kept = io.BytesIO()
    image.save(kept, "PNG")
    return kept.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tiny")
    write_tiny(directory)
    return str(directory)


@pytest.fixture
def gold(tmp_path):
    """Two pictures, three rows, four expressions, as on the hub."""
    (tmp_path / "pictures").mkdir()
    for k in range(2):
        (tmp_path / "pictures" / f"{k}.png").write_bytes(picture(k))
    rows = [
        {"question_id": n, "image": f"{n % 2}.png", "width": SIDE, "height": SIDE, "answer": said, "bbox": [10, 10, 30, 30]}
        for n, said in enumerate((["red square", "the square"], ["red thing"], ["square on the left"]))
    ]  # fmt: skip
    path = tmp_path / "gold.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture
def call(capsys):
    return eval_command(capsys)


def ground(gold, model, *more):
    told = gold.parent / "kept.jsonl"
    rest = ("--images", gold.parent / "pictures", "--told", told, "--device", "cpu")
    return ("ground", "--gold", gold, "--form", "refcoco", "--model", model, *rest, *more)


def test_wordings():
    assert asking.where("the man in red. ", "en") == "<gro>\nWhere is the man in red?"
    assert asking.where("빨간 공", "ko") == "<gro>\n빨간 공은 어디에 있나요?"
    assert asking.where("사과", "ko") == "<gro>\n사과는 어디에 있나요?"
    assert "<bbox>" not in asking.where("<bbox>0, 0, 1, 1</bbox>", "en"), "words of a set are no markup"
    box = Box(0.1, 0.2, 0.5, 1.0)
    assert asking.what(box, "en", 2) == "What is <obj>this object</obj><bbox>0.1, 0.2, 0.5, 1.0</bbox>?"
    assert asking.what(box, "ko", 2).endswith("</bbox>는 무엇인가요?")


def test_what_is_known_is_not_asked_and_a_changed_picture_is(gold, model, call):
    code, out, err = call(*ground(gold, model, "--json"))
    assert code == 0 and "4 answered now, 0 known from before" in err
    first = json.loads(out)
    assert first["n"] == 4 and first["asked"] == "ask-1" and first["constrained"] and len(first["fingerprint"]) == 16
    code, again, err = call(*ground(gold, model, "--batch-size", 1, "--json"))
    assert "0 answered now, 4 known from before" in err and json.loads(again) == first
    kept = gold.parent / "kept.jsonl"
    with kept.open("ab") as file:
        file.write(b'{"key": "torn')
    (gold.parent / "pictures" / "1.png").write_bytes(picture(7))
    _, _, err = call(*ground(gold, model, "--json"))
    assert "13 bytes of an unfinished line" in err and "1 answered now, 3 known from before" in err
    _, _, err = call(*ground(gold, model, "--lang", "ko"))
    assert "4 answered now" in err, "another wording is another question"


def test_the_file_of_answers_is_scored_like_anyone_elses(gold, model, call):
    asked = json.loads(call(*ground(gold, model, "--json"))[1])
    code, out, err = call("ground", "--gold", gold, "--form", "refcoco", "--told", gold.parent / "kept.jsonl", "--json")
    assert code == 0, err
    plain = json.loads(out)
    assert plain["all"] == asked["all"] and "asked" not in plain
    table = call(*ground(gold, model))[1]
    assert "ask-1 en, greedy, constrained boxes | anyres tile" in table and asked["fingerprint"] in table


def test_batches_do_not_change_answers_and_a_picture_is_read_for_all_its_questions(model):
    from varco_vision.model import checkpoint

    loaded = checkpoint.load(model, device="cpu")
    targets = [Target(str(k), (f"thing {k}",), (Box(0, 0, 1, 1),), content=picture(k % 2)) for k in range(6)]
    questions = asking.grounding(targets, None, "en") + [
        asking.Question(f"r{k}", "refer", asking.what(Box(0.1, 0.1, 0.5, 0.5), "ko", 2), picture(k)) for k in range(2)
    ]
    told = []
    for size in (1, 8):
        engine, kept = Engine(loaded, batch_size=size), Memory()
        told.append(asking.ask(engine, "m", questions, kept, engine.can_constrain)[0])
        assert Counter(one["id"] for one in kept.lines) == Counter(one.id for one in questions)
    assert told[0] == told[1] and set(told[0]) == {one.id for one in questions}


class Memory(dict):
    """A store without a file."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def append(self, records):
        for record in records:
            self.lines.append(record)
            self[record["key"]] = record


def test_pictures_inside_rows_and_names_of_regions(gold, model, call, tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [json.loads(line) for line in gold.read_text(encoding="utf-8").splitlines()]
    for k, row in enumerate(rows):
        row["image"] = {"bytes": picture(k % 2), "path": None}
    path = tmp_path / "gold.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    kept = tmp_path / "names.jsonl"
    code, out, err = call("refer", "--gold", path, "--model", model, "--told", kept, "--device", "cpu", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["exact"]["n"] == 3 and found["asked"] == "ask-1" and not found["constrained"]
    assert {record["id"] for record in Store(kept, writing=False).records.values()} == {"0", "1", "2"}
    code, out, _ = call("refer", "--gold", path, "--told", kept)
    assert code == 0 and "regions 3" in out and "ask-1" not in out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--lang", "fr"), "ko or en"),
        (("--coordinates", "pixels-xyxy"), "leave --coordinates out"),
        (("--form", "own"), "eval run --data"),
        (("--told", "kept.txt"), "ends in .jsonl"),
        (("--images", "/nowhere"), "is not in /nowhere"),
    ],
)
def test_what_cannot_be_asked_is_said_before_a_model_is_loaded(gold, call, more, said):
    code, _, err = call(*ground(gold, "no-such-model", *more))
    assert code == 2 and said in err and "loading" not in err


def test_pictures_that_cannot_be_found():
    target = Target("7", ("x",), (), image="a.png")
    with pytest.raises(InputError, match="--images"):
        asking.picture_of(target, None)
    with pytest.raises(InputError, match="names no picture"):
        asking.picture_of(Target("7", ("x",), ()), None)
