"""Pages: windows of large pages, one reading of each word, lines and columns, doubtful words, ALTO and Markdown."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny import write_tiny

from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig, Box
from varco_vision.infer import formats, layout
from varco_vision.infer.answer import Answer, Word
from varco_vision.infer.engine import Engine
from varco_vision.infer.ocr import OcrOptions, read_pages, window_side
from varco_vision.infer.pages import Page
from varco_vision.infer.tiling import STRETCH, Window, merge, windows
from varco_vision.model import checkpoint

ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return checkpoint.load(write_tiny(tmp_path_factory.mktemp("tiny") / "model"), device="cpu")


# --- windows -----------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(64, 2304), st.floats(0, 0.5))
def test_windows_cover_the_page_and_overlap(width, height, side, overlap):
    found = windows(width, height, side, overlap)
    assert all(0 <= w.left < w.right <= width and 0 <= w.top < w.bottom <= height for w in found)
    if max(width, height) <= STRETCH * side:
        assert found == [Window(0, 0, width, height)]
        return
    assert all(max(w.size) <= side for w in found)
    for pairs, length in (({(w.left, w.right) for w in found}, width), ({(w.top, w.bottom) for w in found}, height)):
        spans = sorted(pairs)
        assert spans[0][0] == 0 and spans[-1][1] == length
        for a, b in zip(spans, spans[1:], strict=False):
            assert a[1] - b[0] >= int(overlap * side) - 1


def test_windows_that_cannot_be():
    with pytest.raises(InputError, match="overlap"):
        windows(900, 900, 100, 0.6)
    with pytest.raises(InputError, match="at least 32"):
        windows(900, 900, 10)
    assert window_side(AnyResConfig()) == 2304


def shown(words, window, width, height):
    """What a perfect reader sees of the page's words in a window: parts of words at its edges, too."""
    seen = []
    for word in words:
        x1, y1, x2, y2 = word.box.to_pixels(width, height)
        left, top = max(x1, window.left), max(y1, window.top)
        right, bottom = min(x2, window.right), min(y2, window.bottom)
        if right - left < 3 or bottom - top < 3:
            continue
        share = (right - left) / (x2 - x1)
        text = word.text if share > 0.999 else word.text[: max(1, round(share * len(word.text)))]
        box = Box.from_pixels(
            left - window.left, top - window.top, right - window.left, bottom - window.top, *window.size
        )
        seen.append(Word(text, box, 0.9 if share > 0.999 else 0.5))
    return seen


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_word_once_from_overlapping_windows(seed):
    rng = random.Random(seed)
    width, height, side = rng.randint(400, 1500), rng.randint(400, 1500), 300
    words = []
    for row in range(height // 40):
        x = rng.randint(0, 30)
        while x < width - 60:
            wide = rng.randint(15, 55)  # shorter than the overlap of 60 pixels
            words.append(
                Word(f"{row}:{x}", Box.from_pixels(x, 40 * row + 8, x + wide, 40 * row + 30, width, height), 0.9)
            )
            x += wide + rng.randint(8, 40)
    places = windows(width, height, side, 0.2)
    found = merge([shown(words, place, width, height) for place in places], places, width, height)
    assert sorted(w.text for w in found) == sorted(w.text for w in words)
    boxes = {w.text: w.box for w in words}
    assert all(w.box.iou(boxes[w.text]) > 0.9 for w in found)


def test_word_longer_than_the_overlap_stays_in_its_parts():
    places = windows(1000, 100, 300, 0.1)
    long = Word("가나다라마바사아자차카타파하", Box(0.1, 0.3, 0.9, 0.6), 0.9)
    found = merge([shown([long], place, 1000, 100) for place in places], places, 1000, 100)
    assert found and layout.hull([w.box for w in found]).iou(long.box) > 0.95


# --- layout ------------------------------------------------------------------------------------------------------------


def set_text(lines, x, y, step=0.03, letter=0.02, per=0.012, gap=0.012):
    """Words of lines that begin at (x, y), relative."""
    words = []
    for number, line in enumerate(lines):
        at = x
        for text in line.split():
            words.append(Word(text, Box(at, y + number * step, at + per * len(text), y + number * step + letter), 0.9))
            at += per * len(text) + gap
    return words


def shuffled(words, seed=1):
    words = list(words)
    random.Random(seed).shuffle(words)
    return words


def as_text(words):
    return [" ".join(w.text for w in line) for line in layout.lines(words)]


LEFT = ["서울은 대한민국의 수도이다", "한강이 도시를 가로질러 흐른다", "인구는 약 천만 명이다"]
RIGHT = ["부산은 둘째로 큰 도시이다", "바다와 산이 함께 있어", "여름에 많은 사람이 찾는다"]


def test_lines_from_top_to_bottom_whatever_the_order_of_words():
    assert as_text(shuffled(set_text(LEFT, 0.1, 0.1))) == LEFT


@pytest.mark.parametrize("shift", [0.0, 0.013])
def test_two_columns_are_read_one_after_the_other(shift):
    words = set_text(LEFT, 0.05, 0.2) + set_text(RIGHT, 0.55, 0.2 + shift)
    assert as_text(shuffled(words)) == LEFT + RIGHT


def test_heading_over_columns_and_a_footer():
    words = set_text(["두 도시 이야기 그리고 사람들의 오래된 기억과 바람"], 0.05, 0.05, letter=0.04, per=0.02)
    words += set_text(LEFT, 0.05, 0.2) + set_text(RIGHT, 0.55, 0.2) + set_text(["쪽 번호 3"], 0.45, 0.5)
    found = as_text(shuffled(words))
    assert found[1:] == [*LEFT, *RIGHT, "쪽 번호 3"] and found[0].startswith("두 도시")


def test_receipt_is_read_row_by_row():
    left, right = ["아메리카노 2", "카페라떼 1", "합계"], ["9,000", "5,000", "14,000"]
    words = set_text(left, 0.05, 0.2) + set_text(right, 0.6, 0.2)
    assert as_text(shuffled(words)) == [f"{a} {b}" for a, b in zip(left, right, strict=True)]


def test_slanted_line_is_one_line():
    words = [
        Word(str(k), Box(0.1 + 0.05 * k, 0.2 + 0.004 * k, 0.14 + 0.05 * k, 0.22 + 0.004 * k), 0.9) for k in range(12)
    ]
    assert as_text(shuffled(words)) == [" ".join(map(str, range(12)))]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=30))
