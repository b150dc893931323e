"""Faults while stable's pods pass requests on: whatever happens to the candidate, to the operator, to stable or to the
assignments themselves, nobody who asks gets a failed answer, and no request is lost.

All share a namespace in which version 2 serves 50 requests/s; each has a canary of its own at 50 %, and goes back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from tests.cluster import accidents, dying, installation, watching
from tests.cluster.harness import waiting
from tests.cluster.test_rollouts import (
    LONG_STEP,
    SECONDS,
    TWO_STEPS,
    outcome,
    resource,
    wait_for_canary,
    wait_for_verdict,
)

from seatrial.rollout.traffic import assignment

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

SPACE = "e2e-relay-faults"
ASSIGNMENT = "seatrial.dev/relay"
ENOUGH = 5  # covered answers that show that a fault was felt


@pytest.fixture(scope="module")
def served(platform: installation.Platform) -> Iterator[watching.Subject]:
    """Version 2 serves traffic."""
    platform.cluster.kubectl("wait", "namespace", SPACE, "--for=delete", "--timeout=110s", check=False)
    installation.namespace(platform, SPACE)
    subject = watching.Subject(platform, namespace=SPACE)
    subject.apply(resource(platform, "digits-v2"))
    wait_for_verdict(subject, "2")
    subject.start_client()
    yield subject
    platform.cluster.kubectl("delete", "namespace", SPACE, "--wait=false")


@pytest.fixture
def untroubled(served: watching.Subject) -> Iterator[watching.Subject]:
    """Afterwards version 2 serves alone again, and nobody has noticed anything."""
    before = served.told()
    yield served
    served.apply(resource(served.platform, "digits-v2"))
    served.wait(lambda one: one.settled, what="the way back", seconds=SECONDS)
    after = served.told()
    assert (after.lost - before.lost, after.not_the_models_fault - before.not_the_models_fault) == (0, 0), after
    assert after.model_errors == before.model_errors, after
    waiting.until(lambda: served.told().ok > before.ok, what="more good answers", seconds=60)


@pytest.fixture
def canary(untroubled: watching.Subject) -> watching.Subject:
    """Version 2b has half of the requests, also if it was rejected in another test."""
    wish = resource(untroubled.platform, "digits-v2b", steps=LONG_STEP)
    wish["metadata"]["annotations"] = {"seatrial.dev/retry": str(time.time_ns())}
    untroubled.apply(wish)
    wait_for_canary(untroubled, "2b")
    return untroubled


def pods(subject: watching.Subject, role: str) -> list[dict[str, Any]]:
    """Of stable or candidate, as the API server has them now; none while there is no such version."""
    sight = subject.look()
    version = getattr(sight.status, role) if sight is not None else None
    if version is None:
        return []
    chosen = f"app.kubernetes.io/component=server,seatrial.dev/revision={version.revision}"
    return [one for one in subject.platform.list("pods", subject.namespace, chosen) if "podIP" in one["status"]]


def restarts(pod: dict[str, Any]) -> list[str]:
    """Why its containers ended before."""
    states = [one.get("lastState", {}) for one in pod["status"].get("containerStatuses", ())]
    return [state["terminated"]["reason"] for state in states if "terminated" in state]


def ended(subject: watching.Subject, *, by: str | None = None) -> Callable[[watching.Sight], bool]:
    """A pod of the candidate has ended, and is there again, or the candidate is gone for it."""

    def done(sight: watching.Sight) -> bool:
        if sight.status.candidate is None:
            return True
        return any(by in (None, reason) for pod in pods(subject, "candidate") for reason in restarts(pod))

    return done


def felt(subject: watching.Subject) -> Callable[[watching.Sight], bool]:
    """Stable has answered in the candidate's place."""
    before = subject.told().covered
    return lambda sight: sight.books.covered >= before + ENOUGH or sight.status.candidate is None


def test_a_candidate_whose_processes_are_killed_costs_nobody_an_answer(canary):
    for pod in pods(canary, "candidate"):
        accidents.kill(pod)
    canary.wait(ended(canary), what="the end of a server", seconds=SECONDS)


