"""Everything a decision may rest on: the object, its children as Kubernetes shows them, and the look at its metrics.

Built by `control.observing`, once per pass; frozen. Times are the API server's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from seatrial.analysis import counters
from seatrial.api import placement
from seatrial.api import spec as spec_
from seatrial.api.spec import Spec
from seatrial.api.status import Commands, DriftStatus, Reason, Status
from seatrial.drift.canary import Found

from . import standing
from .looks import Look
from .notes import Notes
from .report import Report
from .retraining import seen
from .revision import Record


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable and keyword-only."""


class Owner(Fact, frozen=True, kw_only=True):
    """The ModelDeployment's identity."""

    namespace: str
    name: str
    uid: str
    generation: int


class Fault(enum.StrEnum):
    """Whose fault it is that a pod isn't ready, or that a trial failed."""

    VERSION = "Version"  # image, crash, model, probe: the same bytes will do the same again
    SURROUNDINGS = "Surroundings"  # store, nodes, quota, eviction: another time or place may be better
    UNKNOWN = "Unknown"


class RelayReport(Fact, frozen=True, kw_only=True):
    """What a pod's server says of its relay.

    Attributes:
        at: when it was asked.
        able: the server has a relay; one of an older serving image hasn't.
        ratio: share that is passed on now, by the candidate's revision; 0 where it was passed on and isn't any more.
        in_flight: requests passed on without an answer yet.
    """

    at: datetime
    able: bool = True
    ratio: Mapping[str, float] = {}
    in_flight: int = 0


class Pod(Fact, frozen=True, kw_only=True):
    """One pod of a revision's Deployment.

    Attributes:
        leaving: it is being deleted, or has ended for good; it never counts as one that serves or will.
        failed: it has ended for good (evicted, lost, killed by its node); Kubernetes keeps such pods to be read.
        crash_looping: the server itself ends again and again.
        fault: whose fault the trouble is; None while there is none.
        trouble: the pod's own words on why it isn't ready, quoted.
        assignment: what it is told to pass on, as its annotation says it.
        relay: what its server says of that; None where it wasn't asked or doesn't answer.
    """

    name: str
    revision: str
    uid: str = ""
    ip: str = ""
    ready: bool = False
    leaving: bool = False
    failed: bool = False
    started_at: datetime | None = None
    crash_looping: bool = False
    fault: Fault | None = None
    trouble: str = ""
    assignment: str = ""
    relay: RelayReport | None = None

    @property
    def alive(self) -> bool:
        return not self.leaving and not self.failed


class Deployment(Fact, frozen=True, kw_only=True):
    """One revision's Deployment."""

    replicas: int
    refusal: str = ""  # ReplicaFailure: quota or admission refused the pods, in the API's words


class JobState(enum.StrEnum):
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Trial(Fact, frozen=True, kw_only=True):
    """One revision's trial Job. `report` is set once it succeeded and its log could be read.

    Attributes:
        attempt: which try of its revision the Job was made for; None: an older operator made it.
        fault: whose fault it is that it failed; None while it hasn't.
    """

    state: JobState
    created_at: datetime
    ended_at: datetime | None = None
    attempt: int | None = None
    fault: Fault | None = None
    report: Report | None = None
    report_line: str = ""
    trouble: str = ""


STRANGER = ""  # stands for the revision of pods that aren't ours, whatever their labels say


class Endpoints(Fact, frozen=True, kw_only=True):
    """What the Service really routes to: pods per revision, ready or still draining; also those of a `STRANGER`."""

    selector: Mapping[str, str]
    ready: Mapping[str, int]
    serving: Mapping[str, int]


class ParentKey(NamedTuple):
    """Which gateway, and which of its listeners ("" for all), a route asks for."""

    namespace: str
    name: str
    section: str = ""

    @classmethod
    def of(cls, one: spec_.ParentRef, namespace: str) -> ParentKey:
        """`namespace`: the route's, which is meant where none is named."""
        return cls(one.namespace or namespace, one.name, one.section_name or "")


class Said(Fact, frozen=True, kw_only=True):
    """A condition as a gateway set it. `generation`: of the route, that it was said of; 0 where it isn't told."""

    status: str
    reason: str = ""
    message: str = ""
    generation: int = 0


class Parent(Fact, frozen=True, kw_only=True):
    """What is said of a route for one of its parents, by type of condition."""

    key: ParentKey
    conditions: Mapping[str, Said]


class Route(Fact, frozen=True, kw_only=True):
    """The HTTPRoute as it is: what it asks for, and what the gateways say of it."""

    generation: int
    asked: spec_.Gateway
    weights: Mapping[str, int]  # by Service
    parents: tuple[Parent, ...] = ()


class Sight(Fact, frozen=True, kw_only=True):
    """What the sources of metrics said, or why they said nothing."""

    series: tuple[counters.Series, ...] = ()
    history: tuple[counters.Series, ...] = ()
    error: str = ""
    misconfigured: bool = False  # refused (4xx): a setting has to change, waiting won't help
    partial: str = ""  # a warning that data may be missing, quoted
    note: str = ""  # why samples may be missing: whose came instead, which pods can't be read
    source: str = "Prometheus"


class Refusal(Fact, frozen=True, kw_only=True):
    """A child that the API server refused in the last pass."""

    reason: Reason
    message: str


HOUR = timedelta(hours=1)


