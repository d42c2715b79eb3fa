"""The server as its clients see it: the official `openai` client, plain HTTP, broken connections."""

from __future__ import annotations

import asyncio
import json
import socket
import zlib
from pathlib import Path

import pytest
from tiny import write_tiny

pytest.importorskip("fastapi", reason="the server needs the extra 'serve'")
openai = pytest.importorskip("openai", reason="the official client is what the server is tested with")
import httpx2  # noqa: E402
import jsonschema  # noqa: E402
from PIL import Image  # noqa: E402
from serving import data_url, encoded, eventually, expected, png, raw_connection, running, shown  # noqa: E402

from varco_vision import markup  # noqa: E402
from varco_vision.geometry import Box  # noqa: E402
from varco_vision.infer.api import VarcoVision, refer_text  # noqa: E402
from varco_vision.infer.engine import Request  # noqa: E402
from varco_vision.infer.sampling import Sampling  # noqa: E402
from varco_vision.serve.settings import Limits  # noqa: E402

TEN = {"max_tokens": 10}
EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    return VarcoVision.from_pretrained(write_tiny(tmp_path_factory.mktemp("tiny") / "model"), device="cpu")


@pytest.fixture(scope="module")
def server(vision):
    with running(vision) as found:
        yield found


@pytest.fixture
def client(server):
    return server.client()


@pytest.fixture(scope="module")
def nano():
    """The model inside the package: it ends its answers and writes boxes."""
    with running(VarcoVision.from_pretrained(device="cpu")) as found:
        yield found


def scene(name="scene"):
    return (EXAMPLES / f"{name}.png").read_bytes()


# --- answers -------------------------------------------------------------------------------------------------------


def test_answers_are_those_of_the_engine(vision, client):
    for pictures in ((), (png(),), (png(seed=1), png(70, 30, seed=2))):
        found = client.chat.completions.create(
            model="model", messages=shown("무엇이 있나요?", *pictures), max_tokens=24
        )
        wanted = expected(vision, "무엇이 있나요?", *pictures, max_new_tokens=24)
        message = found.choices[0].message
        assert (message.content, message.varco["raw"]) == (wanted.text, wanted.raw)
        assert found.choices[0].finish_reason == {"end": "stop"}.get(wanted.stop_reason, "length")
        assert found.usage.prompt_tokens == wanted.prompt_tokens
        assert found.usage.completion_tokens == wanted.new_tokens
        assert found.usage.total_tokens == wanted.prompt_tokens + wanted.new_tokens
        assert message.varco["image_tokens"] == wanted.image_tokens


def test_order_of_pictures_matters_and_is_kept(vision, client):
    first, second = png(seed=3), png(90, 30, seed=4)
    words = [
        client.chat.completions.create(model="model", messages=shown("x", *pair), max_tokens=16)
        .choices[0]
        .message.varco
        for pair in ((first, second), (second, first))
    ]
    assert [w["raw"] for w in words] == [
        expected(vision, "x", *pair, max_new_tokens=16).raw for pair in ((first, second), (second, first))
    ]
    assert words[0]["pictures"] == words[1]["pictures"][::-1] == [dict(width=60, height=40), dict(width=90, height=30)]


def test_tasks_spell_out_what_the_python_calls_spell_out(nano):
    vision, ask = nano.service.engine, nano.client().chat.completions.create
    name = nano.client().models.list().data[0].id
    box = [0.7, 0.05, 0.96, 0.37]
    texts = {
        "ground": ("Where is the red circle?", "<gro>\nWhere is the red circle?", {}),
        "refer": (
            "이것은 무엇인가요?",
            refer_text("이것은 무엇인가요?", None, Box(*box), nano.service.engine.loaded.digits),
            {"box": box},
        ),
        "ocr": (None, "<ocr>", {}),
    }
    for task, (asked, spelled, more) in texts.items():
        found = ask(
            model=name, messages=shown(asked, scene()), max_tokens=60, extra_body={"varco": {"task": task, **more}}
        )
        content = [{"type": "image"}, {"type": "text", "text": spelled}]
        request = Request([{"role": "user", "content": content}], [scene()], 60, constrain=True)
        wanted = vision.generate([request])[0]
        assert found.choices[0].message.varco["raw"] == wanted.raw, task


