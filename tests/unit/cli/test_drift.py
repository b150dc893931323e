"""`seatrial drift`: one line per hour, or one clear line of refusal."""

import json

import msgspec
import pytest
from click.testing import CliRunner
from tests.unit.drift import build

from seatrial.cli import main
from seatrial.drift import policy, stored, watch
from seatrial.drift.season import Season

COLUMN = {
    "name": "income",
    "bins": ["missing", "below", *(str(place) for place in range(1, 11)), "above"],
    "reference": [0.0, 0.0, *([0.1] * 10), 0.0],
    "rows": 2000,
    "edges": list(range(0, 110_000, 10_000)),
}
EVEN = [0, 0, *([50] * 10), 0]
HIGHER = [0, 0, 20, 20, 20, 20, 50, 50, 80, 80, 80, 80, 0]
DAY_ALONE = {"season": "24h"}


def hours(*days, begin=0):
    """Two pods; each day's hours have the same counts."""
    return [
        {"at": begin + 24 * number + at, "ready": 2, "pods": [{"rows": {"income": rows}}] * 2}
        for number, rows in enumerate(days)
        for at in range(24)
    ]


def replay(recording, *options, file="-"):
    text = recording if isinstance(recording, str) else json.dumps(recording)
    return CliRunner().invoke(main.main, ["drift", file, *options], input=text)


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_each_hour_gives_a_line_and_a_moved_feature_alarms():
    result = replay({"columns": [COLUMN], "policy": DAY_ALONE, "hours": hours(EVEN, EVEN, EVEN, HIGHER)})
    assert result.exit_code == 0
    got = lines(result)
    assert [line["at"] for line in got] == list(range(96))
    assert (got[0]["outcome"], got[71]["outcome"]) == ("Clean", "Clean")
    assert (got[-1]["outcome"], got[-1]["reason"]) == ("Drifted", "FeatureDrift")
    assert got[-1]["columns"][0]["where"] == "above 40000"
    assert got[-1]["message"].startswith("drift: income: 83% of 24000 rows above 40000 (reference 60%, tolerated 70%)")


def test_only_changes_are_told_on_demand():
    result = replay({"columns": [COLUMN], "policy": DAY_ALONE, "hours": hours(EVEN, EVEN, EVEN, HIGHER)}, "--changes")
    outcomes = [line["outcome"] for line in lines(result)]
    assert outcomes[0] == "Clean"
    assert outcomes[-1] == "Drifted"
    assert len(outcomes) <= 3


def test_a_state_goes_on_where_it_ended(tmp_path):
    path = tmp_path / "state.json"
    column, own = build.numbers(), policy.Policy(season=Season.DAY)
    memory, _ = build.days(watch.EMPTY, column, [2 * part for part in EVEN], begin=0, count=3, policy=own)
    state = json.loads(msgspec.json.encode(stored.state(memory)))
    path.write_text(json.dumps({"columns": [COLUMN], "policy": DAY_ALONE, "state": state}))
    (line,) = lines(replay("", file=str(path)))
    assert (line["at"], line["outcome"]) == (71, "Clean")
    path.write_text(
        json.dumps({"columns": [COLUMN], "policy": DAY_ALONE, "state": state, "hours": hours(HIGHER, begin=72)})
    )
    assert lines(replay("", file=str(path)))[-1]["outcome"] == "Drifted"


