"""What the exporter of a refused model can do, from ONNX Runtime's words. Pure."""

from __future__ import annotations

_TYPES = (
    ("seq(map(", "export with zipmap=False to get plain tensors"),
    ("seq(", "export with a tensor in its place: stack the sequence's elements"),
    ("map(", "export with the keys as class labels and the values as a tensor"),
    ("optional(", "export without optional types: give the input a default value in the graph (an initializer)"),
    ("sparse_tensor(", "export with a dense tensor (torch: .to_dense(), scikit-learn: .toarray())"),
    ("", "export with float32 or float16 (torch: model.float())"),
)
_WORDS = (
    ("bfloat16", "export with float32 or float16 (torch: model.float())"),
    ("sparse_tensor(", "export with dense tensors (torch: .to_dense(), scikit-learn: .toarray())"),
    ("opset", "export with an older opset (torch: opset_version=20, skl2onnx: target_opset=20)"),
    ("construct locale", "export with the locale en_US or none"),
    ("find an implementation", "export with float32, which every operator takes on a CPU"),
    ("custom", "export with operators of ONNX or ONNX Runtime"),
    ("not a registered function/op", "export with operators of ONNX or ONNX Runtime"),
)


def on_type(kind: str) -> str:
    """For an input or output of a type that the protocol can't carry."""
    return next(text for start, text in _TYPES if kind.startswith(start))


def on_load(words: str) -> str:
    """For a model that does not load; empty where nothing is known to help."""
    return next((f"; {text}" for part, text in _WORDS if part in words.lower()), "")
