"""Sources of the wider world: pure, valid, true to their gold, disjoint between splits, in Korean that reads right."""

from __future__ import annotations

import ast
import json
import random
import re
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from varco_vision import markup
from varco_vision.data.sample import LANGUAGES, Sample, text_of, validate
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.synth import emoji_names, templates
from varco_vision.synth.backgrounds import KINDS as GROUNDS
from varco_vision.synth.backgrounds import designs, ground, photographs
from varco_vision.synth.chart_source import Charts
from varco_vision.synth.documents.source import Documents
from varco_vision.synth.emoji_scenes import ThingsConfig, thing_scene
from varco_vision.synth.fonts import split_fonts
from varco_vision.synth.korean import PAIRS, fill, josa
from varco_vision.synth.manifest import resources
from varco_vision.synth.pairs import REJECT, Pairs
from varco_vision.synth.phrasing import WORDINGS, Speaker, expand
from varco_vision.synth.registry_extra import EXTRA
from varco_vision.synth.sources import make_source, source_options
from varco_vision.synth.table_source import Tables, as_markdown
from varco_vision.synth.tables import TableConfig, table
from varco_vision.synth.text_source import KINDS, Knowledge
from varco_vision.synth.wild_source import WildText

assert templates
EMOJI = bool(emoji_names.emoji_fonts())
needs_emoji = pytest.mark.skipif(not EMOJI, reason="no colour-emoji font installed (Debian: fonts-noto-color-emoji)")
SMALL = {
    "things": {"size": [[160, 160]], "object_px": [24, 60], "objects": [2, 4]},
    "thing_pairs": {"size": [[160, 160]], "object_px": [24, 60], "objects": [2, 4]},
    "wild": {"size": [[160, 160]], "text_px": [14, 24], "words": [1, 6]},
    "lines": {"height": 40},
    "documents": {"size": [[300, 380]]},
    "tables": {"rows": [3, 5]},
    "charts": {"size": [[320, 256]]},
    "knowledge": {},
    "letters": {},
    "pairs": {"sources": {"wild": 1, "documents": 1, "tables": 1, "knowledge": 1}},
}
SOURCES = [pytest.param(n, marks=needs_emoji) if n.startswith("thing") else n for n in EXTRA]


def made(name: str, split: str = "train", count: int = 4, **options: object) -> list[Sample]:
    source = make_source(name, 3, split, **{**SMALL[name], **options})
    return [sample for index in range(count) for sample in source.group(index)]


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("split", ["train", "eval"])
def test_samples_are_valid_and_groups_are_functions_of_the_index(name: str, split: str) -> None:
    first = made(name, split)
    assert first and len({s.id for s in first}) == len(first)
    for sample in first:
        assert validate(sample) == [], sample
    again = make_source(name, 3, split, **SMALL[name])
    for index in (3, 1):  # in another order, from another object
        for sample in again.group(index):
            twin = next(s for s in first if s.id == sample.id)
            assert (twin.messages, twin.chosen, twin.rejected, twin.meta) == (
                sample.messages,
                sample.chosen,
                sample.rejected,
                sample.meta,
            )
            assert [i.tobytes() for i in twin.images] == [i.tobytes() for i in sample.images]


@pytest.mark.parametrize("name", SOURCES)
def test_seeds_and_splits_differ_and_truth_can_be_written(name: str) -> None:
    def texts(seed: int, split: str) -> list:
        return [s.messages for s in make_source(name, seed, split, **SMALL[name]).group(0)]

    assert texts(1, "train") != texts(2, "train")
    assert texts(1, "train") != texts(1, "eval")
    for sample in made(name, count=1):
        assert json.loads(json.dumps(sample.meta)) == json.loads(json.dumps(sample.meta))


def test_make_source_names_what_is_known() -> None:
    with pytest.raises(InputError, match="did you mean 'wild'"):
        make_source("wilt", 0)
    with pytest.raises(InputError, match="did you mean 'text_px'"):
        make_source("wild", 0, text_pix=(10, 20))
    assert "carriers" in source_options("wild") and "questions" in source_options("charts")


