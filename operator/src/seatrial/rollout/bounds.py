"""What text from outside may cost: status is written by the operator, but its words come from pods, models and people.

The API server refuses a status that breaks its schema, and with it every decision in it. So each text is cut where it
enters, and the whole is kept under a limit by giving up the least useful words first. Says nothing about meaning.
"""

from __future__ import annotations

import msgspec

from seatrial.api.status import Status, TrialStatus

LIMIT = 32 * 1024  # bytes of JSON
MESSAGE = 1000
SHORT = 200
TOKEN = 256  # of a command; there are seven
OLD_MESSAGE = 100
FEW_TESTS = 10


def cut(text: str, limit: int = MESSAGE) -> str:
    """At most `limit` bytes of JSON, without anything that a terminal would obey or that can't be written as UTF-8."""
    signs = "".join(sign if sign.isprintable() else " " for sign in text[: limit + 1])
    plain = signs.encode(errors="replace").decode()
    if len(text) <= limit and _bytes(plain) <= limit:
        return plain
    left = limit - len("…".encode())
    for place, sign in enumerate(plain):
        left -= _bytes(sign)
        if left < 0:
            return plain[:place] + "…"
    return plain


def _bytes(text: str) -> int:
    """Of JSON, without the quotes around it."""
    return len(text.encode()) + text.count('"') + text.count("\\")


def fitting(status: Status) -> Status:
    """The same status, if it isn't too long; else with less to read about the past."""
    for shorter in (_short_old_verdicts, _few_tests):
        if len(msgspec.json.encode(status)) <= LIMIT:
            break
        status = shorter(status)
    return status


def _short_old_verdicts(status: Status) -> Status:
    newest, old = status.verdicts[:1], status.verdicts[1:]
    short = (msgspec.structs.replace(one, message=cut(one.message, OLD_MESSAGE)) for one in old)
    return msgspec.structs.replace(status, verdicts=(*newest, *short))


def _few_tests(status: Status) -> Status:
    """Those that did not pass say more."""
    trial = status.trial
    if trial is None:
        return status
    telling = sorted(trial.tests, key=lambda one: one.outcome == "Pass")[:FEW_TESTS]
    fewer: TrialStatus = msgspec.structs.replace(trial, tests=tuple(telling))
    return msgspec.structs.replace(status, trial=fewer)
