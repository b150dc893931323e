"""Small texts: ages, shares, evidence against its bound. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from seatrial.api import status

BAR = 10
STYLES = {"Pass": "green", "Fail": "bold red", "Inconclusive": "yellow", "NoData": "dim", "Error": "magenta"}


def age(moment: datetime | str | None, now: datetime) -> str:
    """As kubectl tells it: 45s, 12m, 3h, 8d; "" where it isn't known."""
    if not moment:
        return ""
    at = datetime.fromisoformat(moment.replace("Z", "+00:00")) if isinstance(moment, str) else moment
    seconds = max(0, int((now - at).total_seconds()))
    for size, unit, most in ((1, "s", 120), (60, "m", 120), (3600, "h", 48)):
        if seconds < size * most:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86400}d"


def now() -> datetime:
    """The time of this machine, for ages."""
    return datetime.now(UTC)


def number(text: str) -> float | None:
    """A figure of status, None where there is none."""
    try:
        return float(text)
    except ValueError:
        return None


def progress(metric: status.MetricStatus) -> float | None:
    """How far the evidence has come to its bound, from 0 to 1."""
    return part(metric.evidence, metric.bound)


def part(evidence: str, bound: str) -> float | None:
    """The same of any two figures of status."""
    far = status.progress(evidence, bound)
    return None if far is None else min(1.0, far)


def bar(length: float | None, *, style: str) -> Text:
    """A bar of that length; dots where nothing is known."""
    if length is None:
        return Text("·" * BAR, style="dim")
    full = round(length * BAR)
    return Text("█" * full, style=style) + Text("░" * (BAR - full), style="dim")


def share(counts: str) -> str:
    """`21/968` -> `2.17% (21/968)`."""
    events, _, requests = counts.partition("/")
    known = number(events), number(requests)
    if None in known or not known[1]:
        return counts
    return f"{100 * (known[0] or 0) / known[1]:.3g}% ({counts})"


def limits(metric: status.MetricStatus) -> str:
    """`4.2 (2.1 to 8)`: the ratio with its 99 % limits."""
    if not metric.ratio:
        return ""
    low, high = metric.low or "?", metric.high or "?"
    return f"{metric.ratio} ({low} to {high})" if metric.low or metric.high else metric.ratio


def drift(told: status.DriftStatus) -> list[str]:
    """What is said of drift: the outcome, then a line for each test that alarms or is suspected."""
    said = [f"{told.outcome} since {told.since:%Y-%m-%d %H:%M}Z"]
    for one in told.columns:
        line = f"{one.name} ({one.test}, {one.outcome}): {one.where} {one.share} of the rows, reference {one.reference}"
        said.append(f"{line}; evidence {one.evidence} of {one.bound}")
    return said


def quality(told: status.QualityStatus) -> list[str]:
    """What is said of the answers by their labels: the outcome, then the figures behind it."""
    said = [f"{told.outcome} since {told.since:%Y-%m-%d %H:%M}Z"]
    if told.share:
        said.append(
            f"{told.wrong} of {told.labelled} labelled rows wrong over {told.window}: {told.share} ({told.low} to "
            f"{told.high}), limit {told.limit} ({told.against}); evidence {told.evidence} of {told.bound}"
        )
    if told.estimated:
        said.append(f"by confidence alone {told.estimated} wrong ({told.estimated_low} to {told.estimated_high})")
    return said


def pod_state(pod: dict[str, Any]) -> tuple[str, bool]:
    """What a pod does, in a word or the API's own words, and whether it could take requests."""
    told = pod.get("status") or {}
    if "deletionTimestamp" in pod["metadata"]:
        return "leaving", False
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in told.get("conditions") or ())
    if ready:
        return "Ready", True
    for one in (*(told.get("initContainerStatuses") or ()), *(told.get("containerStatuses") or ())):
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in ("PodInitializing", "ContainerCreating"):
            return str(waiting["reason"]), False
    return str(told.get("reason") or told.get("phase") or "Pending"), False
