"""Health and reflection over gRPC, by the clients that their libraries bring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tests.contract.server import process
from tests.contract.server.process import Server
from tests.unit.server import graphs

from seatrial_server.protocol.rpc import messages, others

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(graphs.linear())
    return path


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Server]:
    with process.serving(model) as running:
        yield running


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc) as opened:
        yield opened


def asked(name: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=name)


@pytest.mark.parametrize("name", ["", "model", messages.SERVICE])
def test_a_server_that_is_ready_is_serving(channel: grpc.Channel, name: str) -> None:
    assert health_pb2_grpc.HealthStub(channel).Check(asked(name), timeout=process.DEADLINE).status == SERVING


def test_an_unknown_service_is_not_found_and_may_be_watched(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(asked("other"), timeout=process.DEADLINE)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watching = stub.Watch(asked("other"), timeout=process.DEADLINE)
    assert next(watching).status == UNKNOWN
    watching.cancel()


def test_a_malformed_question_is_the_clients_mistake(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{others.HEALTH}/Check")(b"\xff\xff", timeout=process.DEADLINE)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_who_watches_learns_of_the_drain_and_keeps_no_server_from_stopping(model: Path) -> None:
    with process.serving(model) as server, grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        first, second = (
            stub.Watch(asked(""), timeout=process.DEADLINE),
            stub.Watch(asked("model"), timeout=process.DEADLINE),
        )
        assert (next(first).status, next(second).status) == (SERVING, SERVING)
        server.terminate()
        assert (next(first).status, next(second).status) == (NOT_SERVING, NOT_SERVING)
        assert stub.Check(asked(""), timeout=process.DEADLINE).status == NOT_SERVING
        assert (list(first), list(second)) == ([], [])
        assert (
            server.process.wait(9) == 0
        )  # streams end when nobody calls any more; a grace on top would be ten seconds


def test_a_client_that_knows_no_message_infers_by_reflection(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) == {messages.SERVICE, others.HEALTH, others.REFLECTION[0]}
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName(messages.SERVICE).methods_by_name["ModelInfer"]
    request = message_factory.GetMessageClass(method.input_type)(
        model_name="model",
        inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 4], "contents": {"fp32_contents": [1] * 4}}],
    )
    answer = channel.unary_unary(
        f"/{messages.SERVICE}/ModelInfer",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )(request, timeout=process.DEADLINE)
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [4, -4]


@pytest.mark.parametrize("name", others.REFLECTION)
def test_both_names_of_reflection_describe_all_services(channel: grpc.Channel, name: str) -> None:
    method = channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    symbols = [messages.SERVICE, others.HEALTH, others.REFLECTION[0], "no.such.Service"]
    questions = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol) for symbol in symbols]
    kinds = [answer.WhichOneof("message_response") for answer in method(iter(questions), timeout=process.DEADLINE)]
    assert kinds == ["file_descriptor_response"] * 3 + ["error_response"]
