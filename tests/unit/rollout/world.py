"""A small world for the planner: it does what status and children ask for, as a cluster would, in steps of time.

`World.run` repeats plan -> write status -> apply, lets pods become Ready, endpoints follow the Service, traffic flow;
each single write can be the last one before a crash. Promises are checked after every write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
from tests.unit.analysis import exported
from tests.unit.rollout import trainer

from seatrial.analysis import counters, samples
from seatrial.api.spec import Analysis, Duration, Model, Provider, Rollout, Spec, Step
from seatrial.api.status import Commands, Status
from seatrial.control import reading
from seatrial.rollout import (
    bounds,
    children,
    facts,
    looking,
    names,
    notes,
    planner,
    plans,
    providing,
    report,
    revision,
    traffic,
)
from seatrial.rollout.traffic import assignment, service

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
INTERVAL = timedelta(seconds=5)
OPERATOR = facts.Operator(serving_image="seatrial.dev/serving:1", scrape_interval=INTERVAL)
PASSED = report.Report(outcome=report.Outcome.PASSED, served_sha256="5e", precision="fp32")
REJECTED = report.Report(outcome=report.Outcome.REJECTED, reason="DigestMismatch", message="the bytes are others")

STEPS = (
    Step(weight=10, min_duration=Duration.parse("20s"), min_requests=50),
    Step(weight=50, min_duration=Duration.parse("20s"), min_requests=50),
)


def spec(version: str = "1", **changes: object) -> Spec:
    """A spec with quick steps; the digest follows from the version. Provider Service, unless asked for another."""
    wish = Spec(
        model=Model(uri=f"http://store/{version}.onnx", sha256=(version * 64)[:64], version=version),
        rollout=Rollout(steps=STEPS, soak=Duration.parse("30s")),
        analysis=Analysis(interval=Duration.parse("5s")),
    )
    wish = msgspec.structs.replace(wish, **changes)
    said = wish.rollout.traffic.provider or any(step.shadow for step in wish.rollout.steps or ())
    return wish if said else provided(wish, Provider.SERVICE)


def provided(wish: Spec, provider: Provider | None) -> Spec:
    """The spec with another provider; None: with none said."""
    traffic_ = msgspec.structs.replace(wish.rollout.traffic, provider=provider)
    return msgspec.structs.replace(wish, rollout=msgspec.structs.replace(wish.rollout, traffic=traffic_))


GIVEN = (
    *((counters.Counter.RELAYED, f"{one}{covered}") for one in samples.GIVEN for covered in ("", "/covered")),
    *((counters.Counter.COPIES, one) for one in samples.GIVEN),
    *((counters.Counter.ROWS, one) for one in ("same", "different", "failed", "dropped")),
)  # series that a server with a relay exports
RELAYED = (Step(weight=0, shadow=20, min_duration=Duration.parse("20s"), min_requests=50), *STEPS)


def relayed(version: str = "1", **changes: object) -> Spec:
    """The same with provider Relay, and copies of requests before the first answer."""
    wish = provided(spec(version, **changes), Provider.RELAY)
    return msgspec.structs.replace(wish, rollout=msgspec.structs.replace(wish.rollout, steps=RELAYED))


class Crash(Exception):
    """The operator dies here."""


class World:
    """One ModelDeployment with its children, pods, endpoints and traffic."""

    def __init__(self, wish: Spec) -> None:
        self.spec = wish
        self.generation = 1
        self.status = Status()
        self.now = START
        self.tokens = Commands()
        self.records: dict[str, revision.Record] = {}
        self.notes: dict[str, notes.Notes] = {}
        self.noted: dict[str, report.Report] = {}  # reports that are kept in notes
        self.reports: dict[str, report.Report] = {}
        self.configs: dict[str, dict] = {}
        self.trials: dict[str, facts.Trial] = {}
        self.deployments: dict[str, int] = {}
        self.pods: dict[str, facts.Pod] = {}
        self.selector: dict[str, str] | None = None
        self.routed: dict[str, str] | None = None  # what endpoints follow: the Service, a moment later
        self.totals: dict[str, list[tuple[float, int, int]]] = {}
        self.given: dict[str, list[dict[tuple[counters.Counter, str], int]]] = {}  # by pod, what became of what it gave
        self.trial_result: Callable[[str], report.Report] | None = lambda version: PASSED  # None: it takes its time
        self.error_share: dict[str, float] = {}
        self.stuck: set[str] = set()  # versions whose pods never become Ready
        self.prometheus_down = False
        self.events: list[str] = []
        self.written: list[Status] = []
        self.evidence: dict | None = None
        self.applied: dict[tuple[str, str], dict] = {}  # the newest object by kind and revision
        self.weights: list[int] = []
        self.writes_until_crash: int | None = None
        self.versions: dict[str, str] = {}  # of every revision there ever was
        self.passed: set[str] = set()  # revisions whose trial has passed, at any time
        self.pods_made = 0
        self.mute: set[str] = set()  # pods that can't be asked what they pass on
        self.deaf: set[str] = set()  # pods that don't notice a change of what they shall pass on
        self.followed: dict[str, assignment.Assignment] = {}  # by pod, as its server read it last
        self.told: dict[str, set[str]] = {}  # by pod, revisions that it has followed an assignment to
        self.user_errors = 0  # answers that were errors to whoever asked
        self.relayed: list[tuple[int, int]] = []  # (asked of stable's pods, of these passed on) in each five seconds
        self.trainer = trainer.Trainer()
        self._measured = self.status
        self._pods_known: dict[str, facts.Pod] = {}  # as they were when the operator last decided

    def version(self, name: str) -> str:
        return self.versions[name]

    @property
    def serving(self) -> str:
        """Version that is stable."""
        assert self.status.stable is not None
        return self.status.stable.model_version

    def pods_of(self, version: str) -> list[facts.Pod]:
        return [pod for pod in self.pods.values() if self.version(pod.revision) == version]

    def condition(self, kind: str) -> tuple[str, str]:
        found = next(one for one in self.status.conditions if one.type == kind)
        return found.status.value, found.reason

    @property
    def provider(self) -> Provider:
        """Of the rollout under way, as a snapshot has it."""
        return _provider(self.status)

    def snapshot(self) -> facts.Snapshot:
        return self._with_sight(providing.settled(self._facts()))

    def _facts(self) -> facts.Snapshot:
        """What the operator goes by, without any look at metrics."""
        return self._children()

    def _children(self) -> facts.Snapshot:
        """All that isn't metrics."""
        content = revision.wanted(
            self.spec, name="churn", default_image=OPERATOR.serving_image, known=self.records.values()
        )
        record = children.new_record("churn", content=content, wish=self.spec, known=self.records)
        return facts.Snapshot(
            owner=facts.Owner(namespace="shop", name="churn", uid="u", generation=self.generation),
            spec=self.spec,
            status=self.status,
            commands=self.tokens,
            wanted=record,
            records=dict(self.records),
            notes=dict(self.notes),
            reports={**self.noted, **self.reports},
            configured=reading.configured(self.configs.values()),
            trials=dict(self.trials),
            deployments={name: facts.Deployment(replicas=count) for name, count in self.deployments.items()},
            pods=tuple(msgspec.structs.replace(pod, relay=self._report(pod)) for pod in self.pods.values()),
            endpoints=self._endpoints(),
            observed=tuple(self._observed()),
            training=self.trainer.seen(),
            operator=OPERATOR,
        )

    def _with_sight(self, seen: facts.Snapshot) -> facts.Snapshot:
        sight = self._sight(seen)
        if sight is not None:
            sight = msgspec.structs.replace(
                sight, series=exported.whole(sight.series), history=exported.whole(sight.history)
            )
        return msgspec.structs.replace(seen, sight=sight)

    def _observed(self) -> Iterator[dict]:
        """Children as far as deletions look at them."""
        kinds = {
            "ControllerRevision": self.records,
            "ConfigMap": self.configs,
            "Deployment": self.deployments,
            "Job": self.trials,
        }
        for kind, names_of_kind in kinds.items():
            for name in names_of_kind:
                meta = {"name": f"churn-{name}", "uid": f"{kind}-{name}", "labels": {names.REVISION: name}}
                yield {"kind": kind, **self.applied.get((kind, name), {}), "metadata": meta}

    def plan(self) -> plans.Plan:
        return planner.plan(self.snapshot(), self.now)

    def step(self) -> None:
        """One pass of the operator, maybe cut short, then five seconds of the world."""
        try:
            self._pass()
        except Crash:
            self.writes_until_crash = None
        self._advance()

    def run(self, until: Callable[[World], bool], *, limit: int = 200) -> World:
        """Steps until it is so; fails when it never is."""
        for _ in range(limit):
            if until(self):
                return self
            self.step()
        raise AssertionError(f"never reached; {self.status.phase}: {self.condition('Ready')}")

    def _pass(self) -> None:
        for _ in range(4):  # a pass that asks to be looked at again at once
            plan = self.plan()
            self.apply(plan)
            if plan.look_again != timedelta(0):
                return

    @property
    def time(self) -> datetime:
        """As the operator is told it."""
        return self.now

    def apply(self, plan: plans.Plan) -> None:
        """Each write on its own; promises are checked after it."""
        self.evidence = plan.evidence or self.evidence
        if plan.status != self.status:
            self._wrote()
            self.check_weight(self.status, plan.status)
            self.trainer.check(self.status, plan.status, self._facts())
            self.status = plan.status
            self.written.append(plan.status)
        self._pods_known = dict(self.pods)
        self.check_promises()
        for one in plan.annotations:
            self._wrote()
            self.annotate(one)
            self.check_promises()
        for wanted in plan.apply:
            self._wrote()
            self.put(wanted)
            self.check_promises()
        if plan.training is not None:
            self._wrote()
            self.trainer.put(plan.training, self.now)
        for gone in plan.delete:
            self._wrote()
            self.delete(gone.kind, gone.name.removeprefix("churn-"))
        self.events += [event.reason for event in plan.events]

    def annotate(self, one: traffic.Annotation) -> None:
        """A pod is told what to pass on: what status asks for, for as long as a lease, by pods of stable."""
        pod, candidate, stable = self.pods[one.pod], self.status.candidate, self.status.stable
        if one.text is not None and one.text.strip():
            said = msgspec.json.decode(one.text, type=assignment.Assignment)
            assert candidate is not None, "requests are passed on without a candidate"
            assert stable is not None, "requests are passed on without a stable version"
            asked = (candidate.revision, candidate.weight, candidate.shadow)
            assert (said.revision, said.weight, said.shadow or 0) == asked, "a share is passed on that nobody asked for"
            assert pod.revision == stable.revision, "a pod that isn't stable's passes on"
            assert datetime.fromisoformat(said.until) <= self.time + assignment.LEASE, "an assignment without an end"
            ready = {other.ip for other in self.pods.values() if other.revision == said.revision and other.ready}
            assert set(said.to) <= ready, "requests are passed on to a pod that isn't Ready"
        self.pods[one.pod] = msgspec.structs.replace(pod, assignment=one.text or "")

    def delete(self, kind: str, of: str) -> None:
        """A child goes, whoever deletes it."""
        if kind == "Job" and of.startswith("train-"):
            self.trainer.delete(int(of.removeprefix("train-")))
            return
        kinds = {
            "ControllerRevision": (self.records, self.notes, self.noted),
            "ConfigMap": (self.reports, self.configs),
            "Deployment": (self.deployments,),
            "Job": (self.trials,),
        }
        for known in kinds[kind]:
            known.pop(of, None)
        self.applied.pop((kind, of), None)

    def _wrote(self) -> None:
        if self.writes_until_crash is None:
            return
        if self.writes_until_crash == 0:
            raise Crash
        self.writes_until_crash -= 1

    def put(self, wanted: dict) -> None:
        """A child is as it was applied."""
        of = wanted["metadata"]["labels"].get(names.REVISION, "")
        if self.applied.get((wanted["kind"], of)) == wanted and wanted["kind"] in ("ControllerRevision", "ConfigMap"):
            return  # read already
        self.applied[wanted["kind"], of] = wanted
        match wanted["kind"]:
            case "ControllerRevision":
                self.records[of] = reading.record(wanted)
                self.versions[of] = self.records[of].content.model_version
                self.notes[of] = reading.notes(wanted)
                self.noted.update(reading.noted_reports({of: self.notes[of]}))
            case "ConfigMap" if of:
                self.configs[of] = wanted
                self.reports[of] = reading.known_report(wanted)
                self.passed.add(of)
            case "Deployment":
                count = wanted["spec"]["replicas"]
                routed = [pod for pod in self._selected() if pod.revision == of]
                assert count >= min(len(routed), self.spec.replicas), "pods that endpoints hold are taken away"
                there = {pod.ip for pod in self.pods.values() if pod.revision == of and pod.alive}
                told = [one for one in map(self.following, self.pods) if one is not None and one.revision == of]
                passed_on = any(one.weight and there.intersection(one.to) for one in told)
                assert count or not passed_on, "pods that requests are passed on to are taken away"
                self.deployments[of] = count
            case "Service":
                self.selector = wanted["spec"]["selector"]
            case "Job":
                attempt = int(wanted["metadata"]["annotations"][names.ATTEMPT])
                made = facts.Trial(state=facts.JobState.RUNNING, created_at=self.now, attempt=attempt)
                self.trials.setdefault(of, made)

    def _advance(self) -> None:
        self.routed = self.selector
        self._follow()
        self.check_promises()
        self._traffic()
        self.now += INTERVAL
        self._trials()
        self.trainer.step(self.now)
        self._pods()

    def _trials(self) -> None:
        """Jobs that run come to an end."""
        for name, trial in self.trials.items():
            if trial.state is facts.JobState.RUNNING and self.trial_result is not None:
                found = self.trial_result(self.version(name))
                if found.outcome is report.Outcome.PASSED:
                    self.passed.add(name)
                self.trials[name] = msgspec.structs.replace(
                    trial,
                    state=facts.JobState.SUCCEEDED,
                    report=found,
                    report_line=msgspec.json.encode(found).decode(),
                )

    def _pods(self) -> None:
        """Deployments have as many pods as they ask for; those that have failed stay, and count for nothing."""
        for name, count in self.deployments.items():
            own = [pod for pod in self.pods.values() if pod.revision == name and pod.alive]
            for pod in own[count:]:
                self.remove(pod)
            for pod in own[:count]:
                self.pods[pod.name] = self._grown(pod)
            for _ in range(len(own), count):
                self.pods_made += 1
                pod, ip = f"{name}-{self.pods_made}", f"10.0.{self.pods_made // 250}.{1 + self.pods_made % 250}"
                self.pods[pod] = facts.Pod(name=pod, revision=name, uid=pod, ip=ip, started_at=self.now)

    def _grown(self, pod: facts.Pod) -> facts.Pod:
        """A pod that was there five seconds ago."""
        ready = self.version(pod.revision) not in self.stuck
        return msgspec.structs.replace(pod, ready=ready, fault=None if ready else facts.Fault.VERSION)

    def remove(self, pod: facts.Pod) -> None:
        """A pod is gone, with its counters."""
        del self.pods[pod.name]
        self.totals.pop(pod.name, None)
        self.given.pop(pod.name, None)
        self.followed.pop(pod.name, None)
        self.told.pop(pod.name, None)

    def _follow(self) -> None:
        """Servers read what their pods shall pass on; what they can't read they don't follow."""
        for name, pod in self.pods.items():
            if name in self.deaf or not pod.alive:
                continue
            self.followed.pop(name, None)
            try:
                said = msgspec.json.decode(pod.assignment, type=assignment.Assignment)
            except msgspec.MsgspecError:
                continue
            endless = datetime.fromisoformat(said.until) > self.now + timedelta(minutes=10, seconds=30)
            if said.weight <= 100 and said.revision != pod.revision and not endless:
                self.followed[name] = said
                self.told.setdefault(name, set()).add(said.revision)

    def following(self, name: str) -> assignment.Assignment | None:
        """What a pod's server passes on at this moment: an assignment ends by itself."""
        read = self.followed.get(name)
        if read is None or name not in self.pods or self.pods[name].failed:
            return None
        return read if datetime.fromisoformat(read.until) + assignment.TOLERANCE > self.now else None

    def _report(self, pod: facts.Pod) -> facts.RelayReport | None:
        """What a pod says of that, where it can be asked."""
        if pod.name in self.mute or not pod.ready or not pod.alive:
            return None
        now = self.following(pod.name)
        ratio = dict.fromkeys(self.told.get(pod.name, ()), 0.0)
        if now is not None:
            ratio[now.revision] = now.weight / 100
        return facts.RelayReport(at=self.time, ratio=ratio)

    def _selected(self) -> list[facts.Pod]:
        """Pods that endpoints hold."""
        return self._led_to(self.routed)

    @property
    def _followed(self) -> dict[str, str] | None:
        """The Service's selector as its endpoints have it."""
        return self.routed

    def _led_to(self, selector: dict[str, str] | None) -> list[facts.Pod]:
        if selector is None:
            return []
        pinned = selector.get(names.REVISION)
        return [pod for pod in self.pods.values() if pod.ready and pod.alive and pinned in (None, pod.revision)]

    def _selected_strangers(self) -> int:
        """Pods of others that endpoints hold, because they carry our labels."""
        return 0

    def _endpoints(self) -> facts.Endpoints | None:
        if self.selector is None:
            return None
        counts: dict[str, int] = {}
        for pod in self._selected():
            counts[pod.revision] = counts.get(pod.revision, 0) + 1
        return facts.Endpoints(selector=self.selector, ready=counts, serving=counts)

    def _traffic(self) -> None:
        """Requests come, some pods pass on a share of theirs; every fifth second a scrape."""
        asked = self._asked()
        answered = dict(asked)
        self.user_errors += sum(round(count * self.errors_of(self.pods[pod])) for pod, count in asked.items())
        gave = {pod: self._pass_on(self.pods[pod], answered) for pod in asked}
        passed_on = sum(more[key] for more in gave.values() for key in more if key[0] is counters.Counter.RELAYED)
        self.relayed.append((sum(asked.values()), passed_on))
        for pod in self.pods.values():
            _, requests, errors = self.totals.setdefault(pod.name, [(self.now.timestamp(), 0, 0)])[-1]
            requests += answered.get(pod.name, 0)
            errors += round(answered.get(pod.name, 0) * self.errors_of(pod))
            self.totals[pod.name].append(((self.now + INTERVAL).timestamp() - 0.5, requests, errors))
            known = self.given.setdefault(pod.name, [dict.fromkeys(GIVEN, 0)])
            more = gave.get(pod.name, {})
            known.append({key: count + more.get(key, 0) for key, count in known[-1].items()})

    def _asked(self) -> dict[str, int]:
        """How many of 250 requests in five seconds a client's way leads to each pod."""
        selected = self._selected()
        share = 250 // max(1, len(selected) + self._selected_strangers())
        return {pod.name: share for pod in selected}

    def _pass_on(self, pod: facts.Pod, answered: dict[str, int]) -> dict[tuple[counters.Counter, str], int]:
        """A pod's share goes to the pods that it is told, copies as well. What isn't answered there it answers itself,
        and what is answered badly; so nobody asks in vain.
        """
        told = self.following(pod.name)
        there = [one for one in self.pods.values() if told is not None and one.alive and one.ip in told.to]
        if told is None or not there:
            return {}
        given = round(answered[pod.name] * told.weight / 100)
        copies = round((answered[pod.name] - given) * (told.shadow or 0) / 100)
        answered[pod.name] -= given
        for place, one in enumerate(there):
            mine = (given + copies) // len(there) + (place < (given + copies) % len(there))
            answered[one.name] = answered.get(one.name, 0) + mine
        failed, failed_copies = (round(count * self.errors_of(there[0])) for count in (given, copies))
        return {
            (counters.Counter.RELAYED, "ok"): given - failed,
            (counters.Counter.RELAYED, "error/covered"): failed,
            (counters.Counter.COPIES, "ok"): copies - failed_copies,
            (counters.Counter.COPIES, "error"): failed_copies,
            (counters.Counter.ROWS, "same"): copies - failed_copies,
        }

    def errors_of(self, pod: facts.Pod) -> float:
        """Share of its answers that are errors."""
        return self.error_share.get(self.version(pod.revision), 0.0)

    def _sight(self, seen: facts.Snapshot) -> facts.Sight | None:
        asked = looking.window(seen, self.now)
        if asked is None:
            return None
        if self.prometheus_down:
            return facts.Sight(error="connection refused")
        arms = {asked.stable: counters.Arm.STABLE, asked.candidate: counters.Arm.CANDIDATE}
        series = []
        for pod in self.pods.values():
            if pod.revision not in arms or pod.name not in self.totals:
                continue
            for label, place in (("ok", None), ("error", 2)):
                rows = [(row[0], float(row[1] - row[2] if place is None else row[2])) for row in self.totals[pod.name]]
                series.append(
                    counters.Series(
                        arm=arms[pod.revision],
                        pod=pod.name,
                        counter=counters.Counter.REQUESTS,
                        label=label,
                        samples=rows,
                    )
                )
            if asked.relayed and pod.revision == asked.stable:
                series += self._counted_of_candidate(pod)
        return facts.Sight(series=tuple(series))

    def _counted_of_candidate(self, pod: facts.Pod) -> Iterator[counters.Series]:
        """What a stable pod counts of what it gave to the candidate."""
        moments = [row[0] for row in self.totals[pod.name]]
        for counter, label in GIVEN:
            yield counters.Series(
                arm=counters.Arm.STABLE,
                pod=pod.name,
                counter=counter,
                label=label,
                samples=[
                    (moment, float(counts[counter, label]))
                    for moment, counts in zip(moments, self.given[pod.name], strict=True)
                ],
            )

    def check_weight(self, before: Status, after: Status) -> None:
        """Weight grows only within the capacity that is ready, and only beside a stable version that is whole."""
        old, new = before.candidate, after.candidate
        if new is None or new.weight <= (old.weight if old is not None else 0):
            return
        ready = sum(pod.ready for pod in self.pods.values() if pod.revision == new.revision)
        provider = _provider(after)
        needed = traffic.pods_needed(new.weight, self.spec.replicas, provider=provider, shadow=new.shadow)
        assert ready >= needed, "more weight than ready pods"
        if before.stable is not None and new.weight < 100:
            whole = sum(pod.ready for pod in self.pods.values() if pod.revision == before.stable.revision)
            assert whole >= self.spec.replicas, "the weight grows while stable is short of pods"

    def check_promises(self) -> None:
        """What must hold after every single write, whatever happened before."""
        stable, candidate = self.status.stable, self.status.candidate
        selected = self._selected()
        for pod in selected:
            assert pod.revision in self.passed, "a pod of a revision without a passed trial gets traffic"
        if (
            stable is not None
            and candidate is not None
            and 0 < candidate.weight < 100
            and self.provider is Provider.SERVICE
        ):
            revisions = {pod.revision for pod in self.pods.values() if pod.ready}
            assert revisions <= {stable.revision, candidate.revision}, "a third version gets traffic"
        asked = service.asked_for("churn", self._selected_by)
        stable_ready = stable and any(
            pod.ready and pod.alive and pod.revision == stable.revision for pod in self.pods.values()
        )
        # Nobody moves traffic for pods of which the operator has not decided yet: it may be away, or have died.
        if stable_ready and self.pods == self._pods_known and self._followed == asked:  # else that write is under way
            assert selected, "the Service selects nobody although stable has ready pods"
        if self.status is not self._measured:
            size, self._measured = len(msgspec.json.encode(self.status)), self.status
            assert size <= bounds.LIMIT, f"the status has {size} bytes"
        self.weights.append(candidate.weight if candidate else 0)

    @property
    def _selected_by(self) -> Status:
        """The status as the selector follows it while stable has a pod Ready."""
        candidate = self.status.candidate
        if candidate is None or self.provider is Provider.SERVICE or candidate.weight == 100:
            return self.status
        return msgspec.structs.replace(self.status, candidate=msgspec.structs.replace(candidate, weight=0))


def _provider(of: Status) -> Provider:
    """An older operator notes none on the candidate."""
    noted = of.candidate.provider if of.candidate is not None else ""
    told = of.traffic.provider if of.candidate is not None and of.traffic is not None else ""
    return Provider(noted or told or Provider.SERVICE)
