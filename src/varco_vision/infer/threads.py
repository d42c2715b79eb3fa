"""How many threads to compute with on a CPU."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def choose_threads(environment: dict[str, str] | None = None) -> int | None:
    """Threads for torch, or None to leave its choice alone.

    torch starts a thread for each core of the machine, also where the process may use only some of them (an affinity
    mask, a container's quota); threads that wait for one another's time slices make small models several times slower.
    A number that the user has set (OMP_NUM_THREADS) stands.
    """
    environment = dict(os.environ) if environment is None else environment
    if any(environment.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")):
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, quota() or cores))


def quota(root: Path = CGROUP) -> int | None:
    """Cores that the container's time quota comes to, rounded up; None without one."""
    try:
        limit, period = (root / "cpu.max").read_text(encoding="ascii").split()[:2]
    except (OSError, ValueError):
        return _old_quota(root / "cpu")
    return None if limit == "max" else max(1, math.ceil(int(limit) / int(period)))


def _old_quota(root: Path) -> int | None:
    """The same of control groups of the first version."""
    try:
        limit = int((root / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((root / "cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return max(1, math.ceil(limit / period)) if limit > 0 and period > 0 else None
