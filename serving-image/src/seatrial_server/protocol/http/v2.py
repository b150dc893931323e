"""The Open Inference Protocol (V2) over REST: the routes.

The infer path of the served model is one dictionary look-up; everything else is parsed the slow way. Whatever goes
wrong, the client gets an error object and no traceback.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.parse
from collections.abc import Callable
from typing import Any

from seatrial_server.engine import batching, jobs
from seatrial_server.feedback import entries
from seatrial_server.feedback.collecting import Collecting
from seatrial_server.host import budget, config, errors
from seatrial_server.observe import telemetry
from seatrial_server.protocol import documents
from seatrial_server.protocol.http import compression, cors, express, inferring
from seatrial_server.protocol.http.decode import Decoder
from seatrial_server.protocol.http.encode import Encoder
from seatrial_server.protocol.http.exchange import Exchange, ShortWay
from seatrial_server.relay.relay import Relay
from seatrial_server.relay.shadow import Shadow
from seatrial_server.samples import sampler

log = logging.getLogger(__name__)
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
        copies: Shadow | None = None,
        samples: sampler.Sampler | None = None,
        collecting: Collecting | None = None,
    ) -> None:
        self.max_body_bytes = max_body_bytes
        samples = samples or sampler.Sampler(counters)
        self._inference = inferring.Inference(
            decoder=decoder,
            encoder=encoder,
            queue=queue,
            counters=counters,
            account=account or budget.of_process(max_body_bytes=max_body_bytes),
            max_body_bytes=max_body_bytes,
            timeout_seconds=timeout_seconds,
            relay=relay,
            copies=copies,
            samples=samples,
            pinned=about.identity.pinning == "Reject",
            collecting=collecting,
        )
        self._collecting = collecting
        self._about, self._counters = about, counters
        self._openapi, self._pages = openapi, pages
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
                ids=self._inference.ids,
                handle=self.handle,
                general=self._inference.take_here,
                relay=relay,
                relayed=self._inference.take_there,
                copied=self._inference.take_copied,
                samples=samples,
                special=(_PAGES if pages else frozenset()) | (_TRACED if counters.spans else frozenset()),
                fail=self._inference.finish,
                collecting=collecting,
            )

    def handle(self, exchange: Exchange) -> None:
        """See `exchange.Application`."""
        if self._pages is not None and b"origin" in exchange.headers:
            exchange.lines = self._pages.lines(exchange.headers)
        if exchange.target in self._infer_targets and exchange.method == b"POST":
            self._inference.take(exchange)
            return
        try:
            if exchange.method != b"OPTIONS" or not self._asks_first(exchange):
                self._route(exchange)
        except errors.RequestError as error:
            exchange.fail(error)
        except Exception:  # the last line of defence: a defect of ours must not end the connection without an answer
            log.exception("request failed")
            exchange.fail(errors.internal())

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

    def _infer_of(self, exchange: Exchange, name: str, version: str | None) -> None:
        """An address that isn't one of ours to the letter; refused or not, it counts as it does over gRPC."""
        try:
            self._about.check_asked(name, version, transport="rest")
        except errors.RequestError as error:
            self._counters.in_flight += 1
            self._inference.finish(exchange, error)
        else:
            self._inference.take(exchange)

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
            case ["feedback"] if self._collecting is not None:
                _allow(exchange, b"POST")
                self._take_feedback(exchange, self._collecting)
            case ["openapi.json"] if self._openapi is not None:
                _allow(exchange, b"GET", b"HEAD")
                self._describe(exchange, self._openapi)
            case _:
                raise documents.not_found("there is nothing at this path of the model")

    def _take_feedback(self, exchange: Exchange, collecting: Collecting) -> None:
        coding = exchange.headers.get(b"content-encoding", b"identity")
        body = compression.unpacked(exchange.body, coding, limit=entries.MOST_BYTES)
        exchange.answer_json(collecting.take(body or b""), status=202)

    def _describe(self, exchange: Exchange, openapi: Callable[[], bytes]) -> None:
        def answer(done: asyncio.Future[bytes]) -> None:
            if done.exception() is None:
                exchange.answer(200, done.result())
            else:
                log.error("the model could not be described", exc_info=done.exception())
                exchange.fail(errors.internal())

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


def _allow(exchange: Exchange, *methods: bytes) -> None:
    if exchange.method not in methods:
        allowed = b", ".join(methods)
        raise errors.RequestError(
            405, f"this path takes {allowed.decode()}", code="MethodNotAllowed", headers=b"Allow: %s\r\n" % allowed
        )
