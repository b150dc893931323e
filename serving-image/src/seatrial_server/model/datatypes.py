"""The V2 datatypes this server speaks, each with its numpy type, its ONNX Runtime name and its JSON element type.

BF16 is missing on purpose: numpy has no such type, and a cast would not be the model's own answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
import numpy as np


class Datatype(msgspec.Struct, frozen=True):
    """One V2 datatype; `element` is None where JSON cannot carry it (FP16)."""

    name: str
    dtype: np.dtype[Any]
    onnx: str
    element: type | None
    floating: bool = False


_ALL = (
    Datatype("BOOL", np.dtype(np.bool_), "tensor(bool)", bool),
    Datatype("INT8", np.dtype("<i1"), "tensor(int8)", int),
    Datatype("INT16", np.dtype("<i2"), "tensor(int16)", int),
    Datatype("INT32", np.dtype("<i4"), "tensor(int32)", int),
    Datatype("INT64", np.dtype("<i8"), "tensor(int64)", int),
    Datatype("UINT8", np.dtype("<u1"), "tensor(uint8)", int),
    Datatype("UINT16", np.dtype("<u2"), "tensor(uint16)", int),
    Datatype("UINT32", np.dtype("<u4"), "tensor(uint32)", int),
    Datatype("UINT64", np.dtype("<u8"), "tensor(uint64)", int),
    Datatype("FP16", np.dtype("<f2"), "tensor(float16)", None, floating=True),
    Datatype("FP32", np.dtype("<f4"), "tensor(float)", float, floating=True),
    Datatype("FP64", np.dtype("<f8"), "tensor(double)", float, floating=True),
    Datatype("BYTES", np.dtype(np.object_), "tensor(string)", str),
)
BY_NAME = {datatype.name: datatype for datatype in _ALL}
BY_ONNX = {datatype.onnx: datatype for datatype in _ALL}


class Typed(Protocol):
    """Anything with a V2 datatype."""

    @property
    def datatype(self) -> str:
        """Its name."""


def dtypes(specs: Iterable[Typed]) -> list[np.dtype[Any]]:
    """The numpy types of tensors."""
    return [BY_NAME[spec.datatype].dtype for spec in specs]
