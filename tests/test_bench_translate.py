"""English sets made Korean through an endpoint: a small server on loopback translates by a word list, and sometimes badly."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from eval_sets import cell, write_parquet
from typer.testing import CliRunner

from varco_vision.bench import card, review
from varco_vision.bench.ask import read_json
from varco_vision.cli.bench import app
from varco_vision.errors import InputError
from varco_vision.eval import benchmarks

RUN = CliRunner()
WORDS = {
    "What color is the circle in this picture?": "이 그림에 있는 원은 무슨 색입니까?",
    "How many of the 12 boxes are red in the picture?": "그림에서 상자 12개 가운데 빨간 것은 몇 개입니까?",
    "What does the sign in the picture say?": "그림의 표지판에는 뭐라고 적혀 있습니까?",
    "Which tool is shown in the picture?": "그림에 나온 도구는 무엇입니까?",
    "Look at the picture.": "그림을 보세요.",
    "red": "빨간색", "blue": "파란색", "green": "초록색", "yellow": "노란색", "one": "하나", "two": "둘", "three": "셋", "four": "넷",
    "Stop": "멈춤", "Go": "출발", "Slow": "천천히", "Wait": "기다림", "hammer": "망치", "mallet": "망치", "saw": "톱", "drill": "드릴",
    "Describe the picture in detail.": "그림을 자세히 설명해 주세요.", "There is a red circle.": "빨간 원이 하나 있습니다.", "A red circle on white.": "흰 바탕의 빨간 원.",
}  # fmt: skip
ENGLISH = {ko: en for en, ko in WORDS.items()} | {"망치": "hammer"}


class Translator:
    """The fake endpoint: what it was asked, and what it does wrong. broken: questions whose reply is no JSON."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.wrong: dict[str, str] = {}
        self.broken: set[str] = set()
        self.stop_after: int | None = None

    def reply(self, request: dict) -> tuple[int, str]:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            return 400, ""
        self.asked.append(request)
        content = request["messages"][1]["content"]
        if isinstance(content, list):
            return 200, json.dumps({"text": "tool" in content[1]["text"], "language": "none"})
        texts = json.loads(content[content.index("{") :])
        if texts["question"] in self.broken:
            return 200, "죄송하지만 번역할 수 없습니다."
        table = ENGLISH if "literally" in request["messages"][0]["content"] else WORDS | self.wrong
        return 200, "```json\n" + json.dumps(
            {key: table.get(text, text) for key, text in texts.items()}, ensure_ascii=False
        ) + "\n```"


@pytest.fixture
def server() -> Iterator[tuple[str, Translator]]:
    translator = Translator()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, text = translator.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(
                {"choices": [{"message": {"role": "assistant", "content": text}}], "usage": {"total_tokens": 1}}
            ).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/v1", translator
    httpd.shutdown()
    httpd.server_close()
    thread.join()


QUESTIONS = (
    ("What color is the circle in this picture?", ("red", "blue", "green", "yellow"), "A", "attribute_recognition", "Look at the picture."),
    ("How many of the 12 boxes are red in the picture?", ("one", "two", "three", "four"), "C", "object_counting", None),
    ("What does the sign in the picture say?", ("Stop", "Go", "Slow", "Wait"), "B", "ocr", "nan"),
    ("Which tool is shown in the picture?", ("hammer", "mallet", "saw", "drill"), "D", "object_recognition", None),
)  # fmt: skip


@pytest.fixture
def english(tmp_path: Path) -> Path:
    """MMBench in English: four questions with two rotations each."""
    rows = []
    for k in (0, 1):
        for n, (question, options, answer, category, hint) in enumerate(QUESTIONS):
            turned = options[k:] + options[:k]
            right = options["ABCD".index(answer)]
            rows.append(
                {
                    "index": n + k * 1_000_000, "question": question, "hint": hint, **dict(zip("ABCD", turned, strict=True)),
                    "answer": "ABCD"[turned.index(right)], "category": category, "L2-category": "perception", "source": "made", "split": "dev", "image": cell(n),
                }
            )  # fmt: skip
    write_parquet(rows, tmp_path / "english" / "mmbench.parquet")
    return tmp_path / "english"


def _run(english: Path, out: Path, url: str | None, *more: str, task: str = "mmbench"):
    args = ["translate", task, "--data-dir", str(english), "--out", str(out), "--translator", "small", *more]
    return RUN.invoke(app, [*args, *(["--endpoint", url] if url else [])])


