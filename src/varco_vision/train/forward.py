"""The forward of training as one module: packed rows in, a loss for every supervised token out.

Being a module with one `forward` is what sharding needs: weights are gathered when it is called and freed behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import PreTrainedModel

from varco_vision.model.packed import PackedBatch, supervised_hidden
from varco_vision.train.loss import LARGE_VOCABULARY, SoftNumbers, chunked_token_losses, token_losses


class PackedForward(nn.Module):
    """`model` with what feeding it needs. `chunk`: supervised tokens whose logits exist at a time, for large vocabularies.

    `always`: the tower runs also where no picture is (see `model.packed.embed`).
    """

    def __init__(self, model: PreTrainedModel, mean: Sequence[float], std: Sequence[float], chunk: int = 1024) -> None:
        super().__init__()
        self.model, self.mean, self.std, self.chunk = model, mean, std, chunk
        self.always = False

    def forward(
        self, batch: PackedBatch, soft: SoftNumbers | None = None, plain: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Losses [S] against the (softened) targets, and against the plain ones where `plain` asks for them too.

        Without `soft` the two are one tensor.
        """
        hidden_SD = supervised_hidden(self.model, batch, self.mean, self.std, self.always)
        head = self.model.lm_head
        if head.weight.shape[0] < LARGE_VOCABULARY or len(batch.targets_S) <= self.chunk:
            logits_SW = head(hidden_SD)
            losses_S = token_losses(logits_SW, batch.targets_S, soft)
            return losses_S, token_losses(logits_SW, batch.targets_S) if soft and plain else losses_S
        weight_WD = _weight(head)
        losses_S = chunked_token_losses(hidden_SD, weight_WD, batch.targets_S, soft, self.chunk)
        if not (soft and plain):
            return losses_S, losses_S
        return losses_S, chunked_token_losses(hidden_SD, weight_WD, batch.targets_S, None, self.chunk)


def _weight(head: nn.Module) -> Tensor:
    """The head's weight, with the trained rows of an adapter in their places."""
    if hasattr(head, "get_merged_weights"):
        return head.get_merged_weights(head.active_adapters)
    return head.weight
