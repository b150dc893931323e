"""From a decision to a plan: the status to write, the children to apply and delete, the events to post."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from seatrial.api import status
from seatrial.api.status import Reason, Status, VerdictKind
from seatrial.api.values import milliseconds

from . import bounds, children, conditions, facts, looking, names, narrative, traffic
from .decision import NOW, Case, Decision, Situation

SETTLE = timedelta(milliseconds=250)  # until a scrape at the very end of a slot can be read


class Plan(facts.Fact, frozen=True, kw_only=True):
    """What a pass does, in this order: keep the evidence of a verdict, write status, apply, delete, tell."""

    evidence: dict[str, Any] | None = None
    status: Status
    apply: tuple[dict[str, Any], ...] = ()
    delete: tuple[children.Deletion, ...] = ()
    events: tuple[narrative.Event, ...] = ()
    look_again: timedelta | None = None
    in_flight: bool = False


def finish(case: Case, decision: Decision) -> Plan:
    """The plan of a decision. A child refused in the last pass shows in the conditions; the facts go on."""
    snapshot = case.snapshot
    if snapshot.refused is not None:
        decision = msgspec.structs.replace(
            decision,
            situation=Situation.FAILED,
            phase=status.Phase.STALLED,
            reason=snapshot.refused.reason,
            message=snapshot.refused.message,
        )
    after = _status(case, decision)
    return Plan(
        evidence=_evidence(case, decision),
        status=after,
        apply=children.wanted(snapshot, after, case.now),
        delete=children.unwanted(snapshot, after),
        events=narrative.events(case.status, after, decision),
        look_again=_look_again(case, after, decision),
        in_flight=after.candidate is not None or after.previous is not None or _draining(after),
    )


def _evidence(case: Case, decision: Decision) -> dict[str, Any] | None:
    """Of a candidate that evidence against stable has rolled back."""
    look, candidate = case.look, case.candidate
    if candidate is None or look is None or look.alone or decision.rollback is None:
        return None
    if look.outcome is not looking.Outcome.FAIL:
        return None
    return children.evidence(case.snapshot, candidate.revision, look)


def invalid(before: Status, *, generation: int, message: str, now: datetime) -> Status:
    """The status of a spec that can't be read: Stalled, all facts kept, stable untouched."""
    ready = before.stable.ready_replicas if before.stable else 0
    rows = conditions.always(
        Situation.FAILED, reason=Reason.INVALID_SPEC, message=message, ready_pods=ready, pods=ready
    )
    return _stalled(before, rows, generation=generation, now=now)


def refused(snapshot: facts.Snapshot, before: Status, refusal: facts.Refusal, *, now: datetime) -> Status:
    """The status just written, after one of its children was refused: the facts stay, the conditions say why."""
    stable = before.stable
    rows = conditions.always(
        Situation.FAILED,
        reason=refusal.reason,
        message=refusal.message,
        ready_pods=snapshot.ready(stable.revision) if stable else 0,
        pods=snapshot.spec.replicas if stable else 0,
    )
    return _stalled(before, rows, generation=snapshot.owner.generation, now=now)


def _stalled(before: Status, rows: list[conditions.Fact], *, generation: int, now: datetime) -> Status:
    """Other conditions stay as they are."""
    replaced = {kind for kind, *_ in rows}
    others = (one for one in before.conditions if one.type not in replaced)
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase=status.Phase.STALLED,
        conditions=(*conditions.merge(before.conditions, rows, generation=generation, now=now), *others),
    )


def _status(case: Case, decision: Decision) -> status.Status:
    snapshot, before = case.snapshot, case.status
    stable, candidate = decision.stable, decision.candidate
    if stable is not None:
        ready = snapshot.ready(stable.revision)
        missing = None if ready else stable.missing_since or case.now
        stable = msgspec.structs.replace(stable, ready_replicas=ready, missing_since=missing)
    if candidate is not None:
        candidate = msgspec.structs.replace(candidate, ready_replicas=snapshot.ready(candidate.revision))
    verdicts = tuple(one for one in before.verdicts if not _forgiven(one, decision.forgiven))
    if decision.verdict is not None:
        verdicts = (decision.verdict, *verdicts)[: status.VERDICTS_KEPT]
    after = msgspec.structs.replace(
        before,
        observed_generation=snapshot.owner.generation,
        phase=decision.phase,
        stable=stable,
        previous=decision.previous,
        candidate=candidate,
        trial=decision.trial,
        verdicts=verdicts,
        commands=_commands(case, decision),
        analysis=_analysis(case),
        last_rollback=_last_rollback(case, decision),
        endpoint=_endpoint(snapshot),
        replicas=sum(pod.revision == _scaled(stable, candidate) and not pod.leaving for pod in snapshot.pods),
        selector=_selector(snapshot, _scaled(stable, candidate)),
    )
    message = decision.message
    return bounds.fitting(
        msgspec.structs.replace(
            after,
            traffic=_traffic(case, after),
            conditions=_conditions(snapshot, after, decision.situation, decision.reason, message, case.look, case.now),
        )
    )


def _forgiven(verdict: status.Verdict, revision: str) -> bool:
    return verdict.revision == revision and verdict.verdict is VerdictKind.REJECTED


