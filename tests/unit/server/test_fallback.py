"""The static answer: given for failures and overload, never for a client's mistake, always marked."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from tests.unit.server import graphs, test_telemetry

from seatrial_server.engine import fallback, jobs
from seatrial_server.host import errors
from seatrial_server.model import fallback_rows, schema, session

LINEAR = session.load(graphs.linear()).schema
CARD = schema.Card(fallback={"y": [0.5, -0.5]})
COUNTERS = test_telemetry.counters


class Broken:
    """A queue that answers with an error, at once or by refusing the job."""

    def __init__(self, outcome: errors.Outcome, *, refuse: bool) -> None:
        self._error = errors.RequestError(500, "no", code="Why", outcome=outcome)
        self._refuse = refuse

    def submit(self, job: jobs.Job) -> None:
        if self._refuse:
            raise self._error
        job.finish(self._error)


def ask(queue: jobs.Queue) -> tuple[jobs.Job, Any]:
    answers: list[tuple[jobs.Job, Any]] = []
    job = jobs.Job(
        id="1",
        values=[[1.0] * 12],
        shapes=[(3, 4)],
        rows=3,
        reply=None,
        started=time.perf_counter(),
        done=lambda job, result: answers.append((job, result)),
    )
    queue.submit(job)
    (answer,) = answers
    return answer


@pytest.mark.parametrize(("outcome", "refuse"), [("error", False), ("shed", False), ("shed", True)])
def test_a_failure_becomes_a_marked_answer_with_one_row_each(outcome: errors.Outcome, refuse: bool) -> None:
    counters = COUNTERS()
    queue = fallback.Static(Broken(outcome, refuse=refuse), LINEAR, fallback_rows.read(CARD, LINEAR), counters=counters)
    job, outputs = ask(queue)
    np.testing.assert_array_equal(outputs[0], np.array([[0.5, -0.5]] * 3, np.float32))
    assert job.degraded == "fallback: Why"
    assert counters.fallbacks[outcome] == 1


def test_a_mistake_of_the_client_stays_one() -> None:
    rows = fallback_rows.read(CARD, LINEAR)
    assert isinstance(
        ask(fallback.Static(Broken("rejected", refuse=False), LINEAR, rows, counters=COUNTERS()))[1], Exception
    )
    with pytest.raises(errors.RequestError):
        ask(fallback.Static(Broken("rejected", refuse=True), LINEAR, rows, counters=COUNTERS()))


@pytest.mark.parametrize(
    ("rows", "words"),
    [({}, "one row for each"), ({"y": [1]}, "shape"), ({"y": ["a", "b"]}, "FP32"), ({"z": [1, 2]}, "one row for each")],
)
def test_a_fallback_that_does_not_fit_the_graph_is_refused(rows: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.Rejected, match=words):
        fallback_rows.read(schema.Card(fallback=rows), LINEAR)
