"""Linear layers as the products that this processor does fastest; the results stay float32 arithmetic.

torch hands float32 products on x86 CPUs to MKL, which on AMD processors leaves half of the vector width unused. torch also
carries oneDNN, which uses all of it when the weight is laid out for it once. Measured on one core of an AMD EPYC (Zen 5):
1240 rows times 160 x 480 in 0.80 ms, by MKL in 1.93 ms; below `LEAST_WORK` MKL's calls are the cheaper ones. Where the
operators are missing, or on anything but an x86 CPU with float32 weights, every product is `F.linear`.

Shapes: N rows, I inputs, O outputs.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Joined and laid-out products are copies of weights (both, where float32 layers are joined on a CPU). A part of a model
# with more than this, be it the tower with its projector, the blocks of the language model or its head, keeps its own.
JOIN_BYTES = 256 * 2**20
LEAST_WORK = 600_000  # N * I * O from which oneDNN's call is worth its 9 microseconds
LAID_OUT_FOR = 1024  # rows that the layout is chosen for; other numbers of rows run on it just as well


@cache
def can_lay_out() -> bool:
    """Whether torch has oneDNN's linear layer here and it multiplies correctly."""
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():
        return False
    try:
        x, weight = torch.linspace(-1, 1, 8 * 48).view(8, 48), torch.linspace(-1, 1, 32 * 48).view(32, 48).sin()
        found = _product(x, _laid_out(weight), None)
    except (RuntimeError, AttributeError):  # another build of torch: the operators are no public interface
        return False
    return torch.allclose(found, F.linear(x, weight), atol=1e-4)


def _laid_out(weight_OI: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight_OI.contiguous(), LAID_OUT_FOR)


def _product(x: Tensor, weight: Tensor, bias_O: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias_O, "none", [], "")


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer is nothing but a product with a weight, so that a copy of the weight can stand for it.

    Adapters and parametrizations are other classes; libraries that move weights between devices put a `forward` of their
    own on the layer.
    """
    return type(layer) is nn.Linear and "forward" not in vars(layer) and not hooked(layer)


def hooked(module: nn.Module) -> bool:
    """Whether something listens to the module or a part of it, which would not be told of a call around the module."""
    return any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


class Product:
    """Linear layers with the same input as one product: [..., I] -> [..., sum of O].

    `copies` False, or layers that are not plain: the layers themselves are called.
    """

    def __init__(self, layers: Sequence[nn.Module], copies: bool) -> None:
        self.layers = list(layers)
        self.weight: Tensor | None = None
        self.bias: Tensor | None = None
        self.laid_out: Tensor | None = None
        self.least_rows = 0
        if copies and all(map(is_plain, layers)):
            self._copy()

    def _copy(self) -> None:
        first = self.layers[0].weight
        joined = len(self.layers) > 1
        self.weight = torch.cat([m.weight.detach() for m in self.layers]) if joined else first.detach()
        if any(m.bias is not None for m in self.layers):
            empty = [m.weight.new_zeros(len(m.weight)) for m in self.layers]
            self.bias = torch.cat(
                [z if m.bias is None else m.bias.detach() for m, z in zip(self.layers, empty, strict=True)]
            )
        if first.device.type == "cpu" and first.dtype == torch.float32 and can_lay_out():
            self.laid_out = _laid_out(self.weight)
            self.least_rows = -(-LEAST_WORK // self.weight.numel())

    def __call__(self, x: Tensor) -> Tensor:
        if self.weight is None:
            parts = [layer(x) for layer in self.layers]
            return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        if self.laid_out is not None and x.numel() // x.shape[-1] >= self.least_rows:
            return _product(x, self.laid_out, self.bias)
        return F.linear(x, self.weight, self.bias)


def small(layers: Sequence[nn.Module]) -> bool:
    """Whether all these layers are plain and of one kind, and their weights take no more than `JOIN_BYTES`."""
    if not all(map(is_plain, layers)) or len({(m.weight.dtype, m.weight.device) for m in layers}) > 1:
        return False
    return sum(m.weight.nbytes for m in layers) <= JOIN_BYTES
