"""Requests and answers too large for the event loop: unpacked, decoded, encoded and packed in one thread.

Each takes its bytes of the budget before it takes memory, gives up when the request's time is over, and gives the bytes
back when its result has gone on to the queue or to the client, which have an account of their own. Everything else is
done on the loop, where it costs less than handing it over would.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from seatrial_server.engine import refusals
from seatrial_server.host import budget, errors
from seatrial_server.protocol.http import rules

LARGE = 256 * 1024
"""Bytes of a body, or of an answer, from which on it is worth a thread."""
_Result = TypeVar("_Result")
log = logging.getLogger(__name__)


class Charge:
    """What one piece of work has of the budget; used from its thread alone."""

    def __init__(self, account: budget.Budget, *, deadline: float) -> None:
        self._account, self._deadline = account, deadline
        self.taken = 0

    def take(self, count: int) -> None:
        """So many bytes more, or `RequestError`; also when the request's time is over."""
        if self.taken + count > self._account.size:
            raise rules.never_room(self.taken + count, self._account.size)
        if time.perf_counter() > self._deadline:
            raise refusals.too_late()
        if not self._account.take(count):
            raise rules.no_room()
        self.taken += count

    def keep(self, count: int) -> int:
        """Give back all but so many bytes (or take what is missing, come what may); they are somebody else's now."""
        self._account.give(self.taken - count)
        self.taken = 0
        return count


class Workshop:
    """The thread. Belongs to the event loop."""

    def __init__(self, account: budget.Budget, *, seconds: float) -> None:
        self._account, self._seconds = account, seconds
        self._loop = asyncio.get_running_loop()
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "large")

    def start(
        self,
        work: Callable[[Charge], _Result],
        *,
        size: int,
        started: float,
        done: Callable[[_Result | errors.RequestError, Charge], None],
    ) -> None:
        """Do the work, which holds `size` bytes from now on; raises when there is no room. `done` runs on the loop."""
        charge = Charge(self._account, deadline=started + self._seconds)
        charge.take(size)

        def ended(future: asyncio.Future[_Result | errors.RequestError]) -> None:
            try:
                done(future.result(), charge)
            finally:
                charge.keep(0)

        self._loop.run_in_executor(self._thread, _refusing(work), charge).add_done_callback(ended)


def _refusing(work: Callable[[Charge], _Result]) -> Callable[[Charge], _Result | errors.RequestError]:
    """The work with its error as a value: a traceback would keep the large bodies in its frames alive."""

    def guarded(charge: Charge) -> _Result | errors.RequestError:
        try:
            return work(charge)
        except errors.RequestError as error:
            error.__context__ = None
            return error.with_traceback(None)
        except Exception:  # the last line of defence, as in `v2`
            log.exception("large request failed")
            return errors.RequestError(500, "internal error", code="Internal", outcome="error")

    return guarded
