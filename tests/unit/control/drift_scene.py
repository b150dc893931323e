"""One ModelDeployment that serves, its traffic hour by hour, and an operator that watches it for drift."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from tests.unit.cluster import memory
from tests.unit.drift import build as drifts

from seatrial.api import status
from seatrial.cluster import access, events
from seatrial.control import queue, sources, telemetry
from seatrial.control.drifting import asking, controller, direct, keeping
from seatrial.drift import columns as columns_
from seatrial.drift import schedule, totals
from seatrial.prometheus import errors as prometheus
from seatrial.rollout import names

KEY = queue.Key("shop", "churn")
INCOME = drifts.numbers("income")
EVEN = (0, 0, *(100,) * 10, 0)
"""Rows of an hour and pod, as in the reference."""
HIGH = (0, 0, *(0,) * 5, *(200,) * 5, 0)
MANY_MISSING = (400, 0, *(60,) * 10, 0)
LABELS = {"deployment": "churn", "deployment_namespace": "shop"}
Rows = Mapping[str, tuple[int, ...]]
"""By column."""


class Prometheus:
    """Counts what pods have counted, and answers as one would that scraped them at the end of each hour."""

    def __init__(self, columns: tuple[columns_.Column, ...]) -> None:
        self.columns = columns
        self.totals: dict[str, dict[str, dict[tuple[str, str], int]]] = {}  # by revision, pod, (column, bin)
        self.scraped: dict[int, dict[tuple[str, str, str, str], int]] = {}
        self.down: str = ""
        self.questions: list[tuple[int, int, str]] = []
        self.most: int | None = None
        self.more: Callable[[dict[str, str]], list[dict[str, str]]] = lambda labels: [labels]

    def serve(self, revision: str, pod: str, rows: Rows) -> None:
        for column in self.columns:
            for bin_, count in zip(column.bins, rows.get(column.name, ()), strict=False):
                counted = self.totals.setdefault(revision, {}).setdefault(pod, {})
                counted[column.name, bin_] = counted.get((column.name, bin_), 0) + count

    def scrape(self, moment: int, pods: Mapping[str, set[str]]) -> None:
        self.scraped[moment] = {
            (revision, pod, *place): total
            for revision, alive in pods.items()
            for pod in alive
            for place, total in self.totals.get(revision, {}).get(pod, {}).items()
        }

    # what `asking` needs of the sources

    def named(self, source: object) -> bool:
        return True

    async def worked_out(self, work: Callable[[], Any]) -> Any:
        return work()

    async def totals_of(self, asked: sources.Hourly, expression: str) -> totals.Answer:
        self.questions.append((asked.start, asked.end, expression))
        if self.down:
            raise prometheus.PrometheusUnavailable(self.down)
        series: dict[tuple[str, ...], list[tuple[float, str]]] = {}
        for moment in range(asked.start, asked.end + 1, asked.step):
            for key, total in self.scraped.get(moment, {}).items():
                if f'revision=~"{key[0]}"' in expression and self._wanted(key[2], expression):
                    series.setdefault(key, []).append((moment, str(total)))
        if self.most is not None and len(series) > self.most:
            raise prometheus.AnswerTooLarge("too much")
        found = [
            totals.Series(metric=labels, values=tuple(values))
            for (revision, pod, column, bin_), values in series.items()
            for labels in self.more(self._labels(revision, pod, column, bin_))
        ]
        return totals.Answer(status="success", data=totals.Data(result_type="matrix", result=tuple(found)))

    def _wanted(self, column: str, expression: str) -> bool:
        if '"seatrial_(attribution)_rows_total"' in expression:
            return column == "most influential feature"
        named = [part for part in expression.split(",") if part.startswith(("feature=~", "output=~"))]
        return not named or column in named[0].split('"')[1].split("|")

    def _labels(self, revision: str, pod: str, column: str, bin_: str) -> dict[str, str]:
        own = {**LABELS, "revision": revision, "namespace": "shop", "pod": pod}
        if any(one.name == column and one.kind is columns_.Kind.ATTRIBUTION for one in self.columns):
            return {**own, "__name__": "seatrial_attribution_rows_total", "feature": bin_}
        return {**own, "__name__": "seatrial_feature_rows_total", "feature": column, "bin": bin_}


async def not_asked(ip: str) -> bytes | str:
    raise AssertionError("the pods are not asked")


class Scene:
    """`uid`, `hours`: the object's; `revision` is stable; `profile`: as JSON, empty for a report without one."""

    def __init__(self, columns: tuple[columns_.Column, ...] = (INCOME,), *, profile: str | None = None) -> None:
        self.seconds = 0.0
        self.cluster = memory.MemoryCluster(lambda: self.seconds)
        self.prometheus = Prometheus(columns)
        self.pods: dict[str, set[str]] = {}
        self.uid, self.revision = "u-1", "r1"
        self.hours = schedule.Hours.of(self.uid)
        self.profile = msgspec.json.encode(columns).decode() if profile is None else profile
        self.telemetry = telemetry.Telemetry()
        self.origin: Any = None
        self.fetch: direct.Fetch = not_asked
        self.put("ModelDeployment", "churn", spec=self.spec(), status={})
        self.promote("r1")
        self.hour_now = self.hours.newest(self.now) + 1
        self.start_operator()

    @property
    def now(self) -> float:
        return self.cluster.server_now().timestamp()

    @staticmethod
    def spec(**drift: Any) -> dict[str, Any]:
        return {"model": {"uri": "http://store/1.onnx", "sha256": "1" * 64}, "monitoring": {"drift": drift}}

    def put(self, kind: str, name: str, *, labels: Mapping[str, str] = {}, **parts: Any) -> None:
        version = str(int(self.get(kind, name)["metadata"]["resourceVersion"]) + 1) if self.get(kind, name) else "1"
        uid = self.uid if kind == "ModelDeployment" else f"{kind}-{name}"
        meta = {"name": name, "namespace": "shop", "uid": uid, "labels": dict(labels), "generation": 1}
        api = {"ModelDeployment": "seatrial.dev/v1alpha1", "ControllerRevision": "apps/v1"}.get(kind, "v1")
        whole = {"apiVersion": api, "kind": kind, "metadata": {**meta, "resourceVersion": version}, **parts}
        self.cluster.objects[kind, "shop", name] = whole

    def get(self, kind: str, name: str = "churn") -> access.Object:
        return self.cluster.objects.get((kind, "shop", name), {})

    def promote(self, revision: str, pods: tuple[str, ...] = ("a", "b")) -> None:
        """Another revision is stable from now on."""
        self.revision = revision
        line = json.dumps({"outcome": "Passed", "servedSha256": "5e", "precision": "fp32"})
        if self.profile:
            line = line[:-1] + f', "profile": {self.profile}}}'
        owned = {names.MANAGED_BY: names.MANAGER, names.DEPLOYMENT: "churn", names.REVISION: revision}
        self.put("ConfigMap", f"churn-{revision}", labels=owned, data={"report.json": line})
        self.put("ControllerRevision", f"churn-{revision}", labels=owned, data={})
        self.pods = {revision: {f"churn-{revision}-{pod}" for pod in pods}}
        for pod in self.pods[revision]:
            self.start_pod(pod, owned)
        known = self.get("ModelDeployment")
        stable = {"revision": revision, "modelVersion": "1", "sha256": "1" * 64, "since": "2026-01-01T00:00:00Z"}
        known["status"] = {**known["status"], "stable": stable}

    def start_pod(self, name: str, labels: Mapping[str, str]) -> None:
        state = {"phase": "Running", "podIP": f"10.0.0.{len(self.cluster.objects)}"}
        state["conditions"] = [{"type": "Ready", "status": "True"}]  # type: ignore[assignment]
        state["startTime"] = self.cluster.server_now().isoformat().replace("+00:00", "Z")
        whole = {**labels, names.COMPONENT: names.SERVER, "pod-template-hash": "h"}
        self.put("Pod", name, labels=whole, spec={"volumes": [{"name": "keys"}]}, status=state)
        made = {"kind": "ReplicaSet", "name": f"churn-{self.revision}-h", "controller": True}
        self.get("Pod", name)["metadata"]["ownerReferences"] = [made]

    def start_operator(self) -> controller.Controller:
        """Another process: nothing is remembered."""
        own = self.prometheus

        class Origin:
            named, worked_out, totals = own.named, own.worked_out, own.totals_of

        origin: Any = self.origin or Origin

        self.operator = controller.Controller(
            cluster=self.cluster,
            ask=asking.Asking(origin, direct.Direct(self.fetch, own.worked_out), monotonic=lambda: self.seconds),
            worked_out=origin.worked_out,
            events=events.Events(self.cluster, instance="o", failed=lambda: None, monotonic=lambda: self.seconds),
            telemetry=self.telemetry,
        )
        return self.operator

    def read_directly(self, fetch: direct.Fetch) -> None:
        """No Prometheus is configured."""
        own = self.prometheus

        class Nobody:
            worked_out = own.worked_out

            @staticmethod
            def named(source: object) -> bool:
                return False

        self.origin, self.fetch = Nobody, fetch
        self.start_operator()

    async def serve(self, hours: int, rows: tuple[int, ...] | Rows = EVEN, *, looks: bool = True) -> None:
        """So many hours of this traffic in each pod; the operator looks when each is over."""
        by_column = rows if isinstance(rows, Mapping) else {"income": rows}
        for _ in range(hours):
            for revision, pods in self.pods.items():
                for pod in pods:
                    self.prometheus.serve(revision, pod, by_column)
            end = self.hours.end(self.hour_now)
            if not self.prometheus.scraped:
                self.prometheus.scraped[self.hours.begin(self.hour_now)] = {}
            self.prometheus.scrape(end, self.pods)
            self.seconds += end + self.hours.settle + 1 - self.now
            self.hour_now += 1
            if looks:
                await self.look()

    async def look(self) -> queue.Result:
        return await self.operator.look(KEY)

    def wish(self, **drift: Any) -> None:
        self.get("ModelDeployment")["spec"] = self.spec(**drift)

    def wish_for_attributions(self, rows_per_second: int | None = 1) -> None:
        """None: left out."""
        monitoring = self.get("ModelDeployment")["spec"]["monitoring"]
        monitoring.pop("attributions", None)
        if rows_per_second is not None:
            monitoring["attributions"] = {"rowsPerSecond": rows_per_second}

    def accept(self, token: str) -> None:
        self.get("ModelDeployment")["metadata"]["annotations"] = {"seatrial.dev/accept-drift": token}

    @property
    def status(self) -> status.Status:
        return msgspec.convert(self.get("ModelDeployment")["status"], status.Status)

    @property
    def drift(self) -> status.DriftStatus:
        found = self.status.drift
        assert found is not None
        return found

    @property
    def said(self) -> tuple[str, str]:
        """Status and reason of the condition."""
        [one] = [one for one in self.status.conditions if one.type == "Drifted"]
        return one.status.value, one.reason

    @property
    def message(self) -> str:
        [one] = [one for one in self.status.conditions if one.type == "Drifted"]
        return one.message

    @property
    def events(self) -> list[str]:
        return [one["reason"] for (kind, _, _), one in self.cluster.objects.items() if kind == "Event"]

    @property
    def state(self) -> access.Object:
        return self.get("ConfigMap", f"churn-{self.revision}-drift")

    def keep(self, content: bytes | str) -> None:
        """Somebody edits the state."""
        text = content if isinstance(content, str) else base64.b64encode(content).decode()
        version = str(int(self.state["metadata"]["resourceVersion"]) + 1)
        self.state["metadata"]["resourceVersion"] = version
        self.state["binaryData"] = {keeping.FILE: text}
