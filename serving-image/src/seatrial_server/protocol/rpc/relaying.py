"""As `http.relaying`, over gRPC: calls that another revision answers, or that are answered here in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from seatrial_server.engine import jobs
from seatrial_server.host import errors
from seatrial_server.observe import telemetry
from seatrial_server.protocol.rpc import messages
from seatrial_server.relay import assignment, headers, outcomes, rpc
from seatrial_server.relay.outcomes import Failure
from seatrial_server.relay.relay import Relay

METHOD = f"/{messages.SERVICE}/ModelInfer"


class Call(msgspec.Struct, eq=False):
    """One ModelInfer and the place for its answer."""

    body: bytes
    context: Any
    started: float
    answer: asyncio.Future[bytes | errors.RequestError | rpc.Answer]
    pinned: bool = False
    """The client wants this revision's version and no other."""
    marks: rpc.Metadata = ()
    """Trailing metadata of its answer beside the usual."""
    stands_in: Callable[[bool], None] | None = None
    """See `http.exchange.Exchange`."""
    copied: bool = False
    """A candidate gets a copy once this revision has answered."""

    def finish(self, result: bytes | errors.RequestError | rpc.Answer) -> None:
        """Wake the handler, unless the client has gone."""
        if not self.answer.done():
            self.answer.set_result(result)

    def metadata(self) -> rpc.Metadata:
        """As the client gave it."""
        return tuple((str(key), value) for key, value in self.context.invocation_metadata() or ())


class Relaying:
    """`submit` is the queue's, `finish` answers with an error; see `calls`."""

    def __init__(
        self,
        relay: Relay,
        *,
        counters: telemetry.Telemetry,
        submit: Callable[[jobs.Job], None],
        finish: Callable[[Call, errors.RequestError], None],
    ) -> None:
        self._relay, self._counters, self._submit, self._finish = relay, counters, submit, finish
        self._tasks: set[asyncio.Task[None]] = set()

    def chooses(self, call: Call) -> bool:
        """See `Relay.chooses`; a repeated name counts as over REST: by all its values."""
        return not call.pinned and self._relay.chooses(_headers(call).get)

    def copies(self, call: Call) -> bool:
        """Whether the candidate gets a copy of a call that is answered here."""
        return not call.pinned and self._relay.copies() and self._relay.may(_headers(call).get)

    def pass_on(self, call: Call, job: jobs.Job) -> None:
        """Answer the call, some time."""
        task = asyncio.get_running_loop().create_task(self._run(call, job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, call: Call, job: jobs.Job) -> None:
        assigned = self._relay.assigned
        if assigned is None:
            self._answer_here(call, job)
            return
        seconds = self._relay.left(job.started, job.timeout)
        result = await self._relay.pass_on_call(METHOD, call.body, metadata=call.metadata(), seconds=seconds)
        self._ended(assigned, call, job, result)

    def _ended(self, assigned: assignment.Assignment, call: Call, job: jobs.Job, result: rpc.Answer | Failure) -> None:
        ended, candidate = outcomes.ended(result, cover=assigned.cover), assigned.revision
        if ended.passes and isinstance(result, rpc.Answer):
            self._counters.in_flight -= 1
            self._relay.count(candidate, ended.outcome, covered=False)
            call.finish(result)
            return
        call.stands_in = lambda well: self._relay.count(candidate, ended.outcome, covered=well)
        if ended.passes and isinstance(result, Failure):
            self._finish(call, outcomes.unanswered(result))
            return
        call.marks = ((headers.COVERED.decode(), candidate),)
        self._answer_here(call, job)

    def _answer_here(self, call: Call, job: jobs.Job) -> None:
        try:
            self._submit(job)
        except errors.RequestError as error:
            self._finish(call, error)


def _headers(call: Call) -> dict[bytes, bytes]:
    given: dict[bytes, bytes] = {}
    for name, value in call.metadata():
        key, content = name.encode(), value if isinstance(value, bytes) else value.encode()
        given[key] = b"%b, %b" % (given[key], content) if key in given else content
    return given
