"""Evidence under Relay: who counts what, that nothing counts twice, and that what is missing proves nothing."""

from __future__ import annotations

import dataclasses
import json

import msgspec
import pytest
from click.testing import CliRunner
from tests.unit.analysis.relayed import PODS, START, Candidate, Stable, judge, read

from seatrial.analysis import counters, dispersion, explain, fold, share, slots, table
from seatrial.analysis.counters import Relay
from seatrial.analysis.judgement import Outcome, Reason
from seatrial.cli import replay

OLDER = ("relaying", "relayed", "copies", "rows")
S1, S2, C1 = Stable("s1"), Stable("s2"), Candidate()


def given(**rates: float) -> tuple[Stable, Stable]:
    """Both pods of stable give requests with these ends, per second; `error_covered` is one that stable answered."""
    ends = {name.replace("_", "/"): rate for name, rate in rates.items()}
    return dataclasses.replace(S1, given=ends), dataclasses.replace(S2, given=ends)


def candidate(reading: counters.Reading) -> slots.ArmCounts:
    return reading.slots[-1].candidate


def test_a_request_counts_once_though_two_pods_have_counted_it():
    reading = read(S1, S2, C1)
    assert [(slot.stable.requests, slot.candidate.requests) for slot in reading.slots] == [(900, 100)] * 12


def test_what_stable_answers_in_the_candidates_place_is_the_candidates_failure_and_no_success_of_stables():
    reading = read(*given(ok=5, error_covered=5), C1)
    assert (candidate(reading).errors, candidate(reading).covered) == (50, 50)
    assert {(slot.stable.requests, slot.stable.errors) for slot in reading.slots} == {(900, 0)}
    assert judge(reading).outcome is Outcome.FAIL


@pytest.mark.parametrize("outcome", ["unreachable", "late", "error"])
@pytest.mark.parametrize("covered", ["", "_covered"])
def test_requests_without_a_good_answer_in_time_are_errors_of_the_candidate(outcome: str, covered: str):
    reading = read(*given(ok=8, **{outcome + covered: 2}), C1)
    assert (candidate(reading).requests, candidate(reading).errors) == (100, 20)
    judged = judge(reading)
    assert (judged.outcome, judged.reason) == (Outcome.FAIL, Reason.ERRORS_REGRESSED)


@pytest.mark.parametrize("outcome", ["error", "rejected"])
def test_where_a_header_decides_rows_that_stable_fails_at_too_say_nothing_of_the_version(outcome: str):
    """One user, whose rows no version can answer, has all of his requests at the candidate."""
    sticky = Relay(by_request=False, paired=True)
    both = read(*given(ok=5, **{outcome: 5}), C1, relay=sticky)
    assert (candidate(both).requests, candidate(both).errors, candidate(both).rejected) == (100, 0, 0)
    assert judge(both).outcome is not Outcome.FAIL
    alone = judge(read(*given(ok=5, **{f"{outcome}_covered": 5}), C1, relay=sticky))
    assert alone.outcome is Outcome.FAIL
    assert judge(read(*given(ok=5, late=5), C1, relay=sticky)).outcome is Outcome.FAIL


def test_a_candidate_that_nobody_reaches_is_evidence_though_its_own_pods_tell_nothing():
    reading = read(*given(unreachable_covered=10))
    judged = judge(reading)
    assert (judged.outcome, judged.reason) == (Outcome.FAIL, Reason.ERRORS_REGRESSED)
    assert judged.metric("errors").candidate.share == 1


def test_the_sentence_says_how_many_were_never_answered():
    judged = judge(read(*given(ok=6, error_covered=2, unreachable_covered=1, late_covered=1), C1))
    assert "(40%; 10 unreachable, 10 late) against stable 0/" in explain.sentence(judged)


def test_shed_requests_are_shed_and_rejected_ones_rejected():
    reading = read(*given(ok=7, shed=2, rejected=1), C1)
    found = candidate(reading)
    assert (found.requests, found.shed, found.rejected, found.errors) == (80, 20, 10, 0)


