"""Pictures in: any common file to upright RGB, and RGB to the views that the vision tower sees.

`views` equals the pixels of transformers' `LlavaOnevisionImageProcessorPil` before rescaling and normalising.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig, TilePlan

Source = str | os.PathLike | bytes | bytearray | memoryview | Image.Image

MAX_PIXELS = 178_956_970  # where Pillow itself refuses: a file of a few bytes can claim to be any size
# Only formats that Pillow decodes itself: EPS, for one, would run another program on the file.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
ACCEPTED = "a JPEG, PNG, WebP, GIF, TIFF or BMP picture"
WHITE = (255, 255, 255, 255)
FULL_16_BIT = 65535

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load(source: Source, max_pixels: int = MAX_PIXELS, name: str | None = None) -> Image.Image:
    """The picture as people see it: RGB, rotated as its EXIF or XMP orientation says, transparency over white.

    source: a path, the bytes of a file, or a PIL picture (its current frame); files give their first frame.
    max_pixels: larger pictures are refused before any pixel is decoded; above the default Pillow's own limit holds.
    name: what error messages call the picture; left out, its path.
    More than 8 bits a channel are scaled to 8. Colour profiles are not applied (nor are they by transformers).
    Raises `InputError` for what is missing, empty, truncated, no picture or too large. Pillow's own settings are not
    changed.
    """
    name = name or _name(source)
    if isinstance(source, Image.Image):
        return _decoded(source, max_pixels, name)
    if not isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)):
        raise InputError(f"{name} is no picture; give a path, the bytes of a file or a PIL picture")
    file = _file(source, name) if isinstance(source, (str, os.PathLike)) else io.BytesIO(source)
    with file:
        if not file.read(1):
            raise InputError(f"{name} is empty (0 bytes); give {ACCEPTED}")
        file.seek(0)
        with _opened(file, name) as image:
            return _decoded(image, max_pixels, name)


def views(
    image: Image.Image,
    plan: TilePlan,
    config: AnyResConfig,
    pad_colour: tuple[int, int, int] = (127, 127, 127),
) -> np.ndarray:
    """The views of an RGB picture, uint8 [view_count, tile, tile, 3]; `plan` must be made for its size and `config`.

    First the base view (the whole picture, stretched), then the tiles row by row of the picture scaled with its ratio
    kept and centred on black. When both would be the same pixels (`plan.shared`) there is one view. In one-view mode
    the picture is padded to a square with `pad_colour` (transformers: int(mean * 255)) and then scaled.
    Raises `InputError` when picture, plan and config do not belong together.
    """
    if image.mode != "RGB":
        raise InputError(f"the picture has mode {image.mode}; views need RGB, which pictures.load gives")
    if image.size != (plan.width, plan.height):
        found, planned = "{} x {}".format(*image.size), f"{plan.width} x {plan.height}"
        raise InputError(f"the picture has {found} pixels but its plan is for {planned}; plan and picture must agree")
    tile = config.tile
    if (plan.tile, plan.side) != (tile, config.side):
        raise InputError(f"the plan is for tile {plan.tile} with side {plan.side}, not for {tile} with {config.side}")
    if plan.single:
        return np.asarray(_scaled(_padded(image, plan, pad_colour), (tile, tile)))[None].copy()
    base = np.asarray(_scaled(image, (tile, tile)))
    if plan.shared:
        return base[None].copy()
    canvas = np.asarray(_padded(_scaled(image, plan.resized), plan, (0, 0, 0)))
    columns, rows = plan.grid
    tiles = canvas.reshape(rows, tile, columns, tile, 3).transpose(0, 2, 1, 3, 4).reshape(-1, tile, tile, 3)
    return np.concatenate([base[None], tiles])


def _scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _padded(image: Image.Image, plan: TilePlan, colour: tuple[int, int, int]) -> Image.Image:
    if image.size == plan.canvas:
        return image
    canvas = Image.new("RGB", plan.canvas, colour)
    canvas.paste(image, plan.offset)
    return canvas


def _name(source: object) -> str:
    """What to call a picture in an error message."""
    if isinstance(source, (str, os.PathLike)):
        text = os.fspath(source)
        return os.fsdecode(text) if len(text) <= 300 else f"{os.fsdecode(text)[:300]}..."
    if isinstance(source, Image.Image):
        return str(getattr(source, "filename", "") or f"the PIL picture (mode {source.mode})")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"the picture given as {len(source)} bytes"
    return f"the {type(source).__name__} {source!r:.100}"


def _file(path: str | os.PathLike, name: str) -> io.BufferedReader:
    """An open regular file, or `InputError` that says what is there instead."""
    if isinstance(path, str) and path.split(":", 1)[0].lower() in {"http", "https", "data", "s3", "gs"}:
        raise InputError(f"{name} is a web address, which is not fetched; download it and give the file's path")
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{name} is a directory; give the path of {ACCEPTED}")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise InputError(f"{name} is no regular file; give the path of {ACCEPTED}")
        return Path(path).open("rb")
    except FileNotFoundError:
        raise InputError(f"{name} does not exist; give the path of {ACCEPTED}") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror}); give the path of {ACCEPTED}") from error
    except InputError:
        raise
    except ValueError as error:  # a null byte in the path
        raise InputError(f"{name!r} is no possible path ({error}); give the path of {ACCEPTED}") from error


def _opened(file: io.IOBase, name: str) -> Image.Image:
    """The picture with its header read, or `InputError`."""
    Image.init()  # registers every format; some are missing from some builds
    formats = [form for form in FORMATS if form in Image.OPEN]
    try:
        return Image.open(file, formats=formats)
    except Image.UnidentifiedImageError:
        raise InputError(f"{name} is no picture or its header is damaged; give {ACCEPTED}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name} is too large for Pillow ({error}); scale it down first") from error
    except Exception as error:  # decoders raise whatever comes up in a damaged file
        raise InputError(f"{name} has a damaged header ({_reason(error)}); give {ACCEPTED}") from error


def _decoded(image: Image.Image, max_pixels: int, name: str) -> Image.Image:
    """Opened picture to upright RGB without any metadata."""
    width, height = image.size
    if width < 1 or height < 1:
        raise InputError(f"{name} has {width} x {height} pixels; a picture needs at least one each way")
    if width * height > max_pixels:
        found = f"{width} x {height} pixels"
        raise InputError(f"{name} has {found}, more than the {max_pixels:,} allowed; scale it down first")
    try:
        image.load()
    except Exception as error:  # as above; the caller learns the decoder's reason
        raise InputError(f"{name} is damaged or cut off ({_reason(error)}); give a complete file") from error
    # Only now: Pillow turns TIFF files itself while it decodes them and then drops the tag.
    turn = _UPRIGHT.get(_orientation(image, name))
    try:
        rgb = _rgb(image, name)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name} (mode {image.mode}) cannot be made RGB ({_reason(error)}); save it as PNG") from error
    upright = rgb.transpose(turn) if turn is not None else rgb
    upright = upright.copy() if upright is image else upright  # the caller's picture stays the caller's
    upright.info = {}
    upright.getexif().clear()  # a second load must not turn it again
    return upright


def _reason(error: Exception) -> str:
    """The decoder's message on one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _orientation(image: Image.Image, name: str) -> int:
    """The orientation 1..8 from EXIF or XMP; 1 when there is none."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:  # damaged metadata around sound pixels is common on the web; viewers show those upright
        warnings.warn(f"{name}: damaged EXIF data ignored ({_reason(error)})", stacklevel=4)
        return 1


def _rgb(image: Image.Image, name: str) -> Image.Image:
    """Any Pillow mode to RGB, transparency over white."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _eight_bit(image, name).convert("RGB")
    if image.mode == "RGB" and image.info.get("transparency") is None:
        return image
    if not _transparent(image):
        return image.convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")  # Pillow knows no direct way from premultiplied grey
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image).convert("RGB")