def test_no_word_is_lost_or_doubled(corners):
    words = [
        Word(str(k), Box(min(a, c), min(b, d), max(a, c), max(b, d)), 0.5) for k, (a, b, c, d) in enumerate(corners)
    ]
    assert sorted(w.text for line in layout.lines(words, 0.7) for w in line) == sorted(w.text for w in words)


def test_paragraphs():
    words = set_text(LEFT, 0.1, 0.1) + set_text(RIGHT, 0.1, 0.3)
    assert [len(block.lines) for block in layout.blocks(words)] == [3, 3]


# --- forms -------------------------------------------------------------------------------------------------------------


def page():
    title = set_text(["큰 제목"], 0.1, 0.02, letter=0.06, per=0.03)
    return Page(
        title + set_text(["첫 줄 <이다> & *별*", "- 둘째 줄"], 0.1, 0.2), 1000, 800, name="a&b.png", placed=True
    )


def test_alto():
    root = ET.fromstring(formats.alto([page(), Page([], 10, 20)]))
    pages = root.findall(f".//{ALTO}Page")
    assert [(p.get("WIDTH"), p.get("HEIGHT")) for p in pages] == [("1000", "800"), ("10", "20")]
    strings = root.findall(f".//{ALTO}String")
    assert [s.get("CONTENT") for s in strings] == ["큰", "제목", "첫", "줄", "<이다>", "&", "*별*", "-", "둘째", "줄"]
    assert strings[0].get("WC") == "0.9000"
    first = {k: int(strings[0].get(k)) for k in ("HPOS", "VPOS", "WIDTH", "HEIGHT")}
    assert first == {"HPOS": 100, "VPOS": 16, "WIDTH": 30, "HEIGHT": 48}
    ids = [e.get("ID") for e in root.iter() if e.get("ID")]
    assert len(ids) == len(set(ids))
    assert root.find(f".//{ALTO}fileName").text == "a&b.png"
    assert len(root.findall(f".//{ALTO}TextLine")) == 3


