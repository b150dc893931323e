"""The test cluster: a real Kubernetes on this machine, from Go modules, Debian packages and PyPI, no registry.

    from tests.cluster import harness

    cluster = harness.up(images=("operator", "serving"), say=print)   # starts it, or takes the one that runs
    cluster.kubectl("get", "nodes")
    cluster.helm("install", "seatrial", "helm/seatrial", "--wait")
    cluster.prometheus.stop()
    harness.down(say=print)                                           # leaves no process, mount, namespace or route

`apiserver.running()` gives an API server without a node, on loopback, for contract tests: ready in seconds, no root.
CLUSTER=kind in the environment uses Docker and kind instead; nothing outside this package may know which of the two
it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.cluster.harness import errors, kind, node, progress
from tests.cluster.harness.cluster import Cluster

__all__ = ["Cluster", "down", "up"]


def up(*, images: Sequence[str] = (), say: progress.Say = progress.silent) -> Cluster:
    """A running cluster with these images imported. Idempotent: a healthy one is taken as it is, anything else is
    replaced.
    """
    cluster = kind.up(say=say) if _kind() else node.up(say=say)
    cluster.load_images(*images)
    return cluster


def down(*, say: progress.Say = progress.silent) -> None:
    """Stops the cluster and takes every trace of it off the machine, except the cache of programs and images."""
    if _kind():
        kind.down(say=say)
    else:
        node.down(say=say)


def _kind() -> bool:
    chosen = os.environ.get("CLUSTER", "")
    if chosen not in ("", "kind"):
        raise errors.HarnessError(f"CLUSTER={chosen} is unknown; use CLUSTER=kind, or leave it out")
    return chosen == "kind"
