"""A closed-loop HTTP load generator for one core: each connection sends its next request when its answer is complete.

Plain sockets and epoll instead of an event loop, because the generator must not be the bottleneck: it spends less per
request than the leanest server can (`serving` shows the rate against a bare echo, which is its own limit).
Every answer's status and length is checked; a sample is kept, so that the caller can check the values as well.
"""

import select
import socket
import time
from collections.abc import Sequence

import msgspec

_LENGTHS = (b"Content-Length: ", b"content-length: ")
_TIMEOUT = 20.0
KEPT_EVERY = 41
"""Prime to the number of bodies, so that the kept answers are spread over all of them."""


class Result(msgspec.Struct):
    """One run. `kept` pairs a request's position with its answer's body; latencies are seconds, ascending."""

    count: int
    seconds: float
    latencies: list[float]
    kept: list[tuple[int, bytes]]

    def quantile(self, share: float) -> float:
        """A latency in seconds."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


class LoadError(Exception):
    """The server answered something else than 200, or closed a connection."""


def drive(
    port: int, requests: Sequence[bytes], *, connections: int, seconds: float, address: str = "127.0.0.1"
) -> Result:
    """Keep `connections` busy with the requests in turn; raises on the first wrong answer."""
    sockets = {}
    poll = select.epoll()
    for _ in range(connections):
        link = socket.create_connection((address, port), timeout=_TIMEOUT)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setblocking(False)
        sockets[link.fileno()] = link
        poll.register(link.fileno(), select.EPOLLIN)
    try:
        return _run(poll, sockets, requests, seconds)
    finally:
        poll.close()
        for link in sockets.values():
            link.close()


def once(port: int, request: bytes) -> bytes:
    """The answer to one request, head and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT) as link:
        link.sendall(request)
        data = b""
        while (head := data.find(b"\r\n\r\n")) < 0 or len(data) < head + 4 + int(
            data.split(_spelling(data))[1].split(b"\r")[0]
        ):
            part = link.recv(16384)
            if not part:
                raise LoadError(f"unexpected answer: {data[:300]!r}")
            data += part
    return data


def _run(
    poll: select.epoll, sockets: dict[int, socket.socket], requests: Sequence[bytes], seconds: float
) -> Result:  # one loop with everything in locals: a call per answer would cost a tenth of the rate
    clock, total = time.perf_counter, len(requests)
    latencies: list[float] = []
    kept: list[tuple[int, bytes]] = []
    sent: dict[int, float] = {}
    at: dict[int, int] = {}
    partial: dict[int, bytes] = {}
    following, length = 0, b""
    started = clock()
    for number, link in sockets.items():
        at[number], sent[number] = following, clock()
        link.send(requests[following])
        following = (following + 1) % total
    stop = started + seconds
    now = started
    while now < stop:
        events = poll.poll(_TIMEOUT)
        if not events:
            raise LoadError("no answer in time")
        for number, _ in events:
            link = sockets[number]
            data = link.recv(16384)
            if number in partial:
                data = partial.pop(number) + data
            head = data.find(b"\r\n\r\n")
            if head < 0 or not data.startswith(b"HTTP/1.1 200 "):
                raise LoadError(f"unexpected answer: {data[:300]!r}")
            length = length or _spelling(data)
            place = data.index(length) + 16
            missing = head + 4 + int(data[place : data.index(b"\r", place)]) - len(data)
            if missing:
                if missing < 0:
                    raise LoadError("more bytes than announced")
                partial[number] = data
                continue
            now = clock()
            latencies.append(now - sent[number])
            if len(latencies) % KEPT_EVERY == 0:
                kept.append((at[number], data))
            at[number] = following
            sent[number] = now
            link.send(requests[following])
            following += 1
            if following == total:
                following = 0
    latencies.sort()
    return Result(count=len(latencies), seconds=now - started, latencies=latencies, kept=kept)


def _spelling(answer: bytes) -> bytes:
    """How this server writes the header with the length; looked up once, for the sake of the generator's own speed."""
    found = next((one for one in _LENGTHS if one in answer), None)
    if found is None:
        raise LoadError(f"an answer without a length: {answer[:300]!r}")
    return found