def test_a_candidate_that_runs_out_of_memory_costs_nobody_an_answer(canary):
    accidents.starve(pods(canary, "candidate")[0], canary.platform.cluster)
    canary.wait(ended(canary, by="OOMKilled"), what="the end of a server", seconds=SECONDS)


def test_a_candidate_that_hangs_costs_nobody_an_answer(canary):
    told = felt(canary)
    with contextlib.ExitStack() as stack:
        for pod in pods(canary, "candidate"):
            stack.enter_context(accidents.stopped(pod))
        canary.wait(told, what="answers in its place", seconds=SECONDS)


def test_a_candidate_that_is_cut_off_costs_nobody_an_answer(canary):
    told, addresses = felt(canary), [pod["status"]["podIP"] for pod in pods(canary, "stable")]
    with contextlib.ExitStack() as stack:
        for pod in pods(canary, "candidate"):
            stack.enter_context(accidents.cut_off(pod, addresses=addresses))
        canary.wait(told, what="answers in its place", seconds=SECONDS)


def test_an_assignment_that_somebody_edits_is_put_right(canary):
    for edit in (f"{ASSIGNMENT}=", f"{ASSIGNMENT}={{", f'{ASSIGNMENT}={{"weight": 100}}', f"{ASSIGNMENT}-"):
        edited = pods(canary, "stable")[0]["metadata"]["name"]
        canary.platform.cluster.kubectl("annotate", "pod", edited, "-n", canary.namespace, "--overwrite", edit)
        canary.wait(lambda _: told_the_same(canary), what=f"the assignment after {edit}", seconds=SECONDS)
        canary.wait(everybody_follows, what="all of stable's pods", seconds=SECONDS)


def told_the_same(subject: watching.Subject) -> bool:
    """All of stable's pods pass on what is asked for, by their annotations."""
    texts = [pod["metadata"].get("annotations", {}).get(ASSIGNMENT, "") for pod in pods(subject, "stable")]
    said = [assignment.read(text) for text in texts]
    whole = [msgspec.structs.replace(one, until="") for one in said if one is not None]
    return len(whole) == len(texts) and all(one == whole[0] and one.weight == 50 for one in whole)


def everybody_follows(sight: watching.Sight) -> bool:
    routed = next((one for one in sight.status.conditions if one.type == "Routed"), None)
    return sight.status.candidate is not None and routed is not None and routed.status == "True"


def test_stable_pods_that_come_and_go_pass_on_all_the_same(canary):
    kubectl, space = canary.platform.cluster.kubectl, canary.namespace

    def there(count: int) -> Callable[[watching.Sight], bool]:
        return lambda sight: sight.status.stable.ready_replicas == len(pods(canary, "stable")) == count

    def scale(count: int) -> None:
        kubectl("scale", f"{watching.RESOURCE}/{canary.name}", "-n", space, f"--replicas={count}")  # as autoscalers do
        canary.wait(there(count), what=f"{count} pods", seconds=SECONDS)
        canary.wait(everybody_follows, what="all of stable's pods", seconds=SECONDS)

    scale(3)
    replaced = pods(canary, "stable")[0]["metadata"]["name"]
    kubectl("delete", "pod", replaced, "-n", space, "--wait")
    canary.wait(there(3), what="its replacement", seconds=SECONDS)
    canary.wait(everybody_follows, what="all of stable's pods", seconds=SECONDS)
    scale(2)


@pytest.mark.parametrize(
    ("version", "steps", "ends"),
    [("2c", TWO_STEPS, ("Promoted", "2c")), ("3", LONG_STEP, ("Rejected", "2"))],
    ids=["promoted", "rolled back"],
)
def test_an_operator_that_dies_at_one_write_after_another_comes_to_its_verdict_all_the_same(
    untroubled, tmp_path, version, steps, ends
):
    wish = resource(untroubled.platform, f"digits-v{version}", steps=steps)
    wish["metadata"]["annotations"] = {"seatrial.dev/retry": str(time.time_ns())}
    passage = dying.passage(untroubled, wish, version, deaths=dying.here_and_there(), folder=tmp_path)
    verdict, _, serving = outcome(passage.sight, version)
    assert (verdict, serving) == ends
    assert len(passage.died) >= dying.DEATHS / 2, passage.died
    assert passage.left == ()
