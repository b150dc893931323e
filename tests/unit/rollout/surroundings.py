"""A world in which everything around a rollout goes wrong: nodes, quota, the store, metrics, clocks, people.

As in a cluster, the operator looks when something that it watches has changed, when the look that it asked for is due,
or when metrics are new; never just because time has passed. What nobody is woken for therefore shows.

Metrics are counted in truth and judged in brief (`_look`), which is cheap enough for many thousand histories; a
`thorough` world has real samples instead, with all that scraping can do to them.
"""

from __future__ import annotations

import enum
import itertools
from datetime import timedelta

import msgspec
from tests.unit.analysis import exported
from tests.unit.rollout import world as worlds

from seatrial.analysis import counters
from seatrial.api import spec as specs
from seatrial.api import stored, values
from seatrial.api.status import Reason
from seatrial.rollout import facts, looking, looks, planner, plans
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


SEEN = (Metrics.WELL, Metrics.TWICE)


class Surroundings(worlds.World):
    """See the module. Attributes say what is wrong now; `heal` ends all of it but what versions are themselves."""

    def __init__(self, *, thorough: bool = False, scrape_every: int = 5) -> None:
        super().__init__(worlds.spec("1", **_fields(SHORT)))
        self.thorough = thorough
        self.scrape_every = scrape_every
        self.metrics = Metrics.WELL
        self.room: int | None = None  # pods that the nodes hold; None: any number
        self.quota: int | None = None  # pods that the namespace may have
        self.store_away = False
        self.outage = False  # of what all versions call
        self.skew = timedelta(0)  # of the API server that the operator asks for the time
        self.unreadable = ""
        self.away = False  # the operator
        self.generation = 1
        self.refusals: dict[str, str] = {}  # of pods, by revision
        self.job_skew = timedelta(0)  # of the API server that made a trial's Job
        self.crashing: set[str] = set()  # versions whose server ends again and again
        self._due = self.now
        self._seen: object = None
        self._kept: looks.Look | None = None

    @property
    def time(self):
        """As the operator is told it."""
        return self.now + self.skew

    def heal(self) -> None:
        self.metrics, self.room, self.quota, self.store_away = Metrics.WELL, None, None, False
        self.unreadable, self.away, self.skew, self.writes_until_crash = "", False, timedelta(0), None
        self.outage = False
        self.trial_result = self.trial_result or (lambda version: worlds.PASSED)

    def change(self, **fields: object) -> None:
        """The object's spec is edited."""
        self.spec = msgspec.structs.replace(self.spec, **fields)
        self.generation += 1

    # The operator

    def step(self) -> None:
        if not self.away and self._woken():
            try:
                self._pass()
            except worlds.Crash:
                self.writes_until_crash = None
                self._seen = None  # it starts again, and looks at everything
        self._advance()

    def _woken(self) -> bool:
        judged = looking.window(self, self.time) is not None and self.metrics is not Metrics.HANGING
        return judged or self.time >= self._due or self._watched() != self._seen

    def _watched(self) -> object:
        """What an event tells of."""
        return (
            (self.generation, self.spec, self.unreadable, self.tokens, self.quota),
            (self.selector, self.routed, tuple(self.pods.values()), dict(self.trials), dict(self.deployments)),
            (frozenset(self.configs), frozenset(self.records), dict(self.refusals)),
        )

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
        if not self.thorough:
            return msgspec.structs.replace(seen, look=self._look(seen))
        if self.metrics is Metrics.HANGING:
            asked = looking.question(seen, self.time)
            kept = looking.aged(self._kept, asked, self.time) if self._kept is not None and asked is not None else None
            return msgspec.structs.replace(seen, look=kept)
        return msgspec.structs.replace(seen, sight=self._sight(seen))

    def _facts(self) -> facts.Snapshot:
        """Without any look at metrics."""
        wish = self._last_spec() if self.unreadable else None
        real, self.spec = self.spec, wish or self.spec
        try:
            seen = self._children()
        finally:
            self.spec = real
        owner = msgspec.structs.replace(seen.owner, generation=self.generation)
        deployments = {
            name: msgspec.structs.replace(one, refusal=self.refusals.get(name, ""))
            for name, one in seen.deployments.items()
        }
        return msgspec.structs.replace(seen, owner=owner, unreadable=self.unreadable, deployments=deployments)

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
        clean = facts.Pod(name=pod.name, revision=pod.revision, started_at=pod.started_at)
        if self.version(pod.revision) in self.crashing:
            return msgspec.structs.replace(
                clean, crash_looping=True, fault=facts.Fault.VERSION, trouble="server: out of memory"
            )
        grown = super()._grown(clean)
        return grown if grown != pod else pod

    def evict(self, pod: facts.Pod) -> None:
        """Its node has no more room for it; the pod stays, to be read."""
        self.pods[pod.name] = msgspec.structs.replace(pod, ready=False, failed=True, fault=AWAY, trouble="Evicted")

    def lose(self, kind: str, of: str) -> None:
        """Somebody deletes a child."""
        if kind == "Service":
            self.selector = self.routed = None
            self.applied.pop((kind, ""), None)
        else:
            self.delete(kind, of)

    def downgraded_for_a_while(self) -> None:
        """An operator that knows fewer fields has written the status, and one that knows more before it."""
        told = msgspec.to_builtins(self.status)
        for field in ("trialAttempt", "windows"):
            (told.get("candidate") or {}).pop(field, None)
        told["futureField"] = {"a": 1}
        self.status, _ = stored.read(told)

    # Metrics

    def _look(self, seen: facts.Snapshot) -> looks.Look | None:
        """A brief judgement of true counts."""
        asked = looking.question(seen, self.time)
        if asked is None:
            return None
        if self.metrics is Metrics.HANGING:
            same = self._kept is not None and self._kept.source == str(asked.subject)
            return looking.aged(self._kept, asked, self.time) if same and self._kept is not None else None
        self._kept = msgspec.structs.replace(self._judged(asked), source=str(asked.subject))
        return self._kept

    def _judged(self, asked: looking.Question) -> looks.Look:
        window, now = asked.window, self.time
        stable, candidate = self._counts(window.stable, window), self._counts(window.candidate, window)
        known = {"at": now, "alone": window.alone, "soak": window.soak}
        if self.metrics is Metrics.DOWN:
            return self._blind(Outcome.ERROR, "connection refused", known)
        lacks_pods = any(not any(pod.ready and pod.arm is arm for pod in asked.pods) for arm in asked.arms)
        if self.metrics not in SEEN or lacks_pods:
            return self._blind(Outcome.NO_DATA, f"metrics: {self.metrics.value}", known)
        first, slots = self._answered(window)
        shares = [errors / requests if requests else 0.0 for requests, errors in (stable, candidate)]
        outcome, reason = Outcome.PASS, "Pass"
        limit = 0.05 if window.alone else max(0.05, 3 * shares[0])
        if candidate[1] >= 5 and shares[1] > limit:
            outcome, reason = Outcome.FAIL, Reason.ERRORS_REGRESSED
        elif shares[1] > 0.05:
            outcome, reason = Outcome.INCONCLUSIVE, Reason.STABLE_ALSO_BREACHING
        elif not candidate[0]:
            outcome, reason = Outcome.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC
        return looks.Look(
            outcome=outcome,
            reason=reason,
            message=f"errors: candidate {candidate}, stable {stable}",
            observed=timedelta(seconds=5 * slots),
            stable_requests=stable[0],
            candidate_requests=candidate[0],
            first_request_at=first,
            breach_at=now if outcome is Outcome.FAIL else None,
            **known,
        )

    def _blind(self, outcome: Outcome, message: str, known: dict) -> looks.Look:
        return looks.Look(outcome=outcome, reason=Reason.METRICS_UNAVAILABLE, message=message, **known)

    def _counts(self, revision: str, window: looking.Window) -> tuple[int, int]:
        """(requests, errors) of a revision since the window began."""
        since, total = window.since.timestamp(), (0, 0)
        for pod in self.pods.values():
            rows = self.totals.get(pod.name, ()) if pod.revision == revision else ()
            inside = [row for row in rows if row[0] > since]
            if inside:
                before = next((row for row in reversed(rows) if row[0] <= since), inside[0])
                total = total[0] + inside[-1][1] - before[1], total[1] + inside[-1][2] - before[2]
        return total

    def _answered(self, window: looking.Window):
        """When the candidate first answered in the window, and in how many rows of five seconds since."""
        moments = set()
        for pod in self.pods.values():
            rows = self.totals.get(pod.name, ()) if pod.revision == window.candidate else ()
            moments |= {
                row[0]
                for last, row in itertools.pairwise(rows)
                if last[0] >= window.since.timestamp() and row[1] > last[1]
            }
        first = min(moments, default=None)
        return (None if first is None else worlds.START.fromtimestamp(first, worlds.START.tzinfo)), len(moments)

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


def _fields(wish: specs.Spec) -> dict[str, object]:
    return {"rollout": wish.rollout, "analysis": wish.analysis, "trial": wish.trial}
