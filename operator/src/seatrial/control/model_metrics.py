"""The operator's metrics of each model: how good its answers are by labels, how old it is, and where retraining stands.

An object has them only while it is asked for; `Series` takes its series away again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import prometheus_client
from prometheus_client import Gauge

from seatrial.analysis import quality_after
from seatrial.api import spec
from seatrial.api.status import Reason, Status
from seatrial.api.trained import RetrainingState
from seatrial.control import queue
from seatrial.rollout import quality
from seatrial.rollout.retraining import asking

NAMED = ("deployment_namespace", "deployment")
Values = Mapping[tuple[str, str], float]
"""By metric and kind; "" where it has none."""


class Series:
    """Gauges of which each object has some, at most so many objects."""

    def __init__(self, gauges: Mapping[str, Gauge], most: int) -> None:
        self._gauges, self._most = gauges, most
        self._of: dict[queue.Key, set[tuple[str, str]]] = {}

    def set(self, key: queue.Key, values: Values) -> None:
        """Exactly these."""
        if key not in self._of and len(self._of) >= self._most:
            return
        for gone in self._of.pop(key, set()) - values.keys():
            self._gauges[gone[0]].remove(*_labels(key, gone[1]))
        if values:
            self._of[key] = set(values)
        for (name, kind), value in values.items():
            self._gauges[name].labels(*_labels(key, kind)).set(value)


def _labels(key: queue.Key, kind: str) -> tuple[str, ...]:
    return (key.namespace, key.name, kind) if kind else (key.namespace, key.name)


def quality_series(registry: prometheus_client.CollectorRegistry, most: int) -> Series:
    """What is known of the answers of versions that serve."""
    texts = {
        "wrong": (
            "wrong_ratio",
            "Share of wrong answers: measured by labels of a day, expected from confidence, limit.",
        ),
        "low": ("wrong_low_ratio", "What that share is above."),
        "high": ("wrong_high_ratio", "What that share is below."),
    }
    gauges = {
        name: Gauge(f"seatrial_quality_{metric}", text, [*NAMED, "kind"], registry=registry)
        for name, (metric, text) in texts.items()
    }
    plain = {
        "labelled": ("labelled_ratio", "Share of the rows of the last whole day that have a label."),
        "evidence": ("evidence_nats", "Logarithm of the evidence that answers have become worse."),
        "missing": ("labels_missing", "1 while too few labels come back to judge answers."),
    }
    gauges |= {
        name: Gauge(f"seatrial_quality_{metric}", text, NAMED, registry=registry)
        for name, (metric, text) in plain.items()
    }
    return Series(gauges, most)


def of_quality(said: quality.Said, days: Sequence[quality_after.Day]) -> Values:
    """The values; `days`: those that are whole, the newest last."""
    values = {("missing", ""): float(said.reason in quality.NO_LABELS)}
    if days and days[-1].rows:
        values["labelled", ""] = days[-1].labelled / days[-1].rows
    if said.standing is not None:
        values["evidence", ""], values["wrong", "limit"] = said.standing.log_evidence, said.standing.limit
    measured = quality_after.of_day(days)
    for kind, found in (("measured", measured), ("estimated", said.estimated)):
        if found is not None:
            values["wrong", kind], values["low", kind], values["high", kind] = found.value, found.low, found.high
    return values


def training_series(registry: prometheus_client.CollectorRegistry, most: int) -> Series:
    """How old models are, and where retraining stands."""
    texts = {
        "promoted": ("model_promoted_timestamp_seconds", "When the bytes that serve were first promoted."),
        "oldest": ("model_max_age_seconds", "How old the version that serves may become, with trigger Age."),
        "stopped": ("retraining_stopped", "1 while no training run is started any more, until somebody acts."),
        "waits": ("retraining_waits_for_approval", "1 while a trained version waits to be adopted."),
    }
    return Series(
        {name: Gauge(f"seatrial_{metric}", text, NAMED, registry=registry) for name, (metric, text) in texts.items()},
        most,
    )


def of_training(status: Status, wish: spec.Retraining | None) -> Values:
    """The values after a pass."""
    values: dict[tuple[str, str], float] = {}
    if status.stable is not None:
        values["promoted", ""] = asking.promoted(status, status.stable).timestamp()
    if wish is None:
        return values
    if wish.max_age is not None:
        values["oldest", ""] = wish.max_age.total_seconds()
    now = status.retraining
    values["stopped", ""] = float(now is not None and now.state is RetrainingState.STOPPED)
    values["waits", ""] = float(now is not None and now.reason == Reason.WAITING_FOR_APPROVAL)
    return values
