"""The status after a decision: its facts, and what people and tools read of them; bounded, still when nothing moves."""

from __future__ import annotations

from datetime import datetime

import msgspec

from seatrial.api import spec, status
from seatrial.api import stage as stages
from seatrial.api.status import Reason, Status
from seatrial.api.values import milliseconds

from . import bounds, conditions, facts, images, looks, names, providing, rendering, traffic
from .decision import NOW, Case, Decision, Situation
from .retraining import course as courses
from .retraining import telling
from .traffic import relay


def after(case: Case, decision: Decision, course: courses.Course) -> Status:
    """The facts of the decision, and everything that follows from them."""
    snapshot, before = case.snapshot, case.status
    stable, candidate = decision.stable, decision.candidate
    if stable is not None:
        ready = snapshot.ready(stable.revision)
        missing = None if ready else stable.missing_since or case.now
        stable = msgspec.structs.replace(
            stable, ready_replicas=ready, missing_since=missing, weighed=_on_its_way(case, stable, decision.previous)
        )
    if candidate is not None:
        shift = candidate.shift or bounds.cut(_shift(case, candidate), bounds.SHORT)
        ready = snapshot.ready(candidate.revision)
        candidate = msgspec.structs.replace(
            candidate, ready_replicas=ready, shift=shift, weighed=_weighed(case, candidate)
        )
    verdicts = before.verdicts
    if decision.verdict is not None:
        verdicts = (decision.verdict, *verdicts)[: status.VERDICTS_KEPT]
    facts_after = msgspec.structs.replace(
        before,
        observed_generation=snapshot.owner.generation,
        phase=decision.phase,
        stable=stable,
        previous=decision.previous,
        candidate=candidate,
        trial=decision.trial,
        verdicts=verdicts,
        set_back=decision.set_back,
        trained=course.known,
        retraining=course.retraining,
        commands=_commands(case, decision),
        analysis=_analysis(case),
        last_rollback=_last_rollback(case, decision),
        endpoint=_endpoint(snapshot, stable, candidate),
        replicas=snapshot.alive(_scaled(stable, candidate)),
        selector=_selector(snapshot, _scaled(stable, candidate)),
    )
    return bounds.fitting(
        msgspec.structs.replace(
            facts_after, traffic=_traffic(case, facts_after), conditions=_conditions(case, facts_after, decision)
        )
    )


def _shift(case: Case, candidate: status.Candidate) -> str:
    """What the look says of its answers where that is only to be said; kept, so that it is told once. Where it is to be
    acted on, whoever does that notes it.
    """
    look, bound = case.look, case.snapshot.spec.analysis.disagreement
    reported = bound is not None and bound.on_shift is spec.OnShift.REPORT
    same = case.candidate is not None and case.candidate.revision == candidate.revision
    if look is not None and reported and same and not look.soak and look.shift:
        return look.shift
    moved = case.snapshot.moved
    told = case.snapshot.spec.analysis.answers.on_shift is spec.OnShift.REPORT and moved is not None and same
    return moved.shifted if told and moved is not None else ""


def _weighed(case: Case, candidate: status.Candidate) -> tuple[datetime, ...]:
    """When its weight has changed so far: another process has to know which labels are of one weight."""
    before, since = case.candidate, candidate.weight_since
    known = before.weighed if before is not None and before.revision == candidate.revision else ()
    if since is None or since in known or case.snapshot.spec.monitoring.feedback is None:
        return known
    return (since, *known)[: status.WEIGHTS_KEPT]


def _on_its_way(case: Case, stable: status.Stable, previous: status.Previous | None) -> tuple[datetime, ...]:
    """The same of stable, as long as its soak goes on."""
    if previous is None:
        return ()
    known: tuple[status.Candidate | status.Stable | None, ...] = (case.candidate, case.status.stable)
    return next((one.weighed for one in known if one is not None and one.revision == stable.revision), ())


def unreadable(before: Status, *, generation: int, message: str, now: datetime) -> Status:
    """The status of a spec that can't be read, and of which none that could is known: Stalled, all facts kept."""
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


def _stalled(before: Status, rows: list[conditions.Row], *, generation: int, now: datetime) -> Status:
    """Other conditions stay as they are."""
    replaced = {kind for kind, *_ in rows}
    others = (one for one in before.conditions if one.type not in replaced)
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase=status.Phase.STALLED,
        conditions=(*conditions.merge(before.conditions, rows, generation=generation, now=now), *others),
    )


def _commands(case: Case, decision: Decision) -> status.Commands:
    """Tokens that can't mean anything later are handled now. Promote waits for a step to use it on; the others, as
    long as the next pass comes at once, for what it finds.
    """
    snapshot, handled, candidate = case.snapshot, decision.commands, decision.candidate
    asked = snapshot.commands
    settled = decision.look_again != NOW
    done = {
        "promote": candidate is None,
        "abort": True,
        "retry": True,
        "pause": settled and candidate is None,
        "rollback_to": settled,
        "refresh_image": settled and (case.wanted in _begun(decision) or not images.refreshing(snapshot)),
        "retrain": snapshot.spec.retraining is None,
        "adopt": True,
        "unfollow": True,
        "resume": settled and (candidate is None or candidate.hold is None or not candidate.hold.by_command),
    }
    tokens = {field: getattr(asked, field) for field, now in done.items() if now and getattr(asked, field)}
    return msgspec.structs.replace(handled, **tokens)


def _begun(decision: Decision) -> set[str]:
    return {one.revision for one in (decision.stable, decision.candidate) if one is not None}


