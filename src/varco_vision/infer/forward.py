"""The language model's forward for generation: one preallocated key-value cache, prompts packed, one token a row.

The weights stay those of transformers' module; only how they are called differs. Products with the same input (queries,
keys, values; gate and up) are joined into one where the copies stay small (`infer.products`). Tests hold it against the
module.

Shapes: S slots of the cache, B rows of a step, T tokens of packed prompts, L cached positions, H query heads, K key-value
heads, G = H / K, E width of a head, D width of the model, W vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varco_vision.errors import InputError
from varco_vision.infer.products import Product, small

FAMILIES = ("qwen2", "qwen3", "llama", "mistral")  # pre-norm decoders whose attention differs in biases and norms only
STATIC_ROPE = ("default", "linear", "llama3", "yarn")
ROUND = 128  # cached positions are reserved in steps of this


@dataclass(frozen=True)
class Segment:
    """`count` tokens of a packed prompt, which continue the `start` tokens that cache slot `slot` already holds."""

    slot: int
    start: int
    count: int


class KeyValueCache:
    """Keys and values of every slot in one tensor [layers, 2, S, K, L, E], which grows as needed and never shrinks
    while in use. What a slot held before is overwritten, not cleared; it starts as zeros so that masked positions are
    finite.
    """

    def __init__(self, layers: int, heads: int, width: int, dtype: torch.dtype, device: torch.device) -> None:
        self.states = torch.zeros(layers, 2, 0, heads, 0, width, dtype=dtype, device=device)

    @property
    def slots(self) -> int:
        return self.states.shape[2]

    @property
    def length(self) -> int:
        return self.states.shape[4]

    @property
    def token_bytes(self) -> int:
        """Bytes that one cached token takes."""
        layers, two, _, heads, _, width = self.states.shape
        return layers * two * heads * width * self.states.element_size()

    def reserve(self, slots: int, length: int) -> None:
        """Make room for `slots` slots of `length` positions; contents are kept."""
        old = self.states
        if slots <= self.slots and length <= self.length:
            return
        if length > self.length:
            length = -(-max(length, self.length + self.length // 4) // ROUND) * ROUND
        slots, length = max(slots, self.slots), max(length, self.length)
        layers, two, _, heads, _, width = old.shape
        self.states = old.new_zeros(layers, two, slots, heads, length, width)
        self.states[:, :, : old.shape[2], :, : old.shape[4]] = old

    def release(self) -> None:
        """Give the memory back; called when no slot is in use."""
        layers, two, _, heads, _, width = self.states.shape
        self.states = self.states.new_zeros(layers, two, 0, heads, 0, width)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of one slot to another."""
        self.states[:, :, target, :, :length] = self.states[:, :, source, :, :length]

    def read(self, slot: int, length: int) -> Tensor:
        """A copy [layers, 2, K, length, E] of a slot's first positions."""
        return self.states[:, :, slot, :, :length].clone()

    def write(self, slot: int, states: Tensor) -> None:
        """Put what `read` gave into a slot."""
        self.states[:, :, slot, :, : states.shape[3]] = states


@dataclass
class _Layer:
    norm_in: Any
    qkv: Product
    norm_q: Any | None
    norm_k: Any | None
    out: Product
    norm_mid: Any
    gate_up: Product
    activation: Any
    down: Product


