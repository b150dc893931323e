"""Which feature moves a row's answer most: of which models that can be had, that it is right, and what it may cost."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper
from prometheus_client import parser
from tests.unit.server import graphs, prepared, test_drift

from seatrial.drift import columns as judged
from seatrial_server.engine import admitting, validation
from seatrial_server.model import bins, features, schema
from seatrial_server.observe import attributing, drift, influence
from seatrial_server.prepare import reference, typical
from seatrial_server.trial import attributed, subject

RANDOM = np.random.default_rng(0)
FLOAT, TEXT, WHOLE = TensorProto.FLOAT, TensorProto.STRING, TensorProto.INT64


def weighted(*weights: float, scores: bool = False) -> bytes:
    """x [N, F] -> y [N, 1], the weighted sum; or p [N, 2], the shares of two classes."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    array = np.array(weights, np.float32).reshape(-1, 1)
    if scores:
        array = np.concatenate([array, -array], axis=1)
        nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"])]
    return graphs.model(
        nodes,
        inputs={"x": (FLOAT, ["N", len(weights)])},
        outputs={"y": (FLOAT, ["N", array.shape[1]])},
        constants={"w": array},
    ).SerializeToString()


def influence_of(content: bytes, rows: list[Any], card: schema.Card | None = None) -> influence.Influence:
    """Of a model with these reference rows."""
    loaded, said = prepared.loaded(content), card or schema.Card()
    return influence.Influence(loaded, said, typical.values(said, loaded.schema, rows), batch=32)


def named(asked: influence.Influence, *row: Any) -> str | None:
    place = asked.of(list(row))
    return None if place is None else asked.labels[place]


def normal(columns: int, rows: int = 300) -> Any:
    return RANDOM.standard_normal((rows, columns)).astype(np.float32)


def test_the_feature_that_moves_the_answer_most_is_named() -> None:
    card = schema.Card(features=tuple(schema.Feature(name) for name in ("age", "income", "debt")), task="regression")
    asked = influence_of(weighted(1, 5, 0), [normal(3)], card)
    assert named(asked, np.array([[1, 1, 1]], np.float32)) == "income"
    assert named(asked, np.array([[9, 1, 1]], np.float32)) == "age"
    assert asked.labels == ("missing", "unseen", "other", "(none)", "age", "income", "debt")


def test_of_scores_the_highest_one_counts_and_of_labels_whether_they_change() -> None:
    scores = influence_of(weighted(0.1, 2, scores=True), [normal(2)])
    assert named(scores, np.array([[3, 3]], np.float32)) == "1"
    sign = graphs.model(
        [
            helper.make_node("MatMul", ["x", "w"], ["z"]),
            helper.make_node("Greater", ["z", "zero"], ["over"]),
            helper.make_node("Cast", ["over"], ["label"], to=WHOLE),
        ],
        inputs={"x": (FLOAT, ["N", 2])},
        outputs={"label": (WHOLE, ["N", 1])},
        constants={"w": np.array([[0.1], [2]], np.float32), "zero": np.zeros(1, np.float32)},
    ).SerializeToString()
    labels = influence_of(sign, [normal(2) - 1])
    assert named(labels, np.array([[1, 1]], np.float32)) == "1"
    assert named(labels, np.array([[-9, -9]], np.float32)) == influence.NONE


def test_a_feature_without_influence_or_at_its_typical_value_moves_nothing() -> None:
    rows = normal(2)
    asked = influence_of(weighted(0, 0), [rows])
    assert named(asked, np.array([[5, 5]], np.float32)) == influence.NONE
    rows[:, 1] = 7  # constant where it was trained
    asked = influence_of(weighted(1, 1), [rows])
    assert named(asked, np.array([[100, 7]], np.float32)) == "0"
    assert named(asked, np.array([[0, 900]], np.float32)) == "1", "what never changed may decide in production"


def test_names_that_mean_something_else_are_told_apart() -> None:
    card = schema.Card(features=tuple(schema.Feature(name) for name in ("missing", "other", "(none)", "=(none)")))
    asked = influence_of(weighted(1, 1, 1, 1), [normal(4)], card)
    assert asked.labels[4:] == ("=missing", "=other", "=(none)", "==(none)")


def test_the_median_stands_in_for_numbers_and_the_mode_for_categories_and_both_are_the_references_own() -> None:
    spec = schema.Schema(
        inputs=(
            schema.TensorSpec("x", "FP32", (-1, 2)),
            schema.TensorSpec("n", "INT64", (-1, 1)),
            schema.TensorSpec("b", "BOOL", (-1, 1)),
            schema.TensorSpec("t", "BYTES", (-1, 1)),
        ),
        outputs=(),
    )
    numbers = np.arange(200, dtype=np.float32).reshape(-1, 2)
    numbers[0] = np.nan
    flags = np.array([[row % 3 == 0] for row in range(100)])
    texts = np.array([["red" if row % 3 else ""] for row in range(100)], np.object_)
    found = typical.values(schema.Card(), spec, [numbers, np.arange(100).reshape(-1, 1), flags, texts])
    assert {one.name: one.value for one in found} == {"x.0": 100.0, "x.1": 101.0, "n.0": 49, "b.0": 0, "t.0": "red"}


