"""Grounding and referring: boxes of answers against gold boxes, names of regions against gold names.

How numbers of an answer become a box is *declared* (`Coordinates`), never guessed from their size: relative 0..1, 0..1000
or pixels; corners or corner and size. The rules:

- one gold box (RefCOCO/+/g): the first box of the answer counts, right at IoU >= the threshold; no box is IoU 0 and wrong.
- several gold boxes: one-to-one matching of the largest number of pairs at IoU >= 0.5, then F1.
- no gold box: right when the answer has none.
- Flickr30k Entities: recall among the first k boxes, against any gold box of the phrase or their hull.
- referring: equal text (strict, or with article, copula and case forgiven), CIDEr and chrF.

Every odd answer is counted (`EVENTS`). `lmms_rec` is lmms-eval 0.7.3's rule, kept apart because it differs.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from varco_vision import markup
from varco_vision.errors import InputError
from varco_vision.eval import metrics as m
from varco_vision.eval.readers import Target
from varco_vision.eval.statistics import bootstrap_mean, bootstrap_ratio, wilson
from varco_vision.geometry import Box

PROTOCOL = "location-1"  # changes whenever a rule of this file does
THRESHOLDS = (0.3, 0.5, 0.7)
SCALES = ("relative", "thousand", "pixels")
ORDERS = ("xyxy", "xywh")
EVENTS = {
    "no_box": "no box where one was asked for",
    "several_boxes": "several boxes where one was asked for (the first counts)",
    "swapped": "with corners in the wrong order (sorted)",
    "clipped": "with a box that reached a little outside the picture (cut off)",
    "off_scale": "with a box far outside the declared scale (left out)",
    "repaired": "with markup that had to be repaired",
}
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_SEP = r"\s*[,;\s]\s*"
_PAIR = rf"\(\s*({_NUMBER}){_SEP}({_NUMBER})\s*\)"
_QUADS = re.compile(
    rf"[\[(]\s*({_NUMBER}){_SEP}({_NUMBER}){_SEP}({_NUMBER}){_SEP}({_NUMBER})\s*[\])]|{_PAIR}\s*,?\s*{_PAIR}"
)
_BARE = re.compile(rf"\s*({_NUMBER}){_SEP}({_NUMBER}){_SEP}({_NUMBER}){_SEP}({_NUMBER})\s*\.?\s*")


@dataclass(frozen=True)
class Coordinates:
    """What the four numbers of a box mean: "relative" (0..1), "thousand" (0..1000) or "pixels"; "xyxy" or "xywh"."""

    scale: str = "relative"
    order: str = "xyxy"

    @classmethod
    def parse(cls, name: str) -> Coordinates:
        """From a name such as "thousand-xyxy"."""
        scale, _, order = name.partition("-")
        order = order or "xyxy"
        if scale not in SCALES or order not in ORDERS:
            known = ", ".join(f"{s}-{o}" for s in SCALES for o in ORDERS)
            raise InputError(f"the coordinates {name!r} are unknown; use one of {known}")
        return cls(scale, order)

    def __str__(self) -> str:
        return f"{self.scale}-{self.order}"

    def box(self, numbers: Sequence[float], size: tuple[int, int] | None, events: Counter[str]) -> Box | None:
        """The box of four numbers; None when it lies far outside the scale. `size` is needed for pixels."""
        if self.scale == "pixels" and size is None:
            raise InputError("boxes in pixels need the size of the picture; give width and height of every target")
        wide, high = size if self.scale == "pixels" and size else (1, 1) if self.scale == "relative" else (1000, 1000)
        x1, y1, x2, y2 = numbers
        if self.order == "xywh":
            x2, y2 = x1 + x2, y1 + y2
        values = [x1 / wide, y1 / high, x2 / wide, y2 / high]
        if any(not -markup.OVERSHOOT <= v <= 1 + markup.OVERSHOOT for v in values):
            events["off_scale"] += 1
            return None
        inside = [min(max(v, 0.0), 1.0) for v in values]
        events["clipped"] += inside != values
        (x1, x2), (y1, y2) = sorted(inside[::2]), sorted(inside[1::2])
        events["swapped"] += [x1, y1, x2, y2] != inside
        return Box(x1, y1, x2, y2)


RELATIVE = Coordinates()


def read_boxes(
    answer: str,
    coordinates: Coordinates = RELATIVE,
    size: tuple[int, int] | None = None,
    events: Counter[str] | None = None,
) -> list[Box]:
    """The boxes of an answer in order; what was odd about them is counted in `events`.

    <bbox> markup is read as this project writes it when relative corners are declared. Otherwise boxes are four numbers in
    brackets, two pairs in parentheses, or four bare numbers that are the whole answer.
    """
    events = Counter() if events is None else events
    if "<bbox>" in answer and coordinates == RELATIVE:
        repairs: list[str] = []
        items = markup.parse(answer, report=repairs)
        events["repaired"] += bool(repairs)
        return [box for item in items if not isinstance(item, markup.Text) for box in item.boxes]
    plain = m.fold_width(re.sub(r"</?bbox>", lambda tag: "]" if "/" in tag[0] else "[", answer))
    found = list(_QUADS.finditer(plain)) or [match for match in [_BARE.fullmatch(plain)] if match]
    quads = [[float(group) for group in match.groups() if group is not None] for match in found]
    boxes = [coordinates.box(quad, size, events) for quad in quads]
    return [box for box in boxes if box is not None]


# --- boxes ---------------------------------------------------------------------------------------------------------


def record(target: Target, answer: str, coordinates: Coordinates = RELATIVE) -> dict[str, Any]:
    """Score one answer: plain JSON with the boxes read and what they earned."""
    events: Counter[str] = Counter()
    boxes = read_boxes(answer, coordinates, target.size, events)
    result: dict[str, Any] = {"id": target.id, "split": target.split, "kind": list(target.kind), "answer": answer}
    result |= {"told": len(boxes), "gold": len(target.boxes)}
    events["no_box"] += bool(target.boxes) and not boxes
    if len(target.boxes) == 1:
        events["several_boxes"] += len(boxes) > 1
        result["iou"] = m.first_box_iou(boxes, target.boxes[0])
    else:
        result["found"] = m.box_matches(boxes, target.boxes)
    result["boxes"] = [[b.x1, b.y1, b.x2, b.y2] for b in boxes]
    result["events"] = sorted(name for name, count in events.items() if count)
    return result


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What records add up to: {"splits": {split: cells}, "all": cells (micro), "macro": {metric: mean of splits}, ...}.

    A cell is {"value", "low", "high", "n"}. Metrics: acc30, acc50, acc70, miou (one gold box); several_f1 (mean over
    targets), several_exact (share with F1 = 1), several_precision, several_recall (micro); absent_acc.
    """
    if not records:
        raise InputError("there is no answer to score")
    splits: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in records:
        splits[one["split"]].append(one)
    cells = {split: _cells(some) for split, some in sorted(splits.items())}
    whole = _cells(records)
    macro = {}
    for name in whole:
        values = [cell[name]["value"] for cell in cells.values() if name in cell]
        macro[name] = math.fsum(values) / len(values)
    counted = Counter(event for one in records for event in one["events"])
    return {
        "protocol": PROTOCOL,
        "n": len(records),
        "splits": cells,
        "all": whole,
        "macro": macro,
        "counters": {name: counted[name] for name in EVENTS},
    }


