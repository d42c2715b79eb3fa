"""Several processes of one command on this machine: torchrun, and one sentence instead of its report on a user's mistake.

`python -m varco_vision.cli.launch` takes torchrun's arguments. Its processes agree, by a file that the first one to fail
makes, on who tells the user; the others end in silence, also where they only lost their partner in a collective.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from varco_vision.errors import EXIT_USER, InputError

TOLD = "VARCO_VISION_TOLD"  # environment variable: the file


def main() -> None:
    """Run torchrun; a user's mistake in one of its processes ends it with the code that one process would give."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="varco-vision-") as folder:
        told = Path(folder) / "told"
        os.environ[TOLD] = str(told)
        try:
            run.main(sys.argv[1:])
        except ChildFailedError:
            if told.exists():
                sys.exit(EXIT_USER)
            raise


@contextmanager
def one_sentence() -> Iterator[None]:
    """Around what several processes do together: of a user's mistake only the first one tells."""
    name = os.environ.get(TOLD)
    try:
        yield
    except InputError as error:
        if name and not _first(Path(name)):
            raise SystemExit(EXIT_USER) from error
        raise
    except RuntimeError as error:  # a collective whose partner has gone
        if name and Path(name).exists():
            raise SystemExit(EXIT_USER) from error
        raise


def _first(told: Path) -> bool:
    """Is this the first process that has something to tell?"""
    try:
        told.touch(exist_ok=False)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
