"""Fake pods count some things; a real server exports every series, from the start, at zero."""

import msgspec

from seatrial.analysis import counters


def whole(given: tuple[counters.Series, ...]) -> tuple[counters.Series, ...]:
    """What the server exports beside what a world counts: families that no pod has are filled in at every pod.

    A family that only some pods lack is what a world is about, and stays away.
    """
    outcomes = {one.label for one in given if one.counter is counters.Counter.REQUESTS}
    timed = any(one.counter is counters.Counter.LATENCY for one in given)
    added = []
    for one in given:
        if one.label != "ok" or one.counter is not counters.Counter.REQUESTS:
            continue
        nothing = [(moment, 0.0) for moment, _ in one.samples]
        for label in sorted({"degraded", "rejected", "error", "shed"} - outcomes):
            added.append(msgspec.structs.replace(one, label=label, samples=nothing))
        for edge in () if timed else ("0.01", "0.1", "1.0", "+Inf"):
            answers = [other for other in given if _beside(one, other)]
            rows = zip(*(own.samples for own in answers), strict=True)
            totals = [(row[0][0], sum(value for _, value in row)) for row in rows]
            added.append(msgspec.structs.replace(one, counter=counters.Counter.LATENCY, label=edge, samples=totals))
    return (*given, *added)


def _beside(one: counters.Series, other: counters.Series) -> bool:
    """Counters of one pod that were read together."""
    same = (one.arm, one.pod, one.target) == (other.arm, other.pod, other.target)
    return same and [moment for moment, _ in one.samples] == [moment for moment, _ in other.samples]
