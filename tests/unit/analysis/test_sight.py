"""What the surroundings may do to samples: judged rightly, or said what is missing, and never an exception."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.analysis import counters, policy, verdict
from seatrial.analysis.counters import Arm, Counter, Pod, Series
from seatrial.analysis.judgement import Outcome, Reason

START = 1_700_000_000.0
PODS = [Pod(arm=Arm.STABLE, name="s"), Pod(arm=Arm.CANDIDATE, name="c")]
EDGES = ("0.01", "0.1", "0.25", "+Inf")


@dataclasses.dataclass(frozen=True)
class Scrape:
    """How a pod is scraped: `every` so many seconds, first at `phase`; which series are lost on the way."""

    arm: Arm
    pod: str
    every: float = 5.0
    phase: float = 0.0
    target: str = ""
    lost: tuple[str, ...] = ()  # outcomes and edges
    bad: float = 0.0  # share of errors
    seconds: float = 300.0

    def series(self) -> list[Series]:
        count = int((self.seconds + 60 - self.phase) / self.every) + 1
        times = [self.phase - 60 + self.every * k for k in range(count)]
        rates = {"ok": 1 - self.bad, "error": self.bad, "rejected": 0.0, "degraded": 0.0, "shed": 0.0}
        outcomes = [
            self._one(Counter.REQUESTS, one, times, rate) for one, rate in rates.items() if one not in self.lost
        ]
        buckets = [
            self._one(Counter.LATENCY, edge, times, 0.9 if edge == "0.01" else 1.0)
            for edge in EDGES
            if edge not in self.lost
        ]
        return [*outcomes, *buckets]

    def _one(self, counter: Counter, label: str, times: list[float], rate: float) -> Series:
        samples = [(START + t, float(math.floor(20 * rate * (t + 100)))) for t in times]
        return Series(arm=self.arm, pod=self.pod, counter=counter, label=label, samples=samples, target=self.target)


STABLE, CANDIDATE = Scrape(Arm.STABLE, "s"), Scrape(Arm.CANDIDATE, "c", phase=2.0)
lose = dataclasses.replace


def read(*scrapes, more=(), pods=PODS, seconds=300.0, interval=15.0, hint=15.0, **options):
    given = [one for scrape in scrapes for one in scrape.series()]
    return counters.read(
        [*given, *more], pods, start=START, end=START + seconds, interval=interval, scrape_interval=hint, **options
    )


def judge(reading):
    return verdict.judge(reading.slots, policy.Policy(), blind=reading.blind, unseen=reading.unseen)


@pytest.mark.parametrize("arm", ["stable", "candidate"])
@pytest.mark.parametrize(
    ("lost", "metric", "named"),
    [
        pytest.param(("error",), "errors", 'seatrial_requests_total{outcome="error"}', id="errors"),
        pytest.param(("rejected",), "rejections", 'outcome="rejected"', id="rejected"),
        pytest.param(("degraded",), "degraded", 'outcome="degraded"', id="degraded"),
        pytest.param(("+Inf",), "latency", 'le="+Inf"', id="the last bucket"),
        pytest.param(EDGES, "latency", "always_scrape_classic_histograms", id="the histogram"),
        pytest.param(("0.1", "0.25"), "latency", "lacks the buckets 0.1, 0.25", id="buckets"),
    ],
)
def test_a_series_that_a_pod_lacks_makes_its_metric_unseen_and_not_zero(arm, lost, metric, named):
    scrapes = [lose(one, lost=lost if one.arm == arm else ()) for one in (STABLE, CANDIDATE)]
    reading = read(*scrapes)
    assert named in reading.unseen[metric]
    judged = judge(reading)
    assert (judged.outcome, judged.reason) == (Outcome.NO_DATA, Reason.METRICS_UNAVAILABLE)
    assert reading.unseen[metric] in judged.message
    assert judged.metric(metric).outcome is Outcome.NO_DATA


def test_a_version_whose_errors_are_not_seen_is_not_promoted_by_its_slots_alone():
    reading = read(STABLE, lose(CANDIDATE, lost=("error",), bad=0.2))
    assert verdict.judge(reading.slots, policy.Policy()).outcome is Outcome.NO_DATA


def test_what_can_be_told_is_judged_beside_what_cannot():
    judged = judge(read(lose(STABLE, lost=EDGES), lose(CANDIDATE, lost=EDGES, bad=0.2)))
    assert (judged.outcome, judged.reason) == (Outcome.FAIL, Reason.ERRORS_REGRESSED)


def test_requests_are_known_from_the_histogram_when_an_outcome_is_lost():
    whole, partial = read(STABLE, CANDIDATE), read(STABLE, lose(CANDIDATE, lost=("ok",)))
    assert [slot.candidate.requests for slot in partial.slots] == [slot.candidate.requests for slot in whole.slots]
    assert partial.unseen == {}


def test_whole_data_are_whole():
    reading = read(STABLE, CANDIDATE)
    assert (reading.blind, reading.unseen, reading.ignored) == ("", {}, ())
    assert judge(reading).outcome is Outcome.PASS


def test_a_verdict_that_was_reached_stands_when_sight_is_lost():
    reading = read(STABLE, lose(CANDIDATE, bad=0.5, seconds=100.0))
    assert "those of c are older" in reading.blind
    assert judge(reading).outcome is Outcome.FAIL


def test_a_metric_that_is_seen_again_is_judged_again():
    late = [one for one in CANDIDATE.series() if one.label == "error"]
    born = [Series(arm=o.arm, pod=o.pod, counter=o.counter, label=o.label, samples=o.samples[12:]) for o in late]
    gone, back = (
        read(STABLE, lose(CANDIDATE, lost=("error",)), more=[]),
        read(STABLE, lose(CANDIDATE, lost=("error",)), more=born),
    )
    assert "errors" in gone.unseen
    assert back.unseen == {}


@pytest.mark.parametrize("target", ["", "podmonitor/0"], ids=["told apart by instants", "told apart by name"])
def test_a_pod_that_two_jobs_scrape_is_counted_once(target):
    twice = [lose(one, phase=one.phase + 1.3, target=target) for one in (STABLE, CANDIDATE)]
    once, both = read(STABLE, CANDIDATE), read(STABLE, CANDIDATE, *twice)
    assert both.slots == once.slots
    assert both.blind == ""


def test_of_two_targets_the_one_that_sees_more_is_taken():
    partial = lose(CANDIDATE, phase=3.3, every=2.0, lost=("error", *EDGES))
    assert read(STABLE, CANDIDATE, partial).unseen == {}


def test_a_target_that_ended_is_continued_by_the_one_that_followed():
    before = lose(CANDIDATE, seconds=100.0, target="old")
    after = [
        with_samples(one, [row for row in one.samples if row[0] > START + 101])
        for one in lose(CANDIDATE, target="new").series()
    ]
    together = read(STABLE, before, more=after)
    assert [slot.candidate.requests for slot in together.slots] == [
        slot.candidate.requests for slot in read(STABLE, CANDIDATE).slots
    ]


def with_samples(one, samples):
    return Series(arm=one.arm, pod=one.pod, counter=one.counter, label=one.label, samples=samples, target=one.target)


@pytest.mark.long
@pytest.mark.parametrize("every", [1.0, 5.0, 15.0, 20.0, 30.0, 60.0, 120.0], ids=lambda every: f"{every:g} s")
@pytest.mark.parametrize("hint", [5.0, 15.0], ids=lambda hint: f"set to {hint:g} s")
def test_the_scrape_interval_is_measured_whatever_the_setting_says(every, hint):
    """No look is blind, and both arms answer in every slot once there is something to measure."""
    scrapes = [
        lose(STABLE, every=every, phase=every / 3, seconds=1200),
        lose(CANDIDATE, every=every, phase=every / 2, seconds=1200),
    ]
    given = [one for scrape in scrapes for one in scrape.series()]
    for end in range(300, 1200, 15):
        reading = counters.read(
            [with_samples(one, [row for row in one.samples if row[0] <= START + end]) for one in given],
            PODS, start=START, end=START + end, interval=15.0, scrape_interval=hint,
        )  # fmt: skip
        assert reading.blind == ""
    assert reading.scrape_interval == every
    assert all(slot.stable.requests and slot.candidate.requests for slot in reading.slots[-5:])
    assert {slot.seconds for slot in reading.slots[-5:]} == {15.0 * max(1, math.ceil(every / 15))}


def test_blindness_names_the_measured_scrape_interval():
    blind = read(lose(STABLE, every=60.0), lose(CANDIDATE, every=60.0, seconds=60.0), seconds=300.0).blind
    assert "younger than 180 s (3 scrape intervals, as measured)" in blind


def test_after_promotion_warm_pods_need_not_be_seen():
    reading = read(lose(STABLE, seconds=30.0), CANDIDATE, arms=[Arm.CANDIDATE])
    assert reading.blind == ""
    assert reading.slots[-1].candidate.requests > 0


def test_a_pod_of_an_older_release_hides_nothing_once_it_has_left():
    """It lacked the outcome; the slots in which it was counted stay unseen for that, and no later one."""
    left = lose(STABLE, pod="old", lost=("degraded",), seconds=60.0)
    slots = read(STABLE, CANDIDATE, left, pods=[*PODS, Pod(arm=Arm.STABLE, name="old")]).slots
    unseen = [slot.stable.unseen for slot in slots]
    assert unseen[0] == ("degraded",)
    assert set(unseen[5:]) == {()}


@pytest.mark.parametrize("label", ["abc", "", "nan", "-1"])
def test_a_bucket_without_an_edge_is_ignored_and_named(label):
    garbage = Series(arm=Arm.STABLE, pod="s", counter=Counter.LATENCY, label=label, samples=[(START, 1.0)])
    reading = read(STABLE, CANDIDATE, more=[garbage])
    assert reading.slots == read(STABLE, CANDIDATE).slots
    assert repr(label) in reading.ignored[0]


garbage = st.builds(
    Series,
    arm=st.sampled_from(list(Arm)),
    pod=st.sampled_from(["s", "c", "x"]),
    counter=st.sampled_from(list(Counter)),
    label=st.one_of(st.text(max_size=5), st.sampled_from(["ok", "error", "+Inf", "0.1", "1e400"])),
    samples=st.lists(
        st.tuples(
            st.floats(min_value=START - 100, max_value=START + 400),
            st.one_of(st.floats(), st.text(max_size=3), st.none()),
        ),
        max_size=6,
    ),
    target=st.sampled_from(["", "foreign"]),
)


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(st.lists(garbage, max_size=6))
def test_nothing_that_is_exported_raises(foreign):
    judge(read(STABLE, CANDIDATE, more=foreign))
