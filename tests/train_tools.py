"""What the tests of training share: a tiny model, a source of random pictures with questions, stages, and a short run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tiny import tiny_tokenizer
from transformers import Qwen3Config, Qwen3ForCausalLM, SiglipConfig, SiglipModel

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


def borrowed(folder: Path) -> dict[str, Any]:
    """Backbones of width 16 and 32 and a file of eight pictures with questions in `folder`, and a recipe over both."""
    torch.manual_seed(0)
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = SiglipConfig(vision_config={**vision, "image_size": 32, "patch_size": 8}, text_config=vision)
    SiglipModel(config).save_pretrained(folder / "siglip")
    tokenizer = tiny_tokenizer()
    language = Qwen3Config(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        vocab_size=384, tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id, pad_token_id=None, bos_token_id=None,
    )  # fmt: skip
    Qwen3ForCausalLM(language).save_pretrained(folder / "qwen")
    tokenizer.save_pretrained(folder / "qwen")
    lines = []
    for n in range(8):
        Image.new("RGB", (40 + n, 30), (n * 20, 100, 50)).save(folder / f"{n}.png")
        user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where is it?"}]}
        said = {"role": "assistant", "content": [{"type": "text", "text": f"two blue squares {n}"}]}
        line = {"id": str(n), "images": [f"{n}.png"], "task": "vqa", "lang": "en", "messages": [user, said]}
        lines.append(json.dumps(line))
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n")
    stage = {"rows": 2, "micro_rows": 2, "steps": 3, "warmup": 1, "max_tokens": 600, "learning_rate": 1e-3,
             "mixture": {"own": {"source": str(folder / "data.jsonl")}}, "precision": "float32"}  # fmt: skip
    content = {
        "name": "borrowed",
        "model": {
            "tile": 32, "patch": 8, "max_tiles": 4, "longest_side": 2, "feature_layer": -2,
            "tower_from": str(folder / "siglip"), "vision": {"width": 16, "layers": 3, "heads": 2, "mlp": 32},
            "language_from": str(folder / "qwen"),
            "text": {"width": 32, "layers": 2, "heads": 4, "kv_heads": 2, "mlp": 48, "kind": "qwen3", "vocabulary": 384, "head_width": 16},
        },
        "stages": [
            {**stage, "name": "alignment", "stage": 1, "views": "one", "trainable": ["projector", "newline"]},
            {**stage, "name": "basic", "stage": 2, "trainable": ["tower", "projector", "newline", "language"]},
        ],
    }  # fmt: skip
    return content
