"""Packed rows to the arrays that a step eats: each row on its own, by loader workers, and rows to a batch.

Shapes as in `model.packed`; T tokens of a row, C = side * side features of a view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from varco_vision.data.pack import Document
from varco_vision.model.attention import Span, make_layout
from varco_vision.model.packed import PADDING, PackedBatch

MakeLayout = Callable[[Sequence[Span], int], Any]


@dataclass
class Laid:
    """A row of documents laid end to end, as arrays. Places, views, documents and answers count from its own beginning."""

    ids_T: np.ndarray
    positions_T: np.ndarray
    document_T: np.ndarray
    branch_T: np.ndarray
    views_VTTC: np.ndarray
    slots_N: np.ndarray
    indices_N4: np.ndarray
    weights_N4: np.ndarray | None
    sources_S: np.ndarray
    targets_S: np.ndarray
    sequence_S: np.ndarray
    tasks: list[str]
    samples: list[str]
    spans: list[Span]
    keys: list[str]


def lay(documents: Sequence[Document], side: int, keys: Sequence[str] = ()) -> Laid:
    """`side`: patch positions per view side. `keys`: one an answer, see `PackedBatch`."""
    cells = side * side
    ids, positions, document, branch = [], [], [], []
    slots, indices, weights, pixels = [], [], [], []
    sources, targets, sequences, tasks, samples = [], [], [], [], []
    first_view, at, spans = 0, 0, []
    for n, d in enumerate(documents):
        shared, start = len(d.prefix), at
        spans.append((at, shared, [len(b.ids) for b in d.branches]))
        ids.append(np.asarray(d.prefix, np.int64))
        positions.append(np.arange(shared))
        branch.append(np.zeros(shared, np.int64))
        slots.append(d.slots + at)
        indices.append(np.where(d.indices_N4 < 0, -1, d.indices_N4 + first_view * cells))
        weights.append(d.weights_N4)
        pixels.append(d.views_VTTC)
        first_view += len(d.views_VTTC)
        at += shared
        for k, b in enumerate(d.branches, start=1):
            size, own = len(b.ids), np.asarray(b.ids, np.int64)
            wanted = np.flatnonzero(b.supervised)
            ids.append(own)
            positions.append(np.arange(shared, shared + size))
            branch.append(np.full(size, k))
            sources.append(at + wanted - 1)
            targets.append(own[wanted])
            sequences.append(np.full(len(wanted), len(tasks)))
            tasks.append(b.task)
            samples.append(b.sample)
            at += size
        document.append(np.full(at - start, n))
    return Laid(
        *(_joined(parts) for parts in (ids, positions, document, branch)),
        _joined(pixels, (0, 1, 1, 3), np.uint8),
        _joined(slots),
        _joined(indices, (0, 4)),
        _weights(weights, indices),
        *(_joined(parts) for parts in (sources, targets, sequences)),
        tasks,
        samples,
        spans,
        list(keys),
    )


def join(
    rows: Sequence[Laid], pad_id: int, side: int, layout: MakeLayout = make_layout, flat: bool = False
) -> PackedBatch:
    """Rows to one batch: padded to the longest, or with `flat` all of them laid end to end as one.

    `layout` makes what the model's attention reads (`model.packed.layout_of`).
    """
    lengths = [len(row.ids_T) for row in rows]
    length = sum(lengths) if flat else max(lengths)
    shape = (1 if flat else len(rows), length)
    starts = np.cumsum([0, *lengths[:-1]]) if flat else np.arange(len(rows)) * length
    documents = np.cumsum([0, *(len(row.spans) for row in rows[:-1])]) * int(flat)
    answers = np.cumsum([0, *(len(row.tasks) for row in rows[:-1])])
    first_views = np.cumsum([0, *(len(row.views_VTTC) for row in rows[:-1])])
    laid = {name: np.full(shape, fill, np.int64).reshape(-1) for name, fill in (("ids", pad_id), ("positions", 0), ("document", PADDING), ("branch", 0))}  # fmt: skip
    for row, start, count, first in zip(rows, starts, lengths, documents, strict=True):
        span = slice(start, start + count)
        laid["ids"][span], laid["positions"][span] = row.ids_T, row.positions_T
        laid["document"][span], laid["branch"][span] = row.document_T + first, row.branch_T
    moved = [
        np.where(r.indices_N4 < 0, -1, r.indices_N4 + v * side * side) for r, v in zip(rows, first_views, strict=True)
    ]
    pixels = [row.views_VTTC for row in rows if len(row.views_VTTC)] or [rows[0].views_VTTC]
    weights = _weights([row.weights_N4 for row in rows], moved)
    spans = [
        (int(at + start), shared, sizes)
        for row, start in zip(rows, starts, strict=True)
        for at, shared, sizes in row.spans
    ]
    tasks = [task for row in rows for task in row.tasks]
    kinds = {task: n for n, task in enumerate(sorted(set(tasks)))}
    ids, positions, document, branch = (torch.from_numpy(laid[name].reshape(shape)) for name in laid)
    return PackedBatch(
        input_ids_RL=ids,
        position_ids_RL=positions,
        document_RL=document,
        branch_RL=branch,
        views_VTTC=torch.from_numpy(np.concatenate(pixels)),
        slots_N=_shifted([row.slots_N for row in rows], starts),
        indices_N4=torch.from_numpy(np.concatenate(moved)),
        weights_N4=None if weights is None else torch.from_numpy(weights),
        sources_S=_shifted([row.sources_S for row in rows], starts),
        targets_S=torch.from_numpy(np.concatenate([row.targets_S for row in rows])),
        sequence_S=_shifted([row.sequence_S for row in rows], answers),
        kinds_B=torch.tensor([kinds[task] for task in tasks]),
        tasks=tasks,
        samples=[sample for row in rows for sample in row.samples],
        cells=side * side,
        layout=layout(spans, shape[0] * length),
        keys=[key for row in rows for key in row.keys],
    )


def collate(
    rows: Sequence[Sequence[Document]], pad_id: int, side: int, layout: MakeLayout = make_layout
) -> PackedBatch:
    """Rows of documents to one batch, padded to the longest."""
    return join([lay(row, side) for row in rows], pad_id, side, layout)


def _joined(parts: Sequence[np.ndarray], empty: tuple[int, ...] = (0,), dtype: Any = np.int64) -> np.ndarray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(empty, dtype)


def _shifted(parts: Sequence[np.ndarray], by: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([part + shift for part, shift in zip(parts, by, strict=True)]))


def _weights(weights: Sequence[np.ndarray | None], indices: Sequence[np.ndarray]) -> np.ndarray | None:
    """All weights, where any document has some: a feature that is copied counts once."""
    if all(w is None for w in weights):
        return None
    whole = [
        np.eye(1, 4, dtype=np.float32).repeat(len(i), 0) if w is None else w
        for w, i in zip(weights, indices, strict=True)
    ]
    return np.concatenate(whole).astype(np.float32, copy=False)
