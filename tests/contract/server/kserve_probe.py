"""Runs in the kserve client's environment: sends what it is told in every way that the client knows.

Reads {datatype: {rest, grpc, shape, dtype, data}} from standard input, writes {way: {datatype: answer or error}}.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


def array(task: dict[str, Any]) -> Any:
    data = task["data"]
    flat = np.array(data, np.object_) if isinstance(data, list) else np.frombuffer(bytes.fromhex(data), task["dtype"])
    return flat.reshape(task["shape"])


def request(datatype: str, values: Any, *, binary: bool, wanted: bool = False) -> InferRequest:
    """`wanted`: the output is asked for in binary."""
    tensor = InferInput("x", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    outputs = [RequestedOutput("y", parameters={"binary_data": True})] if wanted else None
    return InferRequest(model_name="model", infer_inputs=[tensor], request_id="mine", request_outputs=outputs)


def typed(datatype: str, values: Any) -> InferRequest:
    flat = values.reshape(-1).tolist()
    content = [value.encode() for value in flat] if datatype == "BYTES" else flat
    tensor = InferInput("x", list(values.shape), datatype, data=content)
    return InferRequest(model_name="model", infer_inputs=[tensor], request_id="mine")


async def rest(task: dict[str, Any], datatype: str, *, binary: bool, wanted: bool) -> Any:
    client = InferenceRESTClient(config=RESTConfig(protocol="v2"))
    try:
        assert await client.is_server_live(task["rest"])
        assert await client.is_server_ready(task["rest"])
        assert await client.is_model_ready(task["rest"], model_name="model")
        sent = request(datatype, array(task), binary=binary, wanted=wanted)
        return await client.infer(task["rest"], sent, model_name="model")
    finally:
        await client.close()


async def grpc(task: dict[str, Any], datatype: str, *, raw: bool) -> Any:
    client = InferenceGRPCClient(url=task["grpc"])
    try:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready(model_name="model")
        values = array(task)
        return await client.infer(request(datatype, values, binary=True) if raw else typed(datatype, values))
    finally:
        await client.close()


WAYS = {
    "kserve REST, JSON": lambda task, datatype: rest(task, datatype, binary=False, wanted=False),
    "kserve REST, binary in, JSON out": lambda task, datatype: rest(task, datatype, binary=True, wanted=False),
    "kserve REST, binary": lambda task, datatype: rest(task, datatype, binary=True, wanted=True),
    "kserve gRPC, raw": lambda task, datatype: grpc(task, datatype, raw=True),
    "kserve gRPC, typed": lambda task, datatype: grpc(task, datatype, raw=False),
}


async def answer(way: Any, task: dict[str, Any], datatype: str) -> dict[str, Any]:
    try:
        response = await way(task, datatype)
        assert response.id == "mine"
        found = response.outputs[0].as_numpy()
    except Exception as error:  # a cell of the table
        return {"error": str(error).split(", '")[0].splitlines()[0][:200]}
    if datatype == "BYTES":
        data: Any = [value.decode() if isinstance(value, bytes) else value for value in found.reshape(-1)]
    else:
        data = found.tobytes().hex()
    return {"data": data, "shape": list(found.shape), "dtype": found.dtype.str}


async def main() -> None:
    tasks = json.load(sys.stdin)
    results = {
        name: {datatype: await answer(way, task, datatype) for datatype, task in tasks.items()}
        for name, way in WAYS.items()
    }
    print(json.dumps(results))


logging.disable()
asyncio.run(main())
