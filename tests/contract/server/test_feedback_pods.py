"""Tokens over real ports, through the relay, and what comes back to either pod."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from tests.contract.server.pair import MODELS, Pair, pair
from tests.contract.server.talking import Client, Reply, body, post, until
from tests.contract.server.test_relay_rpc import KNOWN
from tests.contract.server.test_relay_rpc import Client as RpcClient

from seatrial_server.feedback import codes, collecting
from seatrial_server.model import schema

KEY = b"k" * 32
ASKING = {"parameters": {"feedback": True}}


def of(revision: str, **settings: Any) -> collecting.Collecting:
    coder = codes.Coder(schema.Card(), MODELS[revision].schema)
    result = collecting.Collecting(coder, deployment="shop/churn", revision=revision, nonce=0)
    result.follow(collecting.Settings(horizon_seconds=3600, within=0.1, events=("sold",), **settings))
    result.use([KEY])
    return result


class Scene:
    """Both pods, and what they collect."""

    def __init__(self, both: Pair, own: dict[str, collecting.Collecting]) -> None:
        self.both, self.own = both, own

    async def ask(self, number: float, revision: str = "stable", **extra: Any) -> Reply:
        address = {"stable": "127.0.0.1", "candidate": "127.0.0.2"}[revision]
        client = await Client.connect(self.both.ports[0], address)
        try:
            return await client.ask(post(body(number, **extra)))
        finally:
            client.close()

    async def back(self, to: str, *entries: Any, model: str = "m") -> Reply:
        address = {"stable": "127.0.0.1", "candidate": "127.0.0.2"}[to]
        content = json.dumps({"feedback": list(entries)}).encode()
        client = await Client.connect(self.both.ports[0], address)
        try:
            return await client.ask(post(content).replace(b"/models/m/infer", f"/models/{model}/feedback".encode()))
        finally:
            client.close()

    def series(self, pod: str, name: str) -> dict[str, float]:
        """Those that are not zero."""
        lines = (line for line in self.own[pod].exposition("").splitlines() if line.startswith(f"seatrial_{name}{{"))
        found = {line.partition("{")[2].rpartition("}")[0]: float(line.rpartition(" ")[2]) for line in lines}
        return {labels: value for labels, value in found.items() if value}


@contextlib.asynccontextmanager
async def scene(*, rpc: bool = False, **settings: Any) -> AsyncIterator[Scene]:
    own = {name: of(name, **settings) for name in ("stable", "candidate")}
    async with pair(rpc=rpc, collecting=own.__getitem__) as both:
        yield Scene(both, own)


def token(reply: Reply) -> str:
    assert reply.document["parameters"]["revision"] == reply.who
    return str(reply.document["parameters"]["feedback"])


async def test_only_who_asks_gets_a_token_also_on_the_short_way() -> None:
    async with scene() as there:
        client = await Client.connect(there.both.ports[0])
        for number in range(6):
            plain, asked = post(body(number)), post(body(number, **ASKING))
            without, given = await client.ask(plain), await client.ask(asked)
            assert "parameters" not in without.document
            assert token(given)
            assert without.numbers == given.numbers == [2 * number]
        client.close()
        assert sum(there.series("stable", "cohort_rows_total").values()) == 6


async def test_every_answer_has_one_where_the_settings_say_always() -> None:
    async with scene(always=True) as there:
        tokens = {token(await there.ask(1)) for _ in range(5)}
        assert len(tokens) == 5, "no two are the same"


async def test_requests_that_arrive_together_get_tokens_of_their_own() -> None:
    async with scene() as there:
        replies = await asyncio.gather(*(there.ask(number, **ASKING) for number in range(20)))
        entries = [{"token": token(reply), "label": 2 * number} for number, reply in enumerate(replies)]
        taken = await there.back("candidate", *entries)
        assert (taken.status, taken.document) == (202, {"accepted": 20, "refused": []})
        counted = there.series("candidate", "feedback_rows_total")
        assert sum(counted.values()) == 20
        assert all('answered_by="stable",outcome="right"' in labels for labels in counted)


async def test_a_relayed_answer_has_the_token_of_who_answered() -> None:
    async with scene() as there:
        there.both.assign(weight=100)
        reply = await there.ask(7, **ASKING)
        assert (reply.who, reply.numbers) == ("candidate", [21])
        assert (await there.back("stable", {"token": token(reply), "label": 14})).document["accepted"] == 1
        [labels] = there.series("stable", "feedback_rows_total")
        assert 'answered_by="candidate",outcome="wrong"' in labels
        assert not there.series("stable", "cohort_rows_total")
        assert sum(there.series("candidate", "cohort_rows_total").values()) == 1


async def test_an_answer_in_the_candidates_place_has_stables_token() -> None:
    async with scene() as there:
        there.both.assign(weight=100, to=["127.0.0.9"])
        reply = await there.ask(7, **ASKING)
        assert (reply.who, reply.covered) == ("stable", "candidate")
        assert token(reply)
        assert sum(there.series("stable", "cohort_rows_total").values()) == 1


@pytest.mark.parametrize("always", [False, True])
async def test_copies_get_no_token_for_nobody_could_send_it_back(*, always: bool) -> None:
    async with scene(always=always) as there:
        there.both.assign(weight=0, shadow=100)
        client = await Client.connect(there.both.ports[0])
        for number in range(8):
            assert token(await client.ask(post(body(number, **ASKING))))
        client.close()
        await until(lambda: there.both.candidate.answered == 8)
        assert not there.series("candidate", "cohort_rows_total")


async def test_a_call_over_grpc_has_a_token_among_its_parameters() -> None:
    async with scene(rpc=True) as there, RpcClient(there.both) as client:
        message = KNOWN.request["ModelInfer"](model_name="m")
        message.inputs.add(name="x", datatype="FP32", shape=[1, 1])
        message.raw_input_contents.append(np.array([4], np.float32).tobytes())
        message.parameters["feedback"].bool_param = True
        for revision, factor in (("stable", 2), ("candidate", 3)):
            answer = await client.answer(message.SerializeToString())
            assert answer.parameters["revision"].string_param == revision
            entry = {"token": answer.parameters["feedback"].string_param, "label": 4 * factor}
            assert (await there.back("stable", entry)).document["accepted"] == 1
            there.both.assign()
        assert len(there.series("stable", "feedback_rows_total")) == 2


async def test_feedback_for_another_model_or_by_another_method_is_refused() -> None:
    async with scene() as there:
        assert (await there.back("stable", model="other")).status == 404
        client = await Client.connect(there.both.ports[0])
        reply = await client.ask(b"GET /v2/models/m/feedback HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (reply.status, reply.headers["allow"]) == (405, "POST")
        client.close()


async def test_a_wish_that_is_neither_true_nor_false_is_refused() -> None:
    async with scene() as there:
        reply = await there.ask(1, parameters={"feedback": "yes"})
        assert (reply.status, reply.document["code"]) == (400, "InvalidRequest")


async def test_ten_thousand_entries_at_once_are_too_many_and_the_port_stays_open() -> None:
    async with scene() as there:
        reply = await there.back("stable", *[{"token": "x", "label": 1}] * 10_000)
        assert reply.status == 413
        assert "10000 entries" in reply.document["error"]
        assert (await there.back("stable", *[{"token": "x", "label": 1}] * 1000)).status == 202


async def test_answers_are_given_without_a_token_while_feedback_is_off() -> None:
    async with scene() as there:
        there.own["stable"].follow(collecting.Settings())
        reply = await there.ask(1, **ASKING)
        assert (reply.status, reply.numbers) == (200, [2])
        assert "parameters" not in reply.document
        refused = await there.back("stable", {"token": "x", "label": 1})
        assert (refused.status, refused.document["code"]) == (409, "FeedbackOff")
