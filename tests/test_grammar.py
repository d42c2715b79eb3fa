"""Constrained boxes: every legal text passes token by token, every constrained text is legal, nothing else changes."""

from __future__ import annotations

import re
from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import CORPUS, tiny_tokenizer, write_tiny
from transformers import PreTrainedTokenizerFast

from varco_vision import markup
from varco_vision.chat import decode
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.infer.engine import Engine, Request
from varco_vision.infer.grammar import BoxGrammar, BoxState, NumberRules, advance, complete
from varco_vision.infer.sampling import Sampling
from varco_vision.markup import MARKERS, Chars, Object, Text
from varco_vision.model import checkpoint
from varco_vision.model.tokenizer import build_tokenizer

KINDS = ("digits", "numbers")


@lru_cache
def tokenizer(kind) -> PreTrainedTokenizerFast:
    """One that spells digit by digit, as the published models do, and one whose numbers are tokens."""
    if kind == "digits":
        return tiny_tokenizer()
    made = build_tokenizer(CORPUS * 3, merges=100)
    made.add_special_tokens({"additional_special_tokens": ["<image>", *MARKERS]})
    return made


@lru_cache
def grammar(kind) -> BoxGrammar:
    made = tokenizer(kind)
    return BoxGrammar(made, 3 if kind == "digits" else 2, frozenset([made.eos_token_id]))


def ids_of(kind, text):
    return tokenizer(kind).encode(text, add_special_tokens=False)


def boxes(digits):
    top = 10**digits
    pair = st.tuples(st.integers(0, top), st.integers(0, top)).map(sorted)
    return st.tuples(pair, pair).map(lambda p: Box(p[0][0] / top, p[1][0] / top, p[0][1] / top, p[1][1] / top))


words = st.text(st.sampled_from("가나다빨간 redstop.,0123!\n"), min_size=1, max_size=8).filter(str.strip)


def items(digits):
    several = st.lists(boxes(digits), min_size=1, max_size=3).map(tuple)
    thing = st.builds(Object, words, several) | st.builds(Chars, words, several) | st.builds(Text, words)
    return st.lists(thing, max_size=4)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_legal_text_is_allowed(kind, data):
    text = markup.write(
        data.draw(items(grammar(kind).rules.steps == 1000 and 3 or 2)), grammar(kind).rules.steps == 1000 and 3 or 2
    )
    state = grammar(kind).start()
    for token in [*ids_of(kind, text), tokenizer(kind).eos_token_id]:
        assert state.allows(token), (text, tokenizer(kind).decode([token]))
        state.advance(token)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), eager=st.floats(0, 30))
