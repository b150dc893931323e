"""tests.yaml at work: what passes, what fails, and what the result says about it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from tests.unit.server import graphs, prepared

from seatrial_server.artifact import package
from seatrial_server.host import errors
from seatrial_server.model import declared, schema, session
from seatrial_server.trial import behaviour, functional, report, robustness

ROWS = np.random.default_rng(0).uniform(0, 10, (40, 4)).astype(np.float32)
CARD = schema.Card(task="regression", features=tuple(schema.Feature(name) for name in "abcd"))
LINEAR = session.load(graphs.linear())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.savez(tmp_path / "reference.npz", x=ROWS)
    return tmp_path


def one(text: str) -> Any:
    """The only behavioural test in this tests.yaml."""
    tests = msgspec.convert(yaml.safe_load(text), declared.Tests)
    return (*tests.invariance, *tests.directional)[0]


def tried(text: str, folder: Path, *, model: session.Session = LINEAR, card: schema.Card = CARD) -> report.TestResult:
    test, subject = one(text), behaviour.Subject(model, card, folder)
    return (
        behaviour.invariance(test, subject)
        if isinstance(test, declared.InvarianceTest)
        else behaviour.directional(test, subject)
    )


@pytest.mark.parametrize(
    ("text", "outcome", "observed", "rows"),
    [
        ("invariance: [{name: t, dataset: reference, perturb: {noise: {a: 0.0001}}}]", "Pass", 1.0, 40),
        ("invariance: [{name: t, dataset: reference, perturb: {add: {a: 100}}}]", "Fail", 0.0, 40),
        ("invariance: [{name: t, dataset: reference, perturb: {scale: {a: 2}}, maxFailRate: 1}]", "Pass", None, 40),
        ("invariance: [{name: t, dataset: reference, maxRows: 7, perturb: {set: {a: [1, 2]}}}]", "Fail", None, 14),
        (
            "invariance: [{name: t, dataset: reference, perturb: {rebatch: [1, 8, 32]}, maxDelta: 1.0e-5}]",
            "Pass",
            1,
            120,
        ),
        (
            "invariance: [{name: t, dataset: reference, perturb: {add: {a: 0.01}}, maxDelta: 0.001}]",
            *("Fail", 0.0, 40),
        ),
        (
            "directional: [{name: t, dataset: reference, perturb: {add: {b: 1}}, direction: nonDecreasing}]",
            *("Pass", 1.0, 40),
        ),
        (
            "directional: [{name: t, dataset: reference, perturb: {add: {b: 1}}, column: 1, direction: nonDecreasing}]",
            *("Fail", 0.0, 40),
        ),
        (
            "directional: [{name: t, dataset: reference, perturb: {add: {b: -1}}, tolerance: 1.1, "
            "direction: nonDecreasing}]",
            *("Pass", 1.0, 40),
        ),
    ],
)
def test_behaviour_is_a_share_of_rows_against_its_bound(
    folder: Path, text: str, outcome: str, observed: float | None, rows: int
) -> None:
    result = tried(text, folder)
    assert (result.outcome, result.rows) == (outcome, rows)
    assert observed is None or result.observed == observed


def test_failing_rows_are_named_by_number_and_never_by_value(folder: Path) -> None:
    result = tried("invariance: [{name: t, dataset: reference, perturb: {set: {a: [5, 6]}}}]", folder)
    assert result.message.startswith(f"{round((1 - result.observed) * 80)} of 80 changed rows changed their answer")
    assert re.search(r": rows \d+, \d+, \d+, \d+, \d+ and more$", result.message)


def test_rows_that_change_each_other_are_found_by_running_them_in_other_batches(folder: Path) -> None:
    np.savez(folder / "reference.npz", x=ROWS[:, :1])
    text = "invariance: [{name: t, dataset: reference, perturb: {rebatch: [8]}, maxDelta: 0.001}]"
    card = schema.Card(task="regression")
    assert tried(text, folder, model=session.load(graphs.mean_removed()), card=card).outcome == "Fail"
    assert tried(text, folder, model=session.load(graphs.logarithm()), card=card).outcome == "Pass"


def test_columns_have_numbers_when_there_is_no_model_yaml(folder: Path) -> None:
    text = "directional: [{name: t, dataset: reference, perturb: {add: {'2': 1}}, direction: nonIncreasing, column: 1}]"
    assert tried(text, folder, card=schema.Card()).outcome == "Pass"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("invariance: [{name: t, perturb: {rebatch: [1]}}]", "either rows or dataset"),
        ("invariance: [{name: t, dataset: calibration, perturb: {rebatch: [1]}}]", "no calibration.npz"),
        ("invariance: [{name: t, dataset: reference, perturb: {}}]", "exactly one of"),
        ("invariance: [{name: t, dataset: reference, perturb: {add: {a: 1}, scale: {a: 1}}}]", "exactly one of"),
        ("invariance: [{name: t, dataset: reference, perturb: {add: {z: 1}}}]", "no feature 'z'"),
        ("invariance: [{name: t, dataset: reference, perturb: {set: {a: [x]}}}]", "cannot be changed so"),
        (
            "directional: [{name: t, dataset: reference, output: z, perturb: {add: {a: 1}}, direction: nonDecreasing}]",
            "output must be one of",
        ),
        (
            "directional: [{name: t, dataset: reference, column: 2, perturb: {add: {a: 1}}, direction: nonDecreasing}]",
            "column 2 is none",
        ),
    ],
)
def test_a_test_that_does_not_fit_the_package_is_refused(folder: Path, text: str, words: str) -> None:
    with pytest.raises(errors.Rejected, match=words):
        tried(text, folder)


def test_a_model_that_fails_on_changed_rows_fails_the_test(folder: Path) -> None:
    np.savez(folder / "reference.npz", index=np.arange(10))
    with pytest.raises(errors.Rejected, match="the model fails on rows 0 to") as caught:
        tried(
            "invariance: [{name: t, dataset: reference, perturb: {add: {'0': 5}}}]",
            folder,
            model=session.load(graphs.lookup()),
            card=schema.Card(features=(schema.Feature("0"),)),
        )
    assert caught.value.reason == "TestFailed"


def test_the_worst_slice_has_a_bound_of_its_own() -> None:
    """The model answers 0 to these rows; half of the labels of region 2 say 1."""
    card = schema.Card(
        task="classification",
        features=(schema.Feature("region", categories=(1, 2, 3)), *(schema.Feature(name) for name in "bcd")),
    )
    rows = [[region, 1, 1, 1] for region in (1, 2) for _ in range(10)] + [[3, 1, 1, 1]]
    labels = [0] * 10 + [0, 1] * 5 + [1]
    test = {
        "name": "known",
        "rows": {"x": rows},
        "expect": {"labels": labels, "minAccuracy": 0.7},
        "slices": {"by": "region", "minAccuracy": 0.6, "minRows": 5},
    }
    overall, worst = functional.evaluate(msgspec.convert(test, declared.FunctionalTest), LINEAR, card)
    assert (overall.outcome, overall.observed) == ("Pass", 15 / 21)
    assert (worst.name, worst.outcome, worst.observed) == ("known: region = 2, the worst of 2", "Fail", 0.5)
    assert worst.message == "wrong label in rows 11, 13, 15, 17, 19"


def index_card(**policy: Any) -> schema.Card:
    return schema.Card(features=(schema.Feature("index", **policy),))


@pytest.mark.parametrize(
    ("card", "outcome"),
    [
        (index_card(range=(0, 9)), "Pass"),
        (index_card(range=(0, 9), policy="clip"), "Pass"),
        (index_card(range=(0, 300)), "Fail"),
    ],
    ids=["the range protects the model", "clipped", "the range is too wide"],
)
def test_made_up_requests_find_what_the_declared_range_lets_through(card: schema.Card, outcome: str) -> None:
    test = declared.Robustness(cases=150, seed=1)
    graph = graphs.lookup(10)
    made = prepared.described(graph, card=card)
    result = robustness.run(test, session.load(graph, known=made.model), made, {"index": np.arange(10)})
    assert (result.outcome, result.rows) == (outcome, 150), result.message


@pytest.mark.parametrize(
    "graph",
    [graphs.linear(), graphs.two_inputs(), graphs.echo(8), graphs.mean_removed()],
    ids=["f", "2", "text", "rows"],
)
def test_a_healthy_model_survives_made_up_requests_without_a_card(graph: bytes) -> None:
    made = prepared.described(graph)
    model = session.load(graph, known=made.model)
    result = robustness.run(declared.Robustness(cases=100), model, made, None)
    assert result.outcome == "Pass", result.message


def test_an_unreadable_tests_yaml_names_the_field(tmp_path: Path) -> None:
    (tmp_path / "tests.yaml").write_text("invariance: [{name: t, dataset: ../holdout, perturb: {}}]")
    with pytest.raises(errors.Rejected, match=r"tests\.yaml.*dataset"):
        package.tests(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("provenance: &a {x: *a}", id="a value within itself"),
        pytest.param(
            "provenance:\n  l0: &l0 [x, x]\n"
            + "".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12)),
            id="lists of lists",
        ),
        pytest.param(
            "provenance:\n  l0: &l0 {x: 1}\n"
            + "".join(f"  l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 9)}]}}\n" for n in range(1, 12)),
            id="merged mappings",
        ),
    ],
)
def test_aliases_that_stand_for_endless_values_are_refused_at_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.yaml").write_text(text)
    started = time.process_time()
    with pytest.raises(errors.Rejected, match=r"model\.yaml: its aliases"):
        package.card(tmp_path)
    assert time.process_time() - started < 1


def test_an_alias_is_what_it_stands_for(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("provenance: {code: &c {uri: git}, data: *c}")
    assert package.card(tmp_path).provenance == {"code": {"uri": "git"}, "data": {"uri": "git"}}
