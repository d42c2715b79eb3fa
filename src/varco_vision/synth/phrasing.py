"""Ways to ask, written once as cores and spread over speech levels, frames and places, then split by template.

A core is one line. Marks in it are spread out (every combination becomes a template for `korean.fill`):

    Korean   <in>   nothing, "그림에서 ", "사진에서 ", "이 이미지에서 "      <at>   the same with 에
             <줘>   " 줘.", " 주세요.", " 줄래?" ...
             <있?>  "있나요?", "있어?", "있는지 알려 줘." ...             <뭐?>  "무엇인가요?", "뭐야?" ...
             <=?>   the copula as a question behind a word or a slot: "몇 개<=?>", "몇 {unit}<=?>"
             <돼?>  "되나요?", "돼?" ...                               <여?>  "보이나요?", "보여?" ... behind a stem in 이
    English  <in>   nothing, " in the picture", " in this image", " in the photo"
             "? X"  an indirect question in frames: "Tell me X.", "Can you tell me X?" ...
             "! x"  a request in frames: "X.", "Please x.", "Can you x?" ...
             "~ x"  a request in short frames only: "X.", "Please x.", "X, please." ...
    both     <a|b>  one of these words, which may be nothing: "<무슨|어떤> 색", "the text<| here>"

No template stands in both splits: evaluation asks in sentences that training has not seen. Their words it has seen, each in
another template of the same list: a language model that starts from nothing cannot know a word that it never met.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from varco_vision.errors import InputError
from varco_vision.synth.korean import fill
from varco_vision.synth.rng import SPLITS, stable_hash

LANGUAGES = ("ko", "en")
EVAL_TEMPLATES = 12  # percent, at least one of each list, never the first
TRAIN_TEMPLATES = 30  # that training keeps, where a list has more
_SLOT = re.compile(r"\{[^}]*\}")
_KO = {
    "in": ("", "그림에서 ", "사진에서 ", "이 이미지에서 "),
    "at": ("", "그림에 ", "사진에 ", "이 이미지에 "),
    "줘": (" 줘.", " 주세요.", " 줄래?", " 주시겠어요?", " 주십시오."),
    "있?": ("있나요?", "있어?", "있어요?", "있습니까?", "있는지 알려 줘.", "있는지 말해 주세요."),
    "뭐?": ("무엇인가요?", "뭐야?", "뭐예요?", "무엇입니까?", "뭔지 알려 줘.", "무엇인지 말해 주세요."),
    "돼?": ("되나요?", "돼?", "돼요?", "됩니까?", "되는지 알려 줘.", "되는지 말해 주세요."),
    "여?": ("이나요?", "여?", "여요?", "입니까?", "이는지 말해 줘.", "이는지 알려 주세요."),
}
_COPULA = {
    "vowel": ("인가요?", "야?", "예요?", "입니까?", "인지 알려 줘.", "인지 말해 주세요."),
    "consonant": ("인가요?", "이야?", "이에요?", "입니까?", "인지 알려 줘.", "인지 말해 주세요."),
    "slot": (
        "{%}인가요?",
        "{%|이야/야}?",
        "{%|이에요/예요}?",
        "{%}입니까?",
        "{%}인지 알려 줘.",
        "{%}인지 말해 주세요.",
    ),
}
_EN_IN = ("", " in the picture", " in this image", " in the photo")
_EN_ASK = (
    "Tell me {}.", "Can you tell me {}?", "Please tell me {}.", "Could you say {}?", "I would like to know {}.",
    "Do you know {}?", "Let me know {}.", "Could you tell me {}?",
)  # fmt: skip
_EN_DO = (
    "{}.",
    "Please {}.",
    "Can you {}?",
    "Could you {}?",
    "I need you to {}.",
    "Would you {}?",
    "I would like you to {}.",
    "Could you please {}?",
)
_EN_SHORT = ("{}.", "Please {}.", "{}, please.", "Can you {}?", "Could you {}?")
_EN_FRAMES = {"? ": _EN_ASK, "! ": _EN_DO, "~ ": _EN_SHORT}
_MARK = re.compile(r"<([^<>]+)>")


def _copula(core: str) -> list[str]:
    """All question forms of "word<=?>"; behind a slot the form follows the value's last sound."""
    before, after = core.split("<=?>", 1)
    if slot := re.search(r"\{(\w+)\}$", before):
        return [before[: slot.start()] + form.replace("%", slot.group(1)) + after for form in _COPULA["slot"]]
    final = (ord(before[-1]) - 0xAC00) % 28
    return [before + form + after for form in _COPULA["consonant" if final else "vowel"]]


