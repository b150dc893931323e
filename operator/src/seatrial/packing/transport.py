"""Where plain http is allowed: addresses of this machine, and switches of the environment."""

from __future__ import annotations

import ipaddress
import os
import urllib.parse


def may_be_plain(url: str, *, switch: str) -> bool:
    """Whether http is no risk for this address, or is wanted by the environment variable."""
    return _loopback(url) or os.environ.get(switch, "").lower() in ("1", "true", "yes")


def _loopback(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
