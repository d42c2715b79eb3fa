"""What the tests of training share: a tiny model, a source of random pictures with questions, stages, and a short run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from varco_vision.data.sample import Sample
from varco_vision.model.checkpoint import Loaded
from varco_vision.train import feed
from varco_vision.train.optimizer import make_optimizer
from varco_vision.train.parallel import World
from varco_vision.train.recipe import SourceRecipe, StageRecipe
from varco_vision.train.setup import Setup, prepare
from varco_vision.train.step import StepResult, run_step

SIZES = [(40, 40), (100, 30), (64, 48), (30, 90), (200, 170)]
WORLD = World(0, 1, torch.device("cpu"))


class Pictures:
    """Random pictures with two questions each; every `text_every`-th group is text. Pairs with `pairs`."""

    def __init__(self, pairs: bool = False, text_every: int = 4, groups: int = 12) -> None:
        self.pairs, self.text_every, self.groups = pairs, text_every, groups

    def group(self, index: int) -> list[Sample]:
        index %= self.groups
        images = []
        if index % self.text_every:
            width, height = SIZES[index % len(SIZES)]
            pixels = np.random.default_rng(index).integers(0, 255, (height, width, 3), dtype=np.uint8)
            images = [Image.fromarray(pixels)]
        return [self._sample(index, k, images) for k in range(2 if images else 1)]

    def _sample(self, index: int, k: int, images: list[Image.Image]) -> Sample:
        parts = [{"type": "image"} for _ in images] + [{"type": "text", "text": f"Where is the red circle {k}?"}]
        said = lambda text: ({"role": "assistant", "content": [{"type": "text", "text": text}]},)  # noqa: E731
        user = ({"role": "user", "content": parts},)
        common: dict[str, Any] = {"id": f"s{index}-{k}", "images": tuple(images), "task": "vqa", "lang": "en"}
        if self.pairs:
            chosen, rejected = said(f"{index} two blue squares"), said("빨간 동그라미")
            return Sample(messages=user, chosen=chosen, rejected=rejected, **common)
        return Sample(messages=user + said(f"{index} two blue squares " * (k + 1)), **common)


def use_pictures(monkeypatch: Any, **options: Any) -> None:
    """Let every stage draw from `Pictures`."""
    monkeypatch.setattr(feed, "open_mixture", lambda stage, seed: Pictures(stage.kind == "preference", **options))


def make_stage(**changes: Any) -> StageRecipe:
    """A few float32 steps of four rows, everything trainable."""
    base: dict[str, Any] = {
        "name": "s", "stage": 2, "steps": 6, "rows": 4, "micro_rows": 2, "max_tokens": 700, "learning_rate": 1e-3, "warmup": 2,
        "trainable": ("tower", "projector", "newline", "language"), "mixture": {"a": SourceRecipe(source="synth:text")},
        "precision": "float32",
    }  # fmt: skip
    return StageRecipe(**{**base, **changes})


def set_up(loaded: Loaded, stage: StageRecipe, directory: Path) -> Setup:
    return prepare(stage, loaded, 0, WORLD, directory / stage.name)


def steps(setup: Setup, count: int | None = None) -> list[StepResult]:
    """Run the first steps of a stage."""
    stage = setup.stage
    optimizer = make_optimizer(setup.task.named_parameters(), stage, setup.task.part_of)
    return [run_step(setup.task, stage, step, optimizer, WORLD, torch.float32) for step in range(count or stage.steps)]


def losses(results: list[StepResult]) -> torch.Tensor:
    return torch.tensor([r.loss for r in results], dtype=torch.float64)


def same_course(a: torch.Tensor, b: torch.Tensor, largest: float = 2e-4) -> None:
    """Two curves of losses are one but for rounding: no large difference, and none that points one way."""
    difference = a - b
    assert difference.abs().max() < largest, difference
    assert difference.mean().abs() < largest / 4, difference
