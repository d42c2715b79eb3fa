"""Samples to packed rows: rendering, sharing a picture among its questions, filling rows. (Rows to batches: collate.py.)

Everything is a pure function of the sample stream, on integers and numpy; workers do it, the device gets tensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from transformers import PreTrainedTokenizerBase

from varco_vision.chat import Rendered, render_batch
from varco_vision.data.sample import Sample
from varco_vision.data.source import PERIOD, Mixture, Source
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig, TilePlan, plan_sample
from varco_vision.pictures import load, views


@dataclass(frozen=True)
class Branch:
    """One question with its answer, behind the shared prefix: ids, and which of them are supervised."""

    ids: tuple[int, ...]
    supervised: tuple[bool, ...]
    task: str
    sample: str


@dataclass(frozen=True)
class Document:
    """A prefix (no supervised token in it) with its pictures and its branches. Lengths are in tokens.

    Each `bundle` branches in a row are the answers of one sample and stay together.
    """

    prefix: tuple[int, ...]
    branches: tuple[Branch, ...]
    views_VTTC: np.ndarray
    slots: np.ndarray  # places in the prefix that take picture features
    indices_N4: np.ndarray  # into this document's views; -1 = newline
    weights_N4: np.ndarray | None
    bundle: int = 1

    @property
    def tokens(self) -> int:
        return len(self.prefix) + sum(len(branch.ids) for branch in self.branches)

    def sizes(self) -> list[int]:
        """Tokens of each sample, without the prefix."""
        lengths = [len(branch.ids) for branch in self.branches]
        return [sum(lengths[at : at + self.bundle]) for at in range(0, len(lengths), self.bundle)]

    def part(self, samples: Iterable[int]) -> Document:
        """The same pictures with some of the samples, by their places."""
        size = self.bundle
        return replace(self, branches=tuple(b for n in samples for b in self.branches[n * size : (n + 1) * size]))


@dataclass(frozen=True)
class Feeding:
    """How samples become tokens: the tokenizer, the tiling, and whether every picture is given as a single view."""

    tokenizer: PreTrainedTokenizerBase
    anyres: AnyResConfig
    single_view: bool = False
    pad_colour: tuple[int, int, int] = (127, 127, 127)


def answers(sample: Sample) -> list[tuple[dict, ...]]:
    """The full conversations of a sample: one for supervised training, chosen and rejected for preference."""
    if sample.chosen is None:
        return [sample.messages]
    return [(*sample.messages, *sample.chosen), (*sample.messages, *(sample.rejected or ()))]


def documents(group: Sequence[Sample], feeding: Feeding, max_tokens: int) -> tuple[list[Document], list[str]]:
    """Documents of a group of samples on the same pictures, each at most `max_tokens` long, and what did not fit.

    The second list names the refused samples; nothing is cut, least of all inside picture tokens. The two answers of a
    preference pair stay in one document.
    """
    pictures = opened(group[0])
    plans = plan_sample([picture.size for picture in pictures], feeding.anyres, single=feeding.single_view)
    counts = [plan.token_count for plan in plans]
    turns = [answers(sample) for sample in group]
    flat = render_batch([t for pair in turns for t in pair], feeding.tokenizer, [counts] * sum(map(len, turns)))
    waiting = iter(flat)
    rendered = [[next(waiting) for _ in pair] for pair in turns]
    shared = _shared_length(flat, sum(counts))
    pixels = _pixels(pictures, plans, feeding)
    bundles, refused = [], []
    for sample, pair in zip(group, rendered, strict=True):
        branches = [_branch(r, shared, sample) for r in pair]
        if shared + sum(len(b.ids) for b in branches) > max_tokens:
            refused.append(f"{sample.id} ({shared + sum(len(b.ids) for b in branches)} tokens)")
        else:
            bundles.append(branches)
    made = []
    for chunk in _chunks(bundles, max_tokens - shared):
        first = flat[0]
        made.append(
            _document(
                first.ids[:shared], chunk, first.image_starts, plans, pixels, feeding.anyres.side**2, len(turns[0])
            )
        )
    return made, refused


def opened(sample: Sample) -> list[Image.Image]:
    """Its pictures; raises `InputError` that names the sample when one cannot be read."""
    try:
        return [load(image) for image in sample.images]
    except InputError as error:
        raise InputError(f"sample {sample.id}: {error}") from error


def _shared_length(rendered: Sequence[Rendered], picture_tokens: int) -> int:
    """Length of the prefix that all conversations share and that holds all picture tokens but nothing supervised."""
    if len(rendered) == 1 and not picture_tokens:
        return 0
    first = rendered[0]
    limit = min(r.supervised.index(True) for r in rendered) - 1
    shared = 0
    while shared < limit and all(r.ids[shared] == first.ids[shared] for r in rendered):
        shared += 1
    ends = first.image_starts[-1] + 1 if first.image_starts else 0
    if shared < ends:
        raise InputError("samples of one group must share everything up to their last picture; give them apart")
    return shared


def _branch(rendered: Rendered, shared: int, sample: Sample) -> Branch:
    """What follows the prefix, up to the last supervised token: nothing reads what comes after it."""
    end = len(rendered.ids) - rendered.supervised[::-1].index(True)
    return Branch(tuple(rendered.ids[shared:end]), tuple(rendered.supervised[shared:end]), sample.task, sample.id)


def _chunks(bundles: list[list[Branch]], room: int) -> Iterable[list[Branch]]:
    """Branches in order, cut into documents that fit; a bundle (one sample's answers) is never split."""
    chunk: list[Branch] = []
    used = 0
    for bundle in bundles:
        size = sum(len(b.ids) for b in bundle)
        if chunk and used + size > room:
            yield chunk
            chunk, used = [], 0
        chunk = chunk + bundle
        used += size
    if chunk:
        yield chunk


def _pixels(pictures: Sequence, plans: Sequence, feeding: Feeding) -> np.ndarray:
    tile = feeding.anyres.tile
    if not pictures:
        return np.zeros((0, tile, tile, 3), np.uint8)
    return np.concatenate(
        [
            views(picture, plan, feeding.anyres, feeding.pad_colour)
            for picture, plan in zip(pictures, plans, strict=True)
        ]
    )


def _document(
    prefix: Sequence[int],
    branches: Sequence[Branch],
    starts: Sequence[int],
    plans: Sequence[TilePlan],
    pixels: np.ndarray,
    cells: int,
    bundle: int,
) -> Document:
    slots, indices, weights, first_view = [], [], [], 0
    for start, plan in zip(starts, plans, strict=True):
        index_N4, weight_N4 = plan.gather()
        slots.append(np.arange(start, start + plan.token_count))
        indices.append(np.where(index_N4 < 0, -1, index_N4 + first_view * cells))
        weights.append(weight_N4)
        first_view += plan.view_count
    copy = all(plan.is_copy for plan in plans)
    empty = np.zeros((0, 4), np.int64)
    return Document(
        prefix=tuple(prefix),
        branches=tuple(branches),
        views_VTTC=pixels,
        slots=np.concatenate(slots) if slots else np.zeros(0, np.int64),
        indices_N4=np.concatenate(indices) if indices else empty,
        weights_N4=None if copy or not weights else np.concatenate(weights),
        bundle=bundle,
    )


@dataclass(frozen=True)
class Budget:
    """What a row may hold: tokens of the language model, views of the tower."""

    tokens: int
    views: int = 1_000_000


class Waiting(NamedTuple):
    """A document in the buffer: the group that it is of, which of that group's documents, and which of its samples are left."""

    group: int
    part: int
    document: Document
    left: tuple[int, ...] | None = None  # None: all of them
    mark: str = ""  # of the whole document, as the group gave it


class RowStream:
    """Rows of one shard of a sample stream: groups shard, shard + shards, ... packed best-fit over a look-ahead buffer.

    A shard is a fixed share of the stream, not a process: any number of processes may serve the shards, and `state()`
    (a few integers) is all that exact resumption needs. `split`: where no document fits the room that is left, some samples
    of one may go there and the others later, each time with its pictures.
    """

    def __init__(
        self,
        source: Source,
        feeding: Feeding,
        budget: Budget,
        shard: int,
        shards: int,
        lookahead: int = 8,
        split: bool = False,
    ) -> None:
        self.source, self.feeding, self.budget = source, feeding, budget
        self.shard, self.shards, self.lookahead, self.split = shard, shards, lookahead, split
        self.next_group = shard
        self.buffer: list[Waiting] = []
        self.refused: list[str] = []  # names, of what this process met
        self.left_out = 0  # how many, since the stream began
        self.last: list[Any] | None = None  # the newest group that was drawn, and a digest of what it gave
        self.samples = 0

    def state(self) -> dict:
        """Position in the stream: the next group and the documents that wait in the buffer, as (group, part, samples left)."""
        return {
            "next": self.next_group,
            "waiting": [[w.group, w.part] if w.left is None else [w.group, w.part, [*w.left]] for w in self.buffer],
            "marks": [w.mark for w in self.buffer],
            "samples": self.samples,
            "left_out": self.left_out,
            "last": self.last,
        }

    def restore(self, state: dict) -> None:
        """Continue exactly where `state()` was taken.

        Raises `InputError` when the source gives other samples for the waiting groups, or for the newest one, than it gave
        then, which its options or its file, changed since, would do; states from before marks were kept are checked for
        missing documents only.
        """
        self.next_group, self.samples = state["next"], state["samples"]
        self.left_out = state.get("left_out", 0)
        self.last = state.get("last")
        if self.last is not None:
            group, known = self.last
            if mark_of_all(*documents(self.source.group(group), self.feeding, self.budget.tokens)) != known:
                raise InputError(self._changed(group))
        made: dict[int, list[Document]] = {}
        self.buffer = []
        marks = state.get("marks") or [None] * len(state["waiting"])
        for (group, part, *rest), known in zip(state["waiting"], marks, strict=True):
            if group not in made:
                made[group] = documents(self.source.group(group), self.feeding, self.budget.tokens)[0]
            if part >= len(made[group]):
                raise InputError(self._changed(group))
            document, left = made[group][part], tuple(rest[0]) if rest else None
            mark = mark_of(document)
            if known not in (None, mark) or (left and max(left) >= len(document.sizes())):
                raise InputError(self._changed(group))
            self.buffer.append(Waiting(group, part, document if left is None else document.part(left), left, mark))

    def _changed(self, group: int) -> str:
        """What to tell when a source no longer gives the group that the checkpoint waits for."""
        mixed = isinstance(self.source, Mixture)
        name = f"source '{self.source.pattern[group % PERIOD]}'" if mixed else "the source"
        return (
            f"{name} gives other samples for group {group} than when the checkpoint was written: its options, its file, the "
            "mixture's weights or the tokens of a row have changed since; restore them and resume, or train anew under another --out"
        )

    def _refill(self) -> None:
        barren = 0
        while len(self.buffer) < self.lookahead:
            group = self.next_group
            self.next_group += self.shards
            made, refused = documents(self.source.group(group), self.feeding, self.budget.tokens)
            self.last = [group, mark_of_all(made, refused)]
            refused += [name for d in made for name in self._too_many_views(d)]
            made = [d for d in made if len(d.views_VTTC) <= self.budget.views]
            self.refused.extend(refused)
            self.left_out += len(refused)
            self.buffer.extend(Waiting(group, part, d, None, mark_of(d)) for part, d in enumerate(made))
            barren = 0 if made else barren + 1
            if barren == 100:
                views = f" and {self.budget.views} views" if self.refused[-1].endswith("views)") else ""
                raise InputError(
                    f"100 groups in a row do not fit a row of {self.budget.tokens} tokens{views}, e.g. {self.refused[-1]}"
                )

    def _too_many_views(self, document: Document) -> list[str]:
        """Names of the samples whose pictures are more views than a row may hold."""
        count = len(document.views_VTTC)
        if count <= self.budget.views:
            return []
        return [f"{name} ({count} views)" for name in dict.fromkeys(b.sample for b in document.branches)]

    def row(self) -> list[Document]:
        """The next row: the oldest document, then always the largest waiting one that still fits, then parts of some."""
        self._refill()
        row: list[Document] = []
        document: Document | None = self.buffer.pop(0).document
        tokens, views = self.budget.tokens, self.budget.views
        while document is not None:
            row.append(document)
            tokens, views = tokens - document.tokens, views - len(document.views_VTTC)
            document = self._largest(tokens, views) or (self._part(tokens, views) if self.split else None)
        self.samples += sum(len({b.sample for b in d.branches}) for d in row)
        return row

    def _largest(self, tokens: int, views: int) -> Document | None:
        """The largest waiting document that fits, taken out of the buffer."""
        fits = [
            (-w.document.tokens, n)
            for n, w in enumerate(self.buffer)
            if w.document.tokens <= tokens and len(w.document.views_VTTC) <= views
        ]
        return self.buffer.pop(min(fits)[1]).document if fits else None

    def _part(self, tokens: int, views: int) -> Document | None:
        """Some samples of a waiting document, which keeps the others: where most is won over repeating its prefix.

        None where no part would hold more new tokens than repeated ones.
        """
        best, won = None, 0
        for n, w in enumerate(self.buffer):
            sizes, prefix = w.document.sizes(), len(w.document.prefix)
            if len(sizes) < 2 or prefix >= tokens or len(w.document.views_VTTC) > views:
                continue
            chosen = choose(sizes, tokens - prefix)
            gain = sum(sizes[k] for k in chosen) - prefix
            if gain > won:
                best, won = (n, chosen), gain
        if best is None:
            return None
        n, chosen = best
        w = self.buffer[n]
        rest = [k for k in range(len(w.document.sizes())) if k not in set(chosen)]
        left = tuple(rest) if w.left is None else tuple(w.left[k] for k in rest)
        self.buffer[n] = w._replace(document=w.document.part(rest), left=left)
        return w.document.part(chosen)


def mark_of(document: Document) -> str:
    """A short digest of a document's tokens, samples and picture places: other samples under the same index differ in it."""
    told = hashlib.blake2b(digest_size=6)
    told.update(np.asarray(document.prefix, np.int64).tobytes())
    told.update(repr(document.views_VTTC.shape).encode())
    for branch in document.branches:
        told.update(f"{len(branch.ids)} {branch.task} {branch.sample}".encode())
        told.update(np.asarray(branch.ids, np.int64).tobytes())
    return told.hexdigest()


def mark_of_all(made: Sequence[Document], refused: Sequence[str]) -> str:
    """A short digest of all that a group gave."""
    return hashlib.blake2b(repr(([mark_of(d) for d in made], refused)).encode(), digest_size=6).hexdigest()


def choose(sizes: Sequence[int], room: int) -> list[int]:
    """Places of sizes that fit `room` together: always the largest that still fits; in order."""
    chosen = []
    for n in sorted(range(len(sizes)), key=lambda n: (-sizes[n], n)):
        if sizes[n] <= room:
            chosen.append(n)
            room -= sizes[n]
    return sorted(chosen)
