"""Conversations about pictures: LLaVA JSON, Donut and SynthDoG metadata, folders of labelled pictures, and tables with
image columns as they are on the Hugging Face hub."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from varco_vision import markup
from varco_vision.convert import wording as w
from varco_vision.convert.base import Gallery, Groups, Settings, language, needed, read_json, sample
from varco_vision.convert.names import name_of
from varco_vision.data.parquet import arrow
from varco_vision.data.records import opened_picture
from varco_vision.data.sample import Sample, Turn, text_of, validate
from varco_vision.errors import InputError
from varco_vision.synth.templates import pages as p
from varco_vision.synth.templates import reading as t

_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
_PICTURE = re.compile(r"\s*<image>\s*")


def _text(text: str, settings: Settings, name: str) -> str:
    """Text as it may stand in a sample: legal markup of this project stays, other marker strings become plain text."""
    if not markup.legal(text):
        return text
    settings.losses.change("texts with markers that became plain text", name)
    return markup.escape(text)


def _content(value: str, settings: Settings, name: str) -> list[dict[str, str]]:
    """A turn's text with picture parts where <image> stood."""
    parts: list[dict[str, str]] = []
    pieces = _PICTURE.split(value)
    for number, piece in enumerate(pieces):
        if number:
            parts.append({"type": "image"})
        if piece.strip():
            parts.append({"type": "text", "text": _text(piece.strip("\n"), settings, name)})
    return parts


def _task(turns: Iterable[Turn], pictures: int) -> str:
    if not pictures:
        return "text"
    return "chat" if sum(turn["role"] == "assistant" for turn in turns) > 1 else "vqa"


class _Ids:
    """Ids that differ: published sets use some of them several times."""

    def __init__(self, settings: Settings) -> None:
        self.seen: Counter[str] = Counter()
        self.settings = settings

    def unique(self, name: str) -> str:
        self.seen[name] += 1
        if self.seen[name] == 1:
            return name
        self.settings.losses.change("ids used before, which got a number", name)
        return self.unique(f"{name}-{self.seen[name]}")


def _checked(made: Sample, settings: Settings) -> list[Sample]:
    """The sample as a group, or nothing (counted) when it cannot be learned from."""
    if faults := validate(made):
        settings.losses.drop("conversations that are not valid", f"{made.id}: {faults[0]}")
        return []
    return [made]


def llava(path: Path, settings: Settings) -> Groups:
    """LLaVA: a list (or lines) of {"id", "image": name or names, "conversations": [{"from", "value"}]}."""
    rows = read_json(path)
    if not isinstance(rows, list):
        raise InputError(f"{path} holds a {type(rows).__name__}; LLaVA data is a list of conversations")
    gallery: Gallery | None = None
    ids = _Ids(settings)
    for number, row in enumerate(rows, start=1):
        place = f"{path}: entry {number}"
        turns = needed(row, "conversations", list, place)
        shown = row.get("image") or []
        names = [shown] if isinstance(shown, str) else list(shown)
        if names and gallery is None:
            gallery = Gallery(settings.images or path.parent, settings.losses)
        found = [gallery.measured(name) for name in names] if gallery else []
        if any(picture is None for picture in found):
            continue
        name = ids.unique(f"llava-{row.get('id', number)}")
        messages = []
        for turn in turns:
            role = _ROLES.get(needed(turn, "from", str, place))
            if role is None:
                raise InputError(f"{place}: a turn is from {turn['from']!r}; known are {', '.join(_ROLES)}")
            messages.append({"role": role, "content": _content(needed(turn, "value", str, place), settings, name)})
        pictures = tuple(str(picture[0]) for picture in found if picture)
        lang = language(" ".join(map(text_of, messages)))
        made = Sample(name, pictures, _task(messages, len(pictures)), lang, tuple(messages))
        if group := _checked(made, settings):
            yield group


def donut(path: Path, settings: Settings) -> Groups:
    """Donut and SynthDoG: metadata.jsonl (or its folder) of {"file_name", "ground_truth": JSON text}.

    ground_truth has `gt_parse` (a text_sequence to read, a class, or fields to give as JSON) or `gt_parses` (questions
    with answers).
    """
    path = path / "metadata.jsonl" if path.is_dir() else path
    gallery = Gallery(settings.images or path.parent, settings.losses)
    for number, row in enumerate(read_json(path, lines=True), start=1):
        place = f"{path}:{number}"
        truth = needed(row, "ground_truth", (str, dict), place)
        try:
            truth = json.loads(truth) if isinstance(truth, str) else truth
        except json.JSONDecodeError as error:
            raise InputError(f"{place}: 'ground_truth' is no JSON: {error.msg}") from error
        measured = gallery.measured(needed(row, "file_name", str, place))
        if measured is None:
            continue
        stem = Path(row["file_name"]).with_suffix("").as_posix().replace("/", "-")
        if group := [s for s in _truth(truth, measured[0], f"donut-{stem}", settings, place)]:
            yield group


