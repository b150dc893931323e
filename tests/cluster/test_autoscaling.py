"""End to end on a real cluster: an autoscaler that reads what pods really use scales a version in mid-canary.

The metrics are metrics-server's, of the kubelet; the autoscaler is the one of the page on placing pods, by memory, as
what a busy machine's pods have of its processors is never the same. A client sends requests all the time.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from kubernetes import utils
from tests.cluster import watching
from tests.cluster.harness import metrics, paths, waiting
from tests.cluster.test_rollouts import LONG_STEP, outcome, resource, wait_for_canary, wait_for_verdict

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]  # metrics-server is built the first time

SECONDS = 300.0
MOST = 3


def documented(subject: watching.Subject, *, memory: int) -> dict[str, Any]:
    """The page's autoscaler for this subject: of two pods it wants more, of three it may not."""
    page = (paths.REPO / "docs" / "how-to" / "place-pods.md").read_text()
    found = re.search(r"```yaml\n(apiVersion: autoscaling/v2\n.*?)```", page, re.DOTALL)
    assert found is not None
    wish: dict[str, Any] = yaml.safe_load(found[1])
    wish["metadata"] |= {"name": subject.name, "namespace": subject.namespace}
    wish["spec"]["scaleTargetRef"]["name"] = subject.name
    target = {"type": "AverageValue", "averageValue": str(memory)}
    metric = {"type": "Resource", "resource": {"name": "memory", "target": target}}
    wish["spec"] |= {"maxReplicas": MOST, "metrics": [metric]}
    return wish


def wish(subject: watching.Subject, package: str, **rollout: Any) -> dict[str, Any]:
    """As Git has it where an autoscaler counts: without replicas."""
    made = resource(subject.platform, package, **rollout)
    del made["spec"]["replicas"]
    return made


def used(subject: watching.Subject) -> list[int]:
    """Bytes of memory of each pod that the scale subresource counts; none while the metrics API doesn't answer."""
    selector = (subject.raw() or {})["status"]["selector"].replace("=", "%3D").replace(",", "%2C")
    path = f"{metrics.PODS.format(namespace=subject.namespace)}?labelSelector={selector}"
    text = subject.platform.cluster.kubectl("get", "--raw", path, check=False)
    items = json.loads(text)["items"] if text.strip() else []
    return [sum(int(utils.parse_quantity(one["usage"]["memory"])) for one in pod["containers"]) for pod in items]


def replicas(subject: watching.Subject) -> int:
    return int((subject.raw() or {})["spec"]["replicas"])


def test_an_autoscaler_scales_both_versions_in_mid_canary_and_goes_on_with_the_promoted_one(
    subject: watching.Subject,
) -> None:
    cluster = subject.platform.cluster

    def explained() -> str:
        return cluster.kubectl("describe", "hpa", subject.name, "-n", subject.namespace, check=False)

    with metrics.running(cluster, say=print):
        subject.apply(wish(subject, "digits-v2"))
        wait_for_verdict(subject, "2")
        subject.start_client()
        subject.apply(wish(subject, "digits-v2b", steps=LONG_STEP))
        wait_for_canary(subject, "2b")
        seen: list[int] = []

        def both() -> bool:
            seen[:] = used(subject)
            return len(seen) == 2

        waiting.until(both, what="what both pods of stable use", seconds=SECONDS)
        subject.platform.apply(documented(subject, memory=int(sum(seen) / 2 * 0.6)))
        waiting.until(
            lambda: replicas(subject) == MOST, what="2 pods that use too much", seconds=SECONDS, explain=explained
        )
        sight = subject.wait(
            lambda one: one.status.stable is not None and one.status.stable.ready_replicas == MOST,
            what="the third pod of stable",
            seconds=SECONDS,
        )
        assert sight.verdict("2b") is None, "another size is no other version"
        subject.tell("promote", "now/full")
        sight = wait_for_verdict(subject, "2b")
        assert outcome(sight, "2b") == ("Promoted", "Promoted", "2b")
        subject.wait(lambda one: one.settled, what="the end of the soak", seconds=SECONDS)
        waiting.until(lambda: len(used(subject)) == MOST, what="what the promoted pods use", seconds=SECONDS)
        assert replicas(subject) == MOST
    books = subject.books()
    assert (books.lost, books.not_the_models_fault) == (0, 0), books
