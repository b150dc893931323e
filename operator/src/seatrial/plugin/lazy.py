"""A group of commands that are imported when they run, so that starting is quick. Both command lines are made of it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A click group. `places`: `module:member` of each command by its name."""

    def __init__(self, *args: Any, places: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """In the order of the alphabet."""
        return sorted(self._places)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports it."""
        if cmd_name not in self._places:
            return None
        return command(self._places[cmd_name])


def command(place: str) -> click.Command:
    """The command at `module:member`, imported now."""
    module, _, member = place.partition(":")
    found = getattr(importlib.import_module(module), member)
    assert isinstance(found, click.Command)  # noqa: S101  # narrows what getattr gives
    return found
