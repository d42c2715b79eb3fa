"""Converters: a small set in each form, what becomes of it, what is left out, and sentences for what is wrong."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest
from convert_cases import HERE, INPUTS, answers, by_kind, converted, question
from PIL import Image
from typer.testing import CliRunner

from varco_vision import markup
from varco_vision.cli.data import app
from varco_vision.convert.formats import FORMS
from varco_vision.convert.names import KNOWN, name_of, plural
from varco_vision.data import files
from varco_vision.data.sample import Sample, text_of, validate
from varco_vision.errors import InputError


def test_every_form_has_an_example():
    assert set(FORMS) == {*INPUTS, "hf"}


@pytest.mark.parametrize("name", INPUTS)
def test_through_the_command_to_valid_shards(tmp_path, name):
    """Everything that comes out is valid, has ids of its own, and is the same a second time."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        args = ["convert", name, str(INPUTS[name]), "--out", str(folder), "--format", "tar", "--json"]
        found = json.loads(CliRunner().invoke(app, args).stdout)
        assert found["samples"] > 0
    (report,) = files.check(folders[0])
    assert report.ok, report.faults
    assert report.samples == found["samples"]
    shards = [(folder / "train-00000.tar").read_bytes() for folder in folders]
    assert shards[0] == shards[1]


@pytest.mark.parametrize("name", INPUTS)
def test_both_splits_and_every_wording_are_valid(name):
    for split in ("train", "eval"):
        for seed in range(4):
            samples, _ = converted(name, split=split, seed=seed)
            assert [fault for s in samples for fault in validate(s)] == []


@pytest.mark.parametrize("name", ["coco", "voc", "icdar2015", "ufo", "cord", "nlvr"])
def test_questions_are_limited_and_in_the_languages_asked_for(name):
    few, _ = converted(name, questions=2, langs=("ko",))
    made = [s for s in few if s.meta["kind"] not in ("ocr", "json", "true")]
    assert {s.lang for s in made} == {"ko"}
    assert max(Counter(s.images for s in made).values()) <= 2


# --- things ----------------------------------------------------------------------------------------------------------


def test_coco():
    samples, used = converted("coco")
    (cats,) = [s for s in by_kind(samples, "ko", "all") if s.meta["phrase"] == "고양이"]
    assert (
        text_of(cats.messages[1]) == "<obj>고양이</obj><bbox>0.1, 0.25, 0.4, 0.75<delim>0.5, 0.125, 0.7, 0.375</bbox>"
    )
    (cats,) = [s for s in by_kind(samples, "en", "all") if s.meta["phrase"] == "cats"]
    assert question(cats).startswith("<gro>\n")
    assert "cats" in question(cats)
    counts = {s.meta["phrase"]: text_of(s.messages[1]) for s in by_kind(samples, "ko", "named")}
    assert counts["고양이"] == "2마리"
    assert counts == {"고양이": "2마리"}, "a cut-off bus and a crowd of people are not counted"
    assert {text_of(s.messages[1]) for s in by_kind(samples, "en", "what")} == {"cat", "gizmo", "bus"}
    assert "사람" not in answers(by_kind(samples, "ko", "what"))
    for s in by_kind(samples, "en", "presence"):
        assert text_of(s.messages[1]) == ("yes" if s.meta["present"] else "no")
    people = [s for s in by_kind(samples, "ko", "presence") if "사람" in question(s)]
    assert {text_of(s.messages[1]) for s in people if "coco-1-" in s.id} == {"네"}, "a crowd is there"
    absent = by_kind(samples, "ko", "absent")
    assert absent
    assert all("없습니다" in a and "<bbox>" not in a for a in answers(absent))
    losses = used.losses
    assert losses.counts == {
        "crowds": 1,
        "boxes outside the picture or with swapped corners": 1,
        "pictures not found": 1,
    }
    assert losses.changes == {"categories asked about in English only (no Korean name; see --names)": 1}
    assert losses.examples["pictures not found"] == "3.png"


def test_own_names():
    samples, used = converted("coco", names={"gizmo": "장치"})
    assert "장치" in answers(by_kind(samples, "ko", "what"))
    assert not used.losses.changes


