"""How a relayed request ended at the candidate, as it is counted. Pure."""

from __future__ import annotations

from typing import Protocol

import msgspec

from seatrial_server.host import errors
from seatrial_server.observe.relayed import Outcome

_OVERLOADED = (429, 503)


class Failure(msgspec.Struct, frozen=True):
    """The candidate gave no answer that could be passed on."""

    outcome: Outcome
    why: str


NOT_TRIED = Failure("shed", "as much is on its way as may be, or every pod of the candidate rests")


class Answered(Protocol):
    """An answer over one of the transports; both speak in HTTP's statuses here."""

    @property
    def status(self) -> int:
        """Of HTTP."""

    @property
    def degraded(self) -> bool:
        """Whether the candidate says that it is not the model's own."""


class Ended(msgspec.Struct, frozen=True):
    """`passes`: the client gets what came of it; otherwise somebody has to answer in the candidate's place."""

    outcome: Outcome
    passes: bool


def ended(result: Answered | Failure, *, cover: bool) -> Ended:
    """What became of a request. One that was not even tried is answered here, cover or not."""
    if isinstance(result, Failure):
        return Ended(result.outcome, passes=not cover and result.outcome != "shed")
    good = 200 <= result.status < 300
    return Ended(of_answer(result), passes=good or not cover)


def of_answer(answer: Answered) -> Outcome:
    """What is counted of an answer that came."""
    if 200 <= answer.status < 300:
        return "degraded" if answer.degraded else "ok"
    if answer.status in _OVERLOADED:
        return "shed"
    return "rejected" if 400 <= answer.status < 500 else "error"


def unanswered(failure: Failure) -> errors.RequestError:
    """What the client is told where nobody answers in the candidate's place. Not where its pods are."""
    if failure.outcome == "late":
        return errors.RequestError(504, "the candidate did not answer in time", code="CandidateLate", outcome="error")
    return errors.RequestError(503, "the candidate could not be reached", code="CandidateUnreachable", outcome="error")
