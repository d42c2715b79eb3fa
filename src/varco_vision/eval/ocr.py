"""Reading pictures, scored in the ways that are in use, from one set of regions.

PopEval (the metric of the published OCR table), CLEval (the `cleval` package), character error rates (syllables, jamo,
without blanks; all micro, composed), word F1, order-free character F1 and the order of reading. They disagree by
design: PopEval forgives boxes of any size, CLEval punishes boxes that are finer or coarser than the gold ones, error
rates look at no box at all. So a table shows them side by side, with the settings in the protocol id.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from varco_vision.errors import InputError
from varco_vision.eval import metrics as m
from varco_vision.eval import popeval
from varco_vision.eval.readers import Region, TextPage
from varco_vision.eval.statistics import bootstrap_ratio, wilson

PROTOCOL = "ocr-1"  # changes whenever a rule of this file does
Parts = tuple[float, float]
RATES = {
    "cer": "character errors / gold characters, syllables, regions joined by a blank",
    "jamo_cer": "the same counted in jamo",
    "cer_no_spaces": "character errors without blanks",
    "word_f1": "words with equal text, one-to-one, wherever they are: 2 x found / (told + gold)",
    "word_box_f1": "the same, and IoU >= 0.5 of the enclosing boxes",
    "character_f1": "characters in any order, blanks apart: 2 x common / (told + gold)",
    "reading_order": "pairs of matched words told in the gold order / pairs of matched words",
}
LOWER_IS_BETTER = frozenset(["cer", "jamo_cer", "cer_no_spaces"])


@dataclass(frozen=True)
class Settings:
    """How texts are prepared before any metric sees them; part of the protocol id.

    compose: NFC (else the files are taken as they are). fold_case: lower case. fold_width: full-width ASCII as ASCII.
    drop_blanks: blanks are no letters.
    """

    compose: bool = True
    fold_case: bool = False
    fold_width: bool = False
    drop_blanks: bool = False

    @property
    def name(self) -> str:
        """Protocol id, such as "ocr-1 nfc case-sensitive"."""
        words = [PROTOCOL, "nfc" if self.compose else "as-is", "case-folded" if self.fold_case else "case-sensitive"]
        words += ["width-folded"] * self.fold_width + ["without-blanks"] * self.drop_blanks
        return " ".join(words)

    def text(self, text: str) -> str:
        """A text as the metrics see it."""
        text = unicodedata.normalize("NFC", text) if self.compose else text
        text = m.fold_width(text) if self.fold_width else text
        text = text.lower() if self.fold_case else text
        return "".join(text.split()) if self.drop_blanks else text

    def page(self, page: TextPage) -> TextPage:
        """A page with prepared texts."""
        return replace(page, regions=tuple(replace(r, text=self.text(r.text)) for r in page.regions))


def pair_pages(
    gold: Mapping[str, TextPage], told: Mapping[str, TextPage], missing: bool = False
) -> list[tuple[TextPage, TextPage]]:
    """(gold, told) by id. `missing` True: a page that was not told counts as one on which nothing was read.

    `InputError` when told pages have no gold, or gold pages were not told and that is not allowed.
    """
    if extra := sorted(told.keys() - gold.keys()):
        raise InputError(
            f"{len(extra)} told pages have no gold page, such as {extra[0]!r}; gold has {sorted(gold)[0]!r}"
        )
    absent = sorted(gold.keys() - told.keys())
    if absent and not missing:
        raise InputError(
            f"{len(absent)} of {len(gold)} gold pages were not told, such as {absent[0]!r}; allow missing pages to count "
            "them as pages on which nothing was read"
        )
    return [(page, told.get(id_, TextPage(id_, ()))) for id_, page in sorted(gold.items())]


# --- one page ------------------------------------------------------------------------------------------------------


def page_parts(gold: TextPage, told: TextPage) -> dict[str, Parts]:
    """(numerator, denominator) of every metric of `RATES` on one page.

    Regions without text are left out, and don't-care regions of the gold with what was told inside them.
    """
    known = [(r.text, r) for r in gold.regions if r.text.strip() and not r.ignored]
    read = [(r.text, r) for r in _cared(gold, told) if r.text.strip()]
    predicted, reference = " ".join(t for t, _ in read), " ".join(t for t, _ in known)
    words, gold_words = predicted.split(), reference.split()
    letters, gold_letters = Counter("".join(words)), Counter("".join(gold_words))
    pairs = _matched(known, read)
    boxed = [pair for pair in pairs if pair[2] >= m.IOU_MATCH]
    return {
        "cer": m.character_errors(predicted, reference),
        "jamo_cer": m.character_errors(predicted, reference, unit="jamo"),
        "cer_no_spaces": m.character_errors(predicted, reference, spaces=False),
        "word_f1": (2 * m.text_matches(words, gold_words), len(words) + len(gold_words)),
        "word_box_f1": (2 * len(boxed), len(read) + len(known)),
        "character_f1": (2 * (letters & gold_letters).total(), letters.total() + gold_letters.total()),
        "reading_order": order_parts([t for _, t, _ in sorted(pairs)]),
    }


def _cared(gold: TextPage, told: TextPage) -> list[Region]:
    """Told regions but those whose enclosing box lies to more than half in that of a don't-care region."""
    ignored = [region.corners for region in gold.regions if region.ignored]
    if not ignored:
        return list(told.regions)
    return [r for r in told.regions if not any(_inside(r.corners, other) > 0.5 for other in ignored)]


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _area(a: Sequence[float]) -> float:
    return (a[2] - a[0]) * (a[3] - a[1])


