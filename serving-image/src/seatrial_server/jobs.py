"""One inference request between transport and model. REST makes jobs today; gRPC will make the same.

A job's tensors are in schema order, each either a flat list straight from JSON (element types are checked, sizes too)
or an array from a binary body. Conversion waits for the batch, where one call does it for all jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from seatrial_server import errors
from seatrial_server.model import session

Values = list[Any] | session.Array
Outputs = list[session.Array]
"""One array per output of the schema, with the rows of one job."""


class Job:
    """`shapes` and `values` run parallel to the schema's inputs. `done` is called exactly once, on the event loop."""

    __slots__ = (
        *("deadline", "degraded", "done", "finished", "id", "key", "reply", "rows", "shapes", "started", "timeout"),
        "values",
    )

    def __init__(
        self,
        *,
        id: str,
        values: list[Values],
        shapes: list[tuple[int, ...]],
        rows: int,
        reply: Any,
        started: float,
        timeout: float = 0.0,
        done: Callable[[Job, Outputs | errors.RequestError], None],
    ) -> None:
        self.id = id
        self.values = values
        self.shapes = shapes
        self.rows = rows
        self.reply = reply  # what the transport wants back at the end
        self.started = started
        self.timeout = timeout  # seconds, as the client wishes; 0: none of its own
        self.done = done
        self.degraded = ""  # why the answer is not the model's own on the given values
        self.deadline = 0.0
        self.finished = False
        self.key = tuple(shape[1:] for shape in shapes)
        """Jobs with equal keys fit in one batch."""

    def finish(self, result: Outputs | errors.RequestError) -> None:
        """Answer once; a later result (of a run that took too long) is dropped."""
        if not self.finished:
            self.finished = True
            self.done(self, result)


class Queue(Protocol):
    """Where a transport hands in its jobs."""

    def submit(self, job: Job) -> None:
        """Finish the job now or later; raises `RequestError` when it cannot be taken."""
