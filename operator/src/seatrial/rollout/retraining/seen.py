"""Facts that retraining rests on: the CronJob that is the template, the training Jobs, and what alarms."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable and keyword-only."""


class Template(Fact, frozen=True, kw_only=True):
    """The CronJob that `spec.retraining.cronJob` names.

    Attributes:
        trouble: why no Job can be made from it, in words; "" where one can.
        sha256: of its jobTemplate.
    """

    job: Mapping[str, Any] = {}
    sha256: str = ""
    trouble: str = ""


class JobState(enum.StrEnum):
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Job(Fact, frozen=True, kw_only=True):
    """One training Job of ours.

    Attributes:
        number: of its run.
        base: digest of the spec.model that it was made for.
        message: the termination message of its first container, once it succeeded.
        trouble: why it failed, or what keeps it, in words.
    """

    number: int
    name: str
    uid: str
    state: JobState
    base: str = ""
    trigger: str = ""
    created_at: datetime
    ended_at: datetime | None = None
    message: str = ""
    trouble: str = ""


class Alarm(Fact, frozen=True, kw_only=True):
    """What monitoring says of the version that serves.

    Attributes:
        columns: that have drifted, strongest first.
        invalid: columns with missing, outside or unseen rows; bad data, nothing to learn from.
        since: since when, by column; and by the name of quality, where that has dropped.
        blind: why it can't be seen now; "" where it can.
        words: the alarm about columns as people are told it.
        dropped: the same about quality; "" while there is none.
        start, end: of the rows that it is about.
        report: what is known of it, as JSON, for the run.
    """

    columns: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    since: Mapping[str, datetime] = {}
    blind: str = ""
    words: str = ""
    dropped: str = ""
    start: datetime | None = None
    end: datetime | None = None
    report: str = "{}"


class Seen(Fact, frozen=True, kw_only=True):
    """Everything beside status.

    Attributes:
        template: None while nobody needs it.
        refused: why the API server refused the present run's Job in the last pass.
    """

    template: Template | None = None
    jobs: tuple[Job, ...] = ()
    refused: str = ""
    alarm: Alarm = Alarm()

    def job(self, number: int) -> Job | None:
        return next((one for one in self.jobs if one.number == number), None)
