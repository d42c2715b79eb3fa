"""A language model as judge, behind any OpenAI-compatible endpoint: a local server first.

Every raw reply is kept in a file of JSON lines, keyed by the model, the settings and the messages, so that an interrupted
run asks nothing twice and a recorded judge works without any server. What cannot be read from a reply is None, is asked
again as often as `attempts` says, and is counted; it is never averaged as a number.

Protocols of a pair of scores ("8 6" in the first line): "lmms-0.7.3" reads exactly what lmms-eval reads, "strict" reads
what a person would ("8, 6", "8/6", "**8 6**", "점수: 8 6") and refuses what a person would have to guess.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from varco_vision.errors import InputError
from varco_vision.eval import metrics as m
from varco_vision.eval.judge_prompts import RUBRIC, SYSTEM, WORDS, without_blank_lines

Message = dict[str, str]
Pair = tuple[float, float]
Transport = Callable[[str, bytes, Mapping[str, str], float], tuple[int, bytes]]
RETRIED = frozenset([408, 409, 425, 429, 500, 502, 503, 504])
PROTOCOLS = ("lmms-0.7.3", "strict")
BEST = 10  # highest score that a rubric allows


@dataclass(frozen=True)
class Review:
    """A judge's reply. `cached`: it came from the record; `attempts`: how often the endpoint was asked for it."""

    raw: str
    model: str
    key: str
    attempts: int = 0
    cached: bool = False
    usage: dict[str, int] = field(default_factory=dict)


