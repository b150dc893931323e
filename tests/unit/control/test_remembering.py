"""The operator over its memory: rollouts go as over live reads, however late the watch is; rest costs no request."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.unit.cluster import memory
from tests.unit.control import cluster as clusters
from tests.unit.control.cluster import KEY, OPERATOR, Cluster, spec
from tests.unit.control.remembered import Watched

from seatrial import api
from seatrial.cluster import errors, store
from seatrial.control import observing, queue, resync, waking
from seatrial.rollout import names


@pytest.mark.long
@pytest.mark.parametrize("late", [0, 1, 2], ids=["at once", "5 s late", "10 s late"])
async def test_a_rollout_ends_as_over_live_reads_however_late_the_watch_is(late):
    live = await Cluster("1").until_serving("1")
    watched = await Watched("1", late=late).until_serving("1")
    for cluster in (live, watched):
        cluster.want(spec("2"))
        await cluster.until_serving("2")
        for _ in range(6):
            await cluster.step()
    assert watched.children() == live.children()
    assert [one["reason"] for one in watched.status["verdicts"]] == ["Promoted", "Promoted"]


async def test_a_look_at_rest_makes_no_request():
    cluster = await Watched("1").until_serving("1")
    await cluster.step()
    asked = cluster.requests()
    assert await cluster.step() == queue.Result()
    assert asked == []


async def test_a_child_that_was_deleted_is_asked_for_and_made_again():
    cluster = await Watched("1").until_serving("1")
    await cluster.step()
    del cluster.memory.objects["Service", "shop", "churn"]
    cluster.live()
    await cluster.step()
    assert [one["metadata"]["name"] for one in cluster.of("Service")] == ["churn"]


async def test_what_was_just_written_is_read_back_at_once_although_the_watch_has_not_told_it():
    cluster = Watched("1", late=3)
    for _ in range(2):
        await cluster.reconciler.reconcile(KEY)
    asked = cluster.requests()
    await cluster.reconciler.reconcile(KEY)
    assert asked == []


async def test_a_live_snapshot_shows_what_the_watch_has_not_told():
    cluster = await Watched("1", late=9).until_serving("1")
    observer = observing.Observer(cluster=cluster.cluster, operator=OPERATOR)
    for pod in cluster.of("Pod"):
        pod["status"] = {"phase": "Failed", "reason": "Evicted"}
    raw = await observer.read(KEY)
    assert raw is not None
    revision = cluster.status["stable"]["revision"]
    assert (await observer.snapshot(raw)).ready(revision) > 0
    assert (await observer.snapshot(raw, live=True)).ready(revision) == 0


async def test_before_everything_was_read_once_the_api_server_is_asked():
    cluster = await Watched("1").until_serving("1")
    cluster.seen.lost(None)
    asked = cluster.requests()
    await cluster.reconciler.reconcile(KEY)
    assert asked.count("list") == len(observing.CHILDREN) + 2


async def test_after_a_conflict_the_next_look_knows_what_somebody_wrote():
    cluster = await Watched("1").until_serving("1")
    stale = await cluster.cluster.get(api.KIND, *_name())
    assert stale is not None
    cluster.object["metadata"]["resourceVersion"] = "99999"
    with pytest.raises(errors.Conflict):
        await cluster.cluster.write_status(stale)
    fresh = await cluster.cluster.get(api.KIND, *_name())
    assert fresh is not None
    assert fresh["metadata"]["resourceVersion"] == "99999"


def _name() -> tuple[str, str]:
    return KEY.namespace, KEY.name


class Bench:
    """A resync over a cluster in memory."""

    def __init__(self, *namespaces: str) -> None:
        self.cluster = memory.MemoryCluster()
        self.seen = store.Store(waking.owner_of)
        self.queue = queue.Queue(now=lambda: 0.0, rng=random.Random(1))
        self.woken: list[store.Change] = []
        self.resync = resync.Resync(
            self.cluster,
            self.seen,
            queue=self.queue,
            woken=self.woken.append,
            namespaces=namespaces,
            rng=random.Random(1),
        )

    def make(self, kind: str, namespace: str, name: str) -> None:
        labels = {names.MANAGED_BY: names.MANAGER, names.DEPLOYMENT: "churn"}
        self.cluster._store({"kind": kind, "metadata": {"namespace": namespace, "name": name, "labels": labels}})


async def test_a_resync_finds_what_the_watch_has_missed_and_looks_at_every_object():
    bench = Bench()
    for namespace in ("shop", "lab"):
        bench.make(api.KIND, namespace, "churn")
        bench.make("Service", namespace, "churn")
    await bench.resync.once()
    assert bench.seen.complete("shop")
    bench.woken.clear()
    del bench.cluster.objects["Service", "lab", "churn"]
    await bench.resync.once()
    assert [(one.kind, one.namespace, one.after) for one in bench.woken] == [("Service", "lab", None)]
    assert len(bench.queue) == 2


async def test_a_namespace_that_is_refused_does_not_concern_the_others_and_is_served_when_it_comes_back():
    bench = Bench("gone", "shop")
    bench.make(api.KIND, "shop", "churn")
    bench.make(api.KIND, "gone", "fraud")
    usual = bench.cluster.list

    async def refuse(kind: str, namespace: str | None, labels: Any = None) -> Any:
        if namespace == "gone":
            raise errors.Refused(403, reason="Forbidden", message="no")
        return await usual(kind, namespace, labels)

    bench.cluster.list = refuse
    await bench.resync.once()
    assert (bench.seen.complete("shop"), bench.seen.complete("gone")) == (True, False)
    assert bench.queue.take() == queue.Key("shop", "churn")
    bench.cluster.list = usual
    await bench.resync.once()
    assert bench.seen.complete("gone")


async def test_an_operator_of_the_whole_cluster_that_is_refused_ends():
    bench = Bench()

    def refuse(method: str) -> None:
        raise errors.Refused(403, reason="Forbidden", message="no")

    bench.cluster.before = refuse
    with pytest.raises(errors.Refused):
        await bench.resync.once()


async def test_a_status_that_was_written_is_said_to_who_rests_on_it_and_one_that_was_not_is_not():
    """The operator's own write is no news to its watch."""
    cluster = await Watched("1").until_serving("1")
    cluster.said.clear()
    found = await cluster.cluster.get(api.KIND, KEY.namespace, KEY.name)
    changed = {**found, "status": {**found["status"], "phase": "Stalled"}}
    await cluster.cluster.write_status(changed)
    assert cluster.said == ["Stable Stalled"]
    with pytest.raises(errors.Conflict):
        await cluster.cluster.write_status(changed)
    assert cluster.said == ["Stable Stalled"]


async def test_an_orphan_of_ours_is_taken_over_and_one_of_somebody_else_is_not():
    cluster = await Watched("1").until_serving("1")
    for one in cluster.memory.objects.values():
        if one["kind"] in clusters.OWNED:
            one["metadata"].pop("ownerReferences", None)
    cluster.live()
    await cluster.step()
    assert cluster.condition("Ready")[0] == "True"
    owned = [one for kind in ("Service", "Deployment", "ControllerRevision") for one in cluster.of(kind)]
    assert all(one["metadata"]["ownerReferences"][0]["uid"] == cluster.object["metadata"]["uid"] for one in owned)
