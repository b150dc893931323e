"""How many rows fell into each frozen bin of each feature and prediction, counted off the request path.

Batches are put aside and binned together, some hundred rows at a time or when somebody looks: per row that costs a
fraction of a microsecond. The text for Prometheus is written here, because a thousand series through
prometheus_client would hold up requests for ten milliseconds. Answers from the cache count like any other. Rows that
were refused for a value are counted apart, by feature and code: refusing must not hide what changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from seatrial_server.model import bins as bins_
from seatrial_server.model import schema, session
from seatrial_server.observe import attributing as attributing_
from seatrial_server.observe import text as text_


class Settings(msgspec.Struct, frozen=True):
    """Live ones. Off: nothing is counted, and nothing is shown, so that nobody stores series that nobody judges."""

    mode: Literal["Watch", "Off"] = "Watch"


_PENDING_ROWS = 256
_PENDING_BYTES = 4 * 1024 * 1024
Arrays = Sequence[session.Array]
Tensors = Mapping[int, session.Array]
"""Those with bins, by position in the schema."""
Refusals = Iterable[tuple[int, str, int]]
"""Column of the input, code, rows."""
_CODES = ("Missing", "NotFinite", "OutOfRange")
_CATEGORY_CODES = (*_CODES, "UnknownCategory")


class Counts:
    """Rows per bin of some tensors' columns."""

    def __init__(self, bins: Sequence[bins_.Bins], dtypes: Sequence[np.dtype[np.generic]]) -> None:
        self.bins = bins
        starts = np.cumsum([0, *(len(one.labels) for one in bins)])
        self.counts = np.zeros(int(starts[-1]), np.int64)
        self.tensors = sorted({one.tensor for one in bins})
        self._counters: list[Callable[[Tensors], None]] = []
        for tensor, dtype in enumerate(dtypes):
            numbers = [index for index, one in enumerate(bins) if one.tensor == tensor and one.edges]
            if numbers:
                self._counters.append(self._numeric(tensor, numbers, dtype, starts))
        self._counters += [
            self._categorical(one, int(starts[index])) for index, one in enumerate(bins) if not one.edges
        ]

    def add(self, arrays: Tensors) -> None:
        """Count the rows of these tensors."""
        for counter in self._counters:
            counter(arrays)

    def shares(self) -> tuple[tuple[float, ...], ...]:
        """Per column the share of each bin."""
        return tuple(tuple((part / max(1, part.sum())).round(6).tolist()) for part in self.parts())

    def parts(self) -> list[session.Array]:
        """The counts of each column."""
        return np.split(self.counts, np.cumsum([len(one.labels) for one in self.bins])[:-1]) if self.bins else []

    def _numeric(
        self, tensor: int, numbers: list[int], dtype: np.dtype[np.generic], starts: session.Array
    ) -> Callable[[Tensors], None]:
        chosen = [self.bins[index] for index in numbers]
        columns = [one.column for one in chosen]
        dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
        edges = np.full((max(len(one.edges) for one in chosen), len(chosen)), np.nan, dtype)  # NaN: never reached
        for place, one in enumerate(chosen):
            edges[: len(one.edges), place] = one.edges
            edges[len(one.edges) - 1, place] = np.nextafter(edges[len(one.edges) - 1, place], dtype.type(np.inf))
        first = starts[numbers]

        def count(arrays: Tensors) -> None:
            values = _columns(arrays[tensor], columns).astype(dtype, copy=False)
            codes = np.ones(values.shape, np.int8)
            for reached in edges:  # a loop over edges is ten times as fast as one comparison in three dimensions
                codes += values >= reached
            codes[np.isnan(values)] = 0
            self.counts += np.bincount((codes + first).ravel(), minlength=len(self.counts))

        return count

    def _categorical(self, one: bins_.Bins, start: int) -> Callable[[Tensors], None]:
        codes: dict[schema.Value | None, int] = {None: 0, "": 0}
        codes.update(dict.fromkeys(one.rare, 2))
        codes.update((value, 3 + index) for index, value in enumerate(one.categories))
        end = start + len(one.labels)

        def count(arrays: Tensors) -> None:
            values = _columns(arrays[one.tensor], [one.column])[:, 0].tolist()
            # NaN is what differs from itself
            found = [codes.get(value, 1) if value == value else 0 for value in values]
            self.counts[start:end] += np.bincount(found, minlength=end - start)

        return count


