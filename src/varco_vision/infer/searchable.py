"""Searchable PDF: the page as it looks, and its words as invisible text that can be found and copied.

The text is set in a font with one glyph for all characters, stretched so that each word fills its box (much as Tesseract
and OCRmyPDF do it). Codes are UTF-16 and mapped to themselves, so every script can be copied.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from varco_vision.errors import InputError
from varco_vision.infer.pages import Page, clean
from varco_vision.infer.sources import POINTS, Sheet

FONT = "/VarcoVisionText"
ADVANCE = 500  # of 1000 units to the em
DESCENT = 0.2  # of the height of a word's box that lies below the baseline
JPEG_QUALITY = 90
PRIVATE = 0xE000  # characters beyond 16 bits, and those of the private use area, get a code of that area in turn


def write_pdf(sheets: Sequence[tuple[Sheet, Image.Image | None, Page]], out: Path | io.BytesIO) -> None:
    """One PDF of pages with their text. PDF pages stay as they are and get a layer; pictures become a page each, read
    once more from the file where they are not given.

    Raises `InputError` when pikepdf or fontTools is missing, or `out` cannot be written.
    """
    pikepdf = _pikepdf()
    document = pikepdf.new()
    layer = _Layer(pikepdf, document)
    opened: dict[Path, Any] = {}
    try:
        for sheet, image, page in sheets:
            if sheet.is_pdf:
                source = opened.setdefault(sheet.path, None) or pikepdf.open(sheet.path)
                opened[sheet.path] = source
                document.pages.append(source.pages[sheet.number])
                layer.add(document.pages[-1], page)
            else:
                layer.add(_picture_page(pikepdf, document, image or sheet.load(), sheet.dpi), page)
        layer.finish()
        document.save(out)
    except (pikepdf.PdfError, OSError) as error:
        raise InputError(f"the searchable PDF cannot be written ({error})") from error
    finally:
        for source in opened.values():
            source.close()


def _pikepdf() -> Any:
    try:
        import fontTools  # noqa: F401 - asked for here so that the sentence below names both
        import pikepdf
    except ImportError:
        raise InputError("searchable PDF needs pikepdf and fonttools; pip install 'varco-vision-open[ocr]'") from None
    return pikepdf


def _picture_page(pikepdf: Any, document: Any, image: Image.Image, dpi: int) -> Any:
    """A new page that shows the picture at `dpi`."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
    width, height = (side * POINTS / dpi for side in image.size)
    document.add_blank_page(page_size=(width, height))
    page = document.pages[-1]
    picture = pikepdf.Stream(document, buffer.getvalue())
    picture.Type, picture.Subtype = pikepdf.Name.XObject, pikepdf.Name.Image
    picture.Width, picture.Height = image.size
    picture.ColorSpace, picture.BitsPerComponent = pikepdf.Name.DeviceRGB, 8
    picture.Filter = pikepdf.Name.DCTDecode
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im0=picture))
    page.Contents = pikepdf.Stream(document, f"q {width:.4f} 0 0 {height:.4f} 0 0 cm /Im0 Do Q".encode())
    return page


