"""What one training or evaluation example is, its JSON form, and everything that can be wrong with it.

A supervised sample ends with the assistant's turn. A preference sample ends with the user's turn and carries two answers
to it, `chosen` and `rejected`. Pictures belong to the image parts of the messages in order.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from varco_vision import markup
from varco_vision.errors import InputError
from varco_vision.geometry import Box

TASKS = ("caption", "vqa", "grounding", "referring", "counting", "ocr", "text", "choice", "chat")
LANGUAGES = ("ko", "en")
ROLES = ("system", "user", "assistant")
# Text that some tool once put where a picture or a turn belongs; here it would be spelled out letter by letter.
CONTROL_TEXT = ("<image>", "<video>", "<|im_start|>", "<|im_end|>", "<|endoftext|>")
REQUIRED = ("id", "task", "lang", "messages")
OPTIONAL = ("images", "chosen", "rejected", "meta")

Turn = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """One example. `images`: paths, or PIL images in memory; `messages`, `chosen`, `rejected`: turns as in the JSON form.

    A turn is {"role": ..., "content": text or [{"type": "image"} | {"type": "text", "text": ...}, ...]}.
    """

    id: str
    images: tuple[str | Image.Image, ...]
    task: str
    lang: str
    messages: tuple[Turn, ...]
    chosen: tuple[Turn, ...] | None = None
    rejected: tuple[Turn, ...] | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, empty fields left out. `InputError` while a picture is in memory: only a path can be written."""
        for number, image in enumerate(self.images, start=1):
            if not isinstance(image, str):
                raise InputError(
                    f"picture {number} of sample {self.id!r} is a {type(image).__name__} in memory; "
                    "store it first (varco_vision.data.jsonl.write does) and give its path"
                )
        data: dict[str, Any] = {"id": self.id, "images": list(self.images), "task": self.task, "lang": self.lang}
        data["messages"] = list(self.messages)
        if self.chosen is not None:
            data["chosen"] = list(self.chosen)
        if self.rejected is not None:
            data["rejected"] = list(self.rejected)
        if self.meta:
            data["meta"] = self.meta
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Sample:
        """A sample from its JSON form. `InputError` for unknown or missing fields and wrong types; see also `validate`."""
        if not isinstance(data, Mapping):
            raise InputError(f"a sample is a {type(data).__name__}; it must be an object with the fields {REQUIRED}")
        _check_names(data)
        for name in ("id", "task", "lang"):
            if not isinstance(data[name], str):
                raise InputError(f"the field {name!r} holds {data[name]!r}; it must be text")
        images = _sequence(data.get("images"), "images") or ()
        if not all(isinstance(image, str | Image.Image) for image in images):
            raise InputError("the field 'images' must list paths")
        meta = data.get("meta") or {}
        if not isinstance(meta, Mapping):
            raise InputError(f"the field 'meta' holds a {type(meta).__name__}; it must be an object")
        return Sample(
            id=data["id"],
            images=tuple(images),
            task=data["task"],
            lang=data["lang"],
            messages=_turns(data["messages"], "messages") or (),
            chosen=_turns(data.get("chosen"), "chosen"),
            rejected=_turns(data.get("rejected"), "rejected"),
            meta=dict(meta),
        )


def _check_names(data: Mapping[str, Any]) -> None:
    known = (*REQUIRED, *OPTIONAL)
    for name in data:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}; others belong in 'meta'"
            raise InputError(f"unknown field {name!r}; {hint}")
    missing = [name for name in REQUIRED if name not in data]
    if missing:
        raise InputError(f"the field {missing[0]!r} is missing; a sample needs {', '.join(REQUIRED)}")


def _sequence(value: Any, name: str) -> tuple | None:
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InputError(f"the field {name!r} holds a {type(value).__name__}; it must be a list")
    return tuple(value)


