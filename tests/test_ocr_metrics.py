"""OCR scores side by side: worked examples, properties, and CLEval against its own command line."""

from __future__ import annotations

import json
import unicodedata
from itertools import permutations

import metric_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varco_vision.errors import InputError
from varco_vision.eval import ocr
from varco_vision.eval.readers import Region, TextPage

pytest.importorskip("shapely", reason="PopEval needs shapely (extra: eval)")
rect = Region.rectangle


def line(*words: str, at: float = 0.0) -> list[Region]:
    """Words of one line, 40 pixels each."""
    return [rect(word, (50 * k, at, 50 * k + 40, at + 20)) for k, word in enumerate(words)]


def page(regions, name="p") -> TextPage:
    return TextPage(name, tuple(regions), (400, 300))


def ratio(parts):
    return parts[0] / parts[1]


# --- one page ---


def test_worked_examples():
    gold = page(line("안녕하세요", "반갑습니다"))
    wrong = ocr.page_parts(gold, page(line("안녕하세요", "반겁습니다")))
    assert wrong["cer"] == (1, 11) and wrong["jamo_cer"] == (1, 26) and wrong["cer_no_spaces"] == (1, 10)
    assert ratio(wrong["word_f1"]) == 0.5 and ratio(wrong["word_box_f1"]) == 0.5
    assert ratio(wrong["character_f1"]) == 0.9
    joined = ocr.page_parts(gold, page([rect("안녕하세요반갑습니다", (0, 0, 90, 20))]))
    assert joined["cer"] == (1, 11) and joined["cer_no_spaces"] == (0, 10)
    assert ratio(joined["word_f1"]) == 0.0 and ratio(joined["character_f1"]) == 1.0


def test_characters_count_in_any_order_and_places_do_not():
    gold, told = page(line("대한", "민국")), page(line("국민", "한대", at=200))
    parts = ocr.page_parts(gold, told)
    assert ratio(parts["character_f1"]) == 1.0 and ratio(parts["word_f1"]) == 0.0
    moved = ocr.page_parts(gold, page(line("대한", "민국", at=200)))
    assert ratio(moved["word_f1"]) == 1.0 and ratio(moved["word_box_f1"]) == 0.0


def test_reading_order():
    words = ["가", "나", "다", "라"]
    gold = page(line(*words))
    same = ocr.page_parts(gold, page(line(*words)))
    assert same["reading_order"] == (6, 6)
    backwards = ocr.page_parts(gold, page(line(*words)[::-1]))
    assert backwards["reading_order"] == (0, 6)
    some = ocr.page_parts(gold, page([*line(*words)[1:2], *line(*words)[:1], rect("하", (200, 200, 240, 220))]))
    assert some["reading_order"] == (0, 1), "only matched words have an order"
    assert ocr.page_parts(gold, page([]))["reading_order"] == (0, 0)


def test_equal_words_are_matched_where_they_overlap():
    gold = page(line("가", "가"))
    assert ocr.page_parts(gold, page(line("가", "가")[::-1]))["reading_order"] == (0, 1), "told in the wrong order"
    far = page([rect("가", (0, 200, 40, 220)), rect("가", (50, 200, 90, 220))])
    assert ocr.page_parts(gold, far)["reading_order"] == (1, 1), "without places the n-th is the n-th"


@given(st.permutations(range(7)))
def test_order_parts_count_pairs(order):
    pairs = [(a, b) for k, a in enumerate(order) for b in order[k + 1 :]]
    assert ocr.order_parts(order) == (sum(a < b for a, b in pairs), 21)


def test_order_of_all_permutations_is_even_on_average():
    shares = [ratio(ocr.order_parts(p)) for p in permutations(range(5))]
    assert sum(shares) / len(shares) == pytest.approx(0.5)


