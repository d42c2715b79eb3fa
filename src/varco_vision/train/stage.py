"""The loop of one stage: resume, step, log, checkpoint; the same for every kind of training."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from varco_vision.train import metrics, state
from varco_vision.train.optimizer import make_optimizer
from varco_vision.train.parallel import World
from varco_vision.train.recipe import StageRecipe
from varco_vision.train.step import StepResult, precision, run_step


@dataclass
class StageResult:
    """What a stage did. `seconds` of training over all resumptions; losses are means over the first/last tenth of the steps."""

    name: str
    stage: int
    kind: str
    trainable: list[str]
    frozen: list[str]
    samples: int
    steps: int
    seconds: float
    loss_first: float
    loss_last: float
    refused: int
    precision: str
    curve: list[list[float]] = field(default_factory=list)  # [step, loss], at most 200 points

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def train_stage(
    task: Any,
    stage: StageRecipe,
    directory: Path,
    world: World,
    parts: tuple[list[str], list[str]],
    resume: bool,
    show: bool,
) -> StageResult:
    """Train `task` for `stage.steps` steps; with `resume` from the newest checkpoint in `directory`, if there is one.

    `parts`: names of trained and frozen parts, for the record.
    """
    dtype = precision(stage, world.device)
    optimizer = make_optimizer(task.named_parameters(), stage, task.part_of)
    done, seconds = _resume(task, optimizer, directory) if resume else (0, 0.0)
    if not resume:
        state.clear(directory)
    log = metrics.StageLog(directory, f"{stage.stage} {stage.name}", stage.steps, done, show) if world.leads else None
    began = time.monotonic()
    try:
        for step in range(done, stage.steps):
            tick = time.monotonic()
            result = run_step(task, stage, step, optimizer, world, dtype)
            if log:
                log.step(step, _record(result, time.monotonic() - tick))
            if (step + 1) % stage.checkpoint_every == 0 and step + 1 < stage.steps:
                _checkpoint(task, optimizer, stage, directory, world, step + 1, seconds + time.monotonic() - began)
    finally:
        if log:
            log.close()
    totals = world.sum(torch.tensor([task.samples, len(task.refused)], device=world.device)).tolist()
    world.barrier()
    losses = [(r["step"], r["loss"]) for r in metrics.read(directory / "metrics.jsonl")]
    return _result(stage, parts, losses, totals, seconds + time.monotonic() - began, dtype)


def _resume(task: Any, optimizer: torch.optim.Optimizer, directory: Path) -> tuple[int, float]:
    found = state.newest(directory)
    if found is None:
        return 0, 0.0
    tensors, plain = found
    task.load_tensors(tensors["parameters"])
    optimizer.load_state_dict(tensors["optimizer"])
    task.restore(plain["feed"])
    return plain["step"], plain["seconds"]


def _checkpoint(
    task: Any,
    optimizer: torch.optim.Optimizer,
    stage: StageRecipe,
    directory: Path,
    world: World,
    step: int,
    seconds: float,
) -> None:
    feeds = world.gather(task.state())
    if world.leads:
        tensors = {"parameters": task.tensors(), "optimizer": optimizer.state_dict()}
        state.write(directory, step, tensors, {"feed": feeds, "seconds": seconds}, stage.keep_checkpoints)
    world.barrier()


def _record(result: StepResult, seconds: float) -> dict[str, Any]:
    return {
        "loss": result.loss,
        "seconds": seconds,
        "gradient_norm": result.norm,
        "rate": result.rates,
        "term": result.terms,
        "count": result.counts,
        **result.details,
    }


def _result(
    stage: StageRecipe,
    parts: tuple[list[str], list[str]],
    losses: list[tuple[int, float]],
    totals: list[int],
    seconds: float,
    dtype: torch.dtype,
) -> StageResult:
    window = max(1, len(losses) // 10)
    mean = lambda rows: sum(loss for _, loss in rows) / len(rows)  # noqa: E731
    stride = max(1, -(-len(losses) // 200))
    curve = [[chunk[0][0], mean(chunk)] for at in range(0, len(losses), stride) if (chunk := losses[at : at + stride])]
    return StageResult(
        name=stage.name,
        stage=stage.stage,
        kind=stage.kind,
        trainable=parts[0],
        frozen=parts[1],
        samples=totals[0],
        steps=stage.steps,
        seconds=seconds,
        loss_first=mean(losses[:window]),
        loss_last=mean(losses[-window:]),
        refused=totals[1],
        precision=str(dtype).removeprefix("torch."),
        curve=curve,
    )
