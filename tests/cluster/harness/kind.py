"""CLUSTER=kind: the same cluster on the user's own Docker, for machines that are not Linux or where nobody is root.

Uses the installed docker, kind, kubectl and helm. Images are built by Docker from the same Containerfiles;
Prometheus is a Deployment of the public image. Touches only the kind cluster that it created itself, with a
kubeconfig of its own.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml
from tests.cluster.harness import apiserver, errors, images, node_programs, paths, progress, shell, waiting
from tests.cluster.harness.cluster import Cluster

CONTEXT = f"kind-{paths.NAME}"
_TOOLS = ("docker", "kind", "kubectl", "helm")
_NODE = f"{paths.NAME}-control-plane"
_PROMETHEUS_URL = "http://127.0.0.1:30990"
_PROMETHEUS_IN_CLUSTER = "http://prometheus.test-cluster.svc:9090"
_IN_PROMETHEUS = ("--namespace", "test-cluster")


def up(*, say: progress.Say) -> Cluster:
    check_tools()
    exists = paths.NAME in shell.run(["kind", "get", "clusters"]).split()
    if exists:
        check_ours(kubeconfig())
    else:
        kubeconfig().parent.mkdir(parents=True, exist_ok=True)
        kubeconfig().unlink(missing_ok=True)
        with progress.step(say, "kind create cluster"):
            shell.run(create_command())
    cluster = _handle(say=say)
    with progress.step(say, "cluster DNS, Prometheus, default service account"):
        account = functools.partial(cluster.kubectl, "get", "serviceaccount", "default", "-o", "name", check=False)
        waiting.until(lambda: bool(account()), what="default service account", seconds=60)
        cluster.kubectl("rollout", "status", "deployment/coredns", "--namespace", "kube-system", "--timeout=110s")
        cluster.kubectl("apply", "-f", str(paths.HARNESS / "kind-prometheus.yaml"))
        cluster.kubectl("apply", "-f", "-", input=json.dumps(_prometheus_config()))
        cluster.prometheus.start()
    return cluster


def down(*, say: progress.Say) -> None:
    check_tools()
    if paths.NAME in shell.run(["kind", "get", "clusters"]).split():
        check_ours(kubeconfig())
        with progress.step(say, "kind delete cluster"):
            shell.run(["kind", "delete", "cluster", "--name", paths.NAME, "--kubeconfig", kubeconfig()])
    shutil.rmtree(kubeconfig().parent, ignore_errors=True)


def kubeconfig() -> Path:
    return paths.run().with_name(CONTEXT) / "kubeconfig"


def check_tools() -> None:
    """One message that names everything that is missing."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise errors.MissingTool(
            f"CLUSTER=kind needs {', '.join(missing)}, not found on the PATH; install, "
            "or leave CLUSTER out on Linux as root, where none of these is needed"
        )


def check_ours(file: Path) -> None:
    """Refuses a kind cluster of our name that the harness has no kubeconfig for, and another cluster's kubeconfig."""
    context = yaml.safe_load(file.read_text()).get("current-context") if file.exists() else None
    if context != CONTEXT:
        raise errors.ForeignCluster(
            f"there is a kind cluster {paths.NAME!r} that was not made here ({file} has context {context!r}); "
            f"if it may go: kind delete cluster --name {paths.NAME}"
        )


def create_command() -> list[str]:
    config = paths.HARNESS / "kind-config.yaml"
    chosen = ["--name", paths.NAME, "--kubeconfig", str(kubeconfig()), "--config", str(config)]
    return ["kind", "create", "cluster", *chosen, "--wait", "120s"]


def build_command(image: images.Image, *, contexts: dict[str, Path]) -> list[str]:
    """docker build, on the Containerfile's own default base unless the image stands on another of ours."""
    base = ["--build-arg", f"BASE={images.lookup(image.base).tag}"] if image.base else []
    extra = [part for name, path in contexts.items() for part in ("--build-context", f"{name}={path}")]
    return ["docker", "build", "-t", image.tag, "-f", str(image.containerfile), *base, *extra, str(paths.REPO)]


