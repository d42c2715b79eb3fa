"""What a picture gives: drafts of questions, and everything that is on it in words.

A draft's `kind` says what it asks (`abilities.KINDS` places it in the sets). Wrong answers stand in the order of use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from varco_vision.synth.korean import fill


@dataclass(frozen=True)
class Draft:
    """One question on a picture: the right answer, wrong ones (the likeliest mistakes first), and a sentence that says the
    right answer in full, with the reason where there is one (for open questions)."""

    kind: str
    question: str
    right: str
    wrong: tuple[str, ...]
    sentence: str = ""


@dataclass
class Picture:
    """A picture with its drafts. caption: all that is on it. facts: the same in single sentences.

    source: name of the `synth` source. look: "digital", "handwritten", or what else tells pictures of a source apart.
    """

    image: Image.Image
    source: str
    look: str
    index: int
    drafts: list[Draft] = field(default_factory=list)
    caption: str = ""
    short: str = ""
    facts: tuple[str, ...] = ()

    def add(
        self, kind: str, template: str, right: str, wrong: Sequence[str], sentence: str = "", /, **values: str
    ) -> None:
        """Write a draft; `template` and `sentence` are filled with `values` (and {right}) and fitting particles."""
        told = fill(sentence, right=right, **values) if sentence else ""
        others = tuple(dict.fromkeys(text for text in wrong if text != right))
        self.drafts.append(Draft(kind, fill(template, **values), right, others, told))
