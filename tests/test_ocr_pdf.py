"""PDF files in and out: pages drawn, text that can be copied, places that are right, faults named."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw

pikepdf = pytest.importorskip("pikepdf", reason="needs the extra ocr")
pdfium = pytest.importorskip("pypdfium2", reason="needs the extra ocr")
pytest.importorskip("fontTools", reason="needs the extra ocr")

from varco_vision.errors import InputError  # noqa: E402
from varco_vision.geometry import Box  # noqa: E402
from varco_vision.infer.answer import Word  # noqa: E402
from varco_vision.infer.pages import Page  # noqa: E402
from varco_vision.infer.searchable import write_pdf  # noqa: E402
from varco_vision.infer.sources import Sheet, expand, sheets  # noqa: E402

WORDS = [
    Word("대한민국", Box(0.1, 0.1, 0.3, 0.15), 0.9),
    Word("헌법", Box(0.33, 0.1, 0.45, 0.15), 0.8),
    Word("제1조①", Box(0.1, 0.2, 0.3, 0.25), 0.7),
    Word("(民主)", Box(0.35, 0.2, 0.5, 0.25), 0.6),
    Word("뷁", Box(0.1, 0.4, 0.15, 0.45), 0.5),
    Word("a<b>&\\(c", Box(0.2, 0.4, 0.5, 0.45), 0.5),
    Word("😀\ue123", Box(0.55, 0.4, 0.7, 0.45), 0.5),
]
TEXT = "대한민국 헌법\n제1조① (民主)\n뷁 a<b>&\\(c 😀\ue123"


def picture(width=600, height=800):
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).rectangle((60, 80, 180, 120), fill="red")
    return image


def extracted(path, number=0):
    document = pdfium.PdfDocument(path)
    page = document[number]
    text = page.get_textpage()
    return text.get_text_range().replace("\r\n", "\n").strip(), text, page


def test_words_can_be_copied_and_lie_in_their_places(tmp_path):
    path = tmp_path / "out.pdf"
    image = picture()
    write_pdf([(Sheet(tmp_path / "a.png"), image, Page(WORDS, 600, 800))], path)
    text, textpage, page = extracted(path)
    assert text == TEXT
    width, height = page.get_size()
    assert (width, height) == pytest.approx((600 * 72 / 200, 800 * 72 / 200))
    found = textpage.search("헌법").get_next()
    left, bottom, right, top = textpage.get_rect(0) if found is None else _hull(textpage, *found)
    assert (left / width, 1 - top / height, right / width, 1 - bottom / height) == pytest.approx(
        (0.33, 0.1, 0.45, 0.15), abs=0.01
    )
    drawn = page.render(scale=200 / 72).to_pil().convert("RGB")
    assert drawn.size == (600, 800)
    assert drawn.getpixel((120, 100))[0] > 240 and drawn.getpixel((120, 100))[1] < 20
    assert min(drawn.crop((210, 60, 500, 400)).getextrema()[1]) > 240, "the text is invisible"


def _hull(textpage, start, count):
    boxes = [textpage.get_charbox(k) for k in range(start, start + count)]
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, [50, 60, 450, 560]])
def test_layer_over_a_pdf_page_follows_rotation_and_crop(tmp_path, turn, crop):
    """The red mark of the page as drawn gets the word; the word's place must be that of the mark."""
    source = pikepdf.new()
    source.add_blank_page(page_size=(500, 700))
    source.pages[0].Contents = pikepdf.Stream(source, b"1 0 0 rg 100 500 80 40 re f")
    source.pages[0].Rotate = turn
    if crop:
        source.pages[0].CropBox = crop
    source.save(tmp_path / "in.pdf")
    (sheet,) = sheets(tmp_path / "in.pdf", dpi=72)
    image = sheet.load()
    expected = (500, 700) if not crop else (400, 500)
    assert image.size == (expected if turn % 180 == 0 else expected[::-1])
    left, top, right, bottom = image.convert("RGB").point(lambda v: 255 - v).getchannel("G").getbbox()
    mark = Box.from_pixels(left, top, right, bottom, *image.size)
    write_pdf([(sheet, image, Page([Word("표시", mark, 1.0)], *image.size))], tmp_path / "out.pdf")
    text, textpage, page = extracted(tmp_path / "out.pdf")
    assert text == "표시"
    corners = _hull(textpage, 0, 2)
    assert corners == pytest.approx((100, 500, 180, 540), abs=1.5), "in the page's own coordinates"
    assert page.render(scale=1).to_pil().convert("RGB").tobytes() == image.tobytes(), "it looks as before"


