"""What frozen encoders gave for a view, kept on the disk: encoded once, read in every later pass over the picture.

One file of equal records for each process and one of their keys; a view's key is a digest of its pixels, the files' name
one of the encoders' weights. A record that a kill cut off has no line in the file of keys and is not read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from varco_vision.errors import InputError
from varco_vision.model.packed import PackedBatch
from varco_vision.model.vision import normalise, tower_features
from varco_vision.train.step import autocast

SPARE = 1_000_000_000  # bytes of the disk that features leave alone, for checkpoints


class FeatureStore:
    """Features of frozen encoders by view.

    With `projected` they are the projector's outputs, else the tower's. `dtype`: that of the forward, so that what is read
    is what would have been computed.
    """

    def __init__(
        self,
        directory: Path,
        model: PreTrainedModel,
        normalisation: tuple[Sequence[float], Sequence[float]],
        projected: bool,
        dtype: torch.dtype,
        rank: int = 0,
    ) -> None:
        self.model, self.normalisation, self.projected, self.dtype = model, normalisation, projected, dtype
        self.name = self._fingerprint()
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.rank = directory, rank
        self.places: dict[str, tuple[Path, int]] = {}  # key -> (file, record)
        self.encoded = self.read = 0
        self.shape: tuple[int, int] | None = None
        self.files: dict[Path, np.memmap] = {}
        _mend(self._paths()[1])
        for keys in sorted(directory.glob(f"{self.name}-*.keys")):
            self._index(keys)

    def fill(self, batch: PackedBatch) -> PackedBatch:
        """The batch with the features of all its views; those not yet known are computed and kept."""
        views_VTTC = batch.views_VTTC
        if not len(views_VTTC):
            return batch
        pixels = views_VTTC.cpu().numpy()
        keys = [hashlib.blake2b(view.tobytes(), digest_size=16).hexdigest() for view in pixels]
        fresh = [n for n, key in enumerate(keys) if key not in self.places]
        fresh = list({keys[n]: n for n in fresh}.values())
        if fresh:
            self._append([keys[n] for n in fresh], self._encode(views_VTTC[fresh]))
        self.encoded += len(fresh)
        self.read += len(keys) - len(fresh)
        features = torch.stack([self._record(*self.places[key]) for key in keys]).to(views_VTTC.device)
        return replace(batch, features_VPW=features, projected=self.projected)

    @torch.no_grad()
    def _encode(self, views_VTTC: Tensor) -> Tensor:
        mean, std = self.normalisation
        with autocast(self.dtype, views_VTTC.device):
            weights = next(self.model.model.vision_tower.parameters()).dtype
            features = tower_features(self.model, normalise(views_VTTC, mean, std, weights))
            return self.model.model.multi_modal_projector(features) if self.projected else features

    def _append(self, keys: Sequence[str], features: Tensor) -> None:
        data = features.contiguous().cpu().view(torch.uint8).numpy().tobytes()
        free = shutil.disk_usage(self.directory).free
        if free < len(data) + SPARE:
            raise InputError(
                f"{self.directory}: {free / 1e9:.1f} GB free on the disk, kept features leave {SPARE / 1e9:.0f} GB alone; "
                "make room, or set cache_features to false"
            )
        self.shape, self.kind = tuple(features.shape[1:]), features.dtype
        values, names = self._paths()
        size = len(data) // len(keys)
        with values.open("ab") as file:
            at = file.tell() // size
            file.truncate(at * size)  # whatever a kill left of a record
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with names.open("a", encoding="ascii") as file:
            if not file.tell():
                file.write(f"{self.shape[0]} {self.shape[1]} {str(self.kind).removeprefix('torch.')}\n")
            file.writelines(f"{key} {at + n}\n" for n, key in enumerate(keys))
        self.places.update({key: (values, at + n) for n, key in enumerate(keys)})
        self.files.pop(values, None)

    def _paths(self) -> tuple[Path, Path]:
        stem = self.directory / f"{self.name}-{self.rank}"
        return stem.with_suffix(".bin"), stem.with_suffix(".keys")

    def _index(self, keys: Path) -> None:
        head, *lines = keys.read_text(encoding="ascii").split("\n")
        if not lines:  # another process has only begun to write it
            return
        cells, width, kind = head.split()
        self.shape, self.kind = (int(cells), int(width)), getattr(torch, kind)
        values = keys.with_suffix(".bin")
        whole = values.stat().st_size // self._size()
        for line in lines[:-1]:  # the last piece is empty, or what a kill left of a line
            key, _, place = line.partition(" ")
            if int(place) < whole:
                self.places[key] = (values, int(place))

    def _size(self) -> int:
        assert self.shape is not None
        return self.shape[0] * self.shape[1] * self.kind.itemsize

    def _record(self, path: Path, place: int) -> Tensor:
        if path not in self.files:
            self.files[path] = np.memmap(path, np.uint8, "r")
        size = self._size()
        raw = np.array(self.files[path][place * size : (place + 1) * size])
        return torch.from_numpy(raw).view(self.kind).view(self.shape)

    def _fingerprint(self) -> str:
        model = self.model.model
        parts: list[nn.Module] = [model.vision_tower, *([model.multi_modal_projector] if self.projected else [])]
        weights = {f"{n}.{name}": value for n, part in enumerate(parts) for name, value in part.state_dict().items()}
        digest = weights_digest(weights, repr((self.normalisation, self.dtype)), size=12)
        return f"{'projected' if self.projected else 'tower'}-{digest}"


def weights_digest(weights: Mapping[str, Tensor], more: str = "", size: int = 16) -> str:
    """A digest of `size` bytes of every weight by name, and of `more`. Billions of weights are read by several threads."""

    def one(item: tuple[str, Tensor]) -> bytes:
        name, value = item
        data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        return name.encode() + hashlib.blake2b(data, digest_size=16).digest()

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as threads:
        parts = threads.map(one, sorted(weights.items()))
        return hashlib.blake2b(more.encode() + b"".join(parts), digest_size=size).hexdigest()


def _mend(keys: Path) -> None:
    """Take away what a kill left of the last line, so that the next one does not run on from it."""
    if keys.exists():
        data = keys.read_bytes()
        with keys.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)