@pytest.mark.parametrize(
    ("recording", "named"),
    [
        pytest.param("{", "not JSON", id="truncated"),
        pytest.param({"hours": []}, "missing required field `columns`", id="no columns"),
        pytest.param({"columns": [{**COLUMN, "rows": 0}]}, "$.columns[0].rows", id="no reference rows"),
        pytest.param({"columns": [{**COLUMN, "reference": [1.0]}]}, "columns[0].reference must have 13", id="shares"),
        pytest.param({"columns": [{**COLUMN, "reference": [0.5] * 13}]}, "reference must add up to 1", id="sum"),
        pytest.param({"columns": [{**COLUMN, "bins": ["a", "b", "c"]}]}, "columns[0].bins must begin", id="bins"),
        pytest.param({"columns": [COLUMN, COLUMN]}, "columns must have different names", id="twice"),
        pytest.param({"columns": [COLUMN], "policy": {"tolerance": "60%"}}, "policy.tolerance must be", id="tolerance"),
        pytest.param({"columns": [COLUMN], "policy": {"tolerance": 0.1}}, "$.policy.tolerance", id="no percentage"),
        pytest.param({"columns": [COLUMN], "policy": {"gross": "5%"}}, "policy.gross must be above", id="gross"),
        pytest.param(
            {"columns": [COLUMN], "hours": [{"at": 1, "pods": [{"rows": {"income": [1]}}]}]},
            "hours[0]: income must have 13 counts",
            id="counts",
        ),
        pytest.param(
            {"columns": [COLUMN], "hours": [{"at": 1, "pods": [{"rows": {"age": EVEN}}]}]}, "'age'", id="other column"
        ),
        pytest.param(
            {"columns": [COLUMN], "hours": hours(EVEN) + hours(EVEN)}, "hours[24]: hour 0 must be later", id="backwards"
        ),
        pytest.param(
            {"columns": [COLUMN], "hours": [{"at": 1, "pods": [{"rows": {"income": [-1] * 13}}]}]},
            "$.hours[0].pods[0].rows",
            id="negative",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line(recording, named):
    result = replay(recording)
    assert result.exit_code == 2
    assert result.stderr.startswith("seatrial drift: standard input: ")
    assert named in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_there_is_named():
    result = replay("", file="/nowhere/state.json")
    assert (result.exit_code, result.stderr) == (2, "seatrial drift: /nowhere/state.json: No such file or directory\n")


def answered(*days):
    """Two pods' totals as Prometheus tells them, with a step of an hour."""
    result = []
    for pod in "ab":
        for place, name in enumerate(COLUMN["bins"]):
            total, values = 0, [[0, "0"]]
            for number, rows in enumerate(row for day in days for row in [day] * 24):
                total += rows[place]
                values.append([3600 * (number + 1), str(total)])
            labels = {"__name__": "seatrial_feature_rows_total", "pod": pod, "feature": "income", "bin": name}
            result.append({"metric": {**labels, "revision": "r1"}, "values": values})
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def test_an_answer_of_prometheus_is_judged_as_the_hours_are():
    days = (EVEN, EVEN, EVEN, HIGHER)
    hour_by_hour = replay({"columns": [COLUMN], "policy": DAY_ALONE, "hours": hours(*days)})
    from_totals = replay({"columns": [COLUMN], "policy": DAY_ALONE, "prometheus": answered(*days)})
    assert from_totals.stdout == hour_by_hour.stdout


def test_attributions_of_a_report_count_where_pods_have_counted_them():
    told = json.loads(msgspec.json.encode(build.attributions(shares={"income": 0.6, "debt": 0.4})))
    recording = {"columns": [COLUMN, told], "policy": DAY_ALONE, "prometheus": answered(EVEN, HIGHER)}
    without = replay({**recording, "columns": [COLUMN]})
    assert replay(recording).stdout == without.stdout
    series = recording["prometheus"]["data"]["result"]
    labels = {"__name__": "seatrial_attribution_rows_total", "pod": "a", "feature": "debt", "revision": "r1"}
    series.append({"metric": labels, "values": [[3600 * hour, str(100 * hour)] for hour in range(49)]})
    judged = lines(replay(recording))[-1]
    assert judged["reason"] == "FeatureDrift"
    assert {column["kind"] for column in judged["columns"]} == {"Feature", "Attribution"}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        pytest.param({"hours": hours(EVEN)}, "give hours or prometheus, not both", id="both"),
        pytest.param(
            {"prometheus": {"status": "success", "data": {"resultType": "vector", "result": []}}},
            "prometheus must be the answer to a range query",
            id="no range",
        ),
    ],
)
def test_an_answer_that_is_no_record_is_refused(more, named):
    result = replay({"columns": [COLUMN], "prometheus": answered(EVEN), **more})
    assert (result.exit_code, named in result.stderr) == (2, True)


def picture(recording, *options):
    result = replay(recording, "--plot", *options)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_picture_has_the_evidence_over_days_and_the_column_beside_its_reference():
    drawn = picture({"columns": [COLUMN], "policy": DAY_ALONE, "hours": hours(EVEN, EVEN, EVEN, HIGHER)})
    assert "evidence of drift; it alarms at 1" in drawn
    assert "2.00┤" in drawn
    assert "income shape" in drawn
    assert "income: 24000 rows of the last 24 hours" in drawn
    bars = {line.split("  ")[0]: line for line in drawn.splitlines() if "%" in line}
    assert "10.0%" in bars["90000 to 100000"]
    assert "16.0%" in bars["60000 to 70000"]
    assert bars["60000 to 70000"].count("█") > bars["0 to 10000"].count("█")
    assert drawn.splitlines()[-1].startswith("Drifted: drift: income: 83%")
    assert max(map(len, drawn.splitlines()[:-1])) <= 100


def test_of_several_columns_the_one_that_moved_is_drawn():
    regions = {
        "name": "region",
        "bins": ["missing", "unseen", "other", "north"],
        "reference": [0, 0, 0.5, 0.5],
        "rows": 2000,
    }
    moved = [{"rows": {"income": EVEN, "region": [300, 0, 100, 100]}}] * 2
    recorded = [{"at": at, "ready": 2, "pods": moved} for at in range(48)]
    drawn = picture({"columns": [COLUMN, regions], "policy": DAY_ALONE, "hours": recorded})
    assert "region: 24000 rows" in drawn
    assert "income:" not in drawn
    assert "missing" in drawn


def test_refused_rows_are_drawn_as_what_they_are():
    pods = [{"rows": {"income": EVEN}, "refused": {"income": {"Missing": 400, "OutOfRange": 100}}}] * 2
    recorded = [{"at": at, "ready": 2, "pods": pods} for at in range(24)]
    drawn = picture({"columns": [COLUMN], "policy": DAY_ALONE, "hours": recorded})
    bars = {line.split("  ")[0]: line for line in drawn.splitlines() if "%" in line}
    assert "40.0%" in bars["missing"]
    assert "10.0%" in bars["refused"]


@pytest.mark.parametrize(
    "recording",
    [
        pytest.param({"columns": [COLUMN], "hours": []}, id="no hours"),
        pytest.param({"columns": [COLUMN], "hours": [{"at": 1, "pods": []}]}, id="nobody seen"),
        pytest.param(
            {"columns": [COLUMN], "policy": {"ignore": ["income"]}, "hours": hours(EVEN)}, id="nothing judged"
        ),
        pytest.param({"columns": [{**COLUMN, "edges": []}], "hours": hours(EVEN, EVEN)}, id="no edges"),
    ],
)
def test_there_is_a_picture_or_a_sentence_whatever_is_recorded(recording):
    assert picture(recording).splitlines()[-1].partition(":")[0] in ("Clean", "Unknown")


def test_attributions_are_drawn_by_feature():
    names = ["missing", "unseen", "other", "(none)", "income", "debt"]
    column = {"name": "most influential feature", "kind": "Attribution", "bins": names, "rows": 1000}
    column["reference"] = [0, 0, 0, 0.1, 0.6, 0.3]
    pods = [{"rows": {column["name"]: [0, 0, 0, 10, 10, 80]}}] * 2
    recorded = [{"at": at, "ready": 2, "pods": pods} for at in range(24)]
    drawn = picture({"columns": [column], "policy": DAY_ALONE, "hours": recorded})
    assert "decided by debt" in drawn
    assert "unseen" not in drawn
