"""Which request heads are remembered: plain ones that end where they should, and never too many."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial_server.protocol.http import exchange, heads

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"


class Nobody:
    def answered(self, _: exchange.Exchange) -> None: ...


def request(**fields: Any) -> exchange.Exchange:
    given = {"headers": {b"host": b"a", b"content-length": b"3"}, "method": b"POST", "target": b"/x", **fields}
    return exchange.Exchange(Nobody(), **given)


def test_a_plain_head_is_remembered() -> None:
    known = heads.Heads()
    known.learn(HEAD + b"abc", request())
    found = known.find(HEAD)
    assert found is not None
    assert (found.method, found.target, found.length) == (b"POST", b"/x", 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"keep_alive": False},
        {"headers": {b"host": b"a"}},
        {"headers": {b"content-length": b"3", b"expect": b"100-continue"}},
        {"headers": {b"content-length": b"3", b"transfer-encoding": b"chunked"}},
        {"headers": {b"content-length": b"4"}},
    ],
)
def test_any_other_head_is_not(fields: dict[str, Any]) -> None:
    known = heads.Heads()
    known.learn(HEAD + b"abc", request(**fields))
    assert known.find(HEAD) is None


def test_heads_that_never_repeat_do_not_fill_the_memory() -> None:
    known = heads.Heads()
    chunks = [b"POST /%d HTTP/1.1\r\nContent-Length: 3\r\n\r\n" % number for number in range(5000)]
    for chunk in chunks:
        known.learn(chunk + b"abc", request())
    assert sum(known.find(chunk) is not None for chunk in chunks) <= 1024
