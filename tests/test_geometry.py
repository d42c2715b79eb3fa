"""The AnyRes plan against transformers: the processor's count, the model's layout and the model's feature values."""

import dataclasses
import math
import random
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlavaOnevisionProcessor
from transformers.models.llava_onevision.modeling_llava_onevision import (
    LlavaOnevisionModel,
    get_anyres_image_grid_shape,
    image_size_to_num_patches,
    unpad_image,
)

from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig, Box, grid_pinpoints, plan, plan_sample

VARCO = AnyResConfig()
NANO_PINPOINTS = tuple(
    (h, w) for h in (128, 256, 384, 512) for w in (128, 256, 384, 512) if h * w <= 4 * 128 * 128
)  # fmt: skip
CONFIGS = {
    "varco": VARCO,
    "varco-stage2": VARCO.limited(4),
    "varco-2.0": AnyResConfig(tile=384, patch=16),
    "varco-2.0-max4": AnyResConfig(tile=384, patch=16, max_tiles=4),
    "varco-2.0-max16": AnyResConfig(tile=384, patch=16, max_tiles=16, pinpoints=grid_pinpoints(384, 8)),
    "nano": AnyResConfig(tile=128, patch=16, max_tiles=4, pinpoints=NANO_PINPOINTS),
    "one-tile-cap": AnyResConfig(tile=128, patch=16, max_tiles=1, pinpoints=grid_pinpoints(128, 4)),
}
EXTREME = [
    *[(1, 1), (1, 5000), (5000, 1), (2, 4999), (10_000, 3), (3, 10_000), (100_000, 1), (1, 100_000)],
    *[(3000, 10), (10, 3000)],  # an even map keeps no row or no column of these
    (1_000_000_000, 37_037_037),  # 5.999999994 cells: rounding to 7 decimals makes it 6
]


def random_sizes(seed: int, count: int) -> list[tuple[int, int]]:
    """(width, height): uniform, log-uniform, near-square and near-canvas sizes, with the extremes in front."""
    rng = random.Random(seed)
    sizes = list(EXTREME)
    while len(sizes) < count:
        kind = rng.randrange(4)
        if kind == 0:
            sizes.append((rng.randint(1, 5000), rng.randint(1, 5000)))
        elif kind == 1:
            sizes.append((int(5000 ** rng.random()), int(5000 ** rng.random())))
        elif kind == 2:
            side = rng.randint(1, 5000)
            sizes.append((side, max(1, side + rng.randint(-2, 2))))
        else:
            sizes.append(tuple(max(1, 128 * rng.randint(1, 18) + rng.randint(-1, 1)) for _ in range(2)))
    return sizes


def processor_count(width: int, height: int, config: AnyResConfig) -> int:
    """What transformers' processor puts into the text."""
    stand_in = SimpleNamespace(
        image_processor=SimpleNamespace(image_grid_pinpoints=[list(pair) for pair in config.pinpoints]),
        num_image_tokens=config.side**2,
        vision_aspect_ratio=f"anyres_max_{config.max_tiles}",
    )
    stand_in._get_unpadded_features = partial(LlavaOnevisionProcessor._get_unpadded_features, stand_in)
    return LlavaOnevisionProcessor._get_number_of_features(stand_in, height, width, config.tile, config.tile)


def reference_features(views: torch.Tensor, newline: torch.Tensor, size: tuple[int, int], config: AnyResConfig):
    """The model's picture tokens [N, D] from features [V, P, D]; size is (width, height)."""
    stand_in = SimpleNamespace(
        config=SimpleNamespace(
            vision_config=SimpleNamespace(image_size=config.tile, patch_size=config.patch),
            image_grid_pinpoints=[list(pair) for pair in config.pinpoints],
        )
    )
    packed, lengths = LlavaOnevisionModel.pack_image_features(
        stand_in,
        [views],
        torch.tensor([[size[1], size[0]]]),
        image_newline=newline,
        vision_aspect_ratio=f"anyres_max_{config.max_tiles}",
    )
    assert lengths.tolist() == [len(packed[0])]
    return packed[0]


def gathered(views: torch.Tensor, newline: torch.Tensor, indices: np.ndarray, weights: np.ndarray) -> torch.Tensor:
    table = torch.cat([views.flatten(0, 1), newline[None]])
    return (table[torch.tensor(indices)] * torch.tensor(weights)[..., None]).sum(1)


