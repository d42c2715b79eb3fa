"""Choosing tokens as transformers does; streamed text; threads; int8 weights."""

from __future__ import annotations

import unicodedata

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import CORPUS, write_tiny
from transformers import (
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from varco_vision.chat import decode
from varco_vision.errors import InputError
from varco_vision.infer.engine import Engine, Request
from varco_vision.infer.quantize import Int8Linear, quantize
from varco_vision.infer.sampling import Sampler, Sampling
from varco_vision.infer.stream import TextStream
from varco_vision.infer.threads import choose_threads, quota
from varco_vision.markup import MARKERS
from varco_vision.model import checkpoint
from varco_vision.model.tokenizer import build_tokenizer


@pytest.fixture
def loaded(tmp_path):
    return checkpoint.load(write_tiny(tmp_path / "model"), device="cpu")


@pytest.mark.parametrize(
    ("sampling", "processors"),
    [
        (Sampling(1.0, seed=0), []),
        (Sampling(0.7, top_k=5, seed=0), [TemperatureLogitsWarper(0.7), TopKLogitsWarper(5)]),
        (Sampling(1.3, top_p=0.6, seed=0), [TemperatureLogitsWarper(1.3), TopPLogitsWarper(0.6)]),
        (
            Sampling(0.9, 0.8, 7, 1.3, 2, 0),
            [
                RepetitionPenaltyLogitsProcessor(1.3),
                NoRepeatNGramLogitsProcessor(2),
                TemperatureLogitsWarper(0.9),
                TopKLogitsWarper(7),
                TopPLogitsWarper(0.8),
            ],
        ),
    ],
)
def test_draws_follow_the_distribution_of_transformers(sampling, processors):
    scores = torch.randn(12, generator=torch.Generator().manual_seed(4)) * 2
    prompt = [3, 7, 3, 7, 1, 3]
    kept = LogitsProcessorList(processors)(torch.tensor([prompt]), scores[None].clone())[0].softmax(-1)
    counts = torch.zeros(12)
    draws = 1500
    for seed in range(draws):
        sampler = Sampler(Sampling(**{**vars(sampling), "seed": seed}), prompt)
        counts[sampler.choose(scores, None)] += 1
    assert (counts[kept == 0] == 0).all(), "what the settings rule out is never drawn"
    spread = (kept * (1 - kept) / draws).sqrt()
    assert ((counts / draws - kept).abs() < 5 * spread + 1e-9).all()


@pytest.mark.parametrize("sampling", [Sampling(repetition_penalty=1.4), Sampling(no_repeat_ngram=2)], ids=repr)
def test_greedy_with_penalties_equals_generate(loaded, sampling):
    text = "반복 반복 반복해 보세요"
    (answer,) = Engine(loaded, stop_loops=False).generate(
        [Request([{"role": "user", "content": text}], [], 40, sampling=sampling)]
    )
    prompt = loaded.tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=True, return_dict=False
    )
    out = loaded.model.generate(
        input_ids=torch.tensor([prompt]),
        max_new_tokens=40,
        do_sample=False,
        repetition_penalty=sampling.repetition_penalty,
        no_repeat_ngram_size=sampling.no_repeat_ngram or None,
    )[0, len(prompt) :].tolist()
    assert answer.token_ids == [t for t in out if t not in loaded.stop_ids]


