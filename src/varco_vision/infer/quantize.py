"""Smaller weights for the language model on a CPU: int8 with one scale a row, activations in bfloat16.

Activations are not quantised: their scale would be taken over all rows of a batch, and answers would depend on which
others happen to be answered with them. Shapes: O outputs, I inputs of a linear layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varco_vision.errors import InputError
from varco_vision.model.checkpoint import Loaded

STEPS = 127
MOST_ROWS = 8  # up to here the weight is read as int8; above, making it bfloat16 first costs less than it saves


class Int8Linear(nn.Module):
    """A linear layer whose weight is int8 [O, I] with a scale [O]: w = scale * round(w / scale), scale = max|w| / 127."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp(min=1e-12) / STEPS
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale.to(torch.bfloat16))
        self.bias = linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.in_features)
        if len(rows) > MOST_ROWS:
            return F.linear(x, self.weight.to(x.dtype) * self.scale[:, None], self.bias)
        y = torch._weight_int8pack_mm(rows.contiguous(), self.weight, self.scale)
        y = y.view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias


def quantize(loaded: Loaded) -> Loaded:
    """Make the model bfloat16 and the linear layers of the language model's blocks int8, in place; returns `loaded`.

    Embeddings, head, norms, projector and vision tower stay bfloat16. `InputError` on a GPU, where small weights are
    the business of serving programs.
    """
    if loaded.device.type != "cpu":
        raise InputError(f"int8 weights are for the CPU; the model is on {loaded.device}")
    for layer in loaded.model.model.language_model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, child in list(part.named_children()):
                if type(child) is nn.Linear:
                    setattr(part, name, Int8Linear(child))
    loaded.model.to(torch.bfloat16)  # int8 tensors are no floating-point ones and stay
    return loaded
