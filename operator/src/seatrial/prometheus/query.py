"""PromQL: raw counters of one or two revisions over a stretch of time, and who exports them.

An instant query of a range selector returns the samples as scraped; query_range would align them to a grid, and rate()
would extrapolate. One query for everything, so that both arms and all counters come from one moment of Prometheus.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from seatrial.analysis import cohorts
from seatrial.analysis import samples as samples_

OWN = (samples_.REQUESTS_METRIC, samples_.LATENCY_METRIC)
ABOUT_CANDIDATE = (
    *(samples_.RELAYED_METRIC, samples_.COPIES_METRIC, samples_.ROWS_METRIC),
    samples_.RELAYING_METRIC,
)
LABELS = frozenset(
    {"__name__", "deployment", "deployment_namespace", "revision", "outcome", "transport", "le"}
    | {"candidate", "covered", "result"}
)
"""Said by whoever exports a series; all other labels say where and by whom it was scraped."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose counters: a ModelDeployment's revisions, and the pods that the API server shows of them.

    `candidate`: whom stable's pods pass requests on to, where they do; what they count of it is asked for as well.
    """

    namespace: str
    name: str
    revisions: tuple[str, ...]
    pods: tuple[str, ...] = ()
    candidate: str = ""


def samples(subject: Subject, *, window: timedelta) -> str:
    """PromQL for the samples of the subject's pods within a window that ends at the query's time.

    Series that name another namespace or pod than ours stay with Prometheus: whoever exports our labels can't make the
    answer large. Series that name neither are had: their address tells whose they are.
    """
    metrics = "|".join((*OWN, *(ABOUT_CANDIDATE if subject.candidate else ())))
    matchers = [
        f"__name__=~{quoted(metrics)}",
        *_labels(subject),
        *([f"candidate=~{quoted(literal(subject.candidate) + '|')}"] if subject.candidate else []),
        f"namespace=~{quoted(literal(subject.namespace) + '|')}",
        f'pod=~{_any_of(subject.pods)[:-1]}|"',
    ]
    return f"{{{','.join(matchers)}}}[{max(1, math.ceil(window / timedelta(milliseconds=1)))}ms]"


def rows(
    subject: Subject,
    *,
    seconds: int,
    features: Iterable[str] = (),
    outputs: Iterable[str] = (),
    attributions: bool = False,
) -> str:
    """PromQL for the totals of the drift counters at the end of an hour, of pods that have ended within it as well.

    Args:
        features, outputs, attributions: only these, of one kind at a time; without any all columns of all kinds.
    """
    kinds, some = "feature|prediction|refused|attribution", []
    if attributions:
        kinds = "attribution"
    elif named := tuple(features):
        kinds, some = "feature|refused", [f"feature=~{_any_of(named)}"]
    elif named := tuple(outputs):
        kinds, some = "prediction", [f"output=~{_any_of(named)}"]
    matchers = [
        f'__name__=~"seatrial_({kinds})_rows_total"',
        *_labels(subject),
        *some,
        f"namespace=~{quoted(literal(subject.namespace) + '|')}",
    ]
    return f"last_over_time({{{','.join(matchers)}}}[{seconds}s])"


RETURNED = {
    "seatrial_cohort_rows_total": cohorts.Kind.ROWS,
    "seatrial_feedback_rows_total": cohorts.Kind.WRONG,  # or RIGHT, as its outcome says
    "seatrial_feedback_events_total": cohorts.Kind.EVENT,
    "seatrial_feedback_value_total": cohorts.Kind.VALUE,
    "seatrial_feedback_value_squared_total": cohorts.Kind.SQUARED,
}


def returned(subject: Subject, *, window: timedelta, numbers: Iterable[int]) -> str:
    """PromQL for what came back for answers of the subject's revisions: of these cohorts, as `samples`."""
    matchers = [
        f"__name__=~{quoted('|'.join(RETURNED))}",
        *_labels(subject),
        f"answered_by=~{quoted('|'.join([*map(literal, subject.revisions), '']))}",
        f"cohort=~{quoted('|'.join(map(str, numbers)))}",
        f"namespace=~{quoted(literal(subject.namespace) + '|')}",
        f'pod=~{_any_of(subject.pods)[:-1]}|"',
    ]
    return f"{{{','.join(matchers)}}}[{max(1, math.ceil(window / timedelta(milliseconds=1)))}ms]"


