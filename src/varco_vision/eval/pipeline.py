"""Generate, read, score: three stages, each kept on disk, each done once.

- `generate`: the model answers what has no answer yet; key: weights, prompt, bytes of the pictures, settings. One file
  of answers serves all protocols; those that send the same prompt share answers.
- `read`: every rule reads every answer; key: the answer, the options, the rules with their versions.
- `score`: marks, means, tables. Needs neither model nor data, only the folder of a run.

A run that was killed goes on where it stopped. A changed picture, prompt or weight asks anew, nothing else does: neither
the size of a batch nor the order of questions is part of a key.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from varco_vision import pictures
from varco_vision.errors import InputError
from varco_vision.eval import aggregate, protocols
from varco_vision.eval.benchmarks import BENCHMARKS, Item, Loaded
from varco_vision.eval.cache import Record, Store, key_of
from varco_vision.eval.prompts import BUILDERS
from varco_vision.eval.protocols import Rules, Settings
from varco_vision.eval.rules import COMPARED, SCORERS, UNKNOWN
from varco_vision.eval.tables import digest

if TYPE_CHECKING:
    from varco_vision.infer.engine import Request
    from varco_vision.model.checkpoint import Loaded as Model

CONFIDENCE_DIGITS = 3  # further ones depend on which rows shared a batch, and a resumed run would write another file
BATCHES_PER_WRITE = 4  # answers that a killed run may lose: batch size times this


class Answers(Protocol):
    """What generating needs of an engine, see `varco_vision.infer.engine.Engine`."""

    batch_size: int

    def generate(self, requests: Sequence[Any], progress: Callable[[int], None] | None = None) -> Sequence[Any]: ...


@dataclass(frozen=True)
class Asked:
    """One row of one task: what is sent, and under which key its answer is kept."""

    item: Item
    prompt: str
    key: str
    images: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As the folder of a run keeps it: all that scoring needs, pictures by their digest."""
        item = {name: value for name, value in asdict(self.item).items() if name not in ("images", "raw_question")}
        return {**item, "prompt": self.prompt, "key": self.key, "images": list(self.images)}


@dataclass(frozen=True)
class TaskRun:
    """A task under a protocol: `told` is the protocol as it is printed and kept."""

    told: dict[str, Any]
    rules: Rules
    asked: list[Asked]
    settings: Settings
    about: dict[str, Any]


def fingerprint(model: Model) -> str:
    """16 hexadecimal digits for everything about a model that decides its answers, wherever its files lie."""
    import hashlib

    import torch

    one = hashlib.blake2b(digest_size=8)
    config = {
        k: v for k, v in model.model.config.to_dict().items() if not k.startswith("_") and k != "transformers_version"
    }
    told = [
        config,
        model.tokenizer.chat_template,
        repr(model.anyres),
        model.mean,
        model.std,
        model.digits,
        model.stop_ids,
    ]
    one.update(json.dumps(told, sort_keys=True, default=str).encode())
    one.update(model.tokenizer.backend_tokenizer.to_str().encode())
    for name, tensor in sorted(model.model.state_dict().items()):
        one.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        one.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return one.hexdigest()


def views_of(model: Model) -> str:
    """How a model cuts pictures, in words: part of every protocol id."""
    a = model.anyres
    return f"anyres tile {a.tile} patch {a.patch} max {a.max_tiles}"