def test_boxes_come_parsed_and_in_pixels(nano):
    name = nano.client().models.list().data[0].id
    found = nano.client().chat.completions.create(
        model=name, messages=shown("빨간색 원은 어디에 있나요?", scene()), extra_body={"varco": {"task": "ground"}}
    )
    message = found.choices[0].message
    varco = message.varco
    thing = varco["objects"][0]
    assert thing["phrase"] and thing["phrase"] in message.content
    place = thing["boxes"][0]
    assert place["pixels"] == pytest.approx([128 * v for v in place["box"]], abs=0.06)
    named = [item for item in markup.parse(varco["raw"]) if isinstance(item, markup.Object)]
    assert named[0].boxes[0] == Box(*place["box"])
    assert "".join(item["text"] for item in varco["items"]) == varco["text"]
    raw = nano.client().chat.completions.create(
        model=name,
        messages=shown("빨간색 원은 어디에 있나요?", scene()),
        extra_body={"varco": {"task": "ground", "content": "raw"}},
    )
    assert raw.choices[0].message.content == varco["raw"]


@pytest.mark.parametrize("task", ["ground", "ocr", "chat"])
def test_a_stream_adds_up_to_the_answer(nano, task):
    client, name = nano.client(), nano.client().models.list().data[0].id
    text = None if task == "ocr" else "이미지를 설명해줘."
    picture = scene("words") if task == "ocr" else scene()
    asked = dict(model=name, messages=shown(text, picture), max_tokens=80, extra_body={"varco": {"task": task}})
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    parts = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert "".join(parts) == whole.choices[0].message.content
    assert len(parts) > 1 or task == "ocr"
    assert chunks[0].choices[0].delta.role == "assistant"
    last = [c for c in chunks if c.choices][-1]
    assert last.choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.choices[0].delta.varco["items"] == whole.choices[0].message.varco["items"]
    assert chunks[-1].usage == whole.usage and not chunks[-1].choices
    assert len({c.id for c in chunks}) == 1


def test_log_probabilities(server, client, vision):
    wanted = expected(vision, "where", max_new_tokens=12, top_log_probs=2)
    found = client.chat.completions.create(
        model="model", messages=shown("where"), max_tokens=12, logprobs=True, top_logprobs=2,
        extra_body={"varco": {"content": "raw"}},
    )  # fmt: skip
    entries = found.choices[0].logprobs.content
    assert [e.logprob for e in entries] == pytest.approx(wanted.log_probs[: len(entries)], abs=1e-5)
    assert len(entries) == len(wanted.token_ids)
    spelled = b"".join(bytes(e.bytes) for e in entries).decode("utf-8", "replace").strip()
    assert spelled == wanted.raw
    assert all(len(e.top_logprobs) == 2 and e.top_logprobs[0].logprob >= e.top_logprobs[1].logprob for e in entries)
    streamed = client.chat.completions.create(
        model="model", messages=shown("where"), max_tokens=12, logprobs=True, stream=True
    )
    told = [e for c in streamed if c.choices and c.choices[0].logprobs for e in c.choices[0].logprobs.content or []]
    assert [e.token for e in told] == [e.token for e in entries]


def test_seeds_and_choices(client, vision):
    asked = dict(model="model", messages=shown("a"), max_tokens=12, temperature=1.2, top_p=0.9, seed=7, n=3)
    first, again = (client.chat.completions.create(**asked) for _ in range(2))
    texts = [c.message.varco["raw"] for c in first.choices]
    assert texts == [c.message.varco["raw"] for c in again.choices]
    assert [c.index for c in first.choices] == [0, 1, 2] and len(set(texts)) > 1
    for k, text in enumerate(texts):
        sampling = Sampling(temperature=1.2, top_p=0.9, seed=7 + k)
        assert text == expected(vision, "a", max_new_tokens=12, sampling=sampling).raw
    assert first.usage.completion_tokens == sum(c.message.varco["new_tokens"] for c in first.choices)


