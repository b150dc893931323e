"""One question to a Prometheus over HTTP, bounded in time and size; of an answer only Prometheus' own words are shown.

The URL may come from a ModelDeployment, hence from a user of the cluster: nothing but the query is sent, no redirect is
followed, no credentials of the environment are used, and how a connection failed is told in three words, so that a
status is no port scanner. Decoding is done by the caller's `decode`, off the event loop.
"""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated

import aiohttp
import msgspec

from seatrial.drift import totals as totals_
from seatrial.prometheus import access, credentials, errors, matching, query

BODY_LIMIT = 4 * 2**20
_MESSAGE_LIMIT = 500
_TOO_MANY = "too many samples"  # --query.max-samples
_CONNECTIONS = 64
_CONNECTIONS_OF_A_HOST = 8


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where to ask, and as whom."""

    place: access.Place
    credentials: credentials.Credentials = credentials.NONE

    @property
    def shown(self) -> str:
        return self.place.url


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Series of a range selector, and what Prometheus warns of."""

    series: tuple[matching.Raw, ...]
    warnings: tuple[str, ...] = ()


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """(labels, value) of each series at one moment, and what Prometheus warns of."""

    values: tuple[tuple[Mapping[str, str], float], ...]
    warnings: tuple[str, ...] = ()


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []  # Prometheus writes values as text, for NaN and +Inf
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct):
    result_type: str = msgspec.field(default="", name="resultType")
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Envelope(msgspec.Struct):
    """Prometheus' envelope, of success or failure. `infos` are about the expression, never about the data's
    completeness, and are not read.
    """

    status: Annotated[str, msgspec.Meta(pattern="^(success|error)$")]
    data: _Data = msgspec.field(default_factory=_Data)
    error: str = ""
    warnings: list[str] | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_SERIES = msgspec.json.Decoder(list[_Series])
_SCALAR = msgspec.json.Decoder(tuple[float, str])


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS, limit_per_host=_CONNECTIONS_OF_A_HOST)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, headers={"User-Agent": "seatrial"}
    ) as session:
        yield Client(session)


class Client:
    """Asks. Every method raises PrometheusRefused (a setting must change) or PrometheusUnavailable (not this time)."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, endpoint: Endpoint, expression: str, *, at: datetime, timeout: timedelta) -> bytes:
        """The body of a successful answer to an instant query, not decoded yet."""
        return await self._post(endpoint, "query", {"query": expression, "time": query.unix(at)}, timeout=timeout)

    async def ask_range(
        self, endpoint: Endpoint, expression: str, *, start: int, end: int, step: int, timeout: timedelta
    ) -> bytes:
        """The same for a range query; moments are whole seconds."""
        form = {"query": expression, "start": str(start), "end": str(end), "step": str(step)}
        return await self._post(endpoint, "query_range", form, timeout=timeout)

    async def _post(self, endpoint: Endpoint, what: str, form: Mapping[str, str], *, timeout: timedelta) -> bytes:
        seconds = timeout.total_seconds()
        where = endpoint.shown
        try:
            async with self._session.post(
                f"{endpoint.place.url}/api/v1/{what}",
                data={**form, "timeout": f"{round(seconds * 1000)}ms"},
                headers=dict(endpoint.credentials.headers),
                ssl=endpoint.credentials.tls,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                content = await bounded(response, limit=BODY_LIMIT)
        except TimeoutError as error:
            raise errors.PrometheusUnavailable(f"Prometheus at {where} did not answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise errors.PrometheusUnavailable(f"Prometheus at {where} can't be reached: {reduced(error)}") from error
        if content is None:
            raise errors.AnswerTooLarge(f"Prometheus at {where} answered with more than {BODY_LIMIT // 2**20} MiB")
        if response.status != 200:
            raise _refusal(response.status, content, where=where)
        return content


async def bounded(response: aiohttp.ClientResponse, *, limit: int) -> bytes | None:
    """The body, or None as soon as it is larger than that."""
    content = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        content += chunk
        if len(content) > limit:
            response.close()
            return None
    return bytes(content)


def samples(content: bytes, *, where: str) -> Answer:
    """A range selector's answer.

    Raises:
        PrometheusUnavailable: it is something else.
    """
    envelope = _envelope(content, where=where)
    if envelope.data.result_type != "matrix":
        raise errors.PrometheusUnavailable(f"Prometheus at {where} answered with no samples but something else")
    try:
        found = [
            matching.Raw(labels=one.metric, samples=[(moment, float(value)) for moment, value in one.values])
            for one in _SERIES.decode(envelope.data.result)
        ]
    except (ValueError, msgspec.DecodeError) as error:
        raise errors.PrometheusUnavailable(f"Prometheus at {where} answered with what is no number") from error
    return Answer(series=tuple(found), warnings=_warnings(envelope))


def totals(content: bytes, *, where: str) -> totals_.Answer:
    """A range query's answer, whole: one that may be partial is none."""
    envelope = _envelope(content, where=where)
    if partial := _warnings(envelope):
        raise errors.PrometheusUnavailable(f"Prometheus at {where} says that its answer may be partial: {partial[0]}")
    if envelope.data.result_type != "matrix":
        raise errors.PrometheusUnavailable(f"Prometheus at {where} answered to no range query but to something else")
    try:
        found = msgspec.json.decode(envelope.data.result, type=tuple[totals_.Series, ...])
    except (ValueError, msgspec.DecodeError) as error:
        raise errors.PrometheusUnavailable(f"Prometheus at {where} answered with no numbers") from error
    return totals_.Answer(status="success", data=totals_.Data(result_type=envelope.data.result_type, result=found))


