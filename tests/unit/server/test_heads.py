"""Which request heads are remembered: plain ones that end where they should and come again, and never too many."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial_server.protocol.http import exchange, heads

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: 1\r\nContent-Length: 3\r\nTrace: one\r\n\r\n"


class Nobody:
    def answered(self, _: exchange.Exchange) -> None: ...


def taught(*given: bytes, **fields: Any) -> heads.Heads:
    """Has seen these heads, in chunks with a body of three bytes."""
    known = heads.Heads(max_body_bytes=100)
    for head in given:
        request = {"headers": heads.read(head), "method": b"POST", "target": b"/x", **fields}
        known.learn(head + b"abc", exchange.Exchange(Nobody(), **request))
    return known


def test_a_head_that_comes_again_is_remembered_with_its_parts() -> None:
    found = taught(HEAD, HEAD).find(HEAD.replace(b"Id: 1", b"Id: two").replace(b"one", b"") + b"abc")
    assert found is not None
    head, begin, request_id = found
    assert (head.method, head.target) == (b"POST", b"/x")
    assert (begin, request_id) == (len(HEAD) - 1, b"two")


@pytest.mark.parametrize("body", [b"ab", b"abcd"])
def test_a_request_with_a_known_head_must_be_whole_and_alone(body: bytes) -> None:
    assert taught(HEAD, HEAD).find(HEAD + body) is None


def test_a_body_larger_than_allowed_is_not_for_those_who_know_its_head() -> None:
    long = HEAD.replace(b"Length: 3", b"Length: 101")
    assert taught(HEAD, HEAD).find(long + b"a" * 101) is None


PLAIN = HEAD.replace(b"X-Request-Id: 1\r\n", b"")


def test_a_head_is_known_to_the_byte_until_the_next_tick() -> None:
    known = taught(PLAIN, PLAIN)
    found = known.find(PLAIN + b"abc")
    assert found is not None
    head = found[0]
    assert head.starts == {len(PLAIN) + 3: PLAIN}
    known.tick()
    assert head.starts == {}


def test_a_head_with_an_id_is_not_kept_to_the_byte() -> None:
    found = taught(HEAD, HEAD).find(HEAD + b"abc")
    assert found is not None
    assert found[0].starts == {}


def test_heads_to_the_byte_are_kept_within_a_bound() -> None:
    known = heads.Heads(max_body_bytes=10_000)
    for _ in range(2):
        given = {"headers": heads.read(PLAIN), "method": b"POST", "target": b"/x"}
        known.learn(PLAIN + b"abc", exchange.Exchange(Nobody(), **given))
    for size in range(1000, 3000):
        found = known.find(PLAIN.replace(b"Length: 3", b"Length: %d" % size) + b"a" * size)
    assert found is not None
    assert len(found[0].starts) == 256


@pytest.mark.parametrize(
    "change",
    [
        (b"/x", b"/y"),
        (b"Host: a", b"Host: b"),
        (b"Trace", b"Track"),
        (b"one", b"o\x00e"),
        (b"one", b"o\r\n e"),
        (b"one", b"one\r\nExpect: 100-continue"),
        (b"Id: 1", b'Id: "'),
        (b"Length: 3", b"Length: +3"),
        (b"1.1", b"1.0"),
    ],
    ids=repr,
)
def test_what_anybody_decides_by_must_be_the_same(change: tuple[bytes, bytes]) -> None:
    assert taught(HEAD, HEAD).find(HEAD.replace(*change) + b"abc") is None


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        (HEAD, {"keep_alive": False}),
        (HEAD.replace(b"Content-Length: 3\r\n", b""), {}),
        (HEAD.replace(b"Trace: one", b"Expect: 100-continue"), {}),
        (HEAD.replace(b"Trace: one", b"Transfer-Encoding: chunked"), {}),
        (HEAD.replace(b"Length: 3", b"Length: 4"), {}),
        (HEAD.replace(b"Trace: one", b"X-Request-Id: two"), {}),
        (HEAD.replace(b"one", b"a" * 9000), {}),
        (HEAD, {"headers": {b"host": b"a", b"content-length": b"3"}}),
    ],
    ids=["closes", "no length", "expects", "chunked", "another length", "two ids", "large", "read otherwise"],
)
def test_any_other_head_is_not(head: bytes, fields: dict[str, Any]) -> None:
    assert taught(head, head, **fields).find(head + b"abc") is None


def test_heads_that_never_repeat_cost_and_keep_nothing() -> None:
    several = [HEAD.replace(b"Trace", b"Trace-%d" % number) for number in range(5000)]
    known = taught(HEAD, *several, HEAD)
    assert known.find(HEAD + b"abc") is None  # forgotten in between: what was seen once is kept within a bound
    assert all(known.find(head + b"abc") is None for head in several[-10:])


def test_only_so_many_are_learnt_at_a_time_and_the_last_used_stay() -> None:
    several = [HEAD.replace(b"Trace", b"Trace-%d" % number) for number in range(100)]
    known = heads.Heads(max_body_bytes=100)
    for head in (head for head in several for _ in range(2)):
        known.learn(head + b"abc", exchange.Exchange(Nobody(), headers=heads.read(head), method=b"POST", target=b"/x"))
    assert sum(known.find(head + b"abc") is not None for head in several) <= 8
    for head in several:
        known.tick()
        known.learn(head + b"abc", exchange.Exchange(Nobody(), headers=heads.read(head), method=b"POST", target=b"/x"))
    assert sum(known.find(head + b"abc") is not None for head in several) == 32
