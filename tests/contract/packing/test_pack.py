"""Fitted models to packages that pass the trial which the operator runs."""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
import skl2onnx
import yaml
from click.testing import CliRunner
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.contract.packing import samples
from tests.unit.packing import test_tensors

import seatrial
from seatrial import packing
from seatrial.cli import main
from seatrial.packing import archives, trying
from seatrial.rollout import report

FRAME = samples.customers()
HOLES = samples.customers(holes=True)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main.main, ["pack", *arguments])


def test_the_command_of_the_help_makes_a_package_that_passes_its_trial(tmp_path: Path) -> None:
    HOLES.to_parquet("train.parquet")
    joblib.dump(samples.pipeline(HOLES), "model.joblib")
    done = run("model.joblib", "--data", "train.parquet", "--target", "churned", "-o", "churn-7.tar.gz", "--try")
    assert done.exit_code == 0, done.output
    package = tmp_path / "churn-7.tar.gz"
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    assert f"{package.stat().st_size} bytes, sha256 {digest}" in done.output
    assert "conversion: 0 of 900 rows differ" in done.output
    assert "trial: 5 tests passed, served as" in done.output
    pasted = yaml.safe_load(done.output[done.output.index("spec:") :])["spec"]["model"]
    assert pasted == {"uri": "<where you put churn-7.tar.gz>", "sha256": digest, "version": "7"}


def test_the_description_says_what_the_data_and_the_model_show(tmp_path: Path) -> None:
    package = seatrial.pack(samples.pipeline(HOLES), data=HOLES, target="churned", out="churn-7.tar.gz").path
    card = samples.card(package)
    assert card["task"] == "classification"
    assert card["labels"] == ["no", "yes"]
    assert card["outputs"] == {"label": "label", "probabilities": "probabilities"}
    features = {feature["name"]: feature for feature in card["features"]}
    assert list(features) == ["age", "income", "visits", "city"]
    assert features["age"] == {"name": "age", "input": "age", "range": [0.0, 160.0]}
    assert features["income"]["missing"] == "allow"
    assert features["city"] == {"name": "city", "input": "city"}, "the encoder takes what it has never seen"
    assert card["provenance"]["model"]["class"] == "sklearn.pipeline.Pipeline"
    assert card["provenance"]["model"]["parameters"]["logisticregression__C"] == 1.0
    assert (
        card["provenance"]["environment"]["sha256"]
        == hashlib.sha256(samples.member(package, "environment.txt")).hexdigest()
    )
    with np.load(io.BytesIO(samples.member(package, "holdout.npz"))) as holdout:
        assert set(holdout.files) == {"age", "income", "visits", "city", "label"}
        share = float((holdout["label"] == "yes").mean())
    assert share == pytest.approx((HOLES["churned"] == "yes").mean(), abs=0.01), "stratified"


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    model = samples.pipeline(FRAME)
    first = seatrial.pack(model, data=FRAME, target="churned", out="a-1.tar.gz")
    again = seatrial.pack(model, data=FRAME.copy(), target="churned", out="b-1.tar.gz")
    other = seatrial.pack(model, data=FRAME, target="churned", out="c-1.tar.gz", seed=1)
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256


@pytest.mark.parametrize(
    ("model", "target"),
    [
        pytest.param(lambda: samples.trees(FRAME), "churned", id="trees"),
        pytest.param(
            lambda: HistGradientBoostingClassifier(max_iter=10).fit(HOLES[samples.NUMBERS], HOLES["churned"] == "yes"),
            None,
            id="boosting of holes",
        ),
        pytest.param(
            lambda: make_pipeline(StandardScaler(), MLPClassifier((32,), max_iter=50, random_state=0)).fit(
                FRAME[samples.NUMBERS], FRAME["churned"]
            ),
            "churned",
            id="network",
            marks=pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
        ),
        pytest.param(
            lambda: Ridge().fit(FRAME[["age", "visits"]].to_numpy(), FRAME["income"]),
            "income",
            id="fitted without names",
        ),
    ],
)
def test_a_package_passes_its_trial(tmp_path: Path, model: Any, target: str | None) -> None:
    data = HOLES if target is None else FRAME
    features = ["age", "visits"] if target == "income" else None
    packed = seatrial.pack(model(), data=data, target=target, out="m-1.tar.gz", features=features, try_it=True)
    assert packed.trial is not None
    assert packed.trial.sha256 == packed.sha256
    assert packed.difference is not None
    assert packed.difference.share <= 0.001
    assert [feature.get("input") for feature in samples.card(packed.path)["features"]].count(None) >= 2, "one tensor"


