"""Multiple choice in text alone: one option is right, its letter is the answer, and every letter is as likely."""

from __future__ import annotations

from collections import Counter

import pytest

from varco_vision.data.sample import text_of, validate
from varco_vision.errors import InputError
from varco_vision.eval.extract import choice
from varco_vision.synth.letters import Letters
from varco_vision.synth.sources import make_source
from varco_vision.synth.text_world import facts


def made(groups: int = 80, **options):
    source = make_source("letters", 3, **options)
    return [sample for index in range(groups) for sample in source.group(index)]


def options_of(sample) -> dict[str, str]:
    """The options by letter, read out of the question in either of its two forms."""
    lines = text_of(sample.messages[0]).split("\n")
    told = [line for line in lines if line.startswith("Options: ")]
    found = (
        told[0].removeprefix("Options: ").split(", ")
        if told
        else [x for x in lines if x[:1] in "ABCD" and x[1:3] == ". "]
    )
    return {part[0]: part[3:] for part in found}


def test_named_options_are_answered_by_their_letter():
    samples = made(fact_share=0.0)
    for sample in samples:
        validate(sample)
        answer, options = text_of(sample.messages[1]), options_of(sample)
        named = text_of(sample.messages[0]).split("'")[1]
        assert list(options) == list("ABCD") and len(set(options.values())) == 4
        assert options[answer] == named and choice(answer) == answer
        assert not sample.images and sample.task == "choice"
    letters = Counter(text_of(s.messages[1]) for s in samples)
    assert min(letters.values()) > 0.2 * len(samples), letters
    assert {s.meta["kind"] for s in samples} == {"name", "colour", "shape", "corner", "count", "word"}


def test_facts_are_right_and_the_others_wrong():
    known = {(k, lang): fact for fact in facts() for lang, qs in fact.questions.items() for k in qs}
    for sample in made(fact_share=1.0):
        question = text_of(sample.messages[0]).split("\n")[0]
        right = known[question, sample.lang].answers[sample.lang]
        assert [l for l, o in options_of(sample).items() if o == right] == [text_of(sample.messages[1])]


def test_same_seed_same_samples():
    one, two = Letters(1), Letters(1)
    assert [one.group(5), one.group(2)] == [two.group(5), two.group(2)]
    assert Letters(2).group(5) != one.group(5)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"colours": 3}, "4 to"), ({"questions": 0}, "at least one"), ({"fact_share": 1.5}, "between 0 and 1"),
     ({"split": "test"}, "unknown split"), ({"facts": 3}, "unknown option")],
)  # fmt: skip
def test_wrong_options_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        make_source("letters", 1, **options)
