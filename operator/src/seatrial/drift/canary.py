"""What the answers and the inputs of a candidate say beside stable's, in one step of a canary.

Both get the same traffic. So features of the same bins must agree, else the split isn't random and answers are not
compared. Answers of the same bins that differ are the model's doing. And each arm's inputs are held against its own
reference, grossly: other units, another order of columns, another encoder are the commonest fault of a new version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from seatrial.drift import answers, phi, sets, watch
from seatrial.drift.columns import Column, Floats, Kind
from seatrial.drift.judgement import Outcome
from seatrial.drift.policy import Policy
from seatrial.drift.watch import Hour


@dataclasses.dataclass(frozen=True)
class Arm:
    """A version's columns, and its slots: hours of a step, whatever their length."""

    columns: tuple[Column, ...]
    slots: tuple[Hour, ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """In words; nothing where there is nothing to say.

    Attributes:
        shifted: answers are distributed otherwise, by more than is tolerated.
        unlike: the candidate's inputs are unlike its reference, and stable's are not.
        unequal: the arms got other requests, so nothing can be said about answers.
    """

    shifted: str = ""
    unlike: str = ""
    unequal: str = ""


def judge(stable: Arm, candidate: Arm, *, margin: float, rate: float, policy: Policy) -> Found:
    """The words about one step.

    Args:
        margin: difference of shares that is tolerated between the arms.
        rate: chance of a false word, shared by all that are compared.
    """
    unlike = _unlike(candidate, policy)
    if unlike and _unlike(stable, policy):
        unlike = ""
    shared = list(_shared(stable, candidate))
    bound = max(1, len(shared)) / rate
    features = [one for one in shared if one[0].kind is Kind.FEATURE]
    unequal = _first(features, stable, candidate, margin=policy.tolerance, bound=bound)
    if unequal:
        return Found(unlike=unlike, unequal=f"the arms get other requests: {unequal}")
    predictions = [one for one in shared if one[0].kind is Kind.PREDICTION]
    return Found(unlike=unlike, shifted=_first(predictions, stable, candidate, margin=margin, bound=bound))


def _shared(stable: Arm, candidate: Arm) -> Iterator[tuple[Column, Column]]:
    """Columns of the same name and the same bins."""
    known = {(one.kind, one.name): one for one in stable.columns}
    for column in candidate.columns:
        other = known.get((column.kind, column.name))
        if other is not None and (other.bins, other.edges) == (column.bins, column.edges):
            yield column, other


def _first(pairs: Sequence[tuple[Column, Column]], stable: Arm, candidate: Arm, *, margin: float, bound: float) -> str:
    """The column with most evidence, in words, if that is enough."""
    best, words = np.log(bound), ""
    moments = sorted({slot.at for slot in stable.slots} & {slot.at for slot in candidate.slots})
    for column, other in pairs:
        rows, noise = _counted(candidate, column, moments)
        others, more = _counted(stable, other, moments)
        chosen = sets.family(rows.shape[1], ordered=column.ordered)
        dispersion = float(phi.estimate(noise + more))
        found, place = answers.log_evidence(rows, others, chosen=chosen, margin=margin, dispersion=dispersion)
        if found >= best:
            best, words = (
                found,
                _words(column, rows @ chosen[place], others @ chosen[place], rows, others, chosen[place]),
            )
    return words


def _counted(arm: Arm, column: Column, moments: Sequence[int]) -> tuple[Floats, phi.Sums]:
    """Rows by slot and bin, and how they split between pods."""
    at = {slot.at: slot for slot in arm.slots}
    bins = len(column.bins)
    noise, slots = phi.NOTHING, list[Floats]()
    for moment in moments:
        pods = np.array([pod.rows[column.name] for pod in at[moment].pods], dtype=np.float64).reshape(-1, bins)
        if len(pods) > 1:
            noise = noise + phi.split(pods)
        slots.append(pods.sum(axis=0))
    return np.array(slots).reshape(-1, bins), noise


def _words(column: Column, hits: Floats, other_hits: Floats, rows: Floats, others: Floats, chosen: Floats) -> str:
    names = [name for name, member in zip(column.bins, chosen, strict=True) if member]
    most = 3
    where = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    here, there = hits.sum() / max(1.0, rows.sum()), other_hits.sum() / max(1.0, others.sum())
    return (
        f"{column.name}: {100 * here:.3g}% of {int(rows.sum())} rows of the candidate in {where}, "
        f"{100 * there:.3g}% of {int(others.sum())} of stable's"
    )


def _unlike(arm: Arm, policy: Policy) -> str:
    """What is gross about an arm's inputs, all slots together as one hour."""
    features = tuple(one for one in arm.columns if one.kind is Kind.FEATURE)
    if not arm.slots or not features:
        return ""
    together = _together(arm.slots)
    _, judged = watch.after(watch.EMPTY, together, columns=features, policy=policy)
    return judged.message if judged.outcome is Outcome.DRIFTED else ""


def _together(slots: Sequence[Hour]) -> Hour:
    """One hour that holds the rows of all, pod by pod."""
    rows: dict[str, dict[str, list[int]]] = {}
    refused: dict[str, dict[str, dict[str, int]]] = {}
    for pod in (pod for slot in slots for pod in slot.pods):
        for column, counts in pod.rows.items():
            own = rows.setdefault(pod.name, {})
            own[column] = [old + new for old, new in zip(own.get(column, [0] * len(counts)), counts, strict=True)]
        for column, codes in pod.refused.items():
            known = refused.setdefault(pod.name, {}).setdefault(column, {})
            for code, count in codes.items():
                known[code] = known.get(code, 0) + count
    pods = tuple(
        watch.Pod(
            name=name, rows={column: tuple(counts) for column, counts in own.items()}, refused=refused.get(name, {})
        )
        for name, own in rows.items()
    )
    return Hour(at=slots[-1].at, pods=pods)