def test_free_text_and_a_column_that_is_always_missing_have_nothing_typical() -> None:
    tensors = (schema.TensorSpec("x", "FP32", (-1, 3)), schema.TensorSpec("t", "BYTES", (-1, 1)))
    rows = normal(3)
    rows[:, 2] = np.nan
    texts = np.array([[f"a text of its own, {row}"] for row in range(300)], np.object_)
    found = typical.values(schema.Card(), schema.Schema(inputs=tensors, outputs=()), [rows, texts])
    assert [one.name for one in found] == ["x.0", "x.1"]


@pytest.mark.parametrize(
    ("datatype", "shape", "rows"),
    [
        pytest.param("FP32", (-1, 3, 32, 32), np.zeros((40, 3, 32, 32), np.float32), id="images"),
        pytest.param("FP32", (-1, 784), np.zeros((40, 784), np.float32), id="wider than a table"),
        pytest.param("INT64", (-1, -1), np.zeros((40, 12), np.int64), id="tokens of a text"),
        pytest.param("BYTES", (-1, 1), np.array([[f"{n}"] for n in range(40)], np.object_), id="text"),
        pytest.param("FP32", (-1, 1), np.zeros((40, 1), np.float32), id="a single number"),
    ],
)
def test_models_without_a_table_have_none(datatype: str, shape: tuple[int, ...], rows: Any) -> None:
    spec = schema.Schema(inputs=(schema.TensorSpec("x", datatype, shape),), outputs=())
    assert typical.values(schema.Card(), spec, [rows]) == ()


def test_of_a_table_beside_an_image_the_columns_are_asked_and_an_image_too_large_to_copy_ends_it() -> None:
    def beside(size: int) -> str | None:
        content = graphs.model(
            [
                helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
                helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
                helper.make_node("MatMul", ["x", "w"], ["sum"]),
                helper.make_node("Add", ["sum", "column"], ["y"]),
            ],
            inputs={"image": (FLOAT, ["N", size, size]), "x": (FLOAT, ["N", 2])},
            outputs={"y": (FLOAT, ["N", 1])},
            constants={"w": np.array([[1], [9]], np.float32), "one": np.array([1], np.int64)},
        )
        content.opset_import[0].version = 13
        images = np.zeros((40, size, size), np.float32)
        asked = influence_of(content.SerializeToString(), [images, normal(2, 40)], schema.Card(task="regression"))
        return named(asked, images[:1], np.array([[1, 1]], np.float32))

    assert beside(8) == "x.1"
    assert beside(700) is None


def test_columns_of_text_are_replaced_as_well() -> None:
    content = graphs.model(
        [
            helper.make_node("LabelEncoder", ["t"], ["n"], domain="ai.onnx.ml", keys_strings=["a", "b"],
                             values_floats=[0.0, 50.0], default_float=0.0),
            helper.make_node("Add", ["x", "n"], ["y"]),
        ],
        inputs={"x": (FLOAT, ["N", 1]), "t": (TEXT, ["N", 1])},
        outputs={"y": (FLOAT, ["N", 1])},
    ).SerializeToString()  # fmt: skip
    texts = np.array([["a"]] * 250 + [["b"]] * 50, np.object_)
    asked = influence_of(content, [normal(1), texts], schema.Card(task="regression"))
    assert named(asked, np.array([[1]], np.float32), np.array([["b"]], np.object_)) == "t.0"
    assert named(asked, np.array([[1]], np.float32), np.array([["a"]], np.object_)) == "x.0"


def test_an_answer_that_is_no_number_names_nobody() -> None:
    content = graphs.model(
        [helper.make_node("Log", ["x"], ["l"]), helper.make_node("ReduceSum", ["l", "one"], ["y"])],
        inputs={"x": (FLOAT, ["N", 2])},
        outputs={"y": (FLOAT, ["N", 1])},
        constants={"one": np.array([1], np.int64)},
    ).SerializeToString()
    asked = influence_of(content, [np.abs(normal(2)) + 1])
    assert named(asked, np.array([[-1, 1]], np.float32)) is None
    assert named(asked, np.array([[9, 1]], np.float32)) == "0"


