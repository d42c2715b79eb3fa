"""Protocols: everything that decides a number besides the weights, under one name and one id.

A protocol says for each task which prompt is sent, how long an answer may be, where it is cut, which rule reads it, what
is averaged, and which judge is asked. `describe` adds what only a run knows (the set as found, resolution, judge) and
makes the id that is printed with every number; numbers with different ids do not compare.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from varco_vision.errors import InputError
from varco_vision.eval.benchmarks import BENCHMARKS, Benchmark, Loaded
from varco_vision.eval.rules import SCORERS

Aggregation = Literal["micro", "circular", "macro", "judge"]


@dataclass(frozen=True)
class Rules:
    """One task under one protocol. until: an answer is cut before the first of these."""

    prompt: str
    max_new_tokens: int
    scorer: str | None
    aggregation: Aggregation
    until: tuple[str, ...] = ()
    judge: str | None = None

    def cut(self, answer: str) -> str:
        """The answer up to the first of `until`."""
        places = [place for stop in self.until if (place := answer.find(stop)) >= 0]
        return answer[: min(places)] if places else answer


@dataclass(frozen=True)
class Protocol:
    """Rules by task. official_judge: the judge that published numbers of this protocol used."""

    name: str
    about: str
    rules: dict[str, Rules]
    official_judge: str | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)

    def of(self, task: str) -> Rules:
        if task not in self.rules:
            able = ", ".join(name for name, p in PROTOCOLS.items() if task in p.rules)
            raise InputError(f"the protocol {self.name} has no rules for {task}; these have: {able}")
        return self.rules[task]


_STOP = ("ASSISTANT:",)
_NO_GUESS = "answers that cannot be read are wrong; the originals ask a language model and then guess at random"


def _lmms() -> dict[str, Rules]:
    """max_new_tokens 1024 is declared for MMBench and is the default of the LLaVA classes for the others."""
    return {
        "k_mmbench": Rules("lmms-mmbench-ko", 1024, "lmms-mmbench", "circular", _STOP),
        "k_seed": Rules("lmms-seed-ko", 1024, "first-letter", "micro", _STOP),
        "k_mmstar": Rules("lmms-mmstar", 1024, "lmms", "macro", ("\n\n",)),
        "k_dtcbench": Rules("lmms-dtcbench", 1024, "first-letter", "micro", _STOP),
        "k_llava_w": Rules("question", 4096, None, "judge", _STOP, "lmms-0.7.3"),
        "mmbench": Rules("lmms-mmbench-en", 1024, "lmms-mmbench", "circular", _STOP),
        "seed": Rules("lmms-seed-en", 1024, "first-letter", "micro", _STOP),
        "mmstar": Rules("lmms-mmstar", 1024, "lmms", "macro", ("\n\n",)),
        "llava_w": Rules("question", 4096, None, "judge", _STOP, "lmms-0.7.3"),
    }


def _paper() -> dict[str, Rules]:
    return _lmms() | {
        "k_mmbench": Rules("lmms-mmbench-ko-2025-03", 1024, "lmms-mmbench", "circular", _STOP),
        "k_seed": Rules("lmms-seed-ko-2025-03", 1024, "first-letter", "micro", _STOP),
        "k_mmstar": Rules("lmms-mmstar-ko-2025-03", 1024, "mmstar-2025", "macro", ("\n\n",)),
        "k_dtcbench": Rules("lmms-dtcbench-2025-03", 1024, "first-letter", "micro", _STOP),
        "mmstar": Rules("lmms-mmstar", 1024, "mmstar-2025-en", "macro", ("\n\n",)),
    }


def _vlmevalkit() -> dict[str, Rules]:
    choice = {
        task: Rules("vlmevalkit-mcq", 2048, "vlmevalkit", "circular" if BENCHMARKS[task].circular else "micro")
        for task in ("k_mmbench", "k_seed", "k_mmstar", "k_dtcbench", "mmbench", "seed", "mmstar")
    }
    judged = {
        task: Rules("question", 2048, None, "judge", judge="vlmevalkit-2026") for task in ("k_llava_w", "llava_w")
    }
    return choice | judged


def _strict() -> dict[str, Rules]:
    found = {}
    for task, b in BENCHMARKS.items():
        if b.kind == "open":
            found[task] = Rules("question", 1024, None, "judge", judge="strict")
        else:
            prompt = "kreta-direct" if task == "kreta" else f"strict-{b.lang}"
            found[task] = Rules(prompt, 256, "strict", "circular" if b.circular else "micro")
    return found


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol(
            "strict",
            "ours: prompts in the language of the set, declared letters only, one resolution for all sets",
            _strict(),
        ),
        Protocol(
            "lmms-0.7.3",
            "lmms-eval 0.7.3 (2026): what most numbers of today were made with",
            _lmms(),
            "gpt-4o-2024-11-20",
            (_NO_GUESS, "MMStar and K-MMStar answers are cut at the first blank line, as declared"),
        ),
        Protocol(
            "paper-2024",
            "the first published harness of the VARCO-VISION 1.0 tables (March 2025): 직접 답하세요, old K-MMStar rule",
            _paper(),
            "gpt-4-0613",
            (_NO_GUESS, "the paper does not state its prompts; these are the authors' first published ones"),
        ),
        Protocol(
            "vlmevalkit-2026",
            "VLMEvalKit (2026-08) under exact_matching, with the prompt for models that bring none",
            _vlmevalkit(),
            "gpt-4o-2024-08-06",
            (_NO_GUESS,),
        ),
    )
}


def find(name: str) -> Protocol:
    """The protocol of a name."""
    if name not in PROTOCOLS:
        raise InputError(f"the protocol {name!r} is unknown; known are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


@dataclass(frozen=True)
class Settings:
    """What a run may choose. max_new_tokens None: as the protocol says."""

    max_new_tokens: int | None = None
    max_tiles: int | None = None
    single_view: bool = False


def limit(rules: Rules, settings: Settings) -> int:
    """The longest answer in tokens."""
    return settings.max_new_tokens or rules.max_new_tokens


def describe(
    protocol: Protocol, benchmark: Benchmark, loaded: Loaded, prompts: Sequence[str], settings: Settings, views: str
) -> dict[str, Any]:
    """The protocol of one number, with its id. views: how the model cuts pictures (`resolution`)."""
    rules = protocol.of(benchmark.task)
    told: dict[str, Any] = {
        "protocol": protocol.name,
        "task": benchmark.task,
        "set": loaded.digest,
        "prompt": rules.prompt,
        "prompt_digest": digest(list(prompts)),
        "decoding": "greedy",
        "max_new_tokens": limit(rules, settings),
        "until": list(rules.until),
        "scorer": SCORERS[rules.scorer].id if rules.scorer else None,
        "aggregation": rules.aggregation,
        "judge_protocol": rules.judge,
        "judge": None,
        "resolution": resolution(settings, views),
    }
    return _named(told)


def _named(told: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"{told['protocol']}/{told['task']}#{digest(told)}", **told}


def with_judge(told: Mapping[str, Any], judge: str | None) -> dict[str, Any]:
    """The protocol of a judged task once the judge is known: another judge, another id."""
    return _named({**{name: value for name, value in told.items() if name != "id"}, "judge": judge})


def resolution(settings: Settings, views: str) -> str:
    """How pictures are shown, the same for all sets of a run."""
    if settings.single_view:
        return f"{views}, one view"
    return views if settings.max_tiles is None else f"{views}, at most {settings.max_tiles} tiles"


def digest(value: Any) -> str:
    """12 hexadecimal digits that stand for a JSON value."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def line(told: Mapping[str, Any]) -> str:
    """The protocol on one line, for people."""
    judge = f" | judge {told['judge'] or 'none'} ({told['judge_protocol']})" if told["judge_protocol"] else ""
    scorer = f" | reads {told['scorer']}" if told["scorer"] else ""
    return (
        f"protocol {told['id']} | set {told['set']} | prompt {told['prompt']} {told['prompt_digest']} | greedy, at most "
        f"{told['max_new_tokens']} tokens{scorer} | {told['aggregation']}{judge} | {told['resolution']}"
    )
