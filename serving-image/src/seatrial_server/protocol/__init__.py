"""The Open Inference Protocol: REST in `http`, gRPC in `rpc`, and what both share."""
