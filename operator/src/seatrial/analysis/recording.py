"""Counts in a file: what `seatrial replay` reads, and what the operator keeps beside a rejected revision.

Decoding validates types; the sums that types can't say are checked after it. Pure.
"""

from __future__ import annotations

import msgspec

from seatrial.analysis import cohorts as cohorts_
from seatrial.analysis import own_metrics
from seatrial.analysis import policy as policies
from seatrial.analysis import slots as slots_
from seatrial.api import values


class Recording(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A replay file.

    `history`: stable's slots before the canary, for dispersion; `minRequests`: needed for Pass; `own`: what the user's
    own metrics had come to at the end; `cohorts`: what had come back for answers, which is judged with `rolloutRate`.
    """

    slots: tuple[slots_.Slot, ...]
    policy: policies.Tolerances = policies.Tolerances()
    history: tuple[slots_.Slot, ...] = ()
    min_requests: slots_.Count = 0
    own: tuple[own_metrics.Result, ...] = ()
    cohorts: tuple[cohorts_.Cohort, ...] = ()
    rollout_rate: values.Ratio | None = None

    @property
    def allowed(self) -> policies.Policy:
        """What is tolerated, as numbers.

        Raises:
            ValueError: names the field.
        """
        try:
            return policies.of(self.policy)
        except ValueError as error:
            raise ValueError(f"policy.{error}") from error


def read(content: bytes) -> Recording:
    """The recording of a file.

    Raises:
        msgspec.ValidationError: a field has another type, or is unknown.
        msgspec.DecodeError, UnicodeDecodeError: it isn't JSON.
        ValueError: more events than requests; names the slot, the arm and the field.
    """
    recording = msgspec.json.decode(content, type=Recording, dec_hook=values.decode_hook)
    _check(recording)
    return recording


def _check(recording: Recording) -> None:
    for part, recorded in (("slots", recording.slots), ("history", recording.history)):
        for place, slot in enumerate(recorded):
            for name, arm in (("stable", slot.stable), ("candidate", slot.candidate)):
                _check_counts(f"{part}[{place}].{name}", arm)
                for number, pod in enumerate(arm.pods):
                    _check_counts(f"{part}[{place}].{name}.pods[{number}]", pod)


def _check_counts(path: str, counts: slots_.ArmCounts | slots_.PodCounts) -> None:
    outcomes = {"errors": counts.errors, "rejected": counts.rejected, "degraded": counts.degraded}
    slower = {f"slower.{edge}": count for edge, count in counts.slower.items()}
    timed = isinstance(counts, slots_.ArmCounts) and counts.timed is not None
    for of, most, fields in (
        ("requests", counts.requests, outcomes),
        ("timed" if timed else "requests", counts.measured, slower),
    ):
        for field, events in fields.items():
            if events > most:
                raise ValueError(f"{path}.{field} must be at most {path}.{of} ({most}), not {events}")
