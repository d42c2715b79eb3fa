"""The engine's own forward equals transformers' for every family, batched, packed, with prefixes and with growth."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny import write_tiny
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from varco_vision.errors import InputError
from varco_vision.infer import forward, products
from varco_vision.infer.engine import Engine, Request
from varco_vision.infer.forward import Segment, TextDecoder
from varco_vision.model import checkpoint

SHAPE = dict(
    hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, vocab_size=96,
    max_position_embeddings=512, initializer_range=0.4, pad_token_id=None, bos_token_id=None, eos_token_id=None,
)  # fmt: skip
FAMILIES = {
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_key_value_heads=2)),
    "qwen2 without groups": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_key_value_heads=4)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, num_key_value_heads=2, head_dim=16)),
    "llama": lambda: LlamaForCausalLM(
        LlamaConfig(
            **SHAPE,
            num_key_value_heads=2,
            rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0},
        )
    ),
}


class Wrapped(nn.Module):
    """A language model where the picture model keeps its own."""

    def __init__(self, causal):
        super().__init__()
        self.model = nn.Module()
        self.model.language_model = causal.model
        self.lm_head = causal.lm_head
        self.config = type("Config", (), {"text_config": causal.config})()

    def get_input_embeddings(self):
        return self.model.language_model.embed_tokens


def build(family, dtype=torch.float32):
    torch.manual_seed(3)
    causal = FAMILIES[family]().eval().to(dtype)
    for name, parameter in causal.named_parameters():  # norms and biases start at 1 and 0, which would hide mistakes
        if parameter.dim() == 1:
            nn.init.normal_(parameter, 1.0 if "norm" in name else 0.0, 0.3)
    return causal, Wrapped(causal)


def expected(causal, ids):
    with torch.inference_mode():
        return causal(torch.tensor([ids])).logits[0].float()


def texts(*lengths):
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(0, 96, (length,), generator=generator).tolist() for length in lengths]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("join", [True, False])
@torch.inference_mode()
def test_packed_prompts_and_steps_equal_the_module(family, join, monkeypatch):
    monkeypatch.setattr(products, "JOIN_BYTES", 2**30 if join else 0)
    causal, wrapped = build(family)
    decoder = TextDecoder(wrapped)
    assert (decoder.layers[0].qkv.weight is not None) is join
    rows = texts(9, 1, 140, 30)
    cache = decoder.cache()
    cache.reserve(4, 10)
    cache.reserve(4, 141)
    segments = [Segment(slot, 0, len(ids) - 3 if len(ids) > 3 else 1) for slot, ids in enumerate(rows)]
    packed = torch.cat([decoder.embed(torch.tensor(ids[: s.count])) for ids, s in zip(rows, segments, strict=True)])
    logits = decoder.logits(decoder.prefill(packed, segments, cache))
    for ids, s, found in zip(rows, segments, logits, strict=True):
        torch.testing.assert_close(found, expected(causal, ids)[s.count - 1], atol=2e-4, rtol=1e-4)
    # the three last tokens of each longer row one by one, all rows together
    tails = [ids[s.count :] or [7, 8, 9] for ids, s in zip(rows, segments, strict=True)]
    for k in range(3):
        tokens = torch.tensor([tail[k] for tail in tails])
        positions = torch.tensor([s.count + k for s in segments])
        logits = decoder.logits(decoder.step(tokens, positions, int(positions.max()) + 1, cache))
        for ids, s, tail, found in zip(rows, segments, tails, logits, strict=True):
            full = ids[: s.count] + tail[: k + 1]
            torch.testing.assert_close(found, expected(causal, full)[-1], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_prompt_behind_a_prefix_and_moved_slots(family):
    causal, wrapped = build(family)
    decoder = TextDecoder(wrapped)
    ids = texts(50)[0]
    cache = decoder.cache()
    cache.reserve(3, 60)
    decoder.prefill(decoder.embed(torch.tensor(ids[:31])), [Segment(2, 0, 31)], cache)
    kept = cache.read(2, 31)
    cache.states.zero_()
    cache.write(1, kept)
    found = decoder.prefill(decoder.embed(torch.tensor(ids[31:49])), [Segment(1, 31, 18)], cache)
    torch.testing.assert_close(decoder.logits(found)[0], expected(causal, ids[:49])[-1], atol=2e-4, rtol=1e-4)
    cache.move(1, 0, 49)
    alone = decoder.step(torch.tensor(ids[49:]), torch.tensor([49]), 50, cache)
    torch.testing.assert_close(decoder.logits(alone)[0], expected(causal, ids)[-1], atol=2e-4, rtol=1e-4)


@torch.inference_mode()
def test_half_precision_stays_near_the_module():
    causal, wrapped = build("qwen3", torch.bfloat16)
    decoder = TextDecoder(wrapped)
    ids = texts(40)[0]
    cache = decoder.cache()
    cache.reserve(2, 41)
    decoder.prefill(decoder.embed(torch.tensor(ids[:39] * 2)), [Segment(0, 0, 39), Segment(1, 0, 39)], cache)
    found = decoder.logits(decoder.step(torch.tensor(ids[39:] * 2), torch.tensor([39, 39]), 40, cache))
    wanted = expected(causal, ids)[-1]
    assert (found - wanted).abs().max() < 0.1 * wanted.std()


def test_step_is_one_graph():
    """What CUDA graphs and compilers need: no Python decision that depends on values."""
    _, wrapped = build("qwen3")
    decoder = TextDecoder(wrapped)
    cache = decoder.cache()
    cache.reserve(2, 64)
    traced = torch.compile(lambda t, p: decoder.step(t, p, 64, cache), backend="eager", fullgraph=True)
    tokens, positions = torch.tensor([1, 2]), torch.tensor([3, 5])
    with torch.no_grad():
        torch.testing.assert_close(traced(tokens, positions), decoder.step(tokens, positions, 64, cache))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@torch.inference_mode()
def test_recorded_steps_equal_plain_ones():
    _, wrapped = build("qwen3")
    decoder = TextDecoder(wrapped.cuda())
    plain, recorded = decoder.cache(), decoder.cache()
    step = forward.GraphedStep(decoder)
    prompt = decoder.embed(torch.tensor(texts(6)[0] * 3, device="cuda"))
    segments = [Segment(k, 0, 6) for k in range(3)]
    for cache in (plain, recorded):
        cache.reserve(3, 8)
        decoder.prefill(prompt, segments, cache)
    for k in range(4):
        tokens = torch.tensor([k, k + 1, k + 2], device="cuda")
        positions = torch.full((3,), 6 + k, device="cuda")
        plain.reserve(3, 7 + k)
        a = decoder.step(tokens, positions, 7 + k, plain)
        torch.testing.assert_close(step(tokens, positions, 7 + k, recorded), a, atol=1e-4, rtol=1e-4)


def test_unknown_language_models_are_named():
    config = Qwen2Config(**SHAPE, num_key_value_heads=2, use_sliding_window=True, sliding_window=8, max_window_layers=0)
    with pytest.raises(InputError, match="sliding window"):
        TextDecoder(Wrapped(Qwen2ForCausalLM(config)))
    config = Qwen2Config(**SHAPE, num_key_value_heads=2)
    config.model_type = "mamba"
    with pytest.raises(InputError, match="'mamba'.*qwen2, qwen3"):
        TextDecoder(Wrapped(Qwen2ForCausalLM(config)))


# --- caches of an engine -----------------------------------------------------------------------------------------------


@pytest.fixture
def loaded(tmp_path):
    return checkpoint.load(write_tiny(tmp_path / "model"), device="cpu")


def ask(text, image, tokens=12):
    content = [{"type": "image"}, {"type": "text", "text": text}]
    return Request([{"role": "user", "content": content}], [image], tokens)


def gradient(seed):
    from PIL import Image

    return Image.linear_gradient("L").rotate(90 * seed).resize((60, 44 + seed)).convert("RGB")


def test_prefixes_save_prompts_and_change_nothing(loaded):
    questions = [ask(f"{k}번째 질문입니다", gradient(k % 2)) for k in range(6)]
    cold = Engine(loaded, prefix_bytes=0).generate(questions)
    engine, read = Engine(loaded), []
    prefill = engine._memory.decoder.prefill
    engine._memory.decoder.prefill = lambda embeds, *rest: read.append(len(embeds)) or prefill(embeds, *rest)
    assert [a.token_ids for a in engine.generate(questions)] == [a.token_ids for a in cold]
    assert (engine.prefixes.misses, engine.prefixes.hits) == (2, 4)
    first = sum(read)
    read.clear()
    assert [a.token_ids for a in engine.generate(questions)] == [a.token_ids for a in cold]
    assert sum(read) < first and engine.prefixes.hits == 10
    assert sum(read) == sum(a.prompt_tokens for a in cold) - 3 * sum(engine_prefix(engine, q) for q in questions[:2])


def engine_prefix(engine, request):
    from varco_vision.infer.prompts import prepare

    return prepare(request, engine.loaded).prefix_length


def test_caches_keep_to_their_limits(loaded):
    small = Engine(loaded, feature_bytes=30_000, prefix_bytes=0)
    answers = small.generate([ask("a", gradient(k)) for k in range(4)])
    assert 0 < small.features.bytes <= 30_000 and len(small.features) < 4 and len(small.prefixes) == 0
    assert [a.token_ids for a in answers] == [
        a.token_ids for a in Engine(loaded).generate([ask("a", gradient(k)) for k in range(4)])
    ]
    with pytest.raises(InputError, match="bytes"):
        Engine(loaded, feature_bytes=-1)


def test_weights_that_change_are_read_anew(loaded):
    engine = Engine(loaded)
    before = engine.generate([ask("a", gradient(1))])[0]
    with torch.no_grad():
        for layer in loaded.model.model.language_model.layers:
            layer.self_attn.v_proj.weight.mul_(-1.0)
    after = engine.generate([ask("a", gradient(1))])[0]
    fresh = Engine(loaded).generate([ask("a", gradient(1))])[0]
    assert after.log_probs == pytest.approx(fresh.log_probs) and after.token_ids == fresh.token_ids
    assert before.log_probs != pytest.approx(after.log_probs)


def test_fewer_tiles_on_request(loaded):
    image = gradient(1).resize((190, 120))
    plain, capped = Engine(loaded).generate([ask("a", image), Request(**{**vars(ask("a", image)), "max_tiles": 2})])
    assert capped.image_tokens < plain.image_tokens
    assert capped.prompt_tokens == plain.prompt_tokens - plain.image_tokens + capped.image_tokens
    assert min(plain.timings.vision, plain.timings.prefill, plain.timings.decode) > 0
    with pytest.raises(InputError, match="max_tiles"):
        Engine(loaded).generate([Request(**{**vars(ask("a", image)), "max_tiles": 0})])


def test_scores_that_are_not_finite_are_an_error(loaded):
    broken = copy.copy(loaded)
    broken.model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        broken.model.lm_head.weight.fill_(float("nan"))
    engine = Engine(broken)
    with pytest.raises(FloatingPointError, match="not finite"):
        engine.generate([ask("a", gradient(1))])
    assert not engine._batch.rows, "nothing is left behind"
