"""Rows as training sees them, for the eye: pictures shortened, what is supervised in colour."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from varco_vision.chat import IMAGE_TOKEN
from varco_vision.data.pack import Branch, Budget, Document, Feeding, RowStream
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig
from varco_vision.model import checkpoint
from varco_vision.train.feed import open_mixture
from varco_vision.train.recipe import Recipe, StageRecipe

LEARNED, READ, NOTE = "bold green", "dim", "cyan"


def tokenizer_of(recipe: Recipe, directory: Path) -> PreTrainedTokenizerBase:
    """The run's own tokenizer, that of the named language model, or, before a run, the shipped model's."""
    given = recipe.model.language_from
    places = [directory / "backbones" / "model", directory / "tokenizer"]
    for place in places:
        if (place / "tokenizer_config.json").exists():
            return AutoTokenizer.from_pretrained(place)
    if given is None:
        return AutoTokenizer.from_pretrained(checkpoint.default_path())
    try:
        tokenizer = AutoTokenizer.from_pretrained(given)
    except (OSError, ValueError) as error:
        raise InputError(f"model.language_from: cannot read the tokenizer of {given} ({str(error)[:120]})") from error
    tokenizer.add_tokens([IMAGE_TOKEN], special_tokens=True)
    return tokenizer


def label_rows(recipe: Recipe, stage: StageRecipe, tokenizer: PreTrainedTokenizerBase, rows: int) -> Iterator[Text]:
    """The first rows of a stage's first shard."""
    model = recipe.model
    anyres = AnyResConfig(tile=model.tile, patch=model.patch, max_tiles=model.cap, pinpoints=model.pinpoints)
    anyres = anyres.limited(stage.max_tiles) if stage.max_tiles else anyres
    feeding = Feeding(tokenizer, anyres, single_view=stage.views == "one")
    budget = Budget(stage.max_tokens, stage.max_views)
    stream = RowStream(
        open_mixture(stage, recipe.seed), feeding, budget, 0, stage.rows, stage.lookahead, stage.split_groups
    )
    for number in range(rows):
        documents = stream.row()
        used = sum(d.tokens for d in documents)
        learned = sum(sum(b.supervised) for d in documents for b in d.branches)
        shown = Text(f"row {number}: {used} of {stage.max_tokens} tokens, {learned} of them learned (green)\n", NOTE)
        for document in documents:
            shown.append_text(show_document(document, tokenizer))
        yield shown


def show_document(document: Document, tokenizer: PreTrainedTokenizerBase) -> Text:
    """Prefix and branches of a document; a run of picture tokens is written as its length."""
    pictures = set(document.slots.tolist())
    shown = Text("┌ ", NOTE)
    run: list[int] = []
    for place, token in enumerate(document.prefix):
        if place not in pictures:
            run.append(token)
        elif place - 1 not in pictures:
            shown.append(_text(run, tokenizer), READ)
            shown.append(f"[{len(pictures)} picture tokens]", NOTE)
            run = []
    shown.append(_text(run, tokenizer) + "\n", READ)
    for branch in document.branches:
        shown.append(f"├ {branch.sample} ({branch.task}) ", NOTE)
        shown.append_text(show_branch(branch, tokenizer))
        shown.append("\n")
    return shown


def show_branch(branch: Branch, tokenizer: PreTrainedTokenizerBase) -> Text:
    """One question with its answer; supervised tokens in colour."""
    shown, start = Text(), 0
    for place in range(1, len(branch.ids) + 1):
        if place == len(branch.ids) or branch.supervised[place] != branch.supervised[start]:
            text = _text(branch.ids[start:place], tokenizer)
            shown.append(text, LEARNED if branch.supervised[start] else READ)
            start = place
    return shown


def _text(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """Text of ids with every special token in it: whether the one that ends an answer is learned is the point."""
    return unicodedata.normalize("NFC", tokenizer.decode(list(ids), skip_special_tokens=False))
