"""Clients, ways of sending and datatypes against raw ONNX Runtime; then what several tensors add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from onnx import TensorProto, helper
from tests.contract.server import conformance, process
from tests.contract.server.process import Server
from tests.unit.server import graphs

pytestmark = pytest.mark.timeout(600)  # a server starts for each datatype

LIMITS = {  # way of sending -> the only datatypes that it cannot carry
    **{way: {"FP16"} for way in conformance.TRITON if "JSON" in way},
    **{f"kserve {way}": {"FP16"} for way in ("REST, JSON", "REST, binary in, JSON out", "gRPC, typed")},
}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Mapping[str, Server]]:
    with conformance.fleet() as servers:
        yield servers


@pytest.fixture(scope="module")
def triton(fleet: Mapping[str, Server]) -> conformance.Results:
    return conformance.measure_triton(fleet)


@pytest.mark.parametrize("way", conformance.TRITON)
def test_every_datatype_survives_tritonclient(triton: conformance.Results, way: str) -> None:
    refused = {datatype: cell for datatype, cell in triton[way].items() if cell != "yes"}
    assert refused.keys() == LIMITS.get(way, set()), refused


@pytest.mark.skipif(not conformance.KSERVE.exists(), reason="make .venv-kserve/.installed")
def test_every_datatype_survives_the_kserve_client(fleet: Mapping[str, Server], triton: conformance.Results) -> None:
    found = conformance.measure_kserve(fleet)
    for way, cells in found.items():
        refused = {datatype: cell for datatype, cell in cells.items() if cell != "yes"}
        assert refused.keys() == LIMITS.get(way, set()), refused
    written = conformance.DOCUMENT.read_text()
    assert conformance.document({**triton, **found}) == written, "python -m tests.contract.server.conformance"


def several() -> bytes:
    """a [N, 3] FP32, b [N, 1] INT64, c [N] BYTES -> scaled, doubled, text, flag."""
    nodes = [
        helper.make_node("Mul", ["a", "two"], ["scaled"]),
        helper.make_node("Add", ["b", "b"], ["doubled"]),
        helper.make_node("Identity", ["c"], ["text"]),
        helper.make_node("Greater", ["b", "zero"], ["flag"]),
    ]
    return graphs.model(
        nodes,
        inputs={
            "a": (TensorProto.FLOAT, ["N", 3]),
            "b": (TensorProto.INT64, ["N", 1]),
            "c": (TensorProto.STRING, ["N"]),
        },
        outputs={
            "scaled": (TensorProto.FLOAT, ["N", 3]),
            "doubled": (TensorProto.INT64, ["N", 1]),
            "text": (TensorProto.STRING, ["N"]),
            "flag": (TensorProto.BOOL, ["N", 1]),
        },
        constants={"two": np.array(2, np.float32), "zero": np.array(0, np.int64)},
    ).SerializeToString()


FEEDS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([[-5], [2**53 + 1]]),
    "c": np.array(["é", ""], np.object_),
}
DATATYPES = {"a": "FP32", "b": "INT64", "c": "BYTES"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(several())
    with process.serving(path) as running:
        yield running


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    session = onnxruntime.InferenceSession(several(), providers=["CPUExecutionProvider"])
    return dict(zip([node.name for node in session.get_outputs()], session.run(None, FEEDS), strict=True))


@pytest.fixture
def rest(server: Server) -> Iterator[triton_http.InferenceServerClient]:
    with triton_http.InferenceServerClient(server.url.removeprefix("http://")) as client:
        yield client


@pytest.fixture
def rpc(server: Server) -> Iterator[triton_grpc.InferenceServerClient]:
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        yield client


def given(library: Any, order: str = "abc", **options: bool) -> list[Any]:
    tensors = []
    for name in order:
        tensor = library.InferInput(name, list(FEEDS[name].shape), DATATYPES[name])
        tensor.set_data_from_numpy(FEEDS[name], **options)
        tensors.append(tensor)
    return tensors


def same(answer: Any, name: str, wanted: Any) -> bool:
    found = answer.as_numpy(name)
    if wanted.dtype == np.object_:
        return [one.decode() if isinstance(one, bytes) else one for one in found] == wanted.tolist()
    return found.dtype == wanted.dtype and np.array_equal(found, wanted)


@pytest.mark.parametrize("order", ["abc", "cab"])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_several_tensors_over_rest(
    rest: triton_http.InferenceServerClient, raw: dict[str, Any], order: str, binary: bool
) -> None:
    answer = rest.infer("model", given(triton_http, order, binary_data=binary), request_id="mine", timeout=10**7)
    assert all(same(answer, name, wanted) for name, wanted in raw.items())
    assert (answer.get_response()["id"], answer.get_response()["model_version"]) == ("mine", "1")


@pytest.mark.parametrize("order", ["abc", "bca"])
def test_several_tensors_over_grpc(rpc: triton_grpc.InferenceServerClient, raw: dict[str, Any], order: str) -> None:
    answer = rpc.infer("model", given(triton_grpc, order), model_version="1", request_id="mine", timeout=10**7)
    assert all(same(answer, name, wanted) for name, wanted in raw.items())
    assert (answer.get_response().id, answer.get_response().model_version) == ("mine", "1")


def test_wanted_outputs_come_in_the_wanted_order_and_form(
    rest: triton_http.InferenceServerClient, raw: dict[str, Any]
) -> None:
    wanted = [triton_http.InferRequestedOutput(name, binary_data=binary) for name, binary in OUTPUT_FORMS.items()]
    answer = rest.infer("model", given(triton_http), outputs=wanted)
    outputs = answer.get_response()["outputs"]
    assert {one["name"]: "binary_data_size" in one.get("parameters", {}) for one in outputs} == OUTPUT_FORMS
    assert all(same(answer, name, raw[name]) for name in OUTPUT_FORMS)


OUTPUT_FORMS = {"text": True, "flag": False, "scaled": True}


def test_wanted_outputs_over_grpc(rpc: triton_grpc.InferenceServerClient, raw: dict[str, Any]) -> None:
    answer = rpc.infer("model", given(triton_grpc), outputs=[triton_grpc.InferRequestedOutput("flag")])
    assert [one.name for one in answer.get_response().outputs] == ["flag"]
    assert same(answer, "flag", raw["flag"])


def test_the_extensions_that_are_listed_work(
    rest: triton_http.InferenceServerClient, rpc: triton_grpc.InferenceServerClient
) -> None:
    extensions = ["binary_tensor_data", "model_repository", "model_configuration", "statistics"]
    assert rest.get_server_metadata()["extensions"] == rpc.get_server_metadata().extensions == extensions
    index = {"name": "model", "version": "1", "state": "READY"}
    assert rest.get_model_repository_index() == [{**index, "reason": ""}]
    assert rpc.get_model_repository_index(as_json=True)["models"] == [index]
    config = rest.get_model_config("model", "1")
    assert config["input"][1] == {"name": "b", "data_type": "TYPE_INT64", "dims": [1]}
    assert rpc.get_model_config("model").config.input[1].dims == config["input"][1]["dims"]
    before = rest.get_inference_statistics("model")["model_stats"][0]
    rest.infer("model", given(triton_http))
    rpc.infer("model", given(triton_grpc))
    after = rpc.get_inference_statistics("model", "1").model_stats[0]
    assert after.inference_stats.success.count - before["inference_stats"]["success"]["count"] == 2
    assert after.inference_count - before["inference_count"] == 4
    assert after.last_inference > before["last_inference"]


def test_both_ports_describe_the_same_model(
    rest: triton_http.InferenceServerClient, rpc: triton_grpc.InferenceServerClient
) -> None:
    document, message = rest.get_model_metadata("model"), rpc.get_model_metadata("model")
    assert [one["name"] for one in document["outputs"]] == [one.name for one in message.outputs]
    assert [one["shape"] for one in document["inputs"]] == [list(one.shape) for one in message.inputs]
    assert rest.is_model_ready("model", "1")
    assert rpc.is_model_ready("model", "1")


def test_a_client_reads_the_error(rpc: triton_grpc.InferenceServerClient) -> None:
    with pytest.raises(triton_grpc.InferenceServerException, match="are missing") as caught:
        rpc.infer("model", given(triton_grpc, "ab"))
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    with pytest.raises(triton_grpc.InferenceServerException, match="ModelDeployment"):
        rpc.load_model("model")
