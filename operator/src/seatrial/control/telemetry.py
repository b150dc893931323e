"""The operator's own metrics, on a registry of its own. Reasons and condition types appear as they do in the status.

An object is named by `deployment_namespace` and `deployment`: a scrape gives every series a `namespace` of its own.

Per-object series are bounded: beyond the limit an object has none, and `seatrial_modeldeployment_unmetered` counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram

from seatrial.api.status import Condition, ConditionStatus, Reason, Status
from seatrial.api.trained import RunOutcome, Trigger
from seatrial.control import gauges, model_metrics, queue
from seatrial.drift.judgement import Judgement, Outcome
from seatrial.drift.tests import Question

OBJECTS_METERED = 1000
ROLLBACK_REASONS = tuple(
    reason
    for reason in Reason
    if reason.endswith(("Regressed", "AboveMaximum"))
    or reason
    in (
        Reason.REGRESSED_AFTER_PROMOTION,
        Reason.CRASH_LOOP,
        Reason.START_TIMEOUT,
        Reason.ABORTED,
        Reason.ROLLED_BACK,
    )
)
_RECONCILE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ROLLBACK_BUCKETS = (0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120)


class Looks:
    """How the looks at drift go, or at quality, which have workers of their own."""

    def __init__(self, registry: prometheus_client.CollectorRegistry, what: str) -> None:
        self._duration = Histogram(
            f"seatrial_{what}_look_duration_seconds",
            f"Time one look at a ModelDeployment's {what} took.",
            buckets=_RECONCILE_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            f"seatrial_{what}_look_errors_total",
            f"Looks at {what} that failed and are tried again.",
            ["error"],
            registry=registry,
        )

    def reconciled(self, *, seconds: float) -> None:
        self._duration.observe(seconds)

    def reconcile_failed(self, error: str) -> None:
        """`error` is an exception's class name."""
        self._errors.labels(error).inc()