class Judge:
    """Asks `model` at `endpoint` (".../v1" of an OpenAI-compatible server; None: only what is recorded).

    record: file of JSON lines to which every raw reply is appended and from which it is read again. api_key_env: name of
    the environment variable that holds a key, where a server wants one. `attempts` counts tries of one request, with
    `pause` seconds before the second, twice that before the third, and so on.
    """

    def __init__(
        self,
        endpoint: str | None,
        model: str,
        record: str | Path | None = None,
        temperature: float = 0.2,
        max_tokens: int = 1024,
        attempts: int = 5,
        pause: float = 2.0,
        timeout: float = 120.0,
        api_key_env: str = "OPENAI_API_KEY",
        transport: Transport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if endpoint is not None and not endpoint.startswith(("http://", "https://")):
            raise InputError(f"the endpoint is {endpoint!r}; it must begin with http:// or https://")
        if endpoint is None and record is None:
            raise InputError("a judge needs an endpoint, or a record of earlier replies")
        if attempts < 1:
            raise InputError(f"a request may be tried {attempts} times; at least once is needed")
        self.endpoint, self.model, self.attempts, self.pause, self.timeout = endpoint, model, attempts, pause, timeout
        self.settings = {"temperature": temperature, "max_tokens": max_tokens}
        self.api_key_env = api_key_env
        self.record = Path(record) if record is not None else None
        self._transport, self._sleep = transport or _post, sleep
        self._known = _read_record(self.record) if self.record is not None else {}

    @property
    def name(self) -> str:
        """The judge's part of a protocol id."""
        return f"{self.model} T={self.settings['temperature']:g} max_tokens={self.settings['max_tokens']}"

    def key(self, messages: Sequence[Message], sample: int = 0) -> str:
        """What a reply is filed under; `sample` numbers replies to the same messages."""
        whole = json.dumps([self.model, self.settings, list(messages), sample], ensure_ascii=False, sort_keys=True)
        return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()

    def review(self, messages: list[Message], sample: int = 0) -> Review:
        """The reply to `messages` ({"role", "content"}, ...), from the record where it has one.

        `InputError` when the endpoint refuses, stays unreachable, or there is none and nothing is recorded.
        """
        key = self.key(messages, sample)
        if key in self._known:
            entry = self._known[key]
            return Review(entry["raw"], entry["model"], key, 0, True, entry.get("usage", {}))
        if self.endpoint is None:
            raise InputError(
                f"the record {self.record} has no reply of {self.model} to this request ({key}); give an endpoint to ask"
            )
        raw, usage, attempts = self._ask(messages)
        entry = {"key": key, "model": self.model, "messages": messages, "raw": raw, "usage": usage}
        self._known[key] = entry
        self._append(entry)
        return Review(raw, self.model, key, attempts, False, usage)

    def review_until(self, messages: list[Message], parse: Callable[[str], Any]) -> tuple[Any, list[Review]]:
        """(what `parse` made of a reply, all replies); asks anew while `parse` gives None, at most `attempts` replies."""
        reviews: list[Review] = []
        for sample in range(self.attempts):
            reviews.append(self.review(messages, sample))
            if (found := parse(reviews[-1].raw)) is not None:
                return found, reviews
            if self.settings["temperature"] == 0:
                break  # a greedy judge would say the same again
        return None, reviews

    def _ask(self, messages: Sequence[Message]) -> tuple[str, dict[str, int], int]:
        assert self.endpoint is not None
        url = self.endpoint.rstrip("/") + "/chat/completions"
        body = json.dumps({"model": self.model, "messages": list(messages), **self.settings}).encode()
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.api_key_env):
            headers["Authorization"] = f"Bearer {key}"
        fault = ""
        for attempt in range(1, self.attempts + 1):
            try:
                status, content = self._transport(url, body, headers, self.timeout)
            except OSError as error:  # no connection, time out
                status, content, fault = 0, b"", str(error)
            if status == 200:
                raw, usage = _reply(content, url)
                return raw, usage, attempt
            if status:
                fault = f"status {status}: {content[:200].decode('utf-8', 'replace')}"
            if status and status not in RETRIED:
                break
            if attempt < self.attempts:
                self._sleep(self.pause * 2 ** (attempt - 1))
        raise InputError(
            f"{self.model!r} at {url} did not answer ({fault}); check the endpoint, the model's name and the key"
        )

    def _append(self, entry: Mapping[str, Any]) -> None:
        """One line, on the disk before the next request is sent."""
        if self.record is None:
            return
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with self.record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _reply(content: bytes, url: str) -> tuple[str, dict[str, int]]:
    try:
        data = json.loads(content)
        raw = data["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{url} answered something that is no chat completion: {content[:200]!r}") from error
    return raw or "", {k: v for k, v in (data.get("usage") or {}).items() if isinstance(v, int)}


def _read_record(path: Path) -> dict[str, dict[str, Any]]:
    """Recorded replies by key. A last line without its end (a killed run) is left out; other faults are `InputError`s."""
    if not path.exists():
        return {}
    known: dict[str, dict[str, Any]] = {}
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            known[entry["key"]] = {"raw": entry["raw"], "model": entry["model"], "usage": entry.get("usage", {})}
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                with path.open("r+b") as file:  # so that the next reply begins on a line of its own
                    file.truncate(len("\n".join(lines[:-1]).encode()) + (number > 1))
                break
            raise InputError(f"line {number} of the judge's record {path} is no reply: {error!r}") from error
    return known


# --- reading scores ------------------------------------------------------------------------------------------------

_SCORE = r"(\d+(?:\.\d+)?)"
_NAMES = r"(?:assistant|어시스턴트|ai|모델|model)"
_MARK = r"(?:점수|평점|평가|scores?|ratings?)"
_LABEL = re.compile(rf"(?:{_NAMES}\s*_?\s*([12])?\s*(?:의)?\s*_?{_MARK}?|{_MARK})\s*[:：]", re.IGNORECASE)
_OUT_OF = re.compile(rf"{_SCORE}\s*(?:/\s*10(?![\d.])|점)")
_TWO = re.compile(rf"{_SCORE}\s*([,/;|\s])\s*{_SCORE}")


