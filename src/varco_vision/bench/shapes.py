"""Questions on pictures of coloured shapes: what is there, where, how many, how large, in which order."""

from __future__ import annotations

import random
from collections import Counter

from varco_vision.bench.draft import Picture
from varco_vision.bench.items import numbers_around
from varco_vision.synth.korean import attach, fill
from varco_vision.synth.questions import QuestionConfig, absent_pairs, sentences
from varco_vision.synth.scenes import Scene, SceneObject
from varco_vision.synth.shapes import COLOURS, SHAPES, object_name
from varco_vision.synth.sources import World

CORNERS = {"circle": 0, "square": 4, "triangle": 3}  # one shape for each number, so that none is likelier
CLEAR = 0.1  # parts of the picture by which two places must differ to be told apart
LARGER = 1.25  # ratio of longer sides from which one thing is larger than another
PLACES = ("왼쪽 위", "오른쪽 위", "왼쪽 아래", "오른쪽 아래")
SIDES = (("왼쪽", "오른쪽"), ("위쪽", "아래쪽"))


def name(o: SceneObject) -> str:
    return object_name(o.colour, o.shape, "ko")


def middle(box: tuple[int, int, int, int], size: tuple[int, int], axis: int) -> float:
    """The middle of a box along an axis (0 across, 1 down), as part of the picture."""
    return (box[axis] + box[axis + 2]) / 2 / size[axis]


def longest(box: tuple[int, int, int, int]) -> int:
    return max(box[2] - box[0], box[3] - box[1])


def picture(scene: Scene, world: World, rng: random.Random, index: int) -> Picture:
    """Everything that can be asked about a scene of at least three shapes."""
    made = Picture(scene.image, "scenes", "drawn", index)
    ask = world.ask
    made.short = sentences(scene, "ko", ask, False)
    places = [_where(o, scene) for o in scene.objects]
    made.facts = tuple(
        fill("{name|은/는} {place}에 있습니다.", name=name(o), place=place)
        for o, place in zip(scene.objects, places, strict=True)
    )
    made.caption = " ".join([made.short, f"도형은 모두 {len(scene.objects)}개입니다.", *made.facts])
    _identity(made, scene, ask, rng)
    _attributes(made, scene, ask, rng)
    _place(made, scene, rng)
    _order(made, scene, rng)
    _numbers(made, scene, rng)
    _statement(made, scene, rng)
    _relation(made, scene, rng)
    return made


def _where(o: SceneObject, scene: Scene) -> str:
    x, y = (middle(o.box, scene.image.size, axis) for axis in (0, 1))
    column = "왼쪽" if x < 0.4 else "오른쪽" if x > 0.6 else ""
    row = "위" if y < 0.4 else "아래" if y > 0.6 else ""
    if not column and not row:
        return "그림 가운데"
    return f"그림 {' '.join(part for part in (column, row or ('' if column else '가운데')) if part)}" + (
        "쪽" if row else ""
    )


def _identity(made: Picture, scene: Scene, ask: QuestionConfig, rng: random.Random) -> None:
    there = [name(o) for o in scene.objects]
    missing = [object_name(*pair, "ko") for pair in absent_pairs(rng, scene, ask, 6)]
    right = rng.choice(there)
    made.add("present", "다음 중 그림에 있는 도형은 무엇입니까?", right, missing, "그림에는 {right|이/가} 있습니다.")
    if missing:
        made.add(
            "missing", "다음 중 그림에 없는 도형은 무엇입니까?", missing[0], rng.sample(there, len(there)),
            "그림에는 {right|이/가} 없습니다.",
        )  # fmt: skip


def _attributes(made: Picture, scene: Scene, ask: QuestionConfig, rng: random.Random) -> None:
    shapes = Counter(o.shape for o in scene.objects)
    colours = Counter(o.colour for o in scene.objects)
    if single := [o for o in scene.objects if shapes[o.shape] == 1]:
        o = rng.choice(single)
        here = [c for c in colours if c != o.colour]
        rest = [c for c in range(ask.colours) if c not in colours]
        wrong = [COLOURS[c].ko for c in rng.sample(here, len(here)) + rng.sample(rest, len(rest))]
        made.add(
            "colour", "그림에 있는 {shape|은/는} 무슨 색입니까?", COLOURS[o.colour].ko, wrong, "{shape|은/는} {right}입니다.", shape=SHAPES[o.shape].ko
        )  # fmt: skip
    if single := [o for o in scene.objects if colours[o.colour] == 1]:
        o = rng.choice(single)
        here = [s for s in shapes if s != o.shape]
        rest = [s for s in range(ask.shapes) if s not in shapes]
        wrong = [SHAPES[s].ko for s in rng.sample(here, len(here)) + rng.sample(rest, len(rest))]
        made.add(
            "shape", "그림에서 {colour}인 도형은 어떤 모양입니까?", SHAPES[o.shape].ko, wrong, "{colour}인 도형은 {right}입니다.", colour=COLOURS[o.colour].ko
        )  # fmt: skip


