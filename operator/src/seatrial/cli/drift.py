"""`seatrial drift`: what would be said about drift, hour by hour, from counts in a file.

Reads and prints; all computing is in `seatrial.drift`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import click
import msgspec

from seatrial.api import values
from seatrial.cli import recorded
from seatrial.drift import columns, policy, stored, totals, watch
from seatrial.drift.judgement import Judgement

NAME = "seatrial drift"


class Recording(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A file to replay: what is watched and tolerated, what was known before (`state`), and the hours since.

    The hours themselves, or totals as `prometheus` has answered them.
    """

    columns: Annotated[tuple[columns.Column, ...], msgspec.Meta(min_length=1)]
    policy: policy.Policy = policy.Policy()
    state: stored.State | None = None
    hours: tuple[watch.Hour, ...] = ()
    prometheus: totals.Answer | None = None


@click.command()
@click.argument("file")
@click.option("--changes", is_flag=True, help="Only hours whose outcome or reason differs from the hour before.")
@click.option("--plot", is_flag=True, help="Draw the evidence over days, and a column beside its reference, instead.")
def command(file: str, *, changes: bool, plot: bool) -> None:
    """Judge recorded counts for drift hour by hour, as the operator would.

    FILE (or - for standard input) is JSON: {"columns": [...], "policy": {...}, "hours": [...]}. A column is {"name":
    "income", "kind": "Feature", "bins": ["missing", "below", "1", ..., "above"], "reference": [0.01, 0, 0.099, ...],
    "rows": 2000, "edges": [...]}: the bins of the metric seatrial_feature_rows_total or _prediction_rows_total, the
    reference's share of each (seatrial_feature_reference_ratio), how many rows the reference has, and (optional) the
    values between the inner bins of a number. Categories have the bins missing, unseen, other and one for each value.

    An hour is {"at": 490000, "ready": 2, "pods": [{"rows": {"income": [3, 0, 41, ...]}, "refused": {"income":
    {"Missing": 2}}}]}: counted from the epoch, rows of each pod within it; "ready" (optional) says how many pods there
    were. "policy" (optional) has tolerance, gross, invalid, season, falseAlarmRate, ignore; "state" (optional) is what
    was remembered before the first hour.

    In place of hours "prometheus" may hold the answer to a range query with a step of 1h for the counters of one
    revision:
    last_over_time({__name__=~"seatrial_(feature|prediction|attribution|refused)_rows_total",revision="..."}[1h]).

    Prints one JSON line per hour: at, outcome, reason, columns (the strongest five), message. logEvidence is the
    natural logarithm of the evidence; an alarm is raised when it reaches log(bound).
    """
    with recorded.refused(file, by=NAME):
        recording = msgspec.json.decode(recorded.content(file), type=Recording, dec_hook=values.decode_hook)
        if plot:
            _draw(_checked(recording))
            return
        for line in _lines(_checked(recording), changes=changes):
            click.echo(line)


def _checked(recording: Recording) -> Recording:
    """What the types can't say.

    Raises:
        ValueError: names the part of the file.
    """
    for place, column in enumerate(recording.columns):
        _within(f"columns[{place}]", columns.check, column)
    names = [column.name for column in recording.columns]
    if len(set(names)) != len(names):
        raise ValueError("columns must have different names")
    _within("policy", policy.check, recording.policy)
    if recording.prometheus is not None:
        if recording.hours:
            raise ValueError("give hours or prometheus, not both")
        watched = _counted(recording.columns, recording.prometheus)
        return msgspec.structs.replace(recording, columns=watched, hours=_hours(recording.prometheus, watched))
    for number, hour in enumerate(recording.hours):
        for pod in hour.pods:
            unknown = (pod.rows.keys() | pod.refused.keys()) - set(names)
            if unknown:
                raise ValueError(f"hours[{number}] has counts of {min(unknown)!r}, which is no column")
    return recording


def _counted(watched: Sequence[columns.Column], answer: totals.Answer) -> tuple[columns.Column, ...]:
    """Without attributions where pods were not asked for them: the operator does not judge them then."""
    counted = any(series.metric.get("__name__") == totals.ATTRIBUTIONS for series in answer.data.result)
    return tuple(one for one in watched if counted or one.kind is not columns.Kind.ATTRIBUTION)


def _hours(answer: totals.Answer, watched: Sequence[columns.Column]) -> tuple[watch.Hour, ...]:
    try:
        return totals.hours(answer, watched)
    except ValueError as error:
        raise ValueError(f"prometheus {error}") from error


def _within(part: str, check: Callable[[Any], None], value: Any) -> None:
    try:
        check(value)
    except ValueError as error:
        raise ValueError(f"{part}.{error}") from error


def _lines(recording: Recording, *, changes: bool) -> Iterator[str]:
    said = None
    for _, judged in _steps(recording):
        if not changes or (judged.outcome, judged.reason) != said:
            yield _line(judged)
        said = (judged.outcome, judged.reason)


def _draw(recording: Recording) -> None:
    try:
        from seatrial.plugin import drift_picture
    except ImportError as error:
        recorded.refuse(f"--plot: {error}: pip install 'seatrial[plugin]'", by=NAME)
    drift_picture.show(_steps(recording), columns=recording.columns, policy=recording.policy)


def _steps(recording: Recording) -> Iterator[tuple[watch.Memory, Judgement]]:
    """What is remembered and said after each hour; at once where there are none."""
    memory = watch.EMPTY
    if recording.state is not None:
        memory = stored.memory(recording.state, {one.name: columns.places(one) for one in recording.columns})
    if not recording.hours:
        yield watch.judge(memory, columns=recording.columns, policy=recording.policy)
    for number, hour in enumerate(recording.hours):
        try:
            memory, judged = watch.after(memory, hour, columns=recording.columns, policy=recording.policy)
        except ValueError as error:
            raise ValueError(f"hours[{number}]: {error}") from error
        yield memory, judged


def _line(judged: Judgement) -> str:
    return msgspec.json.encode(judged).decode()
