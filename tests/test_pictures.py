"""Pictures: every file format and fault, upright and RGB; views equal to transformers' pixels."""

import io
import os
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw
from transformers import LlavaOnevisionImageProcessorPil
from transformers.image_transforms import convert_to_rgb

from varco_vision import pictures
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig, Box, plan, plan_sample
from varco_vision.pictures import load, views

LOSSLESS = {
    "png": {},
    "webp": {"lossless": True},
    "gif": {},
    "tif": {},
    "tiff": {"compression": "tiff_lzw"},
    "bmp": {},
    "ppm": {},
}
CONFIGS = {
    "384/14": AnyResConfig(),
    "384/16": AnyResConfig(tile=384, patch=16, max_tiles=4).limited(4),
    "nano": AnyResConfig(tile=128, patch=16, max_tiles=4).limited(4),
}


def noise(width: int, height: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def exif_with(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")
    )


# Formats and sources


@pytest.mark.parametrize("ending", LOSSLESS)
def test_lossless_formats_from_path_bytes_and_pil(tmp_path, ending):
    pixels = noise(40, 30)
    picture = Image.fromarray(pixels)
    if ending == "gif":
        picture = picture.quantize(64)
        pixels = np.asarray(picture.convert("RGB"))
    path = tmp_path / f"그림 1.{ending}"
    picture.save(path, **LOSSLESS[ending])
    with Image.open(path) as opened:
        sources = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), picture, opened]
        for source in sources:
            found = load(source)
            assert found.mode == "RGB" and type(found) is Image.Image and found.info == {}
            assert np.array_equal(np.asarray(found), pixels), type(source)


