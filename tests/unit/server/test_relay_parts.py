"""The parts of the relay by themselves: targets, headers, outcomes, the watched file, one connection, the counters."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.unit.server import test_telemetry

from seatrial_server.host import budget, watching
from seatrial_server.observe.relayed import Relayed
from seatrial_server.relay import headers, outcomes, targets, wire
from seatrial_server.relay.outcomes import Ended, Failure


def named(*addresses: str) -> targets.Targets:
    result = targets.Targets()
    result.name(addresses)
    return result


def test_the_least_busy_pod_is_next() -> None:
    known = named("a", "b")
    taken = [known.take(now=0) for _ in range(4)]
    assert sorted(target.address for target in taken if target) == ["a", "a", "b", "b"]
    assert taken[0] is not None
    known.give_back(taken[0], answered=True, now=0)
    again = known.take(now=0)
    assert again is not None
    assert again.address == taken[0].address


def test_a_pod_rests_after_five_failures_in_a_row_and_after_each_further_one() -> None:
    known = named("a")

    def use(now: float, *, answered: bool) -> bool:
        target = known.take(now=now)
        if target is not None:
            known.give_back(target, answered=answered, now=now)
        return target is not None

    for answered in (False, False, False, False, True, False, False, False, False, False):
        assert use(0, answered=answered)
    assert not use(0.9, answered=True)
    assert use(1.0, answered=False)
    assert not use(1.5, answered=True)
    assert use(2.0, answered=True)
    assert use(2.1, answered=False)
    assert use(2.1, answered=True)


def test_no_more_is_on_its_way_than_the_bounds() -> None:
    known = named("a", "b")
    taken = [known.take(now=0) for _ in range(targets.MAX_IN_FLIGHT)]
    assert known.take(now=0) is None
    assert taken[0] is not None
    known.give_back(taken[0], answered=False, now=0)
    assert known.take(now=0) is not None


def test_a_pod_that_is_named_again_keeps_its_rest() -> None:
    known = named("a")
    for _ in range(targets.FAILURES_IN_A_ROW):
        target = known.take(now=0)
        assert target is not None
        known.give_back(target, answered=False, now=0)
    known.name(("a", "b"))
    found = known.take(now=0)
    assert found is not None
    assert found.address == "b"


def test_headers_of_one_hop_and_ours_stay_behind() -> None:
    given = {
        b"host": b"churn.shop",
        b"connection": b"keep-alive, X-Hop",
        b"x-hop": b"1",
        b"transfer-encoding": b"chunked",
        b"content-length": b"3",
        b"expect": b"100-continue",
        b"te": b"trailers",
        b"seatrial-relayed": b"forged",
        b"seatrial-anything": b"forged",
        b"x-request-id": b"7",
        b"content-encoding": b"gzip",
    }
    head = headers.request_head(b"POST", b"/v2/x", given, size=5, added={b"seatrial-relayed": b"a1 token"})
    assert head == (
        b"POST /v2/x HTTP/1.1\r\nhost: churn.shop\r\nx-request-id: 7\r\ncontent-encoding: gzip\r\n"
        b"seatrial-relayed: a1 token\r\ncontent-length: 5\r\n\r\n"
    )
    answer = {b"content-type": b"x", b"date": b"d", b"content-length": b"9", b"seatrial-revision": b"?"}
    answer[b"seatrial-degraded"] = b"true"
    assert headers.answer_lines(answer, b"b2") == (
        b"content-type: x\r\nseatrial-degraded: true\r\nseatrial-revision: b2\r\n"
    )


def test_who_says_that_a_request_was_relayed_must_know_the_token() -> None:
    token = "t" * 20
    assert headers.believed(headers.mark("a1", token), token)
    for value in (None, b"", b"a1", b"a1 ", b"a1 " + b"t" * 19, token.encode() + b" a1"):
        assert not headers.believed(value, token)


@pytest.mark.parametrize(("seconds", "said"), [(1.0, 1.0), (0.996, 1.0), (0.5049, 0.5), (0.001, 0.01)])
def test_the_time_that_is_left_travels_in_steps(seconds: float, said: float) -> None:
    assert headers.seconds(headers.milliseconds(seconds)) == said


@pytest.mark.parametrize("value", [None, b"", b"-1", b"1e9", b"9" * 30, "\u0663".encode()])
def test_a_deadline_that_is_none_changes_nothing(value: bytes | None) -> None:
    assert headers.seconds(value) == 0
    assert headers.sooner(2.0, 0.0) == headers.sooner(0.0, 2.0) == headers.sooner(2.0, 3.0) == 2.0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "ok"), (400, "rejected"), (404, "rejected"), (429, "shed"), (503, "shed"), (500, "error"), (302, "error")],
)
def test_an_answer_passes_when_it_is_good_or_nobody_covers(status: int, outcome: outcomes.Outcome) -> None:
    answer = wire.Answer(status, b"", {}, b"")
    assert outcomes.ended(answer, cover=True) == Ended(outcome, passes=status == 200)
    assert outcomes.ended(answer, cover=False) == Ended(outcome, passes=True)


def test_what_was_not_even_tried_is_answered_here_also_without_cover() -> None:
    assert not outcomes.ended(Failure("shed", ""), cover=False).passes
    assert outcomes.ended(Failure("late", ""), cover=False).passes
    assert outcomes.unanswered(Failure("late", "")).status == 504


def test_a_degraded_answer_is_told_by_its_header() -> None:
    assert outcomes.ended(wire.Answer(200, b"", {headers.DEGRADED: b"true"}, b""), cover=True).outcome == "degraded"


def test_a_file_is_read_again_when_its_link_has_moved(tmp_path: Path) -> None:
    found: list[bytes] = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "relay").write_bytes(name.encode() * 3)
    (tmp_path / "..data").symlink_to("first")
    (tmp_path / "relay").symlink_to("..data/relay")
    watched = watching.Watched(tmp_path / "relay", most=100, take=found.append)
    watched.look()
    watched.look()
    (tmp_path / "..new").symlink_to("second")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    watched.look()
    (tmp_path / "relay").unlink()
    watched.look()
    watched.look()
    assert found == [b"firstfirstfirst", b"secondsecondsecond", b""]


def test_no_more_of_a_file_is_read_than_may_matter(tmp_path: Path) -> None:
    found: list[bytes] = []
    (tmp_path / "relay").write_bytes(bytes(10_000))
    watching.Watched(tmp_path / "relay", most=17, take=found.append).look()
    assert [len(content) for content in found] == [17]
    watching.Watched(tmp_path / "absent", most=17, take=found.append).look()
    assert len(found) == 1


def test_counters_of_a_candidate_begin_at_zero_and_those_of_old_ones_are_forgotten() -> None:
    counted = Relayed()
    for number in range(10):
        counted.follow(f"r{number}", 0.1)
        counted.count(f"r{number}", "ok", covered=False)
    counted.count("r0", "ok", covered=False)
    assert list(counted.requests) == list(counted.ratio) == ["r6", "r7", "r8", "r9"]
    assert counted.ratio == {"r6": 0, "r7": 0, "r8": 0, "r9": 0.1}
    counted.follow("r7", 0.5)
    assert counted.requests["r7"]["ok", False] == 1
    counted.keep_all()
    assert set(counted.ratio.values()) == {0}


def test_what_is_relayed_is_on_the_page_of_metrics() -> None:
    state = test_telemetry.counters()
    assert ("seatrial_relay_in_flight_requests", frozenset()) not in test_telemetry.samples(state)
    state.relayed.in_flight = 0
    state.relayed.follow("b2", 0.25)
    state.relayed.count("b2", "late", covered=True)
    found = test_telemetry.samples(state)
    late = frozenset({("candidate", "b2"), ("outcome", "late"), ("covered", "true")})
    assert found["seatrial_relayed_requests_total", late] == 1
    assert found["seatrial_relay_ratio", frozenset({("candidate", "b2")})] == 0.25
    assert found["seatrial_relay_in_flight_requests", frozenset()] == 0
    assert found["seatrial_relay_refused_assignments_total", frozenset()] == 0


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.ended = False

    def writelines(self, list_of_data: object) -> None:
        pass

    def abort(self) -> None:
        self.ended = True

    close = abort


def answered(
    *chunks: bytes, most: int = 1000, account: budget.Budget | None = None
) -> tuple[list[wire.Result], wire.Wire]:
    """What one connection makes of these bytes."""
    results: list[wire.Result] = []
    one = wire.Wire(account or budget.Budget(most), max_body_bytes=most, lost=lambda _: None)
    one.connection_made(Transport())
    one.send(b"", b"", results.append)
    for chunk in chunks:
        one.data_received(chunk)
    return results, one


GOOD = b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 2\r\n\r\nhi"


def test_an_answer_may_arrive_byte_by_byte() -> None:
    results, one = answered(*(GOOD[place : place + 1] for place in range(len(GOOD))))
    assert results == [wire.Answer(200, b"OK", {b"a": b"1, 2", b"content-length": b"2"}, b"hi")]
    assert one.open


def test_a_connection_that_is_announced_to_end_is_not_kept() -> None:
    results, one = answered(GOOD.replace(b"A: 1", b"Connection: close"))
    assert [type(result) for result in results] == [wire.Answer]
    assert not one.open


@pytest.mark.parametrize(
    "content",
    [
        b"\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + bytes(1500),
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        GOOD + GOOD,
    ],
    ids=["no-http", "body-too-long", "head-too-long", "two-lengths", "two-answers"],
)
def test_what_is_no_answer_ends_the_connection(content: bytes) -> None:
    results, one = answered(content)
    assert results == [wire.Lost(untouched=False, garbage=True)]
    assert not one.open


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    results, one = answered(GOOD)
    one.data_received(GOOD)
    assert len(results) == 1
    assert not one.open


def test_a_lost_connection_says_whether_anything_had_come() -> None:
    for chunks, untouched in (((), True), ((GOOD[:20],), False)):
        results, one = answered(*chunks)
        one.connection_lost(None)
        assert results == [wire.Lost(untouched=untouched)]


def test_a_large_answer_has_its_bytes_of_the_budget_until_it_is_complete() -> None:
    head, size = b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n", 50_000
    account = budget.Budget(60_000)
    results, one = answered(head, bytes(size - 1), most=size, account=account)
    assert (results, account.used) == ([], size - 1)
    one.data_received(b"x")
    assert ([type(result) for result in results], account.used) == ([wire.Answer], 0)
    account = budget.Budget(40_000)
    results, _ = answered(head, bytes(30_000), bytes(20_000), most=size, account=account)
    assert results == [wire.Lost(untouched=False, garbage=True)]
    assert account.used == 0
