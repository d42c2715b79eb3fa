"""Generated cases for comparisons with the original programs of metrics: pure functions of a number.

`scripts/record_metric_goldens.py` runs the originals on them; the tests run ours and compare with what was recorded.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import random
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
PAGES = 12_000
ANSWERS = 12_000
REVIEWS = 12_000
CAPTION_SETS = 400
LISTS = 1_000
CLEVAL_SETS = 200
CLEVAL_PAGES = 50  # pages in each set

ALPHABETS = ("가나다", "가나다라마바사아", "abcABC 12", "국민한대학교")
Quad = list[int]
Regions = list[tuple[str, Quad]]


def digest(cases: Any) -> str:
    """Stands for the cases, so that a changed generator is noticed and not taken for a changed metric."""
    return hashlib.blake2b(json.dumps(cases, ensure_ascii=False).encode(), digest_size=8).hexdigest()


def load(name: str) -> dict[str, Any]:
    """A recorded file: {"source", "digest", "outputs"}."""
    with gzip.open(DATA / f"metrics_{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


def store(name: str, source: str, cases: Any, outputs: Any) -> Path:
    """Write a recorded file, the same bytes for the same content."""
    DATA.mkdir(exist_ok=True)
    path = DATA / f"metrics_{name}.json.gz"
    content = json.dumps({"source": source, "digest": digest(cases), "outputs": outputs}, separators=(",", ":"))
    path.write_bytes(gzip.compress(content.encode(), 9, mtime=0))
    return path


# --- pages of text -------------------------------------------------------------------------------------------------


def _quad(rng: random.Random, span: int, shuffled: bool = True) -> Quad:
    kind = rng.random()
    x, y = rng.randrange(span), rng.randrange(span)
    w, h = rng.randrange(1, span // 2), rng.randrange(1, span // 3)
    if kind < 0.5:
        return [x, y, x + w, y, x + w, y + h, x, y + h]
    angle = rng.uniform(-1, 1)
    cos, sin = math.cos(angle), math.sin(angle)
    corners = [(0, 0), (w, 0), (w, h), (0, h)]
    quad = []
    for a, b in corners:
        quad += [max(0, round(x + span + cos * a - sin * b)), max(0, round(y + span + sin * a + cos * b))]
    if kind > 0.9 and shuffled:
        rng.shuffle(quad)
    return quad


def page(seed: int, shuffled: bool = True) -> tuple[Regions, Regions]:
    """(gold, told) regions: equal, shifted, cut, invented; upright and turned boxes; don't-care regions."""
    rng = random.Random(seed)
    span = rng.choice([6, 12, 40, 200])
    letters = rng.choice(ALPHABETS)

    def word() -> str:
        return "".join(rng.choice(letters) for _ in range(rng.choice([1, 1, 2, 3, 4, 6])))

    gold = [("###" if rng.random() < 0.08 else word(), _quad(rng, span, shuffled)) for _ in range(rng.randrange(9))]
    told: Regions = []
    for text, quad in gold:
        kind = rng.random()
        if kind < 0.5:
            told.append((text, list(quad)))
        elif kind < 0.7:
            told.append((word(), [max(0, v + rng.choice([-1, 0, 0, 1, 3])) for v in quad]))
        elif kind < 0.8 and len(text) > 1:
            told += [(text[:1], list(quad)), (text[1:], list(quad))]
    told += [(word(), _quad(rng, span, shuffled)) for _ in range(rng.randrange(4))]
    rng.shuffle(told)
    return gold, told


def pages() -> list[tuple[Regions, Regions]]:
    return [page(seed) for seed in range(PAGES)]


def upright(regions: Regions) -> Regions:
    """With blanks around no text and wider than a pixel, as CLEval's text format can hold them."""
    kept = []
    for text, quad in regions:
        xs, ys = quad[::2], quad[1::2]
        area = abs(sum(xs[k] * ys[(k + 1) % 4] - xs[(k + 1) % 4] * ys[k] for k in range(4))) / 2
        if area > 0:
            kept.append((text, quad))
    return kept


def cleval_sets() -> list[list[tuple[Regions, Regions]]]:
    made = [page(100_000 + seed, shuffled=False) for seed in range(CLEVAL_SETS * CLEVAL_PAGES)]
    made = [(upright(gold), upright(told)) for gold, told in made]
    return [made[k : k + CLEVAL_PAGES] for k in range(0, len(made), CLEVAL_PAGES)]


# --- boxes ---------------------------------------------------------------------------------------------------------


