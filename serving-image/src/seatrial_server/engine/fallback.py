"""A fixed answer in place of an error: `fallback.mode: Static` in the configuration, the values in `model.yaml`.

For callers that can do something sensible with a neutral answer, but not with a failure. Every such answer is marked
and counted as degraded, and `seatrial_fallbacks_total` keeps what it stood in for: a model that fails stays visible.
"""

from __future__ import annotations

from seatrial_server.engine import jobs
from seatrial_server.host import errors
from seatrial_server.model import rows as rows_
from seatrial_server.model import schema, session
from seatrial_server.observe import telemetry


class Static:
    """Stands in front of a queue and replaces what the model or the load made impossible; never a client's mistake."""

    def __init__(
        self, queue: jobs.Queue, model: schema.Schema, answer: list[session.Array], *, counters: telemetry.Telemetry
    ) -> None:
        self._queue, self._model, self._answer, self._counters = queue, model, answer, counters

    def submit(self, job: jobs.Job) -> None:
        """See `jobs.Queue`; does not raise for overload."""
        done = job.done

        def finished(job: jobs.Job, result: jobs.Outputs | errors.RequestError) -> None:
            if isinstance(result, errors.RequestError) and result.outcome in ("error", "shed"):
                job.degraded = f"fallback: {result.code}"
                self._counters.fallbacks[result.outcome] += 1
                result = [rows_.repeated(self._model, row, job.rows) for row in self._answer]
            done(job, result)

        job.done = finished
        try:
            self._queue.submit(job)
        except errors.RequestError as error:
            if error.outcome != "shed":
                raise
            job.finish(error)
