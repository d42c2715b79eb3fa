"""The loop of one stage: resume, step, log, checkpoint; the same for every kind of training."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from varco_vision.data.shares import shares_text
from varco_vision.train import metrics, state
from varco_vision.train.flops import peak
from varco_vision.train.optimizer import make_optimizer
from varco_vision.train.parallel import World
from varco_vision.train.recipe import StageRecipe
from varco_vision.train.shard import ShardedCheckpoints
from varco_vision.train.step import NON_FINITE, NonFiniteLoss, StepResult, precision, run_step

WAITING = 0.05  # part of the time that may go by waiting for rows before that is said
EARLY = 20  # steps after which it is said for the first time
FALLEN = 0.02  # nats a token by which chosen answers may fall before a stage says so


@dataclass
class StageResult:
    """What a stage did. `seconds` of training over all resumptions; losses are means over the first/last tenth of the steps."""

    name: str
    stage: int
    kind: str
    trainable: list[str]
    frozen: list[str]
    samples: int
    steps: int
    seconds: float
    loss_first: float
    loss_last: float
    refused: int
    precision: str
    curve: list[list[float]] = field(default_factory=list)  # [step, loss], at most 200 points
    waited: float = 0.0  # part of the time that went by until rows were there
    filled: float = 0.0  # part of the rows' room that held tokens
    shares: list[dict[str, Any]] = field(default_factory=list)  # of each source: asked, reached (of the groups), groups
    preference: dict[str, float] = field(default_factory=dict)  # means over the last tenth, see preference.told

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def train_stage(
    task: Any,
    stage: StageRecipe,
    directory: Path,
    world: World,
    parts: tuple[list[str], list[str]],
    resume: bool,
    show: bool,
    say: Callable[[str], None] = print,
) -> StageResult:
    """Train `task` for `stage.steps` steps; with `resume` from the newest checkpoint in `directory`, if there is one.

    `parts`: names of trained and frozen parts, for the record.
    """
    dtype = precision(stage, world.device)
    optimizer = make_optimizer(task.named_parameters(), stage, task.part_of)
    keeper = _Keeper(task, optimizer, stage, directory, world)
    if world.leads:
        (state.sweep if resume else state.clear)(directory)
        (directory / NON_FINITE).unlink(missing_ok=True)
    world.barrier()
    done, seconds = keeper.resume() if resume else (0, 0.0)
    log = metrics.StageLog(directory, f"{stage.stage} {stage.name}", stage.steps, done, show) if world.leads else None
    began = time.monotonic()
    early = _EarlyWord(stage, world, say) if hasattr(task, "feed") else None
    try:
        for step in range(done, stage.steps):
            tick = time.monotonic()
            result = run_step(task, stage, step, optimizer, world, dtype)
            spent = time.monotonic() - tick
            if log:
                log.step(step, record_of(result, spent, world))
            if early:
                early.step(result.waited, spent)
            if (step + 1) % stage.checkpoint_every == 0 and step + 1 < stage.steps:
                if log:
                    log.flush()
                keeper.write(step + 1, seconds + time.monotonic() - began)
        keeper.finish()
    except NonFiniteLoss as error:
        if world.leads:
            told = {"step": step, "culprits": error.culprits, "samples": error.samples}
            state.write_json(directory / NON_FINITE, told)
        raise
    finally:
        if log:
            log.close()
        task.close()
    totals = world.sum(torch.tensor([task.samples, task.refused], device=world.device)).tolist()
    world.barrier()
    records = metrics.read(directory / "metrics.jsonl")
    result = _result(stage, parts, records, totals, seconds + time.monotonic() - began, dtype)
    if hasattr(task, "feed"):
        found = task.feed.shares(world.gather(task.state()))
        result.shares = [{"source": s.name, "asked": s.asked, "reached": s.actual, "groups": s.groups} for s in found]
        if found:
            say(f"  groups of each source: {shares_text(found)}")
    for line in preference_text(result.preference):
        say(f"  {line}")
    if hasattr(task, "feed") and stage.steps >= EARLY and result.waited > WAITING:
        say(f"  {waiting_text(result.waited, stage, world)}")
    return result


class _EarlyWord:
    """Says once, after the first steps, that the step waits for rows: at the end of a long stage it would be too late."""

    def __init__(self, stage: StageRecipe, world: World, say: Callable[[str], None]) -> None:
        self.stage, self.world, self.say = stage, world, say
        self.steps, self.waited, self.seconds = 0, 0.0, 0.0

    def step(self, waited: float, seconds: float) -> None:
        self.steps += 1
        if self.steps <= 2 or self.steps > EARLY:  # loaders and caches start in the first steps
            return
        self.waited, self.seconds = self.waited + waited, self.seconds + seconds
        if self.steps == EARLY and self.stage.steps > 2 * EARLY and self.waited > WAITING * self.seconds:
            self.say(f"  {waiting_text(self.waited / self.seconds, self.stage, self.world)}")


def waiting_text(part: float, stage: StageRecipe, world: World, cores: int | None = None) -> str:
    """That `part` of the time went by waiting for rows, and what to change. `cores`: of this machine, which are counted."""
    cores = cores or usable_cores()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", world.size))
    rows = -(-stage.rows // world.size)
    used = min(stage.workers, rows)
    found = f"{100 * part:.0f} % of the time went by waiting for rows"
    if used == rows and used:
        return f"{found}, although each of the {rows} rows a process has a loader of its own: raise 'rows', or store smaller pictures"
    if cores // processes <= used + 1:
        return f"{found}, and no core is free for a loader (this run may use {cores}): give it more cores, or store smaller pictures"
    wanted = min(rows, 2 * used or 1, cores // processes - 1)
    return f"{found}: set 'workers' of stage '{stage.name}' to {wanted} (it is {stage.workers}, and this run may use {cores} cores)"


def usable_cores() -> int:
    """Cores that this process may use: of those that it is bound to, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Keeper:
    """Checkpoints of a stage: whole ones written by the leading process, or sharded ones by all."""

    def __init__(
        self, task: Any, optimizer: torch.optim.Optimizer, stage: StageRecipe, directory: Path, world: World
    ) -> None:
        self.task, self.optimizer, self.stage, self.directory, self.world = task, optimizer, stage, directory, world
        sharded = getattr(task, "sharded", False)
        self.shards = ShardedCheckpoints(task.forward, optimizer, directory, world) if sharded else None

    def resume(self) -> tuple[int, float]:
        """(step to go on with, seconds so far)."""
        if self.shards:
            plain = self.shards.load()
            if plain is None:
                return 0, 0.0
        else:
            found = state.newest(self.directory)
            if found is None:
                return 0, 0.0
            tensors, plain = found
            self.task.load_tensors(tensors["parameters"])
            self.optimizer.load_state_dict(tensors["optimizer"])
        self.task.restore(plain["feed"])
        return plain["step"], plain["seconds"]

    def write(self, step: int, seconds: float) -> None:
        plain = {"feed": self.world.gather(self.task.state()), "seconds": seconds}
        if self.shards:
            self.shards.write(step, plain, self.stage.keep_checkpoints)
            return
        if self.world.leads:
            tensors = {"parameters": self.task.tensors(), "optimizer": self.optimizer.state_dict()}
            state.write(self.directory, step, tensors, plain, self.stage.keep_checkpoints)
        self.world.barrier()

    def finish(self) -> None:
        if self.shards:
            self.shards.finish()


