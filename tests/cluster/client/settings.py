"""The client's settings, from the environment."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Environment variables in lower case; rates per second, times in seconds.

    `host`: what requests name as their host, if not the target's. `marks`: rows are marked for versions that err on a
    share of them; after SIGUSR1 all err `outage_times` as often.
    """

    target: str
    model: str
    rows: str
    host: str = ""
    rate: float = 50.0
    connections: int = 8
    connection_seconds: float = 5.0
    timeout_seconds: float = 5.0
    stats_port: int = 8090
    seed: int = 0
    marks: bool = False
    outage_times: float = 6.0


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from TARGET, MODEL, ROWS and, with defaults, the other fields' names in upper case.

    Raises:
        msgspec.ValidationError: a variable is missing or no number; the message names it.
    """
    names = {name: environment[name.upper()] for name in Settings.__struct_fields__ if name.upper() in environment}
    return msgspec.convert(names, Settings, strict=False)
