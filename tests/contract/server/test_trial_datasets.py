"""What a trial fetches beside the model: datasets and the stable version, by their own ways, as its pod runs it."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from tests.contract.server import test_trial
from tests.contract.server.test_trial import Bench
from tests.unit.server import graphs, test_declared_quality

bench = test_trial.bench
RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(0, 1, (3000, 2)).astype(np.float32)
RIGHT = (ROWS[:, 0] > 0).astype(np.int64)
TESTS = b"""
performance:
  - {name: accurate, dataset: pinned, metric: accuracy, min: 0.9}
  - {name: not worse, dataset: pinned, metric: accuracy, against: Stable, maxDrop: 0.01}
"""


def rows(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def put(bench: Bench, name: str, content: bytes, *, way: int) -> dict[str, Any]:
    """A file of the store, and how the configuration speaks of it."""
    (bench.folder / name).write_bytes(content)
    return {"uri": f"{bench.url}/{name}", "sha256": hashlib.sha256(content).hexdigest(), "way": way}


def candidate(bench: Bench, *, tilt: float = 0.0, tests: bytes = TESTS, **files: bytes) -> None:
    model = test_declared_quality.classifier(tilt=tilt)
    bench.publish(test_trial.package(model, tests__yaml=tests, **files))


def beside(bench: Bench, *, stable: bytes | None = None, pinned: bytes | None = None) -> None:
    """Stable by way 1, the dataset by way 2."""
    trial: dict[str, Any] = {}
    if stable is not None:
        trial["stable"] = {"version": "6", **put(bench, "stable", stable, way=1)}
    if pinned is not None:
        trial["datasets"] = [{"name": "pinned", **put(bench, "pinned", pinned, way=2)}]
    bench.document["trial"] = trial


PINNED = rows(x=ROWS, label=RIGHT)


def in_containers(bench: Bench) -> dict[str, Any]:
    for way in ("0", "1", "2"):
        finished = bench.run("fetch", "--for-trial", "--way", way)
        assert finished.returncode == 0, finished.stderr
    return bench.trial("--fetched")


def test_a_better_version_passes_against_stable_in_one_container_or_in_several(bench: Bench) -> None:
    candidate(bench)
    beside(bench, stable=test_declared_quality.classifier(tilt=3.0), pinned=PINNED)
    report = in_containers(bench)
    assert (report["outcome"], report["message"]) == ("Passed", "2 tests passed, served as fp32"), report
    against = report["tests"][1]
    assert (against["against"], against["rows"]) == ("Stable", 3000)
    assert against["observed"] > 0.1
    measured = {one["name"]: one for one in report["evaluation"]}
    assert measured["not worse"]["baseline"] < measured["not worse"]["value"] == 1.0
    assert bench.trial()["tests"] == report["tests"]


def test_a_worse_version_is_refused_with_both_figures(bench: Bench) -> None:
    candidate(bench, tilt=0.3)
    beside(bench, stable=test_declared_quality.classifier(), pinned=PINNED)
    report = bench.trial()
    assert (report["outcome"], report["reason"]) == ("Rejected", "TestFailed")
    assert "of the stable version 6 1, on the same 3000 rows" in report["message"]


def test_the_first_version_is_not_compared(bench: Bench) -> None:
    candidate(bench)
    beside(bench, pinned=PINNED)
    report = bench.trial()
    assert report["outcome"] == "Passed"
    assert report["message"] == "1 tests passed, 1 skipped (there is no stable version yet), served as fp32"


def test_a_stable_version_that_is_gone_from_its_store_is_no_verdict_on_the_tests(bench: Bench) -> None:
    candidate(bench)
    beside(bench, stable=b"", pinned=PINNED)
    (bench.folder / "stable").unlink()
    report = in_containers(bench)
    assert (report["outcome"], report["reason"]) == ("Rejected", "BaselineUnavailable")
    assert "the stable version '6' can't be compared with" in report["message"]
    assert "404" in report["message"]


def test_what_no_test_asks_for_is_not_fetched(bench: Bench) -> None:
    candidate(bench, tests=b"robustness: {cases: 5}")
    beside(bench, stable=b"", pinned=b"")
    for name in ("stable", "pinned"):
        (bench.folder / name).unlink()
    assert in_containers(bench)["outcome"] == "Passed"
    assert not (bench.work / "datasets").exists()
    assert not (bench.work / "stable").exists()


def test_a_dataset_with_another_digest_is_refused_by_its_field(bench: Bench) -> None:
    candidate(bench)
    beside(bench, pinned=PINNED)
    (bench.folder / "pinned").write_bytes(rows(x=ROWS, label=1 - RIGHT))
    report = in_containers(bench)
    assert (report["outcome"], report["reason"]) == ("Rejected", "DigestMismatch")
    assert "spec.trial.datasets 'pinned'" in report["message"]


def test_a_test_on_a_dataset_that_nobody_gave_says_where_to_give_it(bench: Bench) -> None:
    candidate(bench)
    report = bench.trial()
    assert (report["outcome"], report["reason"]) == ("Rejected", "InvalidModel")
    assert "there is no dataset 'pinned': name it in spec.trial.datasets" in report["message"]


def test_of_a_million_rows_a_hundred_thousand_are_judged(bench: Bench) -> None:
    many = RANDOM.normal(0, 1, (1_000_000, 2)).astype(np.float32)
    candidate(bench, tests=TESTS + b"data: [{name: accepted, dataset: pinned, accepted: 1.0}]\n")
    beside(
        bench,
        stable=test_declared_quality.classifier(tilt=3.0),
        pinned=rows(x=many, label=(many[:, 0] > 0).astype(np.int64)),
    )
    report = bench.trial()
    assert report["outcome"] == "Passed", report["message"]
    assert {test["rows"] for test in report["tests"]} == {100_000}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"PK\x03\x04 no archive", "is no .npz file", id="damaged"),
        pytest.param(rows(x=ROWS, label=RIGHT)[:-200], "pinned", id="cut off"),
        pytest.param(rows(x=ROWS, label=np.array(["a"] * 3000, object)), "np.array(values, dtype=str)", id="objects"),
        pytest.param(rows(x=ROWS[:0], label=RIGHT[:0]), "at least one", id="no rows"),
    ],
)
def test_other_peoples_files_are_refused_without_a_traceback(bench: Bench, content: bytes, words: str) -> None:
    candidate(bench)
    beside(bench, pinned=content)
    report = bench.trial()
    assert (report["outcome"], report["reason"]) == ("Rejected", "InvalidModel")
    assert words in report["message"]


def test_a_package_of_an_older_release_passes_as_before(bench: Bench) -> None:
    bench.publish(test_trial.package(graphs.linear()))
    report = bench.trial()
    assert (report["message"], report["evaluation"], report["calibrationBins"]) == (
        "0 tests passed, served as fp32",
        [],
        None,
    )