@pytest.mark.parametrize("name", ["wild", "documents", "tables", "charts"])
@pytest.mark.parametrize(
    ("option", "value", "says"),
    [("questions", 0, "at least one"), ("tasks", {"sing": 1}, "unknown family"), ("digits", 7, "1 to 3"), ("choices", 2.0, "between 0 and 1"), ("wordings", 0, "at least one")],
)  # fmt: skip
def test_wrong_options_are_named(name: str, option: str, value: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_source(name, 0, **{option: value})


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [("wild", "text_px", 20), ("wild", "size", [256, 256]), ("documents", "kinds", "receipt"), ("tables", "rows", [1, 2, 3]), ("charts", "hand", "much"), ("lines", "words", 3)],
)  # fmt: skip
def test_options_of_another_form_are_named(name: str, option: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{option}=.* asked for; give"):
        make_source(name, 0, **{option: value})


# --- gold


def test_a_box_of_a_written_word_holds_that_word() -> None:
    for sample in made("wild", count=6):
        for word in sample.meta.get("words", ()):
            Box(*word["box"])
        if sample.task == "ocr":
            items = [i for i in markup.parse(text_of(sample.messages[-1])) if isinstance(i, markup.Chars)]
            assert [i.text for i in items] == [w["text"] for w in sample.meta["words"]]
            assert [w["text"] for w in sample.meta["truth"]["words"]] == [i.text for i in items]


def test_presence_of_text_is_balanced() -> None:
    answers = [s.meta["present"] for s in made("wild", count=50, tasks={"vqa": 1}, choices=0, turns=0, words=[3, 8])]
    assert 0.4 < np.mean(answers) < 0.6


def test_document_answers_stand_in_the_document() -> None:
    for sample in made("documents", count=8, choices=0, turns=0):
        truth = sample.meta["truth"]
        if sample.meta["kind"] == "field" and sample.task == "vqa":
            assert sample.meta["answer"] == truth["fields"][sample.meta["field"]]
        if sample.meta["kind"] == "checked" and "," in sample.meta["answer"]:
            wanted = [c["label"] for c in truth["checks"] if c["group"] == sample.meta["group"] and c["checked"]]
            assert sample.meta["answer"].split(", ") == wanted
        if sample.meta["kind"] == "json":
            assert isinstance(json.loads(sample.meta["answer"]), dict)
        if sample.meta["kind"] == "absent":
            assert sample.meta["field"] not in truth["fields"]


def test_table_answers_follow_from_the_cells() -> None:
    checked = 0
    for sample in made("tables", count=14, choices=0, turns=0):
        cells = sample.meta["truth"]["cells"]
        values = {}
        for cell in cells:
            if cell["value"] is not None:
                values.setdefault(cell["column"], []).append(cell["value"])
        kind, answer = sample.meta["kind"], sample.meta["answer"]
        if kind == "table_sum":
            assert any(abs(round(sum(v), 1) - sample.meta["value"]) < 0.05 for v in values.values())
            checked += 1
        if kind == "table_count_if":
            assert any(sum(x > sample.meta["limit"] for x in v) == sample.meta["count"] for v in values.values())
            assert answer.startswith(str(sample.meta["count"]))
            checked += 1
        if kind == "table_rows":
            assert sample.meta["count"] == len(next(iter(values.values())))
            checked += 1
        if kind == "table_cell" and sample.task == "vqa":
            assert any(c["text"] == answer and c["value"] == sample.meta["value"] for c in cells)
            checked += 1
    assert checked > 20


def test_cells_cover_the_grid_once_and_their_words_lie_in_them() -> None:
    config = TableConfig(merged=1.0, dates=0.5, harm=0.0)
    spans = 0
    for index in range(12):
        tb = table(random.Random(index), config)
        rows, columns = (
            max(getattr(c, a) + getattr(c, b) for c in tb.cells) for a, b in (("row", "rows"), ("column", "columns"))
        )
        filled = np.zeros((rows, columns), int)
        for cell in tb.cells:
            filled[cell.row : cell.row + cell.rows, cell.column : cell.column + cell.columns] += 1
            spans += cell.rows * cell.columns > 1
            assert " ".join(w.text for w in cell.words) == cell.text
            for word in cell.words:
                x0, y0, x1, y1 = word.box
                assert (
                    cell.box[0] - 1 <= x0 and cell.box[1] - 1 <= y0 and x1 <= cell.box[2] + 1 and y1 <= cell.box[3] + 1
                )
        assert (filled == 1).all()
        assert len({len(line.split("|")) for line in as_markdown(tb).splitlines()}) == 1
    assert spans > 5


def test_charts_say_what_they_draw() -> None:
    source = Charts(5, "train", size=((320, 256),), harm=0.0, labels=1.0, choices=0, turns=0)
    for index in range(5):
        first = source.group(index)
        truth = first[0].meta["truth"]
        if truth["chart"] in ("bar", "grouped"):  # heights of bars are in the ratio of their values
            tall = [(m["box"][3] - m["box"][1]) / m["value"] for m in truth["marks"] if m["value"] > 0]
            assert max(tall) < 1.25 * min(tall)
        for sample in first:
            if sample.meta["kind"] == "chart_value":
                assert any(sample.meta["value"] in row for row in truth["values"])
                assert str(sample.meta["value"]) in sample.meta["answer"]
        if truth["chart"] == "pie":
            assert sum(truth["values"][0]) == 100


def test_arithmetic_is_right() -> None:
    for sample in made("knowledge", count=12, kinds={"arithmetic": 1}, choices=0, turns=0):
        expression = sample.meta["key"].replace("×", "*").replace("÷", "/")
        tree = ast.parse(expression, mode="eval")
        assert all(isinstance(n, ast.Expression | ast.BinOp | ast.Constant | ast.operator) for n in ast.walk(tree))

        def value(node: ast.AST) -> Fraction:
            if isinstance(node, ast.BinOp):
                a, b = value(node.left), value(node.right)
                return {ast.Add: a + b, ast.Sub: a - b, ast.Mult: a * b, ast.Div: a / b if b else Fraction(0)}[
                    type(node.op)
                ]
            assert isinstance(node, ast.Constant)
            return Fraction(node.value)

        assert value(tree.body) == Fraction(sample.meta["answer"])


def test_known_facts() -> None:
    from varco_vision.synth import facts

    assert ("KR", "대한민국", "South Korea") in facts.territories()
    assert any(row[1] == "Japan" and row[3] == "Japanese Yen" for row in facts.currencies_of())
    assert any(code == "KRW" for code, _, _ in facts.currency_codes())
    assert any(row[1] == "Brazil" and row[3] == "Portuguese" for row in facts.official_languages())
    assert ("월요일", "Monday") in facts.calendar() and ("3월", "March") in facts.calendar()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["train", "eval"])
