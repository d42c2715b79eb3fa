"""What is frozen costs nothing and does not move; what is kept on the disk equals what would be computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import write_tiny
from train_tools import losses, make_stage, same_course, set_up, steps, use_pictures

from varco_vision.errors import InputError
from varco_vision.model.checkpoint import Loaded, load
from varco_vision.train.optimizer import make_optimizer


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def fresh(directory: Path) -> Loaded:
    return load(directory, device="cpu")


def test_frozen_parts_have_no_optimizer_state_and_do_not_move(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    loaded = fresh(directory)
    before = {n: p.detach().clone() for n, p in loaded.model.named_parameters()}
    setup = set_up(loaded, make_stage(trainable=("projector", "newline")), tmp_path)
    optimizer = make_optimizer(setup.task.named_parameters(), setup.stage, setup.task.part_of)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    steps(setup)
    for name, parameter in loaded.model.named_parameters():
        moves = "multi_modal_projector" in name or "image_newline" in name
        assert (id(parameter) in held) == moves, name
        assert torch.equal(parameter, before[name]) != moves, name
        assert (parameter.grad is None) or moves, name


@pytest.mark.parametrize("trainable", [("projector", "newline"), ("language",)])
def test_kept_features_give_the_same_course_and_are_encoded_once(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainable: tuple[str, ...]
) -> None:
    use_pictures(monkeypatch)
    plain = losses(steps(set_up(fresh(directory), make_stage(trainable=trainable), tmp_path)))
    setup = set_up(fresh(directory), make_stage(trainable=trainable, cache_features=True), tmp_path)
    assert setup.task.store.projected == ("projector" not in trainable)
    same_course(plain, losses(steps(setup)), largest=1e-5)
    views = setup.task.store.encoded
    assert 0 < views < setup.task.store.read + views
    again = set_up(fresh(directory), make_stage(trainable=trainable, cache_features=True), tmp_path)
    same_course(plain, losses(steps(again)), largest=1e-5)
    assert again.task.store.encoded == 0 and again.task.store.read > 0


def test_kept_features_survive_a_torn_write(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_pictures(monkeypatch)
    stage = make_stage(trainable=("language",), cache_features=True)
    plain = losses(steps(set_up(fresh(directory), stage, tmp_path)))
    values = next((tmp_path / "features").glob("*.bin"))
    values.write_bytes(values.read_bytes()[:-10])
    keys = values.with_suffix(".keys")
    keys.write_text(keys.read_text() + "abc")
    setup = set_up(fresh(directory), stage, tmp_path)
    same_course(plain, losses(steps(setup)), largest=1e-5)
    assert setup.task.store.encoded == 1


def test_other_weights_do_not_read_kept_features(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    stage = make_stage(trainable=("language",), cache_features=True)
    steps(set_up(fresh(directory), stage, tmp_path), 1)
    other = fresh(directory)
    with torch.no_grad():
        other.model.model.multi_modal_projector.linear_1.bias.add_(1e-3)
    setup = set_up(other, stage, tmp_path)
    assert setup.task.store.places == {}


def test_kept_features_leave_room_on_the_disk(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import namedtuple

    from varco_vision.train import features

    use_pictures(monkeypatch, text_every=100)
    setup = set_up(fresh(directory), make_stage(trainable=("language",), cache_features=True), tmp_path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(features.shutil, "disk_usage", lambda path: usage(1, 1, 10_000))
    with pytest.raises(InputError, match="make room, or set cache_features to false"):
        steps(setup, 1)


def test_a_trained_tower_has_no_features_to_keep() -> None:
    with pytest.raises(InputError, match="cache_features needs a tower that does not train"):
        make_stage(cache_features=True)
