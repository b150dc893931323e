"""Where nothing is fetched from, and where plain http is allowed: loopback hosts, and switches of the environment."""

from __future__ import annotations

import ipaddress
import os
import socket
import urllib.parse

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = frozenset({"100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"})
"""Services that hand out a node's credentials at addresses that aren't link-local: Alibaba, Azure, Oracle, AWS."""


class Forbidden(Exception):
    """The text says which address and why."""


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


def refusal(address: str, *, loopback: bool) -> str:
    """Why nothing may be fetched from this address; empty when it may. `loopback`: the URI itself names this one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip)
    if ip.is_loopback:
        return "" if loopback else "this machine's own"
    if ip.is_link_local or str(ip) in _METADATA:
        return "where a cloud keeps credentials, or of this link only"
    return "that belongs to nobody" if ip.is_unspecified or ip.is_multicast else ""


def connect(
    address: tuple[str, int], timeout: float | None, source_address: tuple[str, int] | None, *, loopback: bool
) -> socket.socket:
    """`socket.create_connection`, but to the very addresses that were looked at: a second look-up may find others.

    Raises:
        Forbidden: the name leads to an address that nothing is fetched from.
    """
    host, port = address
    failure: OSError = OSError(f"{host} has no address")
    for _, _, _, _, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if why := refusal(str(found[0]), loopback=loopback):
            raise Forbidden(f"{host} has the address {found[0]}, {why}")
        try:
            return socket.create_connection((str(found[0]), port), timeout, source_address)
        except OSError as error:
            failure = error
    raise failure