def record_of(result: StepResult, seconds: float, world: World) -> dict[str, Any]:
    """One line of metrics.jsonl. What is not known on this machine is left out: no peak, no utilisation."""
    record: dict[str, Any] = {
        "loss": result.loss,
        "seconds": seconds,
        "gradient_norm": result.norm,
        "rate": result.rates,
        "term": result.terms,
        "count": result.counts,
        "waited": result.waited,
        **result.details,
    }
    load = result.load
    if load:
        names = ("text", "picture", "supervised", "tiles")
        record["per_second"] = {name: round(load[name] / seconds, 1) for name in names}
        record["filled"] = round((load["text"] + load["picture"]) / load["room"], 4)
        record["teraflops"] = round(load["flops"] / seconds / 1e12 / world.size, 4)
    record["memory_gib"] = round(result.memory / 2**30, 2)
    if result.left_out:
        record["left_out"] = result.left_out
    if world.device.type == "cuda":
        most = peak(torch.cuda.get_device_name(world.device))
        if load and most:
            record["utilisation"] = round(load["flops"] / seconds / world.size / most, 4)
    return record


def _result(
    stage: StageRecipe,
    parts: tuple[list[str], list[str]],
    records: list[dict[str, Any]],
    totals: list[int],
    seconds: float,
    dtype: torch.dtype,
) -> StageResult:
    losses = [(r["step"], r["loss"]) for r in records]
    window = max(1, len(losses) // 10)
    mean = lambda rows: sum(loss for _, loss in rows) / len(rows)  # noqa: E731
    stride = max(1, -(-len(losses) // 200))
    curve = [[chunk[0][0], mean(chunk)] for at in range(0, len(losses), stride) if (chunk := losses[at : at + stride])]
    filled = [r["filled"] for r in records if "filled" in r]
    return StageResult(
        name=stage.name,
        stage=stage.stage,
        kind=stage.kind,
        trainable=parts[0],
        frozen=parts[1],
        samples=totals[0],
        steps=stage.steps,
        seconds=seconds,
        loss_first=mean(losses[:window]),
        loss_last=mean(losses[-window:]),
        refused=totals[1],
        precision=str(dtype).removeprefix("torch."),
        curve=curve,
        waited=sum(r.get("waited", 0.0) for r in records) / max(1e-9, sum(r["seconds"] for r in records)),
        filled=sum(filled) / len(filled) if filled else 0.0,
        preference=_last_means(records[-window:]) if stage.kind == "preference" else {},
    )


def _last_means(records: list[dict[str, Any]]) -> dict[str, float]:
    """Means of what preference training tells, over the steps in which it was there (a task may miss in a step)."""
    starts = ("accuracy", "margin", "chosen", "rejected")
    found: dict[str, list[float]] = {}
    for record in records:
        for key, value in record.items():
            if key.startswith(starts):
                found.setdefault(key, []).append(value)
    return {key: sum(values) / len(values) for key, values in sorted(found.items())}


def preference_text(means: dict[str, float]) -> list[str]:
    """Lines for the end of a preference stage: where it went, and a warning where chosen answers became less likely."""
    if not means:
        return []
    line = f"at the end {means['accuracy']:.0%} of the pairs go the right way, margin {means['margin']:.2f}"
    if "chosen_change" not in means:
        return [line]
    line += f"; against the reference chosen {means['chosen_change']:+.3f}, rejected {means['rejected_change']:+.3f} nats a token"
    start = "chosen_change_"
    fallen = {key[len(start) :]: value for key, value in means.items() if key.startswith(start) and value < -FALLEN}
    if not fallen and means["chosen_change"] >= -FALLEN:
        return [line]
    where = ", ".join(f"{task} {value:+.3f}" for task, value in sorted(fallen.items(), key=lambda item: item[1]))
    advice = "a lower learning_rate or a larger sft_weight keeps them; evaluate the tasks that are not in the pairs too"
    return [line, f"chosen answers became less likely ({where or 'over all tasks'}): {advice}"]
