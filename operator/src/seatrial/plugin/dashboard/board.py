"""What the page shows of one deployment, as data: stages, shares, evidence over time, sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from seatrial.api import spec, status
from seatrial.plugin import chart, explain, words
from seatrial.plugin.view import View

MOST_POINTS = 2000
VERDICTS = 5


class Point(msgspec.Struct, frozen=True):
    """One moment: seconds since the epoch, shares in percent, how far each metric's evidence had come (1: bound)."""

    at: float
    asked: float
    seen: float | None
    evidence: dict[str, float]


class Step(msgspec.Struct, frozen=True):
    """A stage of the rollout. `state`: past, now or ahead."""

    name: str
    state: str


class Metric(msgspec.Struct, frozen=True):
    """One compared metric."""

    name: str
    part: float | None
    evidence: str
    bound: str
    candidate: str
    stable: str
    outcome: str


class Verdict(msgspec.Struct, frozen=True):
    """One decision."""

    version: str
    verdict: str
    reason: str
    message: str
    at: float


class Board(msgspec.Struct, frozen=True):
    """One deployment. `recorded`: by metric, the evidence of its last rollback in [seconds, part] pairs."""

    name: str
    namespace: str
    phase: str
    tone: str
    ready: str
    reason: str
    message: str
    advice: str
    stable: str
    candidate: str
    steps: tuple[Step, ...]
    asked: int | None
    seen: str
    requests: tuple[int, int] | None
    metrics: tuple[Metric, ...]
    verdicts: tuple[Verdict, ...]
    drift: tuple[str, ...]
    points: tuple[Point, ...]
    recorded: dict[str, list[tuple[float, float]]]


def of(view: View, *, points: Sequence[Point], recorded: Iterable[chart.Line] = ()) -> Board:
    """The board of a deployment with what was seen of it so far."""
    told = view.status
    ready = view.condition("Ready")
    traffic = told.traffic if told.candidate is not None else None
    return Board(
        name=view.name,
        namespace=view.namespace,
        phase=told.phase.value,
        tone=_tone(view),
        ready=ready.status.value if ready is not None else "Unknown",
        reason=view.reason,
        message=view.message,
        advice=explain.advice(view),
        stable=_known(told.stable),
        candidate=_known(told.candidate),
        steps=_steps(view),
        asked=told.candidate.weight if told.candidate is not None else None,
        seen=(traffic.measured_share or "") if traffic is not None else "",
        requests=(traffic.requests.candidate, traffic.requests.stable) if traffic and traffic.requests else None,
        metrics=tuple(_metric(one) for one in told.analysis.metrics) if told.analysis is not None else (),
        verdicts=tuple(_verdict(one) for one in told.verdicts[:VERDICTS]),
        drift=tuple(words.drift(told.drift)) if told.drift is not None else (),
        points=tuple(points),
        recorded={one.name: list(zip(one.times, one.parts, strict=True)) for one in recorded},
    )


def point(view: View, *, at: float) -> Point | None:
    """What can be drawn of this moment; None while nothing rolls."""
    told = view.status
    if told.candidate is None:
        return None
    seen = told.traffic.measured_share if told.traffic is not None else None
    metrics = told.analysis.metrics if told.analysis is not None and told.candidate.step else ()
    parts = {one.name: words.progress(one) for one in metrics}
    return Point(
        at=at,
        asked=told.candidate.weight,
        seen=words.number(seen.rstrip("%")) if seen else None,
        evidence={name: part for name, part in parts.items() if part is not None},
    )


def grown(points: Sequence[Point], new: Point | None) -> tuple[Point, ...]:
    """With another point. Of more than there is room for, every second one goes."""
    if new is None:
        return tuple(points)
    kept = tuple(points)[::2] if len(points) >= MOST_POINTS else tuple(points)
    return (*kept, new)


def _tone(view: View) -> str:
    if view.is_true("Stalled"):
        return "bad"
    if view.is_true("Ready"):
        return "good"
    candidate = view.status.candidate
    return "held" if candidate is not None and candidate.hold is not None else "going"


def _known(one: status.Known | None) -> str:
    return f"version {one.model_version} ({one.revision})" if one is not None else ""


def _steps(view: View) -> tuple[Step, ...]:
    """Trial, starting, each step by its share, promotion, soak: which are past, which is now."""
    candidate, phase = view.status.candidate, view.status.phase
    weights = [f"{one.weight}%" if one.weight else f"shadow {one.shadow}%" for one in _asked(view)]
    names = ["trial", "starting", *weights, "promotion", "soak"]
    if candidate is None:
        now = len(names) - 1 if phase is status.Phase.SOAKING else None
    elif candidate.promoting:
        now = len(names) - 2
    elif candidate.step:
        now = min(1 + candidate.step, len(names) - 3)
    else:
        now = 1 if candidate.started_at is not None else 0
    if now is None:
        return ()
    return tuple(
        Step(name, "past" if place < now else "now" if place == now else "ahead") for place, name in enumerate(names)
    )


def _asked(view: View) -> Sequence[spec.Step]:
    if view.spec is None:
        return ()
    candidate = view.status.candidate
    named = candidate.provider if candidate is not None and candidate.provider else spec.DEFAULT_PROVIDER
    known = spec.Provider(named) if named in list(spec.Provider) else spec.DEFAULT_PROVIDER
    return view.spec.rollout.steps or spec.DEFAULT_STEPS[known]


def _metric(one: status.MetricStatus) -> Metric:
    return Metric(
        name=one.name,
        part=words.progress(one),
        evidence=one.evidence,
        bound=one.bound,
        candidate=words.share(one.candidate),
        stable=words.share(one.stable),
        outcome=one.outcome,
    )


def _verdict(one: status.Verdict) -> Verdict:
    return Verdict(
        version=one.model_version,
        verdict=one.verdict.value,
        reason=one.reason.value,
        message=one.message,
        at=one.at.timestamp(),
    )
