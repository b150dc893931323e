"""The three models of the server's benchmark, their rows and their requests; fixed seeds.

Logistic regression (30 features), gradient-boosted trees (200 of depth 6, 30 features), and an int8 perceptron
(256-512-512-10) quantized by the server's own code. Each has one output, so that the answers are comparable in size.
"""

import itertools
import tempfile
import uuid
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import orjson
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn import ensemble, linear_model

from seatrial_server.model import datatypes, session
from seatrial_server.prepare import quantize

BODIES = 512
Array = np.ndarray[Any, Any]


class Model(msgspec.Struct, frozen=True):
    """One benchmark model with its input rows (float32, rounded to six decimals as they travel in JSON)."""

    name: str
    title: str
    content: bytes
    rows: Array
    precision: str = "fp32"

    @property
    def columns(self) -> int:
        """Features per row."""
        return int(self.rows.shape[1])


def build() -> list[Model]:
    """All three."""
    random = np.random.default_rng(7)
    rows = _rounded(random.standard_normal((BODIES, 30)))
    targets = (rows @ random.standard_normal(30) + rows[:, 0] * rows[:, 1] > 0).astype(int)
    linear = linear_model.LogisticRegression().fit(rows, targets)
    trees = ensemble.GradientBoostingClassifier(n_estimators=200, max_depth=6, random_state=0, subsample=0.5)
    more = _rounded(random.standard_normal((2500, 30)))
    trees.fit(more, (more[:, :5].sum(axis=1) + random.standard_normal(2500) > 0).astype(int))
    wide = _rounded(random.standard_normal((BODIES, 256)))
    return [
        Model(name="linear", title="logistic regression, 30 features", content=_exported(linear), rows=rows),
        Model(name="trees", title="200 trees of depth 6, 30 features", content=_exported(trees), rows=rows),
        Model(
            name="mlp",
            title="int8 perceptron 256-512-512-10",
            content=_quantized(perceptron(), wide),
            rows=wide,
            precision="int8-static",
        ),
    ]


_WIDTH = 64
_MIXED = {
    "f": ("FP32", TensorProto.FLOAT),
    "d": ("FP64", TensorProto.DOUBLE),
    "l": ("INT64", TensorProto.INT64),
    "i": ("INT16", TensorProto.INT16),
    "b": ("UINT8", TensorProto.UINT8),
    "o": ("BOOL", TensorProto.BOOL),
    "s": ("BYTES", TensorProto.STRING),
}


def mixed() -> Model:
    """An input of each datatype, answered as it is; for `memory`."""
    names = [(name, f"{name}_out", kind) for name, (_, kind) in _MIXED.items()]
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [output]) for name, output, _ in names],
        "mixed",
        [helper.make_tensor_value_info(name, kind, ["N", _WIDTH]) for name, _, kind in names],
        [helper.make_tensor_value_info(output, kind, ["N", _WIDTH]) for _, output, kind in names],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    rows = np.random.default_rng(0).standard_normal((BODIES, _WIDTH)).astype(np.float32)
    return Model(name="mixed", title="seven datatypes", content=model.SerializeToString(), rows=rows)


def tensors(model: Model, rows: int) -> list[tuple[str, str, Array]]:
    """Name, datatype and values of each input, for so many rows."""
    values = model.rows[np.arange(rows) % len(model.rows)]
    if model.name != "mixed":
        return [("x", "FP32", values)]
    result: list[tuple[str, str, Array]] = []
    for name, (datatype, _) in _MIXED.items():
        array = (
            np.array([[f"{value:.3f}" for value in row] for row in values], np.object_)
            if datatype == "BYTES"
            else np.abs(10 * values).astype(datatypes.BY_NAME[datatype].dtype)
        )
        result.append((name, datatype, array))
    return result


def json_request(model: Model, row: int) -> bytes:
    """One row as a V2 JSON request, head and body."""
    values = [round(float(value), 6) for value in model.rows[row]]
    tensor = {"name": "x", "shape": [1, model.columns], "datatype": "FP32", "data": values}
    return post(model, orjson.dumps({"inputs": [tensor]}))


