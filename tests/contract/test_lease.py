"""The election against a real API server, in short durations: one leads; a dead or polite leader is succeeded."""

from __future__ import annotations

import asyncio
import time

import pytest

from seatrial.cluster import errors, kubernetes, lease

pytestmark = pytest.mark.apiserver

TIMES = lease.Times(duration=2, deadline=1.4, retry=0.3)


def replica(cluster: kubernetes.KubernetesCluster, name: str, identity: str) -> lease.Lease:
    return lease.Lease(cluster, namespace="shop", name=name, identity=identity, times=TIMES)


async def test_of_many_that_want_it_exactly_one_leads(cluster: kubernetes.KubernetesCluster) -> None:
    replicas = [replica(cluster, "many", str(number)) for number in range(8)]
    tasks = [asyncio.create_task(one.acquire()) for one in replicas]
    async with asyncio.timeout(10):
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert sum(one.leading for one in replicas) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_holder_that_died_is_succeeded_after_the_duration(cluster: kubernetes.KubernetesCluster) -> None:
    dead, heir = replica(cluster, "death", "a"), replica(cluster, "death", "b")
    await dead.acquire()
    began = time.monotonic()
    async with asyncio.timeout(10):
        await heir.acquire()
    waited = time.monotonic() - began
    assert TIMES.duration <= waited <= TIMES.duration + 2
    assert not dead.leading


async def test_a_holder_that_goes_on_renewing_keeps_it_and_one_that_releases_hands_over_at_once(
    cluster: kubernetes.KubernetesCluster,
) -> None:
    holder, heir = replica(cluster, "handover", "a"), replica(cluster, "handover", "b")
    await holder.acquire()
    holding, waiting = asyncio.create_task(holder.hold()), asyncio.create_task(heir.acquire())
    done, _ = await asyncio.wait([holding, waiting], timeout=TIMES.duration + 1)
    assert not done, "renewed: nobody else leads"
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    began = time.monotonic()
    await holder.release()
    async with asyncio.timeout(5):
        await waiting
    assert time.monotonic() - began < TIMES.duration
    record = await cluster.get("Lease", "shop", "handover")
    assert record is not None
    assert (record["spec"]["holderIdentity"], record["spec"]["leaseTransitions"]) == ("b", 1)


async def test_a_holder_whose_lease_was_taken_learns_it_at_the_next_renewal(
    cluster: kubernetes.KubernetesCluster,
) -> None:
    holder = replica(cluster, "theft", "a")
    await holder.acquire()
    record = await cluster.get("Lease", "shop", "theft")
    assert record is not None
    record["spec"]["holderIdentity"] = "thief"
    await cluster.replace(record)
    async with asyncio.timeout(5):
        with pytest.raises(errors.LeadershipLost, match="another replica"):
            await holder.hold()
