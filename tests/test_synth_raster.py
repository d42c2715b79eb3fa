"""Pillow's inner ways give what its outer ways give: tables, ink out of FreeType, tilted pieces, light before paint."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from varco_vision.errors import InputError
from varco_vision.synth import backgrounds, degrade, line_source, raster, typeset
from varco_vision.synth.fonts import load_font
from varco_vision.synth.line_source import Lines
from varco_vision.synth.typeset import FAINT, faces, ink

TEXTS = ("한글", "값,", "Ag9", "l", "가나다라마바사", "!", "_", "뷁")


def noisy(mode: str, size: tuple[int, int], seed: int = 0) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], bands), np.uint8)
    return Image.fromarray(pixels.squeeze(-1) if bands == 1 else pixels, mode)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_table_is_that_of_point(mode: str) -> None:
    image = noisy(mode, (37, 19))
    table = np.random.default_rng(1).integers(0, 256, (len(image.getbands()), 256))
    made = raster.lookup(image, table)
    assert (made.mode, made.size) == (image.mode, image.size)
    assert made.tobytes() == image.point(table.ravel().tolist()).tobytes()
    assert (np.asarray(made).reshape(-1, len(table)) == [[row[v] for row, v in zip(table, p, strict=True)] for p in np.asarray(image).reshape(-1, len(table))]).all()  # fmt: skip


def test_a_table_for_other_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="wrong number of lut entries"):
        raster.lookup(noisy("RGB", (4, 4)), np.zeros((1, 256), int))


def test_a_drawn_text_becomes_a_picture_with_its_pixels() -> None:
    drawn, _ = load_font(faces("train", "text")[0], 40).getmask2("한글", mode="L")
    made = raster.as_image(drawn)
    assert (made.mode, made.size) == ("L", drawn.size)
    assert made.tobytes() == bytes(drawn)  # pixel by pixel, the slow way


@pytest.mark.parametrize("level", [0, 40, 254])
def test_the_box_above_a_level(level: int) -> None:
    image = Image.new("L", (30, 20), level)
    assert raster.above(image.im, level) is None
    image.putpixel((4, 3), level + 1)
    image.putpixel((20, 11), 255)
    assert raster.above(image.im, level) == (4, 3, 21, 12)


@pytest.mark.parametrize("text", TEXTS)
def test_ink_is_what_pillow_draws(text: str) -> None:
    """Pasted through its mask in the wanted place, a word's ink equals `ImageDraw.text` on every pixel (tolerance: 1 of 255,
    the rounding of two ways to mix), but for pixels at the rim that are fainter than `FAINT`."""
    for font in [f for f in faces("train", "all") if typeset.drawable(f, text)][:12]:
        for size in (17, 40):
            plain = Image.new("L", (12 * size, 4 * size), 0)
            pen = (3 * size, 2 * size)
            ImageDraw.Draw(plain).text(pen, text, font=load_font(font, size), fill=255, anchor="ls")
            made = ink(font, size, text)
            own = Image.new("L", plain.size, 0)
            at = (pen[0] + made.left, pen[1] + made.top)
            own.paste(255, at, made.mask)
            wanted = np.asarray(plain, int)
            inside = np.zeros(wanted.shape, bool)
            inside[at[1] : at[1] + made.mask.height, at[0] : at[0] + made.mask.width] = True
            assert np.abs(np.asarray(own, int) - wanted)[inside].max() <= 1, (font, size)
            assert wanted[~inside].max() <= FAINT, (font, size)
            solid = np.argwhere(wanted > FAINT)
            top, left = solid.min(0)
            bottom, right = solid.max(0) + 1
            assert (left, top, right, bottom) == (*at, at[0] + made.mask.width, at[1] + made.mask.height)
            assert made.advance == load_font(font, size).getlength(text)


def test_ink_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="no visible character"):
        ink(faces("train", "text")[0], 20, " ")


def looked_at(font: str, character: str) -> bool:
    """Whether a glyph is one of the face's own, by drawing it and all stand-ins: no shortcut by sizes."""
    face = load_font(font, typeset._PROBED)

    def drawn(c: str) -> tuple[tuple[int, int], bytes]:
        mask = face.getmask(c, mode="L")
        return mask.size, bytes(mask)

    rare = [drawn(c) for c in typeset._RARE]
    stand_ins = {drawn("\uffff"), drawn("\U000e0fff"), *(one for one in rare if rare.count(one) > 1)}
    one = drawn(character)
    return any(one[1]) and one not in stand_ins


