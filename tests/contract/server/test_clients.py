"""What tritonclient reads besides tensors, and its forms of asking; datatypes are in test_conformance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from tests.contract.server.process import Server

ROWS = np.array([[1, 2, 3, 4], [0, 0, 0, 1]], np.float32)


@pytest.fixture
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    connection = triton.InferenceServerClient(server.url.removeprefix("http://"))
    yield connection
    connection.close()


def given(*, binary: bool) -> list[triton.InferInput]:
    tensor = triton.InferInput("x", [2, 4], "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    return [tensor]


def test_triton_reads_health_metadata_and_index(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("model")
    assert client.is_model_ready("model", "1")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("model")
    assert metadata["platform"] == "onnx_onnxv1"
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert client.get_model_repository_index()[0]["state"] == "READY"


@pytest.mark.parametrize("binary_input", [True, False], ids=["binary in", "json in"])
@pytest.mark.parametrize("binary_output", [True, False, None], ids=["binary out", "json out", "default out"])
def test_triton_infers(client: triton.InferenceServerClient, binary_input: bool, binary_output: bool | None) -> None:
    wanted = None if binary_output is None else [triton.InferRequestedOutput("y", binary_data=binary_output)]
    result = client.infer("model", given(binary=binary_input), outputs=wanted, request_id="mine")
    assert result.as_numpy("y")[:, 0].tolist() == [10.0, 1.0]
    assert result.get_response()["id"] == "mine"


def test_triton_reads_an_error(client: triton.InferenceServerClient) -> None:
    tensor = triton.InferInput("x", [1, 3], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 3), np.float32))
    with pytest.raises(triton.InferenceServerException, match=r"must be \[-1, 4\]"):
        client.infer("model", [tensor])
    with pytest.raises(triton.InferenceServerException, match="unknown model"):
        client.infer("other", given(binary=True))
    with pytest.raises(triton.InferenceServerException, match="ModelDeployment"):
        client.load_model("model")
