"""The source of text without pictures: facts out of locale data and exercises."""

from __future__ import annotations

import random
from collections.abc import Mapping

from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.synth import exercises, facts
from varco_vision.synth.asking import LETTERS, assistant, check_share, user
from varco_vision.synth.facts import Question
from varco_vision.synth.phrasing import LANGUAGES, Speaker
from varco_vision.synth.rng import SPLITS, stream
from varco_vision.synth.templates import images as t_images

KINDS = (*facts.KINDS, *exercises.MAKERS)


class Knowledge:
    """Facts and exercises, Korean and English taking turns.

    questions: samples in a group. kinds: {kind of `KINDS`: share} (None: all alike). wordings: only the first N ways to
    ask. choices: share of multiple choice. turns: share of conversations of two to three questions.
    """

    name = "knowledge"
    option_names: tuple[str, ...] = ()

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 8,
        kinds: Mapping[str, float] | None = None,
        wordings: int | None = None,
        choices: float = 0.1,
        turns: float = 0.1,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; the splits are {' and '.join(SPLITS)}")
        if questions < 1:
            raise InputError(f"questions={questions} asked for; at least one is needed")
        for kind in kinds or ():
            if kind not in KINDS:
                raise InputError(f"unknown kind of text {kind!r}; known are {', '.join(KINDS)}")
        check_share("choices", choices)
        check_share("turns", turns)
        self.seed, self.split, self.questions = seed, split, questions
        self.kinds = dict(kinds) if kinds else dict.fromkeys(KINDS, 1.0)
        if not any(share > 0 for share in self.kinds.values()):
            raise InputError("no kind of text has a positive share; give at least one")
        self.choices, self.turns = choices, turns
        self.speaker = Speaker(split, wordings)

    def question(self, rng: random.Random, lang: str) -> Question:
        """One fact or exercise."""
        kind = rng.choices(list(self.kinds), list(self.kinds.values()))[0]

        def say(wording, lang: str, **values: object) -> str:
            return self.speaker.say(rng, wording, lang, **values)

        if kind in exercises.MAKERS:
            return exercises.MAKERS[kind](rng, say, lang, self.split)
        return facts.makers()[kind](rng, say, lang)

    def _choice(self, rng: random.Random, q: Question, lang: str) -> Question:
        options = [q.answer, *list(dict.fromkeys(w for w in q.wrong if w != q.answer))[:3]]
        rng.shuffle(options)
        lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
        text = "\n".join([q.text, *lines, self.speaker.say(rng, t_images.CHOOSE, lang)])
        letter = LETTERS[options.index(q.answer)]
        return Question(q.kind, q.key, text, letter, tuple(x for x in LETTERS[: len(options)] if x != letter))

    def group(self, index: int) -> list[Sample]:
        """`questions` samples, a function of (options, seed, split, index) only."""
        rng = stream(self.name, self.split, self.seed, index)
        samples: list[Sample] = []
        for k in range(self.questions):
            lang = LANGUAGES[(index * self.questions + k) % 2]
            asked = [self.question(rng, lang)]
            task = "chat" if asked[0].kind == "dialogue" else "text"
            if task == "text" and rng.random() < self.turns:
                asked = [*(self.question(rng, lang) for _ in range(rng.randint(1, 2))), asked[0]]
            elif (
                task == "text"
                and len(set(asked[0].wrong)) > 1
                and len(asked[0].answer) < 50
                and "\n" not in asked[0].answer
                and rng.random() < self.choices
            ):
                asked, task = [self._choice(rng, asked[0], lang)], "choice"
            last = asked[-1]
            messages = [turn for q in asked for turn in (user(q.text, 0), assistant(q.answer))]
            meta = {"kind": last.kind, "key": last.key, "answer": last.answer}
            samples.append(
                Sample(f"{self.name}-{self.split}-{self.seed}-{index}-{k}", (), task, lang, tuple(messages), meta=meta)
            )
        return samples
