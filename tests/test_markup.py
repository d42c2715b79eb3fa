"""The location language: strict writing, tolerant reading, escaping, and what counts as legal."""

import re
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.markup import (
    MARKERS,
    Chars,
    Object,
    Text,
    escape,
    format_box,
    format_number,
    legal,
    parse,
    plain,
    unescape,
    write,
)

# The forms of the published model's card and blog (facts on the format, sentences of our own).
CATS = (
    "소파에 <obj>고양이 두 마리</obj><bbox>0.014, 0.106, 0.51, 0.996<delim>0.51, 0.054, 0.996, 0.787</bbox>가 "
    "<obj>담요</obj><bbox>0.003, 0.231, 0.999, 0.999</bbox> 위에 있다."
)
SIGN = "<char>백범로</char><bbox>0.172, 0.266, 0.328, 0.341</bbox>\n<char>B1</char><bbox>0.0, 0.1, 0.2, 1.0</bbox>"
LEGAL = [
    "",
    "plain text, nothing else",
    "a < b > c, <b>bold</b> and 3 <obj",
    "<gro>\n이미지를 자세히 묘사해줘.",
    "<ocr>",
    CATS,
    SIGN,
    "<obj>이 물건</obj><bbox>0.039, 0.138, 0.283, 0.257</bbox>은 어떻게 쓰는거야?",
]
B1, B2 = Box(0.1, 0.2, 0.3, 0.4), Box(0.5, 0.6, 0.7, 0.8)
ONE, TWO = "<bbox>0.1, 0.2, 0.3, 0.4</bbox>", "<bbox>0.1, 0.2, 0.3, 0.4<delim>0.5, 0.6, 0.7, 0.8</bbox>"


def test_reading_a_grounded_answer():
    assert parse(CATS) == [
        Text("소파에 "),
        Object("고양이 두 마리", (Box(0.014, 0.106, 0.51, 0.996), Box(0.51, 0.054, 0.996, 0.787))),
        Text("가 "),
        Object("담요", (Box(0.003, 0.231, 0.999, 0.999),)),
        Text(" 위에 있다."),
    ]
    assert plain(parse(CATS)) == "소파에 고양이 두 마리가 담요 위에 있다."


def test_reading_words():
    words = parse(SIGN)
    assert words == [
        Chars("백범로", (Box(0.172, 0.266, 0.328, 0.341),)),
        Text("\n"),
        Chars("B1", (Box(0.0, 0.1, 0.2, 1.0),)),
    ]
    assert plain(words) == "백범로\nB1"


def test_plain_leaves_out_the_switch():
    assert plain(parse("<gro>\nWhere is it?")) == "Where is it?"
    assert plain(parse("<ocr>")) == ""


@pytest.mark.parametrize("text", LEGAL)
def test_legal_text_survives(text):
    report = []
    assert write(parse(text, report)) == text
    assert report == []
    assert legal(text) == []


