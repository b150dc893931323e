"""Model outputs to a V2 infer response. Pure. The fixed parts are rendered once per model."""

from __future__ import annotations

import functools

import orjson

from seatrial_server import binary
from seatrial_server.jobs import Outputs
from seatrial_server.model import schema, session
from seatrial_server.signature import Reply


class Encoder:
    """Encodes for one model."""

    def __init__(self, model: schema.Schema, *, name: str, version: str) -> None:
        self._start = b'{"model_name":%s,"model_version":%s,"id":' % (orjson.dumps(name), orjson.dumps(version))
        self._heads = [
            b'{"name":%s,"datatype":"%s","shape":[' % (orjson.dumps(spec.name), spec.datatype.encode())
            for spec in model.outputs
        ]
        self._datatypes = [spec.datatype for spec in model.outputs]

    def encode(
        self, request_id: str, outputs: Outputs, reply: Reply, *, degraded: str = ""
    ) -> tuple[bytes, int | None]:
        """The body, and the length of its JSON part when a binary part follows. `degraded` marks the answer."""
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
        mark = b',"parameters":{"degraded":%s}' % orjson.dumps(degraded) if degraded else b""
        head = b'%s%s%s,"outputs":[%s]}' % (self._start, orjson.dumps(request_id), mark, b",".join(documents))
        return (head + b"".join(tail), len(head)) if tail else (head, None)

    def _json(self, array: session.Array, index: int) -> bytes:
        if self._datatypes[index] == "BYTES":
            return orjson.dumps([_text(value) for value in array.reshape(-1)])
        return orjson.dumps(array.reshape(-1), option=orjson.OPT_SERIALIZE_NUMPY)


@functools.lru_cache(maxsize=1024)
def _dimensions(shape: tuple[int, ...]) -> bytes:
    return ",".join(map(str, shape)).encode()


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
