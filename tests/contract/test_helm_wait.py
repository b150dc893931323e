"""`helm --wait` for a ModelDeployment in a chart: Helm 4 waits by kstatus, Helm 3 doesn't know the kind."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.harness import apiserver, shell, waiting
from tests.contract import charts, small_operator
from tests.unit.rollout import test_rollouts
from tests.unit.rollout import world as worlds

from seatrial.api.status import Phase

pytestmark = pytest.mark.apiserver


class Release:
    """A chart with one ModelDeployment, in a namespace of its own."""

    def __init__(self, api: apiserver.ApiServer, folder: Path) -> None:
        self.api = api
        self.namespace = f"helm-{secrets.token_hex(4)}"
        self._chart = folder / "churn"
        (self._chart / "templates").mkdir(parents=True)
        (self._chart / "Chart.yaml").write_text("{apiVersion: v2, name: churn, version: 0.1.0}")
        api.kubectl("create", "namespace", self.namespace)

    def write(self, version: str) -> None:
        """The chart asks for this version."""
        text = small_operator.manifest(worlds.spec(version), namespace=self.namespace)
        (self._chart / "templates" / "churn.yaml").write_text(text)

    def install(self, *flags: str) -> list[str]:
        return ["upgrade", "--install", "churn", str(self._chart), "-n", self.namespace, *flags]


@pytest.fixture
def release(shop: apiserver.ApiServer, tmp_path: Path) -> Iterator[Release]:
    made = Release(shop, tmp_path)
    yield made
    shop.kubectl("delete", "mdeploy", "--all", "-n", made.namespace)
    shop.kubectl("delete", "namespace", made.namespace, "--wait=false")


@pytest.fixture
def operator(shop: apiserver.ApiServer, release: Release) -> Iterator[small_operator.SmallOperator]:
    with small_operator.connected(shop.kubeconfig) as client:
        yield small_operator.SmallOperator(client, namespace=release.namespace)


@contextlib.contextmanager
def waits(release: Release, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Helm 4, running."""
    command = [*charts.helm4(), *arguments]
    with subprocess.Popen(
        command, env=release.api.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process
        process.kill()


def test_helm_4_waits_for_a_rollout_and_fails_with_one_that_is_rolled_back(
    release: Release, operator: small_operator.SmallOperator
) -> None:
    release.write("1")
    with waits(release, *release.install("--wait", "--timeout=280s")) as helm:
        waiting.until(operator.exists, what="ModelDeployment made", seconds=60)
        operator.until(lambda one: one.status.phase is not Phase.TRIAL)
        assert operator.world.condition("Reconciling")[0] == "True"
        assert helm.poll() is None, "it returned before the version served"
        operator.until(test_rollouts.settled)
        assert helm.wait(timeout=60) == 0

    release.write("2")
    begun = time.monotonic()
    with waits(release, *release.install("--wait", "--timeout=10s")) as helm:
        waiting.until(lambda: operator.raw()["spec"]["model"]["version"] == "2", what="version 2", seconds=60)
        operator.world.error_share["2"] = 0.3
        operator.leap(lambda one: one.status.phase is Phase.CANARY)  # all of it has to be over before its timeout
        assert helm.poll() is None, "it returned in mid-canary"
        operator.leap(test_rollouts.rolled_back)
        said, _ = helm.communicate(timeout=60)
    assert helm.returncode == 1
    assert "resource not ready, name: churn, kind: ModelDeployment, status: Failed" in said
    assert time.monotonic() - begun > 9, "the page says that Helm looks on until its timeout"

    with waits(release, "rollback", "churn", "1", "-n", release.namespace, "--wait", "--timeout=60s") as helm:
        waiting.until(lambda: operator.raw()["spec"]["model"]["version"] == "1", what="version 1", seconds=60)
        operator.look()
        assert helm.wait(timeout=90) == 0
    assert (operator.world.serving, operator.world.status.candidate) == ("1", None)


def test_helm_3_returns_before_anybody_has_looked(release: Release, operator: small_operator.SmallOperator) -> None:
    release.write("1")
    shell.run([*charts.helm3(), *release.install("--wait", "--timeout=60s")], env=release.api.environment)
    assert operator.raw()["status"]["observedGeneration"] == -1
