"""The library's model as a graph: its exporter, called with the columns' types, and its outputs given one name each.

A classifier has `label` and `probabilities`, a regressor `prediction`. Nothing in the graph's bytes is random, so the
same model gives the same package. Whether the graph answers as the model does is for `comparing` to say.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from seatrial.packing import boosters, errors, layouts, originals, tables

Graph = Any
"""An onnx.ModelProto; onnx is imported when it is needed."""
LABEL, SCORES, NUMBER = "label", "probabilities", "prediction"
OPSET = {"": 17, "ai.onnx.ml": 3}


class Converted(msgspec.Struct, frozen=True):
    """A graph with its inputs. An output that it doesn't have is empty."""

    content: bytes
    layout: layouts.Layout
    label: str = ""
    scores: str = ""
    number: str = ""


def attempts(original: originals.Original, names: tuple[str, ...], table: tables.Table) -> Iterator[layouts.Layout]:
    """Ways to hand the columns over, the easiest for clients first; a later one is for answers that differ."""
    if original.library in boosters.LIBRARIES:
        yield layouts.together(names)
        return
    texts = any(table.columns[name].kind == "text" for name in names)
    if not texts and not _chooses_by_name(original.estimator):
        yield layouts.together(names)
        yield layouts.together(names, numbers="FP64")
        return
    numbers: tuple[layouts.Numbers, ...] = ("FP32", "INT64", "FP64")
    for kind in numbers:
        yield layouts.each(names, table.columns, numbers=kind)


def convert(original: originals.Original, layout: layouts.Layout) -> Converted:
    """The graph for this layout.

    Raises:
        CannotConvert: the exporter knows no such model; the message is the exporter's, with what can be done.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporters' own, about their own calls
            if original.library in boosters.LIBRARIES:
                graph = boosters.exported(original, layout)
            else:
                graph = _from_sklearn(original, layout)
    except errors.PackError:
        raise
    except Exception as error:  # exporters raise anything
        first = str(error).strip().partition("\n")[0]
        raise errors.CannotConvert(
            f"{type(original.estimator).__name__} cannot be converted: {type(error).__name__}: {first}: use a model "
            "that its exporter knows, or convert it yourself and pack the .onnx file"
        ) from error
    return _settled(graph, layout, original)


def _from_sklearn(original: originals.Original, layout: layouts.Layout) -> Graph:
    skl2onnx = errors.needed("skl2onnx", why="a scikit-learn model", install="'seatrial[pack]'")
    boosters.register(original.estimator)
    return skl2onnx.convert_sklearn(original.estimator, name="model", initial_types=_types(layout), target_opset=OPSET)


def _types(layout: layouts.Layout) -> list[tuple[str, Any]]:
    from skl2onnx.common import data_types

    kinds = {
        "FP32": data_types.FloatTensorType,
        "FP64": data_types.DoubleTensorType,
        "INT64": data_types.Int64TensorType,
        "BYTES": data_types.StringTensorType,
    }
    return [(one.name, kinds[one.datatype]([None, len(one.columns)])) for one in layout.inputs]


def _chooses_by_name(estimator: Any) -> bool:
    """Whether some step takes columns by their names, which one tensor for all doesn't have."""
    for _, step, *columns in getattr(estimator, "transformers_", []):
        chosen = columns[0] if columns else []
        if isinstance(chosen, str) or any(isinstance(one, str) for one in _listed(chosen)) or _chooses_by_name(step):
            return True
    inner = [step for _, step in getattr(estimator, "steps", [])]
    inner += [part for _, part in getattr(estimator, "transformer_list", [])]
    return any(_chooses_by_name(step) for step in inner)


def _listed(chosen: Any) -> list[Any]:
    return list(chosen) if isinstance(chosen, list | tuple) or hasattr(chosen, "__array__") else []


def _settled(graph: Graph, layout: layouts.Layout, original: originals.Original) -> Converted:
    """Outputs by name, maps of scores as tensors, one input where all are alike, and bytes that are always the same."""
    _unzip(graph.graph, len(original.classes))
    graph.graph.name, graph.doc_string, graph.graph.doc_string = "model", "", ""
    graph.opset_import.sort(key=lambda opset: opset.domain)  # exporters keep them in sets
    outputs = [output.name for output in graph.graph.output]
    wanted = (LABEL, SCORES) if original.task == "classification" else (NUMBER,)
    for name, new in zip(outputs, wanted, strict=False):
        _rename(graph.graph, name, new)
    if len(layout.inputs) > 1 and {one.datatype for one in layout.inputs} == {"FP32"}:
        layout = _join(graph.graph, layout)
    given = dict.fromkeys(wanted[: len(outputs)])
    return Converted(
        content=graph.SerializeToString(deterministic=True),
        layout=layout,
        label=LABEL if LABEL in given else "",
        scores=SCORES if SCORES in given else "",
        number=NUMBER if NUMBER in given else "",
    )


def _unzip(graph: Graph, classes: int) -> None:
    """The tensor that goes into a map of class to score takes the map's place: no client could read the map."""
    from onnx import TensorProto, helper

    for output in graph.output:
        node = next((node for node in graph.node if node.op_type == "ZipMap" and node.output[0] == output.name), None)
        if node is None:
            continue
        place = list(graph.node).index(node)
        scores = helper.make_node("Identity", [node.input[0]], [output.name], name=node.name)
        graph.node.remove(node)
        graph.node.insert(place, scores)
        output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [None, classes]))


def _rename(graph: Graph, old: str, new: str) -> None:
    """An output and whatever makes or reads it; a tensor inside that has the new name gets another."""
    if old == new:
        return
    mapping: Mapping[str, str] = {old: new, new: f"{new}_inside"}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [mapping.get(name, name) for name in names]
    for value in (*graph.output, *graph.value_info):
        value.name = mapping.get(value.name, value.name)


def _join(graph: Graph, layout: layouts.Layout) -> layouts.Layout:
    """One input for all columns of numbers, cut into the exporter's at once."""
    from onnx import TensorProto, helper

    columns = layout.columns
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(layouts.TOGETHER, TensorProto.FLOAT, [None, len(columns)]))
    sizes = helper.make_tensor("column_sizes", TensorProto.INT64, [len(columns)], [1] * len(columns))
    graph.initializer.append(sizes)
    cut = helper.make_node("Split", [layouts.TOGETHER, sizes.name], list(columns), name="columns", axis=1)
    graph.node.insert(0, cut)
    return layouts.together(columns)
