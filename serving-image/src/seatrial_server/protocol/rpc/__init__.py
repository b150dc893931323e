"""The V2 protocol over gRPC: messages, tensors, calls, the listening port."""
