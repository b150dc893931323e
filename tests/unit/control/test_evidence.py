"""Evidence beside the loop, against real sockets: a Prometheus and pods in this process that do as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.cluster.harness import ports
from tests.contract import eventually
from tests.unit.control.watching import KEY, Pod, Prometheus, now, prometheus_at, scene, served
from tests.unit.prometheus import build

from seatrial.control import evidence, queue
from seatrial.rollout import looking


def question(**changes: Any) -> looking.Question:
    """A window of 40 s; the pods have no address yet, so that only Prometheus can tell of them."""
    pods_ = (build.pod("a", build.STABLE), build.pod("b", build.CANDIDATE))
    young = {"since": now() - timedelta(seconds=40), "interval": "1s", "pods": pods_}
    return build.question(**{**young, **changes})


async def test_a_look_comes_by_itself_and_rings() -> None:
    async with scene(Prometheus()) as there:
        asked = question()
        assert there.evidence.newest(KEY, asked) is None
        look = await there.look(asked, lambda one: not one.blind)
        assert (look.source, look.outcome) == ("Prometheus", "Pass")
        assert look.candidate_requests > 300
        assert there.rings[0] == KEY


async def test_a_regression_is_found_and_stands_when_prometheus_hangs_afterwards() -> None:
    prometheus = Prometheus()
    prometheus.errors = 0.5
    async with scene(prometheus) as there:
        asked = question()
        look = await there.look(asked, lambda one: one.failed)
        prometheus.hangs = True
        assert there.evidence.newest(KEY, asked) == look


async def test_only_what_is_new_is_asked_for_again() -> None:
    prometheus = Prometheus()
    async with scene(prometheus) as there:
        asked = question()
        # On a busy machine an answer may come too late, and the whole is asked for again.
        first = await there.look(asked, lambda one: not one.blind)
        await there.look(asked, lambda one: one.at > first.at)
        await there.look(asked, lambda one: one.at > first.at + timedelta(seconds=1.5))
    assert max(prometheus.windows) > 1800
    assert all(window < 70 for window in prometheus.windows[-2:])


async def test_a_stretch_that_does_not_fit_is_asked_for_in_pieces() -> None:
    prometheus = Prometheus()
    prometheus.largest = 1000
    async with scene(prometheus) as there:
        look = await there.look(question(), lambda one: not one.blind)
        assert look.candidate_requests > 300


async def test_a_partial_answer_passes_nothing_and_is_quoted() -> None:
    prometheus = Prometheus()
    prometheus.warnings = ["results truncated due to limit"]
    async with scene(prometheus) as there:
        look = await there.look(question(), lambda one: one.outcome != "Error")
        assert look.outcome == "NoData"
        assert "results truncated due to limit" in look.message


async def test_another_window_forgets_the_look_and_no_question_ends_the_watch() -> None:
    async with scene(Prometheus()) as there:
        asked = question()
        await there.look(asked)
        assert there.evidence.newest(KEY, msgspec.structs.replace(asked, attempt=2)) is None
        assert there.evidence.newest(KEY, None) is None
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("evidence of")] or (
            await eventually.eventually(no_watches, what="the watch's end")
        )


async def no_watches() -> bool:
    return not [task for task in asyncio.all_tasks() if task.get_name().startswith("evidence of")]


async def test_sixteen_rollouts_on_a_hanging_prometheus_delay_nobody() -> None:
    healthy, hanging = Prometheus(), Prometheus()
    hanging.hangs = True
    async with scene(healthy) as there, prometheus_at(hanging, "127.0.0.2") as port:
        url = f"http://127.0.0.2:{port}"
        there.evidence._sources._policy = msgspec.structs.replace(
            there.evidence._sources._policy, allow=(evidence.sources.access.allowed(url),)
        )
        own = evidence_source(url)
        for number in range(16):
            asked = question(namespace=f"n{number % 4}", name=f"stuck{number}", prometheus=own, interval="10s")
            assert there.evidence.newest(queue.Key(f"n{number % 4}", f"stuck{number}"), asked) is None
        look = await there.look(question(), lambda one: not one.blind)
        assert look.passed
        assert hanging.windows == []
        for number in range(16):
            there.evidence.newest(queue.Key(f"n{number % 4}", f"stuck{number}"), None)


def evidence_source(url: str) -> Any:
    from seatrial.api.spec import PrometheusSource

    return PrometheusSource(url=url)


async def test_a_prometheus_that_hangs_makes_the_look_an_error_after_one_interval() -> None:
    prometheus = Prometheus()
    prometheus.hangs = True
    async with scene(prometheus) as there:
        look = await there.look(question())
        assert look.outcome == "Error"
        assert "did not answer within" in look.message


@contextlib.asynccontextmanager
async def two_pods() -> AsyncIterator[tuple[Pod, Pod, int]]:
    """Stable and candidate on two loopback addresses, on one port as in a cluster."""
    stable, candidate = Pod("s1"), Pod("c1")
    async with (
        served("/metrics", stable.metrics, host="127.0.0.11") as port,
        served("/metrics", candidate.metrics, host="127.0.0.12", port=port),
    ):
        yield stable, candidate, port


def on_loopback(**changes: Any) -> looking.Question:
    """The pods started a moment ago, the window with them."""
    born = now() - timedelta(seconds=1)
    both = (
        build.pod("a", build.STABLE, ip="127.0.0.11", started=born),
        build.pod("b", build.CANDIDATE, ip="127.0.0.12", started=born),
    )
    return build.question(**{"since": now(), "interval": "15s", "pods": both, **changes})


@pytest.mark.long
async def test_pods_alone_guard_a_rollout_second_by_second() -> None:
    async with two_pods() as (_, candidate, port), scene(pod_port=port) as there:
        asked = on_loopback()
        look = await there.look(asked, lambda one: one.candidate_requests > 0)
        assert (look.source, look.blind) == ("Pods", False)
        assert max(slot.seconds for slot in look.slots) < 15  # the interval, for Prometheus
        candidate.errors = 1.0
        candidate.since = time.time() - 2 * (time.time() - candidate.since)
        look = await there.look(asked, lambda one: one.failed)
        assert look.message.endswith("metrics from Pods")


@pytest.mark.parametrize(
    ("now", "rest"), [(107.7, 0.32), (107.99, 0.03), (108.3, 0.0), (109.5, 0.0)], ids=["quick", "just", "late", "very"]
)
def test_a_reading_is_judged_when_its_second_is_over_and_at_once_when_it_took_longer(now: float, rest: float) -> None:
    assert evidence.until_second(107.6, since=100.0, now=now) == pytest.approx(rest)


async def test_pods_carry_on_alone_while_prometheus_hangs() -> None:
    prometheus = Prometheus()
    prometheus.hangs = True
    async with two_pods() as (_, _, port), scene(prometheus, pod_port=port) as there:
        alone = on_loopback(interval="1s")
        look = await there.look(alone, lambda one: not one.blind and "did not answer" in one.message)
        assert look.source == "Pods"


async def test_pods_that_may_not_be_read_are_a_clear_sentence() -> None:
    async with two_pods() as (stable, candidate, port), scene(pod_port=port) as there:
        stable.refuses = candidate.refuses = True
        look = await there.look(on_loopback(), lambda one: one.blind and "it answered" in one.message)
        assert look.outcome == "NoData"
        assert "2 of 2 pods can't be read directly: b: it answered 403" in look.message
        assert "no Prometheus is configured" in look.message


async def test_what_nobody_listens_on_names_the_network_policy() -> None:
    async with scene(pod_port=ports.free_port()) as there:
        look = await there.look(on_loopback(), lambda one: one.blind)
        assert "connection refused; a NetworkPolicy must let the operator reach port 8082" in look.message


@pytest.mark.parametrize("url", ["http://169.254.169.254", "http://p.shop.svc/?x"], ids=str)
async def test_a_url_that_may_not_be_asked_is_misconfigured(url: str) -> None:
    async with scene() as there:
        look = await there.look(question(prometheus=evidence_source(url)))
        assert (look.outcome, look.misconfigured) == ("Error", True)
        assert "spec.analysis.prometheus.url" in look.message