def parse_pair(raw: str, protocol: str) -> Pair | None:
    """The two scores of a reply's first line, those of assistant 1 and 2; None when they cannot be read.

    "lmms-0.7.3": the first line of the stripped reply, stripped, commas as blanks, cut at single blanks, must be two numbers: "8, 6", "8  6", "8/6"
    and "**8 6**" are not. "strict": emphasis, labels ("점수:", "Assistant 1:"), "점" and "/10" aside, exactly two numbers
    from 0 to 10 must be left, parted by a blank, comma or stroke; empty lines before them do not count. "8/10" alone is one score.
    """
    if protocol == "lmms-0.7.3":
        return _lmms_pair(raw)
    if protocol != "strict":
        raise InputError(f"the judge protocol {protocol!r} is unknown; use {', '.join(PROTOCOLS)}")
    line = next((line for line in raw.splitlines() if line.strip(" \t*_`#>")), "")
    plain = re.sub(r"[*_`#>\"'()\[\]]", " ", _LABEL.sub(" ", line))
    plain = _OUT_OF.sub(r"\1 ", plain) if len(_OUT_OF.findall(plain)) == 2 else plain
    found = _TWO.fullmatch(plain.strip().rstrip("."))
    if found is None or (found[2] == "/" and float(found[3]) == BEST):
        return None
    scores = float(found[1]), float(found[3])
    named = [label[1] for label in _LABEL.finditer(line) if label[1]]
    scores = scores[::-1] if named == ["2", "1"] else scores
    return scores if max(scores) <= BEST else None


def _lmms_pair(raw: str) -> Pair | None:
    parts = raw.strip().partition("\n")[0].strip().replace(",", " ").split(" ")
    if len(parts) != 2:
        return None
    try:
        return float(parts[0]), float(parts[1])
    except ValueError:
        return None


def parse_integer(raw: str, best: int = BEST) -> int | None:
    """The last whole number of a review that is at most `best` (KOFFVQA's rule), None without one."""
    found = [int(number) for number in re.findall(r"\d+", raw) if len(number) < 9 and int(number) <= best]
    return found[-1] if found else None


def koffvqa_score(review: str, answer: str) -> int | None:
    """KOFFVQA's score of one answer, 0..10: `parse_integer` of the review, but 0 for an answer that is not in Korean.

    An answer without letters (a number alone) is exempt. The language is the script with more letters here; the original
    asks a language identifier.
    """
    return 0 if m.language(answer) == "en" else parse_integer(review)


# --- requests ------------------------------------------------------------------------------------------------------


