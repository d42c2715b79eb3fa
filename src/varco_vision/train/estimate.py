"""Memory for each GPU and hours for each stage of a recipe, before anything is downloaded and without a GPU.

The real step (forward, loss, backward, as `train.step.accumulate` runs it) goes over fake tensors, which have shapes but no
values; sharded stages over a fake process group, as one process of many. A tracker follows what is alive. AdamW's two
moments are added as what they are: two float32 numbers for each trained one. Work is counted by `train.flops`.

What is assumed stands in `Assumptions`: the pictures and answers that fill a row, and how much of a device's peak is reached.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.nn import functional as F
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import (
    AttentionInterface,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    Qwen3Config,
    SiglipVisionConfig,
)

from varco_vision.data.collate import collate
from varco_vision.data.pack import Branch, Document
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig, plan
from varco_vision.markup import MARKERS
from varco_vision.model.adapters import add_adapters
from varco_vision.model.freeze import freeze
from varco_vision.model.packed import MASKS, PackedBatch
from varco_vision.model.tokenizer import NUMBERS
from varco_vision.train import shard
from varco_vision.train.flops import FlopCount
from varco_vision.train.parallel import World
from varco_vision.train.preference import PreferenceTask
from varco_vision.train.recipe import ModelRecipe, Recipe, StageRecipe
from varco_vision.train.step import accumulate
from varco_vision.train.tasks import AnswerTask, load_of

FUSED = "estimate_fused"
CONTEXT_GIB = 1.5  # the driver's context, kernels and what the allocator loses to fragments
QUESTION = 24  # tokens around a picture and of a question


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """Pictures of (width, height) pixels and answers of so many tokens fill the rows; `utilisation` of `peak` is reached."""

    picture: tuple[int, int] = (1024, 768)
    answer: int = 120
    utilisation: float = 0.4
    peak: float = 989e12


@dataclass(frozen=True, kw_only=True)
class StageEstimate:
    """One stage on one GPU of many. Memory in GiB, `hours` of the whole stage, `tokens` of a step over all GPUs."""

    stage: int
    name: str
    trained: int
    weights: float
    gradients: float
    optimizer: float
    activations: float
    peak: float
    fits: bool
    tokens: int
    views: int
    teraflops: float
    hours: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class LiveBytes(TorchDispatchMode):
    """Bytes of all storages that are alive, now and at most, of tensors that operations made while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._sizes: dict[int, int] = {}

    def add(self, tensor: Tensor) -> None:
        local = getattr(tensor, "_local_tensor", tensor)
        storage = local.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._grow(key, storage.nbytes())
        weakref.finalize(storage, self._drop, key)

    def _grow(self, key: int, size: int) -> None:
        self.now += size - self._sizes.get(key, 0)
        self._sizes[key] = size
        self.most = max(self.most, self.now)

    def _drop(self, key: int) -> None:
        self.now -= self._sizes.pop(key, 0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return made

    def __enter__(self) -> LiveBytes:
        original = self._resize = torch.UntypedStorage.resize_

        def resize(storage: torch.UntypedStorage, size: int) -> Any:  # sharding frees gathered weights this way
            done = original(storage, size)
            if storage._cdata in self._sizes:
                self._grow(storage._cdata, storage.nbytes())
            return done

        torch.UntypedStorage.resize_ = resize
        return super().__enter__()

    def __exit__(self, *arguments: Any) -> None:
        torch.UntypedStorage.resize_ = self._resize
        super().__exit__(*arguments)


def _fused(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any) -> Any:
    """Stands for the fused kernels of a GPU: output and one number a token are kept, the scores never exist."""
    mixed = F.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=options.get("scaling"), enable_gqa=query.shape[1] != key.shape[1]
    )
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(FUSED, _fused)
MASKS[FUSED] = lambda batch: None


def estimate_recipe(
    recipe: Recipe, gpus: int, memory: float, assumed: Assumptions | None = None
) -> list[StageEstimate]:
    """All stages of a recipe that train a whole model, on `gpus` GPUs of `memory` GiB each."""
    assumed = assumed or Assumptions()
    stages = [s for s in recipe.stages if s.kind in ("sft", "preference")]
    if not stages:
        raise InputError(f"recipe '{recipe.name}' has no stage of kind sft or preference to estimate")
    with _world(gpus):
        return [estimate_stage(recipe.model_of(stage), stage, gpus, memory, assumed) for stage in stages]


