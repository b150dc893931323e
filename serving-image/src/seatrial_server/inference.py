"""Run the model for a batch of jobs: convert, validate, run, check, split.

A bad row never hurts its neighbours: offending rows are found before the model runs and their jobs leave the batch;
when the batch fails all the same, each job is run by itself, so that only the guilty one fails. Synchronous and free
of event-loop state: it runs on the loop or in the worker thread.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence

import numpy as np

from seatrial_server import datatypes, errors, jobs
from seatrial_server.model import schema, session

log = logging.getLogger(__name__)
Result = jobs.Outputs | errors.RequestError


class Engine:
    """A loaded model with the checks that its requests must pass."""

    def __init__(self, model: session.Session, bounds: Mapping[str, schema.Bounds]) -> None:
        self.model = model
        self.schema = model.schema
        self._dtypes = [datatypes.BY_NAME[spec.datatype].dtype for spec in self.schema.inputs]
        self._floating = [datatypes.BY_NAME[spec.datatype].floating for spec in self.schema.inputs]
        self._output_floating = [datatypes.BY_NAME[spec.datatype].floating for spec in self.schema.outputs]
        self._bounds = [_Range(bounds[spec.name]) if spec.name in bounds else None for spec in self.schema.inputs]

    def execute(self, batch: Sequence[jobs.Job]) -> list[Result]:
        """One result per job, in order. Several jobs need equal keys and a model with a free first dimension."""
        try:
            return self._together(batch)
        except errors.RequestError as error:
            if len(batch) == 1:
                return [error]
        except Exception:  # whatever ONNX Runtime or numpy raise: the batch's fate is decided per job
            if len(batch) == 1:
                log.exception("model call failed", extra={"fields": {"id": batch[0].id}})
                return [
                    errors.RequestError(500, "the model failed on this request", code="ModelFailed", outcome="error")
                ]
        return [self.execute([job])[0] for job in batch]

    def _together(self, batch: Sequence[jobs.Job]) -> list[Result]:
        feeds = [self._gather(index, batch) for index in range(len(self._dtypes))]
        refused = self._refused(feeds, batch)
        if refused:
            kept = [job for position, job in enumerate(batch) if position not in refused]
            rest = iter(self.execute(kept) if kept else ())
            return [refused[position] if position in refused else next(rest) for position in range(len(batch))]
        outputs = self.model.run({spec.name: feed for spec, feed in zip(self.schema.inputs, feeds, strict=True)})
        self._check_outputs(outputs)
        return [outputs] if len(batch) == 1 else self._split(outputs, batch)

    def _gather(self, index: int, batch: Sequence[jobs.Job]) -> session.Array:
        """Input `index` of all jobs as one array."""
        parts = [job.values[index] for job in batch]
        dtype = self._dtypes[index]
        shape = batch[0].shapes[index]
        if len(batch) > 1:
            shape = (sum(job.rows for job in batch), *shape[1:])
        with np.errstate(over="ignore"):  # a number beyond the float type becomes infinite and is refused as such
            lists = [part for part in parts if isinstance(part, list)]
            if len(lists) == len(parts):
                flat = lists[0] if len(lists) == 1 else list(itertools.chain.from_iterable(lists))
                return _converted(flat, dtype, self.schema.inputs[index]).reshape(shape)
            arrays = [
                _converted(part, dtype, self.schema.inputs[index]) if isinstance(part, list) else part.reshape(-1)
                for part in parts
            ]
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return joined.reshape(shape)

    def _refused(self, feeds: list[session.Array], batch: Sequence[jobs.Job]) -> dict[int, errors.RequestError]:
        """Jobs (by position) with values that the model must not see, each with the first such value."""
        result: dict[int, errors.RequestError] = {}
        for index, feed in enumerate(feeds):
            limits = self._bounds[index]
            if self._floating[index] and not np.isfinite(feed).all():
                self._blame(result, index, ~np.isfinite(feed), "NotFinite", batch)
            if limits is not None and not (inside := limits.inside(feed)).all():
                self._blame(result, index, ~inside, "OutOfRange", batch)
        return result

    def _blame(
        self,
        result: dict[int, errors.RequestError],
        index: int,
        bad: session.Array,
        code: str,
        batch: Sequence[jobs.Job],
    ) -> None:
        name, limits = self.schema.inputs[index].name, self._bounds[index]
        start, flat = 0, bad.reshape(-1)
        for position, job in enumerate(batch):
            size = int(np.prod(job.shapes[index], dtype=np.int64))
            places = np.flatnonzero(flat[start : start + size])
            start += size
            if len(places) and position not in result:
                row, column = divmod(int(places[0]), max(1, size // max(1, job.rows)))
                result[position] = _violation(name, row, column, code, limits)

    def _check_outputs(self, outputs: list[session.Array]) -> None:
        for spec, array, floating in zip(self.schema.outputs, outputs, self._output_floating, strict=True):
            if floating and not np.isfinite(array).all():
                raise errors.RequestError(
                    500,
                    f"the model answered NaN or infinity in output {spec.name!r}",
                    code="NotFinite",
                    outcome="error",
                )

    def _split(self, outputs: list[session.Array], batch: Sequence[jobs.Job]) -> list[Result]:
        rows = sum(job.rows for job in batch)
        if any(len(array) != rows for array in outputs):
            raise ValueError("the model does not give one output row for each input row")
        result: list[Result] = []
        start = 0
        for job in batch:
            end = start + job.rows
            result.append([array[start:end] for array in outputs])
            start = end
        return result


class _Range:
    """Inclusive ranges of an input's columns; a column without one passes everything."""

    def __init__(self, bounds: schema.Bounds) -> None:
        self.features = bounds.features
        self._low = np.array([-np.inf if low is None else low for low in bounds.low])
        self._high = np.array([np.inf if high is None else high for high in bounds.high])
        self.texts = [f"[{low}, {high}]" for low, high in zip(bounds.low, bounds.high, strict=True)]

    def inside(self, feed: session.Array) -> session.Array:
        rows = feed.reshape(-1, len(self.features))
        return np.asarray((rows >= self._low) & (rows <= self._high)).reshape(feed.shape)


def _converted(values: list[object], dtype: np.dtype[np.generic], spec: schema.TensorSpec) -> session.Array:
    try:
        return np.array(values, dtype)
    except OverflowError:
        raise errors.RequestError(
            400,
            f"input {spec.name!r}: a value does not fit {spec.datatype}",
            code="OutOfDatatype",
            details={"input": spec.name, "reason": f"does not fit {spec.datatype}"},
        ) from None


def _violation(name: str, row: int, column: int, code: str, limits: _Range | None) -> errors.RequestError:
    feature = limits.features[column] if limits else str(column)
    reason = "must be a finite number" if code == "NotFinite" or not limits else f"must be in {limits.texts[column]}"
    return errors.RequestError(
        400,
        f"input {name!r}, row {row}, feature {feature!r}: {reason}",
        code=code,
        details={"input": name, "row": row, "feature": feature, "reason": reason},
    )
