"""`seatrial`: the group of commands. A command's module is imported when the command runs, so that starting is quick.

A new command is a module with a click command called `command`, and a line in COMMANDS.
"""

from __future__ import annotations

import click

from seatrial.plugin.lazy import LazyGroup

COMMANDS = {
    "card": "seatrial.cli.card:command",
    "drift": "seatrial.cli.drift:command",
    "generate": "seatrial.cli.generate:command",
    "pack": "seatrial.cli.pack:command",
    "replay": "seatrial.cli.replay:command",
}


@click.group(cls=LazyGroup, places=COMMANDS)
def main() -> None:
    """Model versions get a sea trial before they carry passengers."""


if __name__ == "__main__":
    main()
