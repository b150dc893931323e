"""The sentence a user reads."""

import math

import pytest

from seatrial.analysis import explain, judgement
from seatrial.analysis.judgement import Counts, Judgement, MetricEvidence, Outcome, Reason


def metric(**changes):
    fields = {
        "name": "errors",
        "stable": Counts(requests=9120, events=47),
        "candidate": Counts(requests=968, events=21),
        "ratio": 4.21,
        "low": 2.3,
        "high": 7.9,
        "log_evidence": math.log(212),
        "bound": 125.0,
        "margin": 1.1,
        "dispersion": 1.4,
        "outcome": Outcome.FAIL,
    }
    return MetricEvidence(**{**fields, **changes})


def test_a_regression_reads_as_specified():
    assert explain.metric_sentence(metric(), seconds=135) == (
        "errors: candidate 21/968 (2.2%) against stable 47/9120 (0.52%); ratio 4.2, at least 2.3 with 99% confidence; "
        "evidence 212 >= bound 125; window 2m15s; phi 1.4"
    )


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        pytest.param(
            {"ratio": None, "low": None}, "no ratio (none on stable), no lower limit yet", id="no stable events"
        ),
        pytest.param({"log_evidence": 0.0}, "evidence 1 < bound 125", id="below the bound"),
        pytest.param({"log_evidence": 100.0}, "evidence 10^43 >= bound", id="overwhelming"),
        pytest.param({"name": "latency", "edge": "0.1"}, "latency (slower than 0.1 s): candidate", id="latency"),
        pytest.param({"name": "errorsMaximum", "margin": 0.05}, "against at most 5% (stable 47/9120", id="maximum"),
    ],
)
def test_parts_of_the_sentence(changes, part):
    assert part in explain.metric_sentence(metric(**changes), seconds=60)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (15, "15s"), (60, "1m"), (135, "2m15s"), (3600, "1h")])
def test_windows_are_written_as_durations(seconds, text):
    assert explain.window(seconds) == text


def test_only_what_failed_is_told_of_a_failure():
    healthy = metric(name="latency", outcome=Outcome.PASS)
    failed = Judgement(outcome=Outcome.FAIL, reason=Reason.ERRORS_REGRESSED, metrics=(healthy, metric()), seconds=60)
    assert explain.sentence(failed).startswith("errors:")


def test_a_pass_tells_the_strongest_evidence_there_is():
    weak, strong = metric(log_evidence=-3.0), metric(name="rejections", log_evidence=1.0)
    passed = Judgement(outcome=Outcome.PASS, reason=Reason.NO_REGRESSION, metrics=(weak, strong), seconds=60)
    assert explain.sentence(passed).startswith("no regression found; rejections:")


def test_a_suspicion_tells_what_is_suspected():
    strong, doubtful = (
        metric(outcome=Outcome.PASS),
        metric(name="latency", outcome=Outcome.INCONCLUSIVE, log_evidence=0),
    )
    held = Judgement(
        outcome=Outcome.INCONCLUSIVE, reason=Reason.REGRESSION_SUSPECTED, metrics=(strong, doubtful), seconds=60
    )
    assert "holding; latency:" in explain.sentence(held)


def test_missing_data_is_told_as_it_came():
    assert explain.sentence(judgement.no_data("candidate: no ready pod")) == "candidate: no ready pod"