# text, what is read, and a word of each repair
REPAIRS = {
    "no closing obj": (f"<obj>cat{ONE}가", [Object("cat", (B1,)), Text("가")], ["has no </obj>"]),
    "no closing bbox": (
        "<obj>cat</obj><bbox>0.1, 0.2, 0.3, 0.4 sits",
        [Object("cat", (B1,)), Text(" sits")],
        ["has no </bbox>"],
    ),
    "no closing bbox, numbers follow": (
        "<obj>cat</obj><bbox>0.1, 0.2, 0.3, 0.4 5 dogs",
        [Object("cat", (B1,)), Text(" 5 dogs")],
        ["has no </bbox>"],
    ),
    "no closing bbox, sentence ends": (
        "<obj>cat</obj><bbox>0.1, 0.2, 0.3, 0.4. Then",
        [Object("cat", (B1,)), Text(". Then")],
        ["has no </bbox>"],
    ),
    "no closing bbox, next object": (
        f"<obj>a</obj><bbox>0.1, 0.2, 0.3, 0.4<obj>b</obj>{ONE}",
        [Object("a", (B1,)), Object("b", (B1,))],
        ["has no </bbox>"],
    ),
    "wrong closing tag": (f"<obj>cat</char>{ONE}", [Object("cat", (B1,))], ["ends with </char>"]),
    "integers": (
        "<obj>c</obj><bbox>0, 0, 1, 1</bbox>",
        [Object("c", (Box(0, 0, 1, 1),))],
        ["not written '0.0, 0.0, 1.0, 1.0'"],
    ),
    "bare points": ("<obj>c</obj><bbox>.1, .2, .3, .4</bbox>", [Object("c", (B1,))], ["not written"]),
    "trailing zeros": ("<obj>c</obj><bbox>0.10, 0.20, 0.3, 0.4</bbox>", [Object("c", (B1,))], ["not written"]),
    "no blanks": ("<obj>c</obj><bbox>0.1,0.2,0.3,0.4</bbox>", [Object("c", (B1,))], ["not written"]),
    "brackets": ("<obj>c</obj><bbox>[0.1, 0.2, 0.3, 0.4]</bbox>", [Object("c", (B1,))], ["not written"]),
    "percent": ("<obj>c</obj><bbox>10%, 20%, 30 %, 40%</bbox>", [Object("c", (B1,))], ["not written"]),
    "a little outside": (
        "<obj>c</obj><bbox>-0.01, 0.2, 0.3, 1.02</bbox>",
        [Object("c", (Box(0.0, 0.2, 0.3, 1.0),))],
        ["clipped"],
    ),
    "pixels": ("<obj>c</obj><bbox>100, 200, 300, 400</bbox>", [Object("c", ())], ["far outside", "no box"]),
    "swapped": ("<obj>c</obj><bbox>0.3, 0.4, 0.1, 0.2</bbox>", [Object("c", (B1,))], ["swapped"]),
    "three numbers": ("<obj>c</obj><bbox>0.1, 0.2, 0.3</bbox>x", [Object("c", ()), Text("x")], ["four", "no box"]),
    "one good, one bad": (
        "<obj>c</obj><bbox>0.1, 0.2, 0.3, 0.4<delim>0.5, 0.6</bbox>",
        [Object("c", (B1,))],
        ["'0.5, 0.6' is no box"],
    ),
    "no numbers": ("<obj>c</obj><bbox>here</bbox>", [Object("c", ())], ["'here' is no box", "no box"]),
    "delim left out": (
        "<obj>c</obj><bbox>0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8</bbox>",
        [Object("c", (B1, B2))],
        ["without <delim>"],
    ),
    "two bbox": (
        f"<obj>c</obj>{ONE}<bbox>0.5, 0.6, 0.7, 0.8</bbox>.",
        [Object("c", (B1, B2)), Text(".")],
        ["several <bbox>"],
    ),
    "two bbox with a comma": (
        f"<obj>c</obj>{ONE}, <bbox>0.5, 0.6, 0.7, 0.8</bbox>",
        [Object("c", (B1, B2))],
        ["left out", "several <bbox>"],
    ),
    "blank before bbox": (f"<obj>c</obj> {ONE} x", [Object("c", (B1,)), Text(" x")], ["left out"]),
    "phrase without box": ("<obj>cat</obj> sat", [Object("cat", ()), Text(" sat")], ["has no box"]),
    "box without phrase": (f"x {ONE}", [Text("x "), Object("", (B1,))], ["no phrase"]),
    "empty phrase": (f"<obj></obj>{ONE}", [Object("", (B1,))], ["no name"]),
    "box on the next line is not the word's": (
        f"<char>a</char>{ONE}\n<bbox>0.5, 0.6, 0.7, 0.8</bbox>",
        [Chars("a", (B1,)), Text("\n"), Object("", (B2,))],
        ["no phrase"],
    ),
    "nested": (f"<obj><char>STOP</char> sign</obj>{ONE}", [Object("STOP sign", (B1,))], ["nested"]),
    "never closed": (f"<obj>a <obj>b</obj>{ONE}", [Text("a "), Object("b", (B1,))], ["read as text"]),
    "stray tags": ("</obj> a <delim>b</bbox> <gro>c", [Text(" a b c")], ["</obj>", "<delim>", "</bbox>", "<gro>"]),
    "nothing in it": ("a<obj></obj>b", [Text("ab")], ["no name", "no box"]),
    "cut in a phrase": ("<char>백", [Text("백")], ["read as text"]),
    "cut before numbers": ("<obj>c</obj><bbox>", [Object("c", ())], ["cut off", "no box"]),
    "cut in a box": ("<obj>c</obj><bbox>0.1, 0.2, 0.3", [Object("c", ())], ["cut off", "four", "no box"]),
    "cut in a number": (
        "<obj>c</obj><bbox>0.1, 0.2, 0.3, 0.",
        [Object("c", ())],
        ["cut off", "not complete", "no box"],
    ),
    "cut in the second box": (
        "<obj>c</obj><bbox>0.1, 0.2, 0.3, 0.4<delim>0.5",
        [Object("c", (B1,))],
        ["cut off", "'0.5' is no box"],
    ),
    "cut before the end tag": ("<obj>c</obj><bbox>0.1, 0.2, 0.3, 0.4", [Object("c", (B1,))], ["cut off"]),
}


@pytest.mark.parametrize("case", REPAIRS, ids=str)
def test_repairs(case):
    text, items, words = REPAIRS[case]
    report = []
    assert parse(text, report) == items
    assert len(report) == len(words), report
    for repair, word in zip(report, words, strict=True):
        assert word in repair
    assert legal(text) != []


@pytest.mark.parametrize(
    "text", ["<box>1</box>", "<BBOX>", "< obj >", "<|box_start|>", "<loc_12>", "</gro>", "<ref>a</ref>"]
)
def test_foreign_markup_is_not_legal(text):
    assert any("no marker of this language" in fault for fault in legal(f"a {text} b"))
    assert parse(f"a {text} b") == [Text(f"a {text} b")], "but it is kept as text"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0, 3, "0.0"), (1, 3, "1.0"), (0.5, 3, "0.5"), (0.0005, 3, "0.001"), (0.12345, 3, "0.123"), (0.999, 2, "1.0"),
     (0.25, 1, "0.2"), (-0.0001, 3, "0.0")],
)  # fmt: skip
def test_numbers(value, digits, text):
    assert format_number(value, digits) == text


