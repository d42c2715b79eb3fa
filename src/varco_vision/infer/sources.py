"""Files to read: pictures, pages of PDF documents, frames of TIFF files, folders of all of these."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from varco_vision import pictures
from varco_vision.errors import InputError

SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2", ".avif", ".pdf"]
)
DPI = 200  # what PDF pages are drawn at
POINTS = 72  # a PDF point is 1/72 inch
ROUNDING = 1e-6
_PDFIUM = threading.Lock()  # PDFium may be entered by one thread at a time


@dataclass(frozen=True)
class Sheet:
    """One page to read: `number` counts from 0 among `count` pages of the file. Nothing is decoded before `load`."""

    path: Path
    number: int = 0
    count: int = 1
    dpi: int = DPI

    @property
    def name(self) -> str:
        """File name; with the page's number where the file has several."""
        return self.path.name if self.count == 1 else f"{self.path.name}, page {self.number + 1}"

    @property
    def is_pdf(self) -> bool:
        return _is_pdf(self.path)

    def load(self) -> Image.Image:
        """The page as an upright RGB picture. Raises `InputError` when it cannot be read or is too large."""
        if self.is_pdf:
            return _draw(self.path, self.number, self.dpi)
        if self.count == 1:
            return pictures.load(self.path)
        try:
            with Image.open(self.path, formats=["TIFF"]) as file:
                file.seek(self.number)
                return pictures.load(file, name=f"{self.path}, page {self.number + 1}")
        except InputError:
            raise
        except Exception as error:  # decoders raise whatever comes up in a damaged file
            raise InputError(
                f"{self.path}, page {self.number + 1} is damaged ({error}); give a complete file"
            ) from error


def sheets(path: str | Path, dpi: int = DPI) -> list[Sheet]:
    """The pages of a picture or PDF file. Raises `InputError` for what is neither, or is locked by a password."""
    path = Path(path)
    if not 10 <= dpi <= 1200:
        raise InputError(f"dpi is {dpi}; PDF pages can be drawn with 10 to 1200")
    if _is_pdf(path):
        with _document(path) as document:
            count = len(document)
        if not count:
            raise InputError(f"{path} is a PDF without pages")
        return [Sheet(path, k, count, dpi) for k in range(count)]
    count = _frames(path)
    return [Sheet(path, k, count, dpi) for k in range(count)]


def expand(names: Sequence[str | Path], without: Path | None = None) -> Iterator[tuple[Path, Path]]:
    """(file, its name below the place it was found in) of all files named; folders give all they hold, sorted.

    without: a folder whose files are no input, also where it lies in a folder that is named (results are kept there);
    a folder that is itself named, or lies in it, is read. Raises `InputError` for what does not exist and for a folder without anything to read.
    """
    for name in map(Path, names):
        if not name.is_dir():
            if not name.exists():
                raise InputError(f"{name} does not exist; give {pictures.ACCEPTED} or a PDF file")
            yield name, Path(name.name)
            continue
        found = sorted(f for f in name.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
        if (
            without is not None
            and without.resolve() != name.resolve()
            and without.resolve() not in name.resolve().parents
        ):
            found = [f for f in found if without.resolve() not in f.resolve().parents]
        if not found:
            raise InputError(f"the folder {name} holds no picture or PDF file")
        yield from ((file, file.relative_to(name)) for file in found)


def _is_pdf(path: Path) -> bool:
    """By content, so that a PDF with another name is one too. What cannot be opened is left to `pictures.load`."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return b"%PDF-" in file.read(1024)
    except (OSError, ValueError):
        return False


def _frames(path: Path) -> int:
    """Pages of a TIFF file; 1 for all other pictures (animations are shown by their first frame)."""
    try:
        with Image.open(path, formats=["TIFF"]) as file:
            return getattr(file, "n_frames", 1)
    except Exception:  # not a TIFF, or a damaged one, which `load` reports
        return 1


def pdfium() -> Any:
    """The module pypdfium2, or `InputError` that names the extra."""
    try:
        import pypdfium2
    except ImportError:
        raise InputError("PDF files need pypdfium2; pip install 'varco-vision-open[ocr]'") from None
    return pypdfium2


class _document:
    """An open PDF document; closed, and the library free for other threads, at the end of the block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Any:
        library = pdfium()
        _PDFIUM.acquire()
        try:
            self.document = library.PdfDocument(self.path)
        except library.PdfiumError as error:
            _PDFIUM.release()
            text = str(error)
            if "password" in text.lower():
                raise InputError(f"{self.path} is locked by a password; unlock it first (qpdf --decrypt)") from None
            raise InputError(f"{self.path} is no readable PDF ({text})") from None
        except BaseException:
            _PDFIUM.release()
            raise
        return self.document

    def __exit__(self, *_: object) -> None:
        try:
            self.document.close()
        finally:
            _PDFIUM.release()


def _draw(path: Path, number: int, dpi: int) -> Image.Image:
    """A page of a PDF drawn at `dpi`, its rotation and crop applied, annotations and form fields included."""
    library = pdfium()
    with _document(path) as document:
        try:
            page = document[number]
            width, height = (side * dpi / POINTS for side in page.get_size())
            if width * height > pictures.MAX_PIXELS:
                raise InputError(
                    f"{path}, page {number + 1} would have {width:.0f} x {height:.0f} pixels at {dpi} dpi; "
                    "choose a lower --dpi"
                )
            if width < 1 or height < 1:
                raise InputError(f"{path}, page {number + 1} is smaller than a pixel at {dpi} dpi; choose a higher one")
            document.init_forms()
            scale = dpi / POINTS * (1 - ROUNDING)  # PDFium rounds up: 128.0000001 would become 129 pixels
            image = page.render(scale=scale, may_draw_forms=True).to_pil().convert("RGB")
            page.close()
        except library.PdfiumError as error:
            raise InputError(f"{path}, page {number + 1} cannot be drawn ({error})") from None
    return image
