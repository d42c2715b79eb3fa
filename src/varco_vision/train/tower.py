"""Stage 0 for a tower made here: dense labels, patch by patch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import SiglipVisionModel

from varco_vision.model.initialise import number_code
from varco_vision.model.tokenizer import NUMBERS
from varco_vision.model.vision import normalise
from varco_vision.synth.dense import ORDER, THINGS, DenseConfig, dense_batch
from varco_vision.train.feed import as_it_is
from varco_vision.train.parallel import World
from varco_vision.train.recipe import StageRecipe
from varco_vision.train.step import copy_into

TOWER_MEAN = TOWER_STD = (0.5, 0.5, 0.5)


BINS = len(NUMBERS)  # box edges are read off in the numbers that the language model writes


class DenseHeads(nn.Module):
    """What reads labels off the patch features during stage 0; thrown away afterwards.

    A box edge is read as a soft choice among the numbers 0.00 ... 1.00, each with the Fourier code that its token starts
    with in the language model. So the features come to hold edges in the very code in which they will be written.
    """

    def __init__(self, width: int, sizes: dict[str, int], code_width: int = 128) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.classes = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})
        self.box = nn.Linear(width, 4 * code_width)
        self.register_buffer("code_NF", number_code(BINS, code_width), persistent=False)

    def box_loss(self, features_OW: Tensor, box_O4: Tensor) -> Tensor:
        """Cross-entropy [O] over the four edges against Gaussians of 1.5 hundredths around the true ones."""
        codes_O4F = self.box(features_OW).float().view(-1, 4, self.code_NF.shape[1])
        logits_O4N = codes_O4F @ self.code_NF.t()
        distance_O4N = torch.arange(BINS, device=box_O4.device) - box_O4[..., None] * (BINS - 1)
        target_O4N = torch.softmax(-0.5 * (distance_O4N / 1.5) ** 2, dim=-1)
        return -(target_O4N * F.log_softmax(logits_O4N, dim=-1)).sum(-1).mean(-1)


class _Pictures(IterableDataset):
    """The micro-batches of step after step from `first` on, as they go through the tower; worker k of W makes every W-th step."""

    def __init__(
        self, config: DenseConfig, seed: int, stage: StageRecipe, terms: Sequence[str], first: int, world: World
    ) -> None:
        self.config, self.seed, self.stage, self.terms, self.first, self.world = (
            config,
            seed,
            stage,
            terms,
            first,
            world,
        )

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        worker = get_worker_info()
        at, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in itertools.count(self.first + at, stride):
            yield self.step(step)

    def step(self, step: int) -> list[dict[str, Any]]:
        stage, world = self.stage, self.world
        mine = range(step * stage.rows + world.rank, (step + 1) * stage.rows, world.size)
        chunks = [list(mine)[at : at + stage.micro_rows] for at in range(0, len(mine), stage.micro_rows)]
        return [self._indexed(dense_batch(chunk, self.config, self.seed)) for chunk in chunks]

    def _indexed(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """Labels and boxes flat over patches, and in place of masks the patches of each kind: no step asks the device.

        Arrays, not tensors: a worker would open a file for each of these.
        """
        found: dict[str, Any] = {
            name: a if name == "images" else a.reshape(-1, *a.shape[2:])
            for name, a in batch.items()
            if not name.endswith("_mask")
        }
        sizes = {"all": batch["object_mask"].size}
        for kind in ("object", "glyph"):
            found[f"{kind}_patches"] = np.flatnonzero(batch[f"{kind}_mask"])
            sizes[kind] = len(found[f"{kind}_patches"])
        found["counts"] = [float(sizes[patches_of(term)]) for term in self.terms]
        return found


def patches_of(term: str) -> str:
    """Which patches a term of the loss is about: "all", those on an "object" or those on a "glyph"."""
    if term in TowerTask.everywhere:
        return "all"
    return "object" if term in ("box", *THINGS) else "glyph"


class TowerTask:
    """Patch by patch: colour and shape of the object there and its box, and the letters of the glyph there.

    Terms are averages over all patches (colour, shape), glyph patches (letters, their order, box of the word) and object
    patches (box, thing). The terms of `dense.ORDER` come with `dense: {order: true}`, "thing" with `dense: {things: ...}`.
    `stage.workers` processes draw the pictures; the pictures of a step depend on its number only.
    """

    terms: tuple[str, ...] = ("colour", "shape", "initial", "medial", "final", "latin", "box", "word_box")
    weights: tuple[float, ...] = (1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 1.0, 0.5)
    everywhere = ("colour", "shape")

    def __init__(self, tower: SiglipVisionModel, stage: StageRecipe, seed: int, world: World) -> None:
        vision = tower.config
        self.config = DenseConfig(tile=vision.image_size, patch=vision.patch_size, **stage.dense)
        if self.config.order:
            self.terms, self.weights = (*self.terms, *ORDER), (*self.weights, *[0.5] * len(ORDER))
        if self.config.things:
            self.terms, self.weights = (*self.terms, *THINGS), (*self.weights, 1.0)
        # at these lengths plain products beat fused attention on a CPU
        tower.set_attn_implementation("sdpa" if world.device.type == "cuda" else "eager")
        self.tower, self.stage, self.seed, self.world = tower, stage, seed, world
        torch.manual_seed(seed)
        self.heads = DenseHeads(vision.hidden_size, self.config.classes()).to(world.device)
        self.samples = 0
        self.steps: Iterator[list[dict[str, Any]]] | None = None

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        tower = [(f"tower.{n}", p) for n, p in self.tower.named_parameters() if "post_layernorm" not in n]
        return tower + [(f"heads.{n}", p) for n, p in self.heads.named_parameters()]

    def part_of(self, name: str) -> str:
        return name.split(".", maxsplit=1)[0]

    def batches(self, step: int) -> list[dict[str, Any]]:
        stage = self.stage
        self.samples = (step + 1) * stage.rows // self.world.size
        if self.steps is None:
            pictures = _Pictures(self.config, self.seed, stage, self.terms, step, self.world)
            self.steps = iter(DataLoader(pictures, batch_size=None, num_workers=stage.workers, collate_fn=as_it_is))
        return [{name: self._moved(value) for name, value in batch.items()} for batch in next(self.steps)]

    def _moved(self, value: Any) -> Any:
        return torch.from_numpy(value).to(self.world.device) if isinstance(value, np.ndarray) else value

    def counts(self, batch: dict[str, Any]) -> list[float]:
        return batch["counts"]

    def sums(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, tuple[Any, Any]]]:
        pixels = normalise(batch["images"], TOWER_MEAN, TOWER_STD, torch.float32)
        hidden = self.tower(pixels, output_hidden_states=True, return_dict=True).hidden_states[-1]
        features = {"all": self.heads.norm(hidden.float()).flatten(0, 1)}
        for kind in ("object", "glyph"):
            features[kind] = features["all"].index_select(0, batch[f"{kind}_patches"])
        losses, details = [], {}
        for term in self.terms:
            kind = patches_of(term)
            chosen, labels = features[kind], batch["box" if term in ("box", "word_box") else term]
            if kind != "all":
                labels = labels.index_select(0, batch[f"{kind}_patches"])
            if term in ("box", "word_box"):
                losses.append(self.heads.box_loss(chosen, labels).sum())
                continue
            logits = self.heads.classes[term](chosen).float()
            losses.append(F.cross_entropy(logits, labels, reduction="sum"))
            shown = labels > 0
            details[f"accuracy_{term}"] = (((logits.argmax(-1) == labels) & shown).sum(), shown.sum())
        return torch.stack(losses), details

    def names(self, batch: dict[str, Tensor]) -> Sequence[str]:
        return [f"dense picture of seed {self.seed}"]

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        """The pictures of a step depend on its number only."""

    def tensors(self) -> dict[str, Tensor]:
        return {n: p.detach() for n, p in self.named_parameters()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        copy_into(dict(self.named_parameters()), tensors)

    @property
    def refused(self) -> int:
        return 0

    def left_out(self) -> list[str]:
        return []

    def culprits(self) -> list[str]:
        return []

    def close(self) -> None:
        self.steps = None
