"""Our own protocol: samples with known gold are answered greedily and scored; every number is made of stored records.

A record is one question, its answer and what that answer earned, as plain JSON. `Scores` is nothing but records, so
scores of parts of a set are joined by joining their records. The rules:

- grounding with one gold box: the first box of the answer counts, IoU >= the threshold; no box is IoU 0 and wrong.
- grounding with no gold box: right when the answer has none. With several, or for a description: F1 of boxes.
- OCR: a word is read when a word with the same text and IoU >= 0.5 was told, each told word used once.
- description: equal to the gold sentence; in Korean a list may have a comma where another has 과 or 와 (`korean.with_commas`).
- multiple choice: `extract.choice` reads the letter, with the options' texts where the sample has them in `meta`.
- what cannot be read from an answer is wrong, and counted; nothing is guessed, nothing is left out.

own-2 differs from own-1 in multiple choice alone: own-1 had a reader of its own that took the first letter declared, also
where another one follows, and knew no texts of options. own-3 differs from own-2 in Korean descriptions alone: a list with
commas ("원, 별, 고리") and one with a particle ("원, 별과 고리") are the same. own-4 differed from own-3 in the questions alone:
those on pictures were put in words that training did not use. own-5 puts them in sentences that training does not use, of words
that it does (templates of the split "eval", `synth.phrasing`).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from varco_vision import markup, pictures
from varco_vision.data.sample import LANGUAGES, TASKS, Sample, text_of
from varco_vision.errors import InputError
from varco_vision.eval import extract
from varco_vision.eval import metrics as m
from varco_vision.eval.statistics import Interval, Kept, bootstrap_mean, bootstrap_ratio, compare, wilson
from varco_vision.geometry import Box
from varco_vision.synth.korean import with_commas

if TYPE_CHECKING:
    from varco_vision.infer.answer import Answer
    from varco_vision.infer.engine import Request

Record = dict[str, Any]
PROTOCOL = "own-5"  # changes whenever a rule or a limit below does: numbers of different protocols do not compare
# The longest answer of each task in tokens; an answer that is cut off is scored as it stands, and counted.
LIMITS = {
    "grounding": 256,
    "referring": 48,
    "counting": 24,
    "ocr": 768,
    "vqa": 64,
    "choice": 16,
    "caption": 256,
    "text": 48,
    "chat": 96,
}
COUNTERS = {
    "no_box": "no box where one was asked for",
    "several_boxes": "several boxes where one was asked for (the first counts)",
    "unparsed": "no number, letter, yes or no, or word where one was asked for",
    "truncated": "cut off at the longest answer allowed",
    "loop": "stopped because they repeated themselves",
    "repaired": "with markup that had to be repaired",
}


@dataclass(frozen=True)
class Metric:
    """kind: "share" of right answers, "mean" of a number per sample, "ratio" of two sums (micro)."""

    kind: str
    meaning: str
    higher_is_better: bool = True


METRICS = {
    "grounding_acc50": Metric("share", "one thing asked for: first box, IoU >= 0.5"),
    "grounding_acc30": Metric("share", "the same at IoU >= 0.3"),
    "grounding_acc70": Metric("share", "the same at IoU >= 0.7"),
    "grounding_miou": Metric("mean", "mean IoU of the first box, no box = 0"),
    "grounding_absent_acc": Metric("share", "things that are not there: no box was given"),
    "grounding_all_f1": Metric("mean", "several things asked for: F1 of boxes one-to-one at IoU >= 0.5"),
    "referring_acc": Metric("share", "the thing in a box is named; article, copula, case, stop forgiven"),
    "referring_strict_acc": Metric("share", "the same, character for character"),
    "referring_read_acc": Metric("share", "the word in a box is read, character for character"),
    "counting_acc": Metric("share", "first number of the answer (3, 세 개, three)"),
    "vqa_acc": Metric("share", "short answer equal; article, copula, case, stop forgiven"),
    "presence_acc": Metric("share", "yes-or-no questions among them"),
    "choice_acc": Metric("share", "declared letter of a multiple choice"),
    "ocr_word_acc": Metric("ratio", "words with equal text and IoU >= 0.5 / gold words"),
    "ocr_word_f1": Metric("ratio", "2 x such words / (told + gold words): extra words cost"),
    "ocr_word_text_acc": Metric("ratio", "words with equal text, wherever / gold words"),
    "ocr_box_recall": Metric("ratio", "words whose place was found (IoU >= 0.5), whatever was read / gold words"),
    "ocr_cer": Metric("ratio", "character errors / gold characters (syllables)", False),
    "ocr_jamo_cer": Metric("ratio", "the same counted in jamo", False),
    "ocr_cer_no_spaces": Metric("ratio", "character errors without spaces", False),
    "reading_acc": Metric("share", "text of the whole picture as one answer, equal but for spacing and stop"),
    "reading_cer": Metric("ratio", "its character errors / gold characters (syllables)", False),
    "caption_acc": Metric("share", "description equal to the gold sentence but for spacing and stop"),
    "caption_cer": Metric("ratio", "its character errors / gold characters (syllables)", False),
    "text_acc": Metric("share", "questions without a picture: answer equal; case, spacing, stop forgiven"),
    "language_acc": Metric("share", "answered in the script of the gold answer (answers with letters)"),
}


class Answers(Protocol):
    """What scoring needs of an engine, see `varco_vision.infer.engine.Engine`."""

    def generate(self, requests: Sequence[Any], progress: Callable[[int], None] | None = None) -> Sequence[Any]: ...


@dataclass(frozen=True)
class Gold:
    """What a right answer is. objects and words carry boxes; text is readable, raw has its markup."""

    raw: str
    text: str
    objects: tuple[m.Word, ...] = ()
    words: tuple[m.Word, ...] = ()
    answers: tuple[str, ...] = ()


# --- asking --------------------------------------------------------------------------------------------------------


def prompt_of(sample: Sample) -> tuple[dict[str, Any], ...]:
    """The turns before the answer. `InputError` where there is nothing to compare with."""
    if sample.chosen is not None:
        return sample.messages
    if len(sample.messages) < 2 or sample.messages[-1]["role"] != "assistant":
        raise InputError(f"sample {sample.id!r} has no assistant turn at its end, so its answer could not be scored")
    return sample.messages[:-1]


def requests_for(
    samples: Iterable[Sample], limits: Mapping[str, int] | None = None, single_view: bool = False
) -> list[Request]:
    """One request a sample: its turns without the last answer, and the longest answer of its task (`LIMITS`)."""
    from varco_vision.infer.engine import Request

    allowed = {**LIMITS, **(limits or {})}
    requests = []
    for sample in samples:
        if sample.task not in TASKS or sample.lang not in LANGUAGES:
            raise InputError(
                f"sample {sample.id!r} has task {sample.task!r} and language {sample.lang!r}; "
                f"tasks are {', '.join(TASKS)}, languages {', '.join(LANGUAGES)}"
            )
        turns = [dict(turn) for turn in prompt_of(sample)]
        requests.append(Request(turns, list(sample.images), allowed[sample.task], single_view))
    return requests


def gold_of(sample: Sample) -> Gold:
    """Gold from `meta` where it has it (exact boxes), else from the markup of the answer."""
    turn = sample.chosen[-1] if sample.chosen is not None else sample.messages[-1]
    items = markup.parse(text_of(turn))
    objects = tuple((i.phrase, box) for i in items if isinstance(i, markup.Object) for box in i.boxes)
    words = tuple((i.text, box) for i in items if isinstance(i, markup.Chars) for box in i.boxes[:1])
    if "boxes" in sample.meta and sample.task == "grounding":
        boxes = [_box(numbers, sample) for numbers in sample.meta["boxes"]]
        names = [name for name, _ in objects] if len(objects) == len(boxes) else [""] * len(boxes)
        objects = tuple(zip(names, boxes, strict=True))
    if "words" in sample.meta:
        words = tuple((word["text"], _box(word["box"], sample)) for word in sample.meta["words"])
    text = markup.plain(items).strip()
    return Gold(m.nfc(text_of(turn)), text, objects, words, tuple(sample.meta.get("answers", ())) or (text,))


def _box(numbers: Any, sample: Sample) -> Box:
    if not isinstance(numbers, Sequence) or len(numbers) != 4:
        raise InputError(f"sample {sample.id!r} has the gold box {numbers!r}; four numbers x1, y1, x2, y2 are needed")
    return Box(*numbers)


def set_digest(samples: Iterable[Sample]) -> str:
    """16 hexadecimal digits that stand for a set: its questions, gold and the pixels of its pictures, in any order."""
    whole = 0
    for sample in samples:
        words = [sample.id, sample.task, sample.lang, repr(sample.messages), repr(sample.chosen), repr(sample.meta)]
        one = hashlib.blake2b("\x1f".join(words).encode(), digest_size=8)
        for image in sample.images:
            picture = pictures.load(image)
            one.update(repr(picture.size).encode() + picture.tobytes())
        whole = (whole + int.from_bytes(one.digest(), "big")) % 2**64
    return f"{whole:016x}"


# --- one answer ----------------------------------------------------------------------------------------------------


@dataclass
class _Mark:
    """What an answer earned: numbers by metric, (numerator, denominator) by metric, flags."""

    values: dict[str, float] = field(default_factory=dict)
    parts: dict[str, tuple[float, float]] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    correct: bool | None = None
    iou: float | None = None

    def right(self, metric: str, correct: bool) -> None:
        self.values[metric] = float(correct)
        self.correct = correct

    def parsed(self, found: Any) -> Any:
        if found is None:
            self.flags.append("unparsed")
        return found


def record(sample: Sample, answer: Answer) -> Record:
    """Score one answer; the result is plain JSON with everything needed to look at it again."""
    gold = gold_of(sample)
    mark = _Mark()
    _SCORERS[sample.task](sample, gold, answer, mark)
    _language(sample, gold, answer, mark)
    mark.flags += [answer.stop_reason] if answer.stop_reason == "loop" else ["truncated"] if answer.truncated else []
    mark.flags += ["repaired"] if answer.repairs else []
    told = [box for thing in answer.objects for box in thing.boxes] + [word.box for word in answer.words]
    return {
        "id": sample.id,
        "task": sample.task,
        "kind": sample.meta.get("kind", ""),
        "lang": sample.lang,
        "question": text_of(prompt_of(sample)[-1]),
        "gold": gold.raw,
        "answer": answer.raw,
        "correct": mark.correct,
        "iou": mark.iou,
        "boxes": [_numbers(box) for box in told],
        "gold_boxes": [_numbers(box) for _, box in (gold.words if sample.task == "ocr" else gold.objects)],
        "values": mark.values,
        "parts": {name: list(pair) for name, pair in mark.parts.items()},
        "flags": mark.flags,
    }


def _numbers(box: Box) -> list[float]:
    return [box.x1, box.y1, box.x2, box.y2]


def _grounding(sample: Sample, gold: Gold, answer: Answer, mark: _Mark) -> None:
    told = [(thing.phrase, box) for thing in answer.objects for box in thing.boxes]
    boxes = [box for _, box in told]
    if gold.objects and not boxes:
        mark.flags.append("no_box")
    if sample.meta.get("kind") == "description" or len(gold.objects) > 1:
        found = _found(told, gold.objects)
        score = m.f1(found, len(told), len(gold.objects))
        mark.values["grounding_all_f1"] = score
        mark.correct = score == 1.0
    elif not gold.objects:
        mark.right("grounding_absent_acc", not boxes)
    else:
        mark.flags += ["several_boxes"] if len(boxes) > 1 else []
        mark.iou = m.first_box_iou(boxes, gold.objects[0][1])
        mark.values["grounding_miou"] = mark.iou
        for percent in (30, 70, 50):  # 50 last: it decides what counts as right
            mark.right(f"grounding_acc{percent}", mark.iou >= percent / 100)


def _found(told: Sequence[m.Word], gold: Sequence[m.Word]) -> int:
    """Gold boxes that were found; where they have different names, under their name (as `metrics.phrase` has it)."""
    if len({m.phrase(name) for name, _ in gold}) < 2:
        return m.box_matches([box for _, box in told], [box for _, box in gold])
    named = [(m.phrase(name), box) for name, box in told]
    return m.named_box_matches(named, [(m.phrase(name), box) for name, box in gold])


def _referring(sample: Sample, gold: Gold, answer: Answer, mark: _Mark) -> None:
    asked = markup.parse(text_of(prompt_of(sample)[-1]))
    if any(isinstance(item, markup.Chars) for item in asked):
        mark.right("referring_read_acc", m.same_strict(answer.text, gold.text))
        return
    mark.right("referring_strict_acc", m.same_strict(answer.text, gold.text))
    mark.right("referring_acc", any(m.same_phrase(answer.text, known) for known in gold.answers))


def _counting(sample: Sample, gold: Gold, answer: Answer, mark: _Mark) -> None:
    count = sample.meta.get("count", m.count_in(gold.text))
    if count is None:
        raise InputError(f"sample {sample.id!r} is a counting question whose gold {gold.text!r} has no number")
    mark.right("counting_acc", mark.parsed(m.count_in(answer.text)) == count)


def _ocr(sample: Sample, gold: Gold, answer: Answer, mark: _Mark) -> None:
    if not gold.words:
        _reading(sample, gold, answer, mark)
        return
    items = markup.parse(answer.raw)
    # words that lack a box count for the text; an answer without any marked word is taken as plain words
    texts = [i.text for i in items if isinstance(i, markup.Chars)] or answer.text.split()
    told, n = [(word.text, word.box) for word in answer.words], len(gold.words)
    found = m.named_box_matches(told, gold.words)
    mark.parts["ocr_word_acc"] = (found, n)
    mark.parts["ocr_word_f1"] = (2 * found, n + max(len(told), len(texts)))
    mark.parts["ocr_word_text_acc"] = (m.text_matches(texts, [text for text, _ in gold.words]), n)
    mark.parts["ocr_box_recall"] = (m.box_matches([box for _, box in told], [box for _, box in gold.words]), n)
    predicted, known = " ".join(texts), " ".join(text for text, _ in gold.words)
    mark.parts["ocr_cer"] = m.character_errors(predicted, known)
    mark.parts["ocr_jamo_cer"] = m.character_errors(predicted, known, unit="jamo")
    mark.parts["ocr_cer_no_spaces"] = m.character_errors(predicted, known, spaces=False)
    mark.correct = found == n and len(texts) == n
    mark.flags += [] if told else ["no_box"]
    mark.parsed(texts or None)


def _reading(sample: Sample, gold: Gold, answer: Answer, mark: _Mark) -> None:
    mark.right("reading_acc", m.units(answer.text).rstrip(" .") == m.units(gold.text).rstrip(" ."))
    mark.parts["reading_cer"] = m.character_errors(answer.text, gold.text)


def _vqa(sample: Sample, gold: Gold, answer: Answer, mark: _Mark) -> None:
    if gold.words:
        _reading(sample, gold, answer, mark)
        return
    meaning = {"네": True, "예": True, "yes": True, "아니요": False, "아니오": False, "no": False}.get(
        m.answer(gold.text)
    )
    if meaning is None:
        mark.right("vqa_acc", any(m.same_phrase(answer.text, known) for known in gold.answers))
    else:
        mark.right("presence_acc", mark.parsed(m.yes_no(answer.text)) is meaning)
        mark.right("vqa_acc", bool(mark.correct))


def _choice(sample: Sample, gold: Gold, answer: Answer, mark: _Mark) -> None:
    options = tuple(sample.meta.get("options", ()))
    letters = "ABCDEFGHIJ"[: max(4, len(options))]
    known = extract.choice(gold.text, letters)
    if known is None:
        raise InputError(
            f"sample {sample.id!r} is a multiple choice whose gold {gold.text!r} is no letter of {letters}"
        )
    mark.right("choice_acc", mark.parsed(extract.choice(answer.text, letters, options or None)) == known)


def _caption(sample: Sample, gold: Gold, answer: Answer, mark: _Mark) -> None:
    told, known = with_commas(answer.text), with_commas(gold.text)
    mark.right("caption_acc", m.same_answer(told, known))
    mark.parts["caption_cer"] = m.character_errors(told, known)


def _text(sample: Sample, gold: Gold, answer: Answer, mark: _Mark) -> None:
    if sample.images:
        _vqa(sample, gold, answer, mark)
    else:
        mark.right("text_acc", any(m.same_answer(answer.text, known) for known in gold.answers))


_SCORERS: dict[str, Callable[[Sample, Gold, Any, _Mark], None]] = {
    "grounding": _grounding,
    "referring": _referring,
    "counting": _counting,
    "ocr": _ocr,
    "vqa": _vqa,
    "choice": _choice,
    "caption": _caption,
    "text": _text,
    "chat": _text,
}


def _language(sample: Sample, gold: Gold, answer: Answer, mark: _Mark) -> None:
    """Whether the reply is in the gold's script. What is transcribed or a letter says nothing about it."""
    letters_given = {"referring_read_acc", "reading_acc", "choice_acc", "ocr_cer"}
    transcribed = letters_given & (mark.values.keys() | mark.parts.keys())
    wanted, told = m.language(gold.text), m.language(answer.text)
    if not transcribed and wanted is not None and (told is not None or not answer.text):
        mark.values["language_acc"] = float(told == wanted)


