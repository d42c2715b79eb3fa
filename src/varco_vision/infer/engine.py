"""Batched greedy generation: pictures encoded once, prompts left-padded inside, every row as if it were alone.

Shapes: B rows of a batch, L padded prompt length, D width of the language model, N picture positions of a prompt,
V views, T tile side in pixels, P patch positions of a view, C vocabulary size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import DynamicCache

from varco_vision import chat, pictures
from varco_vision.errors import InputError
from varco_vision.geometry import TilePlan, plan_sample
from varco_vision.infer.answer import Answer, Generated, StopReason, read_answer
from varco_vision.infer.decoding import loop_cut
from varco_vision.markup import MARKERS
from varco_vision.model.checkpoint import Loaded
from varco_vision.model.vision import encode_views, gather_features

PATCHES_PER_CALL = 16384  # patch positions that go through the tower at once
LOOP_CHECK_EVERY = 16  # tokens
WINDOW = 16  # batches that are sorted by length together; bounds how many pictures are held


PictureKey = tuple[bytes, bool]  # equal for pictures with the same pixels and the same views


@dataclass(frozen=True)
class Request:
    """One conversation to answer.

    `messages` ends with a user turn; its image parts, in order, stand for `images` (anything `pictures.load` reads).
    `single_view`: one padded view per picture instead of tiles.
    """

    messages: list[dict[str, Any]]
    images: list[Image.Image | str | Path | bytes] = field(default_factory=list)
    max_new_tokens: int = 512
    single_view: bool = False


@dataclass(frozen=True)
class _Prompt:
    index: int
    ids: list[int]
    starts: list[int]
    plans: list[TilePlan]
    images: list[Image.Image]
    keys: list[PictureKey]
    limit: int


@dataclass
class _Row:
    """An answer in the making."""

    prompt: _Prompt
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    stop_reason: StopReason | None = None


class Engine:
    """Answers requests with a loaded model, greedily, `batch_size` at a time.

    `prompt_tokens` bounds a batch's padded prompts, which long pictures fill before `batch_size` does. `stop_loops`
    False lets an answer repeat itself until its length is used up.
    """

    def __init__(
        self, loaded: Loaded, batch_size: int = 16, prompt_tokens: int = 65536, stop_loops: bool = True
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; at least 1 request has to fit into a batch")
        self.loaded = loaded
        self.batch_size = batch_size
        self.prompt_tokens = prompt_tokens
        self.stop_loops = stop_loops
        vocabulary = loaded.tokenizer.get_vocab()
        self._markers = {marker: vocabulary[marker] for marker in MARKERS if marker in vocabulary}
        self._stop_ids = frozenset(loaded.stop_ids)

    @torch.inference_mode()
    def generate(self, requests: Sequence[Request], progress: Callable[[int], None] | None = None) -> list[Answer]:
        """One answer per request, in order. `progress` is told after every batch how many requests are done.

        Raises `InputError` when pictures and image parts differ in number or a prompt exceeds the model's context.
        """
        answers: list[Answer | None] = [None] * len(requests)
        done = 0
        features: dict[PictureKey, Tensor] = {}
        for first in range(0, len(requests), self.batch_size * WINDOW):
            window = requests[first : first + self.batch_size * WINDOW]
            prompts = [self._prompt(first + k, request) for k, request in enumerate(window)]
            for batch in self._batches(prompts):
                features = self._features(batch, features)
                for row in self._decode(batch, features):
                    answers[row.prompt.index] = self._answer(row)
                done += len(batch)
                if progress is not None:
                    progress(done)
        finished = [answer for answer in answers if answer is not None]
        assert len(finished) == len(requests)
        return finished

    def _prompt(self, index: int, request: Request) -> _Prompt:
        images = [pictures.load(image) for image in request.images]
        places = sum(_image_parts(message) for message in request.messages)
        if places != len(images):
            raise InputError(f"request {index} has {len(images)} pictures and {places} image parts in its messages")
        if request.max_new_tokens < 1:
            raise InputError(f"request {index} asks for {request.max_new_tokens} new tokens; at least 1 is needed")
        plans = plan_sample([image.size for image in images], self.loaded.anyres, single=request.single_view)
        counts = [plan.token_count for plan in plans]
        rendered = chat.render(request.messages, self.loaded.tokenizer, counts, add_generation_prompt=True)
        room = self.loaded.context - len(rendered.ids)
        if room < 1:
            raise InputError(
                f"the prompt of request {index} has {len(rendered.ids)} tokens, {sum(counts)} of them for "
                f"{len(images)} picture(s); the model reads at most {self.loaded.context - 1}: "
                "use fewer or smaller pictures, or a shorter text"
            )
        keys = [_picture_key(image, plan) for image, plan in zip(images, plans, strict=True)]
        limit = min(request.max_new_tokens, room)
        return _Prompt(index, rendered.ids, rendered.image_starts, plans, images, keys, limit)

    def _batches(self, prompts: Sequence[_Prompt]) -> Iterator[list[_Prompt]]:
        """Longest first, so that a batch too large for the memory fails at the start and not after hours."""
        batch: list[_Prompt] = []
        for prompt in sorted(prompts, key=lambda p: (-len(p.ids), p.index)):
            longest = len(batch[0].ids) if batch else 0
            if batch and (len(batch) == self.batch_size or (len(batch) + 1) * longest > self.prompt_tokens):
                yield batch
                batch = []
            batch.append(prompt)
        if batch:
            yield batch

    def _features(self, batch: Sequence[_Prompt], known: dict[PictureKey, Tensor]) -> dict[PictureKey, Tensor]:
        """Projected features [V, P, D] of every distinct picture of the batch; those of the batch before are reused."""
        features: dict[PictureKey, Tensor] = {}
        new: dict[PictureKey, tuple[Image.Image, TilePlan]] = {}
        for prompt in batch:
            for key, image, plan in zip(prompt.keys, prompt.images, prompt.plans, strict=True):
                if key in known:
                    features[key] = known[key]
                else:
                    new.setdefault(key, (image, plan))
        return features | dict(zip(new, self._encode(list(new.values())), strict=True))

    def _encode(self, images: Sequence[tuple[Image.Image, TilePlan]]) -> list[Tensor]:
        """Features [V, P, D] of each picture; the tower sees all views in few dense calls."""
        loaded = self.loaded
        if not images:
            return []
        pad_colour = tuple(int(255 * m) for m in loaded.mean)
        views = [torch.from_numpy(pictures.views(image, plan, loaded.anyres, pad_colour)) for image, plan in images]
        step = max(1, PATCHES_PER_CALL // loaded.anyres.side**2)
        calls = torch.cat(views).split(step)
        parts = [encode_views(loaded.model, v.to(loaded.device), loaded.mean, loaded.std) for v in calls]
        features = list(torch.cat(parts).split([plan.view_count for _, plan in images]))
        for (_, plan), found in zip(images, features, strict=True):
            if found.shape[1] != loaded.anyres.side**2:
                raise InputError(
                    f"a view of the picture of {plan.width} x {plan.height} pixels gave {found.shape[1]} features, "
                    f"{loaded.anyres.side**2} were expected: the model's config does not describe its vision tower"
                )
        return features

    def _embed(self, prompt: _Prompt, features: dict[PictureKey, Tensor]) -> Tensor:
        """Prompt embeddings [len(ids), D], picture positions filled with gathered features."""
        model, device = self.loaded.model, self.loaded.device
        embeds_LD = model.get_input_embeddings()(torch.tensor(prompt.ids, device=device))
        for start, key, plan in zip(prompt.starts, prompt.keys, prompt.plans, strict=True):
            indices, weights = plan.gather()
            gathered_ND = gather_features(
                features[key],
                model.model.image_newline,
                torch.tensor(indices, dtype=torch.int64, device=device),
                None if plan.is_copy else torch.tensor(weights, device=device),
            )
            assert len(gathered_ND) == plan.token_count, (plan, len(gathered_ND))
            embeds_LD[start : start + plan.token_count] = gathered_ND.to(embeds_LD.dtype)
        return embeds_LD

    def _decode(self, batch: Sequence[_Prompt], features: dict[PictureKey, Tensor]) -> list[_Row]:
        """Greedy decoding of one batch. Rows that are done leave it once they are more than half of it."""
        model, device = self.loaded.model, self.loaded.device
        longest = max(len(prompt.ids) for prompt in batch)
        inputs_BLD = model.get_input_embeddings().weight.new_zeros(len(batch), longest, self._width)
        mask_BL = torch.zeros(len(batch), longest, dtype=torch.long, device=device)
        for row, prompt in enumerate(batch):
            inputs_BLD[row, longest - len(prompt.ids) :] = self._embed(prompt, features)
            mask_BL[row, longest - len(prompt.ids) :] = 1
        positions_BL = (mask_BL.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache(config=model.config.text_config)
        rows = [_Row(prompt) for prompt in batch]
        present = list(rows)
        while True:
            hidden_BLD = model.model.language_model(
                inputs_embeds=inputs_BLD,
                attention_mask=mask_BL,
                position_ids=positions_BL,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
            logits_BC = model.lm_head(hidden_BLD[:, -1]).float()
            top_B = logits_BC.argmax(-1)
            chosen_B = logits_BC.gather(-1, top_B[:, None])[:, 0] - logits_BC.logsumexp(-1)
            for row, token, log_prob in zip(present, top_B.tolist(), chosen_B.tolist(), strict=True):
                self._advance(row, token, log_prob)
            alive = [k for k, row in enumerate(present) if row.stop_reason is None]
            if not alive:
                return rows
            positions_BL = positions_BL[:, -1:] + 1
            if 2 * len(alive) < len(present):
                keep = torch.tensor(alive, device=device)
                cache.batch_select_indices(keep)
                present = [present[k] for k in alive]
                mask_BL, positions_BL, top_B = mask_BL[keep], positions_BL[keep], top_B[keep]
            mask_BL = torch.cat([mask_BL, mask_BL.new_ones(len(present), 1)], dim=1)
            inputs_BLD = model.get_input_embeddings()(top_B)[:, None]

    @property
    def _width(self) -> int:
        return self.loaded.model.config.text_config.hidden_size

    def _advance(self, row: _Row, token: int, log_prob: float) -> None:
        """Book one generated token, and whether the answer ends with it."""
        if row.stop_reason is not None:
            return
        row.log_probs.append(log_prob)
        if token in self._stop_ids:
            row.stop_reason = "end"
            return
        row.ids.append(token)
        if self.stop_loops and len(row.ids) % LOOP_CHECK_EVERY == 0 and (cut := loop_cut(row.ids)) is not None:
            del row.ids[cut:], row.log_probs[cut:]
            row.stop_reason = "loop"
        elif len(row.ids) >= row.prompt.limit:
            row.stop_reason = "length"

    def _answer(self, row: _Row) -> Answer:
        assert row.stop_reason is not None
        image_tokens = sum(plan.token_count for plan in row.prompt.plans)
        generated = Generated(row.ids, row.log_probs, row.stop_reason)
        decode = partial(chat.decode, tokenizer=self.loaded.tokenizer)
        return read_answer(generated, decode, self._markers, image_tokens)


def _image_parts(message: dict[str, Any]) -> int:
    """Image parts of a message; malformed ones are left for `chat.render` to name."""
    content = message.get("content")
    return (
        sum(isinstance(part, dict) and part.get("type") == "image" for part in content)
        if isinstance(content, list)
        else 0
    )


def _picture_key(image: Image.Image, plan: TilePlan) -> PictureKey:
    digest = hashlib.blake2b(image.tobytes(), digest_size=16, key=f"{image.size}".encode())
    return digest.digest(), plan.single