def llava_w_messages(
    language: str,
    question: str,
    reference: str,
    answer: str,
    caption: str | Sequence[str],
    protocol: str = "lmms-0.7.3",
    swapped: bool = False,
) -> list[Message]:
    """The request of K-LLaVA-W ("ko") or LLaVA-Bench in the wild ("en"). The judge sees a description, no picture.

    The reference is assistant 1, as published; `swapped` makes it assistant 2. Protocol "vlmevalkit-2026" has the English
    system prompt for Korean too, and no blank lines after the headings of the Korean rubric.
    """
    if language not in ("ko", "en"):
        raise InputError(f"LLaVA-W is judged in ko or en, not in {language!r}")
    described = caption if isinstance(caption, str) else "\n".join(caption)
    first, second = (answer, reference) if swapped else (reference, answer)
    words = WORDS[language]
    rubric, system = RUBRIC[language], SYSTEM[language]
    if protocol == "vlmevalkit-2026":
        rubric, system = without_blank_lines(rubric), SYSTEM["en"]
    elif protocol not in PROTOCOLS:
        raise InputError(
            f"the judge protocol {protocol!r} is unknown; use {', '.join((*PROTOCOLS, 'vlmevalkit-2026'))}"
        )
    text = (
        f"[{words.context}]\n{described}\n\n[{words.question}]\n{question}\n\n"
        f"[{words.assistant} 1]\n{first}\n\n{words.end(1)}\n\n[{words.assistant} 2]\n{second}\n\n{words.end(2)}\n\n"
        f"[System]\n{rubric}\n\n"
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


# --- what reviews add up to ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairScores:
    """Relative score of a set: 100 x mean of the model / mean of the reference, over replies that could be read."""

    relative: float | None
    reference: float | None
    model: float | None
    n: int
    failed: int


def relative_score(pairs: Sequence[Pair | None], protocol: str = "strict") -> PairScores:
    """Scores of (reference, model) pairs. Failed replies (None) are left out of means and counted.

    Protocol "lmms-0.7.3" gives the number that lmms-eval prints, in which a failed reply enters both means as -1; `failed`
    says how many did. Means to 3 decimals, the ratio to 1, as there.
    """
    failed = sum(pair is None for pair in pairs)
    if protocol == "lmms-0.7.3":
        kept = [pair if pair is not None else (-1.0, -1.0) for pair in pairs]
    elif protocol == "strict":
        kept = [pair for pair in pairs if pair is not None]
    else:
        raise InputError(f"the judge protocol {protocol!r} is unknown; use {', '.join(PROTOCOLS)}")
    if not kept:
        return PairScores(None, None, None, len(pairs), failed)
    reference, model = np.asarray(kept).mean(0).tolist()
    if protocol == "lmms-0.7.3":
        reference, model = round(reference, 3), round(model, 3)
    relative = round(model / reference * 100, 1) if reference else None  # in this order: it decides ties of rounding
    return PairScores(relative, reference, model, len(pairs), failed)


def both_orders(single: Sequence[Pair | None], swapped: Sequence[Pair | None]) -> dict[str, Any]:
    """Scores with both orders averaged, apart from the official single-order ones.

    `swapped` holds pairs as the judge gave them (model first). "agreement": share of questions on which both orders name the
    same winner (a tie is a winner of its own); "first_favoured": mean advantage of standing first, in points.
    """
    both = [(s, (t[1], t[0])) for s, t in zip(single, swapped, strict=True) if s is not None and t is not None]
    mean = [((s[0] + t[0]) / 2, (s[1] + t[1]) / 2) for s, t in both]
    same = [(s[0] > s[1]) - (s[0] < s[1]) == (t[0] > t[1]) - (t[0] < t[1]) for s, t in both]
    favoured = [((s[0] - s[1]) - (t[0] - t[1])) / 2 for s, t in both]
    return {
        "scores": relative_score(mean, "strict"),
        "n": len(single),
        "failed": len(single) - len(both),
        "agreement": sum(same) / len(same) if same else None,
        "first_favoured": math.fsum(favoured) / len(favoured) if favoured else None,
    }


@dataclass(frozen=True)
class Preview:
    """What a run would ask for. Tokens are upper bounds (bytes) where no tokenizer was given; cost None without prices."""

    requests: int
    recorded: int
    input_tokens: int
    output_tokens: int
    exact_input: bool
    cost: float | None


def preview(
    judge: Judge,
    requests: Iterable[list[Message]],
    prices: tuple[float, float] | None = None,
    count: Callable[[str], int] | None = None,
) -> Preview:
    """What asking `requests` once would cost at `prices` (per million input and output tokens), replies at full length.

    `count` gives the tokens of a text; without it the UTF-8 bytes are taken, which no byte-level tokenizer exceeds.
    """
    asked = list(requests)
    new = [messages for messages in asked if judge.key(messages) not in judge._known]
    tokens = sum((count or _bytes)(message["content"]) for messages in new for message in messages)
    out = len(new) * judge.settings["max_tokens"]
    cost = None if prices is None else (tokens * prices[0] + out * prices[1]) / 1e6
    return Preview(len(new), len(asked) - len(new), tokens, int(out), count is not None, cost)


def _bytes(text: str) -> int:
    return len(text.encode())