# --- many answers --------------------------------------------------------------------------------------------------


@dataclass
class Scores:
    """Records and what they add up to. The order of the records does not matter."""

    records: list[Record] = field(default_factory=list)

    def _of(self, metric: str, lang: str) -> list[Any]:
        place = "parts" if METRICS[metric].kind == "ratio" else "values"
        return [r[place][metric] for r in self.records if r["lang"] == lang and metric in r[place]]

    def value(self, metric: str, lang: str) -> tuple[float, int, Interval] | None:
        """(value, number of samples, 95 % interval), None where nothing was asked.

        Shares: Wilson. Means and ratios: percentile bootstrap over samples.
        """
        found = self._of(metric, lang)
        kind = METRICS[metric].kind
        if not found or (kind == "ratio" and not sum(part[1] for part in found)):
            return None
        n = len(found)
        if kind == "share":
            return math.fsum(found) / n, n, wilson(math.fsum(found), n)
        if kind == "mean":
            return math.fsum(found) / n, n, bootstrap_mean(found)
        share = math.fsum(part[0] for part in found) / math.fsum(part[1] for part in found)
        interval = bootstrap_ratio([tuple(part) for part in found])
        if share in (0.0, 1.0) and METRICS[metric].higher_is_better:
            interval = wilson(share * n, n)  # all samples agree, where a bootstrap would claim certainty
        return share, n, interval

    def counters(self) -> dict[str, int]:
        """How many answers had each of `COUNTERS`, zeros included."""
        flags = Counter(flag for r in self.records for flag in r["flags"])
        return {name: flags[name] for name in COUNTERS}

    def to_dict(self) -> dict[str, Any]:
        """{metric: {lang: {"value", "n", "low", "high"}}, ..., "counters": {...}, "n": answers}; what was not asked is absent."""
        table: dict[str, Any] = {}
        for metric in METRICS:
            for lang in LANGUAGES:
                if (found := self.value(metric, lang)) is not None:
                    value, n, (low, high) = found
                    table.setdefault(metric, {})[lang] = {"value": value, "n": n, "low": low, "high": high}
        return {**table, "counters": self.counters(), "n": len(self.records)}


def merge(parts: Iterable[Scores]) -> Scores:
    """The scores of a set from those of its parts."""
    return Scores([r for part in parts for r in part.records])


def score(
    engine: Answers,
    samples: Sequence[Sample],
    progress: Callable[[int], None] | None = None,
    limits: Mapping[str, int] | None = None,
    single_view: bool = False,
) -> Scores:
    """Ask the engine every sample and score the answers. `progress` is told how many are answered."""
    answers = engine.generate(requests_for(samples, limits, single_view), progress=progress)
    assert len(answers) == len(samples)
    return Scores([record(sample, answer) for sample, answer in zip(samples, answers, strict=True)])


def kept(before: Scores, after: Scores, metric: str = "text_acc") -> dict[str, Kept]:
    """Per language: how right answers of `before` fared in `after`, on the questions that both answered."""
    found = {}
    for lang in LANGUAGES:
        first, second = ({(r["id"], r["question"]): r["values"][metric] == 1.0 for r in s.records
                          if r["lang"] == lang and metric in r["values"]} for s in (before, after))  # fmt: skip
        common = sorted(first.keys() & second.keys())
        if common:
            found[lang] = compare([first[key] for key in common], [second[key] for key in common])
    return found
