"""TLS between pods: it hides what travels, and who is at the other end is asked as without it, see `introduction`.

Certificates are for the names that clients use and not for pods' addresses, and two pods may have different ones while
they are renewed. asyncio can do without names; grpcio cannot, so its channels trust the certificate that is there when
they are made, under a name that stands in it.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from typing import Any

import grpc
import msgspec


class Credentials(msgspec.Struct, frozen=True):
    """For a channel of grpcio: what it trusts, and the name that it expects to find there."""

    channel: Any
    name: str


@functools.lru_cache(maxsize=1)
def context() -> ssl.SSLContext:
    """For connections over REST."""
    return _context("http/1.1")


async def credentials(address: str, port: int) -> Credentials:
    """For a new channel to this address. Raises OSError: also for a certificate that is out of date or names nobody."""
    untrusting = _context("h2")
    shown: bytes = (await _handshake(address, port, untrusting)).getpeercert(True) or b""
    trusting = _context("h2")
    trusting.load_verify_locations(cadata=shown)
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it is enough that it is this one
    trusting.verify_mode = ssl.CERT_REQUIRED
    read = (await _handshake(address, port, trusting)).getpeercert() or {}
    pem = ssl.DER_cert_to_PEM_cert(shown).encode()
    return Credentials(grpc.ssl_channel_credentials(pem), _name(read))


async def _handshake(address: str, port: int, context: ssl.SSLContext) -> ssl.SSLObject:
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, address, port, ssl=context)
    found: ssl.SSLObject = transport.get_extra_info("ssl_object")
    transport.abort()
    return found


def _context(protocol: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols([protocol])
    return made


def _name(certificate: Any) -> str:
    """Any that the certificate is for."""
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "IP Address"):
            return str(name).replace("*", "relay", 1)
    raise OSError("the certificate names nobody")