def test_voc_corners_count_from_one():
    samples, _ = converted("voc")
    (dog,) = [s for s in by_kind(samples, "ko", "where") if s.meta["phrase"] == "개"]
    assert dog.meta["boxes"] == [[0.1, 0.25, 0.4, 0.75]]
    assert {text_of(s.messages[1]) for s in by_kind(samples, "ko", "what")} == {"개", "비행기", "텔레비전"}
    assert {s.meta["phrase"] for s in by_kind(samples, "ko", "named")} == {"개", "텔레비전"}, "difficult is not counted"


def test_expressions():
    samples, _ = converted("refcoco")
    where = [s for s in samples if s.task == "grounding"]
    assert answers(where)[0] == "<obj>man on the left</obj><bbox>0.1, 0.1, 0.6, 0.6</bbox>"
    assert [(s.lang, s.meta["phrase"]) for s in where] == [
        ("en", "man on the left"),
        ("en", "guy in red"),
        ("ko", "오른쪽 개"),
    ]
    assert answers([s for s in samples if s.task == "referring"]) == ["man on the left", "오른쪽 개"]
    english, used = converted("refcoco", langs=("en",))
    assert {s.lang for s in english} == {"en"}
    assert used.losses.counts == {"expressions that are empty or in a language not asked for": 1}


def test_distributed_references():
    samples, _ = converted("refcoco", HERE / "refcoco" / "refs.json", extra=HERE / "refcoco" / "instances.json")
    assert answers([s for s in samples if s.task == "grounding"]) == [
        "<obj>left man</obj><bbox>0.1, 0.1, 0.5, 0.5</bbox>",
        "<obj>right dog</obj><bbox>0.6, 0.1, 0.9, 0.9</bbox>",
    ]


def test_drawings():
    samples, _ = converted("nlvr")
    yellow = [s for s in by_kind(samples, "ko", "all") if s.meta["phrase"] == "노란색 정사각형"]
    assert yellow[0].meta["boxes"] == [[0.025, 0.8, 0.075, 1.0], [0.875, 0.5, 0.95, 0.8]]
    with Image.open(yellow[0].images[0]) as drawn:
        for box in yellow[0].meta["boxes"]:
            middle = ((box[0] + box[2]) / 2 * 400, (box[1] + box[3]) / 2 * 100)
            assert drawn.getpixel(tuple(map(int, middle))) == (255, 255, 0)
    assert answers(by_kind(samples, "en", "true")) == ["yes"]
    assert answers(by_kind(samples, "ko", "true")) == ["네"]


def test_names():
    assert len(KNOWN) == 80
    assert all(name.ko and name.unit for name in KNOWN.values())
    assert {k: KNOWN[k].plural for k in ("person", "bus", "knife", "sheep", "cell phone", "wine glass", "mouse")} == {
        "person": "people", "bus": "buses", "knife": "knives", "sheep": "sheep", "cell phone": "cell phones",
        "wine glass": "wine glasses", "mouse": "mice",
    }  # fmt: skip
    assert (plural("berry"), plural("toy"), plural("box")) == ("berries", "toys", "boxes")
    assert (name_of("scissors", {}).en, name_of("scissors", {}).plural) == ("pair of scissors", "pairs of scissors")
    assert name_of("person", {"person": "행인"}).ko == "행인"
    assert name_of("tvmonitor", {}).ko == "텔레비전"
    assert name_of("traffic_light", {}).ko == "신호등"
    assert name_of("gizmo", {}).ko is None


def test_particles_follow_the_names():
    """은/는, 이/가, 을/를 behind every Korean name as its last letter asks."""
    samples, _ = converted("coco")
    for seed in range(30):
        samples += converted("coco", seed=seed)[0]
    said = " ".join(question(s) for s in samples if s.lang == "ko")
    for name, wrong in (("고양이", "은이을"), ("버스", "은이을"), ("사람", "는가를")):
        for particle in wrong:
            assert f"{name}{particle} " not in said
    assert any(f"사람{particle} " in said for particle in "은이을")


# --- text ------------------------------------------------------------------------------------------------------------


