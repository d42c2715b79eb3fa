"""Scenes told in words: every answer follows from the description that stands in the question."""

from __future__ import annotations

import re

import pytest

from varco_vision import markup
from varco_vision.data.sample import Sample, text_of, validate
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.synth import wording as w
from varco_vision.synth.shapes import COLOURS, SHAPES
from varco_vision.synth.sources import make_source, source_options

GROUPS = 60
MANY = {"min_objects": 2, "max_objects": 5, "object_px": [20, 34], "plural_share": 0.5, "named_counts": 0.8}
Told = list[tuple[str, Box]]


def made(split: str = "train", seed: int = 5, **options: object) -> list[Sample]:
    source = make_source("told", seed, split, **{**MANY, **options})
    return [sample for index in range(GROUPS) for sample in source.group(index)]


def parts(sample: Sample) -> tuple[Told, str]:
    """The things that the description tells, in its order, and the question behind it."""
    *head, question = text_of(sample.messages[0]).split("\n")
    lines = [line for line in head if line not in markup.SWITCHES]
    assert len(lines) == 1, "one description before the question"
    things = [i for i in markup.parse(lines[0]) if isinstance(i, markup.Object)]
    return [(re.sub("^an? ", "", i.phrase), i.boxes[0]) for i in things], question


def answer(sample: Sample) -> str:
    return text_of(sample.messages[-1])


def kind_of(name: str, lang: str) -> tuple[str, str]:
    """A thing's colour and shape, by its name."""
    colour = next(c for c in (getattr(x, lang) for x in COLOURS) if name.startswith(c + " "))
    return colour, name[len(colour) + 1 :]


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return made()


def test_the_same_samples_for_a_seed_and_no_pictures(samples: list[Sample]) -> None:
    again = make_source("told", 5, **MANY)
    for index in (7, 2):
        for sample in again.group(index):
            twin = next(s for s in samples if s.id == sample.id)
            assert (sample.messages, sample.task, sample.lang, sample.meta) == (
                twin.messages,
                twin.task,
                twin.lang,
                twin.meta,
            )
    for sample in samples:
        assert sample.images == () and validate(sample) == []
        assert all(part["type"] == "text" for turn in sample.messages for part in turn["content"])
    assert len({s.id for s in samples}) == len(samples) > 2 * GROUPS
    assert {s.lang for s in samples} == {"ko", "en"}
    assert {s.task for s in samples} == {"grounding", "referring", "counting", "vqa"}


def test_boxes_of_answers_stand_in_the_description(samples: list[Sample]) -> None:
    seen = {"where": 0, "all": 0, "absent": 0}
    for sample in samples:
        if sample.task != "grounding":
            continue
        assert text_of(sample.messages[0]).startswith("<gro>\n")
        things, _ = parts(sample)
        found = [i for i in markup.parse(answer(sample)) if isinstance(i, markup.Object)]
        kind = sample.meta["kind"]
        seen[kind] += 1
        if kind == "absent":
            assert not found and all(name not in answer(sample) for name, _ in things)
        elif kind == "where":
            assert len(found) == 1 and (found[0].phrase, found[0].boxes[0]) in things
        else:
            phrase = found[0].phrase
            words = re.sub("e?s$", "", phrase) if sample.lang == "en" else phrase
            wanted = [
                box
                for name, box in things
                if any(part in words.split() or part == words for part in kind_of(name, sample.lang))
            ]
            assert len(wanted) > 1 and list(found[0].boxes) == wanted, (phrase, things)
    assert seen["where"] > 20 and seen["all"] > 3 and seen["absent"] > 0


def test_what_is_referred_to_stands_at_that_box(samples: list[Sample]) -> None:
    checked = 0
    for sample in samples:
        if sample.task == "referring":
            things, question = parts(sample)
            (asked,) = [i for i in markup.parse(question) if isinstance(i, markup.Object)]
            assert (answer(sample), asked.boxes[0]) in things
            checked += 1
    assert checked > 20


def test_counts_agree_with_the_description(samples: list[Sample]) -> None:
    seen = {"all": 0, "named": 0}
    for sample in samples:
        if sample.task != "counting":
            continue
        things, question = parts(sample)
        count = len(things)
        if sample.meta["kind"] == "named":
            words = [getattr(x, sample.lang) for x in (*COLOURS, *SHAPES)]
            named = max((x for x in words if re.search(rf"(?<![가-힣\w]){re.escape(x)}", question)), key=len)
            count = sum(named in kind_of(name, sample.lang) for name, _ in things)
        assert answer(sample) == (f"{count}개" if sample.lang == "ko" else str(count)), (question, things)
        seen[sample.meta["kind"]] += 1
    assert min(seen.values()) > 5


def test_questions_are_answered_by_the_description(samples: list[Sample]) -> None:
    seen: dict[str, int] = {}
    for sample in samples:
        if sample.task != "vqa":
            continue
        things, question = parts(sample)
        lang, said, kind = sample.lang, answer(sample), sample.meta["kind"]
        asked = [(name, box) for name, box in things if name in question]
        if kind == "presence":
            assert said == w.YES_NO[lang][not asked]
        elif kind == "position":
            ((_, box), *others) = asked
            assert not others or len({b for _, b in asked}) > 1
            axis = 0 if said in w.SIDES[lang] else 1
            middle = (box.x1 + box.x2, box.y1 + box.y2)[axis] / 2
            assert len(asked) > 1 or said == (w.SIDES, w.HEIGHTS)[axis][lang][middle > 0.5]
        else:
            place = ("colour", "shape").index(kind)
            kinds = [kind_of(name, lang) for name, _ in things]
            alike = [k for k in kinds if k[1 - place] in question]
            assert said in [k[place] for k in alike], (question, things)
        seen[kind] = seen.get(kind, 0) + 1
    assert set(seen) == {"presence", "position", "colour", "shape"}


def test_splits_tell_of_other_scenes() -> None:
    """Wordings are those of `scenes`, common to both splits; what is told differs."""
    train, held = ({text_of(s.messages[0]) for s in made(split)} for split in ("train", "eval"))
    assert train and held and not train & held
    assert {text_of(s.messages[0]) for s in made(seed=6)} != train


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"tasks": {"caption": 1}},
            "told scenes can be asked for grounding, referring, counting, vqa, options; found caption",
        ),
        ({"tasks": {"grounding": 1, "ocr": 1}}, "found grounding, ocr"),
        ({"tasks": {"grounding": 0}}, "no family of questions has a positive share"),
        ({"questions": 0}, "at least one"),
        ({"question": 2}, "did you mean 'questions'"),
        ({"wordings": 0}, "at least one wording"),
    ],
)
def test_what_cannot_be_told_is_refused(options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_source("told", 1, **options)


def test_options_are_those_of_scenes() -> None:
    assert {"questions", "tasks", "shapes", "colours", "max_objects", "wordings", "digits"} <= set(
        source_options("told")
    )
    for sample in made(tasks={"counting": 1}, questions=2, digits=1, wordings=1):
        assert sample.task == "counting"
        things, _ = parts(sample)
        assert all(round(v, 1) == v for _, box in things for v in (box.x1, box.y1, box.x2, box.y2))