def _analysis(case: Case) -> status.AnalysisStatus | None:
    """The newest look; an old one stays readable until the next rollout."""
    if case.look is None:
        return case.status.analysis
    now = rendering.analysis_status(case.look)
    before = case.status.analysis
    if before is not None and msgspec.structs.replace(before, at=now.at) == now:
        return before
    return now


def _last_rollback(case: Case, decision: Decision) -> status.Rollback | None:
    """Traffic is off once nothing leads to the rolled back revision any more."""
    rollback = decision.rollback or case.status.last_rollback
    if rollback is None or rollback.zero_weight_at is not None or decision.rollback is not None:
        return rollback
    if not traffic.off(case.snapshot, rollback.source, case.now):
        return rollback
    return msgspec.structs.replace(rollback, zero_weight_at=milliseconds(case.now))


def _traffic(case: Case, now: Status) -> status.Traffic:
    candidate, look = now.candidate, case.look
    relayed, withdrawn_at = relay.passing_on(case.snapshot, now, case.now)
    wish = providing.asked_for(case.snapshot)
    asked = status.Traffic(
        provider=case.snapshot.provider,
        asked=wish if wish is not case.snapshot.provider else "",
        desired_weight=candidate.weight if candidate is not None else 0,
        relayed=relayed,
        withdrawn_at=withdrawn_at,
    )
    if candidate is None or not candidate.step or look is None or look.blind:
        return asked
    return msgspec.structs.replace(
        asked,
        measured_share=_measured_share(look, provider=case.snapshot.provider),
        requests=status.Share(stable=look.stable_requests, candidate=look.candidate_requests),
    )


def _measured_share(look: looks.Look, *, provider: spec.Provider) -> str | None:
    """As counted by those who pass on, where they do: a candidate counts copies as well. Else by those who answered."""
    answered, share = look.stable_requests + look.candidate_requests, look.share
    if share is None and answered and provider is not spec.Provider.RELAY:
        share = look.candidate_requests / answered
    return f"{100 * share:.1f}%" if share is not None else None


def _conditions(case: Case, now: Status, decision: Decision) -> tuple[status.Condition, ...]:
    snapshot, stable = case.snapshot, now.stable
    rows = conditions.always(
        decision.situation,
        reason=decision.reason,
        message=decision.message,
        ready_pods=snapshot.ready(stable.revision) if stable else 0,
        pods=snapshot.spec.replicas if stable else 0,
    )
    rows += [*_verified(now), _analyzed(case)]
    if (routed := traffic.routed(snapshot, now)) is not None:
        words = "; ".join(one for one in (routed[1], providing.words(snapshot)) if one)
        rows.append((conditions.ROUTED, conditions.truth(routed[0]), snapshot.provider, words))
    rows += telling.row(now.retraining if snapshot.spec.retraining is not None else None)
    known = snapshot.status.conditions
    others = (one for one in known if one.type in conditions.BESIDE)
    return (*conditions.merge(known, rows, generation=snapshot.owner.generation, now=case.now), *others)


def _verified(now: Status) -> list[conditions.Row]:
    """About the version that is on its way; the one before it says nothing of a trial under way."""
    if now.candidate is not None and isinstance(stages.of(now.candidate), stages.Trial):
        words = f"version {now.candidate.model_version} is on trial"
        return [(conditions.VERIFIED, status.ConditionStatus.UNKNOWN, Reason.TRIAL_RUNNING, words)]
    if now.trial is None:
        return []
    passed = now.trial.outcome == "Passed"
    why = Reason.TRIAL_PASSED if passed else Reason.MODEL_REJECTED
    return [(conditions.VERIFIED, conditions.truth(passed), why, now.trial.message)]


def _analyzed(case: Case) -> conditions.Row:
    """Of a rollout: whether its metrics can be judged, and what of them can't."""
    look, moved = case.look, case.snapshot.moved
    if look is None:
        words = "no version is being judged, metrics are not asked for"
        return conditions.ANALYZED, status.ConditionStatus.UNKNOWN, Reason.NOTHING_ROLLING, words
    if look.blind:
        return conditions.ANALYZED, status.ConditionStatus.FALSE, Reason.METRICS_UNAVAILABLE, look.message
    if moved is not None and moved.unequal:
        words = f"answers are not compared, {moved.unequal}; {look.message}"
        return conditions.ANALYZED, status.ConditionStatus.TRUE, Reason.UNEQUAL_TRAFFIC, words
    return conditions.ANALYZED, status.ConditionStatus.TRUE, Reason.METRICS_AVAILABLE, look.message


def _endpoint(snapshot: facts.Snapshot, stable: status.Stable | None, candidate: status.Candidate | None) -> str:
    """Of the model that serves, which may have another name than the one that is wanted."""
    owner, serves = snapshot.owner, _scaled(stable, candidate)
    record = snapshot.known.get(serves, snapshot.wanted)
    host = f"{owner.name}.{owner.namespace}.svc:{names.REST_PORT}"
    scheme = "http" if record.content.tls is None else "https"
    return f"{scheme}://{host}/v2/models/{record.content.model_name}"


def _scaled(stable: status.Stable | None, candidate: status.Candidate | None) -> str:
    """Whose pods an autoscaler counts: `spec.replicas` is about stable, and about who takes its place from then on."""
    if candidate is not None and (stable is None or candidate.weight == 100):
        return candidate.revision
    return stable.revision if stable is not None else ""


def _selector(snapshot: facts.Snapshot, revision: str) -> str:
    if not revision:
        return ""
    labels = {names.DEPLOYMENT: snapshot.owner.name, names.REVISION: revision, names.COMPONENT: names.SERVER}
    return ",".join(f"{key}={value}" for key, value in labels.items())
