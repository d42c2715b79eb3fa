"""Requests and what the model reads of them: token ids, pictures with their plans, keys for the caches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from PIL import Image

from varco_vision import chat, pictures
from varco_vision.errors import InputError
from varco_vision.geometry import TilePlan, plan_sample
from varco_vision.infer.sampling import Constraint, Sampling
from varco_vision.model.checkpoint import Loaded

PictureKey = tuple[bytes, bool, tuple[int, int]]  # equal for pictures with the same pixels and the same views
_FREE = nullcontext()
_LONGEST: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # tokenizer -> letters of its longest token
LEAST_SHARED = 8  # tokens of text; fewer are read faster than a prefix is stored and fetched
MOST_TOP = 20  # alternatives that may be reported for each token


@dataclass(frozen=True)
class Request:
    """One conversation to answer.

    `messages` ends with a user turn; its image parts, in order, stand for `images` (anything `pictures.load` reads).
    `single_view`: one padded view per picture instead of tiles. `max_tiles`: at most so many tiles for each picture.
    `constrain`: only well-formed boxes can be written (`infer.grammar`). `constraint` makes a further rule for what may
    be written, such as a JSON schema; it is called once for this answer. `top_log_probs`: how many alternatives the
    answer reports for each token.
    """

    messages: list[dict[str, Any]]
    images: list[Image.Image | str | Path | bytes] = field(default_factory=list)
    max_new_tokens: int = 512
    single_view: bool = False
    max_tiles: int | None = None
    constrain: bool = False
    sampling: Sampling = field(default_factory=Sampling)
    top_log_probs: int = 0
    constraint: Callable[[], Constraint] | None = None


@dataclass(frozen=True)
class Prompt:
    """A request as the model reads it. `starts` holds where each picture's tokens begin, `limit` how many tokens the
    answer may have. `prefix` names the first `prefix_length` tokens, whose states are kept for other prompts: all up to the
    last picture token, or more (`share_beginnings`).
    """

    index: int
    request: Request
    ids: list[int]
    starts: list[int]
    plans: list[TilePlan]
    images: list[Image.Image]
    keys: list[PictureKey]
    limit: int
    prefix: bytes = b""
    prefix_length: int = 0

    @property
    def image_tokens(self) -> int:
        return sum(plan.token_count for plan in self.plans)

    @property
    def held_bytes(self) -> int:
        """Memory of the decoded pictures that wait here."""
        return sum(3 * image.width * image.height for image in self.images)


def prepare(request: Request, loaded: Loaded, index: int = 0, guard: AbstractContextManager = _FREE) -> Prompt:
    """Load pictures, plan their tiles, render the conversation. `index` names the request in error messages.

    `guard` is held while rendering, for callers with several threads (the kept forms of conversations are shared).

    Raises `InputError` when pictures and image parts differ in number, a picture cannot be read, or the prompt exceeds
    the model's context.
    """
    images = [pictures.load(image) for image in request.images]
    places = sum(_image_parts(message) for message in request.messages)
    if places != len(images):
        raise InputError(f"request {index} has {len(images)} pictures and {places} image parts in its messages")
    if request.max_new_tokens < 1:
        raise InputError(f"request {index} asks for {request.max_new_tokens} new tokens; at least 1 is needed")
    if not 0 <= request.top_log_probs <= MOST_TOP:
        raise InputError(f"request {index} asks for {request.top_log_probs} alternatives a token; 0 to {MOST_TOP} are")
    anyres = loaded.anyres if request.max_tiles is None else loaded.anyres.limited(request.max_tiles)
    _refuse_hopeless(request, loaded, index)
    plans = plan_sample([image.size for image in images], anyres, single=request.single_view)
    counts = [plan.token_count for plan in plans]
    with guard:
        rendered = chat.render(request.messages, loaded.tokenizer, counts, add_generation_prompt=True)
    room = loaded.context - len(rendered.ids)
    if room < 1:
        raise InputError(
            f"the prompt of request {index} has {len(rendered.ids)} tokens, {sum(counts)} of them for "
            f"{len(images)} picture(s); the model reads at most {loaded.context - 1}: "
            "use fewer or smaller pictures, or a shorter text"
        )
    keys = [_picture_key(image, plan) for image, plan in zip(images, plans, strict=True)]
    limit = min(request.max_new_tokens, room)
    length = rendered.image_starts[-1] + counts[-1] if counts else 0
    prefix = _prefix_key(rendered.ids[:length], keys) if counts else b""
    return Prompt(index, request, rendered.ids, rendered.image_starts, plans, images, keys, limit, prefix, length)


def share_beginnings(prompts: Sequence[Prompt], known: Container[bytes] = ()) -> list[Prompt]:
    """The prompts, those about one picture with a prefix that also holds what their texts begin with in common, such as the
    question before options that are turned. Prefixes in `known` stay, and so do those that would grow by a few tokens only.
    """
    groups: dict[bytes, list[Prompt]] = {}
    for prompt in prompts:
        if prompt.prefix and prompt.prefix not in known:
            groups.setdefault(prompt.prefix, []).append(prompt)
    longer: dict[bytes, tuple[bytes, int]] = {}
    for prefix, group in groups.items():
        first, most = group[0], min(len(prompt.ids) for prompt in group) - 1  # every row has a token of its own to read
        common = next(
            (k for k in range(first.prefix_length, most) if len({prompt.ids[k] for prompt in group}) > 1), most
        )
        if len(group) > 1 and common >= first.prefix_length + LEAST_SHARED:
            longer[prefix] = _prefix_key(first.ids[:common], first.keys), common
    return [
        replace(prompt, prefix=longer[prompt.prefix][0], prefix_length=longer[prompt.prefix][1])
        if prompt.prefix in longer
        else prompt
        for prompt in prompts
    ]


def _refuse_hopeless(request: Request, loaded: Loaded, index: int) -> None:
    """A text that cannot fit however it is cut into tokens is refused before minutes are spent on cutting it."""
    longest = _LONGEST.get(loaded.tokenizer)
    if longest is None:
        longest = _LONGEST[loaded.tokenizer] = max(map(len, loaded.tokenizer.get_vocab()))
    characters = sum(_characters(message) for message in request.messages)
    if characters > 4 * longest * loaded.context:  # composing (NFC) makes at most three letters one
        raise InputError(
            f"the texts of request {index} have {characters:,} characters, far more than the {loaded.context - 1} tokens "
            "that the model reads; give a shorter text"
        )


def _characters(message: dict[str, Any]) -> int:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return len(content)
    texts = [part.get("text") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return sum(len(text) for text in texts if isinstance(text, str))


def _image_parts(message: dict[str, Any]) -> int:
    """Image parts of a message; malformed ones are left for `chat.render` to name."""
    content = message.get("content") if isinstance(message, dict) else None
    return (
        sum(isinstance(part, dict) and part.get("type") == "image" for part in content)
        if isinstance(content, list)
        else 0
    )


def _picture_key(image: Image.Image, plan: TilePlan) -> PictureKey:
    digest = hashlib.blake2b(image.tobytes(), digest_size=16, key=f"{image.size}".encode())
    return digest.digest(), plan.single, plan.grid


def _prefix_key(ids: list[int], keys: list[PictureKey]) -> bytes:
    return hashlib.blake2b(repr((ids, keys)).encode(), digest_size=16).digest()
