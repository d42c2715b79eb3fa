"""Reading a letter out of an answer: a table checked by hand, invariants, faults."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varco_vision.errors import InputError
from varco_vision.eval.extract import choice

TABLE = Path(__file__).parent / "data" / "choice_cases.txt"


def cases():
    """(number of the line, answer, letters, options, expected letter or None) of the table."""
    for number, line in enumerate(TABLE.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("# ") or line == "#":
            continue
        wanted, arrow, rest = line.partition(" <- ")
        assert arrow and (wanted == "-" or re.fullmatch("[A-Z]", wanted)), f"line {number}: {line}"
        text, _, listed = rest.partition(" || ")
        letters = re.match(r"\[([A-Z]+)\] ", text) if not text.startswith("[B] ") else None
        text = text[letters.end() :] if letters else text
        text = re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), text)
        text = re.sub(r"\\n", "\n", text)
        yield number, text, letters[1] if letters else "ABCD", listed.split("; ") if listed else None, wanted


CASES = list(cases())


def test_the_table_is_large_and_has_both_kinds():
    assert len(CASES) >= 300
    assert len({(text, letters, str(options)) for _, text, letters, options, _ in CASES}) == len(CASES), (
        "twice the same"
    )
    refused = sum(wanted == "-" for *_, wanted in CASES)
    assert refused >= 100 and len(CASES) - refused >= 150


def test_every_case_of_the_table():
    wrong = [
        f"line {number}: {text!r} of {options or letters}: {found}, not {wanted}"
        for number, text, letters, options, wanted in CASES
        if (found := choice(text, letters, options) or "-") != wanted
    ]
    assert not wrong, "\n".join(wrong)


@given(st.text(max_size=60), st.sampled_from(["AB", "ABCD", "ABCDE"]))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_one_of_the_letters_or_none(text, letters):
    assert choice(text, letters) in {None, *letters}


PIECES = ["A", "B", "(C)", "d", "2", "②", "번", "는", "가", "이 ", "정답은 ", "답: ", "입니다", "틀렸", "아니라 ", " or ", ", ", ". ",
          "\n", "The answer is ", "not ", "고양이", "?", " is correct", "중에서 "]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(max_examples=500, deadline=None)
def test_spelling_does_not_matter(text):
    wanted = choice(text)
    assert choice(unicodedata.normalize("NFD", text)) == wanted
    assert choice(f"  {text}\n") == wanted
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isupper() else c for c in text)
    assert choice(wide) == wanted


@pytest.mark.parametrize("letter", "ABCD")
@pytest.mark.parametrize(
    "form", ["{}", "정답은 {}입니다.", "({})", "{}. 고양이", "The answer is {}.", "{}가 정답입니다.", "\\boxed{{{}}}"]
)
def test_every_letter_alike(letter, form):
    assert choice(form.format(letter)) == letter


@pytest.mark.parametrize("letters", ["", "AA", "가나", "A1"])
def test_letters_must_be_letters(letters):
    with pytest.raises(InputError, match="distinct letters"):
        choice("A", letters)


def test_answers_are_text():
    with pytest.raises(InputError, match="is text"):
        choice(None)


def test_lower_case_letters_come_back_as_given():
    assert choice("정답은 B입니다", "abcd") == "b"


def test_options_by_letter_or_in_order():
    assert choice("고양이", options={"A": "개", "B": "고양이"}) == choice("고양이", options=["개", "고양이"]) == "B"
    assert choice("고양이", options=["개", None, "고양이"]) == "C"


def test_long_answers_take_no_time():
    assert choice("정답은 B입니다. " + "그림에는 고양이와 개가 있습니다. A는 개입니다. " * 400) == "B"
    assert choice("A, B, " * 3000) is None
    assert choice("(" * 5000) is None
