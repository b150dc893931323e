"""A client of a pod over REST, which says exactly what it is told to say and reads what comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from tests.contract.server import process, raw
from tests.contract.server.pair import STABLE


def body(number: float, **extra: Any) -> bytes:
    return json.dumps(
        {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [number]}], **extra}
    ).encode()


def post(content: bytes, **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
    return raw.post(content, *lines, path=b"/v2/models/m/infer")


class Reply:
    """One answer; `numbers` is the output of the model, or empty."""

    def __init__(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.status, self.headers, self.content = status, headers, content
        self.document = json.loads(content) if content else {}

    @property
    def numbers(self) -> list[float]:
        return list(self.document["outputs"][0]["data"])

    @property
    def who(self) -> str:
        return self.headers["seatrial-revision"]

    @property
    def covered(self) -> str | None:
        return self.headers.get("seatrial-covered")


class Client:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int, address: str = STABLE) -> Client:
        return cls(*await asyncio.open_connection(address, port))

    async def ask(self, request: bytes) -> Reply:
        self.writer.write(request)
        return await self.reply()

    async def reply(self, *, parsed: bool = True) -> Reply:
        async with asyncio.timeout(process.DEADLINE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = [line.partition(": ") for line in head[1:-2]]
            names = [name.lower() for name, _, _ in pairs]
            assert len(set(names)) == len(names), f"a header is there twice: {head}"
            headers = {name: value for name, (_, _, value) in zip(names, pairs, strict=True)}
            content = await self.reader.readexactly(int(headers["content-length"]))
            return Reply(int(head[0].split()[1]), headers, content if parsed else b"")

    async def rest(self) -> bytes:
        """What comes after the last request, until the server closes."""
        async with asyncio.timeout(process.DEADLINE):
            with contextlib.suppress(ConnectionError, RuntimeError):  # it has closed already
                self.writer.write_eof()
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""
            finally:
                self.close()

    def close(self) -> None:
        self.writer.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(process.DEADLINE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)
