"""Samples: the JSON form, every fault, files with pictures, groups for training, and the command line over them."""

import base64
import io
import json
import os
import re
import unicodedata
from dataclasses import replace

import pytest
from PIL import Image
from typer.testing import CliRunner

from varco_vision.cli.data import app
from varco_vision.data.jsonl import JsonlSource, check_file, read, write
from varco_vision.data.sample import Sample, normalise, validate
from varco_vision.data.source import Source
from varco_vision.errors import InputError

QUESTION = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "<gro>\n무엇이 보이나요?"}]}
ANSWER = {
    "role": "assistant",
    "content": [{"type": "text", "text": "<obj>고양이</obj><bbox>0.25, 0.5, 0.75, 1.0</bbox>가 보입니다."}],
}


def say(role: str, text: str) -> dict:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def good(**changes) -> Sample:
    sample = Sample("s1", ("a.png",), "grounding", "ko", (QUESTION, ANSWER), meta={"from": "test"})
    return replace(sample, **changes)


def pair(**changes) -> Sample:
    fields = {"messages": (QUESTION,), "chosen": (ANSWER,), "rejected": (say("assistant", "모르겠습니다."),)}
    return good(**{**fields, **changes})


def picture(colour: str, size=(40, 30)) -> Image.Image:
    return Image.new("RGB", size, colour)


# --- JSON form -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sample", [good(), pair(), good(images=(), messages=(say("user", "a"), say("assistant", "b")))]
)
def test_json_round_trip(sample):
    assert Sample.from_dict(json.loads(json.dumps(sample.to_dict()))) == sample


def test_documented_schema():
    line = (
        '{"id": "x", "images": ["a.jpg"], "task": "grounding", "lang": "ko", "messages": [{"role": "user", "content": '
        '[{"type": "image"}, {"type": "text", "text": "<gro>\\n..."}]}, {"role": "assistant", "content": '
        '[{"type": "text", "text": "..."}]}]}'
    )
    sample = Sample.from_dict(json.loads(line))
    assert (sample.id, sample.images, sample.task, sample.lang) == ("x", ("a.jpg",), "grounding", "ko")
    assert sample.chosen is None
    assert validate(sample) == []
    assert sample.to_dict() == json.loads(line)


def test_pictures_in_memory_have_no_json_form():
    with pytest.raises(InputError, match="picture 2 of sample 's1' is a Image in memory"):
        good(images=("a.png", picture("red"))).to_dict()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": ["a.png"]}, "unknown field 'image'; did you mean 'images'"),
        ({"license": "x"}, "belong in 'meta'"),
        ({"task": None}, "'task' holds None"),
        ({"id": 3}, "'id' holds 3"),
        ({"messages": "hello"}, "'messages' holds a str"),
        ({"messages": [{"role": "user"}]}, "turn 1 of 'messages'"),
        ({"messages": [{"role": "user", "content": 5}]}, "is a int"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "audio"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": None}]}]}, "a part is"),
        ({"images": "a.png"}, "'images' holds a str"),
        ({"images": [1]}, "must list paths"),
        ({"chosen": {"role": "assistant"}}, "'chosen' holds a dict"),
        ({"meta": []}, None),
        ({"meta": [1]}, "'meta' holds a list"),
    ],
)
def test_wrong_json(change, words):
    data = {**good().to_dict(), **change}
    if words is None:
        Sample.from_dict(data)
        return
    with pytest.raises(InputError, match=words):
        Sample.from_dict(data)


def test_missing_field():
    data = good().to_dict()
    del data["lang"]
    with pytest.raises(InputError, match="'lang' is missing"):
        Sample.from_dict(data)
    with pytest.raises(InputError, match="is a list"):
        Sample.from_dict([])


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sample",
    [
        good(),
        pair(),
        good(messages=({"role": "system", "content": "You are kind."}, QUESTION, ANSWER)),
        good(messages=(QUESTION, ANSWER, say("user", "또?"), say("assistant", "아니요."))),
        good(messages=({"role": "user", "content": [{"type": "image"}]}, ANSWER), task="caption"),
        pair(rejected=(say("assistant", "<obj>broken <bbox>"),)),
        good(meta={"boxes": [(0, 0.1, 1, 0.5)], "words": [{"text": "a", "box": [0, 0, 1, 1]}], "answers": ["a"]}),
    ],
)
def test_good_samples_have_no_faults(sample):
    assert validate(sample) == []


