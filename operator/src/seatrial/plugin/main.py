"""`kubectl seatrial`: the group of commands. A command's module is imported when it runs, so that starting is quick.

A new command is a module with a click command called `command`, or one of `acting`'s, and a line in COMMANDS.
"""

from __future__ import annotations

import importlib

import click

from seatrial.api import status

_OF_TRAINING = ("retrain", "adopt", "unfollow")  # where the resource has them

COMMANDS = {
    "abort": "seatrial.plugin.acting:abort",
    "accept-drift": "seatrial.plugin.acting:accept_drift",
    "completion": "seatrial.plugin.completion:command",
    "dashboard": "seatrial.plugin.dashboard.command:command",
    "drift": "seatrial.cli.drift:command",
    "explain": "seatrial.plugin.explain:command",
    "get": "seatrial.plugin.get:command",
    "history": "seatrial.plugin.history:command",
    "lint": "seatrial.plugin.lint:command",
    "pause": "seatrial.plugin.acting:pause",
    "pin": "seatrial.plugin.pin:command",
    "power": "seatrial.plugin.power:command",
    "promote": "seatrial.plugin.acting:promote",
    "refresh-image": "seatrial.plugin.acting:refresh_image",
    "replay": "seatrial.cli.replay:command",
    "resume": "seatrial.plugin.acting:resume",
    "retry": "seatrial.plugin.acting:retry",
    "rollback": "seatrial.plugin.acting:rollback",
    "status": "seatrial.plugin.status:command",
    **{name: f"seatrial.plugin.acting:{name}" for name in _OF_TRAINING if name in status.Commands.__struct_fields__},
}


class LazyGroup(click.Group):
    """A click group whose commands live in modules named by COMMANDS."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """In the order of the alphabet."""
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports it."""
        if cmd_name not in COMMANDS:
            return None
        module, _, member = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), member)
        assert isinstance(command, click.Command)  # noqa: S101  # narrows what getattr gives
        return command


@click.group(cls=LazyGroup, name="kubectl seatrial", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seatrial", message="%(version)s")
def group() -> None:
    """Model deployments and their rollouts, with your own kubeconfig and your own rights.

    Ends with 3 when it can't be found out: no kubeconfig, no rights, no such object, nobody answers.
    """


def main() -> None:
    """The console script `kubectl-seatrial`."""
    group(prog_name="kubectl seatrial")


if __name__ == "__main__":
    main()
