"""One look at the drift of one ModelDeployment: what is due is asked for, judged, remembered and said.

Everything can be done twice: the memory is kept before the status is written, and what the status says follows from the
memory. A look that finds nothing due costs no request.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from seatrial import api
from seatrial.api import spec, status, stored, values
from seatrial.cluster import access, errors
from seatrial.cluster.events import Events
from seatrial.control import health, observing, reading, trials
from seatrial.control.drifting import asking, keeping
from seatrial.control.queue import Key, Result
from seatrial.control.telemetry import Telemetry
from seatrial.drift import acceptance, kept, profile, schedule, watch, windows
from seatrial.drift import policy as policy_
from seatrial.drift.columns import Column, Kind
from seatrial.drift.judgement import Judgement
from seatrial.prometheus import errors as prometheus
from seatrial.rollout import bounds, conditions, drifting, facts, names, narrative

_LOG = logging.getLogger(__name__)

MOST_HOURS = 24
"""So many are read again after a restart; what is older and not on file is a gap."""
AGAIN_FIRST, AGAIN_LONGEST = 1 / 60, 1 / 4
"""Of an hour, until sources that did not answer are asked again."""
PATIENCE = 1.0
"""Hours without an answer before it is said that there is none."""
COMMAND = "accept_drift"


@dataclasses.dataclass
class _Watch:
    """What is known of the revision that serves. `unusable`: what is said where there is nothing to hold its traffic
    against; `unkept`: of which the newest is not on file yet.
    """

    owner: facts.Owner
    revision: str
    hours: schedule.Hours
    columns: tuple[Column, ...]
    unusable: drifting.Said | None
    known: keeping.Known
    judged: Judgement | None = None
    policy: policy_.Policy | None = None
    attributed: bool = False
    lacking: str = ""
    failures: int = 0
    again_at: float = 0.0
    unkept: bool = False

    @property
    def last(self) -> int | None:
        return kept.at(self.known.memory)

    @property
    def asked(self) -> tuple[Column, ...]:
        """Those that are judged now: attributions are off unless they are asked for."""
        return tuple(one for one in self.columns if self.attributed or one.kind is not Kind.ATTRIBUTION)

    @property
    def in_force(self) -> tuple[Column, ...]:
        accepted = self.known.accepted
        return self.asked if accepted is None else acceptance.in_force(self.asked, accepted.references)

    @property
    def without_attributions(self) -> bool:
        """Whether they are asked for, and there is nothing to hold them against."""
        return self.attributed and not any(one.kind is Kind.ATTRIBUTION for one in self.columns)


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
        self._keeping = keeping.Keeping(cluster)
        self._asking = ask
        self._worked_out = worked_out
        self._events = events
        self._telemetry = telemetry
        self._hour = hour
        self._watches: dict[Key, _Watch] = {}

    async def look(self, key: Key) -> Result:
        """Brings one object's drift up to date.

        Raises:
            ClusterError: to be tried again with backoff.
        """
        raw = await self._cluster.get(api.KIND, key.namespace, key.name)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            self._forget(key)
            return Result()
        try:
            wish = msgspec.convert(raw["spec"], spec.Spec, dec_hook=values.decode_hook)
        except (msgspec.ValidationError, KeyError):
            return Result()  # the planner says so; what was found stands
        known, _ = stored.read(raw.get("status", {}))
        stable = known.stable
        if stable is None or wish.monitoring.drift.mode is spec.DriftMode.OFF:
            self._forget(key)
            await self._take_away(raw)
            return Result()
        watched = await self._watched(key, raw, stable.revision)
        attributions = wish.monitoring.attributions
        attributed = attributions is not None and attributions.rows_per_second > 0
        if watched.attributed is not attributed:
            watched.attributed, watched.policy = attributed, None
        await self._bring_up_to_date(watched, wish)
        await self._follow_command(watched, raw, wish, handled=known.commands.accept_drift)
        await self._say(key, watched, raw)
        return Result(look_again_in=self._due_in(watched))

    def _forget(self, key: Key) -> None:
        watched = self._watches.pop(key, None)
        if watched is not None:
            self._asking.forget(watched.owner.uid)
        self._telemetry.forget_drift(key)

    def _due_in(self, watched: _Watch) -> float | None:
        if watched.unusable:
            return None
        now = self._now().timestamp()
        return max(watched.again_at - now, 1.0) if watched.failures else max(watched.hours.due_in(now), 0.1)

    def _now(self) -> datetime:
        return self._cluster.server_now()

    async def _watched(self, key: Key, raw: access.Object, revision: str) -> _Watch:
        """The watch over this revision; begun anew for another one, or for another object of that name."""
        owner = observing.owner_of(raw)
        known = self._watches.get(key)
        same = known is not None and (known.owner.uid, known.revision) == (owner.uid, revision)
        if known is not None and same and not known.unusable:  # a report that was gone may be back
            known.owner = owner
            return known
        self._forget(key)
        try:
            columns, unusable = await self._columns(owner, revision), None
        except profile.Unusable as error:
            columns, unusable = (), drifting.without(error)
        on_file = keeping.Known()
        if columns:
            on_file = await self._keeping.read(owner, revision, columns, hour=self._hour)
        begun = _Watch(
            owner=owner,
            revision=revision,
            hours=schedule.Hours.of(owner.uid, self._hour),
            columns=columns,
            unusable=unusable,
            known=on_file,
        )
        self._watches[key] = begun
        return begun

    async def _columns(self, owner: facts.Owner, revision: str) -> tuple[Column, ...]:
        """From the report beside the configuration, else from the record's notes. Raises Unusable."""
        found = await trials.passed(self._cluster, owner, revision)
        if found is None:
            raise profile.Unusable("the report of the trial is gone, and with it what traffic could be held against")
        return profile.columns(bytes(found.profile))

    async def _bring_up_to_date(self, watched: _Watch, wish: spec.Spec) -> None:
        """The hours that are over and not known yet, and the judgement under the present policy."""
        if watched.unusable:
            return
        policy = drifting.policy(wish.monitoring.drift)
        now = self._now().timestamp()
        newest = watched.hours.newest(now)
        last = watched.last
        if last is not None and last > newest + 1:
            _LOG.warning("drift state is of the future, windows fill anew", extra={"object": watched.owner.name})
            watched.known, last = dataclasses.replace(watched.known, memory=watch.EMPTY), None
        first = newest - MOST_HOURS + 1 if last is None else max(last + 1, newest - MOST_HOURS + 1)
        if first <= newest and now >= watched.again_at:
            await self._ask(watched, wish, policy, first=first, newest=newest)
        if watched.unkept:
            await self._keep(watched)
        if watched.policy != policy or watched.judged is None:
            self._judge_again(watched, policy)

    def _judge_again(self, watched: _Watch, policy: policy_.Policy) -> None:
        watched.policy = policy
        if watched.last is not None:
            memory, watched.judged = watch.judge(watched.known.memory, columns=watched.in_force, policy=policy)
            watched.known = dataclasses.replace(watched.known, memory=memory)

    async def _ask(self, watched: _Watch, wish: spec.Spec, policy: policy_.Policy, *, first: int, newest: int) -> None:
        pods = await self._cluster.list("Pod", watched.owner.namespace, {names.DEPLOYMENT: watched.owner.name})
        servers = (reading.pod(one) for one in pods if health.server_of(one, watched.owner.name))
        question = asking.Question(
            owner=watched.owner,
            revision=watched.revision,
            source=wish.analysis.prometheus,
            columns=watched.asked,
            pods=tuple(pod for pod in servers if pod.revision == watched.revision),
            hours=watched.hours,
            first=first,
            last=newest,
        )
        try:
            answer = await self._asking.ask(question)
        except prometheus.PrometheusError as error:
            watched.failures += 1
            pause = min(AGAIN_LONGEST, AGAIN_FIRST * 2 ** min(watched.failures - 1, 10)) * watched.hours.seconds
            now = self._now().timestamp()
            watched.again_at = now + pause
            if watched.last is None or now - watched.hours.end(watched.last) > (1 + PATIENCE) * watched.hours.seconds:
                watched.lacking = str(error)
            return
        watched.failures, watched.again_at, watched.lacking = 0, 0.0, answer.lacking
        hours = [hour for hour in answer.hours if first <= hour.at <= newest]
        if not hours or hours[-1].at < newest:
            hours.append(watch.Hour(at=newest, pods=(), ready=len(question.pods)))
        before = watched.known
        work = functools.partial(_after, before.memory, hours, watched.in_force, policy)
        memory, watched.judged = await self._worked_out(work)
        watched.policy = policy
        watched.known = dataclasses.replace(before, memory=memory)
        if _worth_keeping(before.memory, memory):
            await self._keep(watched)

    async def _keep(self, watched: _Watch) -> None:
        """On file. What the API server refuses (a quota, say) is said all the same, and kept with a later look."""
        watched.unkept = True
        try:
            watched.known = await self._agreed(watched)
        except errors.Refused as refused:
            _LOG.warning("drift state refused", extra={"object": watched.owner.name, "error": str(refused)})
            return
        except kept.Unreadable as error:
            _LOG.warning("drift state not kept", extra={"object": watched.owner.name, "error": str(error)})
        watched.unkept = False

    async def _agreed(self, watched: _Watch) -> keeping.Known:
        """What is on file then. Where another operator was first, the newer of the two memories goes on."""
        try:
            return await self._written(watched, watched.known)
        except errors.Conflict:
            owner, columns = watched.owner, watched.columns
            theirs = await self._keeping.read(owner, watched.revision, columns, hour=self._hour)
            if (kept.at(theirs.memory) or 0) < (watched.last or 0):
                return await self._written(watched, dataclasses.replace(watched.known, version=theirs.version))
            watched.judged = None
            return theirs

    async def _written(self, watched: _Watch, known: keeping.Known) -> keeping.Known:
        work = functools.partial(
            kept.pack, known.memory, revision=watched.revision, hour=self._hour, accepted=known.accepted
        )
        content = await self._worked_out(work)
        version = await self._keeping.write(watched.owner, watched.revision, content, version=known.version)
        return dataclasses.replace(known, version=version)

    async def _follow_command(self, watched: _Watch, raw: access.Object, wish: spec.Spec, *, handled: str) -> None:
        """A new accept-drift token: kept with the memory, so that it is followed once whatever happens then.

        Raises:
            Conflict: what somebody else has kept meanwhile goes on, and the command has to be followed in that.
        """
        token = _token(raw)
        known = watched.known
        if token in ("", handled) or watched.unusable or (known.accepted is not None and known.accepted.token == token):
            return
        policy = drifting.policy(wish.monitoring.drift)
        memory, references = acceptance.accept(known.memory, watched.in_force, policy)
        if not references:
            return
        old = () if known.accepted is None else known.accepted.references
        new = {one.column for one in references}
        kept_references = (*(one for one in old if one.column not in new), *references)
        accepted = kept.Accepted(token=token, at=values.whole_seconds(self._now()), references=kept_references)
        watched.known = dataclasses.replace(known, memory=memory, accepted=accepted)
        await self._keep(watched)
        if watched.known.accepted != accepted:
            raise errors.Conflict("somebody has written the drift state meanwhile: the command is followed again")
        self._judge_again(watched, policy)

    async def _say(self, key: Key, watched: _Watch, raw: access.Object) -> None:
        before = raw.get("status") or {}
        known, _ = stored.read(before)
        said = self._said(watched)
        accepted = watched.known.accepted
        drift = drifting.written(
            known.drift,
            said,
            revision=watched.revision,
            now=self._now(),
            accepted_at=None if accepted is None else accepted.at,
        )
        news = drift != known.drift
        now_condition = next((one for one in known.conditions if one.type == conditions.DRIFTED), None)
        reason = now_condition.reason if now_condition is not None else ""
        token = _token(raw)
        handled = token if token not in ("", known.commands.accept_drift) and not watched.unkept else ""
        self._telemetry.drift(key, judged=watched.judged)
        if not news and reason == said.reason and not handled:
            return
        [condition] = conditions.merge(
            [now_condition] if now_condition else [],
            [drifting.row(said)],
            generation=watched.owner.generation,
            now=self._now(),
        )
        after = drifting.in_status(before, drift, condition, handled=handled)
        await self._cluster.write_status({**raw, "status": after})
        await self._tell(raw, drifting.event(known.drift, drift, said, reason_before=reason))
        if handled:
            await self._tell(raw, _of_command(handled, accepted))

    def _said(self, watched: _Watch) -> drifting.Said:
        if watched.unusable is not None:
            return watched.unusable
        if watched.judged is None:
            words = watched.lacking or "no hour of this version's traffic was seen yet"
            return drifting.unknown(status.Reason.METRICS_UNAVAILABLE, words)
        season = watched.policy.season if watched.policy is not None else spec.Season.AUTO
        traces = watched.known.memory.traces.values()
        accepted = watched.known.accepted
        return drifting.found(
            watched.judged,
            watched.hours,
            filled=any(windows.filled(trace.past, season) for trace in traces),
            accepted=None if accepted is None else accepted.at,
            lacking=watched.lacking,
            unsupported=drifting.NO_ATTRIBUTIONS if watched.without_attributions else "",
        )

    async def _take_away(self, raw: access.Object) -> None:
        """Nothing is said any more, where something was."""
        before: Mapping[str, Any] = raw.get("status") or {}
        after = drifting.in_status(before, None, None)
        if after != before:
            await self._cluster.write_status({**raw, "status": after})

    async def _tell(self, raw: access.Object, event: narrative.Event | None) -> None:
        if event is not None:
            kind: Any = "Warning" if event.warning else "Normal"
            await self._events.post(raw, type=kind, reason=event.reason, message=event.message)


