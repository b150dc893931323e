"""What demo and end-to-end tests stand on: cluster, images, the operator from its chart, the model store, traffic.

Idempotent: a second call changes nothing that is as it should be.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.cluster import harness
from tests.cluster.harness import images, paths, progress
from tests.cluster.models import samples

SYSTEM = "seatrial-system"
NAMESPACE = "seatrial-demo"
SCRAPE_INTERVAL = "5s"
IMAGES = ("operator", "serving", "store", "client")
HOUR = 3600
SAMPLES = paths.REPO / "manifests" / "samples"


@dataclasses.dataclass(frozen=True)
class Platform:
    """A cluster with Seatrial installed, and the folder of the built models."""

    cluster: harness.Cluster
    models: Path

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Server-side, as a GitOps tool would."""
        text = "\n---\n".join(yaml.safe_dump(dict(one)) for one in objects)
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        """The object, None when there is none."""
        text = self.cluster.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        chosen = ["-l", selector] if selector else []
        items: list[dict[str, Any]] = json.loads(
            self.cluster.kubectl("get", kind, "-n", namespace, *chosen, "-o", "json")
        )["items"]
        return items

    def sample(self, name: str) -> dict[str, Any]:
        return samples.sample(name, models=self.models)


def install(*, say: progress.Say, hour: int = HOUR) -> Platform:
    """Cluster up, images current, operator ready, store and client running.

    `hour`: seconds of an hour, of drift and of retraining, for the operator.
    """
    cluster = harness.up(images=IMAGES, say=say)
    with progress.step(say, "installing the operator with its Helm chart"):
        operator(cluster, hour=hour)
    platform = Platform(cluster=cluster, models=images.MODELS.folder(say=say))
    with progress.step(say, "starting the model store"):
        namespace(platform, NAMESPACE)
        _store(platform)
        cluster.kubectl("rollout", "status", "deployment/store", "-n", NAMESPACE, "--timeout=120s")
    return platform


def retraining(platform: Platform, *, space: str = NAMESPACE, model: str = "digits-v8", version: str = "8") -> None:
    """A registry for what is trained, and the CronJob that runs are made from: they train this one of the catalog's."""
    platform.cluster.load_images("registry", "trainer")
    chosen = {"MODEL": model, "VERSION": version}
    objects = list(yaml.safe_load_all((SAMPLES / "retraining.yaml").read_text()))
    for one in objects:
        one["metadata"]["namespace"] = space
        if one["kind"] == "CronJob":
            (container,) = one["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
            container["env"] = [{**told, "value": chosen.get(told["name"], told["value"])} for told in container["env"]]
    platform.apply(*objects)


def namespace(platform: Platform, name: str) -> None:
    """A namespace that admits only what Pod Security calls restricted."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    platform.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


def operator(cluster: harness.Cluster, *, hour: int = HOUR, **more: Any) -> None:
    """The release as wanted; `more` are values of the chart."""
    own, serving = (images.lookup(name).tag for name in ("operator", "serving"))
    values: dict[str, Any] = {
        "images": {
            "registry": own.partition("/")[0],
            "operator": _named(own),
            "serving": _named(serving),
        },
        "prometheus": {"url": cluster.prometheus_in_cluster},
        "scrapeInterval": SCRAPE_INTERVAL,
        "podAnnotations": {
            # The tag stays: a new build has to restart the pod.
            "seatrial.dev/image-digest": cluster.image_digest("operator"),
            # The cluster's Prometheus discovers pods, and not the chart's Service.
            "prometheus.io/scrape": "true",
            "prometheus.io/port": "9090",
        },
    }
    values |= more
    if hour != HOUR:
        values["env"] = [{"name": "SEATRIAL_TEST_DRIFT_HOUR_SECONDS", "value": str(hour)}]
    # An upgrade that was interrupted leaves a release that Helm refuses to touch.
    pending = "owner=helm,name=seatrial,status in (pending-install,pending-upgrade,pending-rollback)"
    cluster.kubectl("delete", "secrets", "-n", SYSTEM, "-l", pending, "--ignore-not-found")
    chart = str(paths.REPO / "helm" / "seatrial")
    flags = ("-n", SYSTEM, "--create-namespace", "-f", "-", "--wait")
    cluster.helm("upgrade", "--install", "seatrial", chart, *flags, input=yaml.safe_dump(values))


def _named(tag: str) -> dict[str, str]:
    """Repository and tag of an image, as the chart takes them."""
    repository, _, version = tag.partition("/")[2].rpartition(":")
    return {"repository": repository, "tag": version}


def _store(platform: Platform) -> None:
    """A new build has to restart the pod: it holds other models under the same tag."""
    digest = platform.cluster.image_digest("store")
    objects = list(yaml.safe_load_all((SAMPLES / "store.yaml").read_text()))
    for one in objects:
        if one["kind"] == "Deployment":
            one["spec"]["template"]["metadata"]["annotations"] = {"seatrial.dev/image-digest": digest}
    platform.apply(*objects)
