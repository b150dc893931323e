"""Flux's source-controller and kustomize-controller in front of an API server, and what they bring of one repository.

with flux.running(api, folder):
    delivery = flux.Delivery(client, namespace="shop")
    delivery.create(objects)
    delivery.until_ready("True", "ReconciliationSucceeded")
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kubernetes import client as kube
from tests.cluster.harness import apiserver, binaries, ports, progress, waiting

Object = dict[str, Any]
SOURCE = ("source.toolkit.fluxcd.io", "v1", "gitrepositories")
KUSTOMIZATION = ("kustomize.toolkit.fluxcd.io", "v1", "kustomizations")
_KINDS = {"GitRepository": SOURCE, "Kustomization": KUSTOMIZATION}
_ASKED = "reconcile.fluxcd.io/requestedAt"
# Quick in a test; everything else is as Flux installs it, and nothing listens but the store of artifacts.
_QUIET = ("--metrics-addr=0", "--health-addr=0", "--events-addr=", "--min-retry-delay=500ms", "--max-retry-delay=1s")


@contextlib.contextmanager
def running(api: apiserver.ApiServer, folder: Path) -> Iterator[None]:
    """Both controllers with their CRDs, for all namespaces, until the block ends; logs and artifacts in the folder."""
    binaries.ensure(binaries.SOURCE_CONTROLLER, binaries.KUSTOMIZE_CONTROLLER, say=progress.silent)
    for module, name in (
        (binaries.SOURCE_CONTROLLER_MODULE, "source"),
        (binaries.KUSTOMIZE_CONTROLLER_MODULE, "kustomize"),
    ):
        crds = sorted((binaries.module(module) / "config" / "crd" / "bases").glob(f"{name}.toolkit.*.yaml"))
        api.kubectl("apply", "--server-side", *(part for path in crds for part in ("-f", str(path))))
    waiting.until(
        lambda: all(
            plural in api.kubectl("api-resources", f"--api-group={group}", check=False)
            for group, _, plural in _KINDS.values()
        ),
        what="Flux's kinds served",
        seconds=120,
    )
    store = f"127.0.0.1:{ports.free_port()}"
    (folder / "artifacts").mkdir()
    storage = (f"--storage-path={folder / 'artifacts'}", f"--storage-addr={store}", f"--storage-adv-addr={store}")
    with (
        _controller(api, binaries.SOURCE_CONTROLLER, folder, *storage),
        _controller(api, binaries.KUSTOMIZE_CONTROLLER, folder, "--feature-gates=CancelHealthCheckOnNewRevision=true"),
    ):
        yield


@contextlib.contextmanager
def _controller(api: apiserver.ApiServer, program: binaries.Program, folder: Path, *arguments: str) -> Iterator[None]:
    environment = {"KUBECONFIG": str(api.kubeconfig), "PATH": os.environ.get("PATH", os.defpath)}
    with (folder / f"{program.name}.log").open("w") as log:
        process = subprocess.Popen(
            [program.path(), *_QUIET, *arguments],
            env={**environment, "HOME": str(folder), "TMPDIR": str(folder)}, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


class Delivery:
    """A GitRepository and the Kustomization that applies it, in one namespace."""

    def __init__(self, client: kube.CustomObjectsApi, *, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._asked = itertools.count(1)

    def create(self, objects: Mapping[str, Object]) -> None:
        """The two objects, by kind."""
        for kind, obj in objects.items():
            group, version, plural = _KINDS[kind]
            self._client.create_namespaced_custom_object(group, version, self._namespace, plural, obj)

    def delete(self) -> None:
        """Both go, and with the Kustomization what it has applied."""
        for kind in ("Kustomization", "GitRepository"):
            group, version, plural = _KINDS[kind]
            for one in self._list(kind):
                name = one["metadata"]["name"]
                self._client.delete_namespaced_custom_object(group, version, self._namespace, plural, name)
            waiting.until(functools.partial(self._gone, kind), what=f"{kind} gone", seconds=120)

    def reapply(self) -> None:
        """Flux applies once more what it has from Git; returns when it has."""
        token = f"again-{next(self._asked)}"
        group, version, plural = KUSTOMIZATION
        [one] = self._list("Kustomization")
        body = {"metadata": {"annotations": {_ASKED: token}}}
        self._client.patch_namespaced_custom_object(
            group, version, self._namespace, plural, one["metadata"]["name"], body,
            field_manager="flux", _content_type="application/merge-patch+json",
        )  # fmt: skip
        waiting.until(
            lambda: self._status("Kustomization").get("lastHandledReconcileAt") == token,
            what="applied once more",
            seconds=120,
            explain=lambda: str(self.ready()),
        )

    def ready(self) -> tuple[str, str, str]:
        """Condition Ready of the Kustomization, as `flux get` prints it: status, reason, message."""
        return _ready(self._status("Kustomization"))

    def until_ready(self, status: str, reason: str, *, commit: str = "", seconds: float = 120) -> str:
        """Waits until it says so of this commit; the message."""
        said: list[str] = []

        def reached() -> bool:
            seen = self._status("Kustomization")
            *found, message = _ready(seen)
            said.append(message)
            of = seen.get("lastAppliedRevision" if status == "True" else "lastAttemptedRevision", "")
            return found == [status, reason] and of.endswith(commit)

        what = f"Kustomization {status} {reason}"
        waiting.until(reached, what=what, seconds=seconds, explain=lambda: str(self._status("Kustomization")))
        return said[-1]

    def until_tried(self, outcome: str, *, commit: str, seconds: float = 120) -> None:
        """Waits until an application of this commit has ended so. Ready says it only until the next one begins."""

        def ended() -> bool:
            tried = self._status("Kustomization").get("history", ())
            return any(
                one["lastReconciledStatus"] == outcome and one["metadata"]["revision"].endswith(commit) for one in tried
            )

        what = f"applied, {outcome}"
        waiting.until(ended, what=what, seconds=seconds, explain=lambda: str(self._status("Kustomization")))

    def _gone(self, kind: str) -> bool:
        return not self._list(kind)

    def _list(self, kind: str) -> list[Object]:
        group, version, plural = _KINDS[kind]
        found = self._client.list_namespaced_custom_object(group, version, self._namespace, plural)
        items: list[Object] = found["items"]
        return items

    def _status(self, kind: str) -> Object:
        [one] = self._list(kind)
        status: Object = one.get("status", {})
        return status


def _ready(status: Object) -> tuple[str, str, str]:
    found = [one for one in status.get("conditions", ()) if one["type"] == "Ready"]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else ("", "", "")
