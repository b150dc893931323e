"""The sentences a user reads, from a judgement's numbers. The same numbers are in status, events and metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from seatrial.analysis.judgement import DISAGREEMENT, Counts, Judgement, MetricEvidence, Outcome, Reason
from seatrial.analysis.slots import Slot

OWN_WORDS = {
    Reason.STABLE_ALSO_BREACHING: "the candidate is above the allowed maximum, but so is stable: holding",
    Reason.REGRESSION_SUSPECTED: "the candidate looks worse, which is not proven yet: holding",
    Reason.INSUFFICIENT_TRAFFIC: "too little traffic to judge from",
    Reason.NO_REGRESSION: "no regression found",
}


def sentence(judgement: Judgement) -> str:
    """The whole judgement in one line."""
    if judgement.message:
        return judgement.message
    if judgement.outcome is Outcome.FAIL:
        guilty = [metric for metric in _verdicts(judgement) if metric.outcome is Outcome.FAIL]
        return " | ".join(metric_sentence(metric, seconds=judgement.seconds) for metric in guilty)
    verdicts = _verdicts(judgement)
    told = [metric for metric in verdicts if metric.outcome is judgement.outcome] or verdicts
    strongest = max(told, key=lambda metric: metric.log_evidence - math.log(metric.bound), default=None)
    words = OWN_WORDS[judgement.reason]
    return f"{words}; {metric_sentence(strongest, seconds=judgement.seconds)}" if strongest else words


def shift(judgement: Judgement) -> str:
    """That more answers differ from stable's than is allowed; nothing while that isn't proven."""
    found = (metric for metric in judgement.metrics if metric.name == DISAGREEMENT and metric.outcome is Outcome.FAIL)
    return next((metric_sentence(metric, seconds=judgement.seconds) for metric in found), "")


def covered(slots: Iterable[Slot]) -> str:
    """How often stable answered in the candidate's place; nothing where it never did."""
    count = sum(slot.candidate.covered for slot in slots)
    return f"stable answered {count} requests in the candidate's place" if count else ""


def _verdicts(judgement: Judgement) -> list[MetricEvidence]:
    """What may roll back."""
    return [metric for metric in judgement.metrics if metric.name != DISAGREEMENT]


def metric_sentence(metric: MetricEvidence, *, seconds: float) -> str:
    """One test: `errors: candidate 21/968 (2.2%) against stable 47/9120 (0.52%); ratio 4.2, at least 2.3 with ...`."""
    parts = [_who(metric), _ratio(metric)]
    reached = ">=" if metric.log_evidence >= math.log(metric.bound) else "<"
    parts.append(f"evidence {_evidence(metric.log_evidence)} {reached} bound {metric.bound:.4g}")
    parts += [f"window {window(seconds)}", f"phi {metric.dispersion:.2g}"]
    return "; ".join(parts)


def window(seconds: float) -> str:
    """135 -> `2m15s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    texts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{rest}s" if rest else ""]
    return "".join(texts) or "0s"


def _name(metric: MetricEvidence) -> str:
    return f"{metric.name} (slower than {metric.edge} s)" if metric.edge else metric.name


def _who(metric: MetricEvidence) -> str:
    """Who has how many: `errors: candidate 21/968 (2.2%; 12 unreachable, 4 late) against stable 47/9120 (0.52%)`."""
    if metric.name == DISAGREEMENT:
        return f"{metric.name}: {_counts(metric.candidate)} rows differ from stable's, {_percent(metric.margin)} may"
    return f"{_name(metric)}: candidate {_counts(metric.candidate, metric.causes)} against {_other(metric)}"


def _other(metric: MetricEvidence) -> str:
    if metric.name.endswith(("Maximum", "Record")):
        return f"at most {_percent(metric.margin)} (stable {_counts(metric.stable)})"
    return f"stable {_counts(metric.stable)}"


def _counts(counts: Counts, causes: Mapping[str, int] = {}) -> str:
    which = "".join(
        f"{'; ' if place == 0 else ', '}{count} {cause}" for place, (cause, count) in enumerate(causes.items())
    )
    return f"{counts.events}/{counts.requests} ({_percent(counts.share)}{which})"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.0995 else f"{100 * share:.3g}%"


def _ratio(metric: MetricEvidence) -> str:
    """With the limit on the side of the doubt: how much worse at least."""
    if metric.ratio is None:
        ratio = "no ratio (none on stable)"
    else:
        ratio = f"ratio {metric.ratio:.2g}" if metric.ratio < 99.5 else f"ratio {metric.ratio:.0f}"
    if metric.more:
        most = "no upper limit yet" if metric.high is None else f"at most {metric.high:.2g} with 99% confidence"
        return f"{ratio}, {most}"
    if metric.low is not None:
        return f"{ratio}, at least {metric.low:.2g} with 99% confidence"
    return f"{ratio}, no lower limit yet"


def _evidence(log_evidence: float) -> str:
    return f"{math.exp(log_evidence):.3g}" if log_evidence < math.log(1e6) else f"10^{log_evidence / math.log(10):.0f}"
