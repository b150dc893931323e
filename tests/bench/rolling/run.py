"""One rollout on the cluster, from an empty namespace to what became of the candidate."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.bench.rolling import board, rows
from tests.cluster import installation, watching
from tests.cluster.client.ledger import UNKNOWN
from tests.cluster.harness import errors, gateway
from tests.cluster.models import samples

from seatrial.api.status import VerdictKind

REPLICAS = 4
AGE = 60.0  # seconds that stable has had traffic for
WATCHED = 150.0  # seconds after an outage began
_INSTALLED = _CANARY = 240.0
_DECIDED = 300.0
_PYTHON = "/opt/seatrial/bin/python"


@dataclasses.dataclass(frozen=True)
class Place:
    """One run's namespace, and who tells of its progress."""

    platform: installation.Platform
    board: board.Board
    row: rows.Row
    namespace: str
    say: Callable[[str], None]
    front: gateway.Front | None = None

    @property
    def host(self) -> str:
        """By which the gateway knows this run's requests from others'."""
        return f"{self.namespace}.example"

    @property
    def way(self) -> dict[str, Any]:
        """What the client has to be told to go through the gateway, where one is in front."""
        return {"TARGET": self.front.url, "HOST": self.host} if self.front is not None else {}

    @property
    def subject(self) -> watching.Subject:
        return watching.Subject(self.platform, namespace=self.namespace)

    def wait(self, done: Callable[[watching.Sight], bool], *, what: str, seconds: float) -> watching.Sight:
        return self.board.wait(self.namespace, done, what=what, seconds=seconds)


def once(place: Place) -> rows.Run:
    """Install, one minute of traffic, the candidate, its end. What hinders the run itself makes it a broken one."""
    row, subject = place.row, place.subject
    try:
        installation.namespace(place.platform, place.namespace)
        if place.front is not None:
            place.platform.apply(place.front.gateway(namespace=place.namespace))
        subject.apply(_wish(place, row.stable))
        stable = _version(row.stable)
        place.wait(lambda one: _end(one, stable) is rows.End.PROMOTED, what="the first version", seconds=_INSTALLED)
        subject.start_client(RATE=str(row.rate), MARKS="true", **place.way)
        place.say("stable serves")
        place.board.rest(AGE)
        subject.apply(_wish(place, row.candidate))
        run = _canary(place)
    except errors.HarnessError as error:
        run = rows.Run(end=rows.End.BROKEN, reason=str(error))
    place.say(_told(run))
    return run


def _canary(place: Place) -> rows.Run:
    version = _version(place.row.candidate)
    shares: dict[int, tuple[float, int]] = {}

    def served(sight: watching.Sight) -> bool:
        traffic = sight.status.traffic
        return traffic is not None and traffic.requests is not None and traffic.requests.candidate > 0

    def over(sight: watching.Sight) -> bool:
        traffic, rollback = sight.status.traffic, sight.status.last_rollback
        if traffic is not None and traffic.measured_share and traffic.desired_weight:
            counted = traffic.requests.stable + traffic.requests.candidate if traffic.requests else 0
            shares[traffic.desired_weight] = float(traffic.measured_share.removesuffix("%")), counted
        off = rollback is None or rollback.zero_weight_at is not None
        return sight.verdict(version) is not None and off

    place.wait(lambda one: served(one) or over(one), what="a canary", seconds=_CANARY)
    place.say("the candidate serves")
    if place.row.outage:
        _begin_outage(place)
    sight = _last(place, over)
    return _booked(place, sight, shares)


def _begin_outage(place: Place) -> None:
    command = (_PYTHON, "-c", "import os, signal; os.kill(1, signal.SIGUSR1)")
    place.platform.cluster.kubectl("exec", "-n", place.namespace, "deployment/client", "--", *command)


def _last(place: Place, over: Callable[[watching.Sight], bool]) -> watching.Sight:
    """Of the verdict, or when the time is up: then the candidate is held."""
    try:
        return place.wait(over, what="a verdict", seconds=WATCHED if place.row.outage else _DECIDED)
    except errors.HarnessError:
        return place.wait(lambda _: True, what="a sight", seconds=_DECIDED)


def _booked(place: Place, sight: watching.Sight, shares: dict[int, tuple[float, int]]) -> rows.Run:
    row, books = place.row, place.subject.books()
    version = _version(row.candidate)
    who = (version,) if row.stable_errs else (version, UNKNOWN)
    tallies = [books.versions[one] for one in who if one in books.versions]
    first = min((one["first_at"] for one in tallies if one["first_at"] is not None), default=None)
    verdict, rollback = sight.verdict(version), sight.status.last_rollback
    asked = min(shares, default=0)
    seen, counted = shares.get(asked, (None, 0))
    return rows.Run(
        end=_end(sight, version),
        reason=verdict.reason.value if verdict else sight.ready[1],
        verdict=_since(first, verdict.at if verdict else None),
        off=_since(first, rollback.zero_weight_at if rollback else None),
        errors=sum(one["model_errors"] for one in tallies),
        covered=sum(one["covered"] for one in tallies),
        asked=asked,
        seen=seen,
        counted=counted,
        sent=books.sent,
        lost=books.lost,
        wrong=books.not_the_models_fault,
        skipped=books.skipped,
    )


def _end(sight: watching.Sight, version: str) -> rows.End:
    verdict = sight.verdict(version)
    if verdict is None:
        return rows.End.HELD
    ends = {VerdictKind.PROMOTED: rows.End.PROMOTED, VerdictKind.REJECTED: rows.End.ROLLED_BACK}
    return ends.get(verdict.verdict, rows.End.BROKEN)


def _since(first: float | None, moment: datetime | None) -> float | None:
    return None if first is None or moment is None else moment.timestamp() - first


def _wish(place: Place, package: str) -> dict[str, Any]:
    """The first sample with another model, replicas and steps."""
    wish = copy.deepcopy(place.platform.sample("digits-v1"))
    spec = wish["spec"]
    spec["model"] = samples.version(package, models=place.platform.models)
    spec["replicas"] = REPLICAS
    spec["quantization"] = {"mode": "None"}
    steps = [{"weight": weight, "minDuration": "60s", "minRequests": 30} for weight in place.row.weights]
    traffic: dict[str, Any] = {"provider": place.row.provider}
    if place.front is not None:
        traffic["gateway"] = {"parentRefs": [{"name": "front"}], "hostnames": [place.host]}
    spec["rollout"] = {"steps": steps, "soak": "5s", "startTimeout": "4m", "traffic": traffic}
    spec["analysis"]["errors"] = {"max": place.row.max_errors}
    spec["analysis"]["latency"] = {"threshold": "50ms"}  # compared from a tenth of it upward, as people have it
    return wish


def _version(package: str) -> str:
    return package.rpartition("-")[2].removeprefix("v")


def _told(run: rows.Run) -> str:
    times = [f"{name} after {took:.1f} s" for name, took in (("verdict", run.verdict), ("off", run.off)) if took]
    seen = f"{run.seen:.0f} %" if run.seen is not None else "-"
    parts = [
        f"{run.end} ({run.reason})",
        *times,
        f"{run.errors} errors, {run.covered} covered",
        f"share {run.asked} % / {seen}",
    ]
    parts += [f"{run.sent} sent", f"{run.lost} lost", f"{run.skipped} skipped"]
    return ", ".join(parts)
