"""What only a GPU can show: that the attention kernels compute what is said of them, and what they cost.

    python benchmarks/gpu.py [--repeats 20] [--out benchmarks/results]

- kernels: variable-length and flex attention under bfloat16 against the same sums in float32, outputs and gradients, as
  ||a - b|| / ||b||; several shapes, grouped heads, shared prefixes, gaps.
- model: logits and gradients of the shipped model on packed rows: float32 on the GPU against float32 on the CPU, and bfloat16
  with each attention against float32.
- attention: milliseconds of forward and backward of one layer of Qwen2.5-0.5B's shape over pictures that questions share,
  medians over rounds in which the kinds take turns.

The last line of the output is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from varco_vision.data.collate import collate
from varco_vision.data.pack import Feeding, documents
from varco_vision.model import attention, checkpoint, flexible, packed, varlen
from varco_vision.synth.sources import make_source
from varco_vision.train.loss import token_losses

DEVICE = torch.device("cuda")
SHAPES = {  # spans (first, prefix, branches), flat tokens; heads, heads of keys, width of a head
    "gaps": ([(0, 5, [3, 4, 2]), (16, 0, [3, 2]), (21, 4, [6]), (31, 0, [1])], 40, 4, 4, 32),
    "shared": ([(k * 1000, 700, [30, 45, 25, 60, 50, 90]) for k in range(4)], 4000, 14, 2, 64),
    "apart": ([(k * 300, 0, [280]) for k in range(12)], 3600, 8, 8, 32),
}
LARGE = ([(k * 3480, 3000, [60] * 8) for k in range(8)], 8 * 3480, 14, 2, 64)


def relative(found: Tensor, expected: Tensor) -> float:
    """||found - expected|| / ||expected||; NaN where anything is not finite."""
    difference = (found.double().cpu() - expected.double().cpu()).norm() / expected.double().cpu().norm()
    return float(difference)


def planes(spans: list[Any], tokens: int) -> tuple[Tensor, Tensor]:
    """document_RL and branch_RL of documents in one row."""
    document, branch = torch.full((1, tokens), packed.PADDING), torch.zeros(1, tokens, dtype=torch.long)
    for n, (at, prefix, sizes) in enumerate(spans):
        document[0, at : at + prefix + sum(sizes)] = n
        at += prefix
        for k, size in enumerate(sizes, start=1):
            branch[0, at : at + size] = k
            at += size
    return document, branch


def ways(shape: tuple, kinds: tuple[str, ...]) -> tuple[list[Tensor], dict[str, Callable[..., Tensor]]]:
    """Random query, key and value [1, H, T, E] in bfloat16, and each kind of attention over them, [1, T, H, E]."""
    spans, tokens, heads, kv_heads, width = shape
    generator = torch.Generator(DEVICE).manual_seed(0)
    made = [
        torch.randn(1, h, tokens, width, device=DEVICE, generator=generator).bfloat16()
        for h in (heads, kv_heads, kv_heads)
    ]
    module = SimpleNamespace(num_key_value_groups=heads // kv_heads, training=True, is_causal=True)
    scale = width**-0.5
    found: dict[str, Callable[..., Tensor]] = {}
    if "varlen" in kinds:
        sequences = varlen.make_sequences(spans, tokens).to(DEVICE)
        found["varlen"] = lambda q, k, v: varlen.varlen_attention(module, q, k, v, sequences, scale)[0]
    if "flex" in kinds:
        mask = flexible.block_mask(*(p.to(DEVICE) for p in planes(spans, tokens)))
        found["flex"] = lambda q, k, v: flexible.flexible_attention(module, q, k, v, mask, scale)[0]
    if "shared_prefix" in kinds:
        layout = attention.make_layout(spans, tokens).to(DEVICE)
        found["shared_prefix"] = lambda q, k, v: attention.shared_prefix_attention(module, q, k, v, layout, scale)[0]
    return made, found


def grads(way: Callable[..., Tensor], inputs: list[Tensor], weight: Tensor) -> list[Tensor]:
    """Output and the gradients of a weighted sum of it."""
    leaves = [t.detach().clone().requires_grad_() for t in inputs]
    out = way(*leaves)
    return [out.detach(), *torch.autograd.grad((out.float() * weight).sum(), leaves)]


def kernels() -> dict[str, Any]:
    """Relative errors of outputs and gradients against float32 through a dense mask."""
    told: dict[str, Any] = {}
    for name, shape in SHAPES.items():
        made, found = ways(shape, ("varlen", "flex", "shared_prefix"))
        spans, tokens, heads, kv_heads, width = shape
        seen = packed.visibility(*planes(spans, tokens)).to(DEVICE)
        real = (planes(spans, tokens)[0][0] >= 0).to(DEVICE)

        def dense(q: Tensor, k: Tensor, v: Tensor, seen: Tensor = seen, repeats: int = heads // kv_heads) -> Tensor:
            k, v = (t.repeat_interleave(repeats, 1) for t in (k, v))
            scores = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).masked_fill(~seen[:, None], -torch.inf)
            return (scores.softmax(-1) @ v).transpose(1, 2)

        weight = torch.randn(1, tokens, heads, width, device=DEVICE) * real[None, :, None, None]
        expected = grads(dense, [t.float() for t in made], weight)
        for kind, way in found.items():
            got = grads(way, made, weight)
            pairs = zip(got, expected, ("out", "query", "key", "value"), strict=True)
            told[f"{name} {kind}"] = {w: relative(*((a * real[None, :, None, None], b * real[None, :, None, None]) if w == "out" else (a, b))) for a, b, w in pairs}  # fmt: skip
    return told


def model() -> dict[str, Any]:
    """The shipped model on packed rows."""
    loaded = checkpoint.load(checkpoint.default_path(), device="cpu", dtype=torch.float32)
    net = loaded.model

    def run(use: Callable[..., None], device: torch.device, half: bool) -> tuple[Tensor, Tensor]:
        net.to(device).zero_grad()
        use(net)
        source = make_source("scenes", seed=5, questions=10, wordings=2)
        feeding = Feeding(loaded.tokenizer, loaded.anyres)
        made = [d for n in range(6) for d in documents(source.group(n), feeding, 4096)[0]]
        batch = collate([made], 0, loaded.anyres.side, packed.layout_of(net)).to(device)
        with torch.autocast("cuda", torch.bfloat16, enabled=half):
            logits = packed.supervised_logits(net, batch, loaded.mean, loaded.std)
            token_losses(logits, batch.targets_S).mean().backward()
        gradient = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
        return logits.detach().float().cpu(), gradient.cpu()

    exact = run(packed.use_shared_prefix, torch.device("cpu"), False)
    told = {}
    for name, use, half in (
        ("float32 shared_prefix", packed.use_shared_prefix, False),
        ("bfloat16 shared_prefix", packed.use_shared_prefix, True),
        ("bfloat16 flex", packed.use_flex, True),
        ("bfloat16 varlen", packed.use_varlen, True),
    ):
        got = run(use, DEVICE, half)
        told[name] = {
            "logits": relative(got[0], exact[0]), "gradient": relative(got[1], exact[1]),
            "largest": float((got[0] - exact[0]).abs().max()),
        }  # fmt: skip
    return told


def cost(repeats: int) -> dict[str, float]:
    """Milliseconds of forward and backward, the kinds in turn."""
    made, found = ways(LARGE, ("varlen", "flex", "shared_prefix"))
    weight = torch.randn(1, LARGE[1], LARGE[2], LARGE[4], device=DEVICE).bfloat16()
    leaves = [t.requires_grad_() for t in made]
    times: dict[str, list[float]] = {kind: [] for kind in found}
    for turn in range(repeats + 3):
        for kind, way in found.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            torch.autograd.grad(way(*leaves), leaves, weight)
            end.record()
            torch.cuda.synchronize()
            if turn >= 3:
                times[kind].append(begin.elapsed_time(end))
    return {kind: statistics.median(t) for kind, t in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, help="folder for the dated result")
    options = parser.parse_args()
    told: dict[str, Any] = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
    for name, part in (("kernels", kernels), ("model", model), ("attention_ms", lambda: cost(options.repeats))):
        try:
            told[name] = part()
        except Exception as error:  # the other parts still tell something
            told[name] = f"{type(error).__name__}: {error}"
        print(name, json.dumps(told[name]), flush=True)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"{date.today().isoformat()}-gpu.json"
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
