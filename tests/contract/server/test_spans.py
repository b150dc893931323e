"""Spans of requests, as a collector receives them over OTLP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.contract.server import collector, prepared, process, raw
from tests.contract.server.collector import Collector
from tests.contract.server.test_grpc import call, infer
from tests.unit.server import graphs

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
LINEAR = json.loads(process.row(id="mine"))


@pytest.fixture
def traces() -> Iterator[Collector]:
    with collector.running() as running:
        yield running


def pod(folder: Path, traces: Collector, ratio: float, content: bytes = b"") -> list[Any]:
    return prepared.pod(folder, content, tracing={"endpoint": traces.endpoint, "ratio": ratio})


def test_a_request_with_a_sampled_trace_is_a_span_of_it_over_both_transports(tmp_path: Path, traces: Collector) -> None:
    with process.serving(*pod(tmp_path, traces, 0)) as server:
        server.post("/v2/models/model/infer", LINEAR, traceparent=SAMPLED)
        with grpc.insecure_channel(server.grpc) as channel:
            call(channel, "ModelInfer", infer(), metadata=[("traceparent", SAMPLED)])
        found = traces.wait(2)
    for span, about in found:
        assert (span.trace_id.hex(), span.parent_span_id.hex(), span.name) == (TRACE, PARENT, "infer")
        assert span.kind == span.SPAN_KIND_SERVER
        assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 10e9
        assert (about["service.name"], about["seatrial.revision"], about["service.version"]) == ("churn", "abc", "3")
    rest, rpc = (collector.attributes(span) for span, _ in found)
    assert rest == {"seatrial.transport": "rest", "seatrial.outcome": "ok", "seatrial.request_id": "mine"}
    assert (rpc["seatrial.transport"], rpc["seatrial.outcome"]) == ("grpc", "ok")


def test_a_trace_that_is_not_sampled_has_no_span_whatever_the_ratio(tmp_path: Path, traces: Collector) -> None:
    with process.serving(*pod(tmp_path, traces, 1)) as server:
        for _ in range(5):
            server.post("/v2/models/model/infer", LINEAR, traceparent=UNSAMPLED)
        server.terminate()
        assert server.process.wait(process.DEADLINE) == 0
    assert traces.spans == []


def test_requests_without_a_trace_are_sampled_also_on_the_short_way(tmp_path: Path, traces: Collector) -> None:
    with process.serving(*pod(tmp_path, traces, 1)) as server:
        with process.Wire(server.port) as wire:
            for value in range(8):
                wire.send(raw.post(process.row(value))).responses(1)
        found = traces.wait(8)
    assert len({span.trace_id for span, _ in found}) == 8
    assert not any(span.parent_span_id for span, _ in found)


def test_a_failed_request_is_marked_and_a_refused_one_says_so(tmp_path: Path, traces: Collector) -> None:
    with process.serving(*pod(tmp_path, traces, 1, graphs.logarithm())) as server:
        server.infer(process.tensor([[-1.0]]))
        server.infer(process.tensor([["x"]]))
        found = traces.wait(2)
    outcomes = {collector.attributes(span)["seatrial.outcome"]: span.status.code for span, _ in found}
    assert outcomes == {"error": 2, "rejected": 0}


def test_a_stopping_server_sends_what_it_has(tmp_path: Path, traces: Collector) -> None:
    with process.serving(*pod(tmp_path, traces, 1)) as server:
        server.post("/v2/models/model/infer", LINEAR)
        server.terminate()
        assert server.process.wait(process.DEADLINE) == 0
    assert len(traces.spans) == 1


def test_a_collector_that_is_away_costs_no_answer(tmp_path: Path) -> None:
    nobody = {"endpoint": "http://127.0.0.1:9", "ratio": 1}
    with process.serving(*prepared.pod(tmp_path, tracing=nobody)) as server:
        for _ in range(20):
            assert server.post("/v2/models/model/infer", LINEAR)[0] == 200
        server.terminate()
        assert server.process.wait(process.DEADLINE) == 0


def test_a_laptop_is_told_by_the_environment(
    tmp_path: Path, traces: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces.endpoint)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1.0")
    (tmp_path / "model.onnx").write_bytes(graphs.linear())
    with process.serving(tmp_path / "model.onnx") as server:
        server.post("/v2/models/model/infer", LINEAR)
        [(_, about)] = traces.wait(1)
    assert about["service.name"] == "model"


def test_a_server_without_tracing_does_not_load_its_library() -> None:
    code = "import sys, seatrial_server.service; sys.exit(any('opentelemetry' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
