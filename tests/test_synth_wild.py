"""Writing in pictures: boxes are those of the ink, nothing leaves the picture, no glyph is drawn that the face lacks."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.synth import degrade, typeset
from varco_vision.synth.documents.render import DocumentConfig, document, page
from varco_vision.synth.fonts import can_draw, load_font
from varco_vision.synth.line_source import Lines
from varco_vision.synth.strings import TextStock
from varco_vision.synth.typeset import Sheet, drawable, faces, ink, rare_syllable
from varco_vision.synth.wild import CARRIERS, WildConfig, carrier, wild_picture
from varco_vision.synth.words import word_split

SMALL = WildConfig(size=((200, 200), (260, 180)), text_px=(14, 24), words=(1, 20), harm=0.2)


def pixel_box(mask: Image.Image) -> tuple[int, int, int, int] | None:
    return mask.point([255 * (v > 110) for v in range(256)]).getbbox()


def iou(a: tuple, b: tuple, size: tuple[int, int]) -> float:
    boxes = [Box.from_pixels(*(float(v) for v in box), *size, clip=True) for box in (a, b)]
    return boxes[0].iou(boxes[1])


def rendered(flat_size: tuple[int, int], word: typeset.Word, warp: degrade.Warp, size: tuple[int, int]):
    """The box of a word's ink, measured in pixels after its mask went the same way as the picture."""
    assert word.mask is not None
    alone = Image.new("L", flat_size, 0)
    alone.paste(word.mask, word.place)
    return pixel_box(warp.image(alone, size))


def test_boxes_of_a_thousand_words_equal_the_rendered_ink() -> None:
    found: list[float] = []
    index = 0
    while len(found) < 1000:
        made = wild_picture(random.Random(index), SMALL)
        index += 1
        for flat, warp, first in made.layers:
            for k, word in enumerate(flat.sheet.words):
                box = rendered(flat.sheet.image.size, word, warp, made.image.size)
                assert box is not None, word.text
                found.append(iou(made.words[first + k].box, box, made.image.size))
    assert np.mean(found) >= 0.9
    print(f"mean IoU of {len(found)} words: {np.mean(found):.4f}")
    assert np.percentile(found, 5) >= 0.75  # a comma or a dash is a few pixels large


def inked(image: Image.Image, box: tuple) -> tuple[float, ...] | None:
    """The box of what stands out from the ground around `box`, read from the picture's pixels alone."""
    x0, y0 = max(0, int(box[0]) - 4), max(0, int(box[1]) - 4)
    part = np.asarray(image.convert("L").crop((x0, y0, int(box[2]) + 4, int(box[3]) + 4)), int)
    rim = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]])
    far = abs(part - np.median(rim))
    solid = far > max(40, far.max() / 2)
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if not len(rows):
        return None
    return x0 + columns[0], y0 + rows[0], x0 + columns[-1] + 1, y0 + rows[-1] + 1


@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_boxes_of_lines_lie_around_what_the_picture_shows(skew: float) -> None:
    source = Lines(3, harm=0.0, skew=skew, truth=True)
    found = []
    for index in range(150):
        made, _ = source.made(index)
        word = made.truth["words"][0] if len(made.truth["words"]) == 1 else None
        if word is None or len(word["text"]) < 2:
            continue
        w, h = made.images[0].size
        box = (word["box"][0] * w, word["box"][1] * h, word["box"][2] * w, word["box"][3] * h)
        shown = inked(made.images[0], box)
        assert shown is not None, (index, word["text"])
        found.append(iou(box, shown, (w, h)))
    assert len(found) > 80
    assert np.mean(found) >= 0.9, np.mean(found)


def test_boxes_of_the_wild_lie_around_what_the_picture_shows() -> None:
    """On posters without harm; bent and tilted as ever, and read from the finished picture."""
    config = replace(SMALL, carriers=("poster",), harm=0.0, backgrounds=("plain",), tilt=0.5)
    found = []
    for index in range(120):
        made = wild_picture(random.Random(index), config)
        for word in made.words:
            x0, y0, x1, y1 = word.box
            apart = all(
                o is word or o.box[0] > x1 + 5 or o.box[2] < x0 - 5 or o.box[1] > y1 + 5 or o.box[3] < y0 - 5
                for o in made.words
            )
            if apart and len(word.text) > 1 and x1 - x0 > 12 and y1 - y0 > 8:
                shown = inked(made.image, word.box)
                assert shown is not None, (index, word.text)
                found.append(iou(word.box, shown, made.image.size))
    assert len(found) > 60
    assert np.mean(found) >= 0.85, np.mean(found)  # rims of posters run through a few of the cuts


