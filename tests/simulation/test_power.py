"""`kubectl seatrial power` tells people what the simulation of whole rollouts finds: the same ends, told by another."""

import pytest
from tests.simulation import steps
from tests.simulation.traffic import Scenario

from seatrial.api import spec
from seatrial.plugin import detection, traffic

RUNS, SEED = 150, 20260112
HEALTHY = traffic.Version(errors=0.005, slow=0.009)
TWO = (
    spec.Step(weight=10, min_duration=spec.Duration.parse("2m"), min_requests=100),
    spec.Step(weight=50, min_duration=spec.Duration.parse("2m"), min_requests=500),
)
WISH = spec.Spec(
    model=spec.Model(uri="https://m/m.onnx", sha256="0" * 64),
    replicas=5,
    rollout=spec.Rollout(
        steps=TWO,
        traffic=spec.Traffic(provider=spec.Provider.RELAY),
        step_timeout=spec.Duration.parse("15m"),  # as many slots as a plan of the simulation has
    ),
)
CLOSE = 0.12  # two standard errors of each of both, and what their histograms and records differ in


def told(rate: float, errors: float, *, runs: int = RUNS) -> detection.Ends:
    """By the plugin."""
    arms = traffic.Arms(
        rate=rate,
        stable=HEALTHY,
        candidate=traffic.Version(errors=errors, slow=HEALTHY.slow),
        pods_stable=5,
        pods_candidate=5,
        threshold=0.1,
    )
    return detection.ends(WISH, arms, runs=runs, seed=SEED)


@pytest.mark.parametrize("rate", [5.0, 20.0, 100.0])
@pytest.mark.parametrize("errors", [0.005, 0.02, 0.05, 1.0])
def test_the_plugin_tells_what_the_simulation_finds(rate: float, errors: float) -> None:
    plugin = told(rate, errors)
    simulated = steps.ends(Scenario(rate=rate, candidate_errors=errors), steps.DEFAULT, runs=RUNS, seed=SEED)
    assert plugin.found == pytest.approx(simulated.rolled_back, abs=CLOSE)
    assert plugin.promoted == pytest.approx(simulated.promoted, abs=CLOSE)


def test_a_version_as_good_as_stable_is_found_no_more_often_than_is_promised() -> None:
    ends = [told(rate, HEALTHY.errors, runs=50) for rate in (1.0, 5.0, 20.0, 100.0)]
    assert sum(one.found for one in ends) / len(ends) <= 0.01
