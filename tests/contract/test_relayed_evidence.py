"""Evidence from a real pair of pods: one of stable that passes requests on, and the candidate's, read every second."""

from __future__ import annotations

import functools
import signal
import urllib.request

import msgspec
from tests.contract.server import process, raw, test_relay_processes
from tests.contract.server.pair import CANDIDATE, STABLE
from tests.contract.server.talking import Client, Reply, body, until
from tests.contract.server.test_relay_processes import Pods
from tests.unit.control import watching
from tests.unit.prometheus import build

from seatrial.api.spec import Disagreement
from seatrial.api.values import Ratio
from seatrial.rollout import looking

pods = test_relay_processes.pods


def question(*, shadow: bool = False) -> looking.Question:
    known = (build.pod("a", build.STABLE, ip=STABLE), build.pod("b", build.CANDIDATE, ip=CANDIDATE))
    window = {"stable": "stable", "candidate": "candidate", "relayed": True, "shadow": shadow}
    return build.question(since=watching.now(), pods=known, **window)


def metrics_port(pods: Pods) -> int:
    return int(pods.stable.metrics_url.rpartition(":")[2])


async def ask(pods: Pods, count: int) -> list[Reply]:
    client = await Client.connect(pods.stable.port)
    replies = [await client.ask(raw.post(body(2))) for _ in range(count)]
    client.close()
    return replies


def copied(pods: Pods, count: int) -> bool:
    """Whether the candidate has answered so many copies."""
    return pods.stable.metric("seatrial_shadow_requests_total", candidate="candidate", outcome="ok") >= count


def told(pods: Pods) -> bool:
    """Stable's pod follows an assignment."""
    with urllib.request.urlopen(f"{pods.stable.metrics_url}/metrics", timeout=process.DEADLINE) as response:
        return b'candidate="candidate"' in response.read()


async def following(pods: Pods, *, weight: float = 50, shadow: float = 0) -> None:
    """Both have answered, so that nobody is warming up."""
    pods.assign(weight=weight, shadow=shadow)
    await until(lambda: told(pods))
    await ask(pods, 20)


async def test_what_two_pods_count_of_a_request_is_one_request(pods: Pods) -> None:
    await following(pods)
    async with watching.scene(pod_port=metrics_port(pods)) as there:
        asked = question()
        await there.look(asked, lambda one: bool(one.slots))
        answered = [reply.who for reply in await ask(pods, 200)]
        look = await there.look(asked, lambda one: one.candidate_requests + one.stable_requests >= 200)
    assert (look.stable_requests, look.candidate_requests) == (answered.count("stable"), answered.count("candidate"))
    assert look.share == answered.count("candidate") / 200


async def test_a_candidate_that_is_killed_is_convicted_though_every_client_gets_an_answer(pods: Pods) -> None:
    await following(pods)
    async with watching.scene(pod_port=metrics_port(pods)) as there:
        asked = question()
        await there.look(asked, lambda one: bool(one.slots))
        async with pods.used():
            pods.candidate.process.send_signal(signal.SIGKILL)
            look = await there.look(asked, lambda one: one.failed)
    assert pods.failures == []
    assert set(pods.revisions) == {"stable"}
    assert look.reason == "ErrorsRegressed"
    assert "unreachable" in look.message
    assert "requests in the candidate's place" in look.message


async def test_answers_to_copies_are_compared_before_anybody_gets_one(pods: Pods) -> None:
    """Both pods have the same model, so nothing differs."""
    await following(pods, weight=0, shadow=100)
    async with watching.scene(pod_port=metrics_port(pods)) as there:
        asked = question(shadow=True)
        analysis = msgspec.structs.replace(asked.analysis, disagreement=Disagreement(max=Ratio.parse("20%")))
        asked = msgspec.structs.replace(asked, analysis=analysis)
        await there.look(asked, lambda one: bool(one.slots))
        replies = []
        for _ in range(6):  # no more at once than may wait for a candidate that is behind
            replies += await ask(pods, 50)
            await until(functools.partial(copied, pods, len(replies)))
        look = await there.look(asked, lambda one: one.candidate_requests >= 290)
    assert {reply.who for reply in replies} == {"stable"}
    assert (look.outcome, look.share, look.shift) == ("Pass", 0, "")
    rows = next(metric for metric in look.metrics if metric.name == "disagreement")
    assert rows.candidate.events == 0
    assert rows.candidate.requests >= 290
