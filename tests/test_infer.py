"""Inference: token for token what transformers generates, batched or not; stop reasons; the API."""

from __future__ import annotations

import copy
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import picture_processor, write_tiny
from transformers import LlavaOnevisionProcessor

from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig, Box
from varco_vision.infer.answer import Answer
from varco_vision.infer.api import VarcoVision, refer_text
from varco_vision.infer.engine import Engine, Request
from varco_vision.infer.ocr import upscaled
from varco_vision.model import checkpoint

SIZES = [(32, 32), (64, 48), (48, 64), (200, 40), (30, 170), (320, 320), (193, 191), (5, 3)]


class Recording(Engine):
    """Keeps the ids and log-probabilities of every answer."""

    def generate(self, requests, progress=None):
        self.rows = {}
        return super().generate(requests, progress)

    def answer(self, row):
        self.rows[row.prompt.index] = row
        return super().answer(row)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return checkpoint.load(write_tiny(tmp_path_factory.mktemp("tiny") / "model"), device="cpu")


def picture(width, height, seed=0):
    """Blocks of colour, so that scaling and cropping matter."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BILINEAR)


def request(text, sizes=(), tokens=24, seed=0):
    images = [picture(*size, seed + k) for k, size in enumerate(sizes)]
    content = [{"type": "image"} for _ in sizes] + [{"type": "text", "text": text}]
    return Request([{"role": "user", "content": content}], images, tokens)


def reference(loaded, asked):
    """(ids, log-probabilities) of `model.generate` on what transformers' own processor makes of the request."""
    model, tokenizer = loaded.model, loaded.tokenizer
    inputs, counts = {}, []
    if asked.images:
        processor = LlavaOnevisionProcessor.__new__(LlavaOnevisionProcessor)  # its __init__ insists on torchvision
        processor.image_processor = picture_processor(model.config)
        processor.num_image_tokens, processor.vision_feature_select_strategy = loaded.anyres.side**2, "full"
        processor.vision_aspect_ratio, processor.image_token = model.config.vision_aspect_ratio, "<image>"
        inputs = dict(processor.image_processor([asked.images], return_tensors="pt"))
        plain = {key: value.tolist() if key != "pixel_values" else value for key, value in inputs.items()}
        counts = [processor.replace_image_token(plain, k).count("<image>") for k in range(len(asked.images))]
    prompt = tokenizer.apply_chat_template(asked.messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    image_id, remaining, ids = model.config.image_token_id, iter(counts), []
    for token in prompt:
        ids += [token] * (next(remaining) if token == image_id else 1)
    out = model.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        **inputs,
        max_new_tokens=asked.max_new_tokens,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    tokens = out.sequences[0, len(ids) :].tolist()
    scores = [step[0].float().log_softmax(-1)[token].item() for step, token in zip(out.logits, tokens, strict=True)]
    return tokens, scores


@pytest.mark.parametrize("sizes", [[size] for size in SIZES] + [[(64, 48), (40, 90)], [(32, 32)] * 3, []], ids=str)
def test_greedy_equals_transformers(loaded, sizes):
    asked = request("그림에 <gro> 파란 네모가 있나요?\n  Where?", sizes)
    engine = Recording(loaded)
    (answer,) = engine.generate([asked])
    tokens, scores = reference(loaded, asked)
    row = engine.rows[0]
    ended = tokens[-1] in loaded.stop_ids
    assert row.ids == (tokens[:-1] if ended else tokens)
    assert row.log_probs == pytest.approx(scores, abs=1e-4)
    assert answer.confidence == pytest.approx(math.exp(sum(scores) / len(scores)), abs=1e-5)
    assert answer.stop_reason == ("end" if ended else "length")
    assert answer.truncated is not ended


def test_the_picture_changes_the_answer(loaded):
    """Guards the parity test: a model that ignored its pictures would pass with any features."""
    answers = Engine(loaded).generate([request("Where?", [(64, 48)], seed=seed) for seed in range(6)])
    assert len({answer.raw for answer in answers}) > 1


def mixed():
    return [
        request("Where is the red circle?", [(64, 48)], 40),
        request("안녕하세요", [], 17),
        request("두 그림을 비교해줘.", [(64, 48), (48, 64)], 33),
        request("<ocr>", [(200, 40)], 60),
        request("x", [], 1),
        request("Describe the picture in detail, and then count everything in it.", [(30, 170)], 25),
        request("Where is the red circle?", [(64, 48)], 5),
        request("<gro>\n이미지를 자세히 묘사해줘.", [(193, 191)], 48),
    ]


@pytest.mark.parametrize("batch_size", [3, 8])
def test_batch_equals_single(loaded, batch_size):
    batched, single, seen = Recording(loaded, batch_size), Recording(loaded, 1), []
    together = batched.generate(mixed(), progress=seen.append)
    assert seen[-1] == 8 and seen == sorted(seen)
    alone = single.generate(mixed())
    for k, (a, b) in enumerate(zip(together, alone, strict=True)):
        assert batched.rows[k].ids == single.rows[k].ids
        assert (a.raw, a.text, a.stop_reason, a.image_tokens) == (b.raw, b.text, b.stop_reason, b.image_tokens)
        assert a.confidence == pytest.approx(b.confidence, abs=1e-5)


def test_rows_keep_their_own_positions(loaded):
    """Rotary embeddings hide a shift, until a short prompt beside a long one runs out of the trained context."""
    engine = Recording(loaded)
    decoder, seen = engine._memory.decoder, []
    step = decoder.step
    engine._batch._step = lambda tokens, positions, *rest: (
        seen.append(positions.tolist()) or step(tokens, positions, *rest)
    )
    engine.generate([request("아주 긴 질문입니다. 무엇이 보이나요?", [], 3), request("x", [], 3)])
    lengths = [len(engine.rows[k].prompt.ids) for k in (0, 1)]
    assert lengths[0] > lengths[1]
    assert seen == [lengths, [length + 1 for length in lengths]]


def test_prompt_token_budget_bounds_the_rows(loaded):
    engine, sizes = Recording(loaded, 8, prompt_tokens=300), []
    admit = engine._batch.admit

    def watched(rows):
        together = [*engine._batch.rows, *rows]
        if rows:
            sizes.append((len(together), max(len(row.prompt.ids) for row in together)))
        return admit(rows)

    engine._batch.admit = watched
    engine.generate(mixed())
    assert all(count == 1 or count * longest <= 300 for count, longest in sizes)
    assert len(sizes) > 3 and any(count > 1 for count, _ in sizes), "short prompts share a batch"


def test_equal_pictures_are_encoded_once(loaded, monkeypatch):
    from varco_vision.infer import features as module

    views, encode = [], module.Tower.__call__
    monkeypatch.setattr(module.Tower, "__call__", lambda t, v, *rest: views.append(len(v)) or encode(t, v, *rest))
    same = [request(text, [(64, 48)], 2) for text in "abcd"]
    Engine(loaded).generate(same)
    assert views == [5]
    Engine(loaded, batch_size=1).generate(same)
    assert views == [5, 5], "the features of the batch before are reused"
    pair = request("a", [(64, 48)], 2, seed=0).images * 2
    both = replace(request("a", [(64, 48)] * 2, 2), images=pair)
    Engine(loaded).generate([both, request("b", [(64, 48)], 2)])
    assert views == [5, 5, 6], "the same picture alone is tiled, beside others it is one view"


def test_many_views_go_through_the_tower_in_several_calls(loaded, monkeypatch):
    from varco_vision.infer import features as module

    asked = [request("a", [(64, 48)], 20), request("b", [(200, 40)], 20)]
    once = Engine(loaded).generate(asked)
    calls, encode = [], module.Tower.__call__
    monkeypatch.setattr(module, "PATCHES_PER_CALL", 3 * 16)
    monkeypatch.setattr(module.Tower, "__call__", lambda t, v, *rest: calls.append(len(v)) or encode(t, v, *rest))
    split = Engine(loaded).generate(asked)
    assert len(calls) > 1 and max(calls) == 3
    assert [a.raw for a in once] == [a.raw for a in split]


def test_single_view(loaded):
    answers = Engine(loaded).generate(
        [replace(request("a", [(64, 48)], 2), single_view=flag) for flag in (True, False)]
    )
    assert [answer.image_tokens for answer in answers] == [17, 16 + 6 * 9]


def test_end_token_of_the_generation_settings_stops(loaded, monkeypatch):
    asked = request("안녕", [(64, 48)], 40)
    engine = Recording(loaded, stop_loops=False)
    engine.generate([asked])
    free = engine.rows[0].ids
    stop = free[-1]
    assert free.index(stop) > 2
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", [stop, 3])
    stopping = Recording(loaded)
    (answer,) = stopping.generate([asked])
    assert stopping.rows[0].ids == free[: free.index(stop)]
    assert (answer.stop_reason, answer.truncated) == ("end", False)
    assert answer.new_tokens == free.index(stop) + 1


def test_looping_model_is_stopped_and_reported(loaded):
    """A head that says the same token whatever it is given."""
    stub = replace(loaded, model=copy.deepcopy(loaded.model))
    head = torch.nn.Linear(stub.model.lm_head.in_features, stub.model.lm_head.out_features)
    token = stub.tokenizer.convert_tokens_to_ids("a")
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()[token] = 5.0
    stub.model.lm_head = head
    looped, cut = Engine(stub).generate([request("안녕", [], 500), request("x", [], 20)])
    assert (looped.stop_reason, looped.truncated, looped.raw) == ("loop", True, "a")
    assert (cut.stop_reason, cut.truncated, cut.raw) == ("length", True, "a" * 20)
    (free,) = Engine(stub, stop_loops=False).generate([request("안녕", [], 100)])
    assert (free.stop_reason, free.raw) == ("length", "a" * 100)


def test_too_long_prompt_names_the_numbers(loaded):
    with pytest.raises(InputError, match=r"request 1 has \d{4} tokens, 36 of them for 1 picture.* at most 2047"):
        Engine(loaded).generate([request("a"), request("나" * 2000, [(32, 32)])])


def test_answer_ends_where_the_context_ends(loaded):
    text = "x"
    engine = Recording(loaded)
    engine.generate([request(text, [], 1)])
    used = len(engine.rows[0].prompt.ids)
    filler = request("x" * (2048 - used - 4), [], 50)
    (answer,) = engine.generate([filler])
    room = 2048 - len(engine.rows[0].prompt.ids)
    assert answer.stop_reason == "length" and answer.new_tokens == room < 50


def test_wrong_requests(loaded):
    with pytest.raises(InputError, match="request 0 has 1 pictures and 0 image parts"):
        Engine(loaded).generate([Request([{"role": "user", "content": "a"}], [picture(9, 9)])])
    with pytest.raises(InputError, match="0 new tokens"):
        Engine(loaded).generate([request("a", [], 0)])
    with pytest.raises(InputError, match="batch_size"):
        Engine(loaded, batch_size=0)
    assert Engine(loaded).generate([]) == []


def test_config_that_contradicts_the_tower_is_named(loaded):
    wrong = replace(loaded, anyres=replace(loaded.anyres, patch=16, pinpoints=loaded.anyres.pinpoints))
    with pytest.raises(InputError, match=r"64 x 48 pixels gave 16 features, 4 were expected"):
        Engine(wrong).generate([request("a", [(64, 48)])])


# --- API ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def vision(loaded, monkeypatch):
    """The API with an engine that only notes what it is asked."""
    vv = VarcoVision(loaded)
    vv.asked = []
    answer = Answer("t", "<obj>t</obj>", [], [], False, "end", 1.0, 0)
    monkeypatch.setattr(
        vv.engine, "generate", lambda requests, progress=None: vv.asked.extend(requests) or [answer] * len(requests)
    )
    return vv


def texts(request):
    return [(m["role"], [p.get("text", p["type"]) for p in m["content"]]) for m in request.messages]


def test_chat_requests(vision):
    image = picture(8, 8)
    vision.chat(image, "<gro> 뭐야?")
    vision.chat(None, "안녕", max_new_tokens=7)
    vision.chat([image, image], "비교해줘", history=[("처음", "답"), ("둘", vision.chat(None, "x"))])
    vision.chat(None, "<gro> 글자", markup=False)
    assert texts(vision.asked[0]) == [("user", ["image", "<gro> 뭐야?"])]
    assert vision.asked[1].images == [] and vision.asked[1].max_new_tokens == 7
    assert texts(vision.asked[3]) == [
        ("user", ["image", "image", "처음"]),
        ("assistant", ["답"]),
        ("user", ["둘"]),
        ("assistant", ["<obj>t</obj>"]),
        ("user", ["비교해줘"]),
    ]
    assert texts(vision.asked[4])[0][1][0] != "<gro> 글자"
    assert texts(vision.asked[4])[0][1][0].replace("\u2060", "") == "<gro> 글자"


def test_ground_refer_and_ocr_requests(vision):
    image = picture(8, 8)
    vision.ground(image, "묘사해줘")
    vision.ground(image, "<gro>\n묘사해줘")
    vision.refer(image, "뭐야?", box=Box(0, 0.1234, 0.5, 1))
    page = vision.ocr(image)
    asked = [texts(one)[0][1][1] for one in vision.asked]
    assert asked == [
        "<gro>\n묘사해줘",
        "<gro>\n묘사해줘",
        "<obj>이 물체</obj><bbox>0.0, 0.123, 0.5, 1.0</bbox> 뭐야?",
        "<ocr>",
    ]
    assert (page.width, page.height) == (8, 8)


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("What is it for?", None, "<obj>this object</obj>B What is it for?"),
        ("What is this object for?", None, "What is <obj>this object</obj>B for?"),
        ("이 물체는 뭐야?", None, "<obj>이 물체</obj>B는 뭐야?"),
        ("은 어떻게 써?", "이 물건", "<obj>이 물건</obj>B은 어떻게 써?"),
        ("이 물건은 어떻게 써?", "이 물건", "<obj>이 물건</obj>B은 어떻게 써?"),
        ("", "x", "<obj>x</obj>B "),
    ],
)
def test_refer_text(text, phrase, expected):
    box = Box(0.25, 0.5, 0.75, 1)
    assert refer_text(text, phrase, box) == expected.replace("B", "<bbox>0.25, 0.5, 0.75, 1.0</bbox>")


