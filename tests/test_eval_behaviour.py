"""`eval behaviour` on files: numbers by hand, what each row may leave out, faults."""

from __future__ import annotations

import json

import pytest

from varco_vision.cli.main import main

ANSWERS = {
    "1": "강아지와 고양이가 있습니다.",
    "2": "A dog and a fire hydrant.",
    "3": "네, 있습니다.",
    "4": "아니요.",
    "5": "사과가 있고 " * 12,
    "6": "네",
}
KNOWN = [
    {"id": "1", "lang": "ko", "things": ["dog"]},
    {"id": "2", "lang": "ko", "things": ["dog", "hydrant"]},
    {"id": "3", "present": True},
    {"id": "4", "present": False},
    {"id": "5", "lang": "ko"},
    {"id": "6", "present": False},
]
NAMES = "dog: [dog, 강아지]\ncat: [cat, 고양이]\nhydrant: [fire hydrant, 소화전]\n"


@pytest.fixture
def files(tmp_path):
    told, gold, names = tmp_path / "told.jsonl", tmp_path / "gold.jsonl", tmp_path / "names.yaml"
    told.write_text("\n".join(json.dumps({"id": k, "answer": v}) for k, v in ANSWERS.items()), encoding="utf-8")
    gold.write_text("\n".join(map(json.dumps, KNOWN)), encoding="utf-8")
    names.write_text(NAMES, encoding="utf-8")
    return told, gold, names


@pytest.fixture
def call(capsys):
    def call(*words):
        with pytest.raises(SystemExit) as stopped:
            main(["eval", "behaviour", *map(str, words)])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return call


def test_numbers_by_hand(files, call, tmp_path):
    told, gold, names = files
    code, out, err = call("--told", told, "--gold", gold, "--names", names, "--json", "--out", tmp_path / "all.json")
    assert code == 0, err
    found = json.loads(out)
    assert found == json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    values = {name: (round(cell["value"], 4), cell["n"]) for name, cell in found.items()}
    assert values == {
        "loops": (0.1667, 6), "language_ko": (0.6667, 3), "without_letters": (0.0, 3),
        "named_but_absent": (0.25, 4), "answers_with_absent": (0.5, 2), "named_of_present": (1.0, 3),
        "accuracy": (0.6667, 3), "yes": (0.6667, 3), "yes_on_absent": (0.5, 2),
    }  # fmt: skip
    assert all(cell["low"] is None or cell["low"] <= cell["value"] <= cell["high"] for cell in found.values())
    table = call("--told", told, "--gold", gold, "--names", names)[1]
    assert "CHAIRi" in table and "0.250" in table


def test_answers_alone_are_enough_for_loops(files, call):
    code, out, _ = call("--told", files[0], "--json")
    assert code == 0 and list(json.loads(out)) == ["loops"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"id": "1"}], 'needs "id" and some of'),
        ([{"id": "1", "things": "dog"}], "a list of names is needed"),
        ([{"id": "1", "present": "yes"}], "true or false is needed"),
        ([{"id": "1", "lang": "ko"}] * 2, "repeats the id"),
        ([{"id": "1", "lang": "ko"}], "questions that the gold file lacks"),
        ([*KNOWN, {"id": "9", "lang": "ko"}], "lacks 1 of 7 answers"),
        ([{**KNOWN[0], "lang": "fr"}, *KNOWN[1:]], "'ko' or 'en'"),
        ([{**KNOWN[0], "things": ["bird"]}, *KNOWN[1:]], "the vocabulary lacks"),
    ],
)
def test_faults(files, call, rows, said):
    told, gold, names = files
    gold.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    code, _, err = call("--told", told, "--gold", gold, "--names", names)
    assert code == 2 and said in err


@pytest.mark.parametrize("text", ["dog: 강아지", "- dog", "dog: []", "dog: [1]", "a: [x]\nb: [x]", "a: ["])
def test_names_that_are_none(files, call, text):
    told, gold, names = files
    names.write_text(text, encoding="utf-8")
    code, _, err = call("--told", told, "--gold", gold, "--names", names)
    assert code == 2 and err.startswith("error: ")


def test_things_need_names(files, call):
    told, gold, _ = files
    assert "need both" in call("--told", told, "--gold", gold)[2]
