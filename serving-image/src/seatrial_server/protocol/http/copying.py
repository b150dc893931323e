"""Copies of requests over REST that were answered here, for a candidate: see `relay.shadow`."""

from __future__ import annotations

from seatrial_server.engine import jobs
from seatrial_server.host import budget
from seatrial_server.model import schema
from seatrial_server.protocol import tracing
from seatrial_server.protocol.http import answers
from seatrial_server.protocol.http.exchange import Exchange
from seatrial_server.relay import outcomes, shadow, wire
from seatrial_server.relay.outcomes import Failure
from seatrial_server.relay.relay import Relay, Request


class Copying:
    """For one model."""

    def __init__(self, relay: Relay, copies: shadow.Shadow, account: budget.Budget) -> None:
        self._relay, self._copies, self._account = relay, copies, account

    def keeps(self, exchange: Exchange) -> bool:
        """Whether the body can be kept until the answer; it has its bytes of the budget then."""
        return self._account.take(_charge(exchange))

    def forget(self, exchange: Exchange) -> None:
        """There is no answer to compare with."""
        self._account.give(_charge(exchange))
        exchange.copied, exchange.body = False, b""

    def answered(self, exchange: Exchange, job: jobs.Job, result: jobs.Outputs) -> None:
        """The client has its answer; the exchange has the body as it came."""
        body, assigned = exchange.body, self._relay.assigned
        self.forget(exchange)
        if assigned is None or job.degraded:
            return  # a repaired request has an answer, but not the model's own
        wanted = job.reply[1].places
        specs = [self._copies.model.outputs[place] for place in wanted]
        request = Request(
            exchange.method,
            exchange.target,
            _of_copy(exchange.headers),
            body,
            self._relay.left(0, job.timeout, now=0),
            copied=True,
        )

        def send(done: shadow.Done) -> None:
            self._relay.pass_on(request, lambda answer: done(_returned(answer, specs)))

        given = [result[place] for place in wanted]
        size = len(body) + jobs.answer_size(result)
        self._copies.offer(shadow.Copy(assigned.revision, given, wanted, job.rows, size, send))


def _charge(exchange: Exchange) -> int:
    size = len(exchange.body)
    return size if size > budget.SMALL else 0


def _returned(answer: wire.Answer | Failure, specs: list[schema.TensorSpec]) -> shadow.Returned:
    if isinstance(answer, Failure):
        return shadow.Returned(answer.outcome)
    length = answer.headers.get(b"inference-header-content-length")
    outputs = answers.outputs(answer.body, length, specs) if 200 <= answer.status < 300 else None
    return shadow.Returned(outcomes.of_answer(answer), outputs)


def _of_copy(given: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The answer is not packed, so that it need not be unpacked, and is no span: its request has one already."""
    headers = {name: value for name, value in given.items() if name != b"accept-encoding"}
    headers[b"traceparent"] = tracing.unsampled(given.get(b"traceparent", b"").decode("latin-1")).encode()
    return headers
