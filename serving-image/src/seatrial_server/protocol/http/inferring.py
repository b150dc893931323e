"""The way of an inference request over REST: unpacked and decoded, into the queue, encoded and packed.

What is small goes all of it on the event loop, what is large through the thread of `heavy`. Knows nothing of routes.
Where there is a relay, it says before all else which revision answers; see `relaying` and `copying` for what follows.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable

from seatrial_server.engine import jobs
from seatrial_server.feedback.collecting import Collecting
from seatrial_server.host import budget, errors
from seatrial_server.observe import telemetry
from seatrial_server.protocol import tracing
from seatrial_server.protocol.http import compression, copying, heavy, relaying
from seatrial_server.protocol.http.decode import Decoder
from seatrial_server.protocol.http.encode import Encoder
from seatrial_server.protocol.http.exchange import BINARY, JSON, Exchange
from seatrial_server.protocol.signature import Decoded, Reply
from seatrial_server.relay.headers import COPIED, DEADLINE, DEGRADED_LINE, seconds, sooner
from seatrial_server.relay.relay import Relay
from seatrial_server.relay.shadow import Shadow
from seatrial_server.samples import sampler

log = logging.getLogger(__name__)
_RENDERED = 4
"""Bytes of an answer for a byte of its outputs: a float of four bytes has up to fifteen characters."""


class Inference:
    """For one model. Belongs to the event loop. `pinned`: who names a version in the address wants this one's."""

    def __init__(
        self,
        *,
        decoder: Decoder,
        encoder: Encoder,
        queue: jobs.Queue,
        counters: telemetry.Telemetry,
        account: budget.Budget,
        max_body_bytes: int,
        timeout_seconds: float,
        relay: Relay | None,
        copies: Shadow | None,
        samples: sampler.Sampler,
        pinned: bool,
        collecting: Collecting | None = None,
    ) -> None:
        self.ids = tracing.RequestIds()
        self._decoder, self._encoder, self._queue, self._counters = decoder, encoder, queue, counters
        self._workshop = heavy.Workshop(account, seconds=timeout_seconds)
        self._max_body_bytes, self._collecting = max_body_bytes, collecting
        self._pinned, self._relay, self._samples = pinned, relay, samples
        if relay is not None and copies is not None:
            self._relaying = relaying.Relaying(
                relay, counters=counters, account=account, submit=queue.submit, finish=self.finish
            )
            self._copying = copying.Copying(relay, copies, account)

    # The choice

    def take(self, exchange: Exchange) -> None:
        """Answer an inference request, now or later."""
        relay = self._relay
        if relay is None or relay.assigned is None:
            self._take(exchange, relayed=False)
        elif relay.chooses(exchange.headers.get):
            self._take(exchange, relayed=not self._names_version(exchange))
        else:
            exchange.copied = relay.copies() and self._may_copy(relay, exchange)
            self._take(exchange, relayed=False)

    def take_here(self, exchange: Exchange) -> None:
        """As `take`, with the choice made."""
        self._take(exchange, relayed=False)

    def take_there(self, exchange: Exchange) -> None:
        """The draw has fallen on the candidate, but nobody has read the headers."""
        relay = self._relay
        may = relay is not None and relay.may(exchange.headers.get) and not self._names_version(exchange)
        self._take(exchange, relayed=may)

    def take_copied(self, exchange: Exchange) -> None:
        """As `take_there`, for a copy of what is answered here."""
        exchange.copied = self._relay is not None and self._may_copy(self._relay, exchange)
        self._take(exchange, relayed=False)

    def _may_copy(self, relay: Relay, exchange: Exchange) -> bool:
        may = relay.may(exchange.headers.get) and not self._names_version(exchange)
        return may and self._copying.keeps(exchange)

    def _names_version(self, exchange: Exchange) -> bool:
        return self._pinned and b"/versions/" in exchange.target

    # In

    def _take(self, exchange: Exchange, *, relayed: bool) -> None:
        self._counters.in_flight += 1
        try:
            headers = exchange.headers
            if b"content-length" not in headers and b"transfer-encoding" not in headers:
                raise errors.RequestError(411, "the body needs a Content-Length or chunks", code="LengthRequired")
            body = exchange.body
            exchange.relayed = relayed
            if not relayed and not exchange.copied:
                exchange.body = b""  # a queued request must not hold its body as well
            whole = self._unpacked(body, headers) if len(body) <= heavy.LARGE else None
            if whole is None:
                self._take_large(exchange, body)
            else:
                self._submit(exchange, self._decoder.decode(whole, headers.get(b"inference-header-content-length")))
        except errors.RequestError as error:
            self.finish(exchange, error)
        except Exception:
            log.exception("request could not be decoded")
            self.finish(exchange, errors.internal())

    def _unpacked(self, body: bytes, headers: dict[bytes, bytes]) -> bytes | None:
        """The body as the client meant it; None for one that is too large for the loop."""
        coding = headers.get(b"content-encoding")
        if coding is None:
            return body
        return compression.unpacked(body, coding, limit=self._max_body_bytes, most=heavy.LARGE)

    def _take_large(self, exchange: Exchange, body: bytes) -> None:
        headers = exchange.headers
        coding = headers.get(b"content-encoding", b"identity")

        def decode(charge: heavy.Charge) -> Decoded:
            whole = compression.unpacked(body, coding, limit=self._max_body_bytes, reserve=charge.take)
            assert whole is not None  # only `most` makes it so  # noqa: S101
            length = headers.get(b"inference-header-content-length")
            return self._decoder.decode_large(whole, length, reserve=charge.take)

        def decoded(result: Decoded | errors.RequestError, charge: heavy.Charge) -> None:
            charge.keep(0)
            try:
                if isinstance(result, errors.RequestError):
                    raise result
                self._submit(exchange, result)
            except errors.RequestError as error:
                self.finish(exchange, error)
            except Exception:
                log.exception("request could not be queued")
                self.finish(exchange, errors.internal())

        self._workshop.start(decode, size=len(body), started=exchange.started, done=decoded)

    def _submit(self, exchange: Exchange, decoded: Decoded) -> None:
        headers = exchange.headers
        given, timeout = headers.get(b"x-request-id"), decoded.timeout
        if DEADLINE in headers:
            timeout = sooner(timeout, seconds(headers[DEADLINE]))
        job = jobs.Job(
            id=decoded.id or (self.ids.new() if given is None else self.ids.choose(given)),
            values=decoded.values,
            shapes=decoded.shapes,
            rows=decoded.rows,
            reply=(exchange, decoded.reply),
            started=exchange.started,
            timeout=timeout,
            done=self._done,
        )
        if exchange.relayed:
            self._relaying.pass_on(exchange, job)
        else:
            self._queue.submit(job)

    # Out

    def _done(self, job: jobs.Job, result: jobs.Outputs | errors.RequestError) -> None:
        exchange, reply = job.reply
        if isinstance(result, errors.RequestError):
            result.details.setdefault("id", job.id)
            self.finish(exchange, result)
            return
        coding = None
        if b"accept-encoding" in exchange.headers:
            coding = compression.chosen(exchange.headers[b"accept-encoding"])
        try:
            marks = self._marks(exchange, job, result)
            encode = functools.partial(
                self._encode, job.id, result, reply, degraded=job.degraded, marks=marks, coding=coding
            )
            size = _RENDERED * jobs.answer_size(result)
            if size > heavy.LARGE:
                self._answer_large(exchange, encode, size=size, job=job)
            else:
                self._answer(exchange, encode(), job=job)
        except errors.RequestError as error:
            self.finish(exchange, error)
        except Exception:  # must not reach the batcher, which has the neighbours' answers still to give
            log.exception("answer could not be encoded")
            self.finish(exchange, errors.internal())
        else:
            if exchange.copied:
                self._copying.answered(exchange, job, result)
            if self._samples.on and COPIED not in exchange.headers:  # of a copy, the original is sampled
                self._samples.offer(job, result)

    def _marks(self, exchange: Exchange, job: jobs.Job, result: jobs.Outputs) -> bytes:
        """The parameters of an answer that gets a token: the model's own answer to somebody who asked."""
        collecting = self._collecting
        if collecting is None or job.degraded or COPIED in exchange.headers:
            return b""
        return collecting.mark(list(result), job.rows) if collecting.wants(job.reply[1].token) else b""

    def _encode(
        self,
        request_id: str,
        result: jobs.Outputs,
        reply: Reply,
        *,
        degraded: str,
        marks: bytes,
        coding: bytes | None,
    ) -> tuple[bytes, bytes, bytes]:
        """Body, content type and further headers. Pure: it may run in the thread."""
        body, header_length = self._encoder.encode(request_id, result, reply, degraded=degraded, marks=marks)
        content_type, headers = JSON, DEGRADED_LINE if degraded else b""
        if header_length is not None:
            content_type = BINARY
            headers += b"Inference-Header-Content-Length: %d\r\n" % header_length
        if coding is not None and len(body) > compression.MIN_SIZE:
            body, headers = compression.packed(body, coding), headers + b"Content-Encoding: %s\r\n" % coding
        return body, content_type, headers

    def _answer_large(
        self, exchange: Exchange, encode: Callable[[], tuple[bytes, bytes, bytes]], *, size: int, job: jobs.Job
    ) -> None:
        """In the thread; the answer keeps its bytes of the budget until the client has taken it."""

        def encoded(result: tuple[bytes, bytes, bytes] | errors.RequestError, charge: heavy.Charge) -> None:
            if isinstance(result, errors.RequestError):
                self.finish(exchange, result)
                return
            exchange.charged = charge.keep(len(result[0]))
            self._answer(exchange, result, job=job)

        self._workshop.start(lambda _: encode(), size=size, started=time.perf_counter(), done=encoded)

    def _answer(self, exchange: Exchange, encoded: tuple[bytes, bytes, bytes], *, job: jobs.Job) -> None:
        self._count("degraded" if job.degraded else "ok", exchange, request_id=job.id)
        body, content_type, headers = encoded
        exchange.answer(200, body, content_type=content_type, headers=headers)

    def finish(self, exchange: Exchange, error: errors.RequestError) -> None:
        """Answer one that was taken with an error, and count it."""
        if exchange.copied:
            self._copying.forget(exchange)
        if error.outcome == "error":
            traceparent = exchange.headers.get(b"traceparent", b"").decode("latin-1")
            tracing.failed(error, transport="rest", traceparent=traceparent)
        self._count(error.outcome, exchange, request_id=str(error.details.get("id", "")))
        exchange.fail(error)

    def _count(self, outcome: errors.Outcome, exchange: Exchange, *, request_id: str) -> None:
        """An answer in a candidate's place says nothing about this revision: it is counted with the candidate's."""
        counters, seconds = self._counters, time.perf_counter() - exchange.started
        counters.in_flight -= 1
        if exchange.stands_in is None:
            counters.finished(outcome, seconds)
        else:
            exchange.stands_in(outcome in ("ok", "degraded"))
        if counters.spans is not None:
            traceparent = exchange.headers.get(b"traceparent", b"").decode("latin-1")
            counters.spans.finished(outcome, seconds, transport="rest", request_id=request_id, traceparent=traceparent)