def test_a_fine_blur_is_as_wide_as_a_wide_one() -> None:
    """`soften` spreads a point with the variance that is asked for, by either way of doing it, and keeps its brightness."""
    point = Image.new("L", (41, 41), 0)
    point.putpixel((20, 20), 255)
    for sigma in (0.0, 0.3, 0.5, 0.7, 0.8, 1.2, 2.0):
        made = np.asarray(degrade.soften(point, sigma), float)
        assert abs(made.sum() - 255) < 26
        variance = (made.sum(0) * (np.arange(41) - 20) ** 2).sum() / made.sum()
        assert abs(variance - sigma**2) < 0.12 * max(0.5, sigma**2), sigma
    flat = Image.new("RGB", (9, 9), (200, 90, 3))
    assert all(degrade.soften(flat, s).tobytes() == flat.tobytes() for s in (0.05, 0.4, 0.8, 1.5))


@pytest.mark.parametrize("look", ["scan", "photo"])
def test_boxes_on_documents_equal_the_rendered_ink(look: str) -> None:
    config = DocumentConfig(looks=(look,), size=((360, 480),))
    found = []
    for index in range(3):
        shown = document(random.Random(index), config)
        assert shown.warp is not None
        flat = (shown.doc.sheet.image.width, shown.doc.sheet.image.height)
        for word in shown.doc.sheet.words:
            box = rendered(flat, word, shown.warp, shown.image.size)
            if box is not None and (box[2] - box[0]) * (box[3] - box[1]) >= 40:
                found.append(iou(word.box, box, shown.image.size))
    assert len(found) > 20
    assert np.mean(found) >= 0.9


@pytest.mark.parametrize("kind", CARRIERS)
def test_nothing_leaves_the_picture(kind: str) -> None:
    config = WildConfig(size=((160, 200),), text_px=(14, 40), words=(1, 12), tilt=1.0, carriers=(kind,))
    for index in range(12):
        made = wild_picture(random.Random(index), config)
        assert made.words
        for word in made.words:
            x0, y0, x1, y1 = word.box
            assert -0.5 <= x0 < x1 <= made.image.width + 0.5, (kind, index, word.text)
            assert -0.5 <= y0 < y1 <= made.image.height + 0.5, (kind, index, word.text)


@pytest.mark.parametrize("kind", CARRIERS)
def test_flat_words_lie_on_their_carrier_and_are_inked(kind: str) -> None:
    for index in range(6):
        flat = carrier(random.Random(index), SMALL, (180, 180), 6, kind)
        for word in flat.sheet.words:
            assert word.mask is not None and word.mask.getbbox() is not None
            x0, y0, x1, y1 = word.box
            assert (
                x0 >= -0.5 and y0 >= -0.5 and x1 <= flat.sheet.image.width + 0.5 and y1 <= flat.sheet.image.height + 0.5
            )


def test_no_face_draws_a_glyph_that_it_lacks() -> None:
    rng = random.Random(4)
    syllables = [rare_syllable(rng) for _ in range(25)]
    for split in ("train", "eval"):
        for font in faces(split, "all"):
            face = load_font(font, 24)
            missing = {bytes(face.getmask(c, mode="L")) for c in ("\uffff", "\U000e0fff")}
            for syllable in syllables:
                drawn = bytes(face.getmask(syllable, mode="L"))
                if drawable(font, syllable):
                    assert any(drawn) and drawn not in missing, (font, syllable)
                    assert can_draw(font, syllable)
                else:
                    with pytest.raises(InputError, match="has no glyph"):
                        ink(font, 24, syllable)


def test_rare_syllables_that_look_alike_are_not_drawn() -> None:
    """A face that draws one stand-in for many syllables would teach that stand-in as all of them."""
    rng = random.Random(5)
    syllables = [rare_syllable(rng) for _ in range(120)]
    for font in faces("train", "text")[:8]:
        face = load_font(font, 32)
        drawn = [bytes(face.getmask(s, mode="L")) for s in dict.fromkeys(syllables) if drawable(font, s)]
        assert len(drawn) == len(set(drawn)), font


def test_drawable_notices_a_font_without_hangul() -> None:
    latin = [f for f in faces("train", "all", latin=True) if not can_draw(f, "한")]
    if not latin:
        pytest.skip("every face on this machine has Hangul")
    assert drawable(latin[0], "Word") and not drawable(latin[0], "한글")


