"""Pictures to the bytes of files: PNG where it is small, JPEG for pictures with the grain of a camera."""

from __future__ import annotations

import io

from PIL import Image

SMALL_PNG = 100_000  # bytes
QUALITY = 92


def encode(image: Image.Image) -> bytes:
    """A picture as PNG, or as JPEG (quality 92, no subsampling) when the PNG takes more than 100 kB."""
    kept = io.BytesIO()
    image.convert("RGB").save(kept, "PNG", compress_level=6)
    if kept.tell() <= SMALL_PNG:
        return kept.getvalue()
    kept = io.BytesIO()
    image.convert("RGB").save(kept, "JPEG", quality=QUALITY, subsampling=0)
    return kept.getvalue()