@pytest.mark.parametrize(
    ("width", "height", "grid", "unpadded", "final", "tokens"),
    [
        (100, 100, (1, 1), (27, 27), (27, 27), 1485),
        (384, 384, (1, 1), (27, 27), (27, 27), 1485),
        (640, 480, (2, 2), (40, 54), (40, 54), 2929),
        (480, 640, (2, 2), (54, 40), (54, 40), 2943),
        (1024, 768, (3, 2), (54, 73), (54, 73), 4725),
        (1280, 720, (4, 2), (54, 96), (54, 96), 5967),
        (1920, 1080, (5, 3), (75, 135), (60, 108), 7269),
        (2304, 1728, (6, 5), (121, 162), (70, 93), 7309),
        (1654, 2339, (5, 6), (162, 115), (96, 68), 7353),
        (3000, 400, (6, 1), (21, 162), (21, 162), 4152),
    ],
)
def test_published_token_counts(width, height, grid, unpadded, final, tokens):
    made = plan(width, height, VARCO)
    assert (made.grid, made.unpadded, made.final, made.token_count) == (grid, unpadded, final, tokens)
    assert [len(part) for part in made.gather()] == [tokens, tokens]


def test_varco_2_token_counts():
    config = CONFIGS["varco-2.0"]
    counts = [plan(w, h, config).token_count for w, h in [(640, 480), (1920, 1080), (1654, 2339)]]
    assert counts == [2340, 5760, 5761]


@pytest.mark.parametrize("name", CONFIGS)
def test_count_grid_and_map_equal_transformers(name):
    """Over 20,000 sizes in all; the model's own functions run on tensors without storage."""
    config = CONFIGS[name]
    pairs = [list(pair) for pair in config.pinpoints]
    for width, height in random_sizes(seed=len(name), count=3000):
        made = plan(width, height, config)
        at = f"{name} {width} x {height}"
        assert made.token_count == processor_count(width, height, config), at
        rows, columns = get_anyres_image_grid_shape((height, width), pairs, config.tile)
        assert made.grid == (columns, rows), at
        blank = torch.empty(1, rows * config.side, columns * config.side, device="meta")
        assert made.unpadded == tuple(unpad_image(blank, (height, width)).shape[1:]), at
        views = image_size_to_num_patches((height, width), pairs, config.tile)
        assert made.view_count == (1 if made.shared else views), at


@pytest.mark.parametrize("name", CONFIGS)
def test_gathered_features_equal_the_model(name):
    config = CONFIGS[name]
    generator = torch.Generator().manual_seed(5)
    newline = torch.randn(3, generator=generator)
    shrunk = 0
    for size in random_sizes(seed=100 + len(name), count=70) + [(384, 384), (1600, 1600), (2304, 1728)]:
        made = plan(*size, config)
        tiles = made.grid[0] * made.grid[1]
        views = torch.randn(1 + tiles, config.side**2, 3, generator=generator)
        if made.shared:
            views[1] = views[0]  # equal pixels, equal features
        found = gathered(views[: made.view_count], newline, *made.gather())
        expected = reference_features(views, newline, size, config)
        assert found.shape == expected.shape, f"{name} {size}"
        assert (found - expected).abs().max() < 1e-5, f"{name} {size}"
        shrunk += made.unpadded != made.final
        plain = torch.cat([views[: made.view_count].flatten(0, 1), newline[None]])[torch.tensor(made.gather()[0][:, 0])]
        assert made.is_copy == torch.equal(plain, found)
    largest = max(height * width for height, width in config.pinpoints) / config.tile**2
    assert (shrunk > 5) == (largest > 1.21 * config.max_tiles)


def test_several_pictures_get_one_view_each():
    sizes = [(640, 480), (50, 900)]
    plans = plan_sample(sizes, VARCO)
    newline = torch.randn(3)
    for size, made in zip(sizes, plans, strict=True):
        assert made.single and made.view_count == 1 and made.token_count == 27 * 27 + 1
        views = torch.randn(1, 27 * 27, 3)
        expected = reference_features(views, newline, size, VARCO)
        torch.testing.assert_close(gathered(views, newline, *made.gather()), expected, atol=0, rtol=0)
    assert not plan_sample(sizes[:1], VARCO)[0].single
    assert plan_sample(sizes[:1], VARCO, single=True)[0] == plan(640, 480, VARCO, single=True)
    assert plan_sample([], VARCO) == []