def prepare(loaded: Loaded, protocol: protocols.Protocol, settings: Settings, model: str, views: str) -> TaskRun:
    """What will be asked of a set under a protocol. model: its `fingerprint`."""
    benchmark = loaded.benchmark
    rules = protocol.of(benchmark.task)
    build, longest = BUILDERS[rules.prompt], protocols.limit(rules, settings)
    asked = []
    for item in loaded.items:
        prompt, images = build(item), tuple(digest(image) for image in item.images)
        key = key_of(
            stage="generate", model=model, prompt=prompt, images=images, max_new_tokens=longest,
            max_tiles=settings.max_tiles, single_view=settings.single_view, decoding="greedy",
        )  # fmt: skip
        asked.append(Asked(item, prompt, key, images))
    told = protocols.describe(protocol, benchmark, loaded, [one.prompt for one in asked], settings, views)
    about = {
        "title": benchmark.title, "lang": benchmark.lang, "hub": benchmark.hub, "licence": benchmark.licence,
        "source": loaded.source, "files": loaded.files, "counters": loaded.counters,
        "notes": [*loaded.notes, *protocol.notes], "official_judge": protocol.official_judge,
    }  # fmt: skip
    return TaskRun(told, rules, asked, settings, about)


# --- generate ------------------------------------------------------------------------------------------------------


