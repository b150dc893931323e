"""Questions and series of one rollout: stable `s1` with pod a, candidate `c1` with pod b, in namespace shop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from seatrial.analysis import counters, samples
from seatrial.api.spec import Analysis, Duration, PrometheusSource
from seatrial.prometheus import matching
from seatrial.rollout import facts, looking

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STABLE, CANDIDATE = counters.Arm.STABLE, counters.Arm.CANDIDATE
OUTCOMES = ("ok", "degraded", "rejected", "error", "shed")


def pod(name: str, arm: counters.Arm, *, ip: str = "", ready: bool = True, started: datetime | None = None) -> Any:
    since = NOW - timedelta(hours=2) if started is None else started
    return looking.JudgedPod(uid=f"uid-{name}", ip=ip, name=name, arm=arm, ready=ready, started_at=since)


PODS = (pod("a", STABLE, ip="10.0.0.1"), pod("b", CANDIDATE, ip="10.0.0.2"))


def question(
    *,
    since: datetime = NOW,
    interval: str = "15s",
    pods: tuple[looking.JudgedPod, ...] = PODS,
    prometheus: PrometheusSource | None = None,
    namespace: str = "shop",
    name: str = "churn",
    attempt: int = 1,
    **window: Any,
) -> looking.Question:
    return looking.Question(
        window=looking.Window(**{"stable": "s1", "candidate": "c1", "since": since, **window}),
        owner=facts.Owner(namespace=namespace, name=name, uid=f"uid-{name}", generation=1),
        analysis=Analysis(interval=Duration.parse(interval), prometheus=prometheus),
        steps=1,
        pods=pods,
        scrape_interval=timedelta(seconds=15),
        attempt=attempt,
    )


def raw(revision: str, rows: list[tuple[float, float]] | None = None, **labels: str) -> matching.Raw:
    """A series of the request counter, or of a latency bucket where `le` is named."""
    latency = "le" in labels
    own = {"__name__": samples.LATENCY_METRIC if latency else samples.REQUESTS_METRIC, "revision": revision}
    own |= {"deployment": "churn", "deployment_namespace": "shop"}
    if not latency:
        own["outcome"] = "ok"
    return matching.Raw(labels={**own, **labels}, samples=rows or [(NOW.timestamp(), 3.0)])


def relays(
    *,
    until: float,
    every: float = 15.0,
    since: float = -600.0,
    ends: Mapping[str, float] = {"ok": 1.0},
    by: str = "s1",
    **labels: str,
) -> list[matching.Raw]:
    """What a pod of stable counts about `c1`: a request a second that it passes on; `ends` are shares of outcomes."""
    times = [since + every * place for place in range(int((until - since) // every) + 1)]
    found = []
    for outcome in samples.GIVEN:
        for covered in ("false", "true"):
            share = ends.get(outcome, 0.0) if (covered == "true") == (outcome not in ("ok", "degraded")) else 0.0
            rows = [(NOW.timestamp() + at, float(round((at - since) * share))) for at in times]
            own = {"__name__": samples.RELAYED_METRIC, "candidate": "c1", "outcome": outcome, "covered": covered}
            found.append(raw(by, rows, **{**own, **labels}))
    return found


def scrapes(
    revision: str, *, until: float, every: float = 15.0, since: float = -600.0, errors: float = 0.0, **labels: str
) -> list[matching.Raw]:
    """All series of a pod that answers ten requests a second, a share of them with errors; seconds from NOW."""
    base = NOW.timestamp()
    times = [since + every * place for place in range(int((until - since) // every) + 1)]

    def row(share: float) -> list[tuple[float, float]]:
        return [(base + at, float(round((at - since) * 10 * share))) for at in times]

    shares = {"ok": 1 - errors, "error": errors}
    found = [raw(revision, row(shares.get(outcome, 0.0)), outcome=outcome, **labels) for outcome in OUTCOMES]
    return found + [raw(revision, row(1.0), le=edge, **labels) for edge in ("0.1", "+Inf")]
