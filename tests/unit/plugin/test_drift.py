"""What has moved in a version's traffic: from status, drawn from what the operator has really kept, or from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.cli import test_drift as files
from tests.unit.control.drift_scene import EVEN, HIGH, INCOME, Scene
from tests.unit.drift import build as drifts

from seatrial.plugin import drift, errors, main, view

DAY = 24
INFLUENCES = drifts.attributions(shares={"income": 0.7, "age": 0.3})


async def drifted(*, attributed: bool = False) -> Scene:
    """Three quiet days, and one on which incomes are higher."""
    there = Scene((INCOME, INFLUENCES))
    if attributed:
        there.wish_for_attributions()
    await there.serve(3 * DAY, {"income": EVEN, INFLUENCES.name: (0, 0, 0, 0, 70, 30)})
    await there.serve(2 * DAY, {"income": HIGH, INFLUENCES.name: (0, 0, 0, 0, 10, 90)})
    return there


def seen(there: Scene) -> view.View:
    return view.of(there.get("ModelDeployment"))


def drawn(there: Scene, capsys: pytest.CaptureFixture[str], **instead: dict[str, Any]) -> str:
    kept = {"config_map": there.get("ConfigMap", "churn-r1"), "state": there.state, **instead}
    drift.draw(seen(there), "r1", **kept)
    return capsys.readouterr().out


async def test_status_is_told_in_words_and_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    there = await drifted()
    drift.tell(seen(there), there.drift)
    told = capsys.readouterr().out
    assert "shop/churn  Drifted since" in told
    assert "FeatureDrift: drift: income" in told
    assert "above 50000" in told


async def test_what_the_operator_has_kept_is_drawn_over_days(capsys: pytest.CaptureFixture[str]) -> None:
    there = await drifted()
    picture = drawn(there, capsys)
    assert "evidence of drift" in picture
    assert "income shape" in picture
    assert "income: 48000 rows" in picture
    assert "most influential" not in picture, "nobody asked for it"
    assert "Drifted: drift: income" in picture


async def test_attributions_are_drawn_where_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert "most influential feature shape" in drawn(await drifted(attributed=True), capsys)


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        pytest.param({"state": {}}, "may not read it", id="no state yet"),
        pytest.param({"config_map": {}}, "may not read it", id="no report"),
        pytest.param({"state": {"binaryData": {"state.json.z": "AAAA"}}}, "nothing to draw", id="a spoilt state"),
        pytest.param({"state": {"binaryData": {"state.json.z": "no base64"}}}, "nothing to draw", id="no base64"),
        pytest.param({"config_map": {"data": {"report.json": "{}"}}}, "nothing to draw", id="another report"),
    ],
)
async def test_what_cannot_be_drawn_is_said(
    capsys: pytest.CaptureFixture[str], instead: dict[str, Any], words: str
) -> None:
    there = Scene()
    await there.serve(DAY)
    with pytest.raises(errors.WouldDoNothing, match=words):
        drawn(there, capsys, **instead)


def test_a_file_is_judged_without_a_cluster(tmp_path: Path) -> None:
    recording = {"columns": [files.COLUMN], "policy": files.DAY_ALONE, "hours": files.hours(EVEN, EVEN)}
    path = tmp_path / "counts.json"
    path.write_text(json.dumps(recording))
    for arguments, given in (([str(path)], ""), (["-"], path.read_text())):
        nobody = {"KUBECONFIG": str(tmp_path / "none")}
        result = CliRunner().invoke(main.group, ["drift", *arguments, "--changes"], env=nobody, input=given)
        assert result.exit_code == 0, result.output
        assert json.loads(result.output.splitlines()[0])["outcome"] == "Clean"
    asked = CliRunner().invoke(main.group, ["drift", "churn"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert (asked.exit_code, "no kubeconfig" in asked.output) == (3, True)
    gone = CliRunner().invoke(main.group, ["drift", "gone/counts.json"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert (gone.exit_code, "No such file" in gone.output) == (2, True)
