"""One step, for every kind of training: count, forward, backward, sum over processes, clip, update."""

from __future__ import annotations

import contextlib
import math
import time
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
    def sums(self, batch: Any) -> tuple[Tensor, dict[str, tuple[Any, Any]]]: ...
    def names(self, batch: Any) -> Sequence[str]: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, states: Sequence[dict[str, Any]]) -> None: ...
    def tensors(self) -> dict[str, Tensor]: ...
    def load_tensors(self, tensors: dict[str, Tensor]) -> None: ...


class NonFiniteLoss(RuntimeError):
    """The loss became NaN or infinite; the message names the samples of the step."""


@dataclass
class StepResult:
    """What one step did. `loss` and `terms` are per unit (token, patch, pair), over all processes.

    `load` counts what went through the model (see `tasks.load_of`), `waited` are seconds until the rows were there.
    """

    loss: float
    terms: dict[str, float]
    details: dict[str, float]
    norm: float
    rates: dict[str, float]
    counts: dict[str, float]
    load: dict[str, float]
    waited: float


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
    """One optimizer step; the loss is each term's sum over its number of units in the whole step, all processes.

    Nothing is read back from the device before the update is under way, so a GPU never waits for its host in between.
    """
    began = time.monotonic()
    batches = task.batches(step)
    waited = time.monotonic() - began
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    load = [task.load(b) if hasattr(task, "load") else {} for b in batches]
    names = list(load[0]) if load else []
    counted = torch.tensor(
        [[*task.counts(b), *(part[name] for name in names)] for b, part in zip(batches, load, strict=True)],
        dtype=torch.float64,
    ).sum(0)
    counted = world.sum(counted.to(world.device))
    totals = counted[: len(task.terms)]
    scale = torch.tensor(task.weights, dtype=torch.float32, device=world.device) / totals.clamp(min=1).float()
    optimizer.zero_grad(set_to_none=True)
    sums, details = accumulate(task, batches, scale, world.device, dtype)
    if not getattr(task, "sharded", False):
        world.sum_gradients(parameters)
    norm = clip(parameters, stage.clip)
    rates = set_rates(optimizer, step, stage)
    optimizer.step()
    sums = world.sum(sums)
    loss, norm = float((sums * scale).sum()), float(norm)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        culprits = [name for part in world.gather([name for b in batches for name in task.names(b)]) for name in part][
            :20
        ]
        raise NonFiniteLoss(
            f"stage '{stage.name}', step {step}: loss {loss}, gradient norm {norm}; samples {', '.join(culprits)}"
        )
    units = totals.tolist()
    return StepResult(
        loss=loss,
        terms={name: s / max(1.0, t) for name, s, t in zip(task.terms, sums.tolist(), units, strict=True)},
        details=_merge(world.gather(details)),
        norm=norm,
        rates=rates,
        counts=dict(zip(task.terms, units, strict=True)),
        load=dict(zip(names, counted[len(task.terms) :].tolist(), strict=True)),
        waited=waited,
    )


def accumulate(
    task: Task, batches: Sequence[Any], scale: Tensor, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, dict[str, list[float]]]:
    """Forward and backward of all micro-batches: sums of the terms, and [sum, count] of every detail."""
    sums = torch.zeros(len(task.terms), device=device)
    found: list[tuple[str, Any, Any]] = []
    for batch in batches:
        with autocast(dtype, device):
            parts, extra = task.sums(batch)
        (parts * scale).sum().backward()
        sums += parts.detach().float()
        found += [(key, total, count) for key, (total, count) in extra.items()]
    details: dict[str, list[float]] = {}
    for key, total, count in found:
        entry = details.setdefault(key, [0.0, 0.0])
        entry[0] += total
        entry[1] += count
    return sums, details


def clip(parameters: Sequence[nn.Parameter], largest: float) -> Tensor:
    """Scale all gradients down to a joint norm of at most `largest`; returns the norm before, over all shards."""
    norm = nn.utils.clip_grad_norm_(parameters, largest)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def _merge(parts: Sequence[dict[str, list[Any]]]) -> dict[str, float]:
    merged: dict[str, list[float]] = {}
    for part in parts:
        for key, (total, count) in part.items():
            entry = merged.setdefault(key, [0.0, 0.0])
            entry[0] += float(total)
            entry[1] += float(count)
    return {key: total / max(1.0, count) for key, (total, count) in sorted(merged.items())}


def copy_into(parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor]) -> None:
    """Checkpoint values into parameters; the names must be the same."""
    assert set(parameters) == set(tensors), "the checkpoint holds other parameters than this stage trains"
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
