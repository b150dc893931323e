"""What share of the requests a candidate was really given, from the same counts as the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis import slots as slots_


def measured(slots: Sequence[slots_.Slot]) -> float | None:
    """The candidate's share of what both arms were asked, from 0 to 1; None before the first request.

    Under Relay these are the requests that stable's pods chose for it, answered, lost or shed, over those and the ones
    that they kept. Copies count on neither side. It is counted from the first slot in which the candidate was given
    one: until pods, endpoints and gateways have followed a new share, no request can reach it.
    """
    given = [slot.candidate.asked - slot.candidate.copies for slot in slots]
    first = next((place for place, count in enumerate(given) if count), 0)
    chosen, kept = sum(given[first:]), sum(slot.stable.asked for slot in slots[first:])
    return chosen / (chosen + kept) if chosen + kept else None
