"""Losses. All are sums over supervised tokens; the step divides once by their number over all ranks and micro-batches.

Shapes: S supervised tokens, W vocabulary, B answers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class SoftNumbers:
    """Label smoothing over neighbouring number tokens: a box edge that is off by 0.01 is nearly right.

    Targets among the number tokens become a Gaussian over their values with standard deviation `sigma` (in steps of
    one token), normalised over the number tokens; all other targets stay one-hot.
    """

    def __init__(self, ids: list[int], sigma: float, vocabulary: int) -> None:
        self.ids = torch.tensor(ids)
        value = torch.arange(len(ids), dtype=torch.float32)
        weights = torch.exp(-0.5 * ((value[None] - value[:, None]) / sigma) ** 2)
        self.weights = weights / weights.sum(1, keepdim=True)
        self.place = torch.full((vocabulary,), -1)
        self.place[self.ids] = torch.arange(len(ids))

    def __call__(self, log_probabilities_SW: Tensor, targets_S: Tensor) -> Tensor:
        """Cross-entropy [S] against the softened targets."""
        place = self.place.to(targets_S.device)[targets_S]
        hard = -log_probabilities_SW.gather(1, targets_S[:, None])[:, 0]
        numbers = place >= 0
        rows = log_probabilities_SW[numbers][:, self.ids.to(targets_S.device)]
        soft = -(rows * self.weights.to(rows)[place[numbers]]).sum(1)
        return hard.masked_scatter(numbers, soft)


def token_losses(logits_SW: Tensor, targets_S: Tensor, soft: SoftNumbers | None = None) -> Tensor:
    """Cross-entropy [S] in float32, one value per supervised token."""
    logits = logits_SW.float()
    if soft is None:
        return F.cross_entropy(logits, targets_S, reduction="none")
    return soft(F.log_softmax(logits, dim=-1), targets_S)


def answer_log_probabilities(logits_SW: Tensor, targets_S: Tensor, sequence_S: Tensor, answers: int) -> Tensor:
    """Summed log-probability [B] of each answer."""
    token = -F.cross_entropy(logits_SW.float(), targets_S, reduction="none")
    return torch.zeros(answers, device=token.device).index_add_(0, sequence_S, token)


def preference_loss(policy_B: Tensor, reference_B: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Direct preference optimisation (Rafailov et al. 2023, eq. 7): losses and implicit reward margins, [B / 2] each.

    Answers come in pairs: even places chosen, odd places rejected. At the reference itself the loss is ln 2.
    """
    gain_B = beta * (policy_B - reference_B)
    margin = gain_B[0::2] - gain_B[1::2]
    return -F.logsigmoid(margin), margin.detach()
