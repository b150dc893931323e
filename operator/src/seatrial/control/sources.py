"""Asks the sources of metrics on behalf of many objects, fairly: who may be asked, as whom, and how many at once.

Questions to one host, and of one namespace, are limited each on their own, so that a Prometheus that hangs keeps only
its own askers waiting. Waiting for one's turn counts as time of the question.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent import futures
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from seatrial.api import spec
from seatrial.drift import totals
from seatrial.prometheus import access, client, credentials, errors, pods, query
from seatrial.rollout import looking

AT_ONCE = 16
AT_ONCE_A_HOST = 8
AT_ONCE_A_NAMESPACE = 4
UNHURRIED_AT_ONCE = 4
UNHURRIED_A_HOST = 2
UNHURRIED = timedelta(seconds=20)
RELOAD_SECONDS = 15.0
THREADS = 2

Secrets = Callable[[str, str], Awaitable[Mapping[str, Any] | None]]
_Result = TypeVar("_Result")


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's own Prometheus. `files` maps the keys of `credentials` to where their values are."""

    url: str = ""
    files: Mapping[str, str] = {}
    texts: Mapping[str, str] = {}
    verify: bool = True


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator's settings say about sources."""

    own: Own = Own()
    allow: tuple[access.Allowed, ...] = ()
    secret_names: frozenset[str] = frozenset()


