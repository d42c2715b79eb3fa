"""OCR of files and folders: results beside one another, resuming, faults noted, several processes, a Ray cluster."""

from __future__ import annotations

import io
import json
import os
import sys
import weakref
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image
from tiny import write_tiny

from varco_vision.cli.main import main
from varco_vision.errors import InputError
from varco_vision.infer.api import VarcoVision
from varco_vision.infer.ocr import OcrOptions
from varco_vision.infer.sources import Sheet
from varco_vision.infer.work import Job, Reader, Task, finished, jobs, read_many, write_errors


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "입력"
    (place / "b").mkdir(parents=True)
    for k, name in enumerate(["1.png", "2.jpg", "2.png", "b/3.png"]):
        Image.linear_gradient("L").resize((60 + 9 * k, 40)).convert("RGB").save(place / name)
    (place / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (place / "notes.txt").write_text("not to be read")
    return place


@pytest.fixture
def run(capsys, monkeypatch):
    def call(*args):
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        with pytest.raises(SystemExit) as caught:
            main(list(args))
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return call


def names(out):
    return sorted(str(f.relative_to(out)) for f in Path(out).rglob("*") if f.is_file())


def test_a_folder_resumes_and_notes_faults(run, folder, model, tmp_path):
    out = tmp_path / "out"
    args = ["ocr", str(folder), "--out", str(out), "--format", "json,text", "--model", model, "--max-new-tokens", "6"]
    code, printed, err = run(*args)
    assert code == 1 and printed == "" and "4 files, 4 pages" in err and "5 of 5 files" in err
    results = ["1", "2.jpg", "2.png", "b/3"]
    assert names(out) == sorted([f"{r}{end}" for r in results for end in (".json", ".txt")] + ["errors.jsonl"])
    noted = [json.loads(line) for line in (out / "errors.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(noted) == 1 and noted[0]["file"].endswith("broken.png") and "damaged" in noted[0]["error"]
    assert json.loads((out / "b/3.json").read_text(encoding="utf-8"))["width"] == 87
    stamps = {name: (out / name).stat().st_mtime_ns for name in names(out) if name != "errors.jsonl"}
    (out / "2.png.txt").unlink()
    Image.new("RGB", (50, 50)).save(folder / "broken.png")
    code, _, err = run(*args)
    assert code == 0 and "3 of 5 files are read already" in err and "2 files, 2 pages" in err
    assert "errors.jsonl" not in names(out) and "broken.json" in names(out)
    again = {name: (out / name).stat().st_mtime_ns for name in stamps}
    assert {name for name in stamps if again[name] != stamps[name]} == {"2.png.json", "2.png.txt"}
    code, _, err = run(*args, "--again")
    assert code == 0 and "5 files, 5 pages" in err


def test_results_inside_the_folder_are_no_input(run, folder, model):
    out = folder / "b" / "read"
    args = ["ocr", str(folder), "--out", str(out), "--format", "pdf", "--model", model, "--max-new-tokens", "4"]
    assert run(*args)[0] == 1
    before = names(folder)
    code, _, err = run(*args)
    assert "4 of 5 files are read already" in err and code == 1 and names(folder) == before
    told = [line for line in err.splitlines() if "broken.png" in line]
    assert len(told) == 1 and told[0].endswith("TIFF or BMP picture"), "one line, whatever its length"


def test_one_file_goes_where_it_is_told(run, folder, model, tmp_path):
    target = tmp_path / "one.alto.xml"
    code, _, err = run(
        "ocr",
        str(folder / "1.png"),
        "--out",
        str(target),
        "--format",
        "alto",
        "--model",
        model,
        "--max-new-tokens",
        "4",
    )
    assert code == 0 and "on 1 pages" in err
    assert ET.parse(target).getroot().tag.endswith("alto")
    code, out, _ = run("ocr", str(folder / "1.png"), "--format", "markdown", "--model", model, "--max-new-tokens", "4")
    assert code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--format", "pdf"], "needs --out"),
        (["--format", "json,text"], "needs --out"),
        (["--workers", "2"], "add --out"),
        (["--doubtful", "x"], "keep, mark or drop"),
        (["--min-confidence", "7"], "between 0 and 1"),
        (["--overlap", "0.9", "--window", "64"], "overlap"),
        (["--out", "nowhere/a.txt"], "does not exist"),
        (["--out", "IMAGE/sub", "--format", "text,json"], "cannot be made a folder"),
        (["--dpi", "1"], ""),
    ],
)
def test_wrong_options(run, folder, args, message):
    image = str(folder / "1.png")
    code, out, err = run("ocr", image, *[a.replace("IMAGE", image) for a in args])
    assert code == 2 and out == "" and message in err and "Traceback" not in err


def test_names_of_results(tmp_path):
    made = jobs([(Path("a/x.png"), Path("x.png")), (Path("a/y.png"), Path("y.png")), (Path("a/y.jpg"), Path("y.jpg"))])
    assert [job.target for job in made] == ["x", "y.png", "y.jpg"]
    with pytest.raises(InputError, match="both be written"):
        jobs([(Path("a/x.png"), Path("x.png")), (Path("b/x.png"), Path("x.png"))])
    task = Task(str(tmp_path), ("json", "text"))
    (tmp_path / "x.json").touch()
    assert not finished(made[0], task)
    (tmp_path / "x.txt").touch()
    assert finished(made[0], task)


def test_a_reader_that_is_killed_leaves_no_half_result(folder, model, tmp_path, monkeypatch):
    vision = VarcoVision.from_pretrained(model)
    task = Task(str(tmp_path / "out"), ("json",), OcrOptions(4))
    reader = Reader(task, vision.engine)
    real = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        list(reader.read([Job(str(folder / "1.png"), "1")]))
    assert names(tmp_path / "out") == []
    monkeypatch.setattr(Path, "replace", real)
    (outcome,) = reader.read([Job(str(folder / "1.png"), "1")])
    assert outcome.pages == 1 and names(tmp_path / "out") == ["1.json"]


def test_results_do_not_depend_on_chunks(folder, model, tmp_path, monkeypatch):
    from varco_vision.infer import work

    vision = VarcoVision.from_pretrained(model)
    given = [Job(str(folder / name), name) for name in ("1.png", "2.jpg", "2.png", "b/3.png", "broken.png")]
    read_many(given, Task(str(tmp_path / "a"), ("json",), OcrOptions(9)), reader=Reader(
        Task(str(tmp_path / "a"), ("json",), OcrOptions(9)), vision.engine))  # fmt: skip
    monkeypatch.setattr(work, "CHUNK_PAGES", 1)
    outcomes = read_many(given, Task("", ()), reader=Reader(
        Task(str(tmp_path / "b"), ("json",), OcrOptions(9)), vision.engine))  # fmt: skip
    assert names(tmp_path / "a") == names(tmp_path / "b") and len(outcomes) == 5
    for name in names(tmp_path / "a"):
        a, b = (json.loads((tmp_path / part / name).read_text(encoding="utf-8")) for part in "ab")
        assert a["text"] == b["text"] and [w["box"] for w in a["words"]] == [w["box"] for w in b["words"]]
    assert write_errors(outcomes, tmp_path) == 1
    assert write_errors([], tmp_path) == 0 and not (tmp_path / "errors.jsonl").exists()


def document(path, count):
    """A TIFF file with `count` pages, all different."""
    frames = [Image.linear_gradient("L").rotate(20 * k).resize((60 + k, 40)).convert("RGB") for k in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


@pytest.mark.parametrize("form", ["json", "pdf"])
def test_long_documents_are_never_in_memory_whole(model, tmp_path, monkeypatch, form):
    pikepdf = pytest.importorskip("pikepdf", reason="needs the extra ocr") if form == "pdf" else None
    from varco_vision.infer import work

    engine = VarcoVision.from_pretrained(model).engine
    given = [Job(str(document(tmp_path / f"{count}.tif", count)), str(count)) for count in (9, 1, 2)]
    whole = list(Reader(Task(str(tmp_path / "whole"), (form,), OcrOptions(5)), engine).read(given))
    alive, most, load, read = [], [0], Sheet.load, work.read_pages

    def counted(sheet):
        image = load(sheet)
        alive.append(weakref.ref(image))
        return image

    def watched(*args, **kwargs):
        most[0] = max(most[0], sum(one() is not None for one in alive))
        return read(*args, **kwargs)

    monkeypatch.setattr(work, "CHUNK_PAGES", 2)
    monkeypatch.setattr(Sheet, "load", counted)
    monkeypatch.setattr(work, "read_pages", watched)
    pieces = list(Reader(Task(str(tmp_path / "pieces"), (form,), OcrOptions(5)), engine).read(given))
    assert pieces == whole and [o.pages for o in pieces] == [9, 1, 2]
    assert 2 <= most[0] <= 6, "one chunk that is read, one that is decoded, one that waits"
    for job in given:
        a, b = (tmp_path / part / f"{job.target}.{form}" for part in ("whole", "pieces"))
        if pikepdf is None:
            assert a.read_text(encoding="utf-8") == b.read_text(encoding="utf-8")
            continue
        for path in (a, b):
            with pikepdf.open(path) as made:
                assert [round(float(page.mediabox[2]) * 200 / 72) for page in made.pages] == [
                    60 + k for k in range(int(job.target))
                ]


def test_a_page_that_cannot_be_read_fails_its_document_alone(model, tmp_path, monkeypatch):
    from varco_vision.infer import work

    engine = VarcoVision.from_pretrained(model).engine
    given = [Job(str(document(tmp_path / f"{k}.tif", 5)), k) for k in "abc"]
    load = Sheet.load

    def faulty(sheet):
        if sheet.path.name == "b.tif" and sheet.number == 3:
            raise InputError("page 4 is torn")
        return load(sheet)

    monkeypatch.setattr(work, "CHUNK_PAGES", 2)
    monkeypatch.setattr(Sheet, "load", faulty)
    found = list(Reader(Task(str(tmp_path / "out"), ("text",), OcrOptions(5)), engine).read(given))
    assert [(o.pages, o.error) for o in found] == [(5, ""), (0, "page 4 is torn"), (5, "")]
    assert names(tmp_path / "out") == ["a.txt", "c.txt"]


def test_a_result_that_cannot_be_written_fails_its_file_alone(model, tmp_path):
    engine = VarcoVision.from_pretrained(model).engine
    long = "가" * 83  # 249 bytes: with .txt a name can be so long, with .hocr.html it cannot
    for name in (long, "b"):
        Image.linear_gradient("L").save(tmp_path / f"{name}.png")
    given = [Job(str(tmp_path / f"{name}.png"), name) for name in (long, "b")]
    found = list(Reader(Task(str(tmp_path / "out"), ("text",), OcrOptions(5)), engine).read(given))
    assert [o.error for o in found] == ["", ""]
    found = list(Reader(Task(str(tmp_path / "out"), ("hocr",), OcrOptions(5)), engine).read(given))
    assert "cannot write" in found[0].error and found[1].error == ""
    assert names(tmp_path / "out") == sorted([f"{long}.txt", "b.txt", "b.hocr.html"])


def test_many_pages_to_the_screen(run, model, tmp_path, monkeypatch):
    from varco_vision.infer import work

    place = document(tmp_path / "a.tif", 5)
    monkeypatch.setattr(work, "CHUNK_PAGES", 2)
    code, out, err = run("ocr", str(place), "--json", "--model", model, "--max-new-tokens", "4")
    assert code == 0 and [page["image"] for page in json.loads(out)] == [f"a.tif, page {k}" for k in range(1, 6)]
    assert err.index("2 of 5 read") < err.index("4 of 5 read") < err.index("5 of 5 read")
    out = tmp_path / "b.txt"
    code, _, err = run("ocr", str(place), "--out", str(out), "--model", model, "--max-new-tokens", "4")
    assert code == 0 and "on 5 pages" in err and out.read_text(encoding="utf-8").count("\f") == 4


def start_nothing(task):
    """In place of loading a model, in a worker process."""


def end_from_outside(given):
    """In place of reading, in a worker process: what the kernel does when memory runs out."""
    os._exit(9)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told(monkeypatch, tmp_path):
    from varco_vision.infer import work

    monkeypatch.setattr(work, "_start_worker", start_nothing)
    monkeypatch.setattr(work, "_work", end_from_outside)
    with pytest.raises(InputError, match="after 0 of 8 files.*fewer workers"):
        read_many([Job(str(k), str(k)) for k in range(8)], Task(str(tmp_path)), workers=2)


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_told_by_workers(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        read_many([Job("a", "a"), Job("b", "b")], Task(str(tmp_path), model=str(tmp_path / "nowhere")), workers=2)


@pytest.mark.slow
def test_several_processes(folder, model, tmp_path):
    given = [Job(str(folder / name), name) for name in ("1.png", "2.jpg", "2.png", "b/3.png", "broken.png")]
    seen = []
    outcomes = read_many(
        given, Task(str(tmp_path / "out"), ("json",), OcrOptions(6), model=model), workers=2, progress=seen.append
    )
    assert sorted(o.file for o in outcomes) == sorted(job.file for job in given) and len(seen) == 5
    assert sum(bool(o.error) for o in outcomes) == 1 and len(names(tmp_path / "out")) == 4


@pytest.mark.slow
def test_ray_cluster(folder, model, tmp_path):
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    pytest.importorskip("ray.data", reason="needs the extra ray")
    from varco_vision.infer.cluster import read_cluster

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    given = [Job(str(folder / name), name) for name in ("1.png", "2.jpg", "2.png", "b/3.png", "broken.png")]
    task = Task(str(tmp_path / "out"), ("json", "text"), OcrOptions(6), model=model)
    try:
        outcomes = read_cluster(given, task, workers=1)
    finally:
        ray.shutdown()
    assert sorted(o.file for o in outcomes) == sorted(job.file for job in given)
    assert [o.error != "" for o in outcomes].count(True) == 1 and len(names(tmp_path / "out")) == 8
    here = Reader(Task(str(tmp_path / "here"), ("json", "text"), OcrOptions(6), model=model))
    list(here.read(given))
    assert (tmp_path / "here/1.png.txt").read_text() == (tmp_path / "out/1.png.txt").read_text()


def test_cluster_without_ray_names_the_extra(monkeypatch, tmp_path):
    from varco_vision.infer.cluster import read_cluster

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"varco-vision-open\[ray\]"):
        read_cluster([Job("a", "a")], Task(str(tmp_path)))