def estimate_stage(
    model: ModelRecipe, stage: StageRecipe, gpus: int, memory: float, assumed: Assumptions
) -> StageEstimate:
    """One stage, by running the step of one process of `gpus` on fake tensors."""
    if stage.rows < gpus:
        raise InputError(f"stage '{stage.name}': {stage.rows} rows for {gpus} GPUs; every GPU needs at least one row")
    batch = full_batch(model, stage, assumed)
    step, sizes = _trace(model, stage, gpus, batch)
    share = stage.rows / batch.rows  # micro-batches of a step over all GPUs
    flops = sizes["flops"] * share
    tokens, views = sum(sizes[k] for k in ("text", "picture")) * share, sizes["tiles"] * share
    passes = 4 / 3 if stage.kind == "preference" and not stage.reference_free else 1  # the reference: forward alone
    hours = stage.steps * flops * passes / (gpus * assumed.peak * assumed.utilisation) / 3600
    peak = step["peak"] + CONTEXT_GIB
    return StageEstimate(
        stage=stage.stage,
        name=stage.name,
        trained=int(sizes["trained"]),
        **{k: round(step[k], 2) for k in ("weights", "gradients", "optimizer", "activations")},
        peak=round(peak, 2),
        fits=peak <= memory,
        tokens=round(tokens),
        views=round(views),
        teraflops=flops / 1e12,
        hours=hours,
    )


def _trace(
    model: ModelRecipe, stage: StageRecipe, gpus: int, batch: PackedBatch
) -> tuple[dict[str, float], dict[str, float]]:
    """Memory in GiB by kind, and what the micro-batch puts through the model."""
    net = skeleton(model)
    freeze(net, stage.trainable)
    if stage.lora or stage.train_markers:
        rows = list(range(len(MARKERS))) if stage.train_markers else []
        with torch.device("meta"):
            add_adapters(net, {part: (lora.rank, lora.alpha) for part, lora in stage.lora.items()}, rows)
    dtype = torch.float32 if stage.precision == "float32" else torch.bfloat16
    narrow = stage.frozen_precision == "bfloat16" and dtype == torch.bfloat16
    plain = replace(stage, soft_numbers=0.0, box_start_weight=1.0, compile=False, rows=gpus)
    mesh = init_device_mesh("cpu", (gpus,)) if stage.shard and gpus > 1 else None
    load = load_of(batch, FlopCount(net), stage.max_tokens)
    with FakeTensorMode(allow_non_fake_inputs=True):
        _materialise(net, narrow)
        net.train()
        net.set_attn_implementation({"text_config": FUSED, "vision_config": "sdpa"})
        kind = PreferenceTask if stage.kind == "preference" else AnswerTask
        task = kind(net, SimpleNamespace(tokenizer=None), plain, (0.5,) * 3, (0.5,) * 3)
        if isinstance(task, PreferenceTask):
            task.reference = dict.fromkeys(batch.keys, 0.0)
            batch = task.with_reference(batch)
        shard.prepare(task.forward, replace(plain, shard=False), World(0, gpus, torch.device("cpu")), dtype)
        if mesh is not None:
            shard.shard(task.forward, mesh, dtype, shard.kept_whole(net, stage))
        if stage.cache_features:
            batch = _with_features(batch, net, not any(p.requires_grad for p in _projector(net).parameters()), dtype)
        live = LiveBytes()
        for tensor in [*task.forward.parameters(), *task.forward.buffers()]:
            live.add(tensor)
        weights = live.now
        with live:
            accumulate(task, [batch], torch.ones(len(task.terms)), torch.device("cpu"), dtype)
        trained = [p for p in task.forward.parameters() if p.requires_grad]
        gradients = sum(_bytes(p.grad) for p in trained if p.grad is not None)
        optimizer = sum(2 * 4 * _numel(p) for p in trained)
    copies = gradients if gpus > 1 and not stage.shard else 0  # gradients are summed in one message, a copy of them all
    peak = max(live.most, weights + gradients + copies) + optimizer
    gib = {"weights": weights, "gradients": gradients, "optimizer": optimizer, "peak": peak}
    gib["activations"] = peak - weights - gradients - optimizer
    load["trained"] = sum(p.numel() for p in trained)
    return {name: value / 2**30 for name, value in gib.items()}, load


