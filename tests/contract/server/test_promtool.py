"""Prometheus' own judgement of a pod's /metrics: `promtool check metrics`."""

from __future__ import annotations

import subprocess
import urllib.request

import pytest
from tests.cluster.harness import binaries
from tests.contract.server import process, test_package, test_trial
from tests.unit.server import graphs

bench = test_trial.bench


@pytest.mark.timeout(900)  # promtool is built the first time
def test_promtool_finds_nothing_to_say_about_the_metrics(bench: test_trial.Bench) -> None:
    binaries.ensure(binaries.PROMTOOL, say=print)
    package = test_package.content(graphs.linear(), test_package.CARD)
    with process.serving(*test_package.prepared(bench, package)) as server:
        text = urllib.request.urlopen(f"{server.metrics_url}/metrics", timeout=process.DEADLINE).read()
    assert b"seatrial_feature_rows_total" in text
    command = [str(binaries.PROMTOOL.path()), "check", "metrics"]
    checked = subprocess.run(command, input=text, capture_output=True, check=False, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
