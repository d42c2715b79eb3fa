"""The server under load on the loopback, with faults: nothing is lost, nothing is wrong, memory stays flat.

Slow; bounded in requests and in time. The load comes from `CLIENTS` connections at once in one process.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from tiny import write_tiny

pytest.importorskip("fastapi", reason="the server needs the extra 'serve'")
pytest.importorskip("openai", reason="tests/serving.py needs the openai client")
import httpx2
from serving import eventually, png, running, shown

from varco_vision.infer.api import VarcoVision
from varco_vision.infer.engine import Request
from varco_vision.serve.settings import Limits

pytestmark = pytest.mark.slow

CLIENTS = 300
ROUNDS = 8  # the first one warms caches up and is not counted for memory
GROWTH = 40 * 2**20  # bytes that may be added between the second and the last round
OBJECTS = 1000  # Python objects that may be added meanwhile: fewer than one for each request
MOST_SECONDS = 900
FAULTS = ("hang up", "hang up in a stream", "broken body", "bad picture", "too long", "slow reader")
KINDS = 24  # different questions, so that a mixed-up answer is seen


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    return VarcoVision.from_pretrained(write_tiny(tmp_path_factory.mktemp("tiny") / "model"), device="cpu")


def question(kind: int) -> tuple[str, list[bytes]]:
    return f"질문 {kind}", [png(40 + kind, 50, seed=kind)] if kind % 3 else []


def body(kind: int, **more: object) -> dict:
    text, pictures = question(kind)
    return {"model": "model", "messages": shown(text, *pictures), "max_tokens": 6 + kind % 5, **more}


def truth(vision: VarcoVision, kind: int) -> str:
    text, pictures = question(kind)
    content = [*({"type": "image"} for _ in pictures), {"type": "text", "text": text}]
    request = Request([{"role": "user", "content": content}], list(pictures), 6 + kind % 5, constrain=True)
    return vision.engine.generate([request])[0].raw


def resident() -> int:
    """Bytes of this process in memory, without those that the allocator keeps for later (more with every core)."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


class Crowd:
    """Clients in one event loop; `counts` says what became of them."""

    def __init__(self, url: str, answers: dict[int, str], seed: int) -> None:
        self.url, self.answers, self.chance = url, answers, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def run(self, clients: int, faults: bool) -> None:
        limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=0)
        async with httpx2.AsyncClient(base_url=self.url, limits=limits, timeout=300) as client:
            await asyncio.gather(*(self._one(client, k, faults) for k in range(clients)))

    async def _one(self, client: httpx2.AsyncClient, number: int, faults: bool) -> None:
        await asyncio.sleep(self.chance.random() * 0.5)
        if faults and self.chance.random() < 0.3:
            await self._faulty(client, self.chance.choice(FAULTS))
            return
        kind, streamed = self.chance.randrange(KINDS), self.chance.random() < 0.5
        for _ in range(400):
            answer = await client.post("/v1/chat/completions", json=body(kind, stream=streamed))
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1
                self.counts["refused, tried again"] += 1
                await asyncio.sleep(0.05 + self.chance.random() * 0.3)
                continue
            break
        if answer.status_code == 500 and faults:
            self.counts["told of a failure"] += 1
            return
        if answer.status_code != 200:
            self.wrong.append(f"{answer.status_code}: {answer.text[:200]}")
            return
        raw = self._raw(answer.text, streamed)
        if raw is None and faults and '"internal_error"' in answer.text:
            self.counts["told of a failure"] += 1
        elif raw != self.answers[kind]:
            self.wrong.append(f"{kind}: {raw!r} is not {self.answers[kind]!r}")
        else:
            self.counts["answered"] += 1

    @staticmethod
    def _raw(text: str, streamed: bool) -> str | None:
        if not streamed:
            return json.loads(text)["choices"][0]["message"]["varco"]["raw"]
        events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        if events[-1] != "[DONE]":
            return None
        found = [json.loads(event)["choices"][0]["delta"].get("varco") for event in events[:-1]]
        return next(v["raw"] for v in found if v)

    async def _faulty(self, client: httpx2.AsyncClient, fault: str) -> None:
        self.counts[fault] += 1
        post = "/v1/chat/completions"
        try:
            if fault == "hang up":
                await client.post(post, json=body(1, max_tokens=200), timeout=0.05 + self.chance.random() * 0.2)
            elif fault in ("hang up in a stream", "slow reader"):
                async with client.stream("POST", post, json=body(2, stream=True, max_tokens=100)) as answer:
                    async for _ in answer.aiter_bytes():
                        if fault == "hang up in a stream":
                            return
                        await asyncio.sleep(0.02)
            else:
                sent, wanted = {
                    "broken body": ({"content": b'{"model": "model", "mess'}, (400, 429)),
                    "bad picture": ({"json": {"model": "model", "messages": shown("x", png()[:60])}}, (400, 429)),
                    "too long": ({"json": {"model": "model", "messages": shown("가나다 " * 3000)}}, (400, 429)),
                }[fault]
                answer = await client.post(post, headers={"content-type": "application/json"}, **sent)
                if answer.status_code not in wanted:
                    self.wrong.append(f"{fault}: {answer.status_code}")
        except (httpx2.TimeoutException, httpx2.RemoteProtocolError, httpx2.ReadError):
            pass


