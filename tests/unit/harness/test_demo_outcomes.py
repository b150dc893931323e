"""What the demo calls wrong."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from tests.cluster import watching
from tests.cluster.demo import outcomes
from tests.cluster.demo.scenarios import LEARNED_ANEW, SCENARIOS

from seatrial.api import status

SINCE = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
BEFORE = watching.Books(sent=1000, ok=990, model_errors=7, lost=3)
FAILING = SCENARIOS[2]


def sight(version: str, verdict: str, reason: str, *, serving: str, **books: Any) -> watching.Sight:
    """At the end of a version's way."""
    judged = status.Verdict(
        revision="r",
        model_version=version,
        sha256="f" * 64,
        verdict=status.VerdictKind(verdict),
        reason=status.Reason(reason),
        at=SINCE,
    )
    stable = status.Stable(revision="s", model_version=serving, sha256="e" * 64, since=SINCE)
    counted = {"sent": 2000, "ok": 1990, "model_errors": 7, "lost": 3, **books}
    return watching.Sight(
        generation=1, status=status.Status(stable=stable, verdicts=(judged,)), books=watching.Books(**counted)
    )


def wrongs(seen: watching.Sight) -> tuple[str, ...]:
    return outcomes.of_rollout(FAILING, seen, BEFORE, shares="").wrongs


def test_a_bad_version_that_was_rejected_for_one_of_its_reasons_and_cost_nobody_an_answer_is_as_it_must_be():
    assert wrongs(sight("3", "Rejected", "ShadowFailed", serving="2")) == ()


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (sight("3", "Promoted", "Promoted", serving="3"), ["expected Rejected", "version 2 should serve"]),
        (sight("3", "Rejected", "ShadowFailed", serving="2", model_errors=9), ["users saw 2 failed answers"]),
        (sight("3", "Rejected", "ShadowFailed", serving="2", shed=1), ["users saw 1 failed answers"]),
        (sight("3", "Rejected", "ShadowFailed", serving="2", lost=4), ["requests were lost"]),
    ],
    ids=["promoted", "failed answers", "shed", "lost"],
)
def test_each_thing_that_must_not_be_is_said(seen: watching.Sight, words: list[str]):
    found = wrongs(seen)
    assert len(found) == len(words)
    assert all(one in text for one, text in zip(words, found, strict=True))


def test_a_trained_version_is_wrong_where_something_else_went_wrong_on_its_way():
    seen = sight("8", "Promoted", "Promoted", serving="8")
    done = outcomes.of_rollout(LEARNED_ANEW, seen, BEFORE, shares="50% / 49.8%", also=("spec was written",))
    assert done.wrongs == ("spec was written",)
    assert done.row()[:3] == ["v8 learned anew, as traffic drifted", "Promoted (Promoted)", done.seen + "  << WRONG"]