ALTERNATE = "where the user's is due"
FAULTS = {
    "empty id": (good(id=" "), ["id is empty"]),
    "task": (good(task="groundin"), ["did you mean 'grounding'"]),
    "language": (good(lang="kr"), ["unknown language 'kr'"]),
    "empty path": (good(images=("",)), ["picture 1 has an empty path"]),
    "no messages": (good(images=(), messages=()), ["no messages"]),
    "role": (good(messages=(QUESTION, {**ANSWER, "role": "bot"})), ["unknown role 'bot'", "last turn is the bot's"]),
    "starts with the answer": (good(images=(), messages=(ANSWER,)), [ALTERNATE]),
    "two questions": (
        good(messages=(QUESTION, say("user", "b"), ANSWER)),
        ["turn 2 is the user's where the assistant's"],
    ),
    "late system turn": (
        good(messages=(QUESTION, {"role": "system", "content": "x"}, ANSWER)),
        ["turn 2 is the system's"],
    ),
    "no picture": (good(images=()), ["0 pictures are given and the messages have 1 image parts"]),
    "too many pictures": (good(images=("a.png", "b.png")), ["2 pictures"]),
    "picture in the answer": (
        good(images=("a", "b"), messages=(QUESTION, {**ANSWER, "content": [{"type": "image"}, *ANSWER["content"]]})),
        ["only the user shows pictures"],
    ),
    "empty question": (good(images=(), messages=(say("user", " "), ANSWER)), ["turn 1 (user) is empty"]),
    "empty answer": (good(messages=(QUESTION, say("assistant", " \n"))), ["nothing in it could be learned"]),
    "no answer": (good(messages=(QUESTION,)), ["last turn is the user's"]),
    "rejected missing": (pair(rejected=None), ["'rejected' is missing"]),
    "chosen missing": (pair(chosen=None), ["'chosen' is missing"]),
    "same answers": (pair(rejected=(ANSWER,)), ["the same text"]),
    "empty chosen": (pair(chosen=(say("assistant", ""),)), ["'chosen' is empty"]),
    "chosen of two turns": (pair(chosen=(QUESTION, ANSWER)), ["exactly one turn"]),
    "pair after an answer": (pair(messages=(QUESTION, ANSWER)), ["must end with the user's turn"]),
    "box outside": (
        good(messages=(QUESTION, say("assistant", "<obj>a</obj><bbox>0.1, 0.1, 0.2, 1.2</bbox>"))),
        ["far outside", "has no box"],
    ),
    "box swapped": (
        good(messages=(QUESTION, say("assistant", "<obj>a</obj><bbox>0.5, 0.1, 0.2, 0.2</bbox>"))),
        ["swapped"],
    ),
    "tag not closed": (
        good(messages=(QUESTION, say("assistant", "<obj>a<bbox>0.1, 0.1, 0.2, 0.2</bbox>"))),
        ["turn 2: <obj> 'a' has no </obj>"],
    ),
    "foreign markup": (good(messages=(QUESTION, say("assistant", "<box>1 2 3 4</box>"))), ["'<box>'", "'</box>'"]),
    "bad question markup": (
        good(images=(), messages=(say("user", "<bbox>"), ANSWER)),
        ["turn 1: a <bbox>", "no phrase"],
    ),
    "switch in the answer": (good(messages=(QUESTION, say("assistant", "<ocr>"))), ["begins with a function token"]),
    "picture as text": (
        good(images=(), messages=(say("user", "<image>\nWhat?"), ANSWER)),
        ["a picture is a part of its own"],
    ),
    "turn as text": (good(messages=(QUESTION, say("assistant", "a<|im_end|>"))), ["turns are given by their roles"]),
    "gold boxes": (
        good(meta={"boxes": [[0.1, 0.1, 0.2, 0.2], [0.5, 0.1, 0.2, 0.2], [0, 0, 9, 9], [1, 2], [0, 0, "wide", 1], 3]}),
        [
            "box 2 of meta 'boxes': the corners",
            "box 3 of meta 'boxes': box (0.0, 0.0, 9.0, 9.0) reaches outside",
            "box 4 of meta 'boxes': [1, 2] is no box",
            "box 5 of meta 'boxes': box coordinate x2 is 'wide'",
            "box 6 of meta 'boxes': 3 is no box",
        ],
    ),
    "gold words": (
        good(meta={"words": [{"text": "a", "box": [0, 0, 1, 1]}, {"text": "b"}, {"text": "c", "box": [0, 0, 2, 1]}]}),
        ["word 2 of meta 'words' is {'text': 'b'}", "word 3 of meta 'words': box"],
    ),
    "gold of another kind": (good(meta={"boxes": "all", "words": 3}), ["'boxes' is a str", "'words' is a int"]),
    "chosen with bad markup": (pair(chosen=(say("assistant", "<obj>a</obj>"),)), ["chosen turn 1"]),
}


