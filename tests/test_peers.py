"""The recorded outputs against the programs themselves, where those are installed (`.ci/peers` installs them).

What the other tests compare ours with was written down once; here it is asked for again, so that a recording cannot
drift from the version it names.
"""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path

import choice_cases
import metric_cases
import pytest

pytestmark = pytest.mark.slow
SCRIPTS = Path(__file__).parent.parent / "scripts"


def script(name):
    """A program of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def choice(tmp_path_factory):
    pytest.importorskip("lmms_eval", reason="lmms-eval is not installed (.ci/peers installs it)")
    patch = pytest.MonkeyPatch()
    patch.setenv("API_TYPE", "dummy")
    patch.syspath_prepend(str(Path(__file__).parent))
    module = script("record_choice_goldens")
    module.logging_off()
    yield module
    patch.undo()


def test_lmms_eval_is_the_version_of_the_recording(choice):
    assert metadata.version("lmms-eval") == choice_cases.load()["of"]["lmms-eval"]


def test_lmms_eval_reads_letters_as_recorded(choice):
    recorded = choice_cases.load()["readers"]
    found = choice.lmms_readers()
    assert set(found) == {"lmms", "k_mmstar", "k_seed", "k_dtcbench", "lmms-mmbench"}
    assert all(len(letters) >= 10_000 for letters in found.values())
    assert {name: letters == recorded[name] for name, letters in found.items()} == dict.fromkeys(found, True)


def test_lmms_eval_averages_as_recorded(choice):
    recorded = choice_cases.load()
    assert choice.lmms_circular() == recorded["circular"]
    assert choice.lmms_macro() == pytest.approx(recorded["macro"], abs=1e-12)


def test_lmms_eval_asks_as_recorded(choice):
    assert choice.lmms_prompts() == choice_cases.load()["prompts"]


def test_lmms_eval_reads_boxes_as_recorded(choice, monkeypatch):
    kept = {}
    module = script("record_metric_goldens")
    monkeypatch.setattr(module.cases, "store", lambda name, of, made, outputs: kept.update({name: outputs}))
    module.refcoco(Path())
    assert len(kept["refcoco"]) >= 10_000 and kept["refcoco"] == metric_cases.load("refcoco")["outputs"]
