"""What came back for answers survives the operator: a new process knows the labels of every step of a rollout."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from tests.unit.prometheus import build
from tests.unit.rollout import test_rollouts
from tests.unit.rollout import world as worlds

from seatrial.analysis import cohorts, counters
from seatrial.api import spec
from seatrial.control import returned
from seatrial.prometheus import client, matching
from seatrial.rollout import looking

MINUTE = 60
WISH = spec.Feedback(horizon=spec.Duration(minutes=24))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = tuple(BEGIN + timedelta(minutes=10 * step) for step in range(3))
"""When the weight was changed."""
END = BEGIN + timedelta(minutes=30)
ROWS, WRONG = 100.0, 7.0
"""Of one minute, cohort and revision."""


class Prometheus:
    """Two pods, one of each revision, scraped every ten seconds from the first step on."""

    async def returned(
        self, asked: looking.Question, *, numbers: Iterable[int], since: datetime, until: datetime
    ) -> client.Answer:
        wanted = set(numbers)
        series = [one for revision in ("s1", "c1") for one in self._of(revision, since, until)]
        return client.Answer(series=tuple(one for one in series if int(one.labels["cohort"]) in wanted), warnings=())

    def _of(self, revision: str, since: datetime, until: datetime) -> list[matching.Raw]:
        first = BEGIN.timestamp()
        own = {"revision": revision, "namespace": "shop", "pod": f"{revision}-0"}
        kinds: tuple[tuple[float, dict[str, str]], ...] = (
            (ROWS, {"__name__": "seatrial_cohort_rows_total"}),
            (WRONG, {"__name__": "seatrial_feedback_rows_total", "answered_by": revision, "outcome": "wrong"}),
        )
        found = []
        for place in range(cohorts.COUNT):
            number = first // MINUTE + (place - first // MINUTE) % cohorts.COUNT
            for count, labels in kinds:
                samples = [
                    (at, count if at >= (number + 1) * MINUTE else 0.0)
                    for at in range(int(first), int(END.timestamp()), 10)
                    if since.timestamp() < at <= until.timestamp()
                ]
                found.append(matching.Raw(labels={**own, **labels, "cohort": str(place)}, samples=samples))
        return found


def question(since: datetime, **window: Any) -> looking.Question:
    pods = (build.pod("s1-0", counters.Arm.STABLE), build.pod("c1-0", counters.Arm.CANDIDATE))
    asked = build.question(since=since, pods=pods, stable="s1", candidate="c1")
    analysis = msgspec.structs.replace(asked.analysis, quality=spec.Quality())
    whole = msgspec.structs.replace(asked.window, **window)
    return msgspec.structs.replace(asked, analysis=analysis, feedback=WISH, window=whole)


async def seen(asked: looking.Question, *, process: returned.Feedback | None = None) -> tuple[cohorts.Cohort, ...]:
    """What a process knows at the end, that began then."""
    origin: Any = Prometheus()
    feedback = returned.Feedback() if process is None else process
    await feedback.ask(asked, origin, now=END)
    assert feedback.error == ""
    return feedback.judged(asked, (), now=END).cohorts


async def test_a_new_process_knows_the_labels_of_the_steps_before() -> None:
    process, known = returned.Feedback(), ()
    for place, since in enumerate(STEPS):
        known = await seen(question(since, weighed=STEPS[place::-1]), process=process)
    assert sum(one.stable.wrong for one in known) > 20 * WRONG
    assert await seen(question(STEPS[-1], weighed=STEPS[::-1])) == known


async def test_a_new_process_leaves_out_the_cohorts_in_which_the_weight_changed() -> None:
    steps = tuple(moment + timedelta(seconds=20) for moment in STEPS)
    known = await seen(question(steps[-1], weighed=steps[::-1]))
    assert not any(one.start < moment.timestamp() < one.end for one in known for moment in steps)
    assert {round((one.start - BEGIN.timestamp()) / MINUTE) for one in known} == {*range(1, 29)} - {10, 20}


async def test_a_new_process_in_the_soak_knows_the_labels_of_the_canary() -> None:
    promoted = STEPS[-1]
    known = await seen(question(promoted, alone=True, soak=True, weighed=STEPS[1::-1]))
    assert min(one.start for one in known) == BEGIN.timestamp()


def rollout(**changes: Any) -> worlds.World:
    """Version 1 serves, and gets feedback."""
    return test_rollouts.installed(monitoring=spec.Monitoring(feedback=WISH), **changes)


def told(world: worlds.World) -> looking.Window:
    """What a process that has just begun takes from status."""
    status = msgspec.convert(msgspec.to_builtins(world.status), type(world.status))
    found = looking.window(msgspec.structs.replace(world.snapshot(), status=status), world.now)
    assert found is not None
    return found


def test_status_tells_a_new_process_of_every_weight_of_the_rollout_and_forgets_them_after_its_soak() -> None:
    world, since = rollout(), set[datetime]()
    world.spec = worlds.spec("2", monitoring=world.spec.monitoring)
    while not (world.status.stable and world.status.stable.model_version == "2"):
        world.step()
        if world.status.candidate is not None and world.status.candidate.weight_since is not None:
            since.add(world.status.candidate.weight_since)
            assert set(told(world).weighed) == since
    assert len(since) >= 2
    assert (told(world).soak, set(told(world).weighed)) == (True, since)
    world.run(test_rollouts.settled)
    world.step()
    assert world.status.stable.weighed == ()


def test_without_feedback_status_keeps_no_weights() -> None:
    world = test_rollouts.in_canary(test_rollouts.installed(), step=2)
    assert world.status.candidate.weighed == ()
