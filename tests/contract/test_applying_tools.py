"""What applies manifests and what waits for them, in front of a ModelDeployment: the same again changes nothing, and
nobody is told of a success that was another generation's.

Flux and Argo CD have modules of their own, and so has what Helm waits for.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cluster.harness import apiserver, errors, shell
from tests.contract import charts, small_operator
from tests.unit.rollout import test_rollouts
from tests.unit.rollout import world as worlds

from seatrial.api.status import Phase

pytestmark = pytest.mark.apiserver

WAIT = ("wait", "mdeploy/churn", "--for=condition=Ready")


class Scene:
    """A namespace with an operator that looks when told to, and a folder that a tool applies."""

    def __init__(
        self, api: apiserver.ApiServer, operator: small_operator.SmallOperator, *, namespace: str, folder: Path
    ) -> None:
        self.api, self.operator, self.namespace, self.folder = api, operator, namespace, folder
        self.file = folder / "templates" / "churn.yaml"
        (folder / "templates").mkdir()
        (folder / "Chart.yaml").write_text("{apiVersion: v2, name: churn, version: 0.1.0}")
        (folder / "kustomization.yaml").write_text("resources: [templates/churn.yaml]")

    def write(self, version: str) -> None:
        """The folder asks for this version."""
        text = small_operator.manifest(worlds.spec(version), namespace=self.namespace)
        self.file.write_text(text)

    def kubectl(self, *arguments: str | Path) -> str:
        return self.api.kubectl(*map(str, arguments), "-n", self.namespace)

    def apply(self, *how: str | Path) -> None:
        self.kubectl("apply", *how)

    def helm(self, program: list[str]) -> None:
        command = [*program, "upgrade", "--install", "churn", self.folder, "-n", self.namespace]
        shell.run(command, env=self.api.environment)


TOOLS: dict[str, Callable[[Scene], None]] = {
    "kubectl, client-side": lambda scene: scene.apply("-f", scene.file),
    "kubectl, server-side": lambda scene: scene.apply("--server-side", "-f", scene.file),
    "kustomize": lambda scene: scene.apply("-k", scene.folder),
    "Helm 3": lambda scene: scene.helm(charts.helm3()),
    "Helm 4": lambda scene: scene.helm(charts.helm4()),
}


@pytest.fixture
def scene(shop: apiserver.ApiServer, tmp_path: Path) -> Iterator[Scene]:
    namespace = f"tools-{secrets.token_hex(4)}"
    shop.kubectl("create", "namespace", namespace)
    with small_operator.connected(shop.kubeconfig) as client:
        operator = small_operator.SmallOperator(client, namespace=namespace)
        yield Scene(shop, operator, namespace=namespace, folder=tmp_path)
    shop.kubectl("delete", "mdeploy", "--all", "-n", namespace)
    shop.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_the_same_again_in_mid_canary_changes_nothing(scene: Scene, tool: Callable[[Scene], None]) -> None:
    scene.write("1")
    tool(scene)
    scene.operator.until(test_rollouts.settled)
    scene.write("2")
    tool(scene)
    scene.operator.until(lambda world: world.status.phase is Phase.CANARY)
    before = scene.operator.raw()
    assert before["metadata"]["generation"] == 2
    tool(scene)
    after = scene.operator.raw()
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])
    assert after["metadata"]["generation"] == 2
    scene.operator.until(test_rollouts.settled)
    assert scene.operator.world.serving == "2"


def test_kubectl_waits_for_what_was_asked_for_and_not_for_what_was_ready_before(scene: Scene) -> None:
    scene.write("1")
    scene.apply("-f", scene.file)
    with pytest.raises(errors.CommandFailed, match="timed out waiting for the condition"):
        scene.kubectl(*WAIT, "--timeout=1s")
    scene.operator.until(test_rollouts.settled)
    assert "condition met" in scene.kubectl(*WAIT, "--timeout=60s")
    scene.write("2")
    scene.apply("-f", scene.file)
    with pytest.raises(errors.CommandFailed, match="timed out waiting for the condition"):
        scene.kubectl(*WAIT, "--timeout=1s")
    command = [*scene.api.kubectl_argv, *WAIT, "--timeout=280s", "-n", scene.namespace]
    with subprocess.Popen(command, env=scene.api.environment, stdout=subprocess.PIPE, text=True) as waiting:
        scene.operator.until(lambda world: world.status.phase is Phase.CANARY)
        assert waiting.poll() is None, "it returned in mid-canary"
        scene.operator.until(test_rollouts.settled)
        assert waiting.communicate(timeout=120)[0].strip() == "modeldeployment.seatrial.dev/churn condition met"
