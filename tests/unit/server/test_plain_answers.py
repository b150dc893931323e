"""Whole answers made of kept heads: lengths, ids and header lines are those of each answer."""

from __future__ import annotations

import json

import pytest

from seatrial_server.protocol import tracing
from seatrial_server.protocol.http import exchange, heads, plain_answers

START = b'{"model_name":"100%d of %b","id":'


class Rider:
    def __init__(self) -> None:
        self.answer = b""

    def reply(self, answer: bytes) -> None:
        self.answer = answer

    def exchange(self, head: exchange.Head, data: bytes, begin: int, started: float) -> exchange.Exchange:
        raise AssertionError

    def abort(self) -> None:
        raise AssertionError


def ride(given: bytes = b"") -> tuple[Rider, exchange.Ride]:
    rider = Rider()
    return rider, (rider, heads.NONE, b"", 0, given)


def read(answer: bytes) -> tuple[dict[bytes, bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert int(lines[b"Content-Length"]) == len(body)
    return lines, body


@pytest.mark.parametrize("given", [b"", b"a", b"100%", b"%d%b%s"], ids=repr)
@pytest.mark.parametrize("size", [0, 1, 9, 99, 1000])
def test_an_answer_has_its_own_length_and_id_whatever_stands_in_it(given: bytes, size: int) -> None:
    answers = plain_answers.Answers(START, tracing.RequestIds())
    answers.renew(b"Date: today\r\nseatrial-revision: 5%d\r\n")
    (first, one), (second, two) = ride(given), ride(given)
    text = b',"outputs":[%b]}' % b",".join([b"1"] * size)
    answers.send([one, two], [text, text])
    found = [read(rider.answer) for rider in (first, second)]
    assert [lines[b"seatrial-revision"] for lines, _ in found] == [b"5%d"] * 2
    documents = [json.loads(body) for _, body in found]
    assert [document["model_name"] for document in documents] == ["100%d of %b"] * 2
    assert [len(document["outputs"]) for document in documents] == [size] * 2
    ids = {document["id"] for document in documents}
    assert ids == {given.decode()} if given else len(ids) == 2


@pytest.mark.parametrize("given", [b"", b"%d"], ids=repr)
def test_a_binary_part_follows_the_json_whose_length_is_said(given: bytes) -> None:
    answers = plain_answers.Answers(START, tracing.RequestIds())
    rider, one = ride(given)
    answers.send_binary([one], [b',"outputs":[]}'], [b"\x00%d\xff"])
    lines, body = read(rider.answer)
    length = int(lines[b"Inference-Header-Content-Length"])
    assert (json.loads(body[:length])["outputs"], body[length:]) == ([], b"\x00%d\xff")


def test_kept_heads_have_the_lines_of_the_last_renewal() -> None:
    answers = plain_answers.Answers(START, tracing.RequestIds())
    dates = []
    for date in (b"one", b"two"):
        answers.renew(b"Date: %b\r\n" % date)
        rider, one = ride()
        answers.send([one], [b',"outputs":[]}'])
        dates.append(read(rider.answer)[0][b"Date"])
    assert dates == [b"one", b"two"]
