"""In which precision a model computes as it was exported: the type of most of its weights. Pure."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator

import onnx

from seatrial_server.host import config

_NAMES: dict[int, config.Precision] = {
    onnx.TensorProto.FLOAT: "fp32",
    onnx.TensorProto.FLOAT16: "fp16",
    onnx.TensorProto.DOUBLE: "fp64",
}


def of(graph: onnx.GraphProto) -> config.Precision:
    """fp32 where there are no weights of a floating type, as in trees."""
    elements: collections.Counter[config.Precision] = collections.Counter()
    for weights in _weights(graph):
        if weights.data_type in _NAMES:
            elements[_NAMES[weights.data_type]] += math.prod(weights.dims)
    return elements.most_common(1)[0][0] if elements else "fp32"


def _weights(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Initializers and constants, those of branches and loop bodies too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from _weights(attribute.g)
