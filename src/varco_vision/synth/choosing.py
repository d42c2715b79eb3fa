"""Multiple choice about everything that a scene shows: four options, one of them right, answered by its letter.

The right answers are those of the open questions; wrong ones are of the same kind and false for the scene. `present`,
the question which thing is there, stays with `questions.choice`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from varco_vision.synth import wording as w
from varco_vision.synth import wording_choices as c
from varco_vision.synth.lexicon import syllables
from varco_vision.synth.phrasing import Speaker
from varco_vision.synth.questions import Question, QuestionConfig, absent_pairs
from varco_vision.synth.scenes import Scene, SceneObject, SceneWord
from varco_vision.synth.shapes import COLOURS, SHAPES, object_name
from varco_vision.synth.words import script

LETTERS = "ABCD"
MARGIN = 0.06  # of the picture: how far an extreme must lie from the next, and a corner from the middle lines
AREA = 1.3  # how many times as large the largest must be as the next
_LETTERS_LATIN = "abcdefghijklmnopqrstuvwxyz"

Maker = Callable[[], Question | None]


def ask_options(
    rng: random.Random, split: str, lang: str, kind: str, text: str, right: str, wrong: Sequence[str], most: int = 4
) -> Question | None:
    """The question with its options in random order; None when fewer than one wrong answer is left.

    The split gives the words that ask for a letter.
    """
    pool = list(dict.fromkeys(x for x in wrong if x != right))
    options = [right, *rng.sample(pool, min(most - 1, len(pool)))]
    if len(options) < 2:
        return None
    rng.shuffle(options)
    mark, between = (". ", "\n") if rng.random() < 0.8 else (": ", ", ")
    lines = between.join(f"{letter}{mark}{option}" for letter, option in zip(LETTERS, options, strict=False))
    lead = "" if between == "\n" else "Options: "
    text = "\n".join([text, lead + lines, Speaker(split).say(rng, c.BY_LETTER, lang)])
    return Question("choice", kind, lang, text, LETTERS[options.index(right)], {"options": options})


def _names(objects: Sequence[SceneObject], lang: str) -> list[str]:
    return [object_name(o.colour, o.shape, lang) for o in objects]


def colour(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, o: SceneObject) -> Question | None:
    """The colour of the only thing of its shape."""
    wrong = [getattr(x, lang) for x in COLOURS[: config.colours]]
    text = config.say(rng, w.COLOUR, lang, shape=getattr(SHAPES[o.shape], lang))
    return ask_options(rng, config.split, lang, "colour", text, getattr(COLOURS[o.colour], lang), wrong)


def shape(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, o: SceneObject) -> Question | None:
    """The shape of the only thing of its colour."""
    wrong = [getattr(x, lang) for x in SHAPES[: config.shapes]]
    text = config.say(rng, w.SHAPE, lang, colour=getattr(COLOURS[o.colour], lang))
    return ask_options(rng, config.split, lang, "shape", text, getattr(SHAPES[o.shape], lang), wrong)


def count(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Question | None:
    """How many things there are."""
    number = len(scene.objects)
    told = [f"{n}개" if lang == "ko" else str(n) for n in range(max(0, number - 3), number + 4)]
    right = told[number - max(0, number - 3)]
    return ask_options(rng, config.split, lang, "count", config.say(rng, w.COUNTING, lang), right, told)


def missing(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, there: bool) -> Question | None:
    """Which thing is not in the picture (its three others are), or, `there`, which one is (its three others are not)."""
    absent = [object_name(*pair, lang) for pair in absent_pairs(rng, scene, config, 3)]
    present = list(dict.fromkeys(_names(scene.objects, lang)))
    right, wrong = (present, absent) if there else (absent, present)
    if len(wrong) < 2 or not right:
        return None
    text = config.say(rng, w.CHOICE if there else c.MISSING, lang)
    return ask_options(rng, config.split, lang, "there" if there else "missing", text, rng.choice(right), wrong)


def extreme(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> Question | None:
    """What lies furthest to one side, or is the largest or smallest; None where it is not clear."""
    which = rng.choice(list(c.EXTREMES))
    width, height = scene.image.size
    keys: dict[str, Callable[[SceneObject], float]] = {
        "left": lambda o: (o.box[0] + o.box[2]) / 2 / width,
        "right": lambda o: -(o.box[0] + o.box[2]) / 2 / width,
        "top": lambda o: (o.box[1] + o.box[3]) / 2 / height,
        "bottom": lambda o: -(o.box[1] + o.box[3]) / 2 / height,
        "largest": lambda o: -_area(o),
        "smallest": _area,
    }
    key = keys[which]
    ranked = sorted(scene.objects, key=key)
    names = _names(ranked, lang)
    if len(ranked) < 2 or names.count(names[0]) > 1:
        return None
    first, second = abs(key(ranked[0])), abs(key(ranked[1]))
    clear = (
        max(first, second) > AREA * min(first, second)
        if which in ("largest", "smallest")
        else abs(first - second) > MARGIN
    )
    if not clear:
        return None
    text = config.say(rng, c.EXTREME, lang, which=c.EXTREMES[which][lang])
    return ask_options(rng, config.split, lang, which, text, names[0], names[1:])


def _area(o: SceneObject) -> float:
    return (o.box[2] - o.box[0]) * (o.box[3] - o.box[1])


def corner(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, o: SceneObject) -> Question | None:
    """In which quarter of the picture a thing is; None near the middle lines."""
    width, height = scene.image.size
    x, y = (o.box[0] + o.box[2]) / 2 / width - 0.5, (o.box[1] + o.box[3]) / 2 / height - 0.5
    if min(abs(x), abs(y)) < MARGIN:
        return None
    quarters = c.QUARTERS[lang]
    text = config.say(rng, c.CORNER, lang, name=object_name(o.colour, o.shape, lang))
    return ask_options(rng, config.split, lang, "corner", text, quarters[2 * (y > 0) + (x > 0)], quarters)


def word(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str, x: SceneWord) -> Question | None:
    """Which word is written, among words that look like it."""
    alike = [x.text]
    for _ in range(6):  # some resemble a wrong one more than the right one, or the right one could be told unseen
        alike.append(look_alike(rng, rng.choice(alike)))
    others = {y.text for y in scene.words}
    text = config.say(rng, c.WRITTEN, lang)
    return ask_options(rng, config.split, lang, "word", text, x.text, [t for t in alike if t not in others])


def look_alike(rng: random.Random, text: str) -> str:
    """The word with one or two characters exchanged for others of its script."""
    letters = list(text)
    pool = syllables(500) if script(text) == "ko" else "0123456789" if text.isdigit() else _LETTERS_LATIN
    for at in rng.sample(range(len(letters)), min(len(letters), rng.randint(1, 2))):
        letters[at] = rng.choice(pool)
    return "".join(letters)


def makers(scene: Scene, rng: random.Random, config: QuestionConfig, lang: str) -> list[Maker]:
    """All multiple-choice questions on a scene in one language, not yet written out; some turn out to be None."""
    given = (scene, rng, config, lang)
    found: list[Maker] = []
    for o in scene.objects:
        if sum(x.shape == o.shape for x in scene.objects) == 1:
            found.append(partial(colour, *given, o))
        if sum(x.colour == o.colour for x in scene.objects) == 1:
            found.append(partial(shape, *given, o))
        if sum((x.colour, x.shape) == (o.colour, o.shape) for x in scene.objects) == 1:
            found.append(partial(corner, *given, o))
        found.append(partial(missing, *given, True))
    if scene.objects:
        found += [partial(count, *given), partial(missing, *given, False)]
        found += [partial(extreme, *given)] * 2
    if scene.words:
        found += [partial(word, *given, x) for x in scene.words]
    return found
