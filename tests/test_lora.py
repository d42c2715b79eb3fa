"""Adapters: they start as nothing, train alone, merge exactly, and load in plain peft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import write_tiny
from train_tools import losses, make_stage, same_course, set_up, steps, use_pictures

from varco_vision.errors import InputError
from varco_vision.markup import MARKERS
from varco_vision.model.adapters import merge_saved
from varco_vision.model.checkpoint import Loaded, load, save
from varco_vision.model.packed import supervised_logits
from varco_vision.train.recipe import LoraRecipe

peft = pytest.importorskip("peft", reason="adapters need the extra 'train'")
from peft.tuners.tuners_utils import BaseTunerLayer  # noqa: E402


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def fresh(directory: Path) -> Loaded:
    return load(directory, device="cpu")


def lora(**ranks: int) -> dict[str, LoraRecipe]:
    return {part: LoraRecipe(rank=rank, alpha=2.0 * rank) for part, rank in ranks.items()}


@pytest.mark.parametrize("parts", [("language",), ("tower",), ("projector",), ("tower", "projector", "language")])
def test_only_adapters_and_marker_rows_train(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: tuple[str, ...]
) -> None:
    use_pictures(monkeypatch)
    loaded = fresh(directory)
    first = losses(steps(set_up(fresh(directory), make_stage(), tmp_path), 1))
    setup = set_up(loaded, make_stage(trainable=(), lora=lora(**dict.fromkeys(parts, 4)), train_markers=True), tmp_path)
    before = {n: p.detach().clone() for n, p in loaded.model.named_parameters()}
    assert losses(steps(setup, 1))[0] == pytest.approx(first[0].item(), abs=1e-5), "adapters begin as nothing"
    steps(setup)
    names = {"tower": "vision_tower", "projector": "multi_modal_projector", "language": "language_model"}
    for name, parameter in loaded.model.named_parameters():
        adapter = "lora_" in name
        assert parameter.requires_grad == (adapter or "trainable_tokens" in name), name
        assert not adapter or any(names[part] in name for part in parts), name
        if not parameter.requires_grad:
            assert torch.equal(parameter, before[name]), name
        elif "lora_B" in name:
            assert not torch.equal(parameter, before[name]), name


def test_merged_equals_unmerged_and_the_saved_adapter_merges_to_the_same(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    loaded = fresh(directory)
    stage = make_stage(trainable=(), lora=lora(tower=2, projector=3, language=4), train_markers=True, steps=50)
    setup = set_up(loaded, stage, tmp_path)
    steps(setup)
    batch = setup.task.feed.batches()[0]
    loaded.model.eval()
    with torch.no_grad():
        unmerged = supervised_logits(loaded.model, batch, loaded.mean, loaded.std)
        merged = setup.finished(tmp_path / "adapter")
        after = supervised_logits(merged.model, batch, loaded.mean, loaded.std)
    assert torch.allclose(unmerged, after, atol=2e-4)
    assert not any("lora" in name for name, _ in merged.model.named_parameters())
    again = merge_saved(fresh(directory).model, tmp_path / "adapter")
    for name, value in merged.model.state_dict().items():
        assert torch.allclose(value, again.state_dict()[name], atol=1e-6), name
    save(merged, tmp_path / "merged")
    assert load(tmp_path / "merged", device="cpu").model is not None


def test_merged_and_unmerged_go_the_same_course(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of every step of 50, also taken with the adapters merged into the weights as they were then."""
    use_pictures(monkeypatch)
    stage = make_stage(trainable=(), lora=lora(tower=2, projector=3, language=4), train_markers=True, steps=50)
    setup = set_up(fresh(directory), stage, tmp_path)
    layers = [m for m in setup.loaded.model.modules() if isinstance(m, BaseTunerLayer)]
    real = setup.task.sums
    plain: list[float] = []
    merged: list[float] = []
    moved: list[float] = []

    def both(batch: Any) -> Any:
        kept = [layer.get_base_layer().weight.detach().clone() for layer in layers]
        for layer in layers:
            layer.merge()
        with torch.no_grad():
            merged.append(real(batch)[0].item() / len(batch.targets_S))
        for layer, weight in zip(layers, kept, strict=True):
            moved.append((layer.get_base_layer().weight - weight).abs().max().item())
            layer.unmerge()
            layer.get_base_layer().weight.data.copy_(weight)
        found = real(batch)
        plain.append(found[0].item() / len(batch.targets_S))
        return found

    monkeypatch.setattr(setup.task, "sums", both)
    course = losses(steps(setup))
    assert course[0] - course[-1] > 0.1 and min(moved[-len(layers) :]) > 1e-4, "it learns, in every adapted layer"
    same_course(torch.tensor(plain, dtype=torch.float64), torch.tensor(merged, dtype=torch.float64), largest=1e-5)


def test_marker_rows_move_and_no_other_row_does(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    loaded = fresh(directory)
    ids = loaded.tokenizer.convert_tokens_to_ids(list(MARKERS))
    before = loaded.model.get_input_embeddings().weight.detach().clone()
    setup = set_up(loaded, make_stage(trainable=("projector",), train_markers=True, weight_decay=0.5), tmp_path)
    steps(setup)
    after = setup.finished().model.get_input_embeddings().weight
    moved = {n for n in range(len(before)) if not torch.equal(before[n], after[n])}
    assert moved == set(ids)


def test_full_training_of_one_part_goes_beside_adapters_on_another(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    stage = make_stage(trainable=("projector", "newline"), lora=lora(language=4))
    a = losses(steps(set_up(fresh(directory), stage, tmp_path)))
    b = losses(steps(set_up(fresh(directory), stage, tmp_path)))
    same_course(a, b, largest=1e-12)
    assert a[-1] != a[0]


def test_wrong_adapters_are_one_sentence(directory: Path, tmp_path: Path) -> None:
    for changes, message in [
        ({"lora": lora(language=4)}, "stands in both 'trainable' and 'lora'"),
        ({"lora": lora(newline=4), "trainable": ()}, "adapters go on tower, projector, language"),
        ({"train_markers": True}, "frozen or under lora"),
    ]:
        with pytest.raises(InputError, match=message):
            make_stage(**changes)
    with pytest.raises(InputError, match="rank must be at least 1"):
        lora(language=0)
    with pytest.raises(InputError, match="holds no adapter"):
        merge_saved(fresh(directory).model, tmp_path)