def _after(
    memory: watch.Memory, hours: Sequence[watch.Hour], columns: tuple[Column, ...], policy: policy_.Policy
) -> tuple[watch.Memory, Judgement]:
    *earlier, newest = hours
    for hour in earlier:
        memory, _ = watch.after(memory, hour, columns=columns, policy=policy)
    return watch.after(memory, newest, columns=columns, policy=policy)


def _worth_keeping(before: watch.Memory, after: watch.Memory) -> bool:
    """Another day is whole, or an alarm has begun or ended."""
    days = [0 if (at := kept.at(one)) is None else (at + 1) // windows.DAY for one in (before, after)]
    return days[0] != days[1] or before.alarms.keys() != after.alarms.keys() or before.anew != after.anew


def _token(raw: access.Object) -> str:
    annotations = raw["metadata"].get("annotations") or {}
    return bounds.cut(str(annotations.get(names.command(COMMAND), "")), bounds.TOKEN)


def _of_command(token: str, accepted: kept.Accepted | None) -> narrative.Event:
    if accepted is not None and accepted.token == token:
        columns = ", ".join(one.column for one in accepted.references)
        words = f"what {columns} looked like lately is what this version's traffic is held against from now on"
        return narrative.Event(reason=status.Reason.DRIFT_ACCEPTED, message=words)
    words = f"{names.command(COMMAND)}: {token} came when nothing had drifted"
    return narrative.Event(reason=status.Reason.COMMAND_IGNORED, message=words, warning=True)
