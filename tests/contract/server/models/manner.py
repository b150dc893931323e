"""Graphs in the manner of exporters that are too large to run here: their names, layouts and shapes, small weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from tests.unit.server import graphs

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
Rows = dict[str, np.ndarray[Any, Any]]
Made = tuple[bytes, Rows]


def _weights(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def _rows(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


def _network(nodes: list[onnx.NodeProto], x: list[Any], y: list[Any], names: tuple[str, str], **weights: Any) -> bytes:
    made = graphs.model(nodes, inputs={names[0]: (FLOAT, x)}, outputs={names[1]: (FLOAT, y)}, constants=weights)
    content: bytes = made.SerializeToString()
    return content


def torch_image(*, dynamic: bool) -> Made:
    """torch.onnx.export of a small CNN: one image, or any number of any size."""
    nodes = [
        helper.make_node("Conv", ["input", "conv.weight", "conv.bias"], ["/conv/Conv_output_0"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["/conv/Conv_output_0"], ["/relu/Relu_output_0"]),
        helper.make_node("GlobalAveragePool", ["/relu/Relu_output_0"], ["/pool/Pool_output_0"]),
        helper.make_node("Flatten", ["/pool/Pool_output_0"], ["/Flatten_output_0"], axis=1),
        helper.make_node("Gemm", ["/Flatten_output_0", "fc.weight", "fc.bias"], ["output"], transB=1),
    ]
    weights = {
        "conv.weight": _weights(4, 3, 3, 3),
        "conv.bias": _weights(4),
        "fc.weight": _weights(5, 4),
        "fc.bias": _weights(5),
    }
    shapes: Any = (["batch_size", 3, "height", "width"], ["batch_size", 5]) if dynamic else ([1, 3, 16, 16], [1, 5])
    return _network(nodes, *shapes, ("input", "output"), **weights), {"input": _rows(40, 3, 16, 16)}


def torch_text() -> Made:
    """torch.onnx.export of a text classifier: ids and mask of any length."""
    nodes = [
        helper.make_node("Gather", ["embeddings", "input_ids"], ["words"]),
        helper.make_node("Unsqueeze", ["attention_mask", "last"], ["column"]),
        helper.make_node("Cast", ["column"], ["mask"], to=FLOAT),
        helper.make_node("Mul", ["words", "mask"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "one"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "classifier.weight"], ["logits"]),
    ]
    content = graphs.model(
        nodes,
        inputs={"input_ids": (INT64, ["batch", "sequence"]), "attention_mask": (INT64, ["batch", "sequence"])},
        outputs={"logits": (FLOAT, ["batch", 2])},
        constants={
            "embeddings": _weights(30, 8),
            "classifier.weight": _weights(8, 2),
            "last": np.array([-1]),
            "one": np.array([1]),
        },
    ).SerializeToString()
    ids = np.random.default_rng(0).integers(0, 30, (40, 12))
    return content, {"input_ids": ids, "attention_mask": (ids > 3).astype(np.int64)}


def torch_wave() -> Made:
    """torch.onnx.export of a module that takes one vector and no batch."""
    nodes = [helper.make_node("MatMul", ["wave", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["scores"], axis=0)]
    return _network(nodes, [512], [3], ("wave", "scores"), w=_weights(512, 3)), {"wave": _rows(40, 512)}


def tensorflow() -> Made:
    """tf2onnx: channels last, names with a colon."""
    nodes = [
        helper.make_node("Transpose", ["serving_default_x:0"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "kernel"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Transpose", ["r"], ["back"], perm=[0, 2, 3, 1]),
        helper.make_node("ReduceMean", ["back", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "dense"], ["StatefulPartitionedCall:0"]),
    ]
    names = "serving_default_x:0", "StatefulPartitionedCall:0"
    weights = {"kernel": _weights(4, 3, 3, 3), "dense": _weights(4, 6), "axes": np.array([1, 2])}
    return _network(nodes, ["unk__1", 8, 8, 3], ["unk__2", 6], names, **weights), {names[0]: _rows(40, 8, 8, 3)}


def paddle_text() -> Made:
    """paddle2onnx of a text recogniser: any number of strips of any width, as many steps as the width gives."""
    nodes = [
        helper.make_node("Conv", ["x", "conv2d_0.w_0"], ["c"], strides=[8, 4], pads=[0, 0, 0, 0]),
        helper.make_node("Squeeze", ["c", "height"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Softmax", ["t"], ["softmax_0.tmp_0"], axis=2),
    ]
    weights = {"conv2d_0.w_0": _weights(9, 3, 8, 4) / 10, "height": np.array([2])}
    shapes: Any = ["DynamicDimension.0", 3, 8, "DynamicDimension.1"], ["DynamicDimension.0", "DynamicDimension.2", 9]
    return _network(nodes, *shapes, ("x", "softmax_0.tmp_0"), **weights), {"x": _rows(40, 3, 8, 32)}


def paddle_boxes() -> Made:
    """paddle2onnx of a detector: one image and its scale, as many boxes as there are."""
    nodes = [
        helper.make_node("ReduceMax", ["image", "channels"], ["best"], keepdims=0),
        helper.make_node("Greater", ["best", "bar"], ["seen"]),
        helper.make_node("NonZero", ["seen"], ["places"]),
        helper.make_node("Transpose", ["places"], ["turned"], perm=[1, 0]),
        helper.make_node("Slice", ["turned", "from", "to", "columns"], ["corners"]),
        helper.make_node("Cast", ["corners"], ["numbers"], to=FLOAT),
        helper.make_node("Div", ["numbers", "scale_factor"], ["multiclass_nms3_0.tmp_0"]),
    ]
    content = graphs.model(
        nodes,
        inputs={"image": (FLOAT, [1, 3, 24, 24]), "scale_factor": (FLOAT, [1, 2])},
        outputs={"multiclass_nms3_0.tmp_0": (FLOAT, ["D", 2])},
        constants={
            "channels": np.array([1]),
            "bar": np.array(2, np.float32),
            "from": np.array([1]),
            "to": np.array([3]),
            "columns": np.array([1]),
        },
    ).SerializeToString()
    return content, {"image": _rows(40, 3, 24, 24), "scale_factor": np.full((40, 2), 0.5, np.float32)}


ALL = {
    "torch.onnx, static": lambda: torch_image(dynamic=False),
    "torch.onnx, dynamic axes": lambda: torch_image(dynamic=True),
    "torch.onnx, ids and mask": torch_text,
    "torch.onnx, no batch": torch_wave,
    "tf2onnx, channels last": tensorflow,
    "paddle2onnx, text recogniser": paddle_text,
    "paddle2onnx, detector": paddle_boxes,
}
