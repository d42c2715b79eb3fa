"""The synthetic world: what is drawn, asked and answered agree, and every split keeps to itself."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from varco_vision.data.sample import text_of, validate
from varco_vision.errors import InputError
from varco_vision.synth import fonts, sources
from varco_vision.synth.dense import DenseConfig, dense_batch, jamo_indices
from varco_vision.synth.lexicon import COMMON_SYLLABLES, ENGLISH_WORDS, LATIN, NOUNS, ks_syllables, syllables
from varco_vision.synth.rng import stream
from varco_vision.synth.scenes import SceneConfig, make_scene
from varco_vision.synth.shapes import COLOURS, SHAPES, shape_mask
from varco_vision.synth.sources import SOURCES, evaluation_set, make_source, manifest
from varco_vision.synth.text_world import facts, held_out
from varco_vision.synth.words import WordStock, reading_order, script, set_word, word_split

PLAIN = SceneConfig(jitter=0)
RICH = SceneConfig(shapes=8, colours=8, max_objects=5, object_px=(24, 50), words=(0, 1), jitter=0)
TEXT = SceneConfig(min_objects=0, max_objects=0, words=(1, 3), inverted=0.3)
LINES = SceneConfig(size=(256, 128), min_objects=0, max_objects=0, lines=(1, 4), word_px=(24, 36))
FONT = str(fonts.split_fonts("train")[0])


def scenes(config, count, name="test"):
    return [make_scene(stream(name, k), config) for k in range(count)]


def ground_of(scene):
    """The colour of the corner pixel that no thing covers (things keep a pixel's distance from the edge)."""
    return np.asarray(scene.image)[0, 0].astype(int)


def ink_box(pixels, ground):
    ys, xs = np.nonzero(np.abs(pixels.astype(int) - ground).max(-1) > 12)
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def overlap(a, b):
    """Intersection over union of two pixel boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0, width) * max(0, height)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def answer_of(sample):
    return text_of(sample.messages[-1])


# --- what is drawn


@pytest.mark.parametrize("smooth", [False, True])
def test_shape_masks_touch_all_sides(smooth):
    for shape in range(len(SHAPES)):
        for size in ((24, 24), (31, 31), (54, 54)) if SHAPES[shape].even else ((24, 31), (40, 33), (54, 54)):
            mask = np.asarray(shape_mask(shape, *size, smooth))
            assert mask.shape == size[::-1]
            assert all(edge.max() > 0 for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])), SHAPES[shape].en
    ring = np.asarray(shape_mask(6, 40, 40))
    assert ring[20, 20] == 0 and ring[2, 20] == 255


def test_shapes_differ():
    masks = [np.asarray(shape_mask(s, 40, 40)) > 0 for s in range(len(SHAPES))]
    for a in range(8):
        for b in range(a):
            assert (masks[a] & masks[b]).sum() / (masks[a] | masks[b]).sum() < 0.86, (SHAPES[a].en, SHAPES[b].en)


def test_objects_lie_where_the_boxes_say_in_the_colour_they_say():
    for scene in scenes(RICH, 60):
        pixels, ground = np.asarray(scene.image), ground_of(scene)
        covered = np.zeros(pixels.shape[:2], bool)
        for o in scene.objects:
            x0, y0, x1, y1 = o.box
            assert 0 < x0 < x1 < scene.image.width and 0 < y0 < y1 < scene.image.height
            part = pixels[y0:y1, x0:x1]
            painted = (part == COLOURS[o.colour].rgb).all(-1)
            assert (painted == (np.asarray(shape_mask(o.shape, x1 - x0, y1 - y0)) > 0)).all()
            assert not covered[y0:y1, x0:x1].any()
            covered[y0:y1, x0:x1] = True
        for word in scene.words:
            x0, y0, x1, y1 = word.box
            assert not covered[y0:y1, x0:x1].any()
            covered[y0:y1, x0:x1] = True
        assert (pixels[~covered] == ground).all()  # nothing is painted outside the boxes


def test_counts_names_and_order():
    found = Counter()
    for scene in scenes(RICH, 300):
        found[len(scene.objects)] += 1
        assert len({(o.colour, o.shape) for o in scene.objects}) == len(scene.objects)
        assert list(scene.objects) == sorted(scene.objects, key=lambda o: o.box)
    assert set(found) == {1, 2, 3, 4, 5} and min(found.values()) > 35  # even within chance


def test_word_boxes_fit_the_ink():
    overlaps, glyphs = [], []
    for scene in scenes(replace(TEXT, inverted=0.0), 180):
        pixels, ground = np.asarray(scene.image), ground_of(scene)
        for word in scene.words:
            x0, y0, x1, y1 = word.box
            assert 0 < x0 < x1 < 128 and 0 < y0 < y1 < 128
            a = ink_box(pixels[y0:y1, x0:x1], ground)
            overlaps.append(overlap((x0 + a[0], y0 + a[1], x0 + a[2], y0 + a[3]), word.box))
            boxes = np.array(word.glyph_boxes)
            assert (*boxes[:, :2].min(0), *boxes[:, 2:].max(0)) == word.box
            glyphs.append(len(boxes) == len(word.text))
    assert len(overlaps) >= 300 and np.mean(overlaps) >= 0.95 and min(overlaps) > 0.75 and all(glyphs)


def test_glyphs_are_set_as_the_font_sets_them():
    """Against Pillow's own setting of the whole word: the ink agrees but for the rounding of glyph places."""
    shares = []
    for word in ("바다", "한글학교", "orange", "River", "2048"):
        for size in (24, 33, 40):
            setting = set_word(word, FONT, size)
            own = Image.new("RGB", (setting.width, setting.height))
            setting.draw(own, 0, 0, (255, 255, 255))
            face = ImageFont.truetype(FONT, size, layout_engine=ImageFont.Layout.BASIC)
            mask = face.getmask(word)
            theirs = Image.new("L", mask.size)
            theirs.im.paste(mask, (0, 0, *mask.size))
            a, b = own.convert("L"), theirs.crop(theirs.getbbox())
            assert abs(a.width - b.width) <= 2 and abs(a.height - b.height) <= 1
            same = np.asarray(a).astype(int) - np.asarray(b.resize(a.size)).astype(int)
            shares.append((np.abs(same) < 128).mean())
    assert np.mean(shares) > 0.93


def test_no_glyph_is_missing():
    stock = WordStock(split="train", syllables=500)
    rng = stream("glyphs")
    for path in fonts.korean_fonts():
        assert fonts.can_draw(path, "".join(syllables(500)) + LATIN)
        assert not fonts.can_draw(path, "가\U000e0ffe")
        assert fonts.can_draw(path, "".join(stock.draw(rng) for _ in range(50)))
    with pytest.raises(InputError, match="glyph"):
        set_word("\U000e0ffe", FONT, 30)


def test_lines_keep_reading_order_and_stay_apart():
    for scene in scenes(LINES, 80):
        boxes = [word.box for word in scene.words]
        assert reading_order(boxes) == list(range(len(boxes)))
        for k, a in enumerate(boxes):
            assert min(a) >= 0 and a[2] <= 256 and a[3] <= 128
            assert all(overlap(a, b) == 0 for b in boxes[:k])
        starts = [k for k, b in enumerate(boxes) if k == 0 or b[0] < boxes[k - 1][0]]
        for start, end in zip(starts, [*starts[1:], len(boxes)], strict=True):
            assert [b[0] for b in boxes[start:end]] == sorted(b[0] for b in boxes[start:end])


def test_reading_order_of_a_known_page():
    boxes = [(70, 12, 120, 40), (5, 10, 60, 38), (5, 60, 40, 80), (50, 55, 90, 84), (5, 100, 20, 120)]
    assert reading_order(boxes) == [1, 0, 2, 3, 4]


def test_impossible_scenes_are_refused():
    for bad in (
        {"shapes": 9},
        {"min_objects": 3, "max_objects": 2},
        {"max_objects": 30},
        {"object_px": (50, 30)},
        {"background": "stripes"},
        {"inverted": 0.5},
        {"lines": (1, 2)},
    ):
        with pytest.raises(InputError):
            SceneConfig(**bad)
    with pytest.raises(InputError, match="do not fit"):
        make_scene(stream(1), SceneConfig(min_objects=6, max_objects=6, object_px=(60, 60)))
    with pytest.raises(InputError, match="word_px"):
        make_scene(stream(1), replace(TEXT, size=(20, 128), words=(1, 1)))


# --- words and fonts


def test_word_lists():
    assert len(NOUNS) > 250 and len(set(NOUNS)) == len(NOUNS) and len(set(ENGLISH_WORDS)) == len(ENGLISH_WORDS)
    assert len(ks_syllables()) == 2350 and ks_syllables()[0] == "가" and ks_syllables()[-1] == "힝"
    assert len(set(syllables(2350))) == 2350 and set(syllables(2350)) == set(ks_syllables())
    assert "".join(syllables(500)) == COMMON_SYLLABLES[:500]
    assert len(LATIN) == 62


def test_strings_of_the_splits_are_disjoint():
    drawn = {}
    for split in ("train", "eval"):
        stock, rng = WordStock(split=split), stream("stock", split)
        drawn[split] = {stock.draw(rng) for _ in range(1500)}
        assert all(word_split(word) == split for word in drawn[split])
        assert any(script(word) == "ko" for word in drawn[split]) and any(w in NOUNS for w in drawn[split])
    assert not drawn["train"] & drawn["eval"]


def test_font_division(tmp_path):
    found = fonts.divide(fonts.korean_fonts())
    assert found["train"] and found["eval"]
    if len(fonts.korean_fonts()) > 1:
        assert not set(found["train"]) & set(found["eval"])
    one = [Path("NanumGothic.ttf")]
    assert fonts.divide(one) == {"train": one, "eval": one}
    two = fonts.divide([Path("NanumGothic.ttf"), Path("alee-B.ttf")])
    assert two == {"train": [Path("NanumGothic.ttf")], "eval": [Path("alee-B.ttf")]}
    for names in (["A.ttf", "B.ttf"], ["C.ttf", "D.ttf", "E.ttf"], [f"F{k}.ttf" for k in range(9)]):
        division = fonts.divide([Path(n) for n in names])
        assert division["train"] and division["eval"] and sum(map(len, division.values())) == len(names)


def test_fonts_by_variable(tmp_path, monkeypatch):
    copy = tmp_path / "MyHangul.ttf"
    copy.write_bytes(Path(FONT).read_bytes())
    (tmp_path / "broken.ttf").write_bytes(b"not a font")
    monkeypatch.setenv(fonts.FONT_PATHS_VARIABLE, str(tmp_path))
    names = [path.name for path in fonts.korean_fonts()]
    assert "MyHangul.ttf" in names and "broken.ttf" not in names
    monkeypatch.setenv(fonts.FONT_PATHS_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere"):
        fonts.korean_fonts()


def test_a_machine_without_fonts_is_told_what_to_install(tmp_path, monkeypatch):
    """One sentence for each: faces for writing, colour emoji for things; nothing is drawn in a stand-in."""
    from varco_vision.synth import emoji_names

    monkeypatch.setattr(fonts, "font_directories", lambda: [tmp_path])
    monkeypatch.setattr(emoji_names, "font_directories", lambda: [tmp_path])
    with pytest.raises(InputError, match="no font with Hangul found in .* install one .*fonts-nanum"):
        fonts.korean_fonts()
    with pytest.raises(InputError, match="no colour-emoji font found; install one .*fonts-noto-color-emoji"):
        emoji_names.designs.__wrapped__("train")


def test_latin_only_fonts_are_not_korean():
    names = [path.name for path in fonts.korean_fonts()]
    assert names == sorted(names) and not any(name.startswith("DejaVu") for name in names)


# --- dense labels


def test_dense_labels_agree_with_the_scene():
    config = DenseConfig(text=0.0)
    batch = dense_batch(range(30), config, seed=5)
    for k in range(30):
        rng = stream("dense", "train", 5, k)
        rng.random()
        scene = make_scene(rng, config.scenes[0])
        assert (np.asarray(scene.image) == batch["images"][k]).all() and len(scene.objects) in (5, 6)
        for patch in range(64):
            cx, cy = patch % 8 * 16 + 8, patch // 8 * 16 + 8
            under = [o for o in scene.objects if o.box[0] <= cx < o.box[2] and o.box[1] <= cy < o.box[3]]
            assert batch["object_mask"][k, patch] == bool(under)
            if under:
                assert batch["colour"][k, patch] == under[0].colour + 1
                assert batch["shape"][k, patch] == under[0].shape + 1
                assert np.allclose(batch["box"][k, patch], np.array(under[0].box) / 128)
            else:
                assert batch["colour"][k, patch] == batch["shape"][k, patch] == 0
    assert not batch["glyph_mask"].any() and not batch["latin"].any()


def test_dense_pages_are_labelled_by_letters():
    batch = dense_batch(range(60), DenseConfig(text=1.0), seed=2)
    hangul, latin = batch["initial"] > 0, batch["latin"] > 0
    assert ((hangul | latin) == batch["glyph_mask"]).all() and not (hangul & latin).any()
    assert ((batch["medial"] > 0) == hangul).all() and ((batch["final"] > 0) == hangul).all()
    assert 0.5 < batch["glyph_mask"].mean() < 0.9 and 0.1 < latin.sum() / batch["glyph_mask"].sum() < 0.3
    dark = (batch["images"].mean((1, 2, 3)) < 128).mean()
    assert 0.1 < dark < 0.5
    for name, classes in DenseConfig().classes().items():
        assert batch[name].min() >= 0 and batch[name].max() < classes
    lit = batch["box"][batch["glyph_mask"]]
    assert (lit[:, :2] < lit[:, 2:]).all() and lit.min() >= 0 and lit.max() <= 1


def test_page_labels_follow_the_glyphs():
    """A page with a single syllable in stock has that syllable's letters at every glyph and ink inside every box."""
    assert jamo_indices("가") == (0, 0, 0) and jamo_indices("힣") == (18, 20, 27) and jamo_indices("한") == (18, 0, 4)
    batch = dense_batch(range(5), DenseConfig(text=1.0, syllables=1, latin=0.0), seed=1)
    expected = [value + 1 for value in jamo_indices(COMMON_SYLLABLES[0])]
    for name, value in zip(("initial", "medial", "final"), expected, strict=True):
        assert set(np.unique(batch[name])) == {0, value}
    for k in range(5):
        pixels = batch["images"][k].astype(int)
        for box in np.unique(batch["box"][k][batch["glyph_mask"][k]], axis=0):
            x0, y0, x1, y1 = (box * 128).round().astype(int)
            inked = np.abs(pixels[y0:y1, x0:x1] - pixels[0, 0]).max(-1) > 12
            assert inked.any(1)[[0, -1]].sum() >= 1 and inked.mean() > 0.1


def test_dense_order_counts_the_letters_of_each_word():
    """In every row of patches that crosses a word, places rise from 1 and rests fall to 1 by the same steps."""
    config = DenseConfig(text=0.5, latin=0.0, scene_words=2, order=True)
    batch, plain = (
        dense_batch(range(40), config, 3),
        dense_batch(range(40), DenseConfig(text=0.5, latin=0.0, scene_words=2), 3),
    )
    assert all((batch[name] == plain[name]).all() for name in plain), "the labels come on top"
    lit = batch["glyph_mask"]
    assert ((batch["place"] > 0) == lit).all() and ((batch["rest"] > 0) == lit).all()
    side, checked = config.side, 0
    for k in range(40):
        boxes = [tuple(b) for b in batch["box"][k]]
        words: dict = {}
        for at in np.flatnonzero(lit[k]):
            words.setdefault((boxes[at], at // side), []).append((batch["place"][k][at], batch["rest"][k][at]))
        for pairs in words.values():
            assert len({place + rest for place, rest in pairs}) == 1, "together they are the length of the word"
            places = [place for place, _ in pairs]
            assert places == sorted(places)
            checked += len(set(places)) > 1
    assert checked > 50


def test_dense_halves_of_a_patch_name_latin_letters():
    config = DenseConfig(text=1.0, latin=1.0, word_px=(20, 24), order=True)
    batch = dense_batch(range(30), config, 4)
    for name, classes in config.classes().items():
        assert batch[name].min() >= 0 and batch[name].max() < classes
    both = (batch["latin_left"] > 0) & (batch["latin_right"] > 0)
    assert (batch["latin_left"] != batch["latin_right"])[both].mean() > 0.3, "narrow letters share patches"
    middle = batch["latin"] > 0
    assert ((batch["latin"] == batch["latin_left"]) | (batch["latin"] == batch["latin_right"]))[middle].mean() > 0.95


def test_dense_batches_do_not_depend_on_their_neighbours():
    config = DenseConfig()
    whole, part = dense_batch(range(8), config, seed=4), dense_batch([5, 2], config, seed=4)
    assert all((whole[name][[5, 2]] == part[name]).all() for name in whole)
    assert (dense_batch([0], config, seed=9)["images"] != whole["images"][:1]).any()
    with pytest.raises(InputError, match="multiple"):
        DenseConfig(tile=100)


# --- sources


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_groups_are_sound(name):
    source = make_source(name, 3)
    ids = []
    for k in range(12):
        group = source.group(k)
        assert group and len({tuple(map(id, sample.images)) for sample in group}) <= 1
        ids += [sample.id for sample in group]
        assert not [fault for sample in group for fault in validate(sample)]
    assert len(ids) == len(set(ids))
    languages = Counter(sample.lang for k in range(12) for sample in source.group(k))
    assert set(languages) == {"ko", "en"}


def test_a_group_has_every_task():
    for k in range(30):
        group = make_source("scenes", 1).group(k)
        assert {sample.task for sample in group} == {"grounding", "referring", "counting", "vqa", "caption"}
        assert len(group) == 16
    only = make_source("scenes", 1, tasks={"counting": 1.0}, questions=4)
    assert {sample.task for k in range(5) for sample in only.group(k)} == {"counting"}


def test_captions_show_the_picture_only():
    for k in range(6):
        for sample in make_source("captions", 1).group(k):
            assert sample.messages[0]["content"] == [{"type": "image"}]


def test_pages_are_larger_than_a_tile():
    source = make_source("pages", 1)
    sizes = {source.group(k)[0].images[0].size for k in range(30)}
    assert sizes == {(256, 128), (128, 256), (256, 256)}
    own = make_source("pages", 1, sizes=[[384, 128]], text_share=1.0)
    assert own.group(0)[0].images[0].size == (384, 128)


def test_unknown_names_are_answered_with_the_nearest():
    for call, nearest in (
        (lambda: make_source("scens", 1), "scenes"),
        (lambda: make_source("scenes", 1, colors=3), "colours"),
        (lambda: make_source("text", 1, fact=3), "facts"),
        (lambda: make_source("scenes", 1, split="evaluation"), "eval"),
        (lambda: make_source("preferences", 1, kinds=["wrong_boxes"]), "wrong_box"),
        (lambda: make_source("scenes", 1, tasks={"ground": 1}), "grounding"),
        (lambda: evaluation_set(1, 1, 1, 1, tasks=("count",)), "counting"),
    ):
        with pytest.raises(InputError, match=nearest):
            call()


DIGEST = """
import hashlib, sys
from varco_vision.synth.sources import SOURCES, make_source
from varco_vision.synth.dense import DenseConfig, dense_batch
digest = hashlib.sha256()
order = [2, 0, 3] if sys.argv[1] == "forward" else [3, 0, 2]
made = {}
for name in sorted(SOURCES):
    source = make_source(name, 11)
    for k in order:
        made[name, k] = source.group(k)
for key in sorted(made):
    for s in made[key]:
        digest.update(repr((s.id, s.task, s.lang, s.messages, s.chosen, s.rejected, s.meta)).encode())
        for image in s.images:
            digest.update(image.tobytes())
for value in dense_batch([1, 5], DenseConfig(), 3).values():
    digest.update(value.tobytes())
print(digest.hexdigest())
"""


def test_same_bytes_in_any_process_and_order():
    digests = set()
    for salt, order in (("1", "forward"), ("2", "backward")):
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, order],
            env={**os.environ, "PYTHONHASHSEED": salt, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1 and len(digests.pop()) == 64


def test_seeds_and_splits_give_other_pictures():
    def digest(source):
        return hashlib.sha256(source.group(0)[0].images[0].tobytes()).hexdigest()

    made = {digest(make_source("scenes", seed, split)) for seed in (1, 2) for split in ("train", "eval")}
    assert len(made) == 4


def test_evaluation_set():
    tasks = ("grounding", "absent", "referring", "counting", "vqa")
    samples = evaluation_set(5, 12, 8, 30, scenes={"shapes": 8, "colours": 8}, words={"word_px": (30, 40)}, tasks=tasks)
    counts = Counter((s.task, s.lang) for s in samples)
    for lang in ("ko", "en"):
        assert counts["grounding", lang] == 24 and counts["text", lang] + counts["chat", lang] == 30
        assert all(counts[task, lang] == 12 for task in ("referring", "counting", "vqa"))
        assert counts["ocr", lang] == 8
    assert len({s.id for s in samples}) == len(samples) and not [f for s in samples for f in validate(s)]
    for sample in samples:
        assert answer_of(sample) == sample.meta["answer"]
        if sample.task == "ocr":
            assert all(script(word["text"]) == sample.lang for word in sample.meta["words"])
            assert all(word_split(word["text"]) == "eval" for word in sample.meta["words"])
        if sample.task == "text":
            fact = next(f for f in facts() if f.id == sample.meta["fact"])
            assert sample.meta["wording"] in held_out(fact, sample.lang)
    again = evaluation_set(5, 12, 8, 30, scenes={"shapes": 8, "colours": 8}, words={"word_px": (30, 40)}, tasks=tasks)
    assert [(s.id, s.messages, s.meta) for s in again] == [(s.id, s.messages, s.meta) for s in samples]


def test_manifest():
    train, held = manifest("train"), manifest("eval")
    assert train["fonts_shared"] == bool(set(train["fonts"]) & set(held["fonts"]))
    assert train["fonts_shared"] == (len(fonts.korean_fonts()) == 1)
    assert {tuple(pair) for pair in train["fact_pairs"]["ko"]}.isdisjoint(map(tuple, held["fact_pairs"]["ko"]))
    assert set(train["templates"]) == set(held["templates"]) >= {"GROUNDING", "CAPTION", "EXTREME", "WHERE_IS_WORD"}
    for name in train["templates"]:
        for lang in ("ko", "en"):
            ours, theirs = train["templates"][name][lang], held["templates"][name][lang]
            assert len(ours) >= 30 and len(set(ours)) == len(ours) and theirs, (name, lang)
            assert not set(ours) & set(theirs), (name, lang)
    assert sources.source_options("text") == ("facts", "questions")