def words_of(samples: list[Sample]) -> list[tuple[str, list[float]]]:
    (page,) = [s for s in samples if s.task == "ocr"]
    found = [i for i in markup.parse(text_of(page.messages[1])) if isinstance(i, markup.Chars)]
    return [(i.text, [i.boxes[0].x1, i.boxes[0].y1, i.boxes[0].x2, i.boxes[0].y2]) for i in found]


def test_icdar_2013():
    samples, _ = converted("icdar2013")
    assert words_of(samples) == [
        ("Open", [0.05, 0.1, 0.3, 0.3]),
        ("Daily", [0.35, 0.1, 0.6, 0.3]),
        ("9:30, late", [0.05, 0.5, 0.45, 0.7]),
    ]
    read = by_kind(samples, "ko", "reading")
    assert set(answers(read)) == {"Open", "Daily", "9:30, late"}
    assert all("<char>" in question(s) for s in read)


def test_icdar_2015():
    samples, used = converted("icdar2015")
    assert words_of(samples) == [
        ("출구", [0.04, 0.1, 0.3, 0.32]),
        ("EXIT", [0.35, 0.1, 0.6, 0.3]),
        ("A,B", [0.05, 0.5, 0.45, 0.7]),
    ]
    assert used.losses.counts == {"texts that need not be read or are empty": 1}
    assert next(s for s in samples if s.task == "ocr").lang == "ko"
    (found,) = [s for s in by_kind(samples, "ko", "text") if s.meta["phrase"] == "출구"]
    assert text_of(found.messages[1]) == "<char>출구</char><bbox>0.04, 0.1, 0.3, 0.32</bbox>"


def test_ufo():
    samples, used = converted("ufo")
    assert [text for text, _ in words_of(samples)] == ["커피", "4,500원"]
    assert used.losses.counts == {"texts that need not be read or are empty": 1}


def test_sroie():
    samples, _ = converted("sroie")
    assert [text for text, _ in words_of(samples)] == ["ABC MART", "TOTAL", "9.50"]
    values = {text_of(s.messages[1]) for s in by_kind(samples, "ko", "field")}
    assert values == {"ABC MART", "25/12/2018", "9.50"}
    assert any("총액" in question(s) for s in by_kind(samples, "ko", "field"))


def test_cord():
    samples, used = converted("cord")
    assert [text for text, _ in words_of(samples)] == ["Nasi", "Goreng", "25,000", "TOTAL", "25,000"]
    fields = {question(s): text_of(s.messages[1]) for s in by_kind(samples, "en", "field") if s.task == "vqa"}
    assert sorted(fields.values()) == ["25,000", "25,000"]
    assert any("price of 'Nasi Goreng'" in asked for asked in fields)
    (where,) = [s for s in by_kind(samples, "en", "field") if s.task == "grounding"]
    assert where.meta["boxes"] == [[0.75, 0.375, 0.95, 0.46875]], "the key TOTAL is not part of the value"
    (content,) = by_kind(samples, "ko", "json")
    assert json.loads(text_of(content.messages[1]))["menu"]["nm"] == "Nasi Goreng"
    assert used.losses.counts == {"texts that need not be read or are empty": 1}


def test_funsd():
    samples, used = converted("funsd")
    assert sorted(text for text, _ in words_of(samples)) == ["Date:", "Kim", "Minsu", "Name:", "REPORT"]
    fields = by_kind(samples, "ko", "field")
    assert answers(fields) == ["Kim Minsu"]
    assert "'Name'" in question(fields[0])
    assert used.losses.counts == {"form fields without exactly one filled-in answer": 1}


# --- conversations ---------------------------------------------------------------------------------------------------