def cohorts_at_most(subject: Subject, *, seconds: int) -> str:
    """PromQL for the highest totals, within so many seconds, of what came back for answers of the subject's revision,
    whoever counted it. Rows have no label `outcome`; the function takes the names away.
    """
    matchers = [
        '__name__=~"seatrial_(cohort|feedback)_rows_total"',
        *_deployment(subject),
        f"answered_by=~{quoted('|'.join([*map(literal, subject.revisions), '']))}",
        f"namespace=~{quoted(literal(subject.namespace) + '|')}",
    ]
    return f"max_over_time({{{','.join(matchers)}}}[{seconds}s])"


def labels_by_class(subject: Subject, *, seconds: int) -> str:
    """PromQL for what the labels were, and for entries that were refused, as it was lately."""
    matchers = [
        '__name__=~"seatrial_feedback_(confusion|refused)_total"',
        *_deployment(subject),
        f"answered_by=~{quoted('|'.join([*map(literal, subject.revisions), '']))}",
        f"namespace=~{quoted(literal(subject.namespace) + '|')}",
    ]
    return f"last_over_time({{{','.join(matchers)}}}[{seconds}s])"


def of_service(selector: str, label: str, revisions: Iterable[str], *, window: timedelta) -> str:
    """PromQL for the samples of somebody's counter that has a revision as a label."""
    matcher = f"{label}=~{_any_of(revisions)}"
    bare = selector.strip()
    if bare.endswith("}"):
        inside = bare[bare.find("{") + 1 : -1].strip().rstrip(",")
        bare = f"{bare[: bare.find('{')]}{{{inside}{',' if inside else ''}{matcher}}}"
    else:
        bare = f"{bare}{{{matcher}}}"
    return f"{bare}[{max(1, math.ceil(window / timedelta(milliseconds=1)))}ms]"


def exporters(subject: Subject) -> str:
    """PromQL for whoever exports such counters now: up to three namespaces, pods and addresses."""
    return f"topk(3, group by (namespace, pod, instance) ({samples_.REQUESTS_METRIC}{{{','.join(_labels(subject))}}}))"


def counted(name: str, labels: Mapping[str, str], *, candidate: str = "") -> samples_.Key | None:
    """Which counter a series is, and its label: only what the server exports, so that nothing else is ever counted.

    Args:
        candidate: of whom stable's pods may say something; what they say of anybody else is nothing here.
    """
    outcome = labels.get("outcome", "")
    if name == samples_.REQUESTS_METRIC and outcome:
        return samples_.Counter.REQUESTS, outcome
    if name == samples_.LATENCY_METRIC and (edge := _edge(labels.get("le", ""))):
        return samples_.Counter.LATENCY, edge
    if candidate and name == samples_.RELAYING_METRIC:
        return samples_.Counter.RELAYING, ""
    if not candidate or labels.get("candidate") != candidate:
        return None
    if name == samples_.RELAYED_METRIC and outcome in samples_.GIVEN:
        covered = labels.get("covered") == "true"
        return samples_.Counter.RELAYED, f"{outcome}/{samples_.COVERED}" if covered else outcome
    if name == samples_.COPIES_METRIC and outcome in samples_.GIVEN:
        return samples_.Counter.COPIES, outcome
    if name == samples_.ROWS_METRIC and (result := labels.get("result", "")):
        return samples_.Counter.ROWS, result
    return None


def _edge(text: str) -> str:
    """One spelling of a bucket's edge; nothing where it is none."""
    try:
        edge = float(text)
    except ValueError:
        return ""
    return ("+Inf" if math.isinf(edge) else str(edge)) if edge > 0 else ""


def quoted(text: str) -> str:
    """A PromQL string; the escapes are Go's."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def literal(text: str) -> str:
    """A pattern (RE2) for exactly this text. re.escape would escape what RE2 refuses to see escaped."""
    return "".join(f"\\{char}" if char in r"\.+*?()|[]{}^$" else char for char in text)


def unix(moment: datetime) -> str:
    """A moment as Prometheus takes it: seconds with milliseconds."""
    return f"{moment.timestamp():.3f}"


def _labels(subject: Subject) -> list[str]:
    return [*_deployment(subject), f"revision=~{_any_of(subject.revisions)}"]


def _deployment(subject: Subject) -> list[str]:
    return [f"deployment_namespace={quoted(subject.namespace)}", f"deployment={quoted(subject.name)}"]


def _any_of(texts: Iterable[str]) -> str:
    return quoted("|".join(literal(text) for text in texts))
