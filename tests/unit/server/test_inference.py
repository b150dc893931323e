"""The engine: validation, isolation of a guilty job, outputs."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from tests.unit.server import graphs

from seatrial_server.engine import inference, jobs, validation
from seatrial_server.host import errors
from seatrial_server.model import features, schema, session


def engine(graph: bytes, *columns: schema.Feature) -> inference.Engine:
    model = session.load(graph)
    return inference.Engine(model, validation.guards(model.schema, features.by_input(columns, model.schema)))


def job(*values: Any, shapes: list[tuple[int, ...]]) -> jobs.Job:
    return jobs.Job(
        id="test",
        values=list(values),
        shapes=shapes,
        rows=shapes[0][0],
        reply=None,
        started=0.0,
        done=lambda _job, _result: None,
    )


def rows(*values: Any) -> jobs.Job:
    """One row for the linear graph."""
    return job(list(values), shapes=[(1, 4)])


def refusals(results: list[inference.Result]) -> list[str]:
    return [result.code if isinstance(result, errors.RequestError) else "" for result in results]


def test_jobs_of_different_forms_share_a_batch() -> None:
    binary = job(np.full(8, 2, np.float32), shapes=[(2, 4)])
    results = engine(graphs.linear()).execute([rows(1, 1, 1, 1), binary, rows(0, 0, 0, 5)])
    sums = [result[0][:, 0].tolist() for result in results if not isinstance(result, errors.RequestError)]
    assert sums == [[4.0], [8.0, 8.0], [5.0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e39], ids=str)
def test_a_value_that_is_not_finite_is_refused_and_its_neighbours_are_answered(bad: float) -> None:
    results = engine(graphs.linear()).execute([rows(1, 2, 3, 4), rows(1, 1, bad, 1), rows(0, 0, 0, 1)])
    assert refusals(results) == ["", "NotFinite", ""]
    error = results[1]
    assert isinstance(error, errors.RequestError)
    assert (error.status, error.outcome) == (400, "rejected")
    assert error.details == {
        "input": "x",
        "row": 0,
        "feature": "2",
        "reason": "must be a finite number",
        "bound": "a finite number",
    }


def test_a_value_out_of_range_names_row_and_feature() -> None:
    columns = [schema.Feature("age", range=(0, 120)), *(schema.Feature(name) for name in "bcd")]
    batch = [rows(30, 1, 1, 1), job([1.0] * 4 + [130, 1, 1, 1], shapes=[(2, 4)])]
    error = engine(graphs.linear(), *columns).execute(batch)[1]
    assert isinstance(error, errors.RequestError)
    assert str(error) == "input 'x', row 1, feature 'age': must be in [0, 120]"


def test_repaired_values_are_marked_and_neighbours_are_not_touched() -> None:
    columns = [
        schema.Feature("age", range=(0, 120), policy="clip"),
        schema.Feature("income", missing="impute", default=7),
        *(schema.Feature(name, range=(0, 9)) for name in "cd"),
    ]
    batch = [rows(200, None, 1, 1), rows(1, 1, 1, 1), rows(1, 1, 1, 10), rows(float("inf"), 1, 1, 1)]
    results = engine(graphs.linear(), *columns).execute(batch)
    assert refusals(results) == ["", "", "OutOfRange", "NotFinite"]
    assert [result[0][0, 0] for result in results if not isinstance(result, errors.RequestError)] == [129.0, 4.0]
    assert [job.degraded for job in batch] == ["clipped: age; imputed: income", "", "", ""]


VALUES = st.sampled_from([0.0, 3.5, -7.0, 1e9, float("nan"), float("inf"), None])
"""In range, out of range, missing: each column below treats them in its own way."""
COLUMNS = (
    schema.Feature("clipped", range=(0, 10), policy="clip"),
    schema.Feature("imputed", range=(-10, 10), policy="impute", missing="impute", default=1),
    schema.Feature("refused", range=(-10, 10)),
    schema.Feature("free", missing="impute", default=2),
)


@hypothesis.given(st.lists(st.lists(VALUES, min_size=4, max_size=4), min_size=1, max_size=32))
@hypothesis.settings(max_examples=60, deadline=None)
def test_every_answer_is_the_same_alone_and_in_any_company(batch: list[list[float | None]]) -> None:
    model = engine(graphs.linear(), *COLUMNS)
    company, alone = [rows(*values) for values in batch], [rows(*values) for values in batch]
    together, separate = model.execute(company), [model.execute([one])[0] for one in alone]
    assert refusals(together) == refusals(separate)
    assert [one.degraded for one in company] == [one.degraded for one in alone]
    for got, wanted in zip(together, separate, strict=True):
        if isinstance(got, errors.RequestError):
            assert isinstance(wanted, errors.RequestError)
            assert got.details == wanted.details
        else:
            assert not isinstance(wanted, errors.RequestError)
            np.testing.assert_array_equal(got[0], wanted[0])


@pytest.mark.parametrize("size", [1, 2, 7, 31, 32, 33, 100])
def test_an_answer_does_not_depend_on_the_size_of_its_batch(size: int) -> None:
    values = np.random.default_rng(size).standard_normal((size, 64)).astype(np.float32)
    model = inference.Engine(session.load(graphs.perceptron()), [None])
    batch = [job(row, shapes=[(1, 64)]) for row in values]
    together = [result[0] for result in model.execute(batch) if not isinstance(result, errors.RequestError)]
    alone = [model.model.run({"x": row[None]})[0] for row in values]
    np.testing.assert_allclose(np.concatenate(together), np.concatenate(alone), rtol=1e-4, atol=1e-4)


def test_a_failing_model_call_hurts_only_the_guilty_job() -> None:
    batch = [job([index], shapes=[(1,)]) for index in (1, 99, 3)]
    results = engine(graphs.lookup()).execute(batch)
    assert refusals(results) == ["", "ModelFailed", ""]
    error = results[1]
    assert isinstance(error, errors.RequestError)
    assert (error.status, error.outcome, str(error)) == (500, "error", "the model failed on this request")


def test_an_answer_of_nan_is_an_error_of_the_model() -> None:
    batch = [job([value], shapes=[(1, 1)]) for value in (1.0, -1.0)]
    assert refusals(engine(graphs.logarithm()).execute(batch)) == ["", "NotFinite"]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**80], ids=str)
def test_an_integer_outside_the_datatype_is_refused_not_wrapped(value: int) -> None:
    batch = [job([1], shapes=[(1,)]), job([value], shapes=[(1,)])]
    assert refusals(engine(graphs.lookup()).execute(batch)) == ["", "OutOfDatatype"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 32])
def test_answers_do_not_depend_on_the_batch(size: int) -> None:
    values = np.random.default_rng(size).standard_normal((70, 64)).astype(np.float32)
    model = session.load(graphs.perceptron())
    alone = np.concatenate([model.run({"x": values[row : row + 1]})[0] for row in range(len(values))])
    served = inference.Engine(model, validation.guards(model.schema, {}), most_rows=32)
    found = []
    for start in range(0, len(values), size):
        part = [job(values[row : row + 1], shapes=[(1, 64)]) for row in range(start, min(start + size, len(values)))]
        results = served.execute(part)
        assert refusals(results) == [""] * len(part)
        found += [result[0] for result in results if not isinstance(result, errors.RequestError)]
    np.testing.assert_allclose(np.concatenate(found), alone, rtol=1e-4, atol=1e-4)


def test_a_request_larger_than_a_batch_runs_in_slices_and_is_answered_whole() -> None:
    sizes: list[int] = []

    class Counting(session.Session):
        def run(self, feeds: dict[str, session.Array]) -> list[session.Array]:
            sizes.append(len(feeds["x"]))
            return super().run(feeds)

    loaded = session.load(graphs.linear())
    loaded.__class__ = Counting
    served = inference.Engine(loaded, validation.guards(loaded.schema, {}), most_rows=32)
    [result] = served.execute([job(np.arange(280, dtype=np.float32), shapes=[(70, 4)])])
    assert not isinstance(result, errors.RequestError)
    assert sizes == [32, 32, 6]
    assert result[0][:, 0].tolist() == [16 * row + 6 for row in range(70)]