def generate(
    engine: Answers, runs: Sequence[TaskRun], store: Store, progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Answer what `store` has no answer to, and keep every few batches. progress: (answered, of).

    Returns {"asked", "answered", "known", "shared"}: rows, new answers, answers that were there, rows that share one.
    """
    wanted: dict[str, tuple[Asked, Settings, int]] = {}
    rows = 0
    for run in runs:
        for one in run.asked:
            rows += 1
            wanted.setdefault(one.key, (one, run.settings, protocols.limit(run.rules, run.settings)))
    missing = [entry for key, entry in wanted.items() if key not in store]
    done = 0
    for chunk in _chunks(missing, engine.batch_size * BATCHES_PER_WRITE):
        answers = engine.generate(list(_requests(chunk)))
        store.append(_record(one.key, answer) for (one, _, _), answer in zip(chunk, answers, strict=True))
        done += len(chunk)
        if progress is not None:
            progress(done, len(missing))
    return {"asked": rows, "answered": done, "known": len(wanted) - len(missing), "shared": rows - len(wanted)}


def _chunks(missing: Sequence[tuple[Asked, Settings, int]], size: int) -> Iterator[list[tuple[Asked, Settings, int]]]:
    """Rows in buckets of like length, those with the same pictures next to each other: their features and the start of
    their prompts are computed once. Largest first, so that what is too large for the memory fails at the start."""

    def order(entry: tuple[Asked, Settings, int]) -> tuple[int, int, tuple[str, ...], int]:
        one, _, longest = entry
        return -longest, -_pixels(one.item) // 65536, one.images, -len(one.prompt)

    ordered = sorted(missing, key=order)
    for first in range(0, len(ordered), size):
        yield ordered[first : first + size]


def _pixels(item: Item) -> int:
    """Size of the pictures from their headers; damaged ones are named when they are decoded."""
    total = 0
    for content in item.images:
        try:
            with Image.open(io.BytesIO(content)) as image:
                total += image.width * image.height
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    return total


def _requests(chunk: Sequence[tuple[Asked, Settings, int]]) -> Iterator[Request]:
    """Requests of a chunk; a picture that several rows show is decoded once."""
    from varco_vision.infer.engine import Request

    decoded: dict[str, Image.Image] = {}
    for one, settings, longest in chunk:
        for name, content in zip(one.images, one.item.images, strict=True):
            if name not in decoded:
                decoded[name] = pictures.load(content, name=f"the picture of {one.item.task}, index {one.item.index}")
        content = [*({"type": "image"} for _ in one.images), {"type": "text", "text": one.prompt}]
        yield Request(
            [{"role": "user", "content": content}], [decoded[name] for name in one.images], longest,
            single_view=settings.single_view, max_tiles=settings.max_tiles,
        )  # fmt: skip


def _record(key: str, answer: Any) -> Record:
    return {
        "key": key, "answer": answer.raw, "stop_reason": answer.stop_reason, "new_tokens": answer.new_tokens,
        "image_tokens": answer.image_tokens, "confidence": round(answer.confidence, CONFIDENCE_DIGITS),
    }  # fmt: skip


# --- read ----------------------------------------------------------------------------------------------------------


def read(
    rows: Iterable[Mapping[str, Any]], answers: Mapping[str, str], rules: Rules, store: Store | None
) -> dict[str, dict[str, str | None]]:
    """Letters that each rule reads in the answer of each row: {index: {rule: letter}}. rows: as `Asked.to_dict`."""
    names = tuple(dict.fromkeys((*COMPARED, *((rules.scorer,) if rules.scorer else ()))))
    ids = [SCORERS[name].id for name in names]
    found, new = {}, {}
    for row in rows:
        answer = rules.cut(answers[row["key"]])
        key = key_of(stage="read", answer=answer, options=row["options"], letters="".join(row["options"]), rules=ids)
        record = new.get(key) or (store.records.get(key) if store is not None else None)
        if record is None:
            given = {letter: UNKNOWN if text is None else text for letter, text in row["options"].items()}
            letters = {name: SCORERS[name].read(answer, given) for name in names}
            record = new[key] = {"key": key, "letters": letters}
        found[row["index"]] = record["letters"]
    if store is not None and new:
        store.append(new.values())
    return found


# --- score ---------------------------------------------------------------------------------------------------------


def marks(
    rows: Sequence[Mapping[str, Any]], letters: Mapping[str, Mapping[str, str | None]], name: str
) -> list[aggregate.Mark]:
    """Marks of all rows under one rule."""
    return [
        aggregate.Mark(
            row["index"], row["group"], letter := letters[row["index"]][name], letter == row["answer"],
            row["category"], row["subcategory"], row["level"],
        )
        for row in rows
    ]  # fmt: skip


def score_choice(
    told: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    rules: Rules,
    records: Mapping[str, Record],
    store: Store | None = None,
) -> dict[str, Any]:
    """Scores of a multiple-choice task under its protocol and under every other rule, from the same answers.

    told: the protocol as printed. rows: as `Asked.to_dict`; records: answers by key. `InputError` when one is missing.
    """
    require_answers(told["task"], rows, records)
    assert rules.scorer is not None
    benchmark = BENCHMARKS[told["task"]]
    letters = read(rows, {row["key"]: records[row["key"]]["answer"] for row in rows}, rules, store)
    own = marks(rows, letters, rules.scorer)
    official = aggregate.AGGREGATES[rules.aggregation](own)
    names = tuple(dict.fromkeys((rules.scorer, *COMPARED)))
    return {
        "score": {
            **official,
            "aggregation": rules.aggregation,
            "reader": rules.scorer,
            "unread": aggregate.unread(own),
        },
        "readers": {
            name: aggregate.summary(marks(rows, letters, name), benchmark.circular, benchmark.macro is not None)
            for name in names
        },
        "tables": aggregate.tables(own, rules.aggregation),
        "counters": counters(rows, records),
        "n_rows": len(rows),
        "n_questions": len({row["group"] for row in rows}),
        "marks": {mark.index: {"letter": mark.letter, "correct": mark.correct} for mark in own},
    }


def require_answers(task: str, rows: Sequence[Mapping[str, Any]], records: Mapping[str, Record]) -> None:
    """`InputError` unless every row has its answer: a share of those that happen to be there would be another number."""
    lacking = sum(row["key"] not in records for row in rows)
    if lacking:
        raise InputError(f"{task}: {lacking} of {len(rows)} rows have no answer yet; let `eval run` finish first")


def counters(rows: Sequence[Mapping[str, Any]], records: Mapping[str, Record]) -> dict[str, int]:
    """What happened while answering: cut off, repeating itself, empty."""
    found = [records[row["key"]] for row in rows]
    return {
        "cut off at the longest answer allowed": sum(one["stop_reason"] == "length" for one in found),
        "stopped because they repeated themselves": sum(one["stop_reason"] == "loop" for one in found),
        "empty": sum(not one["answer"].strip() for one in found),
    }