def _commands(case: Case, decision: Decision) -> status.Commands:
    """Tokens that can't mean anything later are handled now. Promote waits for a step to use it on, abort for the pods
    of the version that it brings back.
    """
    asked, handled = case.snapshot.commands, decision.commands
    idle = decision.candidate is None
    return status.Commands(
        promote=asked.promote if idle and asked.promote else handled.promote,
        abort=handled.abort if decision.previous is not None else asked.abort or handled.abort,
        retry=asked.retry or handled.retry,
    )


def _analysis(case: Case) -> status.AnalysisStatus | None:
    """The newest look; an old one stays readable until the next rollout."""
    if case.look is None:
        return case.status.analysis
    now = looking.analysis_status(case.look)
    before = case.status.analysis
    if before is not None and msgspec.structs.replace(before, at=now.at) == now:
        return before
    return now


def _last_rollback(case: Case, decision: Decision) -> status.Rollback | None:
    """Traffic is off once the endpoints no longer hold the rolled back revision's pods as ready."""
    rollback = decision.rollback or case.status.last_rollback
    if rollback is None or rollback.zero_weight_at is not None or decision.rollback is not None:
        return rollback
    endpoints = case.snapshot.endpoints
    if endpoints is None or endpoints.ready.get(rollback.source, 0) or names.REVISION not in endpoints.selector:
        return rollback
    return msgspec.structs.replace(rollback, zero_weight_at=milliseconds(case.now))


def _traffic(case: Case, after: status.Status) -> status.Traffic:
    candidate, look = after.candidate, case.look
    weight = candidate.weight if candidate is not None else 0
    if candidate is None or not candidate.step or look is None or look.blind:
        return status.Traffic(desired_weight=weight)
    answered = look.stable_requests + look.candidate_requests
    share = f"{100 * look.candidate_requests / answered:.1f}%" if answered else None
    return status.Traffic(
        desired_weight=weight,
        measured_share=share,
        requests=status.Share(stable=look.stable_requests, candidate=look.candidate_requests),
    )


def _conditions(
    snapshot: facts.Snapshot,
    after: status.Status,
    situation: Situation,
    reason: Reason,
    message: str,
    look: looking.Look | None,
    now: datetime,
) -> tuple[status.Condition, ...]:
    stable = after.stable
    ready = snapshot.ready(stable.revision) if stable else 0
    rows = conditions.always(
        situation, reason=reason, message=message, ready_pods=ready, pods=snapshot.spec.replicas if stable else 0
    )
    if after.trial is not None:
        passed = after.trial.outcome == "Passed"
        why = Reason.TRIAL_PASSED if passed else Reason.MODEL_REJECTED
        rows.append((conditions.VERIFIED, conditions.truth(passed), why, after.trial.message))
    rows.append(_analyzed(look))
    if snapshot.endpoints is not None:
        asked = traffic.selector(snapshot.owner.name, stable=stable, candidate=after.candidate)
        routed = dict(snapshot.endpoints.selector) == dict(asked)
        words = "the selector is as asked" if routed else "the selector is being changed"
        rows.append((conditions.ROUTED, conditions.truth(routed), "Service", words))
    return conditions.merge(snapshot.status.conditions, rows, generation=snapshot.owner.generation, now=now)


def _analyzed(look: looking.Look | None) -> conditions.Fact:
    """Prometheus is asked only while something is judged, so that its outage costs an idle object nothing."""
    if look is None:
        words = "no version is being judged, metrics are not asked for"
        return conditions.ANALYZED, status.ConditionStatus.UNKNOWN, Reason.NOTHING_ROLLING, words
    if look.blind:
        return conditions.ANALYZED, status.ConditionStatus.FALSE, Reason.METRICS_UNAVAILABLE, look.message
    return conditions.ANALYZED, status.ConditionStatus.TRUE, Reason.METRICS_AVAILABLE, look.message


def _endpoint(snapshot: facts.Snapshot) -> str:
    owner = snapshot.owner
    host = f"{owner.name}.{owner.namespace}.svc:{names.REST_PORT}"
    return f"http://{host}/v2/models/{snapshot.wanted.content.model_name}"


def _scaled(stable: status.Stable | None, candidate: status.Candidate | None) -> str:
    """Whose pods an autoscaler counts: `spec.replicas` is about stable, and about who takes its place from then on."""
    if candidate is not None and (stable is None or candidate.weight == 100):
        return candidate.revision
    return stable.revision if stable is not None else ""


def _selector(snapshot: facts.Snapshot, revision: str) -> str:
    if not revision:
        return ""
    labels = {
        names.DEPLOYMENT: snapshot.owner.name,
        names.REVISION: revision,
        names.COMPONENT: names.SERVER,
    }
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _draining(after: status.Status) -> bool:
    return after.last_rollback is not None and after.last_rollback.zero_weight_at is None


def _look_again(case: Case, after: status.Status, decision: Decision) -> timedelta | None:
    """The earliest of the rule's wish, the next look of a soak and its end, and the drain of a rollback."""
    interval = case.snapshot.spec.analysis.interval
    wishes = [decision.look_again]
    if after.previous is not None:
        wishes += [interval, max(after.previous.warm_until - case.now, NOW)]
    if _draining(after):
        wishes.append(interval)
    if (since := _judged_since(after)) is not None:
        wishes.append(interval - (case.now - since) % interval + SETTLE)
    return min((wish for wish in wishes if wish is not None), default=None)


def _judged_since(after: status.Status) -> datetime | None:
    """Where the time slots of the present window begin: a look is worth most right after one has ended."""
    if after.candidate is not None:
        return after.candidate.weight_since
    return after.stable.since if after.previous is not None and after.stable is not None else None
