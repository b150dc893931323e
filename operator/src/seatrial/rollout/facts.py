"""Everything a decision may rest on: the object, its children as Kubernetes shows them, and the look at its metrics.

Built by `control.observe` from live reads, once per pass; frozen. Times are the API server's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from seatrial.analysis import counters
from seatrial.api.spec import Spec
from seatrial.api.status import Commands, Reason, Status, Verdict, VerdictKind

from .report import Report
from .revision import Record

if TYPE_CHECKING:  # looking stands on these facts; only the type is needed here
    from .looking import Look


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable and keyword-only."""


class Owner(Fact, frozen=True, kw_only=True):
    """The ModelDeployment's identity."""

    namespace: str
    name: str
    uid: str
    generation: int


class Pod(Fact, frozen=True, kw_only=True):
    """One pod of a revision's Deployment."""

    name: str
    revision: str
    uid: str = ""
    ip: str = ""
    ready: bool = False
    leaving: bool = False
    started_at: datetime | None = None
    crash_looping: bool = False
    trouble: str = ""  # the pod's own words on why it isn't ready, quoted


class Deployment(Fact, frozen=True, kw_only=True):
    """One revision's Deployment."""

    replicas: int
    refusal: str = ""  # ReplicaFailure: quota or admission refused the pods, in the API's words


class JobState(enum.StrEnum):
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Trial(Fact, frozen=True, kw_only=True):
    """One revision's trial Job. `report` is set once it succeeded and its log could be read."""

    state: JobState
    created_at: datetime
    report: Report | None = None
    report_line: str = ""
    trouble: str = ""


class Endpoints(Fact, frozen=True, kw_only=True):
    """What the Service really routes to: pods per revision, ready or still draining."""

    selector: Mapping[str, str]
    ready: Mapping[str, int]
    serving: Mapping[str, int]


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


class Operator(Fact, frozen=True, kw_only=True):
    """Settings of the operator that decisions depend on."""

    serving_image: str
    scrape_interval: timedelta = timedelta(seconds=15)


class Snapshot(Fact, frozen=True, kw_only=True):
    """One ModelDeployment and its world at one moment."""

    owner: Owner
    spec: Spec
    status: Status = Status()
    commands: Commands = Commands()  # the tokens on the object now
    wanted: Record
    records: Mapping[str, Record] = {}
    reports: Mapping[str, Report] = {}
    trials: Mapping[str, Trial] = {}
    deployments: Mapping[str, Deployment] = {}
    pods: tuple[Pod, ...] = ()
    endpoints: Endpoints | None = None
    observed: tuple[Mapping[str, Any], ...] = ()  # the children as they are, to apply only what differs
    sight: Sight | None = None
    look: Look | None = None  # the newest one, where the samples are judged beside the pass
    refused: Refusal | None = None
    operator: Operator

    def ready(self, revision: str) -> int:
        """Pods of a revision that could take traffic now."""
        return sum(pod.ready and not pod.leaving for pod in self.pods if pod.revision == revision)

    def has_pods(self, revision: str) -> bool:
        return any(pod.revision == revision and not pod.leaving for pod in self.pods)

    def refusal(self, revision: str) -> str:
        deployment = self.deployments.get(revision)
        return deployment.refusal if deployment else ""

    def trouble(self, revision: str) -> str:
        """Why a revision's pods aren't ready, in the API's or the pod's own words."""
        own = (pod for pod in self.pods if pod.revision == revision and not pod.ready and not pod.leaving)
        said = [pod.trouble for pod in own if pod.trouble]
        return self.refusal(revision) or (said[0] if said else "")

    def serving(self, revision: str) -> int:
        """Endpoints of a revision, ready or still draining."""
        return self.endpoints.serving.get(revision, 0) if self.endpoints else 0

    def verdict(self, revision: str) -> Verdict | None:
        """The newest verdict that says something about a revision: being superseded doesn't."""
        about = (one for one in self.status.verdicts if one.revision == revision)
        return next((one for one in about if one.verdict is not VerdictKind.SUPERSEDED), None)
