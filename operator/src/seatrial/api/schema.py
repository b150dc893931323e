"""The structural OpenAPI v3 schema of a ModelDeployment, made from the Structs in `spec` and `status`.

Descriptions come from `Meta` and class docstrings, bounds and defaults from the types, so that `kubectl explain`, the
API server and the operator can't disagree; `rules` adds what bounds can't say. Only the schema is made here, `crd` puts
the CRD around it.

A type's pattern becomes a rule with a sentence, the one beside it (`base.form`): the API server would quote the pattern
itself. Rules of the same field are not tried on a text that has not its form, so that there is one complaint at a time.

The API server fills defaults from the outside in, so an object whose members all have defaults gets `default: {}`.
Two places have none. Members of a list's items: a three-way merge (kubectl, Argo CD, Flux) compares lists whole, so an
item that the API server had completed would differ from Git for ever; the operator fills them when it decodes, and
their descriptions say so. And members of status: a field that the operator left out was not observed.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import msgspec.inspect

from . import API_VERSION, KIND, rules
from .base import FORM
from .spec import Spec
from .status import Status
from .values import Duration, Ratio, Word, encode_hook

Schema = dict[str, Any]

MAX_NAME = 46  # `<name>-<10 characters of revision>-trial` has to fit into a label, 63 characters
MAX_INTEGER = 2**53 - 1  # JSON numbers are exact up to here

_EPOCH = "1970-01-01T00:00:00Z"
_NEVER_SEEN = -1

# Without it kstatus (Flux, Helm) would call a new object Current until the operator first looks at it.
STATUS_DEFAULT: Schema = {
    "observedGeneration": _NEVER_SEEN,
    "conditions": [
        {
            "type": kind,
            "status": state,
            "reason": "Pending",
            "message": "Waiting for the operator.",
            "observedGeneration": _NEVER_SEEN,
            "lastTransitionTime": _EPOCH,
        }
        for kind, state in (("Ready", "Unknown"), ("Available", "False"), ("Reconciling", "True"))
    ],
}

_TEXTS: Mapping[type, Schema] = {
    Duration: {"type": "string", "maxLength": 28},
    Ratio: {"type": "string", "maxLength": 12},
}
_FORMS: Mapping[type, rules.Form] = {
    Duration: rules.Form.of(Duration.PATTERN, Duration.FORM),
    Ratio: rules.Form.of(Ratio.PATTERN, Ratio.FORM),
}


def model_deployment() -> Schema:
    """The schema of the whole object."""
    name = {"type": "string", "maxLength": MAX_NAME}
    status = structure(Status, path="status", defaults=False)
    return _with_rules(
        {
            "type": "object",
            "description": "A model, served, whose versions go on trial before they get all the traffic.",
            "required": ["spec"],
            "properties": {
                "apiVersion": {"type": "string", "description": f"Version of this schema, {API_VERSION}."},
                "kind": {"type": "string", "description": f"{KIND}."},
                "metadata": {"type": "object", "properties": {"name": name}},
                "spec": structure(Spec, path="spec", defaults=True),
                "status": {**status, "default": STATUS_DEFAULT},
            },
        },
        path="",
    )


def structure(kind: type[msgspec.Struct], *, path: str, defaults: bool) -> Schema:
    """The schema of a Struct at a path, rules included; with or without the members' defaults.

    Raises:
        TypeError: a member's type has no place in the resource, such as a float or a map without a bound.
    """
    return _schema(msgspec.inspect.type_info(kind), path=path, defaults=defaults)


def _schema(kind: msgspec.inspect.Type, *, path: str, defaults: bool) -> Schema:
    plain = _plain(kind, path=path, defaults=defaults)
    words = plain.pop(FORM, "")
    form = _form(kind, words) if path.startswith("spec") else None
    if form is not None and not words and "such as" not in plain.get("description", "such as"):
        # The form of a type of its own, for kubectl explain; where a pattern stands alone, its description tells.
        plain["description"] += f" {form.words[0].upper()}{form.words[1:]}."
    return _with_rules(plain, path=path, form=form)


def _plain(kind: msgspec.inspect.Type, *, path: str, defaults: bool) -> Schema:
    match kind:
        case msgspec.inspect.Metadata():
            return {**_plain(kind.type, path=path, defaults=defaults), **(kind.extra_json_schema or {})}
        case msgspec.inspect.UnionType() if len(kind.types) == 2 and kind.includes_none:
            (present,) = (one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType))
            return _plain(present, path=path, defaults=defaults)
        case msgspec.inspect.StructType():
            return _object(kind, path=path, defaults=defaults)
        case msgspec.inspect.VarTupleType():
            items = _schema(kind.item_type, path=f"{path}[]", defaults=False)
            bounds = _bounds(minItems=kind.min_length, maxItems=kind.max_length)
            return {"type": "array", "x-kubernetes-list-type": "atomic", **bounds, "items": items}
        case msgspec.inspect.DictType() if kind.max_length is not None:
            texts = _schema(kind.value_type, path=f"{path}{{}}", defaults=False)
            return {"type": "object", "maxProperties": kind.max_length, "additionalProperties": texts}
        case msgspec.inspect.StrType():
            return {"type": "string", **_bounds(minLength=kind.min_length, maxLength=kind.max_length)}
        case msgspec.inspect.IntType():
            top = MAX_INTEGER if kind.le is None else kind.le
            return {"type": "integer", "format": "int64", **_bounds(minimum=kind.ge, maximum=top)}
        case msgspec.inspect.EnumType():
            return {"type": "string", "enum": [member.value for member in kind.cls]}
        case msgspec.inspect.BoolType():
            return {"type": "boolean"}
        case msgspec.inspect.DateTimeType():
            return {"type": "string", "format": "date-time"}
        case msgspec.inspect.CustomType() if kind.cls in _TEXTS:
            return dict(_TEXTS[kind.cls])
        case msgspec.inspect.CustomType() if issubclass(kind.cls, Word):
            return _word(kind.cls)
    raise TypeError(f"{path}: {kind} can't be said in the schema; use a bounded type")


def _object(kind: msgspec.inspect.StructType, *, path: str, defaults: bool) -> Schema:
    schema: Schema = {"type": "object", "description": inspect.getdoc(kind.cls) or ""}
    if required := [field.encode_name for field in kind.fields if field.required]:
        schema["required"] = required
    schema["properties"] = {
        field.encode_name: _member(field, path=f"{path}.{field.encode_name}", defaults=defaults)
        for field in kind.fields
    }
    return schema


def _member(field: msgspec.inspect.Field, *, path: str, defaults: bool) -> Schema:
    schema = _schema(field.type, path=path, defaults=defaults)
    if not field.required and field.default is not None:
        default = sparse(field.default)
        if defaults:
            schema["default"] = default
        if path.startswith("spec.") and not isinstance(default, dict):
            schema["description"] = _told(schema["description"], default)
    first = ("description", "type", "format", "default")  # for readers: before an object's many members
    return {name: schema[name] for name in (*first, *schema) if name in schema}


def _told(description: str, default: Any) -> str:
    """With the default, where the description doesn't tell it in words of its own."""
    if re.search("[Dd]efault|[Ll]eft out", description):
        return description
    text = "none" if default == [] else json.dumps(default) if isinstance(default, bool | int) else default
    return f"{description} Default: {text}."