class TextDecoder:
    """Runs the language model of a checkpoint on a `KeyValueCache`. Raises `InputError` for architectures whose
    attention it does not know.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.text = model.model.language_model
        config = model.config.text_config
        _check(config)
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.width = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.context = config.max_position_embeddings
        self.stamp = weight_stamp(self.text)
        self.layers = [_layer(layer, _joinable(self.text)) for layer in self.text.layers[: config.num_hidden_layers]]
        self.norm = _norm(self.text.norm)
        self.head = Product([model.lm_head], small([model.lm_head]))
        weight = model.get_input_embeddings().weight
        self.dtype, self.device = weight.dtype, weight.device
        self.products = self.device.type == "cpu" and self.dtype == torch.float32
        positions = torch.arange(self.context, device=self.device)[None]
        cos, sin = self.text.rotary_emb(weight.new_zeros(1), positions)
        half = self.width // 2
        self.cos_LE = cos[0].clone()
        self.sin_LE = torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)  # the sign of rotate_half
        self.span_L = torch.arange(self.context, device=self.device)

    def cache(self) -> KeyValueCache:
        """An empty cache for this model."""
        return KeyValueCache(len(self.layers), self.kv_heads, self.width, self.dtype, self.device)

    def embed(self, ids: Tensor) -> Tensor:
        """Embeddings [..., D] of token ids."""
        return self.model.get_input_embeddings()(ids)

    def logits(self, hidden_BD: Tensor) -> Tensor:
        """float32 scores [B, W] of the next token."""
        return self.head(hidden_BD).float()

    def prefill(self, embeds_TD: Tensor, segments: Sequence[Segment], cache: KeyValueCache) -> Tensor:
        """Read packed prompts into the cache; the hidden states [segments, D] of the last token of each."""
        assert sum(s.count for s in segments) == len(embeds_TD)
        assert all(s.slot < cache.slots and s.start + s.count <= cache.length for s in segments)
        positions_T = torch.cat([self.span_L[s.start : s.start + s.count] for s in segments])
        cos, sin = self.cos_LE[positions_T][:, None], self.sin_LE[positions_T][:, None]
        ends = torch.tensor([s.count for s in segments], device=self.device).cumsum(0) - 1
        x = embeds_TD
        for number, layer in enumerate(self.layers):
            last = number == len(self.layers) - 1
            q_THE, k_TKE, v_TKE = self._project(layer, x, cos, sin)
            mixed, first = [], 0
            for s in segments:
                own = slice(first, first + s.count)
                cache.states[number, 0, s.slot, :, s.start : s.start + s.count] = k_TKE[own].transpose(0, 1)
                cache.states[number, 1, s.slot, :, s.start : s.start + s.count] = v_TKE[own].transpose(0, 1)
                queries = q_THE[own][-1:] if last else q_THE[own]
                mixed.append(self._attend_segment(queries, cache.states[number, :, s.slot], s))
                first += s.count
            x = self._finish(layer, x[ends] if last else x, torch.cat(mixed))
        return self.norm(x)

    def step(self, tokens_B: Tensor, positions_B: Tensor, length: int, cache: KeyValueCache) -> Tensor:
        """One more token for each of the first B slots: hidden states [B, D].

        `positions_B` is where the token stands in its row; `length` is at least the greatest of them plus one.
        """
        rows = len(tokens_B)
        slots_B = self.span_L[:rows]
        cos, sin = self.cos_LE[positions_B][:, None], self.sin_LE[positions_B][:, None]
        mask = self._step_mask(positions_B, length)
        x = self.embed(tokens_B)
        for number, layer in enumerate(self.layers):
            q_BHE, k_BKE, v_BKE = self._project(layer, x, cos, sin)
            keys, values = cache.states[number, 0], cache.states[number, 1]
            keys[slots_B, :, positions_B] = k_BKE
            values[slots_B, :, positions_B] = v_BKE
            # The heads that share keys take the place of queries: no key is repeated in memory.
            q_BKGE = q_BHE.reshape(rows, self.kv_heads, -1, self.width)
            mixed = self._attend_step(q_BKGE, keys[:rows], values[:rows], length, mask)
            x = self._finish(layer, x, mixed.reshape(rows, -1))
        return self.norm(x)

    def _step_mask(self, positions_B: Tensor, length: int) -> Tensor | None:
        """Which cached positions each row reads; None for a lone row on the CPU, which is read to its exact length."""
        if len(positions_B) == 1 and self.device.type == "cpu":
            return None
        allowed_BL = self.span_L[:length] <= positions_B[:, None]
        if not self.products:
            return allowed_BL[:, None, None]
        added_BL = torch.zeros(allowed_BL.shape, dtype=self.dtype).masked_fill_(~allowed_BL, -torch.inf)
        return added_BL[:, None].repeat_interleave(self.kv_heads, dim=0)

    def _attend_step(
        self, q_BKGE: Tensor, keys_BKLE: Tensor, values_BKLE: Tensor, length: int, mask: Tensor | None
    ) -> Tensor:
        """Attention of one token a row to the first `length` cached positions: [B, K, G, E].

        With one query a head, two batched products beat the fused kernel on a CPU (41 to 28 microseconds for 8 rows of
        160 positions with 4 heads of 32); it keeps half precision, where sums must be taken in float32.
        """
        if not self.products:
            keys, values = keys_BKLE[:, :, :length], values_BKLE[:, :, :length]
            return F.scaled_dot_product_attention(q_BKGE, keys, values, attn_mask=mask)
        q = q_BKGE.flatten(0, 1)
        keys, values = keys_BKLE.flatten(0, 1)[:, :length], values_BKLE.flatten(0, 1)[:, :length]
        scale = self.width**-0.5
        if mask is None:
            scores = torch.bmm(q, keys.mT).mul_(scale)
        else:
            scores = torch.baddbmm(mask, q, keys.mT, alpha=scale)
        return torch.bmm(scores.softmax(-1), values).view_as(q_BKGE)

    def _project(self, layer: _Layer, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries [T, H, E] and keys [T, K, E], and values [T, K, E]."""
        states = layer.qkv(layer.norm_in(x)).view(len(x), -1, self.width)
        both, values = states[:, : self.heads + self.kv_heads], states[:, self.heads + self.kv_heads :]
        if layer.norm_q is not None:
            q, k = both.split([self.heads, self.kv_heads], dim=1)
            both = torch.cat([layer.norm_q(q), layer.norm_k(k)], dim=1)
        half = self.width // 2
        swapped = torch.cat([both[..., half:], both[..., :half]], dim=-1)
        rotated = (both * cos).add_(swapped.mul_(sin))
        return rotated[:, : self.heads], rotated[:, self.heads :], values

    def _attend_segment(self, q_THE: Tensor, states: Tensor, s: Segment) -> Tensor:
        """Causal attention of a segment's last queries to its slot's keys: [queries, H * E]."""
        end = s.start + s.count
        queries, count = q_THE.transpose(0, 1)[None], len(q_THE)
        keys, values = states[0, None, :, :end], states[1, None, :, :end]
        causal = count == end and count > 1
        mask = None
        if not causal and count > 1:
            mask = self.span_L[:end] <= self.span_L[s.start : end, None]
        grouped = self.heads != self.kv_heads
        mixed = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=causal, enable_gqa=grouped
        )
        return mixed[0].transpose(0, 1).reshape(count, -1)

    def _finish(self, layer: _Layer, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + layer.out(mixed)
        gate, up = layer.gate_up(layer.norm_mid(x)).chunk(2, dim=-1)
        return x + layer.down(layer.activation(gate).mul_(up))


class GraphedStep:
    """`TextDecoder.step` on a GPU, recorded once for each size and replayed: launching kernels one by one costs more
    than a small model's arithmetic. Rows are padded to a power of two and lengths to a multiple of 512; padding rows
    write to slots that are not in use.
    """

    LENGTHS = 512

    def __init__(self, decoder: TextDecoder) -> None:
        self.decoder = decoder
        self.graphs: dict[tuple[int, int], tuple[Any, Tensor, Tensor, Tensor]] = {}
        self.address = 0

    def __call__(self, tokens_B: Tensor, positions_B: Tensor, length: int, cache: KeyValueCache) -> Tensor:
        count = len(tokens_B)
        rows = 1 << (count - 1).bit_length()
        length = min(-(-length // self.LENGTHS) * self.LENGTHS, self.decoder.context)
        cache.reserve(rows, length)
        if cache.states.data_ptr() != self.address:  # the cache has moved; recordings point to the old one
            self.graphs.clear()
            self.address = cache.states.data_ptr()
        if (rows, length) not in self.graphs:
            self.graphs[rows, length] = self._record(rows, length, cache)
        graph, tokens, positions, hidden = self.graphs[rows, length]
        tokens[:count] = tokens_B
        positions.zero_()
        positions[:count] = positions_B
        graph.replay()
        return hidden[:count]

    def _record(self, rows: int, length: int, cache: KeyValueCache) -> tuple[Any, Tensor, Tensor, Tensor]:
        """Runs twice on a side stream before the recording, as CUDA graphs ask. What that writes to the cache lies at
        position 0 of every row, so it is put back.
        """
        tokens = torch.zeros(rows, dtype=torch.long, device=self.decoder.device)
        positions = torch.zeros_like(tokens)
        kept = cache.states[:, :, :rows, :, :1].clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                self.decoder.step(tokens, positions, length, cache)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            hidden = self.decoder.step(tokens, positions, length, cache)
        cache.states[:, :, :rows, :, :1] = kept
        return graph, tokens, positions, hidden


def weight_stamp(text: nn.Module) -> tuple:
    """Changes whenever a weight of the module is replaced or written to, so that joined copies can be made anew."""
    return tuple((p.data_ptr(), 0 if p.is_inference() else p._version) for p in text.parameters())


def _check(config: Any) -> None:
    family = config.model_type
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    sliding = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    sliding = sliding or (family == "mistral" and getattr(config, "sliding_window", None) is not None)
    if family not in FAMILIES or rope not in STATIC_ROPE or sliding:
        found = f"{family!r}, positions {rope!r}" + (", sliding window" if sliding else "")
        raise InputError(
            f"the language model is {found}; the engine runs {', '.join(FAMILIES)} with full attention and "
            f"positions of the kinds {', '.join(STATIC_ROPE)}"
        )


def _joinable(text: nn.Module) -> bool:
    """Whether copies of the weights of all layers' products may be made."""
    return small([part for layer in text.layers for part in _linear(layer)])


def _linear(layer: Any) -> list[nn.Module]:
    attention, mlp = layer.self_attn, layer.mlp
    return [*_inputs(attention), attention.o_proj, *_gates(mlp), mlp.down_proj]


def _inputs(attention: Any) -> list[nn.Module]:
    return [attention.q_proj, attention.k_proj, attention.v_proj]


def _gates(mlp: Any) -> list[nn.Module]:
    return [mlp.gate_proj, mlp.up_proj]


def _layer(layer: Any, join: bool) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    per_head = hasattr(attention, "q_norm")
    return _Layer(
        norm_in=_norm(layer.input_layernorm),
        qkv=Product(_inputs(attention), join),
        norm_q=_norm(attention.q_norm) if per_head else None,
        norm_k=_norm(attention.k_norm) if per_head else None,
        out=Product([attention.o_proj], join),
        norm_mid=_norm(layer.post_attention_layernorm),
        gate_up=Product(_gates(mlp), join),
        activation=mlp.act_fn,
        down=Product([mlp.down_proj], join),
    )


def _norm(module: Any) -> Any:
    """The module, or one fused call where it rounds alike (in float32; in half precision the module rounds twice)."""
    weight, eps = module.weight, module.variance_epsilon
    if weight.dtype != torch.float32:
        return module
    shape = (len(weight),)
    return lambda x: F.rms_norm(x, shape, weight, eps)