def _cells(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    cells: dict[str, dict[str, float]] = {}
    ious = [one["iou"] for one in records if "iou" in one]
    if ious:
        for threshold in THRESHOLDS:
            share = m.box_accuracy(ious, threshold)
            cells[f"acc{round(100 * threshold)}"] = _cell(share, wilson(share * len(ious), len(ious)), len(ious))
        cells["miou"] = _cell(m.mean_iou(ious), bootstrap_mean(ious), len(ious))
    several = [one for one in records if one["gold"] > 1]
    if several:
        scores = [m.f1(one["found"], one["told"], one["gold"]) for one in several]
        cells["several_f1"] = _cell(math.fsum(scores) / len(scores), bootstrap_mean(scores), len(scores))
        exact = sum(score == 1.0 for score in scores)
        cells["several_exact"] = _cell(exact / len(scores), wilson(exact, len(scores)), len(scores))
        for name, of in (("several_precision", "told"), ("several_recall", "gold")):
            parts = [(one["found"], one[of]) for one in several]
            if total := sum(part[1] for part in parts):
                value = sum(part[0] for part in parts) / total
                cells[name] = _cell(value, bootstrap_ratio(parts), len(parts))
    absent = [one["told"] == 0 for one in records if one["gold"] == 0]
    if absent:
        cells["absent_acc"] = _cell(sum(absent) / len(absent), wilson(sum(absent), len(absent)), len(absent))
    return cells


def _cell(value: float, interval: tuple[float, float], n: int) -> dict[str, float]:
    return {"value": value, "low": interval[0], "high": interval[1], "n": n}


# --- phrases of sentences (Flickr30k Entities) ---------------------------------------------------------------------

RANKS = (1, 5, 10)


def flickr_recall(
    targets: Sequence[Target], told: Sequence[Sequence[Box]], protocol: str = "any", threshold: float = m.IOU_MATCH
) -> dict[str, dict[str, Any]]:
    """Recall@1/5/10 and "upper" (all boxes told) by phrase type and for "all"; each a cell.

    `told`: ranked boxes for each target. `protocol` "any": a hit on any gold box; "merged": on the hull of them all.
    """
    if protocol not in ("any", "merged"):
        raise InputError(f"the Flickr30k protocol {protocol!r} is unknown; use any or merged")
    if len(targets) != len(told):
        raise InputError(f"{len(targets)} phrases and {len(told)} answers were given; there must be one for each")
    hits: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for target, boxes in zip(targets, told, strict=True):
        gold = target.boxes if protocol == "any" else (hull(target.boxes),)
        reached = [max(box.iou(known) for known in gold) >= threshold for box in boxes]
        for kind in ("all", *target.kind):
            for rank in RANKS:
                hits[kind][str(rank)].append(any(reached[:rank]))
            hits[kind]["upper"].append(any(reached))
    return {
        kind: {rank: _cell(sum(h) / len(h), wilson(sum(h), len(h)), len(h)) for rank, h in ranks.items()}
        for kind, ranks in hits.items()
    }


def hull(boxes: Sequence[Box]) -> Box:
    """The smallest box around several."""
    return Box(min(b.x1 for b in boxes), min(b.y1 for b in boxes), max(b.x2 for b in boxes), max(b.y2 for b in boxes))


# --- names of regions ----------------------------------------------------------------------------------------------


def referring(
    answers: Sequence[str], gold: Sequence[Sequence[str]], unit: str = "words"
) -> dict[str, dict[str, float] | str]:
    """How well regions are named: exact (strict), phrase (article, copula, case forgiven), CIDEr, chrF.

    `gold`: all right names of each region. `unit` of CIDEr: "words" between blanks or "characters" (for Korean, where a
    particle makes every noun another word). CIDEr is 0..10 and depends on the whole set; chrF 0..100 needs sacrebleu.
    """
    if not answers or len(answers) != len(gold) or not all(gold):
        raise InputError(
            f"{len(answers)} answers and {len(gold)} lists of gold names were given; each answer needs names"
        )
    n = len(answers)
    strict = sum(any(m.same_strict(a, g) for g in known) for a, known in zip(answers, gold, strict=True))
    phrase = sum(any(m.same_phrase(a, g) for g in known) for a, known in zip(answers, gold, strict=True))
    scores = cider([tokens(a, unit) for a in answers], [[tokens(g, unit) for g in known] for known in gold])
    return {
        "exact": _cell(strict / n, wilson(strict, n), n),
        "phrase": _cell(phrase / n, wilson(phrase, n), n),
        "cider": _cell(math.fsum(scores) / n, bootstrap_mean(scores), n),
        "chrf": {"value": chrf(answers, gold), "n": n},
        "unit": unit,
    }


def tokens(text: str, unit: str = "words") -> list[str]:
    """A name as CIDEr counts it: as `metrics.answer`, cut at blanks, or into characters without blanks."""
    if unit not in ("words", "characters"):
        raise InputError(f"the unit {unit!r} is unknown; use words or characters")
    plain = m.answer(text)
    return plain.split() if unit == "words" else list(plain.replace(" ", ""))


def cider(
    answers: Sequence[Sequence[str]], gold: Sequence[Sequence[Sequence[str]]], longest: int = 4, sigma: float = 6.0
) -> list[float]:
    """CIDEr-D of each answer, 0..10 (Vedantam et al. 2015, eq. 5 with clipping), equal to coco-caption's on these tokens.

    As there, the length of the Gaussian penalty counts pairs of tokens, and document frequencies are those of the gold
    sets, one set a document. With a single region all weights, and so the score, are 0.
    """
    documents: Counter[tuple[str, ...]] = Counter()
    for known in gold:
        documents.update({gram for one in known for gram in _grams(one, longest)})
    log_n = math.log(len(gold))
    scores = []
    for answer, known in zip(answers, gold, strict=True):
        own, own_norm = _weights(answer, documents, log_n, longest)
        summed = 0.0
        for one in known:
            other, other_norm = _weights(one, documents, log_n, longest)
            gap = max(len(answer) - 1, 0) - max(len(one) - 1, 0)
            penalty = math.exp(-(gap**2) / (2 * sigma**2))
            for size in range(longest):
                same = own[size].keys() & other[size].keys()
                product = sum(min(own[size][g], other[size][g]) * other[size][g] for g in same)
                norms = own_norm[size] * other_norm[size]
                summed += penalty * (product / norms if norms else product)
        scores.append(10.0 * summed / (longest * len(known)))
    return scores


def _grams(one: Sequence[str], longest: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(one[k : k + size]) for size in range(1, longest + 1) for k in range(len(one) - size + 1))


def _weights(
    one: Sequence[str], documents: Counter[tuple[str, ...]], log_n: float, longest: int
) -> tuple[list[dict[tuple[str, ...], float]], list[float]]:
    """Term frequency times inverse document frequency of the n-grams, by their length, and the norms."""
    weights: list[dict[tuple[str, ...], float]] = [{} for _ in range(longest)]
    for gram, count in _grams(one, longest).items():
        weights[len(gram) - 1][gram] = count * (log_n - math.log(max(1.0, documents[gram])))
    return weights, [math.sqrt(sum(w * w for w in part.values())) for part in weights]


def chrf(answers: Sequence[str], gold: Sequence[Sequence[str]]) -> float:
    """Corpus chrF (Popović 2015, character n-grams up to 6, beta 2) by sacrebleu, 0..100, on composed text."""
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise InputError("chrF needs sacrebleu; install the extra: pip install 'varco-vision-open[eval]'") from error
    most = max(map(len, gold))
    padded = [[m.nfc(known[k]) if k < len(known) else None for known in gold] for k in range(most)]
    return CHRF().corpus_score([m.nfc(a) for a in answers], padded).score


# --- lmms-eval 0.7.3 -----------------------------------------------------------------------------------------------

_LMMS_QUAD = re.compile(r"\[" + r",".join([r"\s*(-?\d+(?:\.\d+)?)"] * 4) + r"\s*\]")
LMMS_THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)