def _inside(a: Sequence[float], b: Sequence[float]) -> float:
    return _overlap(a, b) / _area(a) if _area(a) else 0.0


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    union = _area(a) + _area(b) - _overlap(a, b)
    return _overlap(a, b) / union if union else float(tuple(a) == tuple(b))


def _matched(known: Sequence[tuple[str, Region]], read: Sequence[tuple[str, Region]]) -> list[tuple[int, int, float]]:
    """(gold index, told index, IoU) of words with equal text, one-to-one, those that overlap most first.

    Among words of equal text that overlap equally (or not at all) the n-th told belongs to the n-th gold one.
    """
    by_text: dict[str, tuple[list[int], list[int]]] = {}
    for side, words in enumerate((known, read)):
        for index, (text, _) in enumerate(words):
            by_text.setdefault(text, ([], []))[side].append(index)
    pairs = []
    for golds, tolds in by_text.values():
        if not golds or not tolds:
            continue
        options = sorted(
            ((-_iou(known[g][1].corners, read[t][1].corners), abs(i - j), i, g, t)
             for i, g in enumerate(golds) for j, t in enumerate(tolds))
        )  # fmt: skip
        used_g: set[int] = set()
        used_t: set[int] = set()
        for overlap, _, _, g, t in options:
            if g not in used_g and t not in used_t:
                used_g.add(g)
                used_t.add(t)
                pairs.append((g, t, -overlap))
    return pairs


def order_parts(ranks: Sequence[int]) -> Parts:
    """(pairs in rising order, pairs) of different numbers: 1 for reading order kept, 0 for reversed (Kendall's tau + 1) / 2."""
    array = np.asarray(ranks)
    rising = sum(int((array[k + 1 :] > array[k]).sum()) for k in range(len(array)))
    return rising, len(array) * (len(array) - 1) // 2


# --- a set ---------------------------------------------------------------------------------------------------------


