"""Which class an answer belongs to. Pure: bytes in, a judgement out."""

from __future__ import annotations

import enum
import math
from typing import Any

import msgspec

SUM_TOLERANCE = 1e-3
# What the server calls a failure of the model: it raised, it answered nonsense, it was too slow for its clients.
MODEL_FAULTS = frozenset({"ModelFailed", "NotFinite", "DeadlineExceeded"})
OVERLOADED = "Overloaded"


class Outcome(enum.StrEnum):
    """The classes; every request ends in exactly one."""

    OK = "ok"
    MODEL_ERRORS = "model_errors"
    REJECTED = "rejected"
    SHED = "shed"
    LOST = "lost"
    WRONG = "wrong"
    WAITING = "waiting"


class Judgement(msgspec.Struct, frozen=True):
    """An outcome, its cause in a word or two (bounded vocabulary), and what a good answer said."""

    outcome: Outcome
    reason: str = ""
    version: str | None = None
    label: int | None = None


class _Output(msgspec.Struct, frozen=True):
    name: str
    datatype: str
    shape: tuple[int, ...]
    data: tuple[Any, ...]


class _Error(msgspec.Struct, frozen=True):
    error: str
    code: str = ""


class _Answer(msgspec.Struct, frozen=True):
    model_name: str
    outputs: tuple[_Output, ...]
    id: str = ""
    model_version: str | None = None


def judge(status: int, body: bytes, *, id: str, model: str, classes: int) -> Judgement:
    """Judge the answer to the one-row request `id` of a classifier with `classes` classes."""
    if status == 200:
        return _judge_answer(body, id=id, model=model, classes=classes)
    if status >= 500:
        return _judge_error(status, body)
    if status == 429:
        return Judgement(Outcome.SHED, reason="http 429")
    if 400 <= status < 500:
        return Judgement(Outcome.REJECTED, reason=f"http {status}")
    return Judgement(Outcome.WRONG, reason=f"http {status}")


def _judge_error(status: int, body: bytes) -> Judgement:
    """The model's fault, nobody there to answer (lost), or a fault of the server."""
    nobody = status in (502, 503, 504)
    try:
        code = msgspec.json.decode(body, type=_Error).code
    except msgspec.DecodeError:
        return Judgement(Outcome.LOST if nobody else Outcome.WRONG, reason=f"{status} without a V2 error")
    if code in MODEL_FAULTS:
        return Judgement(Outcome.MODEL_ERRORS, reason=f"{status} {code}")
    if code == OVERLOADED:
        return Judgement(Outcome.SHED, reason=f"{status} {code}")
    return Judgement(Outcome.LOST if nobody else Outcome.WRONG, reason=f"{status} {code[:40]}".strip())


def _judge_answer(body: bytes, *, id: str, model: str, classes: int) -> Judgement:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError:
        return Judgement(Outcome.WRONG, reason="not a V2 answer")
    outputs = {output.name: output for output in answer.outputs}
    label, probabilities = outputs.get("label"), outputs.get("probabilities")
    if answer.id != id:
        fault = "another id"
    elif answer.model_name != model:
        fault = "another model"
    elif label is None or probabilities is None:
        fault = "missing output"
    else:
        fault = _label_fault(label, classes) or _probabilities_fault(probabilities, classes)
    if fault or label is None:
        return Judgement(Outcome.WRONG, reason=fault, version=answer.model_version)
    return Judgement(Outcome.OK, version=answer.model_version, label=label.data[0])


def _label_fault(output: _Output, classes: int) -> str:
    if output.datatype != "INT64" or output.shape != (1,) or len(output.data) != 1:
        return "label shape"
    value = output.data[0]
    return "" if isinstance(value, int) and 0 <= value < classes else "label range"


def _probabilities_fault(output: _Output, classes: int) -> str:
    if output.datatype != "FP32" or output.shape != (1, classes):
        return "probabilities shape"
    flat = output.data[0] if len(output.data) == 1 and isinstance(output.data[0], list) else output.data
    if len(flat) != classes or not all(isinstance(value, (int, float)) and math.isfinite(value) for value in flat):
        return "probabilities values"
    return "" if abs(sum(flat) - 1) <= SUM_TOLERANCE else "probabilities sum"