def _sheet(out: Path) -> list[dict[str, str]]:
    with (out / review.CSV).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _flags(out: Path) -> dict[str, str]:
    return {row["index"]: row["flags"] for row in _sheet(out) if row["part"] == "question"}


def test_a_set_becomes_korean(english: Path, tmp_path: Path, server: tuple[str, Translator]) -> None:
    url, translator = server
    out = tmp_path / "korean"
    found = _run(english, out, url)
    assert found.exit_code == 0, found.exception
    assert len(translator.asked) == 8  # there and back, once for each question: rotations are not translated again
    rows = {item.index: item for item in benchmarks.load(benchmarks.find("k_mmbench"), out).items}
    assert len(rows) == 8
    assert rows["0"].question == "이 그림에 있는 원은 무슨 색입니까?" and rows["0"].hint == "그림을 보세요."
    assert rows["1000000"].options == {"A": "파란색", "B": "초록색", "C": "노란색", "D": "빨간색"}
    source = {i.index: i for i in benchmarks.load(benchmarks.find("mmbench"), english).items}
    for index, row in rows.items():
        assert WORDS[source[index].options[source[index].answer]] == row.options[row.answer]
        assert row.images == source[index].images
    flags = _flags(out)
    assert flags["0"] == flags["1"] == ""
    assert flags["2"].startswith("picture-text: category ocr")
    assert "options: 망치" in flags["3"]
    assert set(card.verify(out).values()) == {"ok"}
    page = (out / review.HTML).read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 4 and page.index('id="q3"') < page.index('id="q0"')
    assert "MMBench" in (out / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("question", "said", "flag"),
    [
        (1, "그림에서 상자 가운데 빨간 것은 몇 개입니까?", "numbers: question"),
        (0, "What color is the circle in this picture?", "english: question"),
        (0, "이 그림에 있는 원의 색을 말하라?", "style:"),
        (0, "그림에 표지판이 있습니까?", "back: chrF"),
    ],
)
def test_faults_are_flagged(
    english: Path, tmp_path: Path, server: tuple[str, Translator], question: int, said: str, flag: str
) -> None:
    url, translator = server
    translator.wrong = {QUESTIONS[question][0]: said}
    assert _run(english, tmp_path / "out", url).exit_code == 0
    assert flag in _flags(tmp_path / "out")[str(question)]


def test_terms_are_asked_for_and_checked(english: Path, tmp_path: Path, server: tuple[str, Translator]) -> None:
    url, translator = server
    (tmp_path / "terms.csv").write_text("english,korean\nsign,안내판\ncircle,원\n", encoding="utf-8")
    assert _run(english, tmp_path / "out", url, "--terms", str(tmp_path / "terms.csv")).exit_code == 0
    flags = _flags(tmp_path / "out")
    assert "terms: sign = 안내판" in flags["2"] and flags["0"] == ""
    told = [r["messages"][1]["content"] for r in translator.asked if "sign = 안내판" in r["messages"][1]["content"]]
    assert len(told) == 1 and "circle" not in told[0]


def test_see_asks_with_the_picture(english: Path, tmp_path: Path, server: tuple[str, Translator]) -> None:
    url, translator = server
    assert _run(english, tmp_path / "out", url, "--see").exit_code == 0
    assert "picture-text: a model sees text" in _flags(tmp_path / "out")["3"]
    assert "picture-text" not in _flags(tmp_path / "out")["0"]
    with_picture = [r for r in translator.asked if isinstance(r["messages"][1]["content"], list)]
    assert len(with_picture) == 3  # not the question that is flagged already


def test_a_stopped_run_goes_on(english: Path, tmp_path: Path, server: tuple[str, Translator]) -> None:
    url, translator = server
    translator.stop_after = 5
    found = _run(english, tmp_path / "out", url)
    assert isinstance(found.exception, InputError) and "400" in str(found.exception)
    translator.stop_after = None
    assert _run(english, tmp_path / "out", url).exit_code == 0
    assert len(translator.asked) == 8  # nothing was asked twice
    first = (tmp_path / "out" / "k_mmbench.parquet").read_bytes()
    assert _run(english, tmp_path / "out", None).exit_code == 0  # all replies are recorded
    assert (tmp_path / "out" / "k_mmbench.parquet").read_bytes() == first


