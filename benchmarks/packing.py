"""How full rows are, by how many documents wait to be packed, on the mixture of a recipe's stage.

    python benchmarks/packing.py [--recipe nano] [--stage advanced] [--rows 100] [--skip 60] [--lookahead 8 16 32 64]
                                  [--max-tokens N]

Three ways over the same stream: `first_fit_decreasing` sorts a whole buffer, lays it out and refills it; `best_fit` takes the
oldest document first, then always the largest that fits; `split` also moves single samples of a document into the room that is left
(`split_groups: true`), which reads a picture once more. `filled` is tokens over room, `new` the same without what was repeated.

Where a recipe's data are files that do not exist here, pictures and questions stand in for them: pictures of the sizes in SIZES,
1 to 6 questions on each with answers of 10 to 300 tokens, and texts of 1 to 4 turns; all drawn by a seed. The last line of the output
is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from varco_vision.data import pack
from varco_vision.data.pack import Budget, Document, Feeding, RowStream
from varco_vision.data.sample import Sample
from varco_vision.data.source import Mixture
from varco_vision.model import checkpoint
from varco_vision.model.compose import pinpoints
from varco_vision.train.feed import open_mixture
from varco_vision.train.recipe import Recipe, StageRecipe, find, read

SIZES = [(384, 384), (640, 480), (480, 640), (800, 600), (1024, 768), (1280, 720), (1920, 1080), (1654, 2339)]
WORDS = [
    "where",
    "what",
    "the",
    "red",
    "house",
    "says",
    "people",
    "river",
    "number",
    "table",
    "left",
    "right",
    "under",
    "above",
    "many",
]


class StandIn:
    """Samples of plausible lengths in place of a file that is not here."""

    def __init__(self, name: str) -> None:
        self.name = name

    def group(self, index: int) -> list[Sample]:
        rng = random.Random(f"{self.name}-{index}")
        images = () if "text" in self.name else (Image.new("RGB", rng.choice(SIZES)),)
        count = 1 if not images else rng.randint(1, 6)
        return [self._sample(rng, index, k, images) for k in range(count)]

    def _sample(self, rng: random.Random, index: int, k: int, images: tuple) -> Sample:
        said = lambda role, low, high: {  # noqa: E731
            "role": role,
            "content": [{"type": "text", "text": " ".join(rng.choices(WORDS, k=rng.randint(low, high)))}],
        }
        turns = [said(role, *size) for _ in range(1 if images else rng.randint(1, 4)) for role, size in TURNS]
        turns[0]["content"] = [*({"type": "image"} for _ in images), *turns[0]["content"]]
        return Sample(id=f"{self.name}-{index}-{k}", images=images, task="vqa", lang="en", messages=tuple(turns))


TURNS = (("user", (5, 30)), ("assistant", (10, 300)))


def mixture(stage: StageRecipe, seed: int) -> tuple[Mixture | object, bool]:
    """The stage's own samples, or stand-ins; and which of the two."""
    files = [s.source for s in stage.mixture.values() if not s.source.startswith("synth:")]
    if all(Path(name).exists() for name in files):
        return open_mixture(stage, seed), False
    weights = {name: s.weight for name, s in stage.mixture.items()}
    return Mixture({name: StandIn(name) for name in weights}, weights, seed), True


def best_fit(stream: RowStream, rows: int) -> list[list[Document]]:
    """The stream's own rows."""
    return [stream.row() for _ in range(rows)]


def first_fit_decreasing(stream: RowStream, rows: int) -> list[list[Document]]:
    """The whole buffer sorted and laid out at once, and only then refilled."""
    made: list[list[Document]] = []
    while len(made) < rows:
        stream._refill()
        free: list[list[Document]] = []
        for document in sorted((w.document for w in stream.buffer), key=lambda d: -d.tokens):
            fits = (row for row in free if sum(d.tokens for d in row) + document.tokens <= stream.budget.tokens)
            row = next(fits, None)
            if row is None:
                free.append([document])
            else:
                row.append(document)
        made += free
        stream.buffer.clear()
    return made


def told(made: list[list[Document]], tokens: int) -> dict[str, float]:
    """Part of the room that is filled, the same without prefixes that came before, and samples a row."""
    seen: set[int] = set()
    used = repeated = samples = 0
    for document in (d for row in made for d in row):
        used += document.tokens
        repeated += len(document.prefix) if id(document.views_VTTC) in seen else 0
        seen.add(id(document.views_VTTC))
        samples += len(document.sizes())
    room = len(made) * tokens
    return {
        "filled": round(used / room, 4), "new": round((used - repeated) / room, 4), "samples": round(samples / len(made), 2)
    }  # fmt: skip


def feeding_of(recipe: Recipe, stage: StageRecipe) -> Feeding:
    """The shipped tokenizer, under the recipe's tiling."""
    loaded = checkpoint.load(checkpoint.default_path(), device="cpu")
    model = recipe.model
    points = pinpoints(model.tile, model.max_tiles, model.longest_side)
    anyres = replace(loaded.anyres, tile=model.tile, patch=model.patch, max_tiles=model.cap, pinpoints=points)
    anyres = anyres.limited(stage.max_tiles) if stage.max_tiles else anyres
    return Feeding(loaded.tokenizer, anyres, single_view=stage.views == "one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="nano")
    parser.add_argument("--stage", default="advanced")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument(
        "--skip", type=int, default=60, help="first rows that do not count: a fresh buffer fills them better"
    )
    parser.add_argument("--lookahead", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--max-tokens", type=int, help="of a row, in place of the recipe's")
    options = parser.parse_args()
    recipe = read(find(options.recipe))
    stage = next(s for s in recipe.stages if s.name == options.stage)
    if options.max_tokens:
        stage = replace(stage, max_tokens=options.max_tokens)
    feeding, (source, stand_in) = feeding_of(recipe, stage), mixture(stage, recipe.seed)
    real = pack.documents
    # rows are counted, not trained: no pixel is needed, but each group has an array of its own
    pack._pixels = lambda pictures, plans, feeding: np.zeros((sum(p.view_count for p in plans), 1, 1, 3), np.uint8)

    @cache
    def of_group(index: int) -> tuple[list[Document], list[str]]:
        return real(source.group(index), feeding, stage.max_tokens)

    class Known:
        def group(self, index: int) -> int:
            return index

    pack.documents = lambda index, *rest: of_group(index)
    result: dict[str, object] = {
        "recipe": recipe.name, "stage": stage.name, "rows": options.rows, "skip": options.skip, "max_tokens": stage.max_tokens, "stand_in": stand_in
    }  # fmt: skip
    ways: dict[str, tuple[Callable, bool]] = {
        "first_fit_decreasing": (first_fit_decreasing, False), "best_fit": (best_fit, False), "split": (best_fit, True)
    }  # fmt: skip
    for lookahead in options.lookahead:
        found = {}
        for name, (fill, split) in ways.items():
            stream = RowStream(Known(), feeding, Budget(stage.max_tokens), 0, 1, lookahead, split)
            found[name] = told(fill(stream, options.skip + options.rows)[options.skip :], stage.max_tokens)
        result[f"lookahead {lookahead}"] = found
    print(json.dumps(result))


if __name__ == "__main__":
    main()