def test_all_syllables_are_reachable_and_rare_ones_are_drawn_on_purpose() -> None:
    rng = random.Random(0)
    seen = {rare_syllable(rng) for _ in range(120_000)}
    assert len(seen) == 11_172
    stock = TextStock(rare=0.5, marks=0.0)
    words = [stock.word(random.Random(k)) for k in range(400)]
    common = {c for w in words for c in w if "가" <= c <= "힣"}
    assert len(common) > 300
    plain = TextStock(rare=0.0, marks=0.0)
    assert len(common) > 1.3 * len({c for k in range(400) for c in plain.word(random.Random(k)) if "가" <= c <= "힣"})


def test_words_belong_to_their_split() -> None:
    for split in ("train", "eval"):
        stock = TextStock(split=split, marks=0.0)
        assert all(word_split(stock.word(random.Random(k))) == split for k in range(200))


def test_warp_moves_points_as_it_moves_pixels() -> None:
    wave = np.linspace(0, 12, 120)
    warp = degrade.Warp(degrade.card(120, 90, [(20, 12), (150, 4), (160, 120), (8, 100)]), wave)
    for x, y in ((30, 20), (60, 40), (100, 60)):
        image = Image.new("L", (120, 90), 0)
        image.paste(255, (x, y, x + 8, y + 8))
        box = pixel_box(warp.image(image, (180, 140)))
        assert box is not None
        edge = [(x + a, y + b) for a in (0, 8) for b in range(9)] + [(x + a, y + b) for b in (0, 8) for a in range(9)]
        moved = typeset.bounds(warp.points(np.array(edge, float)))
        assert np.abs(np.array(moved) - np.array(box)).max() <= 1.3


def test_outline_is_the_box_of_the_solid_ink() -> None:
    mask = Image.new("L", (40, 30), 0)
    mask.paste(255, (5, 7, 21, 19))
    assert typeset.bounds(typeset.outline(mask, 100, 50)) == (105, 57, 121, 69)


def test_sheet_words_and_wrapping() -> None:
    font = faces("train", "text")[0]
    sheet = Sheet(Image.new("RGB", (300, 60), "white"))
    end = sheet.write("가나 다라 abc", 5, 40, font, 24, (0, 0, 0), "body")
    assert [w.text for w in sheet.words] == ["가나", "다라", "abc"]
    assert abs(end - 5 - sheet.room("가나 다라 abc", font, 24)) < 1
    lefts = [w.box[0] for w in sheet.words]
    assert lefts == sorted(lefts)
    lines = typeset.wrap("가나 다라 마바 사아 자차", font, 20, 90)
    assert " ".join(lines) == "가나 다라 마바 사아 자차" and len(lines) > 1
    assert all(sheet.room(line, font, 20) <= 90 for line in lines)


def test_lines_are_cut_close() -> None:
    source = Lines(0, "train", height=48, skew=0.5)
    for index in range(25):
        image, words = source.line(random.Random(index))
        assert image.height == 48
        for word in words:
            x0, y0, x1, y1 = word.box
            assert 0 <= x0 < x1 <= image.width and 0 <= y0 < y1 <= image.height


def test_a_page_too_small_for_its_writing_is_named() -> None:
    with pytest.raises(InputError, match="smaller text_px or larger size"):
        WildConfig(size=((30, 30),))
    with pytest.raises(InputError, match="smaller text_px or larger size"):
        DocumentConfig(size=((100, 100),), text_px=(20, 30))
    with pytest.raises(InputError, match="unknown carrier 'bill'"):
        WildConfig(carriers=("bill",))


def test_fields_of_a_page_are_written_where_they_are_said_to_be() -> None:
    config = DocumentConfig(looks=("flat",))
    for index in range(12):
        doc = page(random.Random(index), config)
        for found in doc.fields:
            words = [w.text.strip(",") for w in doc.sheet.words if w.role == f"field:{found.key}"]
            assert words == [part.strip(",") for part in found.value.split()], (doc.layout, found)
        for item_index, item in enumerate(doc.items):
            for column, text in item.items():
                assert " ".join(w.text for w in doc.sheet.words if w.role == f"item:{item_index}:{column}") == text


def test_receipts_add_up() -> None:
    config = DocumentConfig(kinds=("receipt",), looks=("flat",))
    for index in range(12):
        doc = page(random.Random(index), config)
        total = sum(int(i["amount"].replace(",", "")) for i in doc.items)
        for item in doc.items:
            assert int(item["price"].replace(",", "")) * int(item["quantity"]) == int(item["amount"].replace(",", ""))
        value = doc.value("total")
        if value is not None:
            assert int("".join(c for c in value if c.isdigit())) == total
