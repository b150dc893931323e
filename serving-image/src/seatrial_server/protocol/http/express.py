"""The short way of a plain request: one row of one input, and every byte but its values known from an earlier request.

Such requests differ in nothing but a few numbers, so they need no object, no job and no call of their own: what arrives
in one turn of the loop is put together as it is and goes through the model as one bundle of rows. That halves what
Python does per request. There are no rules of its own here: whatever is not plain, or not entirely well, is handed to
the general way (`v2`), one by one, which finds out whose fault it is. Only for models that run on the loop and whose
rows are independent.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence, Set

import msgspec

from seatrial_server.engine import batching, jobs
from seatrial_server.feedback.collecting import Collecting
from seatrial_server.host import errors
from seatrial_server.model import datatypes, schema, session
from seatrial_server.observe import telemetry
from seatrial_server.protocol import binary, tracing
from seatrial_server.protocol.http import compression
from seatrial_server.protocol.http.decode import Decoder
from seatrial_server.protocol.http.encode import Encoder
from seatrial_server.protocol.http.exchange import OK, OK_BINARY, Exchange, Head, Rider
from seatrial_server.protocol.http.forms import Kind
from seatrial_server.relay.relay import Relay

log = logging.getLogger(__name__)
_NUMBER_SIZE = 26
_TENSOR_SIZE = 100
"""Bytes that a number, and a tensor's description, take in an answer at most."""


class _Request(msgspec.Struct, eq=False):
    """`data` is all of it, the body begins at `begin`; `part` are the bytes with the values."""

    rider: Rider
    head: Head
    data: bytes
    begin: int
    part: bytes
    given: bytes
    """The client's request id, which JSON takes as it is, or empty."""
    started: float
    token: bool