def _turns(value: Any, name: str) -> tuple[Turn, ...] | None:
    turns = _sequence(value, name)
    for number, turn in enumerate(turns or (), start=1):
        where = f"turn {number} of {name!r}"
        if not isinstance(turn, Mapping) or not {"role", "content"} <= turn.keys():
            raise InputError(f'{where} must be an object with "role" and "content"')
        if isinstance(turn["content"], str):
            continue
        if not isinstance(turn["content"], Sequence):
            raise InputError(f"the content of {where} is a {type(turn['content']).__name__}; it must be text or a list")
        for part in turn["content"]:
            kind = part.get("type") if isinstance(part, Mapping) else None
            if kind != "image" and not (kind == "text" and isinstance(part.get("text"), str)):
                raise InputError(
                    f'{where} holds {part!r}; a part is {{"type": "image"}} or {{"type": "text", "text": ...}}'
                )
    return turns if turns is None else tuple(dict(turn) for turn in turns)


def text_of(turn: Turn) -> str:
    """All text parts of a turn, joined without anything between."""
    content = turn["content"]
    return content if isinstance(content, str) else "".join(p["text"] for p in content if p["type"] == "text")


def image_parts(turns: Sequence[Turn]) -> int:
    """How many pictures the turns ask for."""
    lists = (turn["content"] for turn in turns if not isinstance(turn["content"], str))
    return sum(part["type"] == "image" for parts in lists for part in parts)


def normalise(sample: Sample) -> tuple[Sample, list[str]]:
    """The sample with composed (NFC) text, and a note for every turn that changed; the same object when none did."""
    notes: list[str] = []

    def composed(text: str, where: str) -> str:
        if unicodedata.is_normalized("NFC", text):
            return text
        notes.append(f"{where}: decomposed characters (NFD) were composed (NFC)")
        return unicodedata.normalize("NFC", text)

    def turns(old: tuple[Turn, ...] | None, name: str) -> tuple[Turn, ...] | None:
        if old is None:
            return None
        new = []
        for number, turn in enumerate(old, start=1):
            where, content = f"{name} turn {number}", turn["content"]
            if isinstance(content, str):
                content = composed(content, where)
            else:
                content = [p if p["type"] == "image" else {**p, "text": composed(p["text"], where)} for p in content]
            new.append({**turn, "content": content})
        return tuple(new)

    messages = turns(sample.messages, "messages")
    assert messages is not None
    chosen, rejected = turns(sample.chosen, "chosen"), turns(sample.rejected, "rejected")
    if not notes:
        return sample, []
    return replace(sample, messages=messages, chosen=chosen, rejected=rejected), notes


def validate(sample: Sample) -> list[str]:
    """Every fault of a sample, one sentence each, empty when it can be trained on. Pictures are not opened."""
    parts = (_identity_faults, _turn_faults, _answer_faults, _text_faults, _gold_faults)
    return [fault for part in parts for fault in part(sample)]


def _identity_faults(sample: Sample) -> Iterator[str]:
    if not sample.id.strip():
        yield "the id is empty"
    if sample.task not in TASKS:
        near = difflib.get_close_matches(sample.task, TASKS, n=1)
        yield f"unknown task {sample.task!r}; {f'did you mean {near[0]!r}?' if near else 'known are ' + ', '.join(TASKS)}"
    if sample.lang not in LANGUAGES:
        yield f"unknown language {sample.lang!r}; known are {', '.join(LANGUAGES)}"
    for number, image in enumerate(sample.images, start=1):
        if isinstance(image, str) and not image:
            yield f"picture {number} has an empty path"


def _turn_faults(sample: Sample) -> Iterator[str]:
    if not sample.messages:
        yield "there are no messages"
    for number, turn in enumerate(sample.messages, start=1):
        if turn["role"] not in ROLES:
            yield f"turn {number} has the unknown role {turn['role']!r}; known are {', '.join(ROLES)}"
    turns = sample.messages[1:] if sample.messages and sample.messages[0]["role"] == "system" else sample.messages
    first = len(sample.messages) - len(turns) + 1
    for number, turn in enumerate(turns):
        wanted = ("user", "assistant")[number % 2]
        if turn["role"] != wanted and turn["role"] in ROLES:
            yield f"turn {first + number} is the {turn['role']}'s where the {wanted}'s is due (user and assistant alternate)"
            break  # what comes after is out of step with it
    places = image_parts(sample.messages)
    if places != len(sample.images):
        yield f"{len(sample.images)} pictures are given and the messages have {places} image parts; one belongs to each"
    for number, turn in enumerate(sample.messages, start=1):
        if turn["role"] != "user" and image_parts([turn]):
            yield f"turn {number} is the {turn['role']}'s and has a picture; only the user shows pictures"
        if turn["role"] == "user" and not text_of(turn).strip() and not image_parts([turn]):
            yield f"turn {number} (user) is empty"


