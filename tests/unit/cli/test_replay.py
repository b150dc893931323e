"""`seatrial replay`: one line per slot, or one clear line of refusal."""

import json

import pytest
from click.testing import CliRunner

from seatrial.cli import main

VECTOR = [(100, 900, 0, 3), (100, 900, 2, 4), (120, 880, 3, 5), (90, 910, 4, 4), (100, 900, 5, 6), (100, 900, 0, 4)]
POLICY = {"errors": {"tolerance": "0%"}, "dispersion": 1, "spread": 0}


def slot(n_c=100, n_s=900, x_c=0, x_s=4):
    return {
        "seconds": 15,
        "stable": {"requests": n_s, "errors": x_s, "rejected": 0, "degraded": 0, "slower": {"0.1": 5}},
        "candidate": {"requests": n_c, "errors": x_c, "rejected": 0, "degraded": 0, "slower": {"0.1": 1}},
    }


def replay(recording, *, file="-"):
    text = recording if isinstance(recording, str) else json.dumps(recording)
    return CliRunner().invoke(main.main, ["replay", file], input=text)


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_each_slot_gives_a_line_with_the_reference_evidence():
    result = replay({"policy": POLICY, "slots": [slot(*row) for row in VECTOR]})
    assert result.exit_code == 0
    errors = [line["metrics"][0] for line in lines(result)]
    assert [line["slot"] for line in lines(result)] == [0, 1, 2, 3, 4, 5]
    assert [metric["log_evidence"] for metric in errors[:5]] == pytest.approx(
        [-0.776922, -0.039531, 1.19311, 4.426395, 8.521749], abs=1e-6
    )
    assert set(errors[0]) == {"name", "log_evidence", "bound", "ratio", "low", "high", "margin", "dispersion"}


def test_a_failure_stays_a_failure():
    outcomes = [
        (line["outcome"], line["reason"])
        for line in lines(replay({"policy": POLICY, "slots": [slot(*row) for row in VECTOR]}))
    ]
    passed, suspected, failed = (
        ("Pass", "NoRegression"),
        ("Inconclusive", "RegressionSuspected"),
        ("Fail", "ErrorsRegressed"),
    )
    assert outcomes == [passed, passed, suspected, suspected, failed, failed]


def test_the_policy_may_be_left_out():
    assert replay({"slots": [slot()]}).exit_code == 0


def test_min_requests_and_history_are_those_of_the_operator():
    got = lines(replay({"slots": [slot()] * 2, "history": [slot()] * 40, "minRequests": 150}))
    assert [line["outcome"] for line in got] == ["Inconclusive", "Pass"]
    assert got[0]["metrics"][0]["dispersion"] == 1.1


def test_a_file_is_read_by_name(tmp_path):
    path = tmp_path / "recording.json"
    path.write_text(json.dumps({"slots": [slot()]}))
    assert len(lines(replay("", file=str(path)))) == 1


@pytest.mark.parametrize(
    ("recording", "named"),
    [
        pytest.param("{", "not JSON", id="truncated"),
        pytest.param("[]", "Expected `object`", id="not an object"),
        pytest.param({}, "missing required field `slots`", id="no slots"),
        pytest.param({"slots": [{**slot(), "seconds": 0}]}, "$.slots[0].seconds", id="no time"),
        pytest.param({"slots": [slot(), slot(n_c=-1)]}, "$.slots[1].candidate.requests", id="negative"),
        pytest.param(
            {"slots": [slot(x_s=901)]}, "slots[0].stable.errors must be at most", id="more errors than requests"
        ),
        pytest.param({"slots": [slot()], "policy": {"errors": {"max": "5"}}}, "`$.policy.errors.max`", id="percent"),
        pytest.param({"slots": [slot()], "policy": {"dispersion": 0}}, "$.policy.dispersion", id="dispersion"),
        pytest.param({"slots": [{**slot(), "canary": {}}]}, "unknown field `canary`", id="unknown field"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_names_the_field(recording, named):
    result = replay(recording)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert named in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_missing_file_is_refused_in_one_line():
    result = replay("", file="/nowhere/recording.json")
    assert (result.exit_code, result.stderr) == (
        2,
        "seatrial replay: /nowhere/recording.json: No such file or directory\n",
    )
