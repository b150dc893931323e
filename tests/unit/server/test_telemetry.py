"""Metrics: all there from the start, in the text that Prometheus parses."""

from __future__ import annotations

import prometheus_client
from prometheus_client import parser

from seatrial_server.observe import telemetry

LABELS = {"deployment": "churn", "deployment_namespace": "shop", "revision": "abc"}


def counters(threshold: float = 0.1) -> telemetry.Telemetry:
    model = telemetry.ModelInfo(model="churn", version="7", precision="fp32", sha256="00", onnxruntime="1")
    return telemetry.Telemetry(labels=telemetry.Labels(**LABELS), model=model, latency_threshold=threshold)


def samples(state: telemetry.Telemetry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = prometheus_client.generate_latest(telemetry.exposition(state)).decode()
    return {
        (sample.name, frozenset(sample.labels.items() - LABELS.items())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
        if LABELS.items() <= sample.labels.items()
    }


def test_every_series_exists_at_zero() -> None:
    found = samples(counters())
    for outcome in ("ok", "degraded", "rejected", "error", "shed"):
        assert found["seatrial_requests_total", frozenset({("outcome", outcome), ("transport", "rest")})] == 0
    for name in ("seatrial_request_duration_seconds_count", "seatrial_in_flight_requests", "seatrial_queue_rows"):
        assert found[name, frozenset()] == 0
    assert [value for (name, _), value in found.items() if name == "seatrial_model_info"] == [1]


def test_the_threshold_is_a_bucket_edge() -> None:
    state = counters(threshold=0.042)
    state.finished("ok", 0.042)
    state.finished("ok", 0.0421)
    assert samples(state)["seatrial_request_duration_seconds_bucket", frozenset({("le", "0.042")})] == 1


def test_the_histogram_counts_everything_but_shed_requests() -> None:
    state = counters()
    for outcome in telemetry.OUTCOMES:
        state.finished(outcome, 0.001)
    found = samples(state)
    assert found["seatrial_request_duration_seconds_count", frozenset()] == 4
    assert found["seatrial_request_duration_seconds_bucket", frozenset({("le", "+Inf")})] == 4
