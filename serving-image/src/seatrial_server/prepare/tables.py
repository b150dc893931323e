"""Which integer inputs are places in a table, as token ids are in an embedding, and how many it has. Pure.

A place beyond the table makes ONNX Runtime fail, so it must be refused before: it is the client's mistake, and the rows
of its neighbours in a batch need not be run twice for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

_SAME = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""What leaves the values of its first input as they are, or moves them."""
_WHOLE = frozenset(
    {
        *(onnx.TensorProto.INT8, onnx.TensorProto.INT16, onnx.TensorProto.INT32, onnx.TensorProto.INT64),
        *(onnx.TensorProto.UINT8, onnx.TensorProto.UINT16, onnx.TensorProto.UINT32, onnx.TensorProto.UINT64),
    }
)


def of(graph: onnx.GraphProto) -> Mapping[str, int]:
    """Entries of the smallest table that an input picks from; negative places count from the table's end."""
    sizes = {weights.name: tuple(weights.dims) for weights in graph.initializer}
    sizes |= {
        node.output[0]: tuple(attribute.t.dims)
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    stands_for = {one.name: one.name for one in graph.input if one.type.tensor_type.elem_type in _WHOLE}
    found: dict[str, int] = {}
    for node in graph.node:  # in topological order, as every valid graph is
        if not node.input:
            continue
        if node.op_type in _SAME and node.input[0] in stands_for:
            stands_for[node.output[0]] = stands_for[node.input[0]]
        elif node.op_type == "Gather" and node.input[1] in stands_for and node.input[0] in sizes:
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
            entries, name = sizes[node.input[0]][axis], stands_for[node.input[1]]
            if entries:  # from an empty one nobody can pick: that is the model's fault
                found[name] = min(entries, found.get(name, entries))
    return found