def lmms_rec(answer: str, gold: Sequence[float]) -> dict[str, float]:
    """refcoco*_bbox_rec as lmms-eval 0.7.3 scores one answer; `gold` is x1, y1, x2, y2 in 0..1.

    The first [f, f, f, f] is taken as relative corners, unsorted and not cut; without one it is the box 0, 0, 0, 0. Neither
    this project's markup nor other scales are read, so such answers score 0 there. Two boxes without area divide by
    zero there, which is an `InputError` here.
    """
    found = _LMMS_QUAD.search(answer)
    told = [float(group) for group in found.groups()] if found else [0.0] * 4
    wide = max(0, min(gold[2], told[2]) - max(gold[0], told[0]))
    high = max(0, min(gold[3], told[3]) - max(gold[1], told[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (gold, told)]
    union = areas[0] + areas[1] - wide * high
    if union == 0:
        raise InputError(f"the boxes {list(gold)} and {told} have no area; lmms-eval 0.7.3 divides by zero here")
    iou = wide * high / union
    centre = (told[0] + told[2]) / 2, (told[1] + told[3]) / 2
    inside = gold[0] <= centre[0] <= gold[2] and gold[1] <= centre[1] <= gold[3]
    return {"IoU": iou} | {f"ACC@{t}": float(iou >= t) for t in LMMS_THRESHOLDS} | {"Center_ACC": float(inside)}
