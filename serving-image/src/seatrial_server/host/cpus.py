"""How many CPUs this process may really use: its affinity, and the quota of its control groups (v1 and v2).

`os.cpu_count()` is the machine's. More threads than granted CPUs make a quota's throttling hit every call.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def granted(*, root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int:
    """At least 1; a quota of one and a half CPUs is one."""
    quotas = [quota for folder in _groups(root, membership) if (quota := _quota(folder)) is not None]
    return max(1, int(min([float(len(os.sched_getaffinity(0))), *quotas])))


def _groups(root: Path, membership: Path) -> Iterator[Path]:
    """Every group that could bound the CPU, from the process's own up to the root."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    yield from (root, root / "cpu")  # a container often sees its own group as the root, whatever its name outside
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        own = (root / "cpu" if controllers else root) / name.strip("/")
        yield from (folder for folder in (own, *own.parents) if root in folder.parents)


def _quota(folder: Path) -> float | None:
    """CPUs, or None when there is no quota."""
    version_2, version_1 = folder / "cpu.max", folder / "cpu.cfs_quota_us"
    try:
        if version_2.exists():
            quota, period = version_2.read_text().split()
        elif version_1.exists():
            quota, period = version_1.read_text().strip(), (folder / "cpu.cfs_period_us").read_text().strip()
        else:
            return None
    except (OSError, ValueError):
        return None
    return None if quota in ("max", "-1") else int(quota) / int(period)
