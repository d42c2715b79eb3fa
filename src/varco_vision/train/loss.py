"""Losses. All are sums over supervised tokens; the step divides once by their number over all ranks and micro-batches.

Shapes: S supervised tokens, D width of the language model, W vocabulary, B answers, K tokens of a chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LARGE_VOCABULARY = 32_768  # logits over fewer words are small, and one product is faster than several


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

    def to(self, device: torch.device) -> SoftNumbers:
        """The same, its tables on `device`: before the first step, since a step waits for no copy."""
        self.ids, self.weights, self.place = (t.to(device) for t in (self.ids, self.weights, self.place))
        return self

    def rows(self, targets_S: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which targets are numbers (bool [S]), the ids of all numbers [101], and the softened targets [S, 101].

        Rows of other targets are zero. How many are numbers is never asked: the host would wait for the answer.
        """
        place_S = self.place[targets_S]
        numbers_S = place_S >= 0
        return numbers_S, self.ids, self.weights[place_S.clamp(min=0)] * numbers_S[:, None]


SoftRows = tuple[Tensor, Tensor, Tensor]


def _forward(logits_SW: Tensor, targets_S: Tensor, soft: SoftRows | None) -> tuple[Tensor, Tensor]:
    """Losses [S] and log-probabilities [S, W], both float32."""
    logs_SW = torch.log_softmax(logits_SW, dim=-1, dtype=torch.float32)
    losses_S = -logs_SW.gather(1, targets_S[:, None])[:, 0]
    if soft is not None:
        numbers_S, ids, weights = soft
        losses_S = torch.where(numbers_S, -(logs_SW[:, ids] * weights).sum(1), losses_S)
    return losses_S, logs_SW


def _backward(softmax_SW: Tensor, targets_S: Tensor, soft: SoftRows | None, gradient_S: Tensor) -> Tensor:
    """Gradient [S, W] of the losses with regard to the logits: softmax minus target; overwrites `softmax_SW`."""
    gradient = softmax_SW.mul_(gradient_S[:, None])
    back_S = -gradient_S
    if soft is not None:
        numbers_S, ids, weights = soft
        back_S = back_S.masked_fill(numbers_S, 0.0)
        gradient[:, ids] -= weights * gradient_S[:, None]
    return gradient.scatter_add_(1, targets_S[:, None], back_S[:, None])


class _CrossEntropy(torch.autograd.Function):
    """Cross-entropy [S] against targets that are one-hot but for softened rows; float32 inside.

    Its gradient is softmax minus target. Written out, the vocabulary is passed over once in each direction; the
    composition of log-softmax, two gathers and their backward passes went over it five times (docs/log.md).
    """

    @staticmethod
    def forward(ctx, logits_SW: Tensor, targets_S: Tensor, soft: SoftRows | None) -> Tensor:
        losses_S, logs_SW = _forward(logits_SW, targets_S, soft)
        ctx.dtype = logits_SW.dtype
        ctx.save_for_backward(logs_SW, targets_S, *(soft or ()))
        return losses_S

    @staticmethod
    def backward(ctx, gradient_S: Tensor) -> tuple[Tensor, None, None]:
        logs_SW, targets_S, *soft = ctx.saved_tensors
        gradient = _backward(logs_SW.exp(), targets_S, tuple(soft) if soft else None, gradient_S)
        return gradient.to(ctx.dtype), None, None


class _ChunkedCrossEntropy(torch.autograd.Function):
    """The same from hidden states and the head's weight, `chunk` tokens at a time: [S, W] never exists as a whole.

    The backward pass makes the logits of a chunk again rather than keep them: one product with the head more, and
    memory that no longer grows with S times W.
    """

    @staticmethod
    def forward(
        ctx, hidden_SD: Tensor, weight_WD: Tensor, targets_S: Tensor, soft: SoftNumbers | None, chunk: int
    ) -> Tensor:
        device = hidden_SD.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_SD.dtype
        head = weight_WD.to(dtype)
        losses = []
        for at in range(0, len(targets_S), chunk):
            targets_K = targets_S[at : at + chunk]
            rows = soft.rows(targets_K) if soft else None
            losses.append(_forward(hidden_SD[at : at + chunk].to(dtype) @ head.t(), targets_K, rows)[0])
        ctx.save_for_backward(hidden_SD, weight_WD, targets_S)
        ctx.soft, ctx.chunk, ctx.head = soft, chunk, dtype
        return torch.cat(losses)

    @staticmethod
    def backward(ctx, gradient_S: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        hidden_SD, weight_WD, targets_S = ctx.saved_tensors
        head, wants_weight = weight_WD.to(ctx.head), ctx.needs_input_grad[1]
        hidden_back = torch.empty_like(hidden_SD)
        weight_back = torch.zeros_like(weight_WD, dtype=torch.float32) if wants_weight else None
        for at in range(0, len(targets_S), ctx.chunk):
            span = slice(at, at + ctx.chunk)
            hidden_KD = hidden_SD[span].to(ctx.head)
            rows = ctx.soft.rows(targets_S[span]) if ctx.soft else None
            _, logs_KW = _forward(hidden_KD @ head.t(), targets_S[span], rows)
            gradient_KW = _backward(logs_KW.exp_(), targets_S[span], rows, gradient_S[span]).to(ctx.head)
            hidden_back[span] = gradient_KW @ head
            if weight_back is not None:
                weight_back += gradient_KW.t() @ hidden_KD
        return hidden_back, None if weight_back is None else weight_back.to(weight_WD.dtype), None, None, None


def token_losses(logits_SW: Tensor, targets_S: Tensor, soft: SoftNumbers | None = None) -> Tensor:
    """Cross-entropy [S] in float32, one value per supervised token."""
    return _CrossEntropy.apply(logits_SW, targets_S, soft.rows(targets_S) if soft else None)


def chunked_token_losses(
    hidden_SD: Tensor, weight_WD: Tensor, targets_S: Tensor, soft: SoftNumbers | None = None, chunk: int = 1024
) -> Tensor:
    """`token_losses(hidden @ weight.T, ...)` with the logits of `chunk` tokens in memory at a time."""
    return _ChunkedCrossEntropy.apply(hidden_SD, weight_WD, targets_S, soft, chunk)


def sum_by_answer(losses_S: Tensor, sequence_S: Tensor, answers: int) -> Tensor:
    """Log-probability [B] of each answer, from the plain losses of its tokens."""
    return torch.zeros(answers, device=losses_S.device).index_add_(0, sequence_S, -losses_S)


def answer_log_probabilities(logits_SW: Tensor, targets_S: Tensor, sequence_S: Tensor, answers: int) -> Tensor:
    """Summed log-probability [B] of each answer."""
    return sum_by_answer(token_losses(logits_SW, targets_S), sequence_S, answers)


def preference_loss(policy_B: Tensor, reference_B: Tensor, beta: float, margin: float = 0.0) -> tuple[Tensor, Tensor]:
    """Direct preference optimisation (Rafailov et al. 2023, eq. 7): losses and implicit reward margins, [B / 2] each.

    Answers come in pairs: even places chosen, odd places rejected. At the reference itself the loss is ln 2. With a
    `reference_B` of zeros and log-probabilities per token it is SimPO (Meng et al. 2024, eq. 6), whose target margin gamma
    is `margin`.
    """
    gain_B = beta * (policy_B - reference_B)
    gap = gain_B[0::2] - gain_B[1::2]
    return -F.logsigmoid(gap - margin), gap.detach()