def vector(content: bytes, *, where: str) -> Vector:
    """An instant vector's or a scalar's answer. NaN stays NaN."""
    envelope = _envelope(content, where=where)
    try:
        if envelope.data.result_type == "scalar":
            value = float(_SCALAR.decode(envelope.data.result)[1])
            return Vector(values=(({}, value),), warnings=_warnings(envelope))
        if envelope.data.result_type != "vector":
            raise ValueError(envelope.data.result_type)
        found = _SERIES.decode(envelope.data.result)
        values = tuple((one.metric, math.nan if one.value is None else float(one.value[1])) for one in found)
    except (ValueError, msgspec.DecodeError) as error:
        raise errors.PrometheusUnavailable(f"Prometheus at {where} answered with no numbers") from error
    return Vector(values=values, warnings=_warnings(envelope))


def reduced(error: BaseException) -> str:
    """Why a connection failed, in words that tell a closed port from a name that doesn't exist, and no more."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its TLS certificate is not trusted; give its CA (ca.crt)"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, socket.gaierror):
        return "no such host"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    return "the connection failed"


def _envelope(content: bytes, *, where: str) -> _Envelope:
    answer = _decoded(content)
    if answer is None or answer.status != "success":
        raise errors.PrometheusUnavailable(f"{where} answered, but not as Prometheus does")
    return answer


def _warnings(envelope: _Envelope) -> tuple[str, ...]:
    return tuple(_printable(one) for one in (envelope.warnings or [])[:3])


def _refusal(status: int, content: bytes, *, where: str) -> errors.PrometheusError:
    """The status alone decides whether asking again can help; only Prometheus' own words are repeated.

    422 carries run-time failures of the query engine: its own time-out is 503, a limit of samples is 422.
    """
    answer = _decoded(content)
    said = f": {_printable(answer.error)}" if answer is not None and answer.error else ""
    if status >= 500 or status in (408, 429):
        return errors.PrometheusUnavailable(f"Prometheus at {where} answered {status}{said}")
    if 300 <= status < 400:
        return errors.PrometheusRefused(f"{where} answered with a redirect ({status}); set the URL it leads to")
    if status == 422 and _TOO_MANY in said:  # a limit of the query engine, like one of ours
        return errors.AnswerTooLarge(f"Prometheus at {where} refused the query with 422{said}")
    if status in (401, 403):
        said += "; give credentials with spec.analysis.prometheus.secretRef or the operator's settings"
    return errors.PrometheusRefused(f"Prometheus at {where} refused the query with {status}{said}")


def _decoded(content: bytes) -> _Envelope | None:
    try:
        return _ENVELOPE.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:_MESSAGE_LIMIT])
