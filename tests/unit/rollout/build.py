"""One moment of a rollout for tests of single rules: stable is version 1; a candidate, where asked for, version 2.

Times are seconds after START; everything that isn't named is as in a healthy rollout.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from tests.unit.rollout import world as worlds

from seatrial.api.spec import Duration, Rollout, Spec, Step
from seatrial.api.status import (
    VERDICTS_KEPT,
    WEIGHTS_KEPT,
    AnalysisStatus,
    Candidate,
    Commands,
    ConditionStatus,
    DriftedColumn,
    DriftOutcome,
    DriftStatus,
    Hold,
    MetricStatus,
    Previous,
    QualityOutcome,
    QualityStatus,
    QuantizationStatus,
    Reason,
    Rollback,
    SetBack,
    Stable,
    Status,
    TestStatus,
    TrialStatus,
    Verdict,
    VerdictKind,
)
from seatrial.api.trained import (
    CAUSES_KEPT,
    RUNS_KEPT,
    STARTS_KEPT,
    Retraining,
    RetrainingState,
    Run,
    RunOutcome,
    Trained,
    TrainedBase,
    TrainedModel,
    Trigger,
)
from seatrial.rollout import bounds, children, conditions, decision, facts, looks, names, revision

START = worlds.START
OPERATOR = worlds.OPERATOR
OWNER = facts.Owner(namespace="shop", name="churn", uid="u", generation=1)
STEPS = (Step(weight=10, min_duration=Duration.parse("20s"), min_requests=50), Step(weight=50))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


NO_COMMANDS = Commands()
NO_STATUS = Status()


def spec(version: str = "2", *, replicas: int = 2, **rollout: object) -> Spec:
    """Wants this version; keywords change spec.rollout."""
    return worlds.spec(version, replicas=replicas, rollout=Rollout(**{"steps": STEPS, **rollout}))


def record(version: str, *, number: int | None = None) -> revision.Record:
    content = revision.wanted(spec(version), name="churn", default_image=OPERATOR.serving_image, known=())
    made = children.new_record("churn", content=content, wish=spec(version), known={})
    return msgspec.structs.replace(made, number=int(version) if number is None else number)


def name_of(version: str) -> str:
    return record(version).revision


def stable(version: str = "1", **changes: object) -> Stable:
    own = {"revision": name_of(version), "model_version": version, "sha256": version, "since": START}
    return Stable(**{**own, **changes})


STABLE = stable()


def previous(version: str = "1", *, warm_until: datetime) -> Previous:
    kept = stable(version)
    return Previous(revision=kept.revision, model_version=version, sha256=version, since=START, warm_until=warm_until)


def candidate(version: str = "2", **changes: object) -> Candidate:
    return Candidate(**{"revision": name_of(version), "model_version": version, "sha256": version, **changes})


def on_trial(**changes: object) -> Candidate:
    return candidate(**{"trial_started_at": START, **changes})


def starting(**changes: object) -> Candidate:
    return on_trial(**{"started_at": START, **changes})


def in_step(step: int = 1, *, weight: int = 10, **changes: object) -> Candidate:
    return on_trial(**{"step": step, "weight": weight, "weight_since": START, **changes})


def promoting(**changes: object) -> Candidate:
    return on_trial(
        **{"step": 2, "weight": 50, "weight_since": START, "started_at": START, "promoting": True, **changes}
    )


def pods(version: str, *readiness: bool, **changes: object) -> tuple[facts.Pod, ...]:
    """One pod for each flag."""
    return tuple(
        facts.Pod(**{"name": f"v{version}-{number}", "revision": name_of(version), "ready": ready, **changes})
        for number, ready in enumerate(readiness)
    )


def look(outcome: str = "Pass", **changes: object) -> looks.Look:
    usual = {
        "outcome": looks.Outcome(outcome),
        "reason": "NoRegression",
        "message": "errors: as before",
        "at": START,
        "observed": timedelta(seconds=60),
        "stable_requests": 900,
        "candidate_requests": 100,
    }
    return looks.Look(**{**usual, **changes})


FAILING = look("Fail", reason=Reason.ERRORS_REGRESSED, message="errors: 20% against 0.5%")
BLIND = look("NoData", reason=Reason.METRICS_UNAVAILABLE, message="candidate: no samples")


def verdict(version: str, kind: VerdictKind, reason: Reason = Reason.ERRORS_REGRESSED) -> Verdict:
    return Verdict(
        revision=name_of(version), model_version=version, sha256=version, verdict=kind, reason=reason, at=START
    )


def snapshot(
    wish: Spec | None = None, *, status: Status = NO_STATUS, commands: Commands = NO_COMMANDS, **changes: object
) -> facts.Snapshot:
    """Stable 1 and candidate 2 have two ready pods each unless said otherwise."""
    wanted = wish or spec()
    known: Any = changes.get("records", {one.revision: one for one in map(record, "123")})
    content = revision.wanted(wanted, name="churn", default_image=OPERATOR.serving_image, known=known.values())
    usual = {
        "owner": OWNER,
        "spec": wanted,
        "status": status,
        "commands": commands,
        "wanted": children.new_record("churn", content=content, wish=wanted, known=known),
        "records": known,
        "pods": (*pods("1", True, True), *pods("2", True, True)),
        "operator": OPERATOR,
    }
    return facts.Snapshot(**{**usual, **changes})


def case(
    wish: Spec | None = None,
    *,
    now: float = 10,
    look: looks.Look | None = None,
    commands: Commands = NO_COMMANDS,
    handled: Commands = NO_COMMANDS,
    verdicts: tuple[Verdict, ...] = (),
    stable: Stable | None = STABLE,
    candidate: Candidate | None = None,
    previous: Previous | None = None,
    **changes: object,
) -> decision.Case:
    status = Status(stable=stable, candidate=candidate, previous=previous, commands=handled, verdicts=verdicts)
    return decision.Case(snapshot=snapshot(wish, status=status, commands=commands, **changes), now=at(now), look=look)


def endpoints(selected: str | None, **ready: int) -> facts.Endpoints:
    """Endpoints by version, written v1=2; `selected`: version that the selector names, None for all."""
    labels = {names.DEPLOYMENT: "churn", names.COMPONENT: names.SERVER}
    if selected is not None:
        labels[names.REVISION] = name_of(selected)
    counts = {name_of(version[1:]): count for version, count in ready.items()}
    return facts.Endpoints(selector=labels, ready=counts, serving=counts)


HOSTILE = "\u0000\x1b[31m𝔄\ud800" * 3000  # escapes, letters of four bytes, half a character


def _trained_model() -> TrainedModel:
    return TrainedModel(uri="u" * 1024, sha256="f" * 64, version="v" * 63, run=10**6, at=at(0), approved=True)


def _run() -> Run:
    short = bounds.cut(HOSTILE, bounds.SHORT)
    return Run(
        number=10**6,
        trigger=Trigger.COMMAND,
        cause=(short,) * CAUSES_KEPT,
        base="b" * 16,
        job="j" * 63,
        started_at=at(0),
        finished_at=at(0),
        promoted_at=at(0),
        outcome=RunOutcome.SUPERSEDED,
        reason=Reason.RETRAINING_STOPPED,
        version="v" * 63,
        sha256="f" * 64,
        data="f" * 64,
        code=short,
        message=short,
    )


def _drift_status() -> DriftStatus:
    words = bounds.cut(HOSTILE, bounds.SHORT)
    numbers = dict.fromkeys(("share", "reference", "tolerated", "window", "evidence", "bound"), "0.123456789%")
    column = DriftedColumn(
        name=words, kind="Prediction", test="Missing", outcome=DriftOutcome.DRIFTED, where=words, rows=10**12, **numbers
    )
    times = {"since": at(0), "at": at(0), "accepted_at": at(0)}
    return DriftStatus(revision="b" * 10, outcome=DriftOutcome.DRIFTED, columns=(column,) * 5, **times)


def _quality_status() -> QualityStatus:
    texts = dict.fromkeys(
        (
            *("window", "share", "low", "high", "limit", "against", "evidence", "bound"),
            *("estimated", "estimated_low", "estimated_high"),
        ),
        "0.123456789%",
    )
    times = dict.fromkeys(("since", "at", "until"), at(0))
    return QualityStatus(
        revision="b" * 10, outcome=QualityOutcome.DROPPED, labelled=10**12, wrong=10**12, **times, **texts
    )


def longest_status() -> Status:
    """Every field at its longest: more than a status may have."""
    long = bounds.cut(HOSTILE)
    big = {"model_version": "v" * 63, "sha256": "f" * 64, "revision": "b" * 10}
    arm = {**big, "served_sha256": "f" * 128, "precision": "p" * 128, "image": "i" * 512}
    verdict = Verdict(
        **big, verdict=VerdictKind.REJECTED, reason=Reason.REGRESSED_AFTER_PROMOTION, message=long, at=at(0)
    )
    test = TestStatus(name=long[:50], outcome="Pass", observed="0.123", bound="0.123", rows=10**12)
    metric = MetricStatus(**dict.fromkeys(MetricStatus.__struct_fields__, "0.123456/123456789"))
    kinds = (
        conditions.READY,
        conditions.AVAILABLE,
        conditions.RECONCILING,
        conditions.STALLED,
        conditions.VERIFIED,
        conditions.ANALYZED,
        conditions.ROUTED,
        conditions.RETRAINING,
        conditions.DRIFTED,
        conditions.QUALITY_DROPPED,
    )
    rows = [(kind, ConditionStatus.TRUE, Reason.REGRESSED_AFTER_PROMOTION, HOSTILE) for kind in kinds]
    return Status(
        observed_generation=1,
        conditions=conditions.merge((), rows, generation=1, now=at(0)),
        stable=Stable(**arm, since=at(0), weighed=(at(0),) * WEIGHTS_KEPT),
        previous=Previous(**arm, since=at(0), warm_until=at(0)),
        candidate=Candidate(
            **arm,
            shift=bounds.cut(HOSTILE, bounds.SHORT),
            weighed=(at(0),) * WEIGHTS_KEPT,
            hold=Hold(reason=Reason.ERRORS_REGRESSED, message=long, at=at(0)),
        ),
        analysis=AnalysisStatus(outcome="Fail", at=at(0), message=long, metrics=(metric,) * 10),
        trial=TrialStatus(
            revision="b" * 10,
            outcome="Passed",
            message=long,
            quantization=QuantizationStatus(mode="Auto", outcome="Applied", reason=long),
            tests=(test,) * 49 + (msgspec.structs.replace(test, outcome="Fail"),),
        ),
        drift=_drift_status(),
        quality=_quality_status(),
        verdicts=(verdict,) * VERDICTS_KEPT,
        last_rollback=Rollback(source="b" * 10, target="b" * 10, reason=Reason.ABORTED, message=long, breach_at=at(0)),
        set_back=SetBack(revision="b" * 10, instead_of="b" * 10, at=at(0)),
        trained=Trained(
            base=TrainedBase(uri="u" * 2048, sha256="f" * 64, version="v" * 63, name="n" * 63, secret="s" * 253),
            current=_trained_model(),
            next=_trained_model(),
            offered=_trained_model(),
        ),
        retraining=Retraining(
            state=RetrainingState.STOPPED,
            reason=Reason.RETRAINING_STOPPED,
            message=long,
            next_allowed_at=at(0),
            attempts=10,
            aborted=True,
            template_sha256="f" * 64,
            starts=(at(0),) * STARTS_KEPT,
            runs=(_run(),) * RUNS_KEPT,
        ),
        commands=Commands(**dict.fromkeys(Commands.__struct_fields__, bounds.cut("𝔄" * 256, bounds.TOKEN))),
        endpoint="e" * 300,
        selector="s" * 300,
    )
