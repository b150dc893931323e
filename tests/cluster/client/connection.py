"""One keep-alive connection after another, one request at a time, by the rules of RFC 9112 section 9.3.

Knows HTTP and nothing of models: gives back status and body, or says why there was no answer.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Self

import aiohttp
import msgspec

from .ledger import Ledger

Clock = Callable[[], float]

GARBLED = 0
"""Status of an answer that is not HTTP."""


class Reply(msgspec.Struct, frozen=True):
    """An answer as it came; by the server's word `revision` gave it, in the place of `covered` if that is not empty."""

    status: int
    body: bytes
    revision: str = ""
    covered: str = ""


class NoAnswerError(Exception):
    """There was no whole answer; the text is the cause in a word or two."""


class ClosedBeforeAnswerError(NoAnswerError):
    """The server closed the connection before the first byte of an answer."""


class Connection:
    """A session with one connection, opened on demand. After `close` the next request opens another."""

    def __init__(self, url: str, *, host: str = "", timeout_seconds: float, ledger: Ledger, clock: Clock) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json", **({"Host": host} if host else {})}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._ledger = ledger
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._opened_at: float | None = None
        self._reused = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: Any, trace: types.TracebackType | None) -> None:
        await self.close()

    @property
    def age(self) -> float:
        """Seconds since the connection was opened; 0 without one."""
        return 0.0 if self._opened_at is None else self._clock() - self._opened_at

    async def close(self) -> None:
        self._opened_at = None
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def post(self, body: bytes) -> Reply:
        """Send; once more on a new connection when a reused one was closed under the request.

        Raises:
            NoAnswerError: refused, reset, timed out or cut off.
        """
        try:
            return await self._send(body)
        except ClosedBeforeAnswerError:
            reused = self._reused
            await self.close()
            if not reused:
                raise
        self._ledger.reconnected += 1
        return await self._send(body)

    async def _send(self, body: bytes) -> Reply:
        session = self._session = self._session or self._new_session()
        try:
            response = await session.post(self._url, data=body, headers=self._headers)
        except (aiohttp.ClientConnectorError, TimeoutError) as error:
            raise NoAnswerError(_cause(error)) from error
        except aiohttp.ServerDisconnectedError as error:
            # aiohttp puts a half-read head into `message`; only the plain text means that not a byte came.
            kind = ClosedBeforeAnswerError if isinstance(error.message, str) else NoAnswerError
            raise kind("closed before the answer") from error
        except (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError) as error:
            raise ClosedBeforeAnswerError(_cause(error)) from error
        except aiohttp.ClientResponseError:
            return Reply(status=GARBLED, body=b"")
        try:
            async with response:
                return Reply(
                    status=response.status,
                    body=await response.read(),
                    revision=response.headers.get("seatrial-revision", ""),
                    covered=response.headers.get("seatrial-covered", ""),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswerError(f"cut off: {_cause(error)}") from error

    def _new_session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._on_created)
        trace.on_connection_reuseconn.append(self._on_reused)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, use_dns_cache=False),
            timeout=self._timeout,
            trace_configs=[trace],
        )

    async def _on_created(self, *_: object) -> None:
        self._reused = False
        self._opened_at = self._clock()
        self._ledger.connections_opened += 1

    async def _on_reused(self, *_: object) -> None:
        self._reused = True


def _cause(error: BaseException) -> str:
    """A bounded vocabulary: the operating system's word where there is one, else the exception's name."""
    if isinstance(error, TimeoutError):
        return "timeout"
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return type(inner.__cause__ or inner).__name__
