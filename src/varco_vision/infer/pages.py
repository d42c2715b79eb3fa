"""What OCR read on one picture: words with boxes, as plain lines, JSON or hOCR (further forms: `infer.formats`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from varco_vision.geometry import Box
from varco_vision.infer import layout
from varco_vision.infer.answer import Answer, Word

HOCR_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="ko" lang="ko">
<head>
<title>{title}</title>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8" />
<meta name="ocr-system" content="varco-vision" />
<meta name="ocr-capabilities" content="ocr_page ocr_line ocrx_word" />
</head>
<body>
"""


@dataclass(frozen=True)
class Page:
    """The words of a picture of `width` x `height` pixels, in reading order.

    `answer` is the model's whole answer: raw markup, stop reason, repairs; a page that was read in tiles has one for
    each in `answers` and none in `answer`. `placed` False: the order is the model's own; True: it was worked out from
    where the words stand (`infer.layout`). `left_out` counts words below the wished confidence.
    """

    words: list[Word]
    width: int
    height: int
    answer: Answer | None = None
    name: str = ""
    answers: list[Answer] = field(default_factory=list)
    placed: bool = False
    left_out: int = 0

    @property
    def truncated(self) -> bool:
        """Whether the model was cut off somewhere on this page."""
        return any(answer.truncated for answer in self.answers or ([self.answer] if self.answer else []))

    @property
    def confidence(self) -> float:
        """Mean confidence of the words; 0 without any."""
        return sum(word.confidence for word in self.words) / len(self.words) if self.words else 0.0

    @property
    def blocks(self) -> list[layout.Block]:
        """The lines grouped to paragraphs."""
        if self.placed:
            return layout.blocks(self.words, self.width / self.height)
        return layout.paragraphs(self.lines)

    @property
    def lines(self) -> list[list[Word]]:
        """The words by line: a word joins the line of the word before it when it stands to the right and level with it."""
        if self.placed:
            return layout.lines(self.words, self.width / self.height)
        lines: list[list[Word]] = []
        for word in self.words:
            if lines and _continues(lines[-1][-1].box, word.box):
                lines[-1].append(word)
            else:
                lines.append([word])
        return lines

    @property
    def text(self) -> str:
        """One line of text per line of the page, words parted by a blank."""
        return "\n".join(" ".join(word.text for word in line) for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """The page as plain values; each word with its box relative (0..1) and in pixels, and its line number."""
        words = [
            {
                "text": word.text,
                **box_values(word.box, (self.width, self.height)),
                "confidence": round(word.confidence, 4),
            }
            | {"line": number}
            for number, line in enumerate(self.lines)
            for word in line
        ]
        page: dict[str, Any] = {"width": self.width, "height": self.height, "text": self.text, "words": words}
        if self.left_out:
            page["left_out"] = self.left_out
        return {"image": self.name, **page} if self.name else page

    def to_json(self) -> str:
        """`to_dict` as JSON text, Korean left readable."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    def to_alto(self) -> str:
        """This page as an ALTO document, see `infer.formats`."""
        from varco_vision.infer.formats import alto

        return alto([self])

    def to_markdown(self) -> str:
        """This page as Markdown, see `infer.formats`."""
        from varco_vision.infer.formats import markdown

        return markdown([self])

    def to_hocr(self) -> str:
        """This page as an hOCR document, see `hocr`."""
        return hocr([self])


def hocr(pages: Sequence[Page]) -> str:
    """hOCR 1.2 as XHTML: ocr_page > ocr_line > ocrx_word, `bbox` in whole pixels, `x_wconf` in per cent."""
    title = escape(clean(", ".join(page.name for page in pages if page.name) or "page"))
    return (
        HOCR_HEAD.format(title=title) + "".join(map(_hocr_page, range(1, len(pages) + 1), pages)) + "</body>\n</html>\n"
    )


def _hocr_page(number: int, page: Page) -> str:
    name = page.name.replace('"', "'")
    title = f'image "{name}"; bbox 0 0 {page.width} {page.height}; ppageno {number - 1}'
    rows = [f'<div class="ocr_page" id="page_{number}" title={quoteattr(clean(title))}>\n']
    count = 0
    for index, line in enumerate(page.lines, start=1):
        boxes = [whole_pixels(word.box, page) for word in line]
        hull = (*(min(b[k] for b in boxes) for k in (0, 1)), *(max(b[k] for b in boxes) for k in (2, 3)))
        words = []
        for word, box in zip(line, boxes, strict=True):
            count += 1
            title = f"{_bbox(box)}; x_wconf {round(100 * word.confidence)}"
            text = escape(clean(word.text))
            words.append(f'<span class="ocrx_word" id="word_{number}_{count}" title="{title}">{text}</span>')
        head = f'<span class="ocr_line" id="line_{number}_{index}" title="{_bbox(hull)}">'
        rows.append(f"{head}{' '.join(words)}</span><br />\n")
    return "".join(rows) + "</div>\n"


def whole_pixels(box: Box, page: Page) -> tuple[int, int, int, int]:
    """Inside the picture, as readers of hOCR expect."""
    x1, y1, x2, y2 = (round(v) for v in box.clipped().to_pixels(page.width, page.height))
    return x1, y1, x2, y2


def box_values(box: Box, size: tuple[int, int] | None) -> dict[str, list[float]]:
    """{"box": relative corners} and, for a known picture size, {"pixels": corners in pixels to one decimal}."""
    values: dict[str, list[float]] = {"box": [box.x1, box.y1, box.x2, box.y2]}
    if size is not None:
        values["pixels"] = [round(v, 1) for v in box.to_pixels(*size)]
    return values


def answer_dict(answer: Answer, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """An answer as plain values. Pixel boxes are given when `size` (width, height) says which picture they lie on."""
    objects = []
    for thing in answer.objects:
        objects.append({"phrase": thing.phrase, "boxes": [box_values(box, size) for box in thing.boxes]})
        for values, score in zip(objects[-1]["boxes"], thing.confidences, strict=False):
            values["confidence"] = round(score, 4)
    words = [{"text": w.text, **box_values(w.box, size), "confidence": round(w.confidence, 4)} for w in answer.words]
    return {
        "text": answer.text,
        "raw": answer.raw,
        "objects": objects,
        "words": words,
        "truncated": answer.truncated,
        "stop_reason": answer.stop_reason,
        "confidence": round(answer.confidence, 4),
        "calibrated": list(answer.calibrated),
        "check": answer.check,
        "image_tokens": answer.image_tokens,
        "new_tokens": answer.new_tokens,
        "prompt_tokens": answer.prompt_tokens,
        "forced": answer.forced,
        "seconds": {name: round(value, 4) for name, value in vars(answer.timings).items()},
        "repairs": answer.repairs,
    }


def _continues(before: Box, after: Box) -> bool:
    """Same line: starts further right, and overlaps in height by half of the lower one of the two."""
    overlap = min(before.y2, after.y2) - max(before.y1, after.y1)
    least = min(before.y2 - before.y1, after.y2 - after.y1)
    return after.x1 > before.x1 and overlap >= 0.5 * least


def _bbox(corners: tuple[int, ...]) -> str:
    return "bbox " + " ".join(str(v) for v in corners)


def clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold (a byte-level model can emit any control character)."""
    return "".join(
        c for c in text if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
    )
