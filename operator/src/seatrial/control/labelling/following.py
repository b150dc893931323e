"""Keeping up with one revision's labels: what is new is asked for, counted by days, and judged when a day is whole.

State is in the `Watch`; the memory in it is what is kept on file, the rest is asked for again by another process.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import Any

import msgspec

from seatrial.analysis import calibration, cohorts, maturing, promised, quality_after, quality_course
from seatrial.api import spec
from seatrial.control.labelling import asking
from seatrial.drift import columns as columns_
from seatrial.drift import schedule
from seatrial.prometheus import errors as prometheus
from seatrial.rollout import facts, quality

AGAIN_FIRST, AGAIN_LONGEST = 1 / 60, 1 / 4
"""Of an hour, until sources that did not answer are asked again."""
PATIENCE = 2.0
"""Hours without an answer before it is said that there is none."""
OLDEST = 96
"""Cohorts that are asked for after a restart: three rounds of a pod's ring."""
LAG = 30.0
"""Seconds by which stores behind Prometheus lag."""
FEW = 20
"""Labels that must be known before it counts that all are of one class."""
NOBODY = (
    "no counters of answers with a token were found of the pods of revision {}; the scrape job must keep the labels "
    "namespace and pod, or instance as address and port"
)
OLDER_SERVER = "the server that tried it is of a release that gives none"
OLDER_PODS = "its pods were made by an operator that gave them no key to sign with"
_LOG = logging.getLogger(__name__)
Wish = tuple[spec.QualityAfter, spec.Feedback]


