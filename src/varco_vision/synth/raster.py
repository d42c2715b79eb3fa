"""Pillow without what its wrappers add: tables as they are, ink as FreeType drew it.

For pictures of a few thousand pixels Pillow's own work takes less time than the Python around it: `Image.point` rounds all
768 entries of a table one by one, and `bytes(mask)` asks for every pixel of a drawn text. `ImageFilter.MultibandFilter`, made
for filters of one's own, is a way round both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageFilter

Box = tuple[int, int, int, int]
Core = Any  # Pillow's storage of a picture, as `ImageFont` gives it


class _Through(ImageFilter.MultibandFilter):
    """Every channel through its part of a list of integers."""

    def __init__(self, table: list[int]) -> None:
        self.table = table

    def filter(self, image: Core) -> Core:
        return image.point(self.table, None)


class _Given(ImageFilter.MultibandFilter):
    """Whatever the picture was, this one."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def filter(self, image: Core) -> Core:
        return self.core


_ANY = Image.new("L", (1, 1))


def lookup(image: Image.Image, table: np.ndarray) -> Image.Image:
    """`Image.point` for a table [channels, 256] (or [256] for one channel) of integers 0..255."""
    return image.filter(_Through(table.ravel().tolist()))


def as_image(core: Core) -> Image.Image:
    """A picture around what `getmask` or `getmask2` of a font gave; the pixels are not copied."""
    return _ANY.filter(_Given(core))


def above(core: Core, level: int) -> Box | None:
    """The box of what is brighter than `level` in a drawn text of mode L, or None."""
    return core.point([0] * (level + 1) + [255] * (255 - level), "L").getbbox()
