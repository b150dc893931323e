"""One ModelDeployment whose pods count labels as real ones do, and an operator that watches them."""

from __future__ import annotations

import base64
import bisect
import collections
import heapq
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tests.unit.control import drift_scene

from seatrial.analysis import quality_course
from seatrial.api import status
from seatrial.cluster import events
from seatrial.control import queue, sources
from seatrial.control.labelling import asking, controller
from seatrial.drift import totals
from seatrial.prometheus import errors as prometheus
from seatrial_server.observe import cohorts

HOUR, SCRAPE, LOOK = 3600, 900, 4
KEY = drift_scene.KEY
CLASSES = ("0", "1")
HOLDOUT = {"name": "holdout", "metric": "accuracy", "value": 0.92, "low": 0.9, "high": 0.94, "rows": 2000}
Late = tuple[float, int, int, str, bool, str]
"""When a label arrives, its order, the second of the answer, who answered, whether it was right, and the class."""


class Pod:
    """The counters of one process."""

    def __init__(self, revision: str, name: str, length: int) -> None:
        self.revision, self.name = revision, name
        self.counts = cohorts.Cohorts(cohorts.Shape(length, classes=CLASSES), own=revision)
        self.scores = collections.Counter[str]()
        self.refused: dict[cohorts.Reason, int] = {}

    def take(self, second: int, by: str, *, right: bool, actual: str) -> None:
        arm = self.counts.arm(by, second)
        self.counts.labelled(arm, second, right=right)
        other = {"0": "1", "1": "0"}[actual]
        self.counts.confused(arm, actual if right else other, actual)


