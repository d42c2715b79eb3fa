"""OCR from Python: a page as text, JSON and ALTO, and a searchable PDF: `python examples/read_documents.py FILE [MODEL]`.

FILE is a picture or a PDF; PDF needs the extra `ocr`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from varco_vision import VarcoVision
from varco_vision.infer.ocr import OcrOptions, read_pages
from varco_vision.infer.searchable import write_pdf
from varco_vision.infer.sources import sheets


def main(file: str = str(Path(__file__).parent / "words.png"), model: str | None = None) -> None:
    """Read every page of a file; words below half confidence are marked with [?]."""
    vision = VarcoVision.from_pretrained(model)
    options = OcrOptions(min_confidence=0.5, doubtful="mark")
    parts = [(sheet, sheet.load()) for sheet in sheets(file)]
    pages = read_pages(vision.engine, [image for _, image in parts], options, [sheet.name for sheet, _ in parts])
    for page in pages:
        print(page.text)
        print(page.to_alto()[:200], "...")
        print(
            [(word.text, round(word.confidence, 2), word.box.to_pixels(page.width, page.height)) for word in page.words]
        )
    out = Path(Path(file).stem + ".searchable.pdf")
    write_pdf([(sheet, image, page) for (sheet, image), page in zip(parts, pages, strict=True)], out)
    print(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
