"""Readers of other people's files: small files in each form, as their documentation shows them, and broken ones."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import pytest
from PIL import Image

from varco_vision.errors import InputError
from varco_vision.eval import readers
from varco_vision.geometry import Box


def only(pages):
    assert len(pages) == 1
    return next(iter(pages.values()))


def test_icdar_2013_test_and_training_lines(tmp_path):
    (tmp_path / "gt_img_1.txt").write_text('\ufeff38, 43, 920, 215, "Tired, of \\"it\\""\r\n275,264,665,450,###\n')
    (tmp_path / "gt_img_2.txt").write_text('158 128 411 181 "Footpath"\n443 128 501 169 "To"\n')
    pages = readers.read_pages(tmp_path, "icdar2013")
    assert list(pages) == ["img_1", "img_2"]
    first, second = pages["img_1"].regions
    assert first.text == 'Tired, of "it"' and first.polygon == (38, 43, 920, 43, 920, 215, 38, 215)
    assert second.ignored and second.corners == (275, 264, 665, 450)
    assert [r.text for r in pages["img_2"].regions] == ["Footpath", "To"]


def test_icdar_2015_in_a_zip(tmp_path):
    path = tmp_path / "res.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._res_img_1.txt", b"\xff\xfe")
        archive.writestr("res_img_1.txt", "377,117,463,117,465,130,378,130,Genaxis, 극장\n-1,0,9,0,9,9,0,9,\n")
    page = only(readers.read_pages(path, "icdar2015"))
    assert page.id == "img_1" and page.regions[0].text == "Genaxis, 극장"
    assert page.regions[0].polygon == (377, 117, 463, 117, 465, 130, 378, 130)
    assert page.regions[1].text == "", "a place without text stays"


def test_only_line_feeds_part_lines(tmp_path):
    (tmp_path / "1.txt").write_text("0,0,1,0,1,1,0,1,가\u2028나\x85다\n", encoding="utf-8")
    assert only(readers.read_pages(tmp_path, "icdar2015")).regions[0].text == "가\u2028나\x85다"


def test_popeval_with_and_without_the_mark(tmp_path):
    (tmp_path / "a.txt").write_text("0 0 9 0 9 9 0 9##::Thai food\n0 0 9 0 9 9 0 9 T\n0 0 9 0 9 9 0 9##::###\n")
    page = only(readers.read_pages(tmp_path, "popeval"))
    assert [(r.text, r.ignored) for r in page.regions] == [("Thai food", False), ("T", False), ("###", True)]


QUAD = {"x1": 1, "y1": 2, "x2": 5, "y2": 2, "x3": 5, "y3": 8, "x4": 1, "y4": 8}
CORD = {
    "valid_line": [
        {"category": "menu.nm", "words": [{"quad": QUAD, "text": "라떼", "is_key": 0, "row_id": 1}]},
        {"category": "total.total_price", "words": [{"quad": QUAD, "text": "5,000", "is_key": 0, "row_id": 2}]},
    ],
    "dontcare": [[QUAD, QUAD]],
    "repeating_symbol": [[{"quad": QUAD, "text": "-----"}]],
    "meta": {"image_size": {"width": 100, "height": 200}},
}


def test_cord_files_and_rows_of_the_hub(tmp_path):
    (tmp_path / "receipt_00001.json").write_text(json.dumps(CORD))
    page = only(readers.read_pages(tmp_path, "cord"))
    assert page.id == "receipt_00001" and page.size == (100, 200)
    assert [r.text for r in page.regions if not r.ignored] == ["라떼", "5,000"]
    assert sum(r.ignored for r in page.regions) == 3
    assert page.regions[0].polygon == (1, 2, 5, 2, 5, 8, 1, 8)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"ground_truth": json.dumps(CORD)}) + "\n" for _ in range(2)))
    assert list(readers.read_pages(rows, "cord")) == ["rows-0", "rows-1"]


def test_cord_rows_in_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="parquet needs pyarrow (extra: eval)")
    from pyarrow import parquet

    parquet.write_table(pa.table({"ground_truth": [json.dumps(CORD)]}), tmp_path / "test.parquet")
    assert len(only(readers.read_pages(tmp_path / "test.parquet", "cord")).regions) == 5


def test_funsd(tmp_path):
    block = {"box": [0, 0, 9, 9], "text": "TO: ALL", "label": "question", "linking": [], "id": 0}
    block["words"] = [{"box": [1, 2, 3, 4], "text": "TO:"}, {"box": [5, 2, 9, 4], "text": "ALL"}]
    (tmp_path / "0001.json").write_text(json.dumps({"form": [block]}))
    page = only(readers.read_pages(tmp_path, "funsd"))
    assert [r.text for r in page.regions] == ["TO:", "ALL"] and page.regions[0].corners == (1, 2, 3, 4)


def test_own_samples_and_printed_pages_agree(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    words = "<char>가게</char><bbox>0.1, 0.2, 0.5, 0.4</bbox>"
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "<ocr>"}]},
        {"role": "assistant", "content": [{"type": "text", "text": words}]},
    ]
    sample = {"id": "a", "images": ["a.png"], "task": "ocr", "lang": "ko", "messages": turns}
    (tmp_path / "gold.jsonl").write_text(json.dumps(sample))
    gold = only(readers.read_pages(tmp_path / "gold.jsonl", "own"))
    printed = {"image": "a.png", "width": 200, "height": 100, "words": [{"text": "가게", "box": [0.1, 0.2, 0.5, 0.4]}]}
    (tmp_path / "told.json").write_text(json.dumps([printed]))
    raw = {"id": "a", "width": 200, "height": 100, "answer": words}
    (tmp_path / "raw.jsonl").write_text(json.dumps(raw))
    for name in ("told.json", "raw.jsonl"):
        told = only(readers.read_pages(tmp_path / name, "own"))
        assert told.id == gold.id == "a" and told.regions[0].text == gold.regions[0].text == "가게"
        assert told.regions[0].polygon == pytest.approx((20, 20, 100, 20, 100, 40, 20, 40))
        assert told.regions[0].polygon == pytest.approx(gold.regions[0].polygon)


@pytest.mark.parametrize(
    ("name", "content", "form", "message"),
    [
        ("gt_1.txt", b"1,2,3,text\n", "icdar2013", "line 1 of 1 does not begin with 4 numbers"),
        ("gt_1.txt", b"1,2,3,4,5,6,7,x,text\n", "icdar2015", "does not begin with 8 numbers"),
        ("gt_1.txt", "1,2,3,4,가".encode("euc-kr"), "icdar2013", "not UTF-8"),
        ("a.json", b"{}", "cord", "not a CORD annotation: KeyError\\('valid_line'\\)"),
        ("a.json", b"{", "funsd", "not valid JSON"),
        ("a.json", b"[1]", "funsd", "must be an object"),
        ("a.json", b'{"width": 1}', "own", "is no page"),
        ("a.csv", b"", "icdar2013", "no page of the form"),
        ("a.csv", b"", "icdar2014", "unknown"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, form, message):
    (tmp_path / name).write_bytes(content)
    path = tmp_path if form.startswith(("icdar", "funsd", "cord")) else tmp_path / name
    with pytest.raises(InputError, match=message):
        readers.read_pages(path, form)


def test_missing_files_and_repeated_pages(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        readers.read_pages(tmp_path / "nowhere", "cord")
    (tmp_path / "gt_1.txt").write_text("")
    (tmp_path / "res_1.txt").write_text("")
    with pytest.raises(InputError, match="'1' twice"):
        readers.read_pages(tmp_path, "icdar2013")
    (tmp_path / "x").write_text("")
    with pytest.raises(InputError, match="neither a folder nor a zip"):
        readers.read_pages(tmp_path / "x", "icdar2013")


# --- phrases ---


def test_refcoco_rows_of_the_hub_and_of_model_projects(tmp_path):
    rows = [
        {"question_id": "9", "answer": ["왼쪽 사람", "man"], "bbox": [64, 48, 128, 96], "width": 640, "height": 480},
        {"sent": "a man", "bbox": [64, 48, 192, 144], "image": "x.jpg", "width": 640, "height": 480},
    ]
    path = tmp_path / "refcoco_val.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    targets = readers.read_refcoco(path)
    assert [t.id for t in targets] == ["9/0", "9/1", "1"] and targets[2].image == "x.jpg"
    assert {t.boxes for t in targets} == {(Box(0.1, 0.1, 0.3, 0.3),)}
    assert {t.split for t in targets} == {"refcoco_val"}


def test_refcoco_with_the_picture_inside(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="parquet needs pyarrow (extra: eval)")
    from pyarrow import parquet

    buffer = io.BytesIO()
    Image.new("RGB", (100, 50)).save(buffer, "PNG")
    row = {"question_id": ["1"], "answer": [["dog"]], "bbox": [[10.0, 5.0, 20.0, 10.0]]}
    parquet.write_table(pa.table({**row, "image": [{"bytes": buffer.getvalue(), "path": "a"}]}), tmp_path / "v.parquet")
    assert readers.read_refcoco(tmp_path / "v.parquet")[0].boxes == (Box(0.1, 0.1, 0.3, 0.3),)


def test_refcoco_rows_that_lack_something(tmp_path):
    path = tmp_path / "a.jsonl"
    for row, message in (
        ({"bbox": [1, 2, 3, 4]}, "'answer' or 'sent' are needed"),
        ({"bbox": [1, 2, 3, 4], "sent": "x"}, "need its size"),
        ({"bbox": [1, 2, 3], "sent": "x", "width": 9, "height": 9}, "four numbers"),
        ({"bbox": [20, 20, 30, 30], "sent": "x", "width": 9, "height": 9}, "outside the picture"),
    ):
        path.write_text(json.dumps(row))
        with pytest.raises(InputError, match=message):
            readers.read_refcoco(path)


def refer_files(tmp_path, refs):
    instances = {
        "images": [{"id": 5, "width": 100, "height": 50, "file_name": "COCO_5.jpg"}],
        "annotations": [{"id": 7, "bbox": [10, 5, 20, 10]}, {"id": 8, "bbox": [50, 25, 50, 25]}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(instances))
    (tmp_path / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    return tmp_path / "refs(unc).p", tmp_path / "instances.json"


def ref(number, ann, split="testA"):
    return {
        "ref_id": number, "ann_id": ann, "image_id": 5, "split": split,
        "sentences": [{"sent_id": 10 * number, "sent": "man"}, {"sent_id": 10 * number + 1, "sent": "사람"}],
    }  # fmt: skip


def test_the_distributed_files_and_their_grefcoco_form(tmp_path):
    files = refer_files(tmp_path, [ref(1, 7), ref(2, [7, 8]), ref(3, [-1]), ref(4, 7, "val")])
    targets = readers.read_refer(*files, split="testA")
    assert [t.id for t in targets] == ["1/10", "1/11", "2/20", "2/21", "3/30", "3/31"]
    assert [len(t.boxes) for t in targets] == [1, 1, 2, 2, 0, 0]
    assert targets[2].boxes[1] == Box(0.5, 0.5, 1.0, 1.0) and targets[0].size == (100, 50)
    with pytest.raises(InputError, match=r"no expression of the split 'test'; it has \['testA', 'val'\]"):
        readers.read_refer(*files, split="test")
    with pytest.raises(InputError, match="annotation 99"):
        readers.read_refer(*refer_files(tmp_path, [ref(1, 99)]), split="testA")


def test_a_pickle_that_calls_code_is_refused(tmp_path):
    files = refer_files(tmp_path, [])
    files[0].write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(InputError, match="os.system"):
        readers.read_refer(*files, split="val")


def flickr(tmp_path):
    (tmp_path / "Sentences").mkdir()
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Sentences" / "36979.txt").write_text(
        "[/EN#1/people Two young guys] look at [/EN#2/bodyparts/other their hands] in [/EN#3/scene the yard] .\n\n"
    )
    things = "".join(
        f"<object><name>1</name><bndbox><xmin>{x}</xmin><ymin>1</ymin><xmax>{x + 10}</xmax><ymax>11</ymax></bndbox></object>"
        for x in (1, 51)
    )
    things += "<object><name>2</name><name>4</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>51</xmax><ymax>51</ymax></bndbox></object>"
    things += "<object><name>3</name><scene>1</scene><nobndbox>1</nobndbox></object>"
    head = "<annotation><size><width>100</width><height>50</height><depth>3</depth></size>"
    (tmp_path / "Annotations" / "36979.xml").write_text(f"{head}{things}</annotation>")
    return tmp_path


def test_flickr30k_entities(tmp_path):
    targets = readers.read_flickr(flickr(tmp_path))
    assert [t.id for t in targets] == ["36979/0/0", "36979/0/1"]
    assert targets[0].phrases == ("Two young guys",) and targets[0].kind == ("people",)
    assert targets[0].boxes == (Box(0.0, 0.0, 0.1, 0.2), Box(0.5, 0.0, 0.6, 0.2)), "corners count from 1 in the files"
    assert targets[1].kind == ("bodyparts", "other") and targets[1].boxes == (Box(0.0, 0.0, 0.5, 1.0),)
    assert targets[0].counts == {"without_box": 1}, "the yard has no box"
    (tmp_path / "Annotations" / "36979.xml").write_text("<annotation>")
    with pytest.raises(InputError, match="no annotation of Flickr30k"):
        readers.read_flickr(tmp_path)


def test_own_grounding_samples(tmp_path):
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "<gro>\n개는 어디에 있어?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "<obj>개</obj><bbox>0.1, 0.2, 0.5, 0.4</bbox>"}]},
    ]
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    sample = {"id": "a", "images": ["a.png"], "task": "grounding", "lang": "ko", "messages": turns}
    (tmp_path / "s.jsonl").write_text(json.dumps(sample))
    target = readers.read_samples(tmp_path / "s.jsonl")[0]
    assert target.boxes == (Box(0.1, 0.2, 0.5, 0.4),) and target.split == "ko"
    sample["task"] = "vqa"
    (tmp_path / "s.jsonl").write_text(json.dumps(sample))
    with pytest.raises(InputError, match="no sample of the task 'grounding'"):
        readers.read_samples(tmp_path / "s.jsonl")
