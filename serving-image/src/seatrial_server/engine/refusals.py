"""What a request is told that the queue does not take, or that was not answered in time. Pure."""

from __future__ import annotations

import math

from seatrial_server.host import errors


def overload(rows: int, *, bound: int, waiting: int, row_seconds: float) -> errors.RequestError:
    """No room for so many rows: ever, or now, while others are `waiting`."""
    if rows > bound:
        return errors.RequestError(
            413, f"{rows} rows in one request, at most {bound} are accepted: split it", code="TooManyRows"
        )
    wait = max(1, math.ceil(waiting * row_seconds))
    return errors.RequestError(
        429,
        f"{waiting} rows are waiting, which is as much as can be answered in time: try again later",
        code="Overloaded",
        outcome="shed",
        headers=b"Retry-After: %d\r\n" % wait,
    )


def no_room() -> errors.RequestError:
    """The bytes of those that wait are as many as they may be."""
    return errors.RequestError(
        503,
        "the rows that wait take as much memory as they may: try again later",
        code="Overloaded",
        outcome="shed",
        headers=b"Retry-After: 1\r\n",
    )


def too_late() -> errors.RequestError:
    """Its turn did not come in time."""
    return errors.RequestError(
        503,
        "dropped after waiting until its deadline: the server is overloaded",
        code="Overloaded",
        outcome="shed",
        headers=b"Retry-After: 1\r\n",
    )


def too_slow() -> errors.RequestError:
    """Its turn came, but no answer in time."""
    return errors.RequestError(
        504, "the model took longer than the request's deadline", code="DeadlineExceeded", outcome="error"
    )
