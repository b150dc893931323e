"""Evidence from a real Prometheus as people run it, and from real serving pods.

Prometheus is given the past at once: it scrapes an exposition in which every sample has its time. So intervals of a
minute need no minutes, and what the pods counted is known exactly.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, web
from tests.cluster.harness import ports, waiting
from tests.contract import prometheus_server
from tests.contract.server import test_package, test_trial
from tests.unit.control import watching
from tests.unit.prometheus import build
from tests.unit.server import graphs

from seatrial.api.spec import Metric
from seatrial.api.values import Number
from seatrial.control import queue, sources
from seatrial.prometheus import matching
from seatrial.rollout import looking, looks

bench = test_trial.bench
INTERVALS = (5, 15, 30, 60)
WINDOW = timedelta(minutes=20)
FAILING = 0.2

CONFIG = """
global: {{scrape_interval: 1s}}
storage: {{tsdb: {{out_of_order_time_window: 4h}}}}
scrape_configs:
{jobs}
"""

JOB = """
- job_name: {name}
  metrics_path: /{name}
  honor_timestamps: true
  static_configs:
{targets}
"""

TARGET = """
  - {{targets: ["127.0.0.1:{port}"], labels: {{{labels}, __metrics_path__: "/{name}/{pod}"}}}}
"""


class Past:
    """What pods have counted until now, by path; each is told until it is known, for it takes much time to read."""

    def __init__(self) -> None:
        self.now = time.time()
        self.texts: dict[str, str] = {}
        self.known: set[str] = set()

    def pod(self, job: str, pod: str, revision: str, *, name: str, every: float, phase: float, errors: float) -> None:
        shift = self.now - build.NOW.timestamp()
        rows = build.scrapes(revision, until=-phase, since=-phase - every * (2700 // every), every=every, errors=errors)
        self.texts[f"/{job}/{pod}"] = "".join(_lines(raw, name=name, shift=shift) for raw in rows)

    def relayed(self, name: str, *, every: float, ends: Mapping[str, float]) -> None:
        """Stable's pod passes on a request a second; the candidate's counts what it gets."""
        self.pod(name, "a", "s1", name=name, every=every, phase=1.0, errors=0.0)
        self.pod(name, "b", "c1", name=name, every=every, phase=every / 2, errors=0.0)
        since = -1.0 - every * (2700 // every)
        rows = build.relays(until=-1.0, since=since, every=every, ends=ends)
        shift = self.now - build.NOW.timestamp()
        self.texts[f"/{name}/a"] += "".join(_lines(raw, name=name, shift=shift) for raw in rows)


def _lines(raw: matching.Raw, *, name: str, shift: float) -> str:
    labels = {**raw.labels, "deployment": name}
    metric = labels.pop("__name__")
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return "".join(f"{metric}{{{inside}}} {value} {round((at + shift) * 1000)}\n" for at, value in raw.samples)


@pytest.fixture(scope="module")
def past() -> Past:
    """Rollouts `healthy-N` and `failing-N`, scraped every N seconds, and `twice`, scraped by two jobs."""
    made = Past()
    for every in INTERVALS:
        for name, errors in ((f"healthy-{every}", 0.0), (f"failing-{every}", FAILING)):
            made.pod(name, "a", "s1", name=name, every=every, phase=1.0, errors=0.0)
            made.pod(name, "b", "c1", name=name, every=every, phase=every / 2, errors=errors)
    for job, phase in (("annotated", 1.0), ("podmonitor", 8.0)):
        made.pod(job, "a", "s1", name="twice", every=15, phase=phase, errors=0.0)
        made.pod(job, "b", "c1", name="twice", every=15, phase=phase + 3, errors=0.0)
    for every in (15, 60):
        for name, ends in (("relayed", {"ok": 1.0}), ("unreachable", {"ok": 0.8, "unreachable": FAILING})):
            made.relayed(f"{name}-{every}", every=every, ends=ends)
    made.pod("older", "a", "s1", name="older", every=15, phase=1.0, errors=0.0)
    made.pod("older", "b", "c1", name="older", every=15, phase=4.0, errors=0.0)
    made.pod("foreign", "c", "c1", name="foreign", every=15, phase=1.0, errors=1.0)
    return made


@pytest.fixture(scope="module")
def exposed(past: Past) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(b"" if self.path in past.known else past.texts[self.path].encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def url(past: Past, exposed: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Prometheus that has scraped everything; a query may load 20,000 samples."""
    paths = [path.strip("/").split("/") for path in past.texts]
    jobs = ""
    for job in sorted({job for job, _ in paths}):
        targets = ""
        for pod in (pod for its, pod in paths if its == job):
            namespace = "other" if job == "foreign" else "shop"
            labels = f"namespace: {namespace}, pod: {pod}"
            targets += TARGET.format(port=exposed, labels=labels, name=job, pod=pod)
        jobs += JOB.format(name=job, targets=targets)
    folder = tmp_path_factory.mktemp("past")
    with prometheus_server.running(folder, CONFIG.format(jobs=jobs), "--query.max-samples=20000") as base:

        def all_known() -> bool:
            past.known |= scraped(base)
            return past.known == set(past.texts)

        waiting.until(all_known, what="everything scraped", seconds=120)
        yield base


