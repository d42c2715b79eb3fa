"""Readers, scores and prompts against the original programs on generated cases; their outputs are recorded.

Zero differences are allowed. The cases: tests/choice_cases.py; the recording: scripts/record_choice_goldens.py.
"""

from __future__ import annotations

import choice_cases as cases
import pytest

from varco_vision.eval import aggregate
from varco_vision.eval.benchmarks import BENCHMARKS, items_of
from varco_vision.eval.prompts import BUILDERS
from varco_vision.eval.protocols import PROTOCOLS
from varco_vision.eval.rules import SCORERS, lmms_mmbench


@pytest.fixture(scope="module")
def recorded():
    return cases.load()


@pytest.fixture(scope="module")
def answers():
    return cases.answers()


@pytest.fixture(scope="module")
def groups():
    return cases.groups()


def differences(ours, theirs, made):
    """The first cases on which two outputs differ."""
    assert len(ours) == len(theirs) == len(made)
    return [(a, b, case) for a, b, case in zip(ours, theirs, made, strict=True) if a != b][:5]


def test_the_recording_is_of_the_programs_it_names(recorded):
    assert recorded["of"]["lmms-eval"] == "0.7.3" and len(recorded["of"]["VLMEvalKit"]) == 40
    assert cases.PATH.stat().st_size < 1_000_000


@pytest.mark.parametrize("name", ["lmms", "lmms-mmbench", "vlmevalkit"])
def test_letters(recorded, answers, name):
    theirs = recorded["vlmevalkit"]["letters"] if name == "vlmevalkit" else recorded["readers"][name]
    # "lmms-mmbench": what is read before the general rule; an E is read there although no option has it
    read = {"lmms-mmbench": lambda told, given: lmms_mmbench(told.strip(), given)}.get(name, SCORERS[name].read)
    ours = [read(told, given) or "-" for told, given, _ in answers]
    assert not differences(ours, theirs, answers)
    assert 0.2 < theirs.count("-") / len(theirs) < 0.8 or name == "lmms"


@pytest.mark.parametrize(
    ("recording", "rule"),
    [
        ("k_seed", "first-letter"),
        ("k_dtcbench", "first-letter"),
        ("mmstar-2025", "mmstar-2025"),
        ("mmstar-2025-en", "mmstar-2025-en"),
    ],
)
def test_credit(recorded, answers, rule, recording):
    ours = [str(int(SCORERS[rule].read(told, given) == right)) for told, given, right in answers]
    assert not differences(ours, recorded["readers"][recording], answers)
    assert recorded["readers"][recording].count("1") > len(answers) / 50


def test_credit_on_mmstar(recorded, answers):
    """There the letters are always A to D, however many options a row has."""
    four = dict.fromkeys("ABCD", "")
    ours = [str(int(SCORERS["lmms"].read(told, four) == right)) for told, _, right in answers]
    assert not differences(ours, recorded["readers"]["k_mmstar"], answers)


def marks_of(groups, rule):
    found = []
    for rows in groups:
        for row in rows:
            given = {letter: row[letter] for letter in "ABCD" if row[letter] is not None}
            letter = SCORERS[rule].read(
                row["prediction"].strip() if rule == "lmms-mmbench" else row["prediction"], given
            )
            index, group = str(row["index"]), str(rows[0]["index"])
            found.append(
                aggregate.Mark(index, group, letter, letter == row["answer"], row["category"], row["l2-category"])
            )
    return found


@pytest.mark.parametrize("rule", ["lmms-mmbench", "vlmevalkit"])
def test_circular_hits(recorded, groups, rule):
    theirs = recorded["circular"]["hits"] if rule == "lmms-mmbench" else recorded["vlmevalkit"]["hits"]
    ours = [str(int(whole)) for _, whole in aggregate.questions(marks_of(groups, rule))]
    assert not differences(ours, theirs, groups)
    assert sum(len(rows) for rows in groups) >= 10_000 and 0.1 < theirs.count("1") / len(theirs) < 0.9


def test_circular_averages(recorded, groups):
    marks = marks_of(groups, "lmms-mmbench")
    assert aggregate.circular(marks)["value"] == pytest.approx(recorded["circular"]["overall"], abs=1e-12)
    tables = aggregate.tables(marks, "circular")
    for ours, theirs in (("category", "category"), ("subcategory", "l2")):
        found = {name: cell["value"] for name, cell in tables[ours].items()}
        assert found == pytest.approx(recorded["circular"][theirs], abs=1e-12)


def test_macro_average(recorded, answers):
    four = dict.fromkeys("ABCD", "")
    marks = []
    for number, (told, _, right) in enumerate(answers):
        letter = SCORERS["lmms"].read(told, four)
        marks.append(
            aggregate.Mark(str(number), str(number), letter, letter == right, subcategory=f"l{number * number % 18}")
        )
    assert aggregate.macro(marks)["value"] == pytest.approx(recorded["macro"], abs=1e-12)


PIXEL = {"bytes": b"not decoded here", "path": None}


@pytest.mark.parametrize("task", ["k_mmbench", "mmbench", "k_seed", "seed", "k_dtcbench", "k_mmstar"])
def test_prompts(recorded, task):
    """From the table's rows to the bytes that are sent, for 10,000 rows a set."""
    rows = cases.documents()
    drop = {"k_mmstar": [*"ABCD", "choice_a", "choice_b", "choice_c", "choice_d"], "k_mmbench": [], "mmbench": []}.get(
        task, [*"ABCD"]
    )
    for row in rows:
        row["question"] = row["mmstar"] if task == "k_mmstar" else row["question"]
        row["image"] = PIXEL
        for name in drop:
            del row[name]
        if "A" in row and not any(row[letter] not in (None, "nan", "") for letter in "ABCD"):
            row["A"] = "x"
    items, _ = items_of(BENCHMARKS[task], rows, cases.PATH.parent)
    build = BUILDERS[PROTOCOLS["lmms-0.7.3"].of(task).prompt]
    ours = [cases.digest(build(item))[:4] for item in items]
    theirs = recorded["prompts"][task]
    assert not differences(ours, [theirs[k : k + 4] for k in range(0, len(theirs), 4)], items)
