"""`kubectl seatrial dashboard`: starts the page and prints its link."""

from __future__ import annotations

import signal
import webbrowser
from types import FrameType
from typing import NoReturn

import click

from seatrial.plugin import errors, options
from seatrial.plugin.connection import Connection
from seatrial.plugin.dashboard import feed, server


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1.  [default: a free one]")
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
@options.cluster
def command(*, port: int, open_it: bool, connected: Connection) -> None:
    """Show the rollouts of a namespace in a page on this machine, live, until interrupted.

    Stages, shares asked for and seen, evidence over time against its bound, drift, and the sentences of the verdicts.
    Read-only, on 127.0.0.1 alone, and only under the printed link, which is another one each time. Evidence from before
    the page was opened is not known to it, but that of a rollback, where you may get configmaps.
    """
    news = feed.Feed(connected)
    news.start()
    try:
        page = server.Server(news, port=port)
    except OSError as error:
        raise errors.PluginError(f"port {port} of 127.0.0.1 can't be used: {error.strerror}") from error
    signal.signal(signal.SIGTERM, _end)
    click.echo(page.link)
    if open_it:
        webbrowser.open(page.link)
    try:
        page.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        click.echo()
    finally:
        news.stop()
        page.server_close()


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Whoever ends it politely gets the end that Ctrl-C has."""
    raise KeyboardInterrupt