@pytest.mark.parametrize("case", FAULTS, ids=str)
def test_faults(case):
    sample, words = FAULTS[case]
    found = validate(sample)
    assert len(found) == len(words), found
    for fault, word in zip(found, words, strict=True):
        assert word in fault


def test_decomposed_text_is_composed_with_a_note():
    decomposed = unicodedata.normalize("NFD", "고양이")
    sample = good(messages=(QUESTION, say("assistant", decomposed)))
    mended, notes = normalise(sample)
    assert mended.messages[1] == say("assistant", "고양이")
    assert len(notes) == 1
    assert "turn 2" in notes[0]
    assert normalise(mended) == (mended, [])
    assert (
        normalise(pair(rejected=({"role": "assistant", "content": decomposed},)))[0].rejected[0]["content"] == "고양이"
    )


# --- files -----------------------------------------------------------------------------------------------------------


def lines(path, *samples) -> None:
    texts = [s if isinstance(s, str | bytes) else json.dumps(s.to_dict(), ensure_ascii=False) for s in samples]
    path.write_bytes(b"\n".join(t if isinstance(t, bytes) else t.encode() for t in texts) + b"\n")


@pytest.fixture
def folder(tmp_path):
    picture("red").save(tmp_path / "a.png")
    picture("blue", (30, 50)).save(tmp_path / "b.png")
    return tmp_path


def test_write_and_read(tmp_path):
    red, blue = picture("red"), picture("blue")
    samples = [good(images=(red,)), pair(id="s2", images=(picture("red"),)), good(id="s3", images=(blue,))]
    path = tmp_path / "set" / "train.jsonl"
    assert write(samples, path) == 3
    back = list(read(path))
    assert [s.id for s in back] == ["s1", "s2", "s3"]
    assert back[0].images == back[1].images, "equal pixels are stored once"
    assert sorted(os.listdir(path.parent)) == ["train.jsonl", "train_pictures"]
    assert len(os.listdir(path.parent / "train_pictures")) == 2
    for sample, original in zip(back, samples, strict=True):
        with Image.open(sample.images[0]) as stored:
            assert stored.format == "PNG"
            assert stored.tobytes() == original.images[0].tobytes()
        assert replace(sample, images=()) == replace(original, images=())
    assert '"images": ["train_pictures/' in path.read_text(), "the folder can be moved as a whole"
    assert "고양이" in path.read_text()


def test_moved_folder_and_image_root(folder):
    lines(folder / "x.jsonl", good())
    assert next(read(folder / "x.jsonl")).images == (str(folder / "a.png"),)
    (folder / "else").mkdir()
    (folder / "x.jsonl").rename(folder / "else" / "x.jsonl")
    assert next(read(folder / "else" / "x.jsonl", image_root=folder)).images == (str(folder / "a.png"),)


