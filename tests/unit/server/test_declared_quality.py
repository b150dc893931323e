"""tests.yaml on datasets: data, performance, regressions, fairness, and the stable version as the measure."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper
from tests.unit.server import graphs, prepared

from seatrial_server.artifact import datasets
from seatrial_server.host import config, errors
from seatrial_server.model import declared, schema, session
from seatrial_server.prepare import reference
from seatrial_server.trial import (
    baseline,
    data,
    fairness,
    limits,
    metrics,
    performance,
    report,
    shown,
    subject,
)

ROWS = np.random.default_rng(11).normal(0, 1, (4000, 2)).astype(np.float32)
RIGHT = (ROWS[:, 0] > 0).astype(np.int64)
FEATURES = (schema.Feature("income", range=(-10, 10)), schema.Feature("debt"))
CARD = schema.Card(task="classification", features=FEATURES, labels=(0, 1))


@functools.cache
def classifier(*, tilt: float = 0.0, name: str = "x") -> bytes:
    """[N, 2] -> label, probabilities: the sign of the first column, tilted by the second."""
    weights = np.array([[0, 4], [0, tilt]], np.float32)
    return graphs.model(
        [
            helper.make_node("MatMul", [name, "w"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        inputs={name: (TensorProto.FLOAT, ["N", 2])},
        outputs={"label": (TensorProto.INT64, ["N"]), "probabilities": (TensorProto.FLOAT, ["N", 2])},
        constants={"w": weights},
    ).SerializeToString()


def package(folder: Path, content: bytes = b"", **files: dict[str, Any]) -> Path:
    """A package with these files of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content or classifier())
    for name, arrays in files.items():
        np.savez(folder / f"{name}.npz", **arrays)
    return folder


def on(
    folder: Path,
    *,
    content: bytes = b"",
    card: schema.Card = CARD,
    stable: baseline.Baseline | None = None,
    **files: dict[str, Any],
) -> subject.Subject:
    """The model of the package as its tests meet it."""
    package(folder, content, **files)
    model = prepared.loaded(content or classifier())
    profile = reference.read(folder, card, model)
    made = prepared.described(content or classifier(), card=card, profile=profile)
    return subject.Subject(model, card, folder, made=made, fetched=folder, stable=stable)


def result(text: str, of: subject.Subject) -> report.TestResult:
    """The outcome of the only test in this tests.yaml."""
    tests = msgspec.convert(yaml.safe_load(text), declared.Tests)
    if tests.data:
        return data.evaluate(tests.data[0], of)
    if tests.performance:
        return performance.evaluate(tests.performance[0], of)[0]
    if tests.regressions:
        return performance.regression(tests.regressions[0], of)
    return fairness.evaluate(tests.fairness[0], of)[0]


HOLDOUT = {"x": ROWS, "label": RIGHT}


def test_what_a_gain_is_sure_to_be_follows_from_the_rows_that_differ() -> None:
    truth = np.ones(2000, np.int64)
    mine, theirs = np.ones(2000, np.int64), np.ones(2000, np.int64)
    theirs[:60], mine[60:100] = 0, 0
    candidate, stable = (
        metrics.measure("accuracy", metrics.Outcomes(classes=(0, 1), truth=truth, guess=guess))
        for guess in (mine, theirs)
    )
    gain, sure = limits.of_gain(candidate, stable)
    assert (round(gain, 6), round(sure.low, 6), round(sure.high, 6)) == (0.01, 0.001784, 0.018216)


