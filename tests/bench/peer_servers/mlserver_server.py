"""MLServer around ONNX Runtime, in one process: `mlserver_server.py NAME MODEL PORT`. In an environment of its own."""

import asyncio
import sys

import mlserver
import onnxruntime as ort
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Onnx(mlserver.MLModel):
    """One model, one row or many."""

    async def load(self) -> bool:
        """The session."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = self.settings.parameters.uri
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """V2 in, V2 out."""
        [answer] = self.session.run(None, {"x": NumpyCodec.decode_input(payload.inputs[0])})
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", answer)])


async def run(name: str, path: str, port: str) -> None:
    """Serve until killed."""
    settings = mlserver.Settings(
        host="127.0.0.1", http_port=int(port), grpc_port=int(port) + 1, metrics_port=int(port) + 2, parallel_workers=0
    )
    settings.debug = False
    parameters = mlserver.settings.ModelParameters(uri=path)
    model = mlserver.ModelSettings(name=name, implementation=Onnx, parameters=parameters)
    server = mlserver.MLServer(settings)
    await server.start([model])


asyncio.run(run(*sys.argv[1:]))
