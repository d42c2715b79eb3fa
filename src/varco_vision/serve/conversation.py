"""From a chat-completions request to what the engine takes: roles and texts, pictures decoded, tasks spelled out."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from varco_vision import markup
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.infer.api import CHAT_TOKENS, refer_text
from varco_vision.infer.engine import Request
from varco_vision.infer.ocr import OCR_TOKENS, upscaled
from varco_vision.infer.sampling import Sampling
from varco_vision.model.checkpoint import Loaded
from varco_vision.serve.faults import bad
from varco_vision.serve.fetch import Fetcher
from varco_vision.serve.schema import ChatRequest, ImagePart, Message, TextPart, Varco
from varco_vision.serve.settings import Limits
from varco_vision.serve.structured import ANY_OBJECT, Grammars

SWITCH = {"ground": "<gro>\n", "ocr": "<ocr>"}
ROLES = {"developer": "system"}


@dataclass(frozen=True)
class Asked:
    """What is to be answered: one engine request per choice, all alike but for the seed.

    `sizes`: (width, height) of each picture as it was sent, which boxes in pixels refer to. `held`: bytes of the decoded
    pictures, the engine's copies among them.
    """

    chat: ChatRequest
    requests: list[Request]
    sizes: list[tuple[int, int]]
    held: int

    @property
    def stops(self) -> list[str]:
        stop = self.chat.stop
        return [text for text in ([stop] if isinstance(stop, str) else stop or []) if text]


class Reader:
    """Turns requests into engine requests. `read` blocks (it decodes pictures): call it in a thread."""

    def __init__(
        self, loaded: Loaded, limits: Limits, fetcher: Fetcher, grammars: Callable[[], Grammars], constrain: bool
    ) -> None:
        self._loaded, self._limits, self._fetcher = loaded, limits, fetcher
        self._grammars, self._constrain = grammars, constrain

    def check(self, chat: ChatRequest) -> None:
        """Refuse what needs no picture decoded to be seen as wrong. Raises `ApiError`."""
        limits = self._limits
        if len(chat.messages) > limits.messages:
            raise bad(f"there are {len(chat.messages)} messages; at most {limits.messages} are read", "messages")
        if chat.messages[-1].role != "user":
            raise bad(f"the last message is of {chat.messages[-1].role!r}; it must be the user's", "messages")
        parts = [part for message in chat.messages if not isinstance(message.content, str) for part in message.content]
        pictures = sum(isinstance(part, ImagePart) for part in parts)
        if pictures > limits.pictures:
            raise bad(f"there are {pictures} pictures; at most {limits.pictures} are read", "messages")
        length = sum(len(m.content) for m in chat.messages if isinstance(m.content, str))
        length += sum(len(part.text) for part in parts if isinstance(part, TextPart))
        if length > limits.text:
            raise bad(f"the texts have {length:,} characters; at most {limits.text:,} are read", "messages")
        if (wanted := _wanted(chat)) and wanted > limits.new_tokens:
            raise bad(f"{wanted} tokens are asked for; at most {limits.new_tokens} are written", "max_tokens")
        if chat.n and chat.n > limits.choices:
            raise bad(f"{chat.n} choices are asked for; at most {limits.choices} are given", "n")
        if chat.top_logprobs and not chat.logprobs:
            raise bad("top_logprobs needs logprobs to be true", "top_logprobs")
        if chat.stream_options and not chat.stream:
            raise bad("stream_options needs stream to be true", "stream_options")

    def most_bytes(self, chat: ChatRequest) -> int:
        """What the pictures of a request may take in memory while they are decoded; 0 without any."""
        shown = any(
            isinstance(part, ImagePart) for m in chat.messages if not isinstance(m.content, str) for part in m.content
        )
        return 3 * self._limits.pixels * (1 + (chat.n or 1)) if shown else 0

    def read(self, chat: ChatRequest) -> Asked:
        """The request with its pictures decoded. Raises `ApiError` (400)."""
        try:
            return self._read(chat)
        except InputError as error:
            raise bad(str(error)) from error

    def _read(self, chat: ChatRequest) -> Asked:
        task = chat.varco
        pictures: list[Image.Image] = []
        low: list[bool] = []
        messages = []
        left = self._limits.pixels
        for number, message in enumerate(chat.messages):
            content: list[dict[str, Any]] = []
            for place, part in _parts(message):
                if isinstance(part, TextPart):
                    text = part.text if task.markup or message.role != "user" else markup.escape(part.text)
                    content.append({"type": "text", "text": text})
                    continue
                if message.role != "user":
                    raise bad(
                        f"a picture stands in a message of {message.role!r}; only users show pictures", "messages"
                    )
                where = f"messages.{number}.content.{place}"
                picture = self._fetcher.picture(part.image_url.url, where, left)
                left -= picture.width * picture.height
                pictures.append(picture)
                low.append(part.image_url.detail == "low")
                content.append({"type": "image"})
            messages.append({"role": ROLES.get(message.role, message.role), "content": content})
        sizes = [picture.size for picture in pictures]
        messages[-1]["content"] = self._spelled(messages[-1]["content"], task, len(pictures))
        if task.task == "ocr":
            pictures = [upscaled(picture, self._loaded.anyres) for picture in pictures]
        base = Request(
            messages,
            list(pictures),
            max_new_tokens=self._new_tokens(chat),
            single_view=bool(low) and all(low),
            constrain=self._constrain,
            sampling=_sampling(chat),
            top_log_probs=chat.top_logprobs or 0,
            constraint=self._constraint(chat),
        )
        choices = chat.n or 1
        held = (1 + choices) * sum(3 * picture.width * picture.height for picture in pictures)
        return Asked(chat, [_choice(base, k) for k in range(choices)], sizes, held)

    def _spelled(self, content: list[dict[str, Any]], task: Varco, pictures: int) -> list[dict[str, Any]]:
        """The last turn as its task wants it."""
        text = "".join(part["text"] for part in content if part["type"] == "text")
        shown = [part for part in content if part["type"] == "image"]
        if task.task != "refer" and (task.box is not None or task.phrase is not None):
            raise bad(f"box and phrase belong to the task 'refer', not to {task.task!r}", "varco")
        if task.task == "chat":
            if not text.strip() and not shown:
                raise bad("the last message has no text and no picture", "messages")
            return content
        if pictures != 1:
            raise bad(f"the task {task.task!r} works on one picture; there are {pictures}", "messages")
        if task.task == "ocr":
            if text.strip() not in ("", "<ocr>"):
                raise bad("the task 'ocr' takes a picture without a text", "messages")
            return [*shown, {"type": "text", "text": SWITCH["ocr"]}]
        if not text.strip():
            raise bad(f"the task {task.task!r} needs a question in the last message", "messages")
        if task.task == "ground":
            text = text if text.startswith("<gro>") else SWITCH["ground"] + text
        else:
            place = None if task.box is None else Box(*task.box)
            text = refer_text(text, task.phrase, place, self._loaded.digits)
        return [*shown, {"type": "text", "text": text}]

    def _new_tokens(self, chat: ChatRequest) -> int:
        usual = OCR_TOKENS if chat.varco.task == "ocr" else CHAT_TOKENS
        return _wanted(chat) or min(usual, self._limits.new_tokens)

    def _constraint(self, chat: ChatRequest) -> Callable[[], Any] | None:
        form = chat.response_format
        if form is None or form.type == "text":
            return None
        if form.type == "json_schema" and form.json_schema is None:
            raise bad("response_format of type json_schema needs a json_schema", "response_format")
        if chat.varco.task in SWITCH:
            raise bad(f"the task {chat.varco.task!r} has a form of its own; response_format cannot be combined with it")
        schema = ANY_OBJECT if form.json_schema is None or form.type == "json_object" else form.json_schema.body
        grammars = self._grammars()
        try:
            grammars.constraint(schema)
        except InputError as error:
            raise bad(str(error), "response_format") from error
        return lambda: grammars.constraint(schema)


def _wanted(chat: ChatRequest) -> int | None:
    return chat.max_completion_tokens or chat.max_tokens


def _parts(message: Message) -> list[tuple[int, TextPart | ImagePart]]:
    """The parts of a turn with their places. An earlier answer counts with its boxes where it came back with them."""
    if isinstance(message.content, str):
        text = message.content
        raw = (message.varco or {}).get("raw")
        if message.role == "assistant" and isinstance(raw, str):
            text = unicodedata.normalize("NFC", raw)
        return [(0, TextPart(type="text", text=text))]
    return list(enumerate(message.content))


def _sampling(chat: ChatRequest) -> Sampling:
    return Sampling(
        temperature=chat.temperature or 0.0,
        top_p=chat.top_p or 1.0,
        top_k=chat.top_k or 0,
        repetition_penalty=chat.repetition_penalty or 1.0,
        seed=chat.seed,
    )


def _choice(base: Request, number: int) -> Request:
    seed = base.sampling.seed
    if number == 0 or seed is None:
        return base
    return replace(base, sampling=replace(base.sampling, seed=seed + number))