def _place(made: Picture, scene: Scene, rng: random.Random) -> None:
    size = scene.image.size
    clear = [o for o in scene.objects if all(abs(middle(o.box, size, axis) - 0.5) > CLEAR for axis in (0, 1))]
    if clear:
        o = rng.choice(clear)
        k = (middle(o.box, size, 0) > 0.5) + 2 * (middle(o.box, size, 1) > 0.5)
        wrong = [place for place in PLACES if place != PLACES[k]]
        made.add(
            "quadrant", "{name|은/는} 그림의 어느 쪽에 있습니까?", PLACES[k], wrong, "{name|은/는} 그림의 {right}에 있습니다.", name=name(o)
        )  # fmt: skip
    axis = rng.randrange(2)
    ranked = sorted(scene.objects, key=lambda o: middle(o.box, size, axis))
    if len(ranked) < 4 or any(middle(b.box, size, axis) - middle(a.box, size, axis) < CLEAR / 2 for a, b in zip(ranked, ranked[1:], strict=False)):  # fmt: skip
        return
    far = rng.randrange(2)
    first = ranked[-1] if far else ranked[0]
    wrong = [name(o) for o in rng.sample([o for o in ranked if o is not first], len(ranked) - 1)]
    side = SIDES[axis][far]
    made.add(
        "outermost", "그림에서 가장 {side}에 있는 도형은 무엇입니까?", name(first), wrong, "가장 {side}에 있는 도형은 {right}입니다.", side=side
    )  # fmt: skip
    second = ranked[1]
    wrong = [name(o) for o in rng.sample([o for o in ranked if o is not second], len(ranked) - 1)]
    made.add(
        "second_place", "그림에서 {side}부터 셀 때 두 번째에 있는 도형은 무엇입니까?", name(second), wrong,
        "{side}부터 세면 두 번째는 {right}입니다.", side=SIDES[axis][0],
    )  # fmt: skip


def _order(made: Picture, scene: Scene, rng: random.Random) -> None:
    ranked = sorted(scene.objects, key=lambda o: longest(o.box), reverse=True)
    if len(ranked) < 4:
        return
    for kind, word, best, next_ in (
        ("biggest", "큰", ranked[0], ranked[1]),
        ("smallest", "작은", ranked[-1], ranked[-2]),
    ):
        sizes = sorted((longest(best.box), longest(next_.box)))
        if sizes[1] >= LARGER * sizes[0]:
            wrong = [name(o) for o in rng.sample([o for o in ranked if o is not best], len(ranked) - 1)]
            made.add(
                kind, "그림에서 가장 {word} 도형은 무엇입니까?", name(best), wrong, "가장 {word} 도형은 {right}입니다.", word=word
            )  # fmt: skip


def _numbers(made: Picture, scene: Scene, rng: random.Random) -> None:
    n = len(scene.objects)
    made.add(
        "count_all", "그림에 있는 도형은 모두 몇 개입니까?", f"{n}개", [f"{k}개" for k in numbers_around(rng, n, 1)],
        "그림에 있는 도형은 모두 {right}입니다.",
    )  # fmt: skip
    colours = Counter(o.colour for o in scene.objects)
    if len(colours) < 2:
        return
    first, second = rng.sample(sorted(colours), 2)
    total = colours[first] + colours[second]
    made.add(
        "count_two", "{a} 도형과 {b} 도형은 모두 몇 개입니까?", f"{total}개", [f"{k}개" for k in numbers_around(rng, total, 1)],
        "{a} 도형과 {b} 도형은 모두 {right}입니다.", a=COLOURS[first].ko, b=COLOURS[second].ko,
    )  # fmt: skip
    size = scene.image.size
    ranked = sorted(scene.objects, key=lambda o: middle(o.box, size, 0))
    first = SHAPES[ranked[0].shape]
    if first.en in CORNERS and middle(ranked[1].box, size, 0) - middle(ranked[0].box, size, 0) > CLEAR / 2:
        right = CORNERS[first.en]
        made.add(
            "corners", "그림에서 가장 왼쪽에 있는 도형의 꼭짓점은 몇 개입니까?", f"{right}개",
            [f"{k}개" for k in (0, 3, 4, 5) if k != right],
            "가장 왼쪽에 있는 도형은 {shape|이고/고}, 그 꼭짓점은 {right}입니다.", shape=first.ko,
        )  # fmt: skip


def _statement(made: Picture, scene: Scene, rng: random.Random) -> None:
    """One true statement among false ones, or the other way round; no two are about the same pair, which would tell."""
    size = scene.image.size
    found: list[tuple[str, str]] = []  # (true, false) of each pair and direction
    for i, a in enumerate(scene.objects):
        for b in scene.objects[i + 1 :]:
            axis = rng.randrange(2)
            gap = middle(b.box, size, axis) - middle(a.box, size, axis)
            if abs(gap) < 1.5 * CLEAR:
                continue
            first, second, far = (a, b, gap < 0) if rng.random() < 0.5 else (b, a, gap > 0)
            text = f"{attach(name(first), '은/는')} {name(second)}보다 {{}}에 있습니다."
            found.append((text.format(SIDES[axis][far]), text.format(SIDES[axis][not far])))
    rng.shuffle(found)
    if len(found) >= 4:
        right, *rest = found[:4]
        made.add(
            "statement", "다음 중 그림에 대한 설명으로 옳은 것은 무엇입니까?", right[0], [false for _, false in rest], right[0]
        )  # fmt: skip
        made.add(
            "false_statement",
            "다음 중 그림에 대한 설명으로 옳지 않은 것은 무엇입니까?",
            rest[0][1],
            [right[0], rest[1][0], rest[2][0]],
        )


def _relation(made: Picture, scene: Scene, rng: random.Random) -> None:
    size = scene.image.size
    pairs = [(a, b) for a in scene.objects for b in scene.objects if a is not b]
    rng.shuffle(pairs)
    for a, b in pairs:
        across = middle(b.box, size, 0) - middle(a.box, size, 0)
        down = middle(b.box, size, 1) - middle(a.box, size, 1)
        if min(abs(across), abs(down)) > CLEAR:
            k = (across < 0) + 2 * (down < 0)
            made.add(
                "relation", "{b|을/를} 기준으로 {a|은/는} 어느 쪽에 있습니까?", PLACES[k], [p for p in PLACES if p != PLACES[k]],
                "{a|은/는} {b}의 {right}에 있습니다.", a=name(a), b=name(b),
            )  # fmt: skip
            break
