"""Run the model for a batch of jobs: convert, validate, run, check, split.

A bad row never hurts its neighbours: offending rows are found before the model runs and their jobs leave the batch;
when the batch fails all the same, each job is run by itself, so that only the guilty one fails. Synchronous and free
of event-loop state: it runs on the loop or in the worker thread.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence

import numpy as np

from seatrial_server.engine import conversion, jobs, validation
from seatrial_server.host import errors
from seatrial_server.model import datatypes, session
from seatrial_server.observe import drift

log = logging.getLogger(__name__)
Result = jobs.Outputs | errors.RequestError


class Engine:
    """A loaded model with the checks that its requests must pass.

    `most_rows`: a larger request runs in slices of so many rows, which keeps ONNX Runtime's arena small: it never gives
    back what the largest shape took. Only for models whose rows are independent.
    """

    def __init__(
        self,
        model: session.Session,
        guards: Sequence[validation.Guard | None],
        *,
        observer: drift.Drift | None = None,
        most_rows: int | None = None,
    ) -> None:
        self.model = model
        self.schema = model.schema
        self._inputs = [conversion.Converter(spec) for spec in self.schema.inputs]
        self._own = [conversion.Converter(spec) for spec in self.schema.inputs]  # for `convert`, maybe another thread
        self._output_floating = [datatypes.BY_NAME[spec.datatype].floating for spec in self.schema.outputs]
        self._guards = [(index, guard) for index, guard in enumerate(guards) if guard is not None]
        self._drift = observer
        self._most_rows, self._whole = most_rows, self.schema.axis.kind == "none"
        self._names = [spec.name for spec in self.schema.inputs]

    def execute(self, batch: Sequence[jobs.Job]) -> list[Result]:
        """One result per job, in order. Several jobs need equal keys and a model with a free first dimension."""
        try:
            return self._together(batch)
        except errors.RequestError as error:
            if len(batch) == 1:
                return [error]
        except Exception:  # whatever ONNX Runtime or numpy raise: the batch's fate is decided per job
            if len(batch) == 1:
                if not batch[0].bundle:
                    log.exception("model call failed", extra={"fields": {"id": batch[0].id}})
                return [
                    errors.RequestError(500, "the model failed on this request", code="ModelFailed", outcome="error")
                ]
        return [self.execute([job])[0] for job in batch]

    def convert(self, job: jobs.Job) -> None:
        """Turn lists from JSON into arrays of the inputs' types; equal values have equal bytes afterwards."""
        job.values = [
            values if isinstance(values, np.ndarray) else converter.joined([values])
            for values, converter in zip(job.values, self._own, strict=True)
        ]

    def repeated(self, job: jobs.Job, outputs: jobs.Outputs) -> None:
        """A converted job got the outputs of an equal one: its rows are traffic all the same."""
        if self._drift is not None:
            given = [np.asarray(values).reshape(shape) for values, shape in zip(job.values, job.shapes, strict=True)]
            self._count(given, list(outputs))

    def _count(self, given: list[session.Array], outputs: list[session.Array]) -> None:
        if self._drift is not None:
            self._drift.observe(
                *([array[np.newaxis] for array in side] if self._whole else side for side in (given, outputs))
            )

    def _together(self, batch: Sequence[jobs.Job]) -> list[Result]:
        feeds = [self._gather(index, batch) for index in range(len(self._inputs))]
        given = feeds if self._drift is None else feeds.copy()
        refused = self._refused(feeds, batch)
        if refused:
            kept = [job for position, job in enumerate(batch) if position not in refused]
            rest = iter(self.execute(kept) if kept else ())
            return [refused[position] if position in refused else next(rest) for position in range(len(batch))]
        outputs = self._run(feeds)
        self._check_outputs(outputs)
        self._count(given, outputs)
        return [outputs] if len(batch) == 1 else self._split(outputs, batch)

    def _run(self, feeds: list[session.Array]) -> list[session.Array]:
        most = self._most_rows
        if most is None or len(feeds[0]) <= most:
            return self.model.run(dict(zip(self._names, feeds, strict=True)))
        slices = [
            self.model.run({name: feed[start : start + most] for name, feed in zip(self._names, feeds, strict=True)})
            for start in range(0, len(feeds[0]), most)
        ]
        return [np.concatenate(parts) for parts in zip(*slices, strict=True)]

    def _gather(self, index: int, batch: Sequence[jobs.Job]) -> session.Array:
        """Input `index` of all jobs as one array."""
        shape = batch[0].shapes[index]
        if len(batch) > 1:
            shape = (sum([job.rows for job in batch]), *shape[1:])
        return self._inputs[index].joined([job.values[index] for job in batch]).reshape(shape)

    def _refused(self, feeds: list[session.Array], batch: Sequence[jobs.Job]) -> dict[int, errors.RequestError]:
        """Jobs (by position) with values that the model must not see; what a policy repairs is repaired in `feeds`."""
        result: dict[int, errors.RequestError] = {}
        changes: dict[int, list[str]] = {}
        for index, guard in self._guards:
            verdict = guard.examine(feeds[index])
            if verdict is None:
                continue
            feeds[index] = verdict.feed
            end = 0
            for position, job in enumerate(batch):
                start, end = end, end + verdict.rows(job.shapes[index])
                refusal = verdict.refusal(start, end)
                if refusal is not None:
                    result.setdefault(position, refusal)
                    if self._drift is not None and not job.bundle:  # a bundle's requests come again, one by one
                        self._drift.refuse(index, verdict.refused(start, end))
                elif changed := verdict.changes(start, end):
                    changes.setdefault(position, []).append(changed)
        for position, parts in changes.items():
            if batch[position].bundle:
                result.setdefault(position, jobs.mixed())
            batch[position].degraded = "; ".join(parts)
        return result

    def _check_outputs(self, outputs: list[session.Array]) -> None:
        for spec, array, floating in zip(self.schema.outputs, outputs, self._output_floating, strict=True):
            if floating and not validation.finite(array):
                raise errors.RequestError(
                    500,
                    f"the model answered NaN or infinity in output {spec.name!r}",
                    code="NotFinite",
                    outcome="error",
                )

    def _split(self, outputs: list[session.Array], batch: Sequence[jobs.Job]) -> list[Result]:
        rows = sum([job.rows for job in batch])
        if any(len(array) != rows for array in outputs):
            raise ValueError("the model does not give one output row for each input row")
        together = jobs.Batch(list(outputs), sum([array.nbytes for array in outputs]) // rows)
        if rows == len(batch):  # the usual case
            return [jobs.Share(together, row, row + 1) for row in range(rows)]
        ends = itertools.accumulate(job.rows for job in batch)
        return [jobs.Share(together, end - job.rows, end) for job, end in zip(batch, ends, strict=True)]
