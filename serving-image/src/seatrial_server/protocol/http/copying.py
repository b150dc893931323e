"""Copies of requests over REST that were answered here, for a candidate: see `relay.shadow`."""

from __future__ import annotations

from seatrial_server.engine import jobs
from seatrial_server.host import budget
from seatrial_server.model import schema
from seatrial_server.observe import relayed
from seatrial_server.protocol import tracing
from seatrial_server.protocol.http import answers
from seatrial_server.protocol.http.exchange import Exchange
from seatrial_server.relay import comparison, wire
from seatrial_server.relay.relay import Relay, Request
from seatrial_server.relay.shadow import Copy, Shadow


class Copying:
    """For one model."""

    def __init__(
        self,
        relay: Relay,
        counts: relayed.Relayed,
        account: budget.Budget,
        *,
        card: schema.Card,
        model: schema.Schema,
    ) -> None:
        self._relay, self._model = relay, model
        self._shadow = Shadow(relay, counts, account)
        self._comparison = comparison.Comparison(card, model)

    def answered(self, exchange: Exchange, job: jobs.Job, result: jobs.Outputs) -> None:
        """The client has its answer; the exchange has the body as it came."""
        body, exchange.body = exchange.body, b""
        assigned = self._relay.assigned
        if assigned is None or job.degraded:
            return  # a repaired request has an answer, but not the model's own
        given = list(result)

        def compare(answer: wire.Answer) -> comparison.Compared | None:
            length = answer.headers.get(b"inference-header-content-length")
            found = answers.outputs(answer.body, length, self._model)
            return None if found is None else self._comparison.compare(given, found)

        seconds = self._relay.left(0, job.timeout, now=0)
        headers = _of_copy(exchange.headers)
        request = Request(exchange.method, exchange.target, headers, body, seconds, copied=True)
        self._shadow.offer(Copy(assigned.revision, request, job.rows, compare))


def _of_copy(given: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The answer is not packed, so that it need not be unpacked, and is no span: its request has one already."""
    headers = {name: value for name, value in given.items() if name != b"accept-encoding"}
    headers[b"traceparent"] = tracing.unsampled(given.get(b"traceparent", b"").decode("latin-1")).encode()
    return headers
