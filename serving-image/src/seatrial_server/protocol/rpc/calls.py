"""The calls of the gRPC service: an inference request takes the same way as over REST, the rest are documents.

Handlers take and give raw bytes; grpcio's own serializers would call Python once more. Whatever goes wrong, the client
gets a status with a text and no traceback.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf import message as protobuf

from seatrial_server.engine import jobs
from seatrial_server.feedback.collecting import Collecting
from seatrial_server.host import errors
from seatrial_server.observe import telemetry
from seatrial_server.protocol import documents, revision, tracing
from seatrial_server.protocol.rpc import codec, copying, gathering, messages, relaying, status
from seatrial_server.protocol.rpc.relaying import Call
from seatrial_server.relay import rpc, shadow
from seatrial_server.relay.headers import COPIED, DEGRADED
from seatrial_server.relay.relay import Relay
from seatrial_server.samples import sampler

log = logging.getLogger(__name__)
Handler = Callable[[bytes, Any], Awaitable[bytes]]


class Calls(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """For one model."""

    def __init__(
        self,
        *,
        about: documents.Documents,
        known: messages.Messages,
        decoder: codec.Decoder,
        encoder: codec.Encoder,
        queue: jobs.Queue,
        counters: telemetry.Telemetry,
        relay: Relay | None = None,
        copies: shadow.Shadow | None = None,
        samples: sampler.Sampler | None = None,
        collecting: Collecting | None = None,
    ) -> None:
        self.last_call = 0.0
        self._about, self._messages = about, known
        self._decoder, self._encoder, self._queue, self._counters = decoder, encoder, queue, counters
        self._loop = asyncio.get_running_loop()
        self._ids = tracing.RequestIds()
        self._mark = revision.metadata(about.identity.revision)
        self._relay, self._collecting = relay, collecting
        self._samples = samples or sampler.Sampler(counters)
        if relay is not None and copies is not None:
            self._relaying = relaying.Relaying(relay, counters=counters, submit=queue.submit, finish=self._finish)
            self._copying = copying.Copying(relay, copies, response=known.response["ModelInfer"])
        self._gathering = gathering.Gathering(self._take)
        answers: dict[str, Callable[[Any], Any]] = {
            "ServerLive": lambda _: {"live": True},
            "ServerReady": lambda _: {"ready": about.ready},
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda _: about.server(),
            "ModelMetadata": lambda request: self._of_model(request, about.model),
            "ModelConfig": lambda request: {"config": self._of_model(request, about.config)},
            "ModelStatistics": lambda request: self._of_model(request, about.statistics),
            "RepositoryIndex": lambda _: {"models": about.index()},
            "RepositoryModelLoad": _refuse_load,
            "RepositoryModelUnload": _refuse_load,
        }
        handlers: dict[str, Handler] = {name: self._document(name, answer) for name, answer in answers.items()}
        handlers["ModelInfer"] = self._infer
        self._methods = {
            f"/{messages.SERVICE}/{name}": grpc.unary_unary_rpc_method_handler(handler)
            for name, handler in handlers.items()
        }

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """See `grpc.GenericRpcHandler`; None for calls of other services."""
        method = self._methods.get(details.method)
        if method is not None:
            self.last_call = time.monotonic()
        return method

    # Inference

    async def _infer(self, body: bytes, context: Any) -> bytes:
        self._counters.in_flight += 1
        call = Call(body, context, time.perf_counter(), self._loop.create_future())
        self._gathering.add(call)
        result = await call.answer
        mark = self._mark + call.marks
        if isinstance(result, errors.RequestError):
            return _fail(result, context, mark)
        if isinstance(result, rpc.Answer):
            context.set_code(result.code)
            context.set_details(result.details)
            context.set_trailing_metadata(result.trailers)
            return result.body
        if mark:
            context.set_trailing_metadata(mark)
        return result

    def _take(self, call: Call) -> None:
        try:
            job, relay = self._job(call), self._relay
            if relay is None or relay.assigned is None:
                self._queue.submit(job)
            elif self._relaying.chooses(call):
                self._relaying.pass_on(call, job)
            else:
                call.copied = self._relaying.copies(call)
                self._queue.submit(job)
        except errors.RequestError as error:
            self._finish(call, error)
        except Exception:  # the last line of defence, as in `http.v2`
            log.exception("request could not be decoded")
            self._finish(call, _internal())

    def _job(self, call: Call) -> jobs.Job:
        decoded = self._decoder.again(call.body)
        if decoded is None:
            message = self._decoder.parse(call.body)
            self._about.check_asked(message.model_name, message.model_version, transport="grpc")
            call.pinned = self._about.identity.pinning == "Reject" and bool(message.model_version)
            decoded = self._decoder.decode(message)
            self._decoder.learn(call.body, message, decoded)
        return jobs.Job(
            id=decoded.id or self._ids.choose(_metadata(call.context, "x-request-id")),
            values=decoded.values,
            shapes=decoded.shapes,
            rows=decoded.rows,
            reply=(call, decoded.reply),
            started=call.started,
            timeout=_sooner(decoded.timeout, call.context.time_remaining()),
            done=self._done,
        )

    def _done(self, job: jobs.Job, result: jobs.Outputs | errors.RequestError) -> None:
        call, reply = job.reply
        if isinstance(result, errors.RequestError):
            result.details.setdefault("id", job.id)
            self._finish(call, result)
            return
        try:
            marks = self._marks(call, job, result)
            encoded = self._encoder.encode(job.id, result, reply, degraded=job.degraded, marks=marks)
        except Exception:  # must not reach the batcher, which has the neighbours' answers still to give
            log.exception("answer could not be encoded")
            self._finish(call, _internal())
            return
        self._count("degraded" if job.degraded else "ok", call, request_id=job.id)
        if job.degraded:
            call.marks += ((DEGRADED.decode(), "true"),)
        call.finish(encoded)
        if call.copied:
            self._copying.answered(call, job, result)
        if self._samples.on and not _metadata(call.context, COPIED.decode()):
            self._samples.offer(job, result)

    def _marks(self, call: Call, job: jobs.Job, result: jobs.Outputs) -> dict[str, str]:
        """As over REST: see `http.inferring`."""
        collecting = self._collecting
        if collecting is None or job.degraded or not collecting.wants(job.reply[1].token):
            return {}
        token = "" if _metadata(call.context, COPIED.decode()) else collecting.token(list(result), job.rows)
        return {"revision": self._about.identity.revision, "feedback": token} if token else {}

    def _finish(self, call: Call, error: errors.RequestError) -> None:
        self._count(error.outcome, call, request_id=str(error.details.get("id", "")))
        call.finish(error)

    def _count(self, outcome: errors.Outcome, call: Call, *, request_id: str) -> None:
        counters, seconds = self._counters, time.perf_counter() - call.started
        counters.in_flight -= 1
        if call.stands_in is None:
            counters.finished(outcome, seconds, transport="grpc")
        else:
            call.stands_in(outcome in ("ok", "degraded"))
        if counters.spans is not None:
            traceparent = _metadata(call.context, "traceparent")
            counters.spans.finished(outcome, seconds, transport="grpc", request_id=request_id, traceparent=traceparent)

    # Everything else

    def _document(self, name: str, answer: Callable[[Any], Any]) -> Handler:
        request, response = self._messages.request[name], self._messages.response[name]
        return functools.partial(_answer_document, request, response, answer, self._mark)

    def _model_ready(self, request: Any) -> documents.Document:
        self._about.check_model(request.name, request.version)
        return {"ready": self._about.ready}

    def _of_model(self, request: Any, document: Callable[[], documents.Document]) -> documents.Document:
        if request.name or document != self._about.statistics:  # statistics without a name are those of all models
            self._about.check_model(request.name, request.version)
        return document()


async def _answer_document(
    request: Any,
    response: Any,
    answer: Callable[[Any], documents.Document],
    mark: revision.Metadata,
    body: bytes,
    context: Any,
) -> bytes:
    context.set_trailing_metadata(mark)
    try:
        document = answer(request.FromString(body))
        serialized: bytes = json_format.ParseDict(document, response(), ignore_unknown_fields=True).SerializeToString()
        return serialized
    except errors.RequestError as error:
        return _fail(error, context, mark)
    except protobuf.DecodeError:
        return _fail(errors.RequestError(400, "the message is malformed", code="InvalidRequest"), context, mark)
    except Exception:  # see `_infer`
        log.exception("call failed")
        return _fail(_internal(), context, mark)


def _refuse_load(_: Any) -> documents.Document:
    raise documents.refused_load()


def _fail(error: errors.RequestError, context: Any, mark: rpc.Metadata) -> bytes:
    if error.outcome == "error":
        tracing.failed(error, transport="grpc", traceparent=_metadata(context, "traceparent"))
    context.set_code(status.code(error))
    context.set_details(status.text(error))
    context.set_trailing_metadata(status.trailers(error) + mark)
    return b""


def _internal() -> errors.RequestError:
    return errors.RequestError(500, "internal error", code="Internal", outcome="error")


def _metadata(context: Any, name: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == name and isinstance(value, str):
            return value
    return ""


def _sooner(timeout: float, remaining: float | None) -> float:
    """The earlier of the request's parameter and the call's deadline; 0 is none."""
    if remaining is None:
        return timeout
    remaining = max(remaining, 1e-6)
    return min(timeout, remaining) if timeout else remaining