def test_unreadable_replies_are_left_out_and_counted(
    english: Path, tmp_path: Path, server: tuple[str, Translator]
) -> None:
    url, translator = server
    translator.broken = {QUESTIONS[0][0]}
    found = _run(english, tmp_path / "out", url, "--json")
    assert json.loads(found.stdout)["without a readable translation, left out"] == 1
    rows = benchmarks.load(benchmarks.find("k_mmbench"), tmp_path / "out").items
    assert {row.group for row in rows} == {"1", "2", "3"}


def test_a_person_has_the_last_word(english: Path, tmp_path: Path, server: tuple[str, Translator]) -> None:
    url, translator = server
    translator.broken = {QUESTIONS[2][0]}
    out, sheet = tmp_path / "out", tmp_path / "reviewed.csv"
    assert _run(english, out, url).exit_code == 0
    rows = _sheet(out)
    for row in rows:
        if row["index"] == "3" and row["part"] == "option_B":
            row["verdict"], row["corrected"] = "fix", "나무망치"
        if row["index"] == "1" and row["part"] == "question":
            row["verdict"] = "drop"
        if row["index"] == "0" and row["part"] == "question":
            row["verdict"] = "ok"

    def write(changed: list[dict[str, str]]) -> None:
        with sheet.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, review.COLUMNS)
            table.writeheader()
            table.writerows(changed)

    write(rows)
    found = _run(english, out, url, "--review", str(sheet), "--json")
    told = json.loads(found.stdout)
    assert (told["seen by a person"], told["dropped by a person"]) == (3, 1)
    loaded = {row.index: row for row in benchmarks.load(benchmarks.find("k_mmbench"), out).items}
    assert loaded["3"].options["B"] == "나무망치" and loaded["1000003"].options["A"] == "나무망치"
    assert set(loaded) == {"0", "3", "1000000", "1000003"}
    for row, part, cells, told_wrong in (
        (0, "question", {"verdict": "gut"}, "ok, fix, drop"),
        (0, "question", {"verdict": "fix"}, "corrected"),
        (0, "question", {"corrected": "무엇입니까?"}, "write fix"),
        (2, "question", {"verdict": "fix", "corrected": "무엇이라고 적혀 있습니까?"}, "option_A"),
    ):
        changed = [
            {**r, **cells} if (r["index"], r["part"]) == (str(row), part) else {**r, "verdict": "", "corrected": ""}
            for r in _sheet(out)
        ]
        write([{**r, "verdict": r["verdict"] if "verdict" in cells else ""} for r in changed])
        found = _run(english, out, url, "--review", str(sheet))
        assert isinstance(found.exception, InputError) and told_wrong in str(found.exception)


def test_open_questions(tmp_path: Path, server: tuple[str, Translator]) -> None:
    rows = [
        {
            "question_id": k, "question": "Describe the picture in detail.", "gpt_answer": "There is a red circle.", "caption": "A red circle on white.",
            "category": "detail", "image": cell(k),
        }
        for k in range(2)
    ]  # fmt: skip
    write_parquet(rows, tmp_path / "english" / "llava_w.parquet")
    url, _ = server
    found = _run(tmp_path / "english", tmp_path / "out", url, "--tsv", task="llava_w")
    assert found.exit_code == 0, found.exception
    item = benchmarks.load(benchmarks.find("k_llava_w"), tmp_path / "out").items[0]
    assert (item.answer, item.caption) == ("빨간 원이 하나 있습니다.", "흰 바탕의 빨간 원.")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--terms", "nowhere.csv"), "nowhere.csv"),
        (("--review", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_missing_files(
    english: Path, tmp_path: Path, server: tuple[str, Translator], more: tuple[str, ...], told: str
) -> None:
    found = _run(english, tmp_path / "out", server[0], *more)
    assert isinstance(found.exception, InputError) and told in str(found.exception)


def test_no_endpoint_no_counterpart(english: Path, tmp_path: Path) -> None:
    found = _run(english, tmp_path / "out", None)
    assert isinstance(found.exception, InputError) and "--endpoint" in str(found.exception)
    found = _run(english, tmp_path / "out", "http://127.0.0.1:9/v1", task="kreta")
    assert isinstance(found.exception, InputError) and "no Korean counterpart" in str(found.exception)


@pytest.mark.parametrize(
    ("raw", "found"),
    [('{"a": "b"}', {"a": "b"}), ('네.\n```json\n{"a": "}"}\n```', {"a": "}"}), ("{a}", None), ("[1]", None), ("", None), ("}{", None)],
)  # fmt: skip
def test_json_in_replies(raw: str, found: dict | None) -> None:
    assert read_json(raw) == found