def binary_request(model: Model, row: int) -> bytes:
    """One row as a binary tensor that asks for a binary answer."""
    content = model.rows[row].tobytes()
    tensor = {
        "name": "x",
        "shape": [1, model.columns],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(content)},
    }
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    return post(model, head + content, b"Inference-Header-Content-Length: %d\r\n" % len(head))


def id_request(model: Model, row: int) -> bytes:
    """As `json_request`, with an id of its own in the body."""
    body = json_request(model, row % BODIES).partition(b"\r\n\r\n")[2]
    return post(model, b'{"id":"%08d",%b' % (row, body[1:]))


def behind_envoy(request: bytes, number: int) -> bytes:
    """The request as an Envoy gateway hands it on: headers more, four of which change with every request."""
    first, rest = request.split(b"\r\n", 1)
    added = (
        b"User-Agent: python-requests/2.32.3\r\nAccept: */*\r\n"
        b"X-Forwarded-For: 10.42.%d.%d\r\nX-Forwarded-Proto: http\r\n"
        b"X-Envoy-External-Address: 10.42.%d.%d\r\nX-Request-Id: %s\r\nX-Envoy-Expected-Rq-Timeout-Ms: 15000\r\n"
        b"Traceparent: 00-%032x-%016x-01"
    )
    client = (number // 256 % 256, number % 256)
    one = uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128)
    lines = added % (*client, *client, str(one).encode(), one.int, one.int >> 64)
    return b"%b\r\n%b\r\n%b" % (first, lines, rest)


def values(answer: bytes) -> Array:
    """The output values in an HTTP answer of either kind."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"Inference-Header-Content-Length: " not in head:
        return np.array(orjson.loads(body)["outputs"][0]["data"], np.float32)
    length = int(head.split(b"Inference-Header-Content-Length: ")[1].split(b"\r")[0])
    return np.frombuffer(body[length:], np.float32)


def post(model: Model, body: bytes, headers: bytes = b"") -> bytes:
    """An infer request, head and body."""
    return (
        b"POST /v2/models/%s/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%s"
        b"Content-Length: %d\r\n\r\n%s" % (model.name.encode(), headers, len(body), body)
    )


def _rounded(array: Array) -> Array:
    return array.round(6).astype(np.float32)


def _exported(estimator: Any) -> bytes:
    """The probabilities alone, as x -> probabilities."""
    exported = skl2onnx.to_onnx(
        estimator,
        initial_types=[("x", skl2onnx.common.data_types.FloatTensorType([None, 30]))],
        options={"zipmap": False},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    del exported.graph.output[0]
    return bytes(exported.SerializeToString())


def perceptron(sizes: tuple[int, ...] = (256, 512, 512, 10)) -> onnx.ModelProto:
    """Random weights, in fp32."""
    random, nodes, constants, value = np.random.default_rng(0), [], [], "x"
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        weights = random.standard_normal((inputs, outputs)).astype(np.float32) / np.float32(np.sqrt(inputs))
        constants += [
            numpy_helper.from_array(weights, f"w{layer}"),
            numpy_helper.from_array(np.zeros(outputs, np.float32), f"b{layer}"),
        ]
        last = layer == len(sizes) - 2
        target = "scores" if last else f"h{layer}"
        nodes.append(helper.make_node("Gemm", [value, f"w{layer}", f"b{layer}"], [target]))
        value = target
        if not last:
            value = f"r{layer}"
            nodes.append(helper.make_node("Relu", [target], [value]))
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", sizes[0]])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", sizes[-1]])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _quantized(model: onnx.ModelProto, rows: Array) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        original, optimised, target = (scratch / f"{part}.onnx" for part in ("original", "optimised", "quantized"))
        original.write_bytes(model.SerializeToString())
        quantize.optimise(original, optimised)
        calibration = quantize.measure(optimised, {"x": rows}, model=session.load(original).schema, scratch=scratch)
        quantize.apply(optimised, target, calibration, scratch=scratch)
        return target.read_bytes()
