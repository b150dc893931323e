"""Where plain http is allowed: loopback hosts, and switches of the environment."""

from __future__ import annotations

import ipaddress
import os
import urllib.parse


def is_loopback(url: str) -> bool:
    """True for http://localhost, 127.0.0.0/8 and ::1, written as an address."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def switched_on(name: str) -> bool:
    """Whether the environment variable says yes."""
    return os.environ.get(name, "").lower() in ("1", "true", "yes")
