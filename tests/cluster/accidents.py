"""What happens to running pods in spite of everybody: done from this machine to the processes of one pod.

Both kinds of test cluster run their containers on the machine itself, so its /proc has them all. Each accident is made
to processes that it has found by the pod's own uid, and to no others.
"""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster.harness import cluster, shell

SERVER = b"seatrial_server"
_PYTHON = "/opt/seatrial/bin/python"
_DEVOUR = """
import os, time
for _ in range(64):
    if not os.fork():
        kept = bytearray(b"x") * 2**24
        time.sleep(30)
os.wait()
"""  # in many processes that are each smaller than the server: the kernel ends the largest
_FIRST = "1000"  # of all in the container


def servers(pod: dict[str, Any]) -> list[int]:
    """Processes of the pod's model server."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if _is_in(folder, pod["metadata"]["uid"]) and SERVER in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def _is_in(folder: Path, uid: str) -> bool:
    """Drivers of cgroups write a uid with dashes or with underscores."""
    text = (folder / "cgroup").read_text()
    return f"pod{uuid.UUID(uid)}" in text.replace("_", "-")


def kill(pod: dict[str, Any]) -> None:
    """At once: no signal that it could answer, nothing finished."""
    _signal(pod, signal.SIGKILL)


def starve(pod: dict[str, Any], on: cluster.Cluster) -> None:
    """Memory runs out in the container, and the kernel ends the server."""
    for process in servers(pod):
        Path(f"/proc/{process}/oom_score_adj").write_text(_FIRST)
    meta = pod["metadata"]
    command = ("exec", "-n", meta["namespace"], meta["name"], "-c", "server", "--", _PYTHON, "-c", _DEVOUR)
    on.kubectl(*command, check=False)


@contextlib.contextmanager
def stopped(pod: dict[str, Any]) -> Iterator[None]:
    """It takes connections, which the kernel does, and answers nothing."""
    _signal(pod, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pod, signal.SIGCONT)


@contextlib.contextmanager
def cut_off(pod: dict[str, Any], *, addresses: list[str]) -> Iterator[None]:
    """What these send to the pod is dropped without a word; probes and everybody else reach it."""
    table = "seatrial_cut"
    into = ("nsenter", "-t", str(servers(pod)[0]), "-n", "nft")
    rule = f"ip saddr {{ {', '.join(addresses)} }} drop"
    text = f"table ip {table} {{\nchain in {{\ntype filter hook input priority 0;\n{rule}\n}}\n}}\n"
    shell.run([*into, "-f", "-"], input=text)
    try:
        yield
    finally:
        shell.run([*into, "delete", "table", "ip", table], check=False)


def _signal(pod: dict[str, Any], number: signal.Signals) -> None:
    for process in servers(pod):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
