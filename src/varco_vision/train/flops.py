"""Floating-point operations of a step, tower and projector counted, and what devices can do at most.

A product of [a, b] by [b, c] counts 2 a b c. What a backward pass costs depends on what trains: the gradient of the inputs
costs one forward more wherever something before it trains, the gradient of the weights another one where they train
themselves. Recomputation (checkpointing) is not counted: utilisation is of the work that the model needs.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedModel

# Dense peaks without sparsity, operations a second with bfloat16 inputs and float32 sums, from the vendors' data sheets.
PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "MI300X": 1307e12,
}


def peak(device_name: str) -> float | None:
    """Operations a second of a device by its name; None when it is not known, and utilisation is then left out."""
    words = device_name.upper().replace("-", " ").split()
    for name, value in PEAKS.items():
        if all(word.upper() in words for word in name.split()):
            return value
    return None


class FlopCount:
    """Counts for one model as its parameters stand: which of them train is read when the count is made."""

    def __init__(self, model: PreTrainedModel) -> None:
        whole = hasattr(model.model, "language_model")
        decoder = model.model.language_model if whole else model.model
        text = decoder.config
        head_width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        self.cells = 0
        tower = _Part()
        projector = _Part()
        if whole:
            vision = model.config.vision_config
            self.cells = (vision.image_size // vision.patch_size) ** 2
            used = vision.num_hidden_layers + min(0, model.config.vision_feature_layer + 1)
            tower = _Part(model.model.vision_tower, attention=4 * vision.hidden_size * used * self.cells)
            projector = _Part(model.model.multi_modal_projector)
            projector.trains |= model.model.image_newline.requires_grad
        self.pair = 4 * text.num_attention_heads * head_width * text.num_hidden_layers
        language = _Part(decoder)
        embeds = decoder.get_input_embeddings().weight.requires_grad or _trains(decoder.get_input_embeddings())
        head = _Part(model.lm_head, tied=True)
        before = tower.trains
        self.tower = tower.cost(False)
        self.tower_attention = tower.attention * (3 if tower.trains else 1)
        self.projector = projector.cost(before)
        before = before or projector.trains or embeds
        self.language = language.cost(before)
        self.attention = self.pair * (3 if before or language.trains else 1)
        self.head = head.cost(True)

    def step(self, tokens: int, supervised: int, pairs: int, encoded: int, projected: int) -> float:
        """Operations of forward and backward. `pairs`: how many (token, readable token) there are; `encoded` views go
        through the tower, `projected` ones through the projector.
        """
        return (
            encoded * self.cells * (self.tower + self.tower_attention)
            + projected * self.cells * self.projector
            + tokens * self.language
            + pairs * self.attention
            + supervised * self.head
        )


class _Part:
    """Operations a token of the linear maps (and patch convolutions) of a module, split by what trains."""

    def __init__(self, module: nn.Module | None = None, attention: float = 0.0, tied: bool = False) -> None:
        self.attention = attention
        self.frozen = self.trained = 0
        for part in _linears(module) if module is not None else ():
            size = 2 * part.weight.numel()
            if part.weight.requires_grad:
                self.trained += size
            else:
                self.frozen += size
        self.trains = module is not None and _trains(module)

    def cost(self, before: bool) -> float:
        """Operations a token, given whether anything `before` this part trains."""
        through = before or self.trains
        return self.frozen * (2 if through else 1) + self.trained * (3 if through else 2)


def _linears(module: nn.Module) -> list[Any]:
    found = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear | nn.Conv2d) and ".head." not in f".{name}.":
            found.append(part)
    return found


def _trains(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())
