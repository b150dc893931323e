"""What the operator asks a pod to pass on, as the text of one annotation. Pure.

The text is read strictly: whatever is odd about it means that nothing is passed on, which is always safe. An assignment
holds until its lease ends, so a pod that nobody renews keeps everything again.
"""

from __future__ import annotations

import datetime
import ipaddress
from typing import Annotated

import msgspec

MAX_BYTES = 16 * 1024
TOLERANCE_SECONDS = 30.0
"""How far the clocks of two nodes may be apart. The lease is followed for so long beyond its end."""
MAX_LEASE_SECONDS = 600.0
"""Operators renew every minute or so; an end far away is no lease."""
_MAX_TARGETS = 256

Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]


class Assignment(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Requests in `weight` percent go to one of `to`, copies of `shadow` percent of the others as well.

    `deployment` is `namespace/name`. `token` is known to the pods of one deployment and to nobody outside: it proves
    that a request was relayed. `sticky` is the header whose value decides, see `choice`. `tls`: the candidate's ports
    speak it. `cover_after` in seconds. `trust_client_choice`: a request may say which of the two revisions answers it.
    """

    deployment: Annotated[str, msgspec.Meta(max_length=512)]
    revision: Name
    to: Annotated[tuple[str, ...], msgspec.Meta(max_length=_MAX_TARGETS)]
    weight: Percent
    until: datetime.datetime
    token: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{16,128}$")]
    shadow: Percent = 0.0
    sticky: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}$")] | None = None
    tls: bool = False
    cover: bool = True
    cover_after: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None
    trust_client_choice: bool = False

    @property
    def asks_headers(self) -> bool:
        """Whether a header of the request may decide."""
        return self.sticky is not None or self.trust_client_choice

    def ends(self) -> float:
        """The time of day (seconds since the epoch) until which it is followed."""
        return self.until.timestamp() + TOLERANCE_SECONDS


class Odd(Exception):
    """The text is no assignment for this pod; says why."""


_decoder = msgspec.json.Decoder(Assignment)


def read(text: bytes, *, deployment: str, revision: str, now: float) -> Assignment | None:
    """The assignment for a pod of this deployment and revision; None when there is none. Raises `Odd`."""
    if not text.strip():
        return None  # the volume's file is empty while the annotation does not exist
    if len(text) > MAX_BYTES:
        raise Odd(f"it has more than {MAX_BYTES} bytes")
    try:
        found = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Odd(str(error)) from None
    if found.deployment != deployment:
        raise Odd(f"it is for {found.deployment}")
    if found.revision == revision:
        raise Odd("it names this pod's own revision")
    _check_lease(found, now)
    addresses = {_address(text) for text in found.to}
    if len(addresses) != len(found.to):
        raise Odd("it names an address twice")
    return found


def _check_lease(found: Assignment, now: float) -> None:
    if found.until.tzinfo is None:
        raise Odd("until has no time zone")
    if found.until.timestamp() > now + MAX_LEASE_SECONDS + TOLERANCE_SECONDS:
        raise Odd(f"until is more than {MAX_LEASE_SECONDS:.0f} s away")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Odd(f"{text[:100]!r} is no IP address") from None
    nobodys = address.is_unspecified or address.is_multicast or address.is_reserved or address.is_link_local
    if nobodys or "%" in text:
        raise Odd(f"{text[:100]!r} is no pod's address")
    return address
