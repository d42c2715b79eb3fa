"""A run that is killed at any write goes on and ends with the same weights; a full disk is one sentence and loses nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from train_tools import borrowed

from varco_vision.errors import InputError
from varco_vision.train import state
from varco_vision.train.parallel import World
from varco_vision.train.recipe import read
from varco_vision.train.run import Run

WORLD = World(0, 1, torch.device("cpu"))
EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stages that keep features, references and two checkpoints: everything that a run writes."""
    folder = tmp_path_factory.mktemp("borrowed")
    content = borrowed(folder)
    pairs = []
    for line in (folder / "data.jsonl").read_text().splitlines():
        sample = json.loads(line)
        sample["rejected"] = [{"role": "assistant", "content": [{"type": "text", "text": "a red circle"}]}]
        sample["chosen"] = [sample["messages"].pop()]
        pairs.append(json.dumps(sample))
    (folder / "pairs.jsonl").write_text("\n".join(pairs) + "\n")
    often = {"steps": 5, "checkpoint_every": 1, "cache_features": True}
    first = {**content["stages"][0], **often}
    last = {**first, "name": "preference", "stage": 4, "kind": "preference", "trainable": ["language"]}
    last["mixture"] = {"own": {"source": str(folder / "pairs.jsonl")}}
    content["stages"] = [first, last]
    path = folder / "kills.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def train(recipe: Path, out: Path, resume: bool = False) -> None:
    Run(read(recipe), out, WORLD, resume=resume, show=False, say=lambda text: None).stages(1, 4)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "preference" / "model" / "model.safetensors")


def in_child(work: Callable[[], None]) -> int:
    """Exit status of `work` in a process of its own; minus the signal that killed it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            torch.set_num_threads(1)
            sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def watched(out: Path, kill_at: int, torn: bool, told: list[str] | None = None) -> None:
    """Kill this process at the `kill_at`-th change below `out`; `torn`: a file that is being written then holds a few bytes."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in EVENTS or not isinstance(arguments[0], str | os.PathLike):
            return
        path = os.fspath(arguments[0])
        if not path.startswith(str(out)):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        count += 1
        if told is not None:
            told.append(f"{event} {path.removeprefix(str(out))}")
        if count == kill_at:
            if torn and event == "open" and os.path.isdir(os.path.dirname(path)) and not os.path.isdir(path):
                end = os.O_APPEND if arguments[2] & os.O_APPEND else os.O_TRUNC
                file = os.open(path, os.O_WRONLY | os.O_CREAT | end)
                os.write(file, b'{"step"')
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run that nobody disturbs, and every change that it made to the disk."""
    out, noted = tmp_path_factory.mktemp("whole") / "run", tmp_path_factory.mktemp("told") / "events.json"

    def work() -> None:
        told: list[str] = []
        watched(out, -1, False, told)
        train(recipe, out)
        noted.write_text(json.dumps(told))

    assert in_child(work) == 0
    return out, json.loads(noted.read_text())


def kill_and_resume(recipe: Path, whole: Path, out: Path, at: int, torn: bool) -> None:
    def work() -> None:
        watched(out, at, torn)
        train(recipe, out)

    assert in_child(work) == -signal.SIGKILL
    assert in_child(lambda: train(recipe, out, resume=True)) == 0, at
    expected, found = weights(whole), weights(out)
    assert all(torch.equal(value, found[name]) for name, value in expected.items()), at
    left = sorted(str(p.relative_to(out)) for p in out.rglob("*") if ".writing" in p.name or p.name.startswith("step-"))
    assert not left, (at, left)
    for stage in ("alignment", "preference"):
        lines = [json.loads(line)["step"] for line in (out / stage / "metrics.jsonl").read_text().splitlines()]
        assert lines == list(range(5)), (at, stage)


SAMPLED = 7  # of all changes, in the default suite


@pytest.mark.parametrize("part", range(SAMPLED))
def test_killed_at_a_write_and_resumed_ends_with_the_same_weights(
    recipe: Path, whole: tuple[Path, list[str]], tmp_path: Path, part: int
) -> None:
    at = 1 + (2 * part + 1) * len(whole[1]) // (2 * SAMPLED)
    kill_and_resume(recipe, whole[0], tmp_path / "run", at, torn=bool(part % 2))


@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True])
def test_killed_at_every_write(recipe: Path, whole: tuple[Path, list[str]], tmp_path: Path, torn: bool) -> None:
    for at, event in enumerate(whole[1], start=1):
        if not torn or event.startswith("open"):
            kill_and_resume(recipe, whole[0], tmp_path / str(at), at, torn)


def test_no_more_checkpoints_stay_than_asked(whole: tuple[Path, list[str]]) -> None:
    there: set[str] = set()
    most = 0
    for event in whole[1]:
        kind, _, path = event.partition(" ")
        directory, _, name = path.rpartition("/")
        if kind == "os.rename" and name.startswith(".step-"):
            there.add(f"{directory}/{name.removeprefix('.').removesuffix('.writing')}")
        elif kind == "os.rename" and name.startswith("step-"):
            there.discard(path)
        most = max(most, len(there))
    assert most == 3, "the two that are kept, and the new one until the oldest is gone"
    assert not there, "a finished stage keeps none"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is how this machine can pretend a full disk")
@pytest.mark.parametrize("name", ["tensors.pt", "state.json"])
def test_a_disk_that_fills_up_during_a_write_is_one_sentence_and_loses_nothing(
    recipe: Path, whole: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    out, real = tmp_path / "run", state.begin

    def begin(directory: Path, step: int) -> Path:
        draft = real(directory, step)
        if step == 3:
            (draft / name).symlink_to("/dev/full")
        return draft

    monkeypatch.setattr(state, "begin", begin)
    with pytest.raises(InputError, match=r"the disk of .*run is full, in stage 'alignment'.* goes on from its step 2"):
        train(recipe, out)
    assert not list(out.rglob("*.writing")), "what was written so far does not take the room of the next try"
    monkeypatch.undo()
    train(recipe, out, resume=True)
    expected, found = weights(whole[0]), weights(out)
    assert all(torch.equal(value, found[n]) for n, value in expected.items())


def test_errors_that_mean_a_full_disk_are_known() -> None:
    plain = OSError(errno.ENOSPC, "No space left on device")
    wrapped = RuntimeError("I/O error: No space left on device (os error 28)")  # as safetensors tells it
    assert state.is_full(plain) and state.is_full(wrapped)
    try:
        try:
            raise plain
        except OSError:
            raise ValueError("the archive is broken") from None
    except ValueError as error:
        assert state.is_full(error)
    assert not state.is_full(OSError(errno.EACCES, "Permission denied")) and not state.is_full(ValueError("x"))


def test_a_directory_has_its_name_when_all_of_it_is_there(tmp_path: Path) -> None:
    def half(draft: Path) -> None:
        (draft / "a").write_text("1")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        state.write_directory(tmp_path / "d", half)
    assert list(tmp_path.iterdir()) == []
    for text in ("1", "2"):
        state.write_directory(tmp_path / "d", lambda draft, text=text: (draft / "a").write_text(text))
        assert (tmp_path / "d" / "a").read_text() == text and len(list(tmp_path.iterdir())) == 1
