"""The JSON Schema of a model's tensors, as they travel in a request or an answer: shapes, types, ranges, names. Pure.

For `openapi`, whose documents are made of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from seatrial_server.model import datatypes, schema

Document = dict[str, Any]
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def of_input(
    spec: schema.TensorSpec, model: schema.Schema, *, columns: Sequence[schema.Feature], nullable: bool
) -> Document:
    """One of the inputs of a request. `columns` describe it, where `nullable` null is no value."""
    if not in_json(spec):
        sized = {
            "type": "object",
            "required": ["binary_data_size"],
            "properties": {"binary_data_size": {"type": "integer"}},
        }
        return _tensor(spec, {"parameters": sized}, model)
    elements = [_element(spec, column, nullable=nullable) for column in columns] or [
        _element(spec, None, nullable=nullable)
    ]
    forms = [{"type": "array", "items": _any_of(elements), "description": "Row after row."}]
    if len(spec.shape) == 2 and columns:
        row = {"type": "array", "prefixItems": elements, "minItems": len(elements), "maxItems": len(elements)}
        forms.append({"type": "array", "items": row, "description": "An array for each row."})
    elif len(spec.shape) > 1:
        forms.append({"type": "array", "items": {"type": "array"}, "description": "Nested as its shape says."})
    return _tensor(spec, {"data": {"anyOf": forms}}, model)


def of_output(spec: schema.TensorSpec) -> Document:
    """One of the outputs of an answer."""
    data = {"data": {"type": "array", "items": _element(spec, None, nullable=False)}} if in_json(spec) else {}
    return {**_tensor(spec, data), "required": ["name", "shape", "datatype"]}


def _tensor(spec: schema.TensorSpec, values: Document, model: schema.Schema | None = None) -> Document:
    sizes: list[Document] = [
        {"type": "integer", "minimum": 1} if size == schema.FREE else {"const": size} for size in spec.shape
    ]
    for declared in model.sizes if model else ():
        if declared.input == spec.name:
            most = {} if declared.range[1] is None else {"maximum": declared.range[1]}
            sizes[declared.axis] = {"type": "integer", "minimum": declared.least, **most}
    shape: Document = {"type": "array", "minItems": len(sizes), "maxItems": len(sizes)}
    if sizes:
        shape["prefixItems"] = sizes
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", *values],
        "properties": {"name": {"const": spec.name}, "shape": shape, "datatype": {"const": spec.datatype}, **values},
    }


def _element(spec: schema.TensorSpec, column: schema.Feature | None, *, nullable: bool) -> Document:
    """One value; what is clipped or imputed is taken as well, so only refusals are bounds."""
    datatype = datatypes.BY_NAME[spec.datatype]
    kind = _TYPES[datatype.element or float]
    result: Document = {"type": [kind, "null"] if nullable else kind}
    if kind == "integer":
        limits = np.iinfo(datatype.dtype)
        result |= {"minimum": int(limits.min), "maximum": int(limits.max)}
    if column is None:
        return result
    result["title"] = column.name
    if column.policy != "reject":
        result["description"] = f"Must be {column.bound}, else it is {_DONE[column.policy]}."
    elif column.categories:
        result["enum"] = [*column.categories, *([None] if nullable else [])]
    elif column.range:
        ends = {"minimum": column.lowest, "maximum": column.highest}
        result |= {name: end for name, end in ends.items() if math.isfinite(end)}
    return result


_DONE = {"clip": "clipped", "impute": "replaced by a default"}


def _any_of(elements: Sequence[Document]) -> Document:
    """The schema of an array's elements whose columns differ."""
    plain = [{name: part for name, part in element.items() if name != "title"} for element in elements]
    distinct = list({orjson.dumps(element): element for element in plain}.values())
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def in_json(spec: schema.TensorSpec) -> bool:
    """Whether JSON can carry it."""
    return datatypes.BY_NAME[spec.datatype].element is not None
