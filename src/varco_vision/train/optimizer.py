"""AdamW with a learning rate per part of the model, and the schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from varco_vision.train.recipe import StageRecipe


def make_optimizer(
    named: Sequence[tuple[str, nn.Parameter]], stage: StageRecipe, part_of: Callable[[str], str]
) -> torch.optim.AdamW:
    """AdamW over the trained parameters; vectors (biases, norms) are not decayed.

    Groups carry `part` and `peak`, the learning rate that the schedule scales.
    """
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        groups.setdefault((part_of(name), parameter.dim() >= 2), []).append(parameter)
    settings = [
        {
            "params": parameters,
            "part": part,
            "peak": stage.learning_rates.get(part, stage.learning_rate),
            "weight_decay": stage.weight_decay if decayed else 0.0,
        }
        for (part, decayed), parameters in groups.items()
    ]
    return torch.optim.AdamW(settings, lr=stage.learning_rate, betas=stage.betas, fused=True)


def schedule(step: int, stage: StageRecipe) -> float:
    """Factor on the peak rate at `step` (from 0): linear over `warmup`, then a cosine down to `final_rate`."""
    rise = min(1.0, (step + 1) / max(1, stage.warmup))
    fall = 0.5 * (1 + math.cos(math.pi * step / stage.steps))
    return rise * (stage.final_rate + (1 - stage.final_rate) * fall)


def set_rates(optimizer: torch.optim.Optimizer, step: int, stage: StageRecipe) -> dict[str, float]:
    """Set every group's rate for `step`; returns {part: rate}."""
    factor = schedule(step, stage)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    return {group["part"]: group["lr"] for group in optimizer.param_groups}
