"""Brings the node into being: files, certificates, network, cgroups, and the one process that holds its namespaces.

Waiting for what runs inside is `readiness`; taking it away is `node_removal`.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import sys
from pathlib import Path

import msgspec
from tests.cluster.harness import (
    binaries,
    cgroups,
    control_plane,
    debian,
    network,
    node_main,
    node_programs,
    paths,
    process,
    supervisor,
    waiting,
)


class Record(msgspec.Struct, frozen=True):
    """Which process holds the node, written down before that process may begin."""

    holder: process.Identity
    pid_namespace: str
    """Its child's, in which everything of the node runs."""
    setup: str
    """Hash of programs and settings; a node made from others is replaced."""


def record_file() -> Path:
    return paths.run() / "record.json"


def read_record() -> Record | None:
    """None when no node was started, or its start was interrupted before anything ran."""
    try:
        return msgspec.json.decode(record_file().read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def plane() -> control_plane.ControlPlane:
    return control_plane.ControlPlane(
        kube=binaries.KUBE.path(),
        state=paths.run(),
        bind="0.0.0.0",  # all addresses of the node's own network
        address=network.NODE,
        port=6443,
        etcd_port=2379,
        etcd_peer_port=2380,
        services=network.SERVICES,
    )


def plan() -> supervisor.Plan:
    programs = node_programs.programs(plane(), prometheus=binaries.PROMETHEUS.path())
    return supervisor.Plan(control=str(node_programs.control_socket(paths.run())), programs=programs)


def setup_hash() -> str:
    texts = node_programs.files(plane()) | {"network": node_programs.network_config(paths.run())}
    return hashlib.sha256(msgspec.json.encode([plan(), sorted(texts.items())])).hexdigest()[:16]


def create() -> None:
    """Everything up to the running supervisor. The caller has made sure that nothing of an older node is there."""
    _write_files()
    network.create()
    cgroups.create(node_programs.CGROUP)
    _hold_namespaces()
    socket = node_programs.control_socket(paths.run())
    log = paths.run() / "log" / "supervisor"
    waiting.until(socket.exists, what="the node's supervisor", seconds=20, explain=lambda: log.read_text()[-2000:])


def _write_files() -> None:
    state = paths.run()
    for folder in ("config", "cni", "kubelet", "home"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    authority = control_plane.write_certificates(
        plane(), service_address=network.API_SERVICE, users=node_programs.USERS, now=now
    )
    authority.issue(node_programs.NODE_NAME, names=(node_programs.NODE_NAME, network.NODE)).write(
        state / "pki", "kubelet-server"
    )
    for name, text in node_programs.files(plane()).items():
        (state / "config" / name).write_text(text)
    (state / "cni" / "10-pods.conflist").write_text(node_programs.network_config(state))
    (state / "plan.json").write_bytes(msgspec.json.encode(plan()))


def _hold_namespaces() -> None:
    """Starts the process whose death ends the node, and lets it begin once it is recorded."""
    # nsenter, not `ip netns exec`: that one mounts /sys anew, and the kubelet then finds no cgroups.
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    inner = [sys.executable, "-m", node_main.__name__, str(paths.run() / "plan.json")]
    argv = [*network.enter(), *namespaces, *inner]
    environment = {"PATH": debian.SEARCH_PATH, "PYTHONPATH": str(paths.REPO), "HOME": str(paths.run() / "home")}
    log = str(paths.run() / "log" / "supervisor")
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as told:
        actions = [
            (os.POSIX_SPAWN_DUP2, reading, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        # Not subprocess.Popen: this process outlives the one that starts it.
        pid = os.posix_spawnp(argv[0], argv, environment, file_actions=actions, setsid=True)
        os.close(reading)
        waiting.until(lambda: bool(process.children(pid)), what="the node's namespaces", seconds=20)
        holder = process.identify(pid)
        assert holder is not None, "a process with children is alive"
        inside = process.namespace(process.children(pid)[0], "pid")
        record = Record(holder=holder, pid_namespace=inside, setup=setup_hash())
        record_file().write_bytes(msgspec.json.encode(record))
        told.write(node_main.GO)
