"""Reports come from pods: whatever they say, the answer is a report or a ReportError, and status stays writable."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.rollout import build

from seatrial.api.status import Status, VerdictKind
from seatrial.rollout import config, facts, planner, rendering, report

GOOD: dict[str, Any] = {
    "schema": 1,
    "outcome": "Passed",
    "sha256": "a" * 64,
    "servedSha256": "b" * 64,
    "precision": "int8-static",
    "quantization": {"mode": "Auto", "outcome": "Applied", "disagreement": 0.004, "bound": 0.01, "speedup1": 1.8},
    "tests": [{"name": "old customers", "outcome": "Pass", "observed": 0.95, "bound": 0.9, "rows": 20}],
    "calibration": {"ranges": {"x": [0.0, 1.5]}},
}


def line(**changes: object) -> str:
    return json.dumps({**GOOD, **changes})


def read(text: str, *, before: str = "") -> report.Report:
    return report.read(f"{before}{text}\n", report.digest_of(text))


def test_the_last_line_is_the_report():
    found = read(line(), before='{"message": "fetched"}\n{"message": "tested"}\n')
    assert (found.outcome, found.precision, found.digest) == (
        report.Outcome.PASSED,
        "int8-static",
        report.digest_of(line()),
    )


def test_line_separators_that_are_no_line_breaks_stay_in_the_line():
    text = json.dumps({**GOOD, "message": "one\u2028two\u0085three"}, ensure_ascii=False)
    assert read(text).message == "one\u2028two\u0085three"


def deep(levels: int) -> str:
    return line(calibration={"x": 0}).replace('{"x": 0}', '{"x": ' * levels + "0" + "}" * levels)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("killed", id="no JSON"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="no outcome"),
        pytest.param(line(outcome="Maybe"), id="another outcome"),
        pytest.param(line(message="x" * 300_000), id="huge"),
        pytest.param(line(message="x" * 5000), id="long text"),
        pytest.param(line(message="𝔄" * 70_000), id="huge in bytes"),
        pytest.param(deep(50_000), id="deep"),
        pytest.param(line(tests=[GOOD["tests"][0]] * 1001), id="many tests"),
        pytest.param(line(tests="none"), id="wrong type"),
        pytest.param(line(servedSha256="b" * 200), id="no digest"),
        pytest.param(line(precision=8), id="a number"),
        pytest.param(line(quantization={"rows": -1}), id="negative rows"),
        pytest.param(line(quantization={"rows": 10**30}), id="endless rows"),
        pytest.param(line(quantization={"disagreement": float("nan")}), id="NaN"),
        pytest.param(line(quantization={"disagreement": float("inf")}), id="infinity"),
        pytest.param('{"outcome": "Passed", "message": "\\ud800"}', id="half a character"),
        pytest.param("\ud800", id="not UTF-8"),
    ],
)
def test_what_is_no_report_is_an_error_and_nothing_else(text):
    with pytest.raises(report.ReportError):
        read(text)


def test_another_report_than_the_termination_message_names_is_not_believed():
    with pytest.raises(report.ReportError, match="termination message"):
        report.read(line(outcome="Passed"), report.digest_of(line(outcome="Rejected")))


def parts(plain: bytes, *, count: int, sha256: str = "") -> list[str]:
    packed, sha256 = base64.b64encode(zlib.compress(plain)).decode(), sha256 or hashlib.sha256(plain).hexdigest()
    size = -(-len(packed) // count)
    return [
        f"seatrial-report {number + 1}/{count} {sha256} {packed[number * size : (number + 1) * size]}"
        for number in range(count)
    ]


PARTS = parts(line().encode(), count=3)


@pytest.mark.parametrize("text", [line(), "\n".join(PARTS)], ids=["in one line", "in three"])
def test_what_comes_late_through_another_pipe_costs_no_report(text: str) -> None:
    late = f"{text}\nonnxruntime: 2 warnings\n\n"
    assert report.read(late, report.digest_of(text)).outcome is report.Outcome.PASSED
    assert report.lines(late, report.digest_of(text)) == text


def test_a_report_in_parts_is_one_report():
    found = report.read("\n".join(["before", *PARTS, ""]), report.digest_of(PARTS[-1]))
    assert (found.precision, found.digest) == ("int8-static", report.digest_of(PARTS[-1]))


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(PARTS[1:], id="the first is missing"),
        pytest.param([PARTS[1], PARTS[0], PARTS[2]], id="another order"),
        pytest.param([PARTS[0], PARTS[0], PARTS[2]], id="one twice"),
        pytest.param([PARTS[0], PARTS[1][:-4], PARTS[2]], id="one cut"),
        pytest.param(parts(b'{"outcome": "Passed"}', count=1, sha256="0" * 64), id="another digest"),
        pytest.param(parts(b"no JSON", count=1), id="no JSON"),
        pytest.param(parts(b"0" * 500_000_000, count=32), id="a bomb"),
        pytest.param([f"seatrial-report 1/1 {'0' * 64} AAAA"], id="not compressed"),
    ],
)
def test_parts_that_make_no_report_are_an_error_and_nothing_else(found):
    text = "\n".join(found)
    with pytest.raises(report.ReportError):
        report.read(text, report.digest_of(text))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = st.sampled_from([*GOOD, "rows", "mode", "message"])


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=8))
def test_no_json_breaks_the_reader(document):
    text = json.dumps(document)
    try:
        report.read(text, report.digest_of(text.strip()))
    except report.ReportError:
        return


NASTY = "\x1b[2J𝔄" * 300
WORST = {
    "outcome": "Rejected",
    "reason": NASTY,
    "message": NASTY,
    "precision": "𝔄" * 128,
    "servedSha256": "𝔄" * 128,
    "quantization": {
        "mode": NASTY,
        "outcome": NASTY,
        "reason": NASTY,
        "disagreement": 1e308,
        "bound": -1e308,
        "rows": 10**12,
        "speedup1": 1e-308,
    },
    "tests": [{"name": NASTY, "outcome": NASTY, "observed": 1e308, "rows": 10**12, "message": NASTY}] * 15,
}


@pytest.mark.parametrize("outcome", ["Passed", "Rejected"])
def test_the_worst_report_makes_a_status_that_its_schema_takes(outcome):
    text = json.dumps({**WORST, "outcome": outcome}, ensure_ascii=False)
    trial = facts.Trial(state=facts.JobState.SUCCEEDED, created_at=build.at(0), report=read(text), report_line=text)
    case = build.case(candidate=build.on_trial(), trials={build.name_of("2"): trial})
    after = planner.plan(case.snapshot, case.now).status
    assert msgspec.json.decode(msgspec.json.encode(after), type=Status) == after
    assert after.trial is not None
    assert after.trial.message.isprintable()
    assert outcome == "Passed" or after.verdicts[0].verdict is VerdictKind.REJECTED


def test_a_short_report_shows_as_it_is():
    shown = rendering.trial_status("abc", read(line()))
    assert shown.quantization is not None
    assert (shown.quantization.disagreement, shown.quantization.speedup1) == ("0.4%", "1.8")
    assert [(one.name, one.observed) for one in shown.tests] == [("old customers", "0.95")]


def test_pods_are_told_what_the_trial_found():
    text = config.render(
        namespace="shop", name="churn", record=build.record("2"), analysis=build.spec().analysis, passed=read(line())
    )
    assert json.loads(text)["expected"] == {
        "servedSha256": "b" * 64,
        "precision": "int8-static",
        "calibration": GOOD["calibration"],
    }