def test_llava():
    samples, used = converted("llava")
    assert [(s.id, s.task, s.lang, len(s.images)) for s in samples] == [
        ("llava-1", "chat", "en", 1),
        ("llava-1-2", "vqa", "ko", 1),
        ("llava-2", "vqa", "en", 2),
        ("llava-3", "text", "en", 0),
    ]
    assert samples[0].messages[0]["content"] == [{"type": "image"}, {"type": "text", "text": "What is this?"}]
    assert samples[1].messages[0]["content"] == [{"type": "text", "text": "무슨 색인가요?"}, {"type": "image"}]
    assert [p["type"] for p in samples[2].messages[0]["content"]] == ["image", "image", "text"]
    assert markup.unescape(text_of(samples[3].messages[1])) == "Write <bbox> and </bbox>."
    assert used.losses.counts == {"conversations that are not valid": 1, "pictures not found": 1}
    assert "1 pictures are given" in used.losses.examples["conversations that are not valid"]
    assert used.losses.changes == {
        "ids used before, which got a number": 1,
        "texts with markers that became plain text": 1,
    }


def test_donut():
    samples, _ = converted("donut")
    assert [text_of(s.messages[1]) for s in samples] == [
        "가나다 라마바", "3", "5월", "letter", "letter",
        '{"menu": [{"nm": "차", "price": "3,000"}]}', '{"menu": [{"nm": "차", "price": "3,000"}]}',
    ]  # fmt: skip
    assert [s.lang for s in samples] == ["ko", "en", "ko", "ko", "en", "ko", "en"]
    assert samples[0].task == "ocr"


def test_tables_are_drawn():
    samples, used = converted("wtq")
    assert answers(samples) == ["Seoul", "Seoul, Oslo"]
    assert samples[0].images[0] is samples[1].images[0]
    assert samples[1].meta["answers"] == ["Seoul", "Oslo"]
    dark = sum(samples[0].images[0].convert("L").histogram()[:100])
    assert dark > 300, "letters were drawn"
    assert used.losses.counts == {"tables with characters that no font can draw": 1}


def test_csv_with_quotes():
    from varco_vision.convert.tables import read_table

    assert read_table(HERE / "wtq" / "csv" / "1.csv") == [
        ["City", "Country", "Note"],
        ["Seoul", "Korea", 'a "big" one'],
        ["Oslo", "Norway", ""],
    ]


def test_folder():
    samples, used = converted("folder")
    assert [(s.id, text_of(s.messages[1])) for s in samples] == [
        ("folder-cat-c1-ko", "고양이"),
        ("folder-cat-c1-en", "cat"),
        ("folder-gizmo-g1-en", "gizmo"),
    ]
    assert used.losses.counts == {"pictures that cannot be read": 1}


def test_folder_of_folders(tmp_path):
    """Grocery-like sets lie deeper: train/Fruit/Apple/Granny-Smith; "train" is no name of an apple."""
    for place in ("train/Fruit/Apple/Granny-Smith", "train/Fruit/Banana", "train/Vegetables/Pepper/cat"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / place / "1.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "cover.png")
    samples, used = converted("folder", tmp_path)
    assert [(s.lang, text_of(s.messages[1])) for s in samples] == [
        ("en", "Granny-Smith"),
        ("ko", "바나나"),
        ("en", "banana"),
        ("ko", "고양이"),
        ("en", "cat"),
    ]
    assert len({s.id for s in samples}) == 5
    assert used.losses.changes["labels that are the innermost of several folders"] == 3
    assert used.losses.counts == {"pictures outside the folders of labels": 1}


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("llava", '{"a": 1}', "LLaVA data is a list"),
        ("llava", "[{]", "x.json:1: no JSON"),
        ("llava", '[{"id": 1}]', r"x.json: entry 1: the field 'conversations' is missing \(found: id\)"),
        ("llava", '[{"conversations": [{"from": "robot", "value": "x"}]}]', "from 'robot'"),
        ("coco", '{"images": []}', "the field 'categories' is missing"),
        (
            "coco",
            '{"images": [], "categories": [{"id": 1}], "annotations": [{"category_id": 2, "bbox": []}]}',
            "category_id 2",
        ),
        ("coco", '{"images": {}, "categories": [], "annotations": []}', "'images' holds a dict"),
        ("ufo", '{"images": {"a.png": {"img_w": 5}}}', "a.png: the field 'img_h' is missing"),
        (
            "ufo",
            '{"images": {"a": {"img_w": 5, "img_h": 5, "words": {"1": {"points": [[1]]}}}}}',
            "three or more pairs",
        ),
        ("donut", '{"file_name": "a"}', "x.json:1: the field 'ground_truth' is missing"),
        ("donut", '{"file_name": "a", "ground_truth": "{"}', "'ground_truth' is no JSON"),
        ("nlvr", '{"label": "true"}', "x.json:1: the field 'identifier' is missing"),
        ("wtq", "id\tutterance\n1\t2\n", "x.json:2: the column 'context' is missing"),
        ("refcoco", '[{"bbox": [1, 2, 3, 4]}]', "either 'answer' or 'sent' are needed"),
    ],
)
def test_files_of_another_form(tmp_path, name, content, words):
    path = tmp_path / "x.json"
    path.write_text(content)
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match=words):
        converted(name, path)


