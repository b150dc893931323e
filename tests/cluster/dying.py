"""A rollout whose operator dies at its writes, and what must be so afterwards: a verdict, and nothing left behind."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.cluster import operators, watching

from seatrial.rollout import names

MOST_AT = 3
DEATHS = 12
SECONDS = 600.0
LEAVING = 180.0


@dataclasses.dataclass(frozen=True)
class Passage:
    """What it came to. `left` is what should not be there any more."""

    sight: watching.Sight
    died: tuple[str, ...]
    writes: int
    seconds: float
    left: tuple[str, ...]


def here_and_there() -> Iterator[operators.Death]:
    """At the first write of one process, at the second of the next: the API server has every other one."""
    return (operators.Death(at=1 + number % MOST_AT, written=number % 2 == 0) for number in range(DEATHS))


def at_every_write() -> Iterator[operators.Death]:
    """No process outlives its first: each begins with what the one before has left, and knows nothing else."""
    return itertools.repeat(operators.Death(at=1, written=True))


def passage(
    subject: watching.Subject,
    wish: Mapping[str, Any],
    version: str,
    *,
    deaths: Iterable[operators.Death],
    folder: Path,
) -> Passage:
    """The wish applied, and carried out by processes that die so."""
    began = time.monotonic()
    space = subject.namespace
    with operators.in_its_place(subject.platform, namespace=space, folder=folder, deaths=deaths) as mortal:
        subject.apply(wish)

        def over(sight: watching.Sight) -> bool:
            return sight.settled and sight.verdict(version) is not None

        sight = subject.wait(over, what=f"the end of version {version}", seconds=SECONDS)
        seconds = time.monotonic() - began
        until = time.monotonic() + LEAVING
        sight = subject.wait(
            lambda one: not left_over(subject, one) or time.monotonic() > until, what="time", seconds=2 * LEAVING
        )
        died, writes = tuple(mortal.died), len(mortal.writes)
        left = tuple(left_over(subject, sight))
    return Passage(sight=sight, died=died, writes=writes, seconds=seconds, left=left)


def left_over(subject: watching.Subject, sight: watching.Sight) -> list[str]:
    """Pods of another revision than the one that serves, Jobs that run, requests that are still passed on."""
    stable = sight.status.stable
    assert stable is not None
    mine = f"{names.DEPLOYMENT}={subject.name}"
    pods = subject.platform.list("pods", subject.namespace, mine)
    servers = [one for one in pods if one["metadata"]["labels"].get(names.COMPONENT) == "server"]
    others = [one for one in servers if one["metadata"]["labels"].get(names.REVISION) != stable.revision]
    relaying = [one for one in servers if one["metadata"].get("annotations", {}).get(names.RELAY)]
    jobs = [one for one in subject.platform.list("jobs", subject.namespace, mine) if one["status"].get("active")]
    found = {"pod of another revision": others, "passes requests on": relaying, "Job that runs": jobs}
    return [f"{one['metadata']['name']}: {what}" for what, ones in found.items() for one in ones]
