"""The certificate of both ports, from files that somebody renews: a mounted Secret. Optional.

New connections get the renewed certificate, open ones go on with what they agreed on. A pair that does not fit together
(the files change one after the other) is not taken: the former stays until a look finds a pair that does.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any

import grpc

from seatrial_server.host import config, errors, logs

log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
Pair = tuple[bytes, bytes]


class Certificate:
    """`context` is for asyncio, `credentials` for grpcio. `watch` has to run for renewals to be seen."""

    def __init__(self, files: config.Tls) -> None:
        self._certificate, self._key = Path(files.certificate), Path(files.key)
        self.context = _context()
        self._failed: Pair | None = None
        try:
            self._pair = self._read()
            self._take()
        except (OSError, ssl.SSLError) as error:
            raise errors.Unavailable(
                f"tls: {_words(error)}: {self._certificate} and {self._key} must be PEM"
            ) from error

    def credentials(self) -> Any:
        """For `add_secure_port`; grpcio asks again for each connection, from threads of its own."""
        given = self._pair

        def renewed() -> Any:
            nonlocal given
            if given is self._pair:
                return None
            given = self._pair
            return _configuration(given)

        return grpc.dynamic_ssl_server_credentials(_configuration(given), renewed, require_client_authentication=False)

    async def watch(self) -> None:
        """Look for renewed files until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Take the files' pair if it is another one and good."""
        try:
            pair = self._read()
        except OSError:  # between the old files and the new
            return
        if pair in (self._pair, self._failed):
            return
        try:
            self._take()
        except (OSError, ssl.SSLError) as error:
            self._failed = pair
            logs.warning(log, "renewed certificate not taken", error=_words(error))
            return
        self._pair, self._failed = pair, None
        logs.info(log, "certificate renewed")

    def _read(self) -> Pair:
        return self._certificate.read_bytes(), self._key.read_bytes()

    def _take(self) -> None:
        _context().load_cert_chain(self._certificate, self._key)  # a context keeps half of a pair that does not fit
        self.context.load_cert_chain(self._certificate, self._key)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _configuration(pair: Pair) -> Any:
    certificate, key = pair
    return grpc.ssl_server_certificate_configuration([(key, certificate)])


def _words(error: OSError | ssl.SSLError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or error)
