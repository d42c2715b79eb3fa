"""An open VARCO-VISION: train, measure and use Korean-English vision-language models.

`VarcoVision` and `Box` are read on first use, so that `import varco_vision` loads neither torch nor transformers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from varco_vision.geometry import Box
    from varco_vision.infer.api import VarcoVision

__all__ = ["Box", "VarcoVision", "__version__"]

_HOMES = {"VarcoVision": "varco_vision.infer.api", "Box": "varco_vision.geometry"}


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("varco-vision-open")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+unknown"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
