"""One geometry: how a picture becomes tiles, tiles become a feature map, and the map becomes token positions.

Everything that has to know where picture tokens come from (tokenizing, collating, the model, drawing) asks `plan`.
It is the "AnyRes" layout of LLaVA-OneVision (arXiv 2408.03326, `anyres_max_N` with `spatial_unpad`) and equals what
transformers' `LlavaOnevision` classes do, both the processor's count and the model's layout of features.

Units: picture and canvas sides in pixels, map sides in cells (one cell = one patch feature of the vision tower).
Pairs are (width, height) or (columns, rows), except where a name or docstring says (height, width).

Whole numbers are computed with whole numbers. Three steps are computed in binary floating point on purpose, because
there the reference's rounding decides which tokens exist and published checkpoints were trained on that: the choice
of the canvas, the size after the resize, and the cap (a 135 x 135 map shrinks to 80 x 80 and not to 81 x 81).

Very thin pictures: at 10,000 x 3 pixels the picture's strip is thinner than one cell. The reference trims the map
symmetrically, so an odd map keeps one row (or column) and an even map keeps none. Both are kept as they are, because
other programs that serve our checkpoints count the same way: the base view, which is never trimmed, still shows the
whole picture. With no columns left, the newline of each map row remains; with no rows left, nothing of the map does.
The cap never shrinks a side below one cell (where the reference would fail on an empty interpolation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import index as as_int

import numpy as np

from varco_vision.errors import InputError

CAP_TOLERANCE = 1.1  # the map is shrunk only when its side exceeds the cap by more than this factor
NEWLINE = -1  # index of the newline vector in `TilePlan.gather()`
FLOAT_NOISE = 1e-6  # how far a box may stick out of 0..1: rounding of pixel arithmetic, far below one pixel


def grid_pinpoints(tile: int, longest: int = 6) -> tuple[tuple[int, int], ...]:
    """All (height, width) canvases of up to `longest` tiles a side, in transformers' order (height first)."""
    sides = range(tile, longest * tile + 1, tile)
    return tuple((height, width) for height in sides for width in sides)


@dataclass(frozen=True)
class AnyResConfig:
    """How pictures are tiled.

    tile: side of a view in pixels. patch: side of a patch in pixels; what does not fill a patch is cut off by the tower
    (384 / 14 gives 27 cells a side). max_tiles: N of `anyres_max_N`; maps of clearly more than N tiles shrink to N.
    pinpoints: the allowed canvases as (height, width) in pixels, multiples of `tile`; left out: 1..6 x 1..6 tiles.
    Raises `InputError` when these do not fit together.
    """

    tile: int = 384
    patch: int = 14
    max_tiles: int = 9
    pinpoints: tuple[tuple[int, int], ...] = None  # type: ignore[assignment]  # None is filled in below, for this tile

    def __post_init__(self) -> None:
        for name in ("tile", "patch", "max_tiles"):
            object.__setattr__(self, name, _positive(getattr(self, name), name))
        if self.patch > self.tile:
            raise InputError(f"patch is {self.patch} pixels but tile only {self.tile}; a tile must hold a whole patch")
        pairs = grid_pinpoints(self.tile) if self.pinpoints is None else self.pinpoints
        object.__setattr__(self, "pinpoints", tuple(_pinpoint(pair, self.tile) for pair in pairs))
        if not self.pinpoints:
            raise InputError(
                f"pinpoints is empty; name at least one (height, width) such as ({self.tile}, {self.tile})"
            )

    @property
    def side(self) -> int:
        """Cells along one side of a view."""
        return self.tile // self.patch

    def limited(self, max_tiles: int) -> AnyResConfig:
        """The same tiling with only the canvases of at most `max_tiles` tiles; the cap stays as it is."""
        most = _positive(max_tiles, "max_tiles") * self.tile**2
        kept = tuple(pair for pair in self.pinpoints if pair[0] * pair[1] <= most)
        if not kept:
            smallest = min(height * width for height, width in self.pinpoints) // self.tile**2
            raise InputError(f"no canvas has {max_tiles} tiles or fewer; the smallest pinpoint has {smallest}")
        return replace(self, pinpoints=kept)