def expand(core: str, lang: str) -> tuple[str, ...]:
    """Every template of a core, the plainest first."""
    if lang == "ko":
        forms = _copula(core) if "<=?>" in core else [core]
        return tuple(dict.fromkeys(t for form in forms for t in _spread(form, _KO)))
    frames, text = ("{}",), core
    if core[:2] in _EN_FRAMES:
        frames, text = _EN_FRAMES[core[:2]], core[2:]
    made = []
    for frame, body in itertools.product(frames, _spread(text, {"in": _EN_IN})):
        line = frame.replace("{}", body, 1)
        made.append(line[0].upper() + line[1:])
    return tuple(dict.fromkeys(made))


def _spread(core: str, choices: dict[str, tuple[str, ...]]) -> list[str]:
    parts = _MARK.split(core)

    def forms(mark: str) -> tuple[str, ...]:
        return tuple(mark.split("|")) if "|" in mark else choices.get(mark, (f"<{mark}>",))

    lists = [forms(part) if k % 2 else (part,) for k, part in enumerate(parts)]
    # the last mark runs fastest, so that speech levels of one core stand together
    return ["".join(combination) for combination in itertools.product(*lists)]


@dataclass(frozen=True)
class Wording:
    """A list of cores in each language. `of` gives the templates of a split, cores taking turns."""

    name: str
    ko: tuple[str, ...]
    en: tuple[str, ...]

    def cores(self, lang: str) -> tuple[str, ...]:
        return self.ko if lang == "ko" else self.en

    def of(self, split: str, lang: str) -> tuple[str, ...]:
        """All templates of a split; the first N of them are the N plainest."""
        return _templates(self, split, lang)

    def all(self, lang: str) -> tuple[str, ...]:
        return tuple(template for split in SPLITS for template in self.of(split, lang))


@lru_cache(maxsize=1024)
def _templates(wording: Wording, split: str, lang: str) -> tuple[str, ...]:
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; the splits are {' and '.join(SPLITS)}")
    held = _held(wording, lang)
    return tuple(template for template in _in_turns(wording, lang) if (template in held) == (split == "eval"))


def _in_turns(wording: Wording, lang: str) -> tuple[str, ...]:
    """Every template of a list, cores taking turns."""
    turns = itertools.zip_longest(*(expand(core, lang) for core in wording.cores(lang)))
    return tuple(dict.fromkeys(template for turn in turns for template in turn if template))


@lru_cache(maxsize=1024)
def _held(wording: Wording, lang: str) -> frozenset[str]:
    """The evaluation's templates: in the order of a stable hash, those whose every word training keeps, to the asked share."""
    plainest, *rest = _in_turns(wording, lang)
    uses = Counter(word for template in (plainest, *rest) for word in _words(template))
    room = max(1, min(round((len(rest) + 1) * EVAL_TEMPLATES / 100), len(rest) + 1 - TRAIN_TEMPLATES))
    held: list[str] = []
    for template in sorted(rest, key=lambda t: stable_hash("template", wording.name, lang, t)):
        if len(held) < room and all(uses[word] > 1 for word in _words(template)):
            held.append(template)
            uses.subtract(_words(template))
    assert held, f"{wording.name} in {lang}: every template has a word of its own, so none can be kept for evaluation"
    return frozenset(held)


def _words(template: str) -> frozenset[str]:
    """The words of a template without its slots, in small letters."""
    return frozenset(re.findall(r"\w+", _SLOT.sub(" ", template).lower()))


WORDINGS: dict[str, Wording] = {}


def wording(name: str, ko: str, en: str) -> Wording:
    """Define a list of cores, one a line; the name must be new."""
    assert name not in WORDINGS, name
    made = Wording(name, *(tuple(line.strip() for line in text.strip().splitlines()) for text in (ko, en)))
    WORDINGS[name] = made
    return made


@dataclass(frozen=True)
class Speaker:
    """Who asks: all wordings of the split, or with `wordings` = N the first N that training has, whatever the split.

    Who learns N ways to ask from nothing knows no words of others, so an evaluation that names N asks in those same ways.
    """

    split: str = "train"
    wordings: int | None = None

    def __post_init__(self) -> None:
        if self.wordings is not None and self.wordings < 1:
            raise InputError(f"wordings={self.wordings} asked for; at least one wording is needed")

    def say(self, rng: random.Random, wording: Wording, lang: str, **values: object) -> str:
        """A random wording of the split, filled in."""
        split = self.split if self.wordings is None else "train"
        return fill(rng.choice(wording.of(split, lang)[: self.wordings]), **values)
