"""The OpenAPI document of a model: valid by the standard, and its example is a request that the server answers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jsonschema
import openapi_spec_validator
import pytest
from onnx import helper
from tests.contract.server import prepared, process
from tests.unit.server import graphs

from seatrial_server.model import datatypes, schema

PATH = "/v2/models/model"
FEATURES = (
    schema.Feature("age", range=(18, 120)),
    schema.Feature("income", range=(1, None)),
    schema.Feature("visits", range=(3, 9), policy="clip"),
    schema.Feature("plan", categories=(4, 5)),
)
MODELS = {
    **{
        f"echo {kind.name}": graphs.echo(helper.np_dtype_to_tensor_dtype(kind.dtype))
        for kind in datatypes.BY_NAME.values()
    },
    "several inputs": graphs.two_inputs(),
    "indices within a table": graphs.lookup(),
    "no answer for zero": graphs.logarithm(),
    "described": graphs.linear(),
}


def described(server: process.Server, path: str = f"{PATH}/openapi.json") -> Any:
    status, document = server.get(path)
    assert status == 200
    openapi_spec_validator.validate(document)
    return document


@pytest.mark.parametrize("name", MODELS)
def test_the_example_is_valid_and_is_answered(tmp_path: Path, name: str) -> None:
    card = schema.Card(features=FEATURES if name == "described" else ())
    with process.serving(*prepared.pod(tmp_path, MODELS[name], card=card)) as server:
        document = described(server)
        operation = document["paths"][f"{PATH}/infer"]["post"]
        kinds = operation["requestBody"]["content"]
        if "application/json" in kinds:
            example = kinds["application/json"]["example"]
            jsonschema.validate(example, {**document, "$ref": "#/components/schemas/Request"})
            status, answer = server.post(f"{PATH}/infer", example)
            jsonschema.validate(answer, {**document, "$ref": "#/components/schemas/Answer"})
        else:
            body = base64.b64decode(kinds["application/octet-stream"]["x-example-base64"])
            [length] = operation["parameters"]
            status, _ = server.post(f"{PATH}/infer", body, **{length["name"]: str(length["example"])})
        assert status == 200


def test_ranges_and_categories_are_in_the_document(tmp_path: Path) -> None:
    with process.serving(*prepared.pod(tmp_path, card=schema.Card(features=FEATURES))) as server:
        document = described(server)
        request = {**document, "$ref": "#/components/schemas/Request"}
        [_, rows] = document["components"]["schemas"]["Input0"]["properties"]["data"]["anyOf"]
        age, income, visits, plan = rows["items"]["prefixItems"]
        assert (age["title"], age["minimum"], age["maximum"]) == ("age", 18, 120)
        assert (income["minimum"], "maximum" in income) == (1, False)
        assert "minimum" not in visits, "what is clipped is no mistake"
        assert plan["enum"] == [4, 5]
        for row, status in (([20, 1, 0, 4], 200), ([2, 1, 0, 4], 400), ([20, 1, 0, 6], 400)):
            body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [row]}]}
            assert server.post(f"{PATH}/infer", body)[0] == status
            assert jsonschema.Draft202012Validator(request).is_valid(body) is (status == 200)


def test_it_is_there_under_the_version_and_for_no_other_model(tmp_path: Path) -> None:
    with process.serving(*prepared.pod(tmp_path)) as server:
        assert described(server, f"{PATH}/versions/3/openapi.json") == described(server)
        assert server.get("/v2/models/other/openapi.json")[0] == 404
        assert server.post(f"{PATH}/openapi.json", {})[0] == 405


def test_a_model_that_answers_nothing_is_described_without_an_example(tmp_path: Path) -> None:
    with process.serving(*prepared.pod(tmp_path, graphs.lookup(0))) as server:
        content = described(server)["paths"][f"{PATH}/infer"]["post"]["requestBody"]["content"]
    assert "example" not in content["application/json"]
