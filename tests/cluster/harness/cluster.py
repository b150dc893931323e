"""The handle on a running test cluster: what demo and end-to-end tests hold.

The same for both kinds of cluster. Made by `node.up` or `kind.up`, never by hand. It only uses the kubeconfig that
the harness wrote.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.cluster.harness import shell


class Stoppable(Protocol):
    """Something a test may take away and bring back. Both calls return when it is done: exited, or serving again."""

    def stop(self) -> None: ...

    def start(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A ready cluster: node Ready, cluster DNS and Prometheus answering, default service account there."""

    kubeconfig: Path
    kubectl_argv: tuple[str, ...]
    helm_argv: tuple[str, ...]
    prometheus_url: str
    """Reachable from this machine (demo, tests)."""
    prometheus_in_cluster: str
    """Reachable from pods: what the operator is configured with."""
    prometheus: Stoppable
    apiserver: Stoppable
    etcd: Stoppable
    inside_argv: tuple[str, ...]
    import_images: Callable[[tuple[str, ...]], None]
    image_digest: Callable[[str], str]
    """Changes with what an image holds; images are named as in `load_images`."""
    host: str
    """This machine, as the node sees it; nobody else does. Empty where the node has a network that isn't ours."""
    pull_over_http: Callable[[str], None]
    """From now on the node pulls from the registry at this host and port without TLS."""
    environment: dict[str, str]

    def kubectl(self, *args: str, input: str | None = None, check: bool = True, timeout: float = 120) -> str:
        """Standard output of kubectl as cluster administrator; a failure raises CommandFailed with its words."""
        return shell.run([*self.kubectl_argv, *args], input=input, check=check, timeout=timeout, env=self.environment)

    def helm(self, *args: str, input: str | None = None, timeout: float = 300) -> str:
        """Standard output of Helm 4 with this cluster's kubeconfig."""
        return shell.run([*self.helm_argv, *args], input=input, timeout=timeout, env=self.environment)

    def node_exec(self, *args: str, input: str | None = None, check: bool = True, timeout: float = 120) -> str:
        """Standard output of a program of this machine, run inside the node's network namespace.

        There pods and services are one hop away and nothing else can be reached: the place for load.
        """
        return shell.run([*self.inside_argv, *args], input=input, check=check, timeout=timeout)

    def load_images(self, *names: str) -> None:
        """Builds (when their inputs changed) and imports images: operator, serving, store, client.

        The tag stays `:dev`; pods started after the call run the new image, running ones keep theirs.
        """
        self.import_images(names)
