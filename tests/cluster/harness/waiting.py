"""Waits for a condition with a deadline, and asks HTTP endpoints whether they are ready. Nothing in the harness
sleeps a fixed time.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from tests.cluster.harness import errors

_INTERVAL_SECONDS = 0.1


def until(
    condition: Callable[[], bool], *, what: str, seconds: float, explain: Callable[[], str] | None = None
) -> None:
    """Returns as soon as the condition holds; after `seconds` raises NotReady with what `explain` says."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            details = f"\n{explain()}" if explain else ""
            raise errors.NotReady(f"{what}: not within {seconds:.0f} s{details}")
        time.sleep(_INTERVAL_SECONDS)


def answers(url: str, *, tls: ssl.SSLContext | None = None) -> bool:
    """Whether GET gives a 2xx. Only the status counts: the body of a failing /readyz contains "ok" as well."""
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)]
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=2) as response:
            return bool(200 <= response.status < 300)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except (OSError, http.client.HTTPException):
        return False
