"""One look at the quality of one ModelDeployment: what has become of its answers is asked for, judged, kept and said.

Everything can be done twice, as for drift: the memory is kept before the status is written. A look that finds nothing
due costs no request. Confidence is asked once a day for an estimate that stands beside and decides nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from seatrial import api
from seatrial.analysis import promised, quality_course
from seatrial.api import spec, status, stored, values
from seatrial.cluster import access, errors
from seatrial.cluster.events import Events
from seatrial.control import health, model_metrics, observing, reading, states, trials
from seatrial.control.labelling import asking, following
from seatrial.control.queue import Key, Result
from seatrial.control.telemetry import Telemetry
from seatrial.drift import columns as columns_
from seatrial.drift import profile, schedule
from seatrial.rollout import conditions, facts, names, quality, report, templates

_LOG = logging.getLogger(__name__)

FILE = "quality.json"


class Controller:
    """Looks at one object at a time; the queue sees to it that no two looks share a key.

    Args:
        hour: seconds of an hour; another one than 3600 is for tests.
    """

    def __init__(
        self,
        *,
        cluster: access.Cluster,
        ask: asking.Asking,
        worked_out: Any,
        events: Events,
        telemetry: Telemetry,
        hour: int = schedule.HOUR,
    ) -> None:
        self._cluster = cluster
        self._states = states.States(cluster, FILE)
        self._asking, self._following = ask, following.Following(ask, worked_out)
        self._events = events
        self._telemetry = telemetry
        self._hour = hour
        self._watches: dict[Key, following.Watch] = {}

    async def look(self, key: Key) -> Result:
        """Brings what is said of one object's answers up to date.

        Raises:
            ClusterError: to be tried again with backoff.
        """
        raw = await self._cluster.get(api.KIND, key.namespace, key.name)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            self._forget(key)
            return Result()
        try:
            whole = msgspec.convert(raw["spec"], spec.Spec, dec_hook=values.decode_hook)
        except (msgspec.ValidationError, KeyError):
            return Result()  # the planner says so; what was found stands
        known, _ = stored.read(raw.get("status", {}))
        wish = quality.wish_of(whole.monitoring)
        if known.stable is None or wish is None:
            self._forget(key)
            await self._take_away(raw)
            return Result()
        watched = await self._watched(key, raw, known.stable)
        if self._asking.named(whole.analysis.prometheus):
            pods, now = await self._pods(watched), self._now().timestamp()
            watched.unkept |= await self._following.follow(watched, whole, wish, pods=pods, now=now)
            if watched.unkept:
                await self._keep(watched)
        else:
            watched.lacking = "no Prometheus is configured, without which labels can't be followed over days"
        await self._say(key, watched, raw)
        return Result(look_again_in=self._due_in(watched))

    def _forget(self, key: Key) -> None:
        self._watches.pop(key, None)
        self._telemetry.quality(key, {})

    def _due_in(self, watched: following.Watch) -> float:
        now = self._now().timestamp()
        return max(watched.again_at - now, 1.0) if watched.failures else max(watched.hours.due_in(now), 0.1)

    def _now(self) -> datetime:
        return self._cluster.server_now()

    async def _watched(self, key: Key, raw: access.Object, stable: status.Stable) -> following.Watch:
        """The watch over this revision; begun anew for another one, or for another object of that name."""
        owner = observing.owner_of(raw)
        known = self._watches.get(key)
        if known is not None and (known.owner.uid, known.revision) == (owner.uid, stable.revision):
            known.owner = owner
            return known
        self._forget(key)
        passed = await trials.passed(self._cluster, owner, stable.revision)
        promise, column = _promise(passed)
        memory, version = await self._remembered(owner, stable.revision)
        now = self._now().timestamp()
        begun = following.Watch(
            owner=owner,
            revision=stable.revision,
            since=stable.since.timestamp(),
            promise=promise,
            column=column,
            memory=memory,
            version=version,
            hours=schedule.Hours.of(owner.uid, self._hour),
            begun=now,
            older=passed is not None and profile.of_older_server(bytes(passed.profile)),
        )
        self._watches[key] = begun
        return begun

    async def _remembered(self, owner: facts.Owner, revision: str) -> tuple[quality_course.Memory, str]:
        """What is on file, as far as it can be used."""
        name, version = names.of_quality(owner.name, revision), ""
        try:
            content, version = await self._states.read(owner.namespace, name)
            if not version:
                return quality_course.Memory(), ""
            return quality_course.unpack(content, revision=revision, day=24 * self._hour), version
        except (states.Unreadable, quality_course.Unreadable) as error:
            _LOG.warning("quality state unreadable, days fill anew", extra={"configmap": name, "error": str(error)})
            return quality_course.Memory(), error.version if isinstance(error, states.Unreadable) else version

    async def _pods(self, watched: following.Watch) -> tuple[facts.Pod, ...]:
        listed = await self._cluster.list("Pod", watched.owner.namespace, {names.DEPLOYMENT: watched.owner.name})
        found = [one for one in listed if health.server_of(one, watched.owner.name)]
        own = [one for one in found if reading.revision_of(one) == watched.revision]
        if own:
            watched.keyless = not any(templates.has_keys(one) for one in own)
        return tuple(map(reading.pod, found))

    async def _keep(self, watched: following.Watch) -> None:
        """On file. What the API server refuses (a quota, say) is said all the same, and kept with a later look."""
        try:
            await self._agree(watched)
        except errors.Refused as refused:
            _LOG.warning("quality state refused", extra={"object": watched.owner.name, "error": str(refused)})
            return
        watched.unkept = False

    async def _agree(self, watched: following.Watch) -> None:
        """Where another operator was first, what is further of the two goes on."""
        name = names.of_quality(watched.owner.name, watched.revision)
        content = quality_course.pack(watched.memory, revision=watched.revision, day=watched.day)
        try:
            watched.version = await self._write(watched, name, content)
        except errors.Conflict:
            theirs, watched.version = await self._remembered(watched.owner, watched.revision)
            if (theirs.judged or 0) > (watched.memory.judged or 0):
                watched.memory, watched.policy, watched.returns = theirs, None, None
                return
            watched.version = await self._write(watched, name, content)

    async def _write(self, watched: following.Watch, name: str, content: bytes) -> str:
        return await self._states.write(watched.owner, watched.revision, name, content, version=watched.version)

    async def _say(self, key: Key, watched: following.Watch, raw: access.Object) -> None:
        before = raw.get("status") or {}
        known, _ = stored.read(before)
        said = self._said(watched)
        day, last = timedelta(seconds=watched.day), watched.memory.judged
        until = None if last is None else datetime.fromtimestamp(watched.begin_of(last + 1), UTC)
        found = quality.written(known.quality, said, revision=watched.revision, now=self._now(), until=until, day=day)
        days = [] if last is None else quality_course.whole(watched.memory, last)
        self._telemetry.quality(key, model_metrics.of_quality(said, days))
        now_condition = next((one for one in known.conditions if one.type == conditions.QUALITY_DROPPED), None)
        reason = now_condition.reason if now_condition is not None else ""
        if found == known.quality and reason == said.reason:
            return
        [condition] = conditions.merge(
            [now_condition] if now_condition else [],
            [quality.row(said)],
            generation=watched.owner.generation,
            now=self._now(),
        )
        part = msgspec.to_builtins(found)
        after = conditions.in_status(before, "quality", part, kind=conditions.QUALITY_DROPPED, condition=condition)
        await self._cluster.write_status({**raw, "status": after})
        event = quality.event(known.quality, found, said, reason=reason)
        if event is not None:
            kind: Any = "Warning" if event.warning else "Normal"
            await self._events.post(raw, type=kind, reason=event.reason, message=event.message)

    def _said(self, watched: following.Watch) -> quality.Said:
        memory, day = watched.memory, timedelta(seconds=watched.day)
        if memory.alarm is not None:
            return quality.found(memory.alarm, alarm=True, estimated=watched.estimated, day=day)
        if watched.tokenless:
            return quality.unsupported(watched.tokenless, watched.estimated)
        if watched.lacking:
            return quality.unknown(status.Reason.METRICS_UNAVAILABLE, watched.lacking, watched.estimated)
        if memory.judged is None:
            return quality.unknown(status.Reason.METRICS_UNAVAILABLE, self._not_yet(watched), watched.estimated)
        if watched.standing is not None:
            return quality.found(watched.standing, alarm=False, estimated=watched.estimated, day=day)
        days = quality_course.whole(memory, memory.judged)
        return quality.without(days, memory, refused=watched.classes.refused, estimated=watched.estimated)

    def _not_yet(self, watched: following.Watch) -> str:
        first = watched.begin_of(watched.day_of(watched.since) + 1) + watched.horizon
        when = datetime.fromtimestamp(first, UTC)
        return f"labels of a whole day of this version are not there before {when:%Y-%m-%d %H:%M} UTC"

    async def _take_away(self, raw: access.Object) -> None:
        """Nothing is said any more, where something was."""
        before: Mapping[str, Any] = raw.get("status") or {}
        after = conditions.in_status(before, "quality", None, kind=conditions.QUALITY_DROPPED, condition=None)
        if after != before:
            await self._cluster.write_status({**raw, "status": after})


def _promise(passed: report.Report | None) -> tuple[promised.Promise, columns_.Column | None]:
    """What the trial has shown, and the column that confidence is counted in."""
    if passed is None:
        return promised.Promise(), None
    promise = promised.read(bytes(passed.evaluation), bytes(passed.calibration_bins))
    if promise.confidence is None:
        return promise, None
    try:
        known = profile.columns(bytes(passed.profile))
    except profile.Unusable:
        return promise, None
    named = (one for one in known if one.kind is columns_.Kind.PREDICTION and one.ordered)
    output = promise.confidence.output
    fitting = (one for one in named if columns_.labelled(one) == output and one.inner == promised.BINS)
    return promise, next(fitting, None)
