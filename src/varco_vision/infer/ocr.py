"""OCR of whole pages: how large the model sees them, in how many windows, and one page of words from its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from PIL import Image

from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig
from varco_vision.infer.answer import Answer, Word
from varco_vision.infer.engine import Engine, Request
from varco_vision.infer.pages import Page
from varco_vision.infer.tiling import Window, merge, windows

OCR_TOKENS = 4096  # about 34 tokens a word in the published models: 1024 would end a dense page after 30 words
PUBLISHED_TILE = 384
OCR_LONGEST_SIDE = 2304  # pixels; the published models are meant to read pictures scaled up to this
DOUBT = "[?]"


@dataclass(frozen=True)
class OcrOptions:
    """How pages are read.

    longest_side: smaller pages are scaled up to this many pixels; None: the rule of the published models (2304) where
    the model has their tiles, else pages stay as they are; 0: never.
    window: side in pixels of the windows that large pages are read in; None: the largest square that the model sees
    without shrinking; 0: never. overlap: part of a window that neighbours share.
    min_confidence: below this a word is doubtful. doubtful: "keep" it, "mark" it with [?], or "drop" it (counted).
    order: "model" (as it read them), "layout" (worked out from where the words stand), "auto": layout for pages in
    windows. constrain: only well-formed boxes. max_tiles: see `Request`.
    """

    max_new_tokens: int = OCR_TOKENS
    longest_side: int | None = None
    window: int | None = None
    overlap: float = 0.2
    min_confidence: float = 0.0
    doubtful: Literal["keep", "mark", "drop"] = "keep"
    order: Literal["auto", "model", "layout"] = "auto"
    constrain: bool = True
    max_tiles: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise InputError(f"min_confidence is {self.min_confidence}; it lies between 0 and 1")
        if self.doubtful not in {"keep", "mark", "drop"}:
            raise InputError(f"doubtful is {self.doubtful!r}; use keep, mark or drop")
        if self.order not in {"auto", "model", "layout"}:
            raise InputError(f"order is {self.order!r}; use auto, model or layout")
        if self.longest_side is not None and not 0 <= self.longest_side <= 16384:
            raise InputError(f"longest_side is {self.longest_side}; 0 to 16384 pixels are possible")
        if self.window is not None and self.window != 0:
            windows(1, 1, self.window, self.overlap)  # raises for what cannot be


def upscaled(image: Image.Image, anyres: AnyResConfig, longest_side: int | None = None) -> Image.Image:
    """The picture scaled up (bicubic, whole pixels rounded down as on the published models' card), never down."""
    if longest_side is None:
        longest_side = OCR_LONGEST_SIDE if anyres.tile == PUBLISHED_TILE else 0
    longest = max(image.size)
    if longest >= longest_side:
        return image
    scale = longest_side / longest
    size = max(1, int(image.width * scale)), max(1, int(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


def window_side(anyres: AnyResConfig) -> int:
    """Side of the largest square canvas: what the model sees of a square picture without shrinking it."""
    return max(min(pair) for pair in anyres.pinpoints)


@dataclass(frozen=True)
class _Plan:
    size: tuple[int, int]
    places: list[Window]
    requests: list[Request]


def read_pages(
    engine: Engine,
    images: Sequence[Image.Image],
    options: OcrOptions | None = None,
    names: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> list[Page]:
    """The words of upright RGB pictures, each on its own. `progress` is told how many of the model's answers are there,
    as a number of pages.
    """
    options = options or OcrOptions()
    plans = [_plan(engine, image, options) for image in images]
    owners = [number for number, plan in enumerate(plans) for _ in plan.requests]
    total = len(owners)

    def told(done: int) -> None:
        assert progress is not None
        progress(done * len(images) // total)

    requests = [request for plan in plans for request in plan.requests]
    answers = engine.generate(requests, told if progress is not None else None)
    pages = []
    for number, plan in enumerate(plans):
        own = [answer for owner, answer in zip(owners, answers, strict=True) if owner == number]
        pages.append(_page(plan, own, options, names[number] if number < len(names) else ""))
    return pages


def _plan(engine: Engine, image: Image.Image, options: OcrOptions) -> _Plan:
    anyres = engine.loaded.anyres
    large = upscaled(image, anyres, options.longest_side)
    side = window_side(anyres) if options.window is None else options.window
    places = [Window(0, 0, *large.size)]
    if side:
        places = windows(*large.size, side, options.overlap)
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "<ocr>"}]}
    constrain = options.constrain and engine.can_constrain
    parts = [large if len(places) == 1 else large.crop(place.corners) for place in places]
    requests = [
        Request([message], [part], options.max_new_tokens, constrain=constrain, max_tiles=options.max_tiles)
        for part in parts
    ]
    return _Plan(image.size, places, requests)


def _page(plan: _Plan, answers: list[Answer], options: OcrOptions, name: str) -> Page:
    tiled = len(plan.places) > 1
    words = list(answers[0].words)
    if tiled:
        extent = plan.places[-1].right, plan.places[-1].bottom
        words = merge([answer.words for answer in answers], plan.places, *extent)
    words, left_out = _sifted(words, options)
    placed = options.order == "layout" or (options.order == "auto" and tiled)
    page = Page(words, *plan.size, None if tiled else answers[0], name, answers if tiled else [], placed, left_out)
    return replace(page, words=[word for line in page.lines for word in line]) if placed else page


def _sifted(words: list[Word], options: OcrOptions) -> tuple[list[Word], int]:
    """Words after the rule for doubtful ones, and how many were left out."""
    if options.doubtful == "keep":
        return words, 0
    sure = [word.confidence >= options.min_confidence for word in words]
    if options.doubtful == "drop":
        return [word for word, keep in zip(words, sure, strict=True) if keep], sure.count(False)
    marked = [w if keep else replace(w, text=w.text + DOUBT) for w, keep in zip(words, sure, strict=True)]
    return marked, 0