@pytest.mark.parametrize("options", [{"quality": 95}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_is_what_pillow_decodes(options):
    data = encoded(Image.fromarray(noise(70, 50)), "JPEG", **options)
    assert np.array_equal(np.asarray(load(data)), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG"])
def test_first_frame_of_several(form):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    frames = [Image.new("RGB", (20, 10), colour) for colour in colours]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert load(data).getpixel((3, 3)) == (255, 0, 0)


def test_extreme_shapes_and_forty_megapixels():
    for size in [(1, 1), (1, 3000), (3000, 1)]:
        assert load(encoded(Image.new("RGB", size, (1, 2, 3)), "PNG")).size == size
    large = encoded(Image.new("RGB", (8000, 5000), (9, 8, 7)), "JPEG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(large).size == (8000, 5000)


def test_the_callers_picture_stays_as_it_is():
    mine = Image.fromarray(noise(8, 6))
    mine.info["note"] = "mine"
    found = load(mine)
    found.putpixel((0, 0), (0, 0, 0))
    assert found is not mine and mine.info == {"note": "mine"}
    assert np.array_equal(np.asarray(mine), noise(8, 6))


# Modes


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_goes_over_white_as_in_transformers(mode):
    picture = Image.fromarray(noise(30, 20, len(mode)), mode)
    found = np.asarray(load(encoded(picture, "PNG")))
    assert np.array_equal(found, convert_to_rgb(picture, return_numpy=True))
    values = np.asarray(picture).astype(float)
    alpha = values[..., -1:] / 255
    assert np.abs(values[..., :-1] * alpha + 255 * (1 - alpha) - found).max() <= 1


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_transparent_palette_colour_is_white(form):
    picture = Image.new("P", (10, 10), 1)
    picture.putpalette([10, 20, 30, 200, 0, 0])
    picture.paste(0, (0, 0, 5, 10))
    found = load(encoded(picture, form, transparency=0))
    assert found.getpixel((2, 5)) == (255, 255, 255) and found.getpixel((7, 5)) == (200, 0, 0)


def test_palette_with_partial_alpha():
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([0, 0, 0])
    found = load(encoded(picture, "PNG", transparency=bytes([128])))
    assert found.getpixel((1, 1)) == (127, 127, 127)
    inside = Image.new("P", (4, 4), 0)
    inside.putpalette([0, 0, 0, 128], rawmode="RGBA")
    assert load(inside).getpixel((1, 1)) == (127, 127, 127)


def test_transparent_colour_of_rgb_and_grey():
    colour = Image.new("RGB", (4, 4), (1, 2, 3))
    colour.putpixel((0, 0), (50, 60, 70))
    found = load(encoded(colour, "PNG", transparency=(1, 2, 3)))
    assert found.getpixel((0, 0)) == (50, 60, 70) and found.getpixel((1, 1)) == (255, 255, 255)
    grey = Image.new("L", (4, 4), 9)
    assert load(encoded(grey, "PNG", transparency=9)).getpixel((1, 1)) == (255, 255, 255)
    assert load(encoded(grey, "PNG")).getpixel((1, 1)) == (9, 9, 9)


@pytest.mark.parametrize("mode", ["1", "L", "P", "PA", "La", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode):
    found = load(Image.new(mode, (7, 5)))
    assert found.mode == "RGB" and found.size == (7, 5)


def test_cmyk_jpeg_and_tiff_keep_their_colours():
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for form in ["JPEG", "TIFF"]:
        red, green, blue = load(encoded(picture, form)).getpixel((8, 8))
        assert red > 250 and green < 5 and blue < 5


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled(form):
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    found = np.asarray(load(encoded(Image.fromarray(values), form)))
    assert found[0, :, 0].tolist() == [0, 1, 128, 255] and (found == found[..., :1]).all()


def test_sixteen_bit_transparent_value():
    values = np.array([[0, 1000, 30000]], dtype=np.uint16)
    picture = Image.fromarray(values)
    picture.info["transparency"] = 1000
    assert np.asarray(load(picture))[0, :, 0].tolist() == [0, 255, 117]


def test_dark_sixteen_bit_png_read_by_an_old_pillow_stays_dark():
    picture = Image.fromarray(np.array([[0, 100, 255]], dtype=np.int32))
    picture.format = "PNG"  # Pillow before 11 gave these mode I, where small values could also mean 8 bits
    assert np.asarray(load(picture))[0, :, 0].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([0, 0.5, 1], np.float32, [0, 128, 255]),
        ([0, 100, 255], np.float32, [0, 100, 255]),
        ([0, 100, 255], np.int32, [0, 100, 255]),
        ([0, 1, 1], np.int32, [0, 1, 1]),
        ([0, 257, 65535], np.int32, [0, 1, 255]),
        ([-100, 0, 100], np.int32, [0, 128, 255]),
        ([0, 500_000, 1_000_000], np.int32, [0, 128, 255]),
        ([-7, -7, -7], np.float32, [0, 0, 0]),
    ],
)
def test_wide_values_are_scaled_to_eight_bits(values, kind, expected):
    found = np.asarray(load(Image.fromarray(np.array([values], dtype=kind))))
    assert np.abs(found[0, :, 0].astype(int) - expected).max() <= 1


# Orientation


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright_once(tmp_path, form, orientation):
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:8, :16], upright[:8, -8:], upright[-8:, :8] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),  # a camera held so that the viewer must turn it clockwise
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    path = tmp_path / "turned"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, form, exif=exif_with(orientation), **options)
    found = load(path)
    assert found.size == (40, 24)
    assert np.abs(np.asarray(found).astype(int) - upright).max() <= 12
    assert load(found).size == (40, 24) and load(Image.open(path)).size == (40, 24)
    assert np.array_equal(np.asarray(load(found)), np.asarray(found))


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_meaningless_orientation_is_upright(orientation):
    data = encoded(Image.new("RGB", (9, 4)), "JPEG", exif=exif_with(orientation))
    assert load(data).size == (9, 4)


def test_damaged_exif_does_not_cost_the_picture():
    data = encoded(Image.new("RGB", (9, 4), (5, 6, 7)), "PNG", exif=b"Exif\0\0garbage, no TIFF header")
    with pytest.warns(UserWarning, match="damaged EXIF"):
        assert load(data).getpixel((0, 0)) == (5, 6, 7)


# Faults


