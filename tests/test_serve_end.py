"""The server when it is full, late, left alone by its client, failing, or told to stop."""

from __future__ import annotations

import json
import signal
import threading

import pytest
from tiny import write_tiny

pytest.importorskip("fastapi", reason="the server needs the extra 'serve'")
openai = pytest.importorskip("openai", reason="the official client is what the server is tested with")
from serving import eventually, expected, png, raw_connection, running, shown  # noqa: E402

from varco_vision.infer.api import VarcoVision  # noqa: E402
from varco_vision.serve.settings import Limits  # noqa: E402

TEN = {"max_tokens": 10}


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    return VarcoVision.from_pretrained(write_tiny(tmp_path_factory.mktemp("tiny") / "model"), device="cpu")


@pytest.fixture(scope="module")
def server(vision):
    with running(vision) as found:
        yield found


def endless(tokens: int = 1500) -> dict:
    """A request whose answer cannot end before its tokens are used up, and does not repeat itself."""
    digits = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": tokens}
    form = {"type": "json_schema", "json_schema": {"name": "digits", "schema": digits}}
    sampled = {"temperature": 2.0, "seed": 3, "max_tokens": tokens}
    return {"model": "model", "messages": shown("x"), "response_format": form, **sampled}


def test_too_many_requests_are_refused_with_a_time_to_wait(vision):
    with running(vision, Limits(waiting=2)) as found:
        vision.engine.lock.acquire()
        held = True
        try:
            answers: list = []
            threads = [threading.Thread(target=lambda: answers.append(found.post({**endless(5)}))) for _ in range(2)]
            for thread in threads:
                thread.start()
            eventually(lambda: found.desk.admitted == 2)
            refused = found.post(endless(5))
            assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
            assert refused.json()["error"]["code"] == "queue_full"
            with pytest.raises(openai.RateLimitError):
                found.client().chat.completions.create(model="model", messages=shown("x"))
            vision.engine.lock.release()
            held = False
            for thread in threads:
                thread.join(30)
        finally:
            if held:
                vision.engine.lock.release()
        assert [a.status_code for a in answers] == [200, 200]
        eventually(lambda: found.desk.admitted == 0)


def test_a_client_that_goes_away_frees_its_place(vision):
    with running(vision) as found:
        for streamed in (True, False):
            body = json.dumps({**endless(), "stream": streamed}).encode()
            with raw_connection(found.url) as gone:
                gone.sendall(
                    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n" % len(body) + body
                )
                eventually(lambda: found.service.stats()["running"] == 1)
            eventually(lambda: found.service.stats()["running"] == 0 and found.desk.admitted == 0)
        assert found.service.stats()["cancelled"] == 2


def test_time_outs(vision):
    with running(vision, Limits(request_time=0.2)) as found:
        vision.engine.lock.acquire()
        try:
            answer = found.post(endless())
            assert answer.status_code == 504 and answer.json()["error"]["type"] == "timeout_error"
            with pytest.raises(openai.APIError, match="longer than"):
                list(found.client().chat.completions.create(**endless(), stream=True))
        finally:
            vision.engine.lock.release()
        eventually(lambda: found.service.stats().get("cancelled", 0) == 2)
        assert found.desk.admitted == 0


def test_a_failure_of_the_model_is_told_and_passes(vision, monkeypatch):
    with running(vision) as found:
        batch = found.service._batch
        real, fails = type(batch).step, [RuntimeError("out of memory")]

        def step(self):
            if self is batch and self.rows and fails:
                raise fails.pop()
            return real(self)

        monkeypatch.setattr(type(batch), "step", step)
        with pytest.raises(openai.InternalServerError) as caught:
            found.client().chat.completions.create(model="model", messages=shown("x"), **TEN)
        assert "out of memory" not in str(caught.value), "the inside of the server is not told to strangers"
        fails.append(RuntimeError("again"))
        with pytest.raises(openai.APIError, match="failed"):
            list(found.client().chat.completions.create(model="model", messages=shown("x"), **TEN, stream=True))
        answer = found.client().chat.completions.create(model="model", messages=shown("x"), **TEN)
        assert answer.choices[0].message.varco["raw"] == expected(vision, "x", max_new_tokens=10).raw


def test_answers_under_way_are_finished_at_the_end(vision):
    with running(vision) as found:
        stream = found.client().chat.completions.create(**endless(60), stream=True)
        first = next(iter(stream))
        found.server.handle_exit(signal.SIGTERM, None)
        late = threading.Event()

        def try_again():
            with pytest.raises((openai.APIConnectionError, openai.InternalServerError)):
                found.client().chat.completions.create(**endless(5))
            late.set()

        threading.Thread(target=try_again).start()
        rest = list(stream)
        assert rest[-1].choices[0].finish_reason == "length" and rest[-1].id == first.id
        assert rest[-1].choices[0].delta.varco["new_tokens"] == 60
        assert late.wait(10)
    assert not found.service._thread.is_alive()


def test_many_at_once_get_their_own_answers(vision, server):
    """Sixteen clients with different pictures and forms; each answer is the one that it would get alone."""
    results: dict[int, str] = {}

    def ask(k):
        body = {"model": "model", "messages": shown(f"질문 {k}", png(40 + k, 50, seed=k)), "max_tokens": 20}
        if k % 2:
            chunks = server.client().chat.completions.create(**body, stream=True)
            results[k] = [c.choices[0].delta for c in chunks if c.choices][-1].varco["raw"]
        else:
            results[k] = server.post(body).json()["choices"][0]["message"]["varco"]["raw"]

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {
        k: expected(vision, f"질문 {k}", png(40 + k, 50, seed=k), max_new_tokens=20).raw for k in range(16)
    }
    eventually(lambda: server.desk.admitted == 0)
