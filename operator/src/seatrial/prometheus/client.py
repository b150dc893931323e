"""Samples of request counters from Prometheus, as the analysis reads them.

The URL may come from a ModelDeployment, hence from a user of the cluster: nothing but the query is sent, no redirect is
followed, no credentials of the environment are used, the answer is bounded in size and time, and no text of an answer
that isn't Prometheus' own is shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated

import aiohttp
import msgspec

from seatrial.analysis import counters
from seatrial.prometheus import errors, query

BODY_LIMIT = 64 * 2**20
_MESSAGE_LIMIT = 500
_CONNECTIONS = 16


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []  # Prometheus writes values as text, for NaN and +Inf


class _Data(msgspec.Struct):
    result_type: str = msgspec.field(default="", name="resultType")
    result: list[_Series] = []


class _Answer(msgspec.Struct):
    """Prometheus' envelope, of success or failure."""

    status: Annotated[str, msgspec.Meta(pattern="^(success|error)$")]
    data: _Data = msgspec.field(default_factory=_Data)
    error: str = ""


_DECODER = msgspec.json.Decoder(_Answer)


@contextlib.asynccontextmanager
async def connected(*, default_url: str, scrape_interval: timedelta) -> AsyncIterator[Prometheus]:
    """A source of samples; `default_url` ("" for none) serves objects that name no Prometheus of their own."""
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, headers={"User-Agent": "seatrial"}
    ) as session:
        yield Prometheus(session, default_url=default_url, scrape_interval=scrape_interval)


class Prometheus:
    """Asks Prometheus, one bounded request per look."""

    def __init__(self, session: aiohttp.ClientSession, *, default_url: str, scrape_interval: timedelta) -> None:
        self._session = session
        self._default_url = default_url
        self._run_up = counters.STALE_SCRAPES * scrape_interval

    async def look(
        self,
        *,
        namespace: str,
        name: str,
        stable: str,
        candidate: str | None,
        since: datetime,
        until: datetime,
        timeout: timedelta = timedelta(seconds=10),
        url: str | None = None,
    ) -> tuple[counters.Series, ...]:
        """Samples of a ModelDeployment's revisions from `since` to `until`, with the run-up that counting needs.

        The hour before a rollout is a look with `candidate=None`. No samples is an empty tuple, not an error.

        Args:
            stable, candidate: revisions; without a candidate only stable is asked for.
            timeout: at most one analysis interval.
            url: base URL of the object's own Prometheus, if it names one.

        Raises:
            PrometheusRefused: the configuration is wrong; the message says what to change.
            PrometheusUnavailable: no usable answer this time.
        """
        arms = {stable: counters.Arm.STABLE}
        if candidate is not None and candidate != stable:
            arms[candidate] = counters.Arm.CANDIDATE
        expression = query.samples(
            namespace=namespace, name=name, revisions=list(arms), window=until - since + self._run_up
        )
        seconds = timeout.total_seconds()
        form = {"query": expression, "time": query.unix(until), "timeout": f"{round(seconds * 1000)}ms"}
        answer = await self._ask(url or self._default_url, form, seconds=seconds)
        try:
            return tuple(one for series in answer.data.result if (one := _series(series, arms)) is not None)
        except ValueError as error:
            raise errors.PrometheusUnavailable(f"Prometheus answered with what is no number: {error}") from error

    async def _ask(self, base: str, form: Mapping[str, str], *, seconds: float) -> _Answer:
        if not base:
            raise errors.PrometheusRefused(
                "no Prometheus is configured: set spec.analysis.prometheus.url or the operator's --prometheus-url"
            )
        endpoint = f"{base.rstrip('/')}/api/v1/query"
        where = shown(base)
        try:
            async with self._session.post(
                endpoint, data=form, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=seconds)
            ) as response:
                content = await _bounded(response)
        except TimeoutError as error:
            raise errors.PrometheusUnavailable(f"Prometheus at {where} did not answer within {seconds:g} s") from error
        except aiohttp.InvalidURL as error:
            raise errors.PrometheusRefused(f"{where!r} is not a URL; set it like http://prometheus:9090") from error
        except (aiohttp.ClientError, OSError) as error:
            said = str(error) or type(error).__name__
            raise errors.PrometheusUnavailable(f"Prometheus at {where} can't be reached: {said}") from error
        return _checked(response.status, content, where=where)


def shown(url: str) -> str:
    """The URL without a user's name and password, which may be part of it: messages end up in conditions."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        content += chunk
        if len(content) > BODY_LIMIT:
            raise errors.PrometheusRefused(
                f"Prometheus answered with more than {BODY_LIMIT // 2**20} MiB; scrape the serving pods less often"
            )
    return bytes(content)


def _checked(status: int, content: bytes, *, where: str) -> _Answer:
    """The answer if it is a success; the status alone decides whether asking again can help."""
    answer = _decoded(content)
    if status == 200 and answer is not None and answer.status == "success":
        if answer.data.result_type != "matrix":
            raise errors.PrometheusUnavailable(f"Prometheus at {where} answered with no samples but something else")
        return answer
    if status == 200:
        raise errors.PrometheusUnavailable(f"{where} answered, but not as Prometheus does")
    # 422 carries run-time failures of the query engine: its own time-out is 503, a limit of samples is 422.
    said = f": {answer.error[:_MESSAGE_LIMIT]}" if answer is not None and answer.error else ""
    if status >= 500 or status in (408, 429):
        raise errors.PrometheusUnavailable(f"Prometheus at {where} answered {status}{said}")
    if 300 <= status < 400:
        raise errors.PrometheusRefused(f"{where} answered with a redirect ({status}); set the URL it leads to")
    raise errors.PrometheusRefused(f"Prometheus at {where} refused the query with {status}{said}")


def _decoded(content: bytes) -> _Answer | None:
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _series(series: _Series, arms: Mapping[str, counters.Arm]) -> counters.Series | None:
    """None for a series without the labels that the server gives: it can't be one of its counters."""
    labels = series.metric
    latency = labels.get("__name__") == query.LATENCY
    label = labels.get("le" if latency else "outcome")
    pod = labels.get("pod") or labels.get("instance")
    arm = arms.get(labels.get("revision", ""))
    if label is None or pod is None or arm is None:
        return None
    counter = counters.Counter.LATENCY if latency else counters.Counter.REQUESTS
    samples = [(moment, float(value)) for moment, value in series.values]
    return counters.Series(arm=arm, pod=pod, counter=counter, label=label, samples=samples)