class Operator(Fact, frozen=True, kw_only=True):
    """Settings of the operator that decisions depend on."""

    serving_image: str
    serving_images: tuple[str, ...] = ()  # what a spec may name besides the repository of serving_image
    scrape_interval: timedelta = timedelta(seconds=15)
    pods: placement.Placement = placement.Placement()  # what templates get where spec.serving says nothing
    hour: timedelta = HOUR  # of retraining's times; another one is for tests


class Replaced(Fact, frozen=True, kw_only=True):
    """What the object's own spec.model asks for, while a trained version is wanted in its place."""

    model: spec_.Model
    revision: str


class Snapshot(Fact, frozen=True, kw_only=True):
    """One ModelDeployment and its world at one moment."""

    owner: Owner
    spec: Spec
    provider: spec_.Provider = spec_.Provider.SERVICE  # of the rollout under way, else of the next one; see `providing`
    instead: str = ""  # why it isn't the one that the spec asks for
    unreadable: str = ""  # why the spec on the object can't be read; `spec` is then the last one that could
    status: Status = Status()
    commands: Commands = Commands()  # the tokens on the object now
    wanted: Record
    records: Mapping[str, Record] = {}
    notes: Mapping[str, Notes] = {}
    reports: Mapping[str, Report] = {}
    configured: Mapping[str, str] = {}  # revisions whose ConfigMap is there, with the uri that it names
    trials: Mapping[str, Trial] = {}
    deployments: Mapping[str, Deployment] = {}
    pods: tuple[Pod, ...] = ()
    endpoints: Endpoints | None = None
    backends: Mapping[str, Endpoints] = {}  # of every Service of ours, by its name
    route: Route | None = None
    observed: tuple[Mapping[str, Any], ...] = ()  # the children as they are, to apply only what differs
    sight: Sight | None = None
    look: Look | None = None  # the newest one, where the samples are judged beside the pass
    moved: Found | None = None  # what the candidate's answers and inputs say beside stable's
    refused: Refusal | None = None
    replaced: Replaced | None = None  # `spec` and `wanted` are then the trained version's
    training: seen.Seen = seen.Seen()
    unread: tuple[str, ...] = ()  # parts of the stored status that this release can't read
    operator: Operator

    @property
    def own_spec(self) -> Spec:
        """The spec as the object has it, whatever is wanted in place of its model."""
        if self.replaced is None:
            return self.spec
        return msgspec.structs.replace(self.spec, model=self.replaced.model)

    @property
    def drift(self) -> DriftStatus | None:
        """What was last found of the traffic of the stable version; of another one it says nothing."""
        drift, stable = self.status.drift, self.status.stable
        return drift if drift is not None and stable is not None and drift.revision == stable.revision else None

    @property
    def steps(self) -> tuple[spec_.Step, ...]:
        """The canary's stages with this provider: the spec's, else the default ones. Only Relay makes copies, so
        another one passes over steps that have nothing else.
        """
        steps = self.spec.rollout.steps or spec_.DEFAULT_STEPS[self.provider]
        if self.provider is spec_.Provider.RELAY:
            return steps
        answering = tuple(msgspec.structs.replace(one, shadow=0) for one in steps if one.weight)
        return answering or spec_.DEFAULT_STEPS[self.provider]

    def ready(self, revision: str) -> int:
        """Pods of a revision that could take traffic now."""
        return sum(pod.ready and pod.alive for pod in self.pods if pod.revision == revision)

    def alive(self, revision: str) -> int:
        """Pods of a revision that serve or may come to."""
        return sum(pod.alive for pod in self.pods if pod.revision == revision)

    def has_pods(self, revision: str) -> bool:
        return self.alive(revision) > 0

    @property
    def known(self) -> Mapping[str, Record]:
        """Every record there is, and the wanted one, which may not be written yet."""
        return {**self.records, self.wanted.revision: self.wanted}

    def makeable(self, revision: str) -> bool:
        """Its Deployment is there, or the record that one is made from."""
        return revision in self.known or revision in self.deployments

    def child(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """A child as it is."""
        of_kind = (one for one in self.observed if one["kind"] == kind)
        return next((one for one in of_kind if one["metadata"]["name"] == name), None)

    def refusal(self, revision: str) -> str:
        deployment = self.deployments.get(revision)
        return deployment.refusal if deployment else ""

    def trouble(self, revision: str) -> str:
        """Why a revision's pods aren't ready, in the API's or the pod's own words."""
        own = (pod for pod in self.pods if pod.revision == revision and not pod.ready and pod.alive)
        said = [pod.trouble for pod in own if pod.trouble]
        return self.refusal(revision) or (said[0] if said else "")

    def at_fault(self, revision: str) -> Pod | None:
        """A pod that isn't ready through the version's own fault."""
        own = (pod for pod in self.pods if pod.revision == revision and not pod.ready and pod.alive)
        return next((pod for pod in own if pod.fault is Fault.VERSION), None)

    def serving(self, revision: str) -> int:
        """Endpoints of a revision, ready or still draining."""
        return self.endpoints.serving.get(revision, 0) if self.endpoints else 0

    def standing(self, revision: str) -> standing.Mark | None:
        """What was decided of a revision, from its record and from status."""
        marks = {name: notes.mark for name, notes in self.notes.items() if notes.mark is not None}
        return standing.of(revision, marks=marks, verdicts=self.status.verdicts)
