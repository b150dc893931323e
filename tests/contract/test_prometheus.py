"""The client against a real Prometheus that scrapes a real exposition: samples, query language, refusals."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import prometheus_client
import pytest
from tests.cluster.harness import ports
from tests.contract import eventually, prometheus_server
from tests.unit.prometheus import build

from seatrial.analysis import counters
from seatrial.prometheus import access, client, errors, matching, query
from seatrial.rollout import looking

CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
- job_name: serving
  static_configs:
  - {{targets: ["127.0.0.1:{port}"], labels: {{pod: churn-0, namespace: shop}}}}
"""


class Server:
    """What a serving pod exposes, as far as the evidence needs it; one process stands for pods of both revisions."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        labels = ["deployment", "deployment_namespace", "revision"]
        self._requests = prometheus_client.Counter(
            "seatrial_requests", "Requests.", [*labels, "outcome"], registry=self.registry
        )
        self._latency = prometheus_client.Histogram(
            "seatrial_request_duration_seconds", "Latency.", labels, buckets=[0.1, 1], registry=self.registry
        )

    def expose(self, name: str, revision: str) -> None:
        """All series at zero, as the server does from its start."""
        for outcome in ("ok", "degraded", "rejected", "error", "shed"):
            self._requests.labels(name, "shop", revision, outcome)
        self._latency.labels(name, "shop", revision)

    def answer(self, name: str, revision: str, outcome: str, *, seconds: float, times: int) -> None:
        for _ in range(times):
            # In this order, since a scrape that comes in between reads requests first: what it counts has its latency.
            self._latency.labels(name, "shop", revision).observe(seconds)
            self._requests.labels(name, "shop", revision, outcome).inc()


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Server, int]]:
    exposed, port = Server(), ports.free_port()
    httpd, thread = prometheus_client.start_http_server(port, addr="127.0.0.1", registry=exposed.registry)
    yield exposed, port
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture(scope="module")
def url(server: tuple[Server, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus_server.running(tmp_path_factory.mktemp("prometheus"), CONFIG.format(port=server[1])) as base:
        yield base


class Asker:
    """Asks one Prometheus about one rollout whose pods are `churn-0` of both revisions."""

    def __init__(self, asked: client.Client, url: str) -> None:
        self._client = asked
        self._endpoint = client.Endpoint(place=access.place(url))

    async def samples(self, name: str, *, since: datetime, until: datetime | None = None) -> client.Answer:
        subject = query.Subject(namespace="shop", name=name, revisions=("s1", "c1"), pods=("churn-0", "churn-1"))
        until = until or datetime.now(UTC)
        content = await self._client.ask(
            self._endpoint, query.samples(subject, window=until - since), at=until, timeout=timedelta(seconds=60)
        )
        return client.samples(content, where=self._endpoint.shown)

    async def series(self, name: str, *, since: datetime, until: datetime | None = None) -> list[counters.Series]:
        answer = await self.samples(name, since=since, until=until)
        return list(matching.match(answer.series, asked=question(name)).series)

    async def totals(self, name: str, *, since: datetime) -> dict[tuple[str, str, str], float]:
        """The newest value of each series by (arm, counter, label)."""
        series = await self.series(name, since=since)
        return {(one.arm.value, one.counter.value, one.label): one.samples[-1][1] for one in series}


def question(name: str) -> looking.Question:
    """One process stands for both pods: the target says `churn-0`, whose arm is told by the revision asked for."""
    pods = (build.pod("churn-0", counters.Arm.STABLE), build.pod("churn-1", counters.Arm.CANDIDATE))
    return build.question(name=name, pods=pods)


@contextlib.asynccontextmanager
async def asker(url: str) -> AsyncIterator[Asker]:
    async with client.connected() as connected:
        yield Asker(connected, url)


async def test_increments_come_out_exactly_as_the_pods_counted(server: tuple[Server, int], url: str) -> None:
    exposed, _ = server
    exposed.expose("churn", "s1")
    since = datetime.now(UTC)
    async with asker(url) as prometheus:

        async def scraped() -> bool:
            return ("stable", "requests", "ok") in await prometheus.totals("churn", since=since)

        await eventually.eventually(scraped, what="a first scrape")
        exposed.answer("churn", "s1", "ok", seconds=0.5, times=7)
        exposed.answer("churn", "s1", "error", seconds=0.05, times=3)

        async def all_seen() -> dict[tuple[str, str, str], float] | None:
            """A scrape may read one series before, and another one after they were counted; the next one doesn't."""
            found = await prometheus.totals("churn", since=since)
            seen = [found.get(("stable", "requests", outcome)) for outcome in ("ok", "error")]
            return found if seen == [7, 3] else None

        found = await eventually.eventually(all_seen, what="as many requests")
        assert found is not None
        assert (found["stable", "latency", "0.1"], found["stable", "latency", "+Inf"]) == (3, 10)
        series = await prometheus.series("churn", since=since)
    assert {one.pod for one in series} == {"churn-0"}
    assert len({one.target for one in series}) == 1


async def test_odd_names_reach_prometheus_as_they_are(server: tuple[Server, int], url: str) -> None:
    exposed, _ = server
    odd = 'a"b\\c{}.*'
    exposed.expose(odd, "s1")
    since = datetime.now(UTC)
    async with asker(url) as prometheus:
        found = await eventually.eventually(lambda: prometheus.totals(odd, since=since), what="a first scrape")
    assert ("stable", "requests", "ok") in found


async def test_what_nobody_exports_is_no_samples_and_no_error(url: str) -> None:
    async with asker(url) as prometheus:
        assert await prometheus.totals("nobody", since=datetime.now(UTC) - timedelta(hours=1)) == {}


async def test_a_path_that_is_not_prometheus_is_a_configuration_error(url: str) -> None:
    async with asker(f"{url}/elsewhere") as prometheus:
        with pytest.raises(errors.PrometheusRefused, match="404"):
            await prometheus.totals("churn", since=datetime.now(UTC))