def test_the_error_of_a_regression_is_told_in_the_units_of_its_target(tmp_path: Path) -> None:
    """By the command, the trial's report and the card; and a test that asks for no more passes."""
    columns = ["age", "visits"]
    model = RandomForestRegressor(5, random_state=0).fit(FRAME[columns], FRAME["income"])
    packed = seatrial.pack(model, data=FRAME, target="income", out="m-1.tar.gz", features=columns)
    with np.load(io.BytesIO(samples.member(packed.path, "holdout.npz"))) as rows:
        off = model.predict(pandas.DataFrame(rows["features"], columns=columns)) - rows["label"]
    mean, square = float(np.abs(off).mean()), float(np.sqrt((off**2).mean()))
    figures = f"{mean:.4g} on average (mae), {square:.4g} root mean square (rmse), in the units of income"
    assert f"error: {figures}, on the holdout rows" in packed.findings
    files = samples.members(packed.path)
    tests = files["tests.yaml"].decode()
    asked = tests.index("# performance:")
    files["tests.yaml"] = (tests[:asked] + re.sub(r"(?m)^# ", "", tests[asked:])).encode()
    packed.path.write_bytes(archives.archive(files))
    tried = trying.Tried(packed.path, tmp_path, name="m", version="1")
    printed = tried.trial()
    found = report.read(printed, tried.told["sha256"])
    assert found.outcome is report.Outcome.PASSED, found.message
    measured = {one["metric"]: one["value"] for one in json.loads(bytes(found.evaluation)) if one["name"] == "holdout"}
    assert measured == {"mae": pytest.approx(mean, rel=1e-4), "rmse": pytest.approx(square, rel=1e-4)}
    document = tried.card(printed, "markdown")
    assert f"| holdout | all | mae | {mean:.4g} |" in document
    assert "pipeline_tag: tabular-regression" in document