@pytest.mark.parametrize("digits", [0, 4])
def test_number_of_decimals_is_limited(digits):
    with pytest.raises(InputError, match="1 to 3"):
        format_number(0.5, digits)


def test_box_text():
    assert format_box(Box(0, 0.12345, 0.5, 1)) == "0.0, 0.123, 0.5, 1.0"
    assert format_box(Box(0, 0.12345, 0.5, 1), digits=2) == "0.0, 0.12, 0.5, 1.0"


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([Text("a <obj> b")], "holds the marker <obj>"),
        ([Text("a"), Text("<gro>")], "holds the marker <gro>"),
        ([Object("a <bbox>", (B1,))], "holds the marker <bbox>"),
        ([Object("<gro>", (B1,))], "holds the marker <gro>"),
        ([Text("<gr"), Text("o>")], "together"),
        ([Object("", (B1,))], "needs a name"),
        ([Chars("a", ())], "at least one box"),
        ([Object("a", (B1,)), Text("\u0338x")], "combine"),
        (["a"], "cannot be written"),
    ],
)
def test_what_cannot_be_written(items, words):
    with pytest.raises(InputError, match=words):
        write(items)


def test_hangul_is_composed():
    decomposed = unicodedata.normalize("NFD", SIGN)
    assert parse(decomposed) == parse(SIGN)
    assert write([Chars(unicodedata.normalize("NFD", "백범로"), (B1,))]) == f"<char>백범로</char>{ONE}"


# --- properties ------------------------------------------------------------------------------------------------------

SNIPPETS = st.sampled_from(["고양이", "\n", " ", "가 ", "<", ">", "</", "0.5, ", "a < b", "\u2060", "각", "é", "bbox>"])
WORDS = st.lists(st.one_of(SNIPPETS, st.text(max_size=3)), min_size=1, max_size=4).map(
    lambda parts: unicodedata.normalize("NFC", "".join(parts)) or "."
)
NUMBER = st.integers(0, 1000).map(lambda n: n / 1000)


@st.composite
def boxes(draw):
    x1, x2 = sorted((draw(NUMBER), draw(NUMBER)))
    y1, y2 = sorted((draw(NUMBER), draw(NUMBER)))
    return Box(x1, y1, x2, y2)


BOXES = st.lists(boxes(), min_size=1, max_size=3).map(tuple)
ITEM = st.one_of(WORDS.map(Text), st.builds(Object, WORDS, BOXES), st.builds(Chars, WORDS, BOXES))


@settings(max_examples=300, deadline=None)
@given(st.lists(ITEM, max_size=6), st.booleans())
def test_reading_gives_back_what_was_written(items, switch):
    items = [
        b for a, b in zip([None, *items], items, strict=False) if not (isinstance(a, Text) and isinstance(b, Text))
    ]
    if switch and items and isinstance(items[0], Text):
        items[0] = Text("<gro>\n" + items[0].text)
    try:
        text = write(items)
    except InputError:
        assume(False)
    report = []
    assert parse(text, report) == items
    assert report == []
    assert write(parse(text)) == text


PIECES = st.one_of(
    st.sampled_from(
        [*MARKERS, *MARKERS, "0.1, 0.2, 0.3, 0.4", "0.1, 0.2", "0.", "1.5", "7", ", ", " ", "\n", "고양이", "%"]
    ),
    st.text(max_size=3),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_anything_can_be_read(text):
    report = []
    items = parse(text, report)
    shown = plain(items)
    leading = ("<gro>", "<ocr>")
    assert not any(marker in shown.removeprefix("\n") for marker in MARKERS if marker not in leading)
    for item in items:
        for box in () if isinstance(item, Text) else item.boxes:
            assert 0 <= box.x1 <= box.x2 <= 1
            assert 0 <= box.y1 <= box.y2 <= 1
    if not report:
        assert re.sub(r"[\d.,\s]", "", shown) == re.sub(
            r"[\d.,\s]", "", re.sub("^<(gro|ocr)>|</?(char|obj|bbox|delim)>", "", unicodedata.normalize("NFC", text))
        ), "nothing disappears without a word"
    if not legal(text):
        assert write(items) == unicodedata.normalize("NFC", text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(PIECES, st.just("\u2060"), st.just("<\u2060obj>")), max_size=8).map("".join))
def test_escaped_text_has_no_markers(text):
    composed = unicodedata.normalize("NFC", text)
    escaped = escape(text)
    assert not any(marker in escaped for marker in MARKERS)
    assert unescape(escaped) == composed
    assert escaped.replace("\u2060", "") == composed.replace("\u2060", "")
    assert parse(escaped) == ([Text(escaped)] if escaped else [])


def test_no_torch():
    code = "import sys, varco_vision.markup; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
