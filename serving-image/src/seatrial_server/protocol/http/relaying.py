"""Requests over REST that another revision answers, or that are answered here in its place.

Who asked well has been decided before: a request comes here decoded, so a client's mistake is never passed on. Its job
waits until the candidate has answered; when that is no good answer, the job takes the way that it would have taken.
"""

from __future__ import annotations

from collections.abc import Callable

from seatrial_server.engine import jobs
from seatrial_server.host import budget, errors
from seatrial_server.observe import telemetry
from seatrial_server.protocol.http.exchange import Exchange
from seatrial_server.relay import assignment, headers, outcomes, wire
from seatrial_server.relay.outcomes import Failure
from seatrial_server.relay.relay import Relay, Request


class Relaying:
    """`submit` is the queue's, `finish` answers with an error; see `v2`."""

    def __init__(
        self,
        relay: Relay,
        *,
        counters: telemetry.Telemetry,
        account: budget.Budget,
        submit: Callable[[jobs.Job], None],
        finish: Callable[[Exchange, errors.RequestError], None],
    ) -> None:
        self._relay, self._counters, self._account = relay, counters, account
        self._submit, self._finish = submit, finish

    def pass_on(self, exchange: Exchange, job: jobs.Job) -> None:
        """Answer the exchange, which has its body as it came; raises `RequestError` when its numbers are none."""
        body, exchange.body = exchange.body, b""
        assigned = self._relay.assigned
        if assigned is None:
            self._submit(job)
            return
        job.values = [
            values.again(values.body) if isinstance(values, jobs.Numbers) else values for values in job.values
        ]
        charge = len(body) if len(body) > budget.SMALL else 0
        if not self._account.take(charge):
            self._ended(assigned, exchange, job, outcomes.NOT_TRIED)
            return

        def done(result: wire.Answer | Failure) -> None:
            self._account.give(charge)
            self._ended(assigned, exchange, job, result)

        seconds = self._relay.left(job.started, job.timeout)
        self._relay.pass_on(Request(exchange.method, exchange.target, exchange.headers, body, seconds), done)

    def _ended(
        self, assigned: assignment.Assignment, exchange: Exchange, job: jobs.Job, result: wire.Answer | Failure
    ) -> None:
        ended, candidate = outcomes.ended(result, cover=assigned.cover), assigned.revision
        if ended.passes and isinstance(result, wire.Answer):
            self._counters.in_flight -= 1
            self._relay.count(candidate, ended.outcome, covered=False)
            size = len(result.body)
            exchange.charged = size if size > budget.SMALL and self._account.take(size) else 0
            lines = headers.answer_lines(result.headers, candidate.encode())
            exchange.relay(b"HTTP/1.1 %d %b\r\n%b" % (result.status, result.reason, lines), result.body)
            return
        exchange.stands_in = lambda well: self._relay.count(candidate, ended.outcome, covered=well)
        if ended.passes and isinstance(result, Failure):
            self._finish(exchange, outcomes.unanswered(result))
            return
        exchange.lines += b"%b: %b\r\n" % (headers.COVERED, candidate.encode())
        try:
            self._submit(job)
        except errors.RequestError as error:
            self._finish(exchange, error)
