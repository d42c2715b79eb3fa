"""Particles against a table checked by hand, and the template language."""

import random

import pytest

from varco_vision.errors import InputError
from varco_vision.synth.korean import PAIRS, attach, count_phrase, counter, fill, josa, listed, with_commas
from varco_vision.synth.lexicon import NOUNS

CASES = """
원 은/는 은|고리 은/는 는|별 은/는 은|하트 은/는 는|마름모 은/는 는|십자가 은/는 는|삼각형 은/는 은
물 이/가 이|나비 이/가 가|학교 이/가 가|책상 이/가 이|사람 을/를 을|의자 을/를 를|밥 을/를 을
빨간색 원 과/와 과|파란색 고리 과/와 와|서울 과/와 과|제주도 과/와 와
서울 으로/로 로|부산 으로/로 으로|제주도 으로/로 로|연필 으로/로 로|손 으로/로 으로|칼 으로/로 로|빨간색 으로/로 으로
학생 이에요/예요 이에요|의사 이에요/예요 예요|물 이에요/예요 이에요|선생님 이라/라 이라|친구 이라/라 라|별 이라/라 이라
바다 이라는/라는 라는|산 이라는/라는 이라는|민수 아/야 야|지은 아/야 아|밥 이나/나 이나|커피 이나/나 나|동생 이랑/랑 이랑
0 은/는 은|1 은/는 은|2 은/는 는|3 은/는 은|4 은/는 는|5 은/는 는|6 은/는 은|7 은/는 은|8 은/는 은|9 은/는 는
1 으로/로 로|3 으로/로 으로|6 으로/로 으로|7 으로/로 로|8 으로/로 로|10 은/는 은|12 을/를 를|20 으로/로 으로|100 은/는 은
1000 이/가 이|10000 을/를 을|1,000,000 은/는 은|1000000000000 은/는 는|0.5 은/는 는|3.10 이/가 이|2024 은/는 는
A 은/는 는|L 은/는 은|L 으로/로 로|M 으로/로 으로|N 을/를 을|R 을/를 을|R 으로/로 로|S 은/는 는|Z 이/가 가
KBS 은/는 는|USB 을/를 를|HTML 은/는 은|PDF 을/를 를|VPN 은/는 은|TV 을/를 를
apple 은/는 은|cake 을/를 를|milk 을/를 를|pen 을/를 을|book 은/는 은|cat 은/는 은|star 은/는 는|circle 은/는 은
square 은/는 는|ring 은/는 은|cross 은/는 는|heart 은/는 는|time 은/는 은|film 으로/로 으로|music 은/는 은|coffee 을/를 를
internet 을/를 을|web 은/는 은|orange 은/는 는|school 으로/로 로|table 으로/로 로|door 은/는 는|black 은/는 은|blue 은/는 는
5cm 은/는 는|3kg 을/를 을|50% 은/는 는|2L 을/를 를|'사과' 은/는 는|“빵” 은/는 은|사과(apple) 은/는 는|물(water) 으로/로 로
서울. 은/는 은|그림!) 이/가 이
"""
TABLE = [
    tuple(case.rsplit(" ", 2)) for line in CASES.strip().splitlines() for case in line.split("|")
]  # "word pair form"


def test_table_is_large():
    assert len(TABLE) >= 60 and len({(w, p) for w, p, _ in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("word", "pair", "form"), TABLE)
def test_particle(word, pair, form):
    assert josa(word, pair) == form
    assert attach(word, pair) == word + form


@pytest.mark.parametrize(
    ("text", "pair", "form"),
    [
        ("<obj>빨간색 원</obj><bbox>0.1, 0.2, 0.3, 0.4</bbox>", "이/가", "이"),
        ("<obj>파란색 고리</obj><bbox>0.1, 0.2, 0.3, 0.4</bbox>", "이/가", "가"),
        ("<obj>별</obj><bbox>0.1, 0.2, 0.3, 0.4<delim>0.5, 0.5, 0.9, 0.9</bbox>", "으로/로", "로"),
        ("<char>바다</char><bbox>0.0, 0.0, 1.0, 1.0</bbox>", "이라는/라는", "라는"),
        ("<char>KOR 10</char><bbox>0.0, 0.0, 1.0, 1.0</bbox>", "은/는", "은"),
        ("<obj>원</obj><bbox>0, 0, 1, 1</bbox>과 <obj>하트</obj><bbox>0, 0, 1, 1</bbox>", "이/가", "가"),
    ],
)
def test_after_a_box_the_phrase_decides(text, pair, form):
    assert josa(text, pair) == form


def test_order_of_the_pair_does_not_matter():
    assert all(josa("원", "/".join(p)) == josa("원", "/".join(reversed(p))) == p[0] for p in PAIRS)
    assert all(josa("고리", "/".join(p)) == p[1] for p in PAIRS)


def test_faults_are_named():
    with pytest.raises(InputError, match="은/는"):
        josa("원", "은/을")
    for nothing in ("", "  ", "!?", "★"):
        with pytest.raises(InputError, match="particle"):
            josa(nothing, "은/는")


def test_fill():
    assert fill("{a|과/와} {b|을/를} 더하면?", a=7, b=2) == "7과 2를 더하면?"
    assert fill("{name}의 위치", name="별") == "별의 위치"
    with pytest.raises(KeyError):
        fill("{other}", name="별")


def test_counters():
    assert [counter(k) for k in ("물체", "고양이", "사람", "자동차", "vehicle")] == ["개", "마리", "명", "대", "대"]
    assert count_phrase(3) == "세 개" and count_phrase(2, "강아지") == "두 마리" and count_phrase(12, "학생") == "12명"


def test_lists_with_and_without_a_particle():
    """However a list is written, `with_commas` gives one form; words that merely hold 과 or 와 stay."""
    words = [*NOUNS, "FLAG", "yeya", "740", "05", "'box'", "사과", "치과", "기와"]
    rng = random.Random(5)
    for count in (1, 2, 3, 5):
        for _ in range(300):
            items = rng.sample(words, count)
            text = f"그림에는 {listed(items)}이 있습니다."
            assert with_commas(text) == f"그림에는 {', '.join(items)}이 있습니다." == with_commas(with_commas(text))
            if count > 1:  # the other form of the particle is a mistake, and stays one
                right = josa(items[-2], "과/와")
                wrong = text.replace(
                    f"{items[-2]}{right} {items[-1]}", f"{items[-2]}{'과와'[right == '과']} {items[-1]}"
                )
                assert with_commas(wrong) != with_commas(text)
    assert with_commas("그림에는 사과 한 개가 있습니다.") == "그림에는 사과 한 개가 있습니다."
    assert with_commas("치과와 사과 밭") == "치과, 사과 밭"
    with pytest.raises(InputError):
        listed(["!!", "원"])
