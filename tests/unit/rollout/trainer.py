"""The part of the small world that trains: the CronJob, the Jobs made from it, and the alarm that asks for a run.

A run takes `takes` steps; what it says at its end follows from its number, as `result` tells.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

import msgspec

from seatrial.api.status import Status
from seatrial.rollout import facts, names
from seatrial.rollout.retraining import seen

CONTAINER = {"name": "train", "image": "registry.example.com/churn-train:3", "env": [{"name": "LEVEL", "value": "1"}]}
JOB_TEMPLATE = {
    "metadata": {"labels": {"team": "shop"}},
    "spec": {
        "backoffLimit": 1,
        "activeDeadlineSeconds": 86400,
        "template": {
            "metadata": {"labels": {"team": "shop"}},
            "spec": {"restartPolicy": "Never", "serviceAccountName": "trainer", "containers": [CONTAINER]},
        },
    },
}
TEMPLATE = seen.Template(job=JOB_TEMPLATE, sha256="7e" * 32)
PREFIX = "oci://registry.example.com/churn"


def message(version: str, **changes: object) -> str:
    """A result; its digest follows from the version, as in the specs of the small world."""
    made = {"uri": f"{PREFIX}:{version}", "sha256": (version * 64)[:64], "version": version, **changes}
    return json.dumps({key: value for key, value in made.items() if value is not None})


def eight_and_on(number: int) -> str:
    """Run 1 makes version a, run 2 version b: digests are hexadecimal."""
    return message("abcdef"[(number - 1) % 6])


class Trainer:
    """What there is to train with."""

    def __init__(self) -> None:
        self.template = TEMPLATE
        self.alarm = seen.Alarm()
        self.jobs: dict[int, seen.Job] = {}
        self.made: list[dict] = []  # every Job, in order
        self.refusal = ""  # what the API server says to a new Job
        self.refused = ""  # what it said in the last pass
        self.takes = 2  # steps
        self.result: Callable[[int], str | None] = eight_and_on  # None: the Job fails
        self.noted: set[int] = set()  # runs whose Job status has named
        self._steps: dict[int, int] = {}

    def seen(self) -> seen.Seen:
        return seen.Seen(template=self.template, jobs=tuple(self.jobs.values()), refused=self.refused, alarm=self.alarm)

    def put(self, wanted: dict, now: datetime) -> None:
        """A Job is created; one that is there already stays as it is."""
        number = int(wanted["metadata"]["labels"][names.TRAINING])
        if number in self.jobs:
            return
        assert not self.running(), "two runs at once"
        assert number not in self.noted, "one run, two Jobs"
        if self.refusal:
            self.refused = self.refusal
            return
        self.refused = ""
        self.made.append(wanted)
        notes = wanted["metadata"]["annotations"]
        self.jobs[number] = seen.Job(
            number=number,
            name=wanted["metadata"]["name"],
            uid=f"job-{number}-{len(self.made)}",
            state=seen.JobState.RUNNING,
            base=notes[names.BASE],
            trigger=notes[names.TRIGGER],
            created_at=now,
        )

    def running(self) -> list[int]:
        return [number for number, job in self.jobs.items() if job.state is seen.JobState.RUNNING]

    def delete(self, number: int) -> None:
        self.jobs.pop(number, None)

    def step(self, now: datetime) -> None:
        """Runs come to an end."""
        for number in self.running():
            self._steps[number] = self._steps.get(number, 0) + 1
            if self._steps[number] >= self.takes:
                said = self.result(number)
                ended = seen.JobState.FAILED if said is None else seen.JobState.SUCCEEDED
                self.jobs[number] = msgspec.structs.replace(
                    self.jobs[number],
                    state=ended,
                    ended_at=now,
                    message=said or "",
                    trouble="" if said is not None else "train: out of memory (exit code 137)",
                )

    def check(self, before: Status, after: Status, snapshot: facts.Snapshot) -> None:
        """What holds at every write of status."""
        known = {one.number for one in before.retraining.runs} if before.retraining else set()
        begun = [one for one in (after.retraining.runs if after.retraining else ()) if one.number not in known]
        if begun:
            assert after.candidate is None, "a run starts beside a candidate"
            assert after.previous is None, "a run starts in a soak"
            assert len(begun) == 1, "two runs start at once"
        if after.retraining is not None:
            open_ = [one for one in after.retraining.runs if one.outcome == "Running"]
            assert len(open_) <= 1, "two runs at once"
            self.noted |= {one.number for one in after.retraining.runs if one.job}
        if after.trained is not None:
            model = snapshot.spec.model
            assert (after.trained.base.uri, after.trained.base.sha256) == (model.uri, model.sha256), (
                "a trained version outlives the spec.model that it was made for"
            )
        self._check_weight(before, after, snapshot)

    def _check_weight(self, before: Status, after: Status, snapshot: facts.Snapshot) -> None:
        new, old = after.candidate, before.candidate
        if new is None or new.weight <= (old.weight if old is not None else 0) or after.set_back is not None:
            return
        known = after.trained
        wanted = {snapshot.spec.model.sha256}
        wanted |= (
            {one.sha256 for one in (known.next, known.current) if known is not None and one is not None}
            if known
            else set()
        )
        assert new.sha256 in wanted or snapshot.unreadable, "a version that was dropped gets weight"