def test_every_kind_of_text_in_both_languages(kind: str, split: str) -> None:
    samples = made("knowledge", split, 3, kinds={kind: 1})
    assert {s.lang for s in samples} == set(LANGUAGES)
    assert all(s.meta["kind"] == kind for s in samples)


def test_multiple_choice_has_its_answer_once_and_letters_are_even() -> None:
    letters = []
    for sample in made("wild", count=60, tasks={"referring": 1}, choices=1.0, turns=0):
        if sample.task == "choice":
            letter = text_of(sample.messages[-1])
            letters.append(letter)
            options = re.findall(r"^([A-E])\. (.*)$", text_of(sample.messages[0]), re.MULTILINE)
            assert letter in {x for x, _ in options} and len({o for _, o in options}) == len(options)
    assert len(letters) > 60 and all(letters.count(x) > 0.12 * len(letters) for x in "ABC")


def test_pairs_differ_in_the_way_they_say() -> None:
    seen = set()
    for sample in made("pairs", count=30):
        kind = sample.meta["kind"]
        seen.add(kind)
        good, bad = text_of(sample.chosen[0]), text_of(sample.rejected[0])
        assert kind in REJECT and good != bad
        if kind == "loop":
            assert bad.count(good) >= 3
        if kind == "markup_missing":
            assert "<bbox>" in good and "<bbox>" not in bad
        if kind == "markup_unasked":
            assert "<bbox>" in bad and not text_of(sample.messages[0]).startswith(markup.SWITCHES)
        if kind == "wrong_box":
            boxes = [next(i for i in markup.parse(x) if isinstance(i, markup.Object)).boxes[0] for x in (good, bad)]
            assert boxes[0].iou(boxes[1]) < 0.99
        if kind == "wrong_particle":
            assert len(good) == len(bad) and sum(a != b for a, b in zip(good, bad, strict=True)) == 1
    assert len(seen) >= 8


# --- things


@needs_emoji
def test_boxes_of_things_are_those_of_their_visible_part() -> None:
    config = ThingsConfig(size=((200, 200),), object_px=(30, 80), harm=0.0, shadow=0.0)
    for index in range(8):
        scene = thing_scene(random.Random(index), config)
        for thing in scene.things:
            assert thing.visible >= 1 - config.overlap - 1e-6
            x0, y0, x1, y1 = thing.box
            assert 0 <= x0 < x1 <= scene.image.width and 0 <= y0 < y1 <= scene.image.height


@needs_emoji
def test_names_of_things() -> None:
    assert emoji_names.plural("ox") == "oxen" and emoji_names.plural("pair of socks") == "pairs of socks"
    assert emoji_names.plural("strawberry") == "strawberries" and emoji_names.indefinite("hourglass") == "an hourglass"
    by_key = {t.key: t for t in emoji_names.things()}
    assert (by_key["🐈"].ko, by_key["🐈"].en, by_key["🐈"].counter) == ("고양이", "cat", "마리")
    assert by_key["🚲"].counter == "대"
    assert [by_key[x].counter for x in "☕🍺🍷"] == ["잔", "개", "개"]  # a glass is counted, not what is in it


