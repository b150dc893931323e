"""The Open Inference Protocol (V2) over REST: routes, and the way of an inference request through the server.

The infer path of the served model is one dictionary look-up; everything else is parsed the slow way. Whatever goes
wrong, the client gets an error object and no traceback.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from seatrial_server.engine import batching, jobs
from seatrial_server.host import budget, config, errors
from seatrial_server.model import schema
from seatrial_server.observe import telemetry
from seatrial_server.protocol import documents, tracing
from seatrial_server.protocol.http import compression, copying, cors, express, heavy, relaying
from seatrial_server.protocol.http.decode import Decoder
from seatrial_server.protocol.http.encode import Encoder
from seatrial_server.protocol.http.exchange import BINARY, JSON, Exchange, ShortWay
from seatrial_server.protocol.signature import Decoded, Reply
from seatrial_server.relay.headers import DEADLINE, DEGRADED_LINE, seconds, sooner
from seatrial_server.relay.relay import Relay

log = logging.getLogger(__name__)
_RENDERED = 4
"""Bytes of an answer for a byte of its outputs: a float of four bytes has up to fifteen characters."""
_PAGES, _TRACED = frozenset({b"origin"}), frozenset({b"traceparent"})


class V2:
    """`exchange.Application` for one model. `bundles`: the batcher that may have bundles, see `express`.

    `openapi` makes the document that describes the model. It may run the model, so it is called once, in a thread.
    """

    def __init__(
        self,
        *,
        about: documents.Documents,
        decoder: Decoder,
        encoder: Encoder,
        queue: jobs.Queue,
        counters: telemetry.Telemetry,
        max_body_bytes: int,
        timeout_seconds: float = config.Limits().timeout_seconds,
        account: budget.Budget | None = None,
        bundles: batching.Batcher | None = None,
        openapi: Callable[[], bytes] | None = None,
        pages: cors.Cors | None = None,
        relay: Relay | None = None,
        card: schema.Card | None = None,
    ) -> None:
        self.max_body_bytes = max_body_bytes
        account = account or budget.of_process(max_body_bytes=max_body_bytes)
        self._workshop = heavy.Workshop(account, seconds=timeout_seconds)
        self._about = about
        self._decoder, self._encoder, self._queue, self._counters = decoder, encoder, queue, counters
        self._ids = tracing.RequestIds()
        self._openapi, self._pages = openapi, pages
        self._relay = relay
        if relay is not None:
            self._relaying = relaying.Relaying(
                relay, counters=counters, account=account, submit=queue.submit, finish=self._finish
            )
            self._copying = copying.Copying(
                relay, counters.relayed, account, card=card or schema.Card(), model=decoder.schema
            )
        self._description: asyncio.Future[bytes] | None = None
        model_path = f"/v2/models/{urllib.parse.quote(about.identity.model, safe='')}"
        version_path = f"{model_path}/versions/{urllib.parse.quote(about.identity.version, safe='')}"
        self._infer_targets = frozenset(f"{path}/infer".encode() for path in (model_path, version_path))
        self.short_way: ShortWay | None = None
        if bundles is not None and len(decoder.schema.inputs) == 1:
            self.short_way = express.Express(
                targets=self._infer_targets,
                decoder=decoder,
                encoder=encoder,
                batcher=bundles,
                counters=counters,
                ids=self._ids,
                general=self._infer_here,
                relay=relay,
                relayed=self._infer_there,
                copied=self._infer_copied,
                special=(_PAGES if pages else frozenset()) | (_TRACED if counters.spans else frozenset()),
                fail=self._finish,
            )

    def handle(self, exchange: Exchange) -> None:
        """See `exchange.Application`."""
        if self._pages is not None and b"origin" in exchange.headers:
            exchange.lines = self._pages.lines(exchange.headers)
        if exchange.target in self._infer_targets and exchange.method == b"POST":
            self._infer(exchange)
            return
        try:
            if exchange.method != b"OPTIONS" or not self._asks_first(exchange):
                self._route(exchange)
        except errors.RequestError as error:
            exchange.fail(error)
        except Exception:  # the last line of defence: a defect of ours must not end the connection without an answer
            log.exception("request failed")
            exchange.fail(_internal())

    def refused(self, exchange: Exchange, error: errors.RequestError) -> None:
        """See `exchange.Application`."""
        if self._pages is not None:
            exchange.lines = self._pages.lines(exchange.headers)
        self._counters.refused(error, inference=exchange.target in self._infer_targets)

    def turned_away(self) -> None:
        """See `exchange.Application`."""
        self._counters.refusals["turned_away"] += 1

    def _asks_first(self, exchange: Exchange) -> bool:
        """Whether this was a browser's question before a call from a page that may call."""
        answer = self._pages.preflight(exchange.headers) if self._pages is not None else None
        if answer is not None:
            exchange.answer(200, b"", headers=answer)
        return answer is not None

    # Inference

    def _infer(self, exchange: Exchange) -> None:
        relay = self._relay
        if relay is None or relay.assigned is None:
            self._take(exchange, relayed=False)
        elif relay.chooses(exchange.headers.get):
            self._take(exchange, relayed=not self._pinned(exchange))
        else:
            exchange.copied = relay.copies()
            self._take(exchange, relayed=False)

    def _infer_here(self, exchange: Exchange) -> None:
        self._take(exchange, relayed=False)

    def _infer_there(self, exchange: Exchange) -> None:
        """The draw has fallen on the candidate, but nobody has read the headers."""
        relay = self._relay
        self._take(
            exchange, relayed=relay is not None and relay.may(exchange.headers.get) and not self._pinned(exchange)
        )

    def _infer_copied(self, exchange: Exchange) -> None:
        exchange.copied = True
        self._take(exchange, relayed=False)

    def _pinned(self, exchange: Exchange) -> bool:
        """Whether the client wants this revision's version and no other."""
        return self._about.identity.pinning == "Reject" and b"/versions/" in exchange.target

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
                self._infer_large(exchange, body)
            else:
                self._submit(exchange, self._decoder.decode(whole, headers.get(b"inference-header-content-length")))
        except errors.RequestError as error:
            self._finish(exchange, error)
        except Exception:
            log.exception("request could not be decoded")
            self._finish(exchange, _internal())

    def _unpacked(self, body: bytes, headers: dict[bytes, bytes]) -> bytes | None:
        """The body as the client meant it; None for one that is too large for the loop."""
        coding = headers.get(b"content-encoding")
        if coding is None:
            return body
        return compression.unpacked(body, coding, limit=self.max_body_bytes, most=heavy.LARGE)

    def _infer_large(self, exchange: Exchange, body: bytes) -> None:
        headers = exchange.headers
        coding = headers.get(b"content-encoding", b"identity")

        def decode(charge: heavy.Charge) -> Decoded:
            whole = compression.unpacked(body, coding, limit=self.max_body_bytes, reserve=charge.take)
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
                self._finish(exchange, error)

        self._workshop.start(decode, size=len(body), started=exchange.started, done=decoded)

    def _submit(self, exchange: Exchange, decoded: Decoded) -> None:
        headers = exchange.headers
        given, timeout = headers.get(b"x-request-id"), decoded.timeout
        if DEADLINE in headers:
            timeout = sooner(timeout, seconds(headers[DEADLINE]))
        job = jobs.Job(
            id=decoded.id or (self._ids.new() if given is None else self._ids.choose(given)),
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

    def _infer_of(self, exchange: Exchange, name: str, version: str | None) -> None:
        """An address that isn't one of ours to the letter; refused or not, it counts as it does over gRPC."""
        try:
            self._about.check_asked(name, version, transport="rest")
        except errors.RequestError as error:
            self._counters.in_flight += 1
            self._finish(exchange, error)
        else:
            self._infer(exchange)

    def _done(self, job: jobs.Job, result: jobs.Outputs | errors.RequestError) -> None:
        exchange, reply = job.reply
        if isinstance(result, errors.RequestError):
            result.details.setdefault("id", job.id)
            self._finish(exchange, result)
            return
        coding = None
        if b"accept-encoding" in exchange.headers:
            coding = compression.chosen(exchange.headers[b"accept-encoding"])
        encode = functools.partial(self._encode, job.id, result, reply, degraded=job.degraded, coding=coding)
        try:
            size = _RENDERED * jobs.answer_size(result)
            if size > heavy.LARGE:
                self._answer_large(exchange, encode, size=size, job=job)
            else:
                self._answer(exchange, encode(), job=job)
        except errors.RequestError as error:
            self._finish(exchange, error)
        except Exception:  # must not reach the batcher, which has the neighbours' answers still to give
            log.exception("answer could not be encoded")
            self._finish(exchange, _internal())
        else:
            if exchange.copied:
                self._copying.answered(exchange, job, result)

    def _encode(
        self, request_id: str, result: jobs.Outputs, reply: Reply, *, degraded: str, coding: bytes | None
    ) -> tuple[bytes, bytes, bytes]:
        """Body, content type and further headers. Pure: it may run in the thread."""
        body, header_length = self._encoder.encode(request_id, result, reply, degraded=degraded)
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
                self._finish(exchange, result)
                return
            exchange.charged = charge.keep(len(result[0]))
            self._answer(exchange, result, job=job)

        self._workshop.start(lambda _: encode(), size=size, started=time.perf_counter(), done=encoded)

    def _answer(self, exchange: Exchange, encoded: tuple[bytes, bytes, bytes], *, job: jobs.Job) -> None:
        self._count("degraded" if job.degraded else "ok", exchange, request_id=job.id)
        body, content_type, headers = encoded
        exchange.answer(200, body, content_type=content_type, headers=headers)

    def _finish(self, exchange: Exchange, error: errors.RequestError) -> None:
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

    # Everything else

    def _route(self, exchange: Exchange) -> None:
        target = exchange.target.partition(b"?")[0]
        if target.lower().startswith((b"http://", b"https://")):
            target = b"/" + target.split(b"/", 3)[3] if target.count(b"/") > 2 else b"/"
        segments = [urllib.parse.unquote(part) for part in target.decode("latin-1").strip("/").split("/")]
        match segments:
            case ["v2"]:
                self._get(exchange, self._about.server())
            case ["v2", "health", "live"]:
                self._get(exchange, {"live": True})
            case ["v2", "health", "ready"]:
                self._readiness(exchange, {"ready": True, "live": True})
            case ["v2", "repository", "index"]:
                self._post(exchange, self._about.index())
            case ["v2", "repository", "models", str(), "load" | "unload"]:
                _allow(exchange, b"POST")
                raise documents.refused_load()
            case ["v2", "models", "stats"] if self._about.identity.model != "stats":
                self._get(exchange, self._about.statistics())
            case ["v2", "models", name, "versions", version, *rest]:
                self._model(exchange, name, version, rest)
            case ["v2", "models", name, *rest]:
                self._model(exchange, name, None, rest)
            case _:
                raise documents.not_found("there is nothing at this path; the protocol starts at /v2")

    def _model(self, exchange: Exchange, name: str, version: str | None, rest: list[str]) -> None:
        if rest == ["infer"]:
            _allow(exchange, b"POST")
            self._infer_of(exchange, name, version)
            return
        self._about.check_model(name, version)
        match rest:
            case []:
                self._get(exchange, self._about.model())
            case ["ready"]:
                self._readiness(exchange, {"name": name, "ready": True})
            case ["config"]:
                self._get(exchange, self._about.config())
            case ["stats"]:
                self._get(exchange, self._about.statistics())
            case ["openapi.json"] if self._openapi is not None:
                _allow(exchange, b"GET", b"HEAD")
                self._describe(exchange, self._openapi)
            case _:
                raise documents.not_found("there is nothing at this path of the model")

    def _describe(self, exchange: Exchange, openapi: Callable[[], bytes]) -> None:
        def answer(done: asyncio.Future[bytes]) -> None:
            if done.exception() is None:
                exchange.answer(200, done.result())
            else:
                log.error("the model could not be described", exc_info=done.exception())
                exchange.fail(_internal())

        if self._description is None:
            self._description = asyncio.get_running_loop().run_in_executor(None, openapi)
        self._description.add_done_callback(answer)

    def _readiness(self, exchange: Exchange, document: dict[str, Any]) -> None:
        self._about.check_ready()
        self._get(exchange, document)

    def _get(self, exchange: Exchange, document: Any) -> None:
        _allow(exchange, b"GET", b"HEAD")
        exchange.answer_json(document)

    def _post(self, exchange: Exchange, document: Any) -> None:
        _allow(exchange, b"POST")
        exchange.answer_json(document)


def _internal() -> errors.RequestError:
    return errors.RequestError(500, "internal error", code="Internal", outcome="error")


def _allow(exchange: Exchange, *methods: bytes) -> None:
    if exchange.method not in methods:
        allowed = b", ".join(methods)
        raise errors.RequestError(
            405, f"this path takes {allowed.decode()}", code="MethodNotAllowed", headers=b"Allow: %s\r\n" % allowed
        )
