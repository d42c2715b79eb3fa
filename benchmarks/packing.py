"""How full rows are, by how many documents wait to be packed, on the mixture of a recipe's stage.

    python benchmarks/packing.py [--recipe nano] [--stage advanced] [--rows 100] [--lookahead 8 16 32 64]
                                  [--max-tokens N]

The filling of training (oldest first, then always the largest that fits) stands beside first-fit-decreasing over the same
buffer. The last line of the output is one JSON document.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import cache

from varco_vision.data import pack
from varco_vision.data.pack import Budget, Document, Feeding, RowStream
from varco_vision.model import checkpoint
from varco_vision.train.feed import open_mixture
from varco_vision.train.recipe import find, read


def best_fit(stream: RowStream, rows: int, tokens: int) -> float:
    """Part of the room that the stream's own rows fill."""
    return sum(d.tokens for _ in range(rows) for d in stream.row()) / (rows * tokens)


def first_fit_decreasing(stream: RowStream, rows: int, tokens: int) -> float:
    """The same when the whole buffer is sorted and laid out at once, and only then refilled."""
    used = made = 0
    while made < rows:
        stream._refill()
        free: list[int] = []
        for size in sorted((d.tokens for _, _, d in stream.buffer), reverse=True):
            place = next((n for n, room in enumerate(free) if room >= size), None)
            if place is None:
                free.append(tokens)
                place = len(free) - 1
            free[place] -= size
        used += sum(tokens - room for room in free)
        made += len(free)
        stream.buffer.clear()
    return used / (made * tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="nano")
    parser.add_argument("--stage", default="advanced")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--lookahead", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--max-tokens", type=int, help="of a row, in place of the recipe's")
    options = parser.parse_args()
    recipe = read(find(options.recipe))
    stage = next(s for s in recipe.stages if s.name == options.stage)
    if options.max_tokens:
        stage = replace(stage, max_tokens=options.max_tokens)
    loaded = checkpoint.load(checkpoint.default_path(), device="cpu")
    feeding = Feeding(loaded.tokenizer, loaded.anyres, single_view=stage.views == "one")
    source = open_mixture(stage, recipe.seed)
    real = pack.documents

    @cache
    def of_group(index: int) -> tuple[list[Document], list[str]]:
        return real(source.group(index), feeding, stage.max_tokens)

    class Known:
        def group(self, index: int) -> int:
            return index

    pack.documents = lambda index, *rest: of_group(index)
    result: dict[str, object] = {
        "recipe": recipe.name,
        "stage": stage.name,
        "rows": options.rows,
        "max_tokens": stage.max_tokens,
    }
    for lookahead in options.lookahead:
        found = {}
        for name, fill in (("best_fit", best_fit), ("first_fit_decreasing", first_fit_decreasing)):
            stream = RowStream(Known(), feeding, Budget(stage.max_tokens), 0, 1, lookahead)
            found[name] = round(fill(stream, options.rows, stage.max_tokens), 4)
        result[f"lookahead {lookahead}"] = found
    print(json.dumps(result))


if __name__ == "__main__":
    main()
