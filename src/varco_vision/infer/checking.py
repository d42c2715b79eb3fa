"""Boxes that the model checks itself: does it call what is in the box by the name that it gave?

Small models know where every thing is and what it is called before they learn to find one by its name: asked for one of
several they write the exact box of another. What stands in a box they do name, and told to describe the whole picture they
put each name to its own box. So a box is asked back; where another name comes, the thing's box in the description of the
whole picture is taken. One short question more for a box that holds, a description more for one that does not.

A single box of a single phrase is checked, nothing else: several boxes, or none, stay as they were answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from varco_vision.geometry import Box
from varco_vision.infer.answer import Answer, Grounded
from varco_vision.markup import Object, write

Check = Literal["held", "moved", "doubtful"]
WHAT = {"ko": "이것은 무엇인가요?", "en": "What is this object?"}
DESCRIBE = {"ko": "<gro>\n이 그림을 설명해 주세요.", "en": "<gro>\nDescribe the picture."}
MOST = 12  # boxes of a description that are asked back
_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)
_POLITE = re.compile(r"(?:입니다|이에요|예요|이다)?[.!]?$")

Refer = Callable[[str, Box], Answer]
Ask = Callable[[str], Answer]


def language(text: str) -> str:
    """ "ko" for text with Hangul, else "en"."""
    return "ko" if re.search("[가-힣]", text) else "en"


def name_of(text: str) -> str:
    """A name without article, copula and full stop, in lower case."""
    return _POLITE.sub("", _ARTICLE.sub("", text.strip())).casefold().strip()


def checkable(answer: Answer) -> bool:
    """One phrase with one box, and the answer came to its end."""
    return len(answer.objects) == 1 and len(answer.objects[0].boxes) == 1 and not answer.truncated and not answer.words


def checked(answer: Answer, refer: Refer, ask: Ask, digits: int) -> Answer:
    """The answer with `check` set, its box moved where the model contradicts itself and can say where the thing is.

    refer: asks a question about a box of the picture. ask: asks a question with <gro>. "held": the box's name is the
    phrase; "moved": it is not, and exactly one other box of the description is told by the phrase, or called by it when
    asked back; "doubtful": it is not, and nothing settles where it is. Answers that are not `checkable` come back as they are.
    """
    if not checkable(answer):
        return answer
    (thing,) = answer.objects
    lang = language(thing.phrase)
    wanted = name_of(thing.phrase)

    def is_it(box: Box) -> bool:
        return name_of(refer(WHAT[lang], box).text) == wanted

    if is_it(thing.boxes[0]):
        return replace(answer, check="held")
    told = [o for o in ask(DESCRIBE[lang]).objects if len(o.boxes) == 1 and o.boxes[0] != thing.boxes[0]]
    found = [o for o in told if name_of(o.phrase) == wanted]
    if len(found) != 1:
        found = [o for o in (found or told)[:MOST] if is_it(o.boxes[0])]
    return _moved(answer, thing, found[0], digits) if len(found) == 1 else replace(answer, check="doubtful")


def _moved(answer: Answer, thing: Grounded, to: Grounded, digits: int) -> Answer:
    """The answer with the other box; `token_ids` and log-probabilities stay those of what was first written."""
    before, after = (write([Object(thing.phrase, (o.boxes[0],))], digits) for o in (thing, to))
    objects = [Grounded(thing.phrase, list(to.boxes), list(to.confidences))]
    raw = answer.raw.replace(before, after) if before in answer.raw else after
    return replace(answer, raw=raw, objects=objects, check="moved")
