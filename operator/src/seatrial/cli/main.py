"""`seatrial`: the group of commands. A command's module is imported when the command runs, so that starting is quick.

A new command is a module with a click command called `command`, and a line in COMMANDS.
"""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "card": "seatrial.cli.card",
    "drift": "seatrial.cli.drift",
    "generate": "seatrial.cli.generate",
    "pack": "seatrial.cli.pack",
    "replay": "seatrial.cli.replay",
}


class LazyGroup(click.Group):
    """A click group whose commands live in modules named by COMMANDS."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)  # noqa: S101  # narrows what importlib gives
        return command


@click.group(cls=LazyGroup)
def main() -> None:
    """Model versions get a sea trial before they carry passengers."""


if __name__ == "__main__":
    main()
