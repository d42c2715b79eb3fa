"""Serving, side by side in one run: `varco-vision serve` against `transformers serve` on the same checkpoint.

    python benchmarks/serve.py [--model M] [--requests 64] [--clients 1,8,32] [--tokens 24] [--rounds 5] [--no-peer]

Both servers run on the loopback and take turns, the other one idle; both get the same requests from the same client:
questions about pictures as data URLs, and the same number without a picture, greedy, streamed. Told are medians over the
rounds of answers a second, tokens a second as each server counts them, and seconds to the first piece of text.
Where `transformers serve` cannot load the model (its processor needs torchvision), the reason is told, and it serves the
language model of the same checkpoint alone, for the questions without a picture. Its tokenizer class splits text
otherwise, so tokens a second are comparable and answers are not. The last line of the output is one JSON document.
"""

from __future__ import annotations

import argparse
import base64
import concurrent.futures
import contextlib
import io
import json
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import transformers

from varco_vision.model import checkpoint
from varco_vision.synth.rng import stream
from varco_vision.synth.scenes import SceneConfig, make_scene

TEXTS = ("3 + 4 = ?", "대한민국의 수도는 어디인가요?", "What is the capital of France?", "물은 무엇인가요?")
QUESTIONS = ("물체가 몇 개 있나요?", "Where is the red circle?", "이미지를 설명해줘.", "Describe the image.")
START_SECONDS = 180
ANSWER_SECONDS = 60
KINDS = ("pictures", "text")


@dataclass(frozen=True)
class Peer:
    """A running server, what it calls the model, and which kinds of requests it takes."""

    name: str
    url: str
    model: str
    kinds: tuple[str, ...]


def requests(model: str, count: int, tokens: int, pictures: bool) -> list[dict[str, Any]]:
    """`count` chat-completions bodies; four questions on each picture."""
    bodies = []
    for number in range(count):
        content: list[dict[str, Any]] = [{"type": "text", "text": TEXTS[number % 4]}]
        if pictures:
            file = io.BytesIO()
            make_scene(stream("benchmark", "eval", number // 4), SceneConfig()).image.save(file, "PNG")
            url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
            content = [
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "text", "text": QUESTIONS[number % 4]},
            ]
        message = {"role": "user", "content": content}
        options = {"stream": True, "stream_options": {"include_usage": True}, "temperature": 0.0, "max_tokens": tokens}
        bodies.append({"model": model, "messages": [message], **options})
    return bodies


CLIENT = httpx2.Client(timeout=ANSWER_SECONDS, limits=httpx2.Limits(max_connections=256), verify=False)


def ask(url: str, body: dict[str, Any]) -> tuple[float, float, int]:
    """Seconds to the first text and to the end, and tokens written, of one streamed request."""
    began, first, tokens = time.perf_counter(), None, 0
    with CLIENT.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            raise RuntimeError(f"status {answer.status_code}: {answer.read()[:300].decode('utf-8', 'replace')}")
        for line in answer.iter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            data = json.loads(line[6:])
            if "error" in data:
                raise RuntimeError(str(data["error"])[:300])
            if first is None and any((c.get("delta") or {}).get("content") for c in data.get("choices", ())):
                first = time.perf_counter() - began
            tokens = (data.get("usage") or {}).get("completion_tokens", tokens)
    took = time.perf_counter() - began
    return took if first is None else first, took, tokens


def load(url: str, bodies: list[dict[str, Any]], clients: int) -> dict[str, float]:
    """All requests with `clients` at a time."""
    ask(url, bodies[0])  # the first one loads and warms up
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(lambda body: ask(url, body), bodies))
    took = time.perf_counter() - began
    first = sorted(f for f, _, _ in found)
    return {
        "clients": clients,
        "answers_per_second": len(bodies) / took,
        "tokens_per_second": sum(t for _, _, t in found) / took,
        "first_text_median": statistics.median(first),
        "first_text_p95": first[max(0, int(len(first) * 0.95) - 1)],
    }


