"""Trial, fetch, prepare and serve as the operator runs them: one process each, files and exit codes between them."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from tests.contract.server import process, raw, trial_report
from tests.contract.server.process import tensor
from tests.unit.server import graphs, test_probe

from seatrial_server.host import errors, sandbox

ROWS = np.random.default_rng(1).standard_normal((800, 64)).astype(np.float32)
ANY_SPEED = {"mode": "Auto", "minSpeedup": -0.99, "maxDisagreement": 0.2}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Bench:
    """A model store and a work folder; `configuration` is rewritten for each command."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.work = folder / "work"
        self.config = folder / "config.json"
        self.termination = folder / "termination"
        self.document: dict[str, Any] = {}

    def publish(self, content: bytes) -> None:
        (self.folder / "artifact").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        self.document = {
            "deployment": "churn",
            "namespace": "shop",
            "revision": "abc",
            "model": {"name": "churn", "version": "7", "uri": f"{self.url}/artifact", "sha256": digest},
            "quantization": ANY_SPEED,
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        self.config.write_text(json.dumps(self.document))
        return subprocess.run(
            [sys.executable, "-m", "seatrial_server", *command, "--config", self.config, "--work", self.work],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            env={**os.environ, "SEATRIAL_TERMINATION_LOG": str(self.termination), "TMPDIR": str(self.folder)},
        )

    def trial(self, *options: str) -> dict[str, Any]:
        finished = self.run("trial", *options)
        assert finished.returncode == 0, finished.stderr
        *logged, line = finished.stdout.splitlines()
        assert self.told() == {"sha256": hashlib.sha256(line.encode()).hexdigest()}
        assert all(json.loads(entry) for entry in logged)
        return trial_report.read(finished.stdout)

    def told(self) -> dict[str, str]:
        message: dict[str, str] = json.loads(self.termination.read_text())
        return message


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Bench(tmp_path, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def package(model: bytes, **files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {
            "model.onnx": model,
            **{key.replace("__", "."): value for key, value in files.items()},
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def calibrated(model: bytes | None = None, **files: bytes) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=ROWS)
    return package(model or graphs.perceptron(), calibration__npz=buffer.getvalue(), **files)


def labels(model: bytes, rows: np.ndarray[Any, Any]) -> list[int]:
    scores = onnxruntime.InferenceSession(model).run(None, {"x": rows})[0]
    return [int(label) for label in scores.argmax(axis=1)]


def test_a_quantized_model_is_derived_again_by_a_pod_and_served(bench: Bench) -> None:
    bench.publish(calibrated())
    report = bench.trial()
    assert (report["outcome"], report["precision"]) == ("Passed", "int8-static"), report
    assert report["quantization"]["outcome"] == "Applied"
    assert report["quantization"]["rows"] == 400  # the other half gave the ranges
    assert report["servedSha256"] != report["sha256"] == bench.document["model"]["sha256"]
    bench.document["expected"] = {key: report[key] for key in ("servedSha256", "precision", "calibration")}
    for step in ("fetch", "prepare"):
        finished = bench.run(step)
        assert finished.returncode == 0, finished.stderr
    served = (bench.work / "prepared" / "model.onnx").read_bytes()
    assert hashlib.sha256(served).hexdigest() == report["servedSha256"]
    assert b"QuantizeLinear" in served
    with process.serving("--config", bench.config, "--work", bench.work) as server:
        status, document = server.infer(tensor(ROWS[:2].tolist()), model="churn")
        assert (status, document["model_version"], document["outputs"][0]["shape"]) == (200, "7", [2, 10])
        labelled = {"deployment": "churn", "deployment_namespace": "shop", "revision": "abc"}
        assert server.metric("seatrial_requests_total", outcome="ok", **labelled) == 1
        assert server.metric("seatrial_model_info", precision="int8-static", **labelled) == 1


def test_a_dynamic_model_is_made_on_demand_and_never_batched(bench: Bench) -> None:
    """Its rows share a scale: together with an outlier, a neighbour would get another answer than alone."""
    model = graphs.perceptron()
    right = labels(model, ROWS[:400])
    test = {"name": "rows", "rows": {"x": ROWS[:400].tolist()}, "expect": {"labels": right, "minAccuracy": 0.5}}
    bench.publish(package(model, tests__yaml=json.dumps({"functional": [test]}).encode()))
    bench.document["quantization"] = {**ANY_SPEED, "mode": "Dynamic"}
    report = bench.trial()
    assert (report["outcome"], report["precision"]) == ("Passed", "int8-dynamic"), report
    assert report["quantization"]["rows"] == 400
    bench.document["expected"] = {key: report[key] for key in ("servedSha256", "precision", "calibration")}
    for step in ("fetch", "prepare"):
        finished = bench.run(step)
        assert finished.returncode == 0, finished.stderr
    assert b"DynamicQuantizeLinear" in (bench.work / "prepared" / "model.onnx").read_bytes()
    outlier = ROWS[1] * 10_000
    with process.serving("--config", bench.config, "--work", bench.work) as server:
        assert server.metric("seatrial_plan_info", batching="off") == 1
        alone = server.infer(tensor([ROWS[0].tolist()]), model="churn")[1]["outputs"]
        requests = [json.dumps({"inputs": [tensor([row.tolist()])]}).encode() for row in (ROWS[0], outlier) * 8]
        with process.Wire(server.port) as wire:
            wire.send(b"".join(raw.post(body, path=b"/v2/models/churn/infer") for body in requests))
            answers = [json.loads(body)["outputs"] for _, _, body in wire.responses(16)]
        assert answers[::2] == [alone] * 8


def test_a_pod_that_derives_other_bytes_fails_and_says_so(bench: Bench) -> None:
    bench.publish(calibrated())
    report = bench.trial()
    bench.document["expected"] = {
        **{key: report[key] for key in ("precision", "calibration")},
        "servedSha256": "0" * 64,
    }
    assert bench.run("fetch").returncode == 0
    assert bench.run("prepare").returncode == 1
    assert "the trial recorded 0000" in bench.told()["error"]


def test_a_graph_with_nothing_to_quantize_is_served_as_it_is(bench: Bench) -> None:
    bench.publish(graphs.lookup())
    report = bench.trial()
    assert (report["outcome"], report["precision"]) == ("Passed", "fp32")
    assert report["quantization"]["outcome"] == "NotApplicable"
    assert report["servedSha256"] == report["sha256"]


@pytest.mark.parametrize(
    ("on_failure", "outcome", "quantization", "reason"),
    [("ServeOriginal", "Passed", "ServedOriginal", ""), ("Reject", "Rejected", "Rejected", "QuantizationRejected")],
)
def test_what_happens_to_a_quantized_model_below_the_bar_is_the_users_choice(
    bench: Bench, on_failure: str, outcome: str, quantization: str, reason: str
) -> None:
    bench.publish(calibrated())
    bench.document["quantization"] = {
        "mode": "Static",
        "minSpeedup": 1000.0,
        "maxDisagreement": 0.2,
        "onFailure": on_failure,
    }
    report = bench.trial()
    assert (report["outcome"], report["reason"], report["quantization"]["outcome"]) == (outcome, reason, quantization)
    assert "minSpeedup" in report["quantization"]["reason"]


def test_declared_tests_decide(bench: Bench) -> None:
    model, rows = graphs.perceptron(), ROWS[:4]
    right = labels(model, rows)
    test = {"name": "known rows", "rows": {"x": rows.tolist()}, "expect": {"labels": right}}
    bench.publish(package(model, tests__yaml=json.dumps({"functional": [test]}).encode()))
    report = bench.trial()
    assert report["tests"] == [
        {"name": "known rows", "outcome": "Pass", "observed": 1.0, "bound": 1.0, "rows": 4, "message": ""}
    ]
    test["expect"] = {"labels": [*right[:3], right[3] + 1], "minAccuracy": 0.9}
    bench.publish(package(model, tests__yaml=json.dumps({"functional": [test]}).encode()))
    report = bench.trial()
    assert (report["outcome"], report["reason"]) == ("Rejected", "TestFailed")
    assert report["tests"][0]["observed"] == 0.75
    assert "wrong label in rows 3" in report["message"]


def evil() -> bytes:
    model = onnx.load_from_string(graphs.linear())
    model.graph.node.append(helper.make_node("Evil", ["y"], ["z"], domain="evil.example"))
    return model.SerializeToString()


def broken() -> bytes:
    return graphs.model(
        [helper.make_node("MatMul", ["x", "x"], ["y"])],
        inputs={"x": (TensorProto.FLOAT, ["N", 3])},
        outputs={"y": (TensorProto.STRING, ["N"])},
    ).SerializeToString()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>", "not an ONNX file"),
        (evil(), "custom domain"),
        (broken(), "cannot load the model"),
        (calibrated(graphs.linear()), "has shape"),
        (package(graphs.linear(), model__yaml=b"task: classification\nfeatures: {"), "model.yaml is not YAML"),
        (package(graphs.linear(), model__yaml=b"colour: blue"), "unknown field `colour`"),
        (package(graphs.linear(), tests__yaml=b"functional: 3"), "tests.yaml"),
        (package(graphs.linear(), **{"../escape": b""}), "only plain relative paths"),
    ],
    ids=["html", "custom operator", "type error", "calibration", "bad yaml", "unknown field", "tests", "traversal"],
)
def test_an_invalid_model_is_rejected_with_its_reason(bench: Bench, content: bytes, words: str) -> None:
    bench.publish(content)
    report = bench.trial()
    assert (report["outcome"], report["reason"]) == ("Rejected", "InvalidModel")
    assert words in report["message"]


def test_other_bytes_than_promised_are_rejected(bench: Bench) -> None:
    bench.publish(graphs.linear())
    bench.document["model"]["sha256"] = "0" * 64
    assert bench.trial()["reason"] == "DigestMismatch"
    bench.document["model"]["uri"] += "-missing"
    assert bench.trial()["reason"] == "FetchRefused"


def test_a_broken_trial_is_no_verdict(bench: Bench) -> None:
    bench.publish(graphs.linear())
    bench.document["model"]["name"] = 5
    finished = bench.run("trial")
    assert finished.returncode == 1
    assert "$.model.name" in bench.told()["error"]


def test_a_bare_model_that_fails_on_every_input_is_rejected(bench: Bench) -> None:
    bench.publish(test_probe.reshaped(7))
    report = bench.trial()
    assert (report["outcome"], report["reason"]) == ("Rejected", "InvalidModel")
    assert "answers none of 3 made-up rows" in report["message"]


@pytest.mark.parametrize(
    ("function", "seconds", "words"),
    [
        ("os:abort", 60, "SIGABRT"),
        ("signal:pause", 2, "longer than 2 s"),
    ],
    ids=["crash", "time"],
)
def test_whatever_a_model_does_to_the_examining_process_is_a_verdict(function: str, seconds: float, words: str) -> None:
    with pytest.raises(errors.Rejected, match=words):
        sandbox.call(function, {}, limits=sandbox.Limits(seconds=seconds))


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("numpy:zeros", {"shape": 10**12}),
        ("reading:now", {}),
        ("killed:now", {}),
    ],
    ids=["numpy", "protobuf", "the kernel"],
)
def test_memory_that_runs_out_is_no_verdict_and_says_what_to_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, arguments: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large.onnx").write_bytes(graphs.linear(20_000_000))
    (tmp_path / "reading.py").write_text(
        "import pathlib\nfrom seatrial_server.prepare import verify\n"
        "def now():\n    verify.read(pathlib.Path('large.onnx'))\n"
    )
    (tmp_path / "killed.py").write_text("import os\ndef now():\n    os.kill(os.getpid(), 9)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(errors.Unavailable, match=r"raise serving\.resources\.limits\.memory above 250Mi") as caught:
        sandbox.call(function, arguments, limits=sandbox.Limits(data=250 * 1024**2))
    assert not caught.value.retryable


def test_our_own_defect_in_examining_is_no_verdict_and_says_where() -> None:
    with pytest.raises(errors.Unavailable, match="examining the model failed: ZeroDivisionError") as caught:
        sandbox.call("fractions:Fraction", {"denominator": 0})
    assert not caught.value.retryable


def test_a_failed_step_says_whether_another_try_may_help(bench: Bench) -> None:
    bench.publish(graphs.linear())
    bench.document["model"]["uri"] = "pvc://nothing-is-mounted/model.onnx"
    assert bench.run("fetch").returncode == 1
    assert bench.told()["retryable"] is True
    bench.publish(graphs.linear())
    bench.document["model"]["sha256"] = "0" * 64
    assert bench.run("fetch").returncode == 1
    assert bench.told()["retryable"] is False


def test_the_examining_process_does_not_inherit_the_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "looking.py").write_text("import os\ndef now():\n    return str(dict(os.environ))\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-to-be-seen")
    monkeypatch.setenv("ANY_KEY_OF_A_SECRET", "not-to-be-seen")
    seen = sandbox.call("looking:now", {})
    assert "'PATH'" in str(seen)
    assert "not-to-be-seen" not in str(seen)


def test_a_trial_in_two_containers_reports_as_one_would(bench: Bench) -> None:
    """The first holds the credentials and opens nothing, the second has neither them nor a way to the store."""
    bench.publish(graphs.linear())
    whole = bench.trial()
    assert bench.run("fetch", "--for-trial").returncode == 0
    (bench.folder / "artifact").unlink()
    halved = bench.trial("--fetched")
    assert (whole["outcome"], halved["outcome"]) == ("Passed", "Passed")
    assert halved["servedSha256"] == whole["servedSha256"]


def test_bytes_that_are_refused_are_reported_by_the_second_container(bench: Bench) -> None:
    bench.publish(graphs.linear())
    bench.document["model"]["sha256"] = "0" * 64
    assert bench.run("fetch", "--for-trial").returncode == 0
    report = bench.trial("--fetched")
    assert (report["outcome"], report["reason"]) == ("Rejected", "DigestMismatch")


def test_a_trial_without_anything_fetched_says_so(bench: Bench) -> None:
    bench.publish(graphs.linear())
    assert bench.run("trial", "--fetched").returncode == 1
    assert "nothing was fetched" in bench.told()["error"]
