"""The estimate counts what a real step needs: against real tensors, against torch's own counter, and in the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from varco_vision.cli.estimate import picture_size, usual_gpu
from varco_vision.cli.main import app
from varco_vision.errors import InputError
from varco_vision.model.freeze import freeze
from varco_vision.train import estimate as estimating
from varco_vision.train.estimate import Assumptions, LiveBytes, estimate_recipe, estimate_stage, full_batch, skeleton
from varco_vision.train.flops import PEAKS, FlopCount, peak
from varco_vision.train.recipe import Recipe, StageRecipe, read, with_lora
from varco_vision.train.step import accumulate
from varco_vision.train.tasks import AnswerTask, load_of

ROOT = Path(__file__).parent.parent
SMALL = Assumptions(picture=(100, 60), answer=20)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read(ROOT / "recipes" / "nano.yaml")


def stage_of(recipe: Recipe, name: str, **changes: object) -> StageRecipe:
    return replace(next(s for s in recipe.stages if s.name == name), micro_rows=2, precision="float32", **changes)


def real_task(recipe: Recipe, stage: StageRecipe) -> AnswerTask:
    from types import SimpleNamespace

    net = skeleton(recipe.model)
    freeze(net, stage.trainable)
    estimating._materialise(net, narrow=False)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, 0.02)
    for name, buffer in net.named_buffers():  # positions count up; what the others hold does not matter here
        buffer.copy_(
            torch.arange(buffer.numel()).view_as(buffer) if "position_ids" in name else torch.ones_like(buffer)
        )
    net.train()
    net.set_attn_implementation({"text_config": estimating.FUSED, "vision_config": "sdpa"})
    plain = replace(stage, soft_numbers=0.0, box_start_weight=1.0)
    return AnswerTask(net, SimpleNamespace(tokenizer=None), plain, (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("name", ["alignment", "basic"])
def test_fake_memory_is_the_memory_of_real_tensors(recipe: Recipe, name: str) -> None:
    stage = stage_of(recipe, name)
    batch = full_batch(recipe.model, stage, SMALL)
    found, _ = estimating._trace(recipe.model, stage, 1, batch)
    task = real_task(recipe, stage)
    live = LiveBytes()
    for tensor in [*task.forward.parameters(), *task.forward.buffers()]:
        live.add(tensor)
    weights = live.now
    with live:
        accumulate(task, [batch], torch.ones(1), torch.device("cpu"), torch.float32)
    assert weights / 2**30 == pytest.approx(found["weights"])
    assert live.most / 2**30 == pytest.approx(found["peak"] - found["optimizer"], rel=0.02)
    optimizer = torch.optim.AdamW([p for p in task.forward.parameters() if p.requires_grad], fused=True)
    optimizer.step()
    moments = sum(v.numel() * 4 for s in optimizer.state.values() for k, v in s.items() if k != "step")
    assert moments / 2**30 == pytest.approx(found["optimizer"])


@pytest.mark.parametrize("name", ["alignment", "basic", "preference"])
def test_counted_work_is_what_torch_counts_but_for_attention(recipe: Recipe, name: str) -> None:
    """Attention is counted by readable pairs, which torch does not know; everything else must agree."""
    stage = replace(stage_of(recipe, name), kind="sft")
    batch = full_batch(recipe.model, stage, SMALL)
    task = real_task(recipe, stage)
    with FlopCounterMode(display=False) as counter:
        accumulate(task, [batch], torch.ones(1), torch.device("cpu"), torch.float32)
    counts = counter.get_flop_counts()["Global"]
    told = sum(n for op, n in counts.items() if "attention" not in str(op) and "bmm" not in str(op))
    flops = FlopCount(task.model)
    attention = batch.layout.pairs * flops.attention + len(batch.views_VTTC) * flops.cells * flops.tower_attention
    ours = load_of(batch, flops, stage.max_tokens)["flops"] - attention
    # the first layer's inputs need no gradient where nothing before it trains; that is counted here
    assert ours == pytest.approx(told, rel=0.06)


def test_recomputation_chunks_and_sharding_save_what_they_should(recipe: Recipe) -> None:
    model = replace(recipe.model, text=replace(recipe.model.text, layers=6, width=256))
    stage = stage_of(recipe, "basic", checkpoint_every=5)

    def peak_of(**changes: object) -> float:
        return estimating._trace(model, replace(stage, **changes), 1, full_batch(model, stage, SMALL))[0]["activations"]

    plain = peak_of()
    assert peak_of(checkpointing="full") < peak_of(checkpointing="selective") < plain


def test_sharding_divides_weights_gradients_and_moments(recipe: Recipe) -> None:
    stage = stage_of(recipe, "basic", shard=True)
    alone = estimate_stage(recipe.model, replace(stage, shard=False), 1, 80, SMALL)
    with estimating._world(4):
        four = estimate_stage(recipe.model, stage, 4, 80, SMALL)
    assert four.trained == alone.trained or four.trained * 4 >= alone.trained
    whole, part = (
        estimating._trace(recipe.model, replace(stage, shard=False), 1, full_batch(recipe.model, stage, SMALL))[0],
        four,
    )
    assert part.weights == pytest.approx(whole["weights"] / 4, abs=0.01)
    assert part.optimizer == pytest.approx(whole["optimizer"] / 4, abs=0.01)
    assert four.tokens == alone.tokens and four.hours <= alone.hours


def test_hours_are_work_over_speed(recipe: Recipe) -> None:
    stage = stage_of(recipe, "basic", steps=1000)
    slow = estimate_stage(recipe.model, stage, 1, 80, replace(SMALL, utilisation=0.1, peak=1e9))
    assert slow.hours == pytest.approx(1000 * slow.teraflops * 1e12 / 1e8 / 3600, rel=0.1)


def test_adapters_need_less(recipe: Recipe) -> None:
    full, lean = (
        estimate_recipe(replace(r, stages=r.stages[3:4]), 1, 80, SMALL)[0] for r in (recipe, with_lora(recipe, 4))
    )
    assert lean.trained < full.trained / 2


@pytest.mark.parametrize("name", ["varco-14b", "varco2-1.7b"])
def test_large_recipes_have_the_published_sizes(name: str) -> None:
    recipe = read(ROOT / "recipes" / f"{name}.yaml")
    assert [s.stage for s in recipe.stages] == [1, 2, 3, 4]
    assert recipe.stages[0].trainable == ("projector", "newline") and recipe.stages[3].trainable == ("language",)
    net = skeleton(recipe.model)
    names = [n for n, _ in net.named_parameters()]
    assert sum("vision_tower" in n for n in names) == 421  # as in the published checkpoint
    sizes = {"varco-14b": 15.2e9, "varco2-1.7b": 2.12e9}
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(sizes[name], rel=0.01)


def test_the_command_prints_a_table_and_json() -> None:
    base = ["estimate", "nano", "--stages", "1-2", "--gpu-memory", "24", "--picture", "100x60", "--answer", "20"]
    told = CliRunner().invoke(app, base)
    assert told.exit_code == 0 and "1 alignment" in told.stdout and "yes" in told.stdout
    made = json.loads(CliRunner().invoke(app, [*base, "--json"]).stdout)
    assert [m["name"] for m in made] == ["alignment", "basic"] and all(m["fits"] for m in made)


def documented(recipe: str, heading: str) -> dict[str, list[str]]:
    """The row of each stage of a recipe in a table of docs/scale.md."""
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").split(f"### {heading}")[1].split("\n#")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()]
    return {row[0].split()[-1]: row[1:] for row in rows if row[0].startswith(f"{recipe} ")}


@pytest.mark.parametrize(
    ("name", "gpus", "stages"),
    [("varco2-1.7b", 8, "4"), *[pytest.param(name, gpus, "1234", marks=pytest.mark.slow)
     for name in ("varco2-1.7b", "varco-14b") for gpus in (8, 1)]],
)  # fmt: skip
def test_the_tables_of_the_guide_come_out_of_the_command(name: str, gpus: int, stages: str) -> None:
    told = documented(name, "8 GPUs of 80 GB" if gpus == 8 else "One card of 24 GB")
    assert set(told) == set("1234")
    cards = ["--gpus", "8", "--gpu-memory", "80"] if gpus == 8 else ["--gpu-memory", "24", "--lora", "16"]
    asked = ["estimate", name, *cards, "--stages", f"{stages[0]}-{stages[-1]}"]
    printed = CliRunner().invoke(app, asked).stdout.splitlines()
    lines = [line.split() for line in printed if line[:1] in set(stages) and line[1:2] == " "]
    assert len(lines) == len(stages)
    for stage, _, _, *memory, fits, _, _, hours in lines:
        assert told[stage] == [*memory, hours if gpus == 8 else fits.lower()], stage


def test_wrong_questions_are_one_sentence(recipe: Recipe) -> None:
    with pytest.raises(InputError, match="a row holds 320; give a smaller --picture"):
        full_batch(recipe.model, stage_of(recipe, "alignment"), Assumptions(answer=900))
    with pytest.raises(InputError, match="every GPU needs at least one row"):
        estimate_stage(recipe.model, stage_of(recipe, "basic"), 64, 80, SMALL)
    with pytest.raises(InputError, match=r"model\.text states no shape"):
        skeleton(replace(recipe.model, text=None, language_from="a/b"))
    for text in ("1024", "axb", "0x5"):
        with pytest.raises(InputError, match="width and height"):
            picture_size(text)
    with pytest.raises(InputError, match="name its kind with --gpu"):
        usual_gpu(500)


def test_peaks_by_device_name() -> None:
    assert peak("NVIDIA H100 80GB HBM3") == PEAKS["H100"]
    assert peak("NVIDIA H100 PCIe") == PEAKS["H100 PCIe"]
    assert peak("NVIDIA A100-SXM4-80GB") == PEAKS["A100"]
    assert peak("NVIDIA GeForce RTX 4090") == PEAKS["RTX 4090"]
    assert peak("Some Other Card") is None
