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

from seatrial_server.engine import batching, jobs
from seatrial_server.feedback.collecting import Collecting
from seatrial_server.host import errors
from seatrial_server.model import datatypes, schema, session
from seatrial_server.observe import telemetry
from seatrial_server.protocol import binary, tracing
from seatrial_server.protocol.http import bundles, compression, plain_answers
from seatrial_server.protocol.http.decode import Decoder
from seatrial_server.protocol.http.encode import Encoder
from seatrial_server.protocol.http.exchange import Exchange, Ride
from seatrial_server.protocol.http.forms import Kind
from seatrial_server.relay.relay import Relay
from seatrial_server.samples import sampler

log = logging.getLogger(__name__)
_NUMBER_SIZE = 26
_TENSOR_SIZE = 100
"""Bytes that a number, and a tensor's description, take in an answer at most."""


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
        handle: Callable[[Exchange], None],
        general: Callable[[Exchange], None],
        relay: Relay | None,
        relayed: Callable[[Exchange], None],
        copied: Callable[[Exchange], None],
        samples: sampler.Sampler,
        fail: Callable[[Exchange, errors.RequestError], None],
        special: Set[bytes] = frozenset(),
        collecting: Collecting | None = None,
    ) -> None:
        self._special = {b"content-encoding", *special}
        self._targets, self._forms, self._layouts = targets, decoder.forms, decoder.layouts
        self._input, self._small = decoder.schema.inputs[0], _fit_a_packet(decoder.schema.outputs)
        self._encoder, self._batcher, self._counters = encoder, batcher, counters
        self._ids, self._handle, self._general, self._fail = ids, handle, general, fail
        self._relay, self._relayed, self._copied, self._samples = relay, relayed, copied, samples
        self._collecting = collecting
        self._answers = plain_answers.Answers(encoder.start, ids)
        self.renew = self._answers.renew
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Ride] = []
        self._started = 0.0

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

    def take(self, ride: Ride) -> None:
        """See `exchange.ShortWay`."""
        waiting = self._waiting
        if not waiting:
            self._started = time.perf_counter()
            if not self._batcher.inline:
                self._hand_on([ride], self._handle)
                return
            self._loop.call_soon(self.flush)
        waiting.append(ride)
        if len(waiting) == batching.MAX_ROWS:
            self.flush()

    def flush(self) -> None:
        """Answer everything that waits."""
        rides, self._waiting = self._waiting, []
        while rides:
            kind, taken, parts, rides = bundles.split(rides, self._forms, self._layouts)
            if kind is None:
                self._hand_on(taken, self._handle)
                continue
            if self._relay is not None and self._relay.assigned is not None:
                taken, parts = self._chosen(self._relay, taken, parts)
            if self._samples.on:
                taken, parts = self._unsampled(taken, parts)
            if taken:
                self._run(kind, taken, parts)

    def _chosen(self, relay: Relay, rides: list[Ride], parts: list[bytes]) -> tuple[list[Ride], list[bytes]]:
        """Those that are answered here, without a copy to another revision; the others are handed on."""
        assert relay.assigned is not None  # noqa: S101
        if relay.assigned.asks_headers:  # one may decide, and the general way reads them
            self._hand_on(rides, self._handle)
            return [], []
        kept: tuple[list[Ride], list[bytes]] = [], []
        for ride, part in zip(rides, parts, strict=True):
            if relay.draws():
                self._hand_on([ride], self._relayed)
            elif relay.copies():
                self._hand_on([ride], self._copied)
            else:
                kept[0].append(ride)
                kept[1].append(part)
        return kept

    def _unsampled(self, rides: list[Ride], parts: list[bytes]) -> tuple[list[Ride], list[bytes]]:
        """Those that are no samples: the general way keeps those; it finds the id where a client would have put it."""
        kept: tuple[list[Ride], list[bytes]] = [], []
        for (rider, head, data, begin, given), part in zip(rides, parts, strict=True):
            request_id = given or self._ids.new().encode()
            if self._samples.chooses(request_id.decode("latin-1")):
                exchange = rider.exchange(head, data, begin, self._started)
                exchange.headers = {**exchange.headers, b"x-request-id": request_id}
                self._general(exchange)
            else:
                kept[0].append((rider, head, data, begin, request_id))
                kept[1].append(part)
        return kept

    def _hand_on(self, rides: Sequence[Ride], way: Callable[[Exchange], None]) -> None:
        for rider, head, data, begin, _ in rides:
            way(rider.exchange(head, data, begin, self._started))

    def _run(self, kind: Kind, rides: list[Ride], parts: list[bytes]) -> None:
        try:
            self._submit(kind, rides, parts)
        except Exception:  # the last line of defence: a defect of ours must not leave clients waiting
            log.exception("bundle failed")
            for ride in rides:
                ride[0].abort()

    def _submit(self, kind: Kind, rides: list[Ride], parts: list[bytes]) -> None:
        count = len(rides)
        try:
            values: jobs.Values
            if kind.as_text:
                values = jobs.Numbers(parts, kind.row_size, b"", _unreadable)
            else:
                values = binary.array(b"".join(parts), self._input)
            self._batcher.run(
                jobs.Job(
                    id="",
                    values=[values],
                    shapes=[(count, *kind.row_shape)],
                    rows=count,
                    reply=(kind, rides),
                    started=self._started,
                    done=self._done,
                    bundle=True,
                )
            )
        except errors.RequestError as error:
            self._take_apart(rides, error)

    def _done(self, job: jobs.Job, result: jobs.Outputs | errors.RequestError) -> None:
        kind, rides = job.reply
        if isinstance(result, errors.RequestError):
            self._take_apart(rides, result)
            return
        try:
            arrays = list(result)
            texts, parts = self._encoder.rows(arrays, as_binary=kind.reply_binary)
            if any(len(array) != len(rides) for array in arrays):
                raise ValueError("the model does not give one output row for each input row")
            if self._collecting is not None and self._collecting.wants(kind.token):
                texts = _marked(self._collecting, rides, arrays, texts)
        except Exception:  # for each request alone the general way has an answer, or says what is wrong
            self._take_apart(rides, jobs.mixed())
            return
        self._counters.finished_together(len(rides), time.perf_counter() - job.started)
        if kind.reply_binary:
            self._answers.send_binary(rides, texts, parts)
        else:
            self._answers.send(rides, texts)

    def _take_apart(self, rides: list[Ride], error: errors.RequestError) -> None:
        """Lateness is everybody's; anything else may be the doing of one."""
        if error.status not in (503, 504):
            self._hand_on(rides, self._general)
            return
        self._counters.in_flight += len(rides)
        for rider, head, data, begin, given in rides:
            exchange = rider.exchange(head, data, begin, self._started)
            self._fail(exchange, _same(error, request_id=self._ids.choose(given)))


def _marked(
    collecting: Collecting, rides: list[Ride], arrays: list[session.Array], texts: Sequence[bytes]
) -> list[bytes]:
    """With a token before the outputs of each answer that somebody gets."""
    marks = collecting.marks(arrays, [not head.copy for _, head, _, _, _ in rides])
    return [mark + text for mark, text in zip(marks, texts, strict=True)]


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