@contextmanager
def server(command: list[str], port: int) -> Iterator[str]:
    """A server as its own process, stopped at the end. Raises `RuntimeError` with its last words when it does not start."""
    said = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody empties would stop a talkative server
    process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            if process.poll() is not None:
                said.seek(0)
                raise RuntimeError(said.read().decode("utf-8", "replace")[-600:])
            try:
                if CLIENT.get(f"{url}/health", timeout=2).status_code < 500:
                    break
            except httpx2.HTTPError:
                time.sleep(0.3)
            if time.monotonic() > end:
                raise RuntimeError(f"{command[0]} did not start within {START_SECONDS} s")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def measure(peers: list[Peer], kind: str, args: argparse.Namespace) -> dict[str, Any]:
    """One kind of requests on all servers that take it, in turns; medians over the rounds."""
    able = [peer for peer in peers if kind in peer.kinds]
    found: dict[str, Any] = {peer.name: [] for peer in able}
    failed: set[str] = set()
    for clients in args.clients:
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in found}
        for _ in range(args.rounds):
            for peer in able:
                bodies = requests(peer.model, args.requests, args.tokens, kind == "pictures")
                try:
                    rounds[peer.name].append(load(peer.url, bodies, clients))
                except (RuntimeError, httpx2.HTTPError) as error:
                    print(f"{peer.name} {kind} {clients} clients: {error!r}", flush=True)
                    failed.add(peer.name)
            able = [peer for peer in able if peer.name not in failed]
        for name, rows in rounds.items():
            if name in failed:
                found[name].append({"clients": clients, "failed": True})
                continue
            found[name].append({key: statistics.median(row[key] for row in rows) for key in rows[0]})
            show(name, kind, found[name][-1])
    return found


def language_model(model: str, folder: Path) -> Path:
    """The language model of a checkpoint as a checkpoint of its own."""
    loaded = checkpoint.load(model, device="cpu")
    alone = transformers.AutoModelForCausalLM.from_config(loaded.model.config.text_config)
    alone.model.load_state_dict(loaded.model.model.language_model.state_dict())
    alone.lm_head.weight = loaded.model.lm_head.weight
    alone.generation_config.eos_token_id = loaded.stop_ids
    alone.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


def show(name: str, kind: str, row: dict[str, float]) -> None:
    print(
        f"{name:30} {kind:9} {row['clients']:3.0f} clients  {row['answers_per_second']:6.2f} answers/s  "
        f"{row['tokens_per_second']:7.1f} tokens/s  first text {row['first_text_median']:.3f} s, "
        f"95 % within {row['first_text_p95']:.3f} s",
        flush=True,
    )


def start_peer(stack: contextlib.ExitStack, model: str) -> list[Peer]:
    """`transformers serve` on the checkpoint, or on its language model where the whole cannot be loaded."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "transformers"), "serve", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--device", "cpu", "--dtype", "float32"]
    try:
        return [Peer("transformers serve", stack.enter_context(server([*command, model], port)), model, KINDS)]
    except RuntimeError as error:
        print(f"transformers serve does not load the checkpoint: {' '.join(str(error).split())[-300:]}", flush=True)
    alone = str(language_model(model, Path(stack.enter_context(tempfile.TemporaryDirectory()))))
    url = stack.enter_context(server([*command, alone], port))
    return [Peer("transformers serve, text model", url, alone, ("text",))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(checkpoint.default_path()))
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--clients", type=lambda text: [int(part) for part in text.split(",")], default=[1, 8, 32])
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true")
    args = parser.parse_args()
    model = str(Path(args.model).resolve()) if Path(args.model).exists() else args.model
    port = free_port()
    ours = [
        str(Path(sys.executable).parent / "varco-vision"),
        "serve",
        "--model",
        model,
        "--name",
        "m",
        "--port",
        str(port),
    ]
    with contextlib.ExitStack() as stack:
        peers = [Peer("varco-vision serve", stack.enter_context(server(ours, port)), "m", KINDS)]
        peers += [] if args.no_peer else start_peer(stack, model)
        results = {kind: measure(peers, kind, args) for kind in KINDS}
    machine = {"python": platform.python_version(), "transformers": transformers.__version__, "cpu": platform.machine()}
    print(json.dumps({"machine": machine, "requests": args.requests, "tokens": args.tokens, **results}))


if __name__ == "__main__":
    main()
