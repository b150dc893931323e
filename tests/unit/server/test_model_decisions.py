"""Graph checks, model.yaml, answers and the quantization gate."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.unit.server import graphs

from seatrial_server.host import config, errors
from seatrial_server.model import answers, features, schema
from seatrial_server.prepare import gate, quantize, verify

GOOD = gate.Measurement(disagreement=0.0, rows=400, speedup1=1.5, speedup32=2.0)
MODEL = schema.Schema(
    inputs=(schema.TensorSpec("x", "FP32", (-1, 2)),),
    outputs=(schema.TensorSpec("label", "INT64", (-1,)), schema.TensorSpec("scores", "FP32", (-1, 3))),
)


def test_a_custom_operator_is_refused_wherever_it_hides(tmp_path: Path) -> None:
    inner = helper.make_graph([helper.make_node("Evil", [], ["e"], domain="evil.example")], "inner", [], [])
    graph = graphs.model(
        [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)],
        inputs={"c": (TensorProto.BOOL, [])},
        outputs={"y": (TensorProto.FLOAT, [])},
    )
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(errors.Rejected, match=r"custom domain 'evil\.example'"):
        verify.read(tmp_path / "model.onnx")


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "missing", ""])
def test_external_data_outside_of_the_package_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(b"\x00" * 64)
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(with_external_data(location).SerializeToString())
    with pytest.raises(errors.Rejected, match="not a file of the package"):
        verify.read(folder / "model.onnx")


@pytest.mark.parametrize("split", [True, False])
def test_external_data_with_a_second_place_is_judged_by_the_one_that_counts(tmp_path: Path, split: bool) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\x00" * 64)
    (folder / "w.bin").write_bytes(b"\x00" * 64)
    model = with_external_data("w.bin")
    model.graph.initializer[0].external_data.add(key="location", value="../secret")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(errors.Rejected, match="not a file of the package"):
        verify.read(folder / "model.onnx", weights=tmp_path / "mapped.weights" if split else None)


def test_external_data_inside_of_the_package_is_embedded(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.ones(8, np.float32).tobytes())
    (tmp_path / "model.onnx").write_bytes(with_external_data("w.bin").SerializeToString())
    graph = verify.read(tmp_path / "model.onnx")
    assert graph.embedded
    assert len(graph.proto.graph.initializer[0].raw_data) == 32


def with_external_data(location: str) -> onnx.ModelProto:
    model = onnx.load_from_string(graphs.linear())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


def test_bytes_that_are_no_onnx_are_an_invalid_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"<html>not found</html>")
    with pytest.raises(errors.Rejected) as caught:
        verify.read(tmp_path / "model.onnx")
    assert caught.value.reason == "InvalidModel"


@pytest.mark.parametrize(("graph", "expected"), [(graphs.perceptron(hidden=8), True), (graphs.lookup(), False)])
def test_only_products_with_constant_weights_can_be_quantized(graph: bytes, expected: bool) -> None:
    assert quantize.applicable(onnx.load_from_string(graph)) is expected
    assert quantize.applicable(onnx.load_from_string(graph), "Dynamic") is expected


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (schema.Card(features=(schema.Feature("a"),)), "must list every column once"),
        (schema.Card(features=(schema.Feature("a", input="z"), schema.Feature("b", input="z"))), "no input 'z'"),
        (schema.Card(outputs=schema.OutputNames(label="z")), "outputs.label must be one of"),
    ],
)
def test_a_card_that_does_not_fit_the_graph_is_refused(card: schema.Card, words: str) -> None:
    def check() -> None:
        features.by_input(card.features, MODEL)
        schema.check_outputs(card, MODEL)

    with pytest.raises(errors.Rejected, match=words):
        check()


def test_the_label_output_is_the_answer() -> None:
    outputs = [np.array([2, 0]), np.zeros((2, 3), np.float32)]
    assert answers.read(schema.Card(), MODEL, outputs).values.tolist() == [2, 0]


def test_without_a_label_output_the_highest_score_is_the_answer() -> None:
    model = schema.Schema(inputs=MODEL.inputs, outputs=MODEL.outputs[1:])
    scores = [np.array([[0.1, 0.7, 0.2]], np.float32)]
    assert answers.read(schema.Card(), model, scores).values.tolist() == [1]
    assert answers.read(schema.Card(labels=("a", "b", "c")), model, scores).values.tolist() == ["b"]


def test_a_number_differs_when_it_moves_by_more_than_a_hundredth_of_the_range() -> None:
    reference = answers.Answers(values=np.array([[0.0], [50.0], [100.0]]), labels=False)
    other = answers.Answers(values=np.array([[0.9], [52.0], [np.nan]]), labels=False)
    assert answers.differing(reference, other).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (GOOD, ""),
        (gate.Measurement(disagreement=0.0, rows=298, speedup1=2, speedup32=2), "95% limit 1.00%"),
        (gate.Measurement(disagreement=0.005, rows=400, speedup1=2, speedup32=2), "95% limit 1.57%"),
        (gate.Measurement(disagreement=0.02, rows=400, speedup1=2, speedup32=2), "maxDisagreement is 1.00%"),
        (gate.Measurement(disagreement=0.0, rows=400, speedup1=0.9, speedup32=2), "at batch 1"),
        (gate.Measurement(disagreement=0.0, rows=400, speedup1=1.2, speedup32=0.9), "at batch 32"),
    ],
)
def test_the_gate_names_what_was_missed(measured: gate.Measurement, words: str) -> None:
    refusal = gate.decide(measured, config.Quantization())
    assert words in refusal
    assert bool(refusal) == bool(words)


@pytest.mark.parametrize(
    ("differing", "rows", "limit"), [(0, 2, 0.7764), (0, 299, 0.00997), (1, 20, 0.2161), (40, 4000, 0.01302), (5, 5, 1)]
)
def test_the_upper_limit_is_clopper_and_pearsons(differing: int, rows: int, limit: float) -> None:
    assert gate.upper_limit(differing, rows) == pytest.approx(limit, rel=2e-3)


@pytest.mark.parametrize("bound", [0.001, 0.01, 0.05, 0.5, 0.96, 1.0])
def test_the_least_rows_are_just_enough_without_a_difference(bound: float) -> None:
    least = gate.least_rows(bound)
    assert gate.upper_limit(0, least) <= bound
    assert least == 1 or gate.upper_limit(0, least - 1) > bound


def test_too_few_rows_are_told_how_many_are_needed() -> None:
    assert "2 rows" in gate.too_few(2, 0.01)
    assert "at least 299" in gate.too_few(298, 0.01)
    assert gate.too_few(299, 0.01) == ""
    assert "no number of rows" in gate.too_few(10**6, 0.0)


@pytest.mark.parametrize("quantized", [0.001, 0.0005], ids=["as fast", "twice as fast"])
def test_what_else_the_machine_does_makes_no_model_faster_or_slower(
    monkeypatch: pytest.MonkeyPatch, quantized: float
) -> None:
    """From the third round on a neighbour comes whenever it is one model's turn, and takes two thirds of its time."""
    clock = [0.0]
    monkeypatch.setattr(gate, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def model(seconds: float, *, beside: float) -> Any:
        def run(feeds: object) -> None:
            clock[0] += seconds * (beside if clock[0] > 0.05 else 1)

        return SimpleNamespace(run=run)

    for neighbours in ((3, 1), (1, 3)):
        original, other = (model(one, beside=much) for one, much in zip((0.001, quantized), neighbours, strict=True))
        clock[0] = 0.0
        assert gate.speedup(original, other, {}) == pytest.approx(0.001 / quantized, rel=0.1)


def test_rows_are_ranged_or_held_out_and_never_both() -> None:
    ranged, held_out = gate.split({"x": np.arange(5)})
    assert (ranged["x"].tolist(), held_out["x"].tolist()) == ([0, 2, 4], [1, 3])


def test_an_embedding_differs_by_its_distance_and_not_by_its_largest_number() -> None:
    model = schema.Schema(inputs=MODEL.inputs, outputs=MODEL.outputs[1:])
    vectors = np.array([[1.0, 0.99, -1.0], [1.0, 0.0, 0.0]])
    other = np.array([[0.99, 1.0, -1.0], [1.0, 0.2, 0.0]])
    assert answers.embeddings(schema.Card(), model, [vectors]) is not None
    assert answers.moved(vectors, other).tolist() == [False, True]


@pytest.mark.parametrize("card", [schema.Card(task="classification"), schema.Card(labels=("a", "b", "c"))])
def test_scores_of_a_classifier_are_no_embedding(card: schema.Card) -> None:
    model = schema.Schema(inputs=MODEL.inputs, outputs=MODEL.outputs[1:])
    assert answers.embeddings(card, model, [np.array([[3.0, -1.0, 0.5]])]) is None
    assert answers.embeddings(schema.Card(), model, [np.array([[0.2, 0.7, 0.1]])]) is None


def test_the_configuration_names_the_wrong_field(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        '{"model": {"name": "a", "version": "1", "uri": "u", "sha256": "%s"}, "quantization": {"mode": "Fast"}}'
        % ("0" * 64)
    )
    with pytest.raises(errors.Unavailable, match=r"quantization\.mode"):
        config.load(path)
