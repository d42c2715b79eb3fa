"""The command line: verbs, errors and exit codes, output forms."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image
from tiny import write_tiny

import varco_vision
from varco_vision.cli import chat, common, doctor
from varco_vision.cli.main import VERBS, main
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.infer.answer import Answer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "그림 1.png"
    Image.linear_gradient("L").resize((90, 60)).convert("RGB").save(path)
    return str(path)


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command line in this process: (exit code, stdout, stderr)."""

    def call(*args, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as caught:
            main(list(args))
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return call


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_import_and_help_do_not_load_torch():
    code = (
        "import sys, varco_vision\n"
        "from varco_vision.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "heavy = {'torch', 'transformers', 'numpy', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert "ground" in done.stdout


def test_lazy_exports():
    assert varco_vision.Box is Box
    assert {"VarcoVision", "Box", "__version__"} <= set(dir(varco_vision))
    assert varco_vision.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="nothing"):
        varco_vision.nothing  # noqa: B018 - the access is the test


def test_help_lists_verbs_that_exist(run):
    code, out, _ = run("--help")
    assert code == 0
    for verb in ("chat", "ground", "refer", "ocr", "doctor"):
        assert f"\n  {verb} " in out and VERBS[verb][:20] in out


@pytest.mark.parametrize("verb", ["chat", "ground", "refer", "ocr", "doctor"])
def test_every_verb_has_an_example(run, verb):
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert out.startswith(f"Usage: varco-vision {verb}")
    example = out.split("Example:\n")[1].split("\n")[0]
    assert example.strip().startswith(f"varco-vision {verb}"), "the example keeps its own line"


def test_version(run):
    code, out, _ = run("--version")
    assert (code, out) == (0, f"varco-vision {varco_vision.__version__}\n")


def test_unknown_verb_and_option(run):
    code, out, err = run("grund")
    assert code == 2 and out == "" and "ground" in err
    code, _, err = run("ocr", "--fast")
    assert code == 2 and "--fast" in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["ocr", "no-such-file.png"], "no-such-file.png"),
        (["ocr"], "no picture to read"),
        (["ocr", "IMAGE", "--format", "docx"], "unknown --format 'docx'; use text, json, hocr"),
        (["ocr", "IMAGE", "--format", "hocr", "--json"], "contradict"),
        (["ocr", "IMAGE", "IMAGE", "--draw", "a.png"], "exactly one picture"),
        (["ocr", "IMAGE", "--draw", "a.pdf"], "a.pdf"),
        (["ocr", "IMAGE", "--draw", "nowhere/a.png"], "nowhere"),
        (["ocr", "IMAGE", "--model", "no-such-dir"], "no-such-dir"),
        (["ocr", "IMAGE", "--device", "gpu7"], "unknown device 'gpu7'"),
        (["ground", "x"], "exactly one --image; 0 were given"),
        (["ground", "x", "--image", "IMAGE", "IMAGE"], "exactly one --image; 2 were given"),
        (["refer", "x", "--image", "IMAGE"], "there is no --box"),
        (["refer", "x", "--image", "IMAGE", "--box", "1,2,3"], "four numbers"),
        (["refer", "x", "--image", "IMAGE", "--box", "10,20,30,40"], "not pixels"),
        (["refer", "x", "--image", "IMAGE", "--box", "0.5,0.1,0.2,0.3"], "x1 must be less"),
        (["refer", "x", "--image", "IMAGE", "--box", "0.5,0.1,nan,0.3"], "four numbers"),
        (["chat", "--image", "IMAGE"], "there is no TEXT"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(run, image, args, message):
    code, out, err = run(*[image if arg == "IMAGE" else arg for arg in args])
    assert code == 2 and out == ""
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert "Traceback" not in err


def test_not_a_model_directory(run, image, tmp_path):
    code, _, err = run("ocr", image, "--model", str(tmp_path))
    assert code == 2 and "config.json" in err


def test_hub_that_cannot_be_reached(image, tmp_path):
    code = f"from varco_vision.cli.main import main\nmain(['ocr', {image!r}, '--model', 'nobody/nothing'])"
    env = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 2
    assert "error: cannot fetch the model nobody/nothing" in done.stderr and "Traceback" not in done.stderr


def test_interrupt(monkeypatch, image):
    monkeypatch.setattr(common, "load_pictures", lambda files: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(SystemExit) as caught:
        main(["chat", "--image", image, "?"])
    assert caught.value.code == 130


def test_programming_errors_are_not_hidden(monkeypatch, image):
    monkeypatch.setattr(common, "load_pictures", lambda files: (_ for _ in ()).throw(ValueError("ours")))
    with pytest.raises(ValueError, match="ours"):
        main(["chat", "--image", image, "?"])


def test_chat_json(run, image, model):
    code, out, err = run(
        "chat", "--image", image, image, "--model", model, "--max-new-tokens", "5", "--json", "비교해줘"
    )
    assert code == 0, err
    values = json.loads(out)
    wanted = {"text", "raw", "objects", "truncated", "stop_reason", "confidence", "image_tokens", "model"}
    assert wanted <= set(values)
    assert values["image_tokens"] == 2 * 17, "both pictures arrived, in one view each"
    assert values["model"] == model and values["new_tokens"] <= 5


def test_chat_reads_stdin_and_notes_go_to_stderr(run, model):
    code, out, err = run("chat", "--model", model, "--max-new-tokens", "3", stdin="안녕하세요\n")
    assert code == 0 and "loading" in err and "loading" not in out
    again = run("chat", "안녕하세요", "--model", model, "--max-new-tokens", "3")
    assert again[1] == out


def test_refer_draws_the_box_that_was_asked_about(run, image, model, tmp_path):
    target = tmp_path / "drawn.png"
    args = ["--image", image, "--model", model, "--max-new-tokens", "2", "--draw", str(target)]
    code, _, err = run("refer", "What is this object?", "--box", "0.2,0.2,0.8,0.9", *args)
    assert code == 0 and "drawn.png" in err
    drawn = Image.open(target)
    assert drawn.size == (90, 60)
    assert drawn.getpixel((18, 40)) == (0, 114, 178)


@pytest.mark.parametrize("form", ["json", "hocr", "text"])
def test_ocr_of_several_files(run, image, model, form):
    code, out, err = run("ocr", image, image, "--model", model, "--max-new-tokens", "4", "--format", form)
    assert code == 0 and "2 of 2" in err
    if form == "json":
        pages = json.loads(out)
        assert [(p["width"], p["height"], p["image"], p["model"]) for p in pages] == [(90, 60, "그림 1.png", model)] * 2
        assert {"words", "text", "raw", "stop_reason", "confidence"} <= set(pages[0])
    elif form == "hocr":
        assert sum(e.get("class") == "ocr_page" for e in ET.fromstring(out).iter()) == 2
    else:
        assert out.count("== 그림 1.png ==") == 2


def test_ocr_json_of_one_file_is_one_object(run, image, model):
    code, out, _ = run("ocr", "--image", image, "--model", model, "--max-new-tokens", "4", "--json")
    assert code == 0 and json.loads(out)["words"] == []


def test_conversation_remembers(capsys):
    calls = []

    class Vision:
        def chat(self, pictures, text, history, max_new_tokens):
            calls.append((text, [question for question, _ in history]))
            return Answer(f"to {text}", "", [], [], False, "end", 1.0, 0)

    lines = iter(["one", "  ", "two", "/exit", "never"])
    chat.converse(Vision(), [], lambda: next(lines), 8)
    assert calls == [("one", []), ("two", ["one"])]
    assert capsys.readouterr().out == "to one\nto two\n"


def test_images_are_spread(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scan").touch()
    spread = common.spread_images(["--image", "a.png", "b.JPG", "scan", "what is it.png ?", "--json", "c.png"])
    assert spread == [
        *("--image", "a.png", "--image", "b.JPG", "--image", "scan"),
        *("what is it.png ?", "--json", "c.png"),
    ]
    assert common.spread_images(["--image", "x", "text"]) == ["--image", "x", "text"]
    assert common.spread_images(["--image", "a.png", "--", "b.png"]) == ["--image", "a.png", "--", "b.png"]
    assert common.spread_images(["--image"]) == ["--image"]


def test_parse_box():
    assert common.parse_box("0.1, 0.2,0.5,1") == Box(0.1, 0.2, 0.5, 1)


def test_doctor(run):
    code, out, _ = run("doctor", "--json")
    report = json.loads(out)
    parts = {check["part"]: check for check in report["checks"]}
    assert code == 0 and report["ok"]
    assert {"python", "torch", "transformers", "device", "default model", "Korean fonts", "tensorboard"} <= set(parts)
    assert all(check["adds"] and check["install"] for check in report["checks"] if check["status"] == "optional")
    code, out, _ = run("doctor")
    assert code == 0 and "everything that is needed is there" in out


def test_doctor_knows_every_extra():
    """What the package can be installed with, and what its lines of installing bring, is the same."""
    declared = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        extra: {re.split(r"[\[<>=~!]", need)[0] for need in needs}
        for extra, needs in declared["optional-dependencies"].items()
    }
    optional = set().union(*(needs for extra, needs in extras.items() if extra != "dev"))
    assert optional - {"opencv-python-headless"} <= set(doctor.EXTRAS), "the one left out is there for cleval alone"
    for name, (_, install) in doctor.EXTRAS.items():
        if found := re.search(r"varco-vision-open\[(\w+)\]", install):
            assert name in extras[found[1]], f"{install} does not bring {name}"


def test_doctor_fails_when_a_core_part_is_missing_or_old(run, monkeypatch):
    versions = {"transformers": None, "torch": "2.9.1+cpu"}
    real = doctor._version
    monkeypatch.setattr(
        doctor, "_version", lambda name: versions.get(name, real(name)) if name in versions else real(name)
    )
    code, out, _ = run("doctor", "--json")
    status = {check["part"]: (check["status"], check["found"]) for check in json.loads(out)["checks"]}
    assert code == 1
    assert status["transformers"] == ("missing", "not installed")
    assert status["torch"] == ("missing", "2.9.1+cpu, older than 2.11")
    assert doctor.numbers("2.13.0a1") == (2, 13) and doctor.numbers("5.17") < doctor.numbers("5.17.1")


def test_doctor_without_fonts(run, monkeypatch):
    from varco_vision.synth import fonts

    monkeypatch.setattr(fonts, "korean_fonts", lambda: (_ for _ in ()).throw(InputError("no font with Hangul")))
    code, out, _ = run("doctor")
    assert code == 0 and "no font with Hangul" in out and "fonts-nanum" in out