def test_stop_texts_end_an_answer(nano):
    client, name = nano.client(), nano.client().models.list().data[0].id
    asked = dict(model=name, messages=shown("이미지를 설명해줘.", scene()))
    whole = client.chat.completions.create(**asked).choices[0].message.content
    stop = whole[3:5]
    cut = client.chat.completions.create(**asked, stop=stop).choices[0]
    assert (cut.message.content, cut.finish_reason) == (whole[: whole.index(stop)], "stop")
    chunks = client.chat.completions.create(**asked, stop=["never", stop], stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == cut.message.content
    eventually(lambda: nano.service.stats()["running"] == 0)


def test_earlier_answers_come_back_with_their_boxes(nano):
    client, name = nano.client(), nano.client().models.list().data[0].id
    turns = shown("Where is the red circle?", scene())
    first = client.chat.completions.create(model=name, messages=turns, extra_body={"varco": {"task": "ground"}})
    turns = [*turns, first.choices[0].message.to_dict(), {"role": "user", "content": "How many objects are there?"}]
    second = client.chat.completions.create(model=name, messages=turns, max_tokens=8)
    plain = [*turns[:1], {"role": "assistant", "content": first.choices[0].message.content}, turns[2]]
    without = client.chat.completions.create(model=name, messages=plain, max_tokens=8)
    assert second.usage.prompt_tokens > without.usage.prompt_tokens


def test_special_tokens_in_texts_stay_text(client):
    """A turn that is forged inside a text must not end the turn; markers count only where they are allowed."""
    said = [
        client.chat.completions.create(
            model="model", messages=shown(text), max_tokens=1, extra_body=more
        ).usage.prompt_tokens
        for text, more in (
            ("a", {}),
            ("a<|im_end|>", {}),
            ("a<image>", {}),
            ("a<gro>", {}),
            ("a<gro>", {"varco": {"markup": False}}),
        )
    ]
    assert said[1] > said[0] + 3 and said[2] > said[0] + 3
    assert said[3] == said[0] + 1 and said[4] > said[0] + 3


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["n"], "additionalProperties": False},
        {"type": "array", "items": {"enum": ["빨강", "red"]}, "minItems": 2, "maxItems": 3},
        {"type": "object", "properties": {"색": {"enum": ["파랑", "초록"]}, "ok": {"type": "boolean"}}, "required": ["색", "ok"], "additionalProperties": False},
    ],
)  # fmt: skip
def test_json_schemas_are_kept(server, nano, schema):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    for found in (server, nano):
        client = found.client()
        name = client.models.list().data[0].id
        for sampling in ({}, {"temperature": 1.5, "seed": 1}):
            answer = client.chat.completions.create(
                model=name, messages=shown("물체가 몇 개 있나요?"), response_format=form, max_tokens=100, **sampling
            )
            assert answer.choices[0].finish_reason == "stop"
            jsonschema.validate(json.loads(answer.choices[0].message.content), schema)


def test_json_objects_never_hold_markers(nano):
    """A free JSON string may hold anything but markers; where it is cut off, the answer says so."""
    client, name = nano.client(), nano.client().models.list().data[0].id
    for seed in range(3):
        answer = client.chat.completions.create(
            model=name, messages=shown("<gro>\nWhere?", scene()), response_format={"type": "json_object"},
            max_tokens=40, temperature=1.5, seed=seed,
        ).choices[0]  # fmt: skip
        assert answer.message.content.startswith("{")
        assert not any(marker in answer.message.varco["raw"] for marker in markup.MARKERS)
        if answer.finish_reason == "stop":
            assert isinstance(json.loads(answer.message.content), dict)


# --- refusals ------------------------------------------------------------------------------------------------------


def chunk(kind, content):
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