def test_whatever_the_scores_boxes_come_out_legal(kind, seed, eager):
    """Random scores, which favour markers and digits; the box parts of the text must be as `markup.write` puts them."""
    made, rules = tokenizer(kind), grammar(kind)
    generator = torch.Generator().manual_seed(seed)
    state, ids = rules.start(), []
    liked = torch.tensor(sorted({*rules.markers, *rules.texts}))
    while len(ids) < 400:
        scores = torch.randn(len(made), generator=generator) * 3
        scores[liked] += eager * torch.rand(len(liked), generator=generator)
        token = int(scores.argmax())
        if not state.allows(token):
            masked = state.mask(scores.clone())
            assert masked[token] == -torch.inf
            token = int(masked.argmax())
            assert masked[token] > -torch.inf and state.allows(token)
        state.advance(token)
        if token == made.eos_token_id:
            break
        ids.append(token)
        if len(ids) > 60 and state.box is None:
            break
    text = decode(ids, made)
    for inside in re.findall("<bbox>(.*?)</bbox>", text, re.DOTALL):
        assert markup.legal(f"<obj>x</obj><bbox>{inside}</bbox>") == [], text
    assert text.count("<bbox>") - text.count("</bbox>") in {0, 1 if state.box is not None else 0}
    before = re.findall(r"(</?\w+>)?<bbox>", text)
    assert set(before) <= {"</obj>", "</char>"}, "a box follows a closed phrase"
    for opening, rest in re.findall(r"<(obj|char)>([^<]*<[^>]*>)", text):
        assert rest.endswith(f"</{opening}>"), "a phrase is closed by its own tag"


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_numbers_by_enumeration(digits):
    """All beginnings against the plain definition: can any canonical number from the bound on begin like that?"""
    rules = NumberRules(digits)
    numbers = [markup.format_number(n / 10**digits, digits) for n in range(10**digits + 1)]
    assert len(set(numbers)) == len(numbers)
    beginnings = {n[:k] for n in numbers for k in range(1, len(n) + 1)} | {"2", "1.1", "0.0000", "00", "-", "1.00", "."}
    for bound in {0, 1, 10**digits // 2, 10**digits - 1, 10**digits}:
        state = BoxState((bound, 0))
        for start in beginnings:
            possible = any(n.startswith(start) for n in numbers[bound:])
            assert (advance(state, start, rules) is not None) is possible, (bound, start)


def test_boxes_by_hand():
    rules = NumberRules(3)

    def after(text):
        return advance(BoxState(), text, rules)

    assert complete(after("0.1, 0.2, 0.3, 0.4"), rules)
    assert complete(after("0.5, 0.5, 0.5, 0.5"), rules), "a box without area is legal"
    assert not complete(after("0.1, 0.2, 0.3"), rules)
    assert not complete(after("0.1, 0.2, 0.3, 0."), rules)
    assert not complete(after("0.1, 0.2, 0.3, 0.20") or BoxState(), rules)
    for wrong in (
        "0.10,",
        "0,",
        "1.1",
        "0.1 ",
        "0.1,0",
        "0.1,  ",
        "0.5, 0.2, 0.4",
        "0.1, 0.9, 0.2, 0.8",
        ", ",
        "0.1234",
    ):
        assert after(wrong) is None, wrong
    assert after("0.5, 0.2, 0.5") is not None and after("0.5, 0.2, 0.50") is not None, "0.501 may follow"
    assert after("0.1, 0.2, 0.3, 0.4,") is None, "there is no fifth number"


def test_tokenizers_without_what_it_needs():
    made = tiny_tokenizer()
    plain = PreTrainedTokenizerFast(tokenizer_object=__import__("tokenizers").Tokenizer(made.backend_tokenizer.model))
    with pytest.raises(InputError, match="no <bbox>"):
        BoxGrammar(plain, 3, frozenset())


# --- in the engine -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return checkpoint.load(write_tiny(tmp_path_factory.mktemp("tiny") / "model"), device="cpu")


def ask(text, constrain, **rest):
    return Request([{"role": "user", "content": text}], [], 120, constrain=constrain, **rest)


class Script(torch.nn.Module):
    """A head that likes to say a given text, whatever it is shown, from wherever the answer stands."""

    def __init__(self, tokens, width):
        super().__init__()
        self.tokens, self.width, self.said = tokens, width, 0

    def forward(self, hidden):
        scores = torch.zeros(len(hidden), self.width)
        scores[:, self.tokens[min(self.said, len(self.tokens) - 1)]] = 9.0
        self.said += 1
        return scores


def scripted(loaded, text, constrain, **rest):
    import copy
    from dataclasses import replace

    made = loaded.tokenizer
    stub = replace(loaded, model=copy.copy(loaded.model))
    stub.model._modules = dict(loaded.model._modules)
    tokens = [*made.encode(text, add_special_tokens=False), made.eos_token_id]
    stub.model.lm_head = Script(tokens, loaded.model.lm_head.out_features)
    (answer,) = Engine(stub, stop_loops=False).generate([ask("a", constrain, **rest)])
    return answer


LEGAL = "두 <obj>빨간 원</obj><bbox>0.014, 0.106, 0.51, 0.996<delim>0.0, 0.0, 1.0, 1.0</bbox>이 있습니다."


def test_a_legal_greedy_answer_is_not_changed(loaded):
    free, constrained = (scripted(loaded, LEGAL, flag) for flag in (False, True))
    assert free.raw == constrained.raw == LEGAL
    assert free.token_ids == constrained.token_ids and constrained.forced == 0 and constrained.repairs == []
    assert free.log_probs == constrained.log_probs
    assert constrained.objects[0].confidences == pytest.approx([constrained.confidence] * 2, abs=0.02)


@pytest.mark.parametrize(
    "text",
    [
        "<obj>원</obj><bbox>0.5, 0.1, 0.2, 0.3</bbox>",
        "<obj>원</obj><bbox>1.4, 0.1, 0.2, 0.3</bbox>",
        "<obj>원</obj><bbox>0.1, 0.1, 0.2</bbox>",
        "<obj>원<bbox>0.1, 0.1, 0.2, 0.3</bbox>",
        "<obj>원</obj><bbox>0.1234, 0.1, 0.2, 0.3</bbox>",
        "<obj>원</obj><bbox>0.1 0.1 0.2 0.3</bbox>",
        "<char>글</obj><bbox>0.1, 0.1, 0.2, 0.3<obj>",
    ],
)
def test_a_faulty_answer_is_put_right(loaded, text):
    free, constrained = (scripted(loaded, text, flag) for flag in (False, True))
    assert free.repairs, "the reader says what it repaired"
    assert constrained.forced > 0
    for inside in re.findall("<bbox>(.*?)</bbox>", constrained.raw):
        assert markup.legal(f"<obj>x</obj><bbox>{inside}</bbox>") == []
    assert constrained.confidence < free.confidence, "what was forced is not called sure"


def test_random_models_write_legal_boxes_greedy_and_sampled(loaded):
    asked = [ask(f"{k} 어디?", True, sampling=Sampling(temperature=t, seed=k)) for k in range(8) for t in (0.0, 1.5)]
    for answer in Engine(loaded).generate(asked):
        for inside in re.findall("<bbox>(.*?)</bbox>", answer.raw):
            assert markup.legal(f"<obj>x</obj><bbox>{inside}</bbox>") == []


def test_api_constrains_grounding_and_ocr_unless_told_otherwise(loaded, monkeypatch):
    from PIL import Image

    from varco_vision.infer.api import VarcoVision
    from varco_vision.infer.ocr import OcrOptions

    vision, asked = VarcoVision(loaded), []
    generate = vision.engine.generate
    monkeypatch.setattr(
        vision.engine, "generate", lambda requests, *rest: asked.extend(requests) or generate(requests, *rest)
    )
    image = Image.new("RGB", (40, 40))
    vision.ground(image, "a", 2)
    vision.ocr(image, 2)
    vision.chat(image, "a", max_new_tokens=2)
    vision.ground(image, "a", 2, constrain=False)
    vision.ocr(image, options=OcrOptions(2, constrain=False))
    vision.chat(image, "a", max_new_tokens=2, constrain=True)
    assert [request.constrain for request in asked] == [True, True, False, False, False, True]
