"""The one forward: packed rows of conversations, exactly equal to running each conversation alone.

A row holds documents; a document is a prefix (what several questions share, usually the picture) and branches (a
question with its answer). A token sees, of what stands before it, the prefix of its document and its own branch.
Positions restart at every document, and behind the prefix at every branch.

Shapes: R rows, L tokens of a row, V views, N picture positions, S supervised tokens, D width, W vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from varco_vision.model.attention import NAME as SHARED_PREFIX
from varco_vision.model.attention import Layout, Span, make_layout
from varco_vision.model.flexible import NAME as FLEX
from varco_vision.model.flexible import block_mask
from varco_vision.model.varlen import NAME as VARLEN
from varco_vision.model.varlen import Sequences, make_sequences
from varco_vision.model.vision import encode_views, gather_features

PADDING = -1


@dataclass
class PackedBatch:
    """What a step eats. Index tensors are made on the CPU by the loader; nothing here is computed from the model."""

    input_ids_RL: Tensor
    position_ids_RL: Tensor
    document_RL: Tensor  # PADDING where a row is not filled
    branch_RL: Tensor  # 0 = the document's prefix
    views_VTTC: Tensor  # uint8
    slots_N: Tensor  # flat row positions (r * L + l) that take picture features
    indices_N4: Tensor  # -1 = newline vector
    weights_N4: Tensor | None
    sources_S: Tensor  # flat row positions whose output predicts a supervised token
    targets_S: Tensor
    sequence_S: Tensor  # which answer (index into `tasks` and `samples`) a supervised token belongs to
    kinds_B: Tensor  # of each answer: the place of its task in `kinds`
    tasks: list[str]
    samples: list[str]
    cells: int  # features of a view that the indices count on
    layout: (
        Layout | Sequences
    )  # the same visibility as document/branch, as the model's attention wants it (`layout_of`)
    features_VPW: Tensor | None = None  # what frozen encoders gave for the views, where it was kept
    projected: bool = False  # those features have been through the projector
    rows: int = 1  # how many rows were laid end to end for it
    keys: list[str] = field(default_factory=list)  # of each answer: a digest of all that its log-probability depends on
    reference_B: Tensor | None = None  # of each answer: its log-probability under the reference model

    @property
    def kinds(self) -> list[str]:
        """The tasks that occur, each once."""
        return sorted(set(self.tasks))

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch with every tensor on `device`."""
        moved = {
            f.name: value.to(device, non_blocking=True)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, layout=self.layout.to(device), **moved)


# What an attention reads in place of a dense mask, by its name.
MASKS: dict[str, Callable[[PackedBatch], Any]] = {
    SHARED_PREFIX: lambda batch: _of_kind(batch.layout, Layout),
    VARLEN: lambda batch: _of_kind(batch.layout, Sequences),
    FLEX: lambda batch: block_mask(batch.document_RL, batch.branch_RL),
}


def layout_of(model: PreTrainedModel) -> Callable[[Sequence[Span], int], Layout | Sequences]:
    """What makes the layout that the model's attention reads, from the documents of a batch."""
    return make_sequences if decoder_of(model).config._attn_implementation == VARLEN else make_layout


def decoder_of(model: PreTrainedModel) -> PreTrainedModel:
    """The layers of the language model, of a whole model or of a language model alone."""
    return getattr(model.model, "language_model", model.model)


def _of_kind(layout: Any, kind: type) -> Any:
    if not isinstance(layout, kind):
        raise RuntimeError(f"a batch with {type(layout).__name__} met an attention that reads {kind.__name__}")
    return layout


def visibility(document_RL: Tensor, branch_RL: Tensor) -> Tensor:
    """bool [R, L, L]: may token i (second axis) read token j (third axis)?

    Padding reads itself only, so that its softmax stays finite.
    """
    length = document_RL.shape[1]
    same = document_RL[:, :, None] == document_RL[:, None, :]
    open_branch = (branch_RL[:, None, :] == 0) | (branch_RL[:, :, None] == branch_RL[:, None, :])
    causal = torch.ones(length, length, dtype=torch.bool, device=document_RL.device).tril()
    real = document_RL[:, :, None] != PADDING
    itself = torch.eye(length, dtype=torch.bool, device=document_RL.device)
    return (same & open_branch & causal & real) | itself


def additive_mask(visible_RLL: Tensor, dtype: torch.dtype) -> Tensor:
    """[R, 1, L, L] with 0 where reading is allowed and the dtype's minimum elsewhere."""
    mask = torch.zeros(visible_RLL.shape, dtype=dtype, device=visible_RLL.device)
    return mask.masked_fill_(~visible_RLL, torch.finfo(dtype).min)[:, None]