@dataclass(frozen=True)
class TilePlan:
    """Where every picture token of one picture comes from.

    width, height: the picture in pixels. tile, side: of the config. single: one-view mode.
    grid: (columns, rows) of tiles. resized: (width, height) of the picture inside the canvas. offset: (x, y) of its
    upper left corner there. unpadded: (height, width) of the map in cells once the padding is trimmed.
    final: the same after the cap. view_count: views for the tower; the base view is first, then tiles row by row.
    In one-view mode the canvas is the square around the unscaled picture, which then shrinks to one view, and
    grid is (1, 1), unpadded and final are (side, side).
    """

    width: int
    height: int
    tile: int
    side: int
    grid: tuple[int, int]
    resized: tuple[int, int]
    offset: tuple[int, int]
    unpadded: tuple[int, int]
    final: tuple[int, int]
    single: bool = False

    @property
    def canvas(self) -> tuple[int, int]:
        """(width, height) in pixels of what is cut into tiles; in one-view mode the square that shrinks to a view."""
        if self.single:
            return max(self.width, self.height), max(self.width, self.height)
        return self.grid[0] * self.tile, self.grid[1] * self.tile

    @property
    def shared(self) -> bool:
        """True when base view and only tile hold the same pixels (square picture on one tile): the tower sees one."""
        return not self.single and self.grid == (1, 1) and self.resized == (self.tile, self.tile)

    @property
    def view_count(self) -> int:
        """Number of views given to the vision tower."""
        return 1 if self.single or self.shared else 1 + self.grid[0] * self.grid[1]

    @property
    def token_count(self) -> int:
        """Number of picture tokens: the base view's cells, then the map with a newline after each row."""
        rows, columns = self.final
        return self.side**2 + (1 if self.single else rows * (columns + 1))

    @property
    def is_copy(self) -> bool:
        """True when every token is one unmixed cell, so that the weights of `gather()` may be left out."""
        if self.unpadded == self.final:
            return True
        return bool((self.gather()[1][:, 0] == 1).all())

    def gather(self) -> tuple[np.ndarray, np.ndarray]:
        """For every token its source: indices int32 [token_count, 4] and weights float32 [token_count, 4].

        An index is view * side * side + row * side + column, or -1 for the newline vector. Unused slots repeat the
        first index with weight 0. The four slots are the bilinear neighbours where the map is shrunk, as in
        torch's `interpolate(mode="bilinear", align_corners=False)`, computed in float32 like there.
        The arrays are shared between equal layouts and read-only.
        """
        top, left = _trim(self.side * self.grid[1], self.unpadded[0]), _trim(self.side * self.grid[0], self.unpadded[1])
        return _layout(
            side=self.side,
            columns=self.grid[0],
            corner=(top, left),
            unpadded=self.unpadded,
            final=self.final,
            shared=self.shared,
            single=self.single,
        )

    def to_canvas(self, box: Box) -> tuple[float, float, float, float]:
        """A box of the picture as x1, y1, x2, y2 in canvas pixels (after resizing and padding)."""
        x1, y1, x2, y2 = box.to_pixels(*self.resized)
        left, top = self.offset
        return x1 + left, y1 + top, x2 + left, y2 + top

    def from_canvas(self, x1: float, y1: float, x2: float, y2: float, clip: bool = False) -> Box:
        """The box of the picture at these canvas pixels; errors and `clip` as in `Box.from_pixels`."""
        left, top = self.offset
        return Box.from_pixels(x1 - left, y1 - top, x2 - left, y2 - top, *self.resized, clip=clip)


