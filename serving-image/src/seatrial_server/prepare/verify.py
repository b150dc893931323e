"""Look at an untrusted ONNX graph before anything runs it. Runs in the sandbox.

Refuses operators that need foreign libraries and tensor data outside of the package. Whether the graph makes sense is
for ONNX Runtime to say when it loads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np
import onnx
import onnx.external_data_helper

from seatrial_server.host import errors
from seatrial_server.prepare import split

BUILT_IN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operators that ONNX Runtime itself implements."""


class Graph(msgspec.Struct, frozen=True):
    """A checked model; `embedded` says that external data was pulled in, so the file on disk is not the whole of it."""

    proto: onnx.ModelProto
    embedded: bool
    split: bool = False
    """Large initializers are in the file of weights."""


def read(path: Path, *, weights: Path | None = None) -> Graph:
    """The checked model with its external data, if any, pulled in from the package's folder.

    `weights`: large initializers go to this file instead of memory, and the model refers to it by its name.
    """
    try:
        model = _parsed(path, weights)
    except Exception as error:  # protobuf's DecodeError, whose module ships no types
        bytearray(
            2 * path.stat().st_size
        )  # it stands for a lack of memory as well: MemoryError, if that is what it was
        raise _invalid("model.onnx is not an ONNX file") from error
    if not model.graph.output:
        raise _invalid("model.onnx holds no graph")
    check_domains(model)
    if not check_external_data(model, path.parent, own=weights.name if weights else ""):
        return Graph(proto=model, embedded=False, split=weights is not None)
    if weights is not None:
        return read(path)
    onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    return Graph(proto=_embedded(model), embedded=True)


def _parsed(path: Path, weights: Path | None) -> onnx.ModelProto:
    if weights is None:
        return onnx.load(str(path), load_external_data=False)
    pages = np.memmap(path, np.uint8, "r")
    with weights.open("wb") as file:
        return split.graph(pages.data, file, location=weights.name)


def check_domains(model: onnx.ModelProto) -> None:
    """Every operator is built in or a function of the model itself."""
    own = {(function.domain, function.name) for function in model.functions}
    for node in nodes(model):
        if node.domain not in BUILT_IN_DOMAINS and (node.domain, node.op_type) not in own:
            raise _invalid(
                f"operator {node.op_type!r} is in the custom domain {node.domain!r}; only built-in operators are "
                "served: export with operators of ONNX, or with this one as a function of the model"
            )


def check_external_data(model: onnx.ModelProto, folder: Path, *, own: str = "") -> bool:
    """Whether the model has external data; refuses any that is not a regular file inside the package."""
    found = False
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        if location == own != "":
            continue
        found = True
        relative = PurePosixPath(location)
        file = folder / relative
        if not location or relative.is_absolute() or ".." in relative.parts or file.is_symlink() or not file.is_file():
            alone = [other.name for other in folder.iterdir()] == ["model.onnx"]
            how = ": pack both as .tar, the graph as model.onnx" if alone else ""
            raise _invalid(
                f"tensor {tensor.name!r} keeps its data in {location!r}, which is not a file of the package{how}"
            )
    return found


def _embedded(model: onnx.ModelProto) -> onnx.ModelProto:
    if sum(len(tensor.raw_data) for tensor in _tensors(model)) >= onnx.checker.MAXIMUM_PROTOBUF:
        raise _invalid("the model and its external data together exceed 2 GiB")
    for tensor in _tensors(model):
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return model


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every graph nested in a node, of functions too."""
    waiting = [model.graph, *(graph for function in model.functions for graph in _subgraphs(function.node))]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting.extend(_subgraphs(graph.node))


def _subgraphs(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g
            yield from attribute.graphs


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for graph in _graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in _graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor"):
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)


def _invalid(message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", message)
