"""From an answer's token to a verdict: real servers, a real Prometheus, the operator's own evidence."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.contract import prometheus_server
from tests.contract.server import prepared, process
from tests.unit.control import watching
from tests.unit.prometheus import build
from tests.unit.server import graphs

from seatrial.analysis import cohorts, counters
from seatrial.api import spec
from seatrial.control import keys, sources
from seatrial.rollout import facts, looking, looks, monitoring

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]
REVISIONS = {"s1": 0.08, "worse1": 0.25, "equal1": 0.08}
"""And how often each is wrong."""
FEEDBACK = spec.Feedback(horizon=spec.Duration(minutes=24), events=("converted",))
ROWS, REQUESTS = 32, 45
CONFIG = """
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: serving
  static_configs:
"""


class Pods:
    """One process of each revision, as kubelet and operator give them their files."""

    def __init__(self, servers: dict[str, process.Server], url: str) -> None:
        self.servers, self.prometheus = servers, url

    def answer(self, revision: str) -> list[tuple[str, int]]:
        """Tokens and rows of answers that say class 0."""
        rows = np.ones((ROWS, 4)).tolist()
        found = []
        for _ in range(REQUESTS):
            status, document = self.servers[revision].infer(process.tensor(rows), parameters={"feedback": True})
            assert (status, document["parameters"]["revision"]) == (200, revision)
            found += [(document["parameters"]["feedback"], row) for row in range(ROWS)]
        return found

    def judge(self, answers: list[tuple[str, int]], wrong: float, *, at: str) -> None:
        """Labels, to any pod."""
        labels = np.random.default_rng(1).random(len(answers)) < wrong
        entries = [
            {"token": token, "row": row, "label": int(label), "events": [] if label else ["converted"]}
            for (token, row), label in zip(answers, labels, strict=True)
        ]
        for start in range(0, len(entries), 1000):
            part = entries[start : start + 1000]
            status, taken = self.servers[at].post("/v2/models/model/feedback", {"feedback": part})
            assert (status, taken) == (202, {"accepted": len(part), "refused": []})


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    owner = facts.Owner(namespace="shop", name="churn", uid="u", generation=1)
    (tmp_path / "keys").mkdir()
    key = keys.wanted(owner, b"k" * keys.KEY_BYTES)["data"]["key"]
    (tmp_path / "keys" / "key").write_bytes(base64.b64decode(key))
    (tmp_path / monitoring.FILE).write_text(monitoring.render(spec.Monitoring(feedback=FEEDBACK)))
    settings = {
        "monitoring": {"file": str(tmp_path / monitoring.FILE)},
        "feedback": {"keys": str(tmp_path / "keys")},
        "limits": {"timeoutSeconds": process.DEADLINE},  # nobody is late here
    }
    with contextlib.ExitStack() as stack:
        servers = {}
        for revision in REVISIONS:
            (tmp_path / revision).mkdir()
            arguments = prepared.pod(tmp_path / revision, graphs.linear(), revision=revision, **settings)
            servers[revision] = stack.enter_context(process.serving(*arguments))
        yield Pods(servers, stack.enter_context(prometheus(tmp_path, servers)))


@contextlib.contextmanager
def prometheus(folder: Path, servers: dict[str, process.Server]) -> Iterator[str]:
    targets = [
        {"targets": [one.metrics_url.removeprefix("http://")], "labels": {"pod": f"{name}-0", "namespace": "shop"}}
        for name, one in servers.items()
    ]
    config = CONFIG + "".join(f"  - {json.dumps(one)}\n" for one in targets)
    with prometheus_server.running(folder, config) as url:
        yield url


def question(candidate: str, *, since: datetime) -> looking.Question:
    known = (build.pod("s1-0", counters.Arm.STABLE), build.pod(f"{candidate}-0", counters.Arm.CANDIDATE))
    asked = build.question(since=since, pods=known, interval="2s", stable="s1", candidate=candidate)
    analysis = msgspec.structs.replace(
        asked.analysis,
        quality=spec.Quality(),
        outcomes=(spec.BusinessOutcome(name="conversion", event="converted"),),
    )
    return msgspec.structs.replace(asked, analysis=analysis, feedback=FEEDBACK)


async def judged(there: watching.Scene, asked: looking.Question, key: Any) -> looks.Look:
    """The first look that knows of labels, or of a verdict."""
    async with asyncio.timeout(150):
        while True:
            look = there.evidence.newest(key, asked)
            found = {one.name: one for one in look.metrics} if look is not None else {}
            if look is not None and "quality" in found and found["quality"].candidate.events:
                return look
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def scene(url: str) -> AsyncIterator[watching.Scene]:
    async with watching.scene(own=sources.Own(url=url)) as there:
        yield there


async def within_a_cohort(pods: Pods, seconds: float) -> datetime:
    """Answers and what became of them, all in one cohort, whose begin this gives.

    A machine that was too slow for it does all of it again, in a cohort that has nothing of it yet.
    """
    for least in (25, seconds, seconds):
        left = seconds - time.time() % seconds
        if left < least:
            await asyncio.sleep(left + 0.1)
        begin = time.time() // seconds * seconds
        answers = {revision: await asyncio.to_thread(pods.answer, revision) for revision in REVISIONS}
        for revision, wrong in REVISIONS.items():
            at = "s1" if revision != "equal1" else "equal1"
            await asyncio.to_thread(pods.judge, answers[revision], wrong, at=at)
        if time.time() < begin + seconds:
            return datetime.fromtimestamp(begin, UTC)
    raise AssertionError("no cohort was long enough")


async def test_a_version_that_is_wrong_more_often_is_convicted_and_an_equal_one_is_not(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All labels go to stable's pod, which has answered a third of the rows."""
    monkeypatch.setattr(cohorts, "SKEW", 0.0)  # one machine has one clock
    monkeypatch.setattr(cohorts, "CLOSED", 3.0)  # two scrapes
    seconds = cohorts.length(FEEDBACK.horizon.total_seconds())
    since = await within_a_cohort(pods, seconds)
    async with scene(pods.prometheus) as there:
        asked = {name: question(name, since=since - timedelta(seconds=1)) for name in ("worse1", "equal1")}
        worse, equal = await asyncio.gather(*(judged(there, one, ("shop", name)) for name, one in asked.items()))
    assert (worse.failed, worse.reason) == (True, "QualityRegressed")
    assert "quality: candidate" in worse.message
    assert not equal.failed
    for look, name in ((worse, "worse1"), (equal, "equal1")):
        found = {one.name: one for one in look.metrics}
        assert found["quality"].candidate.requests == found["quality"].stable.requests == ROWS * REQUESTS
        assert found["quality"].candidate.share == pytest.approx(REVISIONS[name], abs=0.03)
        assert found["conversion"].candidate.events == round(ROWS * REQUESTS - found["quality"].candidate.events)
