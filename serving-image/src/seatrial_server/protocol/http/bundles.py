"""Which requests of a turn are the same but for their values, so that their rows can share an array.

They are told apart by comparing bytes alone; what the equal bytes mean is known from an earlier request, see `forms`.
"""

from __future__ import annotations

from seatrial_server.protocol.http.exchange import Ride
from seatrial_server.protocol.http.forms import Form, Forms, Kind, Layout, Layouts


def split(rides: list[Ride], forms: Forms, layouts: Layouts) -> tuple[Kind | None, list[Ride], list[bytes], list[Ride]]:
    """What the first request is, those that are the same but for their values, these, and the other requests."""
    _, head, data, begin, _ = rides[0]
    if head.json_part:
        layout = layouts.find(data[begin : begin + head.json_part], len(data) - begin - head.json_part)
        if layout is not None and layout.kind is not None:
            return layout.kind, *_with_layout(layout, rides)
    else:
        form = forms.find(data, begin)
        if form is not None and form.plain.kind is not None:
            return form.plain.kind, *_with_form(form, rides)
    return None, rides[:1], [], rides[1:]


def _with_form(form: Form, rides: list[Ride]) -> tuple[list[Ride], list[bytes], list[Ride]]:
    """The requests of this form, the text of their numbers, and the others."""
    start, rest = form.start, form.rest
    cut, end = len(start), -len(rest)
    found = [
        data[begin + cut : end]
        if data.startswith(start, begin) and data.endswith(rest) and head.json_part == 0
        else None
        for _, head, data, begin, _ in rides
    ]
    return _apart(rides, found)


def _with_layout(layout: Layout, rides: list[Ride]) -> tuple[list[Ride], list[bytes], list[Ride]]:
    """The requests of this layout, the bytes of their tensor, and the others."""
    start, size = layout.head, layout.total
    cut = len(start)
    found = [
        data[begin + cut :]
        if data.startswith(start, begin) and head.json_part == cut and len(data) - begin - cut == size
        else None
        for _, head, data, begin, _ in rides
    ]
    return _apart(rides, found)


def _apart(rides: list[Ride], found: list[bytes | None]) -> tuple[list[Ride], list[bytes], list[Ride]]:
    """Those for which something was found, what it was, and the others."""
    parts = [part for part in found if part is not None]
    if len(parts) == len(rides):
        return rides, parts, []
    pairs = list(zip(rides, found, strict=True))
    taken = [ride for ride, part in pairs if part is not None]
    return taken, parts, [ride for ride, part in pairs if part is None]
