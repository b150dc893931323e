"""Series of one ModelDeployment's rollout: who serves, the shares, the evidence, what was decided last.

All of it comes from the status, so a scrape says what `kubectl get` says, also after a restart. How many objects have
series is for the caller to bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import prometheus_client
from prometheus_client import Gauge

from seatrial.api.status import AnalysisStatus, Candidate, Status
from seatrial.control import queue

_OBJECT = ("deployment_namespace", "deployment")
_SERIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "seatrial_modeldeployment_info": (
        "Always 1; the phase, the reason of Ready, and what shares the traffic out.",
        ("phase", "reason", "provider"),
    ),
    "seatrial_modeldeployment_revision_info": (
        "Always 1; which revision, of which version, is stable, candidate or previous (kept warm).",
        ("role", "revision", "version"),
    ),
    "seatrial_modeldeployment_last_verdict_timestamp_seconds": (
        "When the newest verdict was given.",
        ("version", "verdict", "reason"),
    ),
    "seatrial_modeldeployment_last_rollback_timestamp_seconds": (
        "When the newest rollback's evidence passed its bound.",
        ("reason",),
    ),
    "seatrial_rollout_weight_ratio": ("Share of the requests that is asked for the candidate, 0 without one.", ()),
    "seatrial_rollout_shadow_ratio": ("Share of stable's requests of which the candidate gets copies.", ()),
    "seatrial_rollout_share_ratio": ("Share of the requests that the candidate is seen to get in this step.", ()),
    "seatrial_rollout_evidence_ratio": (
        "Evidence against the candidate over its bound, as logarithms: at 1 it is rolled back. Stays after a verdict.",
        ("metric",),
    ),
}

Labels = tuple[str, ...]
Sample = tuple[str, Labels, float]


class Gauges:
    """The gauges, and which series of them each object has."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._gauges = {
            name: Gauge(name, text, [*_OBJECT, *labels], registry=registry) for name, (text, labels) in _SERIES.items()
        }
        self._shown: dict[queue.Key, set[tuple[str, Labels]]] = {}

    def show(self, key: queue.Key, status: Status) -> None:
        """What the status says now, and nothing that it said before."""
        now = {(name, labels): value for name, labels, value in samples(status)}
        self._remove(key, self._shown.get(key, set()) - now.keys())
        self._shown[key] = set(now)
        for (name, labels), value in now.items():
            self._gauges[name].labels(key.namespace, key.name, *labels).set(value)

    def forget(self, key: queue.Key) -> None:
        """The object is gone."""
        self._remove(key, self._shown.pop(key, set()))

    def _remove(self, key: queue.Key, series: set[tuple[str, Labels]]) -> None:
        for name, labels in series:
            self._gauges[name].remove(key.namespace, key.name, *labels)


def samples(status: Status) -> Iterator[Sample]:
    """Every series of an object with this status: name, labels behind the object's own, value."""
    ready = next((one.reason for one in status.conditions if one.type == "Ready"), "")
    provider = status.traffic.provider if status.traffic is not None else ""
    yield "seatrial_modeldeployment_info", (status.phase.value, ready, provider), 1
    for role, one in (("stable", status.stable), ("candidate", status.candidate), ("previous", status.previous)):
        if one is not None:
            yield "seatrial_modeldeployment_revision_info", (role, one.revision, one.model_version), 1
    if status.verdicts:
        newest = status.verdicts[0]
        labels = (newest.model_version, newest.verdict.value, newest.reason.value)
        yield "seatrial_modeldeployment_last_verdict_timestamp_seconds", labels, newest.at.timestamp()
    if status.last_rollback is not None:
        last = status.last_rollback
        at = last.breach_at.timestamp()
        yield "seatrial_modeldeployment_last_rollback_timestamp_seconds", (last.reason.value,), at
    yield from _shares(status)
    if status.analysis is not None and _is_newest(status.candidate, status.analysis):
        for metric in status.analysis.metrics:
            part = metric.progress
            if part is not None:
                yield "seatrial_rollout_evidence_ratio", (metric.name,), part


def _shares(status: Status) -> Iterator[Sample]:
    candidate = status.candidate
    yield "seatrial_rollout_weight_ratio", (), candidate.weight / 100 if candidate is not None else 0
    yield "seatrial_rollout_shadow_ratio", (), candidate.shadow / 100 if candidate is not None else 0
    seen = status.traffic.measured if status.traffic is not None and candidate is not None else None
    if seen is not None:
        yield "seatrial_rollout_share_ratio", (), seen / 100


def _is_newest(candidate: Candidate | None, analysis: AnalysisStatus) -> bool:
    """About what has traffic now. After a verdict the last look stays, so that a scrape can see what it rests on."""
    if candidate is None:
        return True
    return candidate.weight_since is not None and analysis.at > candidate.weight_since
