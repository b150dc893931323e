"""Logs of the server: the same lines as the operator's, on the same stream."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator

import pytest

from seatrial.control import logs as operator_logs
from seatrial_server.host import logs

Configure = Callable[[io.StringIO], None]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def operators(stream: io.StringIO) -> None:
    operator_logs.configure("INFO", stream=stream)


def servers(stream: io.StringIO) -> None:
    logs.configure(stream=stream)


def line(configure: Configure) -> dict[str, str]:
    stream = io.StringIO()
    configure(stream)
    logging.getLogger("seatrial.some").info("done")
    found: dict[str, str] = json.loads(stream.getvalue())
    return found


def test_a_line_reads_as_one_of_the_operators() -> None:
    ours, theirs = line(servers), line(operators)
    assert list(ours) == list(theirs) == ["time", "level", "logger", "message"]
    for one in (ours, theirs):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one.pop("time"))
    assert ours == theirs


def test_both_write_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    for configure in (lambda: logs.configure(), lambda: operator_logs.configure("INFO")):
        configure()
        logging.getLogger("seatrial.some").info("done")
        written = capsys.readouterr()
        assert (written.out, len(written.err.splitlines())) == ("", 1)


def test_what_another_process_has_logged_goes_where_ours_does() -> None:
    stream = io.StringIO()
    servers(stream)
    logs.pass_on("{}\n")
    assert stream.getvalue() == "{}\n"
