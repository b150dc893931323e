"""Batches to the sink. It may be slow, down, or answer whatever: a request to it is bounded in time and in memory.

One batch at a time, encoded in a thread. A batch that the sink doesn't take is lost and counted; then it is left alone
for a while, and what waits meanwhile gives way to newer samples.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import urllib.parse
from collections.abc import Callable

from seatrial_server.host import logs
from seatrial_server.observe import telemetry
from seatrial_server.samples import events, sampler

log = logging.getLogger(__name__)
FLUSH_SECONDS = 5.0
_SINK_SECONDS = 5.0
_LONGEST_PAUSE = 60.0
_STATUS_BYTES = 64 * 1024


class Sender:
    """Sends what waits, every few seconds, until it is cancelled."""

    def __init__(
        self,
        waiting: sampler.Sampler,
        encoder: Callable[[], events.Encoder],
        counters: telemetry.Telemetry,
        *,
        flush_seconds: float = FLUSH_SECONDS,
        sink_seconds: float = _SINK_SECONDS,
    ) -> None:
        self._waiting, self._make, self._counters = waiting, encoder, counters
        self._encoder: events.Encoder | None = None
        self._flush, self._sink_seconds = flush_seconds, sink_seconds

    async def run(self) -> None:
        """The whole life."""
        pause = self._flush
        while True:
            await asyncio.sleep(pause)
            sent = await self.flush()
            pause = self._flush if sent else min(2 * pause, max(self._flush, _LONGEST_PAUSE))

    async def flush(self) -> bool:
        """Send all that waits now; whether the sink has taken it. Stops at the first batch that it doesn't."""
        while batch := self._waiting.batch():
            sink = self._waiting.settings.sink
            try:
                if self._encoder is None:
                    self._encoder = self._make()
                body = await asyncio.to_thread(self._encoder.encode, batch)
                async with asyncio.timeout(self._sink_seconds):
                    status = await _post(sink, body)
            except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
                status, why = 0, f"{type(error).__name__}: {error}"
            except Exception:  # a sample that can't be written must not end all others
                log.exception("samples could not be encoded")
                status, why = 0, "encoding failed"
            else:
                why = f"the sink answered {status}"
            taken = 200 <= status < 300
            self._counters.samples["sent" if taken else "failed"] += len(batch)
            if not taken:
                logs.warning(log, "samples not sent", rows=len(batch), cause=why)
                return False
        return True


async def _post(sink: str, body: bytes) -> int:
    """The status of the answer, of which nothing else is read."""
    parts = urllib.parse.urlsplit(sink)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    context = ssl.create_default_context() if secure else None
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context, limit=_STATUS_BYTES)
    try:
        writer.write(
            b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            % ((parts.path or "/").encode(), parts.netloc.encode(), events.CONTENT_TYPE.encode(), len(body))
        )
        writer.write(body)
        await writer.drain()
        version, _, rest = (await reader.readline()).partition(b" ")
        if not version.startswith(b"HTTP/"):
            raise ValueError("the sink does not answer in HTTP")
        return int(rest[:3])
    finally:
        writer.transport.abort()
