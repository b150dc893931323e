"""One span for each sampled inference request, sent by OTLP in batches from a thread of its own. Off unless configured.

Whether a request is sampled is decided here, before anything is made: its own trace says so, else chance. Unsampled
requests cost a comparison, and a collector that is slow or away costs spans, never an answer: the queue is bounded.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk import resources
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import export

from seatrial_server.host import config, errors

_SEND_SECONDS = 3.0  # also what a stopping server waits for a collector that is away
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 1


class Spans:
    """`attributes` describe the server: they are the same on all spans."""

    def __init__(
        self,
        settings: config.Tracing,
        *,
        attributes: Mapping[str, str],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._ratio, self._chance = settings.ratio, chance
        exporter = OTLPSpanExporter(f"{settings.endpoint.rstrip('/')}/v1/traces", timeout=_SEND_SECONDS)
        self._provider = sdk.TracerProvider(
            sampler=sdk.sampling.ALWAYS_ON, resource=resources.Resource.create(dict(attributes)), shutdown_on_exit=False
        )
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("seatrial-server")

    def finished(
        self, outcome: errors.Outcome, seconds: float, *, transport: str, request_id: str, traceparent: str
    ) -> None:
        """A request was answered now, after so long. Without a trace of its own `traceparent` is empty."""
        found = _TRACEPARENT.fullmatch(traceparent.strip()) if traceparent else None
        if int(found[3], 16) & _SAMPLED if found else self._chance() < self._ratio:
            self._span(outcome, seconds, transport, request_id, found)

    def finished_together(self, count: int, seconds: float) -> None:
        """Requests over REST without a trace of their own were answered well, all after so long."""
        for _ in range(count):
            if self._chance() < self._ratio:
                self._span("ok", seconds, "rest", "", None)

    def _span(
        self, outcome: errors.Outcome, seconds: float, transport: str, request_id: str, found: re.Match[str] | None
    ) -> None:
        ended = time.time_ns()
        span = self._tracer.start_span(
            "infer",
            context=_parent(found) if found else None,
            kind=trace.SpanKind.SERVER,
            start_time=ended - round(seconds * 1e9),
            attributes={"seatrial.transport": transport, "seatrial.outcome": outcome}
            | ({"seatrial.request_id": request_id} if request_id else {}),
        )
        if outcome == "error":
            span.set_status(trace.StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Send what is left. Blocks for some seconds when the collector is away."""
        self._provider.shutdown()


def _parent(found: re.Match[str]) -> Any:
    context = trace.SpanContext(
        int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=trace.TraceFlags(_SAMPLED)
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(context))
