"""A V2 infer response to the arrays of its outputs: what the encoder does, the other way round. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from seatrial_server.host import errors
from seatrial_server.model import datatypes, schema, session
from seatrial_server.protocol import binary


def outputs(body: bytes, json_length: bytes | None, wanted: Sequence[schema.TensorSpec]) -> list[session.Array] | None:
    """Those that are wanted, in order; None for a response that lacks one or is none."""
    try:
        end = len(body) if json_length is None else binary.header_length(json_length, len(body))
        cursor = binary.Cursor(body, end)
        found = {output["name"]: _array(output, cursor) for output in msgspec.json.decode(body[:end])["outputs"]}
        return [found[spec.name] for spec in wanted]
    except (msgspec.MsgspecError, errors.RequestError, KeyError, TypeError, ValueError):
        return None


def _array(output: dict[str, Any], cursor: binary.Cursor) -> session.Array:
    datatype, shape = output["datatype"], tuple(output["shape"])
    size = output.get("parameters", {}).get("binary_data_size")
    if size is not None:
        spec = schema.TensorSpec(output["name"], datatype, shape)
        return binary.array(cursor.take(output["name"], size), spec).reshape(shape)
    dtype: Any = np.object_ if datatype == "BYTES" else datatypes.BY_NAME[datatype].dtype
    return np.array(output["data"], dtype).reshape(shape)
