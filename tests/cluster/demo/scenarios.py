"""What the demo shows, version by version, and what must come of it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One change of `spec.model` and its expected end."""

    sample: str
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
        title="first install",
        verdict="Promoted",
        reasons=("Promoted",),
        serving="1",
    ),
    Scenario(
        sample="digits-v2",
        title="better model, int8",
        verdict="Promoted",
        reasons=("Promoted",),
        serving="2",
    ),
    Scenario(
        sample="digits-v3",
        title="fails on some inputs",
        verdict="Rejected",
        reasons=("ErrorsRegressed", "ErrorsAboveMaximum", "ShadowFailed"),
        serving="2",
    ),
    Scenario(
        sample="digits-v4",
        title="right but slow",
        verdict="Rejected",
        reasons=("LatencyRegressed", "LatencyAboveMaximum", "ShadowFailed"),
        serving="2",
    ),
    Scenario(
        sample="digits-v5",
        title="bad once quantized",
        verdict="Rejected",
        reasons=("ModelRejected",),
        serving="2",
        gets_traffic=False,
    ),
    Scenario(
        sample="digits-v6",
        title="wrong sha256",
        verdict="Rejected",
        reasons=("ModelRejected",),
        serving="2",
        gets_traffic=False,
    ),
)
