"""The model server: one image with `trial`, `fetch`, `prepare`, `serve`; the same code in the Job and in the pods."""

import os

VERSION = "0.1.0"  # the distribution's; the image holds the package without its metadata

# grpcio reads these when it is loaded, whichever module does that first: so before any.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its messages have a format of their own, for hostile input too
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")  # it hands each call through more threads
