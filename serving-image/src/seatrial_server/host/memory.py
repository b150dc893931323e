"""How much memory the container may use, and what to say when that was not enough."""

from __future__ import annotations

from pathlib import Path

_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_UNLIMITED = 2**60  # control groups of version 1 write a huge number


def limit(files: tuple[Path, ...] = _FILES) -> int | None:
    """The container's limit in bytes; None without one."""
    for file in files:
        try:
            found = int(file.read_text())
        except (OSError, ValueError):  # another version of control groups, or "max"
            continue
        return found if found < _UNLIMITED else None
    return None


def too_little(allowed: int) -> str:
    """What to change."""
    return (
        f"examining the model needs more memory than the {allowed // 1024**2} MiB that are allowed: "
        f"raise serving.resources.limits.memory above {-(-allowed // 1024**2)}Mi; "
        "loading takes about the size of a model, quantizing three times"
    )
