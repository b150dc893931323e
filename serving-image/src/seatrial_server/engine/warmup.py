"""Warm the model up and choose how to run it, by measurement. Runs before the server is ready.

Measured with rows that the model answers, of the sizes that its requests will have where somebody gave some: a
dimension of size 1 says nothing about images. `batching` plans anew when live calls show that it was wrong.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

from seatrial_server.engine import batching
from seatrial_server.model import rows as rows_
from seatrial_server.model import schema, session

_THREAD_FROM_SECONDS = 200e-6
_THREAD_FROM_BATCH_SECONDS = 5e-3
_LONGEST_BATCH_SECONDS = 0.05
"""Neighbours in a longer one would wait for each other without a gain: a batch pays where a call's own cost counts."""
_WORTH_THREADS = 0.7
_CALLS = 15
_WARM_SECONDS = 0.2


def load(
    model: Path | bytes,
    *,
    cpus: int,
    known: schema.Schema | None = None,
    rows: dict[str, session.Array] | None = None,
    large: bool = False,
) -> session.Session:
    """The model with one thread, or with all granted CPUs if that makes a slow model much quicker.

    `large`: it is never loaded twice at once, which would be the peak of the process's memory.
    """
    alone = session.load(model, known=known)
    if cpus == 1:
        return alone
    try:
        feeds = _feeds(alone, rows, 1)
        [single] = _seconds(alone, feeds=feeds)
        if single * batching.MAX_ROWS <= _LONGEST_BATCH_SECONDS:
            feeds = _feeds(alone, rows, batching.MAX_ROWS)
        [slow] = _seconds(alone, feeds=feeds)
        if slow <= _THREAD_FROM_BATCH_SECONDS:
            return alone
        if not large:
            together = session.load(model, threads=cpus, known=known)
            slow, quick = _seconds(alone, together, feeds=feeds)
            return together if quick < _WORTH_THREADS * slow else alone
    except Exception:  # zeros need not be a valid input; ONNX Runtime raises a dozen unrelated types
        return alone
    del alone
    together = session.load(model, threads=cpus, known=known)
    [quick] = _seconds(together, feeds=feeds)
    if quick < _WORTH_THREADS * slow:
        return together
    del together
    return session.load(model, known=known)


def plan(
    model: session.Session, rows: dict[str, session.Array] | None = None, *, may_batch: bool = True
) -> batching.Plan:
    """Measure single rows and growing batches; a model of which no rows are known is run request by request."""
    try:
        [single] = _seconds(model, feeds=_feeds(model, rows, 1))
    except Exception:  # zeros need not be a valid input; ONNX Runtime raises a dozen unrelated types
        return batching.Plan(in_thread=True, batched=False, row_seconds=0.001)
    if not (may_batch and model.schema.rows_first):
        return batching.Plan(in_thread=single > _THREAD_FROM_SECONDS, batched=False, row_seconds=single)
    size, seconds = 1, single
    while size < batching.MAX_ROWS and 2 * seconds <= _LONGEST_BATCH_SECONDS:
        [longer] = _seconds(model, feeds=_feeds(model, rows, 2 * size))
        size, seconds = 2 * size, longer
    return batching.Plan(
        in_thread=single > _THREAD_FROM_SECONDS or seconds > _THREAD_FROM_BATCH_SECONDS,
        batched=True,
        row_seconds=seconds / size,
        most_rows=size,
    )


def _feeds(model: session.Session, rows: dict[str, session.Array] | None, size: int) -> dict[str, session.Array]:
    """A call with so many rows, where the graph takes them."""
    return model.schema.example(size) if rows is None else rows_.one(model.schema, rows, size)


def _seconds(*models: session.Session, feeds: dict[str, session.Array]) -> list[float]:
    """Of each the quickest of some calls, taken in turns: a busy neighbour must not choose the plan, or versions
    couldn't be compared.
    """
    quickest = [math.inf] * len(models)
    started = time.perf_counter()
    for number in range(_CALLS):
        if number and time.perf_counter() - started > _WARM_SECONDS * len(models):
            break
        for place, model in enumerate(models):
            before = time.perf_counter()
            model.run(feeds)
            quickest[place] = min(quickest[place], time.perf_counter() - before)
    return quickest
