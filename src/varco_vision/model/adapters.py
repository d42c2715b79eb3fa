"""Low-rank adapters (LoRA, by peft) on single parts of the model, trained rows for the markers, and merging both.

An adapter directory is peft's own: `PeftModel.from_pretrained(model, directory)` reads it without this package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from transformers import LlavaOnevisionForConditionalGeneration

from varco_vision.errors import InputError
from varco_vision.model.freeze import PARTS, part_of, unused

Rank = tuple[int, float]  # rank, alpha


def add_adapters(
    model: LlavaOnevisionForConditionalGeneration, ranks: Mapping[str, Rank], markers: Sequence[int]
) -> Any:
    """Put adapters on every linear map of the parts in `ranks`, and make the embedding rows `markers` trainable.

    Works in place; what was trainable stays so. Returns the `PeftModel` around `model`, which saves and merges. A map that
    no forward reads, or the head over the vocabulary, gets none.
    """
    peft = _peft()
    trainable = {name: p.requires_grad for name, p in model.named_parameters()}
    targets = {part: _targets(model, part) for part in ranks}
    names = [name for part in targets.values() for name in part]
    first = next(iter(ranks.values()), (1, 1.0))
    tokens: dict[str, Any] = {}
    layers = ["embed_tokens"] if model.config.get_text_config().tie_word_embeddings else ["embed_tokens", "lm_head"]
    if markers:
        tokens = {"trainable_token_indices": {layer: list(markers) for layer in layers}}
    config = peft.LoraConfig(
        r=first[0],
        lora_alpha=first[1],
        target_modules=names or "no module has this name",
        rank_pattern={re.escape(n): ranks[part][0] for part, ns in targets.items() for n in ns},
        alpha_pattern={re.escape(n): ranks[part][1] for part, ns in targets.items() for n in ns},
        **tokens,
    )
    if not names:  # LoRA wants at least one target
        config = peft.TrainableTokensConfig(token_indices=list(markers), target_modules=layers)
    wrapped = peft.get_peft_model(model, config)
    for name, parameter in model.named_parameters():
        if trainable.get(name.replace(".base_layer.", ".")):
            parameter.requires_grad_(True)
    return wrapped


def merge(wrapped: Any) -> LlavaOnevisionForConditionalGeneration:
    """The plain model with every adapter added into its weights."""
    return wrapped.merge_and_unload()


def merge_saved(model: LlavaOnevisionForConditionalGeneration, adapter: str | Path) -> nn.Module:
    """`model` with a saved adapter merged in. Raises `InputError` when the directory holds none that fits."""
    peft = _peft()
    path = Path(adapter)
    if not (path / "adapter_config.json").exists():
        raise InputError(f"{path} holds no adapter: adapter_config.json and adapter_model.safetensors are needed")
    try:
        return merge(peft.PeftModel.from_pretrained(model, str(path)))
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the adapter {path} does not fit the model ({reason})") from error


def adapted_part(parameter: str) -> str:
    """The part that a parameter belongs to, also when it lies inside an adapter."""
    return part_of(parameter.removeprefix("base_model.model."))


def _targets(model: nn.Module, part: str) -> list[str]:
    dead = {name.rsplit(".", 1)[0] for name in unused(model)}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.startswith(PARTS[part]) and name != "lm_head" and name not in dead
    ]


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise InputError(
            "adapters (lora, train_markers, merge) need peft; install the extra: pip install '.[train]'"
        ) from error
    return peft
