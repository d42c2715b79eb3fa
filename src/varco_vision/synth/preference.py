"""Pairs of a right and a wrong answer: wrong about the picture, wrong in form, or markup where it does not belong."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.markup import Object, parse, plain, write
from varco_vision.synth import questions as q
from varco_vision.synth.korean import josa
from varco_vision.synth.questions import Question, QuestionConfig
from varco_vision.synth.scenes import Scene
from varco_vision.synth.shapes import article, object_name
from varco_vision.synth.text_world import Fact, facts, pairs

# A maker gives the question (its answer is the chosen one) and the rejected answer, or None where the scene has none.
Pair = tuple[Question, str] | None


def _wrong_box(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Pair:
    """The box of another object, or one that misses the object by far."""
    o = rng.choice(scene.objects)
    question = q.grounding(scene, rng, config, lang, o)
    right = q.relative(o.box, scene)
    others = [q.relative(x.box, scene) for x in scene.objects if x is not o]
    if others and rng.random() < 0.5:
        return question, write([Object(question.gold["phrase"], (rng.choice(others),))], config.digits)
    while True:
        x, y = rng.uniform(0, 1 - (right.x2 - right.x1)), rng.uniform(0, 1 - (right.y2 - right.y1))
        wrong = Box(x, y, x + right.x2 - right.x1, y + right.y2 - right.y1)
        if wrong.iou(right) < 0.4:
            return question, write([Object(question.gold["phrase"], (wrong,))], config.digits)


def _wrong_count(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Pair:
    question = q.counting(scene, rng, config, lang)
    count = len(scene.objects)
    wrong = rng.choice([n for n in (count - 2, count - 1, count + 1, count + 2) if n >= 0])
    return question, question.answer.replace(str(count), str(wrong))


def _wrong_name(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Pair:
    """Another colour or another shape for the object pointed at."""
    o = rng.choice(scene.objects)
    colours = [(c, o.shape) for c in range(config.colours) if c != o.colour]
    shapes = [(o.colour, s) for s in range(config.shapes) if s != o.shape]
    if not colours + shapes:
        return None
    return q.referring(scene, rng, config, lang, o), object_name(*rng.choice(colours + shapes), lang)


def _wrong_language(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Pair:
    """The right answer in the language that was not spoken."""
    other = "en" if lang == "ko" else "ko"
    if rng.random() < 0.5:
        o = rng.choice(scene.objects)
        return q.referring(scene, rng, config, lang, o), object_name(o.colour, o.shape, other)
    return q.caption(scene, rng, config, lang), q.sentences(scene, other, config, boxes=False)


def _markup_unasked(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Pair:
    """Boxes although nothing asked for them."""
    return q.caption(scene, rng, config, lang), q.sentences(scene, lang, config, boxes=True)


def _markup_missing(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Pair:
    """No boxes although <gro> or <ocr> asked for them."""
    if scene.words and rng.random() < 0.5:
        question = q.ocr(scene, rng, config, q.word_languages(scene)[0])
        return question, "\n".join(x.text for x in scene.words)
    question = q.description(scene, rng, config, lang)
    return question, plain(parse(question.answer))


def _invented(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Pair:
    """A caption with one thing too many."""
    missing = q.absent_pairs(rng, scene, config, 1)
    if not missing:
        return None
    name = object_name(*missing[0], lang)
    return (
        q.caption(scene, rng, config, lang),
        q.sentences(scene, lang, config, boxes=False, extra=[name if lang == "ko" else article(name)]),
    )


def _loop(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Pair:
    """The answer over and over."""
    maker = rng.choice((q.caption, q.description))
    question = maker(scene, rng, config, lang)
    return question, " ".join([question.answer] * rng.randint(3, 6))


def _wrong_particle(scene: Scene, rng: random.Random, config: QuestionConfig, _lang: str) -> Pair:
    """Korean with the other form of the particle: 원가 for 원이, 고리과 for 고리와."""
    missing = q.absent_pairs(rng, scene, config, 1)
    if missing and rng.random() < 0.5:
        question = q.absent(scene, rng, config, "ko", missing[0])
        return question, _with_other_particle(question.answer, question.gold["phrase"], "이/가")
    question = q.caption(scene, rng, config, "ko")
    last = scene.objects[-1]
    return question, _with_other_particle(question.answer, object_name(last.colour, last.shape, "ko"), "이/가")


def _with_other_particle(text: str, name: str, pair: str) -> str:
    right = josa(name, pair)
    wrong = next(form for form in pair.split("/") if form != right)
    assert f"{name}{right} " in text
    return text.replace(f"{name}{right} ", f"{name}{wrong} ")


SCENE_KINDS: dict[str, Callable[[Scene, random.Random, QuestionConfig, str], Pair]] = {
    "wrong_box": _wrong_box,
    "wrong_count": _wrong_count,
    "wrong_name": _wrong_name,
    "wrong_language": _wrong_language,
    "markup_unasked": _markup_unasked,
    "markup_missing": _markup_missing,
    "invented_object": _invented,
    "loop": _loop,
    "wrong_particle": _wrong_particle,
}
TEXT_KINDS = ("wrong_fact",)
KINDS = (*SCENE_KINDS, *TEXT_KINDS)


def _turns(question: str, image: bool) -> tuple[dict[str, Any], ...]:
    content = [{"type": "image"}] if image else []
    return ({"role": "user", "content": [*content, {"type": "text", "text": question}]},)


def _answer(text: str) -> tuple[dict[str, Any], ...]:
    return ({"role": "assistant", "content": [{"type": "text", "text": text}]},)


def scene_pair(
    scene: Scene, rng: random.Random, config: QuestionConfig, kind: str, lang: str, name: str
) -> Sample | None:
    """A preference sample of a kind from `SCENE_KINDS`; None where this scene has no such pair. Needs objects."""
    if kind not in SCENE_KINDS:
        raise InputError(f"unknown kind of pair {kind!r}; known are {', '.join(SCENE_KINDS)}")
    if not scene.objects:
        return None
    made = SCENE_KINDS[kind](scene, rng, config, lang)
    if made is None or made[0].answer == made[1]:
        return None
    question, rejected = made
    return Sample(
        id=name,
        images=(scene.image,),
        task=question.task,
        lang=question.lang,
        messages=_turns(question.text, image=True),
        chosen=_answer(question.answer),
        rejected=_answer(rejected),
        meta={"kind": kind, "answer": question.answer, **question.gold},
    )


def _other_answer(rng: random.Random, fact: Fact, lang: str) -> str:
    """The answer to another fact of the same kind."""
    answers = sorted({other.answers[lang] for other in facts() if other.kind == fact.kind} - {fact.answers[lang]})
    return rng.choice(answers)


def fact_pair(rng: random.Random, split: str, lang: str, name: str, count: int | None = None) -> Sample:
    """A preference sample on a text fact: the right answer against another one of its kind."""
    fact, wording = rng.choice(pairs(split, lang, count))
    return Sample(
        id=name,
        images=(),
        task="chat" if fact.kind == "dialogue" else "text",
        lang=lang,
        messages=_turns(fact.questions[lang][wording], image=False),
        chosen=_answer(fact.answers[lang]),
        rejected=_answer(_other_answer(rng, fact, lang)),
        meta={"kind": "wrong_fact", "fact": fact.id, "wording": wording, "answer": fact.answers[lang]},
    )