def test_latency_comes_from_the_candidates_own_pods_among_those_that_it_answered():
    reading = read(*given(ok=5, unreachable_covered=5), Candidate(own={"ok": 10}, slow=0.4))
    found = candidate(reading)
    assert (found.requests, found.timed, found.slower["0.1"]) == (100, 50, 20)
    late = judge(reading).metric("latency")
    assert (late.candidate.events, late.candidate.requests) == (20, 50)


def test_a_slow_candidate_is_found_by_its_own_buckets():
    assert judge(read(S1, S2, Candidate(slow=0.5))).reason is Reason.LATENCY_REGRESSED


def test_nothing_of_a_candidates_first_seconds_is_dropped():
    """Its pods are Ready; stable's counters begin with the assignment."""
    fresh = [
        msgspec.structs.replace(one, samples=[(at, max(0.0, 10.0 * (at - START))) for at, _ in one.samples])
        if (one.counter, one.label) == (counters.Counter.RELAYED, "unreachable/covered")
        else one
        for one in dataclasses.replace(S1, given={}).series()
    ]
    reading = counters.read(fresh, PODS[:1], start=START, end=START + 10, interval=5, scrape_interval=5, relay=Relay())
    assert [slot.candidate.errors for slot in reading.slots] == [50, 50]


@pytest.mark.parametrize(
    "lost",
    [OLDER, ("relayed",), ("late",), ("error/covered",)],
    ids=["an older server", "a counter", "an outcome", "half of one"],
)
def test_a_stable_pod_without_these_counters_is_said_and_nothing_passes(lost: tuple[str, ...]):
    reading = read(dataclasses.replace(S1, lost=lost), S2, C1)
    judged = judge(reading)
    assert (judged.outcome, judged.reason) == (Outcome.NO_DATA, Reason.METRICS_UNAVAILABLE)
    assert "errors can't be judged: stable pod s1 has no seatrial_relayed_requests_total{" in judged.message
    assert "its server is older than relays, or something drops the series" in judged.message


def test_a_stable_pod_that_was_not_told_yet_gave_nothing():
    """A new one, which gets its assignment with the next pass."""
    reading = read(dataclasses.replace(S1, lost=("relayed", "copies", "rows")), S2, C1)
    assert (candidate(reading).requests, reading.unseen) == (50, {})
    assert judge(reading).outcome is Outcome.PASS


def test_missing_counters_convict_nobody():
    """The one pod that tells has bad luck; what the other gave is not known."""
    reading = read(dataclasses.replace(S1, lost=OLDER), given(unreachable=10)[1], C1)
    assert judge(reading).outcome is Outcome.NO_DATA


def test_a_candidate_that_cant_be_read_passes_nothing():
    reading = read(S1, S2)
    assert reading.blind == ""
    judged = judge(reading)
    assert judged.outcome is Outcome.NO_DATA
    assert "latency can't be judged: candidate: 0 of 1 ready pods have samples" in judged.message


def test_buckets_that_were_away_for_most_of_the_window_pass_nothing():
    early = read(S1, S2, Candidate(until=20), known=PODS[:2])
    assert judge(msgspec.structs.replace(early, unseen={}, blind="")).outcome is Outcome.NO_DATA
    assert judge(read(S1, S2, C1)).outcome is Outcome.PASS


def test_stable_that_cant_be_read_is_blindness():
    assert read(dataclasses.replace(S1, until=20), dataclasses.replace(S2, until=20), C1).blind


def test_counts_of_another_provider_are_read_as_before():
    reading = read(S1, S2, C1, relay=None)
    assert candidate(reading) == msgspec.structs.replace(candidate(reading), timed=None, covered=0, copies=0)
    assert not reading.slots[-1].by_request


def test_copies_are_evidence_before_anybody_is_served():
    shadow = [dataclasses.replace(one, given={}, copies={"ok": 8, "error": 2}) for one in (S1, S2)]
    reading = read(*shadow, C1, relay=Relay(copies=True))
    found = candidate(reading)
    assert (found.requests, found.errors, found.copies) == (100, 20, 100)
    assert judge(reading).reason is Reason.ERRORS_REGRESSED


