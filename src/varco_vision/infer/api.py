"""`VarcoVision`: the whole of inference behind five calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from varco_vision import markup, pictures
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.infer.answer import Answer
from varco_vision.infer.checking import checked
from varco_vision.infer.engine import Engine, Request
from varco_vision.infer.ocr import OCR_TOKENS, OcrOptions, read_pages
from varco_vision.infer.pages import Page
from varco_vision.infer.quantize import quantize
from varco_vision.infer.sampling import Sampling
from varco_vision.infer.service import Handle, Service
from varco_vision.infer.threads import choose_threads
from varco_vision.model import checkpoint

Picture = Image.Image | str | Path | bytes
Turn = tuple[str, "str | Answer"]

CHAT_TOKENS = 512
REQUEST_KEYS = frozenset({"image", "images", "text", "history", "max_new_tokens", "constrain", "sampling", "max_tiles"})
DEFAULT_PHRASE = {"ko": "이 물체", "en": "this object"}
PARTICLES = frozenset(
    ["은", "는", "을", "를", "의", "도", "에", "로", "으로", "과", "와", "가", "에는", "에서", "에게"]
)


class VarcoVision:
    """A loaded model that chats about pictures, finds things in them, explains marked ones and reads text.

    Pictures may be paths, bytes or PIL images. Boxes are relative to the picture as it is seen (EXIF rotation applied).
    """

    def __init__(self, loaded: checkpoint.Loaded, batch_size: int = 16, calibrate: bool = True) -> None:
        self.loaded = loaded
        self.engine = Engine(loaded, batch_size=batch_size, calibrate=calibrate)
        self._service: Service | None = None

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 16,
        calibrate: bool = True,
    ) -> VarcoVision:
        """Load a checkpoint directory or hub id; None: the shipped default. Raises `InputError` when it cannot be read.

        dtype: "auto", "float32", "bfloat16", "float16", or "int8" for int8 weights in the language model on a CPU.
        calibrate: False leaves confidences as the model gave them (`infer.calibration`).
        """
        _check_device(device)
        if (threads := choose_threads()) is not None:
            import torch

            torch.set_num_threads(min(threads, torch.get_num_threads()))
        stored = "bfloat16" if dtype == "int8" else dtype
        loaded = checkpoint.load(source or checkpoint.default_path(), device=device, dtype=stored)
        return cls(quantize(loaded) if dtype == "int8" else loaded, batch_size, calibrate)

    def chat(
        self,
        image: Picture | Sequence[Picture] | None,
        text: str,
        history: Sequence[Turn] | None = None,
        max_new_tokens: int = CHAT_TOKENS,
        markup: bool = True,
        constrain: bool = False,
        sampling: Sampling | None = None,
        max_tiles: int | None = None,
    ) -> Answer:
        """Answer `text` about no, one or several pictures.

        `history` holds the earlier (question, answer) pairs; the pictures then belong to its first question.
        `markup` False: markers such as <gro> in `text` are ordinary characters. `constrain`: only well-formed boxes can
        be written. `sampling`: how tokens are chosen, None for the likeliest. `max_tiles` caps the tiles of a picture.
        """
        return self._one(_request(image, text, history, max_new_tokens, markup, constrain, sampling, max_tiles))

    def stream(
        self,
        image: Picture | Sequence[Picture] | None,
        text: str,
        history: Sequence[Turn] | None = None,
        max_new_tokens: int = CHAT_TOKENS,
        markup: bool = True,
        constrain: bool = False,
        sampling: Sampling | None = None,
        max_tiles: int | None = None,
    ) -> Handle:
        """`chat` piece by piece: iterate over the handle for `Delta`s, call its `result()` for the `Answer`, or
        `cancel()`.
        """
        if self._service is None:
            self._service = Service(self.engine)
        request = _request(image, text, history, max_new_tokens, markup, constrain, sampling, max_tiles)
        return self._service.submit(request)

    def ground(
        self,
        image: Picture,
        text: str,
        max_new_tokens: int = CHAT_TOKENS,
        constrain: bool = True,
        sampling: Sampling | None = None,
        max_tiles: int | None = None,
        check: bool | None = None,
    ) -> Answer:
        """Answer with boxes: `.objects` of the answer says where each phrase is. `constrain`: see `infer.grammar`.

        check: ask the model about a single box that it gave, and take the one of its description where it contradicts
        itself (`infer.checking`); None: as the checkpoint's calibration advises.
        """
        text = text if text.startswith("<gro>") else f"<gro>\n{text}"
        constrain = constrain and self.engine.can_constrain
        answer = self._one(_request(image, text, None, max_new_tokens, True, constrain, sampling, max_tiles))
        wanted = self.engine.advises_check if check is None else check
        return self.checked(image, answer, max_tiles) if wanted else answer

    def checked(self, image: Picture, answer: Answer, max_tiles: int | None = None) -> Answer:
        """An answer of `ground` about `image` after the model was asked back about its box (`infer.checking`)."""

        def refer(question: str, box: Box) -> Answer:
            return self.refer(image, question, box=box, max_tiles=max_tiles)

        def ask(question: str) -> Answer:
            constrain = self.engine.can_constrain
            return self._one(_request(image, question, None, CHAT_TOKENS, constrain=constrain, max_tiles=max_tiles))

        return checked(answer, refer, ask, self.loaded.digits)

    def refer(
        self,
        image: Picture,
        text: str,
        phrase: str | None = None,
        box: Box | None = None,
        max_new_tokens: int = CHAT_TOKENS,
        sampling: Sampling | None = None,
        max_tiles: int | None = None,
    ) -> Answer:
        """Answer a question about the thing inside `box` (relative corners).

        `phrase` names the thing; where it stands in `text` it is marked there, else it is put in front. Without a phrase
        it is "이 물체" or "this object", by the language of `text`. `text` may instead hold the markup itself.
        """
        asked = refer_text(text, phrase, box, self.loaded.digits)
        return self._one(_request(image, asked, None, max_new_tokens, True, False, sampling, max_tiles))

    def ocr(self, image: Picture, max_new_tokens: int = OCR_TOKENS, options: OcrOptions | None = None) -> Page:
        """Read the text of a picture: words with boxes, in reading order."""
        return self.ocr_batch([image], max_new_tokens, options=options)[0]

    def ocr_batch(
        self,
        images: Sequence[Picture],
        max_new_tokens: int = OCR_TOKENS,
        progress: Callable[[int], None] | None = None,
        options: OcrOptions | None = None,
    ) -> list[Page]:
        """`ocr` of several pictures, each on its own. `options` says how; its `max_new_tokens` then counts."""
        loaded = [pictures.load(image) for image in images]
        chosen = options or OcrOptions(max_new_tokens=max_new_tokens)
        return read_pages(self.engine, loaded, chosen, [_name(source) for source in images], progress)

    def chat_batch(
        self,
        requests: Sequence[Mapping[str, Any] | tuple[Any, str]],
        max_new_tokens: int = CHAT_TOKENS,
        progress: Callable[[int], None] | None = None,
    ) -> list[Answer]:
        """Answers to many questions, the same as one by one.

        A request is a tuple (image, text) or a dict with "text" and, where wanted, "image" or "images", "history",
        "max_new_tokens", "constrain", "sampling", "max_tiles".
        """
        return self.engine.generate([_from_item(k, item, max_new_tokens) for k, item in enumerate(requests)], progress)

    def _one(self, request: Request) -> Answer:
        return self.engine.generate([request])[0]


def refer_text(text: str, phrase: str | None, box: Box | None, digits: int = 3) -> str:
    """`text` with one `<obj>phrase</obj><bbox>...</bbox>` in it; raises `InputError` when there is no box to put in."""
    if "<bbox>" in text:
        if box is not None:
            raise InputError("the text already holds a <bbox>; give either that or box, not both")
        return text
    if box is None:
        raise InputError("refer needs box=Box(x1, y1, x2, y2), or a text that holds <obj>...</obj><bbox>...</bbox>")
    named = phrase or DEFAULT_PHRASE["ko" if re.search("[가-힣ㄱ-ㅎ]", text) else "en"]
    marked = markup.write([markup.Object(named, (box,))], digits=digits)
    if named in text:
        return text.replace(named, marked, 1)
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    return f"{marked}{text}" if first in PARTICLES else f"{marked} {text}"


def _request(
    image: Picture | Sequence[Picture] | None,
    text: str,
    history: Sequence[Turn] | None,
    max_new_tokens: int,
    allow_markup: bool = True,
    constrain: bool = False,
    sampling: Sampling | None = None,
    max_tiles: int | None = None,
) -> Request:
    images = [] if image is None else list(image) if isinstance(image, list | tuple) else [image]
    turns: list[tuple[str, str]] = []
    for question, answer in history or ():
        turns += [("user", question), ("assistant", answer.raw if isinstance(answer, Answer) else answer)]
    turns.append(("user", text))
    messages = []
    for role, content in turns:
        if role == "user" and not allow_markup:
            content = markup.escape(content)
        parts: list[dict[str, Any]] = [{"type": "image"} for _ in images] if not messages else []
        messages.append({"role": role, "content": [*parts, {"type": "text", "text": content}]})
    return Request(
        messages, images, max_new_tokens, max_tiles=max_tiles, constrain=constrain, sampling=sampling or Sampling()
    )


def _from_item(index: int, item: Mapping[str, Any] | tuple[Any, str], max_new_tokens: int) -> Request:
    if isinstance(item, tuple) and len(item) == 2:
        item = {"image": item[0], "text": item[1]}
    if not isinstance(item, Mapping) or "text" not in item:
        raise InputError(
            f"request {index} is {type(item).__name__}; a tuple (image, text) or a dict with 'text' is needed"
        )
    if unknown := sorted(set(item) - REQUEST_KEYS):
        raise InputError(f"request {index} has unknown keys {unknown}; known are {sorted(REQUEST_KEYS)}")
    if "image" in item and "images" in item:
        raise InputError(f"request {index} has both 'image' and 'images'; give one of them")
    image = item.get("image", item.get("images"))
    return _request(
        image,
        item["text"],
        item.get("history"),
        item.get("max_new_tokens", max_new_tokens),
        True,
        item.get("constrain", False),
        item.get("sampling"),
        item.get("max_tiles"),
    )


def _check_device(device: str) -> None:
    import torch

    if device == "auto":
        return
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise InputError(f"unknown device {device!r}; use auto, cpu, cuda or cuda:N") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {device!r} was asked for, but torch finds no GPU here; use cpu or auto")


def _name(source: Picture) -> str:
    return Path(source).name if isinstance(source, str | Path) else ""