@pytest.mark.parametrize(
    "name", ["label", "prediction", "features", "file", "mean radius (mm)", "column_sizes", "expected:label"]
)
def test_a_column_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Also those that outputs, inputs and readers have."""
    frame = FRAME.rename(columns={"age": name})
    numbers = [name, "income", "visits"]
    columns = make_column_transformer((StandardScaler(), numbers))
    model = make_pipeline(columns, LogisticRegression()).fit(frame[numbers], frame["churned"])
    packed = seatrial.pack(model, data=frame, target="churned", out="m-1.tar.gz", try_it=name == "label")
    assert packed.difference is not None
    assert packed.difference.differing == 0


def test_a_column_that_the_model_drops_is_still_asked_for(tmp_path: Path) -> None:
    columns = make_column_transformer((StandardScaler(), samples.NUMBERS))
    model = make_pipeline(columns, LogisticRegression()).fit(FRAME.drop(columns="churned"), FRAME["churned"])
    packed = seatrial.pack(model, data=FRAME, target="churned", out="m-1.tar.gz", try_it=True)
    assert [feature["name"] for feature in samples.card(packed.path)["features"]] == [*samples.NUMBERS, "city"]


def test_a_graph_is_packed_as_it_is(tmp_path: Path) -> None:
    numbers = FRAME[samples.NUMBERS].to_numpy(np.float32)
    graph = skl2onnx.to_onnx(LogisticRegression(max_iter=5000).fit(numbers, FRAME["churned"]), numbers[:1])
    Path("model.onnx").write_bytes(graph.SerializeToString())
    FRAME.to_csv("train.csv", index=False)
    done = run(
        "model.onnx", "--data", "train.csv", "--target", "churned", "--features", "age,income,visits",
        "-o", "churn-8.tar.gz", "--try",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "conversion: none, the graph was given" in done.output
    assert samples.member(tmp_path / "churn-8.tar.gz", "model.onnx") == graph.SerializeToString()


def test_a_graph_of_images_is_packed_with_its_answers_and_passes_its_trial(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((90, 2, 2)).astype(np.float32)
    (tmp_path / "means.onnx").write_bytes(test_tensors.means(["N", 2, 2]))
    np.savez("rows.npz", image=images)
    done = run("means.onnx", "--data", "rows.npz", "-o", "means-3.tar.gz", "--try")
    assert done.exit_code == 0, done.output
    assert "90 reference, with the answers of mean" in done.output
    assert "trial: 3 tests passed, served as" in done.output


def test_values_that_the_model_fails_on_are_no_categories_of_it(tmp_path: Path) -> None:
    """OneHotEncoder(handle_unknown='error') in the library is silent zeros in the graph: the server has to refuse."""
    model = samples.pipeline(FRAME)
    model[0].named_transformers_["onehotencoder"].set_params(handle_unknown="error")
    packed = seatrial.pack(model, data=FRAME, target="churned", out="m-1.tar.gz")
    city = samples.card(packed.path)["features"][-1]
    assert city == {"name": "city", "input": "city", "categories": ["Kyiv", "Lviv", "Odesa"]}
    tests = samples.member(packed.path, "tests.yaml").decode()
    assert "# - name: city makes no difference" in tests


def test_the_examples_on_holdout_rows_run_as_they_are(tmp_path: Path) -> None:
    model = samples.pipeline(FRAME)
    model[0].named_transformers_["onehotencoder"].set_params(handle_unknown="error")
    packed = seatrial.pack(model, data=FRAME, target="churned", out="m-1.tar.gz")
    text = samples.member(packed.path, "tests.yaml").decode()
    blocks = re.findall(r"(?m)^(?:# performance|# fairness|data):\n(?:(?:# )?[- ].*\n)+", text)
    examples = yaml.safe_load("".join(re.sub("(?m)^# ", "", block) for block in blocks))
    assert {key: len(tests) for key, tests in examples.items()} == {"data": 2, "performance": 3, "fairness": 1}
    files = samples.members(packed.path) | {"tests.yaml": yaml.safe_dump(examples).encode()}
    path = tmp_path / "examples-1.tar.gz"
    path.write_bytes(archives.archive(files))
    report = trying.run(path, name="m", version="1")
    assert report.message == "5 tests passed, 1 skipped (there is no stable version yet), served as fp32"


def test_answers_that_32_bits_change_stop_the_packing(tmp_path: Path) -> None:
    """Times in seconds since 1970 are told apart by 64 bits only, and the exporter keeps 32."""
    random = np.random.default_rng(0)
    data = pandas.DataFrame({"at": 1.7e9 + random.uniform(0, 100, 500)})
    data["late"] = (data["at"] > 1.7e9 + 50).astype(int)
    model = HistGradientBoostingClassifier(max_iter=5).fit(data[["at"]], data["late"])
    with pytest.raises(packing.PackError, match=r"\d+ of 500 rows differ.*in the library itself once the data has 32"):
        seatrial.pack(model, data=data, target="late", out="m-1.tar.gz")
    assert not Path("m-1.tar.gz").exists()


def test_holdout_rows_of_their_own_are_taken_from_there(tmp_path: Path) -> None:
    other = samples.customers(300, seed=5)
    packed = seatrial.pack(samples.trees(FRAME), data=FRAME, target="churned", holdout=other, out="m-1.tar.gz")
    assert "rows: 900 reference, 900 calibration, 300 holdout" in packed.findings
    assert not any("if the model was fitted on them" in line for line in packed.findings)
    card = samples.card(packed.path)
    assert card["provenance"]["holdout"]["rows"] == 300
