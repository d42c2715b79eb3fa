"""Random streams and splits that depend on names and numbers only, never on the process, the order or Python's hash()."""

from __future__ import annotations

import random
from hashlib import blake2b

SPLITS = ("train", "eval")


def stable_hash(*parts: object) -> int:
    """A 64-bit number from the written form of the parts; the same in every process and Python version."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def stream(*parts: object) -> random.Random:
    """A random stream of its own for every list of parts, for example ("scenes", "train", seed, index)."""
    return random.Random(stable_hash(*parts))


def in_percent(share: int, *parts: object) -> bool:
    """Whether the parts fall into the given `share` (0..100) of everything that can be named."""
    return stable_hash(*parts) % 100 < share
