"""From an artifact to a model that can be served: fetch, archive, verify, quantize, prepare, schema, session."""
