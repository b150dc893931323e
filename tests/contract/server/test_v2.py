"""The protocol over a real connection: what the specification, the errors and the metrics promise."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from tests.contract.server import prepared, process, raw
from tests.contract.server.process import Server, tensor
from tests.unit.server import graphs


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True, "live": True}),
        ("/v2/models/model/ready", {"name": "model", "ready": True}),
        ("/v2/models/model/versions/1/ready", {"name": "model", "ready": True}),
    ],
)
def test_health_says_what_both_clients_read(server: Server, path: str, document: dict[str, Any]) -> None:
    assert server.get(path) == (200, document)


def test_the_repository_index_takes_an_empty_body_and_loading_is_refused(server: Server) -> None:
    index = [{"name": "model", "version": "1", "state": "READY", "reason": ""}]
    assert server.post("/v2/repository/index", b"") == (200, index)
    status, document = server.post("/v2/repository/models/model/load", {})
    assert status == 409
    assert "ModelDeployment" in document["error"]


def test_an_answer_repeats_the_id_or_makes_one(server: Server) -> None:
    assert server.infer(tensor([[1] * 4]), id="mine")[1]["id"] == "mine"
    assert server.infer(tensor([[1] * 4]))[1]["id"]
    document = {"inputs": [tensor([[1] * 4])]}
    assert server.post("/v2/models/model/infer", document, **{"X-Request-Id": "from-header"})[1]["id"] == "from-header"


def test_outcomes_are_counted(server: Server) -> None:
    def count(outcome: str) -> float:
        return server.metric("seatrial_requests_total", outcome=outcome)

    before = {outcome: count(outcome) for outcome in ("ok", "rejected", "error", "shed")}
    durations = server.metric("seatrial_request_duration_seconds_count")
    server.infer(tensor([[1] * 4]))
    server.infer(tensor([[1] * 3]))
    server.post("/v2/models/model/infer", b"{")
    server.get("/v2/models/other")
    after = {outcome: count(outcome) - before[outcome] for outcome in before}
    assert after == {"ok": 1, "rejected": 2, "error": 0, "shed": 0}
    assert server.metric("seatrial_request_duration_seconds_count") - durations == 3
    assert server.metric("seatrial_in_flight_requests") == 0


@pytest.mark.parametrize(
    ("kind", "datatype", "values"),
    [
        (TensorProto.BOOL, "BOOL", [True, False]),
        (TensorProto.INT8, "INT8", [-128, 127]),
        (TensorProto.INT16, "INT16", [-(2**15), 2**15 - 1]),
        (TensorProto.INT32, "INT32", [-(2**31), 2**31 - 1]),
        (TensorProto.INT64, "INT64", [-(2**63), 2**63 - 1]),
        (TensorProto.UINT8, "UINT8", [0, 255]),
        (TensorProto.UINT16, "UINT16", [0, 2**16 - 1]),
        (TensorProto.UINT32, "UINT32", [0, 2**32 - 1]),
        (TensorProto.UINT64, "UINT64", [0, 2**64 - 1]),
        (TensorProto.FLOAT, "FP32", [0.1, -3.4e38]),
        (TensorProto.DOUBLE, "FP64", [0.1, -1.7e308]),
        (TensorProto.STRING, "BYTES", ["grüße", ""]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_datatype_goes_there_and_back(tmp_path: Path, kind: int, datatype: str, values: list[Any]) -> None:
    (tmp_path / "model.onnx").write_bytes(graphs.echo(kind))
    with process.serving(tmp_path / "model.onnx") as running:
        data = {"name": "x", "shape": [1, 2], "datatype": datatype, "data": values}
        status, document = running.infer(data)
        assert status == 200, document
        found = document["outputs"][0]["data"]
        assert found == (values if datatype != "FP32" else pytest.approx(values, rel=1e-6))
        if datatype.startswith(("INT", "UINT")):
            assert running.infer({**data, "data": [values[0], values[1] + 1]})[0] == 400


def test_half_precision_travels_in_binary_only(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graphs.echo(TensorProto.FLOAT16))
    values = np.array([1.5, -2], np.float16).tobytes()
    with process.serving(tmp_path / "model.onnx") as running:
        path = "/v2/models/model/infer"
        status, body = running.post(path, values, **{"Inference-Header-Content-Length": "0"})
        assert (status, body[-4:]) == (200, values)
        status, document = running.infer({"name": "x", "shape": [1, 2], "datatype": "FP16", "data": [1, 2]})
        assert (status, "binary" in document["error"]) == (400, True)


def test_a_guilty_request_does_not_hurt_its_neighbours(tmp_path: Path) -> None:
    patient = prepared.pod(tmp_path, graphs.secretive(), limits={"timeoutSeconds": process.DEADLINE})
    with process.serving(*patient) as running:  # however slow the machine is, only the guilty ones are refused

        def ask(index: int) -> int:
            return running.infer(tensor([index], name="index", datatype="INT64"))[0]

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(ask, [index % 10 if index % 5 else 99 for index in range(200)]))
        assert [status != 200 for status in statuses] == [index % 5 == 0 for index in range(200)]
        assert running.metric("seatrial_requests_total", outcome="error") == 40
        _, document = running.infer(tensor([99], name="index", datatype="INT64"))
        assert "Traceback" not in json.dumps(document)
        assert "onnxruntime" not in json.dumps(document).lower()


def test_several_inputs_come_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graphs.two_inputs())
    with process.serving(tmp_path / "model.onnx") as running:
        a, b = tensor([[0.5], [1]], name="a"), tensor([[1], [2]], name="b", datatype="INT64")
        assert running.infer(b, a)[1]["outputs"][0]["data"] == [1.5, 3.0]
        assert running.infer(a)[0] == 400


def test_overload_is_shed_while_health_and_metrics_answer(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graphs.slow(100_000))
    with process.serving(tmp_path / "model.onnx") as running:
        request = raw.post(json.dumps({"inputs": [tensor([[1.0] * 4] * 100)]}).encode())
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(process.Wire(running.port)) for _ in range(8)]
            for wire in wires:
                wire.send(request)
            assert running.get("/v2/health/live")[0] == 200
            assert running.metric("seatrial_in_flight_requests") >= 0
            statuses = [wire.responses(1)[0][0] for wire in wires]
        assert 429 in statuses
        assert set(statuses) <= {200, 429, 503, 504}
        assert running.metric("seatrial_requests_total", outcome="shed") == sum(s in (429, 503) for s in statuses)