def test_copying_a_file_keeps_its_pictures(folder):
    lines(folder / "x.jsonl", good())
    write(read(folder / "x.jsonl"), folder / "sub" / "y.jsonl")
    with Image.open(next(read(folder / "sub" / "y.jsonl")).images[0]) as image:
        assert image.size == (40, 30)


@pytest.mark.parametrize("bad", [good(id="bad", lang="kr"), good()])
def test_failed_write_leaves_the_old_file(tmp_path, bad):
    path = tmp_path / "x.jsonl"
    write([good()], path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="cannot be written"):
        write([good(), bad], path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.jsonl"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "x.jsonl:2: no JSON"),
        ("[]", "x.jsonl:2: a sample is a list"),
        (b'{"id": "\xff"}', "x.jsonl:2: byte 9 is not UTF-8"),
        (json.dumps(good(lang="kr").to_dict()), "x.jsonl:2: unknown language 'kr'"),
        (json.dumps(good(lang="kr", task="x").to_dict()), "and 1 more"),
        ('{"id": NaN}', "x.jsonl:2: no JSON: NaN"),
    ],
)
def test_reading_names_file_and_line(folder, line, words):
    lines(folder / "x.jsonl", good(), line)
    with pytest.raises(InputError, match=re.escape(words)):
        list(read(folder / "x.jsonl"))


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        list(read(tmp_path / "none.jsonl"))


def test_check_finds_everything_at_once(folder):
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:60])
    decomposed = good(id="nfd", messages=(QUESTION, say("assistant", unicodedata.normalize("NFD", "고양이"))))
    path = folder / "x.jsonl"
    lines(
        path,
        good(),
        "not json",
        "",
        good(id="s4", task="x", lang="y"),
        good(id="s5", images=("none.png",)),
        good(id="s6", images=("broken.png",)),
        good(),
        decomposed,
        good(id="s9", images=("none.png",)),
    )
    report = check_file(path)
    assert report.samples == 8
    assert not report.ok
    expected = [
        (2, "no JSON"), (4, "unknown task"), (4, "unknown language"), (5, "none.png"), (6, "broken.png"),
        (7, "used before, in line 1"), (9, "none.png"),
    ]  # fmt: skip
    assert [line for line, _ in report.faults] == [line for line, _ in expected]
    assert all(word in message for (_, message), (_, word) in zip(report.faults, expected, strict=True))
    assert [line for line, _ in report.notes] == [8]


def test_check_of_a_sound_and_of_an_empty_file(folder):
    lines(folder / "x.jsonl", good(), pair(id="s2"))
    assert check_file(folder / "x.jsonl").ok
    (folder / "empty.jsonl").write_text("\n")
    assert check_file(folder / "empty.jsonl").faults == [(1, "the file holds no sample")]


