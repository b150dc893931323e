"""From samples to slots: every request once, and the arms compared over time both were seen in."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.analysis import counters
from seatrial.analysis.counters import Arm, Counter, Pod, Series

START, INTERVAL, SCRAPE = 1_700_000_000.0, 15.0, 5.0


def series(arm, pod, label, samples, counter=Counter.REQUESTS):
    return Series(arm=arm, pod=pod, counter=counter, label=label, samples=[(START + t, v) for t, v in samples])


def read(*given_series, pods=(), seconds=60.0, **options):
    return counters.read(
        given_series, pods, start=START, end=START + seconds, interval=INTERVAL, scrape_interval=SCRAPE, **options
    )


def steady(arm, pod, label="ok", *, rate=10.0, offset=0.0, seconds=60.0, begin=-5.0):
    times = [begin + offset + SCRAPE * k for k in range(int((seconds - begin - offset) / SCRAPE) + 1)]
    return series(arm, pod, label, [(t, rate * (t + 100)) for t in times])


STABLE, CANDIDATE = Pod(arm=Arm.STABLE, name="s"), Pod(arm=Arm.CANDIDATE, name="c")


def requests(reading, arm="stable"):
    return [getattr(slot, arm).requests for slot in reading.slots]


def test_increments_fall_into_the_slot_of_their_later_sample():
    assert requests(read(steady(Arm.STABLE, "s"))) == [150, 150, 150, 150]


def test_an_incomplete_last_slot_is_left_out():
    assert requests(read(steady(Arm.STABLE, "s"), seconds=59.0)) == [150, 150, 150]


def test_a_fallen_counter_counts_from_zero():
    got = read(series(Arm.STABLE, "s", "ok", [(-5, 1000), (5, 1010), (10, 30), (20, 35)]), seconds=30)
    assert requests(got) == [40, 5]


def test_a_restart_resets_every_series_of_the_pod():
    got = read(
        series(Arm.STABLE, "s", "ok", [(0, 1000), (10, 30)]),
        series(Arm.STABLE, "s", "error", [(0, 1), (10, 4)]),
        seconds=15,
    )
    assert (got.slots[0].stable.requests, got.slots[0].stable.errors) == (34, 4)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0], ids=str)
def test_a_sample_that_is_no_count_is_as_if_absent(bad):
    got = read(series(Arm.STABLE, "s", "ok", [(0, 100), (5, bad), (10, 130)]), seconds=15)
    assert requests(got) == [30]


def test_a_sample_out_of_order_is_as_if_absent():
    got = read(series(Arm.STABLE, "s", "ok", [(0, 100), (10, 130), (5, 5), (12, 131)]), seconds=15)
    assert requests(got) == [31]


def test_a_scrape_is_used_whole_or_not_at_all():
    total = series(Arm.STABLE, "s", "+Inf", [(0, 9), (5, 109), (10, 209)], Counter.LATENCY)
    fast = series(Arm.STABLE, "s", "0.1", [(0, 9), (5, 109), (10, math.nan)], Counter.LATENCY)
    answers = series(Arm.STABLE, "s", "ok", [(0, 9), (5, 109), (10, 209)])
    counts = read(total, fast, answers, seconds=15).slots[0].stable
    assert (counts.requests, counts.slower) == (100, {"0.1": 0})


def test_requests_slower_than_an_edge_are_all_minus_those_below_it():
    total = series(Arm.STABLE, "s", "+Inf", [(0, 10), (10, 110)], Counter.LATENCY)
    fast = series(Arm.STABLE, "s", "1.0", [(0, 10), (10, 90)], Counter.LATENCY)
    answers = series(Arm.STABLE, "s", "ok", [(0, 10), (10, 110)])
    assert read(total, fast, answers, seconds=15).slots[0].stable.slower == {"1": 20}


def test_shed_requests_are_not_counted():
    answers = series(Arm.STABLE, "s", "ok", [(0, 0), (10, 10)])
    assert requests(read(answers, series(Arm.STABLE, "s", "shed", [(0, 0), (10, 99)]), seconds=15)) == [10]


def test_transports_of_one_pod_add_up():
    got = read(*[series(Arm.STABLE, "s", "ok", [(0, 0), (10, 10)])] * 2, seconds=15)
    assert requests(got) == [20]


def test_a_pod_counts_from_its_first_sample():
    assert requests(read(series(Arm.STABLE, "s", "ok", [(5, 500), (10, 510)]), seconds=15)) == [10]


def test_a_pod_that_vanishes_takes_nothing_that_was_counted_with_it():
    born = Pod(arm=Arm.CANDIDATE, name="c", started=START + 1)
    samples = [steady(Arm.STABLE, "s"), series(Arm.CANDIDATE, "c", "ok", [(12, 50), (14, 60), (29, 90)])]
    assert read(*samples, pods=[STABLE, born]).slots == read(*samples, pods=[STABLE]).slots


def test_the_first_five_seconds_of_a_pods_traffic_are_dropped():
    failed = series(Arm.CANDIDATE, "c", "error", [(0, 0), (2, 0), (4, 7), (7, 9), (10, 12)])
    good = series(Arm.CANDIDATE, "c", "ok", [(0, 0), (2, 0), (4, 1), (7, 2), (10, 3)])
    counted = read(failed, good, seconds=15).slots[0].candidate
    assert (counted.requests, counted.errors) == (4, 3)


def test_a_pod_that_does_nothing_but_fail_is_not_warming_up():
    failed = series(Arm.CANDIDATE, "c", "error", [(0, 0), (1, 4), (2, 14), (3, 24), (10, 94)])
    good = series(Arm.CANDIDATE, "c", "ok", [(moment, 0) for moment in (0, 1, 2, 3, 10)])
    assert read(failed, good, seconds=15).slots[0].candidate.errors == 90, "all but the first four"


def test_a_good_answer_later_takes_back_no_failure_that_was_counted():
    failed = series(Arm.CANDIDATE, "c", "error", [(0, 0), (1, 10), (2, 20), (3, 20)])
    good = series(Arm.CANDIDATE, "c", "ok", [(0, 0), (1, 0), (2, 0), (3, 10)])
    counted = read(failed, good, seconds=15).slots[0].candidate
    assert (counted.requests, counted.errors) == (20, 20)


def test_refused_and_shed_requests_are_no_failures_of_a_warming_pod():
    rejected = series(Arm.CANDIDATE, "c", "rejected", [(0, 0), (2, 50), (4, 90)])
    shed = series(Arm.CANDIDATE, "c", "shed", [(0, 0), (2, 50), (4, 90)])
    assert read(rejected, shed, seconds=15).slots[0].candidate.requests == 0


def test_an_outage_seen_first_on_the_candidate_does_not_look_like_its_fault():
    """All fail from second 5 on; stable is scraped at 2, 17, ..., the candidate at 14, 29, ..."""

    def failing(arm, pod, offset):
        times = [offset + 15.0 * k for k in range(-2, 6)]
        bad = series(arm, pod, "error", [(t, 10 * max(0.0, t - 5)) for t in times])
        return [bad, series(arm, pod, "ok", [(t, 10 * (min(t, 5.0) + 100)) for t in times])]

    samples = failing(Arm.STABLE, "s", 2.0) + failing(Arm.CANDIDATE, "c", 14.0)
    reading = counters.read(samples, [], start=START, end=START + 75, interval=15, scrape_interval=15)
    seen = [(slot.candidate.errors, slot.stable.errors) for slot in reading.slots]
    assert seen[0] == (0, 0)
    assert all(candidate <= stable for candidate, stable in seen[:2])


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        pytest.param({"s": 58.0, "c": 58.0}, "", id="both fresh"),
        pytest.param({"s": 58.0, "c": 40.0}, "candidate: 0 of 1 ready pods", id="candidate old"),
        pytest.param({"s": 40.0, "c": 58.0}, "stable: 0 of 1 ready pods", id="stable old"),
        pytest.param({"s": 58.0}, "those of c are missing", id="candidate never seen"),
    ],
)
def test_old_samples_are_no_data(last, expected):
    arms = {"s": Arm.STABLE, "c": Arm.CANDIDATE}
    samples = [steady(arms[pod], pod, offset=-2.0, seconds=t) for pod, t in last.items()]
    blind = read(*samples, pods=[STABLE, CANDIDATE]).blind
    assert (expected in blind) if expected else blind == ""


def test_one_silent_pod_in_five_is_tolerated_and_two_are_not():
    pods = [Pod(arm=Arm.STABLE, name=f"s{k}") for k in range(5)]
    samples = [steady(Arm.STABLE, pod.name) for pod in pods]
    assert read(*samples[1:], pods=pods, arms=[Arm.STABLE]).blind == ""
    assert "3 of 5" in read(*samples[2:], pods=pods, arms=[Arm.STABLE]).blind


def test_pods_that_are_not_ready_are_not_waited_for():
    pods = [STABLE, Pod(arm=Arm.STABLE, name="gone", ready=False)]
    assert read(steady(Arm.STABLE, "s"), pods=pods, arms=[Arm.STABLE]).blind == ""


def test_an_arm_without_ready_pods_is_no_data():
    assert read(steady(Arm.STABLE, "s"), pods=[STABLE]).blind == "candidate: no ready pod"


@dataclasses.dataclass(frozen=True)
class Life:
    """What happened to one pod: (seconds, requests of each outcome) increments, restarts and scrapes."""

    arm: Arm
    pod: str
    events: list[tuple[float, str]]
    restarts: list[float]
    scrapes: list[float]

    def at(self, moment: float, outcome: str) -> int:
        since = max([t for t in self.restarts if t <= moment], default=-math.inf)
        return sum(1 for t, label in self.events if label == outcome and since < t <= moment)

    def samples(self) -> list[Series]:
        times = sorted(set(self.scrapes))
        return [
            series(self.arm, self.pod, outcome, [(t, self.at(t, outcome)) for t in times])
            for outcome in counters.COUNTED
        ]


moments = st.integers(-20, 119).map(lambda half: half / 2 + 0.25)
lives = st.builds(
    Life,
    arm=st.sampled_from(list(Arm)),
    pod=st.sampled_from(["a", "b", "c"]),
    events=st.lists(st.tuples(moments, st.sampled_from(counters.COUNTED)), max_size=40),
    restarts=st.lists(moments, max_size=3),
    scrapes=st.lists(moments, max_size=20),
)
worlds = st.lists(lives, max_size=4, unique_by=lambda life: (life.arm, life.pod))


@pytest.mark.long
@given(worlds)
def test_no_increment_is_negative_or_counted_twice(world):
    reading = read(*[one for life in world for one in life.samples()])
    for arm in Arm:
        for outcome, field in (("error", "errors"), ("rejected", "rejected"), ("degraded", "degraded")):
            counted = [getattr(getattr(slot, arm), field) for slot in reading.slots]
            truth = sum(1 for life in world if life.arm is arm for _, label in life.events if label == outcome)
            assert min(counted) >= 0
            assert sum(counted) <= truth


@given(lives)
def test_without_unseen_restarts_the_total_is_the_truth_between_first_and_last_scrape(life):
    quiet = dataclasses.replace(life, arm=Arm.STABLE, restarts=[], events=[(-19.0, "ok"), *life.events])
    scrapes = sorted(t for t in quiet.scrapes if t > -19.0)
    reading = read(*dataclasses.replace(quiet, scrapes=scrapes).samples())
    total = sum(slot.stable.requests for slot in reading.slots)
    before = [t for t in scrapes if t <= 0]
    begin = before[-1] if before else (scrapes[0] if scrapes else 0)
    end = max((t for t in scrapes if t <= sum(slot.seconds for slot in reading.slots)), default=begin)
    assert total == sum(1 for t, _ in quiet.events if begin < t <= end)


@pytest.mark.long
@given(worlds, st.randoms(use_true_random=False))
def test_the_order_of_series_is_irrelevant(world, random):
    samples = [one for life in world for one in life.samples()]
    shuffled = samples.copy()
    random.shuffle(shuffled)
    assert read(*shuffled) == read(*samples)


@pytest.mark.long
@given(worlds, st.integers(1, 7).map(lambda slots: 15.0 * slots))
def test_later_samples_do_not_change_complete_slots(world, seconds):
    samples = [one for life in world for one in life.samples()]
    early = read(*samples, seconds=seconds).slots
    assert read(*samples, seconds=120).slots[: len(early)] == early


def regular(life):
    begin = min(life.scrapes, default=-20.0)
    return dataclasses.replace(life, scrapes=[begin + SCRAPE * k for k in range(int((119 - begin) / SCRAPE) + 1)])


@pytest.mark.long
@given(worlds)
def test_windows_that_touch_count_each_request_once(world):
    samples = [one for life in world for one in regular(life).samples()]
    whole = read(*samples).slots
    second = counters.read(
        samples, [], start=START + 30, end=START + 60, interval=INTERVAL, scrape_interval=SCRAPE
    ).slots
    assert [slot.stable.requests for slot in whole[2:]] == [slot.stable.requests for slot in second]
