"""Tokens of answers, and what may come back for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from prometheus_client import parser

from seatrial_server.feedback import codes, collecting, keys, tokens
from seatrial_server.host import errors
from seatrial_server.model import schema
from seatrial_server.observe import cohorts

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
NOON = 1_800_000_000
SCORES = schema.Schema(
    inputs=(schema.TensorSpec("x", "FP32", (-1, 1)),), outputs=(schema.TensorSpec("p", "FP32", (-1, 3)),)
)
NUMBERS = schema.Schema(inputs=SCORES.inputs, outputs=(schema.TensorSpec("y", "FP32", (-1, 1)),))
TEXTS = schema.Schema(inputs=SCORES.inputs, outputs=(schema.TensorSpec("label", "BYTES", (-1,)),))
WHOLE = schema.Schema(inputs=SCORES.inputs, outputs=(schema.TensorSpec("label", "INT64", (-1,)),))
NAMED = schema.Card(task="classification", labels=("stay", "leave", "grow"))
NUMBER = schema.Card(task="regression")


class Pod:
    """One process, whose clock stands."""

    def __init__(
        self,
        revision: str = "one",
        *,
        deployment: str = "shop/churn",
        key: bytes = KEY,
        card: schema.Card = NAMED,
        model: schema.Schema = SCORES,
        **settings: Any,
    ) -> None:
        self.now = float(NOON)
        self.own = collecting.Collecting(
            codes.Coder(card, model), deployment=deployment, revision=revision, nonce=0, now=lambda: self.now
        )
        given = {"horizon_seconds": 3600, "events": ("converted",), "value_cap": 1000.0, "within": 0.5, **settings}
        self.own.follow(collecting.Settings(**given))
        self.own.use([key])

    def answer(self, *scores: list[float]) -> str:
        return self.own.token([np.array(scores or [[0.1, 0.8, 0.1]], np.float32)], len(scores) or 1)

    def back(self, *entries: Any) -> list[str]:
        """Why each was refused; nothing of those that count."""
        taken = self.own.take(json.dumps({"feedback": list(entries)}).encode())
        assert taken["accepted"] + len(taken["refused"]) == len(entries)
        reasons = {one["index"]: one["reason"] for one in taken["refused"]}
        return [reasons.get(place, "") for place in range(len(entries))]

    def counted(self, name: str, **labels: str) -> float:
        """The sum over all series with these labels."""
        text = self.own.exposition('deployment="churn"')
        return sum(
            sample.value
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"seatrial_{name}" and labels.items() <= sample.labels.items()
        )


def test_a_label_is_counted_for_the_revision_that_answered_and_the_time_of_the_request() -> None:
    pod = Pod()
    token = pod.answer()
    pod.now += 600
    assert pod.back({"token": token, "label": "leave"}, {"token": pod.answer(), "label": "stay"}) == ["", ""]
    then, now = str(NOON // 150 % 32), str((NOON + 600) // 150 % 32)
    assert pod.counted("feedback_rows_total", answered_by="one", outcome="right", cohort=then) == 1
    assert pod.counted("feedback_rows_total", answered_by="one", outcome="wrong", cohort=now) == 1
    assert pod.counted("cohort_rows_total", cohort=then) == 1
    assert pod.counted("feedback_confusion_total", predicted="leave", actual="stay") == 1


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda token: "", "BadToken"),
        (lambda token: "AQ" + "A" * 40, "BadToken"),
        (lambda token: token[:-1], "BadToken"),
        (lambda token: token[:30] + ("A" if token[30] != "A" else "B") + token[31:], "BadToken"),
        (lambda token: "zéro", "BadToken"),
        (lambda token: token + "AAAA", "BadToken"),
        (lambda token: "A" * 5000, "BadEntry"),
        (lambda token: 7, "BadEntry"),
        (lambda token: None, "BadEntry"),
    ],
    ids=["empty", "invented", "cut", "one letter", "no base64", "longer", "long", "number", "null"],
)
def test_what_is_no_token_of_ours_counts_nothing(spoil: Any, reason: str) -> None:
    pod = Pod()
    assert pod.back({"token": spoil(pod.answer()), "label": "stay"}) == [reason]
    assert pod.counted("feedback_rows_total") == 0
    assert pod.counted("feedback_refused_total", reason=reason) == 1


@hypothesis.given(place=st.integers(0, 42), letter=st.sampled_from("ABCXYZabcxyz019-_"))
def test_no_letter_of_a_token_can_be_changed_not_even_in_its_nonce(place: int, letter: str) -> None:
    pod = Pod()
    token = pod.answer()
    forged = token[:place] + letter + token[place + 1 :]
    hypothesis.assume(forged != token and place < len(token))
    same = pod.own._signer is not None and pod.own._signer.read(forged) == pod.own._signer.read(token)
    assert same or pod.back({"token": forged, "events": ["converted"]}) == ["BadToken"]


def test_a_token_of_another_deployment_is_refused_even_where_the_key_was_copied() -> None:
    assert Pod().back({"token": Pod(deployment="shop/fraud").answer(), "label": "stay"}) == ["BadToken"]
    assert Pod().back({"token": Pod(key=OTHER_KEY).answer(), "label": "stay"}) == ["BadToken"]


def test_a_replay_is_refused_and_each_part_counts_once() -> None:
    pod = Pod()
    token = pod.answer()
    assert pod.back({"token": token, "label": 1}, {"token": token, "label": 1}) == ["", "Duplicate"]
    assert pod.back({"token": token, "events": ["converted"]}) == [""]
    assert pod.back({"token": token, "events": ["converted"]}, {"token": token, "label": 0}) == ["Duplicate"] * 2
    assert pod.back({"token": pod.answer(), "events": ["converted", "converted"]}) == ["Duplicate"]
    assert pod.counted("feedback_rows_total") == pod.counted("feedback_events_total") == 1


def test_a_label_that_comes_after_the_horizon_is_late_and_one_before_it_is_not() -> None:
    pod = Pod()
    early, late = pod.answer(), pod.answer()
    pod.now += 3600
    assert pod.back({"token": early, "label": 1}) == [""]
    pod.now += 1
    assert pod.back({"token": late, "label": 1}) == ["Late"]


def test_a_token_from_a_clock_that_is_far_ahead_is_refused() -> None:
    pod, ahead = Pod(), Pod()
    ahead.now += 30
    assert pod.back({"token": ahead.answer(), "label": 1}) == [""]
    ahead.now += 3600
    assert pod.back({"token": ahead.answer(), "label": 1}) == ["BadToken"]


def test_a_cohort_that_comes_round_again_begins_at_zero() -> None:
    pod = Pod()
    pod.back({"token": pod.answer(), "label": 1, "value": 3.0})
    pod.now += 32 * 150
    assert pod.counted("cohort_rows_total") == pod.counted("feedback_rows_total") == 0
    assert pod.counted("feedback_value_total") == 0


@pytest.mark.parametrize(
    ("card", "model", "scores", "good", "bad"),
    [
        (NAMED, SCORES, [[0, 1, 0]], ["leave", 1, 1.0, "stay", 2], ["Leave", 3, -1, [1], {}, 0.5, float("nan")]),
        (schema.Card(), SCORES, [[0, 1, 0]], [1, 0, 7, True], ["1", "leave", 1.5, [], float("inf")]),
        (NUMBER, NUMBERS, [[2.0]], [2, 2.4, -1e9], ["2", True, [2], float("nan"), float("-inf"), 10**400]),
    ],
    ids=["named classes", "whole numbers", "numbers"],
)
def test_labels_of_the_wrong_type_are_refused_each_by_itself(
    card: schema.Card, model: schema.Schema, scores: list[list[float]], good: list[Any], bad: list[Any]
) -> None:
    pod = Pod(card=card, model=model)
    for label in good:
        assert pod.back({"token": pod.answer(*scores), "label": label}) == [""]
    for label in bad:
        assert pod.back({"token": pod.answer(*scores), "label": label}) == ["BadLabel"]
    assert pod.counted("feedback_rows_total", outcome="right") >= 1
    assert pod.counted("feedback_rows_total") == len(good)


@pytest.mark.parametrize(
    ("model", "answer", "right", "wrong", "unfit"),
    [
        (TEXTS, np.array([b"ja", b"nein"], np.object_), "ja", "nein", 1),
        (TEXTS, np.array(["ja", "nein"], np.object_), "ja", "ja ", True),
        (WHOLE, np.array([-3, 9], np.int64), -3, 3, "3"),
    ],
    ids=["texts as bytes", "texts", "labels below zero"],
)
def test_models_that_answer_labels_are_compared_with_labels(
    model: schema.Schema, answer: Any, right: Any, wrong: Any, unfit: Any
) -> None:
    pod = Pod(card=schema.Card(), model=model)
    for label, outcome in ((right, "right"), (wrong, "wrong")):
        assert pod.back({"token": pod.own.token([answer], 2), "label": label}) == [""]
        assert pod.counted("feedback_rows_total", outcome=outcome) == 1
    assert pod.back({"token": pod.own.token([answer], 2), "row": 1, "label": unfit}) == ["BadLabel"]


def test_rows_of_one_answer_are_labelled_one_by_one() -> None:
    pod = Pod()
    token = pod.answer([1, 0, 0], [0, 1, 0])
    entries = [{"token": token, "row": 0, "label": 0}, {"token": token, "row": 1, "label": 1}]
    assert pod.back(*entries, {"token": token, "row": 2, "label": 0}) == ["", "", "BadEntry"]
    assert pod.counted("feedback_rows_total", outcome="right") == 2
    assert pod.counted("cohort_rows_total") == 2
    assert pod.answer(*[[1, 0, 0]] * 33) == "", "an answer with more rows has none"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"events": ["bought"]}, "UnknownEvent"),
        ({"events": []}, "BadEntry"),
        ({}, "BadEntry"),
        ({"label": None}, "BadEntry"),
        ({"value": -1}, "BadEntry"),
        ({"value": float("nan")}, "BadEntry"),
        ({"value": "12"}, "BadEntry"),
        ({"row": -1, "label": 1}, "BadEntry"),
        ({"row": 1.5, "label": 1}, "BadEntry"),
        ({"label": 1, "labels": 2}, "BadEntry"),
    ],
    ids=str,
)
def test_an_entry_that_says_nothing_or_too_much_is_refused_and_its_neighbours_count(entry: Any, reason: str) -> None:
    pod = Pod()
    assert pod.back({"token": pod.answer(), "label": 1}, {"token": pod.answer(), **entry}) == ["", reason]


@pytest.mark.parametrize("entry", [7, "x", None, [], True], ids=repr)
def test_what_is_no_object_is_no_entry(entry: Any) -> None:
    assert Pod().back(entry) == ["BadEntry"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"feedback": {}}', 400),
        (b'{"feedback": [], "more": 1}', 400),
        (b"\xff", 400),
        (b'{"feedback": ' + b"[" * 100_000, 400),
        (json.dumps({"feedback": [{}] * 10_000}).encode(), 413),
        (b" " * (1024 * 1024 + 1), 413),
    ],
    ids=["empty", "cut", "array", "no list", "object", "more", "no text", "deep", "10,000 entries", "too long"],
)
def test_a_document_that_is_none_is_refused_as_a_whole(body: bytes, status: int) -> None:
    with pytest.raises(errors.RequestError) as refused:
        Pod().own.take(body)
    assert refused.value.status == status


def test_values_are_capped_and_their_squares_are_there_for_an_interval() -> None:
    pod = Pod()
    assert pod.back({"token": pod.answer(), "value": 20}, {"token": pod.answer(), "value": 1e300}) == ["", ""]
    assert pod.counted("feedback_value_total") == 1020
    assert pod.counted("feedback_value_squared_total") == 400 + 1_000_000


def test_any_pod_counts_what_another_has_answered_also_after_a_restart_or_a_promotion() -> None:
    before, stable, candidate = Pod("before"), Pod("stable"), Pod("candidate")
    old, own, new = before.answer(), stable.answer(), candidate.answer()
    again = Pod("stable")
    assert again.back(*({"token": token, "label": 1} for token in (own, old, new))) == [""] * 3
    assert again.counted("feedback_rows_total", answered_by="stable") == 1
    assert again.counted("feedback_rows_total", answered_by="candidate") == 0, "the other is the one that came first"
    candidate.now += 60
    again.now += 60
    assert again.back({"token": candidate.answer(), "label": 1}, {"token": before.answer(), "label": 1}) == [""] * 2
    assert again.counted("feedback_rows_total", answered_by="candidate") == 1, "its answers are newer"
    assert again.counted("feedback_rows_total", answered_by="other") == 2


def test_series_are_bounded_whatever_comes() -> None:
    pod = Pod(events=tuple("abcd"))
    for number in range(50):
        other = Pod(f"r{number}", events=tuple("abcd"))
        other.now += number
        pod.back({"token": other.answer(), "label": 1, "events": ["a", "b"], "value": 1})
    lines = [line for line in pod.own.exposition("").splitlines() if not line.startswith("#")]
    assert len(lines) <= 32 * (1 + 3 * (2 + 4 + 2)) + 3 * 9 + 1 + len(cohorts.REASONS)


def test_memory_of_what_was_said_is_bounded() -> None:
    pod = Pod(horizon_seconds=30 * 86_400)
    for _ in range(70):
        pod.back(*({"token": pod.answer(), "label": 1} for _ in range(1000)))
    assert len(pod.own._given) == 65_536


def test_a_key_that_was_renewed_is_accepted_as_the_previous_one_and_refused_when_that_is_gone() -> None:
    pod = Pod()
    first, second = pod.answer(), pod.answer()
    pod.own.use([OTHER_KEY, KEY])
    assert pod.back({"token": first, "label": 1}, {"token": pod.answer(), "label": 1}) == ["", ""]
    pod.own.use([OTHER_KEY])
    assert pod.back({"token": second, "label": 1}) == ["BadToken"]


def test_without_settings_or_a_key_no_answer_has_a_token() -> None:
    pod = Pod()
    pod.own.use([])
    assert (pod.own.on, pod.own.wants(True), pod.answer()) == (False, False, "")
    with pytest.raises(errors.RequestError, match="no key"):
        pod.back()
    pod.own.use([KEY])
    pod.own.follow(collecting.Settings())
    assert (pod.own.on, pod.own.exposition("")) == (False, "")
    with pytest.raises(errors.RequestError, match="not switched on"):
        pod.back()
    pod.own.use([b"short"])
    assert not pod.own.on


@pytest.mark.parametrize(
    ("card", "model", "answers"),
    [
        pytest.param(NAMED, SCORES, [[[0.1, 0.8, 0.1]] * 40, [[0.9, 0, 0.1], [0.1, 0.8, 0.1]] * 20], id="classes"),
        pytest.param(NUMBER, NUMBERS, [[[7.0]] * 40, [[float(number)] for number in range(40)]], id="numbers"),
        pytest.param(schema.Card(), WHOLE, [np.arange(3000), np.arange(3000)], id="many codes"),
    ],
)
def test_answers_of_one_turn_have_tokens_of_their_own_and_each_says_what_was_answered(
    card: schema.Card, model: schema.Schema, answers: list[Any]
) -> None:
    pod, dtype = Pod(card=card, model=model), np.int64 if model is WHOLE else np.float32
    given: list[tuple[str, Any]] = []
    for turn in answers:
        rows = np.array(turn, dtype)
        for mark in pod.own.marks([rows], [True] * len(rows)):
            row = rows[len(given) % len(rows)]
            token = json.loads(b"{%b}" % mark[1:])["parameters"]["feedback"]
            given.append((token, int(row.argmax()) if card is NAMED else row.reshape(-1)[0].item()))
        pod.now += 0.5
    assert len({token for token, _ in given}) == len(given)
    for token, label in given[::7]:
        assert pod.back({"token": token, "label": label}) == [""]
    assert pod.counted("feedback_rows_total", outcome="wrong") == 0


@hypothesis.given(
    st.integers(0, 43), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
)
def test_no_letter_of_a_token_that_shares_its_hash_can_be_changed(place: int, letter: str) -> None:
    signer = tokens.Signer([KEY], deployment="shop/churn", revision="abcde12345", nonce=0)
    codes_of_a_turn = bytes(tokens.CODE * 9)
    written = {text.decode() for text in signer.in_turn(NOON, codes_of_a_turn)}
    assert len(written) == 9
    assert all(signer.read(text) is not None for text in written)
    for text in sorted(written):
        changed = text[:place] + letter + text[place + 1 :]
        assert changed in written or signer.read(changed) is None


def test_keys_are_found_when_the_secret_comes_later_and_when_it_is_renewed(tmp_path: Path) -> None:
    found: list[list[bytes]] = []
    watched = keys.Keys(tmp_path / "keys", lambda some: found.append(list(some)))
    watched.look()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "key").write_bytes(KEY)
    watched.look()
    (tmp_path / "keys" / "previous").write_bytes(KEY)
    (tmp_path / "keys" / "key").write_bytes(OTHER_KEY + b"2")
    watched.look()
    watched.look()
    (tmp_path / "keys" / "key").unlink()
    watched.look()
    assert found == [[KEY], [OTHER_KEY + b"2", KEY], []]


def test_a_token_is_short_enough_for_a_column_of_a_table() -> None:
    assert len(Pod("abcde12345").answer()) <= 48
    assert len(Pod("abcde12345").answer(*[[1, 0, 0]] * 32)) < tokens._MAX_TEXT