@given(
    st.integers(1, 6000), st.integers(1, 6000), st.sampled_from(sorted(CONFIGS)), st.booleans()
)  # fmt: skip
def test_invariants_of_every_plan(width, height, name, single):
    config = CONFIGS[name]
    made = plan(width, height, config, single=single)
    indices, weights = made.gather()
    assert indices.shape == weights.shape == (made.token_count, 4)
    assert (indices.dtype, weights.dtype) == (np.int32, np.float32)
    assert not indices.flags.writeable and not weights.flags.writeable
    assert indices.min() >= -1 and indices.max() < made.view_count * config.side**2
    assert (weights >= 0).all() and np.allclose(weights.sum(1), 1, atol=1e-6)
    assert (indices[weights == 0] == np.repeat(indices[:, :1], 4, 1)[weights == 0]).all()
    assert (weights[:, 0] > 0).all()
    newlines = (indices[:, 0] == -1).sum()
    assert newlines == (1 if single else made.final[0])
    assert (indices[: config.side**2, 0] == np.arange(config.side**2)).all()
    assert made.offset[0] + made.resized[0] <= made.canvas[0] and made.offset[1] + made.resized[1] <= made.canvas[1]
    assert made.final[0] * made.final[1] <= 1.21 * config.max_tiles * config.side**2


@pytest.mark.parametrize("name", CONFIGS)
def test_thin_pictures_keep_what_the_model_keeps(name):
    """Down to maps without a row or without a column; the base view remains whole."""
    config = CONFIGS[name]
    newline = torch.ones(2)
    degenerate = 0
    for size in EXTREME:
        made = plan(*size, config)
        views = torch.randn(made.view_count if not made.shared else 2, config.side**2, 2)
        if made.shared:
            views[1] = views[0]
        expected = reference_features(views, newline, size, config)
        torch.testing.assert_close(gathered(views, newline, *made.gather()), expected, atol=1e-5, rtol=0)
        degenerate += 0 in made.final
    assert degenerate > 0 or config.side % 2


def test_cap_never_empties_a_side():
    """One row of ten one-cell tiles under a cap of one tile: the reference asks for a map of 0 rows and fails."""
    config = AnyResConfig(tile=16, patch=16, max_tiles=1, pinpoints=((16, 160),))
    made = plan(1000, 100, config)
    assert made.unpadded == (1, 10) and made.final == (1, 3)
    assert len(made.gather()[0]) == made.token_count == 1 + 1 * (3 + 1)


def test_shared_base_saves_a_view():
    square, oblong = plan(300, 300, VARCO), plan(300, 280, VARCO)
    assert square.shared and square.view_count == 1 and square.token_count == 1485
    assert not oblong.shared and oblong.view_count == 2
    indices = square.gather()[0][:, 0]
    assert (indices[729:].reshape(27, 28)[:, :27].ravel() == np.arange(729)).all()
    assert plan(1000, 999, VARCO.limited(1)).shared  # 383.6 rounds up to the whole tile
    assert not plan(300, 300, VARCO, single=True).shared


def test_config_defaults_and_limits():
    assert VARCO.side == 27 and len(VARCO.pinpoints) == 36
    assert VARCO.pinpoints[:2] == ((384, 384), (384, 768)) and VARCO.pinpoints[-1] == (2304, 2304)
    assert AnyResConfig(tile=128, patch=16).pinpoints[-1] == (768, 768)
    limited = VARCO.limited(4)
    assert {h * w // 384**2 for h, w in limited.pinpoints} == {1, 2, 3, 4} and len(limited.pinpoints) == 8
    assert limited.max_tiles == VARCO.max_tiles
    assert AnyResConfig(pinpoints=[[384, 768]]).pinpoints == ((384, 768),)
    assert hash(limited) == hash(dataclasses.replace(limited))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tile": 0}, "tile is 0"),
        ({"patch": -1}, "patch is -1"),
        ({"patch": 2.5}, "whole number"),
        ({"max_tiles": True}, "max_tiles is True"),
        ({"tile": 14, "patch": 16}, "whole patch"),
        ({"pinpoints": ((384, 400),)}, "no multiple"),
        ({"pinpoints": ((384,),)}, "no pair"),
        ({"pinpoints": (384, 768)}, "no pair"),
        ({"pinpoints": ((0, 384),)}, "pinpoint side is 0"),
        ({"pinpoints": ()}, "empty"),
    ],
)
def test_wrong_configs_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        AnyResConfig(**settings)


def test_wrong_sizes_are_refused():
    for size in [(0, 5), (5, 0), (-3, 4), (4.5, 4), ("4", 4)]:
        with pytest.raises(InputError, match="picture (width|height) is"):
            plan(*size, VARCO)
    with pytest.raises(InputError, match="smallest pinpoint has 4"):
        AnyResConfig(pinpoints=((768, 768),)).limited(2)
    assert plan(np.int64(640), np.int32(480), VARCO).token_count == 2929


parts = st.floats(0, 1)


