"""An API server without a node, on loopback, for contract tests: etcd, API server, controller manager.

    with apiserver.running() as api:
        api.namespace("shop")
        api.server.stop()          # a fault; api.server.start() ends it

Needs no root and no namespaces; ready in seconds. The supervisor that runs it ends with the test process, however
that ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from tests.cluster.harness import (
    binaries,
    control,
    control_plane,
    paths,
    pki,
    ports,
    progress,
    shell,
    supervisor,
    waiting,
)
from tests.cluster.harness.logs import tails

_SERVICES = "198.19.0.0/16"  # nothing routes there in this mode; the API server wants a range
_USERS = (control_plane.ADMIN, control_plane.CONTROLLER_MANAGER)


@dataclasses.dataclass(frozen=True)
class ApiServer:
    """A running API server; every request with its kubeconfig is made as cluster administrator."""

    kubeconfig: Path
    url: str
    kubectl_argv: tuple[str, ...]
    server: control.Switch
    etcd: control.Switch
    environment: dict[str, str]

    def kubectl(self, *args: str, input: str | None = None, check: bool = True, timeout: float = 60) -> str:
        """Standard output of kubectl; a failure raises CommandFailed with its words."""
        return shell.run([*self.kubectl_argv, *args], input=input, check=check, timeout=timeout, env=self.environment)

    def namespace(self, name: str) -> None:
        """Makes one that takes pods at once: with the service account that the controller manager brings later."""
        self.kubectl("create", "namespace", name)
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        self.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(account))


@contextlib.contextmanager
def running(*, say: progress.Say = progress.silent) -> Iterator[ApiServer]:
    """Starts it in a temporary folder and takes everything away at the end.

    The controller manager (garbage collection, ReplicaSets, Jobs) begins its work some five seconds later: wait for
    its effects.
    """
    binaries.ensure(binaries.KUBE, say=say)
    # Not under pytest's tmp_path: the path of a socket may have 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="seatrial-"))
    try:
        with progress.step(say, "API server on loopback"), contextlib.ExitStack() as cleanup:
            plane = _plane(folder)
            now = datetime.datetime.now(datetime.UTC)
            control_plane.write_certificates(plane, service_address="198.19.0.1", users=_USERS, now=now)
            cleanup.enter_context(_supervised(plane))
            api = _handle(plane)
            ready = functools.partial(_ready, plane)
            waiting.until(ready, what="API server on loopback", seconds=180, explain=lambda: tails(folder / "log"))
            control.Switch(folder / "control", "kube-controller-manager").start()
            kept = cleanup.pop_all()
        with kept:
            yield api
    finally:
        # The supervisor has deleted it, unless it never began.
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _supervised(plane: control_plane.ControlPlane) -> Iterator[None]:
    socket_path = plane.state / "control"
    programs = (
        control_plane.etcd(plane),
        control_plane.apiserver(plane, node=False),
        control_plane.controller_manager(plane),
    )
    plan = plane.state / "plan.json"
    plan.write_bytes(msgspec.json.encode(supervisor.Plan(control=str(socket_path), programs=programs)))
    command = [sys.executable, "-m", "tests.cluster.harness.supervisor", str(plan), "--while-stdin"]
    with (plane.state / "log" / "supervisor").open("w") as log:
        # Its own session: Ctrl-C in a terminal reaches the test, which then ends this in order.
        process = subprocess.Popen(
            command, cwd=paths.REPO, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    with process:
        waiting.until(socket_path.exists, what="supervisor of the API server", seconds=60)
        yield
        # Leaving the block closes its standard input, which ends it, and waits for its exit.


def _plane(folder: Path) -> control_plane.ControlPlane:
    port, etcd_port, peer_port = ports.free(3)
    return control_plane.ControlPlane(
        kube=binaries.KUBE.path(),
        state=folder,
        bind="127.0.0.1",
        address="127.0.0.1",
        port=port,
        etcd_port=etcd_port,
        etcd_peer_port=peer_port,
        services=_SERVICES,
    )


def _handle(plane: control_plane.ControlPlane) -> ApiServer:
    kubeconfig = plane.kubeconfig("admin")
    return ApiServer(
        kubeconfig=kubeconfig,
        url=plane.url,
        kubectl_argv=(str(plane.kube), "kubectl", "--kubeconfig", str(kubeconfig)),
        server=control.Switch(plane.state / "control", "kube-apiserver", ready=functools.partial(_ready, plane)),
        etcd=control.Switch(plane.state / "control", "etcd", ready=functools.partial(_ready, plane)),
        environment=client_environment(plane.state, kubeconfig),
    )


def client_environment(state: Path, kubeconfig: Path) -> dict[str, str]:
    """For kubectl and Helm: our kubeconfig whatever the user has set, and no file of theirs read or written."""
    home = state / "home"
    return {
        "KUBECONFIG": str(kubeconfig),
        "KUBECACHEDIR": str(home / "kubectl"),
        "KUBERC": "off",
        "HELM_CACHE_HOME": str(home / "helm-cache"),
        "HELM_CONFIG_HOME": str(home / "helm-config"),
        "HELM_DATA_HOME": str(home / "helm-data"),
        "PATH": os.environ.get("PATH", os.defpath),
    }


def _ready(plane: control_plane.ControlPlane) -> bool:
    return waiting.answers(f"{plane.url}/readyz", tls=pki.client_context(plane.pki, "admin"))
