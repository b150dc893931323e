"""A package's model.yaml and configuration at work: trial, pod, requests, metrics. Real processes, real HTTP."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tests.contract.server import process, raw, test_trial
from tests.contract.server.process import Server, tensor
from tests.unit.server import graphs

bench = test_trial.bench
REFERENCE = np.random.default_rng(0).uniform(0, 10, (400, 4)).astype(np.float32)
CARD = {
    "features": [
        {"name": "age", "range": [0, 10], "policy": "clip"},
        {"name": "income", "missing": "impute", "default": 5},
        {"name": "region", "range": [0, 10]},
        {"name": "score"},
    ],
    "fallback": {"y": [0, 0]},
}
LABELS = {"deployment": "churn", "deployment_namespace": "shop", "revision": "abc"}


def content(model: bytes, card: dict[str, Any]) -> bytes:
    rows = io.BytesIO()
    np.savez(rows, x=REFERENCE)
    return test_trial.package(model, model__yaml=json.dumps(card).encode(), reference__npz=rows.getvalue())


def prepared(bench: test_trial.Bench, package: bytes, **settings: Any) -> list[str | Path]:
    """Fetch and prepare; returns the arguments of serve."""
    bench.publish(package)
    bench.document |= settings
    for step in ("fetch", "prepare"):
        finished = bench.run(step)
        assert finished.returncode == 0, finished.stderr
    return ["--config", bench.config, "--work", bench.work]


AGE_BINS = ("missing", "below", *(str(number) for number in range(1, 11)), "above")


def reaches(server: Server, metric: str, value: float, **labels: str) -> None:
    give_up = time.monotonic() + process.DEADLINE
    while server.metric(metric, **labels, **LABELS) != value:
        assert time.monotonic() < give_up, f"{metric} never was {value}"


@pytest.fixture
def server(bench: test_trial.Bench) -> Iterator[Server]:
    arguments = prepared(bench, content(graphs.linear(), CARD), cache={"maxBytes": 1_000_000, "ttlSeconds": 60})
    with process.serving(*arguments) as running:
        yield running


def infer(server: Server, row: list[float | None], **extra: Any) -> tuple[int, Any]:
    one = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": row}
    return server.infer(one, model="churn", **extra)


def test_a_repaired_answer_is_marked_and_counted(server: Server) -> None:
    status, document = infer(server, [99, None, 1, 1])
    assert (status, document["outputs"][0]["data"]) == (200, [17, -17])
    assert document["parameters"] == {"degraded": "clipped: age; imputed: income"}
    assert "parameters" not in infer(server, [1, 1, 1, 1])[1]
    status, document = infer(server, [1, 1, None, 1])
    assert (status, document["code"], document["feature"]) == (400, "Missing", "region")
    assert document["bound"] == "in [0, 10]"
    for outcome, count in (("degraded", 1), ("ok", 1), ("rejected", 1), ("error", 0)):
        assert server.metric("seatrial_requests_total", outcome=outcome, transport="rest", **LABELS) == count


def test_a_repaired_answer_is_marked_over_grpc_as_well(server: Server) -> None:
    rows = grpcclient.InferInput("x", [1, 4], "FP32")
    rows.set_data_from_numpy(np.array([[99, np.nan, 1, 1]], np.float32))
    with grpcclient.InferenceServerClient(server.grpc) as client:
        answer = client.infer("churn", [rows])
    assert answer.as_numpy("y").tolist() == [[17, -17]]
    assert answer.get_response().parameters["degraded"].string_param == "clipped: age; imputed: income"
    assert server.metric("seatrial_requests_total", outcome="degraded", transport="grpc", **LABELS) == 1


def test_the_bins_are_there_from_the_start_and_count_what_was_given(server: Server) -> None:
    assert server.metric("seatrial_feature_rows_total", feature="age", bin="above", **LABELS) == 0
    assert server.metric("seatrial_feature_reference_ratio", feature="age", bin="1", **LABELS) == pytest.approx(0.1)
    infer(server, [99, None, 1, 1])
    assert server.metric("seatrial_feature_rows_total", feature="age", bin="above", **LABELS) == 1
    assert server.metric("seatrial_feature_rows_total", feature="income", bin="missing", **LABELS) == 1
    assert server.metric("seatrial_prediction_rows_total", output="y", **LABELS) is not None


def test_refused_and_repeated_rows_are_traffic_too(server: Server) -> None:
    infer(server, [1, 1, None, 1])
    for _ in range(3):
        infer(server, [1, 2, 3, 4])
    assert server.metric("seatrial_refused_rows_total", feature="region", code="Missing", **LABELS) == 1
    assert server.metric("seatrial_refused_rows_total", feature="age", code="OutOfRange", **LABELS) == 0
    rows = [server.metric("seatrial_feature_rows_total", feature="age", bin=name, **LABELS) for name in AGE_BINS]
    assert sum(count or 0 for count in rows) == 3


def test_the_report_has_the_bins_and_the_references_share_of_each(bench: test_trial.Bench) -> None:
    bench.publish(content(graphs.linear(), CARD))
    told = bench.trial()
    columns = {column["name"]: column for column in told["profile"]}
    assert set(columns) == {"age", "income", "region", "score", "y", "most influential feature"}
    age = columns["age"]
    assert (age["kind"], age["bins"], len(age["edges"])) == ("Feature", list(AGE_BINS), 11)
    assert age["rows"] == len(REFERENCE)
    assert sum(age["reference"]) == pytest.approx(1)
    assert columns["y"]["kind"] == "Prediction"
    influences = columns["most influential feature"]
    assert (influences["kind"], influences["bins"][4:]) == ("Attribution", ["age", "income", "region", "score"])
    assert sum(influences["reference"]) == pytest.approx(1)
    assert told["inputs"][0]["datatype"] == "FP32"
    assert told["card"]["features"] == [], "the card has the words for people"


def test_a_cached_answer_carries_the_id_of_its_own_request(server: Server) -> None:
    body = {"inputs": [tensor([[1, 2, 3, 4]])]}
    first = server.post("/v2/models/churn/infer", {**body, "id": "one"}, **{"X-Request-Id": "a"})
    second = server.post("/v2/models/churn/infer", {**body, "id": "two"}, **{"X-Request-Id": "b", "X-Other": "c"})
    assert (first[1]["id"], second[1]["id"]) == ("one", "two")
    assert first[1]["outputs"] == second[1]["outputs"]
    for result, count in (("hit", 1), ("miss", 1), ("shared", 0)):
        assert server.metric("seatrial_cache_requests_total", result=result, **LABELS) == count


def test_a_failing_model_answers_with_the_fallback_when_asked_to(bench: test_trial.Bench) -> None:
    rows = io.BytesIO()
    np.savez(rows, index=np.arange(10))
    package = test_trial.package(
        graphs.secretive(), model__yaml=b"fallback: {value: 0.5}", reference__npz=rows.getvalue()
    )
    with process.serving(*prepared(bench, package, fallback={"mode": "Static"})) as server:
        status, document = server.infer(tensor([99], name="index", datatype="INT64"), model="churn")
        assert (status, document["outputs"][0]["data"]) == (200, [0.5])
        assert document["parameters"] == {"degraded": "fallback: ModelFailed"}
        assert server.metric("seatrial_fallbacks_total", instead_of="error", **LABELS) == 1
        assert server.metric("seatrial_requests_total", outcome="degraded", transport="rest", **LABELS) == 1


def test_a_fallback_that_the_package_does_not_have_is_refused_in_the_trial(bench: test_trial.Bench) -> None:
    bench.publish(graphs.linear())
    bench.document["fallback"] = {"mode": "Static"}
    report = bench.trial()
    assert (report["outcome"], report["reason"]) == ("Rejected", "InvalidModel")
    assert "has no fallback" in report["message"]


def test_health_and_metrics_answer_while_the_queue_is_full(bench: test_trial.Bench) -> None:
    """Ten calls of the model, which take two seconds or, where the machine is busy, more: time to ask meanwhile."""
    arguments = prepared(bench, graphs.slow(200_000), limits={"maxQueueRows": 10, "timeoutSeconds": process.DEADLINE})
    with process.serving(*arguments) as server:
        body = json.dumps({"inputs": [tensor([[1.0] * 4])]}).encode()
        with process.Wire(server.port) as wire:
            wire.send(raw.post(body, path=b"/v2/models/churn/infer") * 12)
            reaches(server, "seatrial_requests_total", 2, outcome="shed", transport="rest")
            assert server.get("/v2/health/ready")[0] == 200
            assert server.metric("seatrial_in_flight_requests", **LABELS) > 1
            answers = wire.responses(12)
        assert [status for status, _, _ in answers] == [200] * 10 + [429] * 2
        assert int(answers[-1][1]["retry-after"]) >= 1
