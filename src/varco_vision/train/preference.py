"""Preference training: DPO and its variants, and the log-probabilities of the reference, kept on the disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from varco_vision.data.pack import Document
from varco_vision.model.packed import PackedBatch
from varco_vision.train.features import weights_digest
from varco_vision.train.loss import preference_loss, sum_by_answer
from varco_vision.train.recipe import StageRecipe
from varco_vision.train.tasks import AnswerTask


class PreferenceTask(AnswerTask):
    """Direct preference optimisation against log-probabilities of the model as it was when the stage began.

    Both answers of a pair share prompt and picture inside the row. `length_normalised` divides each answer's
    log-probability by its tokens; `reference_free` leaves the reference out; `sft_weight` adds the chosen answer's
    cross-entropy, per token.
    """

    terms = ("pair", "token")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.weights = (1.0, self.stage.sft_weight)
        self.reference: dict[str, float] = {}  # by key of the answer

    def batches(self, step: int) -> list[PackedBatch]:
        return [self.with_reference(batch) for batch in super().batches(step)]

    def with_reference(self, batch: PackedBatch) -> PackedBatch:
        """The batch with what the reference gave for its answers, brought to the device before the step begins."""
        if self.stage.reference_free:
            return batch
        values = torch.tensor([self.reference[key] for key in batch.keys], dtype=torch.float32)
        return replace(batch, reference_B=values.to(batch.sequence_S.device, non_blocking=True))

    def counts(self, batch: PackedBatch) -> list[float]:
        chosen = (batch.sequence_S % 2 == 0).sum()
        return [len(batch.samples) / 2, float(chosen)]

    @torch.no_grad()
    def measure(self, batch: PackedBatch) -> dict[str, float]:
        """{key of an answer: its summed log-probability} under the model as it is now."""
        _, losses_S = self.forward(batch, None)
        values = sum_by_answer(losses_S, batch.sequence_S, len(batch.samples)).tolist()
        return dict(zip(batch.keys, values, strict=True))

    def sums(self, batch: PackedBatch) -> tuple[Tensor, dict[str, tuple[Any, Any]]]:
        losses_S, plain_S = self.forward(batch, self.soft if self.stage.sft_weight else None, plain=True)
        self.keep(batch, plain_S)
        answers = len(batch.samples)
        policy_B = sum_by_answer(plain_S, batch.sequence_S, answers)
        reference_B = torch.zeros_like(policy_B)
        if not self.stage.reference_free:
            assert batch.reference_B is not None, "the batch did not come through `with_reference`"
            reference_B = batch.reference_B
        if self.stage.length_normalised:
            tokens_B = -sum_by_answer(torch.ones_like(plain_S), batch.sequence_S, answers)
            policy_B, reference_B = policy_B / tokens_B, reference_B / tokens_B
        losses, margins = preference_loss(policy_B, reference_B, self.stage.beta, self.stage.margin)
        token = (losses_S * (batch.sequence_S % 2 == 0)).sum()
        details = told(policy_B.detach(), reference_B, margins, batch, self.stage)
        return torch.stack([losses.sum(), token]), details


@torch.no_grad()
def told(
    policy_B: Tensor, reference_B: Tensor, margins: Tensor, batch: PackedBatch, stage: StageRecipe
) -> dict[str, tuple[Any, Any]]:
    """(sum, count) of what shows where preference training goes, over all pairs and by kind of task.

    `accuracy`, `margin`: part of the pairs whose chosen answer gains more than the rejected one, and by how much (beta times
    nats). `chosen`, `rejected`: log-probability in nats a token. With a reference also `chosen_change`, `rejected_change`:
    the same minus the reference's. On answers that the reference would give itself, minus the change estimates the
    Kullback-Leibler divergence a token from the reference to the policy.
    """
    tokens_B = torch.zeros_like(policy_B).index_add_(
        0, batch.sequence_S, torch.ones(len(batch.sequence_S), device=policy_B.device)
    )
    ones_P = torch.ones_like(margins)
    values: dict[str, tuple[Tensor, Tensor]] = {
        "accuracy": ((margins > 0).float(), ones_P),
        "margin": (margins, ones_P),
    }
    by_answer = tokens_B if stage.length_normalised else torch.ones_like(tokens_B)  # to sums again
    for place, name in enumerate(("chosen", "rejected")):
        tokens_P = tokens_B[place::2]
        values[name] = ((policy_B * by_answer)[place::2], tokens_P)
        if not stage.reference_free:
            values[f"{name}_change"] = (((policy_B - reference_B) * by_answer)[place::2], tokens_P)
    details = {name: (sums_P.sum(), counts_P.sum()) for name, (sums_P, counts_P) in values.items()}
    kinds, place_P = batch.kinds, batch.kinds_B[0::2]
    for name in ("accuracy", "margin", "chosen_change"):
        if name in values:
            sums, counts = (torch.zeros(len(kinds), device=v.device).index_add_(0, place_P, v) for v in values[name])
            details |= {f"{name}_{kind}": (sums[n], counts[n]) for n, kind in enumerate(kinds)}
    return details


def answer_keys(documents: Iterable[Document]) -> list[str]:
    """One digest an answer, in the order of the collated answers.

    It is taken over the token ids of prefix and answer, which are supervised, the pixels of the views and the places
    they are read from: so over sample, template, tokenizer and tiling alike, whatever changes in them.
    """
    keys = []
    for document in documents:
        shared = hashlib.blake2b(digest_size=16)
        for part in (document.prefix, document.views_VTTC.shape):
            shared.update(repr(part).encode())
        for array in (document.views_VTTC, document.indices_N4, document.weights_N4):
            shared.update(b"-" if array is None else array.tobytes())
        for branch in document.branches:
            own = shared.copy()
            own.update(repr((branch.ids, branch.supervised)).encode())
            keys.append(own.hexdigest())
    return keys


def fingerprint(model: PreTrainedModel, dtype: torch.dtype) -> str:
    """A digest of every weight, and of the precision of the forward."""
    return weights_digest(model.state_dict(), str(dtype))


class ReferenceStore:
    """Log-probabilities by key, in one file of lines for each model and process; they survive a kill.

    `directory` may be shared by runs that differ in beta, rate or variant: the reference is computed once for them all.
    """

    def __init__(self, directory: Path, model: str, rank: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.values = self.read(directory, model)
        self.path = directory / f"{model}-{rank}.jsonl"
        torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
        self.file = self.path.open("a", encoding="utf-8")
        if torn:
            self.file.write("\n")  # behind a half-written line, so that the next one is whole

    @staticmethod
    def read(directory: Path, model: str) -> dict[str, float]:
        """All that is known for a model, by whichever process it was found."""
        values: dict[str, float] = {}
        for path in sorted(directory.glob(f"{model}-*.jsonl")):
            values.update(_read(path))
        return values

    def missing(self, keys: Sequence[str]) -> bool:
        return any(key not in self.values for key in keys)

    def add(self, values: dict[str, float]) -> None:
        self.values.update(values)
        self.file.writelines(json.dumps([key, value]) + "\n" for key, value in values.items())
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def _read(path: Path) -> dict[str, float]:
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            key, value = json.loads(line)
        except ValueError:
            continue  # what a kill left of the last line
        found[key] = value
    return found