def test_truncated_files_are_refused(tmp_path):
    whole = Image.fromarray(noise(120, 90))
    cases = [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("GIF", {}), ("TIFF", {})]
    cases += [("TIFF", {"compression": "tiff_lzw"}), ("BMP", {})]
    for form, options in cases:
        data = encoded(whole, form, **options)
        for share in (0.02, 0.1, 0.5, 0.9, 0.99):
            path = tmp_path / f"cut-{share}.{form.lower()}"
            path.write_bytes(data[: int(len(data) * share)])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow also warns about cut TIFF directories
                with pytest.raises(InputError, match=path.name):
                    load(path)


def test_damaged_pixels_are_refused():
    data = bytearray(encoded(Image.fromarray(noise(120, 90)), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(InputError, match="damaged"):
        load(bytes(data))


def test_missing_empty_and_foreign_files(tmp_path):
    empty, text, fifo = tmp_path / "empty.png", tmp_path / "notes.jpg", tmp_path / "pipe"
    empty.write_bytes(b"")
    text.write_text("사진이 아니라 글입니다.", encoding="utf-8")
    os.mkfifo(fifo)
    faults = {
        tmp_path / "없음.png": "does not exist",
        tmp_path: "is a directory",
        empty: "is empty",
        text: "is no picture",
        fifo: "no regular file",
    }
    for path, message in faults.items():
        for source in (path, str(path)):
            with pytest.raises(InputError) as caught:
                load(source)
            shown = str(caught.value)
            assert str(path) in shown and message in shown and "JPEG, PNG" in shown and "\n" not in shown


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n", "header"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture"),
        ("https://example.com/a.png", "web address"),
        ("a\0b.png", "no possible path"),
        ("x" * 5000, "cannot be read"),
        (None, "is no picture"),
        (42, "is no picture"),
        (np.zeros((4, 4, 3), np.uint8), "is no picture"),
        (Image.new("RGB", (0, 5)), "0 x 5"),
        (Image.fromarray(np.array([[0, np.nan]], np.float32)), "infinite or undefined"),
    ],
)
def test_what_is_no_picture(source, message):
    with pytest.raises(InputError, match=message) as caught:
        load(source)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("size", [(50_000, 50_000), (2**31 - 1, 1), (1_000_000, 1_000_000)])
def test_header_bombs_are_refused_before_decoding(tmp_path, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(*size))
    with pytest.raises(InputError, match=r"bomb\.png.*too large"):
        load(path)


