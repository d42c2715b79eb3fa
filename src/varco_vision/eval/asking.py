"""Asking a model where things are and what they are, for files of other people's sets (RefCOCO/+/g, gRefCOCO, Flickr30k).

One wording for each kind of question (`where`, `what`); the answers are kept item by item (`cache.Store`) under a
digest of model, prompt, picture bytes and settings, so that a run that was stopped goes on and a changed picture asks anew.
The file of answers is what `eval ground` and `eval refer` score; anyone else's answers have the same two fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varco_vision import markup, pictures
from varco_vision.errors import InputError
from varco_vision.eval.cache import Store, key_of
from varco_vision.eval.pipeline import BATCHES_PER_WRITE, Answers
from varco_vision.eval.tables import digest
from varco_vision.geometry import Box

if TYPE_CHECKING:
    from varco_vision.eval.readers import Target

PROTOCOL = "ask-1"  # changes whenever a wording or a setting below does
LONGEST = {"ground": 256, "refer": 64}  # tokens of an answer
REFERENT = {"ko": "이 물체", "en": "this object"}


@dataclass(frozen=True)
class Question:
    """`kind`: "ground" or "refer". picture: where it lies, or its bytes."""

    id: str
    kind: str
    prompt: str
    picture: Path | bytes

    def content(self) -> bytes:
        """The bytes of the picture's file."""
        if isinstance(self.picture, bytes):
            return self.picture
        try:
            return self.picture.read_bytes()
        except OSError as error:
            raise InputError(
                f"the picture of {self.id!r} cannot be read: {self.picture} ({error.strerror or error})"
            ) from error


def where(phrase: str, lang: str) -> str:
    """The request for the box of a phrase; Korean phrases get the particle that fits."""
    named = markup.escape(phrase.strip().rstrip(".?!"))
    if lang == "en":
        return f"<gro>\nWhere is {named}?"
    from varco_vision.synth.korean import attach

    return f"<gro>\n{attach(named, '은/는')} 어디에 있나요?"


def what(box: Box, lang: str, digits: int) -> str:
    """The request for the name of what is in a box."""
    marked = markup.write([markup.Object(REFERENT[lang], (box,))], digits=digits)
    return f"{marked}는 무엇인가요?" if lang == "ko" else f"What is {marked}?"


def grounding(targets: Sequence[Target], images: Path | None, lang: str) -> list[Question]:
    """A question for every target. images: the folder of the pictures, where the gold file has names only."""
    return [Question(t.id, "ground", where(t.phrases[0], lang), picture_of(t, images)) for t in targets]


def referring(targets: Sequence[Target], images: Path | None, lang: str, digits: int) -> list[Question]:
    """A question for the box of every target, of which each has one."""
    return [Question(t.id, "refer", what(t.boxes[0], lang, digits), picture_of(t, images)) for t in targets]


def picture_of(target: Target, images: Path | None) -> Path | bytes:
    """The picture inside the gold file, or its path in the folder `images`."""
    if target.content:
        return target.content
    if not target.image:
        raise InputError(f"{target.id!r} of the gold file names no picture and holds none, so nothing can be asked")
    if images is None:
        raise InputError(f"the gold file names pictures such as {target.image!r}; say where they lie by --images DIR")
    for path in (images / target.image, images / Path(target.image).name):
        if path.is_file():
            return path
    raise InputError(f"the picture {target.image!r} of {target.id!r} is not in {images}")


def ask(
    engine: Answers,
    model: str,
    questions: Sequence[Question],
    store: Store,
    constrain: bool,
    max_tiles: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, str], dict[str, int]]:
    """(answers by id, {"answered", "known"}). model: its `pipeline.fingerprint`; constrain: only well-formed boxes."""
    digests: dict[Path | bytes, str] = {}
    keys = []
    for one in questions:
        if one.picture not in digests:
            digests[one.picture] = digest(one.content())
        keys.append(_key(one, digests[one.picture], model, constrain, max_tiles))
    missing = [(key, one) for key, one in zip(keys, questions, strict=True) if key not in store]
    missing.sort(key=lambda pair: digests[pair[1].picture])  # a picture's questions stand together
    size, done = engine.batch_size * BATCHES_PER_WRITE, 0
    for first in range(0, len(missing), size):
        chunk = missing[first : first + size]
        answers = engine.generate(list(_requests([one for _, one in chunk], constrain, max_tiles)))
        store.append(
            {"key": key, "id": one.id, "answer": answer.raw, "stop_reason": answer.stop_reason}
            for (key, one), answer in zip(chunk, answers, strict=True)
        )
        done += len(chunk)
        if progress is not None:
            progress(done, len(missing))
    told = {one.id: store[key]["answer"] for key, one in zip(keys, questions, strict=True)}
    return told, {"answered": done, "known": len(questions) - len(missing)}


def _key(one: Question, picture: str, model: str, constrain: bool, max_tiles: int | None) -> str:
    constrained = constrain and one.kind == "ground"
    return key_of(
        stage=PROTOCOL, id=one.id, model=model, prompt=one.prompt, images=[picture], longest=LONGEST[one.kind],
        constrain=constrained, max_tiles=max_tiles,
    )  # fmt: skip


def _requests(chunk: Sequence[Question], constrain: bool, max_tiles: int | None) -> Iterator[Any]:
    from varco_vision.infer.engine import Request

    decoded: dict[Path | bytes, Any] = {}
    for one in chunk:
        if one.picture not in decoded:
            decoded[one.picture] = pictures.load(one.content(), name=f"the picture of {one.id!r}")
        content = [{"type": "image"}, {"type": "text", "text": one.prompt}]
        yield Request(
            [{"role": "user", "content": content}], [decoded[one.picture]], LONGEST[one.kind],
            constrain=constrain and one.kind == "ground", max_tiles=max_tiles,
        )  # fmt: skip