def _pull_over_http(registry: str) -> None:
    raise errors.HarnessError(f"the node of kind can't be told how {registry} is reached; docs/how-to/images.md")


def _import(names: tuple[str, ...], *, say: progress.Say) -> None:
    for name in names:
        image = images.lookup(name)
        if image.base:
            _import((image.base,), say=say)
        contexts = {context.name: context.folder(say=say) for context in image.extra}
        with progress.step(say, f"building and loading {image.tag}"), tempfile.TemporaryDirectory() as folder:
            shell.run(build_command(image, contexts=contexts))
            shell.run(["docker", "save", "-o", f"{folder}/image.tar", image.tag])
            shell.run(["kind", "load", "image-archive", f"{folder}/image.tar", "--name", paths.NAME])


def _image_id(name: str) -> str:
    return shell.run(["docker", "image", "inspect", "--format", "{{.Id}}", images.lookup(name).tag]).strip()


@dataclasses.dataclass(frozen=True)
class _ManifestSwitch:
    """A static pod of the node: the kubelet ends it when its manifest is gone, and starts it when it is back."""

    program: str
    ready: Callable[[], bool]

    def stop(self) -> None:
        shell.run(["docker", "exec", _NODE, "mv", f"/etc/kubernetes/manifests/{self.program}.yaml", "/etc/kubernetes/"])
        waiting.until(lambda: not self.ready(), what=f"{self.program} stopped", seconds=90)

    def start(self) -> None:
        shell.run(["docker", "exec", _NODE, "mv", f"/etc/kubernetes/{self.program}.yaml", "/etc/kubernetes/manifests/"])
        waiting.until(self.ready, what=f"{self.program} started", seconds=120)


@dataclasses.dataclass(frozen=True)
class _PrometheusSwitch:
    kubectl: Callable[..., str]

    def stop(self) -> None:
        self.kubectl("scale", "deployment/prometheus", "--replicas=0", *_IN_PROMETHEUS)
        self.kubectl("wait", "pod", "--selector=app=prometheus", "--for=delete", "--timeout=60s", *_IN_PROMETHEUS)

    def start(self) -> None:
        self.kubectl("scale", "deployment/prometheus", "--replicas=1", *_IN_PROMETHEUS)
        self.kubectl("rollout", "status", "deployment/prometheus", "--timeout=110s", *_IN_PROMETHEUS)


def _handle(*, say: progress.Say) -> Cluster:
    file = kubeconfig()
    environment = apiserver.client_environment(file.parent, file)
    kubectl = ("kubectl", "--kubeconfig", str(file), "--context", CONTEXT)

    def ready() -> bool:
        return shell.succeeds([*kubectl, "get", "--raw", "/readyz", "--request-timeout=2s"])

    return Cluster(
        kubeconfig=file,
        kubectl_argv=kubectl,
        helm_argv=("helm", "--kubeconfig", str(file), "--kube-context", CONTEXT),
        environment=environment,
        prometheus_url=_PROMETHEUS_URL,
        prometheus_in_cluster=_PROMETHEUS_IN_CLUSTER,
        prometheus=_PrometheusSwitch(lambda *args: shell.run([*kubectl, *args], env=environment)),
        apiserver=_ManifestSwitch("kube-apiserver", ready),
        etcd=_ManifestSwitch("etcd", ready),
        inside_argv=("docker", "exec", "-i", _NODE),
        import_images=functools.partial(_import, say=say),
        host="",
        pull_over_http=_pull_over_http,
        image_digest=_image_id,
    )


def _prometheus_config() -> dict[str, object]:
    text = json.dumps(node_programs.scrape_pods({}), indent=1)
    metadata = {"name": "prometheus", "namespace": "test-cluster"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"prometheus.yaml": text}}