def test_glyphs_are_judged_without_drawing_as_with_it() -> None:
    rng = random.Random(8)
    characters = [
        *"가힣뷁쀍a.,-·|—₩€℃①",
        *(typeset.rare_syllable(rng) for _ in range(20)),
        "\ue000",
        "\uffff",
        "ⵣ",
        "𓀀",
    ]
    judged = {True: 0, False: 0}
    for font in (*faces("train", "all", latin=True)[::7], *faces("eval", "all")[::4]):
        for character in characters:
            found = typeset.drawable(font, character)
            assert found == looked_at(font, character), (font, character)
            judged[found] += 1
    assert min(judged.values()) > 20, judged


@pytest.mark.parametrize("shift", [(0, 0), (13, 5)])
def test_a_tilted_piece_is_cut_out_of_the_tilted_picture(shift: tuple[int, int]) -> None:
    """Ink tilted alone, in its own frame, against the whole picture tilted by `Warp.image` (tolerance: 2 of 255)."""
    size = (180, 64)
    warp = degrade.Warp(degrade.card(*size, [(-4, -2), (184, -5), (187, 69), (-1, 66)]))
    piece = noisy("L", (60, 24))
    whole = Image.new("L", size, 0)
    at = (40 + shift[0], 16 + shift[1])
    whole.paste(piece, at)
    bent = np.asarray(warp.image(whole, size), int)
    frame = (30, 8, 140, 58)
    cut = np.asarray(warp.part(piece, at, frame), int)
    assert cut.shape == (50, 110)
    wanted = bent[frame[1] : frame[3], frame[0] : frame[2]]
    # pixels at the piece's own rim are mixed with black in the whole picture, and cut off in the piece
    inner = Image.new("L", size, 0)
    inner.paste(255, (at[0] + 2, at[1] + 2, at[0] + 58, at[1] + 22))
    sure = np.asarray(warp.image(inner, size))[frame[1] : frame[3], frame[0] : frame[2]] == 255
    assert sure.sum() > 900
    assert np.abs(cut - wanted)[sure].max() <= 2


def test_light_before_paint_is_light_after_it() -> None:
    """A faint ground with light taken into its table equals the ground made first and lit then (no tolerance)."""
    after = degrade.light_table(0.7, 1.1, (1.0, 0.95, 0.9))
    for index in range(6):
        size = ((90, 40), (400, 64))[index % 2]
        lit = backgrounds.faint(random.Random(index), size, "train", (200, 90, 30), 0.7, after)
        plain = backgrounds.faint(random.Random(index), size, "train", (200, 90, 30), 0.7)
        assert lit.tobytes() == plain.point(after.ravel().tolist()).tobytes()


def test_lines_hold_the_ink_they_speak_of() -> None:
    """Without harm and tilt a line is its ground with the ink of its words, drawn by plain Pillow, in one colour."""
    source = Lines(5, harm=0.0, skew=0.0, truth=True)
    checked = 0
    for index in range(40):
        words, inks, places, width, _ = source._set(random.Random(index))
        layer, at = line_source._layer(inks, places, 3)
        plain = Image.new("L", (width, source.height), 0)
        for made, (x, y) in zip(inks, places, strict=True):
            draw = ImageDraw.Draw(plain)
            face = load_font(made.font, made.size)
            draw.text((x - made.left, y - made.top), made.text, font=face, fill=255, anchor="ls")
        own = Image.new("L", plain.size, 0)
        own.paste(layer, at)
        assert np.abs(np.asarray(own, int) - np.asarray(plain, int)).max() <= FAINT
        assert [m.text for m in inks] == words
        checked += np.asarray(own).max() > 200
    assert checked > 35