def _truth(truth: Any, picture: Path, name: str, settings: Settings, place: str) -> Iterator[Sample]:
    rng = settings.rng("donut", name)
    parses = truth.get("gt_parses") if isinstance(truth, dict) else None
    parsed = needed(truth, "gt_parse", (dict, list), place) if parses is None else None
    for number, pair in enumerate(parses or ()):
        question, answer = needed(pair, "question", str, place), needed(pair, "answer", (str, list), place)
        answers = [answer] if isinstance(answer, str) else answer
        text = _text(question, settings, name)
        yield from _checked(
            sample(
                f"{name}-{number}",
                [picture],
                "vqa",
                language(question),
                text,
                _text(answers[0], settings, name),
                answers=answers,
            ),
            settings,
        )
    if isinstance(parsed, dict) and isinstance(parsed.get("text_sequence"), str):
        text = _text(" ".join(parsed["text_sequence"].split()), settings, name)
        lang = language(text)
        yield from _checked(
            sample(
                f"{name}-read",
                [picture],
                "ocr",
                lang,
                settings.speaker.say(rng, t.READ_ALL, lang),
                text,
                kind="reading",
            ),
            settings,
        )
    elif parsed:
        for lang in settings.langs:
            only = isinstance(parsed, dict) and set(parsed) == {"class"}
            question = settings.speaker.say(rng, p.KIND_OF if only else p.AS_JSON, lang)
            answer = str(parsed["class"]) if only else json.dumps(parsed, ensure_ascii=False)
            made = sample(
                f"{name}-{lang}",
                [picture],
                "vqa",
                lang,
                question,
                _text(answer, settings, name),
                kind="class" if only else "json",
            )
            yield from _checked(made, settings)


def folder(path: Path, settings: Settings) -> Groups:
    """A folder with one folder of pictures for each label: what is it, in each language that has a name for it.

    The label is the name of the folder in which a picture lies, however deep that is.
    """
    if not path.is_dir():
        raise InputError(f"{path} is no folder; give one that holds a folder of pictures for each label")
    if not any(p.is_dir() for p in path.iterdir()):
        raise InputError(f"the folder {path} holds no folders; each label needs one with its pictures")
    gallery = Gallery(path, settings.losses)
    shelves: dict[str, list[Path]] = {}
    for file in sorted({file for files in gallery.by_name.values() for file in files}):
        shelf = file.parent.relative_to(path).as_posix()
        if shelf == ".":
            settings.losses.drop("pictures outside the folders of labels", file.name)
            continue
        shelves.setdefault(shelf, []).append(file)
    for shelf, files in sorted(shelves.items()):
        label = files[0].parent.name
        name = name_of(label, settings.names)
        if name.ko is None and "ko" in settings.langs:
            settings.losses.change("labels asked about in English only (no Korean name; see --names)", label)
        if shelf != label:
            settings.losses.change("labels that are the innermost of several folders", shelf)
        for file in files:
            measured = gallery.measured(str(file.relative_to(path)))
            if measured is None:
                continue
            rng = settings.rng("folder", shelf, file.stem)
            yield [
                sample(
                    f"folder-{shelf.replace('/', '-')}-{file.stem}-{lang}",
                    [measured[0]],
                    "vqa",
                    lang,
                    settings.speaker.say(rng, w.WHAT_IS_IT, lang),
                    name.of(lang),
                    kind="what",
                )
                for lang in settings.langs
                if lang == "en" or name.ko
            ]


# --- tables with image columns ---------------------------------------------------------------------------------------


def hf(path: Path, settings: Settings) -> Groups:
    """A data set with image columns as parquet or arrow files (a file, or a folder of them, as the hub serves them).

    Columns are taken by role: `settings.columns` first, then the usual names: image(s); question and answer(s), or
    conversations / messages / texts; id. `options` make it multiple choice with the answer's letter.
    """
    files = sorted(f for s in ("*.parquet", "*.arrow") for f in path.rglob(s)) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise InputError(
            f"{path} holds no .parquet or .arrow file; download the data set first (hf download NAME --repo-type dataset "
            "--local-dir DIR) and give that folder"
        )
    ids = _Ids(settings)
    for file in files:
        reader = None
        for number, row in enumerate(_table(file), start=1):
            reader = reader or _Row(row, settings, str(file))
            name = ids.unique(f"hf-{row.get(reader.id, f'{file.stem}-{number}')}")
            group = reader.samples(row, name, f"{file}:{number}")
            if group:
                yield group


def _table(file: Path) -> Iterator[dict[str, Any]]:
    pa, pq = arrow()
    try:
        if file.suffix == ".arrow":
            with pa.memory_map(str(file)) as stream:
                for batch in pa.ipc.open_stream(stream):
                    yield from batch.to_pylist()
        else:
            for batch in pq.ParquetFile(file).iter_batches(batch_size=64):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file} cannot be read as a table: {' '.join(str(error).split())}") from error


