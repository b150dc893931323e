"""What exporters leave in a graph that V2 can't carry, or that says more than its signature does. Runs in the sandbox.

scikit-learn's and CatBoost's exporters end a classifier with a ZipMap: a sequence of maps from class to probability,
which no tensor protocol carries. The tensor that goes into it is served in its place, under its name, and the classes
become labels.
Text normalisation asks for the locale en_US, which slim images lack; C.UTF-8 has the same letters.
Trees and imputers are made for missing values: inputs that reach nothing else may hold NaN without being told so.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import onnx
from onnx import TensorProto, helper

from seatrial_server.model import schema
from seatrial_server.prepare import tables

_TAKE_NAN = frozenset({"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "Imputer", "IsNaN"})
_PASS_ON = frozenset(
    {"Cast", "CastLike", "Concat", "FeatureVectorizer", "Identity", "ArrayFeatureExtractor", "Gather", "Slice", "Split"}
    | {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"}
)


class Adapted(msgspec.Struct, frozen=True):
    """`changed`: the graph isn't the exporter's any more. `unzipped` holds (output, its labels).

    `missing`: inputs that may have missing values. `tables`: see `schema.Schema`.
    """

    changed: bool
    unzipped: tuple[tuple[str, tuple[str | int, ...]], ...] = ()
    missing: tuple[str, ...] = ()
    tables: dict[str, int] = {}

    def described(self, card: schema.Card) -> schema.Card:
        """The card with what the exporter knew and the package doesn't say."""
        if len(self.unzipped) != 1:
            return card
        [(output, labels)] = self.unzipped
        names = card.outputs
        if not names.probabilities:
            names = msgspec.structs.replace(names, probabilities=output)
        return msgspec.structs.replace(card, outputs=names, labels=card.labels or labels)


def adapt(model: onnx.ModelProto) -> Adapted:
    """Change the graph into what will be served."""
    zipped = {node.output[0]: node for node in model.graph.node if node.op_type == "ZipMap"}
    unzipped = []
    for output in model.graph.output:
        node = zipped.get(output.name)
        if node is not None:
            unzipped.append((output.name, _serve_scores(model.graph, node, output)))
    relocated = [_use_neutral_locale(node) for node in model.graph.node if node.op_type == "StringNormalizer"]
    return Adapted(
        changed=bool(unzipped) or any(relocated),
        unzipped=tuple(unzipped),
        missing=tuple(_take_nan(model.graph)),
        tables=dict(tables.of(model.graph)),
    )


def _serve_scores(graph: onnx.GraphProto, node: onnx.NodeProto, output: onnx.ValueInfoProto) -> tuple[str | int, ...]:
    """Put an Identity in the ZipMap's place; ONNX Runtime takes it out when it loads the graph."""
    classes = next(iter(node.attribute)) if node.attribute else None
    labels: tuple[str | int, ...] = ()
    if classes is not None:
        labels = tuple(classes.ints) or tuple(text.decode(errors="replace") for text in classes.strings)
    place = list(graph.node).index(node)
    scores = helper.make_node("Identity", [node.input[0]], [output.name], name=node.name)
    graph.node.remove(node)
    graph.node.insert(place, scores)
    output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [None, len(labels) or None]))
    return labels


def _use_neutral_locale(node: onnx.NodeProto) -> bool:
    """Whether the node asked for en_US, which is also what it means by no locale."""
    named = [attribute for attribute in node.attribute if attribute.name == "locale"]
    if any(attribute.s not in (b"", b"en_US", b"en_US.UTF-8") for attribute in named):
        return False
    for attribute in named:
        node.attribute.remove(attribute)
    node.attribute.append(helper.make_attribute("locale", "C.UTF-8"))
    return True


def _take_nan(graph: onnx.GraphProto) -> Iterable[str]:
    """Inputs whose every way leads to an operator that is made for NaN."""
    constants = {tensor.name for tensor in graph.initializer}
    shown = {output.name for output in graph.output}
    takers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    for value in graph.input:
        if value.name not in constants and _all_take_nan(value.name, takers, shown):
            yield value.name


def _all_take_nan(name: str, takers: dict[str, list[onnx.NodeProto]], shown: set[str]) -> bool:
    waiting, seen = [name], {name}
    while waiting:
        current = waiting.pop()
        if current in shown or current not in takers:
            return False
        for node in takers[current]:
            if node.op_type in _TAKE_NAN:
                continue
            if node.op_type not in _PASS_ON or any(attribute.HasField("g") for attribute in node.attribute):
                return False
            fresh = set(node.output) - seen
            seen |= fresh
            waiting += fresh
    return True