def test_broken_xml(tmp_path):
    (tmp_path / "a.xml").write_text("<annotation>\n<object>")
    with pytest.raises(InputError, match=r"a.xml:2: no XML"):
        converted("voc", tmp_path)


def test_pictures_of_another_size_are_left_out(tmp_path):
    data = json.loads(INPUTS["coco"].read_text())
    data["images"][0]["width"] = 101
    path = tmp_path / "x.json"
    path.write_text(json.dumps(data))
    samples, used = converted("coco", path, images=HERE / "coco" / "images")
    assert {os.path.basename(s.images[0]) for s in samples} == {"2.png"}
    assert used.losses.examples["pictures of another size than annotated"] == "1.png is 100 x 80, annotated as 101 x 80"


def test_one_name_for_two_pictures(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / folder / "1.png")
    path = tmp_path / "x.json"
    data = {"images": [{"id": 1, "file_name": "1.png", "width": 9, "height": 9}], "categories": [], "annotations": []}
    path.write_text(json.dumps(data))
    _, used = converted("coco", path)
    assert used.losses.counts == {"pictures whose name stands for several files": 1}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "name the form, the input"),
        (("cocoo", ".", "--out", "o"), "did you mean 'coco'"),
        (("coco", "nothing.json", "--out", "o"), "the input nothing.json does not exist"),
        (("coco", str(INPUTS["coco"]), "--out", "o", "--lang", "kr"), "known are ko, en"),
        (("coco", str(INPUTS["coco"]), "--out", "o", "--images", "nowhere"), "nowhere does not exist"),
        (("coco", str(INPUTS["coco"]), "--out", "o", "--names", "none.yaml"), "none.yaml cannot be read"),
        (("hf", str(HERE), "--out", "o"), "holds no .parquet or .arrow file"),
        (("hf", str(HERE), "--out", "o", "--column", "image"), "has no '='"),
    ],
)
def test_wrong_commands(tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["convert", *args])
    assert isinstance(result.exception, InputError)
    assert words in str(result.exception)


def test_nothing_usable_is_said(tmp_path):
    data = {
        "images": [{"id": 1, "file_name": "gone.png", "width": 9, "height": 9}],
        "categories": [],
        "annotations": [],
    }
    (tmp_path / "x.json").write_text(json.dumps(data))
    result = CliRunner().invoke(app, ["convert", "coco", str(tmp_path / "x.json"), "--out", str(tmp_path / "o")])
    assert "nothing in the input could be used: 1 pictures not found (first: gone.png)" in str(result.exception)


def test_going_on_after_an_interruption(tmp_path, monkeypatch):
    from varco_vision.data.shards import SetWriter

    args = ["convert", "coco", str(INPUTS["coco"]), "--shard-size", "2", "--questions", "50"]
    assert CliRunner().invoke(app, [*args, "--out", str(tmp_path / "whole")]).exit_code == 0
    real = SetWriter.add

    def stop(self, group):
        if self.samples:
            raise KeyboardInterrupt
        real(self, group)

    monkeypatch.setattr(SetWriter, "add", stop)
    CliRunner().invoke(app, [*args, "--out", str(tmp_path / "cut")])
    monkeypatch.undo()
    assert CliRunner().invoke(app, [*args, "--out", str(tmp_path / "cut")]).exit_code == 0
    for file in (tmp_path / "whole").glob("train-*"):
        assert file.read_bytes() == (tmp_path / "cut" / file.name).read_bytes()
