"""Policies of columns: what passes, what is repaired, what is refused, in every datatype."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from seatrial_server.engine import conversion, validation
from seatrial_server.host import errors
from seatrial_server.model import features, schema

F = schema.Feature


def guard(datatype: str, *columns: schema.Feature) -> validation.Guard:
    model = schema.Schema(inputs=(schema.TensorSpec("x", datatype, (-1, len(columns))),), outputs=())
    (result,) = validation.guards(model, features.by_input(columns, model))
    assert result is not None
    return result


def code(verdict: validation.Verdict | None) -> str:
    refusal = verdict.refusal(0, 1) if verdict else None
    return refusal.code if refusal else ""


RANGE = F("a", range=(0, 10))
ONE_SIDED = F("a", range=(0, float("inf")))


@pytest.mark.parametrize("columns", [1, conversion.FEW, conversion.FEW + 1])
@pytest.mark.parametrize(
    ("column", "datatype", "value", "wanted"),
    [
        (RANGE, "FP32", 10, ""),
        (RANGE, "FP32", 10.1, "OutOfRange"),
        (RANGE, "FP32", np.nan, "Missing"),
        (RANGE, "FP64", np.inf, "NotFinite"),
        (F("a", range=(0, 0.1)), "FP32", 0.1, ""),
        (ONE_SIDED, "FP32", 3e38, ""),
        (ONE_SIDED, "FP32", np.inf, "NotFinite"),
        (ONE_SIDED, "FP16", 60000, ""),
        (F("a", range=(None, 3)), "FP32", -1e30, ""),
        (F("a", range=(None, 3)), "FP32", 4, "OutOfRange"),
        (F("a"), "FP32", np.nan, "NotFinite"),
        (F("a", range=(0.5, 2.5)), "INT64", 0, "OutOfRange"),
        (F("a", range=(0.5, 2.5)), "INT64", 2, ""),
        (F("a", range=(-1e30, 1e30)), "INT8", 127, ""),
        (F("a", range=(0, 2**53)), "INT64", 2**53 + 1, "OutOfRange"),
        (F("a", categories=(1, 2)), "INT32", 2, ""),
        (F("a", categories=(1, 2)), "INT32", 3, "UnknownCategory"),
        (F("a", categories=(0.5,)), "FP32", np.nan, "Missing"),
        (F("a", categories=("red", "blue")), "BYTES", "red", ""),
        (F("a", categories=("red", "blue")), "BYTES", "green", "UnknownCategory"),
        (F("a", categories=("red", "blue")), "BYTES", "", "Missing"),
    ],
)
def test_a_value_is_taken_or_refused(
    column: schema.Feature, datatype: str, value: Any, wanted: str, columns: int
) -> None:
    dtype = {"FP16": "f2", "FP32": "f4", "FP64": "f8", "INT8": "i1", "INT32": "i4", "INT64": "i8", "BYTES": "O"}
    described = [msgspec.structs.replace(column, name=f"a{number}") for number in range(columns)]
    assert code(guard(datatype, *described).examine(np.array([[value] * columns], dtype[datatype]))) == wanted


@pytest.mark.parametrize(
    ("column", "datatype", "value", "repaired", "changes"),
    [
        (F("a", range=(0, 10), policy="clip"), "f4", -3, 0, "clipped: a"),
        (F("a", range=(0, 10), policy="clip"), "i8", 2**62, 10, "clipped: a"),
        (F("a", range=(0, 10), policy="impute", default=5), "f4", 11, 5, "imputed: a"),
        (F("a", range=(0, 10), policy="impute", default=5), "f4", np.inf, 5, "imputed: a"),
        (F("a", missing="impute", default=5), "f4", np.nan, 5, "imputed: a"),
        (F("a", categories=("b", "c"), policy="impute", default="c"), "O", "x", "c", "imputed: a"),
        (F("a", missing="impute", default="c"), "O", "", "c", "imputed: a"),
        (F("a", missing="impute", default="c"), "O", None, "c", "imputed: a"),
    ],
)
def test_a_value_is_repaired_and_the_answer_says_so(
    column: schema.Feature, datatype: str, value: Any, repaired: Any, changes: str
) -> None:
    name = {"f4": "FP32", "i8": "INT64", "O": "BYTES"}[datatype]
    feed = np.array([[value]], datatype)
    verdict = guard(name, column).examine(feed)
    assert verdict is not None
    assert (verdict.refusal(0, 1), verdict.changes(0, 1)) == (None, changes)
    assert verdict.feed.tolist() == [[repaired]]
    assert verdict.feed.dtype == feed.dtype


def test_an_allowed_missing_value_reaches_the_model_and_a_neighbour_is_still_checked() -> None:
    columns = (F("a", missing="allow", range=(0, 9)), F("b"))
    guard = validation.guards(
        schema.Schema(inputs=(schema.TensorSpec("x", "FP32", (-1, 2)),), outputs=()), {"x": columns}
    )[0]
    assert guard is not None
    assert guard.examine(np.array([[np.nan, 1]], np.float32)) is None
    verdict = guard.examine(np.array([[np.nan, 1], [99, 1], [1, np.nan]], np.float32))
    assert verdict is not None
    assert [verdict.refusal(row, row + 1) is None for row in range(3)] == [True, False, False]


@pytest.mark.parametrize(("missing", "refused"), [(frozenset({"x"}), [False, True]), (frozenset(), [True, True])])
def test_an_input_made_for_missing_values_takes_them_but_no_infinity(
    missing: frozenset[str], refused: list[bool]
) -> None:
    model = schema.Schema(inputs=(schema.TensorSpec("x", "FP32", (-1, 1)),), outputs=())
    guard = validation.guards(model, {}, missing=missing)[0]
    assert guard is not None
    verdict = guard.examine(np.array([[np.nan], [np.inf]], np.float32))
    assert verdict is not None
    assert [verdict.refusal(row, row + 1) is not None for row in range(2)] == refused


@pytest.mark.parametrize("rows", [1, 2, 31, 1025])
@pytest.mark.parametrize("columns", [1, 30, 2000])
def test_a_bad_value_is_found_in_the_last_of_any_number_of_rows(rows: int, columns: int) -> None:
    examined = guard("FP32", *(F(f"f{column}", range=(0, column)) for column in range(columns)))
    feed = np.zeros((rows, columns), np.float32)
    assert examined.examine(feed) is None
    feed[-1, -1] = columns
    verdict = examined.examine(feed)
    assert verdict is not None
    assert [row for row in range(rows) if verdict.refusal(row, row + 1)] == [rows - 1]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1e308] * 4, True),
        ([np.inf, -np.inf], False),
        ([np.nan, 1], False),
        ([1e308, 1e308, -np.inf], False),
        ([], True),
    ],
    ids=repr,
)
def test_values_are_finite_whatever_their_sum_is(values: list[float], wanted: bool) -> None:
    assert validation.finite(np.array(values)) is wanted


def test_clip_does_not_repair_what_is_missing() -> None:
    assert code(guard("FP32", F("a", range=(0, 10), policy="clip")).examine(np.array([[np.nan]], "f4"))) == "Missing"


def test_a_refusal_names_input_row_feature_and_bound_for_machines() -> None:
    checks = guard("FP32", F("age", range=(18, 99)), F("region", categories=(1, 2)))
    verdict = checks.examine(np.array([[20, 1], [30, 7]], "f4"))
    assert verdict is not None
    refusal = verdict.refusal(0, 2)
    assert isinstance(refusal, errors.RequestError)
    assert (refusal.status, refusal.code, refusal.outcome) == (400, "UnknownCategory", "rejected")
    assert refusal.details == {
        "input": "x",
        "row": 1,
        "feature": "region",
        "reason": "must be one of 1, 2",
        "bound": "one of 1, 2",
    }


def test_many_changed_features_are_not_all_listed() -> None:
    columns = [F(f"f{index}", missing="impute", default=0) for index in range(8)]
    verdict = guard("FP32", *columns).examine(np.full((1, 8), np.nan, "f4"))
    assert verdict is not None
    assert verdict.changes(0, 1) == "imputed: f0, f1, f2, f3, f4 and 3 more"


@pytest.mark.parametrize(
    ("column", "datatype", "message"),
    [
        (F("a", range=(2, 1)), "FP32", "lowest, highest"),
        (F("a", range=(0, 1), categories=(1,)), "FP32", "not both"),
        (F("a", range=(0, 1)), "BYTES", "numeric input"),
        (F("a", categories=("x",)), "FP32", "categories must be FP32"),
        (F("a", categories=(1.5,)), "INT8", "categories must be INT8"),
        (F("a", policy="clip"), "FP32", "clip needs a range"),
        (F("a", range=(0, 1), policy="impute"), "FP32", "needs a default"),
        (F("a", range=(0, 1), policy="impute", default=3), "FP32", "default must be in [0, 1]"),
        (F("a", missing="impute", default=1), "INT64", "only floats and BYTES"),
    ],
)
def test_a_policy_that_cannot_work_is_refused_in_the_trial(column: schema.Feature, datatype: str, message: str) -> None:
    with pytest.raises(errors.Rejected, match=message.replace("[", r"\[")):
        guard(datatype, column)


def test_two_features_of_one_name_are_refused() -> None:
    with pytest.raises(errors.Rejected, match="two features 'a'"):
        guard("FP32", F("a"), F("a"))
