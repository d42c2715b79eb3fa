"""From a stage's mixture to the packed batches of this process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from varco_vision.data.collate import Laid, join, lay
from varco_vision.data.files import open_files
from varco_vision.data.pack import Budget, Document, Feeding, RowStream
from varco_vision.data.shares import Share, positions, shares
from varco_vision.data.source import Mixture, Repeated, Source
from varco_vision.errors import InputError
from varco_vision.model.checkpoint import Loaded
from varco_vision.model.packed import PackedBatch, layout_of
from varco_vision.synth.sources import make_source
from varco_vision.train.parallel import World
from varco_vision.train.recipe import SourceRecipe, StageRecipe

FILE_OPTIONS = {"image_root"}
Made = tuple[Laid, dict[str, Any], list[str]]  # a row, the state of its stream behind it, samples refused on the way
Digest = Callable[[Iterable[Document]], list[str]]


def stream_seed(*parts: object) -> int:
    """A seed that depends on all of `parts` and on nothing else (not on Python's salted hash)."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=6).digest(), "big")


def open_source(name: str, recipe: SourceRecipe, seed: int) -> Source:
    """An endless source: "synth:NAME" makes samples, anything else is a file of JSON lines, parquet
    or tar shards, or a folder of them, read round after round.
    """
    own = stream_seed(seed, name)
    kind, _, generator = recipe.source.partition(":")
    if kind == "synth" and generator:
        return make_source(generator, seed=own, split="train", **recipe.options)
    if unknown := sorted(set(recipe.options) - FILE_OPTIONS):
        raise InputError(
            f"unknown option '{unknown[0]}' of the files {recipe.source}; known is {', '.join(FILE_OPTIONS)}"
        )
    return Repeated(open_files(recipe.source, **recipe.options), own)


def require_files(stage: StageRecipe) -> None:
    """Raise `InputError` for a source whose file or folder does not exist: better now than after the stages before this one."""
    for name, recipe in stage.mixture.items():
        if not recipe.source.startswith("synth:") and not Path(recipe.source).exists():
            raise InputError(
                f"stage '{stage.name}', source '{name}': {recipe.source} does not exist; name a file or folder of samples"
            )


def open_mixture(stage: StageRecipe, seed: int) -> Mixture:
    """All sources of a stage in their shares."""
    own = stream_seed(seed, stage.name, stage.seed)
    sources = {}
    for name, recipe in stage.mixture.items():
        try:
            sources[name] = open_source(name, recipe, own)
        except InputError as error:
            raise InputError(f"stage '{stage.name}', source '{name}': {error}") from error
    weights = {name: recipe.weight for name, recipe in stage.mixture.items()}
    return Mixture(sources, weights, own, stage.rows if stage.order == "even" else None)


class _Steps(IterableDataset):
    """Step after step, {shard: (row, state of its stream behind that row, samples refused on the way to it)}.

    A loader worker serves every `workers`-th shard; the rows of a shard do not depend on who makes them. A user's mistake is
    handed over as it is: torch would hide its sentence in the worker's traceback.
    """

    def __init__(self, streams: dict[int, RowStream], side: int, digest: Digest | None) -> None:
        self.streams, self.side, self.digest = streams, side, digest

    def __iter__(self) -> Iterator[dict[int, Made] | InputError]:
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        mine = list(self.streams.items())[first::stride]
        while True:
            try:
                yield {shard: self._made(stream) for shard, stream in mine}
            except InputError as error:
                yield error

    def _made(self, stream: RowStream) -> Made:
        row = stream.row()
        keys = self.digest(row) if self.digest else ()
        return lay(row, self.side, keys), stream.state(), _taken(stream.refused)


def as_it_is(made: Any) -> Any:
    """In place of torch's own conversion of what a worker made."""
    return made


def _taken(names: list[str]) -> list[str]:
    """All of `names`, which is empty then."""
    taken = list(names)
    names.clear()
    return taken


class Feed:
    """The packed micro-batches of one process. A step takes one row from each of `stage.rows` shards.

    Shard k belongs to process k modulo the number of processes, so a run may resume with another number of them, or of
    loader workers. `flat`: the rows of a micro-batch are laid end to end as one, which needs no padding; for models that
    attend by `PackedBatch.layout`, whose cost does not grow with the length of a row; `loaded.model` must attend already as it
    will (`layout_of`). `digest` gives the `keys` of a batch.
    """

    def __init__(
        self,
        stage: StageRecipe,
        loaded: Loaded,
        seed: int,
        world: World,
        flat: bool = True,
        digest: Digest | None = None,
    ) -> None:
        anyres = loaded.anyres.limited(stage.max_tiles) if stage.max_tiles else loaded.anyres
        pad = tuple(int(m * 255) for m in loaded.mean)
        self.tokenizer = loaded.tokenizer
        feeding = Feeding(loaded.tokenizer, anyres, single_view=stage.views == "one", pad_colour=pad)
        source = self.source = open_mixture(stage, seed)
        budget = Budget(stage.max_tokens, stage.max_views)
        self.stage, self.world, self.side, self.flat, self.digest = stage, world, anyres.side, flat, digest
        self.layout = layout_of(loaded.model)
        self.pad_id = loaded.tokenizer.pad_token_id or 0
        self.streams = {
            shard: RowStream(source, feeding, budget, shard, stage.rows, stage.lookahead, stage.split_groups)
            for shard in range(world.rank, stage.rows, world.size)
        }
        self.states = {shard: stream.state() for shard, stream in self.streams.items()}
        self.left_out: list[str] = []  # samples that no row could hold, by name, met on the way to the last rows
        self.steps: Iterator[dict] | None = None
        self.threaded = world.device.type == "cuda"
        self.ahead: ThreadPoolExecutor | None = None
        self.coming: Future[tuple[dict[int, Made], list[PackedBatch]]] | None = None

    @property
    def workers(self) -> int:
        return min(self.stage.workers, len(self.streams))

    def _opened(self) -> Iterator[dict]:
        """The steps of the loaders, which begin with the first call."""
        if self.steps is None:
            steps = _Steps(self.streams, self.side, self.digest)
            self.steps = iter(DataLoader(steps, batch_size=None, num_workers=self.workers, collate_fn=as_it_is))
        return self.steps

    def _rows(self) -> dict[int, Made]:
        """What the next step takes from every shard of this process."""
        steps, made = self._opened(), {}
        for _ in range(max(1, self.workers)):
            rows = next(steps)
            if isinstance(rows, InputError):
                raise InputError(f"stage '{self.stage.name}': {rows}")
            made.update(rows)
        return made

    def batches(self) -> list[PackedBatch]:
        """The next step's rows of this process, in micro-batches, on its device.

        Before a GPU the step behind it is laid out meanwhile, in a thread: the host would else do that while the device waits.
        What `state` tells is of the rows that were handed out.
        """
        if self.threaded:
            self._opened()  # here: a loader forked by the thread would end by waiting for itself, with exit code 1
            self.ahead = self.ahead or ThreadPoolExecutor(1, "feed")
            coming = self.coming or self.ahead.submit(self._step)
            made, batches = coming.result()
            self.coming = self.ahead.submit(self._step)
        else:
            made, batches = self._step()
        self.states = {shard: made[shard][1] for shard in self.streams}
        self.left_out = [name for shard in self.streams for name in made[shard][2]]
        return batches

    def close(self) -> None:
        """End the loaders and the thread. What was laid out ahead is dropped; only counts may be asked for afterwards."""
        if self.ahead:
            self.ahead.shutdown(cancel_futures=True)
        self.ahead = self.coming = self.steps = None

    def _step(self) -> tuple[dict[int, Made], list[PackedBatch]]:
        made, size = self._rows(), self.stage.micro_rows
        rows = [made[shard][0] for shard in self.streams]  # in the order of the shards
        return made, [self._batch(rows[at : at + size]) for at in range(0, len(rows), size)]

    def _batch(self, rows: list[Laid]) -> PackedBatch:
        made = join(rows, self.pad_id, self.side, self.layout, self.flat).to(self.world.device)
        return replace(made, rows=len(rows))

    def state(self) -> dict[str, Any]:
        return {str(shard): state for shard, state in self.states.items()}

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        """Continue from the states of all processes (any number of them); before the first batch only."""
        assert self.steps is None, "a feed that has begun cannot be set back"
        merged = {shard: state for part in states for shard, state in part.items()}
        if len(merged) != self.stage.rows:
            raise InputError(
                f"stage '{self.stage.name}': the checkpoint was written with rows: {len(merged)}, and rows is {self.stage.rows} now; "
                "set it back, or train anew under another --out"
            )
        for shard, stream in self.streams.items():
            try:
                stream.restore(merged[str(shard)])
            except InputError as error:
                raise InputError(f"stage '{self.stage.name}': {error}") from error
            self.states[shard] = stream.state()

    @property
    def samples(self) -> int:
        return sum(state["samples"] for state in self.states.values())

    @property
    def refused(self) -> int:
        """How many samples no row could hold, since the stage began."""
        return sum(state.get("left_out", 0) for state in self.states.values())

    def shares(self, states: Sequence[dict[str, Any]]) -> list[Share]:
        """Asked and reached shares of the mixture's sources, from the states of all processes."""
        if not isinstance(self.source, Mixture):
            return []
        following = {int(shard): state["next"] for part in states for shard, state in part.items()}
        weights = {name: recipe.weight for name, recipe in self.stage.mixture.items()}
        return shares(self.source, weights, positions(following, self.stage.rows))
