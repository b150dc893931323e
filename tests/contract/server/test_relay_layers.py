"""The relay beside what else a port does: web pages of other origins, spans, encryption."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.server import authority, collector
from tests.contract.server.pair import CANDIDATE, STABLE, Pair, Pod, pair, patient
from tests.contract.server.talking import Client, body, post, until
from tests.contract.server.test_relay_rpc import Client as RpcClient

from seatrial_server.host import config
from seatrial_server.protocol import certificate

PAGE = "https://app.example.com"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def traces() -> Iterator[collector.Collector]:
    with collector.running() as running:
        yield running


def issued(ca: authority.Authority, folder: Path) -> config.Tls:
    ca.issue(folder)
    return config.Tls(certificate=str(folder / "tls.crt"), key=str(folder / "tls.key"))


async def test_a_page_may_read_what_this_pod_lets_it_read_whoever_answers() -> None:
    async with pair(origin=PAGE) as both:
        client = await Client.connect(both.ports[0])
        for assigned in ({"weight": 0}, {"weight": 100}, {"to": ["127.0.0.9"]}):
            both.assign(**assigned)
            for origin in (PAGE, "https://elsewhere.example.com"):
                reply = await client.ask(post(body(1), origin=origin))
                assert reply.status == 200
                assert reply.headers.get("access-control-allow-origin") == (PAGE if origin == PAGE else None)
            assert "access-control-allow-origin" not in (await client.ask(post(body(1)))).headers
        client.close()


async def test_a_page_cannot_read_an_answer_because_the_candidate_would_let_it() -> None:
    both = Pair()
    both.candidate = Pod("candidate", origin=PAGE)
    with patient():
        await both.candidate.open(CANDIDATE, both.ports, rpc=False)
        await both.stable.open(STABLE, both.ports, rpc=False)
        both.assign()
        client = await Client.connect(both.ports[0])
        reply = await client.ask(post(body(1), origin=PAGE))
        assert reply.who == "candidate"
        assert not [name for name in reply.headers if name.startswith("access-control")]
        client.close()
        await both.stable.close(rpc=False)
        await both.candidate.close(rpc=False)


def spans_of(traces: collector.Collector) -> list[tuple[str, str]]:
    """Who made each span, and its outcome."""
    return sorted((about["seatrial.revision"], outcome(span)) for span, about in traces.spans)


def outcome(span: Any) -> str:
    return collector.attributes(span)["seatrial.outcome"]


async def test_a_relayed_request_is_one_span_of_who_has_answered(traces: collector.Collector) -> None:
    async with pair(rpc=True, traces=traces.endpoint) as both:
        both.assign(shadow=100)
        client = await Client.connect(both.ports[0])
        await client.ask(post(body(1), traceparent=SAMPLED))
        client.close()
        async with RpcClient(both) as calling:
            await calling.ask(1, traceparent=SAMPLED)
    assert spans_of(traces) == [("candidate", "ok"), ("candidate", "ok")]
    assert {span.trace_id.hex() for span, _ in traces.spans} == {TRACE}


async def test_an_answer_that_nobody_gives_is_a_span_of_this_pod(traces: collector.Collector) -> None:
    async with pair(rpc=True, traces=traces.endpoint) as both:
        client = await Client.connect(both.ports[0])
        for cover in (True, False):
            both.assign(to=["127.0.0.9"], cover=cover)
            await client.ask(post(body(1)))
        client.close()
    assert spans_of(traces) == [("stable", "error"), ("stable", "ok")]
    assert both.stable.counters.in_flight == 0


async def test_a_copy_is_no_span(traces: collector.Collector) -> None:
    async with pair(traces=traces.endpoint) as both:
        both.assign(weight=0, shadow=100)
        client = await Client.connect(both.ports[0])
        for traceparent in ({}, {"traceparent": SAMPLED}):
            await client.ask(post(body(1), **traceparent))
        await until(lambda: both.candidate.answered == 2)
        client.close()
    assert spans_of(traces) == [("stable", "ok"), ("stable", "ok")]


async def test_a_candidate_that_speaks_tls_is_spoken_with_so(tmp_path: Path) -> None:
    files = issued(authority.Authority(tmp_path), tmp_path / "tls")
    async with pair(rpc=True, tls=certificate.Certificate(files)) as both, RpcClient(both) as calling:
        both.assign(tls=True)
        client = await Client.connect(both.ports[0])
        assert [(await client.ask(post(body(number)))).who for number in range(3)] == ["candidate"] * 3
        client.close()
        assert [await calling.ask(number) for number in range(3)] == [
            (3 * number, {"seatrial-revision": "candidate"}) for number in range(3)
        ]
        both.assign(tls=True, to=["127.0.0.9"])
        assert (await calling.ask(1))[1]["seatrial-covered"] == "candidate"
    assert both.stable.relayed() == {("ok", False): 6, ("unreachable", True): 1}


async def test_a_renewed_certificate_costs_no_answer(tmp_path: Path) -> None:
    ca = authority.Authority(tmp_path)
    used = certificate.Certificate(issued(ca, tmp_path / "tls"))
    async with pair(rpc=True, tls=used) as both, RpcClient(both) as calling:
        both.assign(tls=True)
        assert (await calling.ask(1))[1] == {"seatrial-revision": "candidate"}
        await both.candidate.rpc.drain()
        ca.issue(tmp_path / "tls")
        used.look()
        both.candidate.rpc = both.candidate.new_rpc()
        await both.candidate.rpc.open(host=CANDIDATE, port=both.ports[1], credentials=used.credentials())
        answers = [(await calling.ask(number))[0] for number in range(1, 9)]
        assert {answer / number for number, answer in enumerate(answers, 1)} <= {2, 3}
        assert answers[-1] == 24, "calls go to the candidate again"
