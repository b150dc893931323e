"""The rows of an answer, rendered together and cut apart."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seatrial_server.model import schema
from seatrial_server.protocol.http import encode

NUMBERS = np.array([[1.5, -2.0], [0.25, 1e-7]], np.float32)
TEXTS = np.array([["],[", "two\nlines"], ['"', "\\n%b"]], np.object_)


@pytest.mark.parametrize(
    "outputs",
    [[("FP32", NUMBERS)], [("BYTES", TEXTS)], [("BYTES", TEXTS), ("FP32", NUMBERS)]],
    ids=["numbers", "texts", "both"],
)
def test_each_row_has_its_own_values_whatever_stands_in_them(outputs: list[tuple[str, np.ndarray]]) -> None:
    specs = tuple(schema.TensorSpec(f"],[\n{kind}", kind, (-1, 2)) for kind, _ in outputs)
    encoder = encode.Encoder(schema.Schema(inputs=(), outputs=specs), name="m", version="1")
    texts, parts = encoder.rows([array for _, array in outputs], as_binary=False)
    assert parts == []
    for row, text in enumerate(texts):
        found = json.loads(encoder.start + b'"id"' + text)["outputs"]
        assert [output["name"] for output in found] == [spec.name for spec in specs]
        assert [output["data"] for output in found] == [
            [pytest.approx(value) for value in array[row]] if kind == "FP32" else list(array[row])
            for kind, array in outputs
        ]
    assert len(texts) == 2
