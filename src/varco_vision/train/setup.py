"""What a stage of the whole model needs before its first step: freezing, adapters, attention, kept features, sharding."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaOnevisionForConditionalGeneration

from varco_vision.errors import InputError
from varco_vision.markup import MARKERS
from varco_vision.model import flexible, varlen
from varco_vision.model.adapters import add_adapters, merge
from varco_vision.model.checkpoint import Loaded
from varco_vision.model.freeze import freeze
from varco_vision.model.packed import decoder_of, use_flex, use_shared_prefix, use_varlen
from varco_vision.train import shard, state
from varco_vision.train.features import FeatureStore
from varco_vision.train.feed import Feed, stream_seed
from varco_vision.train.parallel import World
from varco_vision.train.preference import PreferenceTask, ReferenceStore, answer_keys, fingerprint
from varco_vision.train.recipe import ModelRecipe, StageRecipe
from varco_vision.train.step import autocast, precision
from varco_vision.train.tasks import AnswerTask

Parts = dict[str, tuple[bool, int]]  # part -> (trains, number of parameters)


@dataclass
class Setup:
    """A stage that is ready to run. `wrapped` is peft's model around the model, if there are adapters."""

    stage: StageRecipe
    loaded: Loaded
    world: World
    task: AnswerTask
    parts: Parts
    wrapped: Any = None
    notes: list[str] = field(default_factory=list)

    def finished(self, adapter: Path | None = None) -> Loaded:
        """What the stage made, as a plain float32 model: shards put together, adapters merged in.

        Adapters and trained rows are also written to `adapter`, in peft's own layout. Of a sharded stage only the leading
        process gets the model.
        """
        model, wrapped = self.loaded.model, self.wrapped
        if self.stage.shard:
            weights = shard.whole_weights(self.task.forward, self.world)
            if not self.world.leads:
                return self.loaded
            with torch.device("meta"):
                model = LlavaOnevisionForConditionalGeneration(self.loaded.model.config)
            wrapped = adapt(model, self.stage, self.loaded) if wrapped is not None else None
            model.load_state_dict(weights, assign=True)
            model.tie_weights()
        model.float()
        if wrapped is not None:
            if adapter is not None and self.world.leads:
                wrapped.save_pretrained(str(adapter))
            model = merge(wrapped)
        return replace(self.loaded, model=model)


def prepare(
    stage: StageRecipe, loaded: Loaded, seed: int, world: World, directory: Path, resume: bool = False
) -> Setup:
    """Everything before the first step, in the order in which it must happen; `directory` is the stage's own."""
    model, notes, dtype = loaded.model, [], precision(stage, world.device)
    digest = fingerprint(model, dtype) if stage.kind == "preference" and not stage.reference_free else ""
    parts = freeze(model, stage.trainable)
    wrapped = None
    if stage.lora or stage.train_markers:
        torch.manual_seed(stream_seed(seed, stage.name, "adapters"))
        wrapped = adapt(model, stage, loaded)
        adapted = {*stage.lora, *(["language"] if stage.train_markers else [])}
        parts = {part: (on or part in adapted, size) for part, (on, size) in parts.items()}
        notes.append(f"adapters and rows: {_trained(model):,} parameters train in all")
    notes += narrow(model, stage, dtype)
    model.train()
    notes += attend(model, stage, world.device)
    preference = stage.kind == "preference"
    keys = answer_keys if preference and not stage.reference_free else None
    flat = decoder_of(model).config._attn_implementation != flexible.NAME  # whose mask is made from all pairs of a row
    feed = Feed(stage, loaded, seed, world, flat, keys)
    task = (PreferenceTask if preference else AnswerTask)(model, feed, stage, loaded.mean, loaded.std)
    if stage.cache_features:
        projected = not parts["projector"][0]
        normalisation = (loaded.mean, loaded.std)
        task.store = FeatureStore(directory.parent / "features", model, normalisation, projected, dtype, world.rank)
    shard.prepare(task.forward, stage, world, dtype)
    task.sharded = stage.shard
    if isinstance(task, PreferenceTask) and not stage.reference_free:
        task.reference = reference(task, loaded, seed, world, directory, digest, resume)
    return Setup(stage, loaded, world, task, parts, wrapped, notes)


