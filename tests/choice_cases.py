"""Generated answers and rows for differential tests of readers, scores and prompts; the same ones on every machine.

`scripts/record_choice_goldens.py` shows them to the original programs and records what those say in
tests/data/choice_goldens.json.gz; `tests/test_choice_goldens.py` shows them to ours. Only outputs are stored, with a
digest of the inputs.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "data" / "choice_goldens.json.gz"
ANSWERS = 20_000  # answers for readers
GROUPS = 4_500  # questions with rotations: about 11,000 rows
DOCUMENTS = 10_000  # rows for prompts

LETTERS = list("ABCDabcdE") + ["Ａ", "Ｂ", "①", "②", "1", "2", "(A)", "(B)", "(c)", "Z"]
FORMS = [
    "{}", "{}.", "{})", "({})", "**{}**", "[{}]", "{}입니다.", "{}번", "정답은 {}입니다.", "정답: {}", "답은 {}", "답: {}", "옵션 {}",
    "정답은 {}", "보기 {}", "The answer is {}.", "the answer is {}", "Answer: {}", "The correct answer is **{}**.", "I choose {}",
    "Option {}", "option {}", "{}: {t}", "{}. {t}", "{}) {t}", "{t}", "{t} ({})", "정답은 {t}입니다.", "It shows {t}, so {}", "选{}",
    "答えは{}", "'{}'", "\"{}\"", "{}!", "Sorry, I can't help with images of people yet. {}", "Cannot determine the answer {}",
    "Failed to obtain answer via API {}", "my answer is {} because {t}", "#{}", "{{{}}}", "{}*", "a {t}", "A {t} is here",
    "알 수 없습니다. {}", "correct answer is   {}",
]  # fmt: skip
TAILS = [
    "", "", "", " ", "\n", "\n\n", ".", "?", " 왜냐하면 {} 때문입니다.", " 왜냐하면 D는 {} 때문입니다.", " {}는 틀렸습니다.", " A, C, D는 틀렸습니다.",
    " because {} is wrong", "\n{}", " {}", " 이 그림에는 고양이가 있습니다.", " and {}", " or {}", ", {}", " 😀", " ASSISTANT: {}", "\u3000{}", "\t{}",
]  # fmt: skip
HEADS = [
    "",
    "",
    "",
    "",
    " ",
    "\n",
    "그림을 보면 ",
    "생각해 보니 ",
    "Let me think. ",
    "A cat. ",
    "{} 아니면 ",
    "D. ",
    "\u200b",
    "!",
    ". ",
]
TEXTS = [
    "고양이", "개", "소", "다", "가", "나", "라", "nan", "a dog", "A cat", "3", "12", "서울", "비타민 C", "없음", "red circle", "Ｂ형",
    "매우 긴 선택지라서 답보다 훨씬 길 수도 있는 글입니다", "", "B", "İstanbul", "x", "소개", "입니다",
]  # fmt: skip


def _nfd(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFD", text)


def answer(rng: random.Random, texts: list[str]) -> str:
    """A free-form answer: often a letter in one of many forms, sometimes several, sometimes noise."""
    if rng.random() < 0.04:
        return rng.choice(
            ["", " ", "\n", ".", "...", "네", "yes", "ABCD", "CAT", "?", "'", "::", "답", "정답은", "the answer is"]
        )
    form = rng.choice(FORMS)
    body = form.replace("{t}", rng.choice(texts)).replace("{}", rng.choice(LETTERS))
    head, tail = (rng.choice(parts).replace("{}", rng.choice(LETTERS)) for parts in (HEADS, TAILS))
    told = head + body + tail
    if rng.random() < 0.15:
        told += rng.choice([" ", "\n", ". "]) + rng.choice(FORMS).replace("{t}", rng.choice(texts)).replace(
            "{}", rng.choice(LETTERS)
        )
    if rng.random() < 0.05:
        told = _nfd(told)
    return told


def options(rng: random.Random) -> dict[str, str]:
    """Two to four options, A and on; texts may repeat or be inside one another."""
    return dict(zip("ABCD"[: rng.choice([4, 4, 4, 3, 2])], (rng.choice(TEXTS) for _ in range(4)), strict=False))


def answers() -> list[tuple[str, dict[str, str], str]]:
    """(answer, options, right letter)."""
    rng = random.Random(20260101)
    made = []
    for _ in range(ANSWERS):
        given = options(rng)
        made.append((answer(rng, list(given.values())), given, rng.choice(list(given))))
    return made


def groups() -> list[list[dict[str, Any]]]:
    """Questions with their rotations as MMBench rows with predictions; mostly right, so that circular scores are not 0."""
    rng = random.Random(20260102)
    made = []
    for index in range(GROUPS):
        count = rng.choice([4, 4, 3, 2])
        texts = rng.sample([t for t in TEXTS if t], count)
        form = rng.choice(FORMS[:24])
        rows = []
        for turn in range(rng.choice([count, count, 1])):
            given = dict(zip("ABCD", texts[turn:] + texts[:turn], strict=False))
            right = "ABCD"[(count - turn) % count]
            if rng.random() < 0.85:
                told = form.replace("{t}", given[right]).replace("{}", right)
            else:
                told = answer(rng, list(given.values()))
            rows.append(
                {
                    "index": index + turn * 1_000_000, "question": f"질문 {index}", "answer": right, "prediction": told,
                    "hint": None, "source": "", "split": "dev", "category": f"c{index % 7}", "l2-category": f"l{index % 3}",
                    **{letter: given.get(letter) for letter in "ABCD"},
                }
            )  # fmt: skip
        made.append(rows)
    return made


def documents() -> list[dict[str, Any]]:
    """Rows with all columns that the prompts of all sets read; nothing where a hint or an option is missing."""
    rng = random.Random(20260103)
    made = []
    for index in range(DOCUMENTS):
        texts = [rng.choice([t for t in TEXTS if t]) + rng.choice(["", "", " ", "."]) for _ in range(4)]
        texts = ["n" if t.strip().lower() in ("nan", "nan.") else t for t in texts]
        question = rng.choice(
            [
                "이것은 무엇입니까?",
                "  그림을 보고 답하세요. ",
                "What is this?",
                "몇 개?\n다시 세어 보세요",
                "Is it red? Please answer yes or no.",
            ]
        )
        count = rng.choice([4, 4, 4, 3, 2])
        listed = ", ".join(f"{letter}: {text}" for letter, text in zip("ABCD", texts, strict=True))
        made.append(
            {
                "index": index, "question_id": str(index), "question": question, "hint": rng.choice([None, "nan", "힌트입니다.", "Look closely"]),
                **{letter: texts[k] if k < count else rng.choice([None, "nan", ""]) for k, letter in enumerate("ABCD")},
                **{f"choice_{letter}": text for letter, text in zip("abcd", texts, strict=True)},
                "mmstar": f"{question}\nOptions: {listed}", "answer": "A", "category": "c", "l2-category": "l", "L2-category": "l",
                "source": "", "split": "dev", "data_type": "image",
            }
        )  # fmt: skip
    return made


def digest(value: Any) -> str:
    """32 hexadecimal digits for a JSON value."""
    return hashlib.blake2b(json.dumps(value, ensure_ascii=False, sort_keys=True).encode(), digest_size=16).hexdigest()


def inputs() -> str:
    """What stands for all generated cases."""
    return digest([answers(), groups(), documents()])


def store(outputs: dict[str, Any]) -> None:
    """Write the recorded outputs."""
    text = json.dumps({"inputs": inputs(), **outputs}, ensure_ascii=False, sort_keys=True)
    PATH.write_bytes(gzip.compress(text.encode(), mtime=0))


def load() -> dict[str, Any]:
    """The recorded outputs; refused when the cases are not those that were recorded."""
    recorded = json.loads(gzip.decompress(PATH.read_bytes()))
    assert recorded["inputs"] == inputs(), "the generated cases have changed; record them again"
    return recorded