def full_batch(model: ModelRecipe, stage: StageRecipe, assumed: Assumptions) -> PackedBatch:
    """A micro-batch whose rows are as full as pictures and answers of the assumed sizes make them."""
    config = AnyResConfig(tile=model.tile, patch=model.patch, max_tiles=model.cap, pinpoints=model.pinpoints)
    config = config.limited(stage.max_tiles) if stage.max_tiles else config
    shape = plan(*assumed.picture, config, single=stage.views == "one")
    answers = 2 if stage.kind == "preference" else 1
    branch = Branch((0,) * (QUESTION + assumed.answer), (False,) * QUESTION + (True,) * assumed.answer, "vqa", "sample")
    index_N4, weight_N4 = shape.gather()
    prefix = shape.token_count + QUESTION
    size = prefix + answers * len(branch.ids)
    if size > stage.max_tokens:
        wide, high = assumed.picture
        raise InputError(
            f"stage '{stage.name}': a picture of {wide}x{high} with {answers} answers takes {size} tokens, a row holds "
            f"{stage.max_tokens}; give a smaller --picture, or raise max_tokens"
        )
    picture = Document(
        prefix=(0,) * prefix,
        branches=(branch,) * answers,
        views_VTTC=np.zeros((shape.view_count, model.tile, model.tile, 3), np.uint8),
        slots=np.arange(QUESTION, prefix),
        indices_N4=index_N4,
        weights_N4=None if shape.is_copy else weight_N4,
    )
    text = replace(
        picture,
        prefix=(),
        views_VTTC=picture.views_VTTC[:0],
        slots=picture.slots[:0],
        indices_N4=index_N4[:0],
        weights_N4=None,
    )
    count = min(stage.max_tokens // size, stage.max_views // shape.view_count)
    row = [picture] * count + [text] * ((stage.max_tokens - count * size) // text.tokens)
    rows = min(stage.micro_rows, stage.rows)
    made = collate([row * rows], 0, config.side)
    names = [f"answer {n}" for n in range(len(made.samples))]
    return replace(made, rows=rows, keys=names, samples=names)


def skeleton(model: ModelRecipe) -> LlavaOnevisionForConditionalGeneration:
    """The model of a recipe on the meta device: names and shapes of everything, no values."""
    if model.vision is None or model.text is None:
        missing = "vision" if model.vision is None else "text"
        raise InputError(
            f"model.{missing} states no shape, and nothing is downloaded here; add the shape of the backbone"
        )
    vision, text = model.vision, model.text
    tower = SiglipVisionConfig(
        hidden_size=vision.width,
        intermediate_size=vision.mlp,
        num_hidden_layers=vision.layers + 1 + model.feature_layer,
        num_attention_heads=vision.heads,
        image_size=model.tile,
        patch_size=model.patch,
        vision_use_head=False,
    )
    # at most: pieces of words, syllables and their beginnings, numbers, letters, bytes, markers
    made_here = model.merges + 2 * model.syllables + len(NUMBERS) + 512
    shape = {
        "hidden_size": text.width,
        "intermediate_size": text.mlp,
        "num_hidden_layers": text.layers,
        "num_attention_heads": text.heads,
        "num_key_value_heads": text.kv_heads,
        "vocab_size": text.vocabulary or -(-made_here // 64) * 64,
        "tie_word_embeddings": text.tied,
        "max_position_embeddings": text.context,
    }
    if text.head_width:
        shape["head_dim"] = text.head_width
    language = (Qwen3Config if text.kind == "qwen3" else Qwen2Config)(**shape)
    config = LlavaOnevisionConfig(
        vision_config=tower,
        text_config=language,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=text.tied,
    )
    with torch.device("meta"):
        return LlavaOnevisionForConditionalGeneration(config)


def _materialise(net: nn.Module, narrow: bool) -> None:
    """Fake CPU tensors in place of the meta ones; tied weights stay one. `narrow`: frozen ones in bfloat16."""
    known: dict[int, Tensor] = {}
    for module in net.modules():
        for held in (module._parameters, module._buffers):
            for name, old in held.items():
                if old is None:
                    continue
                if id(old) not in known:
                    frozen = isinstance(old, nn.Parameter) and not old.requires_grad
                    dtype = torch.bfloat16 if frozen and narrow else old.dtype
                    new = torch.empty(old.shape, dtype=dtype, device="cpu")
                    known[id(old)] = nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new
                held[name] = known[id(old)]


def _with_features(batch: PackedBatch, net: nn.Module, projected: bool, dtype: torch.dtype) -> PackedBatch:
    width = net.config.text_config.hidden_size if projected else net.config.vision_config.hidden_size
    kept = torch.empty(len(batch.views_VTTC), batch.cells, width, dtype=dtype)
    return replace(batch, features_VPW=kept, projected=projected)


def _projector(net: nn.Module) -> nn.Module:
    return net.model.multi_modal_projector


def _bytes(tensor: Tensor) -> int:
    return _numel(tensor) * tensor.element_size()


def _numel(tensor: Tensor) -> int:
    return getattr(tensor, "_local_tensor", tensor).numel()


@contextmanager
def _world(gpus: int) -> Iterator[None]:
    """A process group of `gpus` members of which only this one exists; collectives do nothing."""
    if gpus > 1:
        dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=gpus)
    try:
        yield
    finally:
        if gpus > 1:
            dist.destroy_process_group()
