"""A token says who answered, when, and what; its signature says that a pod of this deployment wrote it. Pure.

Layout: version, length of the revision, revision, second, nonce, four bytes for each row's answer, zeros up to a
multiple of three bytes, signature. The signature is a keyed BLAKE2b over all of it and the deployment's name, so that a
key that is used twice opens nothing. It covers the nonce as well: from one token nobody makes a second one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import msgspec

MAX_ROWS = 32
CODE = 4
"""Bytes of one row's answer."""
LEAST_KEY, MOST_KEY = 16, 64
_VERSION = b"\x01"
_MAC = 8
_MAX_TEXT = 400
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Token(msgspec.Struct, frozen=True):
    """`mark` tells tokens apart."""

    revision: str
    second: int
    codes: tuple[bytes, ...]
    mark: int


class Signer:
    """For the answers of one revision. The first key signs, all of them are accepted."""

    def __init__(self, keys: Sequence[bytes], *, deployment: str, revision: str, nonce: int) -> None:
        name = deployment.encode()
        self._states: list[Any] = [hashlib.blake2b(name + b"\0", key=key, digest_size=_MAC) for key in keys]
        self._start = _VERSION + bytes([len(revision)]) + revision.encode()
        self._nonce = nonce

    def sign(self, second: int, codes: bytes, *, rows: int) -> list[bytes]:
        """The texts of tokens for so many rows each, of answers given in this second.

        What all of them begin with is signed once, and all are written in one go: this is done for every answer.
        """
        start, size = self._start + second.to_bytes(4), CODE * rows
        fill = bytes(-(len(start) + 4 + size + _MAC) % 3)
        begun = self._states[0].copy()
        begun.update(start)
        copy, nonce, written = begun.copy, self._nonce, bytearray()
        for place in range(0, len(codes), size):
            nonce = (nonce + 1) & 0xFFFFFFFF
            rest = nonce.to_bytes(4) + codes[place : place + size] + fill
            state = copy()
            state.update(rest)
            written += start + rest + state.digest()
        self._nonce = nonce
        text = binascii.b2a_base64(written, newline=False).translate(_URL_SAFE)
        length = (len(start) + 4 + size + len(fill) + _MAC) // 3 * 4
        return [text[place : place + length] for place in range(0, len(text), length)]

    def read(self, text: str) -> Token | None:
        """What a token says; None for one that is not ours."""
        if not 0 < len(text) <= _MAX_TEXT or not text.isascii():
            return None
        try:
            whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return None
        content, mac = whole[:-_MAC], whole[-_MAC:]
        if not any(hmac.compare_digest(mac, self._mac(state, content)) for state in self._states):
            return None
        if content[:1] != _VERSION:
            return None
        end = 2 + content[1]
        codes = content[end + 8 :]
        return Token(
            revision=content[2:end].decode(),
            second=int.from_bytes(content[end : end + 4]),
            codes=tuple(codes[place : place + CODE] for place in range(0, len(codes) - CODE + 1, CODE)),
            mark=int.from_bytes(mac),
        )

    @staticmethod
    def _mac(state: Any, content: bytes) -> bytes:
        copy = state.copy()
        copy.update(content)
        digest: bytes = copy.digest()
        return digest