def scraped(base: str) -> set[str]:
    """The paths whose samples it has: what it says of a scrape is stored together with them."""
    query = urllib.parse.urlencode({"query": "max_over_time(scrape_samples_scraped[1h]) > 0"})
    with urllib.request.urlopen(f"{base}/api/v1/query?{query}", timeout=60) as answer:
        found = json.load(answer)["data"]["result"]
    return {f"/{one['metric']['job']}/{one['metric']['pod']}" for one in found}


def question(past: Past, name: str, *, since: timedelta = WINDOW, interval: str = "15s") -> looking.Question:
    pods = (build.pod("a", build.STABLE), build.pod("b", build.CANDIDATE))
    began = datetime.fromtimestamp(past.now, UTC) - since
    return build.question(name=name, pods=pods, since=began, interval=interval)


def relayed(past: Past, name: str) -> looking.Question:
    asked = question(past, name)
    return msgspec.structs.replace(asked, window=msgspec.structs.replace(asked.window, relayed=True))


@contextlib.asynccontextmanager
async def asking(base: str, past: Past, **own: Any) -> AsyncIterator[watching.Scene]:
    """The operator at the moment at which the past ends."""
    frozen = datetime.fromtimestamp(past.now, UTC)
    async with watching.scene(own=sources.Own(url=base, **own), clock=lambda: frozen) as there:
        yield there


async def newest(there: watching.Scene, asked: looking.Question) -> looks.Look:
    return await there.look(asked, lambda one: not one.blind, key=queue.Key("shop", asked.owner.name))


@pytest.mark.parametrize("every", INTERVALS)
async def test_a_healthy_candidate_passes_however_often_it_is_scraped(url: str, past: Past, every: int) -> None:
    async with asking(url, past) as there:
        look = await newest(there, question(past, f"healthy-{every}"))
    assert look.outcome == "Pass", look.message
    assert {slot.seconds for slot in look.slots} <= {max(every, 15.0), 15.0}
    # All that was answered in the window, but for what the last scrapes have not seen.
    answered = WINDOW.total_seconds() * 10
    assert answered - 20 * every - 150 <= look.candidate_requests <= answered
    assert look.history


@pytest.mark.parametrize("every", INTERVALS)
async def test_a_failing_candidate_is_found_however_often_it_is_scraped(url: str, past: Past, every: int) -> None:
    async with asking(url, past) as there:
        look = await newest(there, question(past, f"failing-{every}"))
    assert (look.outcome, look.reason) == ("Fail", "ErrorsRegressed")
    assert look.breach_at is not None
    began = datetime.fromtimestamp(past.now, UTC) - WINDOW
    assert look.breach_at - began <= timedelta(seconds=max(60, 3 * every))


async def test_pods_that_two_jobs_scrape_are_counted_once(url: str, past: Past) -> None:
    async with asking(url, past) as there:
        look = await newest(there, question(past, "twice"))
    assert look.outcome == "Pass", look.message
    assert 11_000 <= look.candidate_requests <= 12_000
    assert 11_000 <= look.stable_requests <= 12_000


