"""`kubectl seatrial power`: its numbers answer to what is asked of them, and its input is checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seatrial.api import spec
from seatrial.plugin import detection, main, power, traffic

HEALTHY = traffic.Version(errors=0.005, slow=0.003)
RUNS = 20


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.group, ["power", *arguments])


def rows(rate: float) -> dict[str, detection.Ends]:
    wish = spec.Spec(
        model=spec.Model(uri="https://m/m.onnx", sha256="0" * 64),
        rollout=spec.Rollout(traffic=spec.Traffic(provider=spec.Provider.RELAY)),
    )
    found = power.study(wish, rate=rate, healthy=HEALTHY, runs=RUNS, seed=1)
    return {row.regression: row.ends for row in found}


def test_what_is_worse_is_found_sooner_and_what_is_as_good_is_let_through() -> None:
    found = rows(50)
    assert found["every request fails"].found == 1
    assert found["as good as stable"].found == 0
    assert found["as good as stable"].promoted > 0.8
    worst, bad = (found[name].median_seconds for name in ("every request fails", "errors 0.5% -> 5%"))
    assert worst is not None
    assert bad is not None
    assert worst <= bad


def test_more_traffic_finds_more() -> None:
    few, many = (rows(rate)["errors 0.5% -> 2%"].found for rate in (2, 100))
    assert few < many


def test_the_ends_of_all_rollouts_add_up() -> None:
    assert all(one.found + one.promoted + one.waiting == pytest.approx(1) for one in rows(10).values())


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, second = (run("--rate", "20", "--runs", "10", "-o", "json").output for _ in range(2))
    assert first == second
    assert {"regression", "ends"} == set(json.loads(first)[0])


def test_the_steps_of_a_manifest_are_used(tmp_path: Path) -> None:
    head = "apiVersion: seatrial.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: churn}\nspec:\n"
    model = f"  model: {{uri: 'https://m/m.onnx', sha256: '{'9f' * 32}'}}\n"
    file = tmp_path / "churn.yaml"
    file.write_text(head + model + "  rollout: {steps: [{weight: 100}]}\n")
    result = run("--rate", "20", "-f", str(file))
    assert (result.exit_code, "no step gives the candidate a part" in result.output) == (1, True)
    file.write_text(head + model + "  rollout: {steps: [{weight: 10, minDuration: forever}]}\n")
    assert "spec.rollout.steps[0].minDuration" in run("--rate", "20", "-f", str(file)).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param((), "Missing option '--rate'", id="no rate"),
        pytest.param(("--rate", "0"), "0.0 is not in the range x>0", id="no requests"),
        pytest.param(("--rate", "5", "--errors", "0.5"), "must be a percentage like 2% or 0.5%", id="no percentage"),
        pytest.param(("churn", "--rate", "5", "-f", "x"), "give NAME or --file, not both", id="both"),
        pytest.param(("--rate", "5", "-f", "/nowhere.yaml"), "/nowhere.yaml: No such file", id="no file"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code in (2, 3)
    assert said in result.output


def test_the_least_share_that_a_step_finds_falls_with_its_requests() -> None:
    wish = spec.Spec(model=spec.Model(uri="https://m/m.onnx", sha256="0" * 64))
    step = spec.Step(weight=10)
    few, many = (detection.least_found(wish, step, rate=rate, healthy=HEALTHY) for rate in (0.5, 100))
    assert few is not None
    assert many is not None
    assert many < few
