"""What is asked and answered about the synthetic world: true, balanced, in proper Korean, and each split for itself."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np

from varco_vision.data.sample import text_of, validate
from varco_vision.geometry import Box
from varco_vision.markup import Chars, Object, parse, write
from varco_vision.synth import preference, text_wording, wording, wording_choices, wording_places
from varco_vision.synth import questions as q
from varco_vision.synth.knowledge import WORDS, number_word
from varco_vision.synth.korean import fill, josa
from varco_vision.synth.phrasing import Wording
from varco_vision.synth.rng import stream
from varco_vision.synth.scenes import SceneConfig, make_scene
from varco_vision.synth.shapes import COLOURS, SHAPES, article, object_name
from varco_vision.synth.sources import make_source
from varco_vision.synth.text_world import facts, held_out, pairs

PLAIN = SceneConfig(jitter=0)
RICH = SceneConfig(shapes=8, colours=8, max_objects=5, object_px=(24, 50), words=(0, 1), jitter=0)


def scenes(config, count):
    return [make_scene(stream("test", k), config) for k in range(count)]


# --- questions and answers


def all_questions(scene, **options):
    config = q.QuestionConfig(absent_share=0.4, plural_share=1.0, named_counts=1.0, shapes=8, colours=8, **options)
    every = {name: 1.0 for name in q.FAMILIES}
    return q.choose(scene, stream("ask"), config, 1000, every)


def by_name(scene, name, lang):
    return [o for o in scene.objects if object_name(o.colour, o.shape, lang) == name]


def check_boxes(boxes, gold, tolerance=0.0051):
    assert len(boxes) == len(gold)
    for box, truth in zip(boxes, gold, strict=True):
        assert np.allclose((box.x1, box.y1, box.x2, box.y2), truth, atol=tolerance)


def check_question(question, scene):
    """The answer, read back from its text, is true of the scene and of the gold."""
    items = parse(question.answer)
    found = [item for item in items if isinstance(item, Object)]
    match question.task, question.kind:
        case "grounding", "where":
            (o,) = by_name(scene, found[0].phrase, question.lang)
            check_boxes(found[0].boxes, question.gold["boxes"])
            assert np.allclose(question.gold["boxes"][0], np.array(o.box) / 128) and found[0].phrase in question.text
        case "grounding", "absent":
            assert not found and not by_name(scene, question.gold["phrase"], question.lang)
            assert question.gold["phrase"] in question.text and question.gold["phrase"] in question.answer
        case "grounding", "text":
            check_boxes(found[0].boxes, question.gold["boxes"])
            assert len(found[0].boxes) == len(scene.words)
        case "grounding", "word":
            (word,) = [x for x in scene.words if x.text == found[0].phrase]
            check_boxes(found[0].boxes, question.gold["boxes"])
            assert np.allclose(question.gold["boxes"][0], np.array(word.box) / 128) and word.text in question.text
        case "grounding", "all":
            check_boxes(found[0].boxes, question.gold["boxes"])
            assert len(found[0].boxes) > 1 and found[0].phrase in question.text
        case "grounding", "description":
            check_boxes([box for item in found for box in item.boxes], question.gold["boxes"])
            words = [item for item in items if isinstance(item, Chars)]
            assert [item.text for item in words] == [x.text for x in scene.words]
            assert len(found) == len(scene.objects)
        case "referring", "what":
            (item,) = [x for x in parse(question.text) if isinstance(x, Object)]
            (o,) = by_name(scene, question.answer, question.lang)
            check_boxes(item.boxes, [np.array(o.box) / 128])
        case "referring", "reading":
            (item,) = [x for x in parse(question.text) if isinstance(x, Chars)]
            check_boxes(item.boxes, question.gold["boxes"])
            assert question.answer in {x.text for x in scene.words}
        case "counting", "all":
            assert int(re.sub(r"\D", "", question.answer)) == question.gold["count"] == len(scene.objects)
        case "counting", "named":
            names = (
                (lambda o: (COLOURS[o.colour].en, SHAPES[o.shape].en))
                if question.lang == "en"
                else (lambda o: (COLOURS[o.colour].ko, SHAPES[o.shape].ko))
            )
            word = question.gold["phrase"].removesuffix(" 물체").removesuffix(" objects")
            singular = word if question.lang == "ko" else re.sub(r"(?<=ss)es$|s$", "", word)
            count = sum(singular in names(o) or word in names(o) for o in scene.objects)
            assert question.gold["count"] == count == int(re.sub(r"\D", "", question.answer))
        case "ocr", "ocr":
            assert question.text == "<ocr>" and "\n".join(question.answer.split("\n")) == question.answer
            words = [item for item in items if isinstance(item, Chars)]
            assert [item.text for item in words] == [x["text"] for x in question.gold["words"]]
            check_boxes([box for item in words for box in item.boxes], [x["box"] for x in question.gold["words"]])
        case "vqa", "reading":
            assert question.answer.split() == [x.text for x in scene.words]
        case _:
            check_plain_question(question, scene)


def check_plain_question(question, scene):
    match question.task, question.kind:
        case "vqa", "presence":
            label = question.gold["label"]
            there = any((COLOURS[o.colour].en, SHAPES[o.shape].en) == tuple(label.values()) for o in scene.objects)
            assert there == question.gold["present"] == (question.answer in ("네", "yes"))
        case "vqa", "colour" | "shape":
            side = 0 if question.kind == "colour" else 1
            answers = [object_name(o.colour, o.shape, question.lang).split(" ") for o in scene.objects]
            assert sum(pair[1 - side] in question.text for pair in answers) >= 1
            assert any(pair[side] == question.answer and pair[1 - side] in question.text for pair in answers)
        case "vqa", "position":
            x0, y0, x1, y1 = question.gold["boxes"][0]
            truth = {"왼쪽": x0 + x1 < 1, "오른쪽": x0 + x1 > 1, "위쪽": y0 + y1 < 1, "아래쪽": y0 + y1 > 1}
            english = dict(zip(("left", "right", "top", "bottom"), truth.values(), strict=True))
            assert {**truth, **english}[question.answer]
        case "caption", "caption":
            for o in scene.objects:
                assert object_name(o.colour, o.shape, question.lang) in question.answer
            assert all(f"'{x.text}'" in question.answer for x in scene.words)
        case "choice", "present":
            option = question.gold["options"]["ABCD".index(question.answer)]
            assert by_name(scene, option, question.lang) and f"{question.answer}. {option}" in question.text
            assert sum(bool(by_name(scene, name, question.lang)) for name in question.gold["options"]) == 1
        case "choice", _:
            assert len(set(question.gold["options"])) == len(question.gold["options"]) >= 2
            right = question.gold["options"]["ABCD".index(question.answer)]
            assert [x for x in question.gold["options"] if true_option(question, scene, x)] == [right]
        case other:
            raise AssertionError(f"unknown kind {other}")


def true_option(question, scene, option):
    """Is this option of a multiple choice true, by what the scene holds?"""
    there = by_name(scene, option, question.lang) if question.kind not in ("word", "count", "corner") else []
    middle = lambda o, axis: (o.box[axis] + o.box[axis + 2]) / 2  # noqa: E731
    area = lambda o: (o.box[2] - o.box[0]) * (o.box[3] - o.box[1])  # noqa: E731
    furthest = {
        "left": (min, lambda o: middle(o, 0)),
        "right": (max, lambda o: middle(o, 0)),
        "top": (min, lambda o: middle(o, 1)),
        "bottom": (max, lambda o: middle(o, 1)),
        "largest": (max, area),
        "smallest": (min, area),
    }
    match question.kind:
        case "colour" | "shape":
            side = 0 if question.kind == "colour" else 1
            pairs = [object_name(o.colour, o.shape, question.lang).split(" ") for o in scene.objects]
            return any(pair[side] == option and pair[1 - side] in question.text.split("\n")[0] for pair in pairs)
        case "count":
            return int(option.removesuffix("개")) == len(scene.objects)
        case "there":
            return bool(there)
        case "missing":
            return not there
        case "word":
            return option in {x.text for x in scene.words}
        case "corner":
            (o,) = [
                o
                for o in scene.objects
                if object_name(o.colour, o.shape, question.lang) in question.text.split("\n")[0]
            ]
            width, height = scene.image.size
            across, down = middle(o, 0) > width / 2, middle(o, 1) > height / 2
            ko = f"{'오른쪽' if across else '왼쪽'} {'아래' if down else '위'}"
            return option in (ko, f"{'bottom' if down else 'top'} {'right' if across else 'left'}")
        case kind:
            pick, key = furthest[kind]
            return pick(scene.objects, key=key) in there


def test_every_answer_is_true():
    seen = Counter()
    for scene in scenes(replace(RICH, words=(0, 2), max_objects=4), 25):
        for question in all_questions(scene):
            check_question(question, scene)
            seen[question.task, question.kind, question.lang] += 1
            assert not validate(question.sample("x", scene))
    kinds = {(task, kind) for task, kind, _ in seen}
    assert len(kinds) == 31 and all(seen[(*kind, lang)] for kind in kinds for lang in ("ko", "en"))


def test_no_question_comes_twice():
    for scene in scenes(RICH, 20):
        made = q.choose(scene, stream("twice"), q.QuestionConfig(absent_share=0.5), 1000)
        keys = [(x.task, x.kind, x.lang, x.answer, str(x.gold)) for x in made]
        assert len(keys) == len(set(keys))


def test_presence_is_balanced():
    answers = Counter()
    for scene in scenes(PLAIN, 250):
        for x in q.choose(scene, stream("balance", scene.objects), q.QuestionConfig(), 16):
            if x.kind == "presence":
                answers[x.lang, x.gold["present"]] += 1
    for lang in ("ko", "en"):
        yes, no = answers[lang, True], answers[lang, False]
        assert abs(yes - no) < 0.15 * (yes + no) and yes + no > 150


def test_absent_share_is_kept():
    kinds = Counter(
        x.kind
        for scene in scenes(PLAIN, 200)
        for x in q.choose(
            scene, stream("absent", scene.objects), q.QuestionConfig(absent_share=0.3), 99, {"grounding": 1}
        )
    )
    assert 0.24 < kinds["absent"] / sum(kinds.values()) < 0.36


def test_wordings_limits_the_templates():
    scene = scenes(PLAIN, 1)[0]
    for split in ("train", "eval"):
        config = q.QuestionConfig(wordings=1, split=split)
        questions = [q.caption(scene, stream(k), config, "ko").text for k in range(20)]
        assert set(questions) == {wording.CAPTION.of("train", "ko")[0]}  # who learns one way is asked in that way
    assert wording.CAPTION.of("train", "ko")[0] == "이미지를 설명해줘."


def said_by(templates):
    """What matches a question put in one of these templates, whatever fills the slots."""
    parts = (re.split(r"\{\w+(?:\|[^{}]+)?\}", t) for t in templates)
    return re.compile("|".join("(?:" + ".+".join(map(re.escape, p)) + ")" for p in parts))


PICTURE_LISTS = {
    "grounding": (wording.GROUNDING, wording.GROUNDING_ALL),
    "referring": (wording.REFERRING,),
    "counting": (wording.COUNTING, wording.COUNTING_NAMED),
    "vqa": (wording.COLOUR, wording.SHAPE, wording.PRESENCE, wording.LEFT_RIGHT, wording.TOP_BOTTOM),
    "caption": (wording.CAPTION,),
    "description": (wording.CAPTION,),
    "reading": (wording.READING, wording.READING_AT),
    "choice": (wording.CHOICE,),
    "text_grounding": (wording_places.WHERE_IS_TEXT, wording_places.WHERE_IS_WORD),
    "options": (
        *(wording.CHOICE, wording.COLOUR, wording.SHAPE, wording.COUNTING, wording_choices.MISSING),
        *(wording_choices.EXTREME, wording_choices.CORNER, wording_choices.WRITTEN),
    ),
}


def test_each_split_asks_in_its_own_templates():
    """Every family in both splits: the line that asks, and of multiple choice the line that asks for the letter."""
    for split in ("train", "eval"):
        for family, lists in PICTURE_LISTS.items():
            source = make_source(
                "scenes", 3, split, tasks={family: 1}, words=(1, 1), plural_share=0.5, named_counts=0.5, questions=8
            )
            for sample in (s for k in range(12) for s in source.group(k)):
                lines = [x for x in text_of(sample.messages[0]).split("\n") if x and x not in ("<gro>", "<ocr>")]
                known = said_by([t for found in lists for t in found.of(split, sample.lang)])
                assert known.fullmatch(lines[0]), (split, family, lines[0])
                if family == "options":
                    assert lines[-1] in wording_choices.BY_LETTER.of(split, sample.lang)
        letters = make_source("letters", 3, split, fact_share=0.0)
        for sample in (s for k in range(12) for s in letters.group(k)):
            first, *_, last = text_of(sample.messages[0]).split("\n")
            assert said_by(wording_choices.NAMED.of(split, sample.lang)).fullmatch(first), (split, first)
            assert last in wording_choices.BY_LETTER.of(split, sample.lang)


def test_benchmark_words_for_a_letter_stay_in_training():
    assert "주어진 선택지 중 해당 옵션의 문자로 바로 답하세요." in wording_choices.BY_LETTER.of("train", "ko")
    direct = "Answer with the option's letter from the given choices directly."
    assert direct in wording_choices.BY_LETTER.of("train", "en")


# --- Korean in the templates


def template_lists():
    """(name, templates by language) of every question list and every list of short referents and answers."""
    modules = (wording, wording_choices, wording_places)
    for name, value in [*(x for m in modules for x in vars(m).items()), *text_wording.TEXT.items()]:
        if isinstance(value, Wording):
            yield name, {lang: value.all(lang) for lang in ("ko", "en")}
        elif isinstance(value, dict) and isinstance(value.get("ko"), tuple):
            yield name, value


def test_templates_are_many_distinct_and_well_formed():
    for name, lists in template_lists():
        assert set(lists) == {"ko", "en"}
        short = name in ("REFERENTS", "TEXT_REFERENTS", "YES_NO", "SIDES", "HEIGHTS", "QUARTERS")
        for lang, templates in lists.items():
            assert len(templates) >= (2 if short else 30 if name.isupper() else 6), (name, lang)
            assert len(set(templates)) == len(templates), (name, lang)
            if lang == "en":
                assert not any(re.search("[가-힣]", t) for t in templates), name
            slots = [sorted(re.findall(r"\{(\w+)", t)) for t in templates]
            if lang == "ko" or name.isupper():
                assert all(s == slots[0] for s in slots), name


PARTICLE = re.compile(r"\{\w+\}(은|는|이|가|을|를|과|와|으로|로)(?=[ ,.?!]|$)")


def test_every_particle_after_a_slot_is_chosen_not_typed():
    for name, lists in template_lists():
        for template in lists["ko"]:
            assert not PARTICLE.search(template), (name, template)


def test_particles_agree_in_all_templates():
    """Whatever fills a slot, the letters after it are the form that `josa` gives."""
    slot = re.compile(r"\{(\w+)\|([^{}]+)\}")
    words = ["빨간색 원", "파란색 고리", "별", "서울", "Vienna", "7", "10"]
    for name, lists in template_lists():
        for template in lists["ko"]:
            pairs_used = slot.findall(template)
            for word in words:
                text = fill(template, **dict.fromkeys(re.findall(r"\{(\w+)", template), word))
                assert "{" not in text and "|" not in text, (name, template)
                for _, pair in pairs_used:
                    assert word + josa(word, pair) in text


def test_answers_use_fitting_particles():
    scene = scenes(replace(RICH, min_objects=3, max_objects=3, words=(1, 1)), 1)[0]
    for lang in ("ko", "en"):
        plain = q.sentences(scene, lang, q.QuestionConfig(), boxes=False)
        marked = q.sentences(scene, lang, q.QuestionConfig(), boxes=True)
        bare = re.sub(r"<bbox>[^/]*</bbox>|</?obj>", "", marked)
        assert re.sub(r"<char>(.*?)</char>", r"'\1'", bare) == plain
    assert q.joined(["빨간색 원", "별"], "ko") == "빨간색 원과 별"
    assert q.joined(["고리", "별"], "ko") == "고리와 별"
    assert q.joined(["a", "b", "c"], "en") == "a, b and c"
    assert q.joined(["빨간색 원", "파란색 별", "초록색 고리"], "ko") == "빨간색 원, 파란색 별과 초록색 고리"
    assert q.joined(["원", "고리", "별", "십자가"], "ko") == "원, 고리, 별과 십자가"
    boxed = [write([Object(name, (Box(0, 0, 0.5, 0.5),))], 1) for name in ("별", "고리", "원")]
    assert q.joined(boxed, "ko") == f"{boxed[0]}, {boxed[1]}와 {boxed[2]}"
    assert q.joined(["'teg'", "'pen'", "'05'"], "ko") == "'teg', 'pen'과 '05'"
    assert [article(x) for x in ("red circle", "orange ring")] == ["a red circle", "an orange ring"]


# --- text world


def test_facts():
    assert len({fact.id for fact in facts()}) == len(facts()) > 1000
    assert len(WORDS) > 140 and all(len({row[side] for row in WORDS}) == len(WORDS) for side in (0, 1))
    assert [number_word(n, "ko") for n in (0, 7, 10, 11, 20, 48, 100)] == [
        "영",
        "칠",
        "십",
        "십일",
        "이십",
        "사십팔",
        "백",
    ]
    assert [number_word(n, "en") for n in (0, 13, 20, 48, 100)] == [
        "zero",
        "thirteen",
        "twenty",
        "forty-eight",
        "one hundred",
    ]
    for fact in facts():
        if fact.kind in ("sum", "difference"):
            a, b = map(int, fact.id.split("/")[1].split(","))
            assert fact.answers["ko"] == str(a + b if fact.kind == "sum" else a - b) == fact.answers["en"]
    assert {fact.kind for fact in facts()[:20]} == {fact.kind for fact in facts()}


def test_held_out_pairs():
    for lang in ("ko", "en"):
        train, held = set(pairs("train", lang)), set(pairs("eval", lang))
        assert not train & held and 0.1 < len(held) / (len(train) + len(held)) < 0.22
        known = {fact for fact, _ in train}
        secret = {fact for fact, _ in held} - known
        assert secret and all(fact.kind in ("sum", "difference") for fact in secret)
        assert {fact.kind for fact, _ in held} == {fact.kind for fact in facts()}
        texts = {fact.questions[lang][k] for fact, k in train}
        assert not texts & {fact.questions[lang][k] for fact, k in held}
    commuted = {fact.id: fact for fact in facts() if fact.kind == "sum"}
    for name, fact in commuted.items():
        a, b = name.removeprefix("sum/").split(",")
        assert bool(held_out(fact, "ko") == frozenset(range(6))) == bool(
            held_out(commuted[f"sum/{b},{a}"], "ko") == frozenset(range(6))
        )


def test_limited_text_world():
    few = {sample.meta["fact"] for k in range(60) for sample in make_source("text", 1, facts=40).group(k)}
    assert few <= {fact.id for fact in facts()[:40]} and len(few) > 30


# --- preferences


def test_preference_pairs():
    source = make_source("preferences", 7, pairs=9, shapes=8, colours=8)
    seen = Counter()
    for k in range(60):
        for sample in source.group(k):
            assert not validate(sample)
            chosen, rejected = text_of(sample.chosen[0]), text_of(sample.rejected[0])
            assert chosen == sample.meta["answer"] != rejected
            kind = sample.meta["kind"]
            seen[kind] += 1
            question = text_of(sample.messages[0])
            if kind == "markup_missing":
                assert question.startswith(("<gro>", "<ocr>")) and "<bbox>" in chosen and "<" not in rejected
            elif kind == "markup_unasked":
                assert not question.startswith("<") and "<bbox>" in rejected and "<" not in chosen
            elif kind == "wrong_box":
                a, b = (parse(text)[0].boxes[0] for text in (chosen, rejected))
                assert a.iou(b) < 0.45
            elif kind == "wrong_particle":
                assert len(chosen) == len(rejected) and sum(a != b for a, b in zip(chosen, rejected, strict=True)) == 1
            elif kind == "loop":
                assert rejected.count(chosen) >= 3
            elif kind == "wrong_language":
                spoken = re.sub("'.*?'", "", chosen)  # a Korean word may be quoted in English
                assert bool(re.search("[가-힣]", spoken)) == (sample.lang == "ko")
    assert set(seen) == set(preference.KINDS)
