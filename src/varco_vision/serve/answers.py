"""Answers in OpenAI's form: pieces of a stream, whole completions, log-probabilities, and the field `varco`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from varco_vision import markup
from varco_vision.infer.answer import Answer, StopReason, Word
from varco_vision.infer.pages import Page, answer_dict, box_values
from varco_vision.infer.stream import Delta
from varco_vision.serve.conversation import Asked

FINISH: dict[StopReason, str] = {"end": "stop", "length": "length", "loop": "length"}
Token = Callable[[int], bytes]
Size = tuple[int, int] | None


class Choice:
    """One answer in the making: what of it may be sent, and whether a stop text has ended it.

    `add` and `end` return pieces of content that never have to be taken back. Held back are blanks at the end (an
    answer has none) and whatever may be the beginning of a stop text.
    """

    def __init__(self, asked: Asked, index: int, token: Token) -> None:
        self.index = index
        self.stopped = False
        self.content = ""
        self.entries: list[dict[str, Any]] = []
        self._asked, self._token = asked, token
        self._form = asked.chat.varco.content
        self._reads = asked.chat.varco.task == "ocr" and self._form == "text"
        self._words = _WordsSoFar(asked.sizes[0]) if self._reads else None
        self._sent = 0
        self._longest = max(map(len, asked.stops), default=0)

    def add(self, delta: Delta) -> str:
        """The content that is certain with this delta."""
        if self.stopped:
            return ""
        if self._asked.chat.logprobs:
            self.entries += log_probs(delta, self._token)
        if self._words is not None:
            self.content = self._words.add(delta.raw)
        else:
            self.content += delta.raw if self._form == "raw" else delta.text
            self.content = self.content if self._sent else self.content.lstrip()
        self._look_for_stops()
        certain = len(self.content)
        if not self.stopped and self._longest:
            certain = max(self._sent, certain - self._longest + 1)
        return self._take(len(self.content[:certain].rstrip()))

    def end(self, answer: Answer) -> str:
        """The rest of the content. Where the parser read faulty markup in another way than the stream did, or a loop
        was cut off, what has been sent stays, and `varco` has the answer.
        """
        if not self.stopped:
            whole = final_content(answer, self._asked)
            if whole.startswith(self.content[: self._sent]):
                self.content = whole
            self._look_for_stops()
        return self._take(len(self.content))

    def finish(self, answer: Answer) -> str:
        return "stop" if self.stopped else FINISH[answer.stop_reason]

    def _look_for_stops(self) -> None:
        places = [self.content.find(stop) for stop in self._asked.stops]
        if found := [place for place in places if place >= 0]:
            self.content = self.content[: max(min(found), self._sent)]
            self.stopped = True

    def _take(self, certain: int) -> str:
        piece = self.content[self._sent : certain]
        self._sent = max(self._sent, certain)
        return piece


class _WordsSoFar:
    """The text of a page while its words come: lines and blanks as in `Page.text`, which only ever grows."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._rest = ""
        self._words: list[Word] = []

    def add(self, raw: str) -> str:
        done, closing, rest = (self._rest + raw).rpartition("</bbox>")
        if closing:
            items = markup.parse(done + closing)
            boxed = [item for item in items if isinstance(item, markup.Chars) and item.boxes]
            self._words += [Word(item.text, item.boxes[0], 0.0) for item in boxed]
        self._rest = rest
        return Page(self._words, *self._size).text


def final_content(answer: Answer, asked: Asked) -> str:
    """The content of a finished answer in the form that was asked for."""
    if asked.chat.varco.content == "raw":
        return answer.raw
    if asked.chat.varco.task == "ocr":
        return Page(answer.words, *asked.sizes[0]).text
    return answer.text


def log_probs(delta: Delta, token: Token) -> list[dict[str, Any]]:
    """Entries of `logprobs.content`, one a token of the raw answer (markers and numbers of boxes among them)."""
    tops = delta.top_log_probs or [[]] * len(delta.ids)
    return [
        {**_entry(i, log_prob, token), "top_logprobs": [_entry(other, value, token) for other, value in top]}
        for i, log_prob, top in zip(delta.ids, delta.log_probs, tops, strict=False)
    ]


def _entry(i: int, log_prob: float, token: Token) -> dict[str, Any]:
    spelled = token(i)
    return {"token": spelled.decode("utf-8", "replace"), "logprob": max(log_prob, -9999.0), "bytes": list(spelled)}


def extension(answer: Answer, asked: Asked, finish: str) -> dict[str, Any]:
    """The field `varco`: everything that is known about an answer. Pixels refer to the picture as it was sent."""
    size: Size = asked.sizes[0] if len(asked.sizes) == 1 else None
    known = answer_dict(answer, size)
    if asked.chat.varco.task == "ocr":
        page = Page(answer.words, *asked.sizes[0])
        known |= page.to_dict()
    if answer.stop_reason == "cancelled" and finish == "stop":
        known |= {"stop_reason": "stop", "truncated": False}
    return known | {
        "items": items(answer.raw, size),
        "pictures": [{"width": width, "height": height} for width, height in asked.sizes],
        "seed": answer.seed,
    }


def items(raw: str, size: Size) -> list[dict[str, Any]]:
    """The answer in pieces: running text, and named things or characters with their boxes."""
    parts: list[dict[str, Any]] = []
    for item in markup.parse(raw):
        if isinstance(item, markup.Text):
            parts.append({"type": "text", "text": item.text})
            continue
        named = isinstance(item, markup.Object)
        text = item.phrase if isinstance(item, markup.Object) else item.text
        boxes = [box_values(box, size) for box in item.boxes]
        parts.append({"type": "object" if named else "chars", "text": text, "boxes": boxes})
    return parts


def usage(prompt: int, answers: Sequence[Answer]) -> dict[str, Any]:
    """Tokens of the prompt once, of all answers together."""
    written = sum(answer.new_tokens for answer in answers)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def completion(
    head: dict[str, Any], choices: Sequence[tuple[Choice, Answer]], asked: Asked, prompt: int
) -> dict[str, Any]:
    """A whole `chat.completion`."""
    shown = []
    for choice, answer in choices:
        finish = choice.finish(answer)
        message = {"role": "assistant", "content": choice.content, "refusal": None}
        message["varco"] = extension(answer, asked, finish)
        entries = {"content": choice.entries, "refusal": None} if asked.chat.logprobs else None
        shown.append({"index": choice.index, "message": message, "logprobs": entries, "finish_reason": finish})
    counted = usage(prompt, [answer for _, answer in choices])
    return {**head, "object": "chat.completion", "choices": shown, "usage": counted}


def chunk(
    head: dict[str, Any],
    index: int,
    delta: dict[str, Any],
    finish: str | None = None,
    entries: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """One `chat.completion.chunk`."""
    told = None if entries is None else {"content": entries, "refusal": None}
    choice = {"index": index, "delta": delta, "logprobs": told, "finish_reason": finish}
    return {**head, "object": "chat.completion.chunk", "choices": [choice]}