def test_refer_text_with_markup():
    text = "<obj>x</obj><bbox>0.1, 0.1, 0.2, 0.2</bbox>?"
    assert refer_text(text, None, None) == text
    with pytest.raises(InputError, match="not both"):
        refer_text(text, None, Box(0, 0, 1, 1))
    with pytest.raises(InputError, match="refer needs box"):
        refer_text("뭐야?", None, None)


def test_ocr_scales_up_only_where_the_published_models_are(loaded):
    assert upscaled(picture(100, 50), loaded.anyres).size == (100, 50)
    published = AnyResConfig(tile=384, patch=14)
    assert upscaled(picture(100, 51), published).size == (2304, 1175)
    assert upscaled(picture(2400, 20), published).size == (2400, 20)
    assert upscaled(picture(100, 50), loaded.anyres, 300).size == (300, 150)
    assert upscaled(picture(100, 50), published, 0).size == (100, 50)


def test_chat_batch_forms_and_faults(loaded):
    vv = VarcoVision(loaded)
    image = picture(40, 30)
    asked = [
        (image, "a"),
        {"text": "b", "max_new_tokens": 3},
        {"images": [image, image], "text": "c", "history": [("q", "r")]},
    ]
    batched = vv.chat_batch(asked, max_new_tokens=9)
    single = [
        vv.chat(image, "a", max_new_tokens=9),
        vv.chat(None, "b", max_new_tokens=3),
        vv.chat([image, image], "c", history=[("q", "r")], max_new_tokens=9),
    ]
    assert [a.raw for a in batched] == [a.raw for a in single]
    for wrong, message in [
        ({"text": "a", "picture": 1}, "unknown keys"),
        ("a", "request 0 is str"),
        ({"text": "a", "image": image, "images": [image]}, "both"),
    ]:
        with pytest.raises(InputError, match=message):
            vv.chat_batch([wrong])


def test_from_pretrained_faults(tmp_path):
    with pytest.raises(InputError, match="unknown device 'gpu7'"):
        VarcoVision.from_pretrained(tmp_path, device="gpu7")
    with pytest.raises(InputError, match=re.escape("config.json")):
        VarcoVision.from_pretrained(tmp_path)
