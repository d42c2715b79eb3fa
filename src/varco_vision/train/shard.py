"""What large models need, applied from outside and in this order: recomputation, compilation, sharding, all by block.

Blocks are the layers of tower and language model. Sharding is PyTorch's FSDP2: every process keeps its part of each weight,
gradient and optimizer state, gathers a block when it runs and sums gradients in float32.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from varco_vision.errors import InputError
from varco_vision.train import state
from varco_vision.train.forward import PackedForward
from varco_vision.train.parallel import World
from varco_vision.train.recipe import StageRecipe

SHARDS = "shards"
KEPT = (  # results that selective checkpointing keeps: the dear ones; all else is computed again
    "aten.mm.default",
    "aten.addmm.default",
    "aten._scaled_dot_product_flash_attention.default",
    "aten._scaled_dot_product_efficient_attention.default",
    "aten._scaled_dot_product_flash_attention_for_cpu.default",
)


def blocks(model: nn.Module) -> list[nn.Module]:
    """The layers of the tower, then those of the language model."""
    found: list[nn.Module] = []
    if hasattr(model.model, "vision_tower"):
        tower = model.model.vision_tower
        found += list(getattr(tower, "vision_model", tower).encoder.layers)
    return found + list(getattr(model.model, "language_model", model.model).layers)


def prepare(forward: PackedForward, stage: StageRecipe, world: World, dtype: torch.dtype) -> None:
    """Apply what the stage asks for, in place."""
    for block in blocks(forward.model):
        if stage.checkpointing != "none":
            _recompute(block, selective=stage.checkpointing == "selective")
        if stage.compile:
            block.compile(dynamic=True)
    if stage.shard:
        if stage.rows % world.size:
            raise InputError(
                f"stage '{stage.name}': {stage.rows} rows over {world.size} processes; sharded, every process must take "
                "equally many, so make rows a multiple of the processes"
            )
        if world.size > 1:
            mesh = init_device_mesh(world.device.type, (world.size,))
            shard(forward, mesh, dtype, kept_whole(forward.model, stage))


def kept_whole(model: nn.Module, stage: StageRecipe) -> list[nn.Module]:
    """Frozen encoders whose features are kept: one process encodes a view without the others, so each has all their weights."""
    if not stage.cache_features:
        return []
    projector = model.model.multi_modal_projector
    trains = any(p.requires_grad for p in projector.parameters())
    return [model.model.vision_tower, *([] if trains else [projector])]


def shard(forward: PackedForward, mesh: DeviceMesh, dtype: torch.dtype, whole: Sequence[nn.Module] = ()) -> None:
    """FSDP2 over `mesh`: one group a block, the rest in a root group. Gradients are summed, since losses already share one
    divisor. The modules in `whole` are not sharded.
    """
    policy = MixedPrecisionPolicy(
        param_dtype=None if dtype == torch.float32 else dtype, reduce_dtype=torch.float32, output_dtype=torch.float32
    )
    inner = MixedPrecisionPolicy(param_dtype=policy.param_dtype, reduce_dtype=torch.float32)
    inside = {id(module) for part in whole for module in part.modules()}
    for block in blocks(forward.model):
        if id(block) not in inside:
            fully_shard(block, mesh=mesh, mp_policy=inner)
    fully_shard(forward, mesh=mesh, mp_policy=policy, ignored_params={p for part in whole for p in part.parameters()})
    for module in forward.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no sum with a factor
    forward.always = True


def reshard(forward: PackedForward) -> None:
    """Free what a forward without a backward left gathered. An optimizer made before that would hold the gathered weights,
    which nothing updates.
    """
    for module in forward.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _recompute(block: nn.Module, selective: bool) -> None:
    """Let a block's forward keep its input only (or the results in `KEPT` too) and run again in the backward pass."""
    inner = block.forward
    options: dict[str, Any] = {"use_reentrant": False}
    if selective:
        options["context_fn"] = functools.partial(create_selective_checkpoint_contexts, _policy)

    @functools.wraps(inner)
    def forward(*arguments: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return inner(*arguments, **named)
        return checkpoint(inner, *arguments, **named, **options)

    block.forward = forward


def _policy(context: Any, operation: Any, *arguments: Any, **named: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if str(operation) in KEPT else CheckpointPolicy.PREFER_RECOMPUTE


def whole_weights(forward: PackedForward, world: World) -> dict[str, Tensor]:
    """All weights of the model, unsharded, on the CPU, in the leading process; empty in the others. Every process calls it."""
    weights: dict[str, Tensor] = {}
    for name, value in forward.model.state_dict().items():
        full = value.full_tensor() if hasattr(value, "full_tensor") else value
        if world.leads:
            weights[name] = full.cpu()
    return weights


class ShardedCheckpoints:
    """Distributed checkpoints of a sharded stage, written while training goes on.

    A checkpoint becomes complete (`state.finish`) when all processes have written theirs; until then nothing reads it. They
    load into any number of processes.
    """

    def __init__(self, forward: PackedForward, optimizer: torch.optim.Optimizer, directory: Path, world: World) -> None:
        self.forward, self.optimizer, self.directory, self.world = forward, optimizer, directory, world
        self.pending: tuple[Future, Callable[[], None]] | None = None
        # Its own group: what is written in the background must not meet the collectives of the step.
        self.group = torch.distributed.new_group(backend="gloo") if world.size > 1 else None

    def _state(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(
            self.forward, self.optimizer, options=StateDictOptions(ignore_frozen_params=True, cpu_offload=False)
        )
        return {"model": model, "optimizer": optimizer}

    def write(self, step: int, plain: dict[str, Any], keep: int) -> None:
        """Begin to write; the one before is finished first."""
        self.finish()
        content = self._state()
        need = self.world.sum(torch.tensor(float(state.size(content)), dtype=torch.float64))
        if self.world.leads:
            state.require_space(self.directory, int(need))
            state.begin(self.directory, step)
        self.world.barrier()
        draft = state.drafted(self.directory, step)
        if self.world.size > 1:
            future = dcp.async_save(content, checkpoint_id=str(draft / SHARDS), process_group=self.group)
        else:
            future = Future()
            try:
                future.set_result(dcp.save(content, checkpoint_id=str(draft / SHARDS)))
            except BaseException as error:  # told by `finish`, as if it had been written in the background
                future.set_exception(error)

        def close() -> None:
            if self.world.leads:
                state.finish(draft, step, plain, keep)

        self.pending = (future, close)

    def finish(self) -> None:
        """Wait for what is being written and make it complete."""
        if self.pending is None:
            return
        future, close = self.pending
        self.pending = None
        try:
            future.result()
        except BaseException:  # torch tells every process that one of them could not write
            if self.world.leads:
                state.sweep(self.directory)
            raise
        self.world.barrier()
        close()
        self.world.barrier()

    def load(self) -> dict[str, Any] | None:
        """Read the newest complete checkpoint into model and optimizer; returns its plain part."""
        found = state.newest_plain(self.directory)
        if found is None:
            return None
        path, plain = found
        content = self._state()
        dcp.load(content, checkpoint_id=str(path / SHARDS))
        set_state_dict(
            self.forward,
            self.optimizer,
            model_state_dict=content["model"],
            optim_state_dict=content["optimizer"],
            options=StateDictOptions(strict=False, ignore_frozen_params=True),
        )
        return plain
