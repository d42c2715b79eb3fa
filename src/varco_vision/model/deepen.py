"""More layers for a model that has learned already, which answers as before until it trains on.

Block expansion (LLaMA Pro, Wu et al. 2024): copies of layers stand evenly between the old ones, and what a copy writes into
the residual stream begins at zero. The copies take part in the gradient from the first step on.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import LlavaOnevisionForConditionalGeneration

from varco_vision.errors import InputError

# part -> the name of its config, and its layers' names in the model
DEPTHS = {
    "tower": ("vision_config", re.compile(r"(model\.vision_tower\..*?encoder\.layers\.)(\d+)(\..+)")),
    "language": ("text_config", re.compile(r"(model\.language_model\.layers\.)(\d+)(\..+)")),
}
WRITING = ("o_proj", "down_proj", "out_proj", "fc2")  # the maps that write into the residual stream


def origins(old: int, new: int) -> list[tuple[int, bool]]:
    """For each of `new` layers: the old layer that it comes from, and whether it is a copy; copies follow their origin.

    Raises `InputError` for fewer layers than there are.
    """
    if new < old:
        raise InputError(f"deepen: {new} layers are asked for, the model has {old} already; layers are never removed")
    more = new - old
    return [
        (layer, copied)
        for layer in range(old)
        for copied in (False, *(True for _ in range((layer + 1) * more // old - layer * more // old)))
    ]


def deepen(
    model: LlavaOnevisionForConditionalGeneration, layers: Mapping[str, int]
) -> LlavaOnevisionForConditionalGeneration:
    """A model with `layers[part]` layers in "tower" and "language" ({"tower": 6}); parts left out keep theirs.

    Gives the same logits as `model`, on its device and in its dtype; `model` itself is unchanged. With nothing to add it is
    returned as it is. Raises `InputError` for fewer layers than there are, and for a tower that is not read at its end.
    """
    config = copy.deepcopy(model.config)
    plans = {}
    for part, count in layers.items():
        name, pattern = DEPTHS[part]
        shape = getattr(config, name)
        plan = origins(shape.num_hidden_layers, count)
        if count == shape.num_hidden_layers:
            continue
        if part == "tower" and config.vision_feature_layer != -1:
            raise InputError(
                f"deepen: the projector reads layer {config.vision_feature_layer} of the tower, not its last (-1)"
            )
        if getattr(shape, "layer_types", None):
            shape.layer_types = [shape.layer_types[origin] for origin, _ in plan]
        shape.num_hidden_layers = count
        plans[pattern] = plan
    if not plans:
        return model
    with torch.device("meta"):
        deeper = LlavaOnevisionForConditionalGeneration(config)
    deeper.load_state_dict(_spread(model.state_dict(), plans), assign=True)
    deeper.tie_weights()
    _copy_buffers(model, deeper)
    deeper.generation_config = copy.deepcopy(model.generation_config)
    return deeper.train(model.training)


def _spread(weights: Mapping[str, Tensor], plans: Mapping[re.Pattern, list[tuple[int, bool]]]) -> dict[str, Tensor]:
    """`weights` under the names of the deeper model, every tensor one of its own."""
    found = {}
    for name, weight in weights.items():
        match, plan = next(((m, p) for pattern, p in plans.items() if (m := pattern.fullmatch(name))), (None, None))
        if match is None:
            found[name] = weight.clone()
            continue
        before, old, behind = match.groups()
        for new, (origin, copied) in enumerate(plan):
            if origin == int(old):
                silent = copied and any(f".{m}." in behind for m in WRITING)
                found[f"{before}{new}{behind}"] = torch.zeros_like(weight) if silent else weight.clone()
    return found


def _copy_buffers(model: torch.nn.Module, deeper: torch.nn.Module) -> None:
    """Buffers that no checkpoint holds (rotary frequencies, position ids), which do not depend on the depth."""
    values = dict(model.named_buffers())
    for name, _ in list(deeper.named_buffers()):
        owner, _, leaf = name.rpartition(".")
        deeper.get_submodule(owner)._buffers[leaf] = values[name].clone()
