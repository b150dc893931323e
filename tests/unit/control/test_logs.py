"""Logs: one JSON object a line, values beside a constant message, libraries quiet."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from seatrial.control import logs


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, {name: logging.getLogger(name).level for name in logs.QUIET})
    stream = io.StringIO()
    logs.configure("info", stream=stream)
    yield stream
    root.handlers[:], root.level = before[0], before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(False)


def test_a_line_is_json_with_its_values(written: io.StringIO) -> None:
    logging.getLogger("seatrial.x").info("reconciled", extra={"key": "shop/churn"})
    line = json.loads(written.getvalue())
    assert (line["message"], line["key"], line["level"], line["logger"]) == (
        "reconciled",
        "shop/churn",
        "INFO",
        "seatrial.x",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_an_exception_stays_on_one_line(written: io.StringIO) -> None:
    try:
        raise ValueError("broken\ninto two")
    except ValueError:
        logging.getLogger("seatrial.x").exception("ended by a fault")
    assert len(written.getvalue().splitlines()) == 1
    assert "ValueError" in json.loads(written.getvalue())["exception"]


def test_kopf_is_quiet_about_every_event_and_loud_about_failures(written: io.StringIO) -> None:
    logging.getLogger("kopf.objects").info("Handler succeeded.")
    logging.getLogger("kopf._core.reactor.queueing").error("watch failed")
    assert [json.loads(line)["message"] for line in written.getvalue().splitlines()] == ["watch failed"]


def test_values_that_json_does_not_know_are_written_as_text(written: io.StringIO) -> None:
    logging.getLogger("seatrial.x").info("odd", extra={"error": ValueError("no"), "keys": {1, 2}, "lone": "\ud800"})
    assert json.loads(written.getvalue())["error"] == "no"
