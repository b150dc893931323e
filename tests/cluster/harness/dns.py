"""Asks the cluster's DNS one question over UDP, to know that it answers. Not a resolver."""

from __future__ import annotations

import socket
import struct

_HEADER = struct.Struct(">HHHHHH")
_QUESTION_ID = 0x5EA7


def resolves(name: str, *, server: str) -> bool:
    """Whether the server has at least one address record for the name."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    header = _HEADER.pack(_QUESTION_ID, 0x0100, 1, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(1)
        try:
            channel.sendto(header + labels + b"\0" + struct.pack(">HH", 1, 1), (server, 53))
            answer = channel.recv(512)
        except OSError:
            return False
    identity, flags, _, records, _, _ = _HEADER.unpack_from(answer)
    return bool(identity == _QUESTION_ID and flags & 0x000F == 0 and records > 0)
