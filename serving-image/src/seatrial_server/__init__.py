"""The model server: one image with `trial`, `fetch`, `prepare`, `serve`; the same code in the Job and in the pods."""

VERSION = "0.1.0"  # the distribution's; the image holds the package without its metadata
