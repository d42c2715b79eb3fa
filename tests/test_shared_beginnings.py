"""Questions about one picture that begin alike: what they share is read once, and the answers stay what they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image
from tiny import write_tiny

from varco_vision.infer.engine import Engine, Request
from varco_vision.infer.prompts import LEAST_SHARED, prepare, share_beginnings
from varco_vision.model import checkpoint


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tiny")
    write_tiny(directory)
    return checkpoint.load(directory, device="cpu")


def ask(text, shade, tokens=6):
    picture = Image.new("RGB", (60, 44), (shade, 80, 200 - shade))
    return Request(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}], [picture], tokens
    )


STEM = "그림에서 가장 왼쪽에 있는 도형은 무슨 색입니까? 다음 중에서 고르십시오.\n"
OPTIONS = ("A. 빨강\nB. 파랑", "A. 파랑\nB. 빨강", "A. 파랑\nB. 노랑\nC. 빨강")


def test_answers_are_those_without_sharing(loaded, monkeypatch):
    questions = [ask(STEM + options, shade) for shade in (10, 90) for options in OPTIONS] + [ask("무엇입니까?", 150)]
    cold = Engine(loaded, prefix_bytes=0).generate(questions)
    shared, plain = Engine(loaded, batch_size=4), Engine(loaded, batch_size=4)
    reads = {}
    for name, engine in (("shared", shared), ("plain", plain)):
        prefill, counted = engine._memory.decoder.prefill, reads.setdefault(name, [])
        engine._memory.decoder.prefill = lambda x, *rest, p=prefill, c=counted: c.append(len(x)) or p(x, *rest)
    assert [a.token_ids for a in shared.generate(questions)] == [a.token_ids for a in cold]
    monkeypatch.setattr("varco_vision.infer.engine.share_beginnings", lambda window, known: window)
    assert [a.token_ids for a in plain.generate(questions)] == [a.token_ids for a in cold]
    saved = sum(reads["plain"]) - sum(reads["shared"])
    stem = len(loaded.tokenizer(STEM, add_special_tokens=False)["input_ids"])
    assert saved >= 4 * (stem - 2), "two pictures, each with two questions that follow a first one"


def test_prefixes_grow_to_what_a_group_has_in_common(loaded):
    group = [prepare(ask(STEM + options, 10), loaded, k) for k, options in enumerate(OPTIONS)]
    other = prepare(ask(STEM + OPTIONS[0], 90), loaded, 3)
    found = share_beginnings([*group, other])
    length = found[0].prefix_length
    assert len({p.prefix for p in found[:3]}) == 1 and found[0].prefix != group[0].prefix
    assert {tuple(p.ids[:length]) for p in found[:3]} == {tuple(group[0].ids[:length])}
    assert len({p.ids[length] for p in found[:3]}) > 1, "one token more would not be common"
    assert found[3] == other, "a lone question keeps the picture's prefix"


def test_prefixes_that_are_known_or_hardly_longer_stay(loaded):
    group = [prepare(ask(STEM + options, 10), loaded, k) for k, options in enumerate(OPTIONS)]
    assert share_beginnings(group, {group[0].prefix}) == group
    few = [prepare(ask(text, 10), loaded, k) for k, text in enumerate(("가", "나", "다"))]
    assert share_beginnings(few) == few


def test_every_question_keeps_a_token_to_read(loaded):
    same = [prepare(ask(STEM, 10), loaded, k) for k in range(2)]
    found = share_beginnings(same)
    assert all(p.prefix_length == len(p.ids) - 1 for p in found)
    short = replace(same[1], ids=same[1].ids[: same[1].prefix_length + LEAST_SHARED])
    assert share_beginnings([same[0], short]) == [same[0], short], "it would have to leave one, and is then too short"
