"""Pictures to language-model features: the tower, the projector and the one indexed gather that AnyRes needs.

Shapes: V views, T tile side in pixels, P patch positions of a view (side * side), D width of the language model,
N picture positions in the language model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import LlavaOnevisionForConditionalGeneration


def normalise(views_VTTC: Tensor, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype) -> Tensor:
    """uint8 [V, T, T, 3] -> [V, 3, T, T], scaled to 0..1 and normalised per channel as the checkpoint's processor does."""
    pixels = views_VTTC.permute(0, 3, 1, 2).to(torch.float32) / 255.0
    return ((pixels - _by_channel(mean, pixels)) / _by_channel(std, pixels)).to(dtype)


def _by_channel(values: Sequence[float], pixels: Tensor) -> Tensor:
    """[C, 1, 1]. Written by the device itself: a copy from the host would make a GPU's queue run empty."""
    return torch.stack([pixels.new_full((1, 1), value) for value in values])


def tower_features(model: LlavaOnevisionForConditionalGeneration, pixels_VCTT: Tensor) -> Tensor:
    """Hidden states [V, P, W] of the layer that the checkpoint names; the tower's last layer norm is not applied.

    That is what transformers feeds the projector (`hidden_states[vision_feature_layer]`); a model trained on the
    normalised output would be garbage in every other program.
    """
    layer = model.config.vision_feature_layer
    states = model.model.vision_tower(pixels_VCTT, output_hidden_states=True, return_dict=True).hidden_states
    features = states[layer] if isinstance(layer, int) else torch.cat([states[i] for i in layer], dim=-1)
    return features[:, 1:] if model.config.vision_feature_select_strategy == "default" else features


def encode_views(
    model: LlavaOnevisionForConditionalGeneration,
    views_VTTC: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """Projected features [V, P, D] of uint8 views [V, T, T, 3]; all views in one dense batch."""
    dtype = next(model.model.vision_tower.parameters()).dtype
    pixels = normalise(views_VTTC, mean, std, dtype)
    return model.model.multi_modal_projector(tower_features(model, pixels))


def gather_features(features_VPD: Tensor, newline_D: Tensor, indices_N4: Tensor, weights_N4: Tensor | None) -> Tensor:
    """One indexed read that lays out every picture of a batch: [N, D].

    `indices` point into the flattened [V * P] features, -1 means the newline vector; `weights` mix up to four cells
    (the bilinear shrink above the cap), None means a plain copy of the first index.
    """
    flat = features_VPD.flatten(0, 1)
    table = torch.cat([flat, newline_D.to(flat.dtype)[None]])  # index -1 is now the last row
    if weights_N4 is None:
        return table[indices_N4[:, 0]]
    return (table[indices_N4] * weights_N4[..., None].to(table.dtype)).sum(1)
