"""How well the pods are seen: how often they are scraped, whether that is fresh, and which metrics are missing.

The scrape interval is measured, whatever the setting says, from the samples up to the moment in question.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from seatrial.analysis import relaying
from seatrial.analysis.samples import (
    COPIES_METRIC,
    COVERED,
    LATENCY_METRIC,
    RELAYED_METRIC,
    REQUESTS_METRIC,
    ROWS_METRIC,
    Arm,
    Counter,
    Key,
    Pod,
    Relay,
)
from seatrial.analysis.scrapes import STALE_SCRAPES
from seatrial.analysis.slots import Metric
from seatrial.analysis.tracks import Track

FRESH_PART = 0.8
METRICS: tuple[Metric, ...] = ("errors", "latency", "rejections", "degraded")

WHY = (
    "the server exports it from the start, so something drops it: look for a rule in metric_relabel_configs "
    "(metricRelabelings of a PodMonitor), or a sample_limit"
)
WHY_BUCKETS = (
    "if no metric_relabel_configs rule drops the buckets, Prometheus keeps them as a native histogram: set "
    "always_scrape_classic_histograms: true"
)
WHY_RELAYED = (
    "its server is older than relays, or something drops the series: look for a rule in metric_relabel_configs "
    "(metricRelabelings of a PodMonitor), or a sample_limit"
)


@dataclasses.dataclass(frozen=True)
class View:
    """The pods, what is known of each at the moment `end`, and how far apart scrapes are, `measured` or as set."""

    tracks: Sequence[Track]
    pods: Sequence[Pod]
    end: float
    interval: float
    measured: bool


def scrape_interval(tracks: Sequence[Track], moment: float, hint: float) -> float:
    """Median over pods of the seconds between scrapes as measured by then; the hint while nothing is measured."""
    gaps = [gap for track in tracks if (gap := track.scrapes.gap(moment)) is not None]
    return float(np.median(gaps)) if gaps else hint


def blind(view: View, arms: Sequence[Arm]) -> str:
    """Why the arms can't be judged now, or nothing."""
    own = {(track.arm, track.pod): track for track in view.tracks}
    end, interval = view.end, view.interval
    source = "as measured" if view.measured else "as set"
    for arm in arms:
        ready = sorted((pod for pod in view.pods if pod.arm is arm and pod.ready), key=lambda pod: pod.name)
        if not ready:
            return f"{arm}: no ready pod"
        ages = {
            pod.name: end - (own[arm, pod.name].last(end) if (arm, pod.name) in own else -math.inf) for pod in ready
        }
        limits = {name: STALE_SCRAPES * _gap(own.get((arm, name)), end, interval) for name in ages}
        fresh = [name for name, age in ages.items() if age < limits[name]]
        if len(fresh) < FRESH_PART * len(ages):
            oldest = max((name for name in ages if name not in fresh), key=lambda name: ages[name])
            state = _state(oldest, own.get((arm, oldest)), end, ages[oldest])
            return (
                f"{arm}: {len(fresh)} of {len(ages)} ready pods have samples younger than {limits[oldest]:g} s "
                f"({STALE_SCRAPES} scrape intervals, {source}); {state}"
            )
    return ""


def _gap(track: Track | None, end: float, interval: float) -> float:
    """Whole seconds: the same words at every look."""
    gap = (track.scrapes.gap(end) if track else None) or interval
    return float(max(1, round(max(gap, interval))))


def _state(pod: str, track: Track | None, end: float, age: float) -> str:
    if track is None or not math.isfinite(age):
        return f"those of {pod} are missing: check that the metrics port of the pods is scraped"
    latest = f"the last of {datetime.fromtimestamp(end - age, UTC):%H:%M:%S} UTC"
    if track.scrapes.lacking:
        return f"those of {pod} are not whole any more ({latest}), without {series(track.scrapes.lacking[0])}"
    return f"those of {pod} are older than that, {latest}: check that its target is up, and how often it is scraped"


def unseen(
    view: View, arms: Sequence[Arm], *, outcomes: frozenset[str], relay: Relay | None = None
) -> Mapping[str, str]:
    """By metric that can't be judged, what is missing and what to change.

    With `relay` the candidate's own pods tell latency only; not being able to read them is no blindness then.
    """
    ready = {(pod.arm, pod.name) for pod in view.pods if pod.ready}
    judged = [track for track in view.tracks if track.arm in arms and len(track.scrapes.times)]
    judged = [track for track in judged if (track.arm, track.pod) in ready] or judged
    said: dict[str, str] = {}
    for metric, track, missing in _missing(judged, view.end, outcomes, relay):
        said.setdefault(metric, _sentence(metric, track, missing))
    if relay is not None and (alone := blind(view, (Arm.CANDIDATE,))):
        said.setdefault("latency", f"latency can't be judged: {alone}")
    if "latency" not in said and (odd := _uneven(judged)):
        said["latency"] = odd
    return {metric: said[metric] for metric in METRICS if metric in said}


def _missing(
    tracks: Sequence[Track], end: float, outcomes: frozenset[str], relay: Relay | None
) -> Iterator[tuple[str, Track, tuple[Key, ...]]]:
    for track in tracks:
        given = relay is not None and track.arm is Arm.CANDIDATE
        for metric, missing in track.missing(end, outcomes).items():
            if not given or metric in relaying.OF_CANDIDATE:
                yield metric, track, missing
        if relay is not None and not given and (counters := relaying.missing(track, end, relay)):
            yield from ((metric, track, counters) for metric in relaying.TOLD)


def _sentence(metric: str, track: Track, missing: tuple[Key, ...]) -> str:
    counter = missing[0][0]
    shown = missing[:1] if counter.about_candidate else missing
    names = " and ".join(series(key) for key in shown)
    why = WHY_RELAYED if counter.about_candidate else WHY_BUCKETS if counter is Counter.LATENCY else WHY
    return f"{metric} can't be judged: {track.arm} pod {track.pod} has no {names}; {why}"


def _uneven(tracks: Sequence[Track]) -> str:
    """What is wrong when pods have different edges beyond the one that each revision may have: its own threshold."""
    edges = {
        (track.arm, track.pod): {label for counter, label in track.born if counter is Counter.LATENCY}
        for track in tracks
    }
    if not edges:
        return ""
    shared = set.intersection(*edges.values())
    known = set.union(*edges.values())
    for (arm, pod), own in sorted(edges.items()):
        lacking = sorted(known - own, key=float)
        if len(lacking) > 1 and len(own - shared) <= 1:
            names = ", ".join(lacking)
            return f"latency can't be judged: {arm} pod {pod} lacks the buckets {names} that others have; {WHY_BUCKETS}"
    return ""


def series(key: Key) -> str:
    """A series as Prometheus names it."""
    counter, label = key
    outcome, _, covered = label.partition("/")
    if counter is Counter.REQUESTS:
        return f'{REQUESTS_METRIC}{{outcome="{label}"}}'
    if counter is Counter.RELAYED:
        return f'{RELAYED_METRIC}{{outcome="{outcome}",covered="{str(covered == COVERED).lower()}"}}'
    if counter is Counter.COPIES:
        return f'{COPIES_METRIC}{{outcome="{label}"}}'
    if counter is Counter.ROWS:
        return f'{ROWS_METRIC}{{result="{label}"}}'
    return f'{LATENCY_METRIC}{{le="{label}"}}' if label else LATENCY_METRIC