class _Row:
    """Which column plays which role, worked out from the first row."""

    ROLES = {
        "image": ("image", "images", "img", "picture"),
        "question": ("question", "query", "prompt", "instruction"),
        "answer": ("answer", "answers", "label", "response", "caption", "text"),
        "turns": ("messages", "conversations", "texts", "conversation"),
        "options": ("options", "choices"),
        "id": ("id", "question_id", "image_id", "uid"),
    }

    def __init__(self, row: dict[str, Any], settings: Settings, place: str) -> None:
        self.settings = settings
        found: dict[str, str | None] = {}
        unknown = [role for role in settings.columns if role not in self.ROLES]
        if unknown:
            raise InputError(f"unknown role {unknown[0]!r} of a column; known are {', '.join(self.ROLES)}")
        for role, usual in self.ROLES.items():
            named = settings.columns.get(role)
            if named is not None and named not in row:
                raise InputError(f"{place} has no column {named!r}; its columns are {', '.join(row)}")
            found[role] = named or next((name for name in usual if name in row), None)
        if not found["image"] or not (found["turns"] or found["answer"]):
            raise InputError(
                f"{place} has the columns {', '.join(row)}; name those of the picture and of the answer (or of the turns), such "
                "as --column image=photo --column answer=reply"
            )
        self.roles = found
        self.id = found["id"] or ""

    def samples(self, row: dict[str, Any], name: str, place: str) -> list[Sample]:
        images = self._images(row, place)
        if images is None:
            return []
        if self.roles["turns"] and (turns := row[self.roles["turns"]]):
            return self._conversation(turns, images, name, place)
        return self._question(row, images, name, place)

    def _images(self, row: dict[str, Any], place: str) -> list[Any] | None:
        value = row[str(self.roles["image"])]
        found = []
        for number, image in enumerate(value if isinstance(value, list) else [value], start=1):
            data = image.get("bytes") if isinstance(image, dict) else image
            if not isinstance(data, bytes):
                self.settings.losses.drop("rows whose picture is not stored in the file", place)
                return None
            try:
                found.append(opened_picture(data, f"{place}: picture {number}"))
            except InputError as error:
                self.settings.losses.drop("pictures that cannot be read", error)
                return None
        return found

    def _conversation(self, turns: list, images: list[Any], name: str, place: str) -> list[Sample]:
        messages: list[Turn] = []
        for turn in turns:
            if {"user", "assistant"} <= set(turn):  # one question with its answer
                pairs = [("user", turn["user"]), ("assistant", turn["assistant"])]
            else:
                pairs = [(turn.get("role", turn.get("from")), turn.get("content", turn.get("value")))]
            for said, value in pairs:
                role = _ROLES.get(str(said))
                if role is None or value is None:
                    raise InputError(f"{place}: a turn is {turn!r}; it must say who speaks and what")
                messages.append({"role": role, "content": _parts(value, self.settings, name)})
        marked = sum(part["type"] == "image" for m in messages for part in m["content"])
        first = next((m for m in messages if m["role"] == "user"), None)
        if not marked and first is not None:  # such sets show their pictures first
            first["content"] = [{"type": "image"} for _ in images] + first["content"]
        lang = language(" ".join(map(text_of, messages)))
        return _checked(Sample(name, tuple(images), _task(messages, len(images)), lang, tuple(messages)), self.settings)

    def _question(self, row: dict[str, Any], images: list[Any], name: str, place: str) -> list[Sample]:
        answer = row[str(self.roles["answer"])]
        asked = row[self.roles["question"]] if self.roles["question"] else ""
        options = row[self.roles["options"]] if self.roles["options"] else None
        answers = [str(a) for a in (answer if isinstance(answer, list) else [answer]) if a is not None]
        if not answers or not isinstance(asked, str):
            self.settings.losses.drop("rows without an answer or with a question that is no text", place)
            return []
        text, task = _text(asked.replace("<image>", "").strip(), self.settings, name), "vqa" if asked else "caption"
        if options and (letters := _letters(options, answers[0])):
            text, answers, task = f"{text}\n{letters[0]}", [letters[1]], "choice"
        made = sample(
            name,
            images,
            task,
            language(text or answers[0]),
            text,
            _text(answers[0], self.settings, name),
            answers=answers,
        )
        return _checked(made, self.settings)


def _letters(options: Any, answer: str) -> tuple[str, str] | None:
    """The options with letters, and the answer's letter; None when it is none of them."""
    if not isinstance(options, list) or not 2 <= len(options) <= 26:
        return None
    letters = [chr(ord("A") + k) for k in range(len(options))]
    lines = "\n".join(f"{letter}. {option}" for letter, option in zip(letters, options, strict=True))
    if answer in letters:
        return lines, answer
    if answer in map(str, options):
        return lines, letters[list(map(str, options)).index(answer)]
    return (lines, letters[int(answer)]) if answer.isdigit() and int(answer) < len(options) else None


def _parts(value: Any, settings: Settings, name: str) -> list[dict[str, str]]:
    if isinstance(value, str):
        return _content(value, settings, name)
    parts = []
    for part in value:
        kept = {k: v for k, v in part.items() if v is not None}
        if kept.get("type") == "text":
            kept = {"type": "text", "text": _text(kept["text"], settings, name)}
        elif kept.get("type") == "image":
            kept = {"type": "image"}
        parts.append(kept)
    return parts
