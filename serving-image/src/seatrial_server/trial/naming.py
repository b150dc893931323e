"""How messages of declared tests speak: of rows by number, of a test by its name. Pure."""

from __future__ import annotations

from seatrial_server.host import errors
from seatrial_server.model import session

_NAMED = 5


def rows(numbers: session.Array) -> str:
    """The first of them."""
    more = " and more" if len(numbers) > _NAMED else ""
    return f"rows {', '.join(map(str, numbers[:_NAMED].tolist()))}{more}"


def invalid(test: str, message: str) -> errors.Rejected:
    """A test that can't be made as it is declared."""
    return errors.Rejected("InvalidModel", f"tests.yaml: {test}: {message}")