class Drift:
    """The counters of one process. `observe` may be called in the model's thread, `exposition` on the loop."""

    def __init__(
        self,
        reference: bins_.Profile,
        *,
        inputs: Sequence[np.dtype[np.generic]],
        outputs: Sequence[np.dtype[np.generic]],
        labels: dict[str, str],
        attributing: attributing_.Attributing | None = None,
    ) -> None:
        self._attributing = attributing
        self._features, self._predictions = Counts(reference.features, inputs), Counts(reference.outputs, outputs)
        self._lock = threading.Lock()
        self._on = True
        self._pending: list[tuple[Arrays, Arrays]] = []
        self._rows = self._bytes = 0
        self._pairs = pairs = ",".join(f'{name}="{text_.escaped(value)}"' for name, value in labels.items())
        self._names = {(one.tensor, one.column): one.name for one in reference.features}
        self._refused = {
            (one.name, code): 0 for one in reference.features for code in (_CODES if one.edges else _CATEGORY_CODES)
        }
        self._refused_lines = [
            f'seatrial_refused_rows_total{{{pairs},feature="{text_.escaped(name)}",code="{code}"}}'
            for name, code in self._refused
        ]
        self._lines = [
            _lines("feature", "feature", reference.features, pairs),
            _lines("prediction", "output", reference.outputs, pairs),
        ]
        self._reference = "".join(
            text_.family(
                f"seatrial_{kind}_reference_ratio", "gauge", f"Share of the reference rows in a bin of a {kind}."
            )
            + "".join(
                f"{line} {share}\n"
                for line, share in zip(
                    _lines(kind, label, bins, pairs, "reference_ratio"),
                    (share for part in shares for share in part),
                    strict=True,
                )
            )
            for kind, label, bins, shares in (
                ("feature", "feature", reference.features, reference.feature_shares),
                ("prediction", "output", reference.outputs, reference.output_shares),
            )
        ) + "".join(
            text_.family(f"seatrial_{kind}_reference_rows", "gauge", f"Rows that the shares of a {kind} come from.")
            + f"seatrial_{kind}_reference_rows{{{pairs}}} {rows}\n"
            for kind, rows in (("feature", reference.feature_rows), ("prediction", reference.output_rows))
        )

    def follow(self, settings: Settings) -> None:
        """What holds from now on. Totals go on from where they stood."""
        self._on = settings.mode == "Watch"

    def refuse(self, tensor: int, refusals: Refusals) -> None:
        """Count rows that the model did not see because of a value in this input."""
        if not self._on:
            return
        with self._lock:
            for column, code, rows in refusals:
                key = (self._names.get((tensor, column), ""), code)
                if key in self._refused:
                    self._refused[key] += rows

    def observe(self, inputs: Arrays, outputs: Arrays) -> None:
        """Remember the rows of one model call, as they were given."""
        if not self._on:
            return
        if self._attributing is not None:
            self._attributing.offer(inputs)
        with self._lock:
            self._pending.append((inputs, outputs))
            self._rows += len(inputs[0])
            self._bytes += sum(array.nbytes for array in inputs) + sum(array.nbytes for array in outputs)
            if self._rows >= _PENDING_ROWS or self._bytes >= _PENDING_BYTES:
                self._settle()

    def exposition(self) -> str:
        """The series in Prometheus' text format."""
        if not self._on:
            return ""
        with self._lock:
            self._settle()
            numbers = [self._features.counts.tolist(), self._predictions.counts.tolist()]
            refused = list(self._refused.values())
        text = []
        for kind, lines, counts in zip(("feature", "prediction"), self._lines, numbers, strict=True):
            text.append(text_.family(f"seatrial_{kind}_rows_total", "counter", f"Rows in a frozen bin of a {kind}."))
            text += [f"{line} {count}\n" for line, count in zip(lines, counts, strict=True)]
        text.append(text_.family("seatrial_refused_rows_total", "counter", "Rows refused for the value of a feature."))
        text += [f"{line} {count}\n" for line, count in zip(self._refused_lines, refused, strict=True)]
        if self._attributing is not None:
            text.append(self._attributing.exposition(self._pairs))
        return "".join([*text, self._reference])

    def _settle(self) -> None:
        pending, self._pending, self._rows, self._bytes = self._pending, [], 0, 0
        if not pending:
            return
        for side, counts in enumerate((self._features, self._predictions)):
            together = {index: np.concatenate([batch[side][index] for batch in pending]) for index in counts.tensors}
            for start in range(0, max(map(len, together.values()), default=0), _PENDING_ROWS):
                counts.add({index: array[start : start + _PENDING_ROWS] for index, array in together.items()})


def shares(
    bins: Sequence[bins_.Bins], dtypes: Sequence[np.dtype[np.generic]], arrays: Arrays
) -> tuple[tuple[float, ...], ...]:
    """The bins' shares of the reference itself."""
    counts = Counts(bins, dtypes)
    counts.add(dict(enumerate(arrays)))
    return counts.shares()


def _columns(array: session.Array, columns: list[int]) -> session.Array:
    rows = array.reshape(len(array), -1)
    if columns == [bins_.TOP]:
        return np.asarray(rows.max(axis=1, keepdims=True))
    return rows if len(columns) == rows.shape[1] else rows[:, columns]


def _lines(kind: str, label: str, bins: Sequence[bins_.Bins], pairs: str, name: str = "rows_total") -> list[str]:
    return [
        f'seatrial_{kind}_{name}{{{pairs},{label}="{text_.escaped(one.name)}",bin="{text_.escaped(text)}"}}'
        for one in bins
        for text in one.labels
    ]