def score(
    pairs: Sequence[tuple[TextPage, TextPage]],
    settings: Settings | None = None,
    with_cleval: bool = False,
) -> dict[str, Any]:
    """Everything on a set of (gold, told) pages: {"protocol", "pages", "rates", "popeval", "cleval"?, "without_text"}.

    A rate is {"value", "low", "high", "n"} (n pages that had something to count; no interval for a single one) and None
    where nothing was to count.
    """
    if not pairs:
        raise InputError("there is no page to score")
    settings = settings or Settings()
    pairs = [(settings.page(gold), settings.page(told)) for gold, told in pairs]
    parts = [page_parts(gold, told) for gold, told in pairs]
    letters = [popeval.score_page(gold.regions, told.regions) for gold, told in pairs]
    result: dict[str, Any] = {
        "protocol": settings.name,
        "pages": len(pairs),
        "rates": {name: _rate(name, [page[name] for page in parts]) for name in RATES},
        "popeval": _popeval(letters),
        "without_text": {"gold": _textless(g for g, _ in pairs), "told": _textless(t for _, t in pairs)},
    }
    if with_cleval:
        result["cleval"] = cleval(pairs)
        result["cleval_no_granularity"] = cleval(pairs, recall_granularity=0.0)
    return result


def _textless(pages: Iterable[TextPage]) -> int:
    return sum(not region.text.strip() for page in pages for region in page.regions)


def _rate(name: str, parts: Sequence[Parts]) -> dict[str, float | None] | None:
    below, n = sum(part[1] for part in parts), sum(part[1] > 0 for part in parts)
    if not below:
        return None
    value = sum(part[0] for part in parts) / below
    return {"value": value, **_interval(value, parts, n, name not in LOWER_IS_BETTER), "n": n}


def _interval(value: float, parts: Sequence[Parts], n: int, share: bool) -> dict[str, float | None]:
    """Bootstrap over pages; Wilson where a share is the same on all pages; None for a single page, which says nothing."""
    if n < 2:
        return {"low": None, "high": None}
    low, high = wilson(value * n, n) if share and value in (0.0, 1.0) else bootstrap_ratio(list(parts))
    return {"low": low, "high": high}


def _popeval(letters: Sequence[popeval.Letters]) -> dict[str, float | None]:
    whole = popeval.total(letters)
    # H = 2 removed / (told + gold), so its interval is that of a ratio of sums over pages.
    parts = [(2 * page.removed, page.told + page.gold) for page in letters]
    n = sum(part[1] > 0 for part in parts)
    return {
        "precision": whole.precision, "recall": whole.recall, "h": whole.h, **_interval(whole.h, parts, n, True),
        "n": n, "removed": whole.removed, "told": whole.told, "gold": whole.gold,
    }  # fmt: skip


def cleval(
    pairs: Sequence[tuple[TextPage, TextPage]],
    recall_granularity: float = 1.0,
    precision_granularity: float = 1.0,
    case_sensitive: bool = True,
) -> dict[str, float]:
    """CLEval by its authors' package: det_r, det_p, det_h, e2e_r, e2e_p, e2e_h, num_splitted, num_merged, ...

    Regions must have four corners. Even gold against itself is not exactly 1 (several words on one place). With
    `recall_granularity` 0 boxes that are finer than the gold ones cost nothing.
    """
    try:
        from cleval import CLEvalMetric
    except ImportError as error:
        raise InputError(
            f"CLEval could not be loaded ({error}); install the extra: pip install 'varco-vision-open[cleval]'"
        ) from error
    metric = CLEvalMetric(
        case_sensitive=case_sensitive,
        recall_gran_penalty=recall_granularity,
        precision_gran_penalty=precision_granularity,
    )
    for gold, told in pairs:
        metric.update(
            quads(told), quads(gold), [r.text for r in told.regions], [r.text for r in gold.regions],
            [r.ignored for r in gold.regions],
        )  # fmt: skip
    found = metric.compute()
    return {name: float(value) for name, value in found.items() if name != "scale_wise"}


def quads(page: TextPage) -> np.ndarray:
    """The regions as float64 [N, 8] in whole pixels, as CLEval's command reads them from files.

    In float32, which its Python interface names, character centres on an edge fall to the other side.
    """
    for region in page.regions:
        if len(region.polygon) != 8:
            raise InputError(
                f"a region of the page {page.id!r} has {len(region.polygon) // 2} corners; CLEval needs four"
            )
    return np.array([[int(v) for v in r.polygon] for r in page.regions], dtype=np.float64).reshape(-1, 8)
