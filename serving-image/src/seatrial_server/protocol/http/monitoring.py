"""The second port: `/metrics` for Prometheus, `/healthz` for the kubelet, `/card` for who asks what this model is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import prometheus_client

from seatrial_server.feedback.collecting import Collecting
from seatrial_server.host import errors
from seatrial_server.observe import cohorts, drift, telemetry
from seatrial_server.protocol.http.exchange import Exchange

Card = Callable[[str], tuple[bytes, str]]
"""The model's card as `markdown` or `cyclonedx`, with its media type."""
_TEXT_FORMAT = b"text/plain; version=0.0.4; charset=utf-8"


class Monitoring:
    """`exchange.Application` over the counters of the process."""

    max_body_bytes = 64 * 1024

    def __init__(
        self,
        counters: telemetry.Telemetry,
        observer: drift.Drift | None = None,
        collecting: Collecting | None = None,
        card: Card | None = None,
    ) -> None:
        self._registry, self._drift, self._collecting = telemetry.exposition(counters), observer, collecting
        self._card = card
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
        elif path == b"/card" and self._card is not None:
            body, kind = self._card("cyclonedx" if b"json" in exchange.headers.get(b"accept", b"") else "markdown")
            exchange.answer(200, body, content_type=kind.encode(), headers=b"Vary: Accept\r\n")
        else:
            exchange.fail(errors.RequestError(404, "this port has /metrics, /healthz and /card", code="NotFound"))
