"""Put a trained checkpoint into the package as its default model: bfloat16 weights, the published layout.

python scripts/ship_default.py runs/mini/preference/model
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

from varco_vision.model import checkpoint

TARGET = Path(__file__).parent.parent / "src" / "varco_vision" / "default_model"


def main(source: str) -> None:
    loaded = checkpoint.load(source, device="cpu", dtype=torch.float32)
    loaded.model.to(torch.bfloat16)
    shutil.rmtree(TARGET, ignore_errors=True)
    checkpoint.save(loaded, TARGET)
    size = sum(f.stat().st_size for f in TARGET.iterdir())
    print(f"{TARGET}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