def test_seeds(loaded):
    def ask(**settings):
        asked = Request([{"role": "user", "content": "a"}], [], 20, sampling=Sampling(1.0, **settings))
        return Engine(loaded).generate([asked])[0]

    assert ask(seed=5).token_ids == ask(seed=5).token_ids != ask(seed=6).token_ids
    drawn = ask()
    assert drawn.seed is not None and ask(seed=drawn.seed).token_ids == drawn.token_ids
    assert (
        ask(seed=5, top_k=1).token_ids
        == Engine(loaded).generate([Request([{"role": "user", "content": "a"}], [], 20)])[0].token_ids
    )


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1}, {"temperature": float("nan")}, {"top_p": 0}, {"top_p": 1.1}, {"top_k": -1},
     {"repetition_penalty": 0}, {"no_repeat_ngram": -2}],
)  # fmt: skip
def test_settings_that_cannot_be(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Sampling(**wrong)


def test_alternatives_of_each_token(loaded):
    asked = Request([{"role": "user", "content": "a"}], [], 10, top_log_probs=4)
    (answer,) = Engine(loaded).generate([asked])
    assert len(answer.top_log_probs) == answer.new_tokens
    for token, log_prob, top in zip(answer.token_ids, answer.log_probs, answer.top_log_probs, strict=False):
        assert top[0] == (token, pytest.approx(log_prob)) and len(top) == 4
        assert [p for _, p in top] == sorted((p for _, p in top), reverse=True)
    with pytest.raises(InputError, match="0 to 20"):
        Engine(loaded).generate([Request([{"role": "user", "content": "a"}], [], 10, top_log_probs=21)])


# --- streamed text -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spelling():
    """Decomposed Hangul: letters that come later change the last syllable."""
    made = build_tokenizer(CORPUS * 3, merges=60)
    made.add_special_tokens({"additional_special_tokens": ["<image>", *MARKERS]})
    return made


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("각가강나뷁aé한글 \n😀ñ.,1"), max_size=30), size=st.integers(1, 5))
def test_pieces_add_up_and_are_never_taken_back(spelling, text, size):
    ids = spelling.encode(text, add_special_tokens=False)
    stream = TextStream(lambda ids: decode(ids, spelling), {})
    pieces = [stream.add(ids[k : k + size], []).text for k in range(0, len(ids), size)]
    pieces.append(stream.add([], [], final=True).text)
    assert "".join(pieces) == unicodedata.normalize("NFC", text)


def test_stream_without_markers_and_numbers(spelling):
    raw = "두 <obj>각진 상자</obj><bbox>0.1, 0.2, 0.5, 1.0</bbox>가 있다"
    ids = spelling.encode(raw, add_special_tokens=False)
    vocabulary = spelling.get_vocab()
    stream = TextStream(lambda ids: decode(ids, spelling), {m: vocabulary[m] for m in MARKERS})
    deltas = [stream.add([token], [0.0]) for token in ids] + [stream.add([], [], final=True)]
    assert "".join(d.raw for d in deltas) == raw
    assert "".join(d.text for d in deltas) == "두 각진 상자가 있다"
    assert sum(bool(d.text) for d in deltas) > 5


def test_long_text_is_not_decoded_over_and_over(spelling):
    seen = []

    def count(ids):
        seen.append(len(ids))
        return decode(ids, spelling)

    stream = TextStream(count, {})
    text = "a b. " * 200
    for token in spelling.encode(text, add_special_tokens=False):
        stream.add([token], [])
    assert max(seen) < 120


# --- threads and weights -----------------------------------------------------------------------------------------------


def test_threads(tmp_path, monkeypatch):
    assert choose_threads({"OMP_NUM_THREADS": "3"}) is None
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr("varco_vision.infer.threads.quota", lambda: 2)
    assert choose_threads({}) == 2
    monkeypatch.setattr("varco_vision.infer.threads.quota", lambda: None)
    assert choose_threads({}) == 4
    monkeypatch.undo()
    assert quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert quota(tmp_path) == 2
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert quota(tmp_path) is None


@pytest.mark.parametrize("rows", [1, 8, 9, 40])
@pytest.mark.parametrize("bias", [True, False])
def test_int8_layer_is_near_the_exact_one(rows, bias):
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 96, bias=bias).bfloat16()
    small = Int8Linear(linear)
    x = torch.randn(rows, 64).bfloat16()
    exact = linear(x).float()
    assert (small(x).float() - exact).abs().max() < 0.05 * exact.std()
    assert small.weight.dtype == torch.int8 and int(small.weight.abs().max()) == 127


def test_int8_model_answers_and_does_not_depend_on_company(loaded):
    small = quantize(loaded)
    kinds = {type(m).__name__ for m in small.model.model.language_model.modules()}
    assert "Int8Linear" in kinds
    asked = [Request([{"role": "user", "content": f"{k}?"}], [], 8) for k in range(3)]
    together = Engine(small).generate(asked)
    alone = [Engine(small).generate([one])[0] for one in asked]
    assert [a.token_ids for a in together] == [a.token_ids for a in alone]
