"""Fetched package to prepared model: verify, quantize, gate, profile. Runs in the sandbox, measures and decides."""