@pytest.mark.parametrize("metric", ["auc", "balancedAccuracy", "f1", "recall", "logLoss", "brier"])
def test_the_limits_of_a_metric_are_those_that_drawing_the_rows_again_gives(metric: declared.Metric) -> None:
    random = np.random.default_rng(1)
    chance = np.clip(random.beta(2, 2, 3000), 0.01, 0.99)
    truth = (random.random(3000) < chance).astype(np.int64)
    whole = metrics.Outcomes(
        classes=(0, 1),
        truth=truth,
        guess=(chance > 0.6).astype(np.int64),
        scores=np.stack([1 - chance, chance], axis=1),
    )
    drawn = [metrics.measure(metric, whole.of(random.integers(0, 3000, 3000))).value for _ in range(300)]
    measured = metrics.measure(metric, whole)
    own = float(np.sqrt(np.mean(measured.influence**2) / 3000))
    assert own == pytest.approx(np.std(drawn), rel=0.2)
    assert abs(measured.influence.mean()) < 1e-9


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        pytest.param(RIGHT, 4000, id="integers"),
        pytest.param(RIGHT.astype(np.float64), 4000, id="floats"),
        pytest.param(RIGHT.astype(str), 4000, id="texts"),
        pytest.param(RIGHT.astype(np.float64).astype(str), 4000, id="floats as texts"),
        pytest.param(RIGHT.astype(bool), 4000, id="booleans"),
        pytest.param(RIGHT[:, None].astype(np.uint8), 4000, id="a column"),
        pytest.param(np.where(np.arange(4000) < 100, np.nan, RIGHT), 3900, id="NaN where nobody knows"),
        pytest.param(np.where(np.arange(4000) < 100, "", RIGHT.astype(str)), 3900, id="empty where nobody knows"),
    ],
)
def test_labels_are_read_as_peoples_tools_write_them(tmp_path: Path, labels: Any, rows: int) -> None:
    text = "performance: [{name: t, dataset: holdout, metric: accuracy, min: 0.99}]"
    found = result(text, on(tmp_path, holdout={"x": ROWS, "label": labels}))
    assert (found.outcome, found.observed, found.rows) == ("Pass", 1.0, rows)


@pytest.mark.parametrize(
    ("holdout", "words"),
    [
        pytest.param({"x": ROWS}, "must have an array 'label'", id="none"),
        pytest.param({"x": ROWS, "label": np.full(4000, np.nan)}, "no row has a label", id="all missing"),
        pytest.param({"x": ROWS, "label": np.full(4000, "secret")}, "no label is one of the model's", id="no class"),
        pytest.param({"x": ROWS, "label": RIGHT[:-1]}, "same number of rows", id="other length"),
        pytest.param({"x": np.full((3, 2), np.inf), "label": [0, 1, 1]}, "every row refused", id="all refused"),
        pytest.param({"x": ROWS.astype(object), "label": RIGHT}, "save texts as np.array", id="objects"),
        pytest.param({"x": np.full((2, 2), "secret"), "label": [0, 1]}, "not FP32: see rows 0, 1", id="texts"),
        pytest.param({"x": ROWS[:, :1], "label": RIGHT}, "has shape [4000, 1]", id="a column short"),
        pytest.param({"y": ROWS, "label": RIGHT}, "no array for the inputs ['x']", id="another input"),
    ],
)
def test_a_dataset_that_does_not_fit_is_refused_without_a_value_of_it(
    tmp_path: Path, holdout: dict[str, Any], words: str
) -> None:
    text = "performance: [{name: t, dataset: holdout, metric: accuracy, min: 0.9}]"
    with pytest.raises(errors.Rejected) as caught:
        result(text, on(tmp_path, holdout=holdout))
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"age,label\n3,1\n", "is no .npz file", id="CSV"),
        pytest.param(b"", "is no .npz file", id="empty"),
    ],
)
def test_other_files_are_no_datasets(tmp_path: Path, content: bytes, words: str) -> None:
    of = on(tmp_path)
    (tmp_path / "holdout.npz").write_bytes(content)
    with pytest.raises(errors.Rejected, match=words):
        of.dataset("holdout")


