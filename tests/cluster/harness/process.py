"""Knows a process again: pids are reused, so what is killed is checked against what was started. Reads /proc; Linux
only.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """A process of one boot of the machine: no other one ever has the same three values."""

    pid: int
    started: int
    """Clock ticks after boot."""
    boot: str

    def alive(self) -> bool:
        """Whether exactly this process still runs. Takes in its exit status when it was our child."""
        with contextlib.suppress(ChildProcessError):  # another process started it
            os.waitpid(self.pid, os.WNOHANG)
        return identify(self.pid) == self

    def kill(self) -> None:
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)


def identify(pid: int) -> Identity | None:
    """None when there is no such process, or only its exit status is left."""
    try:
        # The second field is the program's name in brackets and may hold anything, so count from its end.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in ("Z", "X"):
        return None
    return Identity(pid=pid, started=int(fields[19]), boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip())


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def namespace(pid: int, kind: str) -> str:
    """The identity of a process's namespace, such as pid:[4026531836]; empty when it is gone or out of reach."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def in_namespace(identity: str) -> list[int]:
    """Processes of this machine in a pid namespace."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [pid for pid in pids if namespace(pid, "pid") == identity]
