"""Tiny ONNX graphs, each for one behaviour of the server. Used by unit and contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSETS = (helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3))


def model(
    nodes: list[onnx.NodeProto],
    *,
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, tuple[int, list[Any]]],
    constants: dict[str, np.ndarray[Any, Any]] | None = None,
) -> onnx.ModelProto:
    """A graph from its parts; tensors are {name: (element type, shape)}."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=_OPSETS, ir_version=10)


def linear(columns: int = 4) -> bytes:
    """x [N, columns] FP32 -> y [N, 2] = (sum of x, -sum of x): every row's answer is known."""
    weights = np.stack([np.ones(columns), -np.ones(columns)], axis=1).astype(np.float32)
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        inputs={"x": (TensorProto.FLOAT, ["N", columns])},
        outputs={"y": (TensorProto.FLOAT, ["N", 2])},
        constants={"w": weights},
    ).SerializeToString()


def echo(kind: int, *, columns: int = 2) -> bytes:
    """x [N, columns] -> y, the same values, in any element type."""
    return model(
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs={"x": (kind, ["N", columns])},
        outputs={"y": (kind, ["N", columns])},
    ).SerializeToString()


def lookup(size: int = 10) -> bytes:
    """index [N] INT64 -> value [N] FP32; an index outside the table makes ONNX Runtime raise."""
    return model(
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        inputs={"index": (TensorProto.INT64, ["N"])},
        outputs={"value": (TensorProto.FLOAT, ["N"])},
        constants={"table": np.arange(size, dtype=np.float32)},
    ).SerializeToString()


def secretive(size: int = 10) -> bytes:
    """As `lookup`, but no look at the graph tells which indices fail."""
    return model(
        [
            helper.make_node("Mul", ["index", "one"], ["place"]),
            helper.make_node("Gather", ["table", "place"], ["value"]),
        ],
        inputs={"index": (TensorProto.INT64, ["N"])},
        outputs={"value": (TensorProto.FLOAT, ["N"])},
        constants={"table": np.arange(size, dtype=np.float32), "one": np.array(1, np.int64)},
    ).SerializeToString()


def logarithm() -> bytes:
    """x [N, 1] -> log(x): a negative x makes the model answer NaN."""
    return model(
        [helper.make_node("Log", ["x"], ["y"])],
        inputs={"x": (TensorProto.FLOAT, ["N", 1])},
        outputs={"y": (TensorProto.FLOAT, ["N", 1])},
    ).SerializeToString()


def two_inputs() -> bytes:
    """a [N, 1] FP32 and b [N, 1] INT64 -> sum [N, 1] FP32."""
    return model(
        [helper.make_node("Cast", ["b"], ["c"], to=TensorProto.FLOAT), helper.make_node("Add", ["a", "c"], ["sum"])],
        inputs={"a": (TensorProto.FLOAT, ["N", 1]), "b": (TensorProto.INT64, ["N", 1])},
        outputs={"sum": (TensorProto.FLOAT, ["N", 1])},
    ).SerializeToString()


def mean_removed() -> bytes:
    """x [N, 1] -> x minus the mean over all rows: the first dimension is free, but rows are not independent."""
    return model(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        inputs={"x": (TensorProto.FLOAT, ["N", 1])},
        outputs={"y": (TensorProto.FLOAT, ["N", 1])},
    ).SerializeToString()


def slow(iterations: int) -> bytes:
    """x [N, 4] -> y = x after `iterations` steps of a loop (about a microsecond each)."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Mul", ["value", "one"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, ["N", 4]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["N", 4]),
        ],
    )
    return model(
        [helper.make_node("Loop", ["steps", "yes", "x"], ["y"], body=body)],
        inputs={"x": (TensorProto.FLOAT, ["N", 4])},
        outputs={"y": (TensorProto.FLOAT, ["N", 4])},
        constants={
            "steps": np.array(iterations, np.int64),
            "yes": np.array(True),
            "one": np.ones(1, np.float32),
        },
    ).SerializeToString()


def perceptron(*, inputs: int = 64, hidden: int = 256, classes: int = 10, seed: int = 0) -> bytes:
    """x [N, inputs] -> scores [N, classes]: two Gemm layers with random weights, which int8 suits."""
    random = np.random.default_rng(seed)
    shapes = {"w1": (inputs, hidden), "b1": (hidden,), "w2": (hidden, classes), "b2": (classes,)}
    return model(
        [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "w2", "b2"], ["scores"]),
        ],
        inputs={"x": (TensorProto.FLOAT, ["N", inputs])},
        outputs={"scores": (TensorProto.FLOAT, ["N", classes])},
        constants={name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()},
    ).SerializeToString()
