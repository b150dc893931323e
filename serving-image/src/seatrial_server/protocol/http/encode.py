"""Model outputs to a V2 infer response. Pure. The fixed parts are rendered once per model."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import orjson

from seatrial_server.engine.jobs import Outputs, Share
from seatrial_server.model import schema, session
from seatrial_server.protocol import binary
from seatrial_server.protocol.signature import Reply

_PIECE = 32 * 1024
"""Elements that are rendered in one call."""


class Encoder:
    """Encodes for one model."""

    def __init__(self, model: schema.Schema, *, name: str, version: str) -> None:
        self.start = b'{"model_name":%s,"model_version":%s,"id":' % (orjson.dumps(name), orjson.dumps(version))
        self._heads = [
            b'{"name":%s,"datatype":"%s","shape":[' % (orjson.dumps(spec.name), spec.datatype.encode())
            for spec in model.outputs
        ]
        self._datatypes = [spec.datatype for spec in model.outputs]

    def encode(
        self, request_id: str, outputs: Outputs, reply: Reply, *, degraded: str = "", marks: bytes = b""
    ) -> tuple[bytes, int | None]:
        """The body, and the length of its JSON part when a binary part follows.

        `degraded` marks the answer; one that isn't may have `marks`, its parameters as they stand before the outputs.
        """
        uniform = reply.uniform
        if type(outputs) is Share and uniform is not None and outputs.end - outputs.start == 1 and not degraded:
            # One row of a batch, all outputs in the same form: the first row that is asked for renders them all.
            batch = outputs.batch
            rendered = batch.rendered.get(uniform)
            if rendered is None:
                rendered = batch.rendered[uniform] = self.rows(batch.arrays, as_binary=uniform)
            rests, parts = rendered
            head = self.start + orjson.dumps(request_id) + marks + rests[outputs.start]
            return (head + parts[outputs.start], len(head)) if uniform else (head, None)
        documents, tail = [], []
        for index, as_binary in reply.outputs:
            array = outputs[index]
            shape = _dimensions(array.shape)
            if as_binary:
                part = binary.encoded(array, self._datatypes[index])
                tail.append(part)
                rest = b'],"parameters":{"binary_data_size":%d}}' % len(part)
            else:
                rest = b'],"data":%s}' % self._json(array, index)
            documents.append(b"%s%s%s" % (self._heads[index], shape, rest))
        mark = b',"parameters":{"degraded":%s}' % orjson.dumps(degraded) if degraded else marks
        head = b'%s%s%s,"outputs":[%s]}' % (self.start, orjson.dumps(request_id), mark, b",".join(documents))
        return (head + b"".join(tail), len(head)) if tail else (head, None)

    def rows(self, arrays: Sequence[session.Array], *, as_binary: bool) -> tuple[list[bytes], list[bytes]]:
        """For each row what follows `start` and the id in its answer; and its binary part, none where all is JSON."""
        if as_binary:
            parts = [self._binary_parts(array, index) for index, array in enumerate(arrays)]
            documents = [self._binary_rows(array, parts[index], index) for index, array in enumerate(arrays)]
            return _joined(documents), [b"".join(row) for row in zip(*parts, strict=True)]
        if len(arrays) == 1:
            return self._json_rows(arrays[0], 0, before=b',"outputs":[', after=b"]}"), []
        return _joined([self._json_rows(array, index) for index, array in enumerate(arrays)]), []

    def _json_rows(self, array: session.Array, index: int, *, before: bytes = b"", after: bytes = b"") -> list[bytes]:
        if self._datatypes[index] == "BYTES":
            joint, text = b"\n", b"\n".join([self._json(row, index)[1:-1] for row in array.reshape(len(array), -1)])
        else:
            joint = b"],["
            text = orjson.dumps(array.reshape(len(array), -1), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]
        before = b'%b%b%b],"data":[' % (before, self._heads[index], _dimensions((1, *array.shape[1:])))
        after = b"]}%b" % after
        # JSON has no line end of its own: a few calls for all rows instead of a few for each.
        return b"".join((before, text.replace(joint, b"%b\n%b" % (after, before)), after)).split(b"\n")

    def _binary_parts(self, array: session.Array, index: int) -> list[bytes]:
        return [binary.encoded(row, self._datatypes[index]) for row in array.reshape(len(array), -1)]

    def _binary_rows(self, array: session.Array, parts: Sequence[bytes], index: int) -> list[bytes]:
        before = b"%b%b" % (self._heads[index], _dimensions((1, *array.shape[1:])))
        return [b'%b],"parameters":{"binary_data_size":%d}}' % (before, len(part)) for part in parts]

    def _json(self, array: session.Array, index: int) -> bytes:
        if self._datatypes[index] == "BYTES":
            return orjson.dumps([_text(value) for value in array.reshape(-1)])
        flat = array.reshape(-1)
        if flat.size <= _PIECE:
            return orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)
        # In a thread then, where no call may keep the interpreter from the event loop for long.
        places = range(0, flat.size, _PIECE)
        parts = [
            orjson.dumps(flat[place : place + _PIECE], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] for place in places
        ]
        return b"[%b]" % b",".join(parts)


def _joined(documents: Sequence[Sequence[bytes]]) -> list[bytes]:
    """For each row the end of its answer, from the rows of each output."""
    return [b',"outputs":[%b]}' % b",".join(row) for row in zip(*documents, strict=True)]


@functools.lru_cache(maxsize=1024)
def _dimensions(shape: tuple[int, ...]) -> bytes:
    return ",".join(map(str, shape)).encode()


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
