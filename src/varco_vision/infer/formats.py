"""Pages as ALTO and Markdown, and one place that knows every form."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from statistics import median
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.infer.answer import Word
from varco_vision.infer.layout import hull
from varco_vision.infer.pages import Page, clean, hocr, whole_pixels

FORMATS = ("text", "json", "hocr", "alto", "pdf", "markdown")
SUFFIX = {"text": ".txt", "json": ".json", "hocr": ".hocr.html", "alto": ".alto.xml", "pdf": ".pdf", "markdown": ".md"}
ALTO_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
HEADING = 1.4  # times the usual height of letters

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~])")
_LIST_START = re.compile(r"^(\s*)([-+]|\d+[.)])(\s)")


def check(form: str) -> None:
    """Raises `InputError` for an unknown form."""
    if form not in FORMATS:
        raise InputError(f"unknown --format {form!r}; use {', '.join(FORMATS)}")


def written(pages: Sequence[Page], form: str) -> str:
    """The pages of one file in a text form (every form but pdf)."""
    if form == "hocr":
        return hocr(pages)
    if form == "alto":
        return alto(pages)
    if form == "markdown":
        return markdown(pages)
    if form == "json":
        values: Any = [page.to_dict() for page in pages]
        return json.dumps(values[0] if len(values) == 1 else values, ensure_ascii=False, indent=2) + "\n"
    assert form == "text", form
    return "\f".join(page.text + "\n" for page in pages)  # a form feed between pages, as pdftotext and Tesseract do


def markdown(pages: Sequence[Page]) -> str:
    """Paragraphs parted by blank lines; lines in clearly larger letters become headings; a rule between pages."""
    return "\n---\n\n".join(_markdown_page(page) for page in pages)


def _markdown_page(page: Page) -> str:
    heights = [word.box.y2 - word.box.y1 for word in page.words]
    usual = median(heights) if heights else 0.0
    parts = []
    for block in page.blocks:
        lines = [" ".join(_escaped(word.text) for word in line) for line in block.lines]
        tall = median(word.box.y2 - word.box.y1 for line in block.lines for word in line)
        if tall > HEADING * usual and len(lines) <= 2:
            parts.append("## " + " ".join(lines))
        else:
            parts.append("\n".join(_LIST_START.sub(r"\1\\\2\3", line) for line in lines))
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def alto(pages: Sequence[Page]) -> str:
    """ALTO 4: Page > PrintSpace > TextBlock > TextLine > String with WC (confidence 0..1), positions in pixels."""
    name = next((page.name for page in pages if page.name), "")
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<alto xmlns="{ALTO_NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{ALTO_NAMESPACE} http://www.loc.gov/standards/alto/v4/alto-4-2.xsd">\n'
        "<Description><MeasurementUnit>pixel</MeasurementUnit>"
        f"<sourceImageInformation><fileName>{escape(clean(name))}</fileName></sourceImageInformation>"
        '<Processing ID="ocr_1"><processingSoftware><softwareName>varco-vision</softwareName></processingSoftware>'
        "</Processing></Description>\n<Layout>\n"
    )
    return head + "".join(_alto_page(page, k) for k, page in enumerate(pages, start=1)) + "</Layout>\n</alto>\n"


def _alto_page(page: Page, number: int) -> str:
    size = f'HPOS="0" VPOS="0" WIDTH="{page.width}" HEIGHT="{page.height}"'
    rows = [f'<Page ID="page_{number}" PHYSICAL_IMG_NR="{number}" WIDTH="{page.width}" HEIGHT="{page.height}">\n']
    rows.append(f"<PrintSpace {size}>\n")
    line_count = word_count = 0
    for block_number, block in enumerate(page.blocks, start=1):
        rows.append(f'<TextBlock ID="block_{number}_{block_number}" {_place(block.box, page)}>\n')
        for line in block.lines:
            line_count += 1
            box = hull([word.box for word in line])
            strings = []
            for word in line:
                word_count += 1
                strings.append(_alto_string(word, page, f"word_{number}_{word_count}"))
            inside = "<SP/>".join(strings)
            rows.append(f'<TextLine ID="line_{number}_{line_count}" {_place(box, page)}>{inside}</TextLine>\n')
        rows.append("</TextBlock>\n")
    return "".join(rows) + "</PrintSpace>\n</Page>\n"


def _alto_string(word: Word, page: Page, name: str) -> str:
    content = quoteattr(" ".join(clean(word.text).split()))
    return f'<String ID="{name}" {_place(word.box, page)} WC="{word.confidence:.4f}" CONTENT={content}/>'


def _place(box: Box, page: Page) -> str:
    x1, y1, x2, y2 = whole_pixels(box, page)
    return f'HPOS="{x1}" VPOS="{y1}" WIDTH="{x2 - x1}" HEIGHT="{y2 - y1}"'
