"""Frozen bins: how they are chosen, and that every row lands in the right one."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from prometheus_client import parser
from tests.unit.server import graphs

from seatrial.drift import columns as judged
from seatrial_server.engine import inference, jobs, validation
from seatrial_server.model import bins, features, schema, session
from seatrial_server.observe import drift
from seatrial_server.prepare import profile
from seatrial_server.trial import columns as reported

LABELS = {"deployment": "churn", "deployment_namespace": "shop", "revision": "abc"}
OUTSIDE = ("missing", "below", "above", "unseen", "other")
RANDOM = np.random.default_rng(0)


def model(datatype: str, columns: int = 1, *, answers: str = "FP32", scores: int = 1) -> schema.Schema:
    answer = schema.TensorSpec("y", answers, (-1, scores))
    return schema.Schema(inputs=(schema.TensorSpec("x", datatype, (-1, columns)),), outputs=(answer,))


def counted(chosen: tuple[bins.Bins, ...], rows: np.ndarray[Any, Any]) -> dict[str, int]:
    """Rows in the bins of the first column, without empty ones."""
    counts = drift.Counts(chosen, [rows.dtype])
    counts.add({0: rows})
    return {label: int(count) for label, count in zip(chosen[0].labels, counts.parts()[0], strict=True) if count}


def test_numbers_get_deciles_of_the_reference_and_bins_for_everything_else() -> None:
    reference = np.arange(1000, dtype=np.float32).reshape(-1, 1)
    frozen = profile.features(schema.Card(), model("FP32"), [reference])
    assert counted(frozen, reference) == {str(number): 100 for number in range(1, 11)}
    odd = np.array([[np.nan], [-0.5], [0], [999], [999.001], [np.inf]], np.float32)
    assert counted(frozen, odd) == {"missing": 1, "below": 1, "1": 1, "10": 1, "above": 2}


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
def test_the_reference_itself_is_never_outside(dtype: str) -> None:
    reference = (RANDOM.standard_normal((500, 1)) * 1000).astype(dtype)
    name = {"f4": "FP32", "f8": "FP64", "i8": "INT64"}[dtype]
    found = counted(profile.features(schema.Card(), model(name), [reference]), reference)
    assert set(found) == {str(number) for number in range(1, 11)}


def test_few_values_get_a_bin_each() -> None:
    frozen = profile.features(schema.Card(), model("FP32"), [np.array([[0], [1], [1]], np.float32)])
    assert counted(frozen, np.array([[1], [1], [0], [0.5]], np.float32)) == {"1": 2, "0": 1, "unseen": 1}


def test_strings_get_their_commonest_values_and_labels_never_clash() -> None:
    texts = np.array([[text] for text in ["missing", *(f"v{number}" for number in range(30)), "v3"]], np.object_)
    frozen = profile.features(schema.Card(), model("BYTES"), [texts])
    assert len(set(frozen[0].labels)) == len(frozen[0].labels) == 23
    found = counted(frozen, np.array([["v3"], [""], [None], ["new"], ["v29"], ["missing"]], np.object_))
    assert found == {"v3": 1, "missing": 2, "unseen": 1, "other": 1, "=missing": 1}


def test_features_are_bounded() -> None:
    rows = RANDOM.standard_normal((50, 200)).astype(np.float32)
    assert len(profile.features(schema.Card(), model("FP32", columns=200), [rows])) == profile.MAX_FEATURES


@pytest.mark.parametrize(
    ("datatype", "card", "answers", "labels"),
    [
        ("INT64", schema.Card(), [[2], [0]], ("0", "2")),
        ("INT64", schema.Card(labels=(0, 1, 2), outputs=schema.OutputNames(label="y")), [[2], [0]], ("0", "1", "2")),
        ("FP32", schema.Card(), [[0.2, 0.8], [0.5, 0.5]], tuple(str(number) for number in range(1, 11))),
    ],
    ids=["classes seen", "classes declared", "scores"],
)
def test_predictions_get_bins_by_their_kind(
    datatype: str, card: schema.Card, answers: list[list[float]], labels: tuple[str, ...]
) -> None:
    array = np.array(answers, {"INT64": "i8", "FP32": "f4"}[datatype])
    (one,) = profile.outputs(card, model("FP32", answers=datatype, scores=array.shape[1]), [array])
    assert tuple(label for label in one.labels if label not in OUTSIDE) == labels
    assert sum(counted((one,), array).values()) == 2


def test_what_was_observed_is_in_the_text_that_prometheus_parses() -> None:
    spec = model("FP32", columns=2)
    rows = RANDOM.standard_normal((400, 2)).astype(np.float32)
    card = schema.Card(features=(schema.Feature('a "quoted" name'), schema.Feature("b")))
    features = profile.features(card, spec, [rows])
    outputs = profile.outputs(card, spec, [rows[:, :1]])
    reference = bins.Profile(
        features=features,
        outputs=outputs,
        feature_shares=drift.shares(features, [rows.dtype], [rows]),
        output_shares=drift.shares(outputs, [rows.dtype], [rows[:, :1]]),
    )
    observer = drift.Drift(reference, inputs=[rows.dtype], outputs=[rows.dtype], labels=LABELS)
    before = {family.name: family for family in parser.text_string_to_metric_families(observer.exposition())}
    assert all(sample.value == 0 for sample in before["seatrial_feature_rows"].samples)
    for start in range(0, 400, 10):
        observer.observe([rows[start : start + 10]], [rows[start : start + 10, :1]])
    after = {family.name: family for family in parser.text_string_to_metric_families(observer.exposition())}
    assert len(after["seatrial_feature_rows"].samples) == len(before["seatrial_feature_rows"].samples) == 2 * 13
    for family, ratio, columns in (
        ("seatrial_feature_rows", "seatrial_feature_reference_ratio", 2),
        ("seatrial_prediction_rows", "seatrial_prediction_reference_ratio", 1),
    ):
        assert sum(sample.value for sample in after[family].samples) == 400 * columns
        shares = {tuple(sample.labels.items()): sample.value for sample in after[ratio].samples}
        assert {tuple(s.labels.items()): s.value / 400 for s in after[family].samples} == pytest.approx(shares)
        assert all(LABELS.items() <= sample.labels.items() for sample in after[family].samples)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([1000001.0, 1000002.0], id="large numbers"),
        pytest.param([0.1, 0.1 + 1e-9], id="close numbers"),
        pytest.param(["missing", "=missing", "==missing"], id="names of bins"),
    ],
)
def test_different_values_have_different_labels(values: list[Any]) -> None:
    one = bins.Bins(name="a", tensor=0, column=0, categories=tuple(values))
    assert len(set(one.labels)) == len(one.labels)


def test_a_model_with_many_outputs_has_bins_for_some_of_them() -> None:
    answers = tuple(schema.TensorSpec(f"y{number}", "FP32", (-1, 1)) for number in range(1500))
    spec = schema.Schema(inputs=(), outputs=answers)
    made = profile.outputs(schema.Card(), spec, [np.zeros((4, 1), np.float32)] * 1500)
    assert len(made) == profile.MAX_OUTPUTS


def observed(engine_columns: tuple[schema.Feature, ...] = ()) -> tuple[drift.Drift, inference.Engine]:
    """A model of four numbers with counters."""
    loaded = session.load(graphs.linear())
    rows = RANDOM.standard_normal((300, 4)).astype(np.float32)
    card = schema.Card(features=engine_columns)
    frozen = profile.features(card, loaded.schema, [rows])
    dtypes = [rows.dtype]
    reference = bins.Profile(features=frozen, feature_shares=drift.shares(frozen, dtypes, [rows]), feature_rows=300)
    observer = drift.Drift(reference, inputs=dtypes, outputs=dtypes, labels=LABELS)
    described = features.by_input(engine_columns, loaded.schema)
    return observer, inference.Engine(loaded, validation.guards(loaded.schema, described), observer=observer)


def series(observer: drift.Drift, name: str) -> dict[tuple[str, ...], float]:
    """Values by the labels that are not the deployment's; without zeros."""
    return {
        tuple(text for label, text in sample.labels.items() if label not in LABELS): sample.value
        for family in parser.text_string_to_metric_families(observer.exposition())
        for sample in family.samples
        if sample.name == name and sample.value
    }


