"""Attributions of a real server: a live setting, and within a hundredth of the model's time."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tests.contract.server import prepared, process
from tests.unit.server import graphs
from tests.unit.server import prepared as written

from seatrial_server.model import schema
from seatrial_server.observe import attributing
from seatrial_server.prepare import reference

COLUMNS = 20
RANDOM = np.random.default_rng(0)
SECONDS = 60.0


def settings(folder: Path, **parts: Any) -> None:
    fresh = folder / "fresh.json"
    fresh.write_text(json.dumps(parts))
    fresh.rename(folder / "monitoring.json")


def total(server: process.Server) -> float:
    """Rows that were asked."""
    with urllib.request.urlopen(f"{server.metrics_url}/metrics", timeout=SECONDS) as answer:
        text = answer.read().decode()
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("seatrial_attribution_rows_total{")
    )


def share(server: process.Server) -> float:
    """Of the model's time, up to now."""
    spent = server.metric("seatrial_attribution_seconds_total")
    return spent / server.metric("seatrial_model_duration_seconds_sum")


def serve_until(server: process.Server, enough: Callable[[], bool]) -> None:
    """Batches of rows."""
    rows = RANDOM.standard_normal((256, COLUMNS)).astype(np.float32)
    end = time.monotonic() + SECONDS
    while not enough():
        assert time.monotonic() < end, server.log.read_text()
        for _ in range(20):
            status, _ = server.infer(process.tensor(rows.tolist()))
            assert status == 200


def test_rows_are_asked_within_a_hundredth_of_the_models_time(tmp_path: Path) -> None:
    content = graphs.perceptron(inputs=COLUMNS)
    rows = RANDOM.standard_normal((500, COLUMNS)).astype(np.float32)
    np.savez(tmp_path / "reference.npz", x=rows)
    card = schema.Card(features=tuple(schema.Feature(f"f{number}") for number in range(COLUMNS)))
    profile = reference.read(tmp_path, card, written.loaded(content))
    settings(tmp_path, attributions={"rowsPerSecond": 100})
    file = {"file": str(tmp_path / "monitoring.json")}
    with process.serving(*prepared.pod(tmp_path, content, card=card, profile=profile, monitoring=file)) as server:
        serve_until(server, lambda: total(server) >= 5)
        serve_until(server, lambda: share(server) <= 1.1 * attributing.SHARE)  # after a row that took longer than known
        assert server.metric("seatrial_attribution_rows_total", feature="unseen") == 0


def test_a_model_without_a_table_says_so_in_its_log_and_serves(tmp_path: Path) -> None:
    settings(tmp_path, attributions={"rowsPerSecond": 1})
    with process.serving(*prepared.pod(tmp_path, monitoring={"file": str(tmp_path / "monitoring.json")})) as server:
        assert server.infer(process.tensor([[1.0, 2, 3, 4]]))[0] == 200
        end = time.monotonic() + SECONDS
        while "no attributions" not in server.log.read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
