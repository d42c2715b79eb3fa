"""Answers read from tokens: loops, confidence, markup; pages as text, JSON and hOCR; drawings."""

from __future__ import annotations

import json
import math
import unicodedata
import xml.etree.ElementTree as ET
from functools import partial

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_tokenizer

from varco_vision.chat import decode
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.infer.answer import Generated, Grounded, Word, read_answer
from varco_vision.infer.decoding import confidence, loop_cut, match_words, word_spans
from varco_vision.infer.drawing import COLOURS, draw
from varco_vision.infer.pages import Page, answer_dict, hocr

XHTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


# --- decoding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [1, 2, 7, 40, 256])
def test_loop_is_cut_to_one_copy(period):
    head, copy = list(range(1000, 1013)), list(range(period))
    copies = max(4, -(-64 // period))
    assert loop_cut(head + copy * copies) == len(head) + period
    partial = head + copy * copies + copy[: period // 2]
    assert loop_cut(partial) == len(head) + period
    assert loop_cut(head + copy * 3) is None
    assert loop_cut(head + copy * copies + [7777]) is None, "only the end counts"


def test_lines_that_differ_are_no_loop():
    line = [1, 2, 3, 4, 5, 6, 7, 8]
    lines = [token for k in range(40) for token in [*line, 100 + k, 9]]
    assert loop_cut(lines) is None
    assert loop_cut([5] * 63) is None
    assert loop_cut([*range(100, 160), *[1, 2] * 31]) is None, "short periods may repeat a little"
    assert loop_cut([*range(100, 160), *[1, 2] * 32]) == 62


def test_word_spans():
    o, c, e, b = 1, 2, 3, 4  # <char> </char> <bbox> </bbox>
    spans = word_spans([9, o, 50, 51, c, e, 60, b, 8, o, 52, c, o, 53], o, c, b)
    assert [(s.start, s.end, s.content) for s in spans] == [(1, 8, (50, 51)), (9, 12, (52,)), (12, 14, (53,))]
    assert match_words(["a", "b", "d"], ["a", "x", "d"]) == [0, None, 2]


def spelled(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False)


def read(tokenizer, text, stop="end", scores=None):
    ids = spelled(tokenizer, text)
    markers = {m: tokenizer.convert_tokens_to_ids(m) for m in ("<char>", "</char>", "<bbox>", "</bbox>")}
    log_probs = scores(ids) if scores else [-0.1] * len(ids)
    return read_answer(Generated(ids, log_probs, stop), partial(decode, tokenizer=tokenizer), markers, 16)


def test_word_confidence_comes_from_the_words_own_tokens(tokenizer):
    text = "<char>백범로</char><bbox>0.1, 0.2, 0.3, 0.4</bbox>\n<char>ABC</char><bbox>0.5, 0.2, 0.7, 0.4</bbox>"
    newline = spelled(tokenizer, "\n")[-1]

    def scores(ids):
        second = ids.index(newline)
        return [math.log(0.9)] * second + [-50.0] + [math.log(0.4)] * (len(ids) - second - 1)

    answer = read(tokenizer, text, scores=scores)
    assert [(w.text, w.box) for w in answer.words] == [
        ("백범로", Box(0.1, 0.2, 0.3, 0.4)),
        ("ABC", Box(0.5, 0.2, 0.7, 0.4)),
    ]
    assert [w.confidence for w in answer.words] == pytest.approx([0.9, 0.4])
    assert answer.text == "백범로\nABC"
    assert answer.raw == text
    assert answer.repairs == []


def test_grounded_answer(tokenizer):
    text = "<obj>two cats</obj><bbox>0.0, 0.1, 0.5, 1.0<delim>0.5, 0.1, 1.0, 0.8</bbox> lie on a sofa."
    answer = read(tokenizer, text)
    assert answer.text == "two cats lie on a sofa."
    assert answer.objects == [Grounded("two cats", [Box(0, 0.1, 0.5, 1), Box(0.5, 0.1, 1, 0.8)])]
    values = answer_dict(answer, (200, 100))
    assert values["objects"][0]["boxes"][1] == {"box": [0.5, 0.1, 1.0, 0.8], "pixels": [100.0, 10.0, 200.0, 80.0]}
    assert "pixels" not in answer_dict(answer)["objects"][0]["boxes"][0]
    json.dumps(values)


def test_broken_markup_is_reported_not_raised(tokenizer):
    answer = read(tokenizer, "<obj>a cat</obj><bbox>0.9, 0.1, 0.2", stop="length")
    assert answer.repairs and answer.truncated
    assert "a cat" in answer.text and "<" not in answer.text


def test_decomposed_korean_comes_out_composed(tokenizer):
    answer = read(tokenizer, unicodedata.normalize("NFD", "한글 <char>각</char><bbox>0.0, 0.0, 1.0, 1.0</bbox>"))
    assert answer.text == "한글 각" and answer.words[0].text == "각"
    assert answer.repairs == []


def test_confidence_of_nothing_is_zero():
    assert confidence([]) == 0.0
    assert confidence([math.log(0.25), 0.0]) == pytest.approx(0.5)


# --- pages -------------------------------------------------------------------------------------------------------------


def page():
    words = [
        Word("서울", Box(0.1, 0.1, 0.3, 0.2), 0.9),
        Word("역<&>", Box(0.35, 0.11, 0.5, 0.19), 0.8),
        Word('"둘째"', Box(0.1, 0.3, 0.4, 0.4), 0.5),
        Word("a\x01b", Box(0.05, 0.32, 0.08, 0.38), 0.25),
    ]
    return Page(words, 200, 100, name='a"b<.png')


def test_page_text_by_lines():
    assert page().text == '서울 역<&>\n"둘째"\na\x01b', "a word further left begins a new line"
    assert Page([], 10, 10).text == ""


def test_page_json():
    values = json.loads(page().to_json())
    assert (values["width"], values["height"], len(values["words"])) == (200, 100, 4)
    first = values["words"][0]
    assert first["pixels"] == [20.0, 10.0, 60.0, 20.0] and first["line"] == 0 and first["confidence"] == 0.9
    assert "서울" in page().to_json()


def test_hocr_is_xhtml_with_pixel_boxes():
    root = ET.fromstring(page().to_hocr())
    found = {kind: [e for e in root.iter() if e.get("class") == kind] for kind in ("ocr_page", "ocr_line", "ocrx_word")}
    assert [len(v) for v in found.values()] == [1, 3, 4]
    assert "bbox 0 0 200 100" in found["ocr_page"][0].get("title")
    assert [w.text for w in found["ocrx_word"]] == ["서울", "역<&>", '"둘째"', "ab"]
    assert found["ocrx_word"][0].get("title") == "bbox 20 10 60 20; x_wconf 90"
    assert found["ocr_line"][0].get("title") == "bbox 20 10 100 20"
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert root.find(f"{XHTML}head/{XHTML}title") is not None
    both = ET.fromstring(hocr([page(), Page([], 5, 5)]))
    assert sum(e.get("class") == "ocr_page" for e in both.iter()) == 2


# --- drawing -----------------------------------------------------------------------------------------------------------


def test_drawing_marks_the_box_and_leaves_the_original():
    image = Image.new("RGB", (200, 100), "white")
    drawn = draw(
        image, [Grounded("cat", [Box(0.25, 0.5, 0.75, 1.0)]), Grounded("dog", [Box(0, 0, 0.1, 0.1)])], labels=False
    )
    assert image.getcolors() == [(20000, (255, 255, 255))]
    assert drawn.getpixel((50, 75)) == COLOURS[0] and drawn.getpixel((149, 99)) == COLOURS[0]
    assert drawn.getpixel((100, 75)) == (255, 255, 255)
    assert drawn.getpixel((0, 5)) == COLOURS[1]
    assert draw(image, [Box(0.5, 0.5, 0.5, 0.5)]).size == image.size


def test_labels_do_not_cover_one_another():
    image = Image.new("RGB", (300, 200), "white")
    same = Box(0.1, 0.3, 0.5, 0.6)
    drawn = np.asarray(draw(image, [("one", same), ("two", same), ("three", same)]))
    areas = [int((drawn == colour).all(-1).sum()) for colour in COLOURS[:3]]
    assert min(areas) > 150, "each label keeps its own background"


def test_labels_without_a_korean_font_become_numbers(monkeypatch):
    from varco_vision.infer import drawing
    from varco_vision.synth import fonts

    def none():
        raise InputError("no font")

    monkeypatch.setattr(fonts, "korean_fonts", none)
    drawing._korean_font.cache_clear()
    with pytest.warns(UserWarning, match="numbers"):
        assert drawing._label("고양이", 3, 12)[0] == "#3"
        assert drawing._label("cat", 4, 12)[0] == "cat"
    drawing._korean_font.cache_clear()
