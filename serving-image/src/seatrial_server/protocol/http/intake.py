"""Whether a client's bytes are taken from the kernel: not while it has too many requests or answers under way."""

from __future__ import annotations

import asyncio
import select


class Intake:
    """Of one connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.paused = False

    def pause(self) -> None:
        """Leave what comes to the kernel, which makes the client wait when its buffers are full."""
        if not self.paused and not self._transport.is_closing():
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> bool:
        """Take it again; whether this was a change."""
        if not self.paused or self._transport.is_closing():
            return False
        self.paused = False
        self._transport.resume_reading()
        return True

    def readable(self) -> bool:
        """Whether the kernel holds bytes (or the end) that the event loop has not delivered yet."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))