@st.composite
def boxes(draw) -> Box:
    (x1, x2), (y1, y2) = sorted([draw(parts), draw(parts)]), sorted([draw(parts), draw(parts)])
    return Box(x1, y1, x2, y2)


@given(boxes(), st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(sorted(CONFIGS)), st.booleans())
def test_boxes_survive_resize_and_padding(box, width, height, name, single):
    """There and back again, with canvas coordinates rounded to a thousandth of a pixel as a drawing would."""
    made = plan(width, height, CONFIGS[name], single=single)
    x1, y1, x2, y2 = made.to_canvas(box)
    left, top, right, bottom = *made.offset, made.offset[0] + made.resized[0], made.offset[1] + made.resized[1]
    assert left - 1e-6 <= x1 <= x2 <= right + 1e-6 and top - 1e-6 <= y1 <= y2 <= bottom + 1e-6
    back = made.from_canvas(*(round(value, 3) for value in (x1, y1, x2, y2)), clip=True)
    for there, here, step in zip(
        dataclasses.astuple(box), dataclasses.astuple(back), [*made.resized, *made.resized], strict=True
    ):
        assert abs(there - here) <= 0.001 / step + 1e-9


@given(boxes(), st.integers(300, 1000), st.integers(300, 1000))
def test_written_boxes_are_within_a_pixel(box, width, height):
    """Three decimals, as the location language writes them, are less than one pixel at 1000 pixels."""
    written = Box(*(round(value, 3) for value in dataclasses.astuple(box)))
    for a, b in zip(box.to_pixels(width, height), written.to_pixels(width, height), strict=True):
        assert abs(a - b) < 1


@given(boxes(), st.integers(1, 100_000), st.integers(1, 100_000))
def test_pixel_round_trip(box, width, height):
    back = Box.from_pixels(*box.to_pixels(width, height), width, height)
    assert np.allclose(dataclasses.astuple(box), dataclasses.astuple(back), atol=1e-12)


@given(boxes(), boxes())
def test_iou_is_symmetric_and_bounded(a, b):
    assert 0 <= a.iou(b) <= 1 and a.iou(b) == b.iou(a) and a.iou(a) == 1
    assert not math.isnan(a.iou(b)) and 0 <= a.area <= 1


def test_iou_values():
    assert Box(0, 0, 0.5, 1).iou(Box(0.25, 0, 0.75, 1)) == pytest.approx(1 / 3)
    assert Box(0, 0, 0.5, 0.5).iou(Box(0.5, 0, 1, 1)) == 0  # touching
    assert Box(0.5, 0.5, 0.5, 0.5).iou(Box(0, 0, 1, 1)) == 0
    assert Box(0.5, 0, 0.5, 1).iou(Box(0.5, 0, 0.5, 0.5)) == 0
    assert Box(0, 0, 1, 1).iou(Box(0, 0, 1, 1)) == 1


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        ((0.6, 0, 0.5, 1), "swapped"),
        ((0, 0.6, 1, 0.5), "swapped"),
        ((-0.01, 0, 1, 1), "outside"),
        ((0, 0, 1.001, 1), "outside"),
        ((0, 0, 320, 240), "outside"),
        ((0, 0, math.nan, 1), "finite"),
        ((0, 0, 1, math.inf), "finite"),
        ((0, 0, 1, "x"), "number"),
        ((None, 0, 1, 1), "number"),
    ],
)
def test_wrong_boxes_are_refused(corners, message):
    with pytest.raises(InputError, match=message):
        Box(*corners)


def test_clipping_only_where_asked():
    with pytest.raises(InputError, match="outside"):
        Box.from_pixels(-5, 0, 50, 120, 100, 100)
    assert Box.from_pixels(-5, 0, 50, 120, 100, 100, clip=True) == Box(0, 0, 0.5, 1)
    with pytest.raises(InputError, match="outside"):
        Box.from_pixels(150, 0, 170, 20, 100, 100, clip=True)
    with pytest.raises(InputError, match="swapped"):
        Box.from_pixels(50, 0, 20, 20, 100, 100, clip=True)
    noisy = Box(-1e-9, 0, 1 + 1e-9, 1)
    assert noisy.clipped() == Box(0, 0, 1, 1) and noisy != noisy.clipped()


def test_box_numbers_are_plain_floats():
    box = Box(0, 0, np.float32(0.5), 1)
    assert [type(value) for value in dataclasses.astuple(box)] == [float] * 4 and str(box.x2) == "0.5"


def test_geometry_does_not_load_torch():
    import subprocess
    import sys

    code = "import sys, varco_vision.geometry; print('torch' in sys.modules or 'PIL' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