def _transparent(image: Image.Image) -> bool:
    """Whether any pixel may be transparent: an alpha channel, a transparent colour, or a palette with alpha."""
    if image.mode in {"RGBA", "RGBa", "LA", "La", "PA"} or image.info.get("transparency") is not None:
        return True
    return image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A")


def _eight_bit(image: Image.Image, name: str) -> Image.Image:
    """Modes I;16*, I and F to L. 16-bit files span 0..65535 by definition.

    For I and F the range is a guess from the values: 0..1 (F), 0..255, 0..65535, else from the least to the greatest.
    """
    values = np.asarray(image)
    clear = image.info.get("transparency")
    hidden = values == clear if isinstance(clear, int) else None
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds infinite or undefined values; give finite ones")
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16") or image.format == "PNG":  # a PNG in mode I is a 16-bit one read by an old Pillow
        floor, full = 0.0, float(FULL_16_BIT)
    elif low >= 0 and high <= FULL_16_BIT:
        ranges = (1.0, 255.0, float(FULL_16_BIT)) if image.mode == "F" else (255.0, float(FULL_16_BIT))
        floor, full = 0.0, next(top for top in ranges if high <= top)
    else:
        floor, full = low, high - low or 1.0
    exact = np.float32 if values.dtype.itemsize == 2 else np.float64
    grey = np.clip(np.rint((values.astype(exact) - floor) * (255 / full)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey if hidden is None else np.where(hidden, np.uint8(255), grey))
