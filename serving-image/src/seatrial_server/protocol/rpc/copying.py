"""As `http.copying`, over gRPC."""

from __future__ import annotations

import asyncio
from typing import Any

from google.protobuf import message as protobuf

from seatrial_server.engine import jobs
from seatrial_server.host import errors
from seatrial_server.model import schema, session
from seatrial_server.protocol import binary, tracing
from seatrial_server.protocol.rpc.relaying import METHOD, Call
from seatrial_server.relay import outcomes, rpc, shadow
from seatrial_server.relay.outcomes import Failure
from seatrial_server.relay.relay import Relay


class Copying:
    """For one model; `response` is the message class."""

    def __init__(self, relay: Relay, copies: shadow.Shadow, *, response: Any) -> None:
        self._relay, self._copies, self._response = relay, copies, response
        self._tasks: set[asyncio.Task[None]] = set()

    def answered(self, call: Call, job: jobs.Job, result: jobs.Outputs) -> None:
        """The client has its answer."""
        assigned = self._relay.assigned
        if assigned is None or job.degraded:
            return
        wanted, body = job.reply[1].places, call.body
        metadata = _of_copy(call.metadata())
        seconds = self._relay.left(0, job.timeout, now=0)

        async def run(done: shadow.Done) -> None:
            answer = await self._relay.pass_on_call(METHOD, body, metadata=metadata, seconds=seconds, copied=True)
            done(self._returned(answer, wanted))

        def send(done: shadow.Done) -> None:
            task = asyncio.get_running_loop().create_task(run(done))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        given = [result[place] for place in wanted]
        size = len(body) + jobs.answer_size(result)
        self._copies.offer(shadow.Copy(assigned.revision, given, wanted, job.rows, size, send))

    def _returned(self, answer: rpc.Answer | Failure, wanted: tuple[int, ...]) -> shadow.Returned:
        if isinstance(answer, Failure):
            return shadow.Returned(answer.outcome)
        good = 200 <= answer.status < 300
        return shadow.Returned(outcomes.of_answer(answer), self._outputs(answer.body, wanted) if good else None)

    def _outputs(self, body: bytes, wanted: tuple[int, ...]) -> list[session.Array] | None:
        try:
            message = self._response.FromString(body)
            places = {output.name: place for place, output in enumerate(message.outputs)}
            return [_array(message, places[self._copies.model.outputs[place].name]) for place in wanted]
        except (protobuf.DecodeError, errors.RequestError, KeyError, IndexError, ValueError):
            return None  # no answer of ours, or one that lacks an output


def _array(message: Any, place: int) -> session.Array:
    output = message.outputs[place]
    spec = schema.TensorSpec(output.name, output.datatype, tuple(output.shape))
    return binary.array(message.raw_output_contents[place], spec).reshape(spec.shape)


def _of_copy(given: rpc.Metadata) -> rpc.Metadata:
    """It is no span: its call has one already."""
    said = "".join(value for name, value in given if name == "traceparent" and isinstance(value, str))
    rest = tuple(one for one in given if one[0] != "traceparent")
    return (*rest, ("traceparent", tracing.unsampled(said)))
