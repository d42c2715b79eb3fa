"""Requests as they come: the same answers as from a list, deltas that add up, cancelling, limits, faults."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from PIL import Image
from tiny import write_tiny

from varco_vision.errors import InputError
from varco_vision.infer.answer import Answer
from varco_vision.infer.engine import Engine, Request
from varco_vision.infer.sampling import Sampling
from varco_vision.infer.service import Closed, QueueFull, Service
from varco_vision.infer.stream import Delta
from varco_vision.model import checkpoint


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return checkpoint.load(write_tiny(tmp_path_factory.mktemp("tiny") / "model"), device="cpu")


def picture(seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((64, 48), Image.Resampling.BILINEAR)


def request(text, seed=None, tokens=30, **settings):
    content = [{"type": "image"}] * (seed is not None) + [{"type": "text", "text": text}]
    images = [picture(seed)] if seed is not None else []
    return Request([{"role": "user", "content": content}], images, tokens, **settings)


def requests():
    return [request(f"질문 {k}: where is it?", k % 3 if k % 2 else None, 5 + 4 * k) for k in range(12)]


def test_answers_equal_those_of_a_list_whatever_the_threads(loaded):
    expected = Engine(loaded, batch_size=1).generate(requests())
    service, answers = Service(Engine(loaded, batch_size=4)), {}

    def ask(k, asked):
        time.sleep(0.003 * (k % 4))
        answers[k] = service.submit(asked).result(60)

    threads = [threading.Thread(target=ask, args=item) for item in enumerate(requests())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[k].token_ids for k in range(12)] == [a.token_ids for a in expected]
    assert [answers[k].stop_reason for k in range(12)] == [a.stop_reason for a in expected]
    stats = service.stats()
    assert stats["accepted"] == 12 and stats["running"] == stats["waiting"] == 0
    assert stats["new_tokens"] == sum(a.new_tokens for a in expected)
    assert service.close(timeout=10)


def test_deltas_add_up_to_the_answer(loaded):
    with Service(Engine(loaded, stop_loops=False)) as service:
        handles = [service.submit(asked) for asked in requests()]
        for handle in handles:
            deltas = list(handle)
            answer = handle.result()
            assert "".join(d.raw for d in deltas).strip() == answer.raw
            assert [i for d in deltas for i in d.ids] == answer.token_ids
            assert [p for d in deltas for p in d.log_probs] == answer.log_probs[: len(answer.token_ids)]
            assert len(deltas) > 2 or len(answer.token_ids) < 5, "it comes in pieces"


def test_cancel_leaves_the_others_alone(loaded):
    engine = Engine(loaded, batch_size=4, stop_loops=False)
    expected = engine.generate([request("b", 1, 60)])[0]
    with Service(engine) as service:
        long = service.submit(request("a", None, 1900))
        other = service.submit(request("b", 1, 60))
        next(iter(long))
        long.cancel()
        answer = long.result(30)
        assert answer.stop_reason == "cancelled" and answer.truncated
        assert 0 < len(answer.token_ids) < 1900
        assert other.result(30).token_ids == expected.token_ids


def test_listener_gets_deltas_then_the_answer(loaded):
    events, ended = [], threading.Event()

    def listen(event):
        events.append(event)
        if not isinstance(event, Delta):
            ended.set()

    with Service(Engine(loaded)) as service:
        handle = service.submit(request("a", 0), listener=listen)
        assert ended.wait(30)
        with pytest.raises(InputError, match="listener"):
            next(iter(handle))
    assert isinstance(events[-1], Answer) and all(isinstance(e, Delta) for e in events[:-1]) and len(events) > 2


def test_bad_requests_are_refused_at_once(loaded):
    with Service(Engine(loaded)) as service:
        with pytest.raises(InputError, match="0 new tokens"):
            service.submit(request("a", tokens=0))
        with pytest.raises(InputError, match="image parts"):
            service.submit(Request([{"role": "user", "content": "a"}], [picture(0)]))
        assert service.submit(request("a", tokens=3)).result(30).new_tokens <= 3
    with pytest.raises(Closed):
        service.submit(request("a"))


def test_full_queue_says_when_to_come_back(loaded):
    engine = Engine(loaded, batch_size=1, stop_loops=False)
    service = Service(engine, queue_limit=2)
    with engine.lock:  # nothing moves
        handles = [service.submit(request("a", tokens=4))]
        deadline = time.monotonic() + 10
        while service.stats()["waiting"] and time.monotonic() < deadline:
            time.sleep(0.005)
        handles += [service.submit(request("b", tokens=4)), service.submit(request("c", tokens=4))]
        with pytest.raises(QueueFull) as caught:
            service.submit(request("d"))
        handles[2].cancel()
        with pytest.raises(TimeoutError):
            handles[1].result(0.01)
    assert caught.value.retry_after >= 1
    assert [h.result(30).stop_reason == "cancelled" for h in handles] == [False, False, True]
    service.close()


def test_failure_ends_the_running_and_spares_the_next(loaded):
    engine = Engine(loaded)
    service = Service(engine)
    step, count = service._batch._step, []

    def failing(*args):
        count.append(1)
        if len(count) == 3:
            raise MemoryError("out of memory")
        return step(*args)

    service._batch._step = failing
    with pytest.raises(MemoryError):
        service.submit(request("a", 0, 50)).result(30)
    expected = engine.generate([request("a", 0, 20)])[0]
    assert service.submit(request("a", 0, 20)).result(30).token_ids == expected.token_ids
    service.close()


def test_a_prompt_that_cannot_be_read_fails_alone(loaded, monkeypatch):
    from varco_vision.infer import batch as module

    real = module.features_of

    def failing(prompts, *rest):
        if any(prompt.limit == 13 for prompt in prompts):
            raise InputError("no such features")
        return real(prompts, *rest)

    monkeypatch.setattr(module, "features_of", failing)
    service = Service(Engine(loaded))
    with service.engine.lock:
        handles = [service.submit(request("a", k, tokens)) for k, tokens in enumerate((9, 13, 9))]
    assert handles[0].result(30).new_tokens <= 9 and handles[2].result(30).new_tokens <= 9
    with pytest.raises(InputError, match="no such features"):
        handles[1].result(30)
    service.close()


def test_close_without_draining_cancels(loaded):
    service = Service(Engine(loaded, stop_loops=False))
    handle = service.submit(request("a", None, 1900))
    next(iter(handle))
    assert service.close(drain=False, timeout=30)
    assert handle.result().stop_reason == "cancelled"


def test_sampled_answers_do_not_depend_on_company(loaded):
    asked = [request(f"q {k}", k % 2, 25, sampling=Sampling(temperature=0.8, top_p=0.9, seed=k)) for k in range(6)]
    alone = Engine(loaded, batch_size=1).generate(asked)
    with Service(Engine(loaded, batch_size=6)) as service:
        together = [h.result(30) for h in [service.submit(one) for one in asked]]
    assert [a.token_ids for a in alone] == [a.token_ids for a in together]
    assert [a.seed for a in together] == list(range(6))
    assert len({tuple(a.token_ids) for a in together}) > 3
