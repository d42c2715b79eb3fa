"""Questions on scenes of things (emoji drawings on all kinds of ground) and on written words."""

from __future__ import annotations

import random
from collections.abc import Callable

from varco_vision.bench.draft import Picture
from varco_vision.bench.items import four_of, numbers_around
from varco_vision.bench.shapes import CLEAR, LARGER, PLACES, SIDES, longest, middle
from varco_vision.synth.emoji_names import Thing
from varco_vision.synth.emoji_scenes import PlacedThing, ThingScene
from varco_vision.synth.korean import josa
from varco_vision.synth.lexicon import ENGLISH_WORDS, NOUNS
from varco_vision.synth.rng import stream
from varco_vision.synth.scenes import Scene
from varco_vision.synth.thing_questions import Book
from varco_vision.synth.thing_sources import Things
from varco_vision.synth.words import WordStock, script

# grounds that are told apart at a glance
GROUNDS = {
    "wood": "나무판", "brick": "벽돌담", "stripes": "줄무늬", "hills": "언덕이 있는 들판", "sky": "구름 낀 하늘", "room": "방 안", "water": "물",
}  # fmt: skip
ALIKE = ({"water", "sky"},)


def picture(source: Things, scene: ThingScene, rng: random.Random, index: int) -> Picture:
    """Everything that can be asked about a scene of things."""
    made = Picture(scene.image, "things", "drawn", index)
    missing = source.missing(rng, [scene], 8)
    book = Book(scene, rng, source.speaker, source.digits, missing)
    made.short, made.caption = book.caption("ko").answer, book.caption_long("ko").answer
    made.facts = tuple(s.strip() + "." for s in made.caption.split(".") if s.strip())
    groups: dict[str, list[PlacedThing]] = {}
    for placed in scene.things:
        groups.setdefault(placed.thing.key, []).append(placed)
    kinds = [group[0].thing for group in groups.values()]
    _identity(made, kinds, missing, rng)
    # things that are there once are seldom asked for, or "one" would be the likeliest answer
    several = [thing for thing in kinds if len(groups[thing.key]) > 1]
    for thing in rng.sample(several or kinds, 1) if several or rng.random() < 0.3 else ():
        n = len(groups[thing.key])
        made.add(
            "thing_count", "그림에 {name|은/는} 몇 {unit} 있습니까?", f"{n}{thing.counter}",
            [f"{k}{thing.counter}" for k in numbers_around(rng, n, 1)], "그림에 {name|은/는} {right} 있습니다.", name=thing.ko, unit=thing.counter,
        )  # fmt: skip
    single = [group[0] for group in groups.values() if len(group) == 1]
    _order(made, scene, [p.thing.key for p in single], rng)
    _place(made, scene, single, rng)
    ground = scene.background.rsplit("-", 1)[0]
    if ground in GROUNDS:
        alike = {k for pair in ALIKE if ground in pair for k in pair}
        wrong = [text for kind, text in GROUNDS.items() if kind != ground and kind not in alike]
        made.add(
            "background",
            "이 그림의 배경은 무엇입니까?",
            GROUNDS[ground],
            rng.sample(wrong, 3),
            "이 그림의 배경은 {right}입니다.",
        )
    return made


def _identity(made: Picture, kinds: list[Thing], missing: list[Thing], rng: random.Random) -> None:
    right = rng.choice(kinds)
    near = sorted(missing, key=lambda thing: thing.category != right.category)  # of the same category first
    made.add(
        "thing_present", "다음 중 그림에서 볼 수 있는 것은 무엇입니까?", right.ko, [t.ko for t in near], "그림에서 {right|을/를} 볼 수 있습니다."
    )  # fmt: skip
    if len(kinds) >= 3:
        made.add(
            "thing_missing", "다음 중 그림에서 볼 수 없는 것은 무엇입니까?", missing[0].ko, [t.ko for t in rng.sample(kinds, len(kinds))],
            "그림에는 {right|이/가} 없습니다.",
        )  # fmt: skip


def _order(made: Picture, scene: ThingScene, single: list[str], rng: random.Random) -> None:
    """The outermost and the largest thing, where it is the only one of its kind and three other kinds are there."""
    size, things = scene.image.size, list(scene.things)

    def wrong(best: PlacedThing) -> list[str]:
        names = [*dict.fromkeys(p.thing.ko for p in things if p.thing.key != best.thing.key)]
        return rng.sample(names, len(names))

    axis, far = rng.randrange(2), rng.randrange(2)
    ranked = sorted(things, key=lambda p: middle(p.box, size, axis), reverse=bool(far))
    gap = abs(middle(ranked[0].box, size, axis) - middle(ranked[1].box, size, axis)) if len(ranked) > 1 else 0
    if gap > CLEAR / 2 and ranked[0].thing.key in single:
        made.add(
            "thing_outermost", "그림에서 가장 {side}에 있는 것은 무엇입니까?", ranked[0].thing.ko, wrong(ranked[0]),
            "가장 {side}에 있는 것은 {right}입니다.", side=SIDES[axis][far],
        )  # fmt: skip
    ranked = sorted(things, key=lambda p: longest(p.box), reverse=True)
    if len(ranked) > 1 and longest(ranked[0].box) >= LARGER * longest(ranked[1].box) and ranked[0].thing.key in single:
        made.add(
            "thing_biggest", "그림에서 가장 크게 그려진 것은 무엇입니까?", ranked[0].thing.ko, wrong(ranked[0]), "가장 크게 그려진 것은 {right}입니다."
        )  # fmt: skip


