"""One stage of a tiny model, for tests that need several processes: python train_ranks.py MODEL OUT [--option value ...].

Groups of odd number are text, so of two processes the second one never sees a picture. The leading process leaves
`weights.pt` in OUT; losses are in metrics.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path

import torch
from train_tools import Pictures, make_stage

from varco_vision.data.sample import Sample
from varco_vision.model.checkpoint import load
from varco_vision.train import feed, parallel
from varco_vision.train import stage as loop
from varco_vision.train.recipe import LoraRecipe
from varco_vision.train.setup import prepare


class Alternating(Pictures):
    """Pictures at even indices, text at odd ones."""

    def group(self, index: int) -> list[Sample]:
        images = super().group(2 * (index % self.groups) + 1)[0].images if index % 2 == 0 else []
        return [self._sample(index % 50, k, list(images)) for k in range(2)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--changes", type=json.loads, default={})
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill-at", type=int, default=-1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = parallel.start()
    feed.open_mixture = lambda stage, seed: Alternating(stage.kind == "preference", text_every=1000, groups=1000)
    changes = dict(options.changes)
    changes["lora"] = {part: LoraRecipe(**given) for part, given in changes.get("lora", {}).items()}
    stage = make_stage(**changes)
    setup = prepare(stage, load(options.model, device="cpu"), 0, world, options.out, options.resume)
    real = loop.run_step

    def run_step(task, stage, step, *rest):
        if step == options.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(task, stage, step, *rest)

    loop.run_step = run_step
    loop.train_stage(setup.task, stage, options.out, world, ([], []), options.resume, show=False, say=lambda text: None)
    loaded = setup.finished()
    if world.leads:
        torch.save(loaded.model.state_dict(), options.out / "weights.pt")
    parallel.stop()


if __name__ == "__main__":
    main()
