"""A cluster in memory with somebody who does what status and children ask for: trials end, pods start, traffic flows.

`Cluster.step` is one pass of the real Reconciler over the one ModelDeployment, then five seconds. Every write counts.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from tests.unit.analysis import exported
from tests.unit.cluster import memory
from tests.unit.rollout import world as worlds

from seatrial.analysis import counters
from seatrial.cluster import access, events
from seatrial.control import queue, reading, reconcile, telemetry
from seatrial.rollout import facts, looking, looks, names, report, traffic

KEY = queue.Key("shop", "churn")
SECONDS = 5
HASH = "5d8f"
OPERATOR = facts.Operator(serving_image="seatrial.dev/serving:1")
OWNED = ("ControllerRevision", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget")
PASSED = {"outcome": "Passed", "servedSha256": "5e", "precision": "fp32"}


class Crash(Exception):
    """The operator dies here."""


def relayed(version: str) -> dict[str, Any]:
    """The same with provider Relay, and copies first."""
    wish = spec(version)
    first = {"weight": 0, "shadow": 20, "minDuration": "5s", "minRequests": 10}
    rollout = {**wish["rollout"], "steps": [first, *wish["rollout"]["steps"]], "traffic": {"provider": "Relay"}}
    return {**wish, "rollout": rollout}


def spec(version: str) -> dict[str, Any]:
    """One short step and a short soak, with provider Service."""
    return {
        "model": {"uri": f"http://store/{version}.onnx", "sha256": (version * 64)[:64], "version": version},
        "rollout": {
            "steps": [{"weight": 50, "minDuration": "5s", "minRequests": 10}],
            "soak": "5s",
            "traffic": {"provider": "Service"},
        },
        "analysis": {"interval": "5s"},
    }


class Cluster:
    """The object under test, its cluster, and an operator that can be started anew."""

    def __init__(self, version: str = "1", *, wish: Callable[[str], dict[str, Any]] = spec) -> None:
        self.seconds = 0.0
        self.memory = memory.MemoryCluster(lambda: self.seconds)
        self.memory.before = self._before
        self.writes: list[str] = []
        self.crash_at: int | None = None
        self.answered: dict[str, list[tuple[float, int]]] = {}
        self.gave: dict[str, list[tuple[int, int]]] = {}  # requests passed on and copies, so far, by pod
        self.reports: dict[str, dict[str, Any]] = {}
        self.followed: dict[str, dict[str, Any]] = {}  # what a pod's server passes on, by pod
        self.has_told: dict[str, set[str]] = {}  # revisions that it has passed on to
        meta = {"namespace": KEY.namespace, "name": KEY.name, "generation": 1}
        self.memory._store({"apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelDeployment", "metadata": meta})
        self.want(wish(version))
        self.restart()

    def restart(self) -> None:
        """A new process: nothing is remembered."""
        quiet = events.Events(self.memory, instance="operator-0", failed=lambda: None)
        self.reconciler = reconcile.Reconciler(
            cluster=self.memory,
            looks=self,
            reports=self,
            events=quiet,
            telemetry=telemetry.Telemetry(),
            operator=OPERATOR,
        )

    def _before(self, method: str) -> None:
        if method in ("apply", "annotate", "write_status", "delete"):
            if self.crash_at == len(self.writes):
                self.crash_at = None
                raise Crash
            self.writes.append(method)

    def copy(self) -> Cluster:
        """The same cluster with a new operator; what is done to one doesn't show in the other."""
        other = Cluster()
        other.seconds = self.seconds
        other.answered, other.gave = copy.deepcopy(self.answered), copy.deepcopy(self.gave)
        other.followed, other.has_told = copy.deepcopy(self.followed), copy.deepcopy(self.has_told)
        other.memory.objects = copy.deepcopy(self.memory.objects)
        other.memory.logs = dict(self.memory.logs)
        other.memory._version = self.memory._version
        return other

    # what users do and see

    @property
    def object(self) -> dict[str, Any]:
        return self.memory.objects["ModelDeployment", KEY.namespace, KEY.name]

    @property
    def status(self) -> dict[str, Any]:
        return self.object.get("status", {})

    def want(self, wish: dict[str, Any]) -> None:
        self.object["spec"] = wish
        self.object["metadata"]["generation"] += 1

    def condition(self, kind: str) -> tuple[str, str, str]:
        found = next(one for one in self.status["conditions"] if one["type"] == kind)
        return found["status"], found["reason"], found["message"]

    def serves(self, version: str) -> bool:
        """All is over and this version has the traffic."""
        return self.status.get("phase") == "Stable" and self.status["stable"]["modelVersion"] == version

    def of(self, kind: str) -> list[access.Object]:
        return [one for (its, _, _), one in self.memory.objects.items() if its == kind]

    def children(self) -> set[tuple[str, str]]:
        """(kind, name) of everything the operator made, with the pods asked for."""
        made = ("ControllerRevision", "ConfigMap", "Job", "Deployment", "Service", "PodDisruptionBudget")
        sizes = {one["metadata"]["name"]: one["spec"]["replicas"] for one in self.of("Deployment")}
        return {
            (kind, f"{name}={sizes[name]}" if kind == "Deployment" else name)
            for kind, _, name in self.memory.objects
            if kind in made
        }

    def assignments(self) -> dict[str, dict[str, Any]]:
        """What pods are told to pass on, by pod."""
        said = {pod["metadata"]["name"]: (pod["metadata"].get("annotations") or {}) for pod in self.of("Pod")}
        return {name: json.loads(own[names.RELAY]) for name, own in said.items() if own.get(names.RELAY)}

    # passing time

    def newest(self, key: queue.Key, question: looking.Question | None) -> looks.Look | None:
        """A look without delay; `control.evidence` itself needs real time and has tests of its own."""
        assert key == KEY
        if question is None:
            return None
        return looking.judge(
            question, facts.Sight(series=exported.whole(self._samples(question))), self.memory.server_now()
        )

    def attached(self, key: queue.Key, snapshot: facts.Snapshot) -> facts.Snapshot:
        """Reports without delay; `control.reports` itself needs real time and has tests of its own."""
        asked = {pod.name for pod in traffic.asked_pods(snapshot)}
        pods = (
            msgspec.structs.replace(pod, relay=self._report(pod.name)) if pod.name in asked else pod
            for pod in snapshot.pods
        )
        return msgspec.structs.replace(snapshot, pods=tuple(pods))

    def _report(self, pod: str) -> facts.RelayReport:
        now, ratio = self.followed.get(pod), dict.fromkeys(self.has_told.get(pod, ()), 0.0)
        if now is not None:
            ratio[now["revision"]] = now["weight"] / 100
        return facts.RelayReport(at=self.memory.server_now(), ratio=ratio)

    def forget(self, key: queue.Key) -> None:
        """Nothing is kept."""

    async def step(self) -> queue.Result | None:
        """Looks until nothing is left to do at once; a crash ends it."""
        result = None
        try:
            for _ in range(5):
                result = await self.reconciler.reconcile(KEY)
                if result.look_again_in != 0:
                    break
        except Crash:
            self.restart()
        self.live()
        return result

    async def until_serving(self, version: str) -> Cluster:
        for _ in range(80):
            if self.serves(version):
                return self
            await self.step()
        raise AssertionError(f"never: {self.status.get('phase')} {self.condition('Ready')}")

    def live(self) -> None:
        """Five seconds of everybody else."""
        self._route()
        self._follow()
        self._answer()
        self.seconds += SECONDS
        self._end_trials()
        self._run_pods()
        self._route()

    def _end_trials(self) -> None:
        for job in self.of("Job"):
            if "status" in job:
                continue
            name = job["metadata"]["name"]
            line = json.dumps(self.reports.get(job["metadata"]["labels"][names.REVISION], PASSED))
            job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
            message = json.dumps({"sha256": report.digest_of(line)})
            state = {"terminated": {"exitCode": 0, "message": message}}
            self._pod(name, job, job["spec"]["template"])["status"] = {
                "containerStatuses": [{"name": "trial", "state": state}]
            }
            self.memory.logs[name] = line + "\n"

    def _run_pods(self) -> None:
        for deployment in self.of("Deployment"):
            name, count = deployment["metadata"]["name"], deployment["spec"]["replicas"]
            for number in range(5):
                pod = self.memory.objects.get(("Pod", KEY.namespace, f"{name}-{number}"))
                if number >= count:
                    self.memory.objects.pop(("Pod", KEY.namespace, f"{name}-{number}"), None)
                elif pod is None:
                    self._pod(f"{name}-{number}", deployment, deployment["spec"]["template"], made_by="ReplicaSet")
                else:
                    started, uid = pod["metadata"]["creationTimestamp"], pod["metadata"]["uid"]
                    ready = {"type": "Ready", "status": "True"}
                    address = f"10.0.0.{uid.rpartition('-')[2]}"
                    pod["status"] = {"startTime": started, "podIP": address, "conditions": [ready]}

    def _pod(self, name: str, owner: access.Object, template: dict[str, Any], *, made_by: str = "Job") -> access.Object:
        """A pod of a Job, or of the ReplicaSet of a Deployment."""
        meta = {**copy.deepcopy(template["metadata"]), "namespace": KEY.namespace, "name": name}
        reference = {"controller": True, "kind": made_by, "name": owner["metadata"]["name"], "uid": "of-its-set"}
        if made_by == "ReplicaSet":
            meta["labels"]["pod-template-hash"] = HASH
            reference["name"] += f"-{HASH}"
        else:
            reference["uid"] = owner["metadata"]["uid"]
        meta["ownerReferences"] = [reference]
        self.memory._store({"kind": "Pod", "metadata": meta, "spec": {}})
        return self.memory.objects["Pod", KEY.namespace, name]

    def _selected(self) -> list[str]:
        services = self.of("Service")
        wanted = services[0]["spec"]["selector"].items() if services else ()
        return [
            pod["metadata"]["name"]
            for pod in self.of("Pod")
            if wanted and wanted <= pod["metadata"]["labels"].items() and "conditions" in pod.get("status", {})
        ]

    def _route(self) -> None:
        ends = [{"conditions": {"ready": True}, "targetRef": {"name": name}} for name in self._selected()]
        labels = {**names.labels(KEY.name), reading.SERVICE_NAME: KEY.name}  # as those of its Service
        meta = {"namespace": KEY.namespace, "name": "churn-x", "labels": labels}
        self.memory._store({"kind": "EndpointSlice", "metadata": meta, "endpoints": ends})

    def _follow(self) -> None:
        """Servers read what their pods are told to pass on."""
        self.followed.clear()
        for pod in self.of("Pod"):
            name, text = pod["metadata"]["name"], (pod["metadata"].get("annotations") or {}).get(names.RELAY, "")
            if text:
                self.followed[name] = json.loads(text)
                self.has_told.setdefault(name, set()).add(self.followed[name]["revision"])

    def _answer(self) -> None:
        selected = self._selected()
        more = {name: 250 // len(selected) for name in selected}
        gave: dict[str, tuple[int, int]] = {}
        by_address = {pod["status"].get("podIP"): pod["metadata"]["name"] for pod in self.of("Pod") if "status" in pod}
        for name, told in self.followed.items():
            if name in more:
                given = round(more[name] * told["weight"] / 100)
                copies = round((more[name] - given) * told.get("shadow", 0) / 100)
                more[name] -= given
                gave[name] = given, copies
                for address in told["to"]:
                    other = by_address[address]
                    more[other] = more.get(other, 0) + (given + copies) // len(told["to"])
        for pod in self.of("Pod"):
            name = pod["metadata"]["name"]
            counted = self.answered.setdefault(name, [(self.memory.server_now().timestamp(), 0)])
            now = self.memory.server_now().timestamp() + SECONDS - 0.5
            counted.append((now, counted[-1][1] + more.get(name, 0)))
            known, new = self.gave.setdefault(name, [(0, 0)]), gave.get(name, (0, 0))
            known.append((known[-1][0] + new[0], known[-1][1] + new[1]))

    def _samples(self, question: looking.Question) -> tuple[counters.Series, ...]:
        window, until = question.window, self.memory.server_now()
        arms = {window.stable: counters.Arm.STABLE, window.candidate: counters.Arm.CANDIDATE}
        own = tuple(
            counters.Series(
                arm=arms[pod["metadata"]["labels"][names.REVISION]],
                pod=pod["metadata"]["name"],
                counter=counters.Counter.REQUESTS,
                label=label,
                samples=[
                    (at, float(count) * (label == "ok"))
                    for at, count in self.answered.get(pod["metadata"]["name"], ())
                    if at <= until.timestamp()
                ],
            )
            for pod in self.of("Pod")
            if pod["metadata"]["labels"][names.REVISION] in arms
            and pod["metadata"]["labels"][names.COMPONENT] == names.SERVER
            for label in ("ok", "error")
        )
        stable = {one.pod for one in own if question.relayed and one.arm is counters.Arm.STABLE} & self.gave.keys()
        return (*own, *(one for pod in sorted(stable) for one in self._of_candidate(pod, until.timestamp())))

    def _of_candidate(self, pod: str, until: float) -> Iterator[counters.Series]:
        """What a stable pod counts of what it gave to the candidate, all of it answered well."""
        counted = [
            (at, count) for (at, _), count in zip(self.answered[pod], self.gave[pod], strict=True) if at <= until
        ]
        for counter, label in worlds.GIVEN:
            which = {(counters.Counter.RELAYED, "ok"): 0, (counters.Counter.COPIES, "ok"): 1}.get((counter, label))
            rows = [(at, 0.0 if which is None else float(count[which])) for at, count in counted]
            yield counters.Series(arm=counters.Arm.STABLE, pod=pod, counter=counter, label=label, samples=rows)
