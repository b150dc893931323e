"""The election against a real API server, in a time of its own: one leads; a dead or polite leader is succeeded."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract import passing_time

from seatrial.cluster import errors, kubernetes, lease

pytestmark = pytest.mark.apiserver

TIMES = lease.Times(duration=60, deadline=40, retry=10)
"""A call may take as long as deadline and retry say, in real time, which no test waits for."""
LONGEST_PAUSE = 1.2 * TIMES.retry


class Replicas:
    """Any number of them, in one time."""

    def __init__(self, cluster: kubernetes.KubernetesCluster, name: str) -> None:
        self.time = passing_time.Time()
        self._cluster, self._name = cluster, name

    def one(self, identity: str) -> lease.Lease:
        return lease.Lease(
            self._cluster,
            namespace="shop",
            name=self._name,
            identity=identity,
            times=TIMES,
            monotonic=self.time.now,
            sleep=self.time.sleep,
        )


async def test_of_many_that_want_it_exactly_one_leads(cluster: kubernetes.KubernetesCluster) -> None:
    there = Replicas(cluster, "many")
    replicas = [there.one(str(number)) for number in range(8)]
    tasks = [asyncio.create_task(one.acquire()) for one in replicas]
    await there.time.pass_by(TIMES.duration - 1, *tasks)
    assert sum(task.done() for task in tasks) == 1
    assert sum(one.leading for one in replicas) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_holder_that_died_is_succeeded_after_the_duration(cluster: kubernetes.KubernetesCluster) -> None:
    there = Replicas(cluster, "death")
    dead, heir = there.one("a"), there.one("b")
    await dead.acquire()
    waiting = asyncio.create_task(heir.acquire())
    await there.time.pass_by(10 * TIMES.duration, waiting)
    await waiting
    assert TIMES.duration <= there.time.now() <= TIMES.duration + LONGEST_PAUSE
    assert not dead.leading


async def test_a_holder_that_goes_on_renewing_keeps_it_and_one_that_releases_hands_over_at_once(
    cluster: kubernetes.KubernetesCluster,
) -> None:
    there = Replicas(cluster, "handover")
    holder, heir = there.one("a"), there.one("b")
    await holder.acquire()
    holding, waiting = asyncio.create_task(holder.hold()), asyncio.create_task(heir.acquire())
    await there.time.pass_by(3 * TIMES.duration, holding, waiting)
    assert not holding.done(), "renewed"
    assert not waiting.done(), "nobody else leads"
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    began = there.time.now()
    await holder.release()
    await there.time.pass_by(TIMES.duration, waiting)
    await waiting
    assert there.time.now() - began <= LONGEST_PAUSE
    record = await cluster.get("Lease", "shop", "handover")
    assert record is not None
    assert (record["spec"]["holderIdentity"], record["spec"]["leaseTransitions"]) == ("b", 1)


async def test_a_holder_whose_lease_was_taken_learns_it_at_the_next_renewal(
    cluster: kubernetes.KubernetesCluster,
) -> None:
    there = Replicas(cluster, "theft")
    holder = there.one("a")
    await holder.acquire()
    record = await cluster.get("Lease", "shop", "theft")
    assert record is not None
    record["spec"]["holderIdentity"] = "thief"
    await cluster.replace(record)
    holding = asyncio.create_task(holder.hold())
    await there.time.pass_by(TIMES.retry, holding)
    with pytest.raises(errors.LeadershipLost, match="another replica"):
        await asyncio.wait_for(holding, 0)