def embed(
    model: PreTrainedModel, batch: PackedBatch, mean: Sequence[float], std: Sequence[float], always: bool = False
) -> Tensor:
    """Input embeddings [R, L, D] with the picture features in their places.

    `always`: the tower also runs for rows without a picture, on a blank view that adds zero; where its weights are spread
    over processes, one that left it out would leave the others waiting.
    Raises RuntimeError when the number of features differs from the number of places (the plan and the model disagree).
    """
    embeddings_RLD = model.get_input_embeddings()(batch.input_ids_RL)
    if not len(batch.views_VTTC):
        return embeddings_RLD + _blank(model, batch, mean, std) if always else embeddings_RLD
    features_VPD = _features(model, batch, mean, std)
    if features_VPD.shape[1] != batch.cells:
        raise RuntimeError(
            f"samples {', '.join(batch.samples[:3])}: the tower gave {features_VPD.shape[1]} features a view of "
            f"{batch.views_VTTC.shape[1]} px, the plan expects {batch.cells}"
        )
    picked_ND = gather_features(features_VPD, model.model.image_newline, batch.indices_N4, batch.weights_N4)
    flat = embeddings_RLD.flatten(0, 1)
    flat = flat.index_copy(0, batch.slots_N, picked_ND.to(flat.dtype))
    return flat.view_as(embeddings_RLD)


def _features(model: PreTrainedModel, batch: PackedBatch, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Projected features [V, P, D]: encoded, or as far as they were kept."""
    kept = batch.features_VPW
    if kept is None:
        return encode_views(model, batch.views_VTTC, mean, std)
    return kept if batch.projected else model.model.multi_modal_projector(kept)


def _blank(model: PreTrainedModel, batch: PackedBatch, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """A zero that every parameter of tower, projector and newline has a part in."""
    side = model.config.vision_config.image_size
    view_VTTC = torch.zeros(1, side, side, 3, dtype=torch.uint8, device=batch.input_ids_RL.device)
    features_VPD = encode_views(model, view_VTTC, mean, std)
    return 0.0 * (features_VPD.sum() + model.model.image_newline.sum())


def hidden_states(
    model: PreTrainedModel, batch: PackedBatch, mean: Sequence[float], std: Sequence[float], always: bool = False
) -> Tensor:
    """Last hidden states [R, L, D] of the language model over packed rows.

    `model` is a whole vision-language model, or a language model alone when the batch holds no picture. `always`: see
    `embed`.
    """
    embeddings_RLD = embed(model, batch, mean, std, always)
    decoder = decoder_of(model)
    by_layout = MASKS.get(decoder.config._attn_implementation)
    if by_layout is not None:
        mask = by_layout(batch)
    else:
        device = embeddings_RLD.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else embeddings_RLD.dtype
        mask = additive_mask(visibility(batch.document_RL, batch.branch_RL), dtype)
    return decoder(
        inputs_embeds=embeddings_RLD,
        attention_mask=dict.fromkeys(("full_attention", "sliding_attention"), mask),
        position_ids=batch.position_ids_RL,
        use_cache=False,
    ).last_hidden_state


def supervised_logits(
    model: PreTrainedModel, batch: PackedBatch, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Logits [S, W] at the positions that predict supervised tokens, and nowhere else."""
    return model.lm_head(supervised_hidden(model, batch, mean, std))


def supervised_hidden(
    model: PreTrainedModel, batch: PackedBatch, mean: Sequence[float], std: Sequence[float], always: bool = False
) -> Tensor:
    """Hidden states [S, D] at the positions that predict supervised tokens."""
    return hidden_states(model, batch, mean, std, always).flatten(0, 1)[batch.sources_S]


def use_shared_prefix(model: PreTrainedModel, fused_tower: bool = False) -> None:
    """Let the language model attend by a `Layout` in place of a dense mask.

    The tower takes plain matrix products unless `fused_tower` says otherwise: on a CPU they beat fused attention at the short
    lengths of small towers. The choice is not saved with the weights.
    """
    _use(model, SHARED_PREFIX, "sdpa" if fused_tower else "eager")


def use_flex(model: PreTrainedModel) -> None:
    """Let the language model attend through flex attention, by blocks; for GPUs. The tower takes fused attention."""
    _use(model, FLEX, "sdpa")


def use_varlen(model: PreTrainedModel) -> None:
    """Let the language model attend by `Sequences` through flash attention; for GPUs. The tower takes fused attention."""
    _use(model, VARLEN, "sdpa")


def _use(model: PreTrainedModel, language: str, tower: str) -> None:
    whole = hasattr(model.model, "language_model")
    model.set_attn_implementation({"text_config": language, "vision_config": tower} if whole else language)
