"""The metrics of pods, read from the pods themselves: what a scrape would see, a second old instead of fifteen.

Only pods that the API server shows as ours are asked, at the address it shows. An answer is bounded in time and size,
no redirect is followed. What a pod says about others (its labels name another deployment or revision) is not read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import aiohttp
import msgspec
from prometheus_client import parser

from seatrial.analysis import counters
from seatrial.prometheus import client, query
from seatrial.rollout import looking, names

MOST_PODS = 32
BODY_LIMIT = 2**20
SECONDS = 2.0
TARGET = "pods"
_CONNECTIONS = 128
_PREFIXES = tuple(name.encode() for name in (*query.OWN, *query.ABOUT_CANDIDATE))


class Exposition(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod answered, and when (unix time)."""

    pod: looking.JudgedPod
    at: float
    content: bytes


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of all pods. `trouble` says why pods are missing from it, or nothing."""

    expositions: tuple[Exposition, ...]
    trouble: str = ""


Reading = tuple[looking.JudgedPod, float, dict[tuple[counters.Counter, str], float]]


@contextlib.asynccontextmanager
async def connected(*, port: int = names.METRICS_PORT) -> AsyncIterator[Pods]:
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS, limit_per_host=1, keepalive_timeout=10)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, headers={"User-Agent": "seatrial"}
    ) as session:
        yield Pods(session, port=port)


class Pods:
    """Reads the metrics of pods."""

    def __init__(self, session: aiohttp.ClientSession, *, port: int) -> None:
        self._session = session
        self._port = port

    async def read(self, pods: Sequence[looking.JudgedPod], *, now: Callable[[], float]) -> Round:
        """All of these pods at once; returns when the last has answered or its time is over."""
        answers = await asyncio.gather(*(self._one(pod, now) for pod in pods))
        found = tuple(one for one in answers if isinstance(one, Exposition))
        failed = [(pod, one) for pod, one in zip(pods, answers, strict=True) if isinstance(one, str)]
        return Round(expositions=found, trouble=_trouble(failed, len(pods)))

    async def _one(self, pod: looking.JudgedPod, now: Callable[[], float]) -> Exposition | str:
        """Counters are no older than the moment the answer ends: its time is the one that can't blame too early."""
        content = await self.fetch(pod.ip)
        return content if isinstance(content, str) else Exposition(pod=pod, at=now(), content=content)

    async def fetch(self, ip: str) -> bytes | str:
        """What the pod at this address exports; as text why it doesn't."""
        host = f"[{ip}]" if ":" in ip else ip
        try:
            async with self._session.get(
                f"http://{host}:{self._port}/metrics",
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=SECONDS),
            ) as response:
                if response.status != 200:
                    return f"it answered {response.status}"
                content = await client.bounded(response, limit=BODY_LIMIT)
        except TimeoutError:
            return f"no answer within {SECONDS:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return client.reduced(error)
        if content is None:
            return f"it answered with more than {BODY_LIMIT // 2**20} MiB"
        return content


def chosen(asked: looking.Question) -> tuple[looking.JudgedPod, ...]:
    """Ready pods worth reading: every one that tells how requests of the candidate ended, at most `MOST_PODS`, and
    some of each arm.
    """
    able = [pod for pod in asked.pods if pod.ready and pod.ip]
    candidate = [pod for pod in able if pod.arm is counters.Arm.CANDIDATE]
    stable = [] if asked.window.alone else [pod for pod in able if pod.arm is counters.Arm.STABLE]
    first, others = (candidate, stable) if asked.relay is None else (stable, candidate)
    beside = min(len(others), max(MOST_PODS - len(first), MOST_PODS // 4))
    return (*first[: MOST_PODS - beside], *others[:beside])


def parsed(exposition: Exposition, asked: looking.Question) -> dict[tuple[counters.Counter, str], float]:
    """The totals of an exposition's request counters; {} where it holds none of ours. Costly: not for the event loop.

    Raises:
        ValueError: it isn't the text format.
    """
    lines = [line for line in exposition.content.splitlines() if line.startswith(_PREFIXES)]
    revision = asked.window.stable if exposition.pod.arm is counters.Arm.STABLE else asked.window.candidate
    own = {"deployment": asked.owner.name, "deployment_namespace": asked.owner.namespace, "revision": revision}
    candidate = asked.given(exposition.pod)
    totals: dict[tuple[counters.Counter, str], float] = {}
    for family in parser.text_string_to_metric_families(b"\n".join([*lines, b""]).decode()):
        for sample in family.samples:
            counted = query.counted(sample.name, sample.labels, candidate=candidate)
            if counted is not None and own.items() <= sample.labels.items():
                value = 0.0 if counted[0] is counters.Counter.RELAYING else sample.value
                totals[counted] = totals.get(counted, 0.0) + value
    return totals


def _trouble(failed: Sequence[tuple[looking.JudgedPod, str]], asked: int) -> str:
    if not failed:
        return ""
    pod, words = failed[0]
    hint = "; a NetworkPolicy must let the operator reach port 8082 of the serving pods" if _unreachable(words) else ""
    return f"{len(failed)} of {asked} pods can't be read directly: {pod.name}: {words}{hint}"


def _unreachable(words: str) -> bool:
    return "answer within" in words or "refused" in words or "failed" in words
