"""What the demo shows, version by version, and what must come of it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One change and its expected end."""

    sample: str
    version: str
    """That is tried."""
    title: str
    verdict: str
    reasons: tuple[str, ...]
    """Any of these: the comparison and the absolute guard may be first, as the traffic falls."""
    serving: str
    """Model version that has the traffic afterwards."""
    gets_traffic: bool = True


SCENARIOS = (
    Scenario(
        sample="digits-v1",
        version="1",
        title="first install",
        verdict="Promoted",
        reasons=("Promoted",),
        serving="1",
    ),
    Scenario(
        sample="digits-v2",
        version="2",
        title="better model, int8",
        verdict="Promoted",
        reasons=("Promoted",),
        serving="2",
    ),
    Scenario(
        sample="digits-v3",
        version="3",
        title="fails on some inputs",
        verdict="Rejected",
        reasons=("ErrorsRegressed", "ErrorsAboveMaximum", "ShadowFailed"),
        serving="2",
    ),
    Scenario(
        sample="digits-v4",
        version="4",
        title="right but slow",
        verdict="Rejected",
        reasons=("LatencyRegressed", "LatencyAboveMaximum", "ShadowFailed"),
        serving="2",
    ),
    Scenario(
        sample="digits-v5",
        version="5",
        title="bad once quantized",
        verdict="Rejected",
        reasons=("ModelRejected",),
        serving="2",
        gets_traffic=False,
    ),
    Scenario(
        sample="digits-v6",
        version="6",
        title="wrong sha256",
        verdict="Rejected",
        reasons=("ModelRejected",),
        serving="2",
        gets_traffic=False,
    ),
)

LEARNED_ANEW = Scenario(
    sample="digits-v2-watched",
    version="8",
    title="learned anew, as traffic drifted",
    verdict="Promoted",
    reasons=("Promoted",),
    serving="8",
)
MISSING = Scenario(
    sample="digits-v2-watched",
    version="8",
    title="gets rows with missing values",
    verdict="",
    reasons=("InvalidData", "DataSuspect"),
    serving="8",
)
"""Tries no version: what is said of the data and of retraining is what must come of it, both."""