def asked(values: Any, *, rows: int = 1, bundle: bool = False) -> jobs.Job:
    return jobs.Job(
        id="",
        values=[values],
        shapes=[(rows, 4)],
        rows=rows,
        reply=None,
        started=0.0,
        bundle=bundle,
        done=lambda _job, _result: None,
    )


def test_nothing_is_counted_or_shown_while_it_is_off_and_totals_go_on_from_there() -> None:
    observer, engine = observed()

    def serve() -> None:
        engine.execute([asked([1, 2, 3, 4])])

    serve()
    before = series(observer, "seatrial_feature_rows_total")
    observer.follow(drift.Settings(mode="Off"))
    serve()
    assert observer.exposition() == ""
    observer.follow(drift.Settings())
    assert series(observer, "seatrial_feature_rows_total") == before
    serve()
    assert set(series(observer, "seatrial_feature_rows_total").values()) == {2.0}


COLUMNS = (
    schema.Feature("age", range=(0, 120)),
    schema.Feature("region", categories=(1, 2, 3)),
    schema.Feature("income"),
    schema.Feature("debt"),
)


def test_rows_refused_for_a_value_are_counted_by_feature_and_code() -> None:
    observer, engine = observed(COLUMNS)
    batch = [
        asked([30, 1, 0, 0]),
        asked([130, 1, 0, 0]),
        asked([30, 9, 0, 0]),
        asked([30, 1, float("nan"), 0]),
        asked([30, 1, 0, float("inf")]),
        asked([30, 1, 0, 0, 200, 1, float("nan"), 0, 300, 1, 0, 0], rows=3),
    ]
    engine.execute(batch)
    assert series(observer, "seatrial_refused_rows_total") == {
        ("age", "OutOfRange"): 3,
        ("region", "UnknownCategory"): 1,
        ("income", "Missing"): 2,
        ("debt", "NotFinite"): 1,
    }
    assert sum(series(observer, "seatrial_feature_rows_total").values()) == 4


