"""One inference request between transport and model. REST and gRPC make the same.

A job's tensors are in schema order, each a flat list straight from JSON (element types are checked, sizes too), the
text of its numbers, or an array from a binary body. Conversion waits for the batch: one call does it for all jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from seatrial_server.host import errors
from seatrial_server.model import session


class Numbers(msgspec.Struct, frozen=True, eq=False):
    """The elements of JSON arrays as the text between their brackets, not parsed yet; see `conversion`.

    `size` is how many each text must have.
    """

    texts: Sequence[bytes]
    size: int
    body: bytes
    """The whole request."""
    again: Callable[[bytes], list[Any]]
    """Reads these elements in `body` the general way, or raises the `RequestError` that says what is wrong."""


Values = list[Any] | session.Array | Numbers


class Batch(msgspec.Struct, eq=False):
    """The outputs of one run for several jobs. `rendered` is the encoder's: all rows at once, as text or as binary."""

    arrays: list[session.Array]
    row_bytes: int = 0
    rendered: dict[bool, tuple[list[bytes], list[bytes]]] = {}


class Share(msgspec.Struct, eq=False):
    """One job's rows of a batch; slices are made when they are asked for."""

    batch: Batch
    start: int
    end: int

    def __iter__(self) -> Iterator[session.Array]:
        return iter([array[self.start : self.end] for array in self.batch.arrays])

    def __getitem__(self, index: int) -> session.Array:
        return self.batch.arrays[index][self.start : self.end]


Outputs = list[session.Array] | Share
"""One array per output of the schema, with the rows of one job."""


_LISTED = 40
"""Bytes of an element in a list: the place and the number."""


def size(values: Sequence[Values]) -> int:
    """About the bytes that a job's tensors take while they wait."""
    total = 0
    for one in values:
        if isinstance(one, list):
            total += _LISTED * len(one)
        elif isinstance(one, Numbers):
            total += len(one.body)
        else:
            total += one.nbytes
    return total


def answer_size(outputs: Outputs) -> int:
    """The bytes of a job's outputs."""
    if isinstance(outputs, Share):
        return outputs.batch.row_bytes * (outputs.end - outputs.start)
    return sum([array.nbytes for array in outputs])


class Job(msgspec.Struct, eq=False, kw_only=True):
    """`shapes` and `values` run parallel to the schema's inputs. `done` is called exactly once, on the event loop.

    A Struct because one is made for every request, and a Struct's constructor is C.
    """

    id: str
    values: list[Values]
    shapes: list[tuple[int, ...]]
    rows: int
    reply: Any
    """What the transport wants back at the end."""
    started: float
    done: Callable[[Job, Outputs | errors.RequestError], None]
    timeout: float = 0.0
    """Seconds, as the client wishes; 0: none of its own."""
    degraded: str = ""
    """Why the answer is not the model's own on the given values."""
    bundle: bool = False
    """Rows of several requests. A bundle with anything wrong is refused as a whole; its maker takes it apart then."""
    deadline: float = 0.0
    charged: int = 0
    """Bytes of the budget that it has while it waits and runs."""
    finished: bool = False

    def fits(self, other: Job) -> bool:
        """Whether both can be in one batch: all dimensions but the first are equal."""
        mine, others = self.shapes, other.shapes
        return mine is others or all(one[1:] == two[1:] for one, two in zip(mine, others, strict=True))

    def finish(self, result: Outputs | errors.RequestError) -> None:
        """Answer once; a later result (of a run that took too long) is dropped."""
        if not self.finished:
            self.finished = True
            self.done(self, result)


class Queue(Protocol):
    """Where a transport hands in its jobs."""

    def submit(self, job: Job) -> None:
        """Finish the job now or later; raises `RequestError` when it cannot be taken."""


def mixed() -> errors.RequestError:
    """Why a bundle is refused. No client sees it: each of its requests is answered by itself then."""
    return errors.RequestError(400, "a request of the bundle has a matter of its own", code="Mixed")
