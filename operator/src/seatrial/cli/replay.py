"""`seatrial replay`: what the statistics would decide, slot by slot, from counts in a file.

Reads and prints; all computing is in `seatrial.analysis`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from seatrial.analysis import judgement, outcomes, own_metrics, quality, verdict
from seatrial.analysis import recording as recordings
from seatrial.api import spec
from seatrial.cli import recorded
from seatrial.rollout import returns

NAME = "seatrial replay"
NOTHING_RETURNED = returns.Returned()


@click.command()
@click.argument("file")
def command(file: str) -> None:
    """Judge recorded counts slot by slot, as the operator would.

    FILE (or - for standard input) is JSON: {"policy": {...}, "slots": [{"seconds": 15, "stable": {...}, "candidate":
    {...}}, ...]}. An arm is {"requests": 900, "errors": 3, "rejected": 0, "degraded": 0, "shed": 0,
    "slower": {"0.1": 12}, "pods": [...]}: increments within the slot; "shed" answers (optional) are not among the
    requests; "slower" counts requests above a histogram edge in seconds; "pods"
    (optional) has the same fields pod by pod. With provider Relay a slot has "by_request": true, and the candidate's
    counts are those of stable's pods: "unreachable" and "late" are among its errors, "slower" is out of "timed", which
    its own pods have counted; "copies", "compared", "same" and "different" are about a shadow. "policy" is the analysis
    part of the spec; "dispersion" and "spread" may be given there, else they are measured from earlier slots, and from
    "history" (optional, slots before the canary). "own" (optional, written by the operator) is what metrics of your own
    had come to; it is judged with the last slot. "cohorts" (optional) is what came back for answers, by the time of the
    request: [{"stable": {"rows": 900, "right": 700, "wrong": 60, "events": {"converted": 31}}, "candidate": {...}}];
    quality and outcomes of "policy" are judged from it with the last slot, with "rolloutRate" as falseRollbackRate.

    Prints one JSON line per slot: slot (from 0), outcome, reason, metrics. log_evidence is the natural logarithm of the
    evidence; the outcome is Fail from the first slot on whose log_evidence reaches log(bound), where bound = 1 / (alpha
    * share of the metric). ratio, low and high (99 % limits) are null where the data set none.
    """
    with recorded.refused(file, by=NAME):
        recording = recordings.read(recorded.content(file))
        allowed = recording.allowed
    course = verdict.judge_each(
        recording.slots, allowed, history=recording.history, min_requests=recording.min_requests
    )
    for line in _lines(course, own=recording.own, returned=_returned(recording)):
        click.echo(line)


def _returned(recording: recordings.Recording) -> returns.Returned:
    """What the file says of it; counters of the user's services aren't kept."""
    policy_, seen = recording.policy, recording.cohorts
    alpha = float(recording.rollout_rate or policy_.false_rollback_rate)
    wishes = [one for one in policy_.outcomes if one.source is spec.OutcomeSource.FEEDBACK]
    metrics = [quality.judge(seen, tolerance=policy_.quality.tolerance, alpha=alpha)] if policy_.quality else []
    metrics += [outcomes.of_events(one, seen, alpha=alpha, count=len(policy_.outcomes)) for one in wishes]
    uneven = quality.uneven(seen, alpha=alpha) if policy_.quality else ""
    return returns.Returned(cohorts=seen, metrics=tuple(metrics) if seen else (), uneven=uneven)


def _lines(
    course: Iterator[judgement.Judgement], *, own: tuple[own_metrics.Result, ...], returned: returns.Returned
) -> Iterator[str]:
    before: judgement.Judgement | None = None
    for now in course:
        if before is not None:
            yield _line(before)
        before = now
    if before is not None or own or returned.metrics:
        yield _line(before or judgement.no_data(""), own=own, returned=returned)


def _line(
    now: judgement.Judgement,
    *,
    own: tuple[own_metrics.Result, ...] = (),
    returned: returns.Returned = NOTHING_RETURNED,
) -> str:
    """One slot; the last one with what came back for answers and the metrics of the user's own, which fail what nothing
    else has failed.
    """
    if (guilty := returns.guilty(returned)) and now.outcome is not judgement.Outcome.FAIL:
        now = msgspec.structs.replace(now, outcome=judgement.Outcome.FAIL, reason=returns.reason(guilty[0]))
    refuted = now.outcome is not judgement.Outcome.FAIL and any(one.outcome is judgement.Outcome.FAIL for one in own)
    line = {
        "slot": now.slot,
        "outcome": judgement.Outcome.FAIL if refuted else now.outcome,
        "reason": judgement.Reason.METRIC_OUT_OF_BOUNDS if refuted else now.reason,
        "metrics": [_metric(metric) for metric in (*now.metrics, *returned.metrics)],
    }
    if returned.uneven:
        line["uneven"] = returned.uneven
    return msgspec.json.encode({**line, "own": own} if own else line).decode()


def _metric(metric: judgement.MetricEvidence) -> dict[str, Any]:
    return {
        "name": metric.name,
        "log_evidence": metric.log_evidence,
        "bound": metric.bound,
        "ratio": metric.ratio,
        "low": metric.low,
        "high": metric.high,
        "margin": metric.margin,
        "dispersion": metric.dispersion,
    }
