"""The V2 protocol over HTTP/1.1: connection, listener, routes, decoding and encoding of tensors."""