def test_do_not_care_regions_and_regions_without_text_are_no_words():
    gold = page([*line("가나"), rect("###", (100, 0, 140, 20), True), rect("", (0, 100, 40, 120))])
    told = page([*line("가나"), rect("다", (100, 0, 120, 20)), rect(" ", (0, 100, 40, 120))])
    parts = ocr.page_parts(gold, told)
    assert parts["cer"] == (0, 2) and ratio(parts["word_box_f1"]) == 1.0
    result = ocr.score([(gold, told)])
    assert result["without_text"] == {"gold": 1, "told": 1}


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_gold_against_itself_is_perfect(seed):
    gold = page([Region(t, tuple(q)) for t, q in cases.page(seed)[0] if t != "###"])
    parts = ocr.page_parts(gold, gold)
    for name, (above, below) in parts.items():
        assert above == (0 if name in ocr.LOWER_IS_BETTER else below), name


# --- a set ---


def test_a_set_is_summed_not_averaged():
    pages = [(page(line("가"), "a"), page(line("나"), "a")), (page(line(*"가나다라마바사아자"), "b"),) * 2]
    result = ocr.score(pages)
    assert result["rates"]["cer_no_spaces"]["value"] == pytest.approx(1 / 10)
    assert result["popeval"]["h"] == pytest.approx(0.9)
    assert result["rates"]["cer"]["low"] <= result["rates"]["cer"]["value"] <= result["rates"]["cer"]["high"]
    single = ocr.score(pages[:1])["rates"]["cer"]
    assert single["low"] is None, "one page has no interval"
    assert ocr.score([(page([]), page([]))])["rates"]["cer"] is None
    with pytest.raises(InputError, match="no page"):
        ocr.score([])


def test_settings_say_what_is_forgiven():
    decomposed = unicodedata.normalize("NFD", "가나")
    pages = [(page(line("가나 Ａb")), page(line(f"{decomposed} aB")))]
    strict = ocr.score(pages)
    assert strict["popeval"]["h"] == pytest.approx(3 / 5) and strict["protocol"] == "ocr-1 nfc case-sensitive"
    as_is = ocr.score(pages, ocr.Settings(compose=False))
    assert as_is["popeval"]["removed"] == 1 and "as-is" in as_is["protocol"]
    folded = ocr.score(pages, ocr.Settings(fold_case=True, fold_width=True, drop_blanks=True))
    assert folded["popeval"]["h"] == 1.0 and folded["popeval"]["gold"] == 4
    assert folded["protocol"] == "ocr-1 nfc case-folded width-folded without-blanks"


def test_pages_are_paired_by_id_and_nothing_is_left_out_quietly():
    gold = {name: page(line("가"), name) for name in "ab"}
    with pytest.raises(InputError, match="1 of 2 gold pages were not told, such as 'b'"):
        ocr.pair_pages(gold, {"a": gold["a"]})
    pairs = ocr.pair_pages(gold, {"a": gold["a"]}, missing=True)
    assert ocr.score(pairs)["popeval"]["recall"] == 0.5
    with pytest.raises(InputError, match="no gold page, such as 'z'"):
        ocr.pair_pages(gold, {"z": gold["a"]}, missing=True)


# --- CLEval ---


def test_cleval_gets_whole_pixels_and_four_corners():
    assert ocr.quads(page([rect("가", (1.9, 2.2, 3, 4))])).tolist() == [[1, 2, 3, 2, 3, 4, 1, 4]]
    assert ocr.quads(page([])).shape == (0, 8) and ocr.quads(page([])).dtype == np.float64
    with pytest.raises(InputError, match="3 corners"):
        ocr.quads(page([Region("가", (0, 0, 1, 0, 1, 1))]))


def test_without_cleval_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cleval", None)
    with pytest.raises(InputError, match="varco-vision-open\\[cleval\\]"):
        ocr.cleval([(page([]), page([]))])


@pytest.fixture
def with_cleval():
    pytest.importorskip("cleval", reason="CLEval is not installed (extra: cleval; its Polygon3 needs a C compiler)")


