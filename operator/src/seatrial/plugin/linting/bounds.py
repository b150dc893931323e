"""A structural schema of Kubernetes without a cluster: what the API server refuses by it, and how it fills defaults.

`jsonschema` decides; here the schema is made strict (kubectl refuses unknown fields) and the findings become sentences.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import msgspec

from seatrial.api import schema as resource

Schema = dict[str, Any]

_KINDS = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
}
_SHOWN = 60
_CEL = 2**63  # no rule can be tried on a larger number


class Finding(msgspec.Struct, frozen=True):
    """What is wrong, at which place. `blocking`: the API server tries no rule on an object that has it."""

    path: str
    message: str
    blocking: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def findings(document: Any) -> list[Finding]:
    """Everything that breaks the schema, in the order of the document."""
    found = sorted(_validator().iter_errors(document), key=lambda error: [str(part) for part in error.absolute_path])
    return list(dict.fromkeys(finding for error in found for finding in _told(error)))


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = resource.model_deployment()
    schema["required"] = ["apiVersion", "kind", "metadata", *schema["required"]]
    metadata = schema["properties"]["metadata"]
    strict = _strict(schema)
    strict["properties"]["metadata"] = {**metadata, "required": ["name"]}  # the rest of it is not ours
    strict["properties"]["status"] = {"type": "object"}  # ignored: it is a resource of its own
    return jsonschema.Draft202012Validator(strict)


def _strict(schema: Schema) -> Schema:
    """Unknown fields are refused, and texts that may be numbers are both."""
    made: Schema = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes")}
    if "properties" in schema:
        made["properties"] = {name: _strict(member) for name, member in schema["properties"].items()}
        made["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _strict(schema["additionalProperties"])
    if "items" in schema:
        made["items"] = _strict(schema["items"])
    return made


def _told(error: jsonschema.ValidationError) -> Iterator[Finding]:
    path = path_of(error.absolute_path)
    value: Any = error.instance
    schema: Any = error.schema
    limit: Any = error.validator_value
    match error.validator:
        case "required":
            for name in limit:
                if name not in value:
                    yield Finding(f"{path}.{name}".lstrip("."), "is missing, it is required")
        case "additionalProperties":
            for name in sorted(set(value) - set(schema.get("properties", {}))):
                yield Finding(f"{path}.{name}".lstrip("."), f"is no field here{_near(name, schema['properties'])}")
        case "type":
            yield Finding(path, f"must be {_KINDS[limit]}, not {_shown(value)}")
        case "anyOf":
            yield Finding(path, f"must be text or a whole number, not {_shown(value)}")
        case "enum":
            hint = _near(str(value), limit)
            yield Finding(path, f"must be one of {', '.join(limit)}, not {_shown(value)}{hint}")
        case "minimum" | "maximum":
            side = "at least" if error.validator == "minimum" else "at most"
            yield Finding(path, f"must be {side} {limit}, not {value}", blocking=not -_CEL <= value < _CEL)
        case "minLength" | "maxLength":
            side = "at least" if error.validator == "minLength" else "at most"
            few = error.validator == "minLength"
            yield Finding(path, f"must have {side} {limit} characters, not {len(value)}", blocking=not few)
        case "minItems" | "maxItems" | "maxProperties":
            side = "at least" if error.validator == "minItems" else "at most"
            few = error.validator == "minItems"
            yield Finding(path, f"must have {side} {limit} entries, not {len(value)}", blocking=not few)
        case _:
            yield Finding(path, f"{_shown(value)} is not allowed: {error.message}")


def _near(name: str, known: Mapping[str, Any] | list[str]) -> str:
    lowered = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return f"; did you mean {lowered[near[0]]}?" if near else ""


def path_of(parts: Any) -> str:
    """As the API server writes it: spec.rollout.steps[0].weight."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def filled(schema: Schema, value: Any) -> Any:
    """The value with the schema's defaults, filled from the outside in, as the API server does before its rules."""
    if isinstance(value, dict) and "properties" in schema:
        # A null where there is a default counts as left out.
        given = {
            name: own
            for name, own in value.items()
            if own is not None or "default" not in schema["properties"].get(name, {})
        }
        for name, member in schema["properties"].items():
            if name not in given and "default" in member:
                given[name] = member["default"]
        return {name: filled(schema["properties"].get(name, {}), own) for name, own in given.items()}
    if isinstance(value, list) and "items" in schema:
        return [filled(schema["items"], one) for one in value]
    return value