def test_limit_holds_without_pillows_own(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(InputError, match="50000 x 50000 pixels, more than the 178,956,970 allowed"):
        load(png_header(50_000, 50_000), name="a bomb")
    with pytest.raises(InputError, match="more than the 99 allowed"):
        load(Image.new("RGB", (10, 10)), max_pixels=99)
    assert load(Image.new("RGB", (10, 10)), max_pixels=100).size == (10, 10)


def test_pillows_settings_stay_untouched():
    from PIL import ImageFile

    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    load(encoded(Image.new("RGB", (5, 5)), "PNG"))
    with pytest.raises(InputError):
        load(png_header(50_000, 50_000))
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_given_name_is_in_the_message():
    with pytest.raises(InputError, match="sample 17, picture 2"):
        load(b"no", name="sample 17, picture 2")


# Views


def reference_pixels(batch: list, config: AnyResConfig, mean: float = 0.5) -> list[np.ndarray]:
    """uint8 [V, T, T, 3] per picture from transformers' processor without rescaling and normalising."""
    processor = LlavaOnevisionImageProcessorPil(
        size={"height": config.tile, "width": config.tile},
        image_grid_pinpoints=[list(pair) for pair in config.pinpoints],
        image_mean=[mean] * 3,
    )
    made = processor(batch, do_rescale=False, do_normalize=False, do_pad=False)["pixel_values"]
    return [np.asarray(pixels).transpose(0, 2, 3, 1) for pixels in made]


def some_sizes(seed: int, count: int) -> list[tuple[int, int]]:
    rng = random.Random(seed)
    sizes = [
        (1, 1),
        (1, 900),
        (900, 1),
        (2000, 3),
        (3, 2000),
        (384, 384),
        (128, 128),
        (640, 480),
        (500, 499),
        (129, 128),
    ]
    return sizes + [(int(1500 ** rng.random()), int(1500 ** rng.random())) for _ in range(count)]


@pytest.mark.parametrize("name", CONFIGS)
def test_views_equal_transformers(name):
    config = CONFIGS[name]
    shared = 0
    for size in some_sizes(seed=3, count=30):
        picture = Image.fromarray(noise(*size))
        made = plan(*size, config)
        found = views(picture, made, config)
        expected = reference_pixels([picture], config)[0]
        assert found.dtype == np.uint8 and found.shape == (made.view_count, config.tile, config.tile, 3)
        if made.shared:
            assert np.array_equal(expected[0], expected[1])
            expected = expected[:1]
            shared += 1
        assert np.array_equal(found, expected), size
        assert found.flags.writeable
    assert shared > 0


def test_one_pixel_off_square_shares_only_equal_pixels():
    """Base view and tile of an almost square picture on a single tile are the same resize."""
    config = CONFIGS["nano"].limited(1)
    for size in [(1000, 999), (999, 1000), (140, 139), (128, 127), (127, 128), (130, 130), (1000, 990)]:
        picture = Image.fromarray(noise(*size))
        expected = reference_pixels([picture], config)[0]
        assert plan(*size, config).shared == np.array_equal(expected[0], expected[1]), size


@pytest.mark.parametrize("name", CONFIGS)
def test_several_pictures_equal_transformers(name):
    config = CONFIGS[name]
    sizes = some_sizes(seed=4, count=10)
    batch = [Image.fromarray(noise(*size)) for size in sizes]
    plans = plan_sample(sizes, config)
    expected = reference_pixels([batch], config)
    for picture, made, pixels in zip(batch, plans, expected, strict=True):
        assert np.array_equal(views(picture, made, config), pixels), picture.size
    grey = reference_pixels([batch], config, mean=0.25)
    assert np.array_equal(views(batch[1], plans[1], config, pad_colour=(63, 63, 63)), grey[1])
    assert not np.array_equal(grey[1], expected[1])


def test_views_refuse_what_does_not_belong_together():
    config = CONFIGS["nano"]
    picture = Image.new("RGB", (60, 40))
    with pytest.raises(InputError, match="mode L"):
        views(picture.convert("L"), plan(60, 40, config), config)
    with pytest.raises(InputError, match="60 x 40 pixels but its plan is for 40 x 60"):
        views(picture, plan(40, 60, config), config)
    with pytest.raises(InputError, match="tile 128"):
        views(picture, plan(60, 40, config), CONFIGS["384/14"])


# Boxes through everything


def found_box(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """Pixel hull of the red rectangle: x1, y1, x2, y2."""
    mask = (pixels[..., 0] > 128) & (pixels[..., 1] < 128)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_box_of_the_rotated_picture(orientation):
    """A file stored sideways: the box is relative to the upright picture, and its canvas place finds it again."""
    stored = Image.new("RGB", (1000, 750), "white")
    ImageDraw.Draw(stored).rectangle((100, 200, 399, 649), fill="red")
    upright = load(encoded(stored, "PNG", exif=exif_with(orientation)))
    assert upright.size == ((1000, 750) if orientation < 5 else (750, 1000))
    drawn = found_box(np.asarray(upright))
    assert sorted((drawn[2] - drawn[0], drawn[3] - drawn[1])) == [300, 450]
    box = Box.from_pixels(*drawn, *upright.size)
    assert box.to_pixels(*upright.size) == pytest.approx(drawn, abs=1e-9)

    config = CONFIGS["384/14"]
    made = plan(*upright.size, config)
    tiles = views(upright, made, config)[1:]
    columns, rows = made.grid
    canvas = tiles.reshape(rows, columns, 384, 384, 3).transpose(0, 2, 1, 3, 4).reshape(rows * 384, columns * 384, 3)
    seen = made.from_canvas(*found_box(canvas), clip=True).to_pixels(*upright.size)
    assert np.abs(np.subtract(seen, drawn)).max() < 1
    assert np.abs(np.subtract(made.to_canvas(box), found_box(canvas))).max() < 1


def test_pictures_does_not_load_torch():
    import subprocess
    import sys

    code = "import sys, varco_vision.pictures; print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False" and pictures.MAX_PIXELS == 178_956_970
