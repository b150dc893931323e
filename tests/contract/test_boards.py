"""The shipped boards: what their queries read is exported, and a real Prometheus answers each from real pages.

The pages are those of two serving pods, one of which passes requests on to the other, and of an operator's registry
that was told of a rollout.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import http.server
import itertools
import json
import re
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence

import msgspec
import prometheus_client
import pytest
import yaml
from prometheus_client import parser
from tests.cluster.demo import boards
from tests.cluster.harness import ports, waiting
from tests.contract import charts, prometheus_server, test_alerts
from tests.contract.server import test_relay_processes
from tests.contract.server.pair import CANDIDATE, STABLE
from tests.contract.server.talking import body
from tests.unit.control.test_gauges import failing
from tests.unit.rollout import world as worlds
from tests.unit.rollout.test_rollouts import in_canary, rolled_back
from tests.unit.server import test_metric_names
from tests.unit.server import test_telemetry as served

from seatrial.analysis import calibration, quality_after
from seatrial.api import spec
from seatrial.api.status import ConditionStatus, Status
from seatrial.control import gauges, model_metrics, telemetry
from seatrial.control.queue import Key
from seatrial.drift import columns, judgement
from seatrial.drift import tests as tests_
from seatrial.rollout import conditions, quality
from seatrial_server.observe import telemetry as server

pytestmark = pytest.mark.timeout(900)  # Prometheus is built the first time

BOARDS = boards.BOARDS
CHURN = Key("shop", "churn")
VARIABLES = {"$__rate_interval": "8s", "$__range": "1m", "$namespace": CHURN.namespace, "$deployment": CHURN.name}
COLUMNS = 24
SCRAPING = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
- job_name: pods
  static_configs:
  - {{targets: ["{stable}:{pods}"], labels: {{namespace: shop, pod: a}}}}
  - {{targets: ["{candidate}:{pods}"], labels: {{namespace: shop, pod: b}}}}
  - {{targets: ["127.0.0.1:{page}"], labels: {{namespace: shop, pod: c}}}}
- job_name: operator
  static_configs:
  - {{targets: ["127.0.0.1:{operator}"], labels: {{namespace: ops, pod: operator}}}}
"""


def exported() -> set[str]:
    """Every series that can be: of the operator, of a server, of the process itself, and recorded ones."""
    registries = (telemetry.Telemetry().registry, server.exposition(with_relay()), Page())
    names = {rule["record"] for rule in test_alerts.rules() if "record" in rule}
    for family in itertools.chain.from_iterable(registry.collect() for registry in registries):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
        names |= {f"{family.name}{suffix}" for suffix in suffixes}
    return names


class Page:
    """Of a pod whose rows and labels are counted."""

    text = test_metric_names.page()

    def collect(self) -> Iterator[prometheus_client.Metric]:
        return parser.text_string_to_metric_families(self.text)


