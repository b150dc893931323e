"""The metrics API that autoscalers read: the Kubernetes project's own metrics-server, as a program beside the node's.

    with metrics.running(cluster):                                 # ended with the block
        cluster.kubectl("get", "--raw", metrics.PODS.format(namespace="shop"))

The API server calls it over loopback. `objects` are what leads there, also to another program that answers.
"""

from __future__ import annotations

import contextlib
import functools
import json
import ssl
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from tests.cluster.harness import beside, binaries, cluster, errors, network, progress, waiting

GROUP = "metrics.k8s.io"
PODS = f"/apis/{GROUP}/v1beta1/namespaces/{{namespace}}/pods"
_SERVICE = f"v1beta1.{GROUP}"
_PORT = 4443
_SECONDS = 180


def objects(port: int) -> list[dict[str, Any]]:
    """A Service that is a name for the API server's loopback, and the API behind it."""
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics", "namespace": "kube-system"},
         "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}},
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": _SERVICE},
         "spec": {"group": GROUP, "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
                  "insecureSkipTLSVerify": True,
                  "service": {"name": "metrics", "namespace": "kube-system", "port": port}}},
    ]  # fmt: skip


def until_available(kubectl: Callable[..., str]) -> None:
    """Returns when the API server serves what `objects` lead to."""
    path = 'jsonpath={.status.conditions[?(@.type=="Available")].status}'
    waiting.until(
        lambda: kubectl("get", "apiservice", _SERVICE, "-o", path, check=False) == "True",
        what="the metrics API taken up",
        seconds=_SECONDS,
        explain=lambda: kubectl("get", "apiservice", _SERVICE, "-o", "yaml", check=False),
    )


@contextlib.contextmanager
def running(on: cluster.Cluster, *, say: progress.Say = progress.silent) -> Iterator[None]:
    """Starts it, and takes it and its API away with the block: a dead one would keep namespaces from going."""
    if not on.inside_argv[0].endswith("nsenter"):
        raise errors.HarnessError("metrics-server runs beside the node's programs: leave CLUSTER=kind out")
    binaries.ensure(binaries.METRICS_SERVER, say=say)
    made = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*objects(_PORT), *_readable_by_anyone()]})
    with _program(on), contextlib.ExitStack() as stack:
        stack.callback(on.kubectl, "delete", "-f", "-", "--ignore-not-found", input=made)
        on.kubectl("apply", "-f", "-", input=made)
        until_available(on.kubectl)
        yield


@contextlib.contextmanager
def _program(on: cluster.Cluster) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        logins = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        flags = {
            **dict.fromkeys(logins, str(on.kubeconfig)),
            "secure-port": str(_PORT),
            "cert-dir": folder,
            "kubelet-preferred-address-types": "InternalIP",
            "kubelet-insecure-tls": "true",
            "metric-resolution": "10s",  # the least that it takes
            "kubelet-request-timeout": "5s",  # which must be shorter
            "authentication-skip-lookup": "true",  # nobody has anything to show; see `_readable_by_anyone`
        }
        command = [*on.inside_argv, binaries.METRICS_SERVER.path(), *(f"--{name}={one}" for name, one in flags.items())]
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        ready = functools.partial(waiting.answers, f"https://{network.NODE}:{_PORT}/livez", tls=unchecked)
        with beside.running(command, what="metrics-server", ready=ready):
            yield


def _readable_by_anyone() -> list[dict[str, Any]]:
    """The node's API server has no certificate of its own to show to an API behind it, so it comes as a stranger."""
    meta = {"name": "test-cluster:metrics"}
    rbac, group = "rbac.authorization.k8s.io", "system:unauthenticated"
    paths = {"nonResourceURLs": ["/apis/metrics.k8s.io", "/apis/metrics.k8s.io/*"], "verbs": ["get"]}
    pods = {"apiGroups": [GROUP], "resources": ["pods"], "verbs": ["get", "list"]}
    return [
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": meta, "rules": [paths, pods]},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": meta,
         "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", **meta},
         "subjects": [{"kind": "Group", "apiGroup": rbac, "name": group}]},
    ]  # fmt: skip
