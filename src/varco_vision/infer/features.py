"""What is known about pictures already: projected features and the key-value states of prompt prefixes, kept by recency.

Shapes: V views, P patch positions of a view, D width of the language model, N picture positions, L prompt length.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

import torch
from PIL import Image
from torch import Tensor

from varco_vision import pictures
from varco_vision.errors import InputError
from varco_vision.geometry import TilePlan
from varco_vision.infer.prompts import PictureKey, Prompt
from varco_vision.infer.tower import Tower
from varco_vision.model.checkpoint import Loaded
from varco_vision.model.vision import gather_features

PATCHES_PER_CALL = 16384  # patch positions that go through the tower at once

Key = TypeVar("Key", bound=Hashable)


class TensorCache(Generic[Key]):
    """Tensors by key, the least recently used dropped first once they take more than `limit` bytes.

    A tensor larger than the limit is not kept. `hits` and `misses` count what `get` found.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise InputError(f"a cache of {limit} bytes was asked for; 0 switches it off")
        self.limit = limit
        self.bytes = self.hits = self.misses = 0
        self._kept: OrderedDict[Key, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def get(self, key: Key) -> Tensor | None:
        found = self._kept.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._kept.move_to_end(key)
        return found

    def put(self, key: Key, value: Tensor) -> None:
        size = value.numel() * value.element_size()
        if key in self._kept or size > self.limit:
            return
        self._kept[key] = value
        self.bytes += size
        while self.bytes > self.limit:
            _, dropped = self._kept.popitem(last=False)
            self.bytes -= dropped.numel() * dropped.element_size()

    def clear(self) -> None:
        self._kept.clear()
        self.bytes = 0


def features_of(
    prompts: Sequence[Prompt], loaded: Loaded, tower: Tower, cache: TensorCache[PictureKey]
) -> dict[PictureKey, Tensor]:
    """Projected features [V, P, D] of every distinct picture; what the cache lacks goes through the tower together."""
    features: dict[PictureKey, Tensor] = {}
    new: dict[PictureKey, tuple[Image.Image, TilePlan]] = {}
    for prompt in prompts:
        for key, image, plan in zip(prompt.keys, prompt.images, prompt.plans, strict=True):
            if key in features or key in new:
                continue
            known = cache.get(key)
            if known is None:
                new[key] = (image, plan)
            else:
                features[key] = known
    for key, found in zip(new, _encode(list(new.values()), loaded, tower), strict=True):
        features[key] = found
        cache.put(key, found.clone())  # a slice would keep its whole batch alive
    return features


def _encode(images: Sequence[tuple[Image.Image, TilePlan]], loaded: Loaded, tower: Tower) -> list[Tensor]:
    """Features [V, P, D] of each picture; the tower sees all views in few dense calls."""
    if not images:
        return []
    pad_colour = tuple(int(255 * m) for m in loaded.mean)
    views = [torch.from_numpy(pictures.views(image, plan, loaded.anyres, pad_colour)) for image, plan in images]
    step = max(1, PATCHES_PER_CALL // loaded.anyres.side**2)
    calls = torch.cat(views).split(step)
    parts = [tower(v, loaded.mean, loaded.std) for v in calls]
    features = list(torch.cat(parts).split([plan.view_count for _, plan in images]))
    for (_, plan), found in zip(images, features, strict=True):
        if found.shape[1] != loaded.anyres.side**2:
            raise InputError(
                f"a view of the picture of {plan.width} x {plan.height} pixels gave {found.shape[1]} features, "
                f"{loaded.anyres.side**2} were expected: the model's config does not describe its vision tower"
            )
    return features


def embed(prompt: Prompt, first: int, features: dict[PictureKey, Tensor], loaded: Loaded) -> Tensor:
    """Embeddings [L - first, D] of a prompt from position `first` on, picture positions filled with features.

    `first` does not lie inside a picture.
    """
    model, device = loaded.model, loaded.device
    embeds_LD = model.get_input_embeddings()(torch.tensor(prompt.ids[first:], device=device))
    for start, key, plan in zip(prompt.starts, prompt.keys, prompt.plans, strict=True):
        if start < first:
            continue
        indices, weights = plan.gather()
        gathered_ND = gather_features(
            features[key],
            model.model.image_newline,
            torch.tensor(indices, dtype=torch.int64, device=device),
            None if plan.is_copy else torch.tensor(weights, device=device),
        )
        assert len(gathered_ND) == plan.token_count, (plan, len(gathered_ND))
        embeds_LD[start - first : start - first + plan.token_count] = gathered_ND.to(embeds_LD.dtype)
    return embeds_LD
