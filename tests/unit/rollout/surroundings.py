"""A world in which everything around a rollout goes wrong: nodes, quota, the store, metrics, clocks, people.

As in a cluster, the operator looks when something that it watches has changed, when the look that it asked for is due,
or when metrics are new; never just because time has passed. What nobody is woken for therefore shows.

Metrics are counted in truth and judged in brief (`brief`), which is cheap enough for many thousand histories; a
`thorough` world has real samples instead, with all that scraping can do to them.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

import msgspec
from tests.unit.analysis import exported
from tests.unit.rollout import brief, gateway_world
from tests.unit.rollout import world as worlds

from seatrial.analysis import counters, own_metrics
from seatrial.api import spec as specs
from seatrial.api import stored, values
from seatrial.control import reading
from seatrial.rollout import facts, looking, looks, names, planner, plans
from seatrial.rollout.looks import Outcome

AWAY = facts.Fault.SURROUNDINGS
NO_ROOM = "0/3 nodes are available: 3 Insufficient cpu"
SHORT = worlds.spec(
    rollout=msgspec.structs.replace(
        worlds.spec().rollout,
        start_timeout=specs.Duration.parse("60s"),
        step_timeout=specs.Duration.parse("2m"),
    ),
    analysis=specs.Analysis(interval=specs.Duration.parse("5s"), blind_timeout=specs.Duration.parse("30s")),
    trial=specs.Trial(timeout=specs.Duration.parse("60s")),
)


def provided(provider: specs.Provider | None) -> specs.Spec:
    """Of an object with this provider, or with none said; copies first, where Relay is."""
    if provider is specs.Provider.GATEWAY_API:
        return gateway_world.fronted(SHORT)
    wish = worlds.provided(SHORT, provider)
    steps = worlds.RELAYED if provider is specs.Provider.RELAY else worlds.STEPS
    return msgspec.structs.replace(wish, rollout=msgspec.structs.replace(wish.rollout, steps=steps))


class Metrics(enum.Enum):
    """What the source of metrics does."""

    WELL = "well"
    DOWN = "down"
    HANGING = "hanging"
    EMPTY = "empty"
    PARTIAL = "partial"  # an answer with a warning
    LACKING = "lacking"  # the candidate's series of errors is missing
    LACKING_BOTH = "lacking both"
    TWICE = "twice"  # two jobs scrape each pod: nothing is wrong with that
    SLOW = "slow"  # answers come, `LATE`


SEEN = (Metrics.WELL, Metrics.TWICE, Metrics.SLOW)
LATE = timedelta(seconds=10)


class Surroundings(gateway_world.Road):
    """See the module. Attributes say what is wrong now; `heal` ends all of it but what versions are themselves."""

    def __init__(
        self,
        *,
        thorough: bool = False,
        scrape_every: int = 5,
        provider: specs.Provider | None = specs.Provider.SERVICE,
    ) -> None:
        wish = provided(provider)
        fields = {"rollout": wish.rollout, "analysis": wish.analysis, "trial": wish.trial}
        super().__init__(msgspec.structs.replace(worlds.spec("1"), **fields))
        self.disturbed = True  # pods come and go: somebody may meet nobody until the operator has looked
        self.thorough = thorough
        self.scrape_every = scrape_every
        self.metrics = Metrics.WELL
        self.own_source = Outcome.PASS  # what the user's own expression comes to, where no number is out of bounds
        self.out_of_bounds: set[str] = set()  # versions whose number is
        self.room: int | None = None  # pods that the nodes hold; None: any number
        self.quota: int | None = None  # pods that the namespace may have
        self.store_away = False
        self.outage = False  # of what all versions call
        self.skew = timedelta(0)  # of the API server that the operator asks for the time
        self.unreadable = ""
        self.away = False  # the operator
        self.refusals: dict[str, str] = {}  # of pods, by revision
        self.job_skew = timedelta(0)  # of the API server that made a trial's Job
        self.crashing: set[str] = set()  # versions whose server ends again and again
        self.asked_again = False  # another address was given, and nothing has come of it yet
        self.strangers: dict[str, str] = {}  # pods of others with our labels: by name, the revision that they claim
        self._due = self.now
        self._seen: object = None
        self._subject: object = None  # what looks are about
        self._taken: list[tuple[datetime, looks.Look]] = []  # when each of them was answered

    @property
    def time(self):
        """As the operator is told it."""
        return self.now + self.skew

    def heal(self) -> None:
        self.metrics, self.room, self.quota, self.store_away = Metrics.WELL, None, None, False
        self.unreadable, self.away, self.skew, self.writes_until_crash = "", False, timedelta(0), None
        self.outage, self.own_source = False, Outcome.PASS
        self.deaf, self.mute = set(), set()
        self.answer, self.late = gateway_world.ACCEPTED, set()
        self.trial_result = self.trial_result or (lambda version: worlds.PASSED)

    def change(self, **fields: object) -> None:
        """The object's spec is edited."""
        self.spec = msgspec.structs.replace(self.spec, **fields)
        self.generation += 1

    # The operator

    def step(self) -> None:
        if self.away:
            self._restarted()
        elif self._woken():
            try:
                self._pass()
            except worlds.Crash:
                self.writes_until_crash = None
                self._restarted()
        self._advance()

    def _restarted(self) -> None:
        """It looks at everything, and remembers no look."""
        self._seen = self._subject = None

    def _woken(self) -> bool:
        judged = looking.window(self._children(), self.time) is not None and self.metrics is not Metrics.HANGING
        return judged or self.time >= self._due or self._watched() != self._seen

    def _watched(self) -> object:
        """What an event tells of."""
        return (
            (self.generation, self.spec, self.unreadable, self.tokens, self.quota),
            (self.selector, self.routed, tuple(self.pods.values()), dict(self.trials), dict(self.deployments)),
            (dict(self.selectors), dict(self.behind), reading.route(self.route)),
            tuple((name, self._said(pod)) for name, pod in self.pods.items()),
            (frozenset(self.configs), frozenset(self.records), dict(self.refusals), dict(self.strangers)),
            self.trainer.seen(),
        )

    def _said(self, pod: facts.Pod) -> object:
        """What a pod reports; no event tells of it, but who asks the pods rings when it has changed."""
        report = self._report(pod) if self.status.traffic is not None and self.status.traffic.relayed else None
        return report and tuple(sorted(report.ratio.items()))

    def _pass(self) -> None:
        for _ in range(8):
            if self._nothing_to_go_by():
                break
            plan = self.plan()
            self.apply(plan)
            if plan.look_again != timedelta(0):
                self.check_pass(plan)
                self._due = self.time + (plan.look_again or timedelta(days=1))
                break
        else:
            raise AssertionError(f"looks again and again: {plan.status.phase}, {self.condition('Ready')}")
        self._seen = self._watched()

    def _nothing_to_go_by(self) -> bool:
        return bool(self.unreadable) and self._last_spec() is None

    def check_pass(self, plan: plans.Plan) -> None:
        """For a history's promises."""

    def plan(self) -> plans.Plan:
        return planner.plan(self.snapshot(), self.time)

    def snapshot(self) -> facts.Snapshot:
        seen = self._facts()
        return msgspec.structs.replace(seen, look=self._look(seen))

    def _facts(self) -> facts.Snapshot:
        """By the last spec that could be read."""
        wish = self._last_spec() if self.unreadable else None
        real, self.spec = self.spec, wish or self.spec
        try:
            seen = self._children()
        finally:
            self.spec = real
        deployments = {
            name: msgspec.structs.replace(one, refusal=self.refusals.get(name, ""))
            for name, one in seen.deployments.items()
        }
        return msgspec.structs.replace(seen, unreadable=self.unreadable, deployments=deployments)

    def _last_spec(self) -> specs.Spec | None:
        kept = [one.spec for one in self.notes.values() if one.spec is not None]
        newest = max(kept, key=lambda one: one.generation, default=None)
        return msgspec.convert(newest.spec, specs.Spec, dec_hook=values.decode_hook) if newest is not None else None

    # Pods, trials

    def put(self, wanted: dict) -> None:
        known = set(self.trials)
        super().put(wanted)
        for name in self.trials.keys() - known:
            made = self.trials[name].created_at + self.job_skew
            self.trials[name] = msgspec.structs.replace(self.trials[name], created_at=made)

    def _trials(self) -> None:
        if not self.store_away:
            return super()._trials()
        for name, trial in self.trials.items():
            if trial.state is facts.JobState.RUNNING:
                self.trials[name] = msgspec.structs.replace(
                    trial,
                    state=facts.JobState.FAILED,
                    ended_at=self.now,
                    fault=AWAY,
                    trouble="the store answers 503",
                )
        return None

    def _pods(self) -> None:
        self.refusals = {}
        for pod in [one for one in self.pods.values() if one.revision not in self.deployments or one.leaving]:
            self.remove(pod)
        wishes = dict(self.deployments)
        if self.quota is not None:
            left = self.quota - sum(pod.alive for pod in self.pods.values())
            for name, count in wishes.items():
                own = sum(pod.alive for pod in self.pods.values() if pod.revision == name)
                if (new := max(0, count - own)) > max(0, left):
                    self.refusals[name] = f"pods are forbidden: exceeded quota: pods, limited: {self.quota}"
                    self.deployments[name] = own + max(0, left)
                left -= new
        self.pods = dict(sorted(self.pods.items(), key=lambda item: not item[1].ready))  # unready ones leave first
        super()._pods()
        self.deployments.update({name: count for name, count in wishes.items() if name in self.deployments})

    def _grown(self, pod: facts.Pod) -> facts.Pod:
        if not pod.ready and not pod.crash_looping:
            placed = sum(one.trouble != NO_ROOM and one.alive for one in self.pods.values() if one.name != pod.name)
            if self.room is not None and placed >= self.room and not pod.ready:
                return msgspec.structs.replace(pod, ready=False, fault=AWAY, trouble=NO_ROOM)
            if self.store_away and not pod.ready:
                return msgspec.structs.replace(pod, fault=AWAY, trouble="fetch: the store answers 503")
        clean = facts.Pod(
            name=pod.name,
            revision=pod.revision,
            uid=pod.uid,
            ip=pod.ip,
            started_at=pod.started_at,
            assignment=pod.assignment,
        )
        if self.version(pod.revision) in self.crashing:
            return msgspec.structs.replace(
                clean, crash_looping=True, fault=facts.Fault.VERSION, trouble="server: out of memory"
            )
        grown = super()._grown(clean)
        return grown if grown != pod else pod

    def strangers_met(self, service: str) -> int:
        """The API server shows them as pods of nobody that we know."""
        follows = self.behind.get(service)
        if follows is None:
            return 0
        pinned = follows.get(names.REVISION)
        return sum(pinned in (None, claimed) for claimed in self.strangers.values())

    def evict(self, pod: facts.Pod) -> None:
        """Its node has no more room for it; the pod stays, to be read."""
        self.pods[pod.name] = msgspec.structs.replace(pod, ready=False, failed=True, fault=AWAY, trouble="Evicted")

    def lose(self, kind: str, of: str) -> None:
        """Somebody deletes a child; a Deployment's pods are on their way out at once."""
        if kind == "Deployment":
            own = [pod for pod in self.pods.values() if pod.revision == of]
            self.pods.update({pod.name: msgspec.structs.replace(pod, leaving=True) for pod in own})
        if kind == "Service":
            self.selectors.pop(of, None)
            self.behind.pop(of, None)
        if kind == "Service" and of == "churn":
            self.selector = self.routed = None
            self.applied.pop((kind, ""), None)
        elif kind != "Service":
            self.delete(kind, of)

    def downgraded_for_a_while(self) -> None:
        """An operator that knows fewer fields has written the status, and one that knows more before it. Not in the
        second in which pods are told to stop: who are meant is in no other place.
        """
        if self.status.traffic is not None and self.status.traffic.withdrawn_at is not None:
            return
        told = msgspec.to_builtins(self.status)
        for field in ("trialAttempt", "windows", "provider", "shadow", "shift"):
            (told.get("candidate") or {}).pop(field, None)
        for field in ("relayed", "withdrawnAt", "asked"):
            (told.get("traffic") or {}).pop(field, None)
        told["futureField"] = {"a": 1}
        self.status, _ = stored.read(told)

    # Metrics

    def _look(self, seen: facts.Snapshot) -> looks.Look | None:
        """As `control.evidence` gives it: the newest answer about this window, however old; the first one that proves a
        regression stays. A window that has just begun has none.
        """
        asked = looking.question(seen, self.time)
        subject = asked.subject if asked is not None else None
        if subject != self._subject:
            self._subject, self._taken = subject, []
        if asked is None:
            return None
        if self.metrics is not Metrics.HANGING and not any(look.failed for _, look in self._taken):
            own = [] if asked.window.sliding else [self._own(asked.window.candidate)]
            answer = looking.with_own_metrics(self._answer(seen, asked), own)
            self._taken.append((self.now, answer))
        latest = self.now - (LATE if self.metrics is Metrics.SLOW else timedelta(0))
        newest = next((look for moment, look in reversed(self._taken) if moment <= latest), None)
        if newest is None:
            return looking.begun(asked, self.time)
        return looking.aged(newest, asked, self.time)

    def _own(self, judged: str) -> own_metrics.Result:
        """As `seatrial.analysis.own_metrics` judges: one number alone proves nothing."""
        out = judged != looking.NOBODY and self.version(judged) in self.out_of_bounds
        outcome = self.own_source
        if out and outcome is Outcome.PASS:
            before = any(moment < self.now for moment, _ in self._taken)
            outcome = Outcome.FAIL if before else Outcome.INCONCLUSIVE
        return own_metrics.Result(name="fraud", outcome=outcome, message=f"fraud: {outcome}")

    def _answer(self, seen: facts.Snapshot, asked: looking.Question) -> looks.Look:
        """What the source of metrics makes of the window now."""
        if self.thorough:
            return looking.judge(asked, self._sight(seen) or facts.Sight(), self.time)
        if self.metrics is Metrics.DOWN:
            return brief.blind(asked, Outcome.ERROR, "connection refused", now=self.time)
        lacks_pods = any(not any(pod.ready and pod.arm is arm for pod in asked.pods) for arm in asked.arms)
        if self.metrics not in SEEN or lacks_pods:
            return brief.blind(asked, Outcome.NO_DATA, f"metrics: {self.metrics.value}", now=self.time)
        return brief.judged(asked, self.totals, now=self.time)

    def _traffic(self) -> None:
        own = self.error_share
        if self.outage:
            self.error_share = dict.fromkeys(self.versions.values(), 0.3)
        super()._traffic()
        self.error_share = own

    def _sight(self, seen: facts.Snapshot) -> facts.Sight | None:
        if self.metrics is Metrics.DOWN:
            return facts.Sight(error="connection refused") if looking.window(seen, self.time) else None
        sight = super()._sight(seen)
        if sight is None or self.metrics is Metrics.EMPTY:
            return sight and facts.Sight()
        scraped = tuple(self._scraped(one) for one in exported.whole(sight.series))
        if self.metrics is Metrics.TWICE:
            again = (msgspec.structs.replace(one, target="again") for one in scraped)
            return facts.Sight(series=(*scraped, *again))
        lacks = {Metrics.LACKING: (counters.Arm.CANDIDATE,), Metrics.LACKING_BOTH: tuple(counters.Arm)}
        arms = lacks.get(self.metrics, ())
        kept = tuple(one for one in scraped if one.label != "error" or one.arm not in arms)
        return facts.Sight(series=kept, partial="results truncated" if self.metrics is Metrics.PARTIAL else "")

    def _scraped(self, one: counters.Series) -> counters.Series:
        every = self.scrape_every
        kept = [row for row in one.samples if round(row[0] + 0.5) % every < worlds.INTERVAL.total_seconds()]
        return msgspec.structs.replace(one, samples=kept)