@pytest.mark.parametrize("every", [15, 60])
async def test_what_stable_gives_counts_once_and_from_stables_pods(url: str, past: Past, every: int) -> None:
    async with asking(url, past) as there:
        look = await newest(there, relayed(past, f"relayed-{every}"))
    assert look.outcome == "Pass", look.message
    answered = WINDOW.total_seconds()
    assert answered - 3 * every <= look.candidate_requests <= answered
    assert look.share == pytest.approx(1 / 11, rel=0.1)


@pytest.mark.parametrize("every", [15, 60])
async def test_requests_that_reach_no_pod_are_evidence(url: str, past: Past, every: int) -> None:
    async with asking(url, past) as there:
        look = await newest(there, relayed(past, f"unreachable-{every}"))
    assert (look.outcome, look.reason) == ("Fail", "ErrorsRegressed")
    assert "unreachable" in look.message


async def test_a_stable_server_that_counts_no_relays_is_named(url: str, past: Past) -> None:
    async with asking(url, past) as there:
        look = await there.look(relayed(past, "older"), lambda one: "can't be judged" in one.message)
    assert look.outcome == "NoData"
    assert "stable pod a has no seatrial_relayed_requests_total" in look.message


async def test_a_stranger_with_our_labels_is_named_and_not_believed(url: str, past: Past) -> None:
    async with asking(url, past) as there:
        look = await there.look(question(past, "foreign"), lambda one: "other/c" in one.message)
    assert look.outcome == "NoData"
    assert "the scrape job must keep the labels namespace and pod" in look.message


class Proxy:
    """What stands before a Prometheus: it wants a token and a tenant, and may add a limit to every query."""

    def __init__(self, base: str) -> None:
        self._base = base
        self.limit = ""

    async def answer(self, request: web.Request) -> web.Response:
        wanted = ("Bearer s3cret", "shop")
        if (request.headers.get("Authorization"), request.headers.get("X-Scope-OrgID")) != wanted:
            return web.Response(status=401, text="who are you, s3cret?")
        form = {**{key: str(value) for key, value in (await request.post()).items()}}
        if self.limit:
            form["limit"] = self.limit
        async with ClientSession() as session, session.post(f"{self._base}/api/v1/query", data=form) as answer:
            return web.Response(status=answer.status, body=await answer.read())


@contextlib.asynccontextmanager
async def before(base: str) -> AsyncIterator[tuple[Proxy, str]]:
    proxy = Proxy(base)
    async with watching.served("/tenant/api/v1/query", proxy.answer) as port:
        yield proxy, f"http://127.0.0.1:{port}/tenant"


