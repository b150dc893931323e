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
    taken, parts, others = [], [], []
    for ride in rides:
        _, head, data, begin, _ = ride
        if data.startswith(start, begin) and data.endswith(rest) and head.json_part == 0:
            taken.append(ride)
            parts.append(data[begin + cut : end])
        else:
            others.append(ride)
    return taken, parts, others


def _with_layout(layout: Layout, rides: list[Ride]) -> tuple[list[Ride], list[bytes], list[Ride]]:
    """The requests of this layout, the bytes of their tensor, and the others."""
    start, size = layout.head, layout.total
    cut = len(start)
    taken, parts, others = [], [], []
    for ride in rides:
        _, head, data, begin, _ = ride
        values = begin + cut
        if data.startswith(start, begin) and head.json_part == cut and len(data) - values == size:
            taken.append(ride)
            parts.append(data[values:])
        else:
            others.append(ride)
    return taken, parts, others
