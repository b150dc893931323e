"""Names, units and cardinality of everything that `/metrics` shows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import prometheus_client
import pytest
from prometheus_client import parser
from tests.unit.server import test_attributions, test_feedback, test_telemetry

from seatrial_server.model import bins, schema
from seatrial_server.observe import drift, telemetry
from seatrial_server.prepare import profile

RESERVED = {"job", "instance", "namespace", "pod", "container", "node"}
"""Labels that Prometheus or its scrape configuration sets."""
KNOWN = {
    *("deployment", "deployment_namespace", "revision", "le"),
    *("transport", "outcome", "result", "instead_of", "reason", "code", "feature", "output", "bin"),
    *("model", "version", "precision", "sha256", "onnxruntime"),
    *("threads", "batching", "execution", "kernel"),
    *("candidate", "covered"),
    *("cohort", "answered_by", "event", "predicted", "actual"),
}


def page() -> str:
    """With more features than are counted, and with feedback."""
    rows = np.random.default_rng(0).standard_normal((100, 300)).astype(np.float32)
    texts = np.array([[str(number)] for number in range(100)], np.object_)
    tensors = (schema.TensorSpec("x", "FP32", (-1, 300)), schema.TensorSpec("t", "BYTES", (-1, 1)))
    model = schema.Schema(inputs=tensors, outputs=tensors)
    features = profile.features(schema.Card(), model, [rows, texts])
    outputs = profile.outputs(schema.Card(), model, [rows, texts])
    dtypes = [rows.dtype, texts.dtype]
    reference = bins.Profile(
        features=features,
        outputs=outputs,
        feature_shares=drift.shares(features, dtypes, [rows, texts]),
        output_shares=drift.shares(outputs, dtypes, [rows, texts]),
    )
    attributions = test_attributions.Process((1.0,) * 300).attributing
    attributions.follow(test_attributions.ON)
    observer = drift.Drift(
        reference, inputs=dtypes, outputs=dtypes, labels=test_telemetry.LABELS, attributing=attributions
    )
    counters = test_telemetry.counters()
    counters.relayed.follow("b2", 0.1)
    text = prometheus_client.generate_latest(telemetry.exposition(counters)).decode()
    collected = test_feedback.Pod(card=test_feedback.NAMED, model=test_feedback.SCORES)
    pairs = ",".join(f'{name}="{value}"' for name, value in test_telemetry.LABELS.items())
    return text + observer.exposition() + collected.own.exposition(pairs)


@pytest.fixture
def families() -> list[prometheus_client.Metric]:
    return list(parser.text_string_to_metric_families(page()))


def test_names_say_what_is_counted_and_in_which_unit(families: list[prometheus_client.Metric]) -> None:
    for family in families:
        assert family.name.startswith("seatrial_")
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram")
        units = {part for part in family.name.split("_") if part in ("ms", "milliseconds", "us", "percent", "kb")}
        assert not units, "only base units"
        if "duration" in family.name:
            assert family.name.endswith("_seconds")
        if family.type == "counter":
            assert {sample.name for sample in family.samples} == {f"{family.name}_total"}


def test_labels_are_known_and_none_is_prometheus_own(families: list[prometheus_client.Metric]) -> None:
    for family in families:
        for sample in family.samples:
            assert set(sample.labels) <= KNOWN, family.name
            assert not RESERVED & set(sample.labels)
            assert test_telemetry.LABELS.items() <= sample.labels.items()


def test_the_page_about_metrics_names_all_of_them_and_no_others(families: list[prometheus_client.Metric]) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "reference" / "metrics.md"
    of_the_server = page.read_text().partition("\n# Metrics of the operator")[0]
    documented = {
        name.removesuffix("_total") for name in re.findall(r"^\| `(seatrial_\w+)`", of_the_server, re.MULTILINE)
    }
    assert documented == {family.name for family in families}


def test_no_series_is_there_twice(families: list[prometheus_client.Metric]) -> None:
    series = [(sample.name, *sorted(sample.labels.items())) for family in families for sample in family.samples]
    assert len(series) == len(set(series))
    assert len({family.name for family in families}) == len(families)


def test_the_number_of_series_is_bounded_whatever_the_model(families: list[prometheus_client.Metric]) -> None:
    assert sum(len(family.samples) for family in families) < 2500