class Express:
    """`exchange.ShortWay` for one model with one input. Belongs to the event loop.

    Requests with a header of `special` take the general way.
    """

    def __init__(
        self,
        *,
        targets: Set[bytes],
        decoder: Decoder,
        encoder: Encoder,
        batcher: batching.Batcher,
        counters: telemetry.Telemetry,
        ids: tracing.RequestIds,
        general: Callable[[Exchange], None],
        relay: Relay | None,
        relayed: Callable[[Exchange], None],
        copied: Callable[[Exchange], None],
        fail: Callable[[Exchange, errors.RequestError], None],
        special: Set[bytes] = frozenset(),
        collecting: Collecting | None = None,
    ) -> None:
        self._special = {b"content-encoding", *special}
        self._targets, self._forms, self._layouts = targets, decoder.forms, decoder.layouts
        self._input, self._small = decoder.schema.inputs[0], _fit_a_packet(decoder.schema.outputs)
        self._encoder, self._batcher, self._counters = encoder, batcher, counters
        self._ids, self._general, self._fail = ids, general, fail
        self._relay, self._relayed, self._copied = relay, relayed, copied
        self._collecting = collecting
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Kind, list[_Request]] = {}

    def json_part(self, exchange: Exchange) -> int | None:
        """See `exchange.Head`."""
        headers = exchange.headers
        if exchange.method != b"POST" or exchange.target not in self._targets or self._special & headers.keys():
            return None
        if not self._small and compression.chosen(headers.get(b"accept-encoding", b"")):
            return None
        length = headers.get(b"inference-header-content-length")
        if length is None:
            return 0
        return int(length) or None if length.isdigit() else None

    def take(self, rider: Rider, head: Head, data: bytes, begin: int, request_id: bytes) -> bool:
        """See `exchange.ShortWay`."""
        if not self._batcher.inline:
            return False
        started = time.perf_counter()
        if head.json_part:
            end = begin + head.json_part
            layout = self._layouts.find(data[begin:end], len(data) - end)
            if layout is None:
                return False
            kind, part = layout.kind, data[end:]
        else:
            found = self._forms.find(data, begin)
            if found is None:
                return False
            plain, part = found
            kind = plain.kind
        if kind is None:
            return False
        relay = self._relay
        if relay is not None and relay.assigned is not None:
            if relay.assigned.asks_headers:
                return False  # a header may decide, and the general way reads them
            if relay.draws():
                self._relayed(rider.exchange(head, data, begin, started))
                return True
            if relay.copies():
                self._copied(rider.exchange(head, data, begin, started))
                return True
        waiting = self._waiting.get(kind)
        if waiting is None:
            if not self._waiting:
                self._loop.call_soon(self.flush)
            waiting = self._waiting[kind] = []
        collecting = self._collecting
        token = collecting is not None and collecting.on and not head.copy and collecting.wants(kind.token)
        waiting.append(_Request(rider, head, data, begin, part, request_id, started, token))
        if len(waiting) == batching.MAX_ROWS:
            self._run(kind, self._waiting.pop(kind))
        return True

    def flush(self) -> None:
        """Answer everything that waits."""
        waiting, self._waiting = self._waiting, {}
        for kind, requests in waiting.items():
            self._run(kind, requests)

    def _run(self, kind: Kind, requests: list[_Request]) -> None:
        try:
            self._submit(kind, requests)
        except Exception:  # the last line of defence: a defect of ours must not leave clients waiting
            log.exception("bundle failed")
            for request in requests:
                request.rider.abort()

    def _submit(self, kind: Kind, requests: list[_Request]) -> None:
        count = len(requests)
        self._counters.in_flight += count
        parts = [request.part for request in requests]
        try:
            values: jobs.Values
            if kind.as_text:
                values = jobs.Numbers(parts, math.prod(kind.row_shape), b"", _unreadable)
            else:
                values = binary.array(b"".join(parts), self._input)
            self._batcher.run(
                jobs.Job(
                    id="",
                    values=[values],
                    shapes=[(count, *kind.row_shape)],
                    rows=count,
                    reply=(kind, requests),
                    started=requests[0].started,
                    done=self._done,
                    bundle=True,
                )
            )
        except errors.RequestError as error:
            self._take_apart(requests, error)

    def _done(self, job: jobs.Job, result: jobs.Outputs | errors.RequestError) -> None:
        kind, requests = job.reply
        if isinstance(result, errors.RequestError):
            self._take_apart(requests, result)
            return
        try:
            arrays = list(result)
            answers = self._encoder.rows(arrays, as_binary=kind.reply_binary)
            if any(len(array) != len(requests) for array in arrays):
                raise ValueError("the model does not give one output row for each input row")
            marks = self._marks(arrays, requests)
        except Exception:  # for each request alone the general way has an answer, or says what is wrong
            self._take_apart(requests, jobs.mixed())
            return
        self._counters.in_flight -= len(requests)
        now = time.perf_counter()
        self._counters.finished_together([now - request.started for request in requests])
        start, new = self._encoder.start, self._ids.new_json
        for place, (request, (rest, part)) in enumerate(zip(requests, answers, strict=True)):
            if marks is not None:
                rest = marks[place] + rest
            given = request.given
            body = b'%b"%b"%b' % (start, given, rest) if given else start + new() + rest
            if kind.reply_binary:
                request.rider.reply(OK_BINARY % (len(body) + len(part), len(body)), body + part)
            else:
                request.rider.reply(OK % len(body), body)

    def _marks(self, arrays: list[session.Array], requests: list[_Request]) -> list[bytes] | None:
        """What stands before the outputs of each answer, if one of them gets a token."""
        collecting = self._collecting
        if collecting is None or not collecting.on:
            return None
        wanted = [request.token for request in requests]
        return collecting.marks(arrays, wanted) if any(wanted) else None

    def _take_apart(self, requests: list[_Request], error: errors.RequestError) -> None:
        """Lateness is everybody's; anything else may be the doing of one."""
        late = error.status in (503, 504)
        if not late:
            self._counters.in_flight -= len(requests)
        for request in requests:
            exchange = request.rider.exchange(request.head, request.data, request.begin, request.started)
            if late:
                self._fail(exchange, _same(error, request_id=self._ids.choose(request.given)))
            else:
                self._general(exchange)


def _same(error: errors.RequestError, *, request_id: str) -> errors.RequestError:
    return errors.RequestError(
        error.status,
        str(error),
        code=error.code,
        outcome=error.outcome,
        details={"id": request_id},
        headers=error.headers,
    )


def _unreadable(_: bytes) -> list[object]:
    raise jobs.mixed()


def _fit_a_packet(outputs: Sequence[schema.TensorSpec]) -> bool:
    """Whether the answer for one row is always too small to be compressed."""
    if any(schema.FREE in spec.row_shape or datatypes.BY_NAME[spec.datatype].element is str for spec in outputs):
        return False
    size = sum(_TENSOR_SIZE + len(spec.name) + _NUMBER_SIZE * math.prod(spec.row_shape) for spec in outputs)
    return _TENSOR_SIZE + size < compression.MIN_SIZE
