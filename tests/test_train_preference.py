"""Preferences: a common start, a reference that is kept, a prefix that is shared, and variants that do what they say."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import write_tiny
from torch.nn import functional as F
from train_tools import WORLD, Pictures, losses, make_stage, same_course, set_up, steps, use_pictures

from varco_vision.data.collate import collate
from varco_vision.data.pack import documents
from varco_vision.model.checkpoint import Loaded, load
from varco_vision.train import metrics
from varco_vision.train import setup as setting
from varco_vision.train.feed import Feed
from varco_vision.train.preference import PreferenceTask, ReferenceStore, answer_keys
from varco_vision.train.recipe import StageRecipe
from varco_vision.train.stage import preference_text, train_stage


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    use_pictures(monkeypatch)


def fresh(directory: Path) -> Loaded:
    return load(directory, device="cpu")


def pairs(**changes: object) -> StageRecipe:
    base = {"kind": "preference", "stage": 4, "trainable": ("language",), "learning_rate": 1e-4, "steps": 4}
    return make_stage(**{**base, **changes})


def test_the_start_is_ln_2_and_the_kept_reference_is_the_live_one(directory: Path, tmp_path: Path) -> None:
    setup = set_up(fresh(directory), pairs(), tmp_path)
    live = PreferenceTask(setup.loaded.model, setup.task.feed, setup.stage, setup.loaded.mean, setup.loaded.std)
    for batch in Feed(setup.stage, setup.loaded, 0, WORLD, digest=answer_keys).batches():
        for key, value in live.measure(batch).items():
            assert setup.task.reference[key] == pytest.approx(value, abs=1e-5)
    first = steps(setup, 1)[0]
    assert first.terms["pair"] == pytest.approx(math.log(2), abs=1e-5)
    assert first.details["margin"] == pytest.approx(0, abs=1e-5)


def test_a_shared_prefix_equals_separate_sequences(directory: Path, tmp_path: Path) -> None:
    """The picture goes through the tower once a pair, and each answer has the log-probability that it has alone."""
    setup = set_up(fresh(directory), pairs(), tmp_path)
    feeding = next(iter(setup.task.feed.streams.values())).feeding
    group = Pictures(pairs=True).group(1)
    (document,), _ = documents(group[:1], feeding, 2000)
    side = setup.loaded.anyres.side
    together = collate([[document]], 0, side)
    assert len(document.branches) == 2 and len(together.views_VTTC) == len(document.views_VTTC)
    together.keys = answer_keys([document])
    joint = list(setup.task.measure(together).values())
    for branch, value in zip(document.branches, joint, strict=True):
        alone = type(document)(**{**vars(document), "branches": (branch,)})
        batch = collate([[alone]], 0, side)
        batch.keys = answer_keys([alone])
        assert list(setup.task.measure(batch).values())[0] == pytest.approx(value, abs=1e-4)
        assert batch.keys[0] in together.keys


def test_the_reference_is_computed_once_for_runs_that_share_it(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    real = PreferenceTask.measure
    monkeypatch.setattr(PreferenceTask, "measure", lambda self, batch: measured.append(1) or real(self, batch))
    shared = str(tmp_path / "shared")
    a = losses(steps(set_up(fresh(directory), pairs(reference_cache=shared), tmp_path / "a")))
    count = len(measured)
    b = losses(steps(set_up(fresh(directory), pairs(reference_cache=shared), tmp_path / "b")))
    assert count and len(measured) == count
    assert torch.equal(a, b)
    other = fresh(directory)
    with torch.no_grad():
        other.model.lm_head.weight.mul_(1.01)
    set_up(other, pairs(reference_cache=shared), tmp_path / "c")
    assert len(measured) > count, "other weights have another reference"


def test_a_half_written_reference_is_gone_on_with(tmp_path: Path) -> None:
    store = ReferenceStore(tmp_path, "m", 0)
    store.add({"a": -1.0, "b": -2.0})
    store.close()
    path = next(tmp_path.glob("*.jsonl"))
    path.write_text(path.read_text()[:-6])
    again = ReferenceStore(tmp_path, "m", 0)
    assert again.values == {"a": -1.0} and again.missing(["a", "b"])
    again.add({"b": -2.0})
    again.close()
    assert ReferenceStore.read(tmp_path, "m") == {"a": -1.0, "b": -2.0}


def test_keys_change_with_all_that_the_value_depends_on(directory: Path, tmp_path: Path) -> None:
    setup = set_up(fresh(directory), pairs(), tmp_path)
    feeding = next(iter(setup.task.feed.streams.values())).feeding
    group = Pictures(pairs=True).group(1)

    def keys(**changes: object) -> list[str]:
        made, _ = documents(group[:1], type(feeding)(**{**vars(feeding), **changes}), 2000)
        return answer_keys(made)

    known = keys()
    assert keys() == known and len(set(known)) == 2
    assert not set(keys(single_view=True)) & set(known)
    assert not set(keys(anyres=feeding.anyres.limited(2))) & set(known)
    one_view = keys(single_view=True)
    assert not set(keys(single_view=True, pad_colour=(0, 0, 0))) & set(one_view), "other pixels"


def test_kept_projector_outputs_change_nothing(directory: Path, tmp_path: Path) -> None:
    plain = losses(steps(set_up(fresh(directory), pairs(), tmp_path / "a")))
    setup = set_up(fresh(directory), pairs(cache_features=True), tmp_path / "b")
    encoded = setup.task.store.encoded
    same_course(plain, losses(steps(setup)), largest=1e-5)
    assert encoded and setup.task.store.encoded == encoded, "training reads what the reference pass encoded"


@pytest.mark.parametrize("normalised", [False, True])
def test_variants_are_their_formulas(directory: Path, tmp_path: Path, normalised: bool) -> None:
    stage = pairs(reference_free=True, length_normalised=normalised, margin=0.3, beta=0.7, sft_weight=0.5)
    setup = set_up(fresh(directory), stage, tmp_path)
    assert not (tmp_path / "s" / "reference.json").exists()
    batch = setup.task.batches(0)[0]
    sums, _ = setup.task.sums(batch)
    plain, _ = setup.task.forward(batch)
    value = []
    for answer in range(len(batch.samples)):
        own = -plain[batch.sequence_S == answer]
        value.append(own.mean() if normalised else own.sum())
    gaps = torch.stack([value[n] - value[n + 1] for n in range(0, len(value), 2)])
    assert sums[0].item() == pytest.approx(-F.logsigmoid(0.7 * gaps - 0.3).sum().item(), rel=1e-5)
    chosen = sum(plain[batch.sequence_S == n].sum() for n in range(0, len(value), 2))
    assert sums[1].item() == pytest.approx(chosen.item(), rel=1e-5)


def test_reference_pass_leaves_the_feed_of_training_alone(directory: Path, tmp_path: Path) -> None:
    setup = set_up(fresh(directory), pairs(), tmp_path)
    assert setup.task.feed.steps is None and setup.task.feed.samples == 0
    assert setting.PreferenceTask is type(setup.task)


@pytest.mark.parametrize("normalised", [False, True])
def test_what_is_told_is_nats_a_token_by_answer_and_task(directory: Path, tmp_path: Path, normalised: bool) -> None:
    setup = set_up(fresh(directory), pairs(length_normalised=normalised, beta=0.5), tmp_path)
    with torch.no_grad():
        setup.loaded.model.lm_head.weight.mul_(1.1)
    batch = setup.task.batches(0)[0]
    tasks = ["count" if n % 4 < 2 else "vqa" for n in range(len(batch.tasks))]  # every second pair is of another kind
    kinds_B = torch.tensor([sorted(set(tasks)).index(task) for task in tasks])
    batch = replace(batch, tasks=tasks, kinds_B=kinds_B)
    _, details = setup.task.sums(batch)
    means = {key: float(total) / float(count) for key, (total, count) in details.items()}
    plain, _ = setup.task.forward(batch)
    answers = range(len(batch.samples))
    own = [-plain[batch.sequence_S == n].detach() for n in answers]
    change = [own[n].sum().item() - setup.task.reference[batch.keys[n]] for n in answers]

    def told(values: list[float], places: list[int]) -> float:
        return sum(values[n] for n in places) / sum(len(own[n]) for n in places)

    chosen, rejected = list(answers[0::2]), list(answers[1::2])
    assert means["chosen"] == pytest.approx(told([o.sum().item() for o in own], chosen), rel=1e-4)
    assert means["rejected"] == pytest.approx(told([o.sum().item() for o in own], rejected), rel=1e-4)
    assert means["chosen_change"] == pytest.approx(told(change, chosen), rel=1e-3) != 0
    assert means["rejected_change"] == pytest.approx(told(change, rejected), rel=1e-3)
    for task in ("count", "vqa"):
        places = [n for n in chosen if batch.tasks[n] == task]
        assert means[f"chosen_change_{task}"] == pytest.approx(told(change, places), rel=1e-3)
        size = (lambda n: len(own[n])) if normalised else (lambda n: 1)
        gaps = [0.5 * (change[n] / size(n) - change[n + 1] / size(n + 1)) for n in places]
        assert means[f"margin_{task}"] == pytest.approx(sum(gaps) / len(gaps), rel=1e-3)
        assert means[f"accuracy_{task}"] == pytest.approx(sum(g > 0 for g in gaps) / len(gaps))


def test_without_a_reference_nothing_is_said_of_it(directory: Path, tmp_path: Path) -> None:
    setup = set_up(fresh(directory), pairs(reference_free=True), tmp_path)
    _, details = setup.task.sums(setup.task.batches(0)[0])
    assert {"chosen", "rejected", "accuracy_vqa"} <= set(details) and "chosen_change" not in details


def test_a_stage_says_where_it_went_and_warns_when_chosen_answers_fall(directory: Path, tmp_path: Path) -> None:
    stage = pairs(steps=6, learning_rate=3e-3)
    setup, said = set_up(fresh(directory), stage, tmp_path), []
    result = train_stage(setup.task, stage, tmp_path / "s", WORLD, ([], []), False, False, said.append)
    last = metrics.read(tmp_path / "s" / "metrics.jsonl")[-1]
    assert result.preference["chosen_change"] == pytest.approx(last["chosen_change"])
    assert {"accuracy", "margin", "chosen_change_vqa", "rejected_change"} <= set(result.preference)
    assert any("of the pairs go the right way" in line for line in said)
    means = {"accuracy": 0.9, "margin": 1.0, "chosen_change": 0.1, "rejected_change": -1.0}
    assert len(preference_text(means)) == 1 and preference_text({}) == []
    fallen = {**means, "chosen_change_count": -0.2, "chosen_change_ocr": -0.3, "chosen_change_vqa": 0.4}
    assert "(ocr -0.300, count -0.200)" in preference_text(fallen)[1]
    assert "sft_weight" in preference_text({**means, "chosen_change": -0.1})[1]
