"""What text from outside may cost: status is written by the operator, but its words come from pods, models and people.

The API server refuses a status that breaks its schema, and with it every decision in it. So each text is cut where it
enters, and the whole is kept under a limit by giving up the least useful words first. Says nothing about meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from seatrial.api.status import Status, TrialStatus
from seatrial.api.trained import Run

LIMIT = 32 * 1024  # bytes of JSON
MESSAGE = 1000
SHORT = 200
TOKEN = 256  # of a command
OLD_MESSAGE = 100
FEW_TESTS = 5
FEW_RUNS = 4
FEW_VERDICTS = 3  # what still follows from older ones is on the revisions' own records
FEW_WEIGHTS = 2
TIGHT = 200


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
    for shorter in _SHORTER:
        if len(msgspec.json.encode(status)) <= LIMIT:
            break
        status = shorter(status)
    return status


def _short_old_runs(status: Status) -> Status:
    """What is asked of an old run is which bytes it made, of which data."""
    return _with_runs(status, lambda runs: (*runs[:1], *(_short_run(one) for one in runs[1:])))


def _few_runs(status: Status) -> Status:
    return _with_runs(status, lambda runs: runs[:FEW_RUNS])


def _with_runs(status: Status, change: Callable[[tuple[Run, ...]], tuple[Run, ...]]) -> Status:
    if status.retraining is None:
        return status
    fewer = msgspec.structs.replace(status.retraining, runs=change(status.retraining.runs))
    return msgspec.structs.replace(status, retraining=fewer)


def _short_run(run: Run) -> Run:
    return msgspec.structs.replace(run, cause=(), job="", code="", message=cut(run.message, OLD_MESSAGE))


def _short_messages(status: Status) -> Status:
    """Of everything but the newest verdict and what Ready says."""
    conditions = (
        one if one.type == "Ready" else msgspec.structs.replace(one, message=cut(one.message, TIGHT))
        for one in status.conditions
    )
    parts: dict[str, Any] = {
        name: msgspec.structs.replace(part, message=cut(part.message, TIGHT))
        for name in ("analysis", "trial", "last_rollback", "retraining")
        if (part := getattr(status, name)) is not None
    }
    if (candidate := status.candidate) is not None and candidate.hold is not None:
        hold = msgspec.structs.replace(candidate.hold, message=cut(candidate.hold.message, TIGHT))
        parts["candidate"] = msgspec.structs.replace(candidate, hold=hold)
    trial = parts.get("trial")
    if trial is not None and trial.quantization is not None:
        reason = cut(trial.quantization.reason, TIGHT)
        quantization = msgspec.structs.replace(trial.quantization, reason=reason)
        parts["trial"] = msgspec.structs.replace(trial, quantization=quantization)
    return msgspec.structs.replace(status, conditions=tuple(conditions), **parts)


def _short_old_verdicts(status: Status) -> Status:
    newest, old = status.verdicts[:1], status.verdicts[1:]
    short = (msgspec.structs.replace(one, message=cut(one.message, OLD_MESSAGE)) for one in old)
    return msgspec.structs.replace(status, verdicts=(*newest, *short))


def _few_verdicts(status: Status) -> Status:
    return msgspec.structs.replace(status, verdicts=status.verdicts[:FEW_VERDICTS])


def _few_tests(status: Status) -> Status:
    """Those that did not pass say more."""
    trial = status.trial
    if trial is None:
        return status
    telling = sorted(trial.tests, key=lambda one: one.outcome == "Pass")[:FEW_TESTS]
    fewer: TrialStatus = msgspec.structs.replace(trial, tests=tuple(telling))
    return msgspec.structs.replace(status, trial=fewer)


def _strongest_drift(status: Status) -> Status:
    """The condition's sentence names the others."""
    if status.drift is None:
        return status
    return msgspec.structs.replace(
        status, drift=msgspec.structs.replace(status.drift, columns=status.drift.columns[:1])
    )


def _few_weights(status: Status) -> Status:
    """What a new process would know of labels of weights long past."""
    parts: dict[str, Any] = {
        name: msgspec.structs.replace(part, weighed=part.weighed[:FEW_WEIGHTS])
        for name in ("stable", "candidate")
        if (part := getattr(status, name)) is not None
    }
    return msgspec.structs.replace(status, **parts)


_SHORTER = (
    *(_short_old_runs, _short_old_verdicts, _few_tests, _short_messages, _few_runs, _strongest_drift, _few_weights),
    _few_verdicts,
)