def test_every_reason_to_refuse_a_row_has_a_series_from_the_start() -> None:
    observer, _ = observed(COLUMNS)
    lines = [line for line in observer.exposition().splitlines() if line.startswith("seatrial_refused_rows_total{")]
    assert len(lines) == 3 * 3 + 4, "three numbers, and a category that may be unknown"
    assert all(line.endswith(" 0") for line in lines)


def test_a_bundle_that_comes_again_request_by_request_counts_once() -> None:
    observer, engine = observed()
    values = np.array([[1, 2, 3, 4], [1, 2, 3, np.nan]], np.float32)
    engine.execute([asked(values, rows=2, bundle=True)])
    assert not series(observer, "seatrial_refused_rows_total")
    engine.execute([asked(row) for row in values.tolist()])
    assert series(observer, "seatrial_refused_rows_total") == {("3", "Missing"): 1}


def test_reference_rows_are_told() -> None:
    observer, _ = observed()
    assert series(observer, "seatrial_feature_reference_rows") == {(): 300}


def test_the_reports_profile_is_what_drift_is_judged_by() -> None:
    rows = RANDOM.standard_normal((500, 2)).astype(np.float32)
    texts = np.array([[f"v{number % 3}"] for number in range(500)], np.object_)
    tensors = (schema.TensorSpec("x", "FP32", (-1, 2)), schema.TensorSpec("t", "BYTES", (-1, 1)))
    spec = schema.Schema(inputs=tensors, outputs=(schema.TensorSpec("y", "FP32", (-1, 1)),))
    features, dtypes = profile.features(schema.Card(), spec, [rows, texts]), [rows.dtype, texts.dtype]
    outputs = profile.outputs(schema.Card(), spec, [rows[:, :1]])
    told = reported.of(
        bins.Profile(
            features=features,
            outputs=outputs,
            feature_shares=drift.shares(features, dtypes, [rows, texts]),
            output_shares=drift.shares(outputs, dtypes, [rows[:, :1]]),
            feature_rows=500,
            output_rows=500,
        )
    )
    read = msgspec.json.decode(msgspec.json.encode(told), type=tuple[judged.Column, ...])
    for column in read:
        judged.check(column)
    assert [(column.name, column.kind.value, column.ordered) for column in read] == [
        ("x.0", "Feature", True),
        ("x.1", "Feature", True),
        ("t.0", "Feature", False),
        ("y", "Prediction", True),
    ]
