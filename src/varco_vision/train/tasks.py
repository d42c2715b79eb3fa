"""Training on answers: supervised ones and preferences. (Stage 0 of a tower is in tower.py.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from varco_vision.model.freeze import part_of, trained_parameters
from varco_vision.model.packed import PackedBatch, supervised_logits
from varco_vision.model.tokenizer import number_ids
from varco_vision.train.feed import Feed
from varco_vision.train.loss import SoftNumbers, answer_log_probabilities, preference_loss, token_losses
from varco_vision.train.recipe import StageRecipe
from varco_vision.train.step import copy_into


class AnswerTask:
    """Supervised answers: cross-entropy per supervised token, for a whole model or a language model alone."""

    terms: tuple[str, ...] = ("token",)
    weights: tuple[float, ...] = (1.0,)

    def __init__(
        self, model: PreTrainedModel, feed: Feed, stage: StageRecipe, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.model, self.feed, self.stage, self.mean, self.std = model, feed, stage, mean, std
        ids = number_ids(feed.tokenizer) if stage.soft_numbers else []
        rows = model.get_input_embeddings().num_embeddings
        self.soft = SoftNumbers(ids, stage.soft_numbers, rows) if ids else None

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        return trained_parameters(self.model)

    def part_of(self, name: str) -> str:
        return part_of(name) if hasattr(self.model.model, "language_model") else "language"

    def batches(self, step: int) -> list[PackedBatch]:
        return self.feed.batches()

    def counts(self, batch: PackedBatch) -> list[float]:
        return [float(len(batch.targets_S))]

    def sums(self, batch: PackedBatch) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        logits_SW = supervised_logits(self.model, batch, self.mean, self.std)
        losses_S = token_losses(logits_SW, batch.targets_S, self.soft)
        return losses_S.sum()[None], _by_task(losses_S.detach(), batch)

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
    def refused(self) -> list[str]:
        return self.feed.refused


class PreferenceTask(AnswerTask):
    """Direct preference optimisation against log-probabilities of the model as it was when the stage began.

    Both answers of a pair share prompt and picture inside the row. With `sft_weight` the chosen answer's cross-entropy
    is added, per token.
    """

    terms = ("pair", "token")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.weights = (1.0, self.stage.sft_weight)
        self.reference: dict[str, list[float]] = {}

    def counts(self, batch: PackedBatch) -> list[float]:
        chosen = (batch.sequence_S % 2 == 0).sum()
        return [len(batch.samples) / 2, float(chosen)]

    @torch.no_grad()
    def measure(self, batch: PackedBatch) -> dict[str, list[float]]:
        """{sample: [log-probability of chosen, of rejected]} under the model as it is now."""
        policy_B = self._log_probabilities(supervised_logits(self.model, batch, self.mean, self.std), batch)
        values = policy_B.tolist()
        return {name: values[n : n + 2] for n, name in enumerate(batch.samples) if n % 2 == 0}

    def sums(self, batch: PackedBatch) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        logits_SW = supervised_logits(self.model, batch, self.mean, self.std)
        policy_B = self._log_probabilities(logits_SW, batch)
        known = [value for name in batch.samples[0::2] for value in self.reference[name]]
        reference_B = torch.tensor(known, device=policy_B.device)
        losses, margins = preference_loss(policy_B, reference_B, self.stage.beta)
        chosen = batch.sequence_S % 2 == 0
        token = token_losses(logits_SW[chosen], batch.targets_S[chosen], self.soft).sum()
        pairs = len(margins)
        details = {"accuracy": (float((margins > 0).sum()), pairs), "margin": (float(margins.sum()), pairs)}
        return torch.stack([losses.sum(), token]), details

    @staticmethod
    def _log_probabilities(logits_SW: Tensor, batch: PackedBatch) -> Tensor:
        return answer_log_probabilities(logits_SW, batch.targets_S, batch.sequence_S, len(batch.samples))


def _by_task(losses_S: Tensor, batch: PackedBatch) -> dict[str, tuple[float, float]]:
    """(sum, count) of the token losses of each kind of task."""
    names = sorted(set(batch.tasks))
    place = torch.tensor([names.index(t) for t in batch.tasks], device=losses_S.device)[batch.sequence_S]
    total = torch.zeros(len(names), device=losses_S.device).index_add_(0, place, losses_S.float()).tolist()
    count = torch.bincount(place, minlength=len(names)).tolist()
    return {f"loss_{name}": (t, c) for name, t, c in zip(names, total, count, strict=True)}
