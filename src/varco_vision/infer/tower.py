"""The vision tower and the projector for answering: the same weights and results, each view encoded once, faster products.

Shapes: V views, T side of a view in pixels, P patch positions of a view, W width of the tower, H heads, E width of a head,
D width of the language model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from varco_vision.infer.products import Product, can_lay_out, hooked, small
from varco_vision.model.vision import encode_views, normalise


@dataclass(frozen=True)
class _Layer:
    norm_in: Any
    qkv: Product
    out: Product
    norm_mid: Any
    up: Product
    activation: Any
    down: Product


class Tower:
    """Encodes views like `model.vision.encode_views`; a SigLIP tower with float32 weights on a CPU goes through `Product`s."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.layers: list[_Layer] = []
        tower = model.model.vision_tower
        config, layer = model.config.vision_config, model.config.vision_feature_layer
        weight = next(tower.parameters())
        plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and not tower.training
        if not (plain and can_lay_out() and isinstance(layer, int) and config.model_type == "siglip_vision_model"):
            return
        inner = getattr(tower, "vision_model", tower)
        blocks = list(inner.encoder.layers)
        linear = [m for block in blocks for m in _linear(block)]
        projector = model.model.multi_modal_projector
        if not small([*linear, projector.linear_1, projector.linear_2]) or hooked(tower) or hooked(projector):
            return
        used = layer if layer >= 0 else len(blocks) + 1 + layer  # index into hidden states: 0 is before the first block
        if not 0 < used <= len(blocks):  # the module knows what to do or to say
            return
        self.embeddings = inner.embeddings
        self.heads = config.num_attention_heads
        self.layers = [_layer(block) for block in blocks[:used]]
        self.project_in, self.project_out = Product([projector.linear_1], True), Product([projector.linear_2], True)
        self.project_activation = projector.act

    def __call__(self, views_VTTC: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
        """Projected features [V, P, D] of uint8 views [V, T, T, 3]; views that are equal go through the tower once."""
        kept, places = distinct(views_VTTC)
        distinct_VTTC = views_VTTC if len(kept) == len(views_VTTC) else views_VTTC[kept]
        encoded = self._encode(distinct_VTTC.to(self.model.device), mean, std)
        return encoded if len(kept) == len(views_VTTC) else encoded[places]

    def _encode(self, views_VTTC: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
        if not self.layers:
            return encode_views(self.model, views_VTTC, mean, std)
        x_VPW = self.embeddings(normalise(views_VTTC, mean, std, torch.float32)).contiguous()
        for layer in self.layers:
            x_VPW = self._block(layer, x_VPW)
        if self.model.config.vision_feature_select_strategy == "default":
            x_VPW = x_VPW[:, 1:]
        return self.project_out(self.project_activation(self.project_in(x_VPW)))

    def _block(self, layer: _Layer, x_VPW: Tensor) -> Tensor:
        views, positions, width = x_VPW.shape
        qkv = layer.qkv(layer.norm_in(x_VPW)).view(views, positions, 3, self.heads, -1)
        q_VHPE, k_VHPE, v_VHPE = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q_VHPE, k_VHPE, v_VHPE).transpose(1, 2).reshape(views, positions, width)
        x_VPW = x_VPW + layer.out(mixed)
        return x_VPW + layer.down(layer.activation(layer.up(layer.norm_mid(x_VPW))))


def distinct(views_VTTC: Tensor) -> tuple[list[int], list[int]]:
    """Indices of the first of all equal views, and for every view which of those it is.

    A square picture that fits one tile has two equal views, the whole picture and its only tile; margins are equal, too.
    """
    first: dict[bytes, int] = {}
    kept: list[int] = []
    places: list[int] = []
    for number, view in enumerate(views_VTTC):
        key = hashlib.blake2b(view.contiguous().numpy().data, digest_size=16).digest()
        if key not in first:
            first[key] = len(kept)
            kept.append(number)
        places.append(first[key])
    return kept, places


def _linear(block: Any) -> list[Any]:
    attention, mlp = block.self_attn, block.mlp
    return [attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj, mlp.fc1, mlp.fc2]


def _layer(block: Any) -> _Layer:
    q, k, v, out, up, down = _linear(block)
    return _Layer(
        norm_in=block.layer_norm1,
        qkv=Product([q, k, v], True),
        out=Product([out], True),
        norm_mid=block.layer_norm2,
        up=Product([up], True),
        activation=block.mlp.activation_fn,
        down=Product([down], True),
    )
