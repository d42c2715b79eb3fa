"""Shared-prefix attention against a dense mask, side by side in one run: time of a training step and equality.

    python benchmarks/attention.py [--rows 8] [--questions 14] [--repeats 7]

The last line of the output is one JSON document. Ratios matter, not seconds: the two variants take turns.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import time

import torch
import transformers

from varco_vision.data.collate import collate
from varco_vision.data.pack import Feeding, documents
from varco_vision.model import checkpoint
from varco_vision.model.packed import PackedBatch, supervised_logits, use_shared_prefix
from varco_vision.synth.sources import make_source
from varco_vision.train.loss import token_losses


def make_batch(loaded: checkpoint.Loaded, rows: int, questions: int) -> PackedBatch:
    """One picture a row, with its questions."""
    source = make_source("scenes", seed=5, questions=questions, wordings=2)
    feeding = Feeding(loaded.tokenizer, loaded.anyres)
    made = [documents(source.group(n), feeding, 4096)[0] for n in range(rows)]
    return collate(made, loaded.tokenizer.pad_token_id, loaded.anyres.side)


def step(loaded: checkpoint.Loaded, batch: PackedBatch) -> tuple[float, torch.Tensor]:
    """(seconds, logits) of one forward and backward pass."""
    loaded.model.zero_grad()
    began = time.perf_counter()
    logits = supervised_logits(loaded.model, batch, loaded.mean, loaded.std)
    token_losses(logits, batch.targets_S).sum().backward()
    return time.perf_counter() - began, logits.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--questions", type=int, default=14)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dense = checkpoint.load(checkpoint.default_path(), device="cpu")
    dense.model.set_attn_implementation("eager")
    shared = copy.copy(dense)
    shared.model = copy.deepcopy(dense.model)
    use_shared_prefix(shared.model)
    batch = make_batch(dense, options.rows, options.questions)
    seconds: dict[str, list[float]] = {"dense": [], "shared": []}
    for turn in range(options.repeats + 1):
        a, dense_logits = step(dense, batch)
        b, shared_logits = step(shared, batch)
        if turn:  # the first turn warms up
            seconds["dense"].append(a)
            seconds["shared"].append(b)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "row_tokens": batch.input_ids_RL.shape[1],
        "answers": len(batch.samples),
        "seconds": median,
        "ratio": median["dense"] / median["shared"],
        "largest_logit_difference": float((dense_logits - shared_logits).abs().max()),
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