def test_of_a_long_dataset_evenly_spread_rows_are_used_and_named_by_their_own_number(tmp_path: Path) -> None:
    count = 2 * datasets.MAX_ROWS
    rows = np.zeros((count, 2), np.float32)
    rows[count // 2 :, 0] = np.nan
    found = result("data: [{name: t, dataset: holdout, accepted: 0.9}]", on(tmp_path, holdout={"x": rows}))
    assert (found.outcome, found.observed, found.rows) == ("Fail", 0.5, datasets.MAX_ROWS)
    assert (
        found.message
        == f"refused, by feature and reason: income Missing ({count // 4}); rows "
        + ", ".join(str(count // 2 + 2 * row) for row in range(5))
        + " and more"
    )


def test_a_class_that_the_model_lacks_is_one_that_it_cannot_get_right(tmp_path: Path) -> None:
    of = on(tmp_path, holdout={"x": ROWS, "label": np.where(np.arange(4000) % 10 == 0, 7, RIGHT)})
    found = result("performance: [{name: t, dataset: holdout, metric: accuracy, min: 0.95}]", of)
    assert (found.outcome, found.observed) == ("Fail", 0.9)
    assert found.message == "accuracy 0.9 of 4000 rows, at least 0.95 wanted"


def test_rows_that_the_server_refuses_are_no_right_answers(tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows[:400, 0] = 11
    of = on(tmp_path, holdout={"x": rows, "label": RIGHT})
    found = result("performance: [{name: t, dataset: holdout, metric: accuracy, min: 0.95}]", of)
    assert (found.outcome, found.observed) == ("Fail", 0.9)
    assert "400 rows are refused by model.yaml" in found.message


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("{feature: income, within: [-10, 10]}", "Pass"),
        ("{feature: income, within: [0, null]}", "Fail"),
        ("{feature: income, within: [0, null], minShare: 0.49}", "Pass"),
        ("{feature: age, within: [18, 99]}", "Pass"),
        ("{accepted: 1.0}", "Pass"),
        ("{against: reference, maxDistance: 0.1}", "Pass"),
        ("{parity: {maxDelta: 0.0001}}", "Pass"),
    ],
)
def test_data_must_be_as_declared(tmp_path: Path, text: str, outcome: str) -> None:
    answers = session.load(classifier()).run({"x": ROWS})[1]
    holdout = {**HOLDOUT, "age": np.full(4000, 40), "expected:probabilities": answers}
    reference = np.random.default_rng(12).normal(0, 1, (4000, 2)).astype(np.float32)
    of = on(tmp_path, reference={"x": reference}, holdout=holdout)
    test = {"name": "t", "dataset": "holdout", **yaml.safe_load(text)}
    assert result(yaml.safe_dump({"data": [test]}), of).outcome == outcome


def test_rows_from_elsewhere_are_told_by_the_feature_that_moved(tmp_path: Path) -> None:
    of = on(tmp_path, reference={"x": ROWS}, holdout={"x": ROWS + np.array([0, 1.0], np.float32)})
    found = result("data: [{name: t, dataset: holdout, against: reference}]", of)
    assert (found.outcome, found.metric) == ("Fail", "distance")
    assert found.message.startswith("unlike the reference: debt (")
    assert "income" not in found.message


def test_answers_unlike_those_of_the_training_are_found_by_row(tmp_path: Path) -> None:
    answers = session.load(classifier()).run({"x": ROWS})[1]
    answers[[3, 70]] += 0.01
    of = on(tmp_path, holdout={"x": ROWS, "expected:probabilities": answers})
    found = result("data: [{name: t, dataset: holdout, parity: {}}]", of)
    assert (found.outcome, found.message) == ("Fail", "answered otherwise: rows 3, 70")


def test_of_an_int8_model_the_graph_that_was_converted_is_asked_as_its_own_loss_has_another_bound(
    tmp_path: Path,
) -> None:
    answers = session.load(classifier()).run({"x": ROWS})[1]
    folder = package(tmp_path, holdout={"x": ROWS, "expected:probabilities": answers})
    derived = prepared.loaded(classifier(tilt=3))

    def asked(precision: config.Precision) -> str:
        made = msgspec.structs.replace(prepared.described(classifier()), precision=precision)
        of = subject.Subject(derived, CARD, folder, made=made, scratch=tmp_path / "scratch")
        return result("data: [{name: t, dataset: holdout, parity: {}}]", of).outcome

    assert (asked("int8-static"), asked("fp32")) == ("Pass", "Fail")


def test_rows_once_wrong_must_be_right(tmp_path: Path) -> None:
    wrong = RIGHT.copy()
    wrong[5] = 1 - wrong[5]
    text = "regressions: [{name: incidents}]"
    assert result(text, on(tmp_path / "a", regressions=HOLDOUT)).outcome == "Pass"
    found = result(text, on(tmp_path / "b", regressions={"x": ROWS, "label": wrong}))
    assert (found.outcome, found.message) == ("Fail", "wrong again: rows 5")


def test_a_group_fails_only_when_it_is_proven(tmp_path: Path) -> None:
    region = np.array(["north", "south"])[np.arange(4000) % 2]
    labels = np.where((region == "south") & (np.arange(4000) % 20 == 1), 1 - RIGHT, RIGHT)  # a tenth of the south
    of = on(tmp_path, holdout={"x": ROWS, "label": labels, "region": region})
    text = "performance: [{name: t, dataset: holdout, metric: accuracy, by: region, min: %s}]"
    found = result(text % 0.95, of)
    assert (found.outcome, found.rows, found.observed) == ("Fail", 2000, 0.9)
    assert "with region = south, the worst of 2 groups" in found.message
    assert result(text % 0.905, of).outcome == "Pass"


def test_groups_that_differ_by_more_than_the_gap_are_unfair_once_proven(tmp_path: Path) -> None:
    sex = np.array(["f", "m"])[np.arange(4000) % 2]
    rows = ROWS.copy()
    rows[(sex == "f") & (np.arange(4000) % 8 == 0), 0] = -1  # a quarter of the women is never selected
    holdout = {"x": rows, "label": RIGHT, "sex": sex}
    text = "fairness: [{name: t, dataset: holdout, by: sex, metric: truePositiveRate, maxGap: %s, minRows: 50}]"
    found = result(text % 0.1, on(tmp_path, holdout=holdout))
    assert found.outcome == "Fail"
    assert "with sex = f" in found.message
    assert result(text % 0.3, on(tmp_path, holdout=holdout)).outcome == "Pass"
    assert limits.apart((20, 20), (15, 20)).high > -0.1, "a quarter of twenty rows proves nothing"


def test_a_value_that_few_rows_have_is_not_named(tmp_path: Path) -> None:
    name = np.where(np.arange(4000) < 3, "Ann", "other")
    labels = np.where(name == "Ann", 1 - RIGHT, RIGHT)
    of = on(tmp_path, holdout={"x": ROWS, "label": labels, "name": name})
    found = result("performance: [{name: t, dataset: holdout, metric: accuracy, by: name, min: 0.9, minRows: 3}]", of)
    assert found.outcome == "Fail"
    assert "Ann" not in found.message


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("{metric: auc, min: 0.5}", "auc needs rows with the label and rows without"),
        ("{metric: recall, min: 0.5, label: 9}", "label is none of the model's classes"),
        ("{metric: mae, max: 1}", "mae is of models that answer numbers"),
        ("{metric: accuracy, max: 1}", "more is better"),
        ("{metric: brier, min: 1}", "less is better"),
        ("{metric: accuracy}", "exactly one of min, max"),
        ("{metric: accuracy, maxDrop: 0.1}", "go with against: Stable"),
        ("{metric: accuracy, min: 0.1, by: nobody}", "there is no feature 'nobody'"),
        ("{metric: accuracy, min: 0.1, by: income}", "more than 50 values"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(tmp_path: Path, test: str, words: str) -> None:
    rows = ROWS[RIGHT == 1]
    of = on(tmp_path, holdout={"x": rows, "label": np.ones(len(rows))})
    whole = {"name": "t", "dataset": "holdout", **yaml.safe_load(test)}
    with pytest.raises(errors.Rejected, match=words):
        result(yaml.safe_dump({"performance": [whole]}), of)


AGAINST = "performance: [{name: t, dataset: holdout, metric: %s, against: Stable, %s}]"


def stable(folder: Path, content: bytes, **known: Any) -> baseline.Baseline:
    package(folder / "stable", content)
    told = baseline.Known(**{"version": "7", "sha256": "7" * 64, **known})
    made = prepared.described(classifier())
    return baseline.of(told, made, folder, folder / "scratch")


@pytest.mark.parametrize(
    ("tilt", "rows", "bound", "outcome", "words"),
    [
        pytest.param(3.0, 4000, "maxDrop: 0.01", "Pass", "", id="better"),
        pytest.param(0.0001, 4000, "maxDrop: 0.01", "Pass", "", id="alike"),
        pytest.param(0.0001, 1, "maxDrop: 0.01", "Fail", "TooFewRows", id="one row"),
        pytest.param(0.0001, 100, "maxDrop: 0.01", "Fail", "TooFewRows", id="a hundred rows"),
        pytest.param(3.0, 4000, "minGain: 0.1", "Pass", "", id="better by so much"),
        pytest.param(0.0001, 4000, "minGain: 0.1", "Fail", "at least 0.1 wanted", id="no better"),
    ],
)
def test_the_candidate_is_measured_by_the_stable_version_on_the_same_rows(
    tmp_path: Path, tilt: float, rows: int, bound: str, outcome: str, words: str
) -> None:
    holdout = {"x": ROWS[:rows], "label": RIGHT[:rows]}
    of = on(tmp_path, holdout=holdout, stable=stable(tmp_path, classifier(tilt=tilt)))
    found = result(AGAINST % ("accuracy", bound), of)
    assert (found.outcome, found.against) == (outcome, "Stable")
    assert words in found.message


@pytest.mark.parametrize("metric", ["accuracy", "auc", "logLoss", "f1"])
def test_a_candidate_that_is_worse_than_stable_fails_by_any_metric(tmp_path: Path, metric: str) -> None:
    of = on(tmp_path, content=classifier(tilt=3.0), holdout=HOLDOUT, stable=stable(tmp_path, classifier()))
    found = result(AGAINST % (metric, "maxDrop: 0.01"), of)
    assert found.outcome == "Fail"
    assert "TooFewRows" not in found.message
    assert "of the stable version 7" in found.message


def test_a_model_is_never_compared_with_itself(tmp_path: Path) -> None:
    same = stable(tmp_path, classifier(), sha256=prepared.described(classifier()).sha256)
    found = result(AGAINST % ("accuracy", "maxDrop: 0.01"), on(tmp_path, holdout=HOLDOUT, stable=same))
    assert (found.outcome, found.message) == ("Skipped", "the stable version has the same bytes")


def test_the_first_version_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    found = result(AGAINST % ("accuracy", "minGain: 0.5"), on(tmp_path, holdout=HOLDOUT))
    assert (found.outcome, found.message) == ("Skipped", "there is no stable version yet")


@pytest.mark.parametrize(
    ("content", "known", "words"),
    [
        pytest.param(b"", {"refusal": "404 Not Found"}, "404 Not Found", id="gone from its store"),
        pytest.param(classifier(name="z"), {}, r"no array for the inputs \['z'\]", id="other inputs"),
        pytest.param(graphs.linear(), {}, "has shape", id="other columns"),
        pytest.param(b"junk", {}, "not an ONNX file", id="no model"),
    ],
)
def test_a_stable_version_that_cannot_be_compared_with_is_told_apart_from_a_failed_test(
    tmp_path: Path, content: bytes, known: dict[str, Any], words: str
) -> None:
    of = on(tmp_path, holdout=HOLDOUT, stable=stable(tmp_path, content or classifier(), **known))
    with pytest.raises(errors.Rejected, match=words) as caught:
        result(AGAINST % ("accuracy", "maxDrop: 0.01"), of)
    assert caught.value.reason == "BaselineUnavailable"
    assert "the stable version '7' can't be compared with" in str(caught.value)


def test_a_dataset_may_hold_the_inputs_of_both_versions(tmp_path: Path) -> None:
    holdout = {**HOLDOUT, "z": ROWS}
    of = on(tmp_path, holdout=holdout, stable=stable(tmp_path, classifier(name="z", tilt=1.0)))
    assert result(AGAINST % ("accuracy", "maxDrop: 0.01"), of).outcome == "Pass"


def test_numbers_are_measured_as_numbers(tmp_path: Path) -> None:
    labels = session.load(graphs.linear(2)).run({"x": ROWS})[0] + np.array([0.5, 0.5])
    card = schema.Card(task="regression")
    of = on(tmp_path, content=graphs.linear(2), card=card, holdout={"x": ROWS, "label": labels})
    for metric in ("mae", "rmse"):
        found = result(f"performance: [{{name: t, dataset: holdout, metric: {metric}, max: 0.51}}]", of)
        assert (found.outcome, round(found.observed, 3)) == ("Pass", 0.5)
    assert result("regressions: [{name: t, dataset: holdout, tolerance: 0.4}]", of).outcome == "Fail"


def test_what_the_model_shows_on_its_holdout_rows_is_reported_without_being_asked_for(tmp_path: Path) -> None:
    seen, calibration = shown.of(on(tmp_path, reference={"x": ROWS}, holdout=HOLDOUT))
    assert [one.metric for one in seen] == ["accuracy", "balancedAccuracy", "auc", "logLoss", "calibrationError"]
    assert calibration is not None
    assert sum(calibration.rows) == sum(calibration.right) == 4000
    assert shown.of(on(tmp_path / "other")) == ([], None)


def test_names_of_datasets_cannot_leave_their_folder() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"data": [{"name": "t", "dataset": "../secret", "accepted": 1}]}, declared.Tests)
