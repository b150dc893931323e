"""What the user tolerates of drift, as numbers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from seatrial.api.values import Ratio
from seatrial.drift.season import Season

LEAST_TOLERANCE, MOST_TOLERANCE = 0.01, 0.5
LEAST_INVALID, MOST_INVALID = 0.001, 0.5
MOST_GROSS = 0.95
MOST_FALSE_ALARMS = 0.5


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """Shares of rows: `tolerance` that may lie elsewhere than in the reference, `gross` the same in the last hour,
    `invalid` that may be missing or unknown beyond the reference's own; `ignore` names columns that are not judged.
    """

    tolerance: Ratio = Ratio(0.1)  # immutable
    gross: Ratio = Ratio(0.5)
    invalid: Ratio = Ratio(0.01)
    season: Season = Season.AUTO
    false_alarm_rate: Ratio = Ratio(0.05)
    ignore: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


def check(policy: Policy) -> None:
    """What the types can't say.

    Raises:
        ValueError: names the field.
    """
    for field, value, least, most in (
        ("tolerance", policy.tolerance, LEAST_TOLERANCE, MOST_TOLERANCE),
        ("invalid", policy.invalid, LEAST_INVALID, MOST_INVALID),
    ):
        if not least <= value <= most:
            raise ValueError(f"{field} must be from {Ratio(least)} to {Ratio(most)}, not {value}")
    if not policy.tolerance < policy.gross <= MOST_GROSS:
        raise ValueError(f"gross must be above tolerance and at most {Ratio(MOST_GROSS)}, not {policy.gross}")
    if not 0 < policy.false_alarm_rate <= MOST_FALSE_ALARMS:
        raise ValueError(
            f"falseAlarmRate must be above 0% and at most {Ratio(MOST_FALSE_ALARMS)}, not {policy.false_alarm_rate}"
        )