HUGE = chunk(b"IHDR", (50_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0")
BOMB = b"\x89PNG\r\n\x1a\n" + HUGE + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")


def faulty():
    """Name, what of a good request is replaced, status, code, and a part of the message."""
    jpeg = encoded(Image.effect_mandelbrot((80, 60), (-2, -1, 1, 1), 9).convert("RGB"), "JPEG")
    yield "model", {"model": "other"}, 404, "model_not_found", "other"
    yield "no messages", {"messages": []}, 400, "invalid_value", "messages"
    yield "role", {"messages": [{"role": "tool", "content": "x"}]}, 400, "invalid_value", "messages.0.role"
    yield "last turn", {"messages": [*shown("x"), {"role": "assistant", "content": "y"}]}, 400, "invalid_value", "user"
    yield "part", {"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, 400, "invalid_value", "content.0"
    yield "empty", {"messages": [{"role": "user", "content": " "}]}, 400, "invalid_value", "no text"
    yield "tools", {"tools": []}, 400, "unsupported_parameter", "tools"
    yield "tokens", {"max_tokens": 10**6}, 400, "invalid_value", "at most"
    yield "no tokens", {"max_tokens": 0}, 400, "invalid_value", "max_tokens"
    yield "temperature", {"temperature": 9}, 400, "invalid_value", "temperature"
    yield "string", {"temperature": "1"}, 400, "invalid_value", "temperature"
    yield "choices", {"n": 99}, 400, "invalid_value", "at most"
    yield "top", {"top_logprobs": 2}, 400, "invalid_value", "logprobs"
    yield "text", {"messages": shown("a" * 200_001)}, 400, "invalid_value", "characters"
    yield "long", {"messages": shown("가나다 " * 3000)}, 400, "context_length_exceeded", "reads at most"
    yield "schema", {"response_format": {"type": "json_schema"}}, 400, "invalid_value", "json_schema"
    bad = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "nothing"}}}
    yield "bad schema", {"response_format": bad}, 400, "invalid_value", "nothing"
    yield "box", {"varco": {"task": "refer"}, "messages": shown("x", png())}, 400, "invalid_value", "box"
    swapped = {"task": "refer", "box": [0.9, 0.1, 0.2, 0.3]}
    yield "swapped", {"varco": swapped, "messages": shown("x", png())}, 400, "invalid_value", "swapped"
    yield (
        "two pages",
        {"varco": {"task": "ocr"}, "messages": shown(None, png(), png())},
        400,
        "invalid_value",
        "one picture",
    )
    yield (
        "text of a page",
        {"varco": {"task": "ocr"}, "messages": shown("x", png())},
        400,
        "invalid_value",
        "without a text",
    )
    for name, url, told in (
        ("web", "https://example.org/a.png", "fetches nothing"),
        ("file", "file:///etc/passwd", "fetches nothing"),
        ("path", "/etc/passwd", "fetches nothing"),
        ("base64", "data:image/png;base64,@@", "base64"),
        ("not base64", "data:image/png,abc", "data URL"),
        ("nothing", "data:image/png;base64,", "0 bytes"),
        ("no picture", data_url(b"%PDF-1.7 ..."), "no picture"),
        ("half", data_url(jpeg[: len(jpeg) // 2], "image/jpeg"), "cut off"),
        ("bomb", data_url(BOMB), "too large"),
    ):
        yield name, {"messages": shown("x", url)}, 400, "invalid_image", told
    many = [png(seed=k) for k in range(9)]
    yield "pictures", {"messages": shown("x", *many)}, 400, "invalid_value", "at most 8"


@pytest.mark.parametrize("case", list(faulty()), ids=lambda case: case[0])
def test_refusals_say_what_is_wrong(server, case):
    _, change, status, code, told = case
    answer = server.post({"model": "model", "messages": shown("x"), **TEN, **change})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code and told in error["message"], error
    assert set(error) == {"message", "type", "param", "code"}
    assert "\n" not in error["message"] and len(error["message"]) < 600
    assert server.service.stats()["running"] == server.service.stats()["waiting"] == 0


def test_bodies_that_are_none(server):
    for body, status in ((b"{", 400), (b"", 400), (b"\xff\xfe", 400), (b"[" * 100_000, 400), (b"null", 400)):
        answer = httpx2.post(
            f"{server.url}/v1/chat/completions", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == status and answer.json()["error"]["message"], body[:10]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gif", encoded(Image.new("P", (60, 40)), "GIF", save_all=True, append_images=[Image.new("P", (60, 40), 1)])),
        ("cmyk", encoded(Image.new("CMYK", (60, 40), (9, 99, 0, 0)), "JPEG")),
        ("16 bit", encoded(Image.new("I;16", (60, 40), 40_000), "PNG")),
        ("transparent", encoded(Image.new("RGBA", (60, 40), (1, 2, 3, 0)), "PNG")),
    ],
)
def test_unusual_pictures_are_read(server, vision, name, content):
    found = server.post({"model": "model", "messages": shown("x", content), **TEN}).json()
    assert found["choices"][0]["message"]["varco"]["raw"] == expected(vision, "x", content, max_new_tokens=10).raw


def test_boxes_refer_to_the_upright_picture(server):
    turned = Image.new("RGB", (60, 40), (200, 10, 10))
    exif = turned.getexif()
    exif[0x0112] = 6
    found = server.post({"model": "model", "messages": shown("x", encoded(turned, "JPEG", exif=exif)), **TEN}).json()
    assert found["choices"][0]["message"]["varco"]["pictures"] == [{"width": 40, "height": 60}]


def test_paths_and_methods(server):
    assert httpx2.get(f"{server.url}/nothing").json()["error"]["type"] == "not_found_error"
    answer = httpx2.get(f"{server.url}/v1/chat/completions")
    assert answer.status_code == 405 and "POST" in answer.headers["allow"] and answer.json()["error"]
    assert httpx2.get(f"{server.url}/").status_code == 404, "the page is not served unless it is asked for"


def test_models_health_metrics(server, client):
    assert [m.id for m in client.models.list()] == ["model"]
    assert client.models.retrieve("model").id == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")
    assert httpx2.get(f"{server.url}/health").json() == {"status": "ok"}

    def read():
        lines = httpx2.get(f"{server.url}/metrics").text.splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}

    before = read()
    used = client.chat.completions.create(model="model", messages=shown("x", png()), **TEN)
    after = read()
    grown = {name: after[name] - before.get(name, 0.0) for name in after}
    assert grown["varco_vision_new_tokens_total"] == used.usage.completion_tokens
    assert grown["varco_vision_prompt_tokens_total"] == used.usage.prompt_tokens
    assert grown["varco_vision_image_tokens_total"] == used.choices[0].message.varco["image_tokens"]
    assert grown['varco_vision_responses_total{path="/v1/chat/completions",status="200"}'] == 1
    assert grown["varco_vision_first_token_seconds_count"] == 1
    assert after["varco_vision_admitted"] == after["varco_vision_held_bytes"] == 0
    assert after['varco_vision_engine_requests{state="running"}'] == 0


def test_small_pieces_are_sent_at_once(vision, server, monkeypatch):
    """Without TCP_NODELAY a stream waits 40 ms for every acknowledgement."""
    seen = []
    real = asyncio.selector_events._SelectorSocketTransport.write

    def write(transport, data):
        seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return real(transport, data)

    monkeypatch.setattr(asyncio.selector_events._SelectorSocketTransport, "write", write)
    assert server.post({"model": "model", "messages": shown("x"), **TEN}).status_code == 200
    assert seen and all(seen)


# --- doors ---------------------------------------------------------------------------------------------------------


def test_keys_names_types_and_sizes(vision):
    limits = Limits(body=20_000, body_time=0.5)
    with running(vision, limits, keys=("a-long-key", "another-key"), own_names=("127.0.0.1",)) as found:
        good = {"model": "model", "messages": shown("x"), **TEN}
        bearer = {"authorization": "Bearer another-key"}
        assert found.post(good, headers=bearer).status_code == 200
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic another-key"}):
            answer = found.post(good, headers=headers)
            assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
            assert answer.headers["www-authenticate"] == "Bearer"
        with pytest.raises(openai.AuthenticationError):
            found.client(api_key="wrong-key").models.list()
        assert found.client(api_key="a-long-key").models.list().data
        assert httpx2.get(f"{found.url}/metrics").status_code == 401
        assert httpx2.get(f"{found.url}/health").status_code == 200

        foreign = found.post(good, headers={**bearer, "host": "evil.example:80"})
        assert foreign.status_code == 421
        form = httpx2.post(f"{found.url}/v1/chat/completions", data={"a": "b"}, headers=bearer)
        assert form.status_code == 415

        large = {**good, "messages": shown("a" * 30_000)}
        assert found.post(large, headers=bearer).status_code == 413

        def chunked():
            for _ in range(40):
                yield b" " * 1000

        headers = {**bearer, "content-type": "application/json"}
        answer = httpx2.post(f"{found.url}/v1/chat/completions", content=chunked(), headers=headers)
        assert answer.status_code == 413
        with raw_connection(found.url) as slow:
            slow.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer a-long-key\r\n"
                b"content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"
            )
            assert b" 408 " in slow.recv(1000)
        assert found.desk.admitted == 0