class Telemetry:
    """Every metric of the operator; methods say what happened."""

    def __init__(self) -> None:
        own = self.registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=own)
        self._duration = Histogram(
            "seatrial_reconcile_duration_seconds",
            "Time one look at a ModelDeployment took.",
            buckets=_RECONCILE_BUCKETS,
            registry=own,
        )
        self._errors = Counter(
            "seatrial_reconcile_errors_total", "Looks that failed and are tried again.", ["error"], registry=own
        )
        self._depth = Gauge("seatrial_queue_depth", "ModelDeployments waiting for a look, now or later.", registry=own)
        self._leader = Gauge("seatrial_leader", "1 if this replica leads.", registry=own)
        self._event_failures = Counter(
            "seatrial_event_failures_total", "Kubernetes Events that could not be posted.", registry=own
        )
        self._rollbacks = Counter(
            "seatrial_rollbacks_total",
            "Candidates that lost their traffic by verdict; every reason is there from the start.",
            ["reason"],
            registry=own,
        )
        for reason in ROLLBACK_REASONS:
            self._rollbacks.labels(reason.value)  # from the start, so that increase() sees the first one
        self._promotions = Counter("seatrial_promotions_total", "Candidates that became stable.", registry=own)
        self._runs = Counter(
            "seatrial_retraining_runs_total",
            "Training runs, by what started them and what has become of them so far.",
            ["trigger", "outcome"],
            registry=own,
        )
        for trigger in Trigger:
            for outcome in RunOutcome:
                if outcome is not RunOutcome.RUNNING:
                    self._runs.labels(trigger.value, outcome.value)
        self._other = Gauge(
            "seatrial_serves_other_than_git",
            "1 while a trained version is wanted in place of spec.model.",
            ["deployment_namespace", "deployment"],
            registry=own,
        )
        self._others: set[queue.Key] = set()
        self._rollback_duration = Histogram(
            "seatrial_rollback_duration_seconds",
            "From the first sample past the bound until the candidate had no traffic.",
            buckets=_ROLLBACK_BUCKETS,
            registry=own,
        )
        self._conditions = Gauge(
            "seatrial_modeldeployment_condition",
            "1 for the status that a condition of a ModelDeployment has, 0 for the others.",
            ["deployment_namespace", "deployment", "type", "status"],
            registry=own,
        )
        self._unmetered = Gauge(
            "seatrial_modeldeployment_unmetered",
            "ModelDeployments without series of their own: too many.",
            registry=own,
        )
        named = ["deployment_namespace", "deployment"]
        self._drift_alarms = Gauge(
            "seatrial_drift_alarms",
            "Columns of which a test alarms: Shape, or of bad data Missing and Outside.",
            [*named, "test"],
            registry=own,
        )
        self._findings = {
            "evidence": Gauge(
                "seatrial_drift_evidence_nats",
                "Logarithm of the evidence of a test that alarms or is suspected.",
                [*named, "column", "test"],
                registry=own,
            ),
            "distance": Gauge(
                "seatrial_drift_distance_ratio",
                "Share of the rows that lie where the test found them, above the reference's.",
                [*named, "column", "test"],
                registry=own,
            ),
            "rows": Gauge(
                "seatrial_drift_window_rows", "Rows that were looked at.", [*named, "column", "test"], registry=own
            ),
        }
        self._found: dict[queue.Key, set[tuple[str, str]]] = {}
        self.drift_looks, self.quality_looks = Looks(own, "drift"), Looks(own, "quality")
        self._qualities = model_metrics.quality_series(own, OBJECTS_METERED)
        self._trainings = model_metrics.training_series(own, OBJECTS_METERED)
        self._rollouts = gauges.Gauges(own)
        self._metered: dict[queue.Key, frozenset[str]] = {}
        self._beyond: set[queue.Key] = set()

    def text(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return prometheus_client.generate_latest(self.registry)

    def watch(self, *, depth: Callable[[], int], leading: Callable[[], bool]) -> None:
        """Where gauges that nobody sets are read at each scrape."""
        self._depth.set_function(depth)
        self._leader.set_function(lambda: float(leading()))

    def reconciled(self, *, seconds: float) -> None:
        self._duration.observe(seconds)

    def reconcile_failed(self, error: str) -> None:
        """`error` is an exception's class name: few, and never text from outside."""
        self._errors.labels(error).inc()

    def event_failed(self) -> None:
        self._event_failures.inc()

    def promoted(self) -> None:
        self._promotions.inc()

    def run_became(self, trigger: str, outcome: str) -> None:
        """A training run has ended, or its version has."""
        self._runs.labels(trigger, outcome).inc()

    def follows(self, key: queue.Key, trained: bool) -> None:
        """Whether a trained version is wanted in place of the object's own; only those have a series."""
        if trained and (key in self._others or len(self._others) < OBJECTS_METERED):
            self._others.add(key)
            self._other.labels(key.namespace, key.name).set(1)
        elif not trained and key in self._others:
            self._others.discard(key)
            self._other.remove(key.namespace, key.name)

    def rolled_back(self, reason: str) -> None:
        self._rollbacks.labels(reason).inc()

    def rollback_completed(self, *, seconds: float) -> None:
        """Breach to zero weight."""
        self._rollback_duration.observe(seconds)

    def tell(self, key: queue.Key, status: Status) -> None:
        """What the object's status says now."""
        if key not in self._metered and len(self._metered) >= OBJECTS_METERED:
            self._beyond.add(key)
            self._unmetered.set(len(self._beyond))
            return
        self._tell_conditions(key, status.conditions)
        self._rollouts.show(key, status)

    def _tell_conditions(self, key: queue.Key, conditions: Iterable[Condition]) -> None:
        current = tuple(conditions)
        types = frozenset(condition.type for condition in current)
        self._remove(key, self._metered.get(key, frozenset()) - types)
        self._metered[key] = types
        for condition in current:
            for status in ConditionStatus:
                gauge = self._conditions.labels(key.namespace, key.name, condition.type, status.value)
                gauge.set(1 if condition.status == status else 0)

    def drift(self, key: queue.Key, *, judged: Judgement | None) -> None:
        """What is found of the object's traffic now."""
        if key not in self._found and len(self._found) >= OBJECTS_METERED:
            return
        findings = () if judged is None else judged.columns
        now = {(one.column, one.test.value) for one in findings}
        for place in self._found.get(key, set()) - now:
            self._remove_finding(key, place)
        self._found[key] = now
        for test in Question:
            alarms = sum(one.test is test and one.outcome is Outcome.DRIFTED for one in findings)
            self._drift_alarms.labels(key.namespace, key.name, test.value).set(alarms)
        for one in findings:
            labels = (key.namespace, key.name, one.column, one.test.value)
            self._findings["evidence"].labels(*labels).set(one.log_evidence)
            self._findings["distance"].labels(*labels).set(one.share - one.reference)
            self._findings["rows"].labels(*labels).set(one.rows)

    def forget_drift(self, key: queue.Key) -> None:
        """It isn't watched any more."""
        if key not in self._found:
            return
        for place in self._found.pop(key):
            self._remove_finding(key, place)
        for test in Question:
            self._drift_alarms.remove(key.namespace, key.name, test.value)

    def quality(self, key: queue.Key, values: model_metrics.Values) -> None:
        """What is known of the object's answers now; nothing: they aren't watched."""
        self._qualities.set(key, values)

    def training(self, key: queue.Key, values: model_metrics.Values) -> None:
        """How old its model is, and where retraining stands; nothing: it is gone."""
        self._trainings.set(key, values)

    def _remove_finding(self, key: queue.Key, place: tuple[str, str]) -> None:
        for gauge in self._findings.values():
            gauge.remove(key.namespace, key.name, *place)

    def forget(self, key: queue.Key) -> None:
        """The object is gone."""
        self.follows(key, trained=False)
        self.training(key, {})
        self._rollouts.forget(key)
        self._remove(key, self._metered.pop(key, frozenset()))
        self._beyond.discard(key)
        self._unmetered.set(len(self._beyond))

    def _remove(self, key: queue.Key, types: frozenset[str]) -> None:
        for type_ in types:
            for status in ConditionStatus:
                self._conditions.remove(key.namespace, key.name, type_, status.value)
