"""Looks and reports as status shows them: figures as text, as many as there is room for."""

from __future__ import annotations

import math

from seatrial.analysis import judgement, own_metrics
from seatrial.api import status
from seatrial.api.values import Duration

from . import bounds, looks, report

METRICS_SHOWN = 16


def analysis_status(seen: looks.Look) -> status.AnalysisStatus:
    """What the user reads of a look."""
    return status.AnalysisStatus(
        outcome=seen.outcome,
        at=seen.at,
        window=str(Duration.of(seen.window)),
        source=seen.source,
        message=bounds.cut(seen.message),
        metrics=(*(_metric(metric) for metric in seen.metrics), *(_own(one) for one in seen.own))[:METRICS_SHOWN],
    )


def _own(one: own_metrics.Result) -> status.MetricStatus:
    return status.MetricStatus(name=one.name, candidate=_figure(one.value), outcome=one.outcome)


def _metric(metric: judgement.MetricEvidence) -> status.MetricStatus:
    return status.MetricStatus(
        name=metric.name,
        stable=f"{metric.stable.events}/{metric.stable.requests}",
        candidate=f"{metric.candidate.events}/{metric.candidate.requests}",
        ratio=_figure(metric.ratio),
        low=_figure(metric.low),
        high=_figure(metric.high),
        evidence=_figure(math.exp(min(metric.log_evidence, 700.0))),
        bound=f"{metric.bound:.0f}",
        outcome=metric.outcome,
    )


def trial_status(revision: str, seen: report.Report) -> status.TrialStatus:
    """What the user reads of a trial's report."""
    quantized = seen.quantization
    return status.TrialStatus(
        revision=revision,
        outcome=seen.outcome,
        message=bounds.cut(seen.message),
        quantization=None
        if quantized is None
        else status.QuantizationStatus(
            mode=bounds.cut(quantized.mode, bounds.SHORT),
            outcome=bounds.cut(quantized.outcome, bounds.SHORT),
            reason=bounds.cut(quantized.reason),
            disagreement=_percent(quantized.disagreement),
            bound=_percent(quantized.bound),
            rows=quantized.rows,
            speedup1=_figure(quantized.speedup1),
            speedup32=_figure(quantized.speedup32),
        ),
        tests=tuple(
            status.TestStatus(
                name=bounds.cut(test.name, bounds.SHORT),
                outcome=bounds.cut(test.outcome, bounds.SHORT),
                observed=_figure(test.observed),
                bound=_figure(test.bound),
                rows=test.rows,
            )
            for test in seen.tests[:50]
        ),
        report_sha256=seen.digest,
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value * 100:.3g}%"