def adapt(model: Any, stage: StageRecipe, loaded: Loaded) -> Any:
    """The adapters and trained rows that a stage asks for."""
    markers = loaded.tokenizer.convert_tokens_to_ids(list(MARKERS)) if stage.train_markers else []
    return add_adapters(model, {part: (lora.rank, lora.alpha) for part, lora in stage.lora.items()}, markers)


def narrow(model: Any, stage: StageRecipe, dtype: torch.dtype) -> list[str]:
    """Keep what does not train in bfloat16 where the stage asks for it and computes in it; returns lines to show."""
    if stage.frozen_precision == "float32":
        return []
    if dtype == torch.float32:
        return ["frozen weights stay in float32, since this device computes in float32"]
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    return ["frozen weights are kept in bfloat16"]


def attend(model: Any, stage: StageRecipe, device: torch.device) -> list[str]:
    """Choose the attention of the language model; returns lines to show."""
    wanted = stage.attention
    if wanted == "auto":
        wanted = "varlen" if device.type == "cuda" else "shared_prefix"
    if wanted == "shared_prefix":
        use_shared_prefix(model, fused_tower=device.type == "cuda")
        return []
    if wanted == "flex":
        fits, reason = flexible.usable(device)
    else:
        text = decoder_of(model).config
        width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        fits, reason = varlen.usable(device, precision(stage, device), width)
    if fits:
        (use_flex if wanted == "flex" else use_varlen)(model)
        return []
    use_shared_prefix(model, fused_tower=device.type == "cuda")
    return [f"{reason}; shared-prefix attention is used instead"]


def reference(
    task: PreferenceTask, loaded: Loaded, seed: int, world: World, directory: Path, digest: str, resume: bool
) -> dict[str, float]:
    """Log-probabilities of all answers of the stage under the model as it stands, read where they are known already."""
    stage = task.stage
    place = Path(stage.reference_cache) if stage.reference_cache else directory / "reference"
    mark = directory / "reference.json"
    store = ReferenceStore(place, digest, world.rank)
    done = resume and mark.exists() and json.loads(mark.read_text(encoding="utf-8")) == {"model": digest}
    if any(not d for d in world.gather(done)):
        with closing(Feed(stage, loaded, seed, world, task.feed.flat, answer_keys)) as feed:
            for _ in range(stage.steps):
                for batch in feed.batches():
                    if not any(world.gather(store.missing(batch.keys)) if stage.shard else [store.missing(batch.keys)]):
                        continue
                    with autocast(precision(stage, world.device), world.device):
                        store.add(task.measure(task.store.fill(batch) if task.store else batch))
    store.close()
    shard.reshard(task.forward)
    world.barrier()
    if world.leads:
        directory.mkdir(parents=True, exist_ok=True)
        state.write_json(mark, {"model": digest})
    world.barrier()
    return ReferenceStore.read(place, digest)


def check_shape(model: ModelRecipe, kind: str, config: Any, given: str) -> None:
    """Raise `InputError` when a backbone differs from the shape that the recipe states for it."""
    config = getattr(config, "vision_config", config) if kind == "tower" else config
    stated = model.vision if kind == "tower" else model.text
    found = {
        "width": config.hidden_size,
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "mlp": config.intermediate_size,
    }
    if kind == "language":
        found |= {"kv_heads": config.num_key_value_heads, "kind": config.model_type, "vocabulary": config.vocab_size}
    wrong = {
        name: (value, getattr(stated, name))
        for name, value in found.items()
        if stated is not None and getattr(stated, name) is not None and getattr(stated, name) != value
    }
    if wrong:
        name, (has, says) = next(iter(wrong.items()))
        where = "vision" if kind == "tower" else "text"
        raise InputError(
            f"model.{where}.{name} is {says}, but {given} has {has}; correct it, or leave model.{where} out"
        )


def _trained(model: Any) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
