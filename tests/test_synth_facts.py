"""Documents, tables, charts and exercises say what can be so: units agree in both languages, shops sell their goods."""

from __future__ import annotations

import random
import re

import pytest

from varco_vision.data.sample import text_of
from varco_vision.errors import InputError
from varco_vision.synth import exercises, strings, templates
from varco_vision.synth.charts import THEMES
from varco_vision.synth.documents import sentences
from varco_vision.synth.documents.render import DocumentConfig, page
from varco_vision.synth.korean import fill
from varco_vision.synth.phrasing import WORDINGS
from varco_vision.synth.sources import make_source
from varco_vision.synth.table_source import TableBook
from varco_vision.synth.tables import TOPICS, TableConfig, content, table

assert templates
SCALES = {"천": "thousand", "백만": "million"}


def test_units_of_both_languages_mean_the_same() -> None:
    pairs = [(t.unit_ko, t.unit_en) for t in THEMES] + [(c.unit_ko, c.unit_en) for t in TOPICS for c in t.columns]
    for ko, en in pairs:
        said = re.match(r"(천|만|백만|억)? ?", ko)[1]
        assert said not in ("만", "억"), "English has no word for ten thousand"
        assert (en.split() or [""])[0] == SCALES[said] if said else en.split()[:1] not in ([s] for s in SCALES.values())


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [("1,234", "천 원", "1,234천 원"), ("7", "백만 원", "7백만 원"), ("12", "%", "12%"), ("3.5", "km", "3.5 km"), ("60", "점", "60점"), ("8", "", "8"), ("9", "thousand won", "9 thousand won")],
)  # fmt: skip
def test_a_number_with_its_unit(number: str, unit: str, text: str) -> None:
    assert strings.measured(number, unit) == text


def test_numbers_side_by_side_are_possible() -> None:
    seen = 0
    for index in range(400):
        made = content(random.Random(index), TableConfig(columns=(2, 4)))
        places = {c.en: k for k, c in enumerate(made.columns)}
        for high, low in (("maximum temperature", "minimum temperature"), ("revenue", "net profit")):
            if {high, low} <= set(places):
                assert all(row[places[high]] >= row[places[low]] for row in made.values)
                seen += 1
        assert not {"revenue", "cost", "net profit"} <= set(places), "profit would have to be what is left of revenue"
        for k in range(len(made.columns)):
            assert len({row[k] for row in made.values}) == len(made.values)
    assert seen > 20


def test_tables_are_described_by_what_is_written_and_changes_are_not_ranked() -> None:
    class Silent:
        def say(self, *_: object, **__: object) -> str:
            return ""

    titled = 0
    for index in range(30):
        tb = table(random.Random(index), TableConfig(harm=0.0))
        book = TableBook(tb, random.Random(0), Silent(), 2)  # type: ignore[arg-type]
        for lang in ("ko", "en"):
            said = book.caption(lang, True).answer
            assert (f"'{tb.title}'" in said) == bool(tb.title_words)
            assert "월 " not in said.replace(tb.title, "") or "개월의" in said
            for column in tb.columns:
                if not column.ranked:
                    assert f"가장  {column.ko}" not in said and f"highest {column.en}" not in said
        titled += bool(tb.title_words)
        kinds = [m().kind for m in book.asks()["reason"]]
        if not any(c.ranked for c in tb.columns):
            assert "table_most" not in kinds and "table_count_if" not in kinds
    assert 5 < titled < 30


def test_a_question_answered_with_yes_or_no_does_not_ask_which() -> None:
    for lang, either in (("ko", "늘었는지 줄었는지"), ("en", " or ")):
        for template in WORDINGS["trend"].all(lang):
            assert either not in template


def test_times_are_counted_as_times() -> None:
    """몇 번 is answered with 번, and nothing in this list of wordings asks for another counting word."""
    assert all("번" in template or "횟수" in template for template in WORDINGS["count_one_letter"].all("ko"))
    for index in range(5):
        asked = exercises.count_one(random.Random(index), lambda *_, **__: "", "ko", "train")
        assert re.fullmatch(r"\d+번", asked.answer)


