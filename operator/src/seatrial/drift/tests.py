"""Three questions to each column: did its shape move, are more values missing, are more outside of the reference?

The last two tell a broken pipeline from a changed world: a model should learn from the second, never from the first.
"""

from __future__ import annotations

import dataclasses
import enum
import functools

import numpy as np

from seatrial.drift import columns, margin, sets
from seatrial.drift.columns import Column, Floats, Kind
from seatrial.drift.policy import Policy

GROSS_RARE = 0.1
"""Of missing or unknown values: so much more in the last hour alone is a broken pipeline."""
PER_COLUMN = 3
Groups = tuple[tuple[str, ...], ...]
"""Names of the bins that make up each bin of a question."""
_INSIDE = np.array([[1.0, 0.0]])


class Question(enum.StrEnum):
    SHAPE = "Shape"
    MISSING = "Missing"
    OUTSIDE = "Outside"


VALIDITY = frozenset({Question.MISSING, Question.OUTSIDE})


@dataclasses.dataclass(frozen=True)
class Test:
    """One question to one column, or to several of one form, see `together`.

    `pick` [..., places, bins] makes the question's bins of a row of counts, `names` are theirs, `chosen` the sets of
    them [sets, bins]; `most` and `gross` [..., sets] the share that each set may have, over days and in the last hour.
    `margin` is by how much `most` exceeds the reference; `note` says what blunts the test.
    """

    question: Question
    pick: Floats
    names: tuple[str, ...]
    reference: Floats
    chosen: Floats
    excesses: Floats
    most: Floats
    gross: Floats
    margin: float
    note: str = ""

    def counted(self, rows: Floats) -> Floats:
        """The question's bins of rows of counts: [..., places] -> [..., bins]."""
        if self.pick.ndim == 2:
            return np.asarray(rows @ self.pick)
        return np.asarray((rows[..., None, :] @ self.pick)[..., 0, :])


def of(column: Column, policy: Policy) -> tuple[Test, ...]:
    """The questions that can be put to a column: one with a single bin has no shape, an attribution nothing else."""
    shape = _shape(column, policy)
    if column.kind is Kind.ATTRIBUTION:
        return () if shape is None else (shape,)
    outside = ("below", "above") if column.ordered else ("unseen",)
    rare = (
        _rare(Question.MISSING, column, policy, inside=("missing",), refused=0),
        _rare(Question.OUTSIDE, column, policy, inside=outside, refused=1),
    )
    return rare if shape is None else (shape, *rare)


def _shape(column: Column, policy: Policy) -> Test | None:
    groups = _numbers(column) if column.ordered else _categories(column)
    if len(groups) < 2:
        return None
    pick = _pick(column.bins, groups)
    reference = pick[: len(column.bins)].T @ np.array(column.reference)
    if not reference.sum():
        return None
    reference = reference / reference.sum()
    allowed = margin.shape(policy.tolerance, column.rows, reference)
    chosen = sets.family(len(groups), ordered=column.ordered)
    shares = chosen @ reference
    return Test(
        question=Question.SHAPE,
        pick=pick,
        names=tuple(group[-1] if column.ordered else group[0] for group in groups),
        reference=reference,
        chosen=chosen,
        excesses=sets.EXCESSES,
        most=shares + allowed,
        gross=shares + max(policy.gross, allowed),
        margin=allowed,
        note=f"wide margin: {column.rows} reference rows" if allowed > policy.tolerance else "",
    )


def _numbers(column: Column) -> Groups:
    """The inner bins; what is outside belongs to the nearest of them."""
    groups = [[name] for name in column.bins[2:-1]]
    if groups:
        groups[0].insert(0, "below")
        groups[-1].insert(0, "above")
    return tuple(map(tuple, groups))


def _categories(column: Column) -> Groups:
    """By their share in the reference, most frequent first, whatever order they came in."""
    shares = dict(zip(column.bins, column.reference, strict=True))
    return tuple((name,) for name in sorted(column.bins[2:], key=lambda name: (-shares[name], name)))


def _rare(question: Question, column: Column, policy: Policy, *, inside: tuple[str, ...], refused: int) -> Test:
    share = min(1.0, sum(part for name, part in zip(column.bins, column.reference, strict=True) if name in inside))
    most = margin.rare(share, margin.slack(policy.invalid, column.rows))
    return Test(
        question=question,
        pick=_pick_rare(column.bins, inside, refused),
        names=(question.value.lower(), "rest"),
        reference=np.array([share, 1 - share]),
        chosen=_INSIDE,
        excesses=sets.RARE_EXCESSES,
        most=np.array([most]),
        gross=np.array([max(most, share + GROSS_RARE)]),
        margin=most - share,
    )


@functools.lru_cache(maxsize=256)
def _pick(bins: tuple[str, ...], groups: Groups) -> Floats:
    """Most columns have the bins of others, so one array serves them all."""
    place_of = {name: place for place, name in enumerate(bins)}
    pick = np.zeros((len(bins) + columns.REFUSED, len(groups)))
    for place, group in enumerate(groups):
        for name in group:
            pick[place_of[name], place] = 1
    return pick


@functools.lru_cache(maxsize=256)
def _pick_rare(bins: tuple[str, ...], inside: tuple[str, ...], refused: int) -> Floats:
    """The bins `inside` with the rows refused for it, and all others."""
    rest = tuple(name for name in bins if name not in inside)
    pick = _pick(bins, (inside, rest)).copy()
    pick[len(bins) :, 1] = 1
    pick[len(bins) + refused] = (1, 0)
    return pick
