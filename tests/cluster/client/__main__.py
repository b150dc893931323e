"""`python -m client`: settings from the environment, a line of JSON a second on standard output, until SIGTERM."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import sys
import time

import msgspec

from . import rows, scanner, settings, traffic, web
from .ledger import Ledger


async def run(chosen: settings.Settings) -> None:
    data = rows.read(pathlib.Path(chosen.rows))
    marks = rows.Marks() if chosen.marks else None
    through = scanner.Scanner()
    ledger, stop = Ledger(epoch=time.time() - time.monotonic()), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if marks is not None:
        loop.add_signal_handler(signal.SIGUSR1, marks.outage, chosen.outage_times)
    async with web.serving(ledger, through=through, port=chosen.stats_port), asyncio.TaskGroup() as group:
        group.create_task(_report(ledger, stop))
        group.create_task(traffic.run(chosen, data, marks=marks, through=through, ledger=ledger, stop=stop))
    _print(ledger)


async def _report(ledger: Ledger, stop: asyncio.Event) -> None:
    while not await traffic.stopped(stop, within=1.0):
        _print(ledger)


def _print(ledger: Ledger) -> None:
    print(msgspec.json.encode(ledger.as_dict()).decode(), flush=True)


def main() -> int:
    try:
        chosen = settings.read(os.environ)
    except msgspec.ValidationError as error:
        print(f"environment: {error} (upper-case names)", file=sys.stderr)
        return 2
    asyncio.run(run(chosen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
