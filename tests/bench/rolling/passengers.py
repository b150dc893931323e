"""`python -m tests.bench.rolling.passengers HOST ROWS RATE`: clients of three kinds, and what each was answered.

    kept    HTTP, connections kept for as long as the server keeps them
    opened  HTTP, one connection for each request
    calls   gRPC, unary calls over channels that stay

Each sends the same rate, one request after another on each of a few lanes, until standard input ends. Twice a second
a line of JSON goes to standard output, a `Report`: everything so far. A request on a kept connection that the server
closed before any byte of an answer is sent once more, as RFC 9112 has it; nothing else is sent twice. Whatever else has
no good answer is bad, by its cause.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import json
import pathlib
import random
import sys
import time
from collections.abc import Awaitable, Callable

import grpc
import msgspec
import numpy as np
from tests.cluster.client import rows

from seatrial_server.protocol.rpc import messages

MODEL = "digits"
REST_PORT, GRPC_PORT = 8080, 8081
LANES = 4
TIMEOUT = 10.0
EVERY = 0.5
_KNOWN = messages.Messages()
_METHOD = f"/{messages.SERVICE}/ModelInfer"


class Given(msgspec.Struct):
    """Of one revision: its good answers, what stable gave in its place, and when the last request of either began."""

    answers: int = 0
    covered: int = 0
    last: float = 0.0


class Report(msgspec.Struct):
    """All so far. `bad` by kind of client and cause."""

    sent: dict[str, int] = {}
    bad: dict[str, int] = {}
    again: int = 0
    revisions: dict[str, Given] = {}

    @property
    def total(self) -> int:
        return sum(self.sent.values())


class Answer(msgspec.Struct, frozen=True):
    """`cause`: why it isn't a good one."""

    revision: str = ""
    covered: str = ""
    cause: str = ""


Ask = Callable[[rows.Request, list[float]], Awaitable[Answer]]


class Books:
    """Counts what comes back."""

    def __init__(self) -> None:
        self.report = Report(sent={}, bad={}, revisions={})
        self._bad: collections.Counter[str] = collections.Counter()

    def note(self, kind: str, began: float, answer: Answer) -> None:
        report = self.report
        report.sent[kind] = report.sent.get(kind, 0) + 1
        if answer.cause:
            self._bad[f"{kind}: {answer.cause}"] += 1
            report.bad = dict(self._bad)
            return
        given = report.revisions.setdefault(answer.revision, Given())
        given.answers += 1
        given.last = max(given.last, began)
        if answer.covered:
            instead = report.revisions.setdefault(answer.covered, Given())
            instead.covered += 1
            instead.last = max(instead.last, began)


class Web:
    """HTTP/1.1 by hand: an answer is what came whole, and nothing is hidden by a library's retries."""

    def __init__(self, host: str, books: Books, *, keeps: bool) -> None:
        self._host, self._books, self._keeps = host, books, keeps
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: rows.Request) -> Answer:
        reused = self._streams is not None
        try:
            return await self._once(request)
        except ConnectionError as error:
            self._close()
            if not reused:
                return Answer(cause=type(error).__name__)
        self._books.report.again += 1
        try:
            return await self._once(request)
        except ConnectionError as error:
            self._close()
            return Answer(cause=f"again {type(error).__name__}")

    async def _once(self, request: rows.Request) -> Answer:
        """Raises ConnectionError when there was not a byte of an answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, REST_PORT)
        reader, writer = self._streams
        ending = b"" if self._keeps else b"Connection: close\r\n"
        head = b"POST /v2/models/%s/infer HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s" % (
            MODEL.encode(),
            self._host.encode(),
            ending,
        )
        writer.write(b"%sContent-Length: %d\r\n\r\n%s" % (head, len(request.body), request.body))
        try:
            said = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                self._close()
                return Answer(cause="cut off in the head")
            raise ConnectionResetError("closed before the answer") from None
        lines = said.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        try:
            body = await reader.readexactly(int(fields.get("content-length", "0")))
        except (asyncio.IncompleteReadError, ConnectionError):
            self._close()
            return Answer(cause="cut off in the body")
        if not self._keeps or fields.get("connection", "").lower() == "close":
            self._close()
        status = lines[0].split(" ")[1]
        cause = "" if status == "200" and request.id.encode() in body else f"status {status}"
        return Answer(fields.get("seatrial-revision", ""), fields.get("seatrial-covered", ""), cause)

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Calls:
    """Unary calls over a channel of its own."""

    def __init__(self, host: str, input_name: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.aio.insecure_channel(f"{host}:{GRPC_PORT}", options=options)
        self._call, self._input = channel.unary_unary(_METHOD), input_name

    async def ask(self, request: rows.Request) -> Answer:
        (tensor,) = json.loads(request.body)["inputs"]
        message = _KNOWN.request["ModelInfer"](model_name=MODEL, id=request.id)
        message.inputs.add(name=self._input, datatype="FP32", shape=tensor["shape"])
        message.raw_input_contents.append(np.asarray(tensor["data"], np.float32).tobytes())
        call = self._call(message.SerializeToString(), timeout=TIMEOUT)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return Answer(cause=error.code().name)
        said = dict(await call.trailing_metadata() or ())
        return Answer(str(said.get("seatrial-revision", "")), str(said.get("seatrial-covered", "")))


async def _lane(
    kind: str,
    ask: Callable[[rows.Request], Awaitable[Answer]],
    *,
    data: rows.Rows,
    books: Books,
    pause: float,
    name: str,
) -> None:
    """One request after another; a slow answer makes the next one late, never two at once."""
    chance = random.Random(name)
    for number in itertools.count():
        began = time.time()
        request = rows.draw(data, id=f"{name}-{number}", chance=chance)
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await ask(request)
        except TimeoutError:
            answer = Answer(cause="no answer in time")
        books.note(kind, began, answer)
        await asyncio.sleep(max(0.0, began + pause * chance.uniform(0.5, 1.5) - time.time()))


async def _run(host: str, data: rows.Rows, rate: float) -> None:
    books, pause = Books(), 3 * LANES / rate
    kinds: dict[str, Callable[[], Callable[[rows.Request], Awaitable[Answer]]]] = {
        "kept": lambda: Web(host, books, keeps=True).ask,
        "opened": lambda: Web(host, books, keeps=False).ask,
        "calls": lambda: Calls(host, data.input).ask,
    }
    lanes = [
        asyncio.create_task(_lane(kind, made(), data=data, books=books, pause=pause, name=f"{kind}-{number}"))
        for kind, made in kinds.items()
        for number in range(LANES)
    ]
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not over.done():
        await asyncio.wait([over, *lanes], timeout=EVERY, return_when=asyncio.FIRST_COMPLETED)
        for lane in (one for one in lanes if one.done()):
            lane.result()
        print(msgspec.json.encode(books.report).decode(), flush=True)
    for lane in lanes:
        lane.cancel()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], rows.read(pathlib.Path(sys.argv[2])), float(sys.argv[3])))
