"""What the demo shows, version by version, and what must come of it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One change of `spec.model` and its expected end."""

    sample: str
    title: str
    verdict: str
    reason: str
    serving: str
    """Model version that has the traffic afterwards."""
    gets_traffic: bool = True


SCENARIOS = (
    Scenario(
        sample="digits-v1",
        title="first install",
        verdict="Promoted",
        reason="Promoted",
        serving="1",
    ),
    Scenario(
        sample="digits-v2",
        title="better model, int8",
        verdict="Promoted",
        reason="Promoted",
        serving="2",
    ),
    Scenario(
        sample="digits-v3",
        title="fails on some inputs",
        verdict="Rejected",
        reason="ErrorsRegressed",
        serving="2",
    ),
    Scenario(
        sample="digits-v4",
        title="right but slow",
        verdict="Rejected",
        reason="LatencyRegressed",
        serving="2",
    ),
    Scenario(
        sample="digits-v5",
        title="bad once quantized",
        verdict="Rejected",
        reason="ModelRejected",
        serving="2",
        gets_traffic=False,
    ),
    Scenario(
        sample="digits-v6",
        title="wrong sha256",
        verdict="Rejected",
        reason="ModelRejected",
        serving="2",
        gets_traffic=False,
    ),
)