class Hourly(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask about an object's hours, and which: from the beginning of the first to the end of the last."""

    namespace: str
    source: spec.PrometheusSource | None
    start: int
    end: int
    step: int


class Sources:
    """Prometheus and the pods.

    Args:
        secrets: reads a Secret, None when there is none.
    """

    def __init__(self, prometheus: client.Client, direct: pods.Pods, *, policy: Policy, secrets: Secrets) -> None:
        self._prometheus = prometheus
        self._direct = direct
        self._policy = policy
        self._secrets = secrets
        self._known: dict[tuple[str, str], tuple[float, credentials.Credentials]] = {}
        self._turns = Turns()
        self._unhurried = Turns(at_once=UNHURRIED_AT_ONCE, a_host=UNHURRIED_A_HOST, a_namespace=UNHURRIED_A_HOST)
        self._pool = futures.ThreadPoolExecutor(THREADS, thread_name_prefix="evidence")
        self._patient = futures.ThreadPoolExecutor(1, thread_name_prefix="drift")

    async def computed(self, namespace: str, work: Callable[[], _Result]) -> _Result:
        """The result of work that is too long for the event loop. A namespace leaves a thread to the others."""
        async with self._turns.narrow("computing", namespace, THREADS - 1):
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._patient.shutdown(wait=False, cancel_futures=True)

    def configured(self, asked: looking.Question) -> bool:
        return self.named(asked.analysis.prometheus)

    async def samples(
        self, asked: looking.Question, *, revisions: tuple[str, ...], since: datetime, until: datetime
    ) -> client.Answer:
        """Samples of these revisions' pods in a stretch of time. Raises PrometheusError."""
        subject = query.Subject(
            namespace=asked.owner.namespace,
            name=asked.owner.name,
            revisions=revisions,
            pods=tuple(pod.name for pod in asked.pods),
            candidate=asked.window.candidate if asked.relayed else "",
        )
        return await self._ask(asked, query.samples(subject, window=until - since), at=until, decode=client.samples)

    async def returned(
        self, asked: looking.Question, *, numbers: Iterable[int], since: datetime, until: datetime
    ) -> client.Answer:
        """What came back for answers of these cohorts of requests. Raises PrometheusError."""
        subject = query.Subject(
            namespace=asked.owner.namespace,
            name=asked.owner.name,
            revisions=(asked.window.stable, asked.window.candidate),
            pods=tuple(pod.name for pod in asked.pods),
        )
        expression = query.returned(subject, window=until - since, numbers=numbers)
        return await self._ask(asked, expression, at=until, decode=client.samples)

    async def of_service(
        self, asked: looking.Question, wish: spec.BusinessOutcome, *, since: datetime, until: datetime
    ) -> client.Answer:
        """Samples of a counter of the user's own. Raises PrometheusError."""
        revisions = (asked.window.stable, asked.window.candidate)
        expression = query.of_service(wish.selector or "", wish.label or "", revisions, window=until - since)
        return await self._ask(asked, expression, at=until, decode=client.samples)

    async def vector(self, asked: looking.Question, expression: str, *, at: datetime) -> client.Vector:
        """The answer to an expression that gives numbers. Raises PrometheusError."""
        return await self._ask(asked, expression, at=at, decode=client.vector)

    async def totals(self, asked: Hourly, expression: str) -> totals.Answer:
        """The drift counters' totals at the end of some hours. Raises PrometheusError.

        In turns of their own: they never take one from a rollout, which is in more of a hurry.
        """
        began = time.monotonic()
        endpoint = await self._endpoint(asked.source, asked.namespace)
        try:
            async with self._unhurried.of(asked.namespace, endpoint.place.origin, timeout=UNHURRIED):
                left = max(UNHURRIED - timedelta(seconds=time.monotonic() - began), timedelta(milliseconds=1))
                content = await self._prometheus.ask_range(
                    endpoint, expression, start=asked.start, end=asked.end, step=asked.step, timeout=left
                )
                return await self.worked_out(functools.partial(client.totals, content, where=endpoint.shown))
        except TimeoutError as error:
            words = f"Prometheus at {endpoint.shown} is still busy after {UNHURRIED.total_seconds():g} s"
            raise errors.PrometheusUnavailable(words) from error

    async def worked_out(self, work: Callable[[], _Result]) -> _Result:
        """The result of work on drift, in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._patient, work)

    def named(self, source: spec.PrometheusSource | None) -> bool:
        """Whether there is a Prometheus to ask."""
        return bool(self._policy.own.url or (source is not None and source.url))

    async def read(self, asked: looking.Question, *, now: Callable[[], float]) -> pods.Round:
        """The pods' own metrics, as they are now."""
        return await self._direct.read(pods.chosen(asked), now=now)

    async def _ask(
        self, asked: looking.Question, expression: str, *, at: datetime, decode: Callable[..., _Result]
    ) -> _Result:
        """The decoded answer. The turn ends with decoding, so that answers don't pile up before it."""
        timeout = min(asked.analysis.interval, looking.LONGEST_QUESTION)
        began = time.monotonic()
        endpoint = await self._endpoint(asked.analysis.prometheus, asked.owner.namespace)
        try:
            async with self._turns.of(asked.owner.namespace, endpoint.place.origin, timeout=timeout):
                left = timeout - timedelta(seconds=time.monotonic() - began)
                left = max(left, timedelta(milliseconds=1))
                content = await self._prometheus.ask(endpoint, expression, at=at, timeout=left)
                return await self.computed(
                    asked.owner.namespace, functools.partial(decode, content, where=endpoint.shown)
                )
        except TimeoutError as error:
            words = (
                f"Prometheus at {endpoint.shown} is still busy with other questions after {timeout.total_seconds():g} s"
            )
            raise errors.PrometheusUnavailable(words) from error

    async def _endpoint(self, source: spec.PrometheusSource | None, namespace: str) -> client.Endpoint:
        """The object's own Prometheus, never with the operator's credentials; else the operator's."""
        policy = self._policy
        secret = source.secret_ref.name if source is not None and source.secret_ref is not None else ""
        own = await self._of_secret(namespace, secret) if secret else None
        if source is not None and source.url:
            place = self._place(source.url, namespace)
            return client.Endpoint(place=place, credentials=own or credentials.NONE)
        if not policy.own.url:
            raise errors.PrometheusRefused(
                "no Prometheus is configured: set spec.analysis.prometheus.url or the operator's --prometheus-url"
            )
        place = access.place(policy.own.url, field="--prometheus-url")
        return client.Endpoint(place=place, credentials=own or await self._of_files())

    def _place(self, url: str, namespace: str) -> access.Place:
        allow = list(self._policy.allow)
        if self._policy.own.url:
            allow.append(access.allowed(self._policy.own.url))
        return access.held(url, namespace=namespace, allow=allow)

    async def _of_secret(self, namespace: str, name: str) -> credentials.Credentials:
        if name not in self._policy.secret_names:
            raise errors.PrometheusRefused(
                f"the operator may not read Secret {name} of spec.analysis.prometheus.secretRef: its "
                "--prometheus-secret-name must list it"
            )

        async def read() -> credentials.Credentials:
            return credentials.of_secret(await self._secrets(namespace, name), name=name)

        return await self._remembered((namespace, name), read)

    async def _of_files(self) -> credentials.Credentials:
        async def read() -> credentials.Credentials:
            return await asyncio.to_thread(of_files, self._policy.own)

        return await self._remembered(("", ""), read)

    async def _remembered(
        self, key: tuple[str, str], read: Callable[[], Awaitable[credentials.Credentials]]
    ) -> credentials.Credentials:
        """Read anew every few seconds, so that a rotated token is soon used."""
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and now - known[0] < RELOAD_SECONDS:
            return known[1]
        self._known = {one: kept for one, kept in self._known.items() if now - kept[0] < RELOAD_SECONDS}
        found = await read()
        self._known[key] = (now, found)
        return found


def of_files(own: Own) -> credentials.Credentials:
    """The operator's own credentials, as they are on file now. Raises PrometheusRefused; blocks."""
    texts = dict(own.texts)
    for key, path in own.files.items():
        try:
            texts[key] = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise errors.PrometheusRefused(f"the operator's file for {key} ({path}) can't be read") from error
    return credentials.parse(texts, where="the operator's settings", verify=own.verify)


class Turns:
    """At most so many questions at once: over all, to one host, of one namespace."""

    def __init__(
        self, *, at_once: int = AT_ONCE, a_host: int = AT_ONCE_A_HOST, a_namespace: int = AT_ONCE_A_NAMESPACE
    ) -> None:
        self._all = asyncio.Semaphore(at_once)
        self._a_host, self._a_namespace = a_host, a_namespace
        self._some: dict[tuple[str, str], tuple[asyncio.Semaphore, int]] = {}

    @contextlib.asynccontextmanager
    async def of(self, namespace: str, host: str, *, timeout: timedelta) -> AsyncIterator[None]:
        """A turn. The narrow limits come first: who waits there takes nothing from others. Raises TimeoutError."""
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(timeout.total_seconds()):
                await stack.enter_async_context(self.narrow("namespace", namespace, self._a_namespace))
                await stack.enter_async_context(self.narrow("host", host, self._a_host))
                await stack.enter_async_context(self._all)
            yield

    @contextlib.asynccontextmanager
    async def narrow(self, kind: str, name: str, most: int) -> AsyncIterator[None]:
        """One of so many turns that this name has; others wait for theirs in order."""
        key = (kind, name)
        semaphore, users = self._some.get(key, (asyncio.Semaphore(most), 0))
        self._some[key] = (semaphore, users + 1)
        try:
            async with semaphore:
                yield
        finally:
            users = self._some[key][1] - 1
            if users:
                self._some[key] = (semaphore, users)
            else:
                del self._some[key]
