"""Triton of the Python wheel around ONNX Runtime: `triton_server.py NAME MODEL PORT`. In an environment of its own."""

import sys

import numpy as np
import onnxruntime as ort
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

name, path, port = sys.argv[1:]
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
[given], [made] = session.get_inputs(), session.get_outputs()


@batch
def run(x):
    """Rows in, rows out."""
    return session.run(None, {"x": x})


own = TritonConfig(http_port=int(port), allow_grpc=False, allow_metrics=False, log_verbose=0)
with Triton(config=own) as triton:
    triton.bind(
        model_name=name,
        infer_func=run,
        inputs=[Tensor(name="x", dtype=np.float32, shape=(given.shape[1],))],
        outputs=[Tensor(name="y", dtype=np.float32, shape=(made.shape[1],))],
        config=ModelConfig(max_batch_size=32, batcher=DynamicBatcher(max_queue_delay_microseconds=1000)),
    )
    triton.serve()