def _place(made: Picture, scene: ThingScene, single: list[PlacedThing], rng: random.Random) -> None:
    size = scene.image.size
    clear = [p for p in single if all(abs(middle(p.box, size, axis) - 0.5) > CLEAR for axis in (0, 1))]
    if clear:
        p = rng.choice(clear)
        k = (middle(p.box, size, 0) > 0.5) + 2 * (middle(p.box, size, 1) > 0.5)
        made.add(
            "thing_quadrant", "{name|은/는} 그림의 어느 쪽에 있습니까?", PLACES[k], [x for x in PLACES if x != PLACES[k]],
            "{name|은/는} 그림의 {right}에 있습니다.", name=p.thing.ko,
        )  # fmt: skip
    for a, b in ((a, b) for a in rng.sample(single, len(single)) for b in single if a is not b):
        across, down = (middle(b.box, size, x) - middle(a.box, size, x) for x in (0, 1))
        if min(abs(across), abs(down)) > CLEAR:
            k = (across < 0) + 2 * (down < 0)
            made.add(
                "thing_relation", "{b|을/를} 기준으로 {a|은/는} 어느 쪽에 있습니까?", PLACES[k], [x for x in PLACES if x != PLACES[k]],
                "{a|은/는} {b}의 {right}에 있습니다.", a=a.thing.ko, b=b.thing.ko,
            )  # fmt: skip
            break


# --- written words ---------------------------------------------------------------------------------------------------


def words(scene: Scene, stock: WordStock, rng: random.Random, index: int) -> Picture:
    """Questions on a picture of one to four words."""
    made = Picture(scene.image, "words", "printed", index)
    texts = [w.text for w in scene.words]
    listed = ", ".join(f"'{text}'" for text in texts)
    made.short = f"그림에는 {listed}{josa(listed, '이라는/라는')} 글자가 적혀 있습니다."
    made.caption = made.short
    made.facts = tuple(f"'{text}'" for text in texts)
    others = _others(stock, stream("bench words", rng.random()), texts)
    if len(texts) == 1:
        if (
            texts[0] not in NOUNS and texts[0].lower() not in ENGLISH_WORDS
        ):  # beside changed letters a real word stands out
            made.add(
                "word_read", "그림에 적힌 글자는 무엇입니까?", texts[0], four_of(rng, texts[0]), "그림에는 {quoted|이라고/라고} 적혀 있습니다.",
                quoted=f"'{texts[0]}'",
            )  # fmt: skip
        made.add("word_pick", "다음 중 그림에 적혀 있는 것은 무엇입니까?", texts[0], others(texts[0], 3))
    elif len(set(texts)) == len(texts):
        right = rng.choice(texts)
        made.add("word_pick", "다음 중 그림에 적혀 있는 것은 무엇입니까?", right, others(right, 3))
        if len(texts) >= 3:
            gone = others(texts[0], 1)[0]
            made.add(
                "word_missing", "다음 중 그림에 적혀 있지 않은 것은 무엇입니까?", gone, rng.sample(texts, len(texts))
            )
        if len(texts) >= 4:
            _place_words(made, scene, rng)
    return made


def _others(stock: WordStock, rng: random.Random, texts: list[str]) -> Callable[[str, int], list[str]]:
    """A function that gives other words of the same script and about the same length, from evaluation's words."""

    def draw(like: str, count: int) -> list[str]:
        found: list[str] = []
        for attempt in range(2000):
            word = stock.draw(rng)
            near = abs(len(word) - len(like)) <= (0 if attempt < 1000 else 1)
            if (
                near
                and script(word) == script(like)
                and word[0].isdigit() == like[0].isdigit()
                and word not in (*texts, *found)
            ):
                found.append(word)
            if len(found) == count:
                break
        return found

    return draw


def _place_words(made: Picture, scene: Scene, rng: random.Random) -> None:
    size = scene.image.size
    axis, far = rng.randrange(2), rng.randrange(2)
    ranked = sorted(scene.words, key=lambda w: middle(w.box, size, axis), reverse=bool(far))
    if abs(middle(ranked[0].box, size, axis) - middle(ranked[1].box, size, axis)) > CLEAR / 2:
        made.add(
            "word_outermost", "그림에서 가장 {side}에 적힌 것은 무엇입니까?", ranked[0].text, [w.text for w in rng.sample(ranked[1:], len(ranked) - 1)],
            side=SIDES[axis][far],
        )  # fmt: skip
