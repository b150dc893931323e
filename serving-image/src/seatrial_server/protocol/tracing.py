"""Who asked: request ids, and W3C trace context for the log lines of failed requests."""

from __future__ import annotations

import itertools
import logging
import re
import secrets
from collections.abc import Iterator

from seatrial_server.host import errors, logs

log = logging.getLogger(__name__)
_MAX_ID = 256
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_NOBODYS = f"00-{1:032x}-{1:016x}-00"


class RequestIds:
    """Makes ids that are unique over pods; takes over the client's when it gave a usable one."""

    def __init__(self) -> None:
        prefix, numbers = secrets.token_hex(4), itertools.count(1)
        self.form = f"{prefix}-%010x"
        """An id, but for its number."""
        self.numbers: Iterator[int] = numbers
        """Those of the ids to come; whoever takes one has it alone."""
        self.new = map(self.form.__mod__, numbers).__next__

    def choose(self, given: str | bytes | None) -> str:
        """The given id, else a new one."""
        if given and len(given) <= _MAX_ID:
            text = given if isinstance(given, str) else given.decode("latin-1")
            if text.isprintable():
                return text
        return self.new()


def unsampled(traceparent: str) -> str:
    """The same trace, or nobody's, as it is told to who shall not record anything of it."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    return f"00-{found[1]}-{found[2]}-00" if found else _NOBODYS


def failed(error: errors.RequestError, *, transport: str, traceparent: str) -> None:
    """Log a request that failed by our fault, so that its trace can be found."""
    fields = {"transport": transport, "code": error.code, "error": str(error), **error.details}
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    if found:
        fields |= {"trace_id": found[1], "span_id": found[2]}
    logs.warning(log, "request failed", **fields)
