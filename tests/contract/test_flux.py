"""ModelDeployments from Git by Flux's real controllers, as the page on GitOps sets them up."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client as kube
from tests.cluster.harness import apiserver, paths, waiting
from tests.contract import flux, git_server, plugin_api, small_operator
from tests.unit.rollout import test_rollouts
from tests.unit.rollout import world as worlds

from seatrial.api.spec import Duration, Spec, Step
from seatrial.api.status import Phase

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]

PAGE = paths.REPO / "docs" / "how-to" / "gitops.md"
FILE = "shop/churn.yaml"
SUCCEEDED = ("True", "ReconciliationSucceeded")
HELD = test_rollouts.with_steps(Step(weight=10, min_duration=Duration.parse("30m"), min_requests=50))


@dataclasses.dataclass(frozen=True)
class Scene:
    """A repository, what delivers it into a namespace of its own, and the operator there."""

    api: apiserver.ApiServer
    namespace: str
    repository: git_server.Repository
    delivery: flux.Delivery
    operator: small_operator.SmallOperator
    log: Path

    def deliver(self, **changes: Any) -> None:
        """As the page says it, with quicker looks at Git."""
        self.delivery.create(documented(self.namespace, url=self.repository.url, **changes))

    def commit(self, spec: Spec) -> str:
        return self.repository.commit({FILE: small_operator.manifest(spec, namespace=self.namespace)})

    def await_version(self, version: str) -> None:
        """Flux has applied it."""
        waiting.until(
            lambda: self.operator.exists() and self.operator.raw()["spec"]["model"]["version"] == version,
            what=f"version {version} applied",
            seconds=120,
            explain=lambda: str(self.delivery.ready()),
        )

    def install(self) -> None:
        """Version 1 serves."""
        self.commit(worlds.spec("1"))
        self.deliver(wait=False)
        self.await_version("1")
        self.operator.until(test_rollouts.settled)

    def writes(self) -> list[str]:
        """What Flux says that it did to the ModelDeployment, every time that it did something."""
        name = re.escape(f"ModelDeployment/{self.namespace}/churn")
        said = re.findall(rf'"{name}":"(\w+)"', self.log.read_text())
        return [one for one in said if one != "unchanged"]


def documented(namespace: str, *, url: str, **changes: Any) -> dict[str, Any]:
    """The two objects of the page, by kind."""
    text = PAGE.read_text()
    block = re.search(r"```yaml\n(apiVersion: source\.toolkit.*?)```", text, re.DOTALL)
    assert block is not None
    objects = {one["kind"]: one for one in yaml.safe_load_all(block[1])}
    for one in objects.values():
        one["metadata"]["namespace"] = namespace
        one["spec"]["interval"] = "1s"
    objects["GitRepository"]["spec"]["url"] = url
    objects["Kustomization"]["spec"].update(changes)
    return objects


@pytest.fixture(scope="module")
def controllers(shop: apiserver.ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Flux runs; the folder of its logs."""
    folder = tmp_path_factory.mktemp("flux")
    with flux.running(shop, folder):
        yield folder


@pytest.fixture
def client(shop: apiserver.ApiServer) -> Iterator[kube.CustomObjectsApi]:
    with small_operator.connected(shop.kubeconfig) as connected:
        yield connected


@pytest.fixture
def scene(
    shop: apiserver.ApiServer, controllers: Path, client: kube.CustomObjectsApi, tmp_path: Path
) -> Iterator[Scene]:
    namespace = f"flux-{secrets.token_hex(4)}"
    shop.kubectl("create", "namespace", namespace)
    with git_server.serving(tmp_path) as server:
        made = Scene(
            api=shop,
            namespace=namespace,
            repository=git_server.Repository(tmp_path, name="models", server=server),
            delivery=flux.Delivery(client, namespace=namespace),
            operator=small_operator.SmallOperator(client, namespace=namespace),
            log=controllers / "kustomize-controller.log",
        )
        yield made
        made.delivery.delete()
    shop.kubectl("delete", "namespace", namespace, "--wait=false")


def test_good_bad_reverted_and_good_again(scene: Scene) -> None:
    first = scene.commit(worlds.spec("1"))
    scene.deliver()
    scene.await_version("1")
    assert scene.delivery.ready()[0] != "True", "created, and nobody has looked at it yet"
    scene.operator.until(test_rollouts.settled)
    scene.delivery.until_ready(*SUCCEEDED, commit=first)

    bad = scene.commit(worlds.spec("2"))
    scene.await_version("2")
    scene.operator.world.error_share["2"] = 0.3
    scene.operator.until(lambda one: one.status.phase is Phase.CANARY)
    scene.delivery.until_ready("Unknown", "Progressing", commit=bad)
    scene.operator.until(test_rollouts.rolled_back)
    scene.delivery.until_tried("HealthCheckFailed", commit=bad)
    assert f"ModelDeployment/{scene.namespace}/churn status: 'Failed'" in scene.log.read_text()
    asked = scene.operator.raw()
    assert (asked["spec"]["model"]["version"], scene.operator.world.serving) == ("2", "1")

    reverted = scene.repository.revert()
    scene.await_version("1")
    world = scene.operator.look()
    assert (world.condition("Ready")[0], world.serving, world.status.candidate) == ("True", "1", None)
    scene.delivery.until_ready(*SUCCEEDED, commit=reverted)

    good = scene.commit(worlds.spec("3"))
    scene.await_version("3")
    scene.operator.until(test_rollouts.settled)
    scene.delivery.until_ready(*SUCCEEDED, commit=good)
    assert scene.operator.world.serving == "3"