def test_copies_that_reach_nobody_are_evidence():
    shadow = [dataclasses.replace(one, given={}, copies={"unreachable": 10}) for one in (S1, S2)]
    assert judge(read(*shadow, relay=Relay(copies=True))).reason is Reason.ERRORS_REGRESSED


def test_copies_that_are_refused_are_evidence():
    shadow = [dataclasses.replace(one, given={}, copies={"ok": 7, "rejected": 3}) for one in (S1, S2)]
    assert judge(read(*shadow, C1, relay=Relay(copies=True))).reason is Reason.REJECTIONS_REGRESSED


def test_a_server_that_does_not_count_copies_is_said():
    shadow = [dataclasses.replace(one, given={}, lost=("copies",)) for one in (S1, S2)]
    judged = judge(read(*shadow, C1, relay=Relay(copies=True)))
    assert "has no seatrial_shadow_requests_total{" in judged.message


def test_the_measured_share_is_that_of_stables_pods():
    assert share.measured(read(*given(ok=5, late_covered=3, shed_covered=2), C1).slots) == pytest.approx(0.1)


def test_copies_are_no_share_of_the_requests():
    shadow = [dataclasses.replace(one, given={}, copies={"ok": 10}) for one in (S1, S2)]
    assert share.measured(read(*shadow, C1, relay=Relay(copies=True)).slots) == 0


def test_a_share_counts_from_the_first_request_that_the_candidate_was_given():
    """Seconds pass until every pod, endpoint or gateway has followed."""
    before = slots.Slot(seconds=7, stable=slots.ArmCounts(requests=350), candidate=slots.ArmCounts(requests=0))
    after = slots.Slot(seconds=60, stable=slots.ArmCounts(requests=2400), candidate=slots.ArmCounts(requests=600))
    assert share.measured((before, after)) == 0.2
    assert share.measured((before,)) == 0


def test_nothing_asked_is_no_share():
    assert share.measured(()) is None


def test_calm_needs_no_proof_where_requests_are_assigned_one_by_one():
    begun = [dispersion.phi(table.build(read(S1, S2, C1, relay=one).slots))[0] for one in (Relay(), None)]
    assert begun[0][table.ERRORS] == pytest.approx(dispersion.PRIOR)
    assert begun[1][table.ERRORS] == pytest.approx(dispersion.PRIOR + dispersion.UNEARNED)


def test_a_header_that_decides_clumps_requests_by_user_and_calm_is_to_be_proven():
    sticky = read(S1, S2, C1, relay=Relay(by_request=False))
    assert dispersion.phi(table.build(sticky.slots))[0, table.ERRORS] > 4


def test_long_windows_keep_the_counts_of_relays():
    hour = [msgspec.structs.replace(one, seconds=15.0) for one in read(S1, S2, C1).slots[-1:] * 240]
    folded = fold.older(hour)
    assert len(folded) < len(hour)
    assert all(one.by_request for one in folded)
    for field in ("requests", "errors", "covered", "copies", "timed"):
        assert sum(getattr(one.candidate, field) for one in folded) == sum(
            getattr(one.candidate, field) for one in hour
        )


def test_a_recorded_relay_rollout_replays_to_the_same_verdict(tmp_path):
    reading = read(*given(ok=6, error=1, unreachable_covered=2, late_covered=1), Candidate(own={"ok": 32}, slow=0.9))
    decided = judge(reading)
    file = tmp_path / "relay.json"
    file.write_bytes(msgspec.json.encode({"slots": reading.slots}))
    result = CliRunner().invoke(replay.command, [str(file)])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.output.splitlines()]
    assert [line["outcome"] for line in lines].index("Fail") == decided.breach_slot
    said = next(one for one in lines[decided.slot]["metrics"] if one["name"] == "errors")
    assert said["log_evidence"] == pytest.approx(decided.metric("errors").log_evidence)
