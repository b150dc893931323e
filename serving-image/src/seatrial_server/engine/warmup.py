"""Warm the model up and choose how to run it, by measurement. Runs before the server is ready.

Batching is only allowed when rows do not change each other's answers: a free first dimension alone does not say so
(it may be a sequence), and dynamically quantized graphs take one scale per batch.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

from seatrial_server.engine import batching
from seatrial_server.model import datatypes, session

_THREAD_FROM_SECONDS = 200e-6
_THREAD_FROM_BATCH_SECONDS = 5e-3
_WORTH_THREADS = 0.7
_CALLS = 15
_WARM_SECONDS = 0.2


def load(model: Path | bytes, *, cpus: int) -> session.Session:
    """The model with one thread, or with all granted CPUs if that makes a slow model much quicker."""
    alone = session.load(model)
    if cpus == 1:
        return alone
    rows = batching.MAX_ROWS if alone.schema.rows_first else 1
    try:
        if _seconds(alone, rows=rows)[0] <= _THREAD_FROM_BATCH_SECONDS:
            return alone
        together = session.load(model, threads=cpus)
        slow, quick = _seconds(alone, together, rows=rows)
        return together if quick < _WORTH_THREADS * slow else alone
    except Exception:  # zeros need not be a valid input; ONNX Runtime raises a dozen unrelated types
        return alone


def plan(model: session.Session, *, may_batch: bool = True) -> batching.Plan:
    """Measure single rows and full batches; a model that fails on made-up rows is run request by request."""
    try:
        [single] = _seconds(model, rows=1)
    except Exception:  # zeros need not be a valid input; ONNX Runtime raises a dozen unrelated types
        return batching.Plan(in_thread=True, batched=False, row_seconds=0.001)
    try:
        batched = may_batch and model.schema.rows_first and _rows_are_independent(model)
        [full] = _seconds(model, rows=batching.MAX_ROWS) if batched else [single]
    except Exception:  # nor need random ones: nothing is known about batches then
        batched, full = False, single
    return batching.Plan(
        in_thread=single > _THREAD_FROM_SECONDS or full > _THREAD_FROM_BATCH_SECONDS,
        batched=batched,
        row_seconds=full / (batching.MAX_ROWS if batched else 1),
    )


def _seconds(*models: session.Session, rows: int) -> list[float]:
    """Of each the quickest of some calls, taken in turns: a busy neighbour must not choose the plan, or versions
    couldn't be compared.
    """
    feeds = models[0].schema.example(rows)
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


def _rows_are_independent(model: session.Session) -> bool:
    """Whether four rows, one of them an outlier, get the same answers together as alone."""
    random = np.random.default_rng(0)
    feeds = model.schema.example(4)
    for spec in model.schema.inputs:
        if datatypes.BY_NAME[spec.datatype].floating:
            feeds[spec.name] = random.standard_normal(feeds[spec.name].shape).astype(feeds[spec.name].dtype)
            feeds[spec.name][-1] *= 1000
        elif spec.datatype not in ("BYTES", "BOOL"):
            feeds[spec.name] = random.integers(0, 2, feeds[spec.name].shape).astype(feeds[spec.name].dtype)
    together = model.run(feeds)
    alone = [model.run({name: array[row : row + 1] for name, array in feeds.items()}) for row in range(4)]
    return all(_same(array, [outputs[index] for outputs in alone]) for index, array in enumerate(together))


def _same(together: session.Array, alone: list[session.Array]) -> bool:
    if any(array.shape[:1] != (1,) for array in alone) or len(together) != len(alone):
        return False
    joined = np.concatenate(alone)
    if joined.shape != together.shape:
        return False
    if joined.dtype.kind == "f":
        return np.allclose(
            joined, together, rtol=1e-2 if joined.dtype == np.float16 else 1e-3, atol=1e-4, equal_nan=True
        )
    return bool((joined == together).all())
