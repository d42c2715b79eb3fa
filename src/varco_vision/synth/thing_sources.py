"""Sources of scenes of things: one picture, or two in one conversation."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from varco_vision.synth.asking import QA, Asked, Asks, Made, both
from varco_vision.synth.emoji_names import Thing, designs
from varco_vision.synth.emoji_scenes import ThingScene, ThingsConfig, thing_scene
from varco_vision.synth.templates import images as t_images
from varco_vision.synth.thing_questions import Book, truth_of
from varco_vision.synth.wild_source import settings

OPTIONS = tuple(f.name for f in fields(ThingsConfig) if f.name != "split")


class Things(Asked):
    """Scenes of things. Options: those of `Asked` and of `ThingsConfig`."""

    name = "things"
    families = {
        "grounding": 4.0, "referring": 4.0, "counting": 2.0, "presence": 1.5, "vqa": 4.0, "caption": 1.0,
        "description": 1.0, "absent": 1.0, "dialogue": 0.5,
    }  # fmt: skip
    option_names = OPTIONS

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 16,
        tasks: Mapping[str, float] | None = None,
        wordings: int | None = None,
        digits: int = 2,
        choices: float = 0.15,
        turns: float = 0.1,
        truth: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(seed, split, questions, tasks, wordings, digits, choices, turns, truth)
        self.config = ThingsConfig(split=split, **settings(ThingsConfig, options, OPTIONS))

    def scene(self, rng: random.Random) -> ThingScene:
        """A scene with at least one thing."""
        while True:
            scene = thing_scene(rng, self.config)
            if scene.things:
                return scene

    def missing(self, rng: random.Random, scenes: Sequence[ThingScene], count: int) -> list[Thing]:
        """Things that are in none of the scenes, of the split's own designs."""
        names = {p.thing.name(x) for s in scenes for p in s.things for x in ("ko", "en")}
        split = "train" if self.config.seen_designs else self.config.split
        free = [d.thing for d in designs(split) if d.thing.ko not in names and d.thing.en not in names]
        return rng.sample(free, min(count, len(free)))

    def make(self, rng: random.Random) -> Made:
        scene = self.scene(rng)
        book = Book(scene, rng, self.speaker, self.digits, self.missing(rng, [scene], 6))
        return Made((scene.image,), book.asks(), truth_of(scene))


class ThingPairs(Things):
    """Two scenes of things side by side in one conversation. Options: as `Things`."""

    name = "thing_pairs"
    families = {"which": 2.0, "more": 1.0, "total": 1.0, "common": 1.0}

    def make(self, rng: random.Random) -> Made:
        first, second = self.scene(rng), self.scene(rng)
        absent = self.missing(rng, [first, second], 4)
        scenes = (first, second)
        kinds = [{p.thing.key: p.thing for p in s.things} for s in scenes]
        asks: Asks = {"which": [], "more": [], "total": both(lambda lang: self._total(rng, lang, scenes)), "common": []}
        for k in (0, 1):
            for key, thing in kinds[k].items():
                if key not in kinds[1 - k]:
                    asks["which"] += both(lambda lang, k=k, thing=thing: self._which(rng, lang, k, thing))
        if len(first.things) != len(second.things):
            asks["more"] = both(lambda lang: self._more(rng, lang, scenes))
        shared = [thing for key, thing in kinds[0].items() if key in kinds[1]]
        if len(shared) == 1:
            others = [x for kind in kinds for key, x in kind.items() if key != shared[0].key] + absent
            asks["common"] = both(lambda lang: self._common(rng, lang, shared[0], others))
        return Made((first.image, second.image), asks, {"pictures": [truth_of(s) for s in scenes]})

    def _which(self, rng: random.Random, lang: str, k: int, thing: Thing) -> QA:
        answers = t_images.ORDINALS[lang]
        text = self.speaker.say(rng, t_images.WHICH_IMAGE, lang, name=thing.name(lang))
        return QA("vqa", "which_image", lang, text, answers[k], {"label": thing.en}, (answers[1 - k],))

    def _more(self, rng: random.Random, lang: str, scenes: Sequence[ThingScene]) -> QA:
        k = int(len(scenes[1].things) > len(scenes[0].things))
        answers = t_images.ORDINALS[lang]
        return QA(
            "vqa", "more_in", lang, self.speaker.say(rng, t_images.MORE_IN, lang), answers[k], {}, (answers[1 - k],)
        )

    def _total(self, rng: random.Random, lang: str, scenes: Sequence[ThingScene]) -> QA:
        n = sum(len(s.things) for s in scenes)
        unit = "개" if lang == "ko" else ""
        wrong = tuple(f"{x}{unit}" for x in (n - 1, n + 1, n + 2))
        return QA(
            "counting",
            "total_in",
            lang,
            self.speaker.say(rng, t_images.TOTAL_IN, lang),
            f"{n}{unit}",
            {"count": n},
            wrong,
        )

    def _common(self, rng: random.Random, lang: str, thing: Thing, others: Sequence[Thing]) -> QA:
        wrong = tuple(dict.fromkeys(x.name(lang) for x in others))
        return QA(
            "vqa",
            "common_to",
            lang,
            self.speaker.say(rng, t_images.COMMON_TO, lang),
            thing.name(lang),
            {"label": thing.en},
            wrong,
        )