async def test_a_proxy_that_asks_for_a_token_gets_it_and_a_tenant(url: str, past: Past, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    own = {"files": {"token": str(tmp_path / "token")}, "texts": {"header.X-Scope-OrgID": "shop"}}
    async with before(url) as (_, front), asking(front, past, **own) as there:
        look = await newest(there, question(past, "healthy-15"))
    assert look.outcome == "Pass"


async def test_without_the_token_the_message_says_where_to_give_it(url: str, past: Past) -> None:
    async with before(url) as (_, front), asking(front, past) as there:
        look = await there.look(question(past, "healthy-15"))
    assert (look.outcome, look.misconfigured) == ("Error", True)
    assert "401; give credentials with spec.analysis.prometheus.secretRef" in look.message
    assert "s3cret" not in look.message


async def test_an_answer_cut_by_a_limit_passes_nothing(url: str, past: Past, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    own = {"files": {"token": str(tmp_path / "token")}, "texts": {"header.X-Scope-OrgID": "shop"}}
    async with before(url) as (proxy, front), asking(front, past, **own) as there:
        proxy.limit = "13"
        look = await there.look(question(past, "healthy-15"))
    assert look.outcome == "NoData"
    assert "limit" in look.message


async def test_a_limit_of_samples_is_met_with_shorter_questions(url: str, past: Past) -> None:
    """Half an hour of both pods at 5 s is more than a query may load here."""
    async with asking(url, past) as there:
        look = await newest(there, question(past, "healthy-5", since=timedelta(minutes=40)))
    assert look.outcome == "Pass", look.message
    assert look.candidate_requests > 20_000


SHARE = (
    'sum(increase(seatrial_requests_total{revision="{{revision}}",deployment="{{name}}",outcome="error"}[{{window}}]))'
    ' / sum(increase(seatrial_requests_total{revision="{{revision}}",deployment="{{name}}"}[{{window}}]))'
)


@pytest.mark.parametrize(
    ("name", "query", "outcome", "said"),
    [
        ("healthy-15", SHARE, "Pass", "no regression"),
        ("healthy-15", "absent_metric", "Inconclusive", "gives no series"),
        ("healthy-15", "0/0", "Inconclusive", "nan"),
        ("healthy-15", "seatrial_requests_total", "Inconclusive", "aggregate them"),
        ("healthy-15", "sum(", "Inconclusive", "400: invalid parameter"),
        ("healthy-15", "{{pod}}", "Inconclusive", "there is no {{pod}}"),
        ("healthy-15", "vector(0.3)", "Fail", "2 times in a row"),
    ],
    ids=["share", "empty", "nan", "many", "syntax", "placeholder", "above"],
)
async def test_a_metric_of_ones_own_is_asked_for_and_judged(
    url: str, past: Past, name: str, query: str, outcome: str, said: str
) -> None:
    asked = question(past, name, interval="1s")
    own = Metric(name="failed", query=query, max=Number("0.1"))
    asked = msgspec.structs.replace(asked, analysis=msgspec.structs.replace(asked.analysis, metrics=(own,)))
    async with asking(url, past) as there:
        look = await there.look(asked, lambda one: bool(one.own) and one.outcome == outcome and said in one.message)
    assert look.own[0].name == "failed"


@contextlib.contextmanager
def serving_pod(bench: test_trial.Bench, revision: str, *, host: str, port: int) -> Iterator[int]:
    """A serving pod of a revision; its REST port. Metrics are where all pods have them: own address, one port."""
    config = bench.folder / f"{revision}.json"
    limits = {"timeoutSeconds": 60}  # nobody is late here
    config.write_text(json.dumps({**bench.document, "revision": revision, "limits": limits}))
    rest = ports.free_port()
    listening = ["--port", str(rest), "--grpc-port", "0", "--metrics-port", str(port)]
    argv = [sys.executable, "-m", "seatrial_server", "serve", "--config", str(config), "--work", str(bench.work)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "SEATRIAL_TERMINATION_LOG": "/dev/null"}
    with subprocess.Popen([*argv, "--host", host, *listening], env=environment, **quiet) as running:
        try:
            url = f"http://{host}:{rest}"
            waiting.until(lambda: waiting.answers(f"{url}/v2/health/ready"), what="the server", seconds=60)
            yield rest
        finally:
            running.terminate()


async def ask(host: str, port: int, *, good: int, bad: int = 0) -> None:
    row = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    async with ClientSession() as session:
        for number in range(good + bad):
            content = json.dumps({"inputs": [row]}) if number < good else "{"
            async with session.post(f"http://{host}:{port}/v2/models/churn/infer", data=content) as answer:
                assert answer.status == (200 if number < good else 400)


async def test_real_servers_are_read_directly_and_exactly(bench: test_trial.Bench) -> None:
    test_package.prepared(bench, test_package.content(graphs.linear(), test_package.CARD))
    stable, candidate, port = "127.0.0.21", "127.0.0.22", ports.free_port()
    with (
        serving_pod(bench, "s1", host=stable, port=port) as first,
        serving_pod(bench, "c1", host=candidate, port=port) as second,
    ):
        await ask(stable, first, good=1)
        await ask(candidate, second, good=1)
        async with watching.scene(pod_port=port) as there:
            pods = (build.pod("a", build.STABLE, ip=stable), build.pod("b", build.CANDIDATE, ip=candidate))
            asked = build.question(since=watching.now(), pods=pods)
            await there.look(asked, lambda one: bool(one.slots))
            await ask(stable, first, good=50)
            await ask(candidate, second, good=40, bad=10)
            look = await there.look(asked, lambda one: one.candidate_requests + one.stable_requests >= 100)
    assert (look.stable_requests, look.candidate_requests, look.source) == (50, 50, "Pods")
    rejections = next(metric for metric in look.metrics if metric.name == "rejections")
    assert (rejections.stable.events, rejections.candidate.events) == (0, 10)
