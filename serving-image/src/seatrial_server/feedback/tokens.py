"""A token says who answered, when, and what; its signature says that a pod of this deployment wrote it. Pure.

Layout: version, length of the revision, revision, second, zeros up to a multiple of three bytes; number, four bytes for
each row's answer, zeros likewise; then nine bytes of signature. A keyed BLAKE2b over all that stands before and the
deployment's name, so that a key that is used twice opens nothing, has seven parts of that length, and each of them is
a signature: answers of one code in one second are equal but for it, take turns, and share the hash. No part tells
anything about another, so from one token nobody makes a second one.
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
_ROW_TEXT = 12
"""Length of the text of a number and one row's code."""
_SHARE = hashlib.blake2b.MAX_DIGEST_SIZE // _MAC
"""Signatures of one hash."""
_AGAIN = 4
"""Hashes that are made together, once a code has come again."""
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
    """For the answers of one revision. The first key signs, all of them are accepted.

    `around` is what stands before and behind each text that `in_turn` gives.
    """

    def __init__(
        self,
        keys: Sequence[bytes],
        *,
        deployment: str,
        revision: str,
        nonce: int,
        around: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        name = deployment.encode()
        self._states: list[Any] = [hashlib.blake2b(name + b"\0", key=key) for key in keys]
        self._start = _VERSION + bytes([len(revision)]) + revision.encode()
        self._number = nonce
        self._before, self._after = around
        self._turns: dict[int, list[bytes]] = {}
        self._begin(0)

    def sign(self, second: int, codes: bytes, *, rows: int) -> list[bytes]:
        """The texts of tokens for so many rows each, of answers given in this second, all written in one go."""
        if second != self._second:
            self._begin(second)
        size, head = CODE * rows, self._head
        tails = [codes[place : place + size] for place in range(0, len(codes), size)]
        return [head + tail for tail in _cut(*self._tails(tails, parts=1))]

    def in_turn(self, second: int, codes: bytes) -> list[bytes]:
        """The same for one row each, where few codes are likely: those that have come before share hashes."""
        if second != self._second or len(self._turns) > _MAX_CODES:
            self._begin(second)
        turns, result = self._turns, []
        for code in memoryview(codes).cast("I").tolist():
            left = turns.get(code)
            if not left:
                left = turns[code] = self._share(code, first=left is None)
            result.append(left.pop())
        return result

    def _begin(self, second: int) -> None:
        """All tokens of a second begin alike."""
        start = self._start + second.to_bytes(4)
        start += bytes(-len(start) % 3)
        self._second, self._head = second, _text(start)
        self._begun = self._states[0].copy()
        self._begun.update(start)
        self._turns.clear()

    def _share(self, code: int, *, first: bool) -> list[bytes]:
        """Tokens that differ in number and signature alone: one, and some more for a code that comes again."""
        tails = [code.to_bytes(CODE, sys.byteorder)] * (1 if first else _AGAIN)
        text, length = self._tails(tails, parts=1 if first else _SHARE)
        before, after, shared = self._before + self._head, self._after, []
        for tail in _cut(text, length):
            start = before + tail[:_ROW_TEXT]
            shared += [start + mac + after for mac in _cut(tail[_ROW_TEXT:], _MAC_TEXT)]
        return shared

    def _tails(self, codes: Sequence[bytes], *, parts: int) -> tuple[bytes, int]:
        """Numbers, codes and so many signatures each, one after the other, and the length of each."""
        copy, number, size = self._begun.copy, self._number, _MAC * parts
        fill, written = bytes(-(4 + len(codes[0])) % 3), bytearray()
        for code in codes:
            number = (number + 1) & 0xFFFFFFFF
            rest = number.to_bytes(4) + code + fill
            state = copy()
            state.update(rest)
            written += rest + state.digest()[:size]
        self._number = number
        text = _text(written)
        return text, len(text) // len(codes)

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
        codes = content[end + 4 + -(end + 4) % 3 + 4 :]
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
