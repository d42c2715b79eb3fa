"""Metrics and intervals: golden values, properties, textbook comparisons."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from varco_vision.eval import metrics as m
from varco_vision.eval import statistics
from varco_vision.geometry import Box

TEXTS = st.text(alphabet="가각갂나값abAB ㄱ.1", max_size=12)
PIXELS = Image.new("RGB", (64, 48), (200, 200, 200))


# --- boxes ---


def test_first_box_rule():
    gold, half, far = Box(0.0, 0.0, 0.4, 0.4), Box(0.0, 0.0, 0.4, 0.2), Box(0.5, 0.5, 0.9, 0.9)
    assert m.first_box_iou([half, gold], gold) == pytest.approx(0.5), "the first box counts, not the best"
    assert m.first_box_iou([far, gold], gold) == 0.0
    assert m.first_box_iou([], gold) == 0.0
    ious = [0.5, 0.49999, 1.0, 0.0]
    assert m.box_accuracy(ious) == 0.5, "the threshold itself is reached"
    assert m.mean_iou([0.5, 0.0]) == 0.25


def test_matching_is_the_largest_not_the_greedy_one():
    fits = {(0, 0), (0, 1), (1, 0)}
    assert m.matching(2, 2, lambda r, c: (r, c) in fits) == 2
    assert m.matching(3, 1, lambda r, c: True) == 1
    assert m.matching(0, 5, lambda r, c: True) == 0


@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))))
@settings(deadline=None)
def test_matching_against_all_permutations(fits):
    from itertools import permutations

    best = max(sum((row, column) in fits for row, column in enumerate(order)) for order in permutations(range(5)))
    assert m.matching(5, 5, lambda r, c: (r, c) in fits) == best


def test_words_are_matched_once_with_text_and_place():
    here, there = Box(0.0, 0.0, 0.2, 0.1), Box(0.5, 0.5, 0.7, 0.6)
    gold = [("가게", here), ("가게", there)]
    assert m.named_box_matches([("가게", here)], gold) == 1
    assert m.named_box_matches([("가게", here), ("가게", here)], gold) == 1, "one place is found once"
    assert m.named_box_matches([("가개", here), ("가게", there)], gold) == 1
    assert m.named_box_matches([(unicodedata.normalize("NFD", "가게"), here)], gold) == 1
    assert m.box_matches([here, there], [there, here]) == 2
    half = Box(0.0, 0.0, 0.2, 0.05)
    assert (
        half.iou(here) == 0.5
        and m.box_matches([half], [here]) == m.named_box_matches([("x", half)], [("x", here)]) == 1
    )
    assert m.text_matches(["가게", "가게", "가게", "x"], ["가게", "가게", "y"]) == 2


def test_f1():
    assert m.f1(1, 2, 1) == pytest.approx(2 / 3)
    assert m.f1(0, 0, 0) == 1.0
    assert m.f1(0, 3, 0) == 0.0


# --- text ---


def test_cer_of_the_documented_examples():
    gold = "안녕하세요 반갑습니다"  # 11 characters with the blank, 10 without, 25 jamo and a blank
    wrong = "안녕하세요 반겁습니다"
    assert m.character_error_rate([(wrong, gold)]) == pytest.approx(1 / 11)
    assert m.character_error_rate([(wrong, gold)], unit="jamo") == pytest.approx(1 / 26)
    missing = gold.replace(" ", "")
    assert m.character_error_rate([(missing, gold)]) == pytest.approx(1 / 11)
    assert m.character_error_rate([(missing, gold)], spaces=False) == 0.0
    assert m.character_errors("갑", "값") == (1, 1)
    assert m.character_errors("갑", "값", unit="jamo") == (1, 3)


def test_cer_is_micro_and_composes():
    pairs = [("가", "나"), ("가나다라마바사아자", "가나다라마바사아자")]
    assert m.character_error_rate(pairs) == pytest.approx(1 / 10), "sums, not the mean of 1 and 0"
    assert m.character_error_rate([(unicodedata.normalize("NFD", "한글"), "한글")]) == 0.0
    assert m.character_error_rate([("가가가가", "가")]) == 3.0, "a rate may exceed 1"
    assert m.character_error_rate([("", "")]) is None
    assert m.character_errors("ㄱ", "\u1100") == (1, 1), "compatibility letters are not folded"


@pytest.mark.parametrize(
    ("a", "b", "d"), [("kitten", "sitting", 3), ("", "abc", 3), ("flaw", "lawn", 2), ("x", "x", 0)]
)
def test_edit_distance_golden(a, b, d):
    assert m.edit_distance(a, b) == d


def plain_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row, old = [i], row
        for j, y in enumerate(b, start=1):
            row.append(min(old[j] + 1, row[j - 1] + 1, old[j - 1] + (x != y)))
    return row[-1]


@given(TEXTS, TEXTS)
@settings(max_examples=200, deadline=None)
def test_edit_distance_equals_the_textbook(a, b):
    assert m.edit_distance(a, b) == plain_distance(a, b) == m.edit_distance(b, a)


@given(TEXTS)
@settings(deadline=None)
def test_equal_texts_are_equal_in_any_form(text):
    decomposed = f"  {unicodedata.normalize('NFD', text)} "
    assert m.same_strict(decomposed, text) and m.same_answer(decomposed, text) and m.same_phrase(decomposed, text)
    assert m.character_errors(decomposed, text)[0] == 0


def test_tolerances_are_those_declared_and_no_others():
    assert m.same_phrase("빨간 원입니다.", "빨간 원")
    assert m.same_phrase("빨간 원이에요", "빨간 원") and m.same_phrase("사과예요!", "사과")
    assert m.same_phrase("A red circle.", "red circle") and m.same_phrase("the  Red circle", "red circle")
    assert m.same_answer("ＲＥＤ", "red") and not m.same_answer("a red", "red")
    assert not m.same_phrase("이것은 빨간 원", "빨간 원") and not m.same_phrase("빨간색 원", "빨간 원")
    assert not m.same_phrase("apples", "pples") and not m.same_phrase("another", "other")
    assert not m.same_strict("Red", "red") and not m.same_strict("빨간 원.", "빨간 원")
    assert m.phrase("입니다") == "입니다", "nothing is left to compare without it"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("3", 3), ("3개", 3), ("세 개", 3), ("세개입니다.", 3), ("three", 3), ("There are Three objects", 3),
        ("네, 세 개입니다", 3), ("네 개", 4), ("네", None), ("하나입니다.", 1), ("하나도 없습니다", 0), ("둘이에요", 2),
        ("열두 마리", 12), ("스무 개", 20), ("스물하나", 21), ("삼 개", 3), ("십이 개", 12), ("한국", None), ("열쇠", None),
        ("1,234 things", 1234), ("５개", 5), ("3.5", None), ("3.0", 3), ("2 or 3", 2), ("none", 0), ("없습니다", 0),
        ("no objects", 0), ("no, there are two", 2), ("", None), ("phone", None), ("someone", None), ("이 물체는 셋", 3),
        (unicodedata.normalize("NFD", "세 개"), 3),
    ],
)  # fmt: skip
def test_count_in(text, count):
    assert m.count_in(text) == count


@given(st.integers(1, 10))
@settings(deadline=None)
def test_counts_of_the_synthetic_world_are_read(count):
    from varco_vision.synth.korean import count_phrase

    assert m.count_in(count_phrase(count)) == count
    assert m.count_in(f"그림에는 물체가 {count_phrase(count)} 있습니다.") == count


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("네", True), ("네, 있습니다.", True), ("네모", None), ("아니요", False), ("아니오, 있습니다", False), ("없어요", False),
        ("있습니다", True), ("있지 않습니다", False), ("보이지 않아요", False), ("Yes.", True), ("no", False), ("Nothing", None),
        ("There is no circle", False), ("There is a circle", True), ("it isn't", False), ("maybe", None), ("", None),
        ("yesterday", None),
    ],
)  # fmt: skip
def test_yes_no(text, meaning):
    assert m.yes_no(text) is meaning


def test_language_shares():
    assert m.hangul_share("가 a") == 0.5
    assert m.hangul_share(unicodedata.normalize("NFD", "한글")) == 1.0
    assert m.hangul_share("42!") is None
    assert (m.language("the 원"), m.language("빨간 원 a"), m.language("3")) == ("en", "ko", None)


# --- statistics ---


def test_wilson_golden():
    z2 = 1.959964**2
    assert statistics.wilson(0, 10) == pytest.approx((0.0, z2 / (10 + z2)), abs=1e-6)  # 0.2775
    half = 0.5 * z2**0.5 / (100 + z2) ** 0.5  # the interval's closed form at one half
    assert statistics.wilson(50, 100) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)


@given(st.integers(1, 400), st.data())
@settings(deadline=None)
def test_wilson_bounds_are_where_the_score_test_turns(n, data):
    k = data.draw(st.integers(0, n))
    for bound in statistics.wilson(k, n):
        if 0 < bound < 1:
            score = abs(k / n - bound) / (bound * (1 - bound) / n) ** 0.5
            assert score == pytest.approx(1.959964, rel=1e-5)


@given(st.integers(1, 60), st.data())
@settings(deadline=None)
def test_wilson_holds_the_share(n, data):
    k = data.draw(st.integers(0, n))
    low, high = statistics.wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1 and high - low > 0
    assert statistics.wilson(n - k, n) == pytest.approx((1 - high, 1 - low))


def test_bootstrap():
    values = [0.0] * 50 + [1.0] * 50
    low, high = statistics.bootstrap_mean(values)
    assert low == pytest.approx(0.40, abs=0.02) and high == pytest.approx(0.60, abs=0.02)
    shuffled = random.Random(3).sample(values, 100)
    assert statistics.bootstrap_mean(shuffled) == (low, high), "the order of values must not matter"
    uneven = [k**0.5 for k in range(30)]
    assert statistics.bootstrap_mean(uneven, seed=1) != statistics.bootstrap_mean(uneven, seed=2)
    assert statistics.bootstrap_mean([0.25]) == (0.25, 0.25)
    assert statistics.bootstrap_ratio([(1, 2), (3, 6)]) == (0.5, 0.5)
    assert statistics.bootstrap_ratio([(0, 0), (1, 2)]) == (0.5, 0.5), "a draw of nothing is no draw"


def test_bootstrap_in_chunks_is_the_same(monkeypatch):
    values = [k / 7 for k in range(40)]
    whole = statistics.bootstrap_mean(values)
    monkeypatch.setattr(statistics, "CELLS", 100)
    assert statistics.bootstrap_mean(values) == pytest.approx(whole)


def test_mcnemar_golden():
    assert statistics.mcnemar(0, 0) == 1.0
    assert statistics.mcnemar(5, 5) == 1.0
    assert statistics.mcnemar(0, 5) == pytest.approx(2 / 32)
    assert statistics.mcnemar(1, 9) == statistics.mcnemar(9, 1) == pytest.approx(2 * 11 / 1024)


def test_compare():
    before, after = [True] * 8 + [False] * 2, [True] * 6 + [False] * 2 + [True, False]
    found = statistics.compare(before, after)
    assert (found.n, found.before, found.after, found.lost, found.gained) == (10, 0.8, 0.7, 2, 1)
    assert found.kept == 0.75 and found.difference == pytest.approx(-0.1)
    assert found.low <= found.difference <= found.high
    same = statistics.compare([False] * 20, [False] * 20)
    assert same.kept is None and same.p == 1.0
    assert same.low == -same.high and same.high > 0.1, "20 unchanged answers do not prove that nothing changes"
