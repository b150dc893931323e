"""The client against a real Prometheus that scrapes a real exposition: samples, query language, refusals."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import prometheus_client
import pytest
from tests.cluster.harness import binaries, progress, waiting
from tests.contract import eventually

from seatrial.analysis import counters
from seatrial.prometheus import client, errors

SCRAPE = timedelta(milliseconds=200)

CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
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
            self._requests.labels(name, "shop", revision, outcome).inc()
            self._latency.labels(name, "shop", revision).observe(seconds)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Server, int]]:
    exposed, port = Server(), free_port()
    httpd, thread = prometheus_client.start_http_server(port, addr="127.0.0.1", registry=exposed.registry)
    yield exposed, port
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture(scope="module")
def url(server: tuple[Server, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binaries.ensure(binaries.PROMETHEUS, say=progress.silent)
    folder: Path = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text(CONFIG.format(port=server[1]))
    port = free_port()
    argv = [
        str(binaries.PROMETHEUS.path()),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            base = f"http://127.0.0.1:{port}"
            waiting.until(lambda: waiting.answers(f"{base}/-/ready"), what="Prometheus", seconds=30)
            yield base
        finally:
            process.terminate()


@contextlib.asynccontextmanager
async def source(url: str) -> AsyncIterator[client.Prometheus]:
    async with client.connected(default_url=url, scrape_interval=SCRAPE) as connected:
        yield connected


async def total(prometheus: client.Prometheus, name: str, *, since: datetime) -> dict[tuple[str, str, str], float]:
    """The newest value of each series by (arm, counter, label)."""
    series = await prometheus.look(
        namespace="shop", name=name, stable="s1", candidate="c1", since=since, until=datetime.now(UTC)
    )
    return {(one.arm.value, one.counter.value, one.label): one.samples[-1][1] for one in series}


async def test_increments_come_out_exactly_as_the_pods_counted(server: tuple[Server, int], url: str) -> None:
    exposed, _ = server
    for revision in ("s1", "c1"):
        exposed.expose("churn", revision)
    since = datetime.now(UTC)
    async with source(url) as prometheus:

        async def scraped() -> bool:
            return ("candidate", "requests", "ok") in await total(prometheus, "churn", since=since)

        await eventually.eventually(scraped, what="a first scrape")
        exposed.answer("churn", "s1", "ok", seconds=0.05, times=90)
        exposed.answer("churn", "c1", "ok", seconds=0.5, times=7)
        exposed.answer("churn", "c1", "error", seconds=0.05, times=3)

        async def all_seen() -> dict[tuple[str, str, str], float] | None:
            found = await total(prometheus, "churn", since=since)
            return found if found["candidate", "requests", "error"] == 3 else None

        found = await eventually.eventually(all_seen, what="the errors")
        assert found is not None
        assert (found["candidate", "requests", "ok"], found["stable", "requests", "ok"]) == (7, 90)
        assert found["candidate", "latency", "0.1"] == 3
        assert found["candidate", "latency", "+Inf"] == 10

        until = datetime.now(UTC)
        series = await prometheus.look(
            namespace="shop", name="churn", stable="s1", candidate="c1", since=since, until=until
        )
    assert {one.pod for one in series} == {"churn-0"}
    interval = (until - since).total_seconds()
    reading = counters.read(
        series,
        [counters.Pod(arm=arm, name="churn-0", started=since.timestamp()) for arm in counters.Arm],
        start=since.timestamp(),
        end=until.timestamp(),
        interval=interval,
        scrape_interval=SCRAPE.total_seconds(),
    )
    assert reading.blind == ""
    # Fewer at most, for the warm-up of the first seconds; never more than was answered.
    assert all(slot.stable.requests <= 90 and slot.candidate.requests <= 10 for slot in reading.slots)


async def test_odd_names_reach_prometheus_as_they_are(server: tuple[Server, int], url: str) -> None:
    exposed, _ = server
    odd = 'a"b\\c{}.*'
    exposed.expose(odd, "s1")
    since = datetime.now(UTC)
    async with source(url) as prometheus:
        found = await eventually.eventually(lambda: total(prometheus, odd, since=since), what="a first scrape")
    assert ("stable", "requests", "ok") in found


async def test_what_nobody_exports_is_no_samples_and_no_error(url: str) -> None:
    async with source(url) as prometheus:
        assert await total(prometheus, "nobody", since=datetime.now(UTC) - timedelta(hours=1)) == {}


async def test_a_path_that_is_not_prometheus_is_a_configuration_error(url: str) -> None:
    async with source(f"{url}/elsewhere") as prometheus:
        with pytest.raises(errors.PrometheusRefused, match="404"):
            await total(prometheus, "churn", since=datetime.now(UTC))
