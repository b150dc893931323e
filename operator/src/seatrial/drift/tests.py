"""Three questions to each column: did its shape move, are more values missing, are more outside of the reference?

The last two tell a broken pipeline from a changed world: a model should learn from the second, never from the first.
"""

from __future__ import annotations

import dataclasses
import enum

import numpy as np

from seatrial.drift import columns, margin, sets
from seatrial.drift.columns import Column, Floats, Kind
from seatrial.drift.policy import Policy

GROSS_RARE = 0.1
"""Of missing or unknown values: so much more in the last hour alone is a broken pipeline."""
PER_COLUMN = 3


class Question(enum.StrEnum):
    SHAPE = "Shape"
    MISSING = "Missing"
    OUTSIDE = "Outside"


VALIDITY = frozenset({Question.MISSING, Question.OUTSIDE})


@dataclasses.dataclass(frozen=True)
class Test:
    """One question to one column.

    `pick` [places, bins] makes the question's bins of a row of counts, `names` are theirs, `chosen` the sets of them
    [sets, bins]; `most` and `gross` the share that each set may have, over days and in the last hour. `margin` is by
    how much `most` exceeds the reference; `note` says what blunts the test.
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


def of(column: Column, policy: Policy) -> tuple[Test, ...]:
    """The questions that can be put to a column: one with a single bin has no shape, an attribution nothing else."""
    shape = _shape(column, policy)
    if column.kind is Kind.ATTRIBUTION:
        return () if shape is None else (shape,)
    outside = ["below", "above"] if column.ordered else ["unseen"]
    rare = (
        _rare(Question.MISSING, column, policy, inside=["missing"], refused=0),
        _rare(Question.OUTSIDE, column, policy, inside=outside, refused=1),
    )
    return rare if shape is None else (shape, *rare)


def _shape(column: Column, policy: Policy) -> Test | None:
    groups = _numbers(column) if column.ordered else _categories(column)
    if len(groups) < 2:
        return None
    reference = _pick(column, groups).T[:, : len(column.bins)] @ np.array(column.reference)
    if not reference.sum():
        return None
    reference = reference / reference.sum()
    allowed = margin.shape(policy.tolerance, column.rows, reference)
    chosen = sets.family(len(groups), ordered=column.ordered)
    shares = chosen @ reference
    return Test(
        question=Question.SHAPE,
        pick=_pick(column, groups),
        names=tuple(group[-1] if column.ordered else group[0] for group in groups),
        reference=reference,
        chosen=chosen,
        excesses=sets.EXCESSES,
        most=shares + allowed,
        gross=shares + max(policy.gross, allowed),
        margin=allowed,
        note=f"wide margin: {column.rows} reference rows" if allowed > policy.tolerance else "",
    )


def _numbers(column: Column) -> list[list[str]]:
    """The inner bins; what is outside belongs to the nearest of them."""
    groups = [[name] for name in column.bins[2:-1]]
    if groups:
        groups[0].insert(0, "below")
        groups[-1].insert(0, "above")
    return groups


def _categories(column: Column) -> list[list[str]]:
    """By their share in the reference, most frequent first, whatever order they came in."""
    shares = dict(zip(column.bins, column.reference, strict=True))
    return [[name] for name in sorted(column.bins[2:], key=lambda name: (-shares[name], name))]


def _rare(question: Question, column: Column, policy: Policy, *, inside: list[str], refused: int) -> Test:
    rest = [name for name in column.bins if name not in inside]
    pick = _pick(column, [inside, rest])
    pick[len(column.bins) :, 1] = 1
    pick[len(column.bins) + refused] = (1, 0)
    share = min(1.0, sum(part for name, part in zip(column.bins, column.reference, strict=True) if name in inside))
    most = margin.rare(share, margin.slack(policy.invalid, column.rows))
    return Test(
        question=question,
        pick=pick,
        names=(question.value.lower(), "rest"),
        reference=np.array([share, 1 - share]),
        chosen=np.array([[1.0, 0.0]]),
        excesses=sets.RARE_EXCESSES,
        most=np.array([most]),
        gross=np.array([max(most, share + GROSS_RARE)]),
        margin=most - share,
    )


def _pick(column: Column, groups: list[list[str]]) -> Floats:
    pick = np.zeros((columns.places(column), len(groups)))
    for place, group in enumerate(groups):
        for name in group:
            pick[column.bins.index(name), place] = 1
    return pick