def box_case(seed: int) -> tuple[str, list[float]]:
    """(answer, gold box): near misses, other scales, wrong corners, several boxes, markup, nothing."""
    rng = random.Random(seed)
    x, y = rng.random() * 0.7, rng.random() * 0.7
    gold = [x, y, x + 0.02 + rng.random() * (0.98 - x), y + 0.02 + rng.random() * (0.98 - y)]

    def near(spread: float) -> list[float]:
        return [v + rng.uniform(-spread, spread) for v in gold]

    def text(box: list[float], digits: int) -> str:
        return rng.choice([", ", ",", " , ", ",\t"]).join(f"{v:.{digits}f}" for v in box)

    box = near(rng.choice([0.0, 0.05, 0.2, 0.6]))
    if rng.random() < 0.1:
        rng.shuffle(box)
    forms = (
        f"[{text(box, 3)}]",
        f"The box is [{text(box, 2)}].",
        f"[[{text(box, 4)}]]",
        f"[{text(box, 3)}] [{text(gold, 3)}]",
        f"[ {text([round(v) for v in box], 0)} ]",
        f"[{text([1000 * v for v in box], 0)}]",
        f"<obj>사람</obj><bbox>{text(box, 3)}</bbox>",
        f"({text(box[:2], 2)}),({text(box[2:], 2)})",
        f"{text(box, 3)}",
        f"[{text(box[:3], 2)}]",
        f"답: [{text(box, 3)}]입니다",
        f"[{text(gold, 6)}]",
        "모르겠습니다.",
        "",
        f"[.1, {text(box[1:], 2)}]",
        f"[{text([0, 0, 0, 0], 0)}]",
    )
    return rng.choice(forms), gold


def box_cases() -> list[tuple[str, list[float]]]:
    return [box_case(seed) for seed in range(ANSWERS)]


# --- captions ------------------------------------------------------------------------------------------------------

_WORDS = [
    "빨간",
    "파란",
    "작은",
    "큰",
    "동그라미",
    "네모",
    "남자",
    "여자",
    "차",
    "왼쪽",
    "오른쪽",
    "the",
    "a",
    "red",
    "blue",
    "man",
    "car",
    "left",
    "of",
    "on",
]


def captions(seed: int) -> list[tuple[str, list[str]]]:
    """(answer, gold captions) of a small set; tokens parted by blanks."""
    rng = random.Random(seed)

    def caption(least: int = 1) -> str:
        return " ".join(rng.choice(_WORDS) for _ in range(rng.randrange(least, 9)))

    rows = []
    for _ in range(rng.randrange(20, 32)):
        gold = [caption() for _ in range(rng.randrange(1, 4))]
        answer = rng.choice(gold) if rng.random() < 0.3 else caption(0)
        words = answer.split()
        if words and rng.random() < 0.3:
            words[rng.randrange(len(words))] = rng.choice(_WORDS)
        rows.append((" ".join(words), gold))
    return rows


def caption_sets() -> list[list[tuple[str, list[str]]]]:
    return [captions(seed) for seed in range(CAPTION_SETS)]


# --- judges --------------------------------------------------------------------------------------------------------


def review(seed: int) -> str:
    """A judge's reply: clean, with commas, strokes, emphasis, labels, more lines, or without scores."""
    rng = random.Random(seed)
    a, b = (
        rng.choice([str(rng.randrange(1, 11)), f"{rng.randrange(2, 20) / 2}", str(rng.randrange(1, 11))]) for _ in "ab"
    )
    heads = (
        f"{a} {b}", f"{a} {b} ", f" {a} {b}", f"{a}, {b}", f"{a},{b}", f"{a}/{b}", f"{a}  {b}", f"**{a} {b}**", f"`{a} {b}`",
        f"점수: {a} {b}", f"{a}", f"{a} {b} 5", f"Assistant 1: {a} Assistant 2: {b}", "", "평가할 수 없습니다.", f"{a}점 {b}점",
        f",{a} {b}", f"{a} {b},", f"{a}\t{b}", f"\n{a} {b}", f"-{a} {b}", f"{a}e0 {b}", f"{a} 팔", f"\u3000{a} {b}",
    )  # fmt: skip
    tails = ("", "\n첫 번째 답이 더 자세합니다.", "\n\nBoth are fine. 3 4", "\r\n설명")
    return rng.choice(heads) + rng.choice(tails)


def reviews() -> list[str]:
    return [review(seed) for seed in range(REVIEWS)]


def score_list(seed: int) -> list[list[float]]:
    """Pairs of scores of a set, failed ones as [-1, -1], as lmms-eval keeps them."""
    rng = random.Random(seed)
    failing = rng.choice([0.0, 0.1, 0.5])
    return [
        [-1.0, -1.0] if rng.random() < failing else [float(rng.randrange(1, 11)), rng.randrange(2, 21) / 2]
        for _ in range(rng.randrange(1, 61))
    ]


def score_lists() -> list[list[list[float]]]:
    return [score_list(seed) for seed in range(LISTS)]