def test_a_hundred_applications_in_mid_canary_change_nothing(scene: Scene) -> None:
    scene.install()
    scene.commit(worlds.spec("2", **HELD))
    scene.await_version("2")
    scene.operator.until(lambda one: bool(one.status.candidate and one.status.candidate.weight))
    before, candidate = scene.operator.raw(), scene.operator.world.status.candidate
    written = scene.writes()
    for _ in range(100):
        known = scene.operator.raw()["metadata"]["resourceVersion"]
        scene.delivery.reapply()
        assert scene.operator.raw()["metadata"]["resourceVersion"] == known, "Flux has written"
        scene.operator.look()
    after, still = scene.operator.raw(), scene.operator.world.status.candidate
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert (still.weight, still.weight_since, still.step) == (10, candidate.weight_since, candidate.step)
    assert scene.writes() == written


SPARSE = """\
apiVersion: seatrial.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: churn, namespace: {namespace}}}
spec:
  model: {{uri: "https://models.example.com/7.onnx", sha256: {sha256}}}
  rollout:
    steps:
      - weight: 10
      - weight: 50
        minRequests: 500
  serving:
    env:
      - {{name: OMP_NUM_THREADS, value: "1"}}
    tolerations:
      - {{key: models}}
"""


def test_what_git_leaves_out_is_no_drift(scene: Scene) -> None:
    """Defaults in items of lists and beside them, and a number of pods that somebody scales."""
    text = SPARSE.format(namespace=scene.namespace, sha256="a" * 64)
    scene.repository.commit({FILE: text})
    scene.deliver(wait=False)
    waiting.until(scene.operator.exists, what="applied", seconds=120)
    scene.delivery.reapply()
    scene.api.kubectl("scale", "mdeploy", "churn", "-n", scene.namespace, "--replicas=3")
    asked, stored = yaml.safe_load(text)["spec"], scene.operator.raw()
    for _ in range(5):
        scene.delivery.reapply()
    assert scene.operator.raw()["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    assert stored["spec"]["replicas"] == 3
    assert scene.writes() == ["created"]
    for field in (("rollout", "steps"), ("serving", "env"), ("serving", "tolerations")):
        outer, inner = field
        assert stored["spec"][outer][inner] == asked[outer][inner], "a three-way merge compares lists whole"


def test_a_commit_in_mid_canary_does_not_wait_for_the_health_check(scene: Scene) -> None:
    """With the feature gate that the page names."""
    scene.commit(worlds.spec("1"))
    scene.deliver()
    scene.await_version("1")
    scene.operator.until(test_rollouts.settled)
    scene.delivery.until_ready(*SUCCEEDED)
    scene.commit(worlds.spec("2", **HELD))
    scene.await_version("2")
    scene.operator.until(lambda one: one.status.phase is Phase.CANARY)
    scene.delivery.until_ready("Unknown", "Progressing")
    reverted = scene.repository.revert()
    scene.await_version("1")
    scene.operator.look()
    scene.delivery.until_ready(*SUCCEEDED, commit=reverted)


def test_a_rollout_that_is_longer_than_the_timeout_goes_on(scene: Scene) -> None:
    commit = scene.commit(worlds.spec("1"))
    scene.deliver(timeout="1s")
    scene.await_version("1")
    scene.delivery.until_tried("HealthCheckFailed", commit=commit)
    # Where a second was too short for a look at the object, it says that instead; it goes on trying.
    words = f"ModelDeployment/{scene.namespace}/churn status: 'InProgress'"
    waiting.until(lambda: words in scene.log.read_text(), what="failed by a rollout in progress", seconds=120)
    scene.operator.until(test_rollouts.settled)
    scene.delivery.until_ready(*SUCCEEDED, commit=commit)


def test_commands_of_the_plugin_stay_and_those_of_kubectl_are_taken_back(scene: Scene) -> None:
    """Flux takes back what field managers have written whose names begin with `kubectl`."""
    scene.install()
    scene.commit(worlds.spec("2", **HELD))
    scene.await_version("2")
    scene.operator.until(lambda one: one.status.phase is Phase.CANARY)
    annotate = ("annotate", "mdeploy", "churn", "-n", scene.namespace)
    scene.api.kubectl(*annotate, "seatrial.dev/pause=by-kubectl")
    scene.api.kubectl(*annotate, "seatrial.dev/resume=by-ada", *named_manager())
    assert plugin_api.run(scene.api.kubeconfig)("abort", "churn", "-n", scene.namespace).exit_code == 0
    scene.delivery.reapply()
    annotations = scene.operator.raw()["metadata"]["annotations"]
    assert sorted(annotations) == ["seatrial.dev/abort", "seatrial.dev/resume"]
    scene.operator.until(test_rollouts.rolled_back)
    scene.delivery.reapply()
    assert scene.operator.raw()["metadata"]["annotations"] == annotations


def named_manager() -> list[str]:
    """The flag with which the page lets kubectl annotate."""
    found = re.search(r"kubectl annotate .*(--field-manager=\S+)", PAGE.read_text())
    assert found is not None
    return [found[1]]
