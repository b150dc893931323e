"""What is taken out of the operator's image is not missed: the operator without it, in front of a real API server."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cluster.harness import apiserver, paths, waiting
from tests.contract import operator_process

pytestmark = pytest.mark.apiserver

NAMESPACE = "shop"
SAMPLE = paths.REPO / "manifests" / "samples" / "churn.yaml"


@pytest.fixture
def trimmed(tmp_path: Path) -> Path:
    """A folder with the Kubernetes client as it is in the image."""
    found = importlib.util.find_spec("kubernetes")
    assert found is not None
    assert found.origin is not None
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(found.origin).parent, tmp_path / "kubernetes", ignore=ignored)
    subprocess.run(["sh", paths.REPO / "requirements" / "trim", tmp_path], check=True)
    return tmp_path


def test_most_of_the_client_is_generated_and_goes(trimmed: Path) -> None:
    left = sum(1 for path in (trimmed / "kubernetes").rglob("*.py") if path.parent.name in ("api", "models"))
    assert left == 10, "two __init__.py of each client, and three models of each"


def test_the_operator_does_its_work_without_it(shop: apiserver.ApiServer, trimmed: Path) -> None:
    shop.kubectl("apply", "-n", NAMESPACE, "-f", str(SAMPLE))
    environment = {"PYTHONPATH": os.pathsep.join([str(trimmed), os.environ.get("PYTHONPATH", "")])}

    def trial() -> bool:
        jobs = json.loads(shop.kubectl("get", "jobs", "-n", NAMESPACE, "-o", "json"))["items"]
        return any(one["metadata"]["name"].startswith("churn-") for one in jobs)

    try:
        with operator_process.running(
            shop.kubeconfig, namespace=NAMESPACE, lease="trimmed", environment=environment
        ) as process:
            waiting.until(trial, what="the trial's Job", seconds=60)
    finally:
        shop.kubectl("delete", "-n", NAMESPACE, "mdeploy", "churn")
    assert process.status == 0, process.said
    assert "Error" not in process.said, process.said
