"""A token says who answered, when, and what; its signature says that a pod of this deployment wrote it. Pure.

Layout: version, length of the revision, revision, second, number, four bytes for each row's answer, zeros up to a
multiple of three bytes; then nine bytes of signature. A keyed BLAKE2b over all that stands before and the deployment's
name, so that a key that is used twice opens nothing, has seven parts of that length, and each of them is a signature:
answers of one code in one second are equal but for it, take turns, and share the hash, which is the most expensive part
of a token. No part tells anything about another, so from one token nobody makes a second one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

MAX_ROWS = 32
CODE = 4
"""Bytes of one row's answer."""
LEAST_KEY, MOST_KEY = 16, 64
_VERSION = b"\x02"
_MAC, _MAC_TEXT = 9, 12
"""Length of a signature in bytes, and of its text."""
_SHARE = hashlib.blake2b.MAX_DIGEST_SIZE // _MAC
"""Signatures of one hash."""
_MAX_TEXT = 400
_MAX_CODES = 1024
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
        self._states: list[Any] = [hashlib.blake2b(name + b"\0", key=key) for key in keys]
        self._start = _VERSION + bytes([len(revision)]) + revision.encode()
        self._number = nonce
        self._second = -1
        self._turns: dict[int, list[bytes]] = {}

    def sign(self, second: int, codes: bytes, *, rows: int) -> list[bytes]:
        """The texts of tokens for so many rows each, of answers given in this second.

        What all of them begin with is hashed once, and all are written in one go: this is done for every answer.
        """
        start, size = self._start + second.to_bytes(4), CODE * rows
        fill = bytes(-(len(start) + 4 + size) % 3)
        begun = self._states[0].copy()
        begun.update(start)
        copy, number, written = begun.copy, self._number, bytearray()
        for place in range(0, len(codes), size):
            number = (number + 1) & 0xFFFFFFFF
            rest = number.to_bytes(4) + codes[place : place + size] + fill
            state = copy()
            state.update(rest)
            written += start + rest + state.digest()[:_MAC]
        self._number = number
        length = (len(start) + 4 + size + len(fill) + _MAC) // 3 * 4
        return _cut(_text(written), length)

    def in_turn(self, second: int, codes: bytes) -> list[bytes]:
        """The same for one row each, where few codes are likely: those that have come before share a hash."""
        turns = self._turns
        if second != self._second or len(turns) > _MAX_CODES:
            self._second = second
            turns.clear()
        result, known = [], turns.get
        for code in memoryview(codes).cast("I").tolist():
            left = known(code)
            if not left:
                left = turns[code] = self._share(second, code, _MAC if left is None else _MAC * _SHARE)
            result.append(left.pop())
        return result

    def _share(self, second: int, code: int, size: int) -> list[bytes]:
        """Tokens that differ in the signature alone: as many as so many bytes of it are enough for."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        content = self._start + second.to_bytes(4) + self._number.to_bytes(4) + code.to_bytes(CODE, sys.byteorder)
        content += bytes(-len(content) % 3)
        state = self._states[0].copy()
        state.update(content)
        text = _text(content)
        return [text + signature for signature in _cut(_text(state.digest()[:size]), _MAC_TEXT)]

    def read(self, text: str) -> Token | None:
        """What a token says; None for one that is not ours."""
        if not 0 < len(text) <= _MAX_TEXT or not text.isascii():
            return None
        try:
            whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return None
        content, mac = whole[:-_MAC], whole[-_MAC:]
        if not any(_is_of(mac, content, state) for state in self._states):
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


def _is_of(mac: bytes, content: bytes, state: Any) -> bool:
    copy = state.copy()
    copy.update(content)
    return any(hmac.compare_digest(mac, part) for part in _cut(copy.digest()[: _MAC * _SHARE], _MAC))


def _text(content: bytes | bytearray) -> bytes:
    return binascii.b2a_base64(content, newline=False).translate(_URL_SAFE)


def _cut(content: bytes, length: int) -> list[bytes]:
    return [content[place : place + length] for place in range(0, len(content), length)]
