"""Recipes, losses, schedules, mixtures and checkpoint files."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from varco_vision.data.source import PERIOD, Mixture, Repeated
from varco_vision.errors import InputError
from varco_vision.train import metrics, state
from varco_vision.train.loss import SoftNumbers, answer_log_probabilities, preference_loss, token_losses
from varco_vision.train.optimizer import make_optimizer, schedule
from varco_vision.train.recipe import SourceRecipe, StageRecipe, find, from_dict, read, to_dict

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def stage(**changes: object) -> StageRecipe:
    base = {
        "name": "s", "stage": 2, "steps": 100, "rows": 4, "learning_rate": 1e-3, "warmup": 10,
        "trainable": ("language",), "mixture": {"a": SourceRecipe(source="synth:text")},
    }  # fmt: skip
    return StageRecipe(**{**base, **changes})


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_parses_and_round_trips(path: Path) -> None:
    recipe = read(path)
    assert from_dict(to_dict(recipe)) == recipe
    assert recipe.name == path.stem


def test_recipes_exist_and_are_found_by_name() -> None:
    assert RECIPES
    assert find("nano") == ROOT / "recipes" / "nano.yaml" or find("nano").samefile(ROOT / "recipes" / "nano.yaml")
    with pytest.raises(InputError, match="no recipe nanoo: neither a file nor one of"):
        find("nanoo")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nmodle: {}\nstages: []", "unknown key 'modle'; did you mean 'model'"),
        ("name: x\nstages: []", "missing key 'model'"),
        ("[1, 2]", "holds no recipe"),
        ("name: [", "not valid YAML"),
    ],
)
def test_wrong_recipes_say_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read(path)


def test_overrides_reach_into_stages_by_name_and_are_checked() -> None:
    changed = read(RECIPES[0], ["stages.0.steps=3", "seed=9"])
    assert changed.stages[0].steps == 3 and changed.seed == 9
    name = changed.stages[-1].name
    assert read(RECIPES[0], [f"stages.{name}.learning_rate=1e-4"]).stages[-1].learning_rate == 1e-4
    for override, message in [
        ("seed", "has no '='"),
        ("stages.none.steps=1", "no member 'none'"),
        ("stages.0.stepz=1", "did you mean 'steps'"),
        ("stages.0.steps=many", "type int is needed"),
        ("stages.0.steps=0", "at least 1"),
    ]:
        with pytest.raises(InputError, match=message):
            read(RECIPES[0], [override])


def test_stage_faults_name_the_stage() -> None:
    with pytest.raises(InputError, match=r"stage 's'.*unknown part"):
        stage(trainable=("brain",))
    with pytest.raises(InputError, match="'trainable' is empty"):
        stage(trainable=())
    with pytest.raises(InputError, match="'mixture' is empty"):
        stage(mixture={})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lookahead": 0}, "lookahead must be at least 1, found 0"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1, found 0"),
        ({"keep_checkpoints": 0}, "keep_checkpoints must be at least 1, found 0"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"max_tiles": 0}, "max_tiles must be at least 1"),
        ({"workers": -1}, "workers must be at least 0, found -1"),
        ({"warmup": -5}, "warmup must be at least 0"),
        ({"learning_rate": -1.0}, r"learning_rate must be at least 0, found -1\.0"),
        ({"learning_rate": math.nan}, "learning_rate must be at least 0, found nan"),
        ({"learning_rate": math.inf}, "learning_rate must be at least 0, found inf"),
        ({"learning_rates": {"tower": -1e-5}}, "learning_rates.tower must be at least 0"),
        ({"clip": 0.0}, "clip must be above 0"),
        ({"beta": 0.0}, "beta must be above 0"),
        ({"betas": (0.9, 1.0)}, "betas must be at least 0 and below 1"),
        (
            {"mixture": {"a": SourceRecipe(source="a.jsonl", weight=0.0)}},
            r"mixture.a.weight must be above 0, found 0\.0",
        ),
        ({"name": "../x"}, "its name is the name of its folder"),
        ({"name": "features"}, "its name is the name of its folder"),
    ],
)
def test_numbers_that_mean_nothing_stop_before_anything_is_read(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        stage(**changes)


def test_soft_numbers_golden() -> None:
    logits = torch.zeros(2, 6)
    soft = SoftNumbers([1, 2, 3], sigma=1.0, vocabulary=6)
    losses = token_losses(logits, torch.tensor([2, 5]), soft)
    assert torch.allclose(losses, torch.full((2,), math.log(6)))
    logits[0, 1] = 2.0
    weight = math.exp(-0.5) / (1 + 2 * math.exp(-0.5))
    normal = math.log(5 + math.exp(2))
    expected = normal - weight * 2.0
    assert token_losses(logits, torch.tensor([2, 5]), soft)[0].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("softened", [False, True])
def test_loss_and_gradient_equal_the_composition_of_torch_functions(softened: bool) -> None:
    torch.manual_seed(3)
    logits = torch.randn(40, 50, dtype=torch.float32, requires_grad=True)
    targets, scale = torch.randint(0, 50, (40,)), torch.rand(40)
    soft = SoftNumbers(list(range(20, 45)), sigma=1.5, vocabulary=50) if softened else None
    one_hot = F.one_hot(targets, 50).float()
    if soft:
        for row, target in enumerate(targets.tolist()):
            if 20 <= target < 45:
                one_hot[row] = 0
                one_hot[row, 20:45] = soft.weights[target - 20]
    known = -(one_hot * logits.log_softmax(-1)).sum(-1)
    found = token_losses(logits, targets, soft)
    assert torch.allclose(found, known, atol=1e-6)
    gradients = [torch.autograd.grad((losses * scale).sum(), logits, retain_graph=True)[0] for losses in (found, known)]
    assert torch.allclose(*gradients, atol=1e-6)


def test_soft_numbers_prefer_the_neighbour() -> None:
    soft = SoftNumbers(list(range(10, 30)), sigma=1.5, vocabulary=40)
    near, far = torch.zeros(1, 40), torch.zeros(1, 40)
    near[0, 16], far[0, 25] = 5.0, 5.0
    target = torch.tensor([15])
    assert token_losses(near, target, soft) < token_losses(far, target, soft)
    assert token_losses(near, target) == pytest.approx(token_losses(far, target))


def test_preference_loss_starts_at_ln_2_and_prefers_the_chosen() -> None:
    policy = torch.tensor([-3.0, -5.0, -1.0, -9.0], requires_grad=True)
    loss, margin = preference_loss(policy, policy.detach(), beta=0.1)
    assert torch.allclose(loss, torch.full((2,), math.log(2))) and torch.equal(margin, torch.zeros(2))
    loss.sum().backward()
    assert torch.allclose(policy.grad, torch.tensor([-0.05, 0.05, -0.05, 0.05]))


def test_answer_log_probabilities_are_sums_per_answer() -> None:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    targets, sequence = torch.tensor([1, 2, 3, 4, 5]), torch.tensor([0, 0, 1, 1, 1])
    values = answer_log_probabilities(logits, targets, sequence, 2)
    expected = logits.log_softmax(-1)[torch.arange(5), targets]
    assert torch.allclose(values, torch.stack([expected[:2].sum(), expected[2:].sum()]), atol=1e-6)


def test_schedule_rises_then_falls_to_the_final_rate() -> None:
    values = [schedule(step, stage()) for step in range(100)]
    assert values[0] == pytest.approx(0.1, rel=0.01)
    assert max(values) == values[9] and values[9] > 0.97
    assert values[-1] == pytest.approx(0.02, abs=0.002)
    assert all(a >= b for a, b in zip(values[9:], values[10:], strict=False))


def test_optimizer_groups_by_part_and_decays_matrices_only() -> None:
    named = [
        ("tower.w", torch.nn.Parameter(torch.zeros(2, 2))),
        ("tower.b", torch.nn.Parameter(torch.zeros(2))),
        ("language.w", torch.nn.Parameter(torch.zeros(2, 2))),
    ]
    optimizer = make_optimizer(named, stage(learning_rates={"tower": 2e-4}), lambda n: n.split(".")[0])
    seen = {(g["part"], g["weight_decay"] > 0): g["peak"] for g in optimizer.param_groups}
    assert seen == {("tower", True): 2e-4, ("tower", False): 2e-4, ("language", True): 1e-3}


class Numbered:
    """A source whose groups are their own numbers."""

    def __init__(self, name: str, length: int = 0) -> None:
        self.name, self.length = name, length

    def __len__(self) -> int:
        return self.length

    def group(self, index: int) -> list:
        return [(self.name, index)]


def test_mixture_shares_are_exact_and_no_group_is_missed() -> None:
    mixture = Mixture({n: Numbered(n) for n in "abc"}, {"a": 5, "b": 3, "c": 0.01}, seed=3)
    drawn = [mixture.group(i)[0] for i in range(3 * PERIOD)]
    shares = Counter(name for name, _ in drawn)
    assert shares["a"] / len(drawn) == pytest.approx(5 / 8.01, abs=1e-3)
    assert shares["c"] / len(drawn) == pytest.approx(0.01 / 8.01, abs=1e-3)
    for name in "abc":
        assert sorted(i for n, i in drawn if n == name) == list(range(shares[name]))
    assert mixture.group(2345) == [drawn[2345]]


@given(st.lists(st.floats(0.001, 50), min_size=1, max_size=6))
def test_mixture_shares_for_any_weights(weights: list[float]) -> None:
    named = {str(n): w for n, w in enumerate(weights)}
    mixture = Mixture({n: Numbered(n) for n in named}, named, seed=0)
    assert len(mixture.pattern) == PERIOD
    for name, weight in named.items():
        assert abs(mixture.counts[name] / PERIOD - weight / sum(weights)) <= 1 / PERIOD


def test_finite_sources_go_round_in_new_orders() -> None:
    source = Repeated(Numbered("x", 7), seed=1)
    rounds = [[source.group(r * 7 + i)[0][1] for i in range(7)] for r in range(3)]
    assert all(sorted(r) == list(range(7)) for r in rounds) and rounds[0] != rounds[1]
    assert source.group(3)[0][1] == rounds[0][3]
    with pytest.raises(InputError, match="without samples"):
        Repeated(Numbered("x", 0), seed=1)


def test_checkpoints_are_atomic_pruned_and_found(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        state.write(tmp_path, step, {"parameters": {"w": torch.full((2,), float(step))}}, {"feed": []}, keep=2)
    assert [p.name for p in state.complete(tmp_path)] == ["step-00000020", "step-00000030"]
    (tmp_path / "step-00000040").mkdir()  # a directory without its state file: not complete
    (tmp_path / ".step-00000050.writing").mkdir()
    tensors, plain = state.newest(tmp_path)
    assert plain["step"] == 30 and tensors["parameters"]["w"][0] == 30
    state.clear(tmp_path)
    assert state.newest(tmp_path) is None


def test_a_full_disk_is_refused_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(state.shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    with pytest.raises(InputError, match="MB free on the disk"):
        state.write(tmp_path, 1, {"w": torch.zeros(10)}, {}, keep=1)
    assert state.newest(tmp_path) is None


def test_metrics_survive_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "loss": 1.0}\n{"step": 1, "lo')
    assert metrics.read(path) == [{"step": 0, "loss": 1.0}]
    log = metrics.StageLog(tmp_path, "x", 4, first_step=1, show=False)
    log.step(1, {"loss": 0.5, "rate": {"tower": 1e-3}})
    log.close()
    assert [r["step"] for r in metrics.read(path)] == [0, 1]


def test_the_first_number_of_a_box_weighs_more_and_nothing_else_does() -> None:
    from types import SimpleNamespace

    from varco_vision.train.tasks import AnswerTask

    bbox, delim = 7, 8
    batch = SimpleNamespace(
        input_ids_RL=torch.tensor([[1, bbox, 3, delim, 5, 6]]),
        sources_S=torch.tensor([0, 1, 2, 3]),
        tasks=["grounding", "text"],
        sequence_S=torch.tensor([0, 0, 0, 1]),
        kinds=["grounding", "text"],
        kinds_B=torch.tensor([0, 1]),
    )
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    task = AnswerTask.__new__(AnswerTask)
    task.soft, task.forward, task._told = None, lambda batch, soft: (losses, losses), []
    task.stage, task.openers = SimpleNamespace(box_start_weight=6.0, task_weights={}), [bbox, delim]
    total, details = task.sums(batch)
    assert total.item() == 1 + 6 * 2 + 3 + 6 * 4
    assert details["loss_grounding"][0] == 6 and details["loss_text"][0] == 4  # the told losses are the plain ones
    assert torch.autograd.grad(total.sum(), losses)[0].tolist() == [1, 6, 1, 6]
    task.openers = []
    assert task.sums(batch)[0].item() == 10
    task.stage.task_weights = {"text": 3.0}
    total, details = task.sums(batch)
    assert total.item() == 1 + 2 + 3 + 3 * 4 and details["loss_text"][0] == 4
    with pytest.raises(InputError, match="box_start_weight"):
        stage(box_start_weight=-1.0)
    with pytest.raises(InputError, match="task_weights names .'reading'.; the tasks are"):
        stage(task_weights={"reading": 2.0})
    with pytest.raises(InputError, match="task_weights must be at least 0"):
        stage(task_weights={"ocr": -1.0})
