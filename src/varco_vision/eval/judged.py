"""Open questions: what the judge is shown, and what its reviews add up to. The judge itself: `varco_vision.eval.judge`.

LLaVA-W and K-LLaVA-W: relative score, 100 x mean of the model / mean of the reference, in the official order; a second
figure with both orders where it is asked for. KOFFVQA: mean of 0 to 10 by the set's criteria, times 10. Failed reviews are
left out of means and counted, except in the number of the protocol lmms-0.7.3, which is theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from varco_vision.eval import aggregate, judge
from varco_vision.eval.benchmarks import BENCHMARKS
from varco_vision.eval.cache import Record
from varco_vision.eval.pipeline import counters
from varco_vision.eval.protocols import Rules
from varco_vision.eval.statistics import bootstrap_mean, bootstrap_ratio

Row = Mapping[str, Any]
Messages = list[dict[str, str]]

KOFFVQA = """사진에 대한 질문과 그에 대한 답변을 채점 기준에 따라 0점에서 10점까지 채점해 주세요. 사진은 볼 수 없으므로 채점 기준만을 근거로 삼으세요.

[질문]
{question}

[답변]
{answer}

[채점 기준]
{criteria}

기준의 각 항목을 충족했는지 차례로 판단하세요. 한 항목을 일부만 충족하면 그 항목의 점수는 없습니다. 뜻이 같은 다른 표현은 맞은 것으로 봅니다. 다만 사진 속 글자를 그대로 읽어야 하는 질문에서는 글자가 정확히 같아야 합니다.
마지막 줄에 "최종 점수: 10점 만점에 X점"이라고 쓰세요."""


def messages(task: str, row: Row, answer: str, protocol: str, swapped: bool = False) -> Messages:
    """The request to the judge for one answer."""
    benchmark = BENCHMARKS[task]
    if benchmark.judge == "koffvqa":
        text = KOFFVQA.format(question=row["question"], answer=answer, criteria=row["answer"])
        return [{"role": "user", "content": text}]
    shown = "lmms-0.7.3" if protocol == "strict" else protocol
    return judge.llava_w_messages(
        benchmark.lang, row["question"], row["answer"], answer, row["caption"], shown, swapped
    )


def requests(
    told: Mapping[str, Any], rows: Sequence[Row], rules: Rules, records: Mapping[str, Record], swap: bool = False
) -> list[Messages]:
    """Every request that judging a task needs, once; with `swap` in both orders, where a set has two."""
    assert rules.judge is not None
    orders = (False, True) if swap and BENCHMARKS[told["task"]].judge != "koffvqa" else (False,)
    said = [(row, rules.cut(records[row["key"]]["answer"])) for row in rows]
    return [messages(told["task"], row, answer, rules.judge, other) for row, answer in said for other in orders]


def score(
    told: Mapping[str, Any],
    rows: Sequence[Row],
    rules: Rules,
    records: Mapping[str, Record],
    by: judge.Judge | None,
    swap: bool = False,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Scores of an open task. Without a judge there are answers and no score."""
    base = {
        "counters": counters(rows, records),
        "n_rows": len(rows),
        "n_questions": len(rows),
        "tables": {},
        "readers": {},
    }
    if by is None:
        return {**base, "score": None, "marks": {}}
    answers = [rules.cut(records[row["key"]]["answer"]) for row in rows]
    if BENCHMARKS[told["task"]].judge == "koffvqa":
        return {**base, **_koffvqa(told, rows, answers, by, progress)}
    return {**base, **_relative(told, rows, rules, answers, by, swap, progress)}


def _koffvqa(
    told: Mapping[str, Any],
    rows: Sequence[Row],
    answers: Sequence[str],
    by: judge.Judge,
    progress: Callable[[int], None] | None,
) -> dict[str, Any]:
    scores: list[int | None] = []
    for row, answer in zip(rows, answers, strict=True):
        asked = messages(told["task"], row, answer, "strict")
        scores.append(by.review_until(asked, lambda raw, answer=answer: judge.koffvqa_score(raw, answer))[0])
        if progress is not None:
            progress(len(scores))
    read = [s for s in scores if s is not None]
    return {
        "score": {**_mean(read), "aggregation": "judge", "failed": len(scores) - len(read)} if read else None,
        "tables": {"category": _means(rows, scores)},
        "marks": {row["index"]: {"score": s} for row, s in zip(rows, scores, strict=True)},
    }


def _mean(scores: Sequence[float]) -> aggregate.Cell:
    low, high = bootstrap_mean([s / 10 for s in scores])
    return aggregate.cell(math.fsum(scores) / len(scores) / 10, (low, high), len(scores))


def _means(rows: Sequence[Row], scores: Sequence[float | None]) -> dict[str, aggregate.Cell]:
    groups: dict[str, list[float]] = {}
    for row, score_ in zip(rows, scores, strict=True):
        if score_ is not None:
            groups.setdefault(row["category"] or "(none)", []).append(score_)
    return {name: _mean(found) for name, found in sorted(groups.items())}


def _relative(
    told: Mapping[str, Any],
    rows: Sequence[Row],
    rules: Rules,
    answers: Sequence[str],
    by: judge.Judge,
    swap: bool,
    progress: Callable[[int], None] | None,
) -> dict[str, Any]:
    """The relative score; the official protocols take the first reply as it is, ours asks again until one can be read."""
    assert rules.judge is not None
    reading = "strict" if rules.judge == "strict" else "lmms-0.7.3"

    def pair(row: Row, answer: str, swapped: bool) -> judge.Pair | None:
        asked = messages(told["task"], row, answer, rules.judge or "strict", swapped)
        if reading == "strict":
            return by.review_until(asked, lambda raw: judge.parse_pair(raw, "strict"))[0]
        return judge.parse_pair(by.review(asked).raw, reading)

    single: list[judge.Pair | None] = []
    other: list[judge.Pair | None] = []
    for row, answer in zip(rows, answers, strict=True):
        single.append(pair(row, answer, False))
        if swap:
            other.append(pair(row, answer, True))
        if progress is not None:
            progress(len(single))
    whole = judge.relative_score(single, reading)
    by_category: dict[str, list[judge.Pair | None]] = {}
    for row, one in zip(rows, single, strict=True):
        by_category.setdefault(row["category"] or "(none)", []).append(one)
    found: dict[str, Any] = {
        "score": _relative_cell(whole, single),
        "tables": {"category": {n: c for n, pairs in sorted(by_category.items()) if (c := _relative_cell(judge.relative_score(pairs, reading), pairs))}},
        "marks": {row["index"]: {"score": one[1] if one else None, "reference": one[0] if one else None} for row, one in zip(rows, single, strict=True)},
    }  # fmt: skip
    if swap:
        both = judge.both_orders(single, other)
        found["both_orders"] = {**both, "scores": asdict(both["scores"])}
    return found


def _relative_cell(scores: judge.PairScores, pairs: Sequence[judge.Pair | None]) -> dict[str, Any] | None:
    """A relative score as a share (0.85 for 85), with its interval by a bootstrap over questions."""
    if scores.relative is None:
        return None
    read = [(model, reference) for reference, model in (pair for pair in pairs if pair is not None)]
    interval = bootstrap_ratio(read) if read else (scores.relative / 100, scores.relative / 100)
    told = {"aggregation": "judge", "failed": scores.failed, "model": scores.model, "reference": scores.reference}
    return {**aggregate.cell(scores.relative / 100, interval, scores.n), **told}
