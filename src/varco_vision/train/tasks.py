"""Training on supervised answers. (Preferences are in preference.py, stage 0 of a tower in tower.py.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from varco_vision.model.freeze import part_of, trained_parameters
from varco_vision.model.packed import PADDING, PackedBatch
from varco_vision.model.tokenizer import number_ids
from varco_vision.train.features import FeatureStore
from varco_vision.train.feed import Feed
from varco_vision.train.flops import FlopCount
from varco_vision.train.forward import PackedForward
from varco_vision.train.loss import SoftNumbers
from varco_vision.train.recipe import StageRecipe
from varco_vision.train.step import copy_into


class AnswerTask:
    """Supervised answers: cross-entropy per supervised token, for a whole model or a language model alone."""

    terms: tuple[str, ...] = ("token",)
    weights: tuple[float, ...] = (1.0,)
    sharded = False

    def __init__(
        self, model: PreTrainedModel, feed: Feed, stage: StageRecipe, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.model, self.feed, self.stage, self.mean, self.std = model, feed, stage, mean, std
        self.forward = PackedForward(model, mean, std, stage.logit_chunk)
        ids = number_ids(feed.tokenizer) if stage.soft_numbers else []
        rows = model.get_input_embeddings().weight.shape[0]
        self.soft = SoftNumbers(ids, stage.soft_numbers, rows).to(model.device) if ids else None
        self.openers = _opener_ids(feed.tokenizer) if stage.box_start_weight != 1.0 else []
        self.flops = FlopCount(model)
        self.store: FeatureStore | None = None
        self._told: list[tuple[PackedBatch, Tensor]] = []  # of the step: every micro-batch with its token losses

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        return trained_parameters(self.model)

    def part_of(self, name: str) -> str:
        return part_of(name) if hasattr(self.model.model, "language_model") else "language"

    def batches(self, step: int) -> list[PackedBatch]:
        self._told.clear()
        made = self.feed.batches()
        return [self.store.fill(batch) for batch in made] if self.store else made

    def counts(self, batch: PackedBatch) -> list[float]:
        return [float(len(batch.targets_S))]

    def load(self, batch: PackedBatch) -> dict[str, float]:
        return load_of(batch, self.flops, self.stage.max_tokens)

    def sums(self, batch: PackedBatch) -> tuple[Tensor, dict[str, tuple[Any, Any]]]:
        losses_S, _ = self.forward(batch, self.soft)
        self.keep(batch, losses_S)
        details = _by_task(losses_S.detach(), batch)
        if self.openers:
            before_S = batch.input_ids_RL.flatten()[batch.sources_S]
            opens_S = torch.stack([before_S == opener for opener in self.openers]).any(0)
            losses_S = losses_S * torch.where(opens_S, self.stage.box_start_weight, 1.0)
        for task, weight in self.stage.task_weights.items():
            if task in batch.tasks:
                of_task_S = batch.kinds_B[batch.sequence_S] == batch.kinds.index(task)
                losses_S = losses_S * torch.where(of_task_S, weight, 1.0)
        return losses_S.sum()[None], details

    def keep(self, batch: PackedBatch, losses_S: Tensor) -> None:
        """Keep the token losses until the next step, in case it must be said whose are not finite."""
        self._told.append((batch, losses_S.detach()))

    def culprits(self) -> list[str]:
        """Names of the samples of the step with a loss that is not finite, each once."""
        found: dict[str, None] = {}
        for batch, losses_S in self._told:
            places = batch.sequence_S[~torch.isfinite(losses_S)].unique().tolist()
            found.update(dict.fromkeys(batch.samples[n] for n in places))
        return list(found)

    def names(self, batch: PackedBatch) -> Sequence[str]:
        return batch.samples

    def state(self) -> dict[str, Any]:
        return self.feed.state()

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        self.feed.restore(states)

    def tensors(self) -> dict[str, Tensor]:
        return {n: p.detach() for n, p in self.named_parameters()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        copy_into(dict(self.named_parameters()), tensors)

    @property
    def samples(self) -> int:
        return self.feed.samples

    @property
    def refused(self) -> int:
        return self.feed.refused

    def left_out(self) -> list[str]:
        """Names of the samples that no row could hold, met on the way to the last batches."""
        return self.feed.left_out

    def close(self) -> None:
        self.feed.close()


def _opener_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids of the markers behind which a box begins."""
    return [tokenizer.convert_tokens_to_ids(marker) for marker in ("<bbox>", "<delim>")]


def load_of(batch: PackedBatch, flops: FlopCount, max_tokens: int) -> dict[str, float]:
    """What a micro-batch puts through the model: tokens of text and of pictures, supervised ones, views, the room that its
    rows had, and floating-point operations of forward and backward.
    """
    tokens = int((batch.document_RL != PADDING).sum())
    picture = len(batch.slots_N)
    encoded = len(batch.views_VTTC) if batch.features_VPW is None else 0
    pairs = batch.layout.pairs
    return {
        "text": float(tokens - picture),
        "picture": float(picture),
        "supervised": float(len(batch.targets_S)),
        "tiles": float(len(batch.views_VTTC)),
        "room": float(batch.rows * max_tokens),
        "flops": flops.step(
            tokens, len(batch.targets_S), pairs, encoded, 0 if batch.projected else len(batch.views_VTTC)
        ),
    }


def _by_task(losses_S: Tensor, batch: PackedBatch) -> dict[str, tuple[Any, Any]]:
    """(sum, count) of the token losses of each kind of task; values stay on the device until the step is over."""
    place_S = batch.kinds_B[batch.sequence_S]
    total = torch.zeros(len(batch.kinds), device=losses_S.device).index_add_(0, place_S, losses_S.float())
    count = torch.zeros_like(total).index_add_(0, place_S, torch.ones_like(losses_S, dtype=total.dtype))
    return {f"loss_{name}": (total[n], count[n]) for n, name in enumerate(batch.kinds)}
