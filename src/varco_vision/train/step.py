"""One step, for every kind of training: count, forward, backward, sum over processes, clip, update."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from varco_vision.train.optimizer import set_rates
from varco_vision.train.parallel import World
from varco_vision.train.recipe import StageRecipe


class Task(Protocol):
    """What differs between training a tower, a language model, the whole model, or preferences."""

    terms: tuple[str, ...]  # names of the loss terms
    weights: tuple[float, ...]

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]: ...
    def part_of(self, name: str) -> str: ...
    def batches(self, step: int) -> list[Any]: ...
    def counts(self, batch: Any) -> list[float]: ...
    def sums(self, batch: Any) -> tuple[Tensor, dict[str, tuple[float, float]]]: ...
    def names(self, batch: Any) -> Sequence[str]: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, states: Sequence[dict[str, Any]]) -> None: ...
    def tensors(self) -> dict[str, Tensor]: ...
    def load_tensors(self, tensors: dict[str, Tensor]) -> None: ...


class NonFiniteLoss(RuntimeError):
    """The loss became NaN or infinite; the message names the samples of the step."""


@dataclass
class StepResult:
    """What one step did. `loss` and `terms` are per unit (token, patch, pair), over all processes."""

    loss: float
    terms: dict[str, float]
    details: dict[str, float]
    norm: float
    rates: dict[str, float]
    counts: dict[str, float]


def precision(stage: StageRecipe, device: torch.device) -> torch.dtype:
    """bfloat16 where the recipe asks for it and the hardware has it; emulated bfloat16 on a CPU is slower than float32."""
    if stage.precision == "float32":
        return torch.float32
    if device.type == "cpu" and not torch.cpu._is_avx512_bf16_supported():
        return torch.float32
    return torch.bfloat16


def autocast(dtype: torch.dtype, device: torch.device) -> contextlib.AbstractContextManager:
    """Autocast to `dtype`; nothing at float32."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)


def run_step(
    task: Task, stage: StageRecipe, step: int, optimizer: torch.optim.Optimizer, world: World, dtype: torch.dtype
) -> StepResult:
    """One optimizer step; the loss is each term's sum over its number of units in the whole step, all processes."""
    batches = task.batches(step)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    totals = torch.tensor([task.counts(b) for b in batches], dtype=torch.float64, device="cpu").sum(0)
    totals = world.sum(totals.to(world.device)).cpu()
    scale = torch.tensor(task.weights, dtype=torch.float32) / totals.clamp(min=1).float()
    sums = torch.zeros(len(task.terms))
    details: dict[str, list[float]] = {}
    optimizer.zero_grad(set_to_none=True)
    for batch in batches:
        with autocast(dtype, world.device):
            parts, extra = task.sums(batch)
        (parts * scale.to(parts.device)).sum().backward()
        sums += parts.detach().float().cpu()
        for key, (total, count) in extra.items():
            entry = details.setdefault(key, [0.0, 0.0])
            entry[0] += total
            entry[1] += count
    world.sum_gradients(parameters)
    sums = world.sum(sums.to(world.device)).cpu()
    loss = float((sums * scale).sum())
    norm = float(nn.utils.clip_grad_norm_(parameters, stage.clip))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        names = [name for b in batches for name in task.names(b)][:20]
        raise NonFiniteLoss(
            f"stage '{stage.name}', step {step}: loss {loss}, gradient norm {norm}; samples {', '.join(names)}"
        )
    rates = set_rates(optimizer, step, stage)
    optimizer.step()
    return StepResult(
        loss=loss,
        terms={name: float(s / max(1.0, t)) for name, s, t in zip(task.terms, sums, totals, strict=True)},
        details=_merge(world.gather(details)),
        norm=norm,
        rates=rates,
        counts={name: float(t) for name, t in zip(task.terms, totals, strict=True)},
    )


def _merge(parts: Sequence[dict[str, list[float]]]) -> dict[str, float]:
    merged: dict[str, list[float]] = {}
    for part in parts:
        for key, (total, count) in part.items():
            entry = merged.setdefault(key, [0.0, 0.0])
            entry[0] += total
            entry[1] += count
    return {key: total / max(1.0, count) for key, (total, count) in sorted(merged.items())}


def copy_into(parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor]) -> None:
    """Checkpoint values into parameters; the names must be the same."""
    assert set(parameters) == set(tensors), "the checkpoint holds other parameters than this stage trains"
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
