"""The model's card: valid CycloneDX 1.6, front matter that hubs read, and whatever people write into model.yaml."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import yaml
from cyclonedx import schema as cyclonedx_schema
from cyclonedx.validation import json as validation
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial_server.cards import cyclonedx, facts, markdown, recorded
from seatrial_server.host import config
from seatrial_server.model import manifest, schema
from seatrial_server.trial import report

MODEL = config.ModelRef(name="churn", version="7", uri="oci://r/churn:7", sha256="a" * 64)
VALIDATOR = validation.JsonStrictValidator(cyclonedx_schema.SchemaVersion.V1_6)
TENSORS = schema.Schema(
    inputs=(schema.TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
    outputs=(schema.TensorSpec(name="label", datatype="INT64", shape=(-1,)),),
)
WHOLE = """
task: classification
owner: Risk team
license: Apache-2.0
architecture: gradient boosting, 200 trees
rationale: the most accurate of five that answer within 1 ms
hyperparameters: {{depth: 6, rate: 0.1}}
intendedUse: Decide which applications need no second look.
outOfScope: [minors, companies]
limitations: Trained on one country.
ethics: [Age is used and may stand for others.]
provenance:
  data:
    - {{uri: "s3://datasets/loans 2026/train.parquet", sha256: "{}", rows: 120000, window: 2025-01..2026-09}}
    - {{uri: "https://data.example.com/more.csv", sha256: "{}", purpose: fine-tuning}}
  holdout: {{uri: holdout.parquet, sha256: "{}", dvc: {{md5: abc.dir, path: holdout.parquet}}}}
  code: {{uri: "git@git.example.com:risk/loans.git", revision: 3f1c2d4, dirty: true}}
  environment: {{python: 3.11.9, file: environment.txt, sha256: "{}"}}
  mlflow: {{run: 4a5b, uri: "models:/loans/7"}}
  parent: {{name: churn, version: "6", sha256: "{}"}}
""".format(*tuple(digit * 64 for digit in "12345"))
TRIAL = report.Report(
    outcome="Passed",
    reason="",
    message="3 tests passed, served as fp32",
    sha256="a" * 64,
    served_sha256="b" * 64,
    precision="fp32",
    quantization=manifest.QuantizationResult(
        mode="Auto", outcome="Applied", disagreement=0.001, rows=500, speedup1=1.5
    ),
    tests=(
        report.TestResult(
            name="equal | opportunity", outcome="Pass", metric="gap of accuracy", observed=0.02, bound=0.1, rows=900
        ),
    ),
    environment=manifest.Environment(onnxruntime="1.32.0", cpu_flags=()),
    evaluation=(
        report.Evaluation(name="holdout", metric="accuracy", value=0.91, low=0.9, high=0.92, rows=5000),
        report.Evaluation(
            name="weakest",
            metric="recall",
            value=0.8,
            low=0.7,
            high=0.9,
            rows=100,
            slice="region = north",
            baseline=0.7,
        ),
    ),
)


def known(text: str = WHOLE, *, trial: report.Report | None = TRIAL) -> facts.Facts:
    card = msgspec.convert(yaml.safe_load(text) or {}, schema.Card)
    return facts.of(MODEL, card, trial=trial, tensors=TENSORS)


def bom(of: facts.Facts) -> dict[str, Any]:
    """The inventory, which the standard's own schema takes."""
    text = cyclonedx.render(of).decode()
    assert VALIDATOR.validate_str(text) is None
    document: dict[str, Any] = json.loads(text)
    return document


def front_matter(of: facts.Facts) -> tuple[dict[str, Any], str]:
    _, front, body = markdown.render(of).decode().split("---\n", 2)
    return yaml.safe_load(front), body