def _answer_faults(sample: Sample) -> Iterator[str]:
    """Something to learn must be there: text in every answer, or two different answers."""
    turns = sample.messages
    for number, turn in enumerate(turns, start=1):
        if turn["role"] == "assistant" and not text_of(turn).strip():
            yield f"turn {number} (assistant) has no text, so nothing in it could be learned"
    if sample.chosen is None and sample.rejected is None:
        if turns and turns[-1]["role"] != "assistant":
            yield f"the last turn is the {turns[-1]['role']}'s; it must be the assistant's, or 'chosen' and 'rejected' be given"
        return
    if turns and turns[-1]["role"] == "assistant":
        yield "a preference sample's messages must end with the user's turn; 'chosen' and 'rejected' are its two answers"
    for name in ("chosen", "rejected"):
        answer = getattr(sample, name)
        if answer is None:
            yield f"{name!r} is missing; a preference sample needs 'chosen' and 'rejected'"
        elif len(answer) != 1 or answer[0]["role"] != "assistant" or image_parts(answer):
            yield f"{name!r} must be exactly one turn of the assistant, text only"
        elif not text_of(answer[0]).strip():
            yield f"{name!r} is empty"
    if sample.chosen and sample.rejected and text_of(sample.chosen[-1]) == text_of(sample.rejected[-1]):
        yield "'chosen' and 'rejected' are the same text; a preference needs a difference"


def _text_faults(sample: Sample) -> Iterator[str]:
    """Markup must be legal wherever it is learned; a rejected answer may be wrong in any way, that is its purpose."""
    for name, turns in (("turn", sample.messages), ("chosen turn", sample.chosen), ("rejected turn", sample.rejected)):
        for number, turn in enumerate(turns or (), start=1):
            text = text_of(turn)
            for control in CONTROL_TEXT:
                if control in text:
                    hint = (
                        "a picture is a part of its own" if control == "<image>" else "turns are given by their roles"
                    )
                    yield f"{name} {number} has {control} in its text, where it would only be spelled out; {hint}"
            if name != "rejected turn":
                yield from (f"{name} {number}: {fault}" for fault in markup.legal(text))
            if turn["role"] == "assistant" and text.startswith(markup.SWITCHES):
                yield f"{name} {number}: an answer begins with a function token; {', '.join(markup.SWITCHES)} are the user's"


def _gold_faults(sample: Sample) -> Iterator[str]:
    """Boxes that a scorer would read from `meta`: "boxes", a list of four numbers each, and "words" with text and box."""
    boxes, words = sample.meta.get("boxes", ()), sample.meta.get("words", ())
    for name, value in (("boxes", boxes), ("words", words)):
        if not isinstance(value, list | tuple):
            yield f"meta {name!r} is a {type(value).__name__}; it must be a list"
    for number, box in enumerate(boxes if isinstance(boxes, list | tuple) else (), start=1):
        yield from (f"box {number} of meta 'boxes': {fault}" for fault in _box_faults(box))
    for number, word in enumerate(words if isinstance(words, list | tuple) else (), start=1):
        if not isinstance(word, Mapping) or not isinstance(word.get("text"), str) or "box" not in word:
            yield f'word {number} of meta \'words\' is {word!r}; it must be an object with "text" and "box"'
        else:
            yield from (f"word {number} of meta 'words': {fault}" for fault in _box_faults(word["box"]))


def _box_faults(numbers: Any) -> Iterator[str]:
    if not isinstance(numbers, list | tuple) or len(numbers) != 4:
        yield f"{numbers!r} is no box; four numbers x1, y1, x2, y2 are needed"
        return
    try:
        Box(*numbers)
    except InputError as error:
        yield str(error)
