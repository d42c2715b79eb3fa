"""What a run tells: every number of a step, what it left out, what it waits for, and whose loss is not finite."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from tiny import write_tiny
from train_tools import WORLD, Pictures, borrowed, make_stage, set_up, steps, use_pictures

from varco_vision.data.pack import Budget, Feeding, RowStream
from varco_vision.errors import InputError
from varco_vision.model.checkpoint import Loaded, load
from varco_vision.train import feed, flops, metrics, stage
from varco_vision.train.parallel import World
from varco_vision.train.recipe import read
from varco_vision.train.run import Run
from varco_vision.train.stage import record_of, train_stage, waiting_text
from varco_vision.train.step import NonFiniteLoss


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def fresh(directory: Path) -> Loaded:
    return load(directory, device="cpu")


def train(directory: Path, out: Path, **changes: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """Records of a short stage, and the lines that it said."""
    chosen, said = make_stage(**changes), []
    setup = set_up(fresh(directory), chosen, out)
    train_stage(setup.task, chosen, out / "s", WORLD, ([], []), False, False, said.append)
    return metrics.read(out / "s" / "metrics.jsonl"), said


def test_a_step_tells_everything(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_pictures(monkeypatch)
    records, _ = train(directory, tmp_path, learning_rates={"tower": 2e-4})
    assert [r["step"] for r in records] == list(range(6))
    for record in records:
        assert {"loss", "loss_vqa", "gradient_norm", "seconds", "waited", "filled", "teraflops", "memory_gib"} <= set(
            record
        )
        assert set(record["rate"]) == {"tower", "projector", "newline", "language"}
        assert record["rate"]["tower"] == pytest.approx(record["rate"]["language"] / 5)
        assert {"text", "picture", "supervised", "tiles"} == set(record["per_second"])
        assert all(value > 0 for value in record["per_second"].values())
        assert 0 < record["filled"] <= 1 and 0 <= record["waited"] < record["seconds"] and record["memory_gib"] > 0.05
    assert records[0]["loss"] == pytest.approx(records[0]["loss_vqa"], rel=1e-5), "there is one kind of task"
    pytest.importorskip("tensorboard", reason="curves need the extra 'train'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "s" / "tensorboard"))
    board.Reload()
    shown = set(board.Tags()["scalars"])
    assert {"loss", "loss_vqa", "gradient_norm", "rate/tower", "per_second/picture", "filled", "waited"} <= shown


def test_utilisation_counts_tower_and_projector(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    result = steps(set_up(fresh(directory), make_stage(), tmp_path), 1)[0]
    gpu = World(0, 1, torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    record = record_of(result, 2.0, gpu)
    assert record["utilisation"] == pytest.approx(result.load["flops"] / 2.0 / 989e12, abs=1e-4)
    count = flops.FlopCount(fresh(directory).model)
    with_pictures, without = count.step(100, 10, 1000, 4, 4), count.step(100, 10, 1000, 0, 0)
    assert with_pictures - without == 4 * count.cells * (count.tower + count.tower_attention + count.projector) > 0
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some Other Card")
    assert "utilisation" not in record_of(result, 2.0, gpu), "no peak is guessed"


class Large(Pictures):
    """Every fifth group is one long text, every seventh one a picture of many views."""

    def group(self, index: int) -> list[Any]:
        made = super().group(index)
        if index % 5 == 0:
            long = ({"role": "user", "content": [{"type": "text", "text": "Where is it? " * 200}]}, made[0].messages[1])
            return [replace(made[0], id=f"long-{index}", images=(), messages=long)]
        if index % 7 == 0:
            return [
                replace(s, id=f"wide-{index}-{n}", images=(Image.new("RGB", (190, 190)),)) for n, s in enumerate(made)
            ]
        return made


def test_what_no_row_holds_is_counted_and_named_through_a_resume(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "open_mixture", lambda stage, seed: Large(text_every=1000, groups=1000))
    options = {"max_tokens": 600, "max_views": 30, "checkpoint_every": 2, "steps": 5, "keep_checkpoints": 9}
    records, _ = train(directory, tmp_path, **options)
    named = [name for r in records for name in r.get("left_out", [])]
    assert any(n.startswith("long-") and n.endswith("tokens)") for n in named)
    assert any(n.startswith("wide-") and n.endswith("(37 views)") for n in named)
    assert len(named) == len(set(named))
    chosen = make_stage(**options)
    setup = set_up(fresh(directory), chosen, tmp_path)
    result = train_stage(setup.task, chosen, tmp_path / "s", WORLD, ([], []), True, False, lambda text: None)
    again = [name for r in metrics.read(tmp_path / "s" / "metrics.jsonl") for name in r.get("left_out", [])]
    assert again == named and result.refused == len(named)


class NoText(Pictures):
    def group(self, index: int) -> list[Any]:
        return super().group(1 + index % 11)


def test_a_source_of_nothing_but_large_pictures_is_one_sentence(directory: Path) -> None:
    loaded = fresh(directory)
    rows = RowStream(NoText(text_every=1000), Feeding(loaded.tokenizer, loaded.anyres), Budget(3000, 1), 0, 1)
    with pytest.raises(InputError, match=r"do not fit a row of 3000 tokens and 1 views, e\.g\. s.* views\)"):
        rows.row()


class Slow(Pictures):
    def group(self, index: int) -> list[Any]:
        time.sleep(0.015)
        return super().group(index)


def test_waiting_for_rows_is_said_early_and_says_what_to_change(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "open_mixture", lambda stage, seed: Slow())
    monkeypatch.setattr(stage, "EARLY", 4)
    monkeypatch.setattr(stage, "usable_cores", lambda: 8)
    _, said = train(directory, tmp_path, steps=9, micro_rows=4)
    told = [line for line in said if "waiting for rows" in line]
    assert len(told) == 2 and all("set 'workers' of stage 's' to 1 (it is 0" in line for line in told)
    use_pictures(monkeypatch)
    monkeypatch.setattr(stage, "WAITING", 0.9)
    assert not [line for line in train(directory, tmp_path, steps=9)[1] if "waiting" in line]


def test_advice_on_waiting_fits_the_machine() -> None:
    one = World(0, 1, torch.device("cpu"))
    assert waiting_text(0.3, make_stage(rows=8, workers=2), one, cores=16).startswith("30 % of the time")
    assert "to 4 (it is 2" in waiting_text(0.3, make_stage(rows=8, workers=2), one, cores=16)
    assert "to 3 (it is 2" in waiting_text(0.3, make_stage(rows=8, workers=2), one, cores=4)
    assert "no core is free" in waiting_text(0.3, make_stage(rows=8, workers=3), one, cores=4)
    assert "no core is free" in waiting_text(0.3, make_stage(rows=8), World(0, 2, torch.device("cpu")), cores=3)
    assert "a loader of its own" in waiting_text(0.3, make_stage(rows=2, workers=4), one, cores=64)


def test_a_loss_that_is_not_finite_names_the_samples_that_have_it(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    chosen = make_stage(steps=3)
    setup = set_up(fresh(directory), chosen, tmp_path)
    real = setup.task.forward.forward

    def spoiled(batch: Any, *rest: Any, **options: Any) -> Any:
        losses, plain = real(batch, *rest, **options)
        bad = torch.tensor([batch.samples[n] == "s3-1" for n in batch.sequence_S])
        return torch.where(bad, math.nan, losses), plain

    monkeypatch.setattr(setup.task.forward, "forward", spoiled)
    with pytest.raises(
        NonFiniteLoss, match=r"stage 's', step \d: loss nan.*samples with such a loss: s3-1; look"
    ) as found:
        train_stage(setup.task, chosen, tmp_path / "s", WORLD, ([], []), False, False)
    assert found.value.culprits == ["s3-1"] and len(found.value.samples) > 5
    kept = json.loads((tmp_path / "s" / "non_finite.json").read_text())
    assert kept["culprits"] == ["s3-1"] and kept["samples"] == found.value.samples


def test_a_gradient_that_is_not_finite_names_the_step(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    setup = set_up(fresh(directory), make_stage(), tmp_path)
    setup.loaded.model.lm_head.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(NonFiniteLoss, match="samples of the step, each with a finite loss: s"):
        steps(setup, 1)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_is_named_and_no_checkpoint_is_lost(tmp_path: Path, workers: int) -> None:
    content = borrowed(tmp_path)
    content["stages"] = [{**content["stages"][0], "steps": 40, "checkpoint_every": 1, "workers": workers}]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(content))
    whole = (tmp_path / "5.png").read_bytes()
    (tmp_path / "5.png").write_bytes(whole[:60])

    def run(resume: bool) -> Run:
        recipe = read(tmp_path / "r.yaml")
        return Run(recipe, tmp_path / "o", WORLD, resume=resume, show=False, say=lambda text: None)

    # the first groups are read before the first step; a larger file would break later
    with pytest.raises(InputError, match=r"stage 'alignment': sample 5: .*5\.png") as found:
        run(False).stages(1, 1)
    assert "Traceback" not in str(found.value)
    (tmp_path / "5.png").write_bytes(whole)
    assert run(True).stages(1, 1)[0].samples


def test_a_picture_that_breaks_during_the_run_leaves_the_checkpoints(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaks(Pictures):
        def group(self, index: int) -> list[Any]:
            return [
                replace(s, images=(b"no picture",)) if index == 97 and s.images else s for s in super().group(index)
            ]

    monkeypatch.setattr(feed, "open_mixture", lambda stage, seed: Breaks())
    with pytest.raises(InputError, match="stage 's': sample s1-0: "):
        train(directory, tmp_path, steps=40, checkpoint_every=1)
    kept = [p.name for p in (tmp_path / "s").glob("step-*")]
    assert len(kept) == 2
    use_pictures(monkeypatch)
    chosen = make_stage(steps=int(max(kept)[5:]) + 2)
    setup = set_up(fresh(directory), chosen, tmp_path)
    train_stage(setup.task, chosen, tmp_path / "s", WORLD, ([], []), True, False, lambda text: None)
    assert len(metrics.read(tmp_path / "s" / "metrics.jsonl")) == chosen.steps
