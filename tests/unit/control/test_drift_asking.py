"""What is asked of a Prometheus about drift when it hangs, warns, or answers with something else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.unit.control import watching
from tests.unit.drift import build as drifts
from tests.unit.prometheus import build as questions
from tests.unit.rollout import build

from seatrial.control import sources
from seatrial.control.drifting import asking, direct
from seatrial.drift import schedule
from seatrial.prometheus import client, errors, pods

HOURS = schedule.Hours.of("u")
QUESTION = asking.Question(
    owner=build.OWNER,
    revision="r1",
    source=None,
    columns=(drifts.numbers("income"),),
    pods=(),
    hours=HOURS,
    first=490_000,
    last=490_000,
)


async def not_asked(ip: str) -> bytes | str:
    raise AssertionError("the pods are not asked")


@contextlib.asynccontextmanager
async def prometheus(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[tuple[asking.Asking, sources.Sources]]:
    async def no_secrets(namespace: str, name: str) -> None:
        return None

    async with (
        watching.served("/api/v1/{what}", answer) as port,
        client.connected() as connected,
        pods.connected() as directly,
    ):
        policy = sources.Policy(own=sources.Own(url=f"http://127.0.0.1:{port}"))
        origin = sources.Sources(connected, directly, policy=policy, secrets=no_secrets)
        yield asking.Asking(origin, direct.Direct(not_asked, origin.worked_out)), origin
        origin.close()


async def test_one_that_hangs_ends_the_question_in_time_and_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "UNHURRIED", timedelta(seconds=0.2))
    asked: list[str] = []

    async def hangs(request: web.Request) -> web.StreamResponse:
        asked.append(request.match_info["what"])
        await asyncio.Event().wait()
        raise AssertionError("it never answers")

    async with prometheus(hangs) as (own, _):
        for _ in range(3):
            with pytest.raises(errors.PrometheusUnavailable, match="did not answer within"):
                await own.ask(QUESTION)
    assert len(asked) <= 1, "it is asked again while it hangs"


async def test_one_object_whose_answer_is_too_large_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BODY_LIMIT", 1000)
    wide = msgspec.structs.replace(QUESTION, revision="wide")

    async def answer(request: web.Request) -> web.StreamResponse:
        large = "wide" in str(dict(await request.post()))
        body: dict[str, Any] = {"status": "success", "data": {"resultType": "matrix", "result": []}}
        return web.json_response(body | {"infos": ["x" * 2000]} if large else body)

    async with prometheus(answer) as (own, _):
        with pytest.raises(errors.AnswerTooLarge):
            await own.ask(wide)
        assert (await own.ask(QUESTION)).lacking.startswith("no counters")  # it was asked


async def test_questions_about_drift_never_take_a_turn_from_a_rollout() -> None:
    release = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        if request.match_info["what"] == "query_range":
            await release.wait()
            return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": []}})
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": []}})

    async with prometheus(slow) as (own, origin):
        waiting = [asyncio.create_task(own.ask(QUESTION)) for _ in range(20)]
        async with asyncio.timeout(60):
            assert (await origin.vector(questions.question(), "up", at=build.at(0))).values == ()
        release.set()
        await asyncio.gather(*waiting)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"status": "success", "data": {"resultType": "vector", "result": []}}, "range query", id="vector"),
        pytest.param({"hello": 1}, "not as Prometheus does", id="something else"),
        pytest.param(
            {"status": "success", "data": {"resultType": "matrix", "result": []}, "warnings": ["store away"]},
            "partial: store away",
            id="partial",
        ),
        pytest.param(
            {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": 3}]}}, "no numbers", id="odd"
        ),
    ],
)
async def test_an_answer_that_is_not_whole_is_none(body: dict[str, Any], words: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body)

    async with prometheus(answer) as (own, _):
        with pytest.raises(errors.PrometheusUnavailable, match=words):
            await own.ask(QUESTION)
