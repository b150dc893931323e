"""The command line: every setting is told, a mistake ends it at once and in words."""

from __future__ import annotations

import click
import pytest
from click import testing

from seatrial import __main__ as command
from seatrial.control import operator
from seatrial.control.settings import Settings


def test_help_names_every_flag_with_its_variable() -> None:
    told = testing.CliRunner().invoke(command.main, ["--help"]).output
    for option in command.main.params:
        assert isinstance(option, click.Option)
        if not option.hidden:  # that one is for tests
            assert option.opts[0] in told
            assert str(option.envvar) in told


def test_a_mistake_is_told_with_status_2() -> None:
    result = testing.CliRunner().invoke(command.main, [], env={"POD_NAMESPACE": "", "SEATRIAL_SERVING_IMAGE": ""})
    assert result.exit_code == 2
    assert "SEATRIAL_SERVING_IMAGE must name" in result.output
    assert "POD_NAMESPACE must be" in result.output


def test_the_environment_makes_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Settings] = []

    def start(settings: Settings, build: operator.Build) -> int:
        started.append(settings)
        return 0

    monkeypatch.setattr(operator, "start", start)
    environment = {
        "SEATRIAL_SERVING_IMAGE": "serving:1",
        "POD_NAMESPACE": "system",
        "POD_NAME": "operator-0",
        "SEATRIAL_NAMESPACES": "shop",
        "SEATRIAL_SCRAPE_INTERVAL": "30s",
    }
    result = testing.CliRunner().invoke(command.main, [], env=environment)
    assert result.exit_code == 0
    [settings] = started
    assert (settings.pod_name, settings.namespaces, str(settings.scrape_interval)) == ("operator-0", ("shop",), "30s")
