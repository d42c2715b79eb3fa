"""Attention over documents with a shared prefix, without ever building a row-by-row mask.

A dense mask over a packed row costs (row length)^2 although each question reads only the picture and itself. Here the
queries of all questions meet the keys of their document's prefix in one product and their own keys in another; one
softmax runs over both. Equal to the dense mask up to rounding; `benchmarks/attention.py` measures what it saves.

Shapes: R rows, L tokens of a row, H heads, E head width; G documents of a group, P prefix tokens, K bins of a
document (whole branches laid end to end), Q tokens of a bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "shared_prefix"


BIN = 64  # tokens; branches are laid into bins of this size, or of the longest branch


@dataclass
class Group:
    """Documents of like shape. Indices are flat row positions (r * L + l); padding points anywhere and is masked."""

    prefix_GP: Tensor
    bins_GKQ: Tensor
    prefix_bias_GP: Tensor  # 0, or minus infinity at padding
    bin_bias_GKQQ: Tensor  # 0 where a token may read another of its own branch, else minus infinity

    def to(self, device: torch.device) -> Group:
        return Group(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass
class Layout:
    """Every token's place: groups, and for each flat row position where the groups' joined outputs hold its value."""

    groups: list[Group]
    places_T: Tensor
    pairs: int = 0  # how many (token, token that it reads) there are

    def to(self, device: torch.device) -> Layout:
        return Layout([g.to(device) for g in self.groups], self.places_T.to(device), self.pairs)


Span = tuple[int, int, Sequence[int]]  # first flat position, prefix length, branch lengths


def make_layout(spans: Sequence[Span], tokens: int) -> Layout:
    """A layout from documents, each one run of flat positions; `tokens` = R * L."""
    buckets: dict[tuple[bool, int], list[Span]] = {}
    for span in spans:
        buckets.setdefault((span[1] > BIN, max(BIN, 1 << (max(span[2]) - 1).bit_length())), []).append(span)
    groups, places, offset = [], np.zeros(tokens, np.int64), 0
    for members in buckets.values():
        group = _group(members, places, offset)
        groups.append(group)
        offset += group.prefix_GP.numel() + group.bins_GKQ.numel()
    return Layout(groups, torch.from_numpy(places), readable_pairs(spans))


def readable_pairs(spans: Sequence[Span]) -> int:
    """How many pairs (token, token that it reads) documents have: what attention over them costs."""
    triangle = lambda n: n * (n + 1) // 2  # noqa: E731
    return sum(triangle(prefix) + sum(size * prefix + triangle(size) for size in sizes) for _, prefix, sizes in spans)


def _fill_bins(sizes: Sequence[int], capacity: int) -> list[tuple[int, int]]:
    """(bin, place in it) of each branch: longest first, into the first bin with room."""
    free: list[int] = []
    found = [(0, 0)] * len(sizes)
    for n in sorted(range(len(sizes)), key=lambda n: -sizes[n]):
        k = next((k for k, room in enumerate(free) if room >= sizes[n]), len(free))
        if k == len(free):
            free.append(capacity)
        found[n] = (k, capacity - free[k])
        free[k] -= sizes[n]
    return found


def _group(members: Sequence[Span], places: np.ndarray, offset: int) -> Group:
    count, shared = len(members), max(m[1] for m in members)
    capacity = max(BIN, *(max(m[2]) for m in members))
    filled = [_fill_bins(m[2], capacity) for m in members]
    most = max(k for found in filled for k, _ in found) + 1
    prefix, bias = np.zeros((count, shared), np.int64), np.full((count, shared), -np.inf, np.float32)
    bins, owner = np.zeros((count, most, capacity), np.int64), np.full((count, most, capacity), -1)
    prefix_places = offset + np.arange(count * shared).reshape(count, shared)
    bin_places = offset + count * shared + np.arange(bins.size).reshape(bins.shape)
    for n, (at, length, sizes) in enumerate(members):
        prefix[n, :length], bias[n, :length] = np.arange(at, at + length), 0.0
        places[at : at + length] = prefix_places[n, :length]
        at += length
        for branch, (size, (k, start)) in enumerate(zip(sizes, filled[n], strict=True)):
            end = start + size
            bins[n, k, start:end], owner[n, k, start:end] = np.arange(at, at + size), branch
            places[at : at + size] = bin_places[n, k, start:end]
            at += size
    allowed = (owner[..., :, None] == owner[..., None, :]) & np.tri(capacity, dtype=bool)  # padding reads padding
    bin_bias = np.where(allowed, np.float32(0), np.float32(-np.inf))
    return Group(*map(torch.from_numpy, (prefix, bins, bias, bin_bias)))


def shared_prefix_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, scaling: float, **options: Any
) -> tuple[Tensor, None]:
    """transformers' attention interface: [R, H, L, E] in, [R, L, H, E] out; with a `Layout` in place of the mask.

    Any other mask goes to scaled-dot-product attention, so that the same model also generates.
    """
    if not isinstance(attention_mask, Layout):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    rows, heads, length, width = query.shape
    repeats = getattr(module, "num_key_value_groups", 1)
    flat = [t.transpose(1, 2).reshape(rows * length, -1, width) for t in (query * scaling, key, value)]
    if repeats > 1:
        flat[1:] = [t.repeat_interleave(repeats, dim=1) for t in flat[1:]]
    outputs = []
    for group in attention_mask.groups:
        outputs += _attend(group, *flat)
    joined = torch.cat(outputs)
    return joined.index_select(0, attention_mask.places_T).view(rows, length, heads, width), None


def _attend(group: Group, query_THE: Tensor, key_THE: Tensor, value_THE: Tensor) -> list[Tensor]:
    """Outputs [tokens, H, E] of the prefixes and of the bins of one group, padding included."""
    heads, width = query_THE.shape[1:]
    documents, bins, size = group.bins_GKQ.shape
    query, key, value = (_pick(t, group.bins_GKQ).permute(0, 3, 1, 2, 4) for t in (query_THE, key_THE, value_THE))
    own = query @ key.transpose(-1, -2)  # [G, H, K, Q, Q]
    own = own + group.bin_bias_GKQQ[:, None].to(own.dtype)
    shared = group.prefix_GP.shape[1]
    if not shared:
        mixed = own.softmax(-1).to(value.dtype) @ value
        return [mixed.permute(0, 2, 3, 1, 4).reshape(-1, heads, width)]
    before = [_pick(t, group.prefix_GP).transpose(1, 2) for t in (query_THE, key_THE, value_THE)]
    prefix = F.scaled_dot_product_attention(
        *before, is_causal=True, scale=1.0
    )  # padding stands behind, so none is read
    far = query.reshape(documents, heads, bins * size, width) @ before[1].transpose(-1, -2)
    far = far + group.prefix_bias_GP[:, None, None].to(far.dtype)
    weights = torch.cat([far.view(documents, heads, bins, size, shared), own], dim=-1).softmax(-1).to(value.dtype)
    far_weights = weights[..., :shared].reshape(documents, heads, bins * size, shared)
    mixed = weights[..., shared:] @ value + (far_weights @ before[2]).view_as(query)
    return [prefix.transpose(1, 2).reshape(-1, heads, width), mixed.permute(0, 2, 3, 1, 4).reshape(-1, heads, width)]


def _pick(values_THE: Tensor, places: Tensor) -> Tensor:
    """Rows by index of any shape."""
    return values_THE.index_select(0, places.flatten()).view(*places.shape, *values_THE.shape[1:])


AttentionInterface.register(NAME, shared_prefix_attention)
# Without a mask function of its own transformers would drop padding masks when the same model generates.
AttentionMaskInterface.register(NAME, sdpa_mask)
