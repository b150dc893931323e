"""What share of the requests a candidate was really given, from the same counts as the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis import slots as slots_


def measured(slots: Sequence[slots_.Slot]) -> float | None:
    """The candidate's share of what both arms were asked, from 0 to 1; None before the first request.

    Under Relay these are the requests that stable's pods chose for it, answered, lost or shed, over those and the ones
    that they kept. Copies count on neither side.
    """
    given = sum(slot.candidate.asked - slot.candidate.copies for slot in slots)
    kept = sum(slot.stable.asked for slot in slots)
    return given / (given + kept) if given + kept else None