@dataclasses.dataclass
class Watch:
    """What is known of the revision that serves. `asked`: up to which moment pods' counters are known; `unkept`: the
    newest is not on file yet; `older`: the server is, by the trial's report; `keyless`: its pods have no key to sign.
    """

    owner: facts.Owner
    revision: str
    since: float
    promise: promised.Promise
    column: columns_.Column | None
    memory: quality_course.Memory
    version: str
    hours: schedule.Hours
    begun: float
    returns: maturing.Returns | None = None
    asked: float = 0.0
    standing: quality_after.Standing | None = None
    policy: quality_course.Policy | None = None
    estimated: calibration.Expected | None = None
    estimated_day: int = -1
    classes: asking.Classes = dataclasses.field(default_factory=asking.Classes)
    horizon: float = 0.0
    lacking: str = ""
    unkept: bool = False
    older: bool = False
    keyless: bool = False
    failures: int = 0
    again_at: float = 0.0

    @property
    def tokenless(self) -> str:
        """Why its pods can give no token; nothing where they can, or have."""
        if any(one.rows for one in self.memory.days):
            return ""
        if self.older:
            return OLDER_SERVER
        return OLDER_PODS if self.keyless else ""

    @property
    def day(self) -> int:
        """Seconds of a day."""
        return 24 * self.hours.seconds

    def begin_of(self, day: int) -> float:
        return day * self.day + self.hours.offset

    def day_of(self, moment: float) -> int:
        return int((moment - self.hours.offset) // self.day)


class Following:
    """Keeps watches up to date. `worked_out`: does work off the event loop."""

    def __init__(self, ask: asking.Asking, worked_out: Any) -> None:
        self._asking, self._worked_out = ask, worked_out

    async def follow(
        self, watched: Watch, whole: spec.Spec, wish: Wish, *, pods: tuple[facts.Pod, ...], now: float
    ) -> bool:
        """Whether there is something to be kept: another day was judged, or an alarm has begun or ended."""
        quality_wish, feedback = wish
        if _of_the_future(watched, now):
            _LOG.warning("quality state is of the future, days fill anew", extra={"object": watched.owner.name})
            watched.memory, watched.returns, watched.standing = quality_course.Memory(), None, None
        _begin(watched, feedback.horizon.total_seconds(), now)
        if now >= watched.again_at:
            source = whole.analysis.prometheus
            subject = asking.Subject(owner=watched.owner, revision=watched.revision, source=source, pods=pods)
            await self._ask(watched, subject, now)
        return await self._judge(
            watched,
            quality_course.Policy(
                most=float(quality_wish.max),
                tolerance=float(quality_wish.tolerance),
                rate=quality.policy_rate(whole.monitoring),
                holdout=watched.promise.holdout,
            ),
        )

    async def _ask(self, watched: Watch, subject: asking.Subject, now: float) -> None:
        returns = watched.returns
        if returns is None:
            return
        step = maturing.step(returns.seconds)
        end = maturing.begin(returns.seconds, now - LAG)
        try:
            if end > watched.asked:
                start = int(watched.asked) + step
                found = await self._asking.cohorts(subject, start=start, end=int(end), step=step)
                complete = await self._worked_out(functools.partial(returns.add, found))
                watched.asked, watched.lacking = end, "" if found else NOBODY.format(watched.revision)
                days = maturing.counted(
                    quality_course.by_number(watched.memory), complete, begins=watched.hours.offset, day=watched.day
                )
                watched.memory = quality_course.with_days(watched.memory, days, until=returns.until)
            await self._ask_beside(watched, subject, now)
        except prometheus.PrometheusError as error:
            watched.failures += 1
            hour = watched.hours.seconds
            pause = min(AGAIN_LONGEST, AGAIN_FIRST * 2 ** min(watched.failures - 1, 10)) * hour
            watched.again_at = now + pause
            if now - max(watched.asked, watched.begun) > PATIENCE * max(hour, returns.seconds):
                watched.lacking = str(error)
        else:
            watched.failures, watched.again_at = 0, 0.0

    async def _ask_beside(self, watched: Watch, subject: asking.Subject, now: float) -> None:
        """Once a day: which classes labels are of, and what confidence lets expect of the day that is over."""
        day = watched.day_of(now - LAG - watched.hours.settle) - 1
        if day <= watched.estimated_day:
            return
        end = int(watched.begin_of(day + 1))
        watched.classes = await self._asking.classes(subject, at=end, seconds=watched.day)
        actual = {name for name, rows in watched.classes.actual.items() if rows}
        predicted = {name for name, rows in watched.classes.predicted.items() if rows}
        if sum(watched.classes.actual.values()) >= FEW:
            both = watched.memory.both or len(actual) > 1
            fair = both or len(predicted) < 2
            watched.memory = msgspec.structs.replace(watched.memory, both=both, fair=fair)
        confidence = watched.promise.confidence
        if watched.column is not None and confidence is not None:
            start = int(watched.begin_of(day))
            live = await self._asking.confidence(subject, watched.column, start=start, end=end)
            watched.estimated = quality.wrong(calibration.accuracy(live, confidence.right, confidence.rows))
        watched.estimated_day = day

    async def _judge(self, watched: Watch, policy: quality_course.Policy) -> bool:
        memory = watched.memory
        last = _last_day(watched, memory.judged)
        if watched.policy is not None and watched.policy != policy:
            memory = msgspec.structs.replace(memory, alarm=None, alarm_since=None)
        same = watched.policy == policy and memory.judged == last
        watched.policy = policy
        if last is None or same:
            return False
        after, watched.standing = await self._worked_out(functools.partial(quality_course.judged, memory, last, policy))
        changed = (after.judged, after.alarm) != (watched.memory.judged, watched.memory.alarm)
        watched.memory = after
        return changed


def _of_the_future(watched: Watch, now: float) -> bool:
    """A clock has jumped ahead for a while, or somebody has edited the file: nothing would be judged until then."""
    memory, today = watched.memory, watched.day_of(now)
    known = (memory.judged, memory.alarm_since, memory.anew)
    return memory.until > now + watched.day or any(day is not None and day > today for day in known)


def _begin(watched: Watch, horizon: float, now: float) -> None:
    """Another horizon is another ring in the pods."""
    seconds = cohorts.length(horizon)
    if watched.returns is not None and (watched.returns.seconds, watched.horizon) == (seconds, horizon):
        return
    since = max(watched.memory.until, watched.since)
    watched.horizon = horizon
    watched.returns = maturing.Returns(watched.revision, seconds=seconds, horizon=horizon, since=since)
    watched.asked = maturing.begin(seconds, max(since, now - OLDEST * seconds))


def _last_day(watched: Watch, known: int | None) -> int | None:
    """The newest day whose labels can all be known, and no older one than was known; None before there is one."""
    returns = watched.returns
    if returns is None:
        return known
    settled = watched.asked - watched.horizon - returns.seconds - cohorts.CLOSED - maturing.step(returns.seconds)
    last = watched.day_of(settled) - 1
    if known is not None:
        return max(last, known)
    return last if last >= watched.day_of(watched.since) else None
