"""The Open Inference Protocol (V2) over REST: routes, and the way of an inference request through the server.

The infer path of the served model is one dictionary look-up; everything else is parsed the slow way. Whatever goes
wrong, the client gets an error object and no traceback.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
import urllib.parse
from typing import Any

import msgspec

from seatrial_server import batching, errors, jobs, telemetry
from seatrial_server.http.decode import Decoder
from seatrial_server.http.encode import Encoder
from seatrial_server.http.exchange import Exchange
from seatrial_server.model import schema

log = logging.getLogger(__name__)
EXTENSIONS = ("binary_tensor_data", "model_repository")
_MAX_ID = 256


class Identity(msgspec.Struct, frozen=True):
    """What the server says about itself and its model."""

    server_version: str
    model: str
    version: str


class V2:
    """`exchange.Application` for one model. `ready` is cleared when the server begins to drain."""

    def __init__(
        self,
        *,
        identity: Identity,
        model: schema.Schema,
        decoder: Decoder,
        encoder: Encoder,
        batcher: batching.Batcher,
        counters: telemetry.Telemetry,
        max_body_bytes: int,
    ) -> None:
        self.max_body_bytes = max_body_bytes
        self.ready = True
        self._identity = identity
        self._schema = model
        self._decoder, self._encoder, self._batcher, self._counters = decoder, encoder, batcher, counters
        prefix = secrets.token_hex(4)
        self._ids = (f"{prefix}-{number:x}" for number in itertools.count(1))
        model_path = f"/v2/models/{urllib.parse.quote(identity.model, safe='')}"
        version_path = f"{model_path}/versions/{urllib.parse.quote(identity.version, safe='')}"
        self._infer_targets = frozenset(f"{path}/infer".encode() for path in (model_path, version_path))

    def handle(self, exchange: Exchange) -> None:
        """See `exchange.Application`."""
        try:
            if exchange.target in self._infer_targets and exchange.method == b"POST":
                self._infer(exchange)
            else:
                self._route(exchange)
        except errors.RequestError as error:
            exchange.fail(error)
        except Exception:  # the last line of defence: a defect of ours must not end the connection without an answer
            log.exception("request failed")
            exchange.fail(errors.RequestError(500, "internal error", code="Internal", outcome="error"))

    # Inference

    def _infer(self, exchange: Exchange) -> None:
        self._counters.in_flight += 1
        try:
            headers = exchange.headers
            if b"content-length" not in headers and b"transfer-encoding" not in headers:
                raise errors.RequestError(411, "the body needs a Content-Length or chunks", code="LengthRequired")
            decoded = self._decoder.decode(exchange.body, headers.get(b"inference-header-content-length"))
            self._batcher.submit(
                jobs.Job(
                    id=decoded.id or self._request_id(headers),
                    values=decoded.values,
                    shapes=decoded.shapes,
                    rows=decoded.rows,
                    reply=(exchange, decoded.reply),
                    started=exchange.started,
                    timeout=decoded.timeout,
                    done=self._done,
                )
            )
        except errors.RequestError as error:
            self._finish(exchange, error)
        except Exception:
            log.exception("request could not be decoded")
            self._finish(exchange, errors.RequestError(500, "internal error", code="Internal", outcome="error"))

    def _done(self, job: jobs.Job, result: jobs.Outputs | errors.RequestError) -> None:
        exchange, reply = job.reply
        if isinstance(result, errors.RequestError):
            result.details.setdefault("id", job.id)
            self._finish(exchange, result)
            return
        body, header_length = self._encoder.encode(job.id, result, reply, degraded=job.degraded)
        self._count("degraded" if job.degraded else "ok", exchange)
        if header_length is None:
            exchange.answer(200, body)
        else:
            exchange.answer(
                200,
                body,
                content_type=b"application/octet-stream",
                headers=b"Inference-Header-Content-Length: %d\r\n" % header_length,
            )

    def _finish(self, exchange: Exchange, error: errors.RequestError) -> None:
        self._count(error.outcome, exchange)
        exchange.fail(error)

    def _count(self, outcome: errors.Outcome, exchange: Exchange) -> None:
        self._counters.in_flight -= 1
        self._counters.finished(outcome, time.perf_counter() - exchange.started)

    def _request_id(self, headers: dict[bytes, bytes]) -> str:
        given = headers.get(b"x-request-id")
        if given and len(given) <= _MAX_ID:
            return given.decode("latin-1")
        return next(self._ids)

    # Everything else

    def _route(self, exchange: Exchange) -> None:
        target = exchange.target.partition(b"?")[0]
        if target.lower().startswith((b"http://", b"https://")):
            target = b"/" + target.split(b"/", 3)[3] if target.count(b"/") > 2 else b"/"
        segments = [urllib.parse.unquote(part) for part in target.decode("latin-1").strip("/").split("/")]
        match segments:
            case ["v2"]:
                self._get(exchange, self._server_metadata())
            case ["v2", "health", "live"]:
                self._get(exchange, {"live": True})
            case ["v2", "health", "ready"]:
                self._readiness(exchange, {"ready": True, "live": True})
            case ["v2", "repository", "index"]:
                self._post(exchange, self._index())
            case ["v2", "repository", "models", str(), "load" | "unload"]:
                self._refuse_load(exchange)
            case ["v2", "models", name, "versions", version, *rest]:
                self._model(exchange, name, version, rest)
            case ["v2", "models", name, *rest]:
                self._model(exchange, name, None, rest)
            case _:
                raise _not_found("there is nothing at this path; the protocol starts at /v2")

    def _model(self, exchange: Exchange, name: str, version: str | None, rest: list[str]) -> None:
        if name != self._identity.model:
            raise _not_found(f"unknown model {name[:200]!r}; this server has {self._identity.model!r}")
        if version is not None and version != self._identity.version:
            raise _not_found(f"unknown version {version[:200]!r}; this server has {self._identity.version!r}")
        match rest:
            case []:
                self._get(exchange, self._model_metadata())
            case ["ready"]:
                self._readiness(exchange, {"name": name, "ready": True})
            case ["infer"]:
                _allow(exchange, b"POST")
                self._infer(exchange)
            case _:
                raise _not_found("there is nothing at this path of the model")

    def _readiness(self, exchange: Exchange, document: dict[str, Any]) -> None:
        if not self.ready:
            raise errors.RequestError(503, "the server is shutting down", code="NotReady", outcome="shed")
        self._get(exchange, document)

    def _get(self, exchange: Exchange, document: Any) -> None:
        _allow(exchange, b"GET", b"HEAD")
        exchange.answer_json(document)

    def _post(self, exchange: Exchange, document: Any) -> None:
        _allow(exchange, b"POST")
        exchange.answer_json(document)

    def _refuse_load(self, exchange: Exchange) -> None:
        _allow(exchange, b"POST")
        raise errors.RequestError(
            409, "versions are managed by the ModelDeployment: change spec.model there", code="ManagedElsewhere"
        )

    def _server_metadata(self) -> dict[str, Any]:
        return {"name": "seatrial-server", "version": self._identity.server_version, "extensions": EXTENSIONS}

    def _model_metadata(self) -> dict[str, Any]:
        return {
            "name": self._identity.model,
            "versions": [self._identity.version],
            "platform": "onnx_onnxv1",
            "inputs": [msgspec.structs.asdict(spec) for spec in self._schema.inputs],
            "outputs": [msgspec.structs.asdict(spec) for spec in self._schema.outputs],
        }

    def _index(self) -> list[dict[str, str]]:
        state, reason = ("READY", "") if self.ready else ("UNAVAILABLE", "the server is shutting down")
        return [{"name": self._identity.model, "version": self._identity.version, "state": state, "reason": reason}]


def _allow(exchange: Exchange, *methods: bytes) -> None:
    if exchange.method not in methods:
        allowed = b", ".join(methods)
        raise errors.RequestError(
            405, f"this path takes {allowed.decode()}", code="MethodNotAllowed", headers=b"Allow: %s\r\n" % allowed
        )


def _not_found(message: str) -> errors.RequestError:
    return errors.RequestError(404, message, code="NotFound")
