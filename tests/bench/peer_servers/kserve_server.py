"""KServe's model server around ONNX Runtime: `kserve_server.py NAME MODEL PORT`. In an environment of its own."""

import sys

import kserve
import onnxruntime as ort


class Model(kserve.Model):
    """One model, one row or many."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        """V2 in, V2 out."""
        [answer] = self.session.run(None, {"x": payload.inputs[0].as_numpy()})
        output = kserve.InferOutput(name="y", shape=list(answer.shape), datatype="FP32", data=answer.ravel().tolist())
        return kserve.InferResponse(response_id=payload.id or "1", model_name=self.name, infer_outputs=[output])


name, path, port = sys.argv[1:]
server = kserve.ModelServer(http_port=int(port), workers=1, enable_grpc=False, access_log_format=None)
server.start([Model(name, path)])
