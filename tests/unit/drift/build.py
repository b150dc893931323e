"""Columns and hours for the tests of drift."""

from seatrial.drift import columns, watch

DECILES = (0.1,) * 10


def numbers(name="income", *, shares=DECILES, missing=0.0, rows=2000, edges=tuple(range(0, 110_000, 10_000)), **more):
    """A number with bins of these shares within the reference."""
    inner = tuple(share * (1 - missing) for share in shares)
    bins = ("missing", "below", *(str(place) for place in range(1, len(shares) + 1)), "above")
    return columns.Column(name=name, bins=bins, reference=(missing, 0.0, *inner, 0.0), rows=rows, edges=edges, **more)


def categories(name="region", *, shares, rows=2000, other=0.0):
    """A category; `shares` by value."""
    bins = ("missing", "unseen", "other", *shares)
    return columns.Column(name=name, bins=bins, reference=(0.0, 0.0, other, *shares.values()), rows=rows)


def attributions(name="most influential feature", *, shares, rows=1000):
    """Which feature is the most influential; `shares` by feature."""
    bins = ("missing", "unseen", "other", "(none)", *shares)
    kind = columns.Kind.ATTRIBUTION
    return columns.Column(name=name, kind=kind, bins=bins, reference=(0, 0, 0, 0, *shares.values()), rows=rows)


def hour(at, *pods, ready=None, refused=None):
    """One hour; pods as counts by column."""
    return watch.Hour(at=at, pods=tuple(watch.Pod(rows=pod, refused=refused or {}) for pod in pods), ready=ready)


def spread(inner, *, missing=0, below=0, above=0):
    """Counts of a number's bins."""
    return (missing, below, *inner, above)


def days(memory, column, rows, *, begin, count, policy, refused=None):
    """The same hour again and again, halved between two pods; the memory and the judgements."""
    judgements = []
    half = {column.name: tuple(part // 2 for part in rows)}
    for at in range(begin, begin + count * 24):
        memory, judged = watch.after(memory, hour(at, half, half, refused=refused), columns=[column], policy=policy)
        judgements.append(judged)
    return memory, judgements
