"""Where no Prometheus is configured: the pods' own counters, read at the end of each hour and subtracted.

Totals of the hour before are kept in memory only: an operator that has just begun knows no hour yet. What a pod has
counted between its last reading and its end is lost.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence

from prometheus_client import parser

from seatrial.drift import schedule, totals
from seatrial.prometheus import pods as pods_
from seatrial.rollout import facts

_PREFIXES = tuple(name.encode() for name in totals.COUNTERS)
Fetch = Callable[[str], Awaitable[bytes | str]]
WorkOut = Callable[[Callable[[], list[totals.Series]]], Awaitable[list[totals.Series]]]


class Direct:
    """Reads pods.

    Args:
        fetch: what the pod at an address exports; text says why it doesn't.
        worked_out: does work off the event loop.
    """

    def __init__(self, fetch: Fetch, worked_out: WorkOut) -> None:
        self._fetch, self._worked_out = fetch, worked_out
        self._before: dict[str, tuple[totals.Series, ...]] = {}

    def forget(self, uid: str) -> None:
        self._before.pop(uid, None)

    async def read(
        self, owner: facts.Owner, revision: str, pods: Sequence[facts.Pod], *, hours: schedule.Hours, last: int
    ) -> totals.Answer:
        """What Prometheus would answer of the last hour, if it had been read at its beginning too."""
        own = {"deployment": owner.name, "deployment_namespace": owner.namespace, "revision": revision}
        able = [pod for pod in pods if pod.ready and pod.alive and pod.ip][: pods_.MOST_PODS]
        contents = await asyncio.gather(*(self._fetch(pod.ip) for pod in able))
        now: list[totals.Series] = []
        for pod, content in zip(able, contents, strict=True):
            if isinstance(content, bytes):
                now += await self._worked_out(
                    functools.partial(
                        _series, content, own, {"namespace": owner.namespace, "pod": pod.name}, hours.end(last)
                    )
                )
        before = [one for one in self._before.get(owner.uid, ()) if one.values[0][0] == hours.begin(last)]
        self._before[owner.uid] = tuple(now)
        known = {tuple(sorted(one.metric.items())): one for one in before}
        joined = []
        for one in now:
            earlier = known.pop(tuple(sorted(one.metric.items())), None)
            values = one.values if earlier is None else (*earlier.values, *one.values)
            joined.append(totals.Series(metric=one.metric, values=values))
        result = (*joined, *known.values())
        return totals.Answer(status="success", data=totals.Data(result_type="matrix", result=result))


def _series(content: bytes, own: Mapping[str, str], target: Mapping[str, str], moment: int) -> list[totals.Series]:
    """One sample of each drift counter; nothing of what isn't the text format."""
    lines = [line for line in content.splitlines() if line.startswith(_PREFIXES)]
    try:
        families = list(parser.text_string_to_metric_families(b"\n".join([*lines, b""]).decode()))
    except ValueError:
        return []
    return [
        totals.Series(
            metric={"__name__": sample.name, **sample.labels, **target},
            values=((moment, str(sample.value)),),
        )
        for family in families
        for sample in family.samples
        if own.items() <= sample.labels.items()
    ]
