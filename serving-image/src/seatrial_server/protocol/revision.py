"""Which revision answered: a mark on every answer over both transports, refusals included. Pure.

Traffic is split over two revisions behind one address; the mark tells clients, proxies and logs which of them it was.
"""

from __future__ import annotations

NAME = "seatrial-revision"
Metadata = tuple[tuple[str, str], ...]


def line(revision: str) -> bytes:
    """The header line over REST; empty where no revision is configured, as on a laptop."""
    return f"{NAME}: {revision}\r\n".encode() if revision else b""


def metadata(revision: str) -> Metadata:
    """The trailing metadata over gRPC."""
    return ((NAME, revision),) if revision else ()
