"""The relay over gRPC: the same promises as over REST."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from tests.contract.server import process
from tests.contract.server.pair import CANDIDATE, STABLE, TOKEN, Ported, assignment, pair

from seatrial_server.protocol.rpc import messages
from seatrial_server.relay import targets

KNOWN = messages.Messages()
METHOD = f"/{messages.SERVICE}/ModelInfer"


class Client:
    """One channel of a client."""

    def __init__(self, both: Ported, address: str = STABLE) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(f"{address}:{both.ports[1]}", options=options)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def ask(self, number: float, *, seconds: int = 0, **metadata: str) -> tuple[float, dict[str, Any]]:
        """The model's answer, within so many seconds, and the trailing metadata. Raises `AioRpcError`."""
        version = metadata.pop("x_version", "")
        message = KNOWN.request["ModelInfer"](model_name="m", model_version=version, id=metadata.get("x_id", ""))
        message.inputs.add(name="x", datatype="FP32", shape=[1, 1])
        message.raw_input_contents.append(np.array([number], np.float32).tobytes())
        if seconds:
            message.parameters["timeout"].int64_param = seconds * 1_000_000
        return await self.send(message.SerializeToString(), **metadata)

    async def answer(self, content: bytes) -> Any:
        """The whole message."""
        return KNOWN.response["ModelInfer"].FromString(
            await self._channel.unary_unary(METHOD)(content, timeout=process.DEADLINE)
        )

    async def send(self, content: bytes, **metadata: str) -> tuple[float, dict[str, Any]]:
        given = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        call = self._channel.unary_unary(METHOD)(content, metadata=given, timeout=process.DEADLINE)
        answer = KNOWN.response["ModelInfer"].FromString(await call)
        trailers = dict(await call.trailing_metadata() or ())
        return float(np.frombuffer(answer.raw_output_contents[0], np.float32)[0]), trailers


async def test_a_relayed_call_is_answered_by_the_candidate() -> None:
    async with pair(rpc=True) as both, Client(both) as client:
        assert await client.ask(1) == (2, {"seatrial-revision": "stable"})
        both.assign()
        assert await client.ask(7) == (21, {"seatrial-revision": "candidate"})
        assert both.stable.relayed() == {("ok", False): 1}
        assert (both.stable.answered, both.candidate.answered) == (1, 1)


async def test_the_share_holds_over_grpc_as_well() -> None:
    async with pair(rpc=True, draw=random.Random(4).random) as both, Client(both) as client:
        both.assign(weight=50)
        answers = []
        for first in range(0, 400, 40):
            answers += await asyncio.gather(*(client.ask(number) for number in range(first, first + 40)))
        for number, (answer, trailers) in enumerate(answers):
            assert answer == (3 if trailers["seatrial-revision"] == "candidate" else 2) * number
        relayed = sum(trailers["seatrial-revision"] == "candidate" for _, trailers in answers)
        assert abs(relayed - 200) <= 3 * 10
        assert both.stable.relayed() == {("ok", False): relayed}


async def test_a_dead_candidate_costs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "REST_SECONDS", 100.0)  # it is not tried again while this machine is slow
    async with pair(rpc=True) as both, Client(both) as client:
        both.assign(to=["127.0.0.9"])
        for number in range(10):
            assert await client.ask(number) == (
                2 * number,
                {"seatrial-revision": "stable", "seatrial-covered": "candidate"},
            )
        counts = both.stable.relayed()
        assert (sum(counts.values()), counts["unreachable", True]) == (10, 5)


async def test_a_candidate_that_accepts_and_says_nothing_is_late() -> None:
    async with pair(rpc=True) as both, Client(both) as client:
        with socket.create_server(("127.0.0.9", both.ports[1])):
            both.assign(to=["127.0.0.9"], coverAfter=0.1)
            assert (await client.ask(1))[0] == 2
        assert both.stable.relayed() == {("late", True): 1}


async def test_another_revisions_pod_gets_no_call() -> None:
    async with pair(rpc=True) as both, Client(both) as client:
        both.assign(revision="third")
        assert (await client.ask(1))[1]["seatrial-covered"] == "third"
        assert both.candidate.answered == 0


async def test_a_call_that_is_none_is_answered_here() -> None:
    async with pair(rpc=True) as both, Client(both) as client:
        both.assign()
        for content in (b"\xff\xff", KNOWN.request["ModelInfer"](model_name="m").SerializeToString()):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.send(content)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert dict(caught.value.trailing_metadata())["seatrial-revision"] == "stable"
        assert both.candidate.answered == 0


async def test_a_call_is_relayed_once_and_only_a_pods_word_for_that_is_believed() -> None:
    async with pair(rpc=True) as both, Client(both) as client, Client(both, CANDIDATE) as other:
        both.assign()
        both.candidate.relay.following.take(assignment(revision="stable", to=[STABLE]))
        assert (await client.ask(1))[1]["seatrial-revision"] == "candidate"
        assert (await other.ask(1))[1]["seatrial-revision"] == "stable"
        assert (await client.ask(1, seatrial_relayed="stable x"))[1]["seatrial-revision"] == "candidate"
        assert (await client.ask(1, seatrial_relayed=f"stable {TOKEN}"))[1]["seatrial-revision"] == "stable"


async def test_a_header_decides_over_grpc_as_over_rest() -> None:
    async with pair(rpc=True) as both, Client(both) as client:
        both.assign(weight=50, sticky="x-user")
        for user in map(str, range(20)):
            found = {(await client.ask(1, x_user=user))[1]["seatrial-revision"] for _ in range(3)}
            assert len(found) == 1
