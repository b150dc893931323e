"""What a ModelDeployment may say and probably doesn't mean. Each piece of advice is a small function; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from seatrial.api.spec import DEFAULT_PROVIDER, DriftMode, InsufficientTraffic, Provider, Spec
from seatrial.plugin import detection, traffic

Advice = tuple[str, str]
"""(field, sentence)"""

HEALTHY = traffic.Version(errors=0.005, slow=0.003)
COARSE = 1.5  # times the share that was asked for
FORBIDS_NOTHING = 0.95
FEW_LOOKS = 2


def about(wish: Spec, *, rate: float | None) -> list[Advice]:
    """All of it, in the order of the fields. Without a rate, only what doesn't depend on it."""
    found = [one for check in _CHECKS for one in check(wish)]
    return found + ([one for check in _AT_A_RATE for one in check(wish, rate)] if rate is not None else [])


def _replicas(wish: Spec) -> Iterator[Advice]:
    if wish.replicas == 1:
        yield "spec.replicas", "1 means an outage whenever its node is drained or its pod ends; 2 is the default"


def _coarse(wish: Spec) -> Iterator[Advice]:
    """Only provider Service rounds to whole pods."""
    if (wish.rollout.traffic.provider or DEFAULT_PROVIDER) is not Provider.SERVICE or _shadows(wish):
        return
    for place, step in enumerate(detection.steps_of(wish)):
        real = 100 * detection.share(step, wish)
        if real > COARSE * step.weight:
            yield (
                f"{_steps(wish)}[{place}].weight",
                f"{step.weight} asks for {step.weight}% and gets about {real:.0f}%: with provider Service the share "
                f"follows the number of pods ({wish.replicas} replicas); provider Relay gives what is asked for",
            )


def _looks(wish: Spec) -> Iterator[Advice]:
    interval = wish.analysis.interval
    for place, step in enumerate(wish.rollout.steps or ()):
        if step.min_duration < FEW_LOOKS * interval:
            yield (
                f"spec.rollout.steps[{place}].minDuration",
                f"{step.min_duration} is less than {FEW_LOOKS} looks at the evidence, one each {interval}",
            )


def _threshold(wish: Spec) -> Iterator[Advice]:
    threshold, timeout = wish.analysis.latency.threshold, wish.serving.limits.timeout
    if threshold >= timeout:
        yield (
            "spec.analysis.latency.threshold",
            f"{threshold} is not below spec.serving.limits.timeout ({timeout}): nothing slower would be an answer",
        )


def _maximum(wish: Spec) -> Iterator[Advice]:
    for name, most in (("errors", wish.analysis.errors.max), ("latency", wish.analysis.latency.max)):
        if most >= FORBIDS_NOTHING:
            yield f"spec.analysis.{name}.max", f"{most} forbids nothing: only the comparison with stable is left"


def _in_the_clear(wish: Spec) -> Iterator[Advice]:
    if wish.model.uri.startswith("http://") and wish.model.secret_ref is not None:
        yield "spec.model.uri", "http:// sends the credentials of secretRef in the clear; https:// doesn't"


def _unjudged(wish: Spec) -> Iterator[Advice]:
    asked = wish.monitoring.attributions
    if asked is not None and asked.rows_per_second and wish.monitoring.drift.mode is DriftMode.OFF:
        yield (
            "spec.monitoring.attributions",
            "are neither counted nor judged while spec.monitoring.drift.mode is Off: they are watched as drift is",
        )


def _convicts(wish: Spec, rate: float) -> Iterator[Advice]:
    """A step that is over before even a version that fails every request could be convicted."""
    for place, step in enumerate(detection.steps_of(wish)):
        least = detection.least_found(wish, step, rate=rate, healthy=HEALTHY)
        count = max(step.min_duration.total_seconds() * rate * detection.share(step, wish), step.min_requests)
        about_ = f"about {count:.0f} requests of the candidate at {rate:g}/s"
        if least is None:
            yield (
                f"{_steps(wish)}[{place}]",
                f"convicts nobody: within {about_} not even a version that fails every request is proven bad; "
                "raise minRequests or minDuration",
            )
        elif least >= 0.5:
            yield (
                f"{_steps(wish)}[{place}]",
                f"convicts by its end only versions that fail {100 * least:.0f}% or more: it has {about_}; others go "
                "on unless they are suspected; raise minRequests or minDuration to find less",
            )


def _ends(wish: Spec, rate: float) -> Iterator[Advice]:
    """A step whose requests can't come in time."""
    for place, step in enumerate(detection.steps_of(wish)):
        needed = step.min_requests / (rate * detection.share(step, wish))
        if needed > wish.rollout.step_timeout.total_seconds():
            holds = wish.rollout.on_insufficient_traffic is InsufficientTraffic.HOLD
            then = "the rollout holds there for ever" if holds else "it goes on with fewer"
            yield (
                f"{_steps(wish)}[{place}].minRequests",
                f"{step.min_requests} take {needed / 60:.0f} minutes at {rate:g}/s, longer than "
                f"spec.rollout.stepTimeout ({wish.rollout.step_timeout}): {then}",
            )


def _steps(wish: Spec) -> str:
    return "spec.rollout.steps" if wish.rollout.steps else "spec.rollout.steps (default)"


def _shadows(wish: Spec) -> bool:
    return any(step.shadow for step in wish.rollout.steps or ())


_CHECKS: tuple[Callable[[Spec], Iterator[Advice]], ...] = (
    _in_the_clear,
    _replicas,
    _coarse,
    _looks,
    _threshold,
    _maximum,
    _unjudged,
)
_AT_A_RATE: tuple[Callable[[Spec, float], Iterator[Advice]], ...] = (_convicts, _ends)