def plan(width: int, height: int, config: AnyResConfig, single: bool = False) -> TilePlan:
    """Tiles, map and tokens of one picture of `width` x `height` pixels (after EXIF rotation).

    single: the one-view layout, used when a sample has several pictures and in feature alignment: the picture padded
    to a square, side * side tokens and one newline. Raises `InputError` for a side below one pixel.
    """
    width, height = _positive(width, "picture width"), _positive(height, "picture height")
    side = config.side
    if single:
        square = max(width, height)
        return TilePlan(
            width, height, config.tile, side, (1, 1), (width, height), ((square - width) // 2, (square - height) // 2),
            (side, side), (side, side), single=True,
        )  # fmt: skip
    canvas_height, canvas_width = _best_canvas(width, height, config.pinpoints)
    grid = (canvas_width // config.tile, canvas_height // config.tile)
    resized = _resized(width, height, canvas_width, canvas_height)
    offset = ((canvas_width - resized[0]) // 2, (canvas_height - resized[1]) // 2)
    unpadded = _unpadded(width, height, side * grid[0], side * grid[1])
    final = _capped(unpadded, side, config.max_tiles)
    return TilePlan(width, height, config.tile, side, grid, resized, offset, unpadded, final)


def plan_sample(sizes: Sequence[tuple[int, int]], config: AnyResConfig, single: bool = False) -> list[TilePlan]:
    """Plans for all pictures of a sample, (width, height) each; with more than one picture each gets a single view."""
    return [plan(width, height, config, single=single or len(sizes) > 1) for width, height in sizes]


def _positive(value: int, name: str) -> int:
    """`value` as a plain int of at least 1, or `InputError`."""
    try:
        number = as_int(value)
    except TypeError:
        raise InputError(f"{name} is {value!r}; it must be a whole number of at least 1") from None
    if isinstance(value, bool) or number < 1:
        raise InputError(f"{name} is {value!r}; it must be a whole number of at least 1")
    return number


def _pinpoint(pair: Sequence[int], tile: int) -> tuple[int, int]:
    """One checked (height, width) canvas."""
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise InputError(f"pinpoint {pair!r} is no pair; each must be (height, width) in pixels")
    height, width = (_positive(value, "pinpoint side") for value in pair)
    if height % tile or width % tile:
        raise InputError(f"pinpoint ({height}, {width}) is no multiple of the tile; both sides must divide by {tile}")
    return height, width


def _best_canvas(width: int, height: int, pinpoints: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The (height, width) that keeps most of the picture's pixels, then wastes least; the first one wins a tie.

    In floating point like the reference: `int(w * (W / w))` may be W - 1, and that decides ties.
    """

    def merit(pair: tuple[int, int]) -> tuple[int, int]:
        scale = min(pair[1] / width, pair[0] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - pair[0] * pair[1]

    return max(pinpoints, key=merit)


def _resized(width: int, height: int, canvas_width: int, canvas_height: int) -> tuple[int, int]:
    """(width, height) of the picture scaled into the canvas with its ratio kept; sides round up, as the reference's."""
    scale_x, scale_y = canvas_width / width, canvas_height / height
    if scale_x < scale_y:
        return canvas_width, min(math.ceil(height * scale_x), canvas_height)
    return min(math.ceil(width * scale_y), canvas_width), canvas_height


def _unpadded(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    """(height, width) in cells of a `rows` x `columns` map without the rows or columns that hold only padding.

    The picture's share is rounded down to cells and the margin is halved rounding down, so up to one cell of padding
    stays on each side.
    """
    if width * rows > columns * height:
        return rows - 2 * _trim(rows, _share(height, columns, width)), columns
    return rows, columns - 2 * _trim(columns, _share(width, rows, height))


def _share(length: int, cells: int, other: int) -> int:
    """length * cells / other, rounded to 7 decimals and then down, in whole numbers.

    The reference rounds to hide float error; it matters to the result only where `other` exceeds 10 million pixels.
    """
    return (2 * 10**7 * length * cells + other) // (2 * other) // 10**7


def _trim(whole: int, part: int) -> int:
    """Cells cut from each end so that about `part` of `whole` remain."""
    return (whole - part) // 2


def _capped(unpadded: tuple[int, int], side: int, max_tiles: int) -> tuple[int, int]:
    """(height, width) in cells after the cap of `anyres_max_N`: maps of much more than N tiles shrink to N tiles."""
    height, width = unpadded
    ratio = math.sqrt(height * width / (max_tiles * side**2))
    if ratio <= CAP_TOLERANCE:
        return unpadded
    return max(1, int(height // ratio)), max(1, int(width // ratio))


@lru_cache(maxsize=256)  # a layout of 8,000 tokens is 256 KB
def _layout(
    *,
    side: int,
    columns: int,
    corner: tuple[int, int],
    unpadded: tuple[int, int],
    final: tuple[int, int],
    shared: bool,
    single: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """`TilePlan.gather`. columns: tiles side by side; corner: (row, column) of the untrimmed map where it begins."""
    base = _copies(np.arange(side * side, dtype=np.int32))
    if single:
        parts = [base, _copies(np.array([NEWLINE], np.int32))]
    else:
        near_y, far_y, weight_y = _neighbours(unpadded[0], final[0])
        near_x, far_x, weight_x = _neighbours(unpadded[1], final[1])
        ys, xs = (near_y + corner[0], far_y + corner[0]), (near_x + corner[1], far_x + corner[1])
        cells = [_cell(y[:, None], x[None, :], side, columns, shared) for y in ys for x in xs]
        shares = [wy[:, None] * wx[None, :] for wy in (1 - weight_y, weight_y) for wx in (1 - weight_x, weight_x)]
        parts = [base, _with_newlines(np.stack(cells, -1), np.stack(shares, -1))]
    indices = np.concatenate([part[0] for part in parts])
    weights = np.concatenate([part[1] for part in parts])
    indices = np.where(weights == 0, indices[:, :1], indices)  # an unused slot must not touch a foreign cell
    indices.setflags(write=False)
    weights.setflags(write=False)
    return indices, weights


def _copies(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [N] that are plain copies: indices [N, 4], weights [N, 4] = (1, 0, 0, 0)."""
    weights = np.zeros((len(indices), 4), np.float32)
    weights[:, 0] = 1
    return np.repeat(indices[:, None], 4, axis=1), weights


def _neighbours(cells: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `wanted` samples of a line of `cells`: near cell, far cell and the far one's float32 weight.

    Half-pixel centres: source = (i + 1/2) * cells / wanted - 1/2, not below 0. torch rounds the scale to float32 and
    then once more at the end (a fused multiply-add); other roundings differ by up to 2e-5 in the weights.
    """
    if cells == wanted:
        line = np.arange(cells, dtype=np.int32)
        return line, line, np.zeros(cells, np.float32)
    scale = np.float64(np.float32(cells) / np.float32(wanted))
    source = np.maximum(scale * (np.arange(wanted) + 0.5) - 0.5, 0).astype(np.float32)
    near = np.minimum(source.astype(np.int32), cells - 1)
    return near, np.minimum(near + 1, cells - 1), source - near.astype(np.float32)


def _cell(row: np.ndarray, column: np.ndarray, side: int, columns: int, shared: bool) -> np.ndarray:
    """Flat feature index of a cell of the untrimmed map; the tiles follow the base view unless they share it."""
    view = row // side * columns + column // side + (0 if shared else 1)
    return (view * side + row % side) * side + column % side


def _with_newlines(indices: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Map [H, W, 4] to tokens [H * (W + 1), 4]: a newline after each row."""
    newline, share = _copies(np.full(len(indices), NEWLINE, np.int32))
    indices = np.concatenate([indices.astype(np.int32), newline[:, None]], axis=1)
    weights = np.concatenate([weights.astype(np.float32), share[:, None]], axis=1)
    return indices.reshape(-1, 4), weights.reshape(-1, 4)


@dataclass(frozen=True)
class Box:
    """A rectangle in parts of the picture as people see it (after EXIF rotation): 0 <= x1 <= x2 <= 1, y likewise.

    Raises `InputError` when corners are swapped, not finite, or outside by more than rounding (1e-6).
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        for name in ("x1", "y1", "x2", "y2"):
            object.__setattr__(self, name, _coordinate(getattr(self, name), name))
        if self.x1 > self.x2 or self.y1 > self.y2:
            raise InputError(f"the corners of box {self._numbers} are swapped; it must have x1 <= x2 and y1 <= y2")
        if min(self._numbers) < -FLOAT_NOISE or max(self._numbers) > 1 + FLOAT_NOISE:
            raise InputError(
                f"box {self._numbers} reaches outside the picture; coordinates are parts of it, from 0 to 1"
            )

    @property
    def _numbers(self) -> tuple[float, float, float, float]:
        return self.x1, self.y1, self.x2, self.y2

    @classmethod
    def from_pixels(
        cls, x1: float, y1: float, x2: float, y2: float, width: int, height: int, clip: bool = False
    ) -> Box:
        """The box at these pixel coordinates of a `width` x `height` picture.

        clip: cut off what reaches outside. A box wholly outside is an `InputError` all the same.
        """
        width, height = _positive(width, "picture width"), _positive(height, "picture height")
        names = ("x1", "y1", "x2", "y2")
        corners = tuple(map(_coordinate, (x1, y1, x2, y2), names))
        if clip:
            if corners[2] < 0 or corners[3] < 0 or corners[0] > width or corners[1] > height:
                raise InputError(f"box {corners} lies outside the picture of {width} x {height} pixels")
            ends = (width, height, width, height)
            corners = tuple(min(max(value, 0.0), float(end)) for value, end in zip(corners, ends, strict=True))
        return cls(corners[0] / width, corners[1] / height, corners[2] / width, corners[3] / height)

    def to_pixels(self, width: int, height: int) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 in pixels (not rounded) of a `width` x `height` picture."""
        width, height = _positive(width, "picture width"), _positive(height, "picture height")
        return self.x1 * width, self.y1 * height, self.x2 * width, self.y2 * height

    def clipped(self) -> Box:
        """The box without the rounding error that `Box` tolerates: every coordinate exactly within 0..1."""
        return Box(*(min(max(value, 0.0), 1.0) for value in self._numbers))

    @property
    def area(self) -> float:
        """Part of the picture that the box covers, 0..1."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    def iou(self, other: Box) -> float:
        """Intersection over union, 0..1. Boxes without area: 1 for equal boxes, else 0."""
        if self == other:
            return 1.0
        wide = min(self.x2, other.x2) - max(self.x1, other.x1)
        high = min(self.y2, other.y2) - max(self.y1, other.y1)
        if wide <= 0 or high <= 0:
            return 0.0
        both = wide * high
        union = self.area + other.area - both
        return min(1.0, both / union) if union > 0 else 0.0  # tiny sides underflow to no area


def _coordinate(value: float, name: str) -> float:
    """`value` as a finite plain float, or `InputError`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"box coordinate {name} is {value!r}; it must be a number") from None
    if not math.isfinite(number):
        raise InputError(f"box coordinate {name} is {number}; it must be a finite number")
    return number