def test_cleval_probes(with_cleval):
    gold = page([rect("대한민국", (0, 0, 80, 20))])
    characters = page([rect(c, (20 * k, 0, 20 * k + 20, 20)) for k, c in enumerate("대한민국")])
    assert ocr.cleval([(gold, gold)])["e2e_h"] == pytest.approx(1.0)
    assert ocr.cleval([(gold, characters)])["e2e_h"] == pytest.approx(0.4)
    assert ocr.cleval([(gold, characters)], recall_granularity=0.0)["e2e_h"] == pytest.approx(1.0)
    assert ocr.cleval([(gold, page([]))])["e2e_h"] == 0.0
    empty = ocr.score([(page([]), page([]))], with_cleval=True)
    assert empty["cleval"]["e2e_h"] == 0.0


@pytest.mark.slow
def test_cleval_equals_its_command_line_on_generated_pages(with_cleval):
    recorded, made = cases.load("cleval"), cases.cleval_sets()
    assert recorded["digest"] == cases.digest(made) and sum(map(len, made)) >= 10_000
    for pages, known in zip(made, recorded["outputs"], strict=True):
        pairs = [(page(as_regions(gold)), page(as_regions(told))) for gold, told in pages]
        found = ocr.cleval(pairs)
        assert found == pytest.approx(known, abs=1e-6), "its sums are float32"
        for name in ("num_splitted", "num_merged", "num_char_overlapped"):
            assert found[name] == known[name]


def as_regions(regions):
    return [Region(text, tuple(quad), text == "###") for text, quad in regions]


# --- the command line ---


def run(capsys, *words):
    """(exit code, standard output, standard error) of `varco-vision eval ...`."""
    from varco_vision.cli.main import main

    with pytest.raises(SystemExit) as stopped:
        main(["eval", *map(str, words)])
    return (stopped.value.code or 0, *capsys.readouterr())


def test_eval_ocr_on_files(tmp_path, capsys):
    for side, text in (("gold", "가나"), ("told", "가다")):
        (tmp_path / side).mkdir()
        (tmp_path / side / "gt_1.txt").write_text(f"0,0,9,0,9,9,0,9,{text}\n", encoding="utf-8")
    given = ["--gold", tmp_path / "gold", "--told", tmp_path / "told", "--form", "icdar2015"]
    code, out, _ = run(capsys, "ocr", *given)
    assert (
        code == 0 and "popeval_h      0.5000" in out and out.startswith("protocol ocr-1 nfc case-sensitive | pages 1")
    )
    code, out, _ = run(capsys, "ocr", *given, "--json", "--out", tmp_path / "n.json")
    assert json.loads(out) == json.loads((tmp_path / "n.json").read_text())
    assert json.loads(out)["rates"]["cer"]["value"] == 0.5
    code, out, err = run(capsys, "ocr", *given[:-1], "icdar")
    assert (code, out) == (2, "") and err.startswith("error: the form 'icdar'")


def test_eval_ground_and_refer_on_files(tmp_path, capsys):
    pytest.importorskip("sacrebleu", reason="chrF needs sacrebleu (extra: eval)")
    gold, told = tmp_path / "gold.jsonl", tmp_path / "told.jsonl"
    gold.write_text(
        json.dumps({"id": "a", "sent": "개", "answer": "개", "bbox": [0, 0, 50, 50], "width": 100, "height": 100})
    )
    told.write_text(json.dumps({"id": "a", "answer": "(0,0),(500,500)"}))
    code, out, _ = run(
        capsys, "ground", "--gold", gold, "--told", told, "--form", "refcoco", "--coordinates", "thousand", "--json"
    )
    assert code == 0 and json.loads(out)["all"]["acc50"]["value"] == 1.0
    code, _, err = run(capsys, "ground", "--gold", gold, "--told", told, "--form", "refer")
    assert code == 2 and "--instances" in err
    told.write_text(json.dumps({"id": "a", "answer": "개입니다"}))
    code, out, _ = run(capsys, "refer", "--gold", gold, "--told", told)
    assert code == 0 and "phrase  1.0000" in out and "exact   0.0000" in out
    told.write_text(json.dumps({"id": "b", "answer": "개"}))
    code, _, err = run(capsys, "refer", "--gold", gold, "--told", told)
    assert code == 2 and "lacks 1 of 1 answers, such as the one to 'a'" in err
