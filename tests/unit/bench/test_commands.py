"""The benchmarks that nobody runs every day can be called."""

import subprocess
import sys

import pytest


@pytest.mark.long
def test_every_benchmark_can_be_imported_and_tells_what_it_is():
    told = subprocess.run([sys.executable, "-m", "tests.bench", "--help"], capture_output=True, text=True, check=True)
    assert "rollouts" in told.stdout
