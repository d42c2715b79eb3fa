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

    def rows(self, targets_S: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which targets are numbers (indices [M]), the ids of all numbers [101], and the softened targets [M, 101]."""
        place = self.place.to(targets_S.device)[targets_S]
        numbers = (place >= 0).nonzero()[:, 0]
        return numbers, self.ids.to(targets_S.device), self.weights.to(targets_S.device)[place[numbers]]


class _CrossEntropy(torch.autograd.Function):
    """Cross-entropy [S] against targets that are one-hot but for softened rows; float32 inside.

    Its gradient is softmax minus target. Written out, the vocabulary is passed over once in each direction; the
    composition of log-softmax, two gathers and their backward passes went over it five times (docs/log.md).
    """

    @staticmethod
    def forward(ctx, logits_SW: Tensor, targets_S: Tensor, soft: tuple[Tensor, Tensor, Tensor] | None) -> Tensor:
        logs_SW = torch.log_softmax(logits_SW, dim=-1, dtype=torch.float32)
        losses_S = -logs_SW.gather(1, targets_S[:, None])[:, 0]
        if soft is not None:
            rows, ids, weights = soft
            losses_S[rows] = -(logs_SW[rows[:, None], ids[None, :]] * weights).sum(1)
        ctx.dtype = logits_SW.dtype
        ctx.save_for_backward(logs_SW, targets_S, *(soft or ()))
        return losses_S

    @staticmethod
    def backward(ctx, gradient_S: Tensor) -> tuple[Tensor, None, None]:
        logs_SW, targets_S, *soft = ctx.saved_tensors
        gradient = logs_SW.exp().mul_(gradient_S[:, None])
        back_S = -gradient_S
        if soft:
            rows, ids, weights = soft
            back_S = back_S.index_fill(0, rows, 0.0)
            gradient[rows[:, None], ids[None, :]] -= weights * gradient_S[rows, None]
        gradient.scatter_add_(1, targets_S[:, None], back_S[:, None])
        return gradient.to(ctx.dtype), None, None


def token_losses(logits_SW: Tensor, targets_S: Tensor, soft: SoftNumbers | None = None) -> Tensor:
    """Cross-entropy [S] in float32, one value per supervised token."""
    return _CrossEntropy.apply(logits_SW, targets_S, soft.rows(targets_S) if soft else None)


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
