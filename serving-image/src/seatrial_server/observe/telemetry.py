"""What the server counts, and how Prometheus reads it.

On the hot path only lists of numbers are touched (a tenth of a microsecond; prometheus_client's own counters cost 40 %
of the throughput). `Collector` renders them at scrape time. Every series exists at zero from the start.
One event loop writes, so there are no locks.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
import prometheus_client
from prometheus_client import core, registry

from seatrial_server.host import config, errors
from seatrial_server.observe import relayed
from seatrial_server.observe.histogram import Histogram

if TYPE_CHECKING:
    from seatrial_server.observe import spans  # imports a library that most servers do without

OUTCOMES: tuple[errors.Outcome, ...] = get_args(errors.Outcome)
LATENCY_EDGES = (
    *(0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
_ROW_EDGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
Transport = Literal["rest", "grpc"]
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)
REFUSALS = {
    400: "malformed",
    408: "timeout",
    413: "body_too_large",
    414: "target_too_long",
    415: "encoding",
    417: "expectation",
    431: "headers_too_large",
    501: "transfer_encoding",
    503: "no_room",
}
"""Why the REST port refuses a request that it has not read to its end."""
SAMPLES = ("sent", "dropped", "failed")
CACHE_RESULTS = ("hit", "miss", "shared")


_FAILED = frozenset({"rejected", "error"})


def totals(telemetry: Telemetry) -> dict[errors.Outcome, int]:
    """Answered requests by outcome, over all transports."""
    return {outcome: sum(one[outcome] for one in telemetry.requests.values()) for outcome in OUTCOMES}


class Labels(msgspec.Struct, frozen=True):
    """Identity of the pod's revision on every series; never the pod's name, which Prometheus adds itself."""

    deployment: str
    deployment_namespace: str
    revision: str


class ModelInfo(msgspec.Struct, frozen=True):
    """Labels of `seatrial_model_info`."""

    model: str
    version: str
    precision: config.Precision
    sha256: str
    onnxruntime: str


class Telemetry:
    """All counters of one process."""

    def __init__(self, *, labels: Labels, model: ModelInfo, latency_threshold: float) -> None:
        self.labels = labels
        self.model = model
        self.requests = {transport: dict.fromkeys(OUTCOMES, 0) for transport in TRANSPORTS}
        self.other_version = dict.fromkeys(TRANSPORTS, 0)
        self.durations = Histogram(tuple(sorted({*LATENCY_EDGES, latency_threshold})))
        self.model_durations = Histogram(LATENCY_EDGES)
        self.batch_rows = Histogram(_ROW_EDGES)
        self.refusals = dict.fromkeys([*REFUSALS.values(), "turned_away"], 0)
        self.failed_seconds = 0.0  # the part of `durations` that belongs to rejected requests and errors
        self.last_call = 0.0  # performance counter at the end of the last model call
        self.in_flight = 0
        self.relayed = relayed.Relayed()
        self.queue_rows = 0
        self.cache = dict.fromkeys(CACHE_RESULTS, 0)
        self.cache_bytes = 0
        self.samples = dict.fromkeys(SAMPLES, 0)
        self.fallbacks: dict[errors.Outcome, int] = {"error": 0, "shed": 0}
        self.spans: spans.Spans | None = None
        self.plan = {"threads": "1", "batching": "", "execution": ""}

    def finished(self, outcome: errors.Outcome, seconds: float, *, transport: Transport = "rest") -> None:
        """Count one answered request; a shed one has no duration."""
        self.requests[transport][outcome] += 1
        if outcome != "shed":
            durations = self.durations  # `observe`, without a call for every request
            durations.counts[bisect.bisect_left(durations.edges, seconds)] += 1
            durations.total += seconds
            if outcome in _FAILED:
                self.failed_seconds += seconds

    def refused(self, error: errors.RequestError, *, inference: bool) -> None:
        """Count a request that was refused before it was whole, and so has no duration."""
        self.refusals[REFUSALS[error.status]] += 1
        if inference:
            self.requests["rest"][error.outcome] += 1

    def finished_together(self, count: int, seconds: float) -> None:
        """Count requests over REST that were read in one turn of the loop and answered well, after so long."""
        self.requests["rest"]["ok"] += count
        durations = self.durations
        durations.counts[bisect.bisect_left(durations.edges, seconds)] += count
        durations.total += count * seconds
        if self.spans is not None:
            self.spans.finished_together(count, seconds)


class Collector(registry.Collector):
    """Renders a `Telemetry` for `/metrics`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._labels = msgspec.structs.asdict(telemetry.labels)

    def collect(self) -> Iterator[core.Metric]:
        """Every family, in a fixed order."""
        state = self._telemetry
        requests = core.CounterMetricFamily(
            "seatrial_requests", "Answered inference requests.", labels=[*self._labels, "transport", "outcome"]
        )
        for transport, outcomes in state.requests.items():
            for outcome, count in outcomes.items():
                requests.add_metric([*self._labels.values(), transport, outcome], count)
        yield requests
        yield self._counter(
            "other_version_requests",
            "Inference requests that named another version than the one that serves.",
            "transport",
            state.other_version,
        )
        yield self._counter(
            "refusals",
            "Requests over REST refused before they were read to their end, and connections turned away.",
            "reason",
            state.refusals,
        )
        yield self._histogram("request_duration_seconds", "Time from a whole request to its answer.", state.durations)
        yield self._histogram("model_duration_seconds", "Time of one model call.", state.model_durations)
        yield self._histogram("batch_rows", "Rows of one model call.", state.batch_rows)
        yield self._counter(
            "cache_requests", "Look-ups in the cache; shared ones waited for an equal request.", "result", state.cache
        )
        yield self._gauge("cache_bytes", "Size of the kept answers.", state.cache_bytes)
        yield self._counter("fallbacks", "Static answers given in place of an outcome.", "instead_of", state.fallbacks)
        yield self._counter(
            "samples",
            "Sampled requests: sent to the sink, dropped before that, or not taken by it.",
            "outcome",
            state.samples,
        )
        yield self._gauge("in_flight_requests", "Inference requests without an answer yet.", state.in_flight)
        yield from state.relayed.families(self._labels)
        yield self._gauge("queue_rows", "Rows that wait for the model.", state.queue_rows)
        yield self._gauge("model_info", "The model that is served.", 1, msgspec.structs.asdict(state.model))
        yield self._gauge("plan_info", "How the model is run.", 1, state.plan)

    def _counter(self, name: str, text: str, label: str, counts: Mapping[Any, int]) -> core.Metric:
        family = core.CounterMetricFamily(f"seatrial_{name}", text, labels=[*self._labels, label])
        for value, count in counts.items():
            family.add_metric([*self._labels.values(), value], count)
        return family

    def _gauge(self, name: str, text: str, value: float, extra: dict[str, str] | None = None) -> core.Metric:
        labels = {**self._labels, **(extra or {})}
        family = core.GaugeMetricFamily(f"seatrial_{name}", text, labels=list(labels))
        family.add_metric(list(labels.values()), value)
        return family

    def _histogram(self, name: str, text: str, histogram: Histogram) -> core.Metric:
        family = core.HistogramMetricFamily(f"seatrial_{name}", text, labels=list(self._labels))
        family.add_metric(list(self._labels.values()), histogram.cumulative(), histogram.total)
        return family


def exposition(telemetry: Telemetry) -> prometheus_client.CollectorRegistry:
    """A registry of its own: no process or platform collectors, no global state."""
    result = prometheus_client.CollectorRegistry(auto_describe=False)
    result.register(Collector(telemetry))
    return result
