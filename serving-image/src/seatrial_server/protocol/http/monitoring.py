"""The second port: `/metrics` for Prometheus and `/healthz` for the kubelet."""

from __future__ import annotations

import msgspec
import prometheus_client

from seatrial_server.feedback.collecting import Collecting
from seatrial_server.host import errors
from seatrial_server.observe import cohorts, drift, telemetry
from seatrial_server.protocol.http.exchange import Exchange

_TEXT_FORMAT = b"text/plain; version=0.0.4; charset=utf-8"


class Monitoring:
    """`exchange.Application` over the counters of the process."""

    max_body_bytes = 64 * 1024

    def __init__(
        self,
        counters: telemetry.Telemetry,
        observer: drift.Drift | None = None,
        collecting: Collecting | None = None,
    ) -> None:
        self._registry, self._drift, self._collecting = telemetry.exposition(counters), observer, collecting
        self._pairs = ",".join(
            f'{name}="{cohorts.escaped(value)}"' for name, value in msgspec.structs.asdict(counters.labels).items()
        )

    def refused(self, exchange: Exchange, error: errors.RequestError) -> None:
        """See `exchange.Application`: what happens on this port is not counted."""

    def turned_away(self) -> None:
        """The same."""

    def handle(self, exchange: Exchange) -> None:
        """See `exchange.Application`."""
        path = exchange.target.partition(b"?")[0]
        if exchange.method not in (b"GET", b"HEAD"):
            exchange.fail(
                errors.RequestError(
                    405, "this port takes GET", code="MethodNotAllowed", headers=b"Allow: GET, HEAD\r\n"
                )
            )
        elif path == b"/healthz":
            exchange.answer(200, b"ok\n", content_type=b"text/plain; charset=utf-8")
        elif path == b"/metrics":
            text = prometheus_client.generate_latest(self._registry)
            if self._drift is not None:
                text += self._drift.exposition().encode()
            if self._collecting is not None:
                text += self._collecting.exposition(self._pairs).encode()
            exchange.answer(200, text, content_type=_TEXT_FORMAT)
        else:
            exchange.fail(errors.RequestError(404, "this port has /metrics and /healthz", code="NotFound"))
