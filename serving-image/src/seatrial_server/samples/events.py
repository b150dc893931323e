"""A sampled request as two CloudEvents 1.0: its request and its answer, as V2 documents, of KServe's types.

Columns that `model.yaml` marks `sensitive` leave the pod as the label of their bin, a decile of the reference; where a
bin stands for one value, or there are none, as null. Runs in a thread. Pure.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import orjson

from seatrial_server.engine import conversion
from seatrial_server.host import config
from seatrial_server.model import bins, schema, session
from seatrial_server.samples import sampler

CONTENT_TYPE = "application/cloudevents-batch+json"
REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"


class Masked(msgspec.Struct, frozen=True):
    """A column whose values stay in the pod. `bins`: of the reference, where they tell no value."""

    name: str
    column: int
    bins: bins.Bins | None


class Encoder:
    """For one model."""

    def __init__(
        self, settings: config.Config, model: schema.Schema, features: Sequence[schema.Feature], profile: bins.Profile
    ) -> None:
        self._model, self._reference = model, settings.model
        self._inputs = [conversion.Converter(spec) for spec in model.inputs]
        self._masked = masked(model, features, profile)
        place = [part for part in (settings.namespace, settings.deployment, settings.revision) if part]
        self._common = {
            "specversion": "1.0",
            "source": f"/{'/'.join(place) or settings.model.name}",
            "datacontenttype": "application/json",
            "inferenceservicename": settings.deployment or settings.model.name,
            "namespace": settings.namespace,
            "revision": settings.revision,
        }

    def encode(self, samples: Sequence[sampler.Sample]) -> bytes:
        """The batch, two events a sample."""
        return orjson.dumps([event for one in samples for event in self._events(one)], default=_plain)

    def _events(self, one: sampler.Sample) -> list[dict[str, Any]]:
        at = datetime.datetime.fromtimestamp(one.at, datetime.UTC).isoformat()
        common = {name: value for name, value in self._common.items() if value} | {"id": one.id, "time": at}
        hidden = sorted({column.name for columns in self._masked for column in columns})
        request: dict[str, Any] = {
            "id": one.id,
            "inputs": [
                _tensor(spec, shape, self._values(place, values, shape))
                for place, (spec, values, shape) in enumerate(
                    zip(self._model.inputs, one.values, one.shapes, strict=True)
                )
            ],
        }
        if hidden:
            request["parameters"] = {"masked": ",".join(hidden)}
        response: dict[str, Any] = {
            "id": one.id,
            "model_name": self._reference.name,
            "model_version": self._reference.version,
            "outputs": [
                _tensor(spec, array.shape, array.reshape(-1).tolist())
                for spec, array in zip(self._model.outputs, one.outputs, strict=True)
            ],
        }
        if one.degraded:
            response["parameters"] = {"degraded": one.degraded}
        return [{**common, "type": REQUEST, "data": request}, {**common, "type": RESPONSE, "data": response}]

    def _values(self, place: int, values: Any, shape: tuple[int, ...]) -> list[Any]:
        flat = values.reshape(-1) if isinstance(values, np.ndarray) else self._inputs[place].joined([values])
        columns = self._masked[place]
        if not columns:
            return list(flat.tolist())
        spec = self._model.inputs[place]
        width = math.prod(self._model.row_shape(spec)) if schema.FREE not in self._model.row_shape(spec) else 1
        rows = flat.reshape(-1, width)
        listed = rows.tolist()
        for column in columns:
            for row, label in zip(listed, _labels(column.bins, rows[:, column.column]), strict=True):
                row[column.column] = label
        return [value for row in listed for value in row]


def masked(model: schema.Schema, features: Sequence[schema.Feature], profile: bins.Profile) -> list[tuple[Masked, ...]]:
    """By input, its sensitive columns."""
    used: dict[str, int] = {}
    found: dict[str, list[Masked]] = {spec.name: [] for spec in model.inputs}
    places = {spec.name: place for place, spec in enumerate(model.inputs)}
    known = {(one.tensor, one.column): one for one in profile.features if one.edges}
    for feature in features:
        name = feature.input or model.inputs[0].name
        column = used[name] = used.get(name, -1) + 1
        if feature.sensitive:
            found[name].append(Masked(feature.name, column, known.get((places[name], column))))
    return [tuple(found[spec.name]) for spec in model.inputs]


def _labels(known: bins.Bins | None, values: session.Array) -> list[str | None]:
    if known is None:
        return [None] * len(values)
    numbers = values.astype(np.float64)
    edges = np.array(known.edges)
    codes = 1 + np.searchsorted(edges, numbers, side="right")
    codes[numbers == edges[-1]] -= 1  # the last bin is closed above
    codes[np.isnan(numbers)] = 0
    return [known.labels[code] for code in codes.tolist()]


def _tensor(spec: schema.TensorSpec, shape: Sequence[int], data: list[Any]) -> dict[str, Any]:
    return {"name": spec.name, "shape": list(shape), "datatype": spec.datatype, "data": data}


def _plain(value: Any) -> Any:
    """What JSON has no word for: bytes of a BYTES tensor that are no text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
