"""The node's own place in the machine's cgroups: made before the kubelet starts, taken away when all in it is dead."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_NEIGHBOURS = 8
"""So many busy processes of the machine have as much CPU as all pods together; else one alone would halve it."""


def create(name: str) -> None:
    """The folder in every hierarchy (version 1), or one folder with all controllers handed down (version 2)."""
    unified = _ROOT / "cgroup.controllers"
    if unified.exists():
        handed_down = " ".join(f"+{controller}" for controller in unified.read_text().split())
        (_ROOT / "cgroup.subtree_control").write_text(handed_down)
    for folder in _folders(name):
        folder.mkdir(exist_ok=True)
    # A cpuset of version 1 starts empty, and no process can enter an empty one.
    cpuset = _ROOT / "cpuset"
    if (cpuset / "cpuset.cpus").exists():
        for file in ("cpuset.cpus", "cpuset.mems"):
            (cpuset / name.strip("/") / file).write_text((cpuset / file).read_text())
    _weigh(name.strip("/"))


def _weigh(name: str) -> None:
    """1024 and 100 are what one process has, in version 1 and in version 2."""
    for file, one in ((_ROOT / "cpu" / name / "cpu.shares", 1024), (_ROOT / name / "cpu.weight", 100)):
        if file.exists():
            file.write_text(str(_NEIGHBOURS * one))


def delete(name: str) -> None:
    for folder in _folders(name):
        # Folders hold virtual files that can't and need not be removed: only rmdir, from the leaves up.
        for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            inner.rmdir()
        if folder.exists():
            folder.rmdir()


def leftovers(name: str) -> list[str]:
    return [f"cgroup {folder}" for folder in _folders(name) if folder.exists()]


def _folders(name: str) -> list[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT / name.strip("/")]
    links = [path for path in _ROOT.iterdir() if path.is_dir() and not path.is_symlink()]
    return [hierarchy / name.strip("/") for hierarchy in links]
