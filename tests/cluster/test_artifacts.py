"""End to end on a real cluster: a model from a claim, whose Secret is missing and whose path is wrong at first."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import watching
from tests.cluster.models import samples

from seatrial.api.status import Phase

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

SECONDS = 300.0


FOR_MODELS = {"seatrial.dev/for-models": "true"}


def volume(subject: watching.Subject, folder: Path) -> list[dict[str, Any]]:
    """A volume on the node with the files of the folder, and the claim `models` on it."""
    name = subject.namespace
    common = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {**common, "capacity": {"storage": "1Gi"}, "hostPath": {"path": str(folder), "type": "Directory"}},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "models", "namespace": name, "labels": FOR_MODELS},
            "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}},
        },
    ]


def resource(subject: watching.Subject, folder: Path) -> dict[str, Any]:
    wish = copy.deepcopy(subject.platform.sample("digits-v1"))
    model = samples.version("digits-v2", models=subject.platform.models)
    file = model["uri"].rpartition("/")[2]
    shutil.copy(subject.platform.models / file, folder / file)
    wish["spec"]["model"] = {**model, "uri": f"pvc://models/{file}", "secretRef": {"name": "store"}}
    wish["spec"]["quantization"] = {"mode": "None"}
    return wish


def test_a_model_is_fetched_from_a_claim_once_its_secret_exists_and_its_path_is_right(
    subject: watching.Subject, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    wish = resource(subject, tmp_path)
    subject.platform.apply(*volume(subject, tmp_path))
    mistaken = copy.deepcopy(wish)
    mistaken["spec"]["model"]["uri"] = "pvc://models/mistaken.onnx"
    try:
        subject.apply(mistaken)
        subject.wait(
            lambda sight: 'secret "store" not found' in sight.message, what="the missing Secret's name", seconds=SECONDS
        )
        meta = {"name": "store", "namespace": subject.namespace, "labels": FOR_MODELS}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
        subject.platform.apply({**secret, "stringData": {"AWS_SECRET_ACCESS_KEY": "not-to-be-seen"}})
        subject.wait(
            lambda sight: "the volume holds no such file: check the path in spec.model.uri" in sight.message,
            what="the refusal of the mistaken path",
            seconds=SECONDS,
        )
        subject.apply(wish)
        subject.wait(lambda sight: sight.status.phase is Phase.STABLE, what="the model in service", seconds=SECONDS)
        subject.start_client()
        (pod, *_) = subject.platform.list("pods", subject.namespace, "app.kubernetes.io/component=server")
        reading = "import os; print('AWS_SECRET_ACCESS_KEY' in os.environ, os.path.exists('/claim'))"
        command = ["-c", "server", "--", "/opt/seatrial/bin/python", "-c", reading]
        name = pod["metadata"]["name"]
        said = subject.platform.cluster.kubectl("exec", "-n", subject.namespace, name, *command)
        assert said.split() == ["False", "False"]
    finally:
        subject.platform.cluster.kubectl("delete", "pv", subject.namespace, "--wait=false", "--ignore-not-found")
