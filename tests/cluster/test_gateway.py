"""Provider GatewayAPI with a real gateway, Traefik, in front of real pods: shares, promotion, rollback, each request.

Requests run inside the node's network. Six clients send one after another; none may go without a good answer.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import hammer, installation, watching
from tests.cluster.harness import errors, gateway, network, paths
from tests.cluster.models import export
from tests.cluster.test_rollouts import SECONDS, outcome, resource, wait_for_verdict

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]  # the gateway is built the first time

ENOUGH = 1000  # requests to measure a share with: the last ones
COUNTED = (
    2000  # by the pods, since the share was seen to be in force: a gateway follows a route after it has accepted it
)
SHARES = (1, 10, 50)


@pytest.fixture(scope="module")
def front(platform: installation.Platform) -> Iterator[gateway.Front]:
    cluster = platform.cluster
    if not cluster.inside_argv[0].endswith("nsenter"):
        raise errors.HarnessError("the gateway runs beside the node's programs: leave CLUSTER=kind out")
    gateway.install(cluster.kubectl)
    with gateway.running(cluster.kubeconfig, inside=cluster.inside_argv, address=network.NODE, say=print) as running:
        yield running
    gateway.uninstall(cluster.kubectl)


def behind(subject: watching.Subject, package: str, **rollout: Any) -> dict[str, Any]:
    traffic = {"provider": "GatewayAPI", "gateway": {"parentRefs": [{"name": "front"}]}}
    return resource(subject.platform, package, traffic=traffic, **rollout)


@pytest.fixture
def installed(subject: watching.Subject, front: gateway.Front) -> watching.Subject:
    """Version 2 serves behind the gateway."""
    subject.platform.apply(front.gateway(namespace=subject.namespace))
    subject.apply(behind(subject, "digits-v2"))
    wait_for_verdict(subject, "2")
    return subject


class Load:
    """The clients, and what they were answered: known when they have ended."""

    def __init__(self) -> None:
        self.answers: list[hammer.Answer] = []

    def since(self, start: float, end: float = math.inf) -> list[hammer.Answer]:
        return [one for one in self.answers if start <= one.at < end]


@contextlib.contextmanager
def load(subject: watching.Subject, front: gateway.Front) -> Iterator[Load]:
    command = [sys.executable, "-m", "tests.cluster.hammer", front.url, "digits", export.INPUT]
    inside = subject.platform.cluster.inside_argv
    told = Load()
    with subprocess.Popen(
        [*inside, *command], cwd=paths.REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == hammer.BEGUN
        try:
            yield told
        finally:
            said, _ = process.communicate(timeout=60)
            told.answers = list(hammer.read(said))


def annotate(subject: watching.Subject, command: str) -> float:
    """Gives a command; the moment when it was written."""
    token = f"seatrial.dev/{command}={time.time_ns()}"
    subject.platform.cluster.kubectl(
        "annotate", watching.RESOURCE, subject.name, "-n", subject.namespace, token, "--overwrite"
    )
    return time.time()


def in_force(sight: watching.Sight, weight: int) -> bool:
    """The candidate has this share, and the gateway has said so."""
    candidate, generation = sight.status.candidate, sight.generation
    routed = next((one for one in sight.status.conditions if one.type == "Routed"), None)
    given = candidate is not None and candidate.weight == weight
    return given and routed is not None and routed.status == "True" and routed.observed_generation == generation


def answered(sight: watching.Sight) -> int:
    """Requests that the pods have counted in this step."""
    counted = sight.status.traffic.requests if sight.status.traffic else None
    return counted.stable + counted.candidate if counted is not None else 0


def until_gone(subject: watching.Subject, sight: watching.Sight) -> None:
    """Returns when no pod of another version than the one that serves is left."""
    assert sight.status.stable is not None
    others = "app.kubernetes.io/component=server,seatrial.dev/revision!=" + sight.status.stable.revision
    subject.platform.cluster.kubectl(
        "wait", "pods", "-n", subject.namespace, "-l", others, "--for=delete", "--timeout=300s", timeout=330
    )


def test_shares_are_as_asked_and_a_promotion_loses_no_request(installed: watching.Subject, front: gateway.Front):
    steps = [{"weight": one, "minDuration": "1s", "minRequests": 1, "pause": True} for one in SHARES]
    with load(installed, front) as seen:
        installed.apply(behind(installed, "digits-v2b", steps=steps))
        spans = {}
        for share in SHARES:
            sight = installed.wait(lambda sight, share=share: in_force(sight, share), what=f"{share}%", seconds=SECONDS)
            began, wanted = time.time(), answered(sight) + COUNTED
            installed.wait(lambda sight, wanted=wanted: answered(sight) >= wanted, what="requests", seconds=SECONDS)
            spans[share] = (began, time.time())
            annotate(installed, "promote")
        assert outcome(wait_for_verdict(installed, "2b"), "2b") == ("Promoted", "Promoted", "2b")
        sight = installed.wait(lambda sight: sight.settled, what="the end of the soak", seconds=SECONDS)
        promoted = time.time()
        until_gone(installed, sight)
    bad = [one for one in seen.answers if not one.good]
    assert not bad, f"{len(bad)} of {len(seen.answers)} requests: {bad[:5]}"
    for share, (start, end) in spans.items():
        whos = [one.who for one in seen.since(start, end)][-ENOUGH:]
        asked, got, count = share / 100, whos.count("2b") / len(whos), len(whos)
        print(f"asked {share}%, seen {100 * got:.2f}% of {count} requests")
        assert count >= ENOUGH
        assert abs(got - asked) <= 3 * math.sqrt(asked * (1 - asked) / count)
    assert {one.who for one in seen.since(promoted)} == {"2b"}


def test_a_rollback_is_quick_and_loses_no_request(installed: watching.Subject, front: gateway.Front):
    steps = [{"weight": 50, "minDuration": "25m", "minRequests": 30}]
    with load(installed, front) as seen:
        installed.apply(behind(installed, "digits-v2b", steps=steps))
        installed.wait(lambda sight: in_force(sight, 50), what="50%", seconds=SECONDS)
        aborted = annotate(installed, "abort")
        sight = installed.wait(lambda sight: sight.settled, what="the end of its traffic", seconds=SECONDS)
        until_gone(installed, sight)
    assert outcome(sight, "2b") == ("Rejected", "Aborted", "2")
    bad = [one for one in seen.answers if not one.good]
    assert not bad, f"{len(bad)} of {len(seen.answers)} requests: {bad[:5]}"
    last = max(one.at for one in seen.answers if one.who == "2b")
    print(f"the last request at the candidate began {last - aborted:.2f} s after the command")
    assert last - aborted < 20, "of the 25 minutes that the step had left"


def test_pods_that_restart_behind_the_gateway_lose_no_request(installed: watching.Subject, front: gateway.Front):
    with load(installed, front) as seen:
        replaced = _servers(installed)[0]
        installed.platform.cluster.kubectl("delete", "pod", replaced, "-n", installed.namespace, "--wait")
        installed.wait(lambda sight: sight.status.stable.ready_replicas == 2 and len(_servers(installed)) == 2,
                       what="its replacement", seconds=SECONDS)  # fmt: skip
    bad = [one for one in seen.answers if not one.good]
    assert not bad, f"{len(bad)} of {len(seen.answers)} requests: {bad[:5]}"


def _servers(subject: watching.Subject) -> list[str]:
    pods = subject.platform.list("pods", subject.namespace, "app.kubernetes.io/component=server")
    return sorted(one["metadata"]["name"] for one in pods)