def sparse(value: Any) -> Any:
    """A value as JSON data without what it has by default: what a user would have to write."""
    if isinstance(value, tuple):
        return [sparse(item) for item in value]
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        pairs = ((field, getattr(value, field.name)) for field in fields)
        return {field.encode_name: sparse(own) for field, own in pairs if own != field.default}
    return msgspec.to_builtins(value, enc_hook=encode_hook)


def _with_rules(schema: Schema, *, path: str, form: rules.Form | None = None) -> Schema:
    own = [{"rule": _guarded(rule, form), "message": rule.message} for rule in rules.RULES if rule.field == path]
    if form is not None:
        own.insert(0, {"rule": form.holds, "message": f"{path} must be {form.words}"})
    return {**schema, "x-kubernetes-validations": own} if own else schema


def _guarded(rule: rules.Rule, form: rules.Form | None) -> str:
    return rule.expression if form is None else f"!({form.holds}) || ({rule.expression})"


def _form(kind: msgspec.inspect.Type, words: str) -> rules.Form | None:
    """What a text has to look like, where its type says so."""
    match kind:
        case msgspec.inspect.Metadata():
            return _form(kind.type, words)
        case msgspec.inspect.UnionType():
            return next((form for form in (_form(one, words) for one in kind.types) if form is not None), None)
        case msgspec.inspect.StrType() if kind.pattern is not None:
            return rules.Form.of(kind.pattern, words or f"of the form {kind.pattern}")
        case msgspec.inspect.CustomType() if kind.cls in _TEXTS:
            return _FORMS[kind.cls]
        case msgspec.inspect.CustomType() if issubclass(kind.cls, Word):
            return rules.Form.of(kind.cls.PATTERN, kind.cls.FORM, value="string(self)")
    return None


def _word(kind: type[Word]) -> Schema:
    """Text or a whole number; bounds of each say nothing about the other."""
    return {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "maxLength": kind.MAX_LENGTH,
        "minimum": 0,
        "maximum": kind.MAX_NUMBER,
    }


def _bounds(**limits: Any) -> Schema:
    return {name: limit for name, limit in limits.items() if limit is not None}