def test_a_wide_table_names_its_first_columns_and_asks_all_of_them() -> None:
    weights = [0.0] * 500
    weights[3], weights[400] = 1, 100
    asked = influence_of(weighted(*weights), [normal(500)])
    assert len(asked.labels) == 64
    row = np.zeros((1, 500), np.float32)
    row[0, 400] = 5
    assert named(asked, row) == "other"
    row[0, 3] = 9000
    assert named(asked, row) == "3"


def test_models_of_fixed_or_no_rows_are_asked_too() -> None:
    for shape in ([8, 2], [2]):
        summed = helper.make_node("ReduceSum", ["p", "last"], ["y"], keepdims=1)
        content = graphs.model(
            [helper.make_node("Mul", ["x", "w"], ["p"]), summed],
            inputs={"x": (FLOAT, shape)},
            outputs={"y": (FLOAT, [*shape[:-1], 1])},
            constants={"w": np.array([1, 9], np.float32), "last": np.array([-1], np.int64)},
        ).SerializeToString()
        asked = influence_of(content, [normal(2)], schema.Card(task="regression"))
        assert named(asked, np.array([[1, 1]], np.float32)) == "1", shape


# what a process counts of it, and what that costs


class Inline(concurrent.futures.Executor):
    """Runs at once, so that a test sees what came of it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        fn(*args, **kwargs)
        return concurrent.futures.Future()


class Process:
    """A server's counters beside a clock and a model whose time are the test's."""

    def __init__(self, weights: tuple[float, ...] = (1, 5), *, card: schema.Card | None = None) -> None:
        self.now, self.model_seconds = 100.0, 0.0
        said = card or schema.Card()
        model = prepared.loaded(weighted(*weights)).schema
        guards = validation.guards(model, features.by_input(said.features, model))
        asked = influence_of(weighted(*weights), [normal(len(weights))], said)
        self.attributing = attributing.Attributing(
            asked,
            repair=admitting.repair(guards, whole=False),
            model_seconds=lambda: self.model_seconds,
            row_seconds=1e-3,
            threads=1,
            executor=Inline(),
            clock=lambda: self.now,
        )
        frozen = bins.Profile(features=(bins.Bins("0", 0, 0, edges=(-1, 0, 1)),), feature_shares=((0, 0, 0.5, 0.5, 0),))
        dtype = np.dtype(np.float32)
        self.drift = drift.Drift(
            frozen, inputs=[dtype], outputs=[dtype], labels=test_drift.LABELS, attributing=self.attributing
        )

    def serve(self, row: list[float], *, after: float = 10.0) -> None:
        self.now += after
        self.drift.observe([np.array([row], np.float32)], [])

    @property
    def counted(self) -> dict[str, float]:
        return {
            sample.labels["feature"]: sample.value
            for family in parser.text_string_to_metric_families(self.drift.exposition())
            for sample in family.samples
            if sample.name == "seatrial_attribution_rows_total" and sample.value
        }


ON = attributing.Settings(rows_per_second=1)


def test_nothing_is_asked_or_shown_until_it_is_switched_on() -> None:
    process = Process()
    process.model_seconds = 1e6
    process.serve([1, 1])
    assert "attribution" not in process.drift.exposition()
    process.attributing.follow(ON)
    process.model_seconds += 1e6
    process.serve([1, 1])
    assert process.counted == {"1": 1}


def test_switched_off_nothing_more_is_asked_and_totals_stay() -> None:
    process = Process()
    process.attributing.follow(ON)
    process.model_seconds = 1e6
    process.serve([1, 1])
    process.attributing.follow(attributing.Settings())
    process.serve([1, 1])
    assert process.counted == {"1": 1}


def test_rows_come_at_the_rate_that_is_asked_for() -> None:
    process = Process()
    process.attributing.follow(ON)
    process.model_seconds = 1e6
    for _ in range(1000):
        process.serve([1, 1], after=0.1)
    assert 80 <= sum(process.attributing.counts) <= 120


def test_what_is_spent_stays_within_a_hundredth_of_the_models_time_since_it_was_switched_on() -> None:
    process = Process()
    process.model_seconds = 1e6
    process.attributing.follow(attributing.Settings(rows_per_second=100))
    began = process.model_seconds
    for _ in range(3000):
        process.model_seconds += 1e-3
        process.serve([1, 1], after=1)
        assert process.attributing.spent <= attributing.SHARE * (process.model_seconds - began) + 1e-3
    assert 0 < sum(process.attributing.counts) < 3000, "the model's time before is no credit"


def test_rows_that_the_model_may_not_see_are_not_asked_and_repaired_ones_are_as_it_sees_them() -> None:
    columns = (schema.Feature("age", range=(0, 10), policy="clip"), schema.Feature("debt", range=(0, 10)))
    process = Process((1, 1), card=schema.Card(features=columns))
    process.attributing.follow(ON)
    process.model_seconds = 1e6
    process.serve([1000, 10])
    assert process.counted in ({"age": 1}, {"debt": 1})
    process.serve([5, 1000])
    assert sum(process.attributing.counts) == 1


def test_a_model_that_fails_on_replaced_values_is_asked_no_more() -> None:
    process = Process()
    process.attributing.follow(ON)
    process.model_seconds = 1e6
    for _ in range(10):
        process.serve([1, 1, 1])  # another width than the model's
    assert sum(process.attributing.counts) == 0
    spent = process.attributing.spent
    process.serve([1, 1])
    assert process.attributing.spent == spent


def test_a_thread_of_its_own_counts_what_it_was_given() -> None:
    executor = attributing.thread()
    process = Process()
    counting = process.attributing
    counting._executor = executor
    counting.follow(ON)
    process.model_seconds = 1e6
    process.serve([1, 1])
    executor.shutdown(wait=True)
    assert sum(counting.counts) == 1
    assert counting.spent > 0


# the trial's reference


def tried(tmp_path: Path, content: bytes, rows: Any, card: schema.Card | None = None) -> subject.Subject:
    """A package on trial: its prepared model with what `prepare` finds in its rows."""
    said = card or schema.Card()
    (tmp_path / "package").mkdir()
    np.savez(tmp_path / "package" / "reference.npz", x=rows)
    loaded = prepared.loaded(content)
    profile = reference.read(tmp_path / "package", said, loaded)
    made = prepared.write(tmp_path / "prepared", content, card=said, profile=profile)
    return subject.Subject(loaded, said, tmp_path / "package", made=made)


def test_the_trials_reference_is_what_a_pod_counts_and_what_the_operator_can_read(tmp_path: Path) -> None:
    rows = normal(3, 4000)
    found = attributed.of(tried(tmp_path, weighted(1, 2, 0), rows))
    assert found is not None
    read = msgspec.json.decode(msgspec.json.encode(found), type=judged.Column)
    judged.check(read)
    assert (read.kind, read.rows, read.ordered) == (judged.Kind.ATTRIBUTION, attributed.MAX_ROWS, False)
    shares = dict(zip(read.bins, read.reference, strict=True))
    assert 0.6 < shares["1"] < 0.8
    assert shares["2"] == shares["(none)"] == 0
    asked = influence_of(weighted(1, 2, 0), [rows])
    assert asked.labels == read.bins


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        pytest.param(weighted(1, 2), normal(2, 20), id="too few rows"),
        pytest.param(graphs.linear(1), normal(1), id="nothing to compare"),
    ],
)
def test_without_enough_there_is_no_reference(tmp_path: Path, content: bytes, rows: Any) -> None:
    assert attributed.of(tried(tmp_path, content, rows)) is None


def test_a_model_that_fails_on_replaced_values_has_no_reference_and_passes_its_trial_all_the_same(
    tmp_path: Path,
) -> None:
    """A place in a table of three rows by two columns: each value is one of the rows', together they may be none."""
    summed = helper.make_node("ReduceSum", ["x", "last"], ["place"], keepdims=0)
    content = graphs.model(
        [summed, helper.make_node("Gather", ["t", "place"], ["y"])],
        inputs={"x": (WHOLE, ["N", 2])},
        outputs={"y": (FLOAT, ["N"])},
        constants={"t": np.arange(3, dtype=np.float32), "last": np.array([1], np.int64)},
    ).SerializeToString()
    rows = np.array([[0, 2]] * 30 + [[2, 0]] * 31, np.int64)
    assert attributed.of(tried(tmp_path, content, rows)) is None


def test_rows_with_missing_values_count_where_the_model_takes_them(tmp_path: Path) -> None:
    rows = normal(2)
    rows[::2, 0] = np.nan
    content = graphs.model(
        [
            helper.make_node("IsNaN", ["x"], ["gone"]),
            helper.make_node("Where", ["gone", "zero", "x"], ["whole"]),
            helper.make_node("MatMul", ["whole", "w"], ["y"]),
        ],
        inputs={"x": (FLOAT, ["N", 2])},
        outputs={"y": (FLOAT, ["N", 1])},
        constants={"w": np.array([[5], [1]], np.float32), "zero": np.zeros(1, np.float32)},
    ).SerializeToString()
    card = schema.Card(features=(schema.Feature("a", missing="allow"), schema.Feature("b")))
    found = attributed.of(tried(tmp_path, content, rows, card))
    assert found is not None
    assert found.rows == 300
    refusing = schema.Card(features=(schema.Feature("a"), schema.Feature("b")))
    (tmp_path / "again").mkdir()
    found = attributed.of(tried(tmp_path / "again", content, rows, refusing))
    assert found is not None
    assert found.rows == 150