@pytest.mark.parametrize("faults", [False, True], ids=["sound", "with faults"])
def test_hundreds_of_clients(vision, monkeypatch, faults):
    log = logging.getLogger("varco_vision")  # pytest's records would hold failures with everything in their frames
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(log, "handlers", [logging.NullHandler()])
    answers = {kind: truth(vision, kind) for kind in range(KINDS)}
    began, sizes, objects = time.monotonic(), [], []
    total: Counter[str] = Counter()
    with running(vision, Limits(waiting=48)) as server:
        batch = server.service._batch
        real, chance = type(batch).step, random.Random(5)

        def step(self):
            if faults and self is batch and self.rows and chance.random() < 0.01:
                raise RuntimeError("an injected fault")
            return real(self)

        monkeypatch.setattr(type(batch), "step", step)
        for number in range(ROUNDS):
            crowd = Crowd(server.url, answers, number)
            asyncio.run(crowd.run(CLIENTS, faults))
            assert crowd.wrong == [], crowd.wrong[:5]
            total += crowd.counts
            eventually(lambda: server.desk.admitted == 0 and server.service.stats()["running"] == 0)
            gc.collect()
            sizes.append(resident())
            objects.append(len(gc.get_objects()))
            assert time.monotonic() - began < MOST_SECONDS
        stats = server.service.stats()
        ended = sum(stats.get(name, 0) for name in ("end", "length", "loop", "cancelled", "error"))
        assert stats["accepted"] == ended and stats["waiting"] == 0, "a request was lost"
        assert server.desk._bodies.held == server.desk._pictures.held == 0
    told = {name: total[name] for name in sorted(total)}
    print(f"\n{ROUNDS * CLIENTS} clients in {time.monotonic() - began:.0f} s: {told}; engine: {stats}")
    print("resident MiB after each round:", [round(size / 2**20) for size in sizes], "objects:", objects)
    sound = total["answered"] + total["told of a failure"] + sum(total[name] for name in FAULTS)
    assert sound == ROUNDS * CLIENTS
    assert not faults or (total["told of a failure"] and all(total[name] for name in FAULTS))
    assert objects[-1] - objects[1] < OBJECTS
    assert sizes[-1] - sizes[1] < GROWTH
    assert threading.active_count() < 60


def test_pictures_at_the_limit_do_not_fill_the_memory(vision):
    """Forty clients with pictures of 16 million pixels: what is decoded at once stays within the budget."""
    large = png(4000, 4000)
    before, most = resident(), 0
    done = threading.Event()
    with running(vision, Limits(waiting=40, pixels=20_000_000)) as server:

        def watch():
            nonlocal most
            while not done.wait(0.05):
                most = max(most, resident())

        watcher = threading.Thread(target=watch)
        watcher.start()
        statuses: list[int] = []

        def ask():
            sent = {"model": "model", "messages": shown("x", large), "max_tokens": 2}
            statuses.append(server.post(sent, **{}).status_code)

        threads = [threading.Thread(target=ask) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        done.set()
        watcher.join()
    print(f"\nresident before {before / 2**20:.0f} MiB, at most {most / 2**20:.0f} MiB")
    assert statuses == [200] * 40
    assert most - before < 2.2 * 2**30


def test_sigterm_lets_answers_end():
    """The process as an operator sees it: a stream goes on to its end after SIGTERM, then the exit code is 0."""
    command = [sys.executable, "-m", "varco_vision.cli.main", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = next(line.split()[1] for line in process.stderr if line.startswith("serving "))
        digits = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 200}
        form = {"type": "json_schema", "json_schema": {"name": "digits", "schema": digits}}
        name = httpx2.get(f"{url}/v1/models").json()["data"][0]["id"]
        asked = {"model": name, "messages": shown("안녕"), "max_tokens": 900, "temperature": 2, "seed": 1}
        asked |= {"stream": True, "response_format": form}
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=asked, timeout=120) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("data: ")
            process.send_signal(signal.SIGTERM)
            rest = list(lines)
        assert rest[-2] == "data: [DONE]" and len(rest) > 100
        assert process.wait(30) == 0
