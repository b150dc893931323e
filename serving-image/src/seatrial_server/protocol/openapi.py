"""An OpenAPI document of one model: its own inputs with their shapes, types and ranges, and a request that works. Pure.

OpenAPI 3.1, whose schemas are JSON Schema: client generators and portals read it. What JSON cannot carry (FP16) is
described as the binary form of the protocol.
"""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Mapping, Sequence

import msgspec
import orjson

from seatrial_server.model import schema, session
from seatrial_server.protocol import binary, documents, revision, tensor_schema
from seatrial_server.protocol.tensor_schema import Document, in_json

_LENGTH = "Inference-Header-Content-Length"
_REFUSALS = {
    "400": "The request does not fit the model, or a value is refused; counted as rejected.",
    "404": "There is no such model, or no such version where naming another one is refused.",
    "413": "The body is too large, or has too many rows.",
    "429": "Overloaded; Retry-After says when to come back.",
    "500": "The model failed.",
    "503": "The server is about to stop.",
    "504": "The model took too long.",
}


class Described(msgspec.Struct, frozen=True):
    """What is known of a model's tensors. `columns` are the described inputs; in `nullable` ones null is no value."""

    model: schema.Schema
    columns: Mapping[str, Sequence[schema.Feature]] = {}
    nullable: frozenset[str] = frozenset()


def document(own: documents.Identity, described: Described, example: Mapping[str, session.Array] | None) -> Document:
    """The whole document; without an example where none was found."""
    path = f"/v2/models/{urllib.parse.quote(own.model, safe='')}"
    model = described.model
    schemas: Document = {f"Input{number}": _input(spec, described) for number, spec in enumerate(model.inputs)}
    schemas |= {f"Output{number}": tensor_schema.of_output(spec) for number, spec in enumerate(model.outputs)}
    schemas |= {"Request": _request(model), "Answer": _answer(own, model), "Error": _ERROR}
    return {
        "openapi": "3.1.0",
        "info": {"title": own.model, "version": own.version, "description": "Open Inference Protocol V2, one model."},
        "paths": {
            f"{path}/infer": {"post": _infer(own, model, example)},
            path: {"get": _get("The model's inputs and outputs.", "metadata")},
            f"{path}/ready": {"get": _get("Whether the model answers.", "modelReady")},
            "/v2/health/live": {"get": _get("Whether the server runs.", "live")},
            "/v2/health/ready": {"get": _get("Whether the server answers.", "ready")},
        },
        "components": {"schemas": schemas, "headers": {revision.NAME: _REVISION}},
    }


def _input(spec: schema.TensorSpec, described: Described) -> Document:
    columns, nullable = described.columns.get(spec.name, ()), spec.name in described.nullable
    return tensor_schema.of_input(spec, described.model, columns=columns, nullable=nullable)


def request(model: schema.Schema, example: Mapping[str, session.Array]) -> tuple[bytes, bytes]:
    """An example as a body: its JSON, and the binary part for what JSON cannot carry."""
    inputs, parts = [], []
    for spec in model.inputs:
        array = example[spec.name]
        tensor: Document = {"name": spec.name, "shape": array.shape, "datatype": spec.datatype}
        if in_json(spec):
            tensor["data"] = array.reshape(-1).tolist()
        else:
            parts.append(binary.encoded(array, spec.datatype))
            tensor["parameters"] = {"binary_data_size": len(parts[-1])}
        inputs.append(tensor)
    body: Document = {"inputs": inputs}
    if not all(map(in_json, model.outputs)):
        body["outputs"] = [
            {"name": spec.name, "parameters": {"binary_data": not in_json(spec)}} for spec in model.outputs
        ]
    return orjson.dumps(body), b"".join(parts)


_ERROR: Document = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {
        "error": {"type": "string", "description": "What to change, for people."},
        "code": {"type": "string"},
        **{name: {"type": "string"} for name in ("id", "input", "feature", "reason", "bound")},
        "row": {"type": "integer"},
    },
}
_REVISION: Document = {"description": "Which revision answered.", "schema": {"type": "string"}}
_HEADERS: Document = {revision.NAME: {"$ref": f"#/components/headers/{revision.NAME}"}}
_BINARY: Document = {"type": "string", "format": "binary"}


def _infer(own: documents.Identity, model: schema.Schema, example: Mapping[str, session.Array] | None) -> Document:
    json_type: Document = {"schema": {"$ref": "#/components/schemas/Request"}}
    binary_type: Document = {"schema": _BINARY}
    length: Document = {
        "name": _LENGTH,
        "in": "header",
        "required": not all(map(in_json, model.inputs)),
        "description": "Bytes of the JSON part, where binary tensors follow it.",
        "schema": {"type": "integer"},
    }
    if example is not None:
        head, tail = request(model, example)
        if tail:
            binary_type["x-example-base64"] = base64.b64encode(head + tail).decode()
            length["example"] = len(head)
        else:
            json_type["example"] = orjson.loads(head)
    content = {"application/octet-stream": binary_type}
    if all(map(in_json, model.inputs)):
        content = {"application/json": json_type, **content}
    rows = f" Rows of different requests run together, {own.max_batch_size} at most." if own.max_batch_size else ""
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "operationId": "infer",
        "summary": "Ask the model.",
        "description": "Values outside of the given ranges are refused with 400." + rows,
        "parameters": [length],
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {
                "description": "The answer; binary where that was asked for.",
                "headers": {**_HEADERS, _LENGTH: {"schema": {"type": "integer"}}},
                "content": {**answer, "application/octet-stream": {"schema": _BINARY}},
            },
            **{
                status: {"description": text, "headers": _HEADERS, "content": refusal}
                for status, text in _REFUSALS.items()
            },
        },
    }


def _get(summary: str, name: str) -> Document:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": "Yes.", "headers": _HEADERS, "content": content}},
    }


def _request(model: schema.Schema) -> Document:
    wanted = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"enum": [spec.name for spec in model.outputs]},
            "parameters": {"type": "object", "properties": {"binary_data": {"type": "boolean"}}},
        },
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {
                "type": "object",
                "properties": {
                    "timeout": {"type": "integer", "minimum": 0, "description": "Microseconds."},
                    "binary_data_output": {"type": "boolean"},
                },
            },
            "inputs": _tensors("Input", len(model.inputs)),
            "outputs": {"type": "array", "items": wanted, "description": "All of them when left out."},
        },
    }


def _answer(own: documents.Identity, model: schema.Schema) -> Document:
    outputs = _tensors("Output", len(model.outputs))
    return {
        "type": "object",
        "required": ["model_name", "model_version", "id", "outputs"],
        "properties": {
            "model_name": {"const": own.model},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": {
                "type": "object",
                "properties": {
                    "degraded": {"type": "string", "description": "Why this is not the model's own answer."}
                },
            },
            "outputs": {**outputs, "minItems": 1},
        },
    }


def _tensors(kind: str, count: int) -> Document:
    of_each = [{"$ref": f"#/components/schemas/{kind}{number}"} for number in range(count)]
    items = of_each[0] if count == 1 else {"oneOf": of_each}
    return {"type": "array", "minItems": count, "maxItems": count, "items": items}
