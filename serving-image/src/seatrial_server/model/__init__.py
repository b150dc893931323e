"""A loaded ONNX model and what is known about it: schema, session, features, manifest, answers."""
