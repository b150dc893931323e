"""End to end on a real cluster: a training Job makes a version, a registry keeps it, it comes to serve; `.spec` stays.

The Job fits a model with scikit-learn, pushes its package to a real OCI registry and names it in its termination
message. A client sends requests all the time and must lose none.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.cluster import installation, watching
from tests.cluster.harness import images
from tests.cluster.test_rollouts import ONE_STEP, resource, wait_for_verdict

from seatrial.api.status import VerdictKind

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

SECONDS = 240.0
PREFIX = "oci://registry:5000/digits"
SECURE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
FOR_MODELS = {"seatrial.dev/for-models": "true"}


def surroundings(subject: watching.Subject) -> list[dict[str, Any]]:
    """The registry, how it is reached (plain HTTP), and the CronJob that is the template."""

    def meta(name: str, **labels: str) -> dict[str, Any]:
        return {"name": name, "namespace": subject.namespace, "labels": {"app": name, **labels}}

    registry = {
        "name": "registry",
        "image": images.lookup("registry").tag,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 5000}],
        "readinessProbe": {"httpGet": {"path": "/v2/", "port": 5000}, "periodSeconds": 2},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "securityContext": SECURE,
    }
    environment = {"MODEL": "digits-v2b", "VERSION": "8", "REPOSITORY": "registry:5000/digits"}
    train = {
        "name": "train",
        "image": images.lookup("trainer").tag,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "envFrom": [{"secretRef": {"name": "registry"}}],
        "securityContext": SECURE,
    }
    pod = {"restartPolicy": "Never", "containers": [train]}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta("registry"),
            "spec": {
                "selector": {"matchLabels": {"app": "registry"}},
                "template": {
                    "metadata": {"labels": {"app": "registry"}},
                    "spec": {
                        "containers": [registry],
                        "enableServiceLinks": False,
                        "volumes": [{"name": "data", "emptyDir": {}}],
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta("registry"),
            "spec": {"selector": {"app": "registry"}, "ports": [{"port": 5000}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta("registry", **FOR_MODELS),
            "stringData": {"OCI_ALLOW_HTTP": "true"},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": meta("digits-train", **FOR_MODELS),
            "spec": {
                "schedule": "0 0 1 1 *",
                "suspend": True,
                "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
            },
        },
    ]


def wish(platform: installation.Platform) -> dict[str, Any]:
    made = resource(platform, "digits-v2", steps=ONE_STEP)
    made["spec"]["model"]["secretRef"] = {"name": "registry"}
    made["spec"]["retraining"] = {"cronJob": "digits-train", "uriPrefix": PREFIX}
    return made


def spec_of(subject: watching.Subject) -> str:
    raw = subject.raw()
    assert raw is not None
    return json.dumps([raw["metadata"]["generation"], raw["spec"]])


def tell(subject: watching.Subject, command: str, token: str) -> None:
    subject.platform.cluster.kubectl(
        "annotate",
        watching.RESOURCE,
        subject.name,
        "-n",
        subject.namespace,
        f"seatrial.dev/{command}={token}",
        "--overwrite",
    )


def trained(subject: watching.Subject) -> None:
    """Version 2 serves; version 8 is made by a run, and waits."""
    subject.platform.cluster.load_images("registry", "trainer")
    subject.platform.apply(*surroundings(subject))
    subject.apply(wish(subject.platform))
    wait_for_verdict(subject, "2")
    subject.start_client()
    subject.wait(lambda sight: sight.settled, what="the end of the soak", seconds=60)
    tell(subject, "retrain", "one")
    subject.wait(
        lambda sight: sight.status.trained is not None and sight.status.trained.offered is not None,
        what="a trained version",
        seconds=SECONDS,
    )


def test_a_trained_version_is_promoted_and_a_git_change_in_the_middle_of_the_next_drops_it(
    subject: watching.Subject,
) -> None:
    trained(subject)
    before = spec_of(subject)
    tell(subject, "adopt", "8/yes")
    sight = wait_for_verdict(subject, "8")
    assert sight.verdict("8").verdict is VerdictKind.PROMOTED
    sight = subject.wait(
        lambda one: one.settled and one.status.trained is not None and one.status.trained.current is not None,
        what="the end of the soak",
        seconds=60,
    )
    assert sight.status.stable.model_version == "8"
    assert sight.ready == ("True", "Promoted")
    assert spec_of(subject) == before

    changed = copy.deepcopy(wish(subject.platform))
    changed["spec"]["model"]["version"] = "2-again"
    subject.apply(changed)
    subject.wait(lambda one: one.current and one.status.trained is None, what="the trained version's end", seconds=30)
    wait_for_verdict(subject, "2-again")
    books = subject.books()
    assert (books.lost, books.not_the_models_fault) == (0, 0), books
