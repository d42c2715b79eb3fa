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

from varco_vision.errors import InputError
from varco_vision.train import metrics
from varco_vision.train.optimizer import set_rates
from varco_vision.train.parallel import World
from varco_vision.train.recipe import StageRecipe

NAMED = 20  # samples that an error names
NON_FINITE = "non_finite.json"  # beside the metrics; it names them all


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
    def left_out(self) -> list[str]: ...
    def culprits(self) -> list[str]: ...
    def close(self) -> None: ...


class NonFiniteLoss(InputError):
    """Loss or gradient became NaN or infinite. `culprits`: samples whose own loss did; `samples`: all of the step."""

    def __init__(self, place: str, culprits: list[str], samples: list[str]) -> None:
        self.culprits, self.samples = culprits, samples
        named, what = (culprits, "with such a loss") if culprits else (samples, "of the step, each with a finite loss")
        more = f" and {len(named) - NAMED} more, all of them in {NON_FINITE}" if len(named) > NAMED else ""
        super().__init__(
            f"{place}; samples {what}: {', '.join(named[:NAMED])}{more}; look at them, or lower the learning rate"
        )


@dataclass
class StepResult:
    """What one step did. `loss` and `terms` are per unit (token, patch, pair), over all processes.

    `load` counts what went through the model (see `tasks.load_of`). `waited` (seconds until the rows were there) and `memory`
    (bytes, most so far) are of the process that has most: the others wait for it. `left_out` names samples that fit no row.
    """

    loss: float
    terms: dict[str, float]
    details: dict[str, float]
    norm: float
    rates: dict[str, float]
    counts: dict[str, float]
    load: dict[str, float]
    waited: float
    memory: int
    left_out: list[str]


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

    Nothing is read back from the device before the update is under way: see `advance`.
    """
    began = time.monotonic()
    batches = task.batches(step)
    waited = time.monotonic() - began
    load = [task.load(b) if hasattr(task, "load") else {} for b in batches]
    names = list(load[0]) if load else []
    counted = torch.tensor(
        [[*task.counts(b), *(part[name] for name in names)] for b, part in zip(batches, load, strict=True)],
        dtype=torch.float64,
    ).sum(0)
    counted = world.sum(counted.to(world.device))
    totals = counted[: len(task.terms)]
    scale = torch.tensor(task.weights, dtype=torch.float32, device=world.device) / totals.clamp(min=1).float()
    rates = set_rates(optimizer, step, stage)
    sums, details, norm = advance(task, stage, batches, scale, optimizer, world, dtype)
    loss, norm = float((sums * scale).sum()), float(norm)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        culprits, samples = (
            [name for part in world.gather(names) for name in part]
            for names in (task.culprits(), [name for b in batches for name in task.names(b)])
        )
        place = f"stage '{stage.name}', step {step}: loss {loss}, gradient norm {norm}"
        raise NonFiniteLoss(place, culprits, samples)
    units = totals.tolist()
    told = world.gather((_plain(details), waited, metrics.peak_memory(world.device), task.left_out()))
    return StepResult(
        loss=loss,
        terms={name: s / max(1.0, t) for name, s, t in zip(task.terms, sums.tolist(), units, strict=True)},
        details=_merge([part for part, _, _, _ in told]),
        norm=norm,
        rates=rates,
        counts=dict(zip(task.terms, units, strict=True)),
        load=dict(zip(names, counted[len(task.terms) :].tolist(), strict=True)),
        waited=max(seconds for _, seconds, _, _ in told),
        memory=max(memory for _, _, memory, _ in told),
        left_out=[name for _, _, _, names in told for name in names],
    )


def advance(
    task: Task,
    stage: StageRecipe,
    batches: Sequence[Any],
    scale: Tensor,
    optimizer: torch.optim.Optimizer,
    world: World,
    dtype: torch.dtype,
) -> tuple[Tensor, dict[str, list[float]], Tensor]:
    """Forward, backward, sum over processes, clip, update: sums of the terms, details, and the gradient's norm.

    All of it is only queued on a GPU. Nothing here reads a value of the device or copies one to it, so that its queue never
    runs empty while the host makes up its mind.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    sums, details = accumulate(task, batches, scale, world.device, dtype)
    if not getattr(task, "sharded", False):
        world.sum_gradients(parameters)
    norm = clip(parameters, stage.clip)
    optimizer.step()
    return world.sum(sums), details, norm


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


def _plain(details: dict[str, list[Any]]) -> dict[str, list[float]]:
    """The same as plain numbers: a tensor of one GPU would be opened there by every other process."""
    return {key: [float(total), float(count)] for key, (total, count) in details.items()}


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
