"""The queue: coalescing, deadlines, lanes, backoff; all in fake time."""

from __future__ import annotations

import random

import pytest

from seatrial.control.queue import BACKOFF_LONGEST, BACKOFF_LONGEST_URGENT, Key, Lane, Queue, Result

A, B, C = (Key("shop", name) for name in "abc")


class Bench:
    """A queue and its clock."""

    def __init__(self) -> None:
        self.at = 100.0
        self.queue = Queue(now=lambda: self.at, rng=random.Random(7))

    def drain(self) -> list[Key]:
        """Takes and finishes everything due."""
        taken = []
        while (key := self.queue.take()) is not None:
            taken.append(key)
            self.queue.done(key, Result())
        return taken


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_many_requests_for_a_key_are_one_look(bench: Bench) -> None:
    for _ in range(5):
        bench.queue.add(A)
    assert bench.drain() == [A]


def test_a_request_while_the_key_is_worked_on_gives_exactly_one_more_look(bench: Bench) -> None:
    bench.queue.add(A)
    assert bench.queue.take() == A
    bench.queue.add(A)
    bench.queue.add(A)
    assert bench.queue.take() is None, "a key is worked on by one worker at a time"
    bench.queue.done(A, Result())
    assert bench.drain() == [A]


def test_keys_are_taken_in_the_order_of_arrival(bench: Bench) -> None:
    for key in (B, A, C):
        bench.queue.add(key)
    assert bench.drain() == [B, A, C]


def test_a_look_asked_for_later_is_not_due_before(bench: Bench) -> None:
    bench.queue.add(A, after=10)
    assert bench.drain() == []
    assert bench.queue.next_due() == 110
    bench.at = 110
    assert bench.drain() == [A]


def test_of_several_deadlines_the_earliest_wins(bench: Bench) -> None:
    for seconds in (30, 10, 20):
        bench.queue.add(A, after=seconds)
    bench.at += 10
    assert bench.drain() == [A]
    bench.at += 60
    assert bench.drain() == [], "later deadlines of the same key are gone"


def test_a_result_can_ask_for_another_look_and_an_event_brings_it_forward(bench: Bench) -> None:
    bench.queue.add(A)
    bench.queue.take()
    bench.queue.done(A, Result(look_again_in=15))
    assert bench.queue.next_due() == 115
    bench.queue.add(A)
    assert bench.drain() == [A]


def test_a_rollout_in_flight_goes_before_a_flood(bench: Bench) -> None:
    bench.queue.add(A)
    bench.queue.take()
    bench.queue.done(A, Result(look_again_in=15, in_flight=True))
    for number in range(1000):
        bench.queue.add(Key("flood", str(number)))
    bench.at += 15
    assert bench.queue.take() == A


def test_a_watcher_can_call_a_key_urgent_before_its_first_look(bench: Bench) -> None:
    bench.queue.add(B)
    bench.queue.add(A)
    bench.queue.add(A, lane=Lane.ROLLOUT)
    assert bench.drain() == [A, B]


def test_the_urgent_worker_takes_nothing_else(bench: Bench) -> None:
    bench.queue.add(B)
    assert bench.queue.take(up_to=Lane.ROLLOUT) is None
    assert bench.queue.next_due(up_to=Lane.ROLLOUT) is None
    bench.queue.add(A, lane=Lane.ROLLOUT)
    assert bench.queue.take(up_to=Lane.ROLLOUT) == A


def test_what_somebody_has_just_changed_goes_before_what_is_new_and_after_a_rollout(bench: Bench) -> None:
    bench.queue.add(C)
    bench.queue.add(B, lane=Lane.CHANGED)
    bench.queue.add(A, lane=Lane.ROLLOUT)
    assert bench.drain() == [A, B, C]


def test_a_change_during_a_look_keeps_its_lane_for_the_next_one(bench: Bench) -> None:
    bench.queue.add(A)
    assert bench.queue.take() == A
    bench.queue.add(B)
    bench.queue.add(A, lane=Lane.CHANGED)
    bench.queue.done(A, Result())
    assert bench.drain() == [A, B]


def test_a_finished_rollout_leaves_the_urgent_lane(bench: Bench) -> None:
    bench.queue.add(A, lane=Lane.ROLLOUT)
    bench.queue.take()
    bench.queue.done(A, Result(look_again_in=0, in_flight=False))
    assert bench.queue.take(up_to=Lane.ROLLOUT) is None
    assert bench.queue.take() == A


def test_failures_back_off_exponentially_with_jitter_up_to_a_limit(bench: Bench) -> None:
    delays = []
    for _ in range(14):
        bench.queue.add(A)
        bench.queue.take()
        delays.append(bench.queue.failed(A))
        bench.at += delays[-1]
    for number, delay in enumerate(delays):
        whole = min(BACKOFF_LONGEST, 0.25 * 2**number)
        assert whole / 2 <= delay <= whole
    assert len(set(delays)) == len(delays)


def test_a_success_resets_the_backoff(bench: Bench) -> None:
    for _ in range(6):
        bench.queue.add(A)
        bench.queue.take()
        bench.queue.failed(A)
    bench.queue.add(A)
    bench.queue.take()
    bench.queue.done(A, Result())
    bench.queue.add(A)
    bench.queue.take()
    assert bench.queue.failed(A) <= 0.25


def test_backoff_belongs_to_one_key(bench: Bench) -> None:
    for key, failures in ((A, 6), (B, 1)):
        for _ in range(failures):
            bench.queue.add(key)
            bench.queue.take()
            delay = bench.queue.failed(key)
    assert delay <= 0.25


def test_a_rollout_in_flight_is_retried_within_seconds(bench: Bench) -> None:
    bench.queue.add(A, lane=Lane.ROLLOUT)
    for _ in range(20):
        bench.queue.take()
        delay = bench.queue.failed(A)
        bench.at += delay
    assert delay <= BACKOFF_LONGEST_URGENT


def test_the_wait_that_the_server_asked_for_is_kept(bench: Bench) -> None:
    bench.queue.add(A)
    bench.queue.take()
    assert bench.queue.failed(A, at_least=7) == 7
    assert bench.queue.next_due() == 107


def test_a_request_during_a_look_that_fails_does_not_shorten_the_backoff(bench: Bench) -> None:
    bench.queue.add(A)
    bench.queue.take()
    bench.queue.add(A)
    delay = bench.queue.failed(A)
    assert bench.queue.take() is None
    bench.at += delay
    assert bench.drain() == [A]


def test_any_interleaving_keeps_one_worker_per_key_and_loses_no_request() -> None:
    rng = random.Random(3)
    bench = Bench()
    running: set[Key] = set()
    wanted: dict[Key, bool] = {}
    for _ in range(5000):
        key = Key("shop", str(rng.randrange(8)))
        match rng.randrange(4):
            case 0:
                bench.queue.add(key, after=rng.choice([0, 0, 3]), lane=rng.choice([*Lane, Lane.OTHER]))
                wanted[key] = True
            case 1 if (taken := bench.queue.take(up_to=rng.choice([Lane.ROLLOUT, *Lane]))) is not None:
                assert taken not in running
                running.add(taken)
                wanted[taken] = False
            case 2 if running:
                finished = rng.choice(sorted(running))
                running.discard(finished)
                bench.queue.done(finished, Result(in_flight=rng.random() < 0.3))
            case _:
                bench.at += rng.random()
    for key in running:
        bench.queue.done(key, Result())
    bench.at += 10
    assert set(bench.drain()) >= {key for key, open_ in wanted.items() if open_}
    assert len(bench.queue) == 0
