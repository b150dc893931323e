"""The election in fake time: who may act when, and who may not."""

from __future__ import annotations

import random

import pytest
from tests.unit.cluster import memory

from seatrial.cluster import errors, lease


class World:
    """One clock, one cluster, any number of replicas; sleeping moves the clock."""

    def __init__(self) -> None:
        self.at = 0.0
        self.cluster = memory.MemoryCluster(now=lambda: self.at)

    def replica(self, identity: str) -> lease.Lease:
        return lease.Lease(
            self.cluster,
            namespace="system",
            name="seatrial-operator",
            identity=identity,
            monotonic=lambda: self.at,
            sleep=self._sleep,
            rng=random.Random(1),
        )

    def record(self) -> dict[str, object]:
        return dict(self.cluster.objects["Lease", "system", "seatrial-operator"]["spec"])

    async def _sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def world() -> World:
    return World()


async def test_the_first_replica_leads_at_once(world: World) -> None:
    first = world.replica("a")
    assert not first.leading
    await first.acquire()
    assert first.leading
    assert world.at == 0
    assert (world.record()["holderIdentity"], world.record()["leaseDurationSeconds"]) == ("a", 15)


async def test_a_holder_that_is_silent_is_succeeded_after_the_leases_duration(world: World) -> None:
    first, second = world.replica("a"), world.replica("b")
    await first.acquire()
    await second.acquire()
    assert 15 <= world.at <= 18
    assert second.leading
    assert not first.leading
    assert world.record()["leaseTransitions"] == 1


async def test_a_holder_stops_acting_long_before_anybody_else_may_start(world: World) -> None:
    first = world.replica("a")
    await first.acquire()
    world.at += 9.9
    assert first.leading
    world.at += 0.2
    assert not first.leading


async def test_a_released_lease_is_taken_at_the_next_look(world: World) -> None:
    first, second = world.replica("a"), world.replica("b")
    await first.acquire()
    await first.release()
    assert not first.leading
    await second.acquire()
    assert world.at < 3


async def test_only_the_holder_releases(world: World) -> None:
    first, second = world.replica("a"), world.replica("b")
    await first.acquire()
    await second.release()
    assert world.record()["holderIdentity"] == "a"


async def test_a_replica_that_was_restarted_under_its_name_leads_at_once(world: World) -> None:
    await world.replica("a").acquire()
    again = world.replica("a")
    await again.acquire()
    assert world.at == 0
    assert again.leading


async def test_holding_survives_failures_shorter_than_the_deadline(world: World) -> None:
    first = world.replica("a")
    await first.acquire()
    looks = 0

    def fault(method: str) -> None:
        nonlocal looks
        looks += method == "get"
        if looks > 20:
            raise KeyboardInterrupt  # ends the endless renewal
        if looks % 4:
            raise errors.Unavailable("no route")

    world.cluster.before = fault
    with pytest.raises(KeyboardInterrupt):
        await first.hold()
    assert world.at > 30


async def test_holding_ends_when_the_api_server_is_away_for_the_deadline(world: World) -> None:
    first = world.replica("a")
    await first.acquire()

    def away(method: str) -> None:
        raise errors.Unavailable("no route")

    world.cluster.before = away
    with pytest.raises(errors.LeadershipLost, match="not renewed within 10 s"):
        await first.hold()
    assert world.at <= 12


async def test_holding_ends_when_another_took_the_lease(world: World) -> None:
    first = world.replica("a")
    await first.acquire()
    world.cluster.objects["Lease", "system", "seatrial-operator"]["spec"]["holderIdentity"] = "b"
    world.cluster.objects["Lease", "system", "seatrial-operator"]["metadata"]["resourceVersion"] = "99"
    with pytest.raises(errors.LeadershipLost, match="another replica"):
        await first.hold()
    assert not first.leading


async def test_two_that_reach_for_a_free_lease_dont_both_get_it(world: World) -> None:
    first, second = world.replica("a"), world.replica("b")
    await first.acquire()
    await first.release()

    def overtaken(method: str) -> None:
        if method == "replace":  # the other one was faster between our read and our write
            world.cluster.before = lambda _: None
            record = world.cluster.objects["Lease", "system", "seatrial-operator"]
            record["spec"] = {"holderIdentity": "c", "leaseDurationSeconds": 15}
            record["metadata"]["resourceVersion"] = "99"

    world.cluster.before = overtaken
    await second.acquire()
    assert world.at >= 15


async def test_a_forbidden_lease_is_said_at_once(world: World) -> None:
    def forbid(method: str) -> None:
        raise errors.Refused(403, reason="Forbidden", message="leases is forbidden")

    world.cluster.before = forbid
    with pytest.raises(errors.Refused, match="leases is forbidden"):
        await world.replica("a").acquire()
