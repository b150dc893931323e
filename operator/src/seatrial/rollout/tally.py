"""Slots counted so far: a look counts only what is new, so its cost and memory don't grow with the window.

A slot is final once late samples of it are no longer expected; its samples are then given up. What is younger is
counted anew at every look: in slots of the analysis interval or, where the pods are read every second, of one second,
so that evidence counts a second after it was seen. Final slots of long ago are folded.

Pure. The figures are those that `counters.read` gives for the whole window at once.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

import msgspec

from seatrial.analysis import counters, fold
from seatrial.analysis import slots as slots_

LATE = 60.0  # seconds until no more samples of a slot are expected: stores behind Prometheus lag, scrapes take time
SOON = 10.0  # the same where the pods themselves were read: a reading is there or lost within seconds
FINE = 1.0  # seconds of a slot while the pods are read directly
RUN_UP = 6  # samples before a slot that counting needs: one to count from, the rest to tell how often they come
BASE = 1  # the same where pods are read every second: scrapes of before would make the first slots as long as theirs


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Final slots from `start` to `until` (unix times); `seen` is up to where the candidate was read by then."""

    start: float
    length: float
    until: float
    seen: float = -math.inf
    slots: tuple[slots_.Slot, ...] = ()


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a count rests on.

    `fine_since`: from when on pods were read every second without a gap. `fine_pods` names them; where there are too
    many to read, the others are left out of the slots of one second, which they would only fill in lumps.
    """

    series: Sequence[counters.Series]
    pods: Sequence[counters.Pod]
    arms: Sequence[counters.Arm]
    scrape_interval: float
    fine_since: float = math.inf
    fine_pods: frozenset[str] = frozenset()
    relay: counters.Relay | None = None

    @property
    def fine(self) -> Ground:
        return msgspec.structs.replace(
            self,
            series=[one for one in self.series if one.pod in self.fine_pods],
            pods=[one for one in self.pods if one.name in self.fine_pods or self._hidden(one)],
        )

    def _hidden(self, pod: counters.Pod) -> bool:
        """A candidate's pod that stable's tell of, so that not being able to read it ends nothing, but is said."""
        return self.relay is not None and pod.arm is counters.Arm.CANDIDATE


def begin(*, start: float, length: float) -> Tally:
    return Tally(start=start, length=length, until=start)


def count(tally: Tally, ground: Ground, *, end: float) -> tuple[Tally, counters.Reading]:
    """The tally with what has become final, and all slots up to `end` with why they may not be judged now."""
    reading = _read(ground, start=tally.until, end=end, length=tally.length, seen=tally.seen)
    read = ground.fine_since <= tally.until and {pod.name for pod in ground.pods} <= ground.fine_pods
    after = _settled(tally, reading, moment=end - (SOON if read else LATE))
    open_ = len([one for one in reading.ends if one > after.until])
    slots, rest = reading.slots[len(reading.slots) - open_ :], reading
    if tally.length > FINE and (fine_from := _fine_from(after, ground)) < end:
        before = [one for one in reading.ends if after.until < one <= fine_from]
        slots, at = slots[: len(before)], before[-1] if before else after.until
        seen = reading.seen[reading.ends.index(at)] if before else after.seen
        gap = _read(ground, start=at, end=fine_from, length=max(fine_from - at, FINE), seen=seen)
        seen = gap.seen[-1] if gap.seen else seen
        rest = _read(ground.fine, start=fine_from, end=end, length=FINE, seen=seen, run_up=BASE)
        slots = (*slots, *gap.slots, *rest.slots)
    return after, msgspec.structs.replace(rest, slots=(*after.slots, *slots))


def _settled(tally: Tally, reading: counters.Reading, *, moment: float) -> Tally:
    """With the slots that have ended by then."""
    done = len([one for one in reading.ends if one <= moment])
    if not done:
        return tally
    return msgspec.structs.replace(
        tally,
        until=reading.ends[done - 1],
        seen=reading.seen[done - 1],
        slots=fold.older((*tally.slots, *reading.slots[:done])),
    )


def _fine_from(tally: Tally, ground: Ground) -> float:
    """From when on slots are of one second, on the grid of the first one."""
    if math.isinf(ground.fine_since):
        return math.inf
    return max(tally.until, tally.start + math.ceil(ground.fine_since - tally.start))


def kept(
    samples: Sequence[tuple[float, float]], *, until: float, run_up: int = RUN_UP
) -> Sequence[tuple[float, float]]:
    """The samples that are still needed once everything up to `until` is final."""
    place = bisect.bisect_left(samples, (until, -math.inf))
    return samples[max(0, place - run_up) :]


def _read(
    ground: Ground, *, start: float, end: float, length: float, seen: float, run_up: int = RUN_UP
) -> counters.Reading:
    """Slots from `start` on, where others have been read before."""
    needed = [
        msgspec.structs.replace(one, samples=kept(one.samples, until=start, run_up=run_up)) for one in ground.series
    ]
    return counters.read(
        needed,
        ground.pods,
        start=start,
        end=max(start, end),
        interval=length,
        scrape_interval=ground.scrape_interval,
        arms=ground.arms,
        seen_from=seen,
        relay=ground.relay,
    )
