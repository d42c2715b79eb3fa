"""Give a finished model another tokenizer: rows that both know stay, the others begin as what they were spelled with.

python scripts/exchange_tokenizer.py MODEL TOKENIZER OUT      # MODEL "default": the one in the package
"""

from __future__ import annotations

import sys

import torch
from transformers import AutoTokenizer

from varco_vision.model import checkpoint
from varco_vision.model.vocabulary import exchange_tokenizer


def main(model: str, tokenizer: str, out: str) -> None:
    loaded = checkpoint.load(checkpoint.default_path() if model == "default" else model, "cpu", torch.float32)
    before = set(loaded.tokenizer.get_vocab())
    other = exchange_tokenizer(loaded, AutoTokenizer.from_pretrained(tokenizer))
    checkpoint.save(other, out)
    after = set(other.tokenizer.get_vocab())
    print(f"{out}: {len(after)} tokens, {len(after & before)} of them as before, {len(before - after)} are gone")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
