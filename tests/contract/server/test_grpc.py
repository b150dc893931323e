"""The gRPC port: statuses, malformed messages, deadlines, and the end of connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from onnx import TensorProto
from tests.contract.server import prepared, process
from tests.contract.server.process import Server
from tests.unit.server import graphs

from seatrial_server.protocol.rpc import messages, status

KNOWN = messages.Messages()


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc) as opened:
        yield opened


def call(channel: grpc.Channel, name: str, message: Any = None, **options: Any) -> Any:
    """One call; `message` is a message, or bytes to send as they are."""
    content = KNOWN.request[name]() if message is None else message
    method = channel.unary_unary(
        f"/{messages.SERVICE}/{name}",
        request_serializer=lambda value: value if isinstance(value, bytes) else value.SerializeToString(),
        response_deserializer=KNOWN.response[name].FromString,
    )
    return method(content, timeout=options.pop("timeout", process.DEADLINE), **options)


def infer(rows: int = 1, **fields: Any) -> Any:
    values = np.ones((rows, 4), np.float32)
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 4]}
    content = {"model_name": "model", "inputs": [tensor], "raw_input_contents": [values.tobytes()], **fields}
    return KNOWN.request["ModelInfer"](**content)


def refusal(channel: grpc.Channel, name: str, message: Any = None, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, name, message, **options)
    assert "Traceback" not in caught.value.details()
    return caught.value


def typed(**contents: Any) -> Any:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "contents": contents}
    return KNOWN.request["ModelInfer"](model_name="model", inputs=[tensor])


def test_typed_and_raw_contents_get_the_same_raw_answer(channel: grpc.Channel) -> None:
    first, second = call(channel, "ModelInfer", infer()), call(channel, "ModelInfer", typed(fp32_contents=[1] * 4))
    assert first.raw_output_contents == second.raw_output_contents == [np.array([4, -4], np.float32).tobytes()]
    assert first.outputs[0].shape == [1, 2]
    assert not first.outputs[0].HasField("contents")


def test_an_answer_repeats_the_id_or_makes_one(channel: grpc.Channel) -> None:
    assert call(channel, "ModelInfer", infer(id="mine")).id == "mine"
    assert call(channel, "ModelInfer", infer(), metadata=[("x-request-id", "from-metadata")]).id == "from-metadata"
    assert call(channel, "ModelInfer", infer()).id


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, "no ModelInferRequest"),
        (b"", grpc.StatusCode.NOT_FOUND, "unknown model"),
        (infer(model_name="other"), grpc.StatusCode.NOT_FOUND, "unknown model 'other'"),
        (infer(raw_input_contents=[b"12"]), grpc.StatusCode.INVALID_ARGUMENT, "whole number of FP32"),
        (infer(raw_input_contents=[b"1234"]), grpc.StatusCode.INVALID_ARGUMENT, "has 1 elements"),
        (infer(raw_input_contents=[b"", b""]), grpc.StatusCode.INVALID_ARGUMENT, "2 entries for 1 inputs"),
        (infer(raw_input_contents=[]), grpc.StatusCode.INVALID_ARGUMENT, "has 0 elements"),
        (infer(inputs=[]), grpc.StatusCode.INVALID_ARGUMENT, "0 inputs"),
        (infer(inputs=[], raw_input_contents=[]), grpc.StatusCode.INVALID_ARGUMENT, "['x'] are missing"),
        (infer(outputs=[{"name": "z"}]), grpc.StatusCode.INVALID_ARGUMENT, "output 'z'"),
        (infer(outputs=[{"name": "y"}] * 2), grpc.StatusCode.INVALID_ARGUMENT, "twice"),
        (typed(int_contents=[1] * 4), grpc.StatusCode.INVALID_ARGUMENT, "fp32_contents"),
        (typed(fp32_contents=[1] * 3), grpc.StatusCode.INVALID_ARGUMENT, "has 3 elements"),
        (typed(fp32_contents=[1, 2, 3, float("nan")]), grpc.StatusCode.INVALID_ARGUMENT, "finite"),
        (infer(rows=1000), grpc.StatusCode.RESOURCE_EXHAUSTED, "split it"),
    ],
)
def test_a_mistake_has_its_status_and_is_named(
    channel: grpc.Channel, message: Any, code: grpc.StatusCode, words: str
) -> None:
    error = refusal(channel, "ModelInfer", message)
    assert error.code() is code
    assert words in error.details()


def test_machine_readable_detail_comes_in_the_trailers(channel: grpc.Channel) -> None:
    error = refusal(channel, "ModelInfer", typed(fp32_contents=[1, 2, float("inf"), 4]))
    detail = json.loads(dict(error.trailing_metadata())[status.DETAILS])
    assert (detail["code"], detail["input"], detail["row"], detail["feature"]) == ("NotFinite", "x", 0, "2")


def test_other_models_are_not_found_and_loading_is_refused(channel: grpc.Channel) -> None:
    for name in ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"):
        error = refusal(channel, name, KNOWN.request[name](name="other"))
        assert error.code() is grpc.StatusCode.NOT_FOUND
    for name in ("RepositoryModelLoad", "RepositoryModelUnload"):
        error = refusal(channel, name, KNOWN.request[name](model_name="model"))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "ModelDeployment" in error.details()


def test_outcomes_are_counted_by_transport(server: Server, channel: grpc.Channel) -> None:
    def count(outcome: str) -> float:
        return server.metric("seatrial_requests_total", outcome=outcome, transport="grpc")

    before = {outcome: count(outcome) for outcome in ("ok", "rejected", "error")}
    call(channel, "ModelInfer", infer())
    refusal(channel, "ModelInfer", b"\xff")
    refusal(channel, "ModelInfer", infer(model_name="other"))
    assert {outcome: count(outcome) - before[outcome] for outcome in before} == {"ok": 1, "rejected": 2, "error": 0}
    assert server.metric("seatrial_in_flight_requests") == 0


def test_a_deadline_is_kept_even_while_the_model_runs(tmp_path: Path) -> None:
    """The answer comes before the end of the model's call, which takes most of a second: by the server's own clock."""
    pod = prepared.pod(tmp_path, graphs.slow(800_000))
    with process.serving(*pod) as running, grpc.insecure_channel(running.grpc) as channel:
        error = refusal(channel, "ModelInfer", infer(parameters={"timeout": {"int64_param": 50_000}}))
        assert error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
        answered_after = running.metric("seatrial_request_duration_seconds_sum")  # 0 where its turn did not come
        call(channel, "ModelInfer", infer())  # behind it: the model is through with the first
        calls = running.metric("seatrial_model_duration_seconds_count")
        assert calls == 1 + (error.code() is grpc.StatusCode.DEADLINE_EXCEEDED)
        assert answered_after < running.metric("seatrial_model_duration_seconds_sum") / calls
        late = refusal(channel, "ModelInfer", infer(), timeout=0.05)
        assert late.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)


def test_a_number_outside_of_its_datatype_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graphs.echo(TensorProto.INT8))
    with process.serving(tmp_path / "model.onnx") as running, grpc.insecure_channel(running.grpc) as channel:
        tensor = {"name": "x", "datatype": "INT8", "shape": [1, 2], "contents": {"int_contents": [1, 128]}}
        error = refusal(channel, "ModelInfer", KNOWN.request["ModelInfer"](model_name="model", inputs=[tensor]))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "does not fit INT8" in error.details()
