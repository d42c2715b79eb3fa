"""The judge: requests, retries, the record, and what is read from replies; a server in this process, no network."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import metric_cases as cases
import pytest

from varco_vision.errors import InputError
from varco_vision.eval import judge as j

ASK = [{"role": "user", "content": "8점인가요?"}]


def reply(text: str) -> tuple[int, bytes]:
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return 200, json.dumps({"choices": [{"message": {"content": text}}], "usage": usage}).encode()


class Server:
    """Answers in turn with what it is given, and remembers what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked, self.slept = list(answers), [], []

    def __call__(self, url, body, headers, timeout):
        self.asked.append((url, json.loads(body), dict(headers)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def judge(self, **settings):
        return j.Judge("http://localhost:1/v1/", "m", transport=self, sleep=self.slept.append, **settings)


# --- asking ---


def test_the_request_is_what_the_interface_wants(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "secret")
    server = Server(reply("8 6"))
    review = server.judge(api_key_env="JUDGE_KEY").review(ASK)
    url, body, headers = server.asked[0]
    assert url == "http://localhost:1/v1/chat/completions" and headers["Authorization"] == "Bearer secret"
    assert body == {"model": "m", "messages": ASK, "temperature": 0.2, "max_tokens": 1024}
    assert (review.raw, review.attempts, review.cached) == ("8 6", 1, False)
    assert review.usage == {"prompt_tokens": 7, "completion_tokens": 3}


def test_without_a_key_none_is_sent(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = Server(reply("x"))
    server.judge().review(ASK)
    assert "Authorization" not in server.asked[0][2]


def test_what_may_pass_is_tried_again_with_growing_pauses():
    server = Server((503, b"busy"), OSError("refused"), (429, b""), reply("8 6"))
    assert server.judge().review(ASK).attempts == 4
    assert server.slept == [2.0, 4.0, 8.0]


def test_what_will_not_pass_is_said_at_once():
    server = Server((401, b"no key"))
    with pytest.raises(InputError, match="status 401: no key"):
        server.judge().review(ASK)
    assert server.slept == []
    server = Server(*[OSError("refused")] * 2)
    with pytest.raises(InputError, match="refused"):
        server.judge(attempts=2).review(ASK)
    assert server.slept == [2.0]
    with pytest.raises(InputError, match="no chat completion"):
        Server((200, b"<html>")).judge().review(ASK)


def test_a_reply_without_scores_is_asked_for_again():
    server = Server(reply("음..."), reply("잘 모르겠습니다"), reply("8 6"))
    pair, reviews = server.judge().review_until(ASK, lambda raw: j.parse_pair(raw, "strict"))
    assert pair == (8.0, 6.0) and [r.raw for r in reviews] == ["음...", "잘 모르겠습니다", "8 6"]
    greedy = Server(reply("음..."))
    assert greedy.judge(temperature=0).review_until(ASK, lambda raw: None)[0] is None
    assert len(greedy.asked) == 1, "a greedy judge says the same again"


def test_a_real_connection():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = (404, b"gone") if "v2" in self.path else reply("7 9")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        assert j.Judge(f"{base}/v1", "m").review(ASK).raw == "7 9"
        with pytest.raises(InputError, match="status 404: gone"):
            j.Judge(f"{base}/v2", "m").review(ASK)
    finally:
        server.shutdown()
        server.server_close()


# --- the record ---


def test_what_is_recorded_is_not_asked_again_and_needs_no_server(tmp_path):
    record = tmp_path / "sub" / "replies.jsonl"
    server = Server(reply("8 6"), reply("5 5"))
    judge = server.judge(record=record)
    judge.review(ASK)
    judge.review(ASK, sample=1)
    assert judge.review(ASK).cached and len(server.asked) == 2
    offline = j.Judge(None, "m", record=record)
    assert [offline.review(ASK, k).raw for k in (0, 1)] == ["8 6", "5 5"]
    with pytest.raises(InputError, match="no reply of m to this request"):
        offline.review([{"role": "user", "content": "other"}])
    entry = json.loads(record.read_text().splitlines()[0])
    assert entry["messages"] == ASK and entry["raw"] == "8 6", "raw replies are kept with what was asked"


@pytest.mark.parametrize("change", [{"model": "n"}, {"temperature": 0.0}, {"max_tokens": 9}])
def test_another_model_or_setting_is_another_reply(tmp_path, change):
    record = tmp_path / "r.jsonl"
    Server(reply("8 6")).judge(record=record).review(ASK)
    with pytest.raises(InputError, match="no reply"):
        j.Judge(None, **{"model": "m", "record": record, **change}).review(ASK)


def test_a_killed_run_goes_on_and_other_damage_is_named(tmp_path):
    record = tmp_path / "r.jsonl"
    Server(reply("8 6")).judge(record=record).review(ASK)
    whole = record.read_bytes()
    record.write_bytes(whole + whole[:20])
    other = [{"role": "user", "content": "둘째"}]
    Server(reply("3 4")).judge(record=record).review(other)
    offline = j.Judge(None, "m", record=record)
    assert offline.review(ASK).raw == "8 6" and offline.review(other).raw == "3 4"
    record.write_bytes(b"{}\n" + whole)
    with pytest.raises(InputError, match="line 1 of the judge's record"):
        j.Judge(None, "m", record=record)


def test_judges_that_cannot_be():
    with pytest.raises(InputError, match="http"):
        j.Judge("localhost:8000", "m")
    with pytest.raises(InputError, match="endpoint, or a record"):
        j.Judge(None, "m")
    with pytest.raises(InputError, match="at least once"):
        j.Judge("http://x", "m", attempts=0)


def test_the_preview_bounds_the_cost(tmp_path):
    server = Server(reply("8 6"))
    judge = server.judge(record=tmp_path / "r.jsonl", max_tokens=100)
    judge.review(ASK)
    other = [{"role": "user", "content": "가" * 1000}]
    seen = j.preview(judge, [ASK, other], prices=(2.0, 10.0))
    assert (seen.requests, seen.recorded, seen.input_tokens, seen.output_tokens) == (1, 1, 3000, 100)
    assert seen.cost == pytest.approx((3000 * 2 + 100 * 10) / 1e6) and not seen.exact_input
    assert j.preview(judge, [other], count=len).input_tokens == 1000
    assert j.preview(judge, [other]).cost is None
    assert len(server.asked) == 1, "a preview asks nothing"


# --- reading ---


@pytest.mark.parametrize(
    ("raw", "lmms", "strict"),
    [
        ("8 6", (8, 6), (8, 6)),
        ("8.5 9\n둘 다 좋습니다.", (8.5, 9), (8.5, 9)),
        ("8, 6", None, (8, 6)),
        ("8,6", (8, 6), (8, 6)),
        ("8/6", None, (8, 6)),
        ("8  6", None, (8, 6)),
        ("**8 6**", None, (8, 6)),
        ("`8 6`", None, (8, 6)),
        ("점수: 8 6", None, (8, 6)),
        ("Score: 8 6", None, (8, 6)),
        ("Assistant 1: 8 Assistant 2: 6", None, (8, 6)),
        ("Assistant 2: 8, Assistant 1: 6", None, (6, 8)),
        ("어시스턴트 1의 점수: 8, 어시스턴트 2의 점수: 7", None, (8, 7)),
        ("어시스턴트1_점수: 8 어시스턴트2_점수: 6", None, (8, 6)),
        ("8/10 6/10", None, (8, 6)),
        ("8점 6점", None, (8, 6)),
        ("\n\n8 6", (8, 6), (8, 6)),
        ("8 10", (8, 10), (8, 10)),
        ("8/10", None, None),
        ("8 / 10", None, None),
        ("8", None, None),
        ("86", None, None),
        ("8 6 7", None, None),
        ("11 3", (11, 3), None),
        ("-1 -1", (-1, -1), None),
        ("평가할 수 없습니다.", None, None),
        ("", None, None),
        ("두 답 가운데 1번이 8점, 2번이 6점입니다", None, None),
        ("첫째가 낫습니다.\n8 6", None, None),
    ],
)
def test_scores_of_a_first_line(raw, lmms, strict):
    assert j.parse_pair(raw, "lmms-0.7.3") == lmms
    assert j.parse_pair(raw, "strict") == strict


def test_whole_numbers_of_reviews():
    assert j.parse_integer("정확합니다. 점수: 8") == 8
    assert j.parse_integer("2024년 사진이고 10점 만점에 7점, 정답은 15개") == 7
    assert j.parse_integer("점수 없음") is None and j.parse_integer("85") is None
    assert j.koffvqa_score("점수: 8", "고양이입니다") == 8
    assert j.koffvqa_score("점수: 8", "It is a cat") == 0, "an answer in another language"
    assert j.koffvqa_score("점수: 8", "42") == 8, "a number has no language"
    assert j.koffvqa_score("음", "고양이") is None


def test_replies_and_sums_equal_lmms_eval():
    recorded = cases.load("judge")
    made = [cases.reviews(), cases.score_lists()]
    assert recorded["digest"] == cases.digest(made) and len(made[0]) >= 10_000
    outputs = recorded["outputs"]
    for raw, known in zip(made[0], outputs["pairs"], strict=True):
        found = j.parse_pair(raw, "lmms-0.7.3")
        assert (list(found) if found is not None else [-1, -1]) == known, raw
    for scores, known in zip(made[1], outputs["ratios"], strict=True):
        pairs = [None if one == [-1, -1] else tuple(one) for one in scores]
        assert j.relative_score(pairs, "lmms-0.7.3").relative == known
    assert 1000 < sum(pair != [-1, -1] for pair in outputs["pairs"]) < 11_000


# --- requests and sums of LLaVA-W ---


def test_the_korean_request_is_the_published_one():
    messages = j.llava_w_messages("ko", "무엇이 보이나요?", "고양이입니다.", "강아지입니다.", ["고양이", "의자"])
    assert messages == cases.load("judge")["outputs"]["messages"]


def test_the_other_requests():
    swapped = j.llava_w_messages("ko", "q", "gold", "told", "c", swapped=True)[1]["content"]
    assert swapped.index("told") < swapped.index("gold")
    english = j.llava_w_messages("en", "q", "gold", "told", "c")
    assert english[0]["content"].startswith("You are a helpful and precise assistant")
    assert english[1]["content"].startswith(
        "[Context]\nc\n\n[Question]\nq\n\n[Assistant 1]\ngold\n\n[End of Assistant 1]\n\n"
    )
    assert "describing the image. \nPlease rate" in english[1]["content"], "the published text has a blank there"
    other = j.llava_w_messages("ko", "q", "gold", "told", "c", protocol="vlmevalkit-2026")
    assert other[0] == english[0] and "# 단계\n1. 제공된" in other[1]["content"]
    for arguments, message in ((("jp",), "ko or en"), (("ko", "x"), "unknown")):
        language, *protocol = arguments
        with pytest.raises(InputError, match=message):
            j.llava_w_messages(language, "q", "g", "t", "c", *protocol)


def test_failed_replies_are_counted_and_never_averaged():
    pairs = [(8.0, 6.0), (10.0, 8.0), None]
    strict = j.relative_score(pairs)
    assert (strict.relative, strict.failed, strict.n) == (77.8, 1, 3)
    theirs = j.relative_score(pairs, "lmms-0.7.3")
    assert theirs.relative == 76.5, "there -1 enters both means"
    assert j.relative_score([None]).relative is None
    with pytest.raises(InputError, match="unknown"):
        j.relative_score(pairs, "loose")


def test_both_orders_show_the_advantage_of_the_first_place():
    single = [(8.0, 6.0), (7.0, 7.0), None]
    swapped = [(8.0, 6.0), (7.0, 7.0), (5.0, 5.0)]  # the model stood first here
    found = j.both_orders(single, swapped)
    assert (found["n"], found["failed"]) == (3, 1)
    assert found["agreement"] == 0.5, "the first question's winner changed with the order"
    assert found["first_favoured"] == pytest.approx(1.0)
    assert found["scores"].relative == 100.0
