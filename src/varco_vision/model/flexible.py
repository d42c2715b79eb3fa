"""The visibility of packed rows through flex attention: one fused kernel on a GPU, whole blocks left out.

Says the same as `model.packed.visibility`: a token reads the prefix of its document and its own branch up to itself. On a
GPU the kernel is compiled once and skips every block of 128 x 128 tokens that holds no readable pair, so documents of a
row cost what they would cost apart. On a CPU flex attention computes the whole row and serves to test the mask only.

Shapes: R rows, L tokens of a row, H heads, E head width.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "packed_flex"
BLOCK = 128  # tokens; rows are masked up to a multiple of it by flex attention itself


def block_mask(document_RL: Tensor, branch_RL: Tensor) -> BlockMask:
    """Which blocks of each row have anything to read. Padding (document -1) reads itself, which keeps its softmax finite."""

    def readable(row: Tensor, head: Tensor, reader: Tensor, read: Tensor) -> Tensor:
        document, branch = document_RL[row], branch_RL[row]
        same = (document[reader] == document[read]) & (document[reader] >= 0)
        open_branch = (branch[read] == 0) | (branch[read] == branch[reader])
        return (same & open_branch & (read <= reader)) | (reader == read)

    rows, length = document_RL.shape
    return create_block_mask(readable, rows, None, length, length, device=str(document_RL.device), BLOCK_SIZE=BLOCK)


@functools.cache
def _kernel() -> Any:
    """The compiled kernel; lengths of rows change from step to step, so it is compiled for any length."""
    return torch.compile(flex_attention, dynamic=True)


def usable(device: torch.device) -> tuple[bool, str]:
    """Whether the fused kernel runs on `device`, and if not, why, in words that end a sentence."""
    if device.type != "cuda":
        return False, f"flex attention is for GPUs, and this is a {device.type}"
    try:
        import triton  # noqa: F401
    except ImportError:
        return False, "flex attention needs triton, which is not installed"
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < (8, 0):
        return False, f"flex attention needs a GPU of compute capability 8.0, this one has {major}.{minor}"
    return True, ""


def flexible_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, scaling: float, **options: Any
) -> tuple[Tensor, None]:
    """transformers' attention interface: [R, H, L, E] in, [R, L, H, E] out; with a `BlockMask` in place of the mask.

    Any other mask goes to scaled-dot-product attention, so that the same model also generates. Under autocast the rotation of
    queries and keys gives float32; they go back to the values' dtype.
    """
    if not isinstance(attention_mask, BlockMask):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    query, key = query.to(value.dtype), key.to(value.dtype)
    grouped = query.shape[1] != key.shape[1]
    if query.device.type == "cuda":
        mixed = _kernel()(query, key, value, block_mask=attention_mask, scale=scaling, enable_gqa=grouped)
    else:
        with warnings.catch_warnings():  # it warns that it is slow when not compiled; here that is known
            warnings.simplefilter("ignore")
            mixed = flex_attention(query, key, value, block_mask=attention_mask, scale=scaling, enable_gqa=grouped)
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, flexible_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
