"""The generated schema: bounded, described, small, and in agreement with the types it is made of."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from seatrial.api import crd, rules, schema, spec, status, values

MAX_BYTES = 200_000
ENUMS = [
    kind
    for module in (spec, status)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum) and kind is not enum.StrEnum
]


def walk(member: schema.Schema, path: str = "") -> Iterator[tuple[str, schema.Schema]]:
    """Every schema inside a schema, with its path as in rules."""
    yield path, member
    for name, inner in member.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}".lstrip("."))
    if "items" in member:
        yield from walk(member["items"], f"{path}[]")


NODES = dict(walk(schema.model_deployment()))
FIELDS = {path: node for path, node in NODES.items() if path.startswith(("spec", "status"))}


def bounded(node: dict[str, Any]) -> bool:
    if node.get("x-kubernetes-int-or-string"):
        return "type" not in node and node.keys() >= {"maxLength", "minimum", "maximum"}
    match node["type"]:
        case "string":
            return "enum" in node or node.get("format") == "date-time" or "maxLength" in node
        case "array":
            return "maxItems" in node and "x-kubernetes-list-type" in node
        case "integer":
            return "minimum" in node and "maximum" in node
        case "object" if "additionalProperties" in node:
            return "maxProperties" in node and bounded(node["additionalProperties"])
        case "object":
            return "properties" in node and "additionalProperties" not in node
    return node["type"] == "boolean"


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_is_described(path: str) -> None:
    assert FIELDS[path].get("description") or path.endswith("[]")


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_is_bounded(path: str) -> None:
    assert bounded(FIELDS[path]), FIELDS[path]


def test_nothing_unknown_is_preserved() -> None:
    assert "preserve-unknown-fields" not in json.dumps(crd.document())


def test_the_crd_fits_into_the_annotation_of_a_client_side_apply() -> None:
    assert len(json.dumps(crd.document())) < MAX_BYTES


def test_the_crd_is_the_same_on_every_call() -> None:
    assert json.dumps(crd.document()) == json.dumps(crd.document())


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_enum_values_are_camel_case(kind: type[enum.StrEnum]) -> None:
    """Kubernetes writes API in capitals, whatever stands before and after it. A duration is one of the values too."""
    assert [member for member in kind if not re.fullmatch(r"([A-Z][a-z0-9]+|API)+|[0-9]+h", member)] == []


def test_a_default_of_the_schema_is_the_default_of_the_type() -> None:
    """What the API server fills in, by its own algorithm, is what decoding fills in."""
    model = {"uri": "https://models.example.com/churn.onnx", "sha256": "0" * 64}
    filled = fill(NODES["spec"], {"model": dict(model)})
    decode = msgspec.convert(filled, spec.Spec, dec_hook=values.decode_hook)
    assert decode == spec.Spec(model=spec.Model(uri=model["uri"], sha256=model["sha256"]))
    assert "steps" not in filled["rollout"]
    assert "provider" not in filled["rollout"]["traffic"]  # an upgrade of the CRD must not choose for stored objects


def fill(node: dict[str, Any], value: Any) -> Any:
    """Structural defaulting: an absent member gets its default, then the members inside it."""
    if isinstance(value, list):
        return [fill(node["items"], item) for item in value]
    if not isinstance(value, dict):
        return value
    defaults = {name: member["default"] for name, member in node["properties"].items() if "default" in member}
    return {name: fill(node["properties"][name], inner) for name, inner in {**defaults, **value}.items()}


IN_LISTS = [path for path in FIELDS if path.startswith("spec") and "[]" in path]


def test_no_list_is_completed_by_the_api_server() -> None:
    """A three-way merge compares lists whole: a completed item would differ from what Git holds for ever."""
    assert "spec.rollout.steps[].minDuration" in IN_LISTS
    assert [path for path in IN_LISTS if "default" in FIELDS[path]] == []


def test_a_default_inside_a_list_is_told_in_its_description() -> None:
    told = {path: FIELDS[path]["description"] for path in IN_LISTS if not path.endswith("[]")}
    assert told["spec.rollout.steps[].minDuration"].endswith(" Default: 2m.")
    assert told["spec.rollout.steps[].pause"].endswith(" Default: false.")
    assert "Default:" not in told["spec.rollout.steps[].weight"]


def test_a_list_as_git_has_it_is_stored_as_it_is() -> None:
    steps = [{"weight": 10}, {"weight": 50, "minRequests": 500}]
    assert fill(NODES["spec.rollout"], {"steps": steps})["steps"] == steps


FORM = re.compile(r"(?:string\(self\)|self)\.matches\('(.*)'\)")


def takes(node: dict[str, Any], text: str) -> bool:
    """A text has the form that the field asks for; fields without a form ask for none."""
    found = (FORM.fullmatch(rule["rule"]) for rule in node.get("x-kubernetes-validations", ()))
    patterns = [one[1].replace("\\\\", "\\") for one in found if one is not None]
    return bool(patterns) and all(re.fullmatch(pattern, text) for pattern in patterns)


def test_no_pattern_is_left_to_the_api_servers_words() -> None:
    """It would quote the pattern. A pattern has a sentence beside it, which `base.form` takes."""
    assert [path for path, node in FIELDS.items() if "pattern" in node or "x-form" in node] == []
    said = {rule["message"] for node in FIELDS.values() for rule in node.get("x-kubernetes-validations", ())}
    assert [one for one in said if " must be of the form " in one] == []


WORDS = [path for path in FIELDS if FIELDS[path].get("x-kubernetes-int-or-string")]


def test_what_people_write_as_a_number_needs_no_quotes() -> None:
    """Every field whose text can be a bare number: YAML gives it as one unless it is quoted."""
    numbers = [
        path for path, node in FIELDS.items() if path.startswith("spec") and "enum" not in node and takes(node, "7")
    ]
    # In a pod template or a route a number is refused there as well.
    names = ("name", "Name", "namespace", "hostnames[]", "image", "key", "Key", "value", "values[]", "namespaces[]")
    assert [path for path in numbers if not path.endswith(names)] == WORDS


def test_status_has_one_default_and_its_members_none() -> None:
    assert [path for path in FIELDS if path.startswith("status") and "default" in FIELDS[path]] == ["status"]


def test_a_new_object_is_unknown_and_in_progress() -> None:
    first = msgspec.convert(schema.STATUS_DEFAULT, status.Status)
    assert first.observed_generation == -1
    assert {one.type: str(one.status) for one in first.conditions} == {
        "Ready": "Unknown",
        "Available": "False",
        "Reconciling": "True",
    }
    assert {one.reason for one in first.conditions} == {status.Reason.PENDING}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.message)
def test_a_rule_hangs_on_a_field_and_says_what_must_be(rule: rules.Rule) -> None:
    expressions = {one["message"]: one["rule"] for one in NODES[rule.field]["x-kubernetes-validations"]}
    assert rule.expression in expressions[rule.message]
    assert " must " in rule.message
    assert rule.message.startswith(rule.field)


class Vague(msgspec.Struct):
    """Has a field that the resource can't have."""

    share: float = 0.5


def test_a_type_without_a_place_in_the_resource_is_refused_with_its_path() -> None:
    with pytest.raises(TypeError, match=r"^vague\.share: FloatType"):
        schema.structure(Vague, path="vague", defaults=True)


# what people are told


def leaves(member: schema.Schema, path: str = "spec", *, required: bool = True) -> Iterator[tuple[str, bool, str]]:
    """Path, whether it has to be there, and description of everything that has a value of its own."""
    inside = member.get("items", member)
    if "properties" not in inside:
        yield path, required, member["description"]
    for name, inner in inside.get("properties", {}).items():
        yield from leaves(inner, f"{path}.{name}", required=name in inside.get("required", ()))


LEAVES = {path: (required, told) for path, required, told in leaves(NODES["spec"])}


@pytest.mark.parametrize("path", LEAVES)
def test_a_description_tells_what_happens_when_the_field_is_left_out(path: str) -> None:
    required, told = LEAVES[path]
    assert required or re.search("[Dd]efault|[Ll]eft out", told), told