def test_everything_that_is_known_is_in_the_inventory() -> None:
    document = bom(known())
    model = document["metadata"]["component"]
    assert (model["name"], model["version"], model["hashes"][0]["content"]) == ("churn", "7", "a" * 64)
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert model["pedigree"]["commits"] == [{"uid": "3f1c2d4", "url": "ssh://git@git.example.com/risk/loans.git"}]
    assert model["pedigree"]["ancestors"][0]["hashes"][0]["content"] == "5" * 64
    assert [one["hashes"][0]["content"][0] for one in document["components"]] == ["1", "2", "3"]
    card = model["modelCard"]
    assert card["modelParameters"]["datasets"] == [{"ref": "data-0"}, {"ref": "data-1"}, {"ref": "data-2"}]
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    assert metrics[0]["confidenceInterval"] == {"lowerBound": "0.9", "upperBound": "0.92"}
    assert metrics[1]["slice"] == "weakest: region = north"
    assert card["considerations"]["technicalLimitations"][1] == "Out of scope: minors"
    assert card["considerations"]["fairnessAssessments"][0]["groupAtRisk"] == "equal | opportunity"
    properties = {one["name"]: one["value"] for one in model["properties"]}
    assert properties["seatrial:parameter depth"] == "6"
    assert properties["seatrial:run uri"] == "models:/loans/7"
    assert properties["seatrial:environment sha256"] == "4" * 64
    assert "seatrial:not stated" not in properties


def test_the_front_matter_is_what_model_hubs_read() -> None:
    front, body = front_matter(known())
    assert (front["license"], front["library_name"], front["pipeline_tag"]) == (
        "apache-2.0",
        "onnx",
        "tabular-classification",
    )
    assert front["base_model"] == "churn"
    result = front["model-index"][0]["results"][0]
    assert (result["dataset"]["type"], result["metrics"][0]["value"]) == ("holdout", 0.91)
    assert "| owner | Risk team |" in body
    assert "3f1c2d4, with changes that are not in it" in body
    assert "equal \\| opportunity" in body, "a name is no column"
    assert "not stated" not in body.replace("| not stated |", "")


def test_what_nobody_says_is_said_to_be_not_stated() -> None:
    bare = known("", trial=None)
    assert {one["name"]: one["value"] for one in bom(bare)["metadata"]["component"]["properties"]} == {
        "seatrial:not stated": "owner, license, intendedUse, outOfScope, limitations, ethics, architecture, rationale, "
        "provenance.data, provenance.code"
    }
    front, body = front_matter(bare)
    assert front == {"library_name": "onnx", "tags": ["seatrial", "onnx"]}
    assert "## Limitations\n\nnot stated\n" in body


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("provenance: {data: s3://bucket/rows}", id="data as a text"),
        pytest.param("provenance: {data: {uri: null, sha256: not-a-digest}}", id="no digest"),
        pytest.param("provenance: {data: [1, null, [2]], code: main, environment: [a], model: 3}", id="other forms"),
        pytest.param('license: "Apache 2.0 (ours)"', id="a licence of their own"),
        pytest.param("provenance: {code: {uri: 'C:\\work dir\\ü', revision: 7}}", id="a path of Windows"),
        pytest.param("hyperparameters: {layers: [1, 2], nested: {a: .nan}}", id="nested parameters"),
    ],
)
def test_whatever_people_write_into_provenance_makes_a_valid_card(text: str) -> None:
    bom(known(text))
    front_matter(known(text))


@settings(max_examples=40, deadline=None)
@given(
    provenance=st.dictionaries(
        st.sampled_from(["data", "holdout", "code", "environment", "model", "mlflow", "parent"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["uri", "sha256", "revision", "dvc", "name"]), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    ),
    words=st.text(max_size=40),
)
def test_no_text_breaks_either_form(provenance: dict[str, Any], words: str) -> None:
    card = schema.Card(owner=words, limitations=(words, words), provenance=provenance)
    made = facts.of(MODEL, card, tensors=TENSORS)
    bom(made)
    front, _ = front_matter(made)
    assert front["library_name"] == "onnx"


def test_the_report_is_read_in_either_form_and_another_one_costs_only_the_numbers() -> None:
    plain = report.encode(TRIAL).decode()
    assert recorded.reported(f'{{"message": "a line of the log"}}\n{plain}\n') == TRIAL
    long = msgspec.structs.replace(
        TRIAL, tests=tuple(msgspec.structs.replace(TRIAL.tests[0], name=f"{number}" * 40) for number in range(600))
    )
    packed = report.encode(long).decode()
    assert packed.startswith("seatrial-report 1/")
    assert recorded.reported(packed) == long
    for broken in ("", "{}", "no report", "seatrial-report 1/1 x !!!"):
        assert recorded.reported(broken) is None
