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

from seatrial_server.host import errors
from seatrial_server.model import weights as weights_

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

    `weights`: where the initializers of a large model go instead of memory; the model refers to the file by its name.
    """
    split = weights is not None and path.stat().st_size > weights_.LARGE
    try:
        model = _parsed(path, weights if split else None)
    except Exception as error:  # protobuf's DecodeError, whose module ships no types
        bytearray(
            2 * path.stat().st_size
        )  # it stands for a lack of memory as well: MemoryError, if that is what it was
        raise _invalid("model.onnx is not an ONNX file") from error
    if not model.graph.output:
        raise _invalid("model.onnx holds no graph")
    check_domains(model)
    outside = check_external_data(model, path.parent, own=weights if split else None)
    embedded, size = bool(outside), sum(len(_data(tensor, path.parent)) for tensor in outside)
    if size >= onnx.checker.MAXIMUM_PROTOBUF:
        raise _invalid("the model and its external data together exceed 2 GiB")
    if weights is not None and outside and (split or size > weights_.LARGE):
        split = True
        _gather(model, folder=path.parent, weights=weights)
        outside = check_external_data(model, path.parent, own=weights)
    for tensor in outside:
        _embed(tensor, path.parent)
    return Graph(proto=model, embedded=embedded, split=split)


def _parsed(path: Path, weights: Path | None) -> onnx.ModelProto:
    if weights is None:
        return onnx.load(str(path), load_external_data=False)
    return onnx.load_from_string(b"".join(weights_.split(path, weights)))


def check_domains(model: onnx.ModelProto) -> None:
    """Every operator is built in or a function of the model itself."""
    own = {(function.domain, function.name) for function in model.functions}
    for node in nodes(model):
        if node.domain not in BUILT_IN_DOMAINS and (node.domain, node.op_type) not in own:
            raise _invalid(
                f"operator {node.op_type!r} is in the custom domain {node.domain!r}; only built-in operators are "
                "served: export with operators of ONNX, or with this one as a function of the model"
            )


def check_external_data(model: onnx.ModelProto, folder: Path, *, own: Path | None = None) -> list[onnx.TensorProto]:
    """The tensors with external data; refuses any that is not in a regular file inside the package.

    `own`: the file of weights that was written here, whose tensors are not among them.
    """
    found = []
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = _place(tensor).get("location", "")
        if own is not None and location == own.name:
            _data(tensor, own.parent)  # somebody may have called a file of his own so
            continue
        found.append(tensor)
        relative = PurePosixPath(location)
        file = folder / relative
        if not location or relative.is_absolute() or ".." in relative.parts or file.is_symlink() or not file.is_file():
            alone = [other.name for other in folder.iterdir()] == ["model.onnx"]
            how = ": pack both as .tar, the graph as model.onnx" if alone else ""
            raise _invalid(
                f"tensor {tensor.name!r} keeps its data in {location!r}, which is not a file of the package{how}"
            )
    return found


def _place(tensor: onnx.TensorProto) -> dict[str, str]:
    """Where its data is; of a key that comes twice the last counts, as for ONNX Runtime."""
    return {entry.key: entry.value for entry in tensor.external_data}


def _data(tensor: onnx.TensorProto, folder: Path) -> memoryview:
    """The mapped bytes of a tensor with external data, which was checked to be in a file of the package."""
    place = _place(tensor)
    location = place["location"]
    size = (folder / location).stat().st_size
    try:
        start = int(place.get("offset", 0))
        length = int(place.get("length", size - start))
    except ValueError as error:
        raise _invalid(f"tensor {tensor.name!r} has external data at no place of a file: {error}") from error
    if not 0 <= start <= start + length <= size:
        raise _invalid(
            f"tensor {tensor.name!r} has {length} bytes at {start} of {location!r}, which has only {size}: "
            "export both anew"
        )
    return np.memmap(folder / location, np.uint8, "r", start, length).data if length else memoryview(b"")


def _gather(model: onnx.ModelProto, *, folder: Path, weights: Path) -> None:
    """External data of the main graph's initializers moves to the file of weights, without being in memory."""
    with weights.open("ab") as file:
        for tensor in model.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL and _place(tensor)["location"] != weights.name:
                data = _data(tensor, folder)
                where = {"location": weights.name, "offset": weights_.append(data, file), "length": len(data)}
                del tensor.external_data[:]
                for key, value in where.items():
                    tensor.external_data.add(key=key, value=str(value))


def _embed(tensor: onnx.TensorProto, folder: Path) -> None:
    tensor.raw_data = bytes(_data(tensor, folder))
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


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
