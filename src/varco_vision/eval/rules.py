"""How other harnesses read a letter out of an answer, rebuilt so that their numbers can be compared. No torch.

Each rule gives the letter it reads, None when it reads none; the originals' retries with a language model and random
letters are left out, so an answer that a rule cannot read is wrong. Quirks are kept on purpose: the rules exist to show
what a number elsewhere means, `extract.choice` exists to be right. Tests hold them against recorded outputs of
lmms-eval 0.7.3 and VLMEvalKit (2026-08).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from varco_vision.eval import extract

Options = Mapping[str, str]
Reader = Callable[[str, Options], str | None]
UNKNOWN = "\0"  # text of an option whose text is not known: found in no answer

# What lmms-eval 0.7.3 takes for the announcement of an answer, in lower case.
LMMS_PHRASES = tuple(
    [f"{lead}{noun} is" for noun in ("answer", "option", "choice") for lead in ("the ", "the correct ", "correct ")]
    + ["answer is", "choice is", "the best answer is", "best answer is", "the best option is", "best option is"]
    + ["i choose", "i select", "i pick", "my answer is", "my choice is"]
    + ["옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは"]
)
# "the option is" is no phrase there, the other combinations are.
LMMS_PHRASES = tuple(phrase for phrase in LMMS_PHRASES if phrase != "the option is")
# Answers that VLMEvalKit counts as refusals before anything else.
VLM_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
API_FAILURE = "Failed to obtain answer via API"


def first_character(answer: str, options: Options) -> str | None:
    """lmms-eval on SEED-Bench, K-SEED and K-DTCBench: the first character, whatever follows it."""
    letter = answer.strip()[:1].upper()
    return letter if letter in options else None


def mmstar_2025(announcements: tuple[str, ...]) -> Reader:
    """lmms-eval on MMStar until April 2026: the answer begins with "B", "(B" or an announcement and "B" (case ignored)."""

    def read(answer: str, options: Options) -> str | None:
        text = answer.lower().replace("\n", " ").strip()
        for letter in options:
            if text.startswith(tuple(f"{lead}{letter.lower()}" for lead in ("", "(", *announcements))):
                return letter
        return None

    return read


def lmms_letter(answer: str, options: Options) -> str | None:
    """lmms-eval 0.7.3's general rule (MMStar, K-MMStar): the best-placed form, and of one form the last place.

    After an announcement every letter found later counts, and the last one wins: "정답은 B입니다. D는 틀렸다" reads D.
    """
    text = answer.strip()
    if not text:
        return None
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    text = f" {text} "
    inner = text.strip()
    lower = text.lower()
    if inner[:1] in options and not inner[1:2].isalpha():
        return inner[0]
    if inner[-1:] in options and not inner[-2:-1].isalpha():
        return inner[-1]
    announced: dict[str, int] = {}
    for phrase in LMMS_PHRASES:
        if (place := lower.find(phrase)) >= 0:
            for letter in options:
                announced[letter] = max(announced.get(letter, -1), text.find(letter, place + len(phrase)))
    forms = [announced] + [
        {letter: text.rfind(form.format(letter)) for letter in options}
        for form in ("({})", "{}.", "{}:", "{})", "{} ", "{}")
    ]
    for places in forms:
        if places and max(places.values()) >= 0:
            return max(places, key=lambda letter: places[letter])
    return None


_TOKEN_FORMS = tuple(
    [f"{{}}{end}" for end in (".", ",", ":", ")", ").")]
    + ["({})", "({})."]
    + [f":{{}}{end}" for end in ("", ",", ".", ")", ").")]
)


def lmms_mmbench(answer: str, options: Options) -> str | None:
    """lmms-eval 0.7.3 on MMBench before it asks a language model: one token that is a letter A to E, else one option text.

    Texts are looked for as substrings of the lower-cased answer, so the Korean option "다" is inside "입니다".
    """
    if API_FAILURE not in answer:
        tokens = answer.split()
        bare = [letter for letter in "ABCDE" if letter in tokens]
        if len(bare) == 1 and not ("A" in tokens and len(tokens) > 3):
            return bare[0]
        for form in _TOKEN_FORMS:
            hits = [letter for letter in "ABCDE" if form.format(letter) in tokens]
            if len(hits) == 1:
                return hits[0]
    return _text_inside(answer, {letter: text for letter, text in options.items() if letter in "ABCD"})


def lmms_mmbench_static(answer: str, options: Options) -> str | None:
    """lmms-eval 0.7.3's MMBench without a language model: `lmms_mmbench`, then `lmms_letter`."""
    return lmms_mmbench(answer, options) or lmms_letter(
        answer, {letter: options[letter] for letter in sorted(options) if letter in "ABCD"}
    )


