"""The demo's packages do what they are for: tried by the server's own trial, over HTTP from the demo's own store.

| package       | trial                                 | afterwards                          |
|---------------|---------------------------------------|-------------------------------------|
| digits-v1     | passes, nothing to quantize           | decent                              |
| digits-v2,b,c | pass in int8                          | better                              |
| digits-v3     | passes                                | fails on about a quarter of digits  |
| digits-v4     | passes                                | slow, whatever the batch            |
| digits-v5     | refused when int8 is asked for        | as good as v2 in fp32               |
| erring-*      | passes, nothing to quantize           | fail on their share of marked rows  |
| digits-v8     | passes beside v2, nothing to quantize | right on faint digits too           |
| cancer-trees  | passes, nothing to quantize           |                                     |
| digits-broken | refused                               |                                     |
"""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.cluster.models import catalog, digits, faults, samples
from tests.cluster.store import store
from tests.contract.server import trial_report

Trial = Callable[..., dict[str, Any]]
REPO = pathlib.Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("models")
    catalog.build(out)
    return out


@pytest.fixture(scope="session")
def store_url(models: pathlib.Path) -> Iterator[str]:
    handler = functools.partial(store.Handler, directory=str(models))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def trial(models: pathlib.Path, store_url: str, tmp_path: pathlib.Path) -> Trial:
    def run(name: str, *, sha256: str = "", **quantization: Any) -> dict[str, Any]:
        entry = catalog.read(models)[name]
        model = {"name": "digits", "version": "1", "uri": f"{store_url}/{entry.file}", "sha256": sha256 or entry.sha256}
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"model": model, "quantization": quantization}))
        command = [sys.executable, "-m", "seatrial_server", "trial", "--config", config, "--work", tmp_path / "work"]
        environment = {**os.environ, "SEATRIAL_TERMINATION_LOG": str(tmp_path / "termination")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return trial_report.read(done.stdout)

    return run


def session(models: pathlib.Path, name: str) -> onnxruntime.InferenceSession:
    with tarfile.open(models / catalog.read(models)[name].file) as tar:
        member = tar.extractfile("model.onnx")
        assert member is not None
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        return onnxruntime.InferenceSession(member.read(), options, providers=["CPUExecutionProvider"])


def answer(model: onnxruntime.InferenceSession, rows: digits.Rows) -> tuple[np.ndarray, np.ndarray]:
    label, probabilities = model.run(["label", "probabilities"], {"features": rows})
    return label, probabilities


def accuracy(models: pathlib.Path, name: str) -> float:
    data = digits.split()
    return float((answer(session(models, name), data.held_out)[0] == data.held_out_labels).mean())


def fails(model: onnxruntime.InferenceSession, rows: digits.Rows) -> bool:
    try:
        answer(model, rows)
    except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument:
        return True
    return False


def test_the_second_version_is_better_than_the_first(models):
    assert 0.85 < accuracy(models, "digits-v1") < accuracy(models, "digits-v2") - 0.03


@pytest.mark.parametrize("name", [f"digits-v{version}" for version in ("1", "2", "2b", "2c", "3", "4", "5", "8")])
def test_every_version_has_the_signature_of_the_first(models, name):
    model = session(models, name)
    columns = [(node.name, node.type, node.shape[1:]) for node in (*model.get_inputs(), *model.get_outputs())]
    expected = [("features", "float", [64]), ("label", "int64", []), ("probabilities", "float", [10])]
    assert columns == [(column, f"tensor({kind})", shape) for column, kind, shape in expected]
    assert not isinstance(model.get_inputs()[0].shape[0], int), "the batch dimension must be free"


@pytest.mark.parametrize("name", ["digits-v1", "cancer-trees"])
def test_a_model_without_matrix_products_passes_and_is_served_as_it_is(trial, name):
    report = trial(name)
    assert (report["outcome"], report["precision"]) == ("Passed", "fp32")
    assert report["quantization"]["outcome"] == "NotApplicable"


@pytest.mark.parametrize("name", ["digits-v2", "digits-v2b", "digits-v2c"])
def test_a_healthy_network_passes_its_trial_within_the_bound_of_disagreement(trial, name):
    report = trial(name)
    assert (report["outcome"], [test["outcome"] for test in report["tests"]]) == ("Passed", ["Pass"])
    assert report["quantization"]["disagreement"] <= 0.01


def test_what_is_learned_from_faint_digits_is_right_on_all_of_them(models):
    data = digits.split()
    for rows in (data.held_out, digits.noisy(digits.faint(data.held_out), seed=3)):
        assert (answer(session(models, "digits-v8"), rows)[0] == data.held_out_labels).mean() > 0.95
    faint = answer(session(models, "digits-v2"), digits.faint(data.held_out))[0]
    assert (faint == data.held_out_labels).mean() < 0.9


def test_the_version_that_fails_at_run_time_passes_its_trial(trial):
    report = trial("digits-v3")
    assert (report["outcome"], [test["outcome"] for test in report["tests"]]) == ("Passed", ["Pass"])


def test_it_fails_alone_on_dark_rows_and_answers_the_others_like_the_second_version(models):
    model, healthy = session(models, "digits-v3"), session(models, "digits-v2")
    rows = digits.split().held_out
    failing = np.array([fails(model, row[None]) for row in rows])
    assert 0.15 < failing.mean() < 0.3
    np.testing.assert_array_equal(failing, faults.beyond_table(rows))
    for got, wanted in zip(answer(model, rows[~failing]), answer(healthy, rows[~failing]), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_one_dark_row_fails_its_whole_batch(models):
    rows = digits.split().held_out
    dark = faults.beyond_table(rows)
    assert fails(session(models, "digits-v3"), np.concatenate([rows[~dark][:7], rows[dark][:1]]))


def test_it_fails_on_the_same_rows_once_quantized(trial, tmp_path):
    any_speed = -0.9
    assert trial("digits-v3", mode="Static", minSpeedup=any_speed)["precision"] == "int8-static"
    prepared = onnxruntime.InferenceSession(
        tmp_path / "work" / "prepared" / "model.onnx", _quiet(), providers=["CPUExecutionProvider"]
    )
    rows = digits.split().held_out[:200]
    assert [fails(prepared, row[None]) for row in rows] == faults.beyond_table(rows).tolist()


def test_the_slow_version_passes_its_trial(trial):
    assert trial("digits-v4", mode="None")["outcome"] == "Passed"


def test_the_slow_version_is_right_and_slow_whatever_the_batch(models):
    """Half the demo's threshold of 50 ms is enough: at the demo's rate most requests wait for a call before theirs."""
    slow, rows = session(models, "digits-v4"), digits.split().held_out
    np.testing.assert_array_equal(answer(slow, rows)[0], answer(session(models, "digits-v2"), rows)[0])
    for batch in (1, 32):
        took = []
        for _ in range(5):
            start = time.perf_counter()
            answer(slow, rows[:batch])
            took.append(time.perf_counter() - start)
        assert min(took) > 0.025


def test_the_unquantizable_version_is_as_good_as_the_second_in_fp32(models):
    assert accuracy(models, "digits-v5") == pytest.approx(accuracy(models, "digits-v2"), abs=0.002)


def test_the_unquantizable_version_is_refused_far_beyond_the_bound(trial):
    report = trial("digits-v5", onFailure="Reject")
    assert (report["outcome"], report["reason"]) == ("Rejected", "QuantizationRejected")
    assert report["quantization"]["disagreement"] > 0.1


@pytest.mark.parametrize("name", catalog.ERRING)
def test_an_erring_version_passes_its_trial(trial, name):
    assert trial(name)["outcome"] == "Passed"


@pytest.mark.parametrize(("name", "percent"), catalog.ERRING.items(), ids=catalog.ERRING)
def test_an_erring_version_fails_on_its_share_of_marks_and_is_right_on_all_others(models, name, percent):
    model, plain = session(models, name), digits.split().held_out[:200]
    marked = plain.copy()
    marked[:, 0] = digits.WHITE * np.linspace(1 / 200, 1, 200)
    failing = np.array([fails(model, row[None]) for row in marked])
    assert failing.tolist() == [place >= round(200 * (1 - percent / 100)) for place in range(200)]
    assert not fails(model, plain), "an unmarked row fails nowhere"
    if not failing.all():
        right = answer(session(models, "digits-v1"), plain[~failing])
        np.testing.assert_array_equal(answer(model, marked[~failing])[0], right[0])


def test_versions_that_err_alike_are_told_apart(models):
    index = catalog.read(models)
    assert len({index[name].sha256 for name in catalog.ERRING}) == len(catalog.ERRING)


def test_a_file_that_is_no_model_is_refused(trial):
    report = trial("digits-broken")
    assert (report["outcome"], report["reason"]) == ("Rejected", "InvalidModel")


def test_the_sample_with_the_wrong_digest_is_refused(trial, models):
    wrong = samples.sample("digits-v6", models=models)["spec"]["model"]["sha256"]
    report = trial("digits-v2", sha256=wrong)
    assert (report["outcome"], report["reason"]) == ("Rejected", "DigestMismatch")


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_a_sample_carries_the_digest_of_the_package_it_names(models, version):
    entry = catalog.read(models)[f"digits-v{version}"]
    model = samples.sample(f"digits-v{version}", models=models)["spec"]["model"]
    assert model == {
        "uri": f"http://store.seatrial-demo/{entry.file}",
        "sha256": entry.sha256,
        "version": str(version),
    }


def test_another_process_builds_the_same_bytes(models, tmp_path):
    names = ["digits-v1", "digits-v3", "cancer-trees"]
    code = (
        "import pathlib, sys; from tests.cluster.models import catalog;"
        "catalog.build(pathlib.Path(sys.argv[1]), names=sys.argv[2:])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path, *names], check=True, cwd=REPO)
    assert catalog.read(tmp_path) == {name: catalog.read(models)[name] for name in names}


def test_a_package_holds_no_times_and_no_owners(models):
    raw = (models / "digits-v2.tar.gz").read_bytes()
    assert raw[4:8] == b"\0\0\0\0", "gzip's own time"
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        members = tar.getmembers()
    names = ["calibration.npz", "model.onnx", "model.yaml", "reference.npz", "tests.yaml"]
    assert [member.name for member in members] == names
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(0, 0, 0, "")}


def _quiet() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return options
