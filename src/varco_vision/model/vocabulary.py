"""A finished model takes in another tokenizer: more syllables, words of another field, a smaller vocabulary."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from varco_vision.chat import IMAGE_TOKEN
from varco_vision.errors import InputError
from varco_vision.model.checkpoint import Loaded
from varco_vision.model.compose import VIDEO_TOKEN, add_marker_tokens, padded, stop_ids


def exchange_tokenizer(loaded: Loaded, tokenizer: PreTrainedTokenizerFast) -> Loaded:
    """`loaded` with `tokenizer` in place of its own; the model is changed, and `tokenizer` gets the markers, both in place.

    Rows of tokens that both know stay. A new token's row is the sum of the rows of what the old tokenizer spells it with, over
    the root of their number: it keeps their size, and its logit begins as the sum of theirs. Measured on syllables out of
    jamo (docs/log.md, 2026-11-26): words are read before any training; whatever else is spelled in another way now has to be
    trained again. Raises `InputError` when a new token has no spelling in the old tokenizer.
    """
    add_marker_tokens(tokenizer)
    model, spelled = loaded.model, _spellings(loaded.tokenizer, tokenizer)
    tables = [
        model.get_input_embeddings().weight.detach().clone(),
        model.get_output_embeddings().weight.detach().clone(),
    ]
    model.resize_token_embeddings(padded(len(tokenizer)), mean_resizing=False)
    for old_VD, layer in zip(tables, (model.get_input_embeddings(), model.get_output_embeddings()), strict=True):
        _fill(layer.weight.data, old_VD, spelled)
    model.config.image_token_index = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    model.config.video_token_index = tokenizer.convert_tokens_to_ids(VIDEO_TOKEN)
    model.config.text_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.eos_token_id = stop_ids(tokenizer)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return replace(loaded, tokenizer=tokenizer, calibration={})


def _spellings(old: PreTrainedTokenizerFast, new: PreTrainedTokenizerFast) -> dict[int, list[int]]:
    """Id of every token of `new` -> ids of `old`: the same token, or the tokens that spell it."""
    known, added = old.get_vocab(), new.get_added_vocab()
    pieces = old.backend_tokenizer.model
    spelled = {}
    for token, n in new.get_vocab().items():
        if token in known:
            spelled[n] = [known[token]]
        elif (
            token in added
        ):  # plain text; the rest are pieces in the byte-level alphabet, which only the BPE itself reads
            spelled[n] = old(token, add_special_tokens=False)["input_ids"]
        else:
            spelled[n] = [piece.id for piece in pieces.tokenize(token)]
    if lost := [token for token, n in new.get_vocab().items() if not spelled[n]]:
        raise InputError(
            f"the model's tokenizer cannot spell {', '.join(map(repr, lost[:3]))}; is it a byte-level BPE?"
        )
    return spelled


@torch.no_grad()
def _fill(rows_VD: Tensor, old_VD: Tensor, spelled: dict[int, list[int]]) -> None:
    """Write every row of a table; those behind the vocabulary get the mean, as `resize_token_embeddings` would."""
    rows_VD.copy_(old_VD.mean(0).expand_as(rows_VD))
    for n, ids in spelled.items():
        rows_VD[n] = old_VD[ids].sum(0) / math.sqrt(len(ids))
