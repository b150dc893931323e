"""A graph that was given as such: its inputs matched with the columns of the data, its outputs told apart.

There is no library to compare with, so the graph's answers are taken for what they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.packing import conversion, errors, layouts

_DATATYPES: Mapping[str, str] = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}
_LABELS = frozenset({"tensor(int64)", "tensor(int32)", "tensor(string)", "tensor(bool)"})
_NUMBERS = frozenset({"tensor(float)", "tensor(double)"})


def read(content: bytes, names: Sequence[str]) -> conversion.Converted:
    """The graph with these columns of the data.

    Raises:
        BadInput: it isn't a graph, or the columns don't fit its inputs.
    """
    onnxruntime = errors.needed("onnxruntime", why="an .onnx model", install="'seatrial[pack]'")
    onnxruntime.set_default_logger_severity(3)
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no root
        raise errors.BadInput(f"ONNX Runtime cannot load the model: {str(error).partition(chr(10))[0]}") from error
    layout = _layout(session.get_inputs(), names)
    outputs = session.get_outputs()
    label = next((one.name for one in outputs if one.type in _LABELS), "")
    scores = next((one for one in outputs if one.type in _NUMBERS), None)
    if label:
        return conversion.Converted(content, layout, label=label, scores=scores.name if scores is not None else "")
    if scores is None:
        raise errors.BadInput(f"the model has no output of labels or numbers: {[one.type for one in outputs]}")
    if scores.shape[-1] == 1 or len(scores.shape) == 1:
        return conversion.Converted(content, layout, number=scores.name)
    return conversion.Converted(content, layout, scores=scores.name)


def _layout(inputs: Sequence[Any], names: Sequence[str]) -> layouts.Layout:
    for one in inputs:
        if one.type not in _DATATYPES or len(one.shape) not in (1, 2):
            raise errors.BadInput(
                f"input {one.name!r} is {one.type} {one.shape}, which no columns of a table are: write the package "
                "yourself, as docs/reference/model-package.md says"
            )
    if len(inputs) == 1:
        return _one(inputs[0], names)
    absent = [one.name for one in inputs if one.name not in names]
    if absent:
        raise errors.BadInput(f"the model has the inputs {errors.named(absent)}, the data no such columns: rename them")
    return layouts.Layout(
        tuple(layouts.Input(one.name, _DATATYPES[one.type], (one.name,), flat=len(one.shape) == 1) for one in inputs)
    )


def _one(one: Any, names: Sequence[str]) -> layouts.Layout:
    wide = one.shape[1] if len(one.shape) == 2 else 1
    if isinstance(wide, int) and wide != len(names):
        raise errors.BadInput(
            f"the model takes {wide} columns, the data has {len(names)} besides the target ({errors.named(names)}): "
            "name the model's with --features, in its order"
        )
    flat = len(one.shape) == 1
    return layouts.Layout((layouts.Input(one.name, _DATATYPES[one.type], tuple(names), flat=flat),))
