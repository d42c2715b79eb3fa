"""What the documents say is true: links lead somewhere, commands and examples run, both READMEs say the same."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import typer
import yaml
from PIL import Image, ImageChops
from tiny import write_tiny
from typer.core import TyperGroup

from varco_vision.cli.main import VERBS, app, main
from varco_vision.model import checkpoint
from varco_vision.train import recipe as recipes

ROOT = Path(__file__).parent.parent
READMES = (ROOT / "README.md", ROOT / "README.ko.md")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "recipes").glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHIPPED = ROOT / "src" / "varco_vision" / "default_model"
ANSWERING = ("chat", "ground", "refer", "ocr")
TRAINING = ("train", "demo")
DEFAULT_PATH = checkpoint.default_path


def blocks(path: Path, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(path.read_text(encoding="utf-8")) if name == language]


def lines(path: Path) -> list[str]:
    """Command lines of the bash blocks, without comments."""
    found = [line.strip() for block in blocks(path, "bash") for line in block.splitlines()]
    return [line for line in found if line and not line.startswith("#")]


def commands(training: bool) -> list[str]:
    """Different `varco-vision` lines of all documents; a torchrun line counts as the command that it starts."""
    found: dict[str, None] = {}
    for path in DOCUMENTS:
        for line in lines(path):
            line = re.sub(r"^torchrun .*-m varco_vision\.cli\.main ", "varco-vision ", line)
            if line.startswith("varco-vision ") and (line.split()[1] in TRAINING) == training:
                found.setdefault(line)
    return list(found)


# --- the text itself -----------------------------------------------------------------------------------------------


def tracked() -> list[Path]:
    """Files under version control or about to be; without git those of the folders that hold the project."""
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        folders = ("src", "tests", "docs", "recipes", "examples", "scripts")
        inside = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file()]
        return [p for p in [*DOCUMENTS, *inside] if "__pycache__" not in p.parts]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(path: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.partition("#")[0]).exists(), f"{path.name} links to {target}"


def test_documents_have_no_open_places() -> None:
    for path in DOCUMENTS:
        assert not re.findall(r"@@\w+@@", path.read_text(encoding="utf-8")), path.name


def test_nothing_tracked_speaks_of_where_it_was_made() -> None:
    parts = ("ses" + "sions?", "hel" + "pers?", "sub" + "agents?")
    banned = re.compile(rf"\b(?:{'|'.join(parts)})\b|(?<![\w.])/wo" + r"rk\b|/tmp/sp" + "ec", re.IGNORECASE)
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or weights
        assert not (found := banned.search(text)), f"{path.relative_to(ROOT)}: {found[0]}"


def test_documents_named_in_the_code_exist() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        for name in re.findall(r"(?:docs|recipes)/[\w.]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{path.name} names {name}"


def test_licence_is_the_one_declared() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_drawing_is_readable_by_machines_and_in_the_dark() -> None:
    path = ROOT / "docs" / "data-flow.svg"
    root = ET.parse(path).getroot()
    assert root.find("{*}title").text and root.find("{*}desc").text
    assert "prefers-color-scheme:dark" in path.read_text(encoding="utf-8")


# --- both languages ------------------------------------------------------------------------------------------------


def test_both_readmes_have_the_same_sections_and_commands() -> None:
    english, korean = READMES
    headings = [re.findall(r"^#+ ", FENCE.sub("", p.read_text(encoding="utf-8")), re.MULTILINE) for p in READMES]
    assert headings[0] == headings[1] and len(headings[0]) > 10
    assert lines(english) == lines(korean)
    assert blocks(english, "json") == blocks(korean, "json")
    code = [[re.sub(r"\s*#.*", "", block) for block in blocks(p, "python")] for p in READMES]
    assert code[0] == code[1] and code[0]
    assert len(blocks(english, "text")) == len(blocks(korean, "text"))


def test_both_readmes_give_the_same_results() -> None:
    tables = []
    for path in READMES:
        lines_ = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
        cells = [[cell.strip() for cell in line.strip("|").split("|")[1:]] for line in lines_]
        tables.append([row for row in cells if any(re.search(r"\d", cell) for cell in row)])  # heads have no numbers
    assert tables[0] == tables[1] and len(tables[0]) >= 8


def test_readme_speaks_of_things_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in READMES:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"`(test_\w+)`", text):
            assert (ROOT / "tests" / f"{name}.py").is_file(), name
        for name in re.findall(r"^  (\w+(?:\.py|/)) ", text, re.MULTILINE):
            assert (ROOT / "src" / "varco_vision" / name).exists(), name
        for target in re.findall(r"(?<!data )\bmake ([a-z-]+)", text):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_key_of_a_recipe_is_explained() -> None:
    text = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
    kinds = (
        recipes.Recipe, recipes.ModelRecipe, recipes.VisionRecipe, recipes.TextRecipe, recipes.SourceRecipe,
        recipes.StageRecipe,
    )  # fmt: skip
    for kind in kinds:
        for field in dataclasses.fields(kind):
            assert f"`{field.name}`" in text, f"{kind.__name__}.{field.name}"
    stage = text.partition("### A stage")[2].partition("\n## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) \|", stage, re.MULTILINE))
    for field in dataclasses.fields(recipes.StageRecipe):
        if isinstance(field.default, bool):
            assert told[field.name] == str(field.default).lower(), field.name
        elif isinstance(field.default, int | float):
            assert float(told[field.name]) == field.default, field.name


def test_every_recipe_stands_in_the_table() -> None:
    text = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "recipes").glob("*.yaml"):
        assert f"[{path.name}]({path.name})" in text


# --- help ----------------------------------------------------------------------------------------------------------


def verbs() -> list[list[str]]:
    """Every verb, and every command of a verb that is a group."""
    group = typer.main.get_command(app)
    found = []
    for verb in (v for v in VERBS if v in group.commands):
        command = group.resolve_command(None, [verb])[1]
        inner = sorted(command.commands) if isinstance(command, TyperGroup) else []
        found += [[verb, name] for name in inner] or [[verb]]
    return found


@pytest.mark.parametrize("verb", verbs(), ids=" ".join)
def test_help_has_an_example_that_could_be_run(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*verb, "--help"])
    assert not stopped.value.code
    told = capsys.readouterr().out
    assert re.search(rf"Examples?:\s+varco-vision {' '.join(verb)}", told), told
    for name in re.findall(r"recipes/\w+\.yaml", told):
        assert (ROOT / name).is_file(), f"the help of {verb[0]} names {name}"


# --- running what is written ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples, the recipes (nano cut down to seconds) and the samples that the documents make."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    content = yaml.safe_load((folder / "recipes" / "nano.yaml").read_text(encoding="utf-8"))
    content["model"]["vision"] = {"width": 32, "layers": 2, "heads": 2, "mlp": 48}
    content["model"]["text"] = {"width": 32, "layers": 2, "heads": 2, "kv_heads": 1, "mlp": 48}
    content["model"]["merges"] = 200
    content["evaluation"].update(n_scenes=1, n_words=1, n_text=2)
    for stage in content["stages"]:
        stage.update(steps=2, rows=2, micro_rows=2, warmup=1)
    (folder / "recipes" / "nano.yaml").write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A random checkpoint where none is shipped; with a short context, since it never ends an answer."""
    if (SHIPPED / "config.json").exists():
        return None
    path = write_tiny(tmp_path_factory.mktemp("tiny") / "model")
    config = json.loads((path / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 400
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.fixture
def here(place: Path, stand_in: Path | None, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    monkeypatch.setattr(checkpoint, "default_path", lambda: stand_in or DEFAULT_PATH())
    return place


def run(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command line in this process, a redirection included; its standard output."""
    words = shlex.split(line)
    target = words[words.index(">") + 1] if ">" in words else None
    words = words[1 : words.index(">")] if target else words[1:]
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(words)
    out, err = capsys.readouterr()
    assert not stopped.value.code, f"{line}\n{err[-1500:]}"
    if target:
        Path(target).write_text(out, encoding="utf-8")
    return out


def script(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(words[0], run_name="__main__")


def test_the_promised_model_is_there() -> None:
    assert (SHIPPED / "config.json").exists(), "README.md says that the package holds a model"


@pytest.mark.parametrize("line", commands(training=False))
def test_commands_run(
    line: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "own/" in line:
        script(["examples/own_samples.py", "own/train.jsonl"], monkeypatch)
    out = run(re.sub(r"--own \d+", "--own 1", line), capsys)
    verb = line.split()[1]
    assert out.strip() or verb not in (*ANSWERING, "eval", "doctor") or not (SHIPPED / "config.json").exists()
    for name in re.findall(r"(?:--draw|--out|>) (\S+)", line):
        assert (here / name).exists(), name


@pytest.mark.parametrize("path", READMES, ids=lambda p: p.name)
def test_python_of_the_readme_runs(path: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(path, "python"):
        exec(compile(block, path.name, "exec"), {})
    assert capsys.readouterr().out.count("\n") >= 3


def test_json_of_the_documents_is_a_sample(here: Path) -> None:
    from varco_vision.data.sample import Sample, validate

    shown = [json.loads(block) for path in DOCUMENTS for block in blocks(path, "json")]
    assert len(shown) >= 3
    for data in shown:
        assert validate(Sample.from_dict(data)) == []


def test_examples_run(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    script(["examples/ask.py"], monkeypatch)
    assert {"refer", "ocr", "chat"} <= {line.split(" ->")[0] for line in capsys.readouterr().out.splitlines()}
    assert Image.open("grounded.png").size == (128, 128)


def test_pictures_of_the_examples_are_made_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = runpy.run_path("examples/make_pictures.py")
    kept = {name: Image.open(ROOT / "examples" / f"{name}.png").convert("RGB") for name in ("scene", "words")}
    assert ImageChops.difference(made["scene"](), kept["scene"]).getbbox() is None
    assert made["words"]().size == kept["words"].size  # the letters depend on the machine's fonts
    assert all((ROOT / "examples" / f"{name}.png").stat().st_size < 20_000 for name in kept)


@pytest.mark.parametrize("line", commands(training=True))
def test_training_commands_name_what_exists(line: str) -> None:
    words = shlex.split(line)[1:]
    command = typer.main.get_command(app).resolve_command(None, [words[0]])[1]
    given = command.make_context(words[0], words[1:]).params
    resolved = recipes.read(recipes.find(given["recipe"]), given["overrides"] or ())
    if own := next((s for s in resolved.stages if "own" in s.mixture), None):
        total = sum(source.weight for source in own.mixture.values())
        assert own.mixture["own"].weight / total == pytest.approx(0.2, abs=0.03), "the README calls it about a fifth"


@pytest.mark.slow
def test_training_commands_run(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them in the order in which they are written, with nano cut down to seconds."""
    monkeypatch.delitem(os.environ, "RANK", raising=False)
    script(["examples/own_samples.py", "own/train.jsonl"], monkeypatch)
    capsys.readouterr()
    told = set()
    for line in commands(training=True):
        short = re.sub(r"\.steps=\d+", ".steps=2", line).replace("text.width=96", "text.width=48")
        if "--show-labels" in short:
            continue  # shows rows and trains nothing
        folder = re.search(r"--out (\S+)", short)[1]
        if folder in told and "--resume" not in short:
            continue  # the same training with another wording
        told.add(folder)
        assert "written to" in run(f"{short} --processes 1", capsys)
        assert list((here / folder).glob("*/model/config.json")), line
