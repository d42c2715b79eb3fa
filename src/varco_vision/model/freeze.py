"""Which part of the model trains in which stage."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn
from transformers import LlavaOnevisionForConditionalGeneration

from varco_vision.errors import InputError

PARTS: dict[str, tuple[str, ...]] = {
    "tower": ("model.vision_tower.",),
    "projector": ("model.multi_modal_projector.",),
    "newline": ("model.image_newline",),
    "language": ("model.language_model.", "lm_head."),
}


def part_of(parameter: str) -> str:
    """The part ("tower", "projector", "newline", "language") that a parameter name belongs to."""
    for part, prefixes in PARTS.items():
        if parameter.startswith(prefixes):
            return part
    raise AssertionError(f"parameter {parameter} belongs to no part of a LLaVA-OneVision model")


def unused(model: LlavaOnevisionForConditionalGeneration) -> set[str]:
    """Names of parameters that no forward pass reads: what the tower holds behind the layer that the projector sees."""
    layer = model.config.vision_feature_layer
    if not isinstance(layer, int):
        return set()
    depth = model.config.vision_config.num_hidden_layers
    last = layer if layer >= 0 else depth + 1 + layer
    prefix = PARTS["tower"][0]
    dead = set()
    for name, _ in model.named_parameters():
        if not name.startswith(prefix):
            continue
        tail = name.split("layers.")[-1].split(".")[0] if "layers." in name else ""
        behind = tail.isdigit() and int(tail) >= last
        if behind or "post_layernorm" in name or ".head." in name:
            dead.add(name)
    return dead


def freeze(model: LlavaOnevisionForConditionalGeneration, trainable: Collection[str]) -> dict[str, tuple[bool, int]]:
    """Set requires_grad by part; returns {part: (trains, number of parameters)} for the listing.

    Parameters that no forward reads stay frozen in every stage: an optimizer would only decay them.
    """
    unknown = set(trainable) - set(PARTS)
    if unknown:
        raise InputError(f"unknown part to train: {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
    dead = unused(model)
    sizes = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():
        part = part_of(name)
        parameter.requires_grad_(part in trainable and name not in dead)
        sizes[part] += parameter.numel()
    return {part: (part in trainable, sizes[part]) for part in PARTS}


def listing(parts: dict[str, tuple[bool, int]]) -> str:
    """One line a part, the way a log shows it: `projector  TRAINABLE  41,344`."""
    return "\n".join(
        f"{part:<10} {'TRAINABLE' if on else 'Frozen':<10} {size:>14,}" for part, (on, size) in parts.items()
    )


def trained_parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """(name, parameter) of everything that trains, in the model's own order."""
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]