def test_byte_order_mark_and_line_ends(folder):
    text = json.dumps(good().to_dict()) + "\r\n"
    (folder / "x.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(list(read(folder / "x.jsonl"))) == 1


# --- groups ----------------------------------------------------------------------------------------------------------


def test_groups_share_pictures_in_file_order(folder):
    text_only = good(id="t", images=(), messages=(say("user", "a"), say("assistant", "b")))
    lines(
        folder / "x.jsonl",
        good(id="1"),
        good(id="2", images=("b.png",)),
        replace(text_only, id="3"),
        "",
        good(id="4", messages=(QUESTION, ANSWER, say("user", "c"), say("assistant", "d"))),
        replace(text_only, id="5"),
        pair(id="6", images=("b.png",)),
    )
    source = JsonlSource(folder / "x.jsonl")
    assert isinstance(source, Source)
    groups = [[s.id for s in source.group(i)] for i in range(len(source))]
    assert groups == [["1", "4"], ["2", "6"], ["3"], ["5"]]
    assert source.group(0) == source.group(0)
    every = {s.id: s for s in read(folder / "x.jsonl")}
    assert all(s == every[s.id] for i in range(len(source)) for s in source.group(i))
    with pytest.raises(IndexError):
        source.group(4)


def test_different_text_before_the_picture_is_another_group(folder):
    """Samples of a group are packed behind one shared prefix, which reaches through the last picture."""
    system = {"role": "system", "content": "You are kind."}
    lines(folder / "x.jsonl", good(id="1"), good(id="2", messages=(system, QUESTION, ANSWER)))
    assert len(JsonlSource(folder / "x.jsonl")) == 2


def test_source_fails_at_the_start(folder):
    lines(folder / "x.jsonl", good(), good(id="2", images=("none.png",)))
    with pytest.raises(InputError, match=r"x\.jsonl:2: the picture .*none\.png does not exist"):
        JsonlSource(folder / "x.jsonl")
    (folder / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no sample"):
        JsonlSource(folder / "empty.jsonl")


# --- command line ----------------------------------------------------------------------------------------------------


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def test_validate_prints_places(folder):
    lines(folder / "x.jsonl", good(), good(id="2", lang="kr"))
    lines(folder / "y.jsonl", good())
    result = run("validate", folder / "x.jsonl", folder / "y.jsonl")
    assert result.exit_code == 2
    assert f"{folder / 'x.jsonl'}:2: unknown language 'kr'" in result.output
    assert run("validate", folder / "y.jsonl").exit_code == 0
    found = json.loads(run("validate", folder / "x.jsonl", "--json").stdout)
    assert found["ok"] is False
    assert found["files"][0]["samples"] == 2
    assert [f["line"] for f in found["files"][0]["faults"]] == [2]


def test_stats(folder):
    text_only = good(id="3", lang="en", task="text", images=(), messages=(say("user", "abc"), say("assistant", "b")))
    lines(folder / "x.jsonl", good(), pair(id="2", images=("b.png",)), text_only)
    found = json.loads(run("stats", folder / "x.jsonl", "--json").stdout)
    assert found["samples"] == 3
    assert found["preference_pairs"] == 1
    assert found["without_picture"] == 1
    assert found["pictures"] == 2
    assert found["languages"] == {"ko": 2, "en": 1}
    assert found["tasks"] == {"grounding": 2, "text": 1}
    assert found["answers_hold"] == {"objects": 2, "words": 0, "boxes": 2}
    assert found["picture_width"] == {"min": 30, "median": 35, "mean": 35, "max": 40, "sum": 70}
    assert sum(found["picture_tokens_histogram"].values()) == 2
    shown = run("stats", folder / "x.jsonl", "--tile", 128, "--patch", 16, "--max-tiles", 4)
    assert shown.exit_code == 0
    assert "grounding" in shown.output
    assert "66.7%" in shown.output


def test_preview_is_self_contained(folder):
    dangerous = good(id="<script>", messages=(QUESTION, say("assistant", "<i>&</i>")))
    lines(folder / "x.jsonl", good(), dangerous, good(id="third"))
    out = folder / "page.html"
    assert run("preview", folder / "x.jsonl", "--out", out, "--first", 2).exit_code == 0
    text = out.read_text(encoding="utf-8")
    assert text.count("<article") == 2
    assert "third" not in text
    assert "<script" not in text
    assert "&lt;i&gt;&amp;&lt;/i&gt;" in text
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert '<rect x="10.0" y="15.0" width="20.0" height="15.0"' in text, "0.25, 0.5, 0.75, 1.0 of 40 x 30 pixels"
    assert "고양이" in text


def test_preview_shows_the_picture(folder):
    lines(folder / "x.jsonl", good())
    out = folder / "page.html"
    run("preview", folder / "x.jsonl", "--out", out)
    data = re.search(r'src="data:image/jpeg;base64,([^"]+)"', out.read_text(encoding="utf-8"))[1]
    with Image.open(io.BytesIO(base64.b64decode(data))) as shown:
        red, green, blue = shown.convert("RGB").getpixel((20, 15))
    assert red > 240
    assert max(green, blue) < 20


def test_input_errors_reach_the_main_program(folder):
    result = run("stats", folder / "none.jsonl")
    assert isinstance(result.exception, InputError)
