"""What can happen between a stable pod and a candidate's: a TCP proxy that passes bytes on, or does not.

It reads the requests that go through, so a test can see that each is whole and has only its own client's headers.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from typing import Any, Literal

Mode = Literal["pass", "slow", "hang", "cut", "close", "garbage", "fail", "stranger", "twice", "part"]
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
FAILURE = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    b"seatrial-revision: candidate\r\n\r\n{}"
)


class Proxy:
    """Listens at the candidate's address and speaks with the pod at another. `mode` is what becomes of answers."""

    def __init__(self, *, slow: float) -> None:
        self.mode: Mode = "pass"
        self._slow = slow
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, address: str, port: int, *, behind: str) -> None:
        self._address, self._port, self._behind = address, port, behind
        await self.live()

    def die(self) -> None:
        """As a pod that is gone: nobody listens, and every connection ends."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def live(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self._address, self._port)

    async def close(self) -> None:
        self.die()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        both = [writer]
        self._writers.add(writer)
        try:
            ahead, behind = await asyncio.open_connection(self._behind, self._port)
            both.append(behind)
            self._writers.add(behind)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._between((reader, writer), (ahead, behind))
        except (ConnectionError, RuntimeError, asyncio.CancelledError):
            pass  # the pod is being replaced, an end has closed (uvloop's word for that), or the sequence is over
        finally:
            for one in both:
                one.transport.abort()
            self._writers.difference_update(both)
            self._tasks.discard(task)

    async def _between(self, client: Ends, pod: Ends) -> None:
        """Pass on what comes until one side ends."""
        raise NotImplementedError


class Between(Proxy):
    """Over REST; `requests` are the headers and documents that went through."""

    def __init__(self, *, slow: float) -> None:
        super().__init__(slow=slow)
        self.requests: list[tuple[dict[str, str], Any]] = []

    async def _between(self, client: Ends, pod: Ends) -> None:
        while True:
            pod[1].write(await self._request(client[0]))
            await self._answer(await _message(pod[0]), client[1])

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        content = await _message(reader)
        head, _, body = content.partition(b"\r\n\r\n")
        pairs = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
        assert len({name.lower() for name, _, _ in pairs}) == len(pairs), head
        if body:
            headers = {name.lower(): value for name, _, value in pairs}
            plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            self.requests.append((headers, json.loads(plain)))
        return content

    async def _answer(self, content: bytes, writer: asyncio.StreamWriter) -> None:
        match self.mode:
            case "slow":
                await asyncio.sleep(self._slow)
            case "hang":
                await asyncio.sleep(60)
            case "cut":
                content = content[: len(content) // 2]
            case "close":
                content = b""
            case "garbage":
                content = b"\0garbage\r\n\r\n"
            case "fail":
                content = FAILURE
            case "stranger":
                content = content.replace(b"seatrial-revision: candidate", b"seatrial-revision: third")
            case "twice":
                content += content
            case "part":
                writer.write(content[: len(content) // 2])
                await asyncio.sleep(60)
        writer.write(content)
        if self.mode in ("cut", "close"):
            await writer.drain()
            raise ConnectionError


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    return head + await reader.readexactly(length)


class Pipe(Proxy):
    """Over gRPC, whose bytes it does not read: a mode that needs that passes."""

    async def _between(self, client: Ends, pod: Ends) -> None:
        await asyncio.gather(self._pass(client[0], pod[1]), self._pass(pod[0], client[1], answers=True))

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, answers: bool = False) -> None:
        while content := await source.read(65536):
            if answers and self.mode == "slow":
                await asyncio.sleep(self._slow)
            elif answers and self.mode in ("hang", "part"):
                await asyncio.sleep(60)
            elif answers and self.mode in ("cut", "close"):
                break
            elif answers and self.mode == "garbage":
                content = bytes(len(content))
            to.write(content)
        raise ConnectionError
