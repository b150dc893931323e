"""A real OCI registry as an image: the program that the harness builds, and its settings."""
