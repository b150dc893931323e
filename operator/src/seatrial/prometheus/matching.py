"""Whose counters a series holds: believed only when it was scraped from a pod that the API server shows as ours.

The labels `deployment`, `revision` and so on are said by whoever exports them, anybody may. What the scraper says
itself, the target's labels, is what counts, whichever of them a relabelling left:

    namespace   must be ours where it is there, whatever else matches
    uid, pod_uid                               a pod of ours
    pod         the name of one of ours, together with `namespace` or with an address of that pod
    instance    the address of one of ours, where no `pod` is left

`exported_pod`, `exported_namespace` are the exporter's word again and prove nothing. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from seatrial.analysis import cohorts, counters
from seatrial.prometheus import query
from seatrial.rollout import looking

_RETURNED_LABELS = frozenset({"answered_by", "cohort", "event"})
Samples = Sequence[tuple[float, float]]


class Raw(msgspec.Struct, frozen=True):
    """A series as it comes: its labels and its samples."""

    labels: Mapping[str, str]
    samples: Samples


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """Series of our pods; `foreign` counts the others."""

    series: tuple[counters.Series, ...]
    foreign: int = 0


def match(series: Iterable[Raw], *, asked: looking.Question) -> Matched:
    """Series of the question's pods, each with the target it was scraped from; everything else is counted only."""
    book = _Book(asked)
    found, foreign = [], 0
    for raw in series:
        pod = book.pod(raw.labels)
        counted = query.counted(raw.labels.get("__name__", ""), raw.labels, candidate=asked.given(pod))
        if pod is None:
            foreign += 1
        elif counted is not None and raw.labels.get("revision") == book.revision(pod):
            counter, label = counted
            found.append(
                counters.Series(
                    arm=pod.arm,
                    pod=pod.name,
                    counter=counter,
                    label=label,
                    samples=_presence(raw.samples) if counter is counters.Counter.RELAYING else raw.samples,
                    target=target(raw.labels),
                )
            )
    return Matched(series=tuple(found), foreign=foreign)


def returned(series: Iterable[Raw], *, asked: looking.Question) -> list[cohorts.Series]:
    """What the question's pods have counted of what came back for answers, whoever answered."""
    book, found = _Book(asked), []
    for raw in series:
        labels = raw.labels
        pod, kind = book.pod(labels), query.RETURNED.get(labels.get("__name__", ""))
        cohort = labels.get("cohort", "")
        if pod is None or kind is None or labels.get("revision") != book.revision(pod) or not cohort.isdecimal():
            continue
        if kind is cohorts.Kind.WRONG and labels.get("outcome") == "right":
            kind = cohorts.Kind.RIGHT
        found.append(
            cohorts.Series(
                pod=pod.name,
                kind=kind,
                by=labels.get("answered_by", "") or labels["revision"],
                cohort=int(cohort),
                event=labels.get("event", ""),
                target=target({name: text for name, text in labels.items() if name not in _RETURNED_LABELS}),
                samples=raw.samples,
            )
        )
    return found


def _presence(samples: Samples) -> Samples:
    """That it was there, whatever it said."""
    return [(at, 0.0) for at, _ in samples]


def target(labels: Mapping[str, str]) -> str:
    """The scraped target's identity: two scrape jobs, or two replicas of a Prometheus, differ in it."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in query.LABELS)


def whose(labels: Mapping[str, str]) -> str:
    """Who a foreign series is from, in few and harmless characters."""
    words = f"{labels.get('namespace', '')}/{labels.get('pod', '')}".strip("/") or labels.get("instance", "")
    return "".join(char for char in words[:100] if char.isascii() and (char.isalnum() or char in "-._:/[]")) or "nobody"


class _Book:
    """The question's pods by what may identify them."""

    def __init__(self, asked: looking.Question) -> None:
        self._asked = asked
        self._names = {pod.name: pod for pod in asked.pods}
        self._uids = {pod.uid: pod for pod in asked.pods if pod.uid}
        self._ips = {ip: pod for pod in asked.pods if (ip := address(pod.ip)) is not None}

    def revision(self, pod: looking.JudgedPod) -> str:
        window = self._asked.window
        return window.stable if pod.arm is counters.Arm.STABLE else window.candidate

    def pod(self, labels: Mapping[str, str]) -> looking.JudgedPod | None:
        namespace = labels.get("namespace", "")
        if namespace and namespace != self._asked.owner.namespace:
            return None
        by_uid = self._uids.get(labels.get("uid", "") or labels.get("pod_uid", ""))
        if by_uid is not None:
            return by_uid
        by_address = self._ips.get(address(labels.get("instance", "")) or "")
        name = labels.get("pod", "")
        if not name:
            return by_address
        by_name = self._names.get(name)
        return by_name if namespace or by_address is by_name else None


def address(text: str) -> str | None:
    """The IP of `10.0.0.1:8082`, `[fd00::1]:8082` or of an address alone, in one spelling."""
    host = text.rpartition(":")[0].strip("[]") if text.count(":") == 1 or text.startswith("[") else text
    try:
        return str(ipaddress.ip_address(host or text))
    except ValueError:
        return None
