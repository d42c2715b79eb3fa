"""Two backbones become one model: a SigLIP tower and a Qwen language model inside LlavaOnevisionForConditionalGeneration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import AddedToken
from torch import Tensor, nn
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from varco_vision.chat import IMAGE_TOKEN
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig
from varco_vision.markup import MARKERS
from varco_vision.model.initialise import (
    alike_queries_and_keys,
    centre_tower,
    fan_in,
    number_embeddings,
    sincos_positions,
    syllable_embeddings,
    whiten_projector,
)
from varco_vision.model.tokenizer import number_ids, syllable_parts
from varco_vision.model.vision import tower_features

VIDEO_TOKEN = "<video>"  # the class knows one; it is in the vocabulary so that other programs find it
EMBEDDING_STD = 0.15


@dataclass(frozen=True, kw_only=True)
class TowerSize:
    """A SigLIP vision tower built from nothing. `tile` and `patch` are in pixels."""

    width: int
    layers: int
    heads: int
    mlp: int
    tile: int
    patch: int


@dataclass(frozen=True, kw_only=True)
class LanguageSize:
    """A Qwen2 language model built from nothing, input and output embeddings tied."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    context: int = 4096
    rope_theta: float = 10000.0


def new_tower(size: TowerSize, seed: int) -> SiglipVisionModel:
    """A SigLIP tower with transformers' own initialisation, except that positions are a 2-D sine-cosine table (still
    trainable) and queries begin equal to keys.
    """
    if size.tile % size.patch:
        raise InputError(
            f"tile {size.tile} is no multiple of patch {size.patch}; a tower built here needs whole patches"
        )
    torch.manual_seed(seed)
    config = SiglipVisionConfig(
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        image_size=size.tile,
        patch_size=size.patch,
        vision_use_head=False,
    )
    tower = SiglipVisionModel(config)
    table = sincos_positions(size.tile // size.patch, size.width)
    for name, parameter in tower.named_parameters():
        if name.endswith("position_embedding.weight"):
            parameter.data.copy_(table)
    alike_queries_and_keys(tower)
    return tower


def new_language_model(size: LanguageSize, tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen2ForCausalLM:
    """A Qwen2 model for `tokenizer`, fan-in initialisation, vocabulary padded to a multiple of 64."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        vocab_size=padded(len(tokenizer)),
        tie_word_embeddings=True,
        max_position_embeddings=size.context,
        rope_parameters={"rope_type": "default", "rope_theta": size.rope_theta},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
    )
    model = Qwen2ForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    fan_in(model.model.layers, size.layers, generator, residual=("o_proj", "down_proj"))
    embedding = model.get_input_embeddings().weight
    with torch.no_grad():
        embedding.normal_(0.0, EMBEDDING_STD, generator=generator)
        if ids := number_ids(tokenizer):
            number_embeddings(embedding, ids, EMBEDDING_STD)
        syllable_embeddings(embedding, syllable_parts(tokenizer))
    return model


def add_marker_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    """Put <image>, <video> and the nine location markers into a tokenizer; those that it has stay."""
    present = tokenizer.get_vocab()
    tokenizer.add_tokens(
        [AddedToken(t, normalized=False, special=True) for t in (IMAGE_TOKEN, VIDEO_TOKEN) if t not in present],
        special_tokens=True,
    )
    extra = [AddedToken(t, normalized=False, special=True) for t in MARKERS]
    tokenizer.add_special_tokens({"additional_special_tokens": extra}, replace_extra_special_tokens=False)


def add_markers(tokenizer: PreTrainedTokenizerFast, language: nn.Module) -> list[int]:
    """Put <image>, <video> and the nine location markers into the tokenizer and give each new one a mean-valued row.

    Rows of the padding beyond the vocabulary are filled before the matrix grows, so a published model whose matrix is
    wider than its tokenizer keeps its shape. Returns the ids of the nine markers in the order of `MARKERS`.
    """
    known = len(tokenizer)
    present = set(tokenizer.get_vocab())
    add_marker_tokens(tokenizer)
    embedding = language.get_input_embeddings()
    mean_D = embedding.weight.data[:known].mean(0)
    if len(tokenizer) > embedding.num_embeddings:
        language.resize_token_embeddings(padded(len(tokenizer)), mean_resizing=False)
    output = language.get_output_embeddings()
    new = [i for t, i in tokenizer.get_vocab().items() if t not in present]
    with torch.no_grad():
        language.get_input_embeddings().weight[new] = mean_D
        if output is not None and output.weight is not language.get_input_embeddings().weight:
            output.weight[new] = output.weight[:known].mean(0)
    return tokenizer.convert_tokens_to_ids(list(MARKERS))


def compose(
    tower: SiglipVisionModel,
    language: Qwen2ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    anyres: AnyResConfig,
    seed: int,
    pixels_VCTT: Tensor | None = None,
    centre: bool = False,
) -> LlavaOnevisionForConditionalGeneration:
    """The whole model around given backbones; only the projector and the newline vector are new.

    `tokenizer` and the rows of `language`'s embeddings are extended in place by the markers (see `add_markers`).
    `pixels`: normalised example views; with them the projector starts whitened and at the scale of word embeddings, and
    with `centre` the mean of its features leaves the tower (for towers made here; a published one stays as it is).
    Raises `InputError` when the tower does not fit the tiles.
    """
    vision = tower.config
    if (vision.image_size, vision.patch_size) != (anyres.tile, anyres.patch):
        found = f"{vision.image_size}/{vision.patch_size}"
        raise InputError(f"the tower works on tile/patch {found}, the recipe asks for {anyres.tile}/{anyres.patch}")
    add_markers(tokenizer, language)
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=language.config,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        video_token_index=tokenizer.convert_tokens_to_ids(VIDEO_TOKEN),
        image_grid_pinpoints=[list(pair) for pair in anyres.pinpoints],
        vision_aspect_ratio=f"anyres_max_{anyres.max_tiles}",
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=language.config.tie_word_embeddings,
    )
    torch.manual_seed(seed)
    model = LlavaOnevisionForConditionalGeneration(config)
    _load_part(model.model.vision_tower, tower)
    _load_part(model.model.language_model, language.model)
    model.lm_head.load_state_dict(language.lm_head.state_dict())
    model.tie_weights()
    generator = torch.Generator().manual_seed(seed)
    fan_in(model.model.multi_modal_projector, 1, generator, residual=())
    if pixels_VCTT is not None:
        size = float(model.get_input_embeddings().weight.detach().std())
        if centre:
            with torch.no_grad():
                centre_tower(model.model.vision_tower, tower_features(model, pixels_VCTT))
        with torch.no_grad():
            whiten_projector(model.model.multi_modal_projector, tower_features(model, pixels_VCTT), size)
    model.generation_config.eos_token_id = stop_ids(tokenizer)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.do_sample = False
    return model


def stop_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids that end an answer."""
    return list(dict.fromkeys(i for i in (tokenizer.eos_token_id, tokenizer.pad_token_id) if i is not None))


def padded(rows: int, multiple: int = 64) -> int:
    """Rows of an embedding table for that many tokens."""
    return -(-rows // multiple) * multiple


def _load_part(target: nn.Module, source: nn.Module) -> None:
    result = target.load_state_dict(source.state_dict(), strict=False)
    head = [k for k in result.unexpected_keys if ".head." not in f".{k}"]
    if result.missing_keys or head:
        raise InputError(f"the backbone does not fit: missing {result.missing_keys[:3]}, unexpected {head[:3]}")


def pinpoints(tile: int, max_tiles: int, longest: int | None = None) -> tuple[tuple[int, int], ...]:
    """All (height, width) canvases of at most `max_tiles` tiles, sides up to `longest` tiles, in transformers' order."""
    longest = longest or max_tiles
    sides: Sequence[int] = range(1, longest + 1)
    return tuple((rows * tile, columns * tile) for rows in sides for columns in sides if rows * columns <= max_tiles)