def test_pictures_of_a_folder_can_be_pasted(tmp_path) -> None:
    for k in range(12):
        folder = tmp_path / ("mug" if k % 2 else "shoe")
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (60, 40), (20 * k, 200, 90)).save(folder / f"{k}.png")
    with pytest.raises(InputError, match=r"labels\.csv is missing"):
        thing_scene(random.Random(0), ThingsConfig(pasted=str(tmp_path), pasted_share=1.0))
    (tmp_path / "labels.csv").write_text("folder,ko,en\nmug,머그잔,mug\nshoe,구두\n")
    with pytest.raises(InputError, match=r"labels\.csv:3"):
        thing_scene(random.Random(0), ThingsConfig(pasted=str(tmp_path), pasted_share=1.0))
    other = tmp_path / "other"
    other.mkdir()
    for name in ("mug", "shoe"):
        (tmp_path / name).rename(other / name)
    (other / "labels.csv").write_text("folder,ko,en\nmug,머그잔,mug\nshoe,구두,shoe\n")
    scene = thing_scene(
        random.Random(0), ThingsConfig(pasted=str(other), pasted_share=1.0, objects=(1, 2), shapes=0.0, repeat=1.0)
    )
    assert scene.things and {t.thing.en for t in scene.things} <= {"mug", "shoe"}