def vlmevalkit(answer: str, options: Options) -> str | None:
    """VLMEvalKit under `exact_matching`: one letter among the last four tokens, "answer is X", else one option text."""
    read = _vlm_letter(answer, options)
    if read is None and len(answer.lower()) <= 2 * sum(len(str(text)) for text in options.values()):
        read = _text_inside(answer, options)
    return read if read in options else None


def _vlm_letter(answer: str, options: Options) -> str | None:
    """The letter; "Z" where the original books a refusal; None where it goes on to the texts."""
    if API_FAILURE in answer:
        return None
    if any(refusal in answer for refusal in VLM_REFUSALS):
        return "Z"
    tokens = answer.translate({ord(mark): " " for mark in ".()[],:;!*#{}"}).split()
    hits = [letter for letter in options if letter in tokens]
    if len(hits) == 1 and tokens.index(hits[0]) > len(tokens) - 5:
        return hits[0]
    if not hits and "Z" in tokens:
        return "Z"
    declared = re.search(r"answer\s+is\s+\**([a-d])", answer, re.I)
    return declared[1].upper() if declared and declared[1].upper() in options else None


def _text_inside(answer: str, options: Options) -> str | None:
    lower = answer.lower()
    hits = [letter for letter, text in options.items() if str(text).lower() in lower]
    return hits[0] if len(hits) == 1 else None


def strict(answer: str, options: Options) -> str | None:
    """Ours: `extract.choice` with the options' texts."""
    if not options:
        return None
    return extract.choice(answer, "".join(options), {k: v for k, v in options.items() if v not in ("", UNKNOWN)})


@dataclass(frozen=True)
class Scorer:
    """A rule under the name that tables and protocols use. `version` is part of ids and of cache keys."""

    name: str
    read: Reader
    meaning: str
    version: str = "1"

    @property
    def id(self) -> str:
        return f"{self.name}-{self.version}"


SCORERS = {
    scorer.name: scorer
    for scorer in (
        Scorer("strict", strict, "ours: declared letters in Korean and English, None where ambiguous", extract.VERSION),
        Scorer("first-letter", first_character, "lmms-eval on SEED, K-SEED, K-DTCBench: the first character"),
        Scorer("lmms", lmms_letter, "lmms-eval 0.7.3's general rule (MMStar, K-MMStar)"),
        Scorer("lmms-mmbench", lmms_mmbench_static, "lmms-eval 0.7.3 on MMBench without a language model"),
        Scorer("mmstar-2025", mmstar_2025(("옵션 ", "정답은 ")), "lmms-eval on K-MMStar until April 2026"),
        Scorer("mmstar-2025-en", mmstar_2025(("option ", "the answer is ")), "lmms-eval on MMStar until April 2026"),
        Scorer("vlmevalkit", vlmevalkit, "VLMEvalKit, exact_matching"),
    )
}

# The columns of every table: one generation, read by all of them.
COMPARED = ("strict", "first-letter", "lmms", "lmms-mmbench", "mmstar-2025", "vlmevalkit")
