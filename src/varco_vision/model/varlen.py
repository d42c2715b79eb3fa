"""The visibility of packed rows through variable-length (flash) attention: one kernel on a GPU, nothing computed in vain.

Says the same as `model.packed.visibility`. A document becomes one sequence for its prefix and one for each branch, whose
queries are the branch's own tokens and whose keys are the prefix and the branch laid together: flash attention aligns its
causal mask at the ends of the two, so a branch reads all of the prefix and itself up to the reader. What is repeated are
gathered keys and values, not the work of reading them, which a dense mask would cost as well. A document with one branch is
one sequence of its own tokens, and where all documents are, nothing is gathered.

Shapes: R rows, L tokens of a row, T = R * L flat tokens, N sequences, K gathered keys, H heads, E head width.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from varco_vision.model.attention import Span, readable_pairs

NAME = "packed_varlen"
WIDTHS = 8  # head widths that the kernel takes are multiples of it


@dataclass
class Sequences:
    """Which flat tokens are the queries and keys of each sequence; queries stand in the order of the flat tokens.

    Both `starts` are cumulative lengths with a leading zero, int32 [N + 1]; `keys_K` is None where the keys are the queries'
    own tokens. Tokens of no document read themselves and what stands before them in their gap.
    """

    starts_q: Tensor
    starts_k: Tensor
    longest_q: int
    longest_k: int
    keys_K: Tensor | None
    pairs: int = 0  # how many (token, token that it reads) there are in documents

    def to(self, device: torch.device) -> Sequences:
        keys = None if self.keys_K is None else self.keys_K.to(device, non_blocking=True)
        starts = [s.to(device, non_blocking=True) for s in (self.starts_q, self.starts_k)]
        return Sequences(*starts, self.longest_q, self.longest_k, keys, self.pairs)


def make_sequences(spans: Sequence[Span], tokens: int) -> Sequences:
    """From documents, each one run of flat positions; `tokens` = R * L."""
    queries: list[int] = []
    keys: list[int] = []
    gathered: list[np.ndarray] = []
    shared = False

    def add(start: int, size: int, prefix: tuple[int, int] = (0, 0)) -> None:
        queries.append(size)
        keys.append(size + prefix[1])
        if prefix[1]:
            gathered.append(np.arange(prefix[0], prefix[0] + prefix[1]))
        gathered.append(np.arange(start, start + size))

    at = 0
    for first, prefix, branches in sorted(spans):
        if first > at:
            add(at, first - at)
        at = first + prefix + sum(branches)
        if len(branches) == 1 or not prefix:
            whole = [prefix + branches[0]] if len(branches) == 1 else list(branches)
            for start, size in zip(first + np.cumsum([0, *whole[:-1]]), whole, strict=True):
                add(int(start), size)
            continue
        shared = True
        add(first, prefix)
        for start, size in zip(first + prefix + np.cumsum([0, *branches[:-1]]), branches, strict=True):
            add(int(start), size, (first, prefix))
    if at < tokens:
        add(at, tokens - at)
    starts = [torch.from_numpy(np.cumsum([0, *sizes]).astype(np.int32)) for sizes in (queries, keys)]
    index = torch.from_numpy(np.concatenate(gathered)) if shared else None
    return Sequences(*starts, max(queries), max(keys), index, readable_pairs(spans))


def varlen_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, scaling: float, **options: Any
) -> tuple[Tensor, None]:
    """transformers' attention interface: [R, H, L, E] in, [R, L, H, E] out; with `Sequences` in place of the mask.

    Any other mask goes to scaled-dot-product attention, so that the same model also generates. Under autocast the rotation of
    queries and keys gives float32; they go back to the values' dtype, which the kernel needs.
    """
    if not isinstance(attention_mask, Sequences):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    rows, heads, length, width = query.shape
    query_THE, key_THE, value_THE = (
        t.to(value.dtype).transpose(1, 2).reshape(rows * length, -1, width) for t in (query, key, value)
    )
    if attention_mask.keys_K is not None:
        key_THE, value_THE = (t.index_select(0, attention_mask.keys_K) for t in (key_THE, value_THE))
    attend = _kernel() if query.device.type == "cuda" else plain_attention
    return attend(query_THE, key_THE, value_THE, attention_mask, scaling).view(rows, length, heads, width), None


Kernel = Callable[[Tensor, Tensor, Tensor, Sequences, float], Tensor]


@functools.cache
def _kernel() -> Kernel:
    """torch's variable-length attention; the names of its settings changed between the versions that are supported."""
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    causal: dict[str, Any] = {"is_causal": True} if "is_causal" in known else {"window_size": (-1, 0)}
    grouped = "enable_gqa" in known

    def attend(query_THE: Tensor, key_KHE: Tensor, value_KHE: Tensor, layout: Sequences, scaling: float) -> Tensor:
        repeats = query_THE.shape[1] // key_KHE.shape[1]
        more = dict(causal)
        if "scale" in known:
            more["scale"] = scaling
        else:  # the kernel scales by the root of the head width
            query_THE = query_THE * (scaling * query_THE.shape[-1] ** 0.5)
        if repeats > 1 and grouped:
            more["enable_gqa"] = True
        elif repeats > 1:
            key_KHE, value_KHE = (t.repeat_interleave(repeats, dim=1) for t in (key_KHE, value_KHE))
        lengths = (layout.starts_q, layout.starts_k, layout.longest_q, layout.longest_k)
        return varlen_attn(query_THE, key_KHE, value_KHE, *lengths, **more)

    return attend


def plain_attention(query_THE: Tensor, key_KHE: Tensor, value_KHE: Tensor, layout: Sequences, scaling: float) -> Tensor:
    """What the kernel computes, sequence by sequence: for tests, and for devices without the kernel (slow)."""
    repeats = query_THE.shape[1] // key_KHE.shape[1]
    keys, values = (t.repeat_interleave(repeats, dim=1).transpose(0, 1) for t in (key_KHE, value_KHE))
    queries, found = query_THE.transpose(0, 1), []
    starts_q, starts_k = layout.starts_q.tolist(), layout.starts_k.tolist()
    for n in range(len(starts_q) - 1):
        q, k = slice(*starts_q[n : n + 2]), slice(*starts_k[n : n + 2])
        size_q, size_k = q.stop - q.start, k.stop - k.start
        hidden = torch.ones(size_q, size_k, dtype=torch.bool, device=queries.device).triu(size_k - size_q + 1)
        scores = (queries[:, q] @ keys[:, k].transpose(-1, -2) * scaling).masked_fill(hidden, -torch.inf)
        found.append(scores.softmax(-1) @ values[:, k])
    return torch.cat(found, dim=1).transpose(0, 1)


def usable(device: torch.device, dtype: torch.dtype, head_width: int) -> tuple[bool, str]:
    """Whether the kernel runs on `device` at this precision, and if not, why, in words that end a sentence."""
    if device.type != "cuda":
        return False, f"variable-length attention is for GPUs, and this is a {device.type}"
    if dtype not in (torch.bfloat16, torch.float16):
        return False, "variable-length attention needs precision: bfloat16"
    if head_width % WIDTHS or head_width > 256:
        return False, f"variable-length attention needs heads of a multiple of {WIDTHS} up to 256, not {head_width}"
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < (8, 0):
        return (
            False,
            f"variable-length attention needs a GPU of compute capability 8.0, this one has {major}.{minor}",
        )
    try:
        _kernel()
    except ImportError:
        return False, f"torch {torch.__version__} has no variable-length attention"
    return True, ""


AttentionInterface.register(NAME, varlen_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
