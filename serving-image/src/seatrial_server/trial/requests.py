"""Bodies of V2 infer requests for the robustness test: rows like the reference, then damaged in every way. Pure."""

from __future__ import annotations

import json
import random
from typing import Any

from seatrial_server.model import datatypes, schema, session
from seatrial_server.model import rows as rows_

_JUNK: tuple[Any, ...] = (None, True, 0, -1, 2**40, 1.5, "", "x", [], [[]], {}, [None], {"x": 1})
_FIELDS = ("name", "shape", "datatype", "data", "parameters")
_WILD_FLOATS = (0, -0.0, 1e-40, 3.4e38, 3.5e38, -1e308, None, True, "1")
_WILD_TEXTS = ("", "\x00", "\u0394", "x" * 1000, None, 1)
_WILD_INTEGERS = (0, -1, 127, 128, 255, 256, 2**31, 2**63 - 1, 2**63, 2**64, 1.5, None, True)


class Maker:
    """Bodies in a fixed sequence per seed."""

    def __init__(self, card: schema.Card, model: schema.Schema, rows: dict[str, session.Array], *, seed: int) -> None:
        self._model, self._random = model, random.Random(seed)  # noqa: S311  # not for secrets
        self._rows = {name: array[:200] for name, array in rows.items()}
        described: dict[str, list[schema.Feature]] = {}
        for feature in card.features:
            described.setdefault(feature.input or model.inputs[0].name, []).append(feature)
        self._bounded = {
            name: [column for column, feature in enumerate(columns) if feature.range or feature.categories]
            for name, columns in described.items()
        }

    def body(self) -> bytes:
        """The next request."""
        document = {"inputs": self._inputs(), "id": str(self._random.randrange(10**6))}
        ways = (self._nothing, self._value, self._field, self._structure)
        self._random.choices(ways, weights=(2, 2, 1, 1))[0](document)
        body = json.dumps(document).encode()
        if self._random.random() < 0.1:  # not within the data: that would make values that nobody declared
            start = self._random.randrange(body.find(b'"data"') % len(body))
            body = body[:start] + self._random.randbytes(self._random.randrange(4)) + body[start + 1 :]
        return body

    def _inputs(self) -> list[dict[str, Any]]:
        count = rows_.together(self._model, self._random.choice((1, 1, 2, 8)))
        total = len(next(iter(self._rows.values())))
        chosen = [self._random.randrange(total) for _ in range(count)]
        feeds = rows_.one(self._model, {name: array[chosen] for name, array in self._rows.items()}, count)
        return [
            {
                "name": spec.name,
                "shape": list(feeds[spec.name].shape),
                "datatype": spec.datatype,
                "data": feeds[spec.name].tolist(),
            }
            for spec in self._model.inputs
        ]

    def _nothing(self, document: dict[str, Any]) -> None:
        """A good request."""

    def _value(self, document: dict[str, Any]) -> None:
        """One value of a described column becomes any other; elsewhere the type is wrong."""
        spec = self._random.choice(self._model.inputs)
        tensor = next(tensor for tensor in document["inputs"] if tensor["name"] == spec.name)
        columns = self._bounded.get(spec.name, [])
        if columns and len(spec.shape) == 2:
            self._random.choice(tensor["data"])[self._random.choice(columns)] = self._random.choice(_wild(spec))
        elif columns and len(spec.shape) == 1:
            place = self._random.choice(columns) if self._model.axis.kind == "none" else 0
            tensor["data"][place] = self._random.choice(_wild(spec))
        else:
            tensor["data"] = self._random.choice((None, "x", {}, [{}], [[None]]))

    def _field(self, document: dict[str, Any]) -> None:
        """One field of a tensor is junk or missing."""
        tensor, field = self._random.choice(document["inputs"]), self._random.choice(_FIELDS)
        if self._random.random() < 0.3:
            tensor.pop(field, None)
        else:
            tensor[field] = self._random.choice(_JUNK)

    def _structure(self, document: dict[str, Any]) -> None:
        """The request as a whole is not what it should be."""
        field = self._random.choice(("inputs", "outputs", "parameters", "id"))
        document[field] = self._random.choice((*_JUNK, document["inputs"] * 2, [{"name": "nothing"}]))


def _wild(spec: schema.TensorSpec) -> tuple[Any, ...]:
    if spec.datatype == "BYTES":
        return _WILD_TEXTS
    return _WILD_FLOATS if datatypes.BY_NAME[spec.datatype].floating else _WILD_INTEGERS