class Samples:
    """One series."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = dict(labels)
        self.times, self.values = list[float](), list[float]()

    def told(self, moments: range, seconds: int, *, most: bool) -> list[tuple[float, str]]:
        """The highest or the last value of the time before each moment."""
        found: list[tuple[float, str]] = []
        for moment in moments:
            low, high = (bisect.bisect_right(self.times, at) for at in (moment - seconds, moment))
            if high > low:
                found.append((moment, str(max(self.values[low:high]) if most else self.values[high - 1])))
        return found


class Prometheus:
    """Scrapes pods, and answers with the highest or the last values of a stretch of time."""

    def __init__(self) -> None:
        self.scraped: dict[tuple[str, str], Samples] = {}
        self.down, self.questions, self.most = "", list[tuple[int, int, str]](), 10**9

    def scrape(self, at: float, pod: Pod) -> None:
        pod.counts.roll(int(at))
        own = f'deployment="churn",deployment_namespace="shop",revision="{pod.revision}"'
        for line in "".join([*pod.counts.lines(own), *cohorts.refusals(pod.refused, own)]).splitlines():
            if not line.startswith("#"):
                metric, value = line.rsplit(" ", 1)
                self._sample(at, pod, metric, float(value))
        for bin_, count in pod.scores.items():
            self._sample(at, pod, f'seatrial_prediction_rows_total{{{own},output="scores",bin="{bin_}"}}', count)

    def _sample(self, at: float, pod: Pod, metric: str, value: float) -> None:
        series = self.scraped.get((pod.name, metric))
        if series is None:
            name, inside = metric.rstrip("}").split("{")
            labels = dict(part.split("=") for part in inside.replace('"', "").split(","))
            series = Samples({"__name__": name, **labels, "namespace": "shop", "pod": pod.name})
            self.scraped[pod.name, metric] = series
        series.times.append(at)
        series.values.append(value)

    # what `asking` needs of the sources

    def named(self, source: object) -> bool:
        return True

    async def worked_out(self, work: Callable[[], Any]) -> Any:
        return work()

    async def totals(self, asked: sources.Hourly, expression: str) -> totals.Answer:
        self.questions.append((asked.start, asked.end, expression))
        if self.down:
            raise prometheus.PrometheusUnavailable(self.down)
        seconds, most = int(expression.rpartition("[")[2].rstrip("s])")), expression.startswith("max")
        [wanted] = [names for part, names in _ASKED.items() if part in expression]
        moments = range(asked.start, asked.end + 1, asked.step)
        if len(moments) > self.most:
            raise prometheus.AnswerTooLarge("too much")
        found = []
        for series in self.scraped.values():
            labels = series.labels
            if labels["__name__"] in wanted and f"{labels.get('answered_by', '')}|" in f"{expression}|":
                kept = {name: text for name, text in labels.items() if name != "__name__" or not most}
                if values := series.told(moments, seconds, most=most):
                    found.append(totals.Series(metric=kept, values=tuple(values)))
        return totals.Answer(status="success", data=totals.Data(result_type="matrix", result=tuple(found)))


_ASKED = {
    "(cohort|feedback)_rows": ("seatrial_cohort_rows_total", "seatrial_feedback_rows_total"),
    "confusion": ("seatrial_feedback_confusion_total", "seatrial_feedback_refused_total"),
    "prediction": ("seatrial_prediction_rows_total",),
}


class Scene(drift_scene.Scene):
    """`horizon` in hours. Labels come for a share `labelled` of the answers, `delay` hours later on average: those that
    say that an answer was right, and the others.
    """

    def __init__(self, *, horizon: int = 24, holdout: Mapping[str, Any] | None = HOLDOUT, **report: Any) -> None:
        self.horizon, self.length = horizon, cohorts.length(horizon * HOUR)
        self.labels = Prometheus()
        self.random = np.random.default_rng(1)
        self.late: list[Late] = []
        self.order = itertools.count()
        self.running: dict[str, Pod] = {}
        self.passed = 0
        evaluation = json.dumps([holdout] if holdout else [])
        parts = "".join(f', "{name}": {json.dumps(value)}' for name, value in report.items() if name != "profile")
        super().__init__(profile=f'{json.dumps(report.get("profile", []))}, "evaluation": {evaluation}{parts}')
        self.now_at = float(self.hours.begin((self.hour_now // 24 + 1) * 24))  # a day begins
        self.seconds += self.now_at - self.now
        self.get("ModelDeployment")["status"]["stable"]["since"] = self.cluster.server_now().isoformat()
        self.get("ModelDeployment")["spec"] = self.wished()

    def wished(self, **quality: Any) -> dict[str, Any]:
        monitoring = {"feedback": {"horizon": f"{self.horizon}h"}, "quality": quality}
        return {"model": {"uri": "http://store/1.onnx", "sha256": "1" * 64}, "monitoring": monitoring}

    def start_operator(self) -> Any:
        self.operator = controller.Controller(  # type: ignore[assignment]
            cluster=self.cluster,
            ask=asking.Asking(self.origin or self.labels, monotonic=lambda: self.seconds),
            worked_out=self.labels.worked_out,
            events=events.Events(self.cluster, instance="o", failed=lambda: None, monotonic=lambda: self.seconds),
            telemetry=self.telemetry,
        )
        return self.operator

    def pod(self, name: str) -> Pod:
        return self.running.setdefault(name, Pod(self.revision, name, self.length))

    def restart(self, name: str = "churn-r1-a") -> None:
        self.running.pop(name)

    async def answer(
        self,
        hours: int,
        *,
        rows: int = 40,
        wrong: float = 0.08,
        labelled: float = 0.5,
        delay: tuple[float, float] = (6.0, 6.0),
        kept: Callable[[bool, str], bool] = lambda right, actual: True,
        score: str = "9",
        scraped: bool = True,
        looks: bool = True,
    ) -> None:
        """So many hours of answers in all pods, of which labels come later; `kept`: those that are sent."""
        for _ in range(hours):
            begin = self.now_at
            for name in sorted(self.pods.get(self.revision, ())):
                self.pod(name).counts.answered(int(begin) + 60, rows)
                self.pod(name).scores[score] += rows
                self._will_come(int(begin) + 60, rows, wrong=wrong, labelled=labelled, delay=delay, kept=kept)
            for at in np.arange(begin + SCRAPE, begin + HOUR + 1, SCRAPE):
                self._arrive(at)
                for pod in self.running.values():
                    if scraped:
                        self.labels.scrape(at - 7, pod)
            await self.pass_an_hour(looks=looks)

    async def pass_an_hour(self, *, looks: bool = True) -> None:
        """The clock alone."""
        self.now_at += HOUR
        self.seconds += self.now_at + self.hours.settle + 1 - self.now
        self.passed += 1
        if looks and self.passed % LOOK == 0:
            await self.look()

    def _will_come(
        self,
        second: int,
        rows: int,
        *,
        wrong: float,
        labelled: float,
        delay: tuple[float, float],
        kept: Callable[[bool, str], bool],
    ) -> None:
        for _ in range(int(self.random.binomial(rows, labelled))):
            right, actual = bool(self.random.random() >= wrong), str(int(self.random.random() < 0.3))
            if kept(right, actual):
                at = second + self.random.exponential(delay[not right] * HOUR)
                heapq.heappush(self.late, (at, next(self.order), second, self.revision, right, actual))

    def _arrive(self, now: float) -> None:
        names = sorted(self.running)
        while self.late and self.late[0][0] <= now:
            at, order, second, by, right, actual = heapq.heappop(self.late)
            if at - second <= self.horizon * HOUR:
                self.running[names[order % len(names)]].take(second, by, right=right, actual=actual)

    async def look(self) -> queue.Result:
        return await self.operator.look(KEY)

    @property
    def quality(self) -> status.QualityStatus:
        found = self.status.quality
        assert found is not None
        return found

    @property
    def days(self) -> tuple[quality_course.Numbered, ...]:
        """What is on file of them."""
        content = base64.b64decode(
            self.get("ConfigMap", f"churn-{self.revision}-quality")["binaryData"][controller.FILE]
        )
        return quality_course.unpack(content, revision=self.revision, day=24 * HOUR).days

    @property
    def said(self) -> tuple[str, str]:
        [one] = [one for one in self.status.conditions if one.type == "QualityDropped"]
        return one.status.value, one.reason

    @property
    def message(self) -> str:
        [one] = [one for one in self.status.conditions if one.type == "QualityDropped"]
        return one.message
