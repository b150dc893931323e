"""Random histories: what people and clusters do to a rollout, one thing after another, from a seed.

After each thing a few steps pass, with promises checked at every write and pass; at the end the disturbances stop, and
the object must come to rest. A history that breaks a promise is shortened to the things that it needs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from tests.unit.rollout import gateway_world, happenings, surroundings
from tests.unit.rollout import world as worlds
from tests.unit.rollout.surroundings import Metrics

from seatrial.api.spec import Promotion, Provider
from seatrial.api.status import Candidate, Phase, Reason, Status, Verdict, VerdictKind
from seatrial.rollout import facts, looking, plans
from seatrial.rollout.retraining import overlay
from seatrial.rollout.rules import wishes

PROVIDERS = (Provider.SERVICE, None, Provider.GATEWAY_API, None, Provider.RELAY, None)  # half of them say none
SCRAPES = (5, 5, 15, 30, 60, 120)
BOUND = 400  # steps of five seconds until rest: trials that failed for others wait for 10 minutes at most
AT_REST = {Phase.STABLE, Phase.ROLLED_BACK, Phase.STALLED}
REGRESSIONS = {Reason.ERRORS_REGRESSED, Reason.ERRORS_ABOVE_MAXIMUM, Reason.SHADOW_FAILED}
OUT_OF_BOUNDS = {Reason.METRIC_OUT_OF_BOUNDS, Reason.REGRESSED_AFTER_PROMOTION, Reason.SHADOW_FAILED}


class Event(NamedTuple):
    """Something that happens, and how many steps pass after it."""

    what: str
    steps: int
    pick: int  # which pod, child, version or value, where there are several


class History(surroundings.Surroundings):
    """Its own memory of what was decided, beside the operator's."""

    def __init__(
        self, *, thorough: bool = False, scrape_every: int = 5, provider: Provider | None = Provider.SERVICE
    ) -> None:
        super().__init__(thorough=thorough, scrape_every=scrape_every, provider=provider)
        self.rejected: dict[str, Verdict] = {}
        self.ever_bad: set[str] = set()
        self.ever_out: set[str] = set()
        self.passes = 0
        self.undisturbed = 0  # steps in which the operator was there and nothing broke
        self.plain = 0  # of these, steps in which a version under judgement failed and everybody could see it
        self.unanswered = 0  # of these, steps in which nobody answered although somebody could
        self.blurred = 0  # steps of the window under judgement in which its counts spoke for the version
        self.refused_alone = 0  # undisturbed steps in which only a rejected version had traffic, and another could
        self.let_go_at = self.now - timedelta(days=1)  # when a paused version was last let go on by a command
        self._judged: looking.Window | None = None
        self.could_answer: dict[str, dict[str, str]] = {}  # by Service: the selector that last led to somebody Ready
        self.astray = 0  # undisturbed steps in which a gateway sent somebody where nobody answers
        self.unseen = 0  # of these, steps in which a share of the traffic went where nobody could see it

    def step(self) -> None:
        self.undisturbed = 0 if self.away or self.writes_until_crash is not None else self.undisturbed + 1
        self.ever_bad |= {version for version, share in self.error_share.items() if share > 0}
        self.ever_bad |= set(self.versions.values()) if self.outage else set()
        self.ever_out |= self.out_of_bounds
        super().step()
        if self.undisturbed >= 3:
            self.check_somebody_answers()
            self.check_nobody_is_sent_astray()
        self.check_found()
        self.check_blindness_ends()

    def check_weight(self, before: Status, after: Status) -> None:
        super().check_weight(before, after)
        self._check_verdicts(before, after)
        self._check_sight(before, after)

    def check_pass(self, plan: plans.Plan) -> None:
        candidate = plan.status.candidate
        assert candidate is None or plan.look_again is not None, "a candidate waits without a deadline"
        self.check_nobody_was_left()
        self.passes += 1
        if plan.annotations:
            return  # a share that was not in force is by now, and a step may end with it
        if self.passes % 4 == 0 and self.tokens == self.status.commands and not self.skew:  # a clock goes on by itself
            self._look_twice()

    def _look_twice(self) -> None:
        """A window that has just begun is described by the second look, and traffic that the first one moved while no
        pod was there to wait for; there is nothing left for a third.
        """
        before = self.status
        again = self.plan()
        assert _facts(again.status) == _facts(before), "a second look at one instant decides something"
        said = [event for event in again.events if event.reason != "TrafficRestored" or not _drains(before)]
        assert not said, "a second look at one instant says something again"
        self.status = again.status
        assert self.plan().status == again.status, "the status is written again and again"
        self.status = before

    def check_promises(self) -> None:
        super().check_promises()
        candidate, stable = self.status.candidate, self.status.stable
        if candidate is not None:
            assert candidate.revision not in self.rejected, "a rejected revision is tried again"
        if stable is not None and stable.revision in self.rejected:
            condemned = stable.breach is not None or self.set_aside(stable.revision)
            assert condemned, "a rejected revision is stable as if nothing were wrong"

    def set_aside(self, revision: str) -> bool:
        """By the rollback-to command: it serves until the one named takes its place."""
        verdict = self.rejected.get(revision)
        return verdict is not None and verdict.reason is Reason.ROLLED_BACK

    def check_somebody_answers(self) -> None:
        """Traffic has had time to follow: whoever is trusted and Ready is found."""
        selected = self._selected()
        able = [pod for pod in self.pods.values() if pod.ready and pod.alive and self._trusted(pod.revision)]
        followed = "churn" not in self.late
        self.unanswered = self.unanswered + 1 if able and not selected and followed else 0
        could = [self.version(pod.revision) for pod in able]
        assert self.unanswered < 2, f"nobody is selected, {could} could answer"  # the operator had a look in between
        refused = followed and bool(able and selected) and all(pod.revision in self.rejected for pod in selected)
        self.refused_alone = self.refused_alone + 1 if refused and not self._returning() else 0
        assert self.refused_alone < 2, "only a rejected revision has traffic"

    def check_nobody_is_sent_astray(self) -> None:
        """A gateway answers with an error for a Service without pods, as long as another one could be led to."""
        able = any(pod.ready and pod.alive and self._trusted(pod.revision) for pod in self.pods.values())
        empty = [name for name, weight in self.config.items() if weight and not self.met(name)]
        follows = self.answer == gateway_world.ACCEPTED and not self.late
        self.astray = self.astray + 1 if able and empty and follows else 0
        assert self.astray < 2, f"the gateway leads to {empty}, where nobody answers"

    def check_nobody_was_left(self) -> None:
        """A version leaves only when somebody else can answer: asked before the endpoints follow the Service. Who could
        then may be lost before they follow.
        """
        if self.status.stable is None or self.selector is None:
            return
        for name, asked in self.selectors.items():
            if self._led_to(asked):
                self.could_answer[name] = asked
            left = self.met(name) and self.could_answer.get(name) != asked
            assert not left or self._unused(name), f"who answers behind {name} is left, and nobody else can"

    def _unused(self, service: str) -> bool:
        """A gateway's Service that it sends nobody to."""
        return service != "churn" and not self.config.get(service)

    def check_found(self) -> None:
        """What fails beside a good version, or after it, in plain sight, is found: within ten steps of its window, and
        two more for each step before in which counts spoke for it. Evidence adds up over a window.
        """
        judged = looking.window(self._facts(), self.time)
        if judged != self._judged:
            self._judged, self.plain, self.blurred = judged, 0, 0
        if judged is None:
            return
        guilty = self._fails(judged.candidate) and not self.outage
        guilty = guilty and (judged.alone or not self._fails(judged.stable))
        self.blurred += not guilty
        seen = self.metrics in surroundings.SEEN and not self.skew and self.undisturbed >= 3
        needed = {judged.candidate} | (set() if judged.alone else {judged.stable})
        answers = needed <= {pod.revision for pod in self._answering()}
        self.plain = self.plain + 1 if guilty and seen and answers and not self._condemned() else 0
        assert self.plain < self._patience() + 2 * self.blurred, "a regression in plain sight is not found"

    def _traffic(self) -> None:
        if self.undisturbed >= 3 and not self._nothing_to_go_by():
            self.check_passed_on()
        super()._traffic()

    def check_passed_on(self) -> None:
        """Every pod that notices what it is told passes on what is asked for, to whom it is asked for, and no more. One
        that is going drains as it was told last: its kubelet writes no file any more.
        """
        candidate, stable = self.status.candidate, self.status.stable
        for name, pod in self.pods.items():
            told = self.following(name)
            if told is None or name in self.deaf or not pod.alive:
                continue
            assert candidate is not None, "requests are passed on to nobody's candidate"
            assert stable is not None, "requests are passed on without a stable version"
            assert told.revision == candidate.revision not in self.rejected, "requests are passed on to another version"
            assert told.weight <= candidate.weight, "more is passed on than is asked for"
            assert pod.revision == stable.revision, "a pod that isn't stable's passes on"

    def _answering(self) -> list[facts.Pod]:
        """Pods that endpoints hold, and those that these pass on to."""
        selected = self._selected()
        told = [one for one in (self.following(pod.name) for pod in selected) if one is not None]
        targets = {ip for one in told for ip in one.to}
        return [*selected, *(pod for pod in self.pods.values() if pod.ip in targets)]

    def _patience(self) -> int:
        return 10 + (3 * self.scrape_every // 5 if self.thorough else 0)

    def check_blindness_ends(self) -> None:
        """Nobody's share is kept for longer than blindTimeout, while stable could take it."""
        candidate, stable = self.status.candidate, self.status.stable
        taken = stable is not None and any(pod.ready and pod.revision == stable.revision for pod in self.pods.values())
        blind = self.metrics not in (*surroundings.SEEN, Metrics.HANGING) and not self.skew and self.undisturbed >= 3
        shared = candidate is not None and candidate.weight > 0 and candidate.step > 0
        self.unseen = self.unseen + 1 if shared and blind and taken else 0
        limit = self.spec.analysis.blind_timeout.total_seconds() / 5 + 4
        assert self.unseen < limit, "a share of the traffic is kept where nobody sees it"

    def _fails(self, revision: str) -> bool:
        return revision != looking.NOBODY and bool(self.error_share.get(self.version(revision)))

    def _condemned(self) -> bool:
        return self.status.stable is not None and self.status.stable.breach is not None

    def _trusted(self, revision: str) -> bool:
        roles = (self.status.stable, self.status.previous)
        return revision not in self.rejected and any(one is not None and one.revision == revision for one in roles)

    def _returning(self) -> bool:
        """A condemned version serves until the one before it has the capacity, startTimeout at most."""
        breach = self.status.stable.breach if self.status.stable is not None else None
        return breach is not None and self.time - breach.at <= self.spec.rollout.start_timeout + timedelta(seconds=40)

    def _check_verdicts(self, before: Status, after: Status) -> None:
        if after.verdicts == before.verdicts:
            return
        verdict = after.verdicts[0]
        match verdict.verdict:
            case VerdictKind.REJECTED:
                bad = self.ever_bad | (self.ever_out if verdict.reason in OUT_OF_BOUNDS else set())
                assert verdict.reason is not Reason.SHADOW_FAILED or not (before.candidate and before.candidate.weight)
                if verdict.reason in REGRESSIONS | OUT_OF_BOUNDS:
                    assert verdict.model_version in bad, "a version that never failed is convicted"
                self.rejected[verdict.revision] = verdict
            case VerdictKind.RETRIED:
                token = after.commands.retry != before.commands.retry
                corrected = self.rejected[verdict.revision].reason in wishes.TRIAL_FAILURES and self.asked_again
                assert token or corrected, "retried, and nobody asked for it"
                self.asked_again = False
                del self.rejected[verdict.revision]
            case VerdictKind.PROMOTED:
                assert verdict.revision not in self.rejected, "a rejected revision is promoted"

    def _check_sight(self, before: Status, after: Status) -> None:
        old, new = before.candidate, after.candidate
        if old is None or new is None or old.revision != new.revision:
            return
        if old.hold is not None and new.hold is None:
            self.let_go_at = self.now
        if not _moves_on(old, new):
            return
        unseen = self.metrics not in (*surroundings.SEEN, Metrics.HANGING)
        fresh = self.now - self.let_go_at <= 2 * worlds.INTERVAL  # the newest look may be an interval old
        assert fresh or not unseen, f"goes on while metrics are {self.metrics.value}"
        asked = self.spec.rollout.promotion is Promotion.NON_INFERIORITY and after.commands == before.commands
        if asked and (new.step > old.step > 0 or (new.promoting and not old.promoting)):
            proven = any(not look.unproven for _, look in self._taken[-2:])
            assert proven, "goes on without the proof that was asked for"


def _facts(status: Status) -> tuple[object, ...]:
    return status.stable, status.previous, status.candidate, status.verdicts, status.commands


def _drains(status: Status) -> bool:
    return status.last_rollback is not None and status.last_rollback.zero_weight_at is None


def _moves_on(old: Candidate, new: Candidate) -> bool:
    """To the next step, or from the last one to all traffic, by what was seen."""
    further = new.step > old.step or (new.step and new.weight > old.weight)
    return bool(further or (new.promoting and new.step and not old.promoting))


def random_events(seed: int) -> tuple[Event, ...]:
    """Mostly about a version on its way: another one is wanted first, and everything else meets it somewhere."""
    pick = random.Random(seed)

    def one(what: str) -> Event:
        return Event(what, pick.choice((0, 1, 1, 2, 3, 4, 6)), pick.randrange(60))

    first = [Event("wants", pick.randrange(12), pick.choice((1, 2, 3)))] if pick.random() < 0.8 else []
    more = (
        pick.choice(happenings.COMMON if pick.random() < 0.4 else happenings.WHATS) for _ in range(pick.randint(1, 8))
    )
    return (*first, *map(one, more))


def play(events: Sequence[Event], *, seed: int, thorough: bool = False) -> History:
    """With the seed's provider from the start.

    Raises AssertionError where a promise is broken.
    """
    scrape_every = random.Random(seed).choice(SCRAPES) if thorough else 5
    history = History(thorough=thorough, scrape_every=scrape_every, provider=PROVIDERS[seed % len(PROVIDERS)])
    history.run(_at_rest, limit=40 if not thorough else 120)
    for number, event in enumerate(events):
        happenings.HAPPENINGS[event.what](history, event.pick, f"token-{number}")
        for _ in range(event.steps):
            history.step()
    history.heal()
    for _ in range(3):
        history.step()
    history.run(_at_rest, limit=BOUND)
    for _ in range(3):
        history.step()
    assert _at_rest(history), f"leaves its rest: {history.status.phase}"
    check_end(history)
    return history


def _at_rest(history: History) -> bool:
    """Nothing more will happen by itself, and what would have to is said."""
    status, known = history.status, history.status.trained
    if known is not None and status.set_back is None and status.candidate is None:
        begins = known.offered is not None and known.offered.approved and history.condition("Ready")[0] == "True"
        if begins or known.next is not None:
            return False
    if status.candidate is not None:
        said, hold = history.condition("Ready")[1], status.candidate.hold
        if hold is not None:
            return said == hold.reason and not (hold.by_command and _takes_over(history))
        unproven = said == Reason.INSUFFICIENT_EVIDENCE and history.thorough  # nothing bad happens: nothing is proven
        never = said == Reason.INSUFFICIENT_TRAFFIC and _asks_for_too_many(history)
        return unproven or never or said == Reason.PAUSED or _nobody_is_good(history)
    if status.phase is Phase.STARTING:
        return history.serving in history.stuck | history.crashing
    return status.phase in AT_REST and (status.previous is None or _waits_for_a_bad_one(history))


def _asks_for_too_many(history: worlds.World) -> bool:
    """Requests that will not have come for a day."""
    return any(step.min_requests >= happenings.TOO_MANY for step in history.spec.rollout.steps)


def _takes_over(history: worlds.World) -> bool:
    """Stable has no pod Ready and its candidate has: paused or not, it will take all traffic within startTimeout."""
    stable, candidate = history.status.stable, history.status.candidate
    ready = {pod.revision for pod in history.pods.values() if pod.ready}
    return stable is not None and stable.revision not in ready and candidate.revision in ready


def _waits_for_a_bad_one(history: worlds.World) -> bool:
    """Stable is condemned, the version before it doesn't start any more, and no third one is wanted: held, and said."""
    stable, previous = history.status.stable, history.status.previous
    if stable is None or previous is None or stable.breach is None:
        return False
    asked = overlay.settled(history.snapshot()).wanted.content.model_version
    wanted = asked in (stable.model_version, previous.model_version)
    return wanted and previous.model_version in history.stuck | history.crashing


def _nobody_is_good(history: worlds.World) -> bool:
    """Stable fails as the candidate does: held, and said, until one of them is mended or replaced."""
    stable, candidate = history.status.stable, history.status.candidate
    if stable is None or candidate is None or history.condition("Ready")[1] != Reason.STABLE_ALSO_BREACHING:
        return False
    return all(history.error_share.get(one.model_version) for one in (stable, candidate))


def check_end(history: History) -> None:
    """Nothing disturbs any more: a good version that nobody has rejected serves, and everything else says why not."""
    status, asked = history.status, overlay.settled(history.snapshot()).wanted
    wanted, revision = asked.content.model_version, asked.revision
    if status.candidate is not None:
        return
    if status.stable is not None and status.stable.revision == revision:
        assert revision not in history.rejected or status.stable.breach is not None or history.set_aside(revision)
        return
    returns = _waits_for_a_bad_one(history) and wanted == status.previous.model_version
    assert returns or revision in history.rejected, (
        f"version {wanted} is neither stable nor rejected: {history.condition('Ready')}"
    )
    assert next(one.message for one in status.conditions if one.type == "Ready"), "no words"


def shortened(events: Sequence[Event], *, seed: int, thorough: bool) -> tuple[Event, ...]:
    """As few events as still break a promise."""
    kept = tuple(events)
    for place in reversed(range(len(events))):
        fewer = kept[:place] + kept[place + 1 :]
        if failure(fewer, seed=seed, thorough=thorough):
            kept = fewer
    return kept


def failure(events: Sequence[Event], *, seed: int, thorough: bool = False) -> str:
    """The promise that a history breaks; nothing if it keeps them all."""
    try:
        play(events, seed=seed, thorough=thorough)
    except AssertionError as broken:
        return str(broken) or "an assertion"
    return ""