@pytest.mark.parametrize("split", ["train", "eval"])
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_no_sentence_stands_twice_on_a_page(split: str, lang: str) -> None:
    for texts in (sentences.LETTER, sentences.ARTICLE):
        for index in range(10):
            rng, used = random.Random(index), set[str]()
            first = sentences.passage(rng, texts, lang, split, 3, used)
            again = sentences.passage(rng, texts, lang, split, 3, used)
            assert first and len(used) >= 4
            said = re.findall(r"[^.?!]+[.?!]", f"{first} {again}")
            assert len(said) == len({re.sub(r"\d+", "0", s.strip()) for s in said})


def test_shops_sell_what_their_name_says() -> None:
    own = {name: k for k, goods in strings.GOODS.items() for pair in goods for name in pair[:2]}
    checked = 0
    for index in range(25):
        doc = page(random.Random(index), DocumentConfig(kinds=("receipt", "price_list"), looks=("flat",)))
        store = doc.value("store")
        trades = {own[item["name"]] for item in doc.items}
        assert len(trades) <= 1
        if store and trades:
            assert store.endswith(strings.TRADES[trades.pop()][doc.lang])
            checked += 1
    assert checked > 15


def test_people_who_sign_were_born() -> None:
    days = [strings.birthday(random.Random(k)) for k in range(300)]
    assert 1948 <= min(d.year for d in days) < 1960 and 2000 < max(d.year for d in days) <= 2012


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_small_talk_is_about_what_one_learns(lang: str) -> None:
    learnt = exercises._LEARNT[lang]
    answer = next(a for _, a in exercises._TALK[lang] if "{thing" in a)
    assert all(thing in fill(answer, thing=thing) for thing in learnt) and len(set(learnt)) == len(learnt) > 10


def test_series_are_named_before_their_categories() -> None:
    """ "3반의 과학", "4월의 감자", as one says it; not "과학의 3반"."""
    seen = 0
    for index in range(10):
        source = make_source(
            "charts", 4, kinds=["grouped"], size=[[320, 256]], harm=0.0, korean=1.0, choices=0, turns=0
        )
        for sample in source.group(index):
            truth = sample.meta["truth"]
            if sample.lang == "ko" and sample.meta["kind"] == "chart_value":
                assert any(f"{s}의 {n}" in text_of(sample.messages[0]) for s in truth["series"] for n in truth["names"])
                seen += 1
    assert seen


def test_own_texts_are_written(tmp_path) -> None:
    """The words of a file stand in place of the built-in ones; each belongs to one split."""
    words = [f"간판{chr(0xAC00 + 28 * k)}{k}" for k in range(60)]
    plain, lines = tmp_path / "signs.txt", tmp_path / "signs.jsonl"
    plain.write_text("\n".join(f"{a} {b}" for a, b in zip(words[::2], words[1::2], strict=True)))
    lines.write_text("".join(f'{{"text": "{word}", "points": []}}\n' for word in words))
    shown: dict[str, set[str]] = {}
    for split in ("train", "eval"):
        assert strings.own_words(str(plain), split) == strings.own_words(str(lines), split)
        for name, more in (("lines", {}), ("wild", {"size": [[160, 160]], "text_px": [14, 20]})):
            source = make_source(name, 2, split, texts=str(lines), words=[1, 2], tasks={"ocr": 1}, turns=0.0, **more)
            found = {
                x
                for k in range(12)
                for s in source.group(k)
                for x in re.findall(r"<char>(.*?)</char>", text_of(s.messages[-1]))
            }
            shown.setdefault(split, set()).update(found)
    assert shown["train"] and shown["eval"] and not shown["train"] & shown["eval"]
    assert all(any(word.startswith(x) for word in words) for found in shown.values() for x in found)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b'{"text": "\xea\xb0\x80"}\nno\n', r'a\.jsonl:2: no JSON object with a field "text"'),
        ("a.jsonl", b'{"text": 5}\n', r'a\.jsonl:1: "text" holds 5'),
        ("a.txt", b"\xff\xfe\xff", "cannot be read as a text file"),
        ("a.txt", b"\n \n", "no word for the split 'train'"),
    ],
)
def test_own_texts_of_another_form_are_named(tmp_path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        make_source("wild", 1, texts=str(tmp_path / name))
    with pytest.raises(InputError, match="cannot be read"):
        make_source("lines", 1, texts=str(tmp_path / "missing.txt"))
