"""PopEval: the paper's examples, its properties, and what the authors' program says on generated pages."""

from __future__ import annotations

import unicodedata

import metric_cases as cases
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varco_vision.eval.popeval import Letters, score_page, total
from varco_vision.eval.readers import Region

pytest.importorskip("shapely", reason="PopEval needs shapely (extra: eval)")
rect = Region.rectangle
BOX = (0, 0, 80, 20)


def halves(*texts: str) -> list[Region]:
    """Texts side by side, together filling `BOX`."""
    wide = 80 / len(texts)
    return [rect(text, (k * wide, 0, (k + 1) * wide, 20)) for k, text in enumerate(texts)]


def test_the_example_of_the_paper():
    found = score_page([rect("POPEVAL", BOX)], halves("OP", "EVAL"))
    assert (found.removed, found.told, found.gold) == (6, 6, 7)
    assert found.precision == 1.0
    assert found.recall == pytest.approx(6 / 7)
    assert found.h == pytest.approx(12 / 13)


def test_what_it_forgives_and_what_not():
    gold = [rect("대한민국", BOX)]
    assert score_page(gold, halves("대", "한", "민", "국")).h == 1.0, "boxes of characters"
    assert score_page(gold, [rect("국민한대", BOX)]).h == 1.0, "order of letters"
    assert score_page(gold, [rect("대한민국", (80, 20, 99, 40))]).h == 1.0, "a common corner is enough"
    assert score_page(gold, [rect("대한민국", (81, 0, 99, 20))]).h == 0.0, "one pixel further is not"
    assert score_page(gold, [rect(unicodedata.normalize("NFD", "대한민국"), BOX)]).h == 0.0, "composition"
    assert score_page([rect("abc", BOX)], [rect("ABC", BOX)]).h == 0.0, "case"
    assert score_page([rect("가 나", BOX)], [rect("가나", BOX)]) == Letters(2, 2, 3), "blanks are letters"


def test_do_not_care_regions_take_what_lies_in_them_along():
    gold = [rect("가나", BOX), rect("###", (100, 0, 140, 20), ignored=True)]
    inside, half = rect("다", (100, 0, 120, 20)), rect("라", (80, 0, 120, 20))
    assert score_page(gold, [rect("가나", BOX), inside]) == Letters(2, 2, 2)
    assert score_page(gold, [rect("가나", BOX), half]) == Letters(2, 3, 2), "exactly half inside still counts"


def test_single_relations_go_first_and_the_larger_share_gets_the_rest():
    # 나 is related to both told regions until 가 has taken its letter; then both letters are found.
    gold = [rect("가", (0, 0, 10, 10)), rect("가", (8, 0, 30, 10))]
    told = [rect("가", (0, 0, 9, 10)), rect("가", (20, 0, 30, 10))]
    assert score_page(gold, told).removed == 2
    # one gold region, two told ones with the letter: the one that covers more of it gives the letter
    told = [rect("가나", (0, 0, 3, 10)), rect("가", (3, 0, 10, 10))]
    assert score_page([rect("가", (0, 0, 10, 10))], told) == Letters(1, 3, 1)


def test_nothing_told_and_nothing_to_read():
    assert score_page([], []) == Letters(0, 0, 0)
    assert score_page([rect("가", BOX)], []) == Letters(0, 0, 1)
    assert score_page([], [rect("가", BOX)]) == Letters(0, 1, 0)
    assert (Letters(0, 0, 0).precision, Letters(0, 0, 0).recall, Letters(0, 0, 0).h) == (0.0, 0.0, 0.0)
    assert total([Letters(1, 2, 3), Letters(1, 1, 1)]) == Letters(2, 3, 4), "sums, not means of pages"


def test_many_words_need_no_recursion():
    gold = [
        rect("가나다", (20 * (k % 50), 12 * (k // 50), 20 * (k % 50) + 18, 12 * (k // 50) + 10)) for k in range(1500)
    ]
    assert score_page(gold, gold).h == 1.0


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_bounds_and_self_score(seed):
    gold, told = (as_regions(side) for side in cases.page(seed))
    found = score_page(gold, told)
    assert 0 <= found.removed <= min(found.told, found.gold)
    cared = [r for r in gold if not r.ignored]
    assert score_page(cared, cared).h == (1.0 if cared else 0.0)


def as_regions(regions):
    return [Region(text, tuple(quad), text == "###") for text, quad in regions]


def test_equal_to_the_authors_program_on_generated_pages():
    recorded, made = cases.load("popeval"), cases.pages()
    assert recorded["digest"] == cases.digest(made) and len(recorded["outputs"]) >= 10_000
    crashed = 0
    for number, ((gold, told), known) in enumerate(zip(made, recorded["outputs"], strict=True)):
        # a told "###" is ordinary text there
        found = score_page(as_regions(gold), [Region(text, tuple(quad)) for text, quad in told])
        if known is None:
            crashed += 1  # the original divides by the area of a gold region without area, and drops the picture
            assert any(not_an_area(quad) for _, quad in gold)
        else:
            assert [found.removed, found.told, found.gold] == known, number
    assert crashed < 100


def not_an_area(quad):
    points = list(zip(quad[::2], quad[1::2], strict=True))
    return all(
        (b[0] - a[0]) * (c[1] - a[1]) == (b[1] - a[1]) * (c[0] - a[0]) for a in points for b in points for c in points
    )
