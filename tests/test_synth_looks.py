"""Bent faces: stretched, slanted, bolder and thinner letters whose boxes still fit their ink."""

import random

import numpy as np
import pytest
from PIL import Image

from varco_vision.errors import InputError
from varco_vision.synth import fonts
from varco_vision.synth.dense import DenseConfig, dense_batch
from varco_vision.synth.words import PLAIN, Look, WordStock, random_look, set_word

FONT = str(fonts.split_fonts("train")[0])


def drawn(setting):
    """The setting's ink on white, as darkness [H, W], and the box that it claims."""
    image = Image.new("RGB", (setting.width + 40, setting.height + 40), "white")
    box = setting.draw(image, 20, 20, (0, 0, 0))
    return 255 - np.asarray(image.convert("L")).astype(int), box


@pytest.mark.parametrize("look", [Look(0.8), Look(1.2, 0.2), Look(1.0, -0.1, 0.7), Look(0.9, 0.1, -1)], ids=str)
def test_boxes_fit_bent_ink(look):
    dark, box = drawn(set_word("힘찬gQ값", FONT, 33, look))
    ys, xs = np.nonzero(dark)
    assert np.abs(np.subtract((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), box)).max() == 0


def test_each_part_of_a_look_does_what_it_says():
    plain, _ = drawn(set_word("한글", FONT, 40))
    wide, narrow = set_word("한글", FONT, 40, Look(1.2)), set_word("한글", FONT, 40, Look(0.8))
    assert wide.width / narrow.width == pytest.approx(1.5, abs=0.06)
    assert wide.height == narrow.height
    bold, _ = drawn(set_word("한글", FONT, 40, Look(weight=0.7)))
    thin, _ = drawn(set_word("한글", FONT, 40, Look(weight=-1)))
    assert thin.sum() < plain.sum() < bold.sum()


def test_a_slant_leans_to_the_right_above_the_base_line():
    dark, _ = drawn(set_word("l", FONT, 60, Look(slant=0.2)))
    rows = np.flatnonzero(dark.sum(1))
    middle = [np.average(np.arange(dark.shape[1]), weights=dark[y]) for y in (rows[5], rows[-5])]
    assert middle[0] - middle[1] == pytest.approx(0.2 * (rows[-5] - rows[5]), abs=1.0)


def test_no_share_leaves_streams_as_they_were():
    rng = random.Random(3)
    state = rng.getstate()
    assert random_look(rng, 0.0) == PLAIN
    assert rng.getstate() == state
    looks = {random_look(rng, 1.0) for _ in range(500)}
    assert len(looks) > 50
    assert set(next(zip(*looks, strict=True))) == {0.8, 0.9, 1.0, 1.1, 1.2}


def test_a_page_in_bent_faces_keeps_its_labels():
    plain, bent = (dense_batch(range(6), DenseConfig(text=1.0, bent=b), 4) for b in (0.0, 1.0))
    assert bent["glyph_mask"].mean() > 0.5 * plain["glyph_mask"].mean()
    for k in range(6):  # where a letter is said to stand, there is ink: these patches vary more than the empty ones
        image = bent["images"][k].astype(float).mean(-1).reshape(8, 16, 8, 16).std((1, 3))
        mask = bent["glyph_mask"][k].reshape(8, 8)
        if mask.any() and (~mask).any():
            assert image[mask].mean() > image[~mask].mean()


def test_a_wrong_share_is_refused():
    with pytest.raises(InputError, match="bent=1.5"):
        WordStock(bent=1.5)