@contextlib.contextmanager
def shown(text: str) -> Iterator[int]:
    """The port at which it is to be had."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield httpd.server_address[1]
        httpd.shutdown()
        thread.join()


def with_relay() -> server.Telemetry:
    counters = served.counters()
    counters.relayed.follow("candidate", 0.1)
    return counters


@pytest.mark.parametrize("name", BOARDS)
def test_every_series_that_a_board_reads_is_exported_or_recorded(name: str) -> None:
    known = exported()
    for one in boards.queries(BOARDS[name], VARIABLES):
        read = set(re.findall(r"(?:[a-z_]+:)?(?:seatrial|process)_[a-z_0-9]+(?::[a-z_0-9]+)?", one.text))
        assert read, one
        assert read - known == set(), one.where


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_one_that_grafana_can_lay_out_and_people_can_read(name: str) -> None:
    board = BOARDS[name]
    assert board["uid"] == f"seatrial-{name}"
    assert len({one["id"] for one in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for one in board["panels"]:
        place = one["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells, one["title"]
        assert place["x"] + place["w"] <= COLUMNS, one["title"]
        taken |= cells
    for one in boards.panels(board):
        assert one["description"].endswith("."), one["title"]
        assert one["datasource"]["uid"] == "${datasource}"
        assert one["fieldConfig"]["defaults"]["unit"], one["title"]


def test_boards_have_names_of_their_own() -> None:
    assert {"operator", "rollout", "quality"} <= set(BOARDS)
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)


def test_the_chart_makes_a_config_map_of_each_board_that_grafanas_sidecar_finds() -> None:
    made = charts.rendered({"monitoring": {"boards": {"install": True}}})
    found = {}
    for one in charts.of_kind(made, "ConfigMap"):
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        found |= {name: json.loads(text) for name, text in one["data"].items()}
    assert found == {f"seatrial-{name}.json": board for name, board in BOARDS.items()}
    assert charts.of_kind(charts.rendered({}), "ConfigMap") == []


def status() -> Status:
    """In the canary of a third version, after the second was rolled back; revisions as the pods name theirs."""

    def seen(world: worlds.World) -> bool:
        shown = {name for name, *_ in gauges.samples(world.status)}
        return {"seatrial_rollout_share_ratio", "seatrial_rollout_evidence_ratio"} <= shown

    now = in_canary(failing().run(rolled_back), "3").run(seen).status
    assert now.stable is not None
    assert now.candidate is not None
    ready = next(one for one in now.conditions if one.type == conditions.READY)
    beside = (msgspec.structs.replace(ready, type=kind) for kind in sorted(conditions.BESIDE))
    return msgspec.structs.replace(
        now,
        stable=msgspec.structs.replace(now.stable, revision="stable"),
        candidate=msgspec.structs.replace(now.candidate, revision="candidate"),
        conditions=(*now.conditions, *beside),
    )


def told() -> telemetry.Telemetry:
    """An operator that leads and knows of one object."""
    metrics = telemetry.Telemetry()
    metrics.watch(depth=lambda: 1, leading=lambda: True)
    now = status()
    drifted = (conditions.DRIFTED, ConditionStatus.TRUE, "FeatureDrift", "")
    beside = conditions.merge(
        (), [drifted, quality.row(worse())], generation=1, now=now.conditions[0].last_transition_time
    )
    now = msgspec.structs.replace(now, conditions=(*now.conditions, *beside))
    metrics.tell(CHURN, now)
    metrics.training(CHURN, model_metrics.of_training(now, WISH))
    metrics.quality(CHURN, model_metrics.of_quality(worse(), DAYS))
    metrics.drift(CHURN, judged=judgement.Judgement(1, DRIFTED, judgement.Reason.FEATURE_DRIFT, (FINDING,), ""))
    return metrics


WISH = spec.Retraining(cron_job="train", triggers=(spec.Trigger.AGE,), max_age=spec.Duration.parse("720h"))
DAYS = [quality_after.Day(4000, 2000, 160)] * 20 + [quality_after.Day(4000, 2000, 500)] * 3
DRIFTED = judgement.Outcome.DRIFTED
FINDING = judgement.Finding(
    column="income",
    kind=columns.Kind.FEATURE,
    test=tests_.Question.SHAPE,
    where="above 52000",
    share=0.61,
    low=0.6,
    high=0.62,
    reference=0.4,
    tolerated=0.5,
    rows=48211,
    window=24,
    log_evidence=21.9,
    bound=2.4e7,
    dispersion=1.3,
    outcome=DRIFTED,
)


def worse() -> quality.Said:
    """What labels prove, and what confidence lets expect."""
    standing = quality_after.judge(DAYS, most=1.0, tolerance=0.1, holdout=(2000, 160), rate=0.05)
    assert standing is not None
    expected = calibration.Expected(0.09, 0.08, 0.1)
    return quality.found(standing, alarm=standing.dropped, estimated=expected, day=datetime.timedelta(days=1))


def act(metrics: telemetry.Telemetry) -> None:
    """What an operator counts, once each."""
    metrics.reconciled(seconds=0.02)
    metrics.reconcile_failed("ClusterError")
    metrics.event_failed()
    metrics.promoted()
    metrics.rolled_back("ErrorsRegressed")
    metrics.rollback_completed(seconds=2)
    metrics.run_became("Drift", "Promoted")
    metrics.drift_looks.reconciled(seconds=0.1)
    metrics.drift_looks.reconcile_failed("PrometheusError")
    metrics.quality_looks.reconciled(seconds=0.1)


@contextlib.contextmanager
def busy(pods: test_relay_processes.Pods, metrics: telemetry.Telemetry) -> Iterator[None]:
    """Requests and decisions, until the block ends."""
    done = threading.Event()
    request = urllib.request.Request(f"http://{STABLE}:{pods.stable.port}/v2/models/model/infer", data=body(2))

    def work() -> None:
        while not done.wait(0.02):
            act(metrics)
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes two busy pods and an operator, and records the chart's rules."""
    folder, metrics, port = tmp_path_factory.mktemp("boards"), told(), ports.free_port()
    httpd, thread = prometheus_client.start_http_server(port, addr="127.0.0.1", registry=metrics.registry)
    with test_relay_processes.both_running(folder) as pods, shown(Page.text) as page:
        pods.assign(weight=50, shadow=50)
        places = {"stable": STABLE, "candidate": CANDIDATE, "pods": pods.stable.metrics_url.rpartition(":")[2]}
        config = SCRAPING.format(rules=test_alerts.RULES, operator=port, page=page, **places)
        with busy(pods, metrics), prometheus_server.running(folder, config) as base:
            yield base
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def unanswered(base: str, asked: Sequence[boards.Query]) -> list[boards.Query]:
    """At this moment."""
    return boards.unanswered(base, asked, start=time.time(), end=time.time())


@pytest.mark.parametrize("name", BOARDS)
def test_prometheus_has_an_answer_to_every_query_of_a_board(url: str, name: str) -> None:
    asked = list(boards.queries(BOARDS[name], VARIABLES))
    waiting.until(
        lambda: not unanswered(url, asked),
        what=f"an answer to every query of {name}",
        seconds=180,
        explain=lambda: yaml.safe_dump([dataclasses.asdict(one) for one in unanswered(url, asked)]),
    )


def test_a_query_that_reads_nothing_would_be_found(url: str) -> None:
    nothing = boards.Query("nowhere", 'sum(rate(seatrial_requests_total{revision="of nobody"}[8s]))')
    assert unanswered(url, [nothing]) == [nothing]


def test_without_the_rules_boards_are_asked_by_what_a_rule_records() -> None:
    asked = [one for board in BOARDS.values() for one in boards.queries(board, VARIABLES)]
    recorded = [rule["record"] for rule in test_alerts.rules() if "record" in rule]
    plain = boards.unrecorded(asked)
    assert [one for one, was in zip(plain, asked, strict=True) if one != was]
    assert [one for one in plain if any(name in one.text for name in recorded)] == []
