"""Model outputs to a V2 infer response. Pure. The fixed parts are rendered once per model."""

from __future__ import annotations

import functools

import orjson

from seatrial_server import binary
from seatrial_server.jobs import Outputs, Share
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
        if type(outputs) is Share and reply.plain and not degraded:
            return self._plain(request_id, outputs, reply), None
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

    def _plain(self, request_id: str, share: Share, reply: Reply) -> bytes:
        """All outputs as JSON for one job of a batch: the numbers of the whole batch are rendered in one call."""
        start, end, batch = share.start, share.end, share.batch
        documents = []
        for index, _ in reply.outputs:
            rows = batch.rendered.get(index)
            if rows is None:
                rows = batch.rendered[index] = self._rows(batch.arrays[index], index)
            data = rows[start] if end - start == 1 else b",".join(rows[start:end])
            shape = _dimensions((end - start, *batch.arrays[index].shape[1:]))
            documents.append(b'%s%s],"data":[%s]}' % (self._heads[index], shape, data))
        return b'%s%s,"outputs":[%s]}' % (self._start, orjson.dumps(request_id), b",".join(documents))

    def _rows(self, array: session.Array, index: int) -> list[bytes]:
        """Each row's elements, separated by commas."""
        if self._datatypes[index] == "BYTES":
            return [self._json(row, index)[1:-1] for row in array]
        text = orjson.dumps(array.reshape(len(array), -1), option=orjson.OPT_SERIALIZE_NUMPY)
        return text[2:-2].split(b"],[")

    def _json(self, array: session.Array, index: int) -> bytes:
        if self._datatypes[index] == "BYTES":
            return orjson.dumps([_text(value) for value in array.reshape(-1)])
        return orjson.dumps(array.reshape(-1), option=orjson.OPT_SERIALIZE_NUMPY)


@functools.lru_cache(maxsize=1024)
def _dimensions(shape: tuple[int, ...]) -> bytes:
    return ",".join(map(str, shape)).encode()


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
