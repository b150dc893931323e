"""Takes the node away and checks that nothing of it is left. Safe to call at any time: the node may be half or absent.

Kills exactly one process: the recorded holder of the namespaces, after checking that it still is that process. The
kernel ends the rest.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cluster.harness import cgroups, errors, network, node_programs, node_setup, paths, process, waiting


def remove(*, keep_logs: bool = False) -> None:
    """No process, mount, network namespace, interface, route, cgroup or file of the node is there afterwards, else it
    raises.
    """
    record = node_setup.read_record()
    if record is not None:
        record.holder.kill()
        waiting.until(
            lambda: not record.holder.alive() and not process.in_namespace(record.pid_namespace),
            what="the node's processes ended",
            seconds=30,
            explain=lambda: f"still there: {process.in_namespace(record.pid_namespace)}",
        )
    network.delete()
    # The kernel gives a cgroup free a moment after its last process.
    waiting.until(_cgroups_gone, what="the node's cgroups removed", seconds=20)
    if found := leftovers():
        raise errors.HarnessError("the test cluster left something behind:\n" + "\n".join(found))
    _delete_files(keep_logs=keep_logs)


def leftovers() -> list[str]:
    """What is still there of the node outside its folder, in words."""
    record = node_setup.read_record()
    pids = process.in_namespace(record.pid_namespace) if record else []
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{paths.run()}/" in line]
    return [
        *[f"process {pid}" for pid in pids],
        *[f"mount {mount.split()[4]}" for mount in mounts],
        *network.leftovers(),
        *cgroups.leftovers(node_programs.CGROUP),
    ]


def _cgroups_gone() -> bool:
    try:
        cgroups.delete(node_programs.CGROUP)
    except OSError:
        return False
    return True


def _delete_files(*, keep_logs: bool) -> None:
    if not paths.run().exists():
        return
    for entry in paths.run().iterdir():
        if keep_logs and entry.name == "log":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if not keep_logs:
        paths.run().rmdir()
