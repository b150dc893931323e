"""The watch over drift against a real Prometheus, in surroundings as people have them, and a real API server."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest
from tests.cluster.harness import apiserver, ports
from tests.contract import prometheus_server
from tests.unit.control.drift_scene import EVEN, HIGH, INCOME, Prometheus, Scene

from seatrial.api import status
from seatrial.cluster import events, kubernetes
from seatrial.control import queue, sources, telemetry
from seatrial.control.drifting import asking, controller, direct
from seatrial.drift import schedule
from seatrial.prometheus import client, pods

HOUR, DAY = 3600, 86400
BEGIN = 1767225600
"""Where the clock of a scene begins."""
DRIFTS = BEGIN + 2 * DAY + 7 * HOUR
ENDS = BEGIN + 4 * DAY
RESTART = BEGIN + DAY // 2 + 100
Labels = dict[str, str]


def rows(at: int) -> tuple[int, ...]:
    """What a pod counts between two minutes."""
    return tuple(part // 20 for part in (HIGH if at > DRIFTS else EVEN))


def exported(
    labels: Callable[[str], Labels], *, every: int, lag: int = 0, gap: range = range(0), revision: str = "r1"
) -> Iterator[str]:
    """The counters of two pods as scraped so often; pod a restarts once, and for the time of a gap nobody scrapes."""
    own = {"deployment": "churn", "deployment_namespace": "shop", "revision": revision, "feature": "income"}
    for pod in ("a", "b"):
        series = [
            ",".join(f'{name}="{text}"' for name, text in {**own, "bin": bin_, **labels(pod)}.items())
            for bin_ in INCOME.bins
        ]
        totals = [0] * len(series)
        for at in range(BEGIN + lag, ENDS, 60):
            totals = [total + more for total, more in zip(totals, rows(at), strict=True)]
            if pod == "a" and at - 60 < RESTART <= at:
                totals = [0] * len(series)
            if (at - lag - BEGIN) % every == 0 and at not in gap:
                for name, total in zip(series, totals, strict=True):
                    yield f"seatrial_feature_rows_total{{{name}}} {total} {at}"


def in_cluster(pod: str) -> Labels:
    return {"namespace": "shop", "pod": f"churn-r1-{pod}", "job": "pods", "instance": f"10.9.0.{ord(pod)}:8082"}


def by_address(pod: str) -> Labels:
    """A scrape job that keeps no pod and no namespace."""
    return {"instance": f"10.0.0.{ADDRESS[pod]}:8082", "job": "kubernetes-pods", "exported_pod": "x"}


ADDRESS = {"a": 0, "b": 0}  # filled by the scene, whose pods have addresses
SURROUNDINGS: dict[str, Callable[[], Iterator[str]]] = {}


def every_minute() -> Iterator[str]:
    yield from exported(in_cluster, every=60)


def every_two_minutes_by_address() -> Iterator[str]:
    yield from exported(by_address, every=120)


def two_replicas_behind_thanos() -> Iterator[str]:
    """External labels, scrapes at other times, and one of them was away for six hours."""
    away = range(BEGIN + DAY, BEGIN + DAY + 6 * HOUR)
    yield from exported(lambda pod: {**in_cluster(pod), "prometheus_replica": "p-0", "cluster": "eu"}, every=60)
    yield from exported(
        lambda pod: {**in_cluster(pod), "prometheus_replica": "p-1", "cluster": "eu"}, every=60, lag=25, gap=away
    )


def a_day_without_metrics() -> Iterator[str]:
    yield from exported(in_cluster, every=60, gap=range(BEGIN + 6 * HOUR, BEGIN + 30 * HOUR))


def with_strangers() -> Iterator[str]:
    """Another namespace has a copy of ours, whose values are missing."""
    yield from exported(in_cluster, every=60)
    yield from exported(lambda pod: {**in_cluster(pod), "namespace": "staging"}, every=60, lag=7)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Iterator[str]], str]]:
    """A Prometheus that holds these lines."""
    with contextlib.ExitStack() as running:

        def serve(lines: Iterator[str]) -> str:
            folder = tmp_path_factory.mktemp("prometheus")
            header = ["# HELP seatrial_feature_rows Rows.", "# TYPE seatrial_feature_rows counter"]
            prometheus_server.write_past(folder, [*header, *lines])
            return running.enter_context(prometheus_server.running(folder, "{}", "--storage.tsdb.retention.time=10y"))

        yield serve


@contextlib.asynccontextmanager
async def questions() -> AsyncIterator[Callable[[Scene, str], None]]:
    """Lets the operator of a scene ask the Prometheus at an address."""

    async def no_secrets(namespace: str, name: str) -> None:
        return None

    async with client.connected() as connected, pods.connected() as directly:
        with contextlib.ExitStack() as made:

            def ask(there: Scene, url: str) -> None:
                policy = sources.Policy(own=sources.Own(url=url))
                there.origin = sources.Sources(connected, directly, policy=policy, secrets=no_secrets)
                made.callback(there.origin.close)
                there.start_operator()

            yield ask


@pytest.fixture
async def scene() -> AsyncIterator[Callable[[str], Scene]]:
    """A model whose operator asks a Prometheus at an address."""
    async with questions() as ask:

        def build(url: str) -> Scene:
            there = Scene()
            there.wish(season="24h")  # else days may stray, as long as no week is known
            ask(there, url)
            return there

        yield build


async def until(there: Scene, moment: int) -> list[tuple[str, str]]:
    """What is said at the end of each hour up to a moment, without repetition."""
    said: list[tuple[str, str]] = []
    while there.hours.end(there.hour_now) <= moment:
        there.seconds += there.hours.end(there.hour_now) + there.hours.settle + 1 - there.now
        there.hour_now += 1
        await there.look()
        said += [there.said] if not said or said[-1] != there.said else []
    return said


UNKNOWN, CLEAN, DRIFTED = ("Unknown", "MetricsUnavailable"), ("False", "NoDrift"), ("True", "FeatureDrift")


@pytest.mark.timeout(900)  # promtool is built the first time
@pytest.mark.parametrize(
    "surroundings",
    [every_minute, every_two_minutes_by_address, two_replicas_behind_thanos, with_strangers],
    ids=lambda one: one.__name__,
)
async def test_a_shift_is_found_within_hours_and_a_restart_is_none(
    serving: Callable[[Iterator[str]], str], scene: Callable[[str], Scene], surroundings: Callable[[], Iterator[str]]
) -> None:
    addresses = Scene()
    for pod in ADDRESS:
        ADDRESS[pod] = int(addresses.get("Pod", f"churn-r1-{pod}")["status"]["podIP"].rpartition(".")[2])
    there = scene(serving(surroundings()))
    assert await until(there, DRIFTS) == [UNKNOWN, CLEAN]
    assert (await until(there, DRIFTS + 12 * HOUR))[-1] == DRIFTED
    assert "above 50000" in there.message
    [column] = there.drift.columns
    day = 2 * 60 * 24 * sum(rows(ENDS))
    assert 0.95 * day < column.rows <= 1.01 * day
    assert there.events.count("DriftDetected") == 1


@pytest.mark.timeout(900)
async def test_after_a_day_without_metrics_nothing_is_said_until_another_day_was_seen(
    serving: Callable[[Iterator[str]], str], scene: Callable[[str], Scene]
) -> None:
    there = scene(serving(a_day_without_metrics()))
    assert await until(there, BEGIN + 50 * HOUR) == [UNKNOWN]
    assert await until(there, DRIFTS) == [UNKNOWN, CLEAN] or there.said == CLEAN
    assert (await until(there, DRIFTS + 14 * HOUR))[-1] == DRIFTED


async def test_a_prometheus_that_is_not_there_is_said_in_its_words(scene: Callable[[str], Scene]) -> None:
    there = scene(f"http://127.0.0.1:{ports.free_port()}")
    await until(there, BEGIN + 5 * HOUR)
    assert there.said == UNKNOWN
    assert "connection refused" in there.message


# the API server


OBJECT = {
    "apiVersion": "seatrial.dev/v1alpha1",
    "kind": "ModelDeployment",
    "spec": {"model": {"uri": "http://store/1.onnx", "sha256": "1" * 64}},
}


@pytest.fixture
def name(shop: apiserver.ApiServer) -> Iterator[str]:
    """Of an object of which nothing stays that other tests would count."""
    yield "watched"
    shop.kubectl("delete", "modeldeployments,configmaps", "-n", "shop", "--all")


@pytest.mark.apiserver
async def test_status_and_state_are_stored_as_they_were_written(
    shop: apiserver.ApiServer, cluster: kubernetes.KubernetesCluster, name: str
) -> None:
    revision = "r1"
    shop.kubectl("apply", "-n", "shop", "-f", "-", input=json.dumps({**OBJECT, "metadata": {"name": name}}))
    raw = await cluster.get("ModelDeployment", "shop", name)
    assert raw is not None
    stable = {"revision": revision, "modelVersion": "1", "sha256": "1" * 64, "since": "2026-01-01T00:00:00Z"}
    raw = await cluster.write_status({**raw, "status": {**raw["status"], "stable": stable}})
    line = json.dumps({"outcome": "Passed", "profile": msgspec.to_builtins((INCOME,))})
    data = {"report.json": line}
    meta = {"name": f"{name}-{revision}", "namespace": "shop"}
    await cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    own = Prometheus((INCOME,))
    hours = schedule.Hours.of(raw["metadata"]["uid"])
    newest = hours.newest(time.time())
    for hour in range(newest - 24, newest + 2):  # the next one may have ended before the operator looks
        own.serve(revision, f"{name}-{revision}-a", {"income": HIGH if hour > newest - 20 else EVEN})
        own.scrape(hours.end(hour), {revision: {f"{name}-{revision}-a"}})

    def operator() -> controller.Controller:
        class Origin:
            named, worked_out, totals = own.named, own.worked_out, own.totals_of

        origin: Any = Origin

        async def fetch(ip: str) -> str:
            return "not asked"

        return controller.Controller(
            cluster=cluster,
            ask=asking.Asking(origin, direct.Direct(fetch, own.worked_out)),
            worked_out=own.worked_out,
            events=events.Events(cluster, instance="o", failed=lambda: None),
            telemetry=telemetry.Telemetry(),
        )

    key = queue.Key("shop", name)
    await operator().look(key)
    kept = json.loads(shop.kubectl("get", "modeldeployment", name, "-n", "shop", "-o", "json"))["status"]
    assert kept["drift"]["outcome"] == "Drifted"
    again = json.loads(msgspec.json.encode(msgspec.convert(kept, status.Status)))
    assert {"observedGeneration": -1, **again} == kept
    state = json.loads(shop.kubectl("get", "configmap", f"{name}-{revision}-drift", "-n", "shop", "-o", "json"))
    assert [one["kind"] for one in state["metadata"]["ownerReferences"]] == ["ModelDeployment"]
    annotation = f"modeldeployment/{name}", "seatrial.dev/accept-drift=t"
    shop.kubectl("annotate", "-n", "shop", *annotation)
    await operator().look(key)
    kept = json.loads(shop.kubectl("get", "modeldeployment", name, "-n", "shop", "-o", "json"))["status"]
    assert kept["commands"] == {"acceptDrift": "t"}
    [condition] = [one for one in kept["conditions"] if one["type"] == "Drifted"]
    assert (condition["status"], condition["reason"]) == ("False", "DriftAccepted")