def test_markdown():
    assert page().to_markdown() == "## 큰 제목\n\n첫 줄 \\<이다\\> & \\*별\\*\n\\- 둘째 줄\n"
    assert formats.markdown([page(), page()]).count("\n---\n") == 1
    assert formats.markdown([Page([], 5, 5)]) == "\n"


def test_text_forms_of_several_pages():
    assert formats.written([page(), page()], "text").count("\f") == 1
    assert len(json.loads(formats.written([page(), page()], "json"))) == 2
    assert json.loads(formats.written([page()], "json"))["image"] == "a&b.png"
    with pytest.raises(InputError, match="docx"):
        formats.check("docx")


# --- reading -----------------------------------------------------------------------------------------------------------


class Reading:
    """An engine that reads colours: each request gets one word that names the colours of its picture's corners."""

    def __init__(self, loaded):
        self.loaded, self.can_constrain, self.seen = loaded, True, []

    def generate(self, requests, progress=None):
        answers = []
        for request in requests:
            (image,) = request.images
            self.seen.append(image.size)
            words = [Word("가나", Box(0.4, 0.4, 0.6, 0.5), 0.9), Word("흐림", Box(0.4, 0.6, 0.6, 0.7), 0.3)]
            answers.append(Answer("", "", [], words, False, "end", 0.9, 0))
            if progress:
                progress(len(answers))
        return answers


def test_large_pages_are_read_in_windows(loaded):
    engine, told = Reading(loaded), []
    images = [Image.new("RGB", (150, 100)), Image.new("RGB", (700, 200))]
    pages = read_pages(engine, images, OcrOptions(), ["a", "b"], told.append)
    assert engine.seen[0] == (150, 100) and set(engine.seen[1:]) == {(192, 192)} and len(engine.seen) > 4
    assert [p.name for p in pages] == ["a", "b"] and (pages[1].width, pages[1].height) == (700, 200)
    assert pages[0].answer is not None and not pages[0].placed
    assert pages[1].answer is None and pages[1].placed and len(pages[1].answers) == len(engine.seen) - 1
    assert told[-1] == 2
    whole = read_pages(Reading(loaded), images[1:], OcrOptions(window=0))
    assert whole[0].answer is not None


def test_doubtful_words(loaded):
    image = [Image.new("RGB", (150, 100))]

    def read(**rest):
        return read_pages(Reading(loaded), image, OcrOptions(**rest))[0]

    assert [w.text for w in read(min_confidence=0.5).words] == ["가나", "흐림"]
    dropped = read(min_confidence=0.5, doubtful="drop")
    assert [w.text for w in dropped.words] == ["가나"] and dropped.left_out == 1
    assert dropped.to_dict()["left_out"] == 1
    assert [w.text for w in read(min_confidence=0.5, doubtful="mark").words] == ["가나", "흐림[?]"]
    for wrong in ({"min_confidence": 2}, {"doubtful": "x"}, {"order": "x"}, {"longest_side": -1}, {"window": 5}):
        with pytest.raises(InputError):
            OcrOptions(**wrong)


def test_real_engine_reads_windows(loaded):
    image = Image.linear_gradient("L").resize((700, 300)).convert("RGB")
    (found,) = read_pages(Engine(loaded), [image], OcrOptions(max_new_tokens=8))
    assert len(found.answers) > 4 and all(a.new_tokens <= 8 for a in found.answers)