def test_grounds_of_a_folder_and_an_empty_one(tmp_path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        photographs(str(tmp_path / "none"), "train")
    with pytest.raises(InputError, match="has no picture"):
        photographs(str(tmp_path), "train")
    for k in range(10):
        Image.new("RGB", (80, 60), (k * 20, 0, 0)).save(tmp_path / f"{k}.png")
    image, name = ground(random.Random(0), (50, 70), "train", folder=str(tmp_path))
    assert image.size == (50, 70) and name.endswith(".png")
    assert not set(photographs(str(tmp_path), "train")) & set(photographs(str(tmp_path), "eval"))


@pytest.mark.parametrize("kind", GROUNDS)
def test_grounds_are_drawn(kind: str) -> None:
    for split in ("train", "eval"):
        image, name = ground(random.Random(1), (64, 48), split, (kind,))
        assert image.size == (64, 48) and name in designs(split)


# --- splits


def test_splits_share_nothing() -> None:
    train, held = resources("train"), resources("eval")
    if not train["fonts_shared"]:
        assert not set(train["fonts"]) & set(held["fonts"])
    if len(split_fonts("train")) > 1:  # fonts-baekmuk and fonts-alee are for evaluation alone
        assert not any(part in ("baekmuk", "alee") for path in split_fonts("train") for part in path.parts)
    for name in ("backgrounds", "layouts", "emoji"):
        if train[name] is not None:
            assert train[name] and held[name] and not set(train[name]) & set(held[name]), name
    for name in train["names"]:
        assert (
            train["names"][name] and held["names"][name] and not set(train["names"][name]) & set(held["names"][name])
        ), name
    for name in WORDINGS:
        for lang in LANGUAGES:
            a, b = train["templates"][name][lang], held["templates"][name][lang]
            assert a and b and not set(a) & set(b), (name, lang)


@pytest.mark.parametrize("name", sorted(WORDINGS))
def test_evaluation_asks_in_new_sentences_of_known_words(name: str) -> None:
    def words(templates: tuple[str, ...]) -> set[str]:
        return {w.strip(".,?!'") for t in templates for w in SLOT.sub(" ", t).lower().replace("'s ", " ").split()}

    for lang in LANGUAGES:
        train, held = (WORDINGS[name].of(split, lang) for split in ("train", "eval"))
        assert words(held) <= words(train), (lang, words(held) - words(train))
        assert train[0] == expand(WORDINGS[name].cores(lang)[0], lang)[0]  # the plainest way is taught
        assert len(held) <= 0.2 * len(train)


def test_samples_use_the_resources_of_their_split() -> None:
    held = resources("eval")
    for name in ("documents", "tables", "charts"):
        for sample in made(name, "eval", 3):
            assert sample.meta["truth"]["layout"] in held["layouts"]
    for sample in made("wild", "eval", 4):
        assert sample.meta["truth"]["background"] in held["backgrounds"]


# --- wording

SLOT = re.compile(r"\{(\w+)(?:\|([^{}]+))?\}")


@pytest.mark.parametrize("name", sorted(WORDINGS))
def test_thirty_ways_to_ask_in_each_language(name: str) -> None:
    for lang in LANGUAGES:
        assert len(WORDINGS[name].of("train", lang)) >= 30, lang
    slots = [{found.group(1) for t in WORDINGS[name].all(lang) for found in SLOT.finditer(t)} for lang in LANGUAGES]
    assert slots[0] and slots[1] or slots[0] == slots[1] == set()


@pytest.mark.parametrize("name", sorted(WORDINGS))
def test_particles_agree_in_every_template(name: str) -> None:
    """After a vowel, a consonant, the consonant ㄹ, a digit, a Latin word and a box: worked out letter by letter here."""
    box = "<obj>{}</obj><bbox>0.1, 0.2, 0.3, 0.4</bbox>"
    sounds = {
        "고리": "",
        "원": "n",
        "별": "l",
        "3": "n",
        "2": "",
        "cake": "",
        box.format("별"): "l",
        box.format("고리"): "",
    }
    pairs = {pair for forms in PAIRS for pair in ("/".join(forms), "/".join(reversed(forms)))}
    for template in WORDINGS[name].all("ko"):
        # a particle with two forms must not be written out behind a slot; 의, 에, 도, 만 ... have one form only
        assert not re.search(r"\}(은|는|이|가|을|를|과|와|으로|이라는|라는|이에요|예요|야)(?![가-힣])", template), (
            template
        )
        assert "  " not in template and "<" not in template and "?." not in template, template
        for found in SLOT.finditer(template):
            if found.group(2):
                assert found.group(2) in pairs, template
                for word, sound in sounds.items():
                    got = fill(found.group(), **{found.group(1): word})[len(word) :]
                    forms = found.group(2).split("/")
                    after_consonant, after_vowel = max(forms, key=_closed), min(forms, key=_closed)
                    lieul = sound == "l" and after_consonant.startswith("으로")
                    assert got == (after_vowel if not sound or lieul else after_consonant), (template, word)


def _closed(form: str) -> tuple[bool, str]:
    """The form that follows a consonant: the one beginning with 으 or 이, or 은, 을, 과, 아."""
    return (form in ("은", "을", "과", "아") or (form[0] in "으이" and form != "이") or form == "이"), form


@pytest.mark.parametrize("name", sorted(WORDINGS))
def test_english_templates_are_sentences(name: str) -> None:
    for template in WORDINGS[name].all("en"):
        assert template[0].isupper() or template[0] == "{", template
        assert template.rstrip()[-1] in ".?}" and "  " not in template and "<" not in template, template


def test_spreading_of_cores() -> None:
    assert "별은 몇 개예요?" in {fill(t, name="별") for t in expand("{name|은/는} 몇 개<=?>", "ko")}
    assert "무슨 색이에요?" in expand("무슨 색<=?>", "ko")
    assert {fill(t, unit="명") for t in expand("몇 {unit}<=?>", "ko")} >= {"몇 명이에요?", "몇 명이야?", "몇 명인가요?"}
    assert "Can you tell me where it is in the photo?" in expand("? where it is<in>", "en")
    assert expand("! find it", "en")[0] == "Find it."
    assert expand("~ find it", "en")[2] == "Find it, please."
    assert expand("<무슨|어떤> 색<=?>", "ko")[:2] == ("무슨 색인가요?", "어떤 색인가요?")
    assert expand("Where is it<| here>?", "en") == ("Where is it?", "Where is it here?")


def test_fewer_wordings_for_small_models() -> None:
    speaker = Speaker("train", 2)
    said = {speaker.say(random.Random(k), WORDINGS["where"], "ko", name="별") for k in range(40)}
    assert len(said) == 2


def test_quoted_text_takes_the_particle_of_its_last_letter() -> None:
    for sample in made("wild", count=8, tasks={"grounding": 1, "vqa": 1}, choices=0, turns=0):
        for word, ending in re.findall(r"'([^']+)'(이라는|라는)", text_of(sample.messages[0])):
            assert ending == josa(word, "이라는/라는")


def test_sources_keep_their_share_of_both_languages() -> None:
    for source in (WildText(1, **SMALL["wild"]), Documents(1, size=((300, 380),)), Tables(1), Knowledge(1)):
        langs = [s.lang for k in range(8) for s in source.group(k)]
        assert 0.25 < langs.count("ko") / len(langs) < 0.8, type(source).__name__


def test_pairs_name_unknown_kinds() -> None:
    with pytest.raises(InputError, match="unknown kind of pair"):
        Pairs(0, kinds=["rude"])
    with pytest.raises(InputError, match="unknown source of pairs"):
        Pairs(0, sources={"music": 1.0})