def test_page_of_a_pdf_keeps_its_own_text(tmp_path):
    source = pikepdf.new()
    source.add_blank_page(page_size=(300, 300))
    page = source.pages[0]
    page.Resources = pikepdf.Dictionary(
        Font=pikepdf.Dictionary(
            F1=pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
        )
    )
    page.Contents = pikepdf.Stream(source, b"BT /F1 20 Tf 20 250 Td (Hello) Tj ET 2 0 0 2 0 0 cm")
    source.save(tmp_path / "in.pdf")
    (sheet,) = sheets(tmp_path / "in.pdf")
    write_pdf([(sheet, sheet.load(), Page([Word("안녕", Box(0.1, 0.5, 0.4, 0.6), 1.0)], 833, 833))], tmp_path / "o.pdf")
    text, textpage, _ = extracted(tmp_path / "o.pdf")
    assert text.split() == ["Hello", "안녕"]
    first = _hull(textpage, *textpage.search("안녕").get_next())
    assert first == pytest.approx((30, 120, 120, 150), abs=1.5), "the page's unfinished scaling does not move it"


def test_many_pages_and_frames(tmp_path):
    frames = [picture(40 + k, 50) for k in range(3)]
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    found = sheets(tmp_path / "a.tiff")
    assert [(s.name, s.load().size) for s in found] == [(f"a.tiff, page {k + 1}", (40 + k, 50)) for k in range(3)]
    frames[0].save(tmp_path / "b.pdf", save_all=True, append_images=frames[1:], resolution=72)
    pages = sheets(tmp_path / "b.pdf", dpi=144)
    assert [s.load().size for s in pages] == [(80 + 2 * k, 100) for k in range(3)]
    (tmp_path / "b.pdf").rename(tmp_path / "b.png")
    assert len(sheets(tmp_path / "b.png")) == 3, "a PDF is known by its content"
    (tmp_path / "c.txt").write_text("no picture")
    assert [str(name) for _, name in expand([tmp_path])] == ["a.tiff", "b.png"]
    write_pdf([(Sheet(tmp_path / "x.png"), picture(128, 131), Page([], 128, 131))], tmp_path / "d.pdf")
    assert sheets(tmp_path / "d.pdf")[0].load().size == (128, 131), "drawn at its own dpi a picture keeps its size"
    out = io.BytesIO()
    write_pdf([(s, s.load(), Page([], *s.load().size)) for s in found], out)
    assert len(pdfium.PdfDocument(out.getvalue())) == 3


def test_faults_are_one_sentence(tmp_path):
    locked = pikepdf.new()
    locked.add_blank_page()
    locked.save(tmp_path / "locked.pdf", encryption=pikepdf.Encryption(owner="o", user="u"))
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\n" + b"\x00garbage" * 50)
    (tmp_path / "empty.pdf").write_bytes(b"")
    huge = pikepdf.new()
    huge.add_blank_page(page_size=(14000, 14000))
    huge.save(tmp_path / "huge.pdf")
    with pytest.raises(InputError, match="locked by a password"):
        sheets(tmp_path / "locked.pdf")
    with pytest.raises(InputError, match="no readable PDF"):
        sheets(tmp_path / "broken.pdf")
    with pytest.raises(InputError, match="empty"):
        sheets(tmp_path / "empty.pdf")[0].load()
    with pytest.raises(InputError, match="lower --dpi"):
        sheets(tmp_path / "huge.pdf")[0].load()
    with pytest.raises(InputError, match="dpi is 5"):
        sheets(tmp_path / "huge.pdf", dpi=5)
    with pytest.raises(InputError, match="does not exist"):
        list(expand([tmp_path / "none"]))
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="holds no picture"):
        list(expand([tmp_path / "folder"]))


def test_missing_library_names_the_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pikepdf", None)
    with pytest.raises(InputError, match=r"varco-vision-open\[ocr\]"):
        write_pdf([], tmp_path / "x.pdf")
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(InputError, match=r"varco-vision-open\[ocr\]"):
        sheets(tmp_path / "a.pdf")
