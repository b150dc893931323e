"""A model that can't be served is refused with what its exporter can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.unit.server import graphs, test_model_decisions

from seatrial_server.host import errors
from seatrial_server.model import session
from seatrial_server.prepare import verify

FLOAT, BF16 = TensorProto.FLOAT, TensorProto.BFLOAT16


def info(name: str, kind: int = FLOAT, shape: Any = ("N", 2)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def typed(name: str, make: Any, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_value_info(name, make(helper.make_tensor_type_proto(FLOAT, shape)))


def graph(*nodes: onnx.NodeProto, x: Any = None, y: Any = None, opset: int = 18, **more: Any) -> bytes:
    made = helper.make_graph(list(nodes), "refused", x or [info("x")], y or [info("y")], **more)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("evil", 1)]
    content: bytes = helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString()
    return content


def node(kind: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, ["x"], ["y"], **attributes)


def sparse(name: str) -> onnx.ValueInfoProto:
    return helper.make_value_info(name, helper.make_sparse_tensor_type_proto(FLOAT, [3, 3]))


def inner() -> bytes:
    return graph(
        helper.make_node("Cast", ["x"], ["c"], to=BF16),
        helper.make_node("MatMul", ["c", "c"], ["d"]),
        helper.make_node("Cast", ["d"], ["y"], to=FLOAT),
        x=[info("x", shape=[2, 2])],
        y=[info("y", shape=[2, 2])],
    )


CASES = {
    "a custom operator": (graph(node("Evil", domain="evil")), "export with operators of ONNX"),
    "only a sequence": (
        graph(node("SplitToSequence"), y=[typed("y", helper.make_sequence_type_proto)]),
        r"outputs \['y'\] are no tensors.*stack the sequence",
    ),
    "sparse tensors": (graph(node("Identity"), x=[sparse("x")], y=[sparse("y")]), "export with dense tensors"),
    "BF16 in and out": (
        graph(node("Identity"), x=[info("x", BF16)], y=[info("y", BF16)]),
        "input 'x'.*export with float32",
    ),
    "a BF16 output among others": (
        graph(
            helper.make_node("Cast", ["x"], ["y"], to=BF16),
            helper.make_node("Neg", ["x"], ["z"]),
            y=[info("y", BF16), info("z")],
        ),
        "output 'y' is .*bfloat16.*export with float32",
    ),
    "BF16 inside": (inner(), "cannot load the model.*export with float32"),
    "an optional type": (
        graph(
            node("OptionalGetElement"), x=[typed("x", helper.make_optional_type_proto, [2])], y=[info("y", shape=[2])]
        ),
        "input 'x'.*an initializer",
    ),
    "an opset of the future": (graph(node("Neg"), opset=99), "older opset"),
    "a locale that isn't there": (
        graph(
            node("StringNormalizer", case_change_action="LOWER", locale="de_DE.UTF-8"),
            x=[info("x", TensorProto.STRING, ["N"])],
            y=[info("y", TensorProto.STRING, ["M"])],
        ),
        "Failed to construct locale with name:de_DE.*export with the locale en_US",
    ),
}


@pytest.mark.parametrize(("content", "words"), CASES.values(), ids=CASES)
def test_a_refusal_says_what_to_export_instead(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(errors.Rejected, match=words) as caught:
        session.load(verify.read(tmp_path / "model.onnx").proto.SerializeToString())
    assert caught.value.reason == "InvalidModel"
    assert "onnxruntime_src" not in str(caught.value)


def test_a_bare_graph_without_its_data_is_told_to_be_packed_with_them(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(test_model_decisions.with_external_data("w.bin").SerializeToString())
    with pytest.raises(errors.Rejected, match=r"'w\.bin'.*pack both as \.tar"):
        verify.read(tmp_path / "model.onnx")


def test_a_sequence_beside_tensors_is_left_out() -> None:
    loaded = session.load(
        graph(
            helper.make_node("SplitToSequence", ["x"], ["s"]),
            node("Neg"),
            y=[info("y"), typed("s", helper.make_sequence_type_proto)],
        )
    )
    assert ([spec.name for spec in loaded.schema.outputs], loaded.left_out) == (["y"], ("s",))


def test_an_input_with_a_default_in_the_graph_need_not_be_given() -> None:
    two = numpy_helper.from_array(np.array([2], np.float32), "k")
    content = graph(helper.make_node("Mul", ["x", "k"], ["y"]), x=[info("x"), info("k", shape=[1])], initializer=[two])
    loaded = session.load(content)
    assert [spec.name for spec in loaded.schema.inputs] == ["x"]
    assert loaded.run({"x": np.ones((1, 2), np.float32)})[0].tolist() == [[2, 2]]


@pytest.mark.parametrize("kind", [FLOAT, TensorProto.STRING], ids=["number", "text"])
def test_rows_of_scalars_run_one_by_one(kind: int) -> None:
    rows = np.array(["a", "b"], np.object_) if kind == TensorProto.STRING else np.array([1, 2], np.float32)
    scalar = graphs.model([node("Identity")], inputs={"x": (kind, [])}, outputs={"y": (kind, [])})
    [answers] = session.load(scalar.SerializeToString()).rows({"x": rows})
    assert answers.tolist() == rows.tolist()