class _Layer:
    """Adds invisible text to pages of one document; all share one font."""

    def __init__(self, pikepdf: Any, document: Any) -> None:
        self.pikepdf, self.document = pikepdf, document
        self.private: dict[str, int] = {}
        self.font = document.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Font))

    def add(self, target: Any, page: Page) -> None:
        """Write the page's words over `target`, which shows the same picture."""
        pikepdf = self.pikepdf
        if not page.words:
            return
        resources = target.obj.get("/Resources")
        if resources is None:
            resources = target.resources if hasattr(target, "resources") else pikepdf.Dictionary()
        resources = pikepdf.Dictionary(resources)  # a copy: pages may share one
        fonts = pikepdf.Dictionary(resources.get("/Font", pikepdf.Dictionary()))
        fonts[FONT] = self.font
        resources["/Font"] = fonts
        target.obj["/Resources"] = resources
        target.contents_add(pikepdf.Stream(self.document, b"q"), prepend=True)
        target.contents_add(pikepdf.Stream(self.document, b"Q " + self._text(target, page)))

    def _text(self, target: Any, page: Page) -> bytes:
        """BT ... ET with one matrix a word. Render mode 3 draws nothing."""
        rows = [f"q BT 3 Tr {FONT} 1 Tf".encode()]
        to_points = _to_points(target)
        for line in page.lines:
            for number, word in enumerate(line):
                text = " ".join(clean(word.text).split())
                if not text:
                    continue
                box = word.box.clipped()
                last = number == len(line) - 1
                origin = to_points(box.x1, box.y2 - DESCENT * (box.y2 - box.y1))
                right, top = to_points(box.x2, box.y2 - DESCENT * (box.y2 - box.y1)), to_points(box.x1, box.y1)
                bottom = to_points(box.x1, box.y2)
                across = [(right[k] - origin[k]) / (len(self._codes(text)) * ADVANCE / 1000) for k in (0, 1)]
                up = [top[k] - bottom[k] for k in (0, 1)]
                matrix = " ".join(f"{v:.4f}" for v in (*across, *up, *origin))
                codes = "".join(f"{code:04X}" for code in self._codes(text if last else text + " "))
                rows.append(f"{matrix} Tm <{codes}> Tj".encode())
        rows.append(b"ET Q")
        return b"\n".join(rows)

    def _codes(self, text: str) -> list[int]:
        return [self._private(c) if PRIVATE <= ord(c) <= 0xF8FF or ord(c) > 0xFFFF else ord(c) for c in text]

    def _private(self, character: str) -> int:
        return self.private.setdefault(character, PRIVATE + len(self.private))

    def finish(self) -> None:
        """Fill in the font once all characters are known."""
        pikepdf, document = self.pikepdf, self.document
        name = pikepdf.Name
        file = pikepdf.Stream(document, _font())
        file.Length1 = len(_font())
        descriptor = document.make_indirect(
            pikepdf.Dictionary(
                Type=name.FontDescriptor, FontName=name("/VarcoVisionText"), Flags=5, ItalicAngle=0, Ascent=800,
                Descent=-200, CapHeight=800, StemV=80, FontBBox=[0, -200, ADVANCE, 800], FontFile2=file,
            )
        )  # fmt: skip
        glyphs = pikepdf.Stream(document, zlib.compress(b"\x00\x01" * 65536), Filter=name.FlateDecode)
        descendant = document.make_indirect(
            pikepdf.Dictionary(
                Type=name.Font, Subtype=name.CIDFontType2, BaseFont=name("/VarcoVisionText"), DW=ADVANCE,
                CIDSystemInfo=pikepdf.Dictionary(Registry="Adobe", Ordering="Identity", Supplement=0),
                FontDescriptor=descriptor, CIDToGIDMap=glyphs,
            )
        )  # fmt: skip
        self.font.Subtype, self.font.BaseFont = name.Type0, name("/VarcoVisionText")
        self.font.Encoding = name("/Identity-H")
        self.font.DescendantFonts = pikepdf.Array([descendant])
        self.font.ToUnicode = pikepdf.Stream(document, self._to_unicode())

    def _to_unicode(self) -> bytes:
        """Codes to UTF-16: themselves, a range for each high byte (ranges must not cross one), then the private ones."""
        ranges = [f"<{high:02X}00> <{high:02X}FF> <{high:02X}00>" for high in range(256) if not 0xD8 <= high <= 0xF8]
        chunks = [ranges[k : k + 100] for k in range(0, len(ranges), 100)]
        body = "".join(f"{len(chunk)} beginbfrange\n" + "\n".join(chunk) + "\nendbfrange\n" for chunk in chunks)
        own = [f"<{code:04X}> <{c.encode('utf-16-be').hex().upper()}>" for c, code in self.private.items()]
        for k in range(0, len(own), 100):
            body += f"{len(own[k : k + 100])} beginbfchar\n" + "\n".join(own[k : k + 100]) + "\nendbfchar\n"
        head = (
            "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
            "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n1 begincodespacerange\n<0000> <FFFF>\n"
            "endcodespacerange\n"
        )
        return (head + body + "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n").encode()


def _to_points(target: Any) -> Any:
    """Relative place on the page as seen (x right, y down) -> point of the PDF page, its crop box and rotation undone."""
    left, bottom, right, top = (float(v) for v in target.cropbox)
    left, right, bottom, top = min(left, right), max(left, right), min(bottom, top), max(bottom, top)
    turn = int(target.obj.get("/Rotate", 0)) % 360 if "/Rotate" in target.obj else int(_inherited(target)) % 360
    width, height = right - left, top - bottom

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = {
            0: (x, 1 - y),
            90: (y, x),
            180: (1 - x, y),
            270: (1 - y, 1 - x),
        }[turn]
        return left + across * width, bottom + up * height

    return place


def _inherited(target: Any) -> int:
    """The rotation that a page takes from the nodes above it."""
    node = target.obj.get("/Parent")
    while node is not None:
        if "/Rotate" in node:
            return int(node["/Rotate"])
        node = node.get("/Parent")
    return 0


@lru_cache(maxsize=1)
def _font() -> bytes:
    """A TrueType font whose one glyph is a plain rectangle.

    Nothing is drawn in render mode 3; but readers take the place of a character from its outline, and PDFium leaves out
    text without any.
    """
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    pen.moveTo((0, -200))
    for corner in ((0, 800), (ADVANCE, 800), (ADVANCE, -200)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "box"])
    builder.setupCharacterMap({0x20: "box"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "box": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (ADVANCE, 0), "box": (ADVANCE, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "VarcoVisionText", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    buffer = io.BytesIO()
    builder.save(buffer)
    return buffer.getvalue()
